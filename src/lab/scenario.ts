/**
 * Scenarios: a machine, the tasks that run on it, and what must hold.
 */

import type { GeometryOptions } from "../kernel/geometry.js";
import type { Kernel, Table } from "../kernel/kernel.js";
import type { Pfn } from "../kernel/types.js";
import type { Path } from "../machine/path.js";
import type { Pace } from "../machine/schedule.js";
import type { FaultKind } from "../trace/recording.js";

/** A number that a scenario can be started with. */
export interface NumberParameter {
  readonly help: string;
  readonly default: number;
  readonly min: number;
  readonly max: number;
}

/** A word that a scenario can be started with: one of a few, each with what it means. */
export interface ChoiceParameter<C extends string = string> {
  readonly help: string;
  readonly default: C;
  readonly choices: Readonly<Record<C, string>>;
  /** What else it can be; default nothing. */
  readonly others?: {
    readonly help: string;
    /** Why a word is none of them either, as a sentence; null when it is. */
    readonly whyNot: (word: string) => string | null;
  };
}

export type Parameter = NumberParameter | ChoiceParameter;
/** What a parameter is set to. */
export type Value = number | string;
export type Values = Readonly<Record<string, Value>>;
type ParameterTable = Readonly<Record<string, Parameter>>;

/** The values of a table of parameters, by name, with their types. */
export type ValuesOf<P extends ParameterTable> = {
  readonly [N in keyof P]: P[N] extends ChoiceParameter<infer C> ? C : number;
};

/** A whole number from `min` to `max`. */
export const whole = (help: string, standard: number, min: number, max: number): NumberParameter => ({
  help,
  default: standard,
  min,
  max,
});

/** One of a few words; the first is the default. */
export const choice = <const C extends string>(
  help: string,
  choices: Readonly<Record<C, string>>,
): ChoiceParameter<C> => ({ help, default: Object.keys(choices)[0] as C, choices });

/** A task of a scenario. */
export interface TaskPlan {
  readonly name: string;
  /** One letter or more, unique in the scenario: names the task in schedules. */
  readonly letter: string;
  // biome-ignore lint/suspicious/noExplicitAny: paths of any frame
  readonly path: Path<any>;
  readonly args: readonly number[];
  /** A daemon never ends. */
  readonly daemon: boolean;
  /** When it must not move, whatever else it could do: how a scenario keeps somebody away. */
  readonly heldBack?: (view: View) => boolean;
}

/** What a scenario may look at to hold a task back, or to judge: the state, nothing else. */
export interface View {
  readonly k: Kernel;
  /** The step that a task will make next. */
  readonly step: (task: string) => string;
  /** Whether a task has finished. */
  readonly finished: (task: string) => boolean;
  /** Whether nobody is in the middle of a kernel path: all have ended, are dead, or wait in their own outermost one. */
  readonly resting: () => boolean;
}

/** What must not happen, beyond what the kernel itself reports. */
export interface Oracle {
  readonly kind: FaultKind;
  /** What it looks for, as a sentence. */
  readonly help: string;
  /** Whether it can be judged at every step, or only when the run is over. */
  readonly when: "always" | "end";
  /** What is wrong, with the page concerned or NONE; null while all is well. */
  readonly check: (view: View) => { readonly page: Pfn; readonly message: string } | null;
}

export interface Setup {
  readonly geometry: GeometryOptions;
  readonly tasks: readonly TaskPlan[];
  /** How long sleepers sleep in a seeded run, in ticks. */
  readonly pace: Pace;
  /** Fill the memory: what is cached, what is dirty. */
  readonly prepare: (k: Kernel) => void;
  /** What else must not happen; default nothing. */
  readonly oracles?: readonly Oracle[];
  /** Structs that the scenario's own paths have. */
  readonly tables?: readonly Table[];
  /**
   * What somebody may say between two steps: takes it in, and gives the task that it is for.
   *
   * @throws Error with one sentence when it cannot be, and nothing has changed
   */
  readonly input?: (k: Kernel, line: string) => number;
}

export interface Scenario {
  readonly name: string;
  /** Other names for it, such as a workload's number. */
  readonly aliases: readonly string[];
  /** One line. */
  readonly help: string;
  /** What it shows, and what to look at. */
  readonly story: string;
  readonly parameters: ParameterTable;
  /** Seed of a run that names none. */
  readonly seed: number;
  readonly setup: (values: Values) => Setup;
}

/** Declare a scenario whose setup sees its parameters with their types. */
export const scenario = <P extends ParameterTable>(spec: {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly help: string;
  readonly story: string;
  readonly parameters: P;
  readonly seed?: number;
  readonly setup: (values: ValuesOf<P>) => Setup;
}): Scenario => ({
  aliases: [],
  seed: 1,
  ...spec,
  setup: (values) => spec.setup(values as ValuesOf<P>),
});

/** What a parameter can be, for help and complaints. */
export const rangeOf = (parameter: Parameter): string =>
  "choices" in parameter
    ? [...Object.keys(parameter.choices), ...(parameter.others ? [parameter.others.help] : [])].join(", ")
    : `${parameter.min} to ${parameter.max}`;

function fits(parameter: Parameter, value: Value): boolean {
  if ("choices" in parameter)
    return (
      typeof value === "string" && (value in parameter.choices || parameter.others?.whyNot(value) === null)
    );
  return Number.isInteger(value) && Number(value) >= parameter.min && Number(value) <= parameter.max;
}

/** What is wrong with a value, as the end of a sentence. */
function whyNot(parameter: Parameter, value: Value): string {
  // A word with + in it was meant as one of the others.
  const meant = "choices" in parameter && String(value).includes("+") ? parameter.others : undefined;
  const why = meant?.whyNot(String(value));
  if (why) return `: ${why}`;
  const kind = "choices" in parameter ? "one of" : "a whole number from";
  return ` is ${kind} ${rangeOf(parameter)}, not ${value}`;
}

/**
 * Complete the parameters that a user gave.
 *
 * @throws Error with one sentence when a name is unknown or a value out of range
 */
export function completeParameters({ name: scenario, parameters }: Scenario, given: Values): Values {
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(parameters, name)) {
      const known = Object.keys(parameters);
      const hint = known.length > 0 ? `it has ${known.join(", ")}` : "it has none";
      throw new Error(`scenario ${scenario} has no parameter "${name}"; ${hint}`);
    }
  }
  const values: Record<string, Value> = {};
  for (const [name, parameter] of Object.entries(parameters)) {
    const value = given[name] ?? parameter.default;
    if (!fits(parameter, value))
      throw new Error(`${name} of scenario ${scenario}${whyNot(parameter, value)}`);
    values[name] = value;
  }
  return values;
}
