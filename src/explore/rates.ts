/**
 * How rare a fault is: a Markov chain on the graph of a search (chain.ts), and what follows from it.
 *
 * A cycle begins in the first state and ends in the fault, or at rest: the run is over. Cycles are independent of
 * each other. How many there are is one of two things (Clock):
 *
 * - one after the other, each beginning some time after the one before has come to rest. The mean time to the fault
 *   is then E[length of a cycle] / P(fault in a cycle) (renewal reward).
 * - so many at a time that a given number of pages is pinned on average. By Little's law (Oper. Res. 9, 1961) they
 *   begin at the rate number / E[time pinned in a cycle], and of each the same part ends in the fault.
 *
 * Three ways to these numbers, each a check of the others:
 *
 * - `solve`: from the equations, component by component of the graph, from the ends backward. No difference of two
 *   near numbers is ever taken: within a component, states are eliminated as Grassmann, Taksar and Heyman do it
 *   (Oper. Res. 33, 1985; O'Cinneide, Numer. Math. 65, 1993: every entry keeps its relative precision), so that a
 *   probability of 1e-20 has as many right digits as one of a half. A component in which that would take too long
 *   is swept again and again from 0 (Gauss-Seidel), which comes from below: what it gives is a lower bound, and is
 *   called so.
 * - `bruteForce` (lot.ts): cycles are made by lot and counted.
 * - `importanceSampling` (lot.ts): cycles are made by another lot, which prefers transitions that lead towards the
 *   fault, and are weighed by how much more likely that lot made them (Goyal, Shahabuddin, Heidelberger, Nicola,
 *   Glynn, IEEE Trans. Comput. 41, 1992, who estimate the two numbers apart, as is done here). What is near to the
 *   fault is read from the graph: -log of the probability of the likeliest way to it.
 */
import {
  type Chain,
  type Clock,
  type Cycle,
  checkRates,
  ENDS,
  FAULT,
  meanTimeToFault,
  type Rates,
} from "./chain.js";

export interface Solution extends Cycle {
  /** Whether every component was eliminated: if not, its numbers are lower bounds. */
  readonly exact: boolean;
  /** By how much, relatively, the last sweeps still changed a state's numbers; 0 when all is exact. */
  readonly change: number;
  /** States of the largest component that was not eliminated; 0 when all were. */
  readonly swept: number;
  /** Sweeps over components that were not eliminated. */
  readonly sweeps: number;
}

export interface SolveOptions {
  /** A component is eliminated when its circles can be cut at so many states. Default 128. */
  readonly mostCuts?: number;
  /** Sweeps over one component at most. Default 10000. */
  readonly mostSweeps?: number;
  /** Whether to find the mean length of a cycle; if not it is NaN, and the rest takes half as long. Default true. */
  readonly length?: boolean;
}

/** Sweeps end when they change nothing by more than this, relatively. */
const SETTLED = 1e-14;
/** Numbers that an elimination may keep: 64 MiB of them. */
const MOST_ROOM = 1 << 23;

/** By how much a number became another one, relatively. */
const grown = (from: number, to: number): number =>
  from === to ? 0 : to === Infinity ? 1 : Math.abs(to - from) / to;

/** Solves the equations of a chain for one set of rates. */
class Solver {
  /**
   * Of each state, the probability of the fault, the mean time to the end, and the mean time that pages are pinned
   * until then.
   */
  readonly fault: Float64Array;
  readonly time: Float64Array;
  readonly pinned: Float64Array;
  exact = true;
  change = 0;
  swept = 0;
  sweeps = 0;
  /** Place of a state among the cuts of its component; -1 for others. Only the present component's are set. */
  private readonly cut: Int32Array;

  constructor(
    private readonly chain: Chain,
    private readonly rates: Rates,
    private readonly options: Required<SolveOptions>,
  ) {
    this.fault = new Float64Array(chain.states);
    this.time = new Float64Array(chain.states);
    this.pinned = new Float64Array(chain.states);
    this.cut = new Int32Array(chain.states).fill(-1);
  }

  solve(): void {
    const { component, matters } = this.chain;
    const { length } = this.options;
    for (let each = 0; each + 1 < component.length; each++) {
      const [low, high] = [component[each], component[each + 1]];
      if (!length && matters[each] === 0) continue;
      if (high - low === 1) this.update(low);
      else this.solveComponent(low, high);
    }
  }

  /**
   * The equations of one state, with what is known of the others. Gives by how much its numbers became more,
   * relatively.
   */
  private update(state: number): number {
    if (!this.options.length) return this.updateWithoutLength(state);
    const { rates, fault, time, pinned } = this;
    const { first, to, kind, pins } = this.chain;
    let sum = 0;
    let faults = 0;
    let times = 1;
    let held = pins[state];
    for (let edge = first[state]; edge < first[state + 1]; edge++) {
      const rate = rates[kind[edge]];
      const target = to[edge];
      sum += rate;
      if (target < ENDS) {
        faults += rate * fault[target];
        times += rate * time[target];
        held += rate * pinned[target];
      } else if (target === FAULT) faults += rate;
    }
    // A state that nobody leaves: its time is 1/0.
    const newFault = sum === 0 ? 0 : faults / sum;
    const newTime = times / sum;
    const change = Math.max(grown(fault[state], newFault), grown(time[state], newTime));
    fault[state] = newFault;
    time[state] = newTime;
    pinned[state] = held === 0 ? 0 : held / sum;
    return change;
  }

  private updateWithoutLength(state: number): number {
    const { rates, fault, pinned } = this;
    const { first, to, kind, pins } = this.chain;
    let sum = 0;
    let faults = 0;
    let held = pins[state];
    for (let edge = first[state]; edge < first[state + 1]; edge++) {
      const rate = rates[kind[edge]];
      const target = to[edge];
      sum += rate;
      if (target < ENDS) {
        faults += rate * fault[target];
        held += rate * pinned[target];
      } else if (target === FAULT) faults += rate;
    }
    const newFault = sum === 0 ? 0 : faults / sum;
    const newPinned = held === 0 ? 0 : held / sum;
    const change = Math.max(grown(fault[state], newFault), grown(pinned[state], newPinned));
    fault[state] = newFault;
    pinned[state] = newPinned;
    return change;
  }

  private solveComponent(low: number, high: number): void {
    const { first, to, pins } = this.chain;
    const { time, pinned, cut } = this;
    const cuts: number[] = [];
    let leaves = false;
    let endless = false;
    let held = false;
    for (let state = low; state < high; state++) {
      for (let edge = first[state]; edge < first[state + 1]; edge++) {
        const target = to[edge];
        if (target >= high || target < low) {
          leaves = true;
          endless ||= target < low && time[target] === Infinity;
          held ||= target < low && pinned[target] === Infinity;
        } else if (target > state && cut[target] < 0) {
          cut[target] = 0;
          cuts.push(target);
        }
      }
    }
    if (!leaves) {
      endless = true;
      for (let state = low; state < high; state++) held ||= pins[state] > 0;
    } else if (cuts.length <= this.options.mostCuts && (high - low) * (cuts.length + COLUMNS) <= MOST_ROOM) {
      this.eliminate(low, high, cuts);
    } else {
      this.sweep(low, high);
    }
    // From each of its states each exit is reached, also one behind which no end is.
    if (endless) time.fill(Infinity, low, high);
    if (held) pinned.fill(Infinity, low, high);
    for (const state of cuts) cut[state] = -1;
  }

  /** Sweep over a component until nothing changes any more. */
  private sweep(low: number, high: number): void {
    let change = 1;
    let sweeps = 0;
    while (change > SETTLED && sweeps < this.options.mostSweeps) {
      change = 0;
      for (let state = low; state < high; state++) change = Math.max(change, this.update(state));
      sweeps++;
    }
    this.exact = false;
    this.change = Math.max(this.change, change);
    this.swept = Math.max(this.swept, high - low);
    this.sweeps += sweeps;
  }

  /**
   * Eliminate the states of a component. Cut at the states that are reached from smaller numbers, it has no
   * circles: every other state is then a mixture of cuts and exits, found in one go; what is left are equations
   * among the cuts.
   *
   * A row is a state's chances to meet each of the cuts first, then the chance to leave before, and the fault, the
   * time and the time pinned that it collects until then.
   */
  private eliminate(low: number, high: number, cuts: number[]): void {
    const { cut, fault, time, pinned } = this;
    const count = cuts.length;
    const width = count + COLUMNS;
    cuts
      .sort((a, b) => a - b)
      .forEach((state, at) => {
        cut[state] = at;
      });
    const rows = new Float64Array((high - low) * width);
    for (let state = low; state < high; state++) this.fillRow(state, low, high, rows, width);
    const reduced = new Float64Array(count * width);
    cuts.forEach((state, at) => {
      reduced.set(rows.subarray((state - low) * width, (state - low + 1) * width), at * width);
    });
    eliminateDense(reduced, count);
    for (let state = low; state < high; state++) {
      const row = cut[state] >= 0 ? cut[state] * width : (state - low) * width;
      if (cut[state] >= 0) {
        fault[state] = reduced[row + count + 1];
        time[state] = reduced[row + count + 2];
        pinned[state] = reduced[row + count + 3];
        continue;
      }
      let faults = rows[row + count + 1];
      let times = rows[row + count + 2];
      let held = rows[row + count + 3];
      for (let each = 0; each < count; each++) {
        faults += rows[row + each] * reduced[each * width + count + 1];
        times += rows[row + each] * reduced[each * width + count + 2];
        held += rows[row + each] * reduced[each * width + count + 3];
      }
      fault[state] = faults;
      time[state] = times;
      pinned[state] = held;
    }
  }

  private fillRow(state: number, low: number, high: number, rows: Float64Array, width: number): void {
    const { rates, fault, time, pinned, cut } = this;
    const { first, to, kind, pins } = this.chain;
    const row = (state - low) * width;
    const count = width - COLUMNS;
    let sum = 0;
    for (let edge = first[state]; edge < first[state + 1]; edge++) sum += rates[kind[edge]];
    rows[row + count + 2] = 1 / sum;
    rows[row + count + 3] = pins[state] / sum;
    for (let edge = first[state]; edge < first[state + 1]; edge++) {
      const chance = rates[kind[edge]] / sum;
      const target = to[edge];
      if (target >= low && target < high) {
        if (cut[target] >= 0) rows[row + cut[target]] += chance;
        else
          for (let at = 0, from = (target - low) * width; at < width; at++)
            rows[row + at] += chance * rows[from + at];
        continue;
      }
      rows[row + count] += chance;
      if (target === FAULT) rows[row + count + 1] += chance;
      else if (target < low) {
        rows[row + count + 1] += chance * fault[target];
        if (pinned[target] !== Infinity) rows[row + count + 3] += chance * pinned[target];
        // An exit without an end is dealt with by the caller.
        if (time[target] !== Infinity) rows[row + count + 2] += chance * time[target];
      }
    }
  }
}

/** Beside its chances among the cuts, a row has: the chance to leave, the fault, the time, the time pinned. */
const COLUMNS = 4;

/**
 * Solve x = A x + b for three columns b at once, where the rows of A and a column of exits add up to 1: without a
 * subtraction. The last three columns become x.
 *
 * @param rows `count` rows of count + COLUMNS numbers: A, the exits, and the three columns
 */
function eliminateDense(rows: Float64Array, count: number): void {
  const width = count + COLUMNS;
  for (let last = count - 1; last >= 0; last--) {
    const from = last * width;
    let stays = rows[from + count];
    for (let each = 0; each < last; each++) stays += rows[from + each];
    for (let each = 0; each < last; each++) rows[from + each] /= stays;
    for (let each = count; each < width; each++) rows[from + each] /= stays;
    for (let row = 0; row < last; row++) {
      const weight = rows[row * width + last];
      if (weight === 0) continue;
      for (let each = 0; each < last; each++) rows[row * width + each] += weight * rows[from + each];
      for (let each = count; each < width; each++) rows[row * width + each] += weight * rows[from + each];
    }
  }
  for (let row = 1; row < count; row++) {
    for (let each = 0; each < row; each++) {
      const weight = rows[row * width + each];
      for (let at = count + 1; at < width; at++) rows[row * width + at] += weight * rows[each * width + at];
    }
  }
}

/**
 * Solve a chain's equations.
 *
 * @param rates per second, for each kind of step
 * @throws Error when a rate is missing, or not positive
 */
export function solve(chain: Chain, rates: Rates, options: SolveOptions = {}): Solution {
  checkRates(chain, rates);
  const solver = new Solver(chain, rates, {
    mostCuts: 128,
    mostSweeps: 10_000,
    length: true,
    ...options,
  });
  solver.solve();
  const { exact, change, swept, sweeps } = solver;
  return {
    probability: solver.fault[chain.start],
    length_s: (options.length ?? true) ? solver.time[chain.start] : Number.NaN,
    pinned_s: solver.pinned[chain.start],
    exact,
    change,
    swept,
    sweeps,
  };
}

/** A step that is small against what changes, and large against the precision of `solve`: three digits are right. */
const NUDGE = 1e-6;

/**
 * How much the mean time to the fault depends on the mean time of each kind of step: d log MTTF / d log time, each
 * from two solutions nearby. 1: twice the time, twice the mean time to the fault. Together with the part of the
 * clock's restart they add up to 1, because time has no scale of its own.
 *
 * @param tie kinds that change together have the same number here; default each by itself
 */
export function sensitivities(
  chain: Chain,
  rates: Rates,
  clock: Clock,
  options: SolveOptions & {
    readonly tie?: readonly number[];
    /** The tied kind that the restart belongs to; default none. */
    readonly restart?: number;
    /** The solution with these rates, where it is known already. */
    readonly known?: Solution;
    /** Called before each solution; returning false ends it, and what is missing is NaN. */
    readonly progress?: () => boolean;
  } = {},
): Float64Array {
  const tie = options.tie ?? [...rates.keys()];
  const made = new Float64Array(Math.max(...tie) + 1).fill(Number.NaN);
  const length = "restart_s" in clock;
  const logarithm = (which: number, factor: number): number => {
    const nudged = rates.map((rate, kind) => (tie[kind] === which ? rate / factor : rate));
    const slower = length && options.restart === which ? { restart_s: clock.restart_s * factor } : clock;
    return Math.log(meanTimeToFault(solve(chain, nudged, { ...options, length }), slower));
  };
  const here = options.known ? Math.log(meanTimeToFault(options.known, clock)) : logarithm(-1, 1);
  for (const which of new Set(tie)) {
    if (!(options.progress?.() ?? true)) break;
    made[which] = (logarithm(which, 1 + NUDGE) - here) / Math.log1p(NUDGE);
  }
  return made;
}
