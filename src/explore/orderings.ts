/**
 * Which orderings a fault needs. The steps of a witness are ordered by their tasks and by what they touch: a step that reads or
 * changes what another one changed comes after it. Of these orderings those between tasks that do not follow from others (the transitive
 * reduction) are what somebody could have prevented.
 *
 * Whether such an ordering "a before b" is necessary is asked of all ways, not of this one: is the fault reached by a way in which no b
 * comes after an a? If there is none, every way to the fault has an a and later a b: proven, within the bounds of the search. If there is one,
 * it is the proof that the fault does not need the ordering. A step is known by its task and its place in the code, calls and all,
 * so that further rounds of a daemon change nothing.
 */
import { NOWHERE, type Places, type StateGraph, sourceOf } from "./graph.js";

/** What a step touched: cells by any name. */
export interface Touched {
  readonly task: number;
  readonly reads: ReadonlySet<string>;
  /** The cells that it changed. */
  readonly writes: ReadonlySet<string>;
}

/** Step `before` comes before step `after` (numbers from 0), because of these cells. */
export interface Ordering {
  readonly before: number;
  readonly after: number;
  readonly cells: readonly string[];
}

/** The cells for which one step must come before another. */
function conflict(a: Touched, b: Touched): string[] {
  const cells = [...a.writes].filter((cell) => b.reads.has(cell) || b.writes.has(cell));
  for (const cell of b.writes) if (a.reads.has(cell) && !cells.includes(cell)) cells.push(cell);
  return cells;
}

/** The orderings between tasks that do not follow from others. */
export function orderingsOf(steps: readonly Touched[]): Ordering[] {
  /** For each step those that come before it, by way of others or not. */
  const past: Set<number>[] = [];
  const found: Ordering[] = [];
  steps.forEach((step, at) => {
    const before = new Set<number>();
    for (let earlier = at - 1; earlier >= 0; earlier--) {
      if (before.has(earlier)) continue;
      const same = steps[earlier].task === step.task;
      const cells = same ? [] : conflict(steps[earlier], step);
      if (!same && cells.length === 0) continue;
      // Nothing that comes before `step` and after `earlier` is known: the ordering is one of its own.
      before.add(earlier);
      for (const each of past[earlier]) before.add(each);
      if (!same) found.push({ before: earlier, after: at, cells });
    }
    past.push(before);
  });
  return found;
}

/**
 * A shortest way to a fault on which no edge `after` follows an edge `before`, or null where there is none in the graph.
 */
export function wayWithout(
  graph: StateGraph,
  { edges, states }: Places,
  before: (edge: number) => boolean,
  after: (edge: number) => boolean,
): number[] | null {
  const { first, to, task } = graph;
  const faultyEdge = new Uint8Array(graph.edges);
  const faultyState = new Uint8Array(graph.states);
  for (const edge of edges) faultyEdge[edge] = 1;
  for (const state of states) faultyState[state] = 1;
  /** By which edge a node was reached: a state, twice over, for whether a `before` has been. */
  const via = new Uint32Array(graph.states * 2).fill(NOWHERE);
  const seen = new Uint8Array(graph.states * 2);
  /** Whether a `before` had been when the edge `via` was taken. */
  const was = new Uint8Array(graph.states * 2);
  const wayTo = (node: number, last?: number): number[] => {
    const schedule: number[] = last === undefined ? [] : [task[last]];
    for (let at = node; via[at] !== NOWHERE; ) {
      const edge = via[at];
      schedule.push(task[edge]);
      at = sourceOf(graph, edge) * 2 + was[at];
    }
    return schedule.reverse();
  };
  if (faultyState[0] === 1) return [];
  let now = [0];
  seen[0] = 1;
  while (now.length > 0) {
    const next: number[] = [];
    for (const node of now) {
      const state = node >>> 1;
      const passed = node & 1;
      for (let edge = first[state]; edge < first[state + 1]; edge++) {
        if (passed === 1 && after(edge)) continue;
        if (faultyEdge[edge] === 1) return wayTo(node, edge);
        const target = to[edge] * 2 + (passed === 1 || before(edge) ? 1 : 0);
        if (seen[target] === 1) continue;
        seen[target] = 1;
        via[target] = edge;
        was[target] = passed;
        if (faultyState[to[edge]] === 1) return wayTo(target);
        next.push(target);
      }
    }
    now = next;
  }
  return null;
}
