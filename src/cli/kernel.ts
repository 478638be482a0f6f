/** `guplab kernel`: the Jupyter kernel's entry in Jupyter's folders, and the kernel itself. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:os";
import { NotebookError } from "../notebook/format.js";
import { installedSpecs, installSpec, kernelJson, type Place, removeSpec } from "../notebook/kernel/spec.js";

export interface PlaceFlags {
  readonly user?: true;
  readonly prefix?: string;
  /** true without a folder: the one we are in. */
  readonly project?: string | true;
  readonly json?: true;
}

function placeOf({ prefix, project }: PlaceFlags): Place {
  if (prefix !== undefined) return { kind: "prefix", folder: prefix };
  if (project !== undefined) return { kind: "project", folder: project === true ? "." : project };
  return { kind: "user" };
}

const print = (json: true | undefined, value: unknown, text: string): void => {
  process.stdout.write(json ? `${JSON.stringify(value, null, 2)}\n` : `${text}\n`);
};

/** Faults of the input become errors that the command says in one sentence. */
function saying<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw error instanceof NotebookError ? new Error(error.message) : error;
  }
}

/** Write the kernelspec. @throws Error with one sentence */
export function installCommand(flags: PlaceFlags): void {
  const place = placeOf(flags);
  const folder = saying(() => installSpec(place));
  const next =
    place.kind === "project"
      ? `JUPYTER_PATH=${folder.replace(/\/kernels\/guplab$/, "")} jupyter notebook finds it there`
      : "choose the kernel TypeScript (guplab) in Jupyter or VS Code; guplab doctor tries it";
  print(flags.json, { folder }, `installed in ${folder}\n${next}`);
}

/** Remove the kernelspec. @throws Error with one sentence */
export function removeCommand(flags: PlaceFlags): void {
  const folder = saying(() => removeSpec(placeOf(flags)));
  print(flags.json, { folder }, `removed from ${folder}`);
}

/** Print where the kernel is installed. */
export function listCommand({ json }: Pick<PlaceFlags, "json">): void {
  const found = installedSpecs();
  const lines = found.map(({ folder, starts, fault }) => `${folder}\n  ${fault ?? starts.join(" ")}`);
  const none = "the kernel is not installed; guplab kernel install does it";
  const list = found.map(({ folder, starts, fault }) => ({ folder, starts, fault: fault ?? null }));
  print(json, list, lines.length > 0 ? lines.join("\n") : none);
}

/** Be a kernel, by what its kernelspec starts; resolves when it has ended. */
export async function startCommand({ connectionFile }: { connectionFile: string }): Promise<void> {
  const [program, ...args] = (kernelJson().argv as string[]).map((word) =>
    word === "{connection_file}" ? connectionFile : word,
  );
  const child = spawn(program, args, { stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => child.kill(signal));
  const [code, signal] = await once(child, "exit");
  process.exitCode = code ?? 128 + constants.signals[signal as NodeJS.Signals];
}
