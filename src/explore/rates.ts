/**
 * How rare a fault is: a continuous-time Markov chain on the graph of a search.
 *
 * Every transition has a rate, which depends on its kind alone: what the task that makes it sleeps for before its step (its DMA, its
 * period), or nothing, where it is an ordinary step of a processor. A task that is blocked has no transition, so its rate is 0 while it is. All
 * times are exponential, which is an assumption about the world and no property of it.
 *
 * A cycle begins in the first state and ends in the fault, or at rest: the run is over, and after some time the next one begins. Cycles
 * are independent, so the mean time to the fault is E[length of a cycle] / P(fault in a cycle) (renewal reward), where a cycle that
 * comes to rest is longer by the time until the next one begins.
 *
 * Three ways to these two numbers, each a check of the others:
 *
 * - `solve`: from the equations, component by component of the graph, from the ends backward. No difference of
 *   two near numbers is ever taken: within a component, states are eliminated as Grassmann, Taksar and Heyman do it (Oper. Res. 33, 1985; O'Cinneide,
 *   Numer. Math. 65, 1993: every entry keeps its relative precision), so a probability of 1e-20 has as many right digits as one of a half. A
 *   component in which that would take too long is swept again and again from 0 (Gauss-Seidel), which comes from below: what it
 *   gives is a lower bound, and is called so.
 * - `bruteForce`: cycles are made by lot and counted.
 * - `importanceSampling`: cycles are made by another lot, which prefers transitions that lead towards the fault, and are weighed by how much more likely
 *   that lot made them (Goyal, Shahabuddin, Heidelberger, Nicola, Glynn, IEEE Trans. Comput. 41, 1992, who estimate the two numbers apart, as is
 *   done here). What is near to the fault is read from the graph: -log of the probability of the likeliest way to it.
 */
import { Random } from "../machine/random.js";
import { components, NOWHERE, type Places, type StateGraph } from "./graph.js";

/** Where a transition leads that ends the cycle. */
export const FAULT = 0xffffffff;
export const REST = 0xfffffffe;

const ENDS = REST;

/** The states in which a cycle goes on, numbered anew: what a state leads to has smaller numbers, except within its component. */
export interface Chain {
  readonly states: number;
  readonly start: number;
  /** The transitions of state s are those from first[s] to first[s + 1] - 1. None leads to its own state. */
  readonly first: Uint32Array;
  /** A state, FAULT or REST. */
  readonly to: Uint32Array;
  /** What kind of step it is: which rate it has. */
  readonly kind: Uint8Array;
  /** The states of component c are those from component[c] to component[c + 1] - 1. */
  readonly component: Uint32Array;
  /** What a state's number is in the graph. */
  readonly inGraph: Uint32Array;
  /** The state of the graph nearest to its start from which neither the fault nor rest is ever reached; NOWHERE when there is none. */
  readonly stuck: number;
}

export interface Ends {
  /** Steps and states with the fault. */
  readonly fault: Places;
  /** 1 for a state in which a run is over. */
  readonly rest: Uint8Array;
}

/** What a state of the graph is for a cycle: 0, FAULT or REST. */
function endOf({ states }: StateGraph, { fault, rest }: Ends): Uint32Array {
  const end = new Uint32Array(states);
  for (let state = 0; state < states; state++) if (rest[state] === 1) end[state] = REST;
  for (const state of fault.states) end[state] = FAULT;
  return end;
}

/** The part of a graph in which cycles go on; `inGraph` are the numbers that its states have there. */
interface Going {
  readonly graph: StateGraph;
  readonly kind: Uint8Array;
  readonly inGraph: Uint32Array;
}

function goingOn(graph: StateGraph, kind: Uint8Array, ends: Ends): Going {
  const end = endOf(graph, ends);
  const faulty = new Uint8Array(graph.edges);
  for (const edge of ends.fault.edges) faulty[edge] = 1;
  const number = new Uint32Array(graph.states).fill(NOWHERE);
  const inGraph = new Uint32Array(graph.states);
  const first = new Uint32Array(graph.states + 1);
  const to = new Uint32Array(graph.edges);
  const kinds = new Uint8Array(graph.edges);
  const task = new Uint8Array(graph.edges);
  let states = 0;
  let edges = 0;
  const meet = (state: number): number => {
    if (number[state] === NOWHERE) {
      number[state] = states;
      inGraph[states++] = state;
    }
    return number[state];
  };
  meet(0);
  for (let at = 0; at < states; at++) {
    const state = inGraph[at];
    for (let edge = graph.first[state]; edge < graph.first[state + 1]; edge++) {
      const target = graph.to[edge];
      if (target === state && faulty[edge] === 0) continue;
      to[edges] = faulty[edge] === 1 ? FAULT : end[target] !== 0 ? end[target] : meet(target);
      kinds[edges] = kind[edge];
      edges++;
    }
    first[at + 1] = edges;
  }
  return {
    graph: {
      states,
      expanded: states,
      edges,
      tasks: graph.tasks,
      first: first.subarray(0, states + 1),
      to: to.subarray(0, edges),
      task: task.subarray(0, edges),
      tree: new Uint32Array(0),
    },
    kind: kinds,
    inGraph,
  };
}

/** The edges that stay among the states that go on. */
function inner({ graph }: Going): StateGraph {
  const { states, first, to } = graph;
  const rows = new Uint32Array(states + 1);
  const targets = new Uint32Array(graph.edges);
  let edges = 0;
  for (let state = 0; state < states; state++) {
    for (let edge = first[state]; edge < first[state + 1]; edge++)
      if (to[edge] < ENDS) targets[edges++] = to[edge];
    rows[state + 1] = edges;
  }
  return { ...graph, edges, first: rows, to: targets.subarray(0, edges) };
}

/** The states in the order in which a search that goes deep first has done with them: what they lead to comes before, but for circles. */
function doneOrder({ states, first, to }: StateGraph): Uint32Array {
  const order = new Uint32Array(states);
  const next = first.slice(0, states);
  const met = new Uint8Array(states);
  const way = new Uint32Array(states);
  let done = 0;
  let depth = 0;
  met[0] = 1;
  while (depth >= 0) {
    const state = way[depth];
    if (next[state] < first[state + 1]) {
      const target = to[next[state]++];
      if (met[target] === 1) continue;
      met[target] = 1;
      way[++depth] = target;
    } else {
      order[done++] = state;
      depth--;
    }
  }
  return order;
}

/**
 * The chain of a graph.
 *
 * @param graph whole: a state without its edges would look as if nobody could move in it
 * @param kind the kind of each edge
 * @throws Error when the first state is an end already: there is no cycle
 */
export function chainOf(graph: StateGraph, kind: Uint8Array, ends: Ends): Chain {
  if (graph.expanded < graph.states) throw new Error("chainOf: the graph is not whole");
  if (endOf(graph, ends)[0] !== 0) throw new Error("chainOf: the first state ends every cycle");
  const going = goingOn(graph, kind, ends);
  const { states } = going.graph;
  const within = inner(going);
  const { count, of } = components(within);
  const component = new Uint32Array(count + 1);
  for (let state = 0; state < states; state++) component[of[state] + 1]++;
  for (let each = 0; each < count; each++) component[each + 1] += component[each];
  const place = component.slice(0, count);
  const number = new Uint32Array(states);
  const old = new Uint32Array(states);
  for (const state of doneOrder(within)) {
    number[state] = place[of[state]]++;
    old[number[state]] = state;
  }
  const first = new Uint32Array(states + 1);
  const to = new Uint32Array(going.graph.edges);
  const kinds = new Uint8Array(going.graph.edges);
  let edges = 0;
  let stuck = NOWHERE;
  for (let each = 0; each < count; each++) {
    let leaves = false;
    let nearest = NOWHERE;
    for (let state = component[each]; state < component[each + 1]; state++) {
      const from = old[state];
      nearest = Math.min(nearest, going.inGraph[from]);
      for (let edge = going.graph.first[from]; edge < going.graph.first[from + 1]; edge++) {
        const target = going.graph.to[edge];
        leaves ||= target >= ENDS || of[target] !== each;
        to[edges] = target >= ENDS ? target : number[target];
        kinds[edges++] = going.kind[edge];
      }
      first[state + 1] = edges;
    }
    if (!leaves) stuck = Math.min(stuck, nearest);
  }
  const inGraph = old.map((state) => going.inGraph[state]);
  return { states, start: number[0], first, to, kind: kinds, component, inGraph, stuck };
}

/** How often each kind of step is made, per second, while it can be made. */
export type Rates = Float64Array;

/** @throws Error when a rate is none */
function checkRates({ kind }: Chain, rates: Rates): void {
  const most = kind.reduce((known, each) => Math.max(known, each), 0);
  if (most >= rates.length) throw new Error(`rates: there is none for kind ${most}`);
  for (const rate of rates)
    if (!(rate > 0 && Number.isFinite(rate))) throw new Error(`rates: ${rate} is no rate`);
}

export interface Solution {
  /** Probability that a cycle ends in the fault. */
  readonly probability: number;
  /** Mean length of a cycle until its fault or its rest, in seconds; Infinity when some cycles never end. */
  readonly length_s: number;
  /** Whether every component was eliminated: if not, the two are lower bounds. */
  readonly exact: boolean;
  /** By how much, relatively, the last sweeps still changed a state's numbers; 0 when all is exact. */
  readonly change: number;
  /** States of the largest component that was not eliminated; 0 when all were. */
  readonly swept: number;
  /** Sweeps over components that were not eliminated. */
  readonly sweeps: number;
}

export interface SolveOptions {
  /** A component is eliminated when its circles can be cut at so many states. Default 256. */
  readonly mostCuts?: number;
  /** Sweeps over one component at most. Default 10000. */
  readonly mostSweeps?: number;
}

/** Sweeps end when they change nothing by more than this, relatively. */
const SETTLED = 1e-14;
/** Numbers that an elimination may keep: 64 MiB of them. */
const MOST_ROOM = 1 << 23;

/** Solves the equations of a chain for one set of rates. */
class Solver {
  /** Of each state, the probability of the fault, and the mean time to the end. */
  readonly fault: Float64Array;
  readonly time: Float64Array;
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
    this.cut = new Int32Array(chain.states).fill(-1);
  }

  solve(): void {
    const { component } = this.chain;
    for (let each = 0; each + 1 < component.length; each++) {
      const [low, high] = [component[each], component[each + 1]];
      if (high - low === 1) this.update(low);
      else this.solveComponent(low, high);
    }
  }

  /** The equations of one state, with what is known of the others. Gives by how much its numbers became more, relatively. */
  private update(state: number): number {
    const { rates, fault, time } = this;
    const { first, to, kind } = this.chain;
    let sum = 0;
    let faults = 0;
    let times = 1;
    for (let edge = first[state]; edge < first[state + 1]; edge++) {
      const rate = rates[kind[edge]];
      const target = to[edge];
      sum += rate;
      if (target < ENDS) {
        faults += rate * fault[target];
        times += rate * time[target];
      } else if (target === FAULT) faults += rate;
    }
    // A state that nobody leaves: its time is 1/0.
    const newFault = sum === 0 ? 0 : faults / sum;
    const newTime = times / sum;
    const byFault = newFault > 0 ? (newFault - fault[state]) / newFault : 0;
    const byTime = newTime === time[state] ? 0 : newTime === Infinity ? 1 : (newTime - time[state]) / newTime;
    fault[state] = newFault;
    time[state] = newTime;
    return Math.max(Math.abs(byFault), Math.abs(byTime));
  }

  private solveComponent(low: number, high: number): void {
    const { first, to } = this.chain;
    const { fault, time, cut } = this;
    const cuts: number[] = [];
    let leaves = false;
    let endless = false;
    for (let state = low; state < high; state++) {
      for (let edge = first[state]; edge < first[state + 1]; edge++) {
        const target = to[edge];
        if (target >= high || target < low) {
          leaves = true;
          endless ||= target < low && time[target] === Infinity;
        } else if (target > state && cut[target] < 0) {
          cut[target] = 0;
          cuts.push(target);
        }
      }
    }
    if (!leaves) time.fill(Infinity, low, high);
    else if (cuts.length <= this.options.mostCuts && (high - low) * (cuts.length + 3) <= MOST_ROOM) {
      this.eliminate(low, high, cuts);
    } else {
      this.sweep(low, high);
    }
    // From each of its states each exit is reached, also one behind which no end is.
    if (endless) time.fill(Infinity, low, high);
    if (!leaves) fault.fill(0, low, high);
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
   * Eliminate the states of a component. Cut at the states that are reached from smaller numbers, it has no circles: every other state is
   * then a mixture of cuts and exits, found in one go; what is left are equations among the cuts.
   *
   * A row is a state's chances to meet each of the cuts first, then the chance to leave before, and the fault and the time that it
   * collects until then.
   */
  private eliminate(low: number, high: number, cuts: number[]): void {
    const { cut, fault, time } = this;
    const count = cuts.length;
    const width = count + 3;
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
        continue;
      }
      let faults = rows[row + count + 1];
      let times = rows[row + count + 2];
      for (let each = 0; each < count; each++) {
        faults += rows[row + each] * reduced[each * width + count + 1];
        times += rows[row + each] * reduced[each * width + count + 2];
      }
      fault[state] = faults;
      time[state] = times;
    }
  }

  private fillRow(state: number, low: number, high: number, rows: Float64Array, width: number): void {
    const { rates, fault, time, cut } = this;
    const { first, to, kind } = this.chain;
    const row = (state - low) * width;
    const count = width - 3;
    let sum = 0;
    for (let edge = first[state]; edge < first[state + 1]; edge++) sum += rates[kind[edge]];
    rows[row + count + 2] = 1 / sum;
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
        // An exit without an end is dealt with by the caller.
        if (time[target] !== Infinity) rows[row + count + 2] += chance * time[target];
      }
    }
  }
}

/**
 * Solve x = A x + b for two columns b at once, where the rows of A and a column of exits add up to 1: without a subtraction. The last two
 * columns become x.
 *
 * @param rows `count` rows of count + 3 numbers: A, the exits, and the two columns
 */
function eliminateDense(rows: Float64Array, count: number): void {
  const width = count + 3;
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
      rows[row * width + count + 1] += weight * rows[each * width + count + 1];
      rows[row * width + count + 2] += weight * rows[each * width + count + 2];
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
  const solver = new Solver(chain, rates, { mostCuts: 256, mostSweeps: 10_000, ...options });
  solver.solve();
  const { exact, change, swept, sweeps } = solver;
  return {
    probability: solver.fault[chain.start],
    length_s: solver.time[chain.start],
    exact,
    change,
    swept,
    sweeps,
  };
}

/**
 * Mean time to the fault.
 *
 * @param restart_s mean time between a run's rest and the next one, in seconds
 * @returns in seconds; Infinity when the fault is never met, or a cycle can go on for ever without it
 */
export const meanTimeToFault = (
  { probability, length_s }: { readonly probability: number; readonly length_s: number },
  restart_s: number,
): number => (probability === 0 ? Infinity : (length_s + (1 - probability) * restart_s) / probability);

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
  /** Mean time between a run's rest and the next one, in seconds. */
  readonly restart_s: number;
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

  /** One cycle: how long it was, in seconds, and whether it ended in the fault. */
  cycle(): { length_s: number; faulty: boolean } {
    const { rates, random } = this;
    const { first, to, kind, start } = this.chain;
    let length_s = 0;
    let state = start;
    while (state < ENDS) {
      let sum = 0;
      for (let edge = first[state]; edge < first[state + 1]; edge++) sum += rates[kind[edge]];
      length_s -= Math.log(1 - random.unit()) / sum;
      let left = random.unit() * sum;
      let edge = first[state];
      for (; edge < first[state + 1] - 1; edge++) {
        left -= rates[kind[edge]];
        if (left < 0) break;
      }
      state = to[edge];
      this.jumps++;
    }
    return { length_s, faulty: state === FAULT };
  }
}

/** @throws Error when a cycle can go on for ever: making one might never end */
function checkEnds({ stuck }: Chain): void {
  if (stuck !== NOWHERE) throw new Error("cycles that never end cannot be made by lot");
}

/** Bounds of a ratio from how far its parts may be off, each as the logarithm of a factor. */
const apart = (...parts: readonly number[]): number => Math.exp(Math.hypot(...parts));

/** Wilson's interval for a share (J. Am. Stat. Assoc. 22, 1927). */
function wilson(hits: number, trials: number): [low: number, high: number] {
  const share = hits / trials;
  const spread = Z * Math.sqrt((share * (1 - share)) / trials + Z ** 2 / (4 * trials ** 2));
  const middle = share + Z ** 2 / (2 * trials);
  const scale = 1 + Z ** 2 / trials;
  return [(middle - spread) / scale, (middle + spread) / scale];
}

/**
 * Make cycles by lot, and count. The interval joins Wilson's for the share of cycles that end in the fault with the normal one for
 * their mean length. No fault in n cycles: with 95 % confidence the fault is in fewer than 3 of n (rule of three).
 *
 * @throws Error when a cycle can go on for ever
 */
export function bruteForce(chain: Chain, rates: Rates, options: SampleOptions): Estimate {
  checkRates(chain, rates);
  checkEnds(chain);
  const { restart_s, progress = () => true } = options;
  const lot = new Lot(chain, rates, options.seed);
  const lengths = new Moments();
  let faults = 0;
  while (lengths.count < options.cycles) {
    if ((lengths.count & OFTEN) === 0 && !progress(lengths.count)) break;
    const { length_s, faulty } = lot.cycle();
    if (faulty) faults++;
    lengths.add(faulty ? length_s : length_s + restart_s);
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
 * How far each state is from the fault: -log of the probability of the likeliest way to it (Dijkstra, backward). Infinity where no way
 * leads.
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

export interface ImportanceOptions extends SampleOptions {
  /** How much the lot prefers what is near to the fault: 0 not at all, 1 as much as is known of the way. Default 0.8. */
  readonly bias?: number;
  /** Cycles with the chain's own chances, for the mean length of a cycle; default a tenth of the others, but 1000 at least. */
  readonly plainCycles?: number;
}

/**
 * Make cycles by a lot that prefers what leads to the fault, each weighed by its likelihood. A transition is taken with a chance in proportion to p e^(-bias d),
 * where p is its own and d its target's distance from the fault; rest, and states from which the fault is not reached, are never
 * taken, and cost nothing to leave out: no cycle through them counts. The mean length of a cycle, which is nothing rare, is estimated from
 * cycles of the chain's own chances. The interval is normal, for the logarithm.
 *
 * @throws Error when a cycle can go on for ever
 */
export function importanceSampling(chain: Chain, rates: Rates, options: ImportanceOptions): Estimate {
  checkRates(chain, rates);
  checkEnds(chain);
  const { first, to, kind, start } = chain;
  const { cycles, seed, restart_s, bias = 0.8, progress = () => true } = options;
  const { plainCycles = Math.max(1000, Math.round(cycles / 10)) } = options;
  const lot = new Lot(chain, rates, seed);
  const lengths = new Moments();
  while (lengths.count < plainCycles) {
    if ((lengths.count & OFTEN) === 0 && !progress(0)) break;
    const { length_s, faulty } = lot.cycle();
    lengths.add(faulty ? length_s : length_s + restart_s);
  }
  const distance = distances(chain, rates);
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

/** A step that is small against what changes, and large against the precision of `solve`. */
const NUDGE = 1e-4;

/**
 * How much the mean time to the fault depends on the mean time of each kind of step: d log MTTF / d log time, each from two solutions
 * nearby. 1: twice the time, twice the mean time to the fault. Together with the part of `restart_s` they add up to 1, because time has no scale
 * of its own.
 *
 * @param tie kinds that change together have the same number here; default each by itself
 */
export function sensitivities(
  chain: Chain,
  rates: Rates,
  restart_s: number,
  options: SolveOptions & {
    readonly tie?: readonly number[];
    /** The tied kind that the restart belongs to; default none. */
    readonly restart?: number;
    /** Called before each solution; returning false ends it, and what is missing is NaN. */
    readonly progress?: () => boolean;
  } = {},
): Float64Array {
  const tie = options.tie ?? [...rates.keys()];
  const made = new Float64Array(Math.max(...tie) + 1).fill(Number.NaN);
  const logarithm = (which: number, factor: number): number => {
    const nudged = rates.map((rate, kind) => (tie[kind] === which ? rate / factor : rate));
    const restart = options.restart === which ? restart_s * factor : restart_s;
    return Math.log(meanTimeToFault(solve(chain, nudged, options), restart));
  };
  for (const which of new Set(tie)) {
    if (!(options.progress?.() ?? true)) break;
    const factor = 1 + NUDGE;
    made[which] = (logarithm(which, factor) - logarithm(which, 1 / factor)) / (2 * Math.log(factor));
  }
  return made;
}
