import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import {
  dataFolder,
  installedSpecs,
  installSpec,
  kernelJson,
  kernelScript,
  removeSpec,
} from "../../../src/notebook/kernel/spec.js";
import { temporaryFolder } from "../fixture.js";

const folder = temporaryFolder();
afterAll(() => folder.remove());
beforeEach(() => {
  vi.stubEnv("JUPYTER_DATA_DIR", join(folder.path, "user"));
  vi.stubEnv("JUPYTER_PATH", "");
});
afterEach(() => vi.unstubAllEnvs());

const prefix = { kind: "prefix", folder: join(folder.path, "prefix") } as const;
const project = { kind: "project", folder: join(folder.path, "project") } as const;

test("each place is one where Jupyter looks", () => {
  expect(dataFolder({ kind: "user" })).toBe(join(folder.path, "user"));
  expect(dataFolder(prefix)).toBe(join(folder.path, "prefix/share/jupyter"));
  expect(dataFolder(project)).toBe(join(folder.path, "project/.jupyter"));
});

describe("an installed kernel", () => {
  test("is one file with absolute paths that exist; installing again leaves the same", () => {
    const at = installSpec(project);
    expect(readdirSync(at)).toEqual(["kernel.json"]);
    const text = readFileSync(join(at, "kernel.json"), "utf8");
    expect(JSON.parse(text)).toEqual(kernelJson());
    expect(JSON.parse(text)).toMatchObject({
      display_name: "TypeScript (guplab)",
      language: "typescript",
      interrupt_mode: "message",
    });
    const [node, , script] = JSON.parse(text).argv;
    expect([node, script]).toEqual([process.execPath, kernelScript()]);
    for (const path of [node, script]) expect(existsSync(path)).toBe(true);
    installSpec(project);
    expect(readFileSync(join(at, "kernel.json"), "utf8")).toBe(text);
  });

  test("is found where Jupyter finds it, with what is wrong with it, and is gone when it is removed", () => {
    const at = installSpec({ kind: "user" });
    const found = () => installedSpecs().find((installed) => installed.folder === at);
    expect(found()).toMatchObject({ starts: [process.execPath, kernelScript()], fault: undefined });
    folder.file("user/kernels/guplab/kernel.json", JSON.stringify({ argv: ["/gone/node", kernelScript()] }));
    expect(found()?.fault).toBe(
      "/gone/node, which it starts, is not there; guplab kernel install writes it anew",
    );
    folder.file("user/kernels/guplab/kernel.json", "{");
    expect(found()?.fault).toMatch(
      /kernel\.json does not say how to start the kernel; guplab kernel install/,
    );
    expect(removeSpec({ kind: "user" })).toBe(at);
    expect(existsSync(at)).toBe(false);
    expect(found()).toBeUndefined();
  });

  test("of JUPYTER_PATH comes first", () => {
    vi.stubEnv("JUPYTER_PATH", dataFolder(project));
    const at = installSpec(project);
    installSpec({ kind: "user" });
    expect(installedSpecs()[0].folder).toBe(at);
  });
});

test("what cannot be written or is not there is said in a sentence", () => {
  folder.file("file", "");
  expect(() => installSpec({ kind: "prefix", folder: join(folder.path, "file") })).toThrow(
    /kernels\/guplab cannot be made: a part of its path is a file, not a folder; --user, --prefix and --project/,
  );
  // Where Node's own way of making folders goes round for ever.
  expect(() => installSpec({ kind: "prefix", folder: "/proc/x" })).toThrow(
    "/proc/x/share/jupyter/kernels/guplab cannot be made: /proc takes no folders; --user, --prefix and --project name other places",
  );
  mkdirSync(join(folder.path, "empty"));
  expect(() => removeSpec({ kind: "prefix", folder: join(folder.path, "empty") })).toThrow(
    /^there is no kernel guplab in .*; guplab kernel list tells where it is$/,
  );
  rmSync(join(folder.path, "empty"), { recursive: true });
});
