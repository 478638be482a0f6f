/**
 * What a verb is: its arguments with their kinds, its help, and what it gives. The table is in index.ts.
 */
import type { Desk } from "../desk.js";
import { pageView, pageViews } from "../views.js";

/** What a verb gives: for people, for programs, and for the shell that started us (3: a fault was found). */
export interface Result {
  readonly text: string;
  readonly json: unknown;
  readonly code: 0 | 3;
}

/** What an argument can be. */
export interface Kind<T> {
  /** @throws Error with one sentence that says what would be right */
  readonly read: (text: string, desk: Desk) => T;
  /** What completion offers. */
  readonly choices: (desk: Desk) => readonly string[];
}

export interface Argument<T> extends Kind<T> {
  readonly help: string;
  readonly required: boolean;
}

type Arguments = Readonly<Record<string, Argument<unknown>>>;
type Values<A extends Arguments> = {
  readonly [N in keyof A]: A[N] extends Argument<infer T> ? T : never;
};

/** One verb. */
export interface Verb {
  readonly name: string;
  /** One line. */
  readonly help: string;
  /** What else there is to know, as paragraphs. */
  readonly details: readonly string[];
  /** A line that works at a fresh prompt; a test runs it. */
  readonly example: string;
  /** By position, required ones first. */
  readonly args: Arguments;
  /** Given as `--name value`. */
  readonly options: Arguments;
  readonly run: (desk: Desk, values: Readonly<Record<string, unknown>>) => Result | Promise<Result>;
}

/** A verb whose `run` sees its arguments with their types. */
export function verb<
  A extends Arguments = Record<never, never>,
  O extends Arguments = Record<never, never>,
>(spec: {
  readonly name: string;
  readonly help: string;
  readonly details?: readonly string[];
  readonly example: string;
  readonly args?: A;
  readonly options?: O;
  readonly run: (desk: Desk, values: Values<A> & Values<O>) => Result | Promise<Result>;
}): Verb {
  return { details: [], args: {}, options: {}, ...spec } as Verb;
}

/** An argument that must be given. */
export const required = <T>(kind: Kind<T>, help: string): Argument<T> => ({ ...kind, help, required: true });
/** An argument that may be left out. */
export const optional = <T>(kind: Kind<T>, help: string): Argument<T | undefined> => ({
  ...kind,
  help,
  required: false,
});

// ---- kinds of arguments

/** Nothing to offer. */
export const none = (): readonly string[] => [];
/** Any word; what it may be is checked by the verb. */
export const word = (choices: (desk: Desk) => readonly string[]): Kind<string> => ({
  read: (text) => text,
  choices,
});

/** A whole number from `least` to a billion. */
export const count = (least: number): Kind<number> => ({
  read: (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > 1e9)
      throw new Error(`"${text}" is not a whole number from ${least} to 1000000000`);
    return value;
  },
  choices: none,
});

/** Decimal, or hexadecimal with 0x. */
export const pfn: Kind<number> = {
  read: (text, desk) => {
    if (!/^(\d+|0x[0-9a-f]+)$/i.test(text))
      throw new Error(`"${text}" is not a page frame number: write one such as 0 or 0x2a`);
    return pageView(desk.world, Number(text)).pfn;
  },
  choices: (desk) => pageViews(desk.world).map((page) => String(page.pfn)),
};

/** The path of a file. */
export const file = word(none);

/** One of a few words; `what` names them in the complaint. */
export const oneOf = <const C extends readonly string[]>(what: string, choices: C): Kind<C[number]> => ({
  read: (text) => {
    if (!choices.includes(text))
      throw new Error(`there is no ${what} "${text}"; known: ${choices.join(", ")}`);
    return text;
  },
  choices: () => choices,
});

// ---- results and help

/** A result: 3 when it comes with faults. */
export const result = (text: string, json: unknown, faults: readonly unknown[] = []): Result => ({
  text,
  json,
  code: faults.length > 0 ? 3 : 0,
});

/** How a verb is written: `step [TASK] [N]`. */
export function usage({ name, args, options }: Verb): string {
  const positional = Object.entries(args).map(([arg, { required: must }]) =>
    must ? arg.toUpperCase() : `[${arg.toUpperCase()}]`,
  );
  const named = Object.keys(options).map((option) => `[--${option} ${option.toUpperCase()}]`);
  return [name, ...positional, ...named].join(" ");
}
