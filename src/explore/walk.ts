/**
 * Random walks, for machines with too many states to see them all.
 *
 * How often a rare order is met depends on the strategy:
 *
 * - uniform: any task that can move, each step anew: one task hardly ever runs long.
 * - sticky: goes on with the task that moved last nine times out of ten, as a processor does.
 * - pct: each task has a priority, the highest that can move moves, and at a few steps chosen at random the one that moves becomes
 *   the lowest (Burckhardt, Kothari, Musuvathi, Nagarakatte, "A randomized scheduler with probabilistic guarantees of finding
 *   bugs", ASPLOS 2010). Its bound is for tasks that end; a daemon that sleeps between its rounds would keep everybody else away for
 *   ever, so whoever comes to a sleep steps back behind all others.
 *
 * A walk that meets nothing proves nothing: what is reported is how often something was met in how many walks.
 */
import { Random } from "../machine/random.js";
import type { FaultKind } from "../trace/recording.js";
import { Engine, type Faces, MOVED, WAITS_FOR_LOCK } from "./engine.js";
import type { Witness } from "./search.js";

export const STRATEGIES = {
  pct: "priorities that change at a few random steps",
  sticky: "goes on with the same task nine times out of ten",
  uniform: "any task that can move",
} as const;

export type Strategy = keyof typeof STRATEGIES;

export interface WalkOptions {
  readonly walks: number;
  readonly seed: number;
  readonly strategy: Strategy;
  /** For pct: one more than the number of steps at which priorities change. */
  readonly depth: number;
  /** A walk ends after this many steps, unless the machine comes to rest before. */
  readonly maxSteps: number;
  /** Called now and then; returning false ends it. */
  readonly progress: (seen: { walks: number; steps: number; met: number }) => boolean;
}

/** How often a kind of fault was met. */
export interface Meeting extends Witness {
  /** Walks that met it. The schedule is that of the shortest one. */
  readonly walks: number;
  /** Number of the first walk that met it, from 1 on. */
  readonly first: number;
}

export interface WalkResult {
  /** Walks that were made. */
  readonly walks: number;
  readonly steps: number;
  /** Walks that were cut off after `maxSteps`. */
  readonly cut: number;
  readonly meetings: readonly Meeting[];
}

const STICKY = 0.9;
const NOBODY = -1;

/** Chooses who moves. */
interface Chooser {
  /** @param last who moved last, or -1 */
  choose(enabled: readonly number[], last: number, step: number): number;
  /** A task has come to a sleep. */
  pausing(task: number): void;
}

class Priorities implements Chooser {
  private readonly priority: number[];
  private readonly changes: ReadonlySet<number>;
  private lowest = 0;

  constructor(random: Random, tasks: number, depth: number, length: number) {
    this.priority = Array.from({ length: tasks }, () => 1 + random.unit());
    this.changes = new Set(Array.from({ length: depth - 1 }, () => random.below(length)));
  }

  choose(enabled: readonly number[], _last: number, step: number): number {
    const { priority } = this;
    let best = enabled[0];
    for (const task of enabled) if (priority[task] > priority[best]) best = task;
    if (this.changes.has(step)) this.pausing(best);
    return best;
  }

  pausing(task: number): void {
    this.priority[task] = --this.lowest;
  }
}

const sticky = (random: Random, stay: number): Chooser => ({
  choose: (enabled, last) =>
    stay > 0 && enabled.includes(last) && random.unit() < stay ? last : enabled[random.below(enabled.length)],
  pausing: () => {},
});

/** Walk through a machine at random, always from the state that its cells hold. The cells are left as they were. */
export function walk(faces: Faces, options: WalkOptions): WalkResult {
  const { cells } = faces(null);
  const before = cells.map(({ column, row }) => column[row]);
  try {
    return new Walker(faces, options).go();
  } finally {
    cells.forEach(({ column, row }, at) => {
      column[row] = before[at];
    });
  }
}

class Walker {
  private readonly engine: Engine;
  private readonly meetings = new Map<FaultKind, Meeting>();
  private schedule: number[] = [];
  private met = new Set<FaultKind>();
  /** How long walks are: pct spreads its changes over as many steps. */
  private length = 100;

  constructor(
    faces: Faces,
    private readonly options: WalkOptions,
  ) {
    this.engine = new Engine(faces);
  }

  private chooser(random: Random): Chooser {
    const { strategy, depth } = this.options;
    if (strategy === "pct") return new Priorities(random, this.engine.tasks, depth, this.length);
    return sticky(random, strategy === "sticky" ? STICKY : 0);
  }

  private readonly report = (kinds: readonly FaultKind[], walkNr: number): void => {
    for (const kind of kinds) {
      if (this.met.has(kind)) continue;
      this.met.add(kind);
      const known = this.meetings.get(kind);
      const schedule =
        known && known.schedule.length <= this.schedule.length ? known.schedule : [...this.schedule];
      this.meetings.set(kind, {
        kind,
        schedule,
        walks: (known?.walks ?? 0) + 1,
        first: known?.first ?? walkNr,
      });
    }
  };

  /** One walk; gives whether it came to rest. */
  private one(nr: number): boolean {
    const { engine, options } = this;
    const { tasks, learned } = engine;
    const chooser = this.chooser(new Random(Math.imul(options.seed, 0x9e3779b1) + nr));
    engine.current.fill(0);
    this.schedule = [];
    this.met = new Set();
    const state = (kinds: readonly FaultKind[]): void => this.report(kinds, nr);
    const enabled: number[] = [];
    let last = NOBODY;
    for (;;) {
      enabled.length = 0;
      let waiting = 0;
      for (let task = 0; task < tasks; task++) {
        const leaf = engine.leafOf(task);
        const answer = leaf >= 0 ? learned.answer(leaf) : engine.run(task);
        if (answer >= MOVED) enabled.push(task);
        else if (answer === WAITS_FOR_LOCK) waiting++;
      }
      engine.judge(enabled.length, waiting, state);
      if (enabled.length === 0 || engine.isOver()) return true;
      if (this.schedule.length === options.maxSteps) return false;
      const task = chooser.choose(enabled, last, this.schedule.length);
      // Another task's step may have run after this one's, where it was not learned.
      const leaf = engine.leafOf(task);
      const answer = leaf >= 0 ? learned.answer(leaf) : engine.run(task);
      this.schedule.push(task);
      if (answer > MOVED) state(engine.faultsOf(answer));
      engine.apply(leaf, engine.current, 0);
      last = task;
      if (engine.isPaused(task)) chooser.pausing(task);
    }
  }

  go(): WalkResult {
    const { options } = this;
    let walks = 0;
    let steps = 0;
    let cut = 0;
    while (walks < options.walks) {
      if ((walks & 0xff) === 0 && !options.progress({ walks, steps, met: this.meetings.size })) break;
      walks++;
      if (!this.one(walks)) cut++;
      steps += this.schedule.length;
      this.length = Math.max(1, Math.round(steps / walks));
    }
    return { walks, steps, cut, meetings: [...this.meetings.values()] };
  }
}
