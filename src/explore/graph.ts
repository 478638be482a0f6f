/**
 * The graph of a search: its states by number, and for each the steps that lead on from it, as compressed rows.
 *
 * A state is a number only (0 is the first, the others in the order in which the search, breadth first, found them); an edge takes five
 * bytes, its target and its task. What is wrong in a state or step is asked afterwards: `replayGraph` makes every step again,
 * each state reached by the shortest way to it, which needs no more room than one way does. So a search without faults pays nothing
 * for it, and an engine that remembers what steps did need not remember what they said.
 *
 * A graph can end early, as its search does, or because it has no more room: then `expanded` is smaller than `states`, and the states from
 * there on have edges of which nothing is known.
 */
import type { FaultKind } from "../trace/recording.js";
import { type Faces, wrongWith } from "./engine.js";
import { Growing } from "./growing.js";
import { type SearchOptions, type SearchResult, search } from "./search.js";

/** No edge, no state. */
export const NOWHERE = 0xffffffff;

export interface StateGraph {
  readonly states: number;
  /** The first so many states have all their edges here. */
  readonly expanded: number;
  readonly edges: number;
  readonly tasks: number;
  /** The edges of state s are those from first[s] to first[s + 1] - 1, in the order of their tasks. */
  readonly first: Uint32Array;
  readonly to: Uint32Array;
  readonly task: Uint8Array;
  /** The edge by which a state was found: the last one of a shortest way to it; NOWHERE for state 0. */
  readonly tree: Uint32Array;
}

/** Collects the edges that a search reports. */
class Rows {
  states = 1;
  private readonly first = new Growing();
  private readonly to = new Growing();
  private readonly tree = new Growing();
  private task = new Uint8Array(1 << 10);
  private full = false;

  constructor(private readonly maxEdges: number) {
    this.first.push(0);
    this.tree.push(NOWHERE);
  }

  edge(from: number, task: number, to: number): void {
    if (this.full) return;
    const { length } = this.to;
    if (from < this.first.length - 1) throw new Error(`search: state ${from} is expanded twice`);
    if (to > this.states) throw new Error(`search: state ${to} is numbered before state ${this.states}`);
    if (from > this.first.length - 1) {
      // Between two states: what there is is whole.
      if (length >= this.maxEdges) {
        this.full = true;
        return;
      }
      while (this.first.length <= from) this.first.push(length);
    }
    if (to === this.states) {
      this.states++;
      this.tree.push(length);
    }
    if (length === this.task.length) {
      const room = new Uint8Array(length * 2);
      room.set(this.task);
      this.task = room;
    }
    this.task[length] = task;
    this.to.push(to);
  }

  /** @param complete whether the search expanded every state */
  graph(tasks: number, complete: boolean): StateGraph {
    const edges = this.to.length;
    const whole = complete && !this.full;
    // The state expanded last has its edges as well: a search stops between two states.
    const expanded = whole ? this.states : edges > 0 ? this.first.length : 0;
    while (this.first.length <= this.states) this.first.push(edges);
    const { states } = this;
    return {
      states,
      expanded,
      edges,
      tasks,
      first: this.first.values,
      to: this.to.values,
      task: this.task.subarray(0, edges),
      tree: this.tree.values,
    };
  }
}

export interface GraphOptions extends SearchOptions {
  /** Room for the edges, at five bytes each; default 2 GiB. What does not fit is not explored further. */
  readonly maxGraphBytes?: number;
}

export interface Explored {
  readonly result: SearchResult;
  readonly graph: StateGraph;
}

const EDGE_BYTES = 5;
const GRAPH_BYTES = 2 ** 31;

/** Whether every state of a graph has its edges: whether "never" can be said. */
export const isWhole = ({ states, expanded }: StateGraph): boolean => states === expanded;

/** Search, and keep the graph. The machine stays in its first state. */
export function exploreGraph(faces: Faces, options: GraphOptions): Explored {
  const rows = new Rows(Math.floor((options.maxGraphBytes ?? GRAPH_BYTES) / EDGE_BYTES));
  const result = search(faces, { ...options, edge: (from, task, to) => rows.edge(from, task, to) });
  return { result, graph: rows.graph(faces(null).tasks, result.complete) };
}

/** The state from which an edge leads. */
export function sourceOf({ first, states }: StateGraph, edge: number): number {
  let low = 0;
  let high = states;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (first[middle + 1] <= edge) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The tasks of a shortest way to a state. */
export function shortestTo(graph: StateGraph, state: number): number[] {
  const schedule: number[] = [];
  for (let at = state; at !== 0; ) {
    const edge = graph.tree[at];
    schedule.push(graph.task[edge]);
    at = sourceOf(graph, edge);
  }
  return schedule.reverse();
}

/** The edge by which a task leaves a state, or NOWHERE when it cannot move there. */
export function edgeOf({ first, task: tasks }: StateGraph, state: number, task: number): number {
  for (let edge = first[state]; edge < first[state + 1]; edge++) if (tasks[edge] === task) return edge;
  return NOWHERE;
}

export interface Visitor {
  /** Before the step of an edge is made; the machine is in the state from which it leads. */
  readonly before?: (edge: number, from: number) => void;
  /** After it; with what it reported. */
  readonly step?: (edge: number, faults: readonly FaultKind[]) => void;
  /** In each state but the first, once; with what is wrong with it. */
  readonly state?: (state: number, faults: readonly FaultKind[]) => void;
}

/**
 * Make every step of a graph once more, from the machine's live state, which is the graph's first. It is left there, also when the visitor
 * throws.
 */
export function replayGraph(graph: StateGraph, faces: Faces, visitor: Visitor): void {
  const machine = faces(null);
  const { first, to, task, tree } = graph;
  const { state: live } = machine;
  const words = live.length;
  let saved = new Uint32Array(words * 64);
  const way: { state: number; edge: number }[] = [{ state: 0, edge: first[0] }];
  saved.set(live, 0);
  const { before, step, state } = visitor;
  try {
    while (way.length > 0) {
      const depth = way.length - 1;
      const here = way[depth];
      if (here.edge === first[here.state + 1]) {
        way.pop();
        continue;
      }
      const edge = here.edge++;
      const base = depth * words;
      for (let word = 0; word < words; word++) live[word] = saved[base + word];
      before?.(edge, here.state);
      const faults = machine.step(task[edge]);
      step?.(edge, faults);
      const next = to[edge];
      if (tree[next] !== edge) continue;
      state?.(next, wrongWith(machine));
      if (base + 2 * words > saved.length) {
        const room = new Uint32Array(saved.length * 2);
        room.set(saved);
        saved = room;
      }
      saved.set(live, base + words);
      way.push({ state: next, edge: first[next] });
    }
  } finally {
    live.set(saved.subarray(0, words));
  }
}

/** Where a kind of fault is: the steps that report it, and the states that have it. */
export interface Places {
  readonly edges: Uint32Array;
  readonly states: Uint32Array;
}

export type Faults = ReadonlyMap<FaultKind, Places>;

/**
 * Where which fault is. What was wrong before the first step (a witness of no steps) is so in state 0.
 *
 * @param also told of each step, while the machine stands before it
 */
export function faultsOf({ result, graph }: Explored, faces: Faces, also?: (edge: number) => void): Faults {
  const found = new Map<FaultKind, { edges: Growing; states: Growing }>();
  const placesOf = (kind: FaultKind): { edges: Growing; states: Growing } => {
    const known = found.get(kind);
    if (known) return known;
    const made = { edges: new Growing(), states: new Growing() };
    found.set(kind, made);
    return made;
  };
  for (const { kind, schedule } of result.witnesses) if (schedule.length === 0) placesOf(kind).states.push(0);
  if (result.witnesses.length > 0 || also) {
    replayGraph(graph, faces, {
      before: also,
      step: (edge, kinds) => {
        for (const kind of kinds) placesOf(kind).edges.push(edge);
      },
      state: (state, kinds) => {
        for (const kind of kinds) placesOf(kind).states.push(state);
      },
    });
  }
  return new Map(
    [...found].map(([kind, { edges, states }]) => [
      kind,
      { edges: edges.values.slice().sort(), states: states.values.slice().sort() },
    ]),
  );
}

/** The edges that lead into each state, as rows: the edges into s are edge[first[s]] to edge[first[s + 1] - 1]. */
export interface Backward {
  readonly first: Uint32Array;
  readonly edge: Uint32Array;
  /** Where each of them comes from. */
  readonly from: Uint32Array;
}

/** A graph read backward; eight bytes an edge. */
export function backward({ states, edges, first, to }: StateGraph): Backward {
  const into = new Uint32Array(states + 1);
  for (let edge = 0; edge < edges; edge++) into[to[edge] + 1]++;
  for (let state = 0; state < states; state++) into[state + 1] += into[state];
  const at = into.slice(0, states);
  const backEdge = new Uint32Array(edges);
  const from = new Uint32Array(edges);
  for (let state = 0; state < states; state++) {
    for (let edge = first[state]; edge < first[state + 1]; edge++) {
      const place = at[to[edge]]++;
      backEdge[place] = edge;
      from[place] = state;
    }
  }
  return { first: into, edge: backEdge, from };
}

/** Strongly connected components: states each of which leads to each other. */
export interface Components {
  readonly count: number;
  /** The component of each state. A component's number is larger than those to which it leads. */
  readonly of: Uint32Array;
}

/**
 * Tarjan's strongly connected components (SIAM J. Comput. 1972), without recursion: a way through millions of states has no
 * room on a stack.
 *
 * @param follow which edges count; default all
 */
export function components(
  { states, first, to, task }: StateGraph,
  follow: (task: number) => boolean = () => true,
): Components {
  const of = new Uint32Array(states).fill(NOWHERE);
  const index = new Uint32Array(states);
  const low = new Uint32Array(states);
  const next = first.slice(0, states);
  const open: number[] = [];
  const way: number[] = [];
  let visited = 0;
  let count = 0;
  const enter = (state: number): void => {
    index[state] = low[state] = ++visited;
    open.push(state);
    way.push(state);
  };
  for (let root = 0; root < states; root++) {
    if (index[root] !== 0) continue;
    enter(root);
    while (way.length > 0) {
      const here = way[way.length - 1];
      if (next[here] < first[here + 1]) {
        const edge = next[here]++;
        if (!follow(task[edge])) continue;
        const target = to[edge];
        if (index[target] === 0) enter(target);
        else if (of[target] === NOWHERE && index[target] < low[here]) low[here] = index[target];
        continue;
      }
      way.pop();
      if (way.length > 0) {
        const above = way[way.length - 1];
        if (low[here] < low[above]) low[above] = low[here];
      }
      if (low[here] !== index[here]) continue;
      for (;;) {
        const member = open.pop() as number;
        of[member] = count;
        if (member === here) break;
      }
      count++;
    }
  }
  return { count, of };
}
