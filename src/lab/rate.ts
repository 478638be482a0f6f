/**
 * How rare a fault is: the mean time until a scenario meets it, from a graph of all that can happen and a time for
 * each kind of step.
 *
 * The article: "does it occur every day, week, or month?" The order of events is the kernel's; how long they take
 * is the machine's, and nobody measured it here: every time is synthetic, a parameter, exponentially distributed
 * around its mean. A run of the scenario begins at its start and ends when it is over (every process gone, all
 * written); after the think time the next one begins, as if nothing had been. Or runs go on side by side, each with
 * pages of its own and independent of the others, as many as it takes for a number of pages to be pinned at every
 * moment: a busy driver, whose next read does not wait for the writeback of the one before.
 *
 * The mathematics is in src/explore/chain.ts, rates.ts and lot.ts. What comes out is a property of the model and
 * the times given, not of a machine.
 */

import { type Chain, type Clock, chainOf, meanTimeToFault, type Rates } from "../explore/chain.js";
import { type Faults, shortestTo } from "../explore/graph.js";
import { bruteForce, distances, type Estimate, importanceSampling, likeliest } from "../explore/lot.js";
import { type Solution, sensitivities, solve } from "../explore/rates.js";
import { exploreTimed, type Timed } from "../explore/timed.js";
import { formatSchedule } from "../machine/schedule.js";
import { type Curve, chances, type Figure, meanTimes, type Region, tornado } from "../plot/index.js";
import type { FaultKind } from "../trace/recording.js";
import { kindFor, readKind } from "./danger.js";
import { formatDuration, readDuration, spelledTime } from "./durations.js";
import { type Bounds, completeBounds, refuseOrders } from "./graphs.js";
import { isFault, SEVERITY } from "./outcomes.js";
import type { KernelName } from "./own_patches.js";
import { columns, fill, threeDigits } from "./text.js";
import { open, type World } from "./world.js";

/** What steps take, by what their task sleeps for before them. */
interface Sleep {
  readonly help: string;
  /** Seconds. */
  readonly standard: number;
  /** What the paths call such a sleep. */
  readonly pauses: readonly string[];
}

/** The times that a machine has; each with the mean that it has unless somebody says another. */
export const TIMES = {
  step: { help: "an ordinary step of a processor", standard: 1e-6, pauses: [] },
  dma: {
    help: "a device's transfer: from its request until its bytes are there",
    standard: 1e-3,
    pauses: ["DMA latency", "GPU latency"],
  },
  disk: { help: "the disk's latency, for each page that it takes", standard: 1e-3, pauses: ["disk latency"] },
  kswapd: {
    help: "from one look of kswapd at the pages until the next: memory pressure",
    standard: 1,
    pauses: ["kswapd_try_to_sleep"],
  },
  flusher: {
    help: "from one writeback until the next (dirty_writeback_interval, 5 s)",
    standard: 5,
    pauses: ["wb_workfn"],
  },
  commit: {
    help: "from one commit of the journal until the next (JBD2_DEFAULT_MAX_COMMIT_AGE, 5 s)",
    standard: 5,
    pauses: ["commit interval"],
  },
  timeout: {
    help: "sleeps of the kernel that are a part of a second (HZ/10)",
    standard: 0.1,
    pauses: [
      "balance_dirty_pages",
      "congestion_wait",
      "msleep",
      "schedule_timeout",
      "schedule_timeout_killable",
    ],
  },
  io_timeout: {
    help: "until NVMe gives a request up (nvme_io_timeout, 30 s)",
    standard: 30,
    pauses: ["NVME_IO_TIMEOUT"],
  },
  think: {
    help: "what a process does in between, and from the end of a run until the next",
    standard: 1e-2,
    pauses: [],
  },
} as const satisfies Readonly<Record<string, Sleep>>;

export type TimeName = keyof typeof TIMES;

const NAMES = Object.keys(TIMES) as TimeName[];

/** The time that a sleep of this name takes; null is no sleep. */
const timeOf = (pause: string | null): TimeName =>
  pause === null
    ? "step"
    : (NAMES.find((name) => (TIMES[name].pauses as readonly string[]).includes(pause)) ?? "think");

export const METHODS = {
  exact: "from the equations, without a subtraction",
  brute: "runs by lot, counted",
  sampling: "runs by a lot that prefers what leads to the fault, weighed",
  all: "all three",
} as const;

export type Method = keyof typeof METHODS;

/** Means by name, in seconds or as a text such as "10ms". What is not named is as TIMES says. */
export type TimesGiven = { readonly [N in TimeName]?: number | string };

export interface RateOptions {
  readonly times?: TimesGiven;
  /** Pages that are pinned at every moment, on average; default: one run after the other. */
  readonly pinned?: number;
  /** Which kind of fault; default the worst that can be reached. */
  readonly kind?: string;
  /** Default exact. */
  readonly method?: Method;
  /** Runs by lot, for brute and sampling; default 100000. */
  readonly cycles?: number;
  /** For these; default 1. */
  readonly seed?: number;
  /**
   * Whether to find the likeliest way too, and (with exact) how much each time matters; default true. It takes
   * longer than the rest.
   */
  readonly explain?: boolean;
  /** Called before each part of the work, with its name; returning false ends it. */
  readonly doing?: (what: string) => boolean;
}

/** How much a time matters. */
export interface Sensitivity {
  readonly time: TimeName;
  readonly mean_s: number;
  /**
   * d log MTTF / d log time: 1 when twice the time makes it twice as rare, -3 when it makes it eight times as
   * frequent.
   */
  readonly exponent: number;
}

/** What `guplab rate --json` prints. Times are in seconds; what has no end is null. */
export interface RateReport {
  readonly scenario: string;
  readonly kernel: string;
  /** Null when nothing goes wrong. */
  readonly kind: FaultKind | null;
  readonly states: number;
  readonly transitions: number;
  /** The parameters, which nobody measured. */
  readonly synthetic: {
    readonly times_s: Readonly<Partial<Record<TimeName, number>>>;
    /** Null: one run after the other. */
    readonly pinned: number | null;
    readonly assumptions: string;
  };
  /**
   * "never": no run meets the fault. "endless": some runs end neither in it nor at rest, so there is no mean time.
   */
  readonly verdict: "rate" | "never" | "endless";
  readonly exact: {
    /**
     * If not, probability and times of a run are lower bounds, which the last sweeps changed by no more than
     * `change`, relatively.
     */
    readonly exact: boolean;
    readonly change: number;
    /** States of the largest component that was swept and not eliminated. */
    readonly swept: number;
    /** That a run ends in the fault. */
    readonly probability: number;
    /**
     * Mean length of a run (null also where pages are pinned and nothing is to be explained: it does not matter
     * then), and mean time that pages are pinned in it, added up over them.
     */
    readonly run_s: number | null;
    readonly pinned_s: number | null;
    /** Runs that begin a second. */
    readonly runsPerSecond: number;
    readonly meanTime_s: number | null;
  } | null;
  readonly bruteForce: EstimateReport | null;
  readonly sampling: EstimateReport | null;
  readonly sensitivities: readonly Sensitivity[] | null;
  /** The likeliest way to the fault, with how often it waits for what. */
  readonly way: {
    readonly replay: string;
    readonly probability: number;
    readonly waits: Readonly<Partial<Record<TimeName, number>>>;
  } | null;
  /** A shortest way to where a run goes on for ever; null when there is none. */
  readonly endless: string | null;
  /** The command that says all this again. */
  readonly again: string;
}

/** An estimate in JSON: 95 % confidence, null for no end. */
export interface EstimateReport extends Omit<Estimate, "high_s"> {
  readonly high_s: number | null;
}

export interface RateOf extends RateReport {
  /** The figure of the sensitivities. @throws Error with one sentence when there are none */
  tornado(): Figure;
  toJSON(): RateReport;
  toString(): string;
}

const ASSUMPTIONS = "exponential times, independent runs";

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);

/** Read means that somebody gave. @throws Error with one sentence */
function readTimes(
  given: TimesGiven,
  known: readonly TimeName[],
  scenario: string,
): Record<TimeName, number> {
  const times = Object.fromEntries(NAMES.map((name) => [name, TIMES[name].standard])) as Record<
    TimeName,
    number
  >;
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue;
    if (!NAMES.includes(name as TimeName))
      throw new Error(`there is no time "${name}"; there are ${NAMES.join(", ")}`);
    if (!known.includes(name as TimeName))
      throw new Error(`${scenario} has no time "${name}": what it waits for is ${known.join(", ")}`);
    times[name as TimeName] = typeof value === "number" ? value : readDuration(value);
    if (!(times[name as TimeName] > 0 && Number.isFinite(times[name as TimeName])))
      throw new Error(`the time ${name} is longer than nothing, in seconds, not ${value}`);
  }
  return times;
}

/** @throws Error with one sentence when it is no count */
function checkCount(name: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least || value > 1e9)
    throw new Error(`${name} is a whole number from ${least} to 1000000000, not ${value}`);
}

/** The curves of a figure: one time, or the pages pinned, along the axis, another from curve to curve. */
export interface CurveOptions extends Pick<RateOptions, "times" | "pinned" | "kind"> {
  readonly x: TimeName | "pinned";
  readonly values: readonly (number | string)[];
  /** Default: one curve. */
  readonly curves?: TimeName | "pinned";
  readonly of?: readonly (number | string)[];
  /** Default says what is drawn. */
  readonly title?: string;
}

/** A map of how likely the fault is within some time. */
export interface ChanceOptions extends Pick<RateOptions, "times" | "pinned" | "kind"> {
  /** The time along the axis to the right, and its values; each a fixed factor above the one before. */
  readonly x: TimeName;
  readonly xs: readonly (number | string)[];
  /** The time along the axis upwards. */
  readonly y: TimeName;
  readonly ys: readonly (number | string)[];
  /** Within which time: "1h". */
  readonly within: number | string;
  /** Parts of the map that somebody spoke of, in seconds. */
  readonly regions?: readonly Region[];
  /** Called before each place is solved; returning false ends it. */
  readonly doing?: (what: string) => boolean;
}

/** A scenario of which everything that can happen is known: each set of times is a question to it. */
export class RateModel {
  readonly scenario: string;
  readonly kernel: string;
  /** The times that matter here. */
  readonly times: readonly TimeName[];
  private readonly chains = new Map<FaultKind, Chain>();
  private readonly solutions = new Map<string, Solution>();

  /** @param kinds what each kind of step takes */
  constructor(
    private readonly world: World,
    private readonly timed: Timed,
    private readonly kinds: readonly TimeName[],
  ) {
    this.scenario = world.name;
    this.kernel = world.kernel.name;
    this.times = NAMES.filter((name) => kinds.includes(name) || name === "think");
  }

  get faults(): Faults {
    return this.timed.faults;
  }

  private chain(kind: FaultKind): Chain {
    const known = this.chains.get(kind);
    if (known) return known;
    const { graph, kind: kinds, rest, faults } = this.timed;
    const fault = faults.get(kind);
    if (!fault) throw new Error(`RateModel: no places of ${kind}`);
    if (fault.states[0] === 0) throw new Error(`${this.scenario} has ${kind} before its first step`);
    if (rest[0] === 1) throw new Error(`${this.scenario} is over before its first step`);
    const made = chainOf(graph, kinds, { fault, rest, pins: this.timed.counted });
    this.chains.set(kind, made);
    return made;
  }

  private kindFor(asked: string | undefined): FaultKind | null {
    const kind = asked === undefined ? undefined : readKind(asked);
    if (kind === undefined && !SEVERITY.some((each) => isFault(each) && this.faults.has(each))) return null;
    return kindFor(kind, [], this.faults);
  }

  private rates(times: Readonly<Record<TimeName, number>>): Rates {
    return Float64Array.from(this.kinds, (name) => 1 / times[name]);
  }

  /** Times and pages, as they stand beside every rate. */
  private tag(
    times: Readonly<Record<TimeName, number>>,
    pinned: number | undefined,
    without: readonly string[] = [],
  ): string {
    const shown = [
      ...this.times
        .filter((name) => !without.includes(name))
        .map((name) => `${name}=${formatDuration(times[name])}`),
      ...(without.includes("pinned")
        ? []
        : [pinned === undefined ? "one run after the other" : `pinned=${pinned}`]),
    ];
    return `synthetic: ${shown.join(" ")}`;
  }

  /** @throws Error with one sentence when pages are to be pinned and none is */
  private clock(times: Readonly<Record<TimeName, number>>, pinned: number | undefined): Clock {
    if (pinned === undefined) return { restart_s: times.think };
    checkCount("pinned", pinned, 1);
    if (!this.timed.counted.includes(1))
      throw new Error(`no page is ever pinned in ${this.scenario}: leave pinned out`);
    return { pinned };
  }

  /** The solution for these times; what was solved before is known. */
  private solutionFor(
    kind: FaultKind,
    chain: Chain,
    times: Readonly<Record<TimeName, number>>,
    length: boolean,
  ): Solution {
    const key = `${kind} ${JSON.stringify(times)}`;
    const known = this.solutions.get(key);
    if (known && (!length || !Number.isNaN(known.length_s))) return known;
    const solution = solve(chain, this.rates(times), { length });
    this.solutions.set(key, solution);
    return solution;
  }

  /**
   * How often the fault is met with these times.
   *
   * @throws Error with one sentence when an option does not fit, or `doing` ended it
   */
  rate(options: RateOptions = {}): RateOf {
    const { pinned, method = "exact", cycles = 100_000, seed = 1, doing = () => true } = options;
    const times = readTimes(options.times ?? {}, this.times, this.scenario);
    const clock = this.clock(times, pinned);
    checkCount("cycles", cycles, 1);
    checkCount("seed", seed, 0);
    if (!(method in METHODS))
      throw new Error(`there is no method "${method}"; there are ${Object.keys(METHODS).join(", ")}`);
    const kind = this.kindFor(options.kind);
    const tag = this.tag(times, pinned);
    const base = {
      scenario: this.scenario,
      kernel: this.kernel,
      kind,
      states: this.timed.graph.states,
      transitions: this.timed.graph.edges,
      synthetic: {
        times_s: Object.fromEntries(this.times.map((name) => [name, times[name]])),
        pinned: pinned ?? null,
        assumptions: ASSUMPTIONS,
      },
      again: this.again(options, times),
    };
    if (kind === null)
      return rateOf(
        {
          ...base,
          verdict: "never",
          exact: null,
          bruteForce: null,
          sampling: null,
          sensitivities: null,
          way: null,
          endless: null,
        },
        tag,
      );
    const chain = this.chain(kind);
    const rates = this.rates(times);
    const uses = (which: Method): boolean => method === which || method === "all";
    const endless = chain.stuck < this.timed.graph.states;
    if (endless && method !== "exact")
      throw new Error(
        `some runs of ${this.scenario} never end, so they cannot be made by lot: say method exact`,
      );
    let solution: Solution | null = null;
    if (uses("exact")) {
      if (!doing("solving")) throw new Error("nothing was solved: the answer was not waited for");
      solution = this.solutionFor(kind, chain, times, pinned === undefined || (options.explain ?? true));
    }
    const sample = { cycles, seed, clock };
    const progress = (what: string) => (made: number) => doing(`${what}: ${made} of ${cycles} runs`);
    const brute = uses("brute")
      ? bruteForce(chain, rates, { ...sample, progress: progress("brute force") })
      : null;
    const explain = options.explain ?? true;
    const distance = explain || uses("sampling") ? distances(chain, rates) : undefined;
    const weighed = uses("sampling")
      ? importanceSampling(chain, rates, {
          ...sample,
          distance,
          progress: progress("importance sampling"),
        })
      : null;
    let by: readonly Sensitivity[] | null = null;
    const meanTime = solution === null ? 0 : meanTimeToFault(solution, clock);
    if (solution !== null && meanTime < Infinity && explain)
      by = this.sensitivities(chain, times, clock, solution, doing);
    const way = explain && doing("the likeliest way") ? likeliest(chain, rates, distance) : null;
    return rateOf(
      {
        ...base,
        verdict: solution?.probability === 0 ? "never" : meanTime === Infinity ? "endless" : "rate",
        exact:
          solution === null
            ? null
            : {
                exact: solution.exact,
                change: solution.change,
                swept: solution.swept,
                probability: solution.probability,
                run_s: finite(solution.length_s),
                pinned_s: finite(solution.pinned_s),
                runsPerSecond: 1 / (solution.probability * meanTime),
                meanTime_s: finite(meanTime),
              },
        bruteForce: brute && estimateOf(brute),
        sampling: weighed && estimateOf(weighed),
        sensitivities: by,
        way:
          way === null
            ? null
            : {
                replay: this.replay(way.schedule),
                probability: way.probability,
                waits: this.waits(way.kinds),
              },
        endless: endless ? this.replay(shortestTo(this.timed.graph, chain.stuck)) : null,
      },
      tag,
    );
  }

  private replay(schedule: readonly number[]): string {
    return `${this.scenario}@${this.kernel}:${formatSchedule(schedule, this.world.letters)}`;
  }

  private waits(kinds: readonly number[]): Partial<Record<TimeName, number>> {
    const counts: Partial<Record<TimeName, number>> = {};
    for (const kind of kinds) {
      const name = this.kinds[kind];
      if (name !== "step") counts[name] = (counts[name] ?? 0) + 1;
    }
    return counts;
  }

  private sensitivities(
    chain: Chain,
    times: Readonly<Record<TimeName, number>>,
    clock: Clock,
    known: Solution,
    doing: (what: string) => boolean,
  ): Sensitivity[] | null {
    const tie = [...this.kinds.map((name) => this.times.indexOf(name)), this.times.indexOf("think")];
    const exponents = sensitivities(chain, this.rates(times), clock, {
      tie,
      restart: this.times.indexOf("think"),
      known,
      progress: () => doing("how much each time matters"),
    });
    if (exponents.some(Number.isNaN)) return null;
    return this.times
      .map((time, at) => ({ time, mean_s: times[time], exponent: exponents[at] }))
      .sort((a, b) => Math.abs(b.exponent) - Math.abs(a.exponent));
  }

  private again(options: RateOptions, times: Readonly<Record<TimeName, number>>): string {
    const { pinned, method = "exact", cycles, seed, kind } = options;
    const words = [
      "guplab rate",
      this.scenario,
      `-k ${this.kernel}`,
      ...this.times.map((name) => `--${name.replace("_", "-")} ${formatDuration(times[name])}`),
      ...(pinned === undefined ? [] : [`--pinned ${pinned}`]),
      ...(kind === undefined ? [] : [`--kind ${kind}`]),
      ...(method === "exact" ? [] : [`--method ${method}`]),
      ...(cycles === undefined ? [] : [`--cycles ${cycles}`]),
      ...(seed === undefined ? [] : [`--seed ${seed}`]),
    ];
    return words.join(" ");
  }

  /**
   * Curves of the mean time to the fault, with lines at a day, a week, a month and a year.
   *
   * @throws Error with one sentence when an option does not fit, or there is nothing to draw
   * @example rateModel("dio-write-race").curves({ x: "think", values: ["1s", "1h"], curves: "dma", of: ["1ms", "10ms"] }).kind // "rates"
   */
  curves(options: CurveOptions): Figure {
    const { x, values, curves, of = [undefined] } = options;
    const kind = this.kindFor(options.kind);
    if (kind === null) throw new Error(`nothing goes wrong in ${this.scenario}: there is no curve to draw`);
    if (values.length < 2) throw new Error("a curve needs two values or more");
    const chain = this.chain(kind);
    const base = readTimes(options.times ?? {}, this.times, this.scenario);
    const at = (set: Readonly<Partial<Record<string, number | string>>>): number => {
      const { pinned = options.pinned, ...given } = set;
      const times = readTimes({ ...options.times, ...given }, this.times, this.scenario);
      const clock = this.clock(times, pinned === undefined ? undefined : Number(pinned));
      return meanTimeToFault(this.solutionFor(kind, chain, times, "restart_s" in clock), clock);
    };
    const numberOf = (name: string, value: number | string): number =>
      name === "pinned" || typeof value === "number" ? Number(value) : readDuration(value);
    const drawn: Curve[] = of.map((value) => ({
      name:
        curves === undefined || value === undefined
          ? "mean time"
          : `${curves} ${textOf(curves, numberOf(curves, value))}`,
      points: values.map((each) => ({
        x: numberOf(x, each),
        y: at({ [x]: each, ...(curves === undefined || value === undefined ? {} : { [curves]: value }) }),
        label: textOf(x, numberOf(x, each)),
      })),
    }));
    const without = [x, ...(curves === undefined ? [] : [curves])];
    const tag = this.tag(base, options.pinned, without);
    return meanTimes({
      title: options.title ?? `Mean time to ${kind}`,
      subtitle: `${this.scenario} on ${this.kernel}; ${tag}`,
      x: x === "pinned" ? "pages pinned at a time" : `${x}: ${TIMES[x].help}`,
      curves: drawn,
      caption: `The mean time until ${this.scenario} on ${this.kernel} meets ${kind}, from the graph of every interleaving. ${tag}; ${ASSUMPTIONS}. Both axes are logarithmic.`,
    });
  }

  /**
   * A map of the probability to meet the fault within some time, over two times: one minus exp(-within / mean time), as runs are
   * independent and the fault is rare in each.
   *
   * @throws Error with one sentence when an option does not fit, there is nothing to draw, or `doing` ended it
   * @example rateModel("dio-write-race").chances({ x: "dma", xs: ["1ms", "10ms"], y: "think", ys: ["1s", "10s"], within: "1h" }).kind // "chances"
   */
  chances(options: ChanceOptions): Figure {
    const { x, xs, y, ys, within, pinned, regions = [], doing = () => true } = options;
    const kind = this.kindFor(options.kind);
    if (kind === null) throw new Error(`nothing goes wrong in ${this.scenario}: there is no map to draw`);
    const chain = this.chain(kind);
    const rows = ys.map((upwards) =>
      xs.map((right) => {
        const times = readTimes({ ...options.times, [x]: right, [y]: upwards }, this.times, this.scenario);
        const what = `${x} ${textOf(x, secondsOf(right))}, ${y} ${textOf(y, secondsOf(upwards))}`;
        if (!doing(what)) throw new Error("no map was made: it was not waited for");
        const clock = this.clock(times, pinned);
        const mean = meanTimeToFault(this.solutionFor(kind, chain, times, pinned === undefined), clock);
        // expm1: a probability of 1e-20 keeps its digits.
        return -Math.expm1(-secondsOf(within) / mean);
      }),
    );
    const base = readTimes(options.times ?? {}, this.times, this.scenario);
    const tag = this.tag(base, pinned, [x, y]);
    const axis = (name: TimeName, values: readonly (number | string)[]) => ({
      title: `${name}: ${TIMES[name].help}`,
      values: values.map(secondsOf),
      labels: values.map((value) => textOf(name, secondsOf(value))),
    });
    const span = formatDuration(secondsOf(within));
    return chances({
      title: `Probability of ${kind} within ${span}`,
      subtitle: `${this.scenario} on ${this.kernel}; ${tag}`,
      x: axis(x, xs),
      y: axis(y, ys),
      rows,
      regions,
      caption: `How likely it is that ${this.scenario} on ${this.kernel} meets ${kind} within ${span}, from the graph of every interleaving. ${tag}; ${ASSUMPTIONS}. A class begins with the probability that it is named after. Both axes are logarithmic.`,
    });
  }
}

const secondsOf = (value: number | string): number =>
  typeof value === "number" ? value : readDuration(value);

const textOf = (name: string, value: number): string =>
  name === "pinned" ? String(value) : formatDuration(value);

const estimateOf = (made: Estimate): EstimateReport => ({ ...made, high_s: finite(made.high_s) });

/** "14 years (4.42e+8 s)". */
const long = (seconds: number | null): string =>
  seconds === null ? "for ever" : `${spelledTime(seconds)} (${threeDigits(seconds)} s)`;

function estimateLine(name: string, kind: string, made: EstimateReport, tag: string): string {
  const { faults, cycles, meanTime_s, low_s, high_s } = made;
  if (meanTime_s === null)
    return faults === 0 && cycles > 0
      ? `${name}: no ${kind} in ${cycles} runs; with 95 % confidence the mean time is more than ${long(low_s)} (rule of three) [${tag}]`
      : `${name}: no run was made [${tag}]`;
  const hits = name === "brute force" ? `${faults} of ${cycles} runs` : `${cycles} weighed runs`;
  return `${name}: ${long(meanTime_s)}, with 95 % confidence from ${long(low_s)} to ${long(high_s)}, by ${hits} [${tag}]`;
}

function exactLines({ kind, exact, verdict, endless }: RateReport, tag: string): string[] {
  if (exact === null) return [];
  const { probability, run_s, pinned_s, runsPerSecond, meanTime_s } = exact;
  const share = `a run ends in ${kind} with probability ${threeDigits(probability)} [${tag}]`;
  if (verdict === "endless" || meanTime_s === null)
    return [
      `There is no mean time to ${kind}: a run can come to where it goes on for ever, and meets neither ${kind} nor its end: ${endless}`,
      share,
    ];
  const how = exact.exact
    ? "exact: states were eliminated without a subtraction, so every digit shown is right"
    : `the probability and the times of a run are lower bounds: parts of the graph of up to ${exact.swept} states were approached from below; the last sweep changed nothing by more than ${threeDigits(exact.change)} of itself`;
  const short = (seconds: number | null): string =>
    seconds === null ? "for ever" : seconds === 0 ? "never" : formatDuration(Number(seconds.toPrecision(3)));
  return [
    `mean time to ${kind}: ${long(meanTime_s)} [${tag}]`,
    `  ${how}`,
    `  ${share}`,
    `  ${run_s === null && endless === null ? "" : `a run takes ${short(run_s)}, `}a page is pinned ${short(pinned_s)} in it, and ${threeDigits(runsPerSecond)} runs begin a second [${tag}]`,
  ];
}

/** Columns of a page of code. What is longer goes on under it, so that the times stand beside each rate and can be read. */
const LINE = 100;

/** A text whose long lines go on below, further in. */
const wrapped = (text: string): string =>
  text
    .split("\n")
    .map((line) => {
      if (line.length <= LINE || /^(replay|again):/.test(line)) return line;
      const indent = /^ */.exec(line)?.[0] ?? "";
      return fill(line.trim(), LINE - indent.length - 4)
        .map((part, at) => `${indent}${at === 0 ? "" : "    "}${part}`)
        .join("\n");
    })
    .join("\n");

function textOfReport(report: RateReport, tag: string): string {
  const { kind, way, sensitivities: by, bruteForce: brute, sampling } = report;
  const head = [
    `${report.scenario} on ${report.kernel}: how often ${kind ?? "a fault"}`,
    `bound: every interleaving, ${report.states} states, ${report.transitions} transitions`,
  ];
  if (kind === null || report.verdict === "never")
    return [
      ...head,
      `never: every interleaving was visited, and none has ${kind ?? "a fault"} [${tag}]`,
    ].join("\n");
  return [
    ...head,
    ...exactLines(report, tag),
    ...(brute ? [estimateLine("brute force", kind, brute, tag)] : []),
    ...(sampling ? [estimateLine("importance sampling", kind, sampling, tag)] : []),
    ...(way === null
      ? []
      : [
          "",
          `The likeliest way waits for: ${waitsText(way.waits)}. A run goes exactly it with probability ${threeDigits(way.probability)} [${tag}]`,
          `replay: ${way.replay}`,
        ]),
    ...(by === null
      ? []
      : [
          "",
          `How much each time matters: the mean time to ${kind} goes with this power of it [${tag}]`,
          columns(
            [
              ["  time", "mean", "power", ""],
              ...by.map(({ time, mean_s, exponent }) => [
                `  ${time}`,
                formatDuration(mean_s),
                signed(exponent),
                TIMES[time].help,
              ]),
            ],
            [1, 2],
          ),
        ]),
    "",
    `again: ${report.again}`,
  ].join("\n");
}

/** Two decimals; never "-0.00". */
const signed = (value: number): string => (Math.abs(value) < 0.005 ? "0.00" : value.toFixed(2));

const waitsText = (waits: Readonly<Partial<Record<TimeName, number>>>): string =>
  Object.entries(waits)
    .map(([name, count]) => (count === 1 ? name : `${name} ${count} times`))
    .join(", ") || "nothing";

function rateOf(report: RateReport, tag: string): RateOf {
  return {
    ...report,
    tornado: () => {
      const { sensitivities: by, kind, exact } = report;
      if (by === null || exact?.meanTime_s == null)
        throw new Error("there is no tornado without the sensitivities of an exact mean time");
      return tornado({
        title: `What the mean time to ${kind} depends on`,
        subtitle: `${report.scenario} on ${report.kernel}; ${tag}`,
        bars: by.map(({ time, mean_s, exponent }) => ({
          name: `${time} ${formatDuration(mean_s)}`,
          value: exponent,
        })),
        caption: `The power with which the mean time to ${kind} (here ${long(exact.meanTime_s)}) goes with each time, d log MTTF / d log time: at 1 twice the time makes it twice as rare, at -3 eight times as frequent. ${tag}; ${ASSUMPTIONS}.`,
      });
    },
    toJSON: () => report,
    toString: () => wrapped(textOfReport(report, `${tag}; ${ASSUMPTIONS}`)),
  };
}

export interface RateModelOptions extends Bounds {
  /** Name of a kernel; default v4.20. */
  readonly kernel?: KernelName;
}

/**
 * Search a scenario once, so that many times can be tried on it.
 *
 * @param scenario name, with parameters after commas
 * @throws Error with one sentence when a name does not fit, the scenario waits for orders, or not every state was
 *   seen
 * @example rateModel("dio-write-race").rate({ times: { dma: "10ms" } }).kind // "TORN"
 */
export function rateModel(scenario: string, options: RateModelOptions = {}): RateModel {
  const world = open(scenario, { kernel: options.kernel, record: false });
  refuseOrders(world);
  const { machine } = world;
  const kinds: TimeName[] = ["step"];
  const kindOf = (task: number): number => {
    const name = timeOf(machine.finished(task) ? null : machine.at(task).pause);
    if (!kinds.includes(name)) kinds.push(name);
    return kinds.indexOf(name);
  };
  const pins = machine.memory
    .cells()
    .flatMap(({ struct, field }, cell) => (struct.name === "page" && field === "pins" ? [cell] : []));
  const timed = exploreTimed(world.faces, completeBounds(options), kindOf, pins);
  if (timed.graph.expanded < timed.graph.states || !timed.result.complete)
    throw new Error(
      `rates need every state, and the search of ${world.name} ended at ${timed.result.states} with states left to expand`,
    );
  return new RateModel(world, timed, kinds);
}

/**
 * How often a scenario meets a fault: the mean time to it, with times that are given. Synthetic: see this file's
 * head.
 *
 * @param scenario name, with parameters after commas
 * @throws Error with one sentence when something does not fit
 * @example rate("dio-write-race", { times: { dma: "10ms", think: "1s" } }).exact!.exact // true
 */
export function rate(scenario: string, options: RateModelOptions & RateOptions = {}): RateOf {
  // What is wrong with the times is said before the search.
  for (const [name, value] of Object.entries(options.times ?? {})) {
    if (!NAMES.includes(name as TimeName))
      throw new Error(`there is no time "${name}"; there are ${NAMES.join(", ")}`);
    if (typeof value === "string") readDuration(value);
  }
  if (options.kind !== undefined) readKind(options.kind);
  return rateModel(scenario, options).rate(options);
}
