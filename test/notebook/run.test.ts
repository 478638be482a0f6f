import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readNotebook } from "../../src/notebook/format.js";
import { CellError, checkNotebook, type Progress, runNotebook } from "../../src/notebook/run.js";
import { FIGURE_HTML, installGuplab, temporaryFolder } from "./fixture.js";

const folder = temporaryFolder();
beforeAll(() => installGuplab(folder));
afterAll(() => folder.remove());

const quiet = { timeout_s: 20, progress: () => {} };

describe("a notebook that runs", () => {
  let path = "";
  let first = "";
  const seen: Progress[] = [];
  beforeAll(async () => {
    path = folder.notebook(
      "good.ipynb",
      "# A title",
      'import { figure, show } from "guplab";',
      "console.log(figure.kind);\nshow(figure);\nshow(figure, figure);\nconst n: number = 3",
      "n + 1",
    );
    await runNotebook(path, { ...quiet, progress: (progress) => seen.push(progress) });
    first = readFileSync(path, "utf8");
  });

  test("holds its outputs, counted from 1, with ids, and without the library that a live notebook needs", () => {
    expect(readNotebook(path).cells).toMatchObject([
      { id: "cell-1", cell_type: "markdown" },
      { id: "cell-2", execution_count: 1, outputs: [] },
      {
        id: "cell-3",
        execution_count: 2,
        outputs: [
          { output_type: "stream", name: "stdout", text: "pins\n" },
          {
            output_type: "display_data",
            data: { "text/plain": "pins: 3", "text/html": FIGURE_HTML },
            metadata: {},
          },
          { output_type: "display_data" },
          { output_type: "display_data" },
        ],
      },
      { id: "cell-4", execution_count: 3, outputs: [{ output_type: "stream", name: "stdout", text: "4\n" }] },
    ]);
    expect(first.length).toBeLessThan(10_000);
  });

  test("says where it opens: the stock kernel", () => {
    expect(JSON.parse(first).metadata).toMatchObject({
      kernelspec: { name: "tslab" },
      language_info: { name: "typescript" },
    });
  });

  test("tells its progress", () => {
    expect(seen).toEqual([0, 1, 2, 3].map((done) => ({ notebook: "good.ipynb", done, cells: 3 })));
  });

  test("is the same, byte for byte, after a second run, and passes the check", async () => {
    await runNotebook(path, quiet);
    expect(readFileSync(path, "utf8")).toBe(first);
    await checkNotebook(path, quiet);
    expect(readFileSync(path, "utf8")).toBe(first);
  });

  test("fails the check when a committed output is not what a run gives", async () => {
    const stale = folder.file("stale.ipynb", first.replace('"4\\n"', '"5\\n"'));
    await expect(checkNotebook(stale, quiet)).rejects.toThrow(
      new CellError(
        'stale.ipynb, cell 3: its outputs are not those that a run gives: "stdout: 4" where the file has "stdout: 5"',
      ),
    );
    expect(readFileSync(stale, "utf8")).toContain('"5\\n"');
  });
});

describe("a notebook that fails is named with cell and line, and stays as it was", () => {
  test("a module's throw: its sentence, not its place in the module", async () => {
    const module = folder.file(
      "thrower.mjs",
      'export const f = () => {\n  throw new Error("no pages");\n};\n',
    );
    const path = folder.notebook(
      "module.ipynb",
      `const where: string = "${module}";\nconst { f } = await import(where);`,
      "1;\nf();",
    );
    await expect(runNotebook(path, quiet)).rejects.toThrow(
      new CellError("module.ipynb, cell 2, line 2: Error: no pages"),
    );
  });

  test.each([
    [
      "a throw",
      ["1", '// a comment\nfunction f() {\n  throw new Error("no buffers");\n}\nf();', "3"],
      "bad.ipynb, cell 2, line 5: Error: no buffers",
    ],
    [
      "a kernel that dies",
      ["process.kill(process.pid, 9); await new Promise(() => {});"],
      "bad.ipynb, cell 1: the kernel died (SIGKILL)",
    ],
  ])("%s", async (_, sources, sentence) => {
    const path = folder.notebook("bad.ipynb", ...sources);
    const before = readFileSync(path, "utf8");
    await expect(runNotebook(path, quiet)).rejects.toThrow(new CellError(sentence));
    expect(readFileSync(path, "utf8")).toBe(before);
  });

  test("a cell without end", async () => {
    const path = folder.notebook("bad.ipynb", "for (;;);");
    await expect(runNotebook(path, { ...quiet, timeout_s: 0.5 })).rejects.toThrow(
      new CellError("bad.ipynb, cell 1: not finished within 0.5 s"),
    );
  });
});
