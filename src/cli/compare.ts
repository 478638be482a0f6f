/** `guplab compare`: a folder with a recording of a real kernel. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { compare } from "../lab/compare/compare.js";
import { type Recorded, readRecorded } from "../lab/compare/recorded.js";

interface CompareFlags {
  readonly kernel?: string;
  readonly script?: true;
  readonly json?: true;
}

/** Read a recording's folder. @throws Error with one sentence when it is of another form */
export function readFolder(folder: string): Recorded {
  const outcome = join(folder, "outcome.json");
  if (!existsSync(folder) || !statSync(folder).isDirectory())
    throw new Error(`${folder} is no folder: a recording is a folder with outcome.json and trace.txt.gz`);
  if (!existsSync(outcome))
    throw new Error(
      `${folder} has no outcome.json: a recording is a folder with outcome.json and trace.txt.gz`,
    );
  return readRecorded(readFileSync(outcome, "utf8"), traceOf(folder));
}

function traceOf(folder: string): string | null {
  const packed = join(folder, "trace.txt.gz");
  const plain = join(folder, "trace.txt");
  if (existsSync(plain)) return readFileSync(plain, "utf8");
  if (!existsSync(packed)) return null;
  try {
    return gunzipSync(readFileSync(packed)).toString("utf8");
  } catch {
    throw new Error(`${packed} is not packed by gzip, or only a part of it is there`);
  }
}

/** Compare recordings with guplab. @throws Error with one sentence */
export function compareCommand(folders: readonly string[], { kernel, script, json }: CompareFlags): void {
  const all = folders.map((folder) => compare(readFolder(folder), kernel));
  if (json) process.stdout.write(`${JSON.stringify(folders.length === 1 ? all[0] : all, null, 2)}\n`);
  else
    for (const each of all) {
      process.stdout.write(`${each}\n`);
      if (script)
        for (const statements of each.scripts)
          process.stdout.write(`${statements.map((line) => `# ${line}`).join("\n")}\n`);
      if (script) for (const line of each.replays) process.stdout.write(`replay "${line}"\n`);
    }
  process.exitCode = all.every(({ agree }) => agree) ? 0 : 3;
}
