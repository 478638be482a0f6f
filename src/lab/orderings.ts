/** Which orderings between tasks a fault needs: those of its shortest way, each proven necessary or shown to be optional. */
import { isWhole } from "../explore/graph.js";
import { orderingsOf, type Touched, wayWithout } from "../explore/orderings.js";
import { formatSchedule } from "../machine/schedule.js";
import { beforeGraph, type Figure } from "../plot/index.js";
import type { FaultKind } from "../trace/recording.js";
import { namedSteps, type WitnessStep } from "./explore.js";
import { type Bounds, mapOf } from "./graphs.js";
import { isFault, SEVERITY } from "./outcomes.js";
import type { KernelName } from "./own_patches.js";
import { run } from "./run.js";
import { columns } from "./text.js";
import { Touching } from "./touching.js";
import { logOf } from "./views.js";

export interface OrderingsOptions extends Bounds {
  /** Name of a kernel; default v4.20. */
  readonly kernel?: KernelName;
}

/** One ordering between two tasks. */
export interface OrderingReport {
  readonly before: WitnessStep & { readonly tick: number };
  readonly after: WitnessStep & { readonly tick: number };
  /** What both touch: "page 0 flags". */
  readonly cells: readonly string[];
  /** Whether every way to the fault has it; null when the search was cut short and found no other way. */
  readonly necessary: boolean | null;
  /** The shortest way to the fault without it, where there is one. */
  readonly without: string | null;
}

/** What `guplab orderings --json` prints. */
export interface OrderingsReport {
  readonly scenario: string;
  readonly kernel: string;
  readonly kind: FaultKind;
  readonly replay: string;
  readonly complete: boolean;
  readonly states: number;
  readonly orderings: readonly OrderingReport[];
}

export interface Orderings extends OrderingsReport {
  /** What happens before what: the steps that matter in lanes, with the necessary orderings drawn strong. */
  figure(): Figure;
  toJSON(): OrderingsReport;
  toString(): string;
}

/** What each step of a schedule reads and changes, its condition to run included; a task's own place and locals are its own. */
export function touchedBy(scenario: string, kernel: string, schedule: readonly number[]): Touched[] {
  const touching = new Touching(scenario, kernel);
  return schedule.map((task) => {
    const { reads, changes } = touching.step(task);
    return { task, reads, writes: changes };
  });
}

function textOf(report: OrderingsReport): string {
  const { scenario, kernel, kind, orderings, complete, states, replay } = report;
  const name = ({ tick, task, step }: OrderingReport["before"]): string => `${tick} ${task}: ${step}`;
  const rows = orderings.map(({ before, after, cells, necessary }) => [
    necessary === null ? "not known" : necessary ? "NECESSARY" : "optional",
    name(before),
    name(after),
    cells.length > 2 ? `${cells.slice(0, 2).join(", ")}, ...` : cells.join(", "),
  ]);
  const others = orderings.flatMap(({ before, after, without }) =>
    without === null ? [] : [`${kind} without ${before.tick} before ${after.tick}: ${without}`],
  );
  return [
    `${scenario} on ${kernel}: the orderings of the shortest way to ${kind}`,
    `bound: ${complete ? "every interleaving" : "not every interleaving"}, ${states} states`,
    "",
    rows.length === 0
      ? "No step of one task had to come before a step of another."
      : columns([["", "before", "after", "both touch"], ...rows]),
    "",
    `replay: ${replay}`,
    ...others,
  ].join("\n");
}

/** A report as a figure. */
export function orderingsFigure({ kind, replay, orderings: all }: OrderingsReport): Figure {
  const { recording, steps, faults } = run(replay);
  const [last] = logOf(recording, steps);
  // A fault names its own step, which may run at once with the one before it.
  const { tick, task, path, step } =
    faults.find((fault) => fault.kind === kind && fault.tick === steps) ?? last;
  return beforeGraph({
    kind,
    run: recording.info.title,
    replay,
    orderings: all,
    fault: { tick, task, path, step },
    steps,
  });
}

/**
 * The orderings that the worst fault of a scenario needs.
 *
 * @throws Error with one sentence when a name does not fit, or nothing goes wrong
 * @example orderings("dio-write-race").orderings.map(({ necessary }) => necessary)
 */
export function orderings(scenario: string, options: OrderingsOptions = {}): Orderings {
  const { world, graph, result, faults, made } = mapOf(scenario, options.kernel, options);
  const { name, letters } = world;
  const kernel = world.kernel.name;
  const worst = SEVERITY.filter(isFault)
    .map((kind) => result.witnesses.find((witness) => witness.kind === kind))
    .find((witness) => witness !== undefined && faults.has(witness.kind));
  const places = worst && faults.get(worst.kind);
  if (!worst || !places)
    throw new Error(`${name} on ${kernel}: no fault was found that could need an ordering`);
  const { schedule, kind } = worst;
  const line = (tasks: readonly number[]): string => `${name}@${kernel}:${formatSchedule(tasks, letters)}`;
  const steps = namedSteps(name, kernel, schedule);
  const touched = touchedBy(name, kernel, schedule);
  /** Where each step of the way stands in the code. */
  const stands: number[] = [];
  for (const task of schedule) {
    stands.push(world.machine.pcOf(task));
    world.machine.step(task);
  }
  const is = (at: number) => (edge: number) => made[edge] === stands[at] && graph.task[edge] === schedule[at];
  const complete = isWhole(graph);
  const report: OrderingsReport = {
    scenario: name,
    kernel,
    kind,
    replay: line(schedule),
    complete,
    states: graph.states,
    orderings: orderingsOf(touched).map(({ before, after, cells }) => {
      const other = wayWithout(graph, places, is(before), is(after));
      return {
        before: { tick: before + 1, ...steps[before] },
        after: { tick: after + 1, ...steps[after] },
        cells,
        necessary: other !== null ? false : complete ? true : null,
        without: other === null ? null : line(other),
      };
    }),
  };
  return {
    ...report,
    figure: () => orderingsFigure(report),
    toJSON: () => report,
    toString: () => textOf(report),
  };
}
