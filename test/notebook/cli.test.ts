import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { nb } from "../../src/notebook/cli.js";
import { temporaryFolder } from "./fixture.js";

const folder = temporaryFolder();
afterAll(() => folder.remove());

let stdout = "";
let stderr = "";
beforeEach(() => {
  stdout = stderr = "";
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    stdout += text;
    return true;
  });
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    stderr += text;
    return true;
  });
});
afterEach(() => vi.restoreAllMocks());

const call = (action: "run" | "render" | "check", notebooks: string[], out?: string) =>
  nb({ action, notebooks, out, timeout_s: 20 });

describe("exit codes", () => {
  test("0: run, then check, and a line for each", async () => {
    const path = folder.notebook("good.ipynb", "# Good", "1 + 1");
    expect(await call("run", [path])).toBe(0);
    expect(await call("check", [path])).toBe(0);
    expect(stdout).toBe(`${path}: executed\n${path}: up to date\n`);
    expect(stderr).toMatch(/^good\.ipynb: starting the kernel\ngood\.ipynb: cell 1 of 1, \d+\.\d s\n/);
  });

  test("3: a cell failed; the notebooks after it are run all the same", async () => {
    const bad = folder.notebook("bad.ipynb", "1", 'throw new Error("no")');
    const good = folder.notebook("after.ipynb", "2");
    expect(await call("run", [bad, good])).toBe(3);
    expect(stderr).toContain("guplab nb: bad.ipynb, cell 2, line 1: Error: no\n");
    expect(stdout).toBe(`${good}: executed\n`);
  });

  test("1: one of the files is no notebook, and nothing is changed", async () => {
    const good = folder.notebook("untouched.ipynb", "1");
    const before = readFileSync(good, "utf8");
    expect(await call("run", [good, folder.file("text.ipynb", "text")])).toBe(1);
    expect(stderr).toBe("guplab nb: text.ipynb is not a notebook, or is cut short: it is not whole JSON\n");
    expect(readFileSync(good, "utf8")).toBe(before);
  });

  test("1: a time limit that is none", async () => {
    expect(await nb({ action: "run", notebooks: [], timeout_s: Number.NaN })).toBe(1);
    expect(stderr).toBe("guplab nb: the time limit of a cell must be more than 0 seconds\n");
  });
});

test("no notebook named: all of the folder notebooks, in order; none there: 1", async () => {
  const before = process.cwd();
  process.chdir(folder.path);
  try {
    expect(await call("render", [])).toBe(1);
    expect(stderr).toBe("guplab nb: no notebook is named, and there is none in a folder notebooks here\n");
    mkdirSync("notebooks");
    for (const name of ["02", "01"]) folder.notebook(`notebooks/${name}.ipynb`, "# Title");
    expect(await call("render", [])).toBe(0);
    expect(stdout).toBe("notebooks/01.html\nnotebooks/02.html\n");
  } finally {
    process.chdir(before);
  }
});

describe("pages", () => {
  const path = folder.notebook("page.ipynb", "# The crash", "1");

  test("go beside the notebook, into a folder, or into the file named", async () => {
    expect(await call("render", [path])).toBe(0);
    expect(await call("render", [path], join(folder.path, "site", "pages"))).toBe(0);
    expect(await call("render", [path], join(folder.path, "one.html"))).toBe(0);
    const places = ["page.html", "site/pages/page.html", "one.html"].map((name) => join(folder.path, name));
    expect(stdout).toBe(places.map((place) => `${place}\n`).join(""));
    const [first, ...others] = places.map((place) => readFileSync(place, "utf8"));
    expect(first).toContain("<title>The crash</title>");
    for (const other of others) expect(other).toBe(first);
  });

  test.each([
    ["a folder that cannot be", "page.ipynb/x", /page\.ipynb\/x cannot be made a folder for the pages\n$/],
    ["a file that cannot be", "none/x.html", /x\.html cannot be written: there is no such file or folder\n$/],
  ])("1: %s", async (_, out, sentence) => {
    expect(await call("render", [path], join(folder.path, out))).toBe(1);
    expect(stderr).toMatch(sentence);
  });

  test("1: two notebooks of one name for a folder; no place at all; a place for what writes no page", async () => {
    mkdirSync(join(folder.path, "other"));
    const other = folder.notebook("other/page.ipynb", "1");
    const out = join(folder.path, "never");
    expect(await call("render", [path, other], out)).toBe(1);
    expect(await call("render", [path], "")).toBe(1);
    expect(await call("check", [path], out)).toBe(1);
    expect(stderr).toBe(
      `guplab nb: two of the notebooks would be the page ${out}/page.html; render them one by one
guplab nb: --out names neither a folder nor an .html file
guplab nb: --out is for render: guplab nb check writes no page
`,
    );
    expect(existsSync(out)).toBe(false);
  });

  test("1: a notebook of another kernel has no page", async () => {
    const python = JSON.parse(readFileSync(path, "utf8"));
    python.metadata = { kernelspec: { name: "python3", display_name: "Python 3" } };
    expect(await call("render", [folder.file("python.ipynb", JSON.stringify(python))])).toBe(1);
    expect(stderr).toMatch(
      /^guplab nb: python\.ipynb is a notebook of the kernel Python 3, and guplab nb is for those of/,
    );
    expect(existsSync(join(folder.path, "python.html"))).toBe(false);
  });

  test("1: one page for two notebooks", async () => {
    expect(await call("render", [path, path], "x.html")).toBe(1);
    expect(stderr).toBe("guplab nb: x.html is one page for 2 notebooks; name a folder\n");
  });
});

test("Ctrl-C leaves no kernel, no file and the notebook as it was", async () => {
  const repository = new URL("../..", import.meta.url).pathname;
  const program = mkdtempSync(join(repository, "node_modules", ".guplab-test-"));
  const temporary = mkdtempSync(join(folder.path, "tmp-"));
  const started = join(folder.path, "kernel.pid");
  const path = folder.notebook(
    "endless.ipynb",
    `import * as fs from "fs";\nfs.writeFileSync(${JSON.stringify(started)}, String(process.pid));\nfor (;;);`,
  );
  const before = readFileSync(path, "utf8");
  try {
    const cli = join(repository, "src/notebook/cli.ts");
    const contents = `import { nb } from ${JSON.stringify(cli)};
process.exitCode = await nb({ action: "run", notebooks: [${JSON.stringify(path)}], timeout_s: 60 });`;
    const outfile = join(program, "main.mjs");
    const stdin = { contents, resolveDir: program };
    await build({ stdin, outfile, bundle: true, format: "esm", platform: "node", packages: "external" });
    const runner = spawn(process.execPath, [outfile], {
      stdio: "ignore",
      env: { ...process.env, TMPDIR: temporary },
    });
    const exit = once(runner, "exit");
    await vi.waitUntil(() => existsSync(started) && readFileSync(started, "utf8") !== "", {
      timeout: 30_000,
    });
    runner.kill("SIGINT");
    expect(await exit).toEqual([null, "SIGINT"]);
    const kernel = Number(readFileSync(started, "utf8"));
    await vi.waitUntil(() => !isRunning(kernel), { timeout: 5000 });
    expect(readdirSync(temporary)).toEqual([]);
    expect(readFileSync(path, "utf8")).toBe(before);
  } finally {
    rmSync(program, { recursive: true });
  }
});

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
