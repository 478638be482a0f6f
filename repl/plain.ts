/**
 * The REPL without a terminal: commands from a pipe, a file or the command line, answers on standard output. With no
 * command at all it tells the guided crash.
 */
import { createInterface } from "node:readline";
import { runLine, sentenceOf, statements } from "../src/cli/shell.js";
import type { Desk } from "../src/lab/desk.js";

type Lines = AsyncIterable<string> | Iterable<string>;

export interface PlainOptions {
  /** Print one JSON document instead of text: a list of {command, result}. */
  readonly json: boolean;
  /** Where to print. */
  readonly print: (text: string) => void;
  /** Where to complain. */
  readonly complain: (sentence: string) => void;
}

const TITLE = `The crash of 2018, on a simulated Linux v4.20: a process maps a file of ext4 (MAP_SHARED)
and reads another one into it with O_DIRECT; kswapd, the flusher and the disks run beside it.
Every count is read from the simulated memory; a tick is one step of one task.
`;
const FAREWELL = `
To step through it: npm start in a terminal. Every interleaving: guplab explore kara-2018`;

/**
 * Do what lines say. The first that cannot be done ends it.
 *
 * @returns the exit code: 0, 1 when a line could not be done, 3 when a fault was found
 */
export async function runPlain(desk: Desk, lines: Lines, options: PlainOptions): Promise<number> {
  const { json, print, complain } = options;
  const done: { command: string; result?: unknown; error?: string }[] = [];
  let code = 0;
  const one = async (command: string): Promise<boolean> => {
    try {
      const result = await runLine(desk, command);
      code = Math.max(code, result.code);
      done.push({ command, result: result.json });
      if (!json) print(`> ${command}\n${result.text === "" ? "" : `${result.text}\n`}`);
      return !desk.left;
    } catch (error) {
      const sentence = sentenceOf(error);
      if (sentence === null) throw error;
      done.push({ command, error: sentence });
      complain(`${command}: ${sentence}`);
      code = 1;
      return false;
    }
  };
  const goOn = await all(lines, one);
  if (goOn && done.length === 0) {
    const story = await runLine(desk, "guide all");
    code = story.code;
    done.push({ command: "guide all", result: story.json });
    if (!json) print(`${TITLE}\n${story.text}\n${FAREWELL}\n`);
  }
  if (json) print(`${JSON.stringify(done, null, 2)}\n`);
  return code;
}

/** Gives whether all were done. */
async function all(lines: Lines, one: (command: string) => Promise<boolean>): Promise<boolean> {
  for await (const line of lines) {
    for (const command of statements(line)) if (!(await one(command))) return false;
  }
  return true;
}

/** The lines of standard input, as they come. */
export const standardInput = (): AsyncIterable<string> =>
  createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY });
