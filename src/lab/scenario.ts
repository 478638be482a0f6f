/**
 * Scenarios: a machine, the tasks that run on it, and what must hold.
 */

import type { GeometryOptions } from "../kernel/geometry.js";
import type { Kernel } from "../kernel/kernel.js";
import type { Path } from "../machine/path.js";
import type { Pace } from "../machine/schedule.js";

/** A number that a scenario can be started with. */
export interface Parameter {
  readonly name: string;
  readonly help: string;
  readonly default: number;
  readonly min: number;
  readonly max: number;
}

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

/** What a scenario may look at to hold a task back: the state, nothing else. */
export interface View {
  readonly k: Kernel;
  /** The step that a task will make next. */
  readonly step: (task: string) => string;
}

export interface Setup {
  readonly geometry: GeometryOptions;
  readonly tasks: readonly TaskPlan[];
  /** How long sleepers sleep in a seeded run, in ticks. */
  readonly pace: Pace;
  /** Fill the memory: what is cached, what is dirty. */
  readonly prepare: (k: Kernel) => void;
}

export interface Scenario {
  readonly name: string;
  /** One line. */
  readonly help: string;
  /** What it shows, and what to look at. */
  readonly story: string;
  readonly parameters: readonly Parameter[];
  /** Seed of a run that names none. */
  readonly seed: number;
  readonly setup: (values: Readonly<Record<string, number>>) => Setup;
}

/**
 * Complete the parameters that a user gave.
 *
 * @throws Error with one sentence when a name is unknown or a value out of range
 */
export function completeParameters(
  scenario: Scenario,
  given: Readonly<Record<string, number>>,
): Record<string, number> {
  const known = scenario.parameters.map((parameter) => parameter.name);
  for (const name of Object.keys(given)) {
    if (!known.includes(name)) {
      const hint = known.length > 0 ? `it has ${known.join(", ")}` : "it has none";
      throw new Error(`scenario ${scenario.name} has no parameter "${name}"; ${hint}`);
    }
  }
  const values: Record<string, number> = {};
  for (const { name, min, max, default: standard } of scenario.parameters) {
    const value = given[name] ?? standard;
    if (!Number.isInteger(value) || value < min || value > max) {
      throw new Error(
        `${name} of scenario ${scenario.name} is a whole number from ${min} to ${max}, not ${value}`,
      );
    }
    values[name] = value;
  }
  return values;
}
