/**
 * The kernelspec: the folder `kernels/guplab` with the kernel.json by which Jupyter, VS Code and others find the kernel
 * and start it. Written without Jupyter's help, so that no Python is needed.
 */
import { existsSync, readdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import type { MimeBundle } from "../format.js";
import { makeFolder, NotebookError, reason, writeWhole } from "../format.js";
import { packageRoot } from "./root.js";

/** As a notebook's metadata names its kernel. */
export const KERNELSPEC = {
  display_name: "TypeScript (guplab)",
  language: "typescript",
  name: "guplab",
} as const;

/** Where to install: for this user, below a prefix such as /usr/local or a virtual environment, or in a project's folder. */
export type Place =
  | { readonly kind: "user" }
  | { readonly kind: "prefix"; readonly folder: string }
  | { readonly kind: "project"; readonly folder: string };

/** A kernel of this name that Jupyter finds. */
export interface Installed {
  /** The folder of its kernel.json. */
  readonly folder: string;
  /** What it starts: the program, and the script. */
  readonly starts: readonly string[];
  /** One sentence that says what is wrong with it; undefined when it can be started. */
  readonly fault: string | undefined;
}

/** The script that a kernelspec starts. */
export const kernelScript = (): string => join(packageRoot(), "dist", "src", "cli", "kernel-main.js");

/** The data folder of Jupyter for a place; kernels are in its folder `kernels`. */
export function dataFolder(place: Place): string {
  if (place.kind === "prefix") return resolve(place.folder, "share", "jupyter");
  if (place.kind === "project") return resolve(place.folder, ".jupyter");
  if (process.env.JUPYTER_DATA_DIR) return resolve(process.env.JUPYTER_DATA_DIR);
  if (process.platform === "darwin") return join(homedir(), "Library", "Jupyter");
  if (process.platform === "win32")
    return join(process.env.APPDATA ?? join(homedir(), "AppData", "Roaming"), "jupyter");
  return join(process.env.XDG_DATA_HOME || join(homedir(), ".local", "share"), "jupyter");
}

/** A timer's callback that was ended from outside leaves Node's own stack of callbacks as it was, over which Node would abort. */
const NODE_OPTIONS = ["--no-force-async-hooks-checks"];

const folderIn = (data: string): string => join(data, "kernels", KERNELSPEC.name);

/** What kernel.json says: paths are absolute, so that it works from any folder and without a shell's PATH. */
export function kernelJson(): MimeBundle {
  return {
    argv: [process.execPath, ...NODE_OPTIONS, kernelScript(), "--connection-file", "{connection_file}"],
    display_name: KERNELSPEC.display_name,
    language: KERNELSPEC.language,
    // A message can end every cell; a signal cannot end a loop after an await.
    interrupt_mode: "message",
    metadata: { debugger: false },
  };
}

/** Write the kernelspec; gives its folder. @throws NotebookError when the place cannot be written */
export function installSpec(place: Place): string {
  const folder = folderIn(dataFolder(place));
  try {
    makeFolder(folder);
  } catch (error) {
    throw new NotebookError(
      `${folder} cannot be made: ${reason(error)}; --user, --prefix and --project name other places`,
    );
  }
  writeWhole(join(folder, "kernel.json"), `${JSON.stringify(kernelJson(), null, 2)}\n`);
  return folder;
}

/** Remove the kernelspec; gives its folder. @throws NotebookError when there is none, or it cannot be removed */
export function removeSpec(place: Place): string {
  const folder = folderIn(dataFolder(place));
  const file = join(folder, "kernel.json");
  if (!existsSync(file))
    throw new NotebookError(`there is no kernel guplab in ${folder}; guplab kernel list tells where it is`);
  try {
    rmSync(file);
    if (readdirSync(folder).length === 0) rmdirSync(folder);
  } catch (error) {
    throw new NotebookError(`${folder} cannot be removed: ${reason(error)}`);
  }
  return folder;
}

/** The kernels of this name, in the order in which Jupyter looks for them; it takes the first. */
export function installedSpecs(): Installed[] {
  const data = [
    ...(process.env.JUPYTER_PATH ?? "").split(delimiter).filter((path) => path !== ""),
    dataFolder({ kind: "user" }),
    ...[process.env.VIRTUAL_ENV, process.env.CONDA_PREFIX]
      .filter((prefix) => prefix !== undefined)
      .map((folder) => dataFolder({ kind: "prefix", folder })),
    "/usr/local/share/jupyter",
    "/usr/share/jupyter",
    dataFolder({ kind: "project", folder: "." }),
  ];
  const folders = [...new Set(data.map((folder) => folderIn(resolve(folder))))];
  return folders.flatMap((folder) => {
    const file = join(folder, "kernel.json");
    return existsSync(file) ? [readSpec(folder, file)] : [];
  });
}

function readSpec(folder: string, file: string): Installed {
  let argv: string[] = [];
  try {
    const spec = JSON.parse(readFileSync(file, "utf8")) as { argv?: unknown };
    if (Array.isArray(spec.argv)) argv = spec.argv.map(String);
  } catch {}
  const again = "guplab kernel install writes it anew";
  let fault: string | undefined;
  const starts = argv.filter((word) => !/^-|^\{/.test(word));
  if (starts.length < 2) fault = `${file} does not say how to start the kernel; ${again}`;
  for (const path of starts)
    if (!existsSync(path)) fault ??= `${path}, which it starts, is not there; ${again}`;
  return { folder, starts, fault };
}
