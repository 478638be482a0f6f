/** What an order to a thread of the sandbox is: its arguments, the path that does it, where it is to be had. The table is in operations.ts. */
import type { Geometry } from "../kernel/geometry.js";
import type { Kernel } from "../kernel/kernel.js";
import type { Path } from "../machine/path.js";

/** One argument as it is written: a name, what it is for, and what it can be on a machine. */
export interface OperationArgument {
  readonly name: string;
  readonly help: string;
  /** What it is when nothing is said; without one it must be said. */
  readonly default?: number;
  readonly min: number;
  readonly max: (k: Kernel) => number;
  /** Words that stand for numbers; then only these can be said. */
  readonly words?: Readonly<Record<string, number>>;
}

// biome-ignore lint/suspicious/noExplicitAny: paths of any frame
export type AnyPath = Path<Kernel, any, any>;

/** An operation of the sandbox. */
export interface Operation {
  readonly name: string;
  /** One line. */
  readonly help: string;
  readonly details: readonly string[];
  readonly args: readonly OperationArgument[];
  /** A statement that works in a fresh sandbox, after `releases` has been done there. */
  readonly example: string;
  /** The path that does it on a machine, or null where it is not to be had. */
  readonly pathOn: (g: Geometry) => AnyPath | null;
  /** Where it is to be had, for complaints. */
  readonly where: string;
  /** A sandbox that has it, and in which the example works. */
  readonly scenario: string;
  /** The operations whose pages this one lets go of; none for most. */
  readonly releases: readonly string[];
  /** Whether it works on another process's memory. */
  readonly remote: boolean;
  /**
   * What its array must be: empty; one that may have pages, and that nobody else works on ("filled"); or one that is another call's
   * at the same time ("shared").
   */
  readonly array: "empty" | "filled" | "shared";
  /** The process whose object it works on; null where its virtual pages say whose call it is. */
  readonly owner: number | null;
  /** Whether it leaves pages in its array, its last argument, until another operation lets them go. */
  readonly takes: boolean;
  /**
   * The path's arguments from the words of an order to a thread.
   *
   * @throws Error with one sentence when they do not fit
   */
  readonly read: (k: Kernel, words: readonly string[], thread: number) => readonly number[];
}

/** Array of pages that registrations use when nothing else is said, and the pipes: after the threads' own. */
export const REGION = 4;
export const PIPE = 5;
export const PIPE2 = 6;
/** Arrays that every sandbox has. */
export const ARRAYS = 7;
/** Stands for "the thread's own array" where an argument was not said. */
export const OWN = -1;

function readArgument(name: string, arg: OperationArgument, k: Kernel, word: string | undefined): number {
  const { min, max, words, default: standard } = arg;
  const range =
    words !== undefined
      ? `one of ${Object.keys(words).join(", ")}`
      : min === max(k)
        ? `${min} and nothing else`
        : `a number from ${min} to ${max(k)}`;
  if (word === undefined) {
    if (standard === undefined) throw new Error(`${name} needs ${arg.name}, ${range}`);
    return standard;
  }
  const value = words === undefined ? (/^\d+$/.test(word) ? Number(word) : Number.NaN) : words[word];
  if (value === undefined || Number.isNaN(value) || (words === undefined && (value < min || value > max(k))))
    throw new Error(`${arg.name} of ${name} is ${range}, not ${word}`);
  return value;
}

interface OperationSpec<N extends string, A extends readonly OperationArgument[]> {
  readonly name: N;
  readonly help: string;
  readonly details?: readonly string[];
  readonly args?: A;
  /** The path, or how it depends on the filesystem of the sandbox's file. */
  readonly path: AnyPath | ((g: Geometry) => AnyPath | null);
  readonly where?: string;
  readonly scenario?: string;
  /** The path's arguments from what was said; default as said. */
  readonly values?: (said: readonly number[], k: Kernel) => readonly number[];
  readonly releases?: readonly string[];
  readonly remote?: boolean;
  readonly array?: Operation["array"];
  readonly owner?: number | null;
  readonly takes?: boolean;
  readonly example?: string;
}

/** Complete what a row of the table says. */
export function operation<
  const N extends string,
  const A extends readonly OperationArgument[] = readonly [],
>({
  values = (said) => said,
  args = [] as unknown as A,
  details = [],
  releases = [],
  takes = false,
  remote = false,
  array = "empty",
  owner = null,
  where = "every sandbox",
  scenario = "sandbox",
  path: does,
  ...spec
}: OperationSpec<N, A>): Operation & { readonly name: N; readonly args: A } {
  return {
    ...spec,
    args,
    details,
    example: spec.example ?? spec.name,
    pathOn: typeof does === "function" ? does : () => does,
    where,
    scenario,
    releases,
    remote,
    array,
    owner,
    takes,
    read: (k, words, thread) => {
      if (words.length > args.length) {
        const most =
          args.length === 1 ? "one argument" : `${args.length === 0 ? "no" : args.length} arguments`;
        throw new Error(`${spec.name} takes ${most}, not ${words.length}`);
      }
      const said = args.map((arg, at) => {
        const value = readArgument(spec.name, arg, k, words[at]);
        return value === OWN ? thread : value;
      });
      return values(said, k);
    },
  };
}

// ---- arguments

/** A number, between two bounds. */
export const number = <const N extends string>(
  name: N,
  help: string,
  standard: number | undefined,
  min: number,
  max: (k: Kernel) => number,
): OperationArgument & { readonly name: N } => ({ name, help, default: standard, min, max });

/** One of some words. */
export const word = <const N extends string, const W extends string>(
  name: N,
  help: string,
  words: Readonly<Record<W, number>>,
): OperationArgument & { readonly name: N; readonly words: Readonly<Record<W, number>> } => ({
  name,
  help,
  default: Object.values<number>(words)[0],
  min: 0,
  max: () => 0,
  words,
});
