import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { NotebookError, readNotebook } from "../../src/notebook/format.js";
import { CellError, checkNotebook, type Progress, runNotebook } from "../../src/notebook/run.js";
import { FIGURE_HTML, temporaryFolder } from "./fixture.js";

const folder = temporaryFolder();
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
      `const figure = {
  kind: "pins",
  [Symbol.for("Jupyter.display")]: () => ({ "text/plain": "pins: 3", "text/html": ${JSON.stringify(FIGURE_HTML)} }),
};`,
      "console.log(figure.kind);\nshow(figure);\nshow(figure, figure);\nconst n: number = 3",
      "n + 1",
    );
    await runNotebook(path, { ...quiet, progress: (progress) => seen.push(progress) });
    first = readFileSync(path, "utf8");
  }, 60_000);

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
      {
        id: "cell-4",
        execution_count: 3,
        outputs: [{ output_type: "execute_result", data: { "text/plain": "4" }, execution_count: 3 }],
      },
    ]);
    expect(first.length).toBeLessThan(10_000);
  });

  test("says where it opens: in guplab's kernel", () => {
    expect(JSON.parse(first).metadata).toMatchObject({
      kernelspec: { display_name: "TypeScript (guplab)", language: "typescript", name: "guplab" },
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
    const stale = folder.file("stale.ipynb", first.replace('"4"\n', '"5"\n'));
    await expect(checkNotebook(stale, quiet)).rejects.toThrow(
      new CellError(
        'stale.ipynb, cell 3: its outputs are not those that a run gives: "text/plain: 4" where the file has "text/plain: 5"',
      ),
    );
    expect(readFileSync(stale, "utf8")).toContain('"5"\n');
  });
});

test("a cell that is to fail has its error as its output, and the run goes on; with other tags, or too slow, it fails the run", async () => {
  const tagged = (name: string, tag: string, ...sources: string[]) => {
    const file = JSON.parse(readFileSync(folder.notebook(name, ...sources), "utf8"));
    file.cells[0].metadata = { tags: ["other", tag] };
    return folder.file(name, JSON.stringify(file));
  };
  const path = tagged(
    "raises.ipynb",
    "raises-exception",
    'console.log(1);\nthrow new Error("no buffers");',
    "2",
  );
  await runNotebook(path, quiet);
  const first = readFileSync(path, "utf8");
  expect(readNotebook(path).cells).toMatchObject([
    {
      metadata: { tags: ["other", "raises-exception"] },
      outputs: [
        { output_type: "stream", text: "1\n" },
        { output_type: "error", ename: "Error", evalue: "no buffers" },
      ],
    },
    { outputs: [{ output_type: "execute_result", data: { "text/plain": "2" } }] },
  ]);
  await checkNotebook(path, quiet);
  await runNotebook(path, quiet);
  expect(readFileSync(path, "utf8")).toBe(first);
  const other = tagged("other.ipynb", "raises-errors", "throw new Error('no')", "2");
  await expect(runNotebook(other, quiet)).rejects.toThrow("other.ipynb, cell 1, line 1: Error: no");
  const slow = tagged("slow.ipynb", "raises-exception", "for (;;);", "2");
  await expect(runNotebook(slow, { ...quiet, timeout_s: 0.5 })).rejects.toThrow("not finished within 0.5 s");
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
      "bad.ipynb, cell 2, line 3: Error: no buffers",
    ],
    [
      "a type error",
      ["1", 'const a = 1;\nconst b: number = "x";'],
      "bad.ipynb, cell 2, line 2: TS2322: Type 'string' is not assignable to type 'number'.",
    ],
    [
      "an assertion, its sentence on one line",
      ['import { strict as assert } from "assert";\n\nassert.equal(1, 2);'],
      "bad.ipynb, cell 1, line 3: AssertionError: Expected values to be strictly equal: 1 !== 2",
    ],
    [
      "a function of an earlier cell: the line of the call",
      ['function f() {\n  throw new Error("no buffers");\n}', "\n\nf();"],
      "bad.ipynb, cell 2, line 3: Error: no buffers",
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

describe("whose notebook it is", () => {
  const of = (name: string, kernelspec: object) => {
    const path = folder.notebook(name, "1");
    const file = JSON.parse(readFileSync(path, "utf8"));
    return folder.file(name, JSON.stringify({ ...file, metadata: { kernelspec } }));
  };

  test("one of stock tslab is run and renamed", async () => {
    const path = of("old.ipynb", { display_name: "TypeScript", language: "typescript", name: "tslab" });
    await runNotebook(path, quiet);
    expect(readNotebook(path).metadata.kernelspec).toMatchObject({ name: "guplab" });
  });

  test("one of another kernel is refused in a sentence, and stays as it was", async () => {
    const path = of("python.ipynb", { display_name: "Python 3", language: "python", name: "python3" });
    const before = readFileSync(path, "utf8");
    const sentence =
      "python.ipynb is a notebook of the kernel Python 3, and guplab nb is for those of TypeScript (guplab); " +
      "choose that kernel in Jupyter and save it";
    await expect(runNotebook(path, quiet)).rejects.toThrow(new NotebookError(sentence));
    await expect(checkNotebook(path, quiet)).rejects.toThrow(new NotebookError(sentence));
    expect(readFileSync(path, "utf8")).toBe(before);
  });
});
