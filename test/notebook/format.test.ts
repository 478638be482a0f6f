import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import {
  type CodeCell,
  makeFolder,
  NotebookError,
  readNotebook,
  serializeNotebook,
  writeWhole,
} from "../../src/notebook/format.js";
import { temporaryFolder } from "./fixture.js";

const folder = temporaryFolder();
afterAll(() => folder.remove());

const asFile = (json: unknown) => folder.file("n.ipynb", JSON.stringify(json));
const withCells = (...cells: unknown[]) => asFile({ nbformat: 4, nbformat_minor: 5, metadata: {}, cells });
const code = { cell_type: "code", metadata: {}, source: "1", outputs: [], execution_count: null };

describe("a file that is no notebook is refused in one sentence", () => {
  const whole = JSON.stringify({ nbformat: 4, nbformat_minor: 5, metadata: {}, cells: [code] });
  test.each([
    ["cut short", whole.slice(0, -9), "n.ipynb is not a notebook, or is cut short: it is not whole JSON"],
    ["empty", "", "n.ipynb is not a notebook, or is cut short: it is not whole JSON"],
    ["other JSON", "[1, 2]", "n.ipynb is not a notebook: it states no nbformat"],
    [
      "nbformat 3",
      '{"nbformat": 3, "worksheets": []}',
      "n.ipynb is of nbformat 3; open it in Jupyter and save it as nbformat 4",
    ],
    ["no cells", '{"nbformat": 4}', "n.ipynb is not a notebook: it has no list of cells"],
  ])("%s", (_, text, sentence) => {
    expect(() => readNotebook(folder.file("n.ipynb", text))).toThrow(new NotebookError(sentence));
  });

  test.each([
    ["a cell that is none", 3, "n.ipynb, cell 2 of the file: a cell must be an object"],
    [
      "a foreign type",
      { ...code, cell_type: "sql" },
      'n.ipynb, cell 2 of the file: there is no cell type "sql"',
    ],
    ["no source", { ...code, source: 1 }, "n.ipynb, cell 2 of the file: its source is not text"],
    [
      "no outputs",
      { ...code, outputs: null },
      "n.ipynb, cell 2 of the file: a code cell must have a list of outputs",
    ],
    [
      "a bad id",
      { ...code, id: "ü" },
      "n.ipynb, cell 2 of the file: its id is not 1 to 64 letters, digits, - or _",
    ],
  ])("%s", (_, cell, sentence) => {
    expect(() => readNotebook(withCells(code, cell))).toThrow(new NotebookError(sentence));
  });

  test("no file", () => {
    const path = join(folder.path, "none.ipynb");
    expect(() => readNotebook(path)).toThrow(`${path} cannot be read: there is no such file or folder`);
  });

  test("an id used twice", () => {
    expect(() => readNotebook(withCells({ ...code, id: "a" }, { ...code, id: "a" }))).toThrow(
      "two cells with the same id",
    );
  });
});

test("cells without an id get one from their position, and never one that is taken", () => {
  const path = withCells(code, { ...code, id: "cell-1" }, code);
  expect(readNotebook(path).cells.map((cell) => cell.id)).toEqual(["cell-1-", "cell-1", "cell-3"]);
});

test("texts are strings in memory and lists of lines in the file", () => {
  const stream = { output_type: "stream", name: "stdout", text: ["1\n", "2\n"] };
  const shown = {
    output_type: "display_data",
    metadata: {},
    data: { "text/html": ["<p>\n", "</p>"], "image/png": "aa\nbb" },
  };
  const notebook = readNotebook(withCells({ ...code, source: ["a\n", "b"], outputs: [stream, shown] }));
  const [cell] = notebook.cells as CodeCell[];
  expect(cell.source).toBe("a\nb");
  expect(cell.outputs).toMatchObject([{ text: "1\n2\n" }, { data: { "text/html": "<p>\n</p>" } }]);
  const [written] = JSON.parse(serializeNotebook(notebook)).cells;
  expect(written).toMatchObject({ source: ["a\n", "b"], outputs: [stream, shown] });
});

test("the same notebook gives the same bytes whatever the order of its keys, without times", () => {
  const execution = { "iopub.status.busy": "2026-01-01T00:00:00Z" };
  const one = readNotebook(withCells({ ...code, metadata: { tags: ["a"], execution } }));
  const text = serializeNotebook(one);
  const reordered = {
    cells: [{ id: "cell-1", ...code, metadata: { tags: ["a"] } }],
    metadata: {},
    nbformat: 4,
  };
  expect(serializeNotebook(readNotebook(asFile(reordered)))).toBe(text);
  expect(text).toMatch(
    /^\{\n "cells": \[\n {2}\{\n {3}"cell_type": "code",\n[\s\S]*\n "nbformat_minor": 5\n\}\n$/,
  );
  expect(text).not.toContain("2026");
  expect(serializeNotebook(readNotebook(folder.file("again.ipynb", text)))).toBe(text);
});

test("a folder is made with those it lies in, unless it is there; what is in the way is named", () => {
  const path = join(folder.path, "a/b/c");
  makeFolder(path);
  makeFolder(path);
  expect(statSync(path).isDirectory()).toBe(true);
  const file = folder.file("in-the-way", "");
  expect(() => makeFolder(file)).toThrow(`${file} is there, and is no folder`);
  expect(() => makeFolder(join(file, "d"))).toThrow(/ENOTDIR/);
});

test("a file is replaced whole or not at all", () => {
  const path = folder.file("old.txt", "old");
  writeWhole(path, "new");
  expect(readFileSync(path, "utf8")).toBe("new");
  expect(() => writeWhole(join(path, "below"), "x")).toThrow(
    new NotebookError(`${join(path, "below")} cannot be written: a part of its path is a file, not a folder`),
  );
  expect(readdirSync(folder.path).filter((name) => name.endsWith(".tmp"))).toEqual([]);
});
