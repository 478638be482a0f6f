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
 *
 * Each finding comes with a proof that can be replayed: a shortest way into the component, and a round, a way from there back to the
 * same state in which each task moves or is stopped once. Whoever makes the round again and again makes such a run.
 */
import {
  type Components,
  components,
  isWhole,
  NOWHERE,
  type StateGraph,
  shortestTo,
  sourceOf,
} from "./graph.js";

export interface Endless {
  readonly what: "livelock" | "waits" | "starvation";
  /** The process that does not come to its end. */
  readonly task: number;
  /** A shortest way into the component. */
  readonly schedule: readonly number[];
  /** From there back to the same state; made for ever, it is a weakly fair run. */
  readonly round: readonly number[];
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

/** Something that may go on for ever in a component, by the component's nearest state. */
type Found = Omit<Endless, "schedule" | "round"> & {
  readonly state: number;
  readonly component: number;
};

/**
 * A way within a component from a state back to it in which each task moves or is stopped, `must` moves, and `can` can move once.
 *
 * @param without a task that does not move, or -1
 */
function roundFrom(
  graph: StateGraph,
  { of }: Components,
  start: number,
  { must, can, without }: { readonly must: number; readonly can: number; readonly without: number },
): number[] {
  const { first, to, task: tasks } = graph;
  const every = graph.tasks === 32 ? 0xffffffff : (1 << graph.tasks) - 1;
  /** Bits of the tasks that have not moved nor been stopped yet; whether `must` has not moved and `can` could not. */
  let owed = every;
  let owesMove = must >= 0;
  let owesChance = can >= 0;
  const enabledIn = (state: number): number => {
    let enabled = 0;
    for (let edge = first[state]; edge < first[state + 1]; edge++) enabled |= 1 << tasks[edge];
    return enabled;
  };
  const pays = (state: number): boolean =>
    (owed & ~enabledIn(state)) !== 0 || (owesChance && (enabledIn(state) & (1 << can)) !== 0);
  const seeState = (state: number): void => {
    const enabled = enabledIn(state);
    owed &= enabled;
    if (can >= 0 && (enabled & (1 << can)) !== 0) owesChance = false;
  };
  /** The nearest edge after which something is paid, with the way to it; where nothing is owed, the way back. */
  const leg = (from: number): number[] => {
    const done = owed === 0 && !owesMove && !owesChance;
    const via = new Map<number, number>();
    const wayTo = (last: number): number[] => {
      const way = [last];
      for (let at = sourceOf(graph, last); at !== from; at = sourceOf(graph, way[way.length - 1]))
        way.push(via.get(at) as number);
      return way.reverse();
    };
    let now = [from];
    while (now.length > 0) {
      const next: number[] = [];
      for (const state of now) {
        for (let edge = first[state]; edge < first[state + 1]; edge++) {
          const mover = tasks[edge];
          const target = to[edge];
          if (mover === without || of[target] !== of[start]) continue;
          const paid = done
            ? target === start
            : (owed & (1 << mover)) !== 0 || (owesMove && mover === must) || pays(target);
          if (paid) return wayTo(edge);
          if (target === from || via.has(target)) continue;
          via.set(target, edge);
          next.push(target);
        }
      }
      now = next;
    }
    throw new Error("liveness: a component without a round");
  };
  const round: number[] = [];
  let at = start;
  seeState(at);
  do {
    for (const edge of leg(at)) {
      round.push(tasks[edge]);
      owed &= ~(1 << tasks[edge]);
      if (tasks[edge] === must) owesMove = false;
      at = to[edge];
      seeState(at);
    }
  } while (at !== start || owed !== 0 || owesMove || owesChance);
  return round;
}

/** The state in which a task has just made its last step on the shortest way to a state: NOWHERE when it has made none. */
export function lastMoved(graph: StateGraph, task: number, state: number): number {
  for (let at = state; at !== 0; ) {
    const edge = graph.tree[at];
    if (graph.task[edge] === task) return at;
    at = sourceOf(graph, edge);
  }
  return NOWHERE;
}

/**
 * What may go on for ever.
 *
 * @param processes the tasks that ought to come to an end
 * @param unfinished whether one of them that does not move has not come to it in a state, and still can
 */
export function liveness(
  graph: StateGraph,
  processes: readonly number[],
  unfinished: (task: number, state: number) => boolean,
): Liveness {
  const { tasks } = graph;
  if (tasks > 32) throw new Error(`liveness: ${tasks} tasks; at most 32 are possible`);
  const best = new Map<string, Found>();
  const offer = (
    what: Endless["what"],
    task: number,
    component: number,
    { moves, exits, nearest, size }: Traits,
    isSo: () => boolean,
  ): void => {
    const certain = what !== "starvation" && exits[component] === 0;
    const state = nearest[component];
    const key = `${what} ${task}`;
    const known = best.get(key);
    if (known && (known.certain !== certain ? known.certain : known.state <= state)) return;
    if (!isSo()) return;
    const movers = bitsOf(moves[component], tasks);
    best.set(key, { what, task, certain, movers, state, component, states: size[component] });
  };
  const endless: Endless[] = [];
  const conclude = (parts: Components): void => {
    for (const { state, component, ...each } of best.values()) {
      const { what, task } = each;
      const starved = what === "starvation";
      endless.push({
        ...each,
        schedule: shortestTo(graph, state),
        round: roundFrom(graph, parts, state, {
          must: what === "livelock" ? task : -1,
          can: starved ? task : -1,
          without: starved ? task : -1,
        }),
      });
    }
    best.clear();
  };
  const yes = (): boolean => true;

  const whole = components(graph);
  const traits = traitsOf(graph, whole);
  for (let component = 0; component < whole.count; component++) {
    const moves = traits.moves[component];
    if (moves === 0 || traits.open[component] === 1 || (traits.always[component] & ~moves) !== 0) continue;
    for (const task of processes) {
      const bit = 1 << task;
      if ((moves & bit) !== 0) offer("livelock", task, component, traits, yes);
      else if ((traits.some[component] & bit) === 0) {
        const waits = (): boolean => unfinished(task, traits.nearest[component]);
        offer("waits", task, component, traits, waits);
      }
    }
  }
  conclude(whole);

  for (const task of processes) {
    const without = components(graph, (each) => each !== task);
    const others = traitsOf(graph, without);
    const bit = 1 << task;
    for (let component = 0; component < without.count; component++) {
      const moves = others.moves[component] & ~bit;
      if (moves === 0 || others.open[component] === 1) continue;
      if ((others.always[component] & ~moves) !== 0) continue;
      if ((others.some[component] & bit) !== 0) offer("starvation", task, component, others, yes);
    }
    conclude(without);
  }
  return { endless, complete: isWhole(graph) };
}
