/**
 * What a safe verdict rests on. Safe means that no test failed; this says which tests were made at all, in how many states,
 * in how many of them on a pinned page, and which the paths of the scenario have but nobody came to. A verdict whose tests
 * were never made, or never on a page that somebody had pinned, is safe because nothing happened: it is vacuous.
 *
 * And by how little it is safe: the nearest miss (explore/misses.ts), with a line that leads to the moment at which the
 * test would have failed. What is asked when a run is over (that nothing is lost, that nothing leaks) is missed by as many
 * steps as lead from a state in which it would have been wrong to the end of a run.
 *
 * Left out: a test inside a step that returned before it came to it is not known, and does not count as one that nobody
 * came to.
 */
import { backward, exploreGraph, NOWHERE, type StateGraph, shortestTo, sourceOf } from "../explore/graph.js";
import { countTests, LOOK_BACK, type Made } from "../explore/misses.js";
import { HELD } from "../machine/program.js";
import { formatSchedule } from "../machine/schedule.js";
import type { FaultKind } from "../trace/recording.js";
import { awaited } from "./awaited.js";
import { type Bounds, completeBounds, madeAgain, refuseOrders } from "./graphs.js";
import { lostWrites, staleWrites } from "./lost.js";
import { isFault } from "./outcomes.js";
import type { KernelName } from "./own_patches.js";
import { pathsOf } from "./paths.js";
import { columns, fill } from "./text.js";
import { open, type World } from "./world.js";

export interface SafetyOptions extends Bounds {
  /** Name of a kernel; default v4.20. */
  readonly kernel?: KernelName;
}

/** By how little a test is missed. */
export interface MissReport {
  /** Steps from the moment at which it would have failed to the one at which it was made. */
  readonly steps: number;
  /** Leads to the moment at which it would have failed. */
  readonly replay: string;
  /** Leads from there to the step that made the test, this one included, or to the end of a run. */
  readonly rest: string;
  /** Who made it, in which step; null for what is asked at the end. */
  readonly by: {
    readonly task: string;
    readonly path: string;
    readonly step: string;
    /** Where it was at that moment instead, and what it waited for there; empty where it could move. */
    readonly instead: { readonly path: string; readonly step: string; readonly awaits: string };
  } | null;
}

/** One test of which a fault depends. */
export interface TestReport {
  /** What it says when it fails. */
  readonly test: string;
  /** Whether it is in the paths of the kernel, or is asked of states: of all of them, or of those in which a run is over. */
  readonly asked: "in a step" | "always" | "at the end";
  /** States in which it was made. */
  readonly states: number;
  /** Those of them in which its page was pinned; null for what is not asked of one page. */
  readonly pinned: number | null;
  readonly failed: number;
  readonly miss: MissReport | null;
}

/** What `guplab safety --json` prints. */
export interface SafetyReport {
  readonly scenario: string;
  readonly kernel: string;
  readonly complete: boolean;
  readonly states: number;
  readonly verdict: "safe" | "fault" | "incomplete";
  /** Why the verdict says little; null where it does not. */
  readonly vacuous: string | null;
  /** States in which some page was pinned, and in which a run is over. */
  readonly reached: { readonly pinned: number; readonly over: number };
  readonly tests: readonly TestReport[];
  /** The steps that the kernel's patches brought to the scenario's paths, with the number of states in which they were made. */
  readonly brought: readonly { readonly path: string; readonly step: string; readonly states: number }[];
  /** Named steps of the scenario's paths that nobody made, by path. */
  readonly never: readonly {
    readonly path: string;
    readonly source: string;
    readonly steps: readonly string[];
  }[];
}

export interface Safety extends SafetyReport {
  /** The nearest of all misses; null where there is none. */
  readonly nearest: TestReport | null;
  toJSON(): SafetyReport;
  toString(): string;
}

/** Something that is asked of states. */
interface Asked {
  readonly test: string;
  readonly asked: "always" | "at the end";
  readonly fails: () => boolean;
  states: number;
  failed: number;
  /** States in which it would have been wrong, had the run been over. */
  readonly early: number[];
}

function askedOf(world: World): Asked[] {
  const { k } = world;
  const made = (test: string, asked: Asked["asked"], fails: () => boolean): Asked => ({
    test,
    asked,
    fails,
    states: 0,
    failed: 0,
    early: [],
  });
  const over = (): boolean => true;
  return [
    made(
      "LOST: bytes of a page are nowhere but in memory, and nothing says so",
      "at the end",
      () => lostWrites(k, over).length > 0,
    ),
    made(
      "STALE: a page that was truncated is written, and its file shows another",
      "at the end",
      () => staleWrites(k, over).length > 0,
    ),
    ...world.oracles.map((oracle) =>
      made(`${oracle.kind}: ${oracle.help}`, oracle.when === "end" ? "at the end" : "always", () =>
        world.fails(oracle),
      ),
    ),
  ];
}

/** For each state the edge by which a shortest way leads to one of some states: NOWHERE in those, and where none leads. */
function towards(
  graph: StateGraph,
  ends: Uint8Array,
): { readonly steps: Uint32Array; readonly via: Uint32Array } {
  const back = backward(graph);
  const steps = new Uint32Array(graph.states).fill(NOWHERE);
  const via = new Uint32Array(graph.states).fill(NOWHERE);
  let now: number[] = [];
  for (let state = 0; state < graph.states; state++) {
    if (ends[state] === 0) continue;
    steps[state] = 0;
    now.push(state);
  }
  while (now.length > 0) {
    const next: number[] = [];
    for (const state of now) {
      for (let at = back.first[state]; at < back.first[state + 1]; at++) {
        const from = back.from[at];
        if (steps[from] !== NOWHERE) continue;
        steps[from] = steps[state] + 1;
        via[from] = back.edge[at];
        next.push(from);
      }
    }
    now = next;
  }
  return { steps, via };
}

/** The step that a task will make next. */
function placeOf(world: World, task: number): { readonly path: string; readonly step: string } {
  const { path, step } = world.named(world.machine.at(task));
  return { path, step };
}

/** A named step of the scenario's paths, by v4.20's names, with the number of states in which it was made. */
interface StepMade {
  readonly path: string;
  readonly step: string;
  states: number;
}

/** The named steps of a world's paths. One that stands in the code more than once, for several callers, is one. */
function stepsOf({ machine }: World, made: Uint32Array | null): Map<string, StepMade> {
  const steps = new Map<string, StepMade>();
  machine.code.forEach(({ op, path, step }, at) => {
    if (op > HELD) return;
    const key = `${path}: ${step}`;
    const known = steps.get(key) ?? { path, step, states: 0 };
    known.states += made?.[at] ?? 0;
    steps.set(key, known);
  });
  return steps;
}

/** The steps that v4.20's paths of the same scenario do not have. */
function broughtBy({ name, kernel }: World, steps: ReadonlyMap<string, StepMade>): SafetyReport["brought"] {
  const base = stepsOf(open(name, { record: false }), null);
  const { names } = kernel;
  return [...steps]
    .filter(([key]) => !base.has(key))
    .map(([, { path, step, states }]) => ({
      path: names.path(path),
      step: names.within(path, step),
      states,
    }));
}

/** Steps of the linked paths that nobody made. */
function neverMade(world: World, steps: ReadonlyMap<string, StepMade>): SafetyReport["never"] {
  const { names } = world.kernel;
  const paths = new Map<string, string[]>();
  for (const { path, step, states } of steps.values())
    if (states === 0) paths.set(path, [...(paths.get(path) ?? []), names.within(path, step)]);
  const sources = pathsOf(world);
  return [...paths].map(([path, never]) => ({
    path: names.path(path),
    source: sources.get(path)?.source ?? "",
    steps: never,
  }));
}

const DEFINITION =
  "A miss of k steps: the test was made and held, and would have failed k steps earlier, with its task at the test and with the locals that it had there; " +
  "the task was on its way then (it could move, or waited for a lock), and another task's step made the difference. " +
  `Looked for up to ${LOOK_BACK} steps back on the shortest way to each state in which the test was made. ` +
  "What is asked at the end is missed by the steps from where it would have been wrong to the end of a run.";

/** Columns of a line. */
const WIDTH = 120;

/** Lines of which all but the first are indented. */
const hanging = (text: string): string[] =>
  fill(text, WIDTH - 4).map((line, at) => `${at === 0 ? "  " : "    "}${line}`);

const insteadText = ({ task, instead }: NonNullable<MissReport["by"]>): string =>
  `${task} was in ${instead.path}: ${instead.step} then, ` +
  (instead.awaits === "" ? "and could move" : `and waited for ${instead.awaits}`);

function textOf(report: SafetyReport, nearest: TestReport | null): string {
  const { scenario, kernel, complete, states, verdict, vacuous, reached, tests, never, brought } = report;
  const rows = tests.map(({ test, asked, states: made, pinned, failed, miss }) => [
    failed > 0 ? `FAILS in ${failed}` : made === 0 ? "never made" : "holds",
    String(made),
    pinned === null ? "" : String(pinned),
    miss === null ? "" : String(miss.steps),
    asked,
    test,
  ]);
  const bare = never.reduce((sum, { steps }) => sum + steps.length, 0);
  return [
    `${scenario} on ${kernel}: ${verdict === "fault" ? "NOT SAFE" : verdict.toUpperCase()}${vacuous === null ? "" : ", VACUOUS"}`,
    `bound: ${complete ? "every interleaving" : "not every interleaving"}, ${states} states`,
    ...(vacuous === null ? [] : [`vacuous: ${vacuous}`]),
    `a page is pinned in ${reached.pinned} states, a run is over in ${reached.over}`,
    "",
    columns([["", "states", "pinned", "missed by", "asked", "the test"], ...rows], [1, 2, 3]),
    "",
    ...(nearest?.miss
      ? [
          `The nearest miss, ${nearest.miss.steps === 1 ? "1 step" : `${nearest.miss.steps} steps`}: ${nearest.test}` +
            (nearest.miss.by === null
              ? ", if the run had been over"
              : `, made by ${nearest.miss.by.task} in ${nearest.miss.by.path}: ${nearest.miss.by.step}`),
          ...(nearest.miss.by === null ? [] : [`  ${insteadText(nearest.miss.by)}`]),
          `  it would have failed here: ${nearest.miss.replay}`,
          `  ${nearest.miss.by === null ? "the run is over after" : "it was made after"}: ${nearest.miss.rest}`,
        ]
      : ["No test was missed nearly."]),
    ...fill(DEFINITION, WIDTH),
    "",
    ...(brought.length === 0
      ? []
      : [
          "Steps that v4.20 has not, with the states in which they are made:",
          ...[...new Set(brought.map(({ path }) => path))].flatMap((path) =>
            hanging(
              `${path}: ${brought
                .filter((each) => each.path === path)
                .map(({ step, states: where }) => `${step} ${where}`)
                .join(", ")}`,
            ),
          ),
          "",
        ]),
    never.length === 0
      ? "Every step of the scenario's paths was made."
      : `Nobody came to ${bare} steps of ${never.length} paths, nor to the tests in them:`,
    ...never.flatMap(({ path, source, steps }) => hanging(`${path} (${source}): ${steps.join(", ")}`)),
  ].join("\n");
}

/** The state to which a shortest way of a state leads after so many of its steps. */
function wayOf(graph: StateGraph, state: number): number[] {
  const states: number[] = [state];
  for (let at = state; at !== 0; ) {
    at = sourceOf(graph, graph.tree[at]);
    states.push(at);
  }
  return states.reverse();
}

/**
 * What a scenario's verdict rests on: the tests that were made, the nearest miss, and what nobody came to.
 *
 * @param scenario name, with parameters after commas
 * @throws Error with one sentence when a name does not fit, the scenario waits for orders, or it was interrupted after the search
 * @example safety("fsync-pinned", { kernel: "2026" }).vacuous !== null === true
 */
export function safety(scenario: string, options: SafetyOptions = {}): Safety {
  const world = open(scenario, { kernel: options.kernel, record: false });
  const { name, letters, machine, k } = world;
  const kernel = world.kernel.name;
  refuseOrders(world);
  const explored = exploreGraph(world.faces, completeBounds(options));
  const { result, graph } = explored;
  const count = madeAgain(explored, world, options.progress);
  const made = new Uint32Array(machine.code.length);
  let real = false;
  const over = new Uint8Array(graph.states);
  const asked = askedOf(world);
  const reached = { pinned: 0, over: 0 };
  let tested: Made[] = [];
  const faces: World["faces"] = (watch) => {
    const face = world.faces(watch);
    machine.watch = (_task, at) => {
      if (real) made[at]++;
    };
    k.testing = (test, failed, page) => {
      tested.push({ test, failed, marks: page >= 0 && k.page.pins[page] > 0 });
    };
    return face;
  };
  const counted = countTests(graph, faces, {
    real: (on) => {
      real = on;
      if (on) count();
    },
    tested: () => {
      const since = tested;
      if (since.length > 0) tested = [];
      return since;
    },
    state: (state) => {
      if (k.page.pins.some((pins) => pins > 0)) reached.pinned++;
      const ended = world.settled();
      if (ended) {
        over[state] = 1;
        reached.over++;
      }
      for (const each of asked) {
        const wrong = each.fails();
        if (each.asked === "always" || ended) {
          each.states++;
          if (wrong) each.failed++;
        } else if (wrong) each.early.push(state);
      }
    },
  });
  machine.watch = null;
  k.testing = null;

  const line = (tasks: readonly number[]): string => `${name}@${kernel}:${formatSchedule(tasks, letters)}`;
  const way = towards(graph, over);
  const tests: TestReport[] = [
    ...counted.map(({ test, states, marked, failed, miss }): TestReport => {
      const report = { test, asked: "in a step" as const, states, pinned: marked, failed };
      if (miss === null) return { ...report, miss: null };
      const states_ = wayOf(graph, sourceOf(graph, miss.edge));
      const schedule = [...shortestTo(graph, states_[states_.length - 1]), graph.task[miss.edge]];
      const before = states_.indexOf(miss.state);
      const task = graph.task[miss.edge];
      const there = open(name, { kernel, record: false });
      for (const each of schedule.slice(0, before)) there.step(each);
      const instead = {
        ...placeOf(there, task),
        awaits: there.enabled(task) ? "" : awaited(there, task),
      };
      for (const each of schedule.slice(before, -1)) there.step(each);
      return {
        ...report,
        miss: {
          steps: miss.steps,
          replay: line(schedule.slice(0, before)),
          rest: formatSchedule(schedule.slice(before), letters),
          by: { task: machine.tasks[task].name, ...placeOf(there, task), instead },
        },
      };
    }),
    ...asked.map(({ test, asked: when, states, failed, early }): TestReport => {
      const report = { test, asked: when, states, pinned: null, failed };
      const near = early.reduce(
        (best, each) => (way.steps[each] < way.steps[best] ? each : best),
        early[0] ?? 0,
      );
      if (early.length === 0 || way.steps[near] === NOWHERE) return { ...report, miss: null };
      const rest: number[] = [];
      for (let at = near; over[at] === 0; at = graph.to[way.via[at]]) rest.push(graph.task[way.via[at]]);
      return {
        ...report,
        miss: {
          steps: way.steps[near],
          replay: line(shortestTo(graph, near)),
          rest: formatSchedule(rest, letters),
          by: null,
        },
      };
    }),
  ];
  const steps = stepsOf(world, made);
  const fault = result.witnesses.some(({ kind }: { kind: FaultKind }) => isFault(kind));
  const report: SafetyReport = {
    scenario: name,
    kernel,
    complete: result.complete,
    states: graph.states,
    verdict: fault ? "fault" : result.complete ? "safe" : "incomplete",
    vacuous:
      reached.pinned === 0
        ? "no page is pinned in any state: what is safe here is so without pins"
        : tests.every(({ states }) => states === 0)
          ? "no test was made in any state"
          : null,
    reached,
    tests,
    brought: broughtBy(world, steps),
    never: neverMade(world, steps),
  };
  const nearest = tests.reduce<TestReport | null>(
    (best, each) =>
      each.failed > 0 || each.miss === null || (best?.miss && best.miss.steps <= each.miss.steps)
        ? best
        : each,
    null,
  );
  return { ...report, nearest, toJSON: () => report, toString: () => textOf(report, nearest) };
}
