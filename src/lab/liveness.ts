/**
 * What may go on for ever in a scenario: a process that goes round and round, that waits for what never comes, or that
 * another one is always ahead of (explore/liveness.ts says what counts). Each is told with what the process does or waits
 * for, a replay line that leads there, and the round that is made for ever.
 *
 * The search's verdict does not know of it: each state of such a run is as it should be.
 */
import { exploreGraph, NOWHERE, type StateGraph, shortestTo } from "../explore/graph.js";
import { type Endless, lastMoved, liveness as livenessOf } from "../explore/liveness.js";
import { formatSchedule } from "../machine/schedule.js";
import { awaited } from "./awaited.js";
import { namedSteps, stepTable, type WitnessStep } from "./explore.js";
import { type Bounds, completeBounds, refuseOrders } from "./graphs.js";
import type { KernelName } from "./own_patches.js";
import { open, type World } from "./world.js";

export interface LivenessOptions extends Bounds {
  /** Name of a kernel; default v4.20. */
  readonly kernel?: KernelName;
}

/** One thing that may go on for ever. */
export interface EndlessReport extends Pick<Endless, "what" | "certain" | "states"> {
  /** The process that does not come to its end. */
  readonly task: string;
  /** Where it is when it gets there: the step that it would make next. */
  readonly path: string;
  readonly step: string;
  /** What it waits for there, in words; null where it can move. */
  readonly awaits: string | null;
  /** The tasks that go on. */
  readonly movers: readonly string[];
  /** Leads to where it begins, by as few steps as possible. */
  readonly replay: string;
  /** The schedule of a round: appended to `replay`, it leads to the same state again. */
  readonly round: string;
  readonly roundSteps: readonly WitnessStep[];
}

/** What `guplab liveness --json` prints. */
export interface LivenessReport {
  readonly scenario: string;
  readonly kernel: string;
  /** Whether every state was looked at: whether there is nothing else. */
  readonly complete: boolean;
  readonly states: number;
  readonly endless: readonly EndlessReport[];
}

export interface LivenessOfScenario extends LivenessReport {
  toJSON(): LivenessReport;
  toString(): string;
}

/**
 * Whether a process that does not move in a state has not come to its end there, and waits for something of the kernel's:
 * not for the dead (that is HANG), and not for the scenario, which keeps it away.
 */
function unfinishedIn(world: World, graph: StateGraph): (task: number, state: number) => boolean {
  const machine = world.faces(null);
  const start = machine.state.slice();
  const goTo = (state: number): void => {
    machine.state.set(start);
    for (const task of shortestTo(graph, state)) machine.step(task);
  };
  /** By task, and by the state in which it made its last step: only its own steps end it. */
  const known = new Map<string, boolean>();
  return (task, state) => {
    const last = lastMoved(graph, task, state);
    const key = `${task} ${last}`;
    let ended = known.get(key);
    if (ended === undefined) {
      goTo(last === NOWHERE ? 0 : last);
      ended = world.machine.finished(task) || world.machine.isDead(task);
      known.set(key, ended);
    }
    if (ended) return false;
    goTo(state);
    const waits = machine.forEver(task) === null && !world.heldBack(task);
    machine.state.set(start);
    return waits;
  };
}

/** What is said of one. */
function sentence({ what, task, path, step, awaits, movers, certain }: EndlessReport): string {
  const others = movers.filter((mover) => mover !== task);
  const meanwhile =
    others.length === 0
      ? "nobody else moves"
      : `${others.join(", ")} ${others.length > 1 ? "go" : "goes"} on`;
  const place = `${path}: ${step}`;
  switch (what) {
    case "livelock":
      return (
        `LIVELOCK ${task} makes steps for ever and does not come to its end (from ${place} on), ${meanwhile}; ` +
        (certain ? "no way leads out" : "a scheduler could lead it out, and need not")
      );
    case "waits":
      return (
        `WAITS ${task} for ever in ${place}${awaits ? ` for ${awaits}` : ""}, ${meanwhile}; ` +
        (certain ? "nobody will wake it" : "somebody could wake it, and need not")
      );
    default:
      return `STARVATION ${task} in ${place}${awaits ? `, for ${awaits}` : ""}: it can move again and again, and another is always first, ${meanwhile}`;
  }
}

const FAIRNESS =
  "fairness: weak. A task that can move from some moment on does move; who can move now and then need not.";
const QUEUES =
  "Starvation is no fault here: the locks of this machine have no queues, those of Linux mostly have.";

function textOf({ scenario, kernel, complete, states, endless }: LivenessReport): string {
  const headline = endless.some(({ certain }) => certain)
    ? "SOMETHING GOES ON FOR EVER"
    : endless.some(({ what }) => what !== "starvation")
      ? "SOMETHING MAY GO ON FOR EVER"
      : complete
        ? "EVERY PROCESS COMES TO ITS END"
        : "INCOMPLETE";
  const found = endless.flatMap((each) => [
    "",
    sentence(each),
    `  leads there: ${each.replay}`,
    `  the round: ${each.round} (${each.states === 1 ? "one state" : `of ${each.states} states`})`,
    ...(each.what === "starvation"
      ? []
      : stepTable(each.roundSteps.slice(0, SHOWN))
          .split("\n")
          .map((line) => `  ${line}`)),
    ...(each.what !== "starvation" && each.roundSteps.length > SHOWN
      ? [`      ... and ${each.roundSteps.length - SHOWN} more steps`]
      : []),
  ]);
  return [
    `${scenario} on ${kernel}: ${headline}`,
    `bound: ${complete ? "every interleaving" : "not every interleaving: what is not told may be there all the same"}, ${states} states`,
    FAIRNESS,
    ...(endless.some(({ what }) => what === "starvation") ? [QUEUES] : []),
    ...found,
  ].join("\n");
}

/** Steps of a round that are printed. */
const SHOWN = 40;

/**
 * What may go on for ever in a scenario.
 *
 * @param scenario name, with parameters after commas
 * @throws Error with one sentence when a name does not fit, or the scenario waits for orders
 * @example liveness("dio-write-race").endless // []
 */
export function liveness(scenario: string, options: LivenessOptions = {}): LivenessOfScenario {
  const world = open(scenario, { kernel: options.kernel, record: false });
  const { name, letters, machine } = world;
  const kernel = world.kernel.name;
  refuseOrders(world);
  const { graph } = exploreGraph(world.faces, completeBounds(options));
  const processes = machine.tasks.flatMap(({ daemon }, task) => (daemon ? [] : [task]));
  const { endless, complete } = livenessOf(graph, processes, unfinishedIn(world, graph));
  const report: LivenessReport = {
    scenario: name,
    kernel,
    complete,
    states: graph.states,
    endless: endless.map(({ what, task, certain, movers, states, schedule, round }) => {
      const there = open(name, { kernel, record: false });
      for (const each of schedule) there.step(each);
      const { path, step } = there.named(there.machine.at(task));
      return {
        what,
        task: machine.tasks[task].name,
        path,
        step,
        awaits: there.enabled(task) ? null : awaited(there, task),
        certain,
        movers: movers.map((mover) => machine.tasks[mover].name),
        states,
        replay: there.replay,
        round: formatSchedule(round, letters),
        roundSteps: namedSteps(name, kernel, [...schedule, ...round]).slice(schedule.length),
      };
    }),
  };
  return { ...report, toJSON: () => report, toString: () => textOf(report) };
}
