/**
 * A graph with rates: a continuous-time Markov chain (rates.ts says what for).
 *
 * Every transition has a rate, which depends on its kind alone: what the task that makes it sleeps for before its
 * step (its DMA, its period), or nothing, where it is an ordinary step of a processor. A task that is blocked has
 * no transition, so its rate is 0 while it is. All times are exponential, which is an assumption about the world
 * and no property of it.
 */
import { components, NOWHERE, type Places, type StateGraph } from "./graph.js";

/** Where a transition leads that ends the cycle. */
export const FAULT = 0xffffffff;
export const REST = 0xfffffffe;

/** From here on a target is no state. */
export const ENDS = REST;

/** The kind of a step before which its task does not sleep. */
const ORDINARY = 0;

/**
 * The states in which a cycle goes on, numbered anew: what a state leads to has smaller numbers, except within its
 * component.
 */
export interface Chain {
  readonly states: number;
  readonly start: number;
  /** The transitions of state s are those from first[s] to first[s + 1] - 1. None leads to its own state. */
  readonly first: Uint32Array;
  /** A state, FAULT or REST. */
  readonly to: Uint32Array;
  /** What kind of step it is: which rate it has. Kind 0 are ordinary steps, before which nobody sleeps. */
  readonly kind: Uint8Array;
  /** Whose step it is. */
  readonly task: Uint8Array;
  /** How many pages are pinned in a state. */
  readonly pins: Uint8Array;
  /** The states of component c are those from component[c] to component[c + 1] - 1. */
  readonly component: Uint32Array;
  /** Per component, 1 where the fault, or a pinned page, is or can still come. */
  readonly matters: Uint8Array;
  /** What a state's number is in the graph. */
  readonly inGraph: Uint32Array;
  /**
   * The state of the graph nearest to its start from which neither the fault nor rest is ever reached; NOWHERE when
   * there is none.
   */
  readonly stuck: number;
}

export interface Ends {
  /** Steps and states with the fault. */
  readonly fault: Places;
  /** 1 for a state in which a run is over. */
  readonly rest: Uint8Array;
  /** How many pages are pinned in each state; default none. */
  readonly pins?: Uint8Array;
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
      task[edges] = graph.task[edge];
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

/** The edges that stay among the states that go on; only those of ordinary steps, if it is asked for. */
function inner({ graph, kind }: Going, ordinary: boolean): StateGraph {
  const { states, first, to } = graph;
  const rows = new Uint32Array(states + 1);
  const targets = new Uint32Array(graph.edges);
  let edges = 0;
  for (let state = 0; state < states; state++) {
    for (let edge = first[state]; edge < first[state + 1]; edge++)
      if (to[edge] < ENDS && !(ordinary && kind[edge] !== ORDINARY)) targets[edges++] = to[edge];
    rows[state + 1] = edges;
  }
  return { ...graph, edges, first: rows, to: targets.subarray(0, edges) };
}

/**
 * The states in the order in which a search that goes deep first has done with them: what they lead to comes
 * before, but for circles.
 */
function doneOrder({ states, first, to }: StateGraph): Uint32Array {
  const order = new Uint32Array(states);
  const next = first.slice(0, states);
  const met = new Uint8Array(states);
  const way = new Uint32Array(states);
  let done = 0;
  for (let root = 0; root < states; root++) {
    if (met[root] === 1) continue;
    met[root] = 1;
    way[0] = root;
    for (let depth = 0; depth >= 0; ) {
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
  }
  return order;
}

/**
 * The chain of a graph.
 *
 * @param graph whole: a state without its edges would look as if nobody could move in it
 * @param kind the kind of each edge; 0 for ordinary steps, so that circles are cut where they are slow
 * @throws Error when the first state is an end already: there is no cycle
 */
export function chainOf(graph: StateGraph, kind: Uint8Array, ends: Ends): Chain {
  if (graph.expanded < graph.states) throw new Error("chainOf: the graph is not whole");
  if (endOf(graph, ends)[0] !== 0) throw new Error("chainOf: the first state ends every cycle");
  const going = goingOn(graph, kind, ends);
  const { states } = going.graph;
  const { count, of } = components(inner(going, false));
  const component = new Uint32Array(count + 1);
  for (let state = 0; state < states; state++) component[of[state] + 1]++;
  for (let each = 0; each < count; each++) component[each + 1] += component[each];
  const place = component.slice(0, count);
  const number = new Uint32Array(states);
  const old = new Uint32Array(states);
  // Within a component, what ordinary steps lead to comes first: only the end of a sleep leads back, and that is
  // rare.
  for (const state of doneOrder(inner(going, true))) {
    number[state] = place[of[state]]++;
    old[number[state]] = state;
  }
  const first = new Uint32Array(states + 1);
  const to = new Uint32Array(going.graph.edges);
  const kinds = new Uint8Array(going.graph.edges);
  const task = new Uint8Array(going.graph.edges);
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
        kinds[edges] = going.kind[edge];
        task[edges++] = going.graph.task[edge];
      }
      first[state + 1] = edges;
    }
    if (!leaves) stuck = Math.min(stuck, nearest);
  }
  const inGraph = old.map((state) => going.inGraph[state]);
  const pins = Uint8Array.from(inGraph, (state) => ends.pins?.[state] ?? 0);
  const matters = new Uint8Array(count);
  for (let each = 0; each < count; each++) {
    let here = false;
    for (let state = component[each]; !here && state < component[each + 1]; state++) {
      here = pins[state] > 0;
      for (let edge = first[state]; !here && edge < first[state + 1]; edge++)
        here = to[edge] === FAULT || (to[edge] < ENDS && matters[of[old[to[edge]]]] === 1);
    }
    matters[each] = here ? 1 : 0;
  }
  return { states, start: number[0], first, to, kind: kinds, task, pins, component, matters, inGraph, stuck };
}

/** How often each kind of step is made, per second, while it can be made. */
export type Rates = Float64Array;

/** @throws Error when a rate is none */
export function checkRates({ kind }: Chain, rates: Rates): void {
  const most = kind.reduce((known, each) => Math.max(known, each), 0);
  if (most >= rates.length) throw new Error(`rates: there is none for kind ${most}`);
  for (const rate of rates)
    if (!(rate > 0 && Number.isFinite(rate))) throw new Error(`rates: ${rate} is no rate`);
}

/** How many cycles there are. */
export type Clock =
  /** One after the other, each beginning so many seconds, on average, after the one before has come to rest. */
  | { readonly restart_s: number }
  /** As many at a time as it takes for so many pages to be pinned, on average, at every moment. */
  | { readonly pinned: number };

/** What is known of the cycles of a chain. */
export interface Cycle {
  /** Probability that a cycle ends in the fault. */
  readonly probability: number;
  /** Mean length of a cycle until its fault or its rest, in seconds; Infinity when some cycles never end. */
  readonly length_s: number;
  /**
   * Mean time that pages are pinned in a cycle, in seconds, added up over them; Infinity when some stay pinned for
   * ever.
   */
  readonly pinned_s: number;
}

/** What a cycle costs on a clock, in seconds: how long it lasts, or its part of the time that pages are pinned. */
export const costOf = (
  clock: Clock,
  { length_s, pinned_s }: { readonly length_s: number; readonly pinned_s: number },
  rest: number,
): number => ("pinned" in clock ? pinned_s / clock.pinned : length_s + rest * clock.restart_s);

/**
 * Mean time to the fault.
 *
 * @returns in seconds; Infinity when the fault is never met, or the clock waits for a cycle that can go on for ever
 *   without it
 */
export const meanTimeToFault = (solution: Cycle, clock: Clock): number =>
  solution.probability === 0
    ? Infinity
    : costOf(clock, solution, 1 - solution.probability) / solution.probability;
