/**
 * Runs: one schedule of a scenario, by seed or by replay line, and what came of it.
 */
import type { Counter } from "../kernel/structs.js";
import { VMSTAT } from "../kernel/structs.js";
import { lockReportText } from "../machine/lockdep.js";
import { partOf } from "../plot/display.js";
import {
  DISPLAY,
  dirtyStates,
  type Figure,
  heat,
  lanes,
  pageLife,
  pinCounts,
  reclaimFlow,
  reclaimProgress,
  sideBySide,
} from "../plot/index.js";
import { type Fault, type FaultKind, pagesOf, type Recording } from "../trace/recording.js";
import { type MomentPlots, momentPlots } from "./moments.js";
import { SEVERITY } from "./outcomes.js";
import { type KernelName, kernelName } from "./own_patches.js";
import type { Values } from "./scenario.js";
import { applySchedule, open, parseReplay, type World } from "./world.js";

export interface RunOptions {
  /** Name of a kernel; default v4.20. */
  readonly kernel?: KernelName;
  /** Seed of the scheduler; default the scenario's. */
  readonly seed?: number;
  /** A replay line, or its schedule alone, instead of a seed. */
  readonly schedule?: string;
  /** Values for the scenario's parameters. */
  readonly parameters?: Values;
  /** Stop after this many steps; default 100000. */
  readonly steps?: number;
}

/** The figures of a recording. */
export interface Plots {
  /** References and pins of each page over time, and what page_maybe_dma_pinned would answer. */
  pins(): Figure;
  /** What pages count as over time: clean, dirty in which of the many ways, under writeback, written by a device that told nobody. */
  dirty(): Figure;
  /** What reclaim did with pages over time: isolated, unmapped, stripped of buffers, freed, or given up. */
  reclaim(): Figure;
  /** All pages over time, in the colours of their dirty states. */
  heat(): Figure;
  /** How pages went through reclaim, and where gup held them meanwhile. */
  flow(): Figure;
  /** Who made which step: a lane for each task, with the faults. */
  lanes(): Figure;
  /** The life of one page; default the page of the first fault, or the first page. */
  life(pfn?: number): Figure;
  /** This run and another, of another kernel, seed or schedule, up to their first difference and beyond. */
  beside(other: OtherRun): Figure;
}

/** Names of the figures that are of one run. */
export type PlotName = Exclude<keyof Plots, "beside">;

/** A run, or a recording that is no run's. */
export type OtherRun = { readonly recording: Recording; readonly world?: World };

/** What `guplab run --json` prints. */
export interface RunReport {
  readonly scenario: string;
  readonly kernel: string;
  readonly outcomes: readonly (FaultKind | "OK")[];
  readonly faults: readonly Omit<Fault, "message">[];
  readonly counters: Readonly<Record<Counter, number>>;
  readonly replay: string;
}

export interface Run {
  readonly world: World;
  readonly recording: Recording;
  readonly outcomes: readonly (FaultKind | "OK")[];
  readonly faults: readonly Fault[];
  readonly counters: Readonly<Record<Counter, number>>;
  /** The line that reproduces this run anywhere. */
  readonly replay: string;
  readonly steps: number;
  /** False when the bound on steps ended the run before it was over. */
  readonly finished: boolean;
  readonly plot: Plots & MomentPlots;
  toJSON(): RunReport;
  toString(): string;
}

/** Kinds of fault, worst first, each once; OK when there is none. */
export function outcomesOf(kinds: Iterable<FaultKind>): (FaultKind | "OK")[] {
  const seen = new Set(kinds);
  const outcomes = SEVERITY.filter((kind) => seen.has(kind));
  return outcomes.length > 0 ? outcomes : ["OK"];
}

/** The /proc/vmstat counters of a world: the base's, and those that its kernel's patches bring. */
export function countersOf({ k, kernel }: World): Record<Counter, number> & Readonly<Record<string, number>> {
  const brought = kernel.patches.flatMap(({ vmstat }) =>
    vmstat === undefined ? [] : Object.entries(k.of(vmstat)).map(([name, [value]]) => [name, value] as const),
  );
  const base = VMSTAT.map((name) => [name, k.vmstat[name][0]] as const);
  return Object.fromEntries([...base, ...brought]) as ReturnType<typeof countersOf>;
}

/**
 * The figures of a recording under short names, each drawn when it is asked for.
 *
 * @param world of the run, where it is one: how its steps were called before patches renamed them
 * @example plotsOf(recording).pins().kind // "pins"
 */
export function plotsOf(recording: Recording, world?: World): Plots {
  const page = (): number =>
    recording.info.faults.find((fault) => fault.pfn >= 0)?.pfn ?? pagesOf(recording)[0] ?? 0;
  return {
    pins: () => pinCounts(recording),
    dirty: () => dirtyStates(recording),
    reclaim: () => reclaimProgress(recording),
    heat: () => heat(recording),
    flow: () => reclaimFlow(recording),
    lanes: () => lanes(recording),
    life: (pfn = page()) => partOf(pageLife(recording, pfn), { pfn }),
    beside: (other) =>
      sideBySide(
        { recording, names: world?.stepNames() },
        { recording: other.recording, names: other.world?.stepNames() },
      ),
  };
}

/**
 * A run by what somebody says of it: a replay line, or a scenario's name, which a kernel's may follow.
 *
 * @throws Error with one sentence when there is none
 * @example runOf("kara-2018@v6.4").outcomes // ["OK"]
 */
export function runOf(said: string): Run {
  const [scenario, kernel] = said.split("@");
  return said.includes(":") ? run(said) : run(scenario, { kernel });
}

/** Let the seeded scheduler move a world until it is over or the bound is reached; gives whether it is over. */
export function runToEnd(world: World, seed: number, steps: number): boolean {
  return world.runSeeded({ seed, steps }, () => world.settled()) || world.settled();
}

/** A fault as one line. */
export const faultLine = ({ kind, message, pfn, task, tick }: Fault): string =>
  `${kind} at tick ${tick}, ${task}, pfn ${pfn}: ${message}`;

/** A page whose bytes are not where they should be, in words. */
interface Loss {
  readonly kind: "LOST" | "STALE";
  readonly line: string;
}

/** What is wrong with the bytes of pages now. */
export const lossesOf = (world: World): readonly Loss[] => [
  ...world.lostWrites().map(
    (pfn): Loss => ({
      kind: "LOST",
      line: `LOST: pfn ${pfn} has newer bytes than the disk, and nobody will ever write them`,
    }),
  ),
  ...world.staleWrites().map(
    (pfn): Loss => ({
      kind: "STALE",
      line: `STALE: pfn ${pfn} was written after its file had let go of it`,
    }),
  ),
];

/** What came of a world's steps so far. */
export function reportRun(world: World, finished: boolean): Run {
  const recording = world.recording();
  const { faults } = world;
  const losses = lossesOf(world);
  const ends = finished ? world.verdictsAtEnd() : [];
  const lockReports = world.lockdep.reports;
  const outcomes = outcomesOf([
    ...faults.map((fault) => fault.kind),
    ...losses.map(({ kind }) => kind),
    ...ends.map(({ kind }) => kind),
    // Linux prints such a report as a warning.
    ...(lockReports.length > 0 ? (["WARN"] as const) : []),
  ]);
  const counters = countersOf(world);
  const { replay, name } = world;
  const steps = world.schedule.length;
  const bound = finished ? "" : `, stopped at the bound of ${steps} steps before it was over`;
  const text = (): string =>
    [
      `${name} on ${world.kernel.name}: ${outcomes.join(", ")} (${steps} steps${bound})`,
      ...faults.map((fault) => `  ${faultLine(fault)}`),
      ...losses.map(({ line }) => `  ${line}`),
      ...ends.map(({ kind, page, message }) => `  ${kind}${page >= 0 ? `, pfn ${page}` : ""}: ${message}`),
      ...lockReports.map((report) => `lockdep: ${world.kernel.names.text(lockReportText(report))}`),
      `replay: ${replay}`,
    ].join("\n");
  const run: Run = {
    world,
    recording,
    outcomes,
    faults,
    counters,
    replay,
    steps,
    finished,
    plot: { ...plotsOf(recording, world), ...momentPlots(world) },
    toString: text,
    toJSON: () => ({
      scenario: name,
      kernel: world.kernel.name,
      outcomes,
      faults: faults.map(({ kind, path, step, pfn, task, tick }) => ({ kind, path, step, pfn, task, tick })),
      counters,
      replay,
    }),
  };
  return Object.assign(run, { [DISPLAY]: () => ({ "text/plain": text() }) });
}

/**
 * Run a scenario once.
 *
 * @param scenario name, with parameters after commas: "kara-2018,pages=4"; or a whole replay line
 * @throws Error with one sentence when a name, parameter or schedule does not fit
 * @example run("kara-2018", { seed: 1 }).outcomes // ["BUG", "HANG", "WARN"]
 */
export function run(scenario: string, options: RunOptions = {}): Run {
  const { schedule, kernel } = options;
  if (scenario.includes("@")) return runReplay(scenario);
  if (schedule?.includes("@"))
    return runReplay(
      schedule,
      open(scenario, { ...options, record: false }).name,
      kernel === undefined ? undefined : kernelName(kernel),
    );
  const world = open(scenario, options);
  if (schedule !== undefined) {
    applySchedule(world, schedule);
    return reportRun(world, true);
  }
  const finished = runToEnd(world, options.seed ?? world.scenario.seed, options.steps ?? 100_000);
  return reportRun(world, finished);
}

/** The run of a replay line, which must be of the scenario and the kernel that the caller named, if any. */
function runReplay(line: string, scenario?: string, kernel?: string): Run {
  const parsed = parseReplay(line);
  if (kernel !== undefined && kernel !== parsed.kernel) {
    throw new Error(`the replay line is of kernel ${parsed.kernel}, not of ${kernel}`);
  }
  const world = open(parsed.scenario, { kernel: parsed.kernel });
  if (scenario !== undefined && scenario !== world.name) {
    throw new Error(`the replay line is of ${world.name}, not of ${scenario}`);
  }
  applySchedule(world, parsed.schedule);
  return reportRun(world, true);
}
