/**
 * Cycles of a chain by lot: counted (brute force), or drawn by a lot that prefers what leads to the fault and
 * weighed (importance sampling). Both check what rates.ts solves, and each other.
 */
import { Random } from "../machine/random.js";
import { type Chain, type Clock, checkRates, costOf, ENDS, FAULT, type Rates, REST } from "./chain.js";
import { NOWHERE } from "./graph.js";

/** An estimate with an interval that holds the true value 19 times out of 20. */
export interface Estimate {
  /** Seconds; null when no cycle met the fault. */
  readonly meanTime_s: number | null;
  /** Seconds. Without a fault, `high` is Infinity and `low` is what the rule of three says. */
  readonly low_s: number;
  readonly high_s: number;
  /** Estimated probability of the fault in a cycle. */
  readonly probability: number;
  /** Cycles that were made, and those of them that ended in the fault. */
  readonly cycles: number;
  readonly faults: number;
  /** Transitions that were made. */
  readonly jumps: number;
}

export interface SampleOptions {
  readonly cycles: number;
  readonly seed: number;
  readonly clock: Clock;
  /** Called now and then; returning false ends the sampling: what was made so far counts. */
  readonly progress?: (cycles: number) => boolean;
}

/** Two-sided 95 % of the normal distribution. */
const Z = 1.959964;
/** Cycles between two calls of `progress`. */
const OFTEN = 0x3ff;

/** Mean and variance of numbers that come one after the other (Welford, Technometrics 4, 1962). */
class Moments {
  count = 0;
  mean = 0;
  private squares = 0;

  add(value: number): void {
    this.count++;
    const by = value - this.mean;
    this.mean += by / this.count;
    this.squares += by * (value - this.mean);
  }

  /** Variance of the mean, relative to its square. */
  get relative(): number {
    if (this.count < 2 || this.mean === 0) return Infinity;
    return this.squares / (this.count - 1) / this.count / this.mean ** 2;
  }
}

/** Makes cycles with the chain's own chances. */
class Lot {
  readonly random: Random;
  jumps = 0;

  constructor(
    private readonly chain: Chain,
    private readonly rates: Rates,
    seed: number,
  ) {
    this.random = new Random(seed);
  }

  /** One cycle: how long it was and how long pages were pinned, in seconds, and whether it ended in the fault. */
  cycle(): { length_s: number; pinned_s: number; faulty: boolean } {
    const { rates, random } = this;
    const { first, to, kind, pins, start } = this.chain;
    let length_s = 0;
    let pinned_s = 0;
    let state = start;
    while (state < ENDS) {
      let sum = 0;
      for (let edge = first[state]; edge < first[state + 1]; edge++) sum += rates[kind[edge]];
      const stays = -Math.log(1 - random.unit()) / sum;
      length_s += stays;
      pinned_s += pins[state] * stays;
      let left = random.unit() * sum;
      let edge = first[state];
      for (; edge < first[state + 1] - 1; edge++) {
        left -= rates[kind[edge]];
        if (left < 0) break;
      }
      state = to[edge];
      this.jumps++;
    }
    return { length_s, pinned_s, faulty: state === FAULT };
  }
}

/** @throws Error when a cycle can go on for ever: making one might never end */
function checkEnds({ stuck }: Chain): void {
  if (stuck !== NOWHERE) throw new Error("cycles that never end cannot be made by lot");
}

/** Bounds of a ratio from how far its parts may be off, each as the logarithm of a factor. */
const apart = (...parts: readonly number[]): number => Math.exp(Math.hypot(...parts));

/**
 * Wilson's interval for the probability of something that happened in `hits` of `trials`: it holds its level also
 * where hits are few (Wilson, J. Am. Stat. Assoc. 22, 1927). With no hit its upper end is near the rule of three, 3
 * / trials.
 *
 * @example wilson(0, 1000)[1] < 0.004
 */
export function wilson(hits: number, trials: number): [low: number, high: number] {
  if (trials === 0) return [0, 1];
  const share = hits / trials;
  const spread = Z * Math.sqrt((share * (1 - share)) / trials + Z ** 2 / (4 * trials ** 2));
  const middle = share + Z ** 2 / (2 * trials);
  const scale = 1 + Z ** 2 / trials;
  return [Math.max(0, (middle - spread) / scale), Math.min(1, (middle + spread) / scale)];
}

/**
 * Make cycles by lot, and count. The interval joins Wilson's for the share of cycles that end in the fault with the
 * normal one for their mean length. No fault in n cycles: with 95 % confidence the fault is in fewer than 3 of n
 * (rule of three).
 *
 * @throws Error when a cycle can go on for ever
 */
export function bruteForce(chain: Chain, rates: Rates, options: SampleOptions): Estimate {
  checkRates(chain, rates);
  checkEnds(chain);
  const { clock, progress = () => true } = options;
  const lot = new Lot(chain, rates, options.seed);
  const lengths = new Moments();
  let faults = 0;
  while (lengths.count < options.cycles) {
    if ((lengths.count & OFTEN) === 0 && !progress(lengths.count)) break;
    const cycle = lot.cycle();
    if (cycle.faulty) faults++;
    lengths.add(costOf(clock, cycle, cycle.faulty ? 0 : 1));
  }
  const { count: cycles, mean } = lengths;
  const { jumps } = lot;
  const made = { cycles, faults, jumps, probability: cycles === 0 ? 0 : faults / cycles };
  if (faults === 0) return { ...made, meanTime_s: null, low_s: (mean * cycles) / 3, high_s: Infinity };
  const [low, high] = wilson(faults, cycles);
  const length = Z * Math.sqrt(lengths.relative);
  const meanTime_s = mean / made.probability;
  return {
    ...made,
    meanTime_s,
    low_s: meanTime_s / apart(Math.log(high / made.probability), length),
    high_s: meanTime_s * apart(Math.log(made.probability / low), length),
  };
}

/** A heap of states, the one with the smallest key first. */
class Heap {
  private readonly states: number[] = [];
  private readonly keys: number[] = [];

  get empty(): boolean {
    return this.states.length === 0;
  }

  push(state: number, key: number): void {
    const { states, keys } = this;
    let at = states.length;
    states.push(state);
    keys.push(key);
    while (at > 0) {
      const above = (at - 1) >>> 1;
      if (keys[above] <= key) break;
      states[at] = states[above];
      keys[at] = keys[above];
      at = above;
    }
    states[at] = state;
    keys[at] = key;
  }

  pop(): { state: number; key: number } {
    const { states, keys } = this;
    const top = { state: states[0], key: keys[0] };
    const state = states.pop() as number;
    const key = keys.pop() as number;
    const { length } = states;
    if (length === 0) return top;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= length) break;
      if (below + 1 < length && keys[below + 1] < keys[below]) below++;
      if (keys[below] >= key) break;
      states[at] = states[below];
      keys[at] = keys[below];
      at = below;
    }
    states[at] = state;
    keys[at] = key;
    return top;
  }
}

/**
 * How far each state is from the fault: -log of the probability of the likeliest way to it (Dijkstra, backward).
 * Infinity where no way leads.
 */
export function distances(chain: Chain, rates: Rates): Float64Array {
  const { states, first, to, kind } = chain;
  const total = new Float64Array(states);
  const into = new Uint32Array(states + 1);
  for (let state = 0; state < states; state++) {
    for (let edge = first[state]; edge < first[state + 1]; edge++) {
      total[state] += rates[kind[edge]];
      if (to[edge] < ENDS) into[to[edge] + 1]++;
    }
  }
  for (let state = 0; state < states; state++) into[state + 1] += into[state];
  const place = into.slice(0, states);
  const from = new Uint32Array(into[states]);
  const by = new Uint8Array(into[states]);
  const distance = new Float64Array(states).fill(Infinity);
  const heap = new Heap();
  const offer = (state: number, way: number): void => {
    if (way >= distance[state]) return;
    distance[state] = way;
    heap.push(state, way);
  };
  for (let state = 0; state < states; state++) {
    let faults = 0;
    for (let edge = first[state]; edge < first[state + 1]; edge++) {
      if (to[edge] === FAULT) faults += rates[kind[edge]];
      if (to[edge] >= ENDS) continue;
      const at = place[to[edge]]++;
      from[at] = state;
      by[at] = kind[edge];
    }
    if (faults > 0) offer(state, -Math.log(faults / total[state]));
  }
  while (!heap.empty) {
    const { state, key } = heap.pop();
    if (key > distance[state]) continue;
    for (let at = into[state]; at < into[state + 1]; at++)
      offer(from[at], key - Math.log(rates[by[at]] / total[from[at]]));
  }
  return distance;
}

/** A way through a chain. */
export interface Way {
  /** Whose step comes after whose. */
  readonly schedule: readonly number[];
  /** The kinds of its steps. */
  readonly kinds: readonly number[];
  /** The part of all cycles that go exactly this way. */
  readonly probability: number;
}

/** The likeliest way to the fault; null when no way leads to it. */
export function likeliest(chain: Chain, rates: Rates, distance = distances(chain, rates)): Way | null {
  const { first, to, kind, task, start } = chain;
  if (distance[start] === Infinity) return null;
  const schedule: number[] = [];
  const kinds: number[] = [];
  for (let state = start; state !== FAULT; ) {
    let best = -1;
    let least = Infinity;
    for (let edge = first[state]; edge < first[state + 1]; edge++) {
      if (to[edge] === REST) continue;
      const way = (to[edge] === FAULT ? 0 : distance[to[edge]]) - Math.log(rates[kind[edge]]);
      if (way < least) {
        least = way;
        best = edge;
      }
    }
    schedule.push(task[best]);
    kinds.push(kind[best]);
    state = to[best];
  }
  return { schedule, kinds, probability: Math.exp(-distance[start]) };
}

export interface ImportanceOptions extends SampleOptions {
  /**
   * How much the lot prefers what is near to the fault: 0 not at all, 1 as much as is known of the way. Default
   * 0.8.
   */
  readonly bias?: number;
  /**
   * Cycles with the chain's own chances, for the mean length of a cycle; default a tenth of the others, but 1000 at
   * least.
   */
  readonly plainCycles?: number;
  /** What `distances` says, where it is known already. */
  readonly distance?: Float64Array;
}

/**
 * Make cycles by a lot that prefers what leads to the fault, each weighed by its likelihood. A transition is taken
 * with a chance in proportion to p e^(-bias d), where p is its own and d its target's distance from the fault;
 * rest, and states from which the fault is not reached, are never taken, and cost nothing to leave out: no cycle
 * through them counts. The mean length of a cycle, which is nothing rare, is estimated from cycles of the chain's
 * own chances. The interval is normal, for the logarithm.
 *
 * @throws Error when a cycle can go on for ever
 */
export function importanceSampling(chain: Chain, rates: Rates, options: ImportanceOptions): Estimate {
  checkRates(chain, rates);
  checkEnds(chain);
  const { first, to, kind, start } = chain;
  const { cycles, seed, clock, bias = 0.8, progress = () => true } = options;
  const { plainCycles = Math.max(1000, Math.round(cycles / 10)) } = options;
  const lot = new Lot(chain, rates, seed);
  const lengths = new Moments();
  while (lengths.count < plainCycles) {
    if ((lengths.count & OFTEN) === 0 && !progress(0)) break;
    const cycle = lot.cycle();
    lengths.add(costOf(clock, cycle, cycle.faulty ? 0 : 1));
  }
  const { distance = distances(chain, rates) } = options;
  const pull = distance.map((each) => Math.exp(-bias * each));
  const weights = new Moments();
  let faults = 0;
  let jumps = 0;
  while (pull[start] > 0 && weights.count < cycles) {
    if ((weights.count & OFTEN) === 0 && !progress(weights.count)) break;
    let logarithm = 0;
    let state = start;
    while (state < ENDS) {
      let own = 0;
      let sum = 0;
      for (let edge = first[state]; edge < first[state + 1]; edge++) {
        const rate = rates[kind[edge]];
        const target = to[edge];
        own += rate;
        if (target < ENDS) sum += rate * pull[target];
        else if (target === FAULT) sum += rate;
      }
      let left = lot.random.unit() * sum;
      let chosen = 0;
      let pulled = 1;
      for (let edge = first[state]; edge < first[state + 1]; edge++) {
        const target = to[edge];
        const by = target === FAULT ? 1 : target === REST ? 0 : pull[target];
        if (by === 0) continue;
        chosen = edge;
        pulled = by;
        left -= rates[kind[edge]] * by;
        if (left < 0) break;
      }
      logarithm += Math.log(sum / own / pulled);
      state = to[chosen];
      jumps++;
    }
    faults++;
    weights.add(Math.exp(logarithm));
  }
  const made = { cycles: weights.count, faults, jumps: jumps + lot.jumps, probability: weights.mean };
  const { mean } = lengths;
  if (faults === 0)
    return { ...made, meanTime_s: null, low_s: pull[start] > 0 ? 0 : Infinity, high_s: Infinity };
  const meanTime_s = mean / weights.mean;
  const factor = apart(Z * Math.sqrt(weights.relative), Z * Math.sqrt(lengths.relative));
  return { ...made, meanTime_s, low_s: meanTime_s / factor, high_s: meanTime_s * factor };
}
