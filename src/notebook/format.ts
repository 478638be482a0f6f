/**
 * The notebook file: nbformat 4 as types, read with every doubt stated in one sentence, written as Jupyter writes it
 * (keys in order, one space of indent, a newline at the end), so that a run in Jupyter and a run here differ only
 * where the outputs do.
 *
 * A multi-line text is one string in memory and a list of lines in the file. Times that JupyterLab leaves in a cell's
 * metadata are dropped on writing: they would make every run a change.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/** Any value that JSON can say. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** What one output shows, by MIME type; texts are whole strings, images other than SVG are base64. */
export type MimeBundle = Readonly<Record<string, Json>>;

export type Output =
  | { readonly output_type: "stream"; readonly name: "stdout" | "stderr"; readonly text: string }
  | { readonly output_type: "display_data"; readonly data: MimeBundle; readonly metadata: MimeBundle }
  | {
      readonly output_type: "execute_result";
      readonly data: MimeBundle;
      readonly metadata: MimeBundle;
      readonly execution_count: number;
    }
  | {
      readonly output_type: "error";
      readonly ename: string;
      readonly evalue: string;
      readonly traceback: readonly string[];
    };

export interface CodeCell {
  readonly cell_type: "code";
  readonly id: string;
  readonly metadata: MimeBundle;
  readonly source: string;
  /** 1 for the first code cell of a run; null for a cell that never ran. */
  readonly execution_count: number | null;
  readonly outputs: readonly Output[];
}

export interface TextCell {
  readonly cell_type: "markdown" | "raw";
  readonly id: string;
  readonly metadata: MimeBundle;
  readonly source: string;
  /** Pictures of the cell's own, by name, each a MIME bundle. */
  readonly attachments: Readonly<Record<string, MimeBundle>>;
}

export type Cell = CodeCell | TextCell;

export interface Notebook {
  readonly cells: readonly Cell[];
  readonly metadata: MimeBundle;
}

/** The input is at fault: a missing file, a file that is no notebook, a place that cannot be written. One sentence. */
export class NotebookError extends Error {
  override readonly name = "NotebookError";
}

/**
 * Read a notebook of nbformat 4. Cells without an id (nbformat 4.4 and older) get one from their position.
 *
 * @throws NotebookError when there is no such file, or it is not a whole notebook of nbformat 4
 * @example readNotebook("notebooks/01-the-crash.ipynb").cells.length
 */
export function readNotebook(path: string): Notebook {
  const name = basename(path);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new NotebookError(`${path} cannot be read: ${reason(error)}`);
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new NotebookError(`${name} is not a notebook, or is cut short: it is not whole JSON`);
  }
  const file = json as { nbformat?: unknown; nbformat_minor?: unknown; cells?: unknown; metadata?: unknown };
  if (!isObject(file) || typeof file.nbformat !== "number") {
    throw new NotebookError(`${name} is not a notebook: it states no nbformat`);
  }
  if (file.nbformat !== 4) {
    throw new NotebookError(
      `${name} is of nbformat ${file.nbformat}; open it in Jupyter and save it as nbformat 4`,
    );
  }
  if (!Array.isArray(file.cells))
    throw new NotebookError(`${name} is not a notebook: it has no list of cells`);
  const taken = new Set(file.cells.map((cell) => (isObject(cell) ? cell.id : undefined)));
  const cells = file.cells.map((cell, at) =>
    readCell(cell, at, taken, `${name}, cell ${at + 1} of the file`),
  );
  if (new Set(cells.map((cell) => cell.id)).size < cells.length) {
    throw new NotebookError(`${name} has two cells with the same id; give each its own`);
  }
  return { cells, metadata: isObject(file.metadata) ? (file.metadata as MimeBundle) : {} };
}

function readCell(cell: unknown, at: number, taken: ReadonlySet<unknown>, where: string): Cell {
  const bad = (fact: string) => new NotebookError(`${where}: ${fact}`);
  if (!isObject(cell)) throw bad("a cell must be an object");
  const source = joined(cell.source);
  if (source === undefined) throw bad("its source is not text");
  let id = cell.id ?? `cell-${at + 1}`;
  while (cell.id === undefined && taken.has(id)) id = `${id}-`;
  if (typeof id !== "string" || !/^[A-Za-z0-9_-]{1,64}$/.test(id))
    throw bad("its id is not 1 to 64 letters, digits, - or _");
  const metadata = isObject(cell.metadata) ? (cell.metadata as MimeBundle) : {};
  if (cell.cell_type === "code") {
    if (!Array.isArray(cell.outputs)) throw bad("a code cell must have a list of outputs");
    const execution_count = typeof cell.execution_count === "number" ? cell.execution_count : null;
    return {
      cell_type: "code",
      id,
      metadata,
      source,
      execution_count,
      outputs: cell.outputs.map((output) => readOutput(output, bad)),
    };
  }
  if (cell.cell_type !== "markdown" && cell.cell_type !== "raw")
    throw bad(`there is no cell type ${JSON.stringify(cell.cell_type)}`);
  const attachments: Record<string, MimeBundle> = {};
  for (const [name, bundle] of Object.entries(isObject(cell.attachments) ? cell.attachments : {})) {
    attachments[name] = readBundle(bundle);
  }
  return { cell_type: cell.cell_type, id, metadata, source, attachments };
}

function readOutput(output: unknown, bad: (fact: string) => NotebookError): Output {
  if (isObject(output)) {
    const text = joined(output.text);
    switch (output.output_type) {
      case "stream":
        if (text === undefined) break;
        return { output_type: "stream", name: output.name === "stderr" ? "stderr" : "stdout", text };
      case "display_data":
        return {
          output_type: "display_data",
          data: readBundle(output.data),
          metadata: asBundle(output.metadata),
        };
      case "execute_result":
        return {
          output_type: "execute_result",
          data: readBundle(output.data),
          metadata: asBundle(output.metadata),
          execution_count: Number(output.execution_count),
        };
      case "error":
        return {
          output_type: "error",
          ename: String(output.ename),
          evalue: String(output.evalue),
          traceback: Array.isArray(output.traceback) ? output.traceback.map(String) : [],
        };
    }
  }
  throw bad("one of its outputs is none of stream, display_data, execute_result and error");
}

/** Lists of lines become strings; application/json and its kin stay what they are. */
function readBundle(data: unknown): MimeBundle {
  const entries = Object.entries(asBundle(data));
  return Object.fromEntries(
    entries.map(([mime, value]) => [mime, isJsonMime(mime) ? value : (joined(value) ?? value)]),
  );
}

const asBundle = (value: unknown): MimeBundle => (isObject(value) ? (value as MimeBundle) : {});

const isJsonMime = (mime: string) => mime === "application/json" || mime.endsWith("+json");

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A text of the file: one string, or a list of them. */
function joined(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (Array.isArray(value) && value.every((line) => typeof line === "string")) return value.join("");
  return undefined;
}

/** The bytes of the file, the same for the same notebook whatever order its keys were made in. */
export function serializeNotebook(notebook: Notebook): string {
  const file = {
    cells: notebook.cells.map(cellForFile),
    metadata: notebook.metadata,
    nbformat: 4,
    nbformat_minor: 5,
  };
  return `${JSON.stringify(sorted(file as unknown as Json), null, 1)}\n`;
}

function cellForFile(cell: Cell): object {
  const { execution: _times, ...metadata } = cell.metadata as Record<string, Json>;
  const common = { cell_type: cell.cell_type, id: cell.id, metadata, source: lines(cell.source) };
  if (cell.cell_type === "code") {
    return { ...common, execution_count: cell.execution_count, outputs: cell.outputs.map(outputForFile) };
  }
  return Object.keys(cell.attachments).length > 0 ? { ...common, attachments: cell.attachments } : common;
}

function outputForFile(output: Output): object {
  if (output.output_type === "stream") return { ...output, text: lines(output.text) };
  if (output.output_type === "error") return output;
  const data: Record<string, unknown> = {};
  for (const [mime, value] of Object.entries(output.data)) {
    const isText = mime.startsWith("text/") || mime === "image/svg+xml" || mime === "application/javascript";
    data[mime] = isText && typeof value === "string" ? lines(value) : value;
  }
  return { ...output, data };
}

/** Lines with their line ends, as Jupyter stores them: diffs then read line by line. */
function lines(text: string): string[] {
  return text.split(/(?<=\n)/).filter((line) => line !== "");
}

function sorted(value: Json): Json {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const object = value as Readonly<Record<string, Json>>;
  return Object.fromEntries(
    Object.keys(object)
      .sort()
      .map((key) => [key, sorted(object[key])]),
  );
}

/**
 * Write a file whole or not at all: beside its place first, then renamed into it.
 *
 * @throws NotebookError when the place cannot be written
 */
export function writeWhole(path: string, content: string | Uint8Array): void {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
  try {
    writeFileSync(temporary, content);
    renameSync(temporary, path);
  } catch (error) {
    if (existsSync(temporary)) rmSync(temporary);
    throw new NotebookError(`${path} cannot be written: ${reason(error)}`);
  }
}

/**
 * Make a folder, and those that it lies in, unless it is there. One by one: mkdirSync's own way of doing so never comes
 * back from a file system that takes no folders, such as /proc.
 *
 * @throws Error of the first that cannot be made; `reason` has words for it
 */
export function makeFolder(path: string): void {
  const above = dirname(path);
  if (!existsSync(above)) makeFolder(above);
  try {
    mkdirSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") throw new Error(`${above} takes no folders`);
    if (code !== "EEXIST") throw error;
    if (!statSync(path, { throwIfNoEntry: false })?.isDirectory())
      throw new Error(`${path} is there, and is no folder`);
  }
}

/** The system's words for what went wrong with a file, without its code and path. */
export function reason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "ENOENT") return "there is no such file or folder";
  if (code === "EISDIR") return "it is a folder";
  if (code === "ENOTDIR") return "a part of its path is a file, not a folder";
  if (code === "EACCES" || code === "EPERM" || code === "EROFS") return "permission denied";
  return message;
}
