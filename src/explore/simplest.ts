/**
 * The simplest way to a fault: provably the fewest context switches, and of those with as many the fewest steps.
 *
 * A node is a state together with the task that moved last; to let the same task go on costs no switch, to let another one move costs one. A
 * task has one step in a state, so that within one number of switches the nodes form chains, which are followed in the order of their
 * steps: each node is settled at its least (switches, steps), as in a 0-1 breadth-first search. The first step is no switch.
 *
 * It needs five bytes a node and some for the frontier. Where the room does not suffice, or the graph ends early, the way that is
 * found is a way, but not proven to be the simplest: `proven` says so.
 */
import type { FaultKind } from "../trace/recording.js";
import { type Faults, isWhole, NOWHERE, type StateGraph } from "./graph.js";

export interface Simplest {
  readonly kind: FaultKind;
  readonly schedule: readonly number[];
  readonly switches: number;
  /** Whether no way has fewer switches, and none with as many has fewer steps. */
  readonly proven: boolean;
}

/** Number of times that another task goes on. */
export function switchesOf(schedule: readonly number[]): number {
  let switches = 0;
  for (let at = 1; at < schedule.length; at++) if (schedule[at] !== schedule[at - 1]) switches++;
  return switches;
}

const NODE_BYTES = 5;
/** Room for the nodes unless a caller says otherwise: 2 GiB. */
const NODES_BYTES = 2 ** 31;

const FRESH = 0;
const AHEAD = 1;
const SETTLED = 2;

/** What a state's mark says. */
const FAULTY_STATE = 1;
const FAULTY_STEP = 2;

/** A way that has been found: up to a node, and perhaps one step more. */
interface Found {
  readonly node: number;
  readonly last: number;
  readonly switches: number;
  readonly steps: number;
}

/** For each kind of fault the way with the fewest switches; null when the nodes have no room. */
export function fewestSwitches(
  graph: StateGraph,
  faults: Faults,
  maxBytes: number = NODES_BYTES,
): Simplest[] | null {
  const { states, tasks, first, to, task: taskOf } = graph;
  // One "task" more: nobody has moved yet.
  const width = tasks + 1;
  const nodes = states * width;
  if (nodes * NODE_BYTES > maxBytes || nodes > 0xfffffff0) return null;
  const kindsOfStep = new Map<number, FaultKind[]>();
  const kindsOfState = new Map<number, FaultKind[]>();
  const marks = new Uint8Array(states);
  const add = (map: Map<number, FaultKind[]>, at: number, kind: FaultKind): void => {
    const known = map.get(at);
    if (known) known.push(kind);
    else map.set(at, [kind]);
  };
  for (const [kind, places] of faults) {
    for (const edge of places.edges) add(kindsOfStep, edge, kind);
    for (const state of places.states) {
      marks[state] |= FAULTY_STATE;
      add(kindsOfState, state, kind);
    }
  }
  for (let state = 0; state < states; state++)
    for (let edge = first[state]; edge < first[state + 1]; edge++)
      if (kindsOfStep.has(edge)) marks[state] |= FAULTY_STEP;

  const parent = new Uint32Array(nodes);
  const status = new Uint8Array(nodes);
  const best = new Map<FaultKind, Found>();
  let open = faults.size;
  const offer = (kinds: readonly FaultKind[], found: Found): void => {
    for (const kind of kinds) {
      const known = best.get(kind);
      if (
        !known ||
        found.switches < known.switches ||
        (found.switches === known.switches && found.steps < known.steps)
      )
        best.set(kind, found);
    }
  };

  /** Seeds of the next number of switches, with their steps, which do not fall. */
  let seeds: number[] = [tasks];
  let seedSteps: number[] = [0];
  parent[tasks] = NOWHERE;
  for (let switches = 0; seeds.length > 0 && open > 0; switches++) {
    const nextSeeds: number[] = [];
    const nextSteps: number[] = [];
    let chain: number[] = [];
    let at = 0;
    for (let steps = seedSteps[0]; at < seeds.length || chain.length > 0; steps++) {
      if (chain.length === 0 && seedSteps[at] > steps) steps = seedSteps[at];
      const here = chain;
      chain = [];
      for (; at < seeds.length && seedSteps[at] === steps; at++) {
        if (status[seeds[at]] === SETTLED) continue;
        status[seeds[at]] = SETTLED;
        here.push(seeds[at]);
      }
      const settle = (node: number): void => {
        const state = Math.floor(node / width);
        const last = node - state * width;
        const mark = marks[state];
        if ((mark & FAULTY_STATE) !== 0)
          offer(kindsOfState.get(state) as FaultKind[], { node, last: NOWHERE, switches, steps });
        for (let edge = first[state]; edge < first[state + 1]; edge++) {
          const task = taskOf[edge];
          const same = task === last || last === tasks;
          if ((mark & FAULTY_STEP) !== 0) {
            const kinds = kindsOfStep.get(edge);
            if (kinds)
              offer(kinds, {
                node,
                last: task,
                switches: same ? switches : switches + 1,
                steps: steps + 1,
              });
          }
          const next = to[edge] * width + task;
          if (status[next] === SETTLED) continue;
          if (same) {
            parent[next] = node;
            status[next] = SETTLED;
            chain.push(next);
          } else if (status[next] === FRESH) {
            status[next] = AHEAD;
            parent[next] = node;
            nextSeeds.push(next);
            nextSteps.push(steps + 1);
          }
        }
      };
      for (const node of here) settle(node);
    }
    seeds = nextSeeds;
    seedSteps = nextSteps;
    // What is found with as few switches as were looked at is the simplest.
    open = [...faults.keys()].filter((kind) => (best.get(kind)?.switches ?? NOWHERE) > switches).length;
  }

  return [...best].map(([kind, { node, last, switches }]) => {
    const schedule: number[] = last === NOWHERE ? [] : [last];
    for (let here = node; here % width !== tasks; here = parent[here]) schedule.push(here % width);
    return { kind, schedule: schedule.reverse(), switches, proven: isWhole(graph) };
  });
}
