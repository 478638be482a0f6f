/**
 * What may go on for ever: livelock, waiting for ever, starvation. Read from the strongly connected components of a graph.
 *
 * A run that never ends stays, from some moment on, within one component. It counts when it is weakly fair: each task moves again and again,
 * or cannot move again and again; a task that can always move and never does is the scheduler's fault, not the kernel's. A component has
 * such a run exactly when each task moves in it or is stopped in one of its states.
 *
 * Daemons loop for ever, as they should: only processes are looked at, and only those that have not finished, are not dead, and
 * do not wait for the dead (that is HANG). In a component with such a run
 *  - a process that moves is in a livelock: it makes steps for ever and does not come to its end;
 *  - a process that can move nowhere in it waits for ever, while others go on.
 * Where no step leads out of the component, this is `certain` once it is entered; otherwise it needs a scheduler that, though fair, never takes
 * the way out.
 *
 * A process is starved where it can move again and again and never does, because each time another one is first: a weakly fair run without
 * its steps, through states in which it can move and others in which it cannot. Real locks have queues, those of this machine do
 * not: starvation of a process that waits for a lock is possible here in most scenarios with a daemon that takes the lock for ever. It
 * is told, and is no fault.
 */
import { type Components, components, isWhole, type StateGraph, shortestTo } from "./graph.js";

export interface Endless {
  readonly what: "livelock" | "waits" | "starvation";
  /** The process that does not come to its end. */
  readonly task: number;
  /** A shortest way into the component. */
  readonly schedule: readonly number[];
  /** Whether no way leads out. */
  readonly certain: boolean;
  /** The tasks that go on. */
  readonly movers: readonly number[];
  /** States of the component. */
  readonly states: number;
}

export interface Liveness {
  /** Of each kind for each process one, a certain one where there is one, and the nearest of these. */
  readonly endless: readonly Endless[];
  /** Whether every state was looked at: whether there is no other. */
  readonly complete: boolean;
}

/** What a component's states have in common. */
interface Traits {
  /** Bits of the tasks that move within it. */
  readonly moves: Uint32Array;
  /** Bits of the tasks that can move in one of its states. */
  readonly some: Uint32Array;
  /** Bits of the tasks that can move in all of them. */
  readonly always: Uint32Array;
  /** 1 where a step leads out. */
  readonly exits: Uint8Array;
  /** 1 where not all of its states have been expanded. */
  readonly open: Uint8Array;
  /** Its state with the smallest number: the nearest. */
  readonly nearest: Uint32Array;
  readonly size: Uint32Array;
}

function traitsOf({ states, expanded, first, to, task }: StateGraph, { count, of }: Components): Traits {
  const made: Traits = {
    moves: new Uint32Array(count),
    some: new Uint32Array(count),
    always: new Uint32Array(count).fill(0xffffffff),
    exits: new Uint8Array(count),
    open: new Uint8Array(count),
    nearest: new Uint32Array(count),
    size: new Uint32Array(count),
  };
  const { moves, some, always, exits, open, nearest, size } = made;
  for (let state = states - 1; state >= 0; state--) {
    const component = of[state];
    nearest[component] = state;
    size[component]++;
    if (state >= expanded) open[component] = 1;
    let enabled = 0;
    for (let edge = first[state]; edge < first[state + 1]; edge++) {
      const bit = 1 << task[edge];
      enabled |= bit;
      if (of[to[edge]] !== component) exits[component] = 1;
      else moves[component] |= bit;
    }
    some[component] |= enabled;
    always[component] &= enabled;
  }
  return made;
}

const bitsOf = (mask: number, tasks: number): number[] =>
  Array.from({ length: tasks }, (_, task) => task).filter((task) => (mask & (1 << task)) !== 0);

/**
 * What may go on for ever.
 *
 * @param processes the tasks that ought to come to an end
 * @param unfinished which of them have not, and can still, in a state
 */
export function liveness(
  graph: StateGraph,
  processes: readonly number[],
  unfinished: (state: number) => readonly number[],
): Liveness {
  const { tasks } = graph;
  if (tasks > 32) throw new Error(`liveness: ${tasks} tasks; at most 32 are possible`);
  const best = new Map<string, Omit<Endless, "schedule"> & { readonly state: number }>();
  const offer = (
    what: Endless["what"],
    task: number,
    component: number,
    { moves, exits, nearest, size }: Traits,
  ): void => {
    const certain = what !== "starvation" && exits[component] === 0;
    const state = nearest[component];
    const key = `${what} ${task}`;
    const known = best.get(key);
    if (known && (known.certain !== certain ? known.certain : known.state <= state)) return;
    const movers = bitsOf(moves[component], tasks);
    best.set(key, { what, task, certain, movers, state, states: size[component] });
  };

  const whole = components(graph);
  const traits = traitsOf(graph, whole);
  for (let component = 0; component < whole.count; component++) {
    const moves = traits.moves[component];
    if (moves === 0 || traits.open[component] === 1 || (traits.always[component] & ~moves) !== 0) continue;
    for (const task of unfinished(traits.nearest[component])) {
      const bit = 1 << task;
      if ((moves & bit) !== 0) offer("livelock", task, component, traits);
      else if ((traits.some[component] & bit) === 0) offer("waits", task, component, traits);
    }
  }

  for (const task of processes) {
    const without = components(graph, (each) => each !== task);
    const others = traitsOf(graph, without);
    const bit = 1 << task;
    for (let component = 0; component < without.count; component++) {
      const moves = others.moves[component] & ~bit;
      if (moves === 0 || others.open[component] === 1) continue;
      if ((others.always[component] & ~moves) !== 0) continue;
      if ((others.some[component] & bit) !== 0) offer("starvation", task, component, others);
    }
  }
  return {
    endless: [...best.values()].map(({ state, ...each }) => ({
      ...each,
      schedule: shortestTo(graph, state),
    })),
    complete: isWhole(graph),
  };
}
