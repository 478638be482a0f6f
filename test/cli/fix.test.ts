/** `guplab fix` as a program: a patch of a file anywhere, its lines replayed, and files with mistakes. */
import { execFileSync, type SpawnSyncReturns, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const root = new URL("../..", import.meta.url).pathname;
const main = join(root, "dist", "src", "cli", "main.js");
const folder = mkdtempSync(join(tmpdir(), "guplab-fix-"));
const LINE = "dio-reclaim@v4.20+skip-referenced:p13k16p2m3p1k5f8d4f1k3f2d1k5p5f4";

beforeAll(() => {
  execFileSync(process.execPath, [join(root, "src", "cli", "build.mjs"), "--if-stale"]);
  for (const name of ["skip-referenced", "ask-after-unmap"])
    copyFileSync(join(root, "test", "fixes", `${name}.mjs`), join(folder, `${name}.mjs`));
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true }));

const guplab = (...args: readonly string[]): SpawnSyncReturns<string> =>
  spawnSync(process.execPath, [main, "fix", ...args], { cwd: folder, encoding: "utf8" });

/** What is complained of a file with this text. */
function complaintOf(text: string, name = "wrong.mjs"): string {
  writeFileSync(join(folder, name), text);
  const before = readdirSync(folder);
  const { status, stdout, stderr } = guplab(name, "-w", "W2");
  expect([status, stdout]).toEqual([1, ""]);
  expect(readdirSync(folder)).toEqual(before);
  expect(stderr.split("\n")).toHaveLength(2);
  return stderr.trim();
}

describe("guplab fix", () => {
  it("3 when a workload has a fault with the patch, and says how its lines are replayed", () => {
    const { status, stdout, stderr } = guplab("skip-referenced.mjs", "--workloads", "W7", "W2");
    expect([status, stderr]).toEqual([3, ""]);
    expect(stdout).toMatch(/^W7 +STALE, REFUSED +STALE, REFUSED +untouched/m);
    expect(stdout).toContain("W7 and W2 run no path that it edits: it changes nothing there");
    expect(stdout).toContain("guplab fix skip-referenced.mjs --replay LINE shows one of these runs");
  });

  it("0 when none has, also of a file that names a later kernel's functions", () => {
    const { status, stdout, stderr } = guplab("ask-after-unmap.mjs", "-k", "v6.3", "-w", "W2", "W18");
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout).toContain("before shrink_folio_list/folio_test_dirty#1");
  });

  it("--json is one document", () => {
    const { stdout } = guplab("skip-referenced.mjs", "-w", "W2", "--json");
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ patch: "skip-referenced", without: "v4.20", finished: true });
    expect(report.diff).toContain("+        if page_count");
  });

  it("--replay does a run again that it found", () => {
    const { status, stdout, stderr } = guplab("skip-referenced.mjs", "--replay", LINE);
    expect([status, stderr]).toEqual([3, ""]);
    expect(stdout).toContain("BUG at tick 73, flusher, pfn 0: page_buffers: BUG_ON(!PagePrivate(page))");
    expect(stdout.trimEnd().endsWith(`replay: ${LINE}`)).toBe(true);
    expect(guplab("skip-referenced.mjs", "--replay", LINE.replace("p13", "z13")).stderr).toMatch(
      /^guplab: the schedule names task z/,
    );
  });

  it("Ctrl-C ends it with what there is: five million states of W4 take longer than it waits", async () => {
    const searching = spawn(process.execPath, [main, "fix", "skip-referenced.mjs", "-w", "W2", "W4", "W10"], {
      cwd: folder,
    });
    let printed = "";
    searching.stdout.on("data", (text) => {
      printed += text;
    });
    setTimeout(() => searching.kill("SIGINT"), 4000);
    const [code] = await once(searching, "exit");
    expect([0, 3]).toContain(code);
    expect(printed).toMatch(/^W2 +safe +safe +untouched/m);
    expect(printed).toMatch(/^interrupted before (W4 and )?W10 had a verdict$/m);
  }, 30_000);

  it("a file that is none, or no module, or exports no patch", () => {
    expect(guplab("none.mjs").stderr).toBe("guplab: none.mjs cannot be read: there is no such file\n");
    expect(complaintOf("", "fix.ts")).toBe(
      "guplab: fix.ts is no .mjs or .js: guplab fix takes a module of JavaScript whose default export is the patch",
    );
    const at = (line: number) => `guplab: ${join(folder, "wrong.mjs")}, line ${line} cannot be loaded: `;
    expect(complaintOf("export default {")).toBe(
      `guplab: ${join(folder, "wrong.mjs")} cannot be loaded: SyntaxError: Unexpected end of input`,
    );
    expect(complaintOf('import { befor } from "guplab";\nexport default befor;')).toBe(
      `${at(1)}SyntaxError: The requested module 'guplab' does not provide an export named 'befor'`,
    );
    expect(complaintOf("const one = 1;\nnosuch(one);")).toBe(`${at(2)}ReferenceError: nosuch is not defined`);
    expect(complaintOf("export const patch = {};")).toMatch(
      /wrong\.mjs has no default export: export default \{ name/,
    );
    expect(complaintOf("export default 5;")).toMatch(/^guplab: a patch is an object: /);
  });

  it("an edit that does not apply is named with what would", () => {
    const text = (edit: string) =>
      `import { before } from "guplab";\nexport default { name: "wrong", help: "a test", edits: [${edit}] };`;
    expect(complaintOf(text('before("shrink_page_list", "try_to_unmap", [])'))).toBe(
      'guplab: patch wrong, edit 1 (before "try_to_unmap" of shrink_page_list): does not apply: shrink_page_list has 2 steps "try_to_unmap": write try_to_unmap#1 (after page_mapped) or try_to_unmap#2 (after page_mapped)',
    );
    expect(complaintOf(text('before("shrink_pagelist", "PageDirty", [])'))).toMatch(
      /did you mean shrink_page_list\?$/,
    );
  });
});
