/** The history of the prompt, kept between sessions where the XDG base directory specification puts such state. */
import { appendFileSync, mkdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";

const MOST_LINES = 1000;

export const historyFile = (): string =>
  join(process.env.XDG_STATE_HOME || join(homedir(), ".local", "state"), "guplab", "history");

/** The last thousand lines, oldest first; none where there is no file. */
export function readHistory(path: string): string[] {
  try {
    return readFileSync(path, "utf8").split("\n").filter(Boolean).slice(-MOST_LINES);
  } catch {
    return [];
  }
}

/** Keep one more line. A place that cannot be written costs the history, not the session. */
export function appendHistory(path: string, line: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    appendFileSync(path, `${line}\n`, { mode: 0o600 });
  } catch {}
}
