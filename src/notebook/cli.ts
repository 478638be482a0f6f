/**
 * `guplab nb`: run, check and render notebooks with Node alone.
 *
 * What was done goes to standard output, one line per notebook; progress and complaints go to standard error.
 */
import { readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { makeFolder, NotebookError, readNotebook, writeWhole } from "./format.js";
import { notebookTitle, renderNotebook } from "./html.js";
import { KernelError } from "./kernel-client.js";
import { CellError, checkKernel, checkNotebook, type Progress, runNotebook } from "./run.js";

export interface NbArguments {
  readonly action: "run" | "render" | "check";
  /** Files; empty for every notebook of the folder `notebooks`. */
  readonly notebooks: readonly string[];
  /** For render: an .html file, for a single notebook, or a folder. Pages otherwise go beside their notebooks. */
  readonly out?: string;
  /** What one cell may take, in seconds. */
  readonly timeout_s: number;
}

/**
 * Returns the exit code: 0 when all is well, 1 when the input is at fault, 3 when a cell failed or outputs are stale.
 * Every notebook named must be readable, and one of guplab's, before the first is touched; then one that fails does not stop the others.
 *
 * @example await nb({ action: "check", notebooks: [], timeout_s: 60 }) // 0: all outputs are those of a run
 */
export async function nb(args: NbArguments): Promise<number> {
  let code = 0;
  try {
    if (!(args.timeout_s > 0))
      throw new NotebookError("the time limit of a cell must be more than 0 seconds");
    const notebooks = args.notebooks.length > 0 ? args.notebooks : allNotebooks();
    for (const path of notebooks) checkKernel(readNotebook(path), basename(path));
    if (args.action !== "render" && args.out !== undefined)
      throw new NotebookError(`--out is for render: guplab nb ${args.action} writes no page`);
    const pages = args.action === "render" ? pagePaths(notebooks, args.out) : [];
    for (const [at, path] of notebooks.entries()) {
      code = Math.max(code, await reported(() => act(args, path, pages[at])));
    }
  } catch (error) {
    return complain(error);
  }
  return code;
}

async function act(args: NbArguments, path: string, page: string): Promise<void> {
  if (args.action === "render") {
    const notebook = readNotebook(path);
    writeWhole(
      page,
      renderNotebook(notebook, {
        title: notebookTitle(notebook) ?? basename(path, ".ipynb"),
        file: basename(path),
        plotly: true,
      }),
    );
    process.stdout.write(`${page}\n`);
    return;
  }
  const progress = progressLine();
  try {
    const options = { timeout_s: args.timeout_s, progress: progress.show };
    await (args.action === "run" ? runNotebook(path, options) : checkNotebook(path, options));
  } finally {
    progress.end();
  }
  process.stdout.write(`${path}: ${args.action === "run" ? "executed" : "up to date"}\n`);
}

async function reported(action: () => Promise<void>): Promise<number> {
  try {
    await action();
    return 0;
  } catch (error) {
    return complain(error);
  }
}

/** One sentence for what can go wrong outside guplab; what is wrong inside it is thrown on. */
function complain(error: unknown): number {
  const isCell = error instanceof CellError;
  if (!isCell && !(error instanceof NotebookError) && !(error instanceof KernelError)) throw error;
  process.stderr.write(`guplab nb: ${error.message}\n`);
  return isCell ? 3 : 1;
}

function allNotebooks(): string[] {
  let names: string[] = [];
  try {
    names = readdirSync("notebooks").filter((name) => name.endsWith(".ipynb"));
  } catch {}
  if (names.length === 0)
    throw new NotebookError("no notebook is named, and there is none in a folder notebooks here");
  return names.sort().map((name) => join("notebooks", name));
}

function pagePaths(notebooks: readonly string[], out: string | undefined): string[] {
  if (out === "") throw new NotebookError("--out names neither a folder nor an .html file");
  if (out?.endsWith(".html")) {
    if (notebooks.length > 1)
      throw new NotebookError(`${out} is one page for ${notebooks.length} notebooks; name a folder`);
    return [out];
  }
  const pages = notebooks.map((path) => join(out ?? dirname(path), `${basename(path, ".ipynb")}.html`));
  const twice = pages.find((page, at) => pages.indexOf(page) < at);
  if (twice !== undefined)
    throw new NotebookError(`two of the notebooks would be the page ${twice}; render them one by one`);
  if (out !== undefined) {
    try {
      makeFolder(out);
    } catch {
      throw new NotebookError(`${out} cannot be made a folder for the pages`);
    }
  }
  return pages;
}

/** On a terminal one line that changes, elsewhere a line per cell; times are from the start of the notebook. */
function progressLine(): { show: (progress: Progress) => void; end: () => void } {
  const start = performance.now();
  const { isTTY } = process.stderr;
  return {
    show: ({ notebook, done, cells }) => {
      const seconds = ((performance.now() - start) / 1000).toFixed(1);
      const at = done === 0 ? "starting the kernel" : `cell ${done} of ${cells}, ${seconds} s`;
      process.stderr.write(isTTY ? `\r\x1b[K${notebook}: ${at}` : `${notebook}: ${at}\n`);
    },
    end: () => {
      if (isTTY) process.stderr.write("\r\x1b[K");
    },
  };
}
