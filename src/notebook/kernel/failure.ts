/** What a cell that failed says: an error's name and message, and a traceback with the lines that were written. */
import { inspect } from "node:util";
import type { Diagnostic } from "./compiler.js";
import type { Position, Positions } from "./positions.js";

export interface Failure {
  readonly ename: string;
  readonly evalue: string;
  readonly traceback: readonly string[];
  /** Where in the cell that was run; undefined when the error says nothing of it. */
  readonly at: Position | undefined;
}

const RED = "\x1b[31m";
const PLAIN = "\x1b[0m";

/** The findings of the type check: the first is the error, all are in the traceback. */
export function failureOfFindings(
  cell: string,
  findings: readonly Diagnostic[],
  positions: Positions,
): Failure {
  const [first] = findings;
  const traceback = findings.flatMap(({ start, messageText, fileName, code }) => {
    const where = `${fileName ?? cell}:${start.line + 1}:${start.character + 1}`;
    const at = { cell, line: start.line + 1, column: start.character + 1 };
    return [
      `${RED}TS${code}${PLAIN}: ${messageText}`,
      ...(fileName ? [] : excerpt(at, positions)),
      `    at ${where}`,
    ];
  });
  return {
    ename: `TS${first.code}`,
    evalue: first.messageText,
    traceback,
    at: first.fileName ? undefined : { cell, line: first.start.line + 1, column: first.start.character + 1 },
  };
}

/** @param cell that was run: its innermost line in the stack is where it failed */
export function failureOf(error: unknown, cell: string, positions: Positions): Failure {
  if (!(error instanceof Error) && !looksLikeError(error)) {
    const text = inspect(error);
    return { ename: "Thrown", evalue: text, traceback: [`${RED}Thrown${PLAIN}: ${text}`], at: undefined };
  }
  const { name, message } = error;
  const [ename, evalue] = [String(name || "Error"), String(message)];
  const stack = safely(() => String(error.stack), "");
  const frames = [...stack.matchAll(/^ {4}at (?:.* \()?(cell \(?\d+\)?):(\d+):(\d+)\)?$/gm)].map(
    ([, of, line, column]): Position => ({ cell: of, line: Number(line), column: Number(column) }),
  );
  const whole = safely(() => inspect(error), `${ename}: ${evalue}`);
  const heading = `${ename}: ${evalue}`;
  const text = whole.startsWith(heading) ? `${RED}${ename}${PLAIN}${whole.slice(ename.length)}` : whole;
  const shown = frames.length > 0 ? excerpt(frames[0], positions) : [];
  const lines = text.split("\n");
  const firstFrame = lines.findIndex((line) => /^ {4}at /.test(line));
  if (firstFrame >= 0) lines.splice(firstFrame, 0, ...shown);
  return { ename, evalue, traceback: lines, at: frames.find((frame) => frame.cell === cell) };
}

/** Errors of other realms. */
const looksLikeError = (value: unknown): value is Error =>
  Object.prototype.toString.call(value) === "[object Error]";

/** What an object that was thrown says of itself may throw again. */
function safely<T>(get: () => T, otherwise: T): T {
  try {
    return get();
  } catch {
    return otherwise;
  }
}

/** The line with one before it and one after, and an arrow. */
function excerpt(at: Position, positions: Positions): string[] {
  const source = positions.source(at.cell);
  if (!source || at.line > source.length) return [];
  const first = Math.max(1, at.line - 1);
  const last = Math.min(source.length, at.line + 1);
  const width = String(last).length;
  const lines: string[] = [];
  for (let nr = first; nr <= last; nr++) {
    const mark = nr === at.line ? `${RED}>${PLAIN}` : " ";
    lines.push(`  ${mark} ${String(nr).padStart(width)} | ${source[nr - 1]}`.trimEnd());
    if (nr === at.line) lines.push(`    ${" ".repeat(width)} | ${" ".repeat(at.column - 1)}${RED}^${PLAIN}`);
  }
  return lines;
}
