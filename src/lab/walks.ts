/**
 * Random walks through a scenario: how often each strategy meets what. For machines with too many states to see them all
 * (explore.ts), and to know what random testing is worth where all states were seen.
 */
import { wilson } from "../explore/lot.js";
import { STRATEGIES, type Strategy, type WalkOptions } from "../explore/walk.js";
import { formatSchedule } from "../machine/schedule.js";
import type { FaultKind } from "../trace/recording.js";
import { refuseOrders } from "./graphs.js";
import { isFault, SEVERITY } from "./outcomes.js";
import type { KernelName } from "./own_patches.js";
import { open } from "./world.js";

export interface WalksOptions {
  /** Name of a kernel; default v4.20. */
  readonly kernel?: KernelName;
  /** How to choose who moves; default each of them in turn. */
  readonly strategy?: Strategy;
  /** Walks of each strategy; default 2000. */
  readonly walks?: number;
  /** Default 1. */
  readonly seed?: number;
  /** For pct, one more than its changes of priorities; default 5. */
  readonly depth?: number;
  /** Steps after which a walk is given up; default 2000. */
  readonly maxSteps?: number;
  /** Called now and then; returning false ends it. */
  readonly progress?: (seen: { strategy: Strategy; walks: number; steps: number }) => boolean;
}

/** How often walks of one strategy met one kind of fault. */
export interface MeetingReport {
  readonly kind: FaultKind;
  /** Walks that met it. */
  readonly walks: number;
  /** The part of the walks that meet it, with 95 % confidence (Wilson's interval). */
  readonly share: readonly [low: number, high: number];
  /** Number of the first one, from 1 on. */
  readonly first: number;
  /** Steps of the shortest one, and the line that replays it. */
  readonly steps: number;
  readonly replay: string;
}

export interface StrategyReport {
  readonly strategy: Strategy;
  readonly walks: number;
  readonly steps: number;
  /** Walks that were given up before the machine came to rest. */
  readonly cut: number;
  readonly meetings: readonly MeetingReport[];
}

export interface WalksReport {
  readonly scenario: string;
  readonly kernel: string;
  readonly seed: number;
  readonly depth: number;
  readonly maxSteps: number;
  readonly complete: boolean;
  readonly strategies: readonly StrategyReport[];
}

export interface Walks extends WalksReport {
  /** Whether any walk met a fault. */
  readonly faulty: boolean;
  toJSON(): WalksReport;
  toString(): string;
}

const percent = (share: number): string => `${Number((100 * share).toPrecision(2))} %`;

function lineOf({ strategy, walks, steps, cut, meetings }: StrategyReport): string {
  const each = meetings.map(
    ({ kind, walks: hits, share: [low, high], first, steps: shortest }) =>
      `  ${kind}: in ${hits} (${percent(low)} to ${percent(high)}), first in walk ${first}; the shortest has ${shortest} steps`,
  );
  const nothing =
    walks > 0
      ? [`  nothing was met: with 95 % confidence, fewer than ${percent(3 / walks)} of such walks do`]
      : [];
  const given = cut > 0 ? `, ${cut} of them given up` : "";
  return [`${strategy}: ${walks} walks${given}, ${steps} steps`, ...(each.length > 0 ? each : nothing)].join(
    "\n",
  );
}

/**
 * Walk through a scenario at random, and count what is met.
 *
 * @throws Error with one sentence when a name or number does not fit
 * @example walks("kara-2018", { strategy: "sticky", walks: 100 }).faulty // true
 */
export function walks(scenario: string, options: WalksOptions = {}): Walks {
  const { strategy: only, walks: count = 2000, seed = 1, depth = 5, maxSteps = 2000 } = options;
  const { progress = () => true } = options;
  if (only !== undefined && !(only in STRATEGIES))
    throw new Error(`there is no strategy "${only}"; there are ${Object.keys(STRATEGIES).join(", ")}`);
  for (const [name, value] of Object.entries({ walks: count, depth, maxSteps }))
    if (!Number.isInteger(value) || value < 1)
      throw new Error(`${name} is a whole number from 1 on, not ${value}`);
  const world = open(scenario, { kernel: options.kernel, record: false });
  refuseOrders(world);
  const { name, kernel, letters } = world;
  let complete = true;
  const made = (only === undefined ? (Object.keys(STRATEGIES) as Strategy[]) : [only]).map((strategy) => {
    const order: WalkOptions = {
      strategy,
      walks: count,
      seed,
      depth,
      maxSteps,
      progress: ({ walks: done, steps }) => {
        complete &&= progress({ strategy, walks: done, steps });
        return complete;
      },
    };
    const { meetings, ...result } = world.walk(order);
    return {
      strategy,
      ...result,
      meetings: [...meetings]
        .sort((a, b) => SEVERITY.indexOf(a.kind) - SEVERITY.indexOf(b.kind))
        .map(({ kind, walks: hits, first, schedule }) => ({
          kind,
          walks: hits,
          share: wilson(hits, result.walks),
          first,
          steps: schedule.length,
          replay: `${name}@${kernel.name}:${formatSchedule(schedule, letters)}`,
        })),
    };
  });
  const strategies: readonly StrategyReport[] = made.filter(({ walks: done }) => done > 0);
  const report: WalksReport = {
    scenario: name,
    kernel: kernel.name,
    seed,
    depth,
    maxSteps,
    complete,
    strategies,
  };
  const shortest = strategies
    .flatMap(({ meetings }) => meetings)
    .filter(({ kind }) => isFault(kind))
    .sort((a, b) => SEVERITY.indexOf(a.kind) - SEVERITY.indexOf(b.kind) || a.steps - b.steps)
    .at(0);
  return {
    ...report,
    faulty: shortest !== undefined,
    toJSON: () => report,
    toString: () =>
      [
        `${name} on ${kernel.name}, random walks, seed ${seed}${complete ? "" : ", interrupted"}`,
        ...strategies.map(lineOf),
        "These are shares of walks under each strategy, not of real runs; a walk that meets nothing proves nothing.",
        ...(shortest ? [`replay: ${shortest.replay}`] : []),
      ].join("\n"),
  };
}
