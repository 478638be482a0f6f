/**
 * How dangerous a state is: whether a kind of fault can still be reached from it, in how many steps at least, and whether it can still be
 * avoided. Read backward from the states and steps that have the fault.
 *
 * A fault can be avoided where a way that does not meet it leads to a state from which it can no longer be reached. So it is certain where each
 * way that a scheduler can go to its end meets it: a scheduler that goes round in a circle for ever, past ways out that it could take, is not
 * counted as one that avoids it (it would do so with probability 0 if it chose by lot).
 *
 * In a graph that ends early, a way into what was not expanded may lead anywhere: "impossible" and "certain" are said only where no such
 * way exists.
 */
import { type Backward, edgeOf, NOWHERE, type Places, type StateGraph } from "./graph.js";

export type Status = "impossible" | "possible" | "certain" | "happened" | "unknown";

export interface Danger {
  /** At least so many steps lead from each state to the fault; NOWHERE where no known way does. */
  readonly steps: Uint32Array;
  status(state: number): Status;
}

/** Go backward from what `add` has been called for, breadth first. */
function spread(
  { first, from, edge }: Backward,
  distance: Uint32Array,
  start: readonly (readonly number[])[],
  passes: (edge: number, from: number) => boolean,
): void {
  let now: number[] = [];
  const reach = (state: number, steps: number, into: number[]): void => {
    if (distance[state] !== NOWHERE) return;
    distance[state] = steps;
    into.push(state);
  };
  for (let steps = 0; now.length > 0 || steps < start.length; steps++) {
    for (const state of start[steps] ?? []) reach(state, steps, now);
    const next: number[] = [];
    for (const state of now)
      for (let at = first[state]; at < first[state + 1]; at++)
        if (passes(edge[at], from[at])) reach(from[at], steps + 1, next);
    now = next;
  }
}

/** The danger of one kind of fault, in every state of a graph. */
export function dangerOf(graph: StateGraph, back: Backward, { edges, states }: Places): Danger {
  const faultyState = new Uint8Array(graph.states);
  const faultyEdge = new Uint8Array(graph.edges);
  for (const state of states) faultyState[state] = 1;
  for (const edge of edges) faultyEdge[edge] = 1;
  const sources: number[] = [];
  for (let state = 0, at = 0; at < edges.length; at++) {
    while (graph.first[state + 1] <= edges[at]) state++;
    sources.push(state);
  }
  const steps = new Uint32Array(graph.states).fill(NOWHERE);
  spread(back, steps, [[...states], sources], () => true);

  const open: number[] = [];
  for (let state = graph.expanded; state < graph.states; state++) open.push(state);
  const toOpen = new Uint32Array(graph.states).fill(NOWHERE);
  if (open.length > 0) spread(back, toOpen, [open], () => true);

  const harmless = open.filter((state) => faultyState[state] === 0);
  for (let state = 0; state < graph.expanded; state++) if (steps[state] === NOWHERE) harmless.push(state);
  const avoids = new Uint32Array(graph.states).fill(NOWHERE);
  spread(back, avoids, [harmless], (edge, from) => faultyEdge[edge] === 0 && faultyState[from] === 0);

  return {
    steps,
    status: (state) =>
      faultyState[state] === 1
        ? "happened"
        : steps[state] === NOWHERE
          ? toOpen[state] === NOWHERE
            ? "impossible"
            : "unknown"
          : avoids[state] === NOWHERE
            ? "certain"
            : "possible",
  };
}

/** One moment of a run: before the first step, or after a step. */
export interface Moment {
  readonly status: Status;
  /** At least so many steps to the fault; null where it cannot be reached, or that is not known. */
  readonly steps: number | null;
}

export interface RunDanger {
  /** The start, and what is so after each step. */
  readonly moments: readonly Moment[];
  /** After this many steps the fault is certain, and not before; null when it never is until it happens. */
  readonly certainFrom: number | null;
  /** After this many steps it is impossible; null when it stays possible. */
  readonly impossibleFrom: number | null;
  /** After this many steps it has happened; null when it does not. */
  readonly happenedAt: number | null;
}

/** The danger along a run. @throws Error with one sentence when a task of the schedule cannot move */
export function dangerAlong(
  graph: StateGraph,
  { edges }: Places,
  danger: Danger,
  schedule: readonly number[],
): RunDanger {
  const faulty = new Set(edges);
  const moments: Moment[] = [];
  let happenedAt: number | null = null;
  let state = 0;
  let known = true;
  for (let at = 0; at <= schedule.length; at++) {
    if (at > 0 && known) {
      known = state < graph.expanded;
      if (known) {
        const edge = edgeOf(graph, state, schedule[at - 1]);
        if (edge === NOWHERE) throw new Error(`danger: the task of step ${at} cannot move there`);
        if (faulty.has(edge)) happenedAt ??= at;
        state = graph.to[edge];
      }
    }
    const status = known ? danger.status(state) : "unknown";
    if (status === "happened") happenedAt ??= at;
    if (happenedAt !== null) moments.push({ status: "happened", steps: 0 });
    else
      moments.push({ status, steps: known && danger.steps[state] !== NOWHERE ? danger.steps[state] : null });
  }
  const firstOf = (wanted: Status): number | null => {
    const at = moments.findIndex(({ status }) => status === wanted);
    return at < 0 ? null : at;
  };
  return { moments, certainFrom: firstOf("certain"), impossibleFrom: firstOf("impossible"), happenedAt };
}
