/**
 * A recording of a real kernel that did one of the workloads: what its outcome.json says, and its trace.
 *
 * The form is that of the recordings which guplab was held against: an object with the kernel's release, the workload as a command line, what the workload
 * printed as its outcome, /proc/vmstat at each of its marks ("tags"), and for the matrix one row for each try.
 */
import { readFtrace } from "../../trace/ftrace.js";
import { MARK, type Recording } from "../../trace/recording.js";

/** A counter's name and value. */
export type Counts = Readonly<Record<string, number>>;

/** /proc/vmstat at a mark of the workload. */
export interface Tag {
  readonly tag: string;
  readonly counts: Counts;
}

/** A row of the matrix: somebody took pages of some memory. */
export interface Try {
  readonly method: string;
  readonly target: string;
  readonly pages: number;
  readonly errno: number;
  readonly said: Readonly<Record<string, unknown>>;
}

export interface Recorded {
  /** Its own name for itself. */
  readonly run: string;
  /** What uname -r said. */
  readonly release: string;
  /** The release of Linux that it was: "6.1.192". */
  readonly version: string;
  /** The workload's words, without the program's name. */
  readonly words: readonly string[];
  /** What the workload found, by its own names; empty when it said nothing. */
  readonly outcome: Readonly<Record<string, unknown>>;
  readonly tags: readonly Tag[];
  readonly tries: readonly Try[];
  /** /proc/vmstat after the workload, less that before it: counters that did not move are absent. */
  readonly delta: Counts;
  /** Lines that the workload printed. */
  readonly messages: readonly string[];
  /** The trace, or why there is none to compare with. */
  readonly trace: Recording | string;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const numbersOf = (value: unknown): Counts =>
  isObject(value)
    ? Object.fromEntries(
        Object.entries(value).filter((entry): entry is [string, number] => typeof entry[1] === "number"),
      )
    : {};

const listOf = (value: unknown): Record<string, unknown>[] =>
  Array.isArray(value) ? value.filter(isObject) : [];

/** A text of an object, or a complaint. */
function text(from: Record<string, unknown>, key: string): string {
  const value = from[key];
  if (typeof value === "string") return value;
  throw new Error(
    `this is no outcome.json of a recording: it needs "${key}", a text (a recording has run, kernel_release, workload, outcome, vmstat_tags and vmstat_delta)`,
  );
}

/**
 * Read a recording.
 *
 * @param outcomeText outcome.json
 * @param traceText trace.txt, unpacked; null when there is none
 * @throws Error with one sentence when outcome.json is of another form
 */
export function readRecorded(outcomeText: string, traceText: string | null): Recorded {
  let outcome: unknown;
  try {
    outcome = JSON.parse(outcomeText);
  } catch {
    throw new Error("outcome.json is no JSON: a recording's is one object");
  }
  if (!isObject(outcome)) throw new Error("outcome.json is no object: a recording's is one object");
  const release = text(outcome, "kernel_release");
  const run = text(outcome, "run");
  const words = text(outcome, "workload").trim().split(/\s+/).slice(1);
  if (words.length === 0)
    throw new Error('the workload of outcome.json has no words: it reads "PROGRAM WORKLOAD ARGUMENTS"');
  return {
    run,
    release,
    version: versionOf(release, typeof outcome.debian === "string" ? outcome.debian : ""),
    words,
    outcome: isObject(outcome.outcome) ? outcome.outcome : {},
    tags: listOf(outcome.vmstat_tags).map(({ tag, ...counts }) => ({
      tag: String(tag),
      counts: numbersOf(counts),
    })),
    tries: listOf(outcome.tries).map((row) => ({
      method: String(row.method),
      target: String(row.target),
      pages: Number(row.pages),
      errno: Number(row.errno),
      said: row,
    })),
    delta: numbersOf(outcome.vmstat_delta),
    messages: Array.isArray(outcome.messages) ? outcome.messages.map(String) : [],
    trace: readTrace(traceText, outcome),
  };
}

function readTrace(traceText: string | null, outcome: unknown): Recording | string {
  if (traceText === null) return "the folder has no trace";
  try {
    return readFtrace(traceText, outcome);
  } catch (error) {
    // A recording of a kernel whose flags are not known can still be held against in all that it says otherwise.
    if (error instanceof Error && error.name === "Error") return error.message;
    throw error;
  }
}

/** The release of Linux in a package's version ("6.1.192-2"), or in that of a distribution's kernel ("6.12.117+deb12-amd64"). */
function versionOf(release: string, packaged: string): string {
  const found = /^(?:v|\d+:)?(\d+\.\d+(?:\.\d+)?)/.exec(packaged) ?? /^v?(\d+\.\d+(?:\.\d+)?)/.exec(release);
  if (found === null)
    throw new Error(
      `"${release}" is no release of Linux: it begins with two or three numbers, such as 6.1.192`,
    );
  return found[1];
}

/** When the workload wrote a mark that holds a text, in the trace's seconds; null when it did not. */
export function timeOfMark(trace: Recording, mark: string): number | null {
  const { steps } = trace.info;
  for (let at = 0; at < trace.length; at++) {
    const { path, step } = steps[trace.step[at]];
    if (path === MARK && step.includes(mark)) return trace.time[at];
  }
  return null;
}
