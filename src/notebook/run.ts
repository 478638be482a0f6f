/**
 * Runs notebooks as a reader would who restarts the kernel and presses "run all": each in a fresh kernel, top to
 * bottom, up to the first error that is not expected: that of a cell with the tag "raises-exception", as Jupyter has it,
 * is an output like any other, and the run goes on. The file is replaced once, at the end, and only when every cell went well; a second
 * run leaves the same bytes. Needs Node alone, no Python and no Jupyter.
 */
import { basename, dirname } from "node:path";
import {
  type Cell,
  type CodeCell,
  type Notebook,
  NotebookError,
  type Output,
  readNotebook,
  serializeNotebook,
  writeWhole,
} from "./format.js";
import { KERNELSPEC } from "./kernel/spec.js";
import { type CellFailure, type Execution, type Kernel, KernelError, startKernel } from "./kernel-client.js";
import { isPlotlyLoader } from "./plotly.js";

/** Where a run is. */
export interface Progress {
  /** The file's name. */
  readonly notebook: string;
  /** Code cells that are done; 0 while the kernel starts. */
  readonly done: number;
  /** Code cells in all. */
  readonly cells: number;
}

export interface RunOptions {
  /** What one cell may take, in seconds. */
  readonly timeout_s: number;
  /** Called before the first code cell and after each. */
  readonly progress: (progress: Progress) => void;
}

/** A cell failed, or its outputs are not the committed ones: "01-the-crash.ipynb, cell 7, line 3: ...". */
export class CellError extends Error {
  override readonly name = "CellError";
}

/**
 * Execute a notebook and write the outputs back into it.
 *
 * Cells are counted as Jupyter counts them, code cells that are not blank: "cell 7" is the one that shows as [7].
 *
 * @throws CellError when a cell failed that may not, took too long or killed the kernel; the file is then as it was
 * @throws NotebookError when the file is no notebook or cannot be written
 * @example await runNotebook("notebooks/01-the-crash.ipynb", { timeout_s: 60, progress: () => {} })
 */
export async function runNotebook(path: string, options: RunOptions): Promise<void> {
  const notebook = readNotebook(path);
  writeWhole(path, serializeNotebook(await execute(path, notebook, options)));
}

/**
 * Execute a notebook and compare with what it holds; nothing is written.
 *
 * @throws CellError when a cell failed, or naming the first one whose outputs differ from those in the file
 * @throws NotebookError when the file is no notebook
 * @example await checkNotebook("notebooks/01-the-crash.ipynb", { timeout_s: 60, progress: () => {} })
 */
export async function checkNotebook(path: string, options: RunOptions): Promise<void> {
  const notebook = readNotebook(path);
  const fresh = codeCells(await execute(path, notebook, options));
  for (const [at, cell] of codeCells(notebook).entries()) {
    const [was, is] = [cell, fresh[at]].map((one) => outputLines(one.outputs));
    const line = is.findIndex((text, index) => text !== was[index]);
    if (line < 0 && was.length === is.length) continue;
    const first = line < 0 ? is.length : line;
    const fact = `its outputs are not those that a run gives: ${excerpt(is[first])} where the file has ${excerpt(was[first])}`;
    throw new CellError(`${basename(path)}, cell ${at + 1}: ${fact}`);
  }
}

async function execute(path: string, notebook: Notebook, options: RunOptions): Promise<Notebook> {
  const name = basename(path);
  checkKernel(notebook, name);
  const code = codeCells(notebook);
  const outputs: (readonly Output[])[] = [];
  options.progress({ notebook: name, done: 0, cells: code.length });
  const kernel = await startKernel(dirname(path));
  try {
    for (const [at, cell] of code.entries()) {
      outputs.push(await executeCell(kernel, cell, options.timeout_s, `${name}, cell ${at + 1}`));
      options.progress({ notebook: name, done: at + 1, cells: code.length });
    }
  } finally {
    kernel.close();
  }
  // Only now, because a later cell may replace what an earlier one displayed.
  const cells = notebook.cells.map((cell): Cell => {
    if (cell.cell_type !== "code") return cell;
    const at = code.indexOf(cell);
    if (at < 0) return { ...cell, execution_count: null, outputs: [] };
    return {
      ...cell,
      execution_count: at + 1,
      outputs: outputs[at].filter((output) => !isPlotlyLoader(output)),
    };
  });
  return {
    cells,
    metadata: { ...notebook.metadata, kernelspec: KERNELSPEC, language_info: kernel.languageInfo },
  };
}

/** The kernels whose notebooks are run here. Those of stock tslab are renamed: what they say, guplab's kernel understands. */
const NAMES = [KERNELSPEC.name, "tslab"];

/**
 * @param name of its file
 * @throws NotebookError for a notebook of another kernel
 * @example checkKernel(readNotebook("notebooks/index.ipynb"), "index.ipynb")
 */
export function checkKernel(notebook: Notebook, name: string): void {
  const { kernelspec } = notebook.metadata as {
    kernelspec?: { name?: string; display_name?: string };
  };
  if (kernelspec?.name === undefined || NAMES.includes(kernelspec.name)) return;
  throw new NotebookError(
    `${name} is a notebook of the kernel ${kernelspec.display_name ?? kernelspec.name}, and guplab nb is for those of ` +
      `${KERNELSPEC.display_name}; choose that kernel in Jupyter and save it`,
  );
}

/** Whether a cell may fail. */
const mayRaise = ({ metadata: { tags } }: CodeCell): boolean =>
  Array.isArray(tags) && tags.includes("raises-exception");

async function executeCell(
  kernel: Kernel,
  cell: CodeCell,
  timeout_s: number,
  where: string,
): Promise<readonly Output[]> {
  let execution: Execution;
  try {
    execution = await kernel.execute(cell.source, timeout_s);
  } catch (error) {
    if (error instanceof KernelError) throw new CellError(`${where}: ${error.message}`);
    throw error;
  }
  const { failure } = execution;
  if (failure === undefined || mayRaise(cell)) return execution.outputs;
  throw new CellError(`${where}${failure.line ? `, line ${failure.line}` : ""}: ${sentence(failure)}`);
}

/** The error on one line. */
function sentence({ ename, evalue }: CellFailure): string {
  const text = `${ename}: ${evalue}`.replace(/\s*\n\s*/g, " ").trim();
  return text.length > 300 ? `${text.slice(0, 300)}...` : text;
}

/** The cells that are executed and counted; Jupyter passes over blank ones, and so do we. */
const codeCells = (notebook: Notebook) =>
  notebook.cells.filter((cell): cell is CodeCell => cell.cell_type === "code" && cell.source.trim() !== "");

/** Outputs as lines that can be compared and shown. */
function outputLines(outputs: readonly Output[]): string[] {
  return outputs.flatMap((output) => {
    if (output.output_type === "stream")
      return output.text.split("\n").map((line) => `${output.name}: ${line}`);
    if (output.output_type === "error") return [`error: ${output.ename}: ${output.evalue}`];
    return Object.entries(output.data)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .flatMap(([mime, value]) =>
        (typeof value === "string" ? value : JSON.stringify(value))
          .split("\n")
          .map((line) => `${mime}: ${line}`),
      );
  });
}

const excerpt = (line: string | undefined) =>
  line === undefined ? "nothing" : JSON.stringify(line.length > 100 ? `${line.slice(0, 100)}...` : line);
