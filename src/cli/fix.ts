/**
 * `guplab fix`: a patch that somebody wrote, from a file.
 *
 * The file is a module of JavaScript whose default export is the patch. What it imports from "guplab" is this very guplab, wherever the file
 * is: two of them would not know each other's structs. It is loaded in the thread that searches, for a patch is functions, and those cannot
 * be sent to another thread.
 */
import { existsSync, statSync } from "node:fs";
import { register } from "node:module";
import { extname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { OwnPatch } from "../lab/workbench.js";
import { interruptible } from "./host.js";

/** What the thread is asked for. */
export interface FixRequest {
  /** Full path. */
  readonly file: string;
  /** Undefined: v4.20, the standard workloads, as many states as the workbench takes. */
  readonly kernel: string | undefined;
  readonly workloads: readonly string[] | undefined;
  readonly maxStates: number | undefined;
  /** A line to be replayed instead; undefined: none. */
  readonly replay: string | undefined;
}

interface FixFlags {
  readonly kernel?: string;
  readonly workloads?: readonly string[];
  readonly maxStates?: number;
  readonly replay?: string;
  readonly json?: true;
}

/** Try the patch of a file, and print what becomes of the workloads. @throws Error with one sentence */
export async function fixCommand(name: string, flags: FixFlags): Promise<void> {
  const file = resolve(name);
  if (!existsSync(file) || !statSync(file).isFile())
    throw new Error(`${name} cannot be read: there is no such file`);
  if (![".mjs", ".js"].includes(extname(file)))
    throw new Error(
      `${name} is no .mjs or .js: guplab fix takes a module of JavaScript whose default export is the patch`,
    );
  const { kernel, workloads, maxStates, replay, json } = flags;
  const { text, report, code } = await interruptible().fix({ file, kernel, workloads, maxStates, replay });
  const hint =
    code === 3 && replay === undefined ? `\nguplab fix ${name} --replay LINE shows one of these runs\n` : "";
  process.stdout.write(json ? `${JSON.stringify(report, null, 2)}\n` : `${text}\n${hint}`);
  process.exitCode = code;
}

/** How a file is named in a stack. */
const placeIn = (file: string, error: Error): string => {
  const url = pathToFileURL(file).href;
  const at = (error.stack ?? "").split("\n").find((line) => line.includes(url) || line.includes(file));
  const [, line] = /:(\d+)(?::\d+)?\)?$/.exec(at ?? "") ?? [];
  return line === undefined ? "" : `, line ${line}`;
};

/** Load the patch of a file. @throws Error with one sentence when the file is no such module */
export async function loadPatch(file: string): Promise<OwnPatch> {
  const index = new URL("../index.js", import.meta.url).href;
  const hook = `export const resolve = (name, context, next) =>
    name === "guplab" ? { url: ${JSON.stringify(index)}, shortCircuit: true } : next(name, context);`;
  register(`data:text/javascript,${encodeURIComponent(hook)}`);
  let module: { readonly default?: unknown };
  try {
    module = await import(pathToFileURL(file).href);
  } catch (error) {
    if (!(error instanceof Error)) throw new Error(`${file} cannot be loaded: it throws ${String(error)}`);
    const { name, message } = error;
    const said = `${name === "Error" ? "" : `${name}: `}${message.split("\n")[0]}`;
    throw new Error(`${file}${placeIn(file, error)} cannot be loaded: ${said}`);
  }
  if (module.default === undefined)
    throw new Error(
      `${file} has no default export: export default { name, help, edits: [...] } is the patch`,
    );
  return module.default as OwnPatch;
}
