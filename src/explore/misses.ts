/**
 * Tests that hold, and by how little. Every step of a graph is made again, and each test on which a fault depends is
 * counted as it is made.
 *
 * A test is missed by k steps where it was made and held, and would have failed k steps earlier: on the shortest way to the
 * state in which it was made, the memory is as it was k steps before, and the task stands where it stood at the test and
 * has the locals that it had. Its task must have been on its way by then (it could move, or waited for a lock), and a step
 * of another task must have made the difference (after it, the test holds): otherwise nothing kept it from failing but the
 * order of things within one task. The least k over all of these is the test's miss.
 *
 * In a graph without faults no task can really come to a test that fails. So a miss names two things that do exist: the
 * moment at which it would have, and the lock or the other way that kept its task from being there.
 */
import type { FaultKind } from "../trace/recording.js";
import type { Explorable, Faces } from "./engine.js";
import { replayGraph, type StateGraph } from "./graph.js";

/** How far back is looked. */
export const LOOK_BACK = 32;

/** One test, over all states in which it was made. */
export interface Tested {
  /** What it says when it fails. */
  readonly test: string;
  /** In how many states a task made it. */
  readonly states: number;
  /** In how many of them on something that `marks`. */
  readonly marked: number;
  /** In how many it failed. */
  readonly failed: number;
  /** How little it was missed by; null where it never failed within LOOK_BACK steps. */
  readonly miss: Miss | null;
}

export interface Miss {
  /** Steps from the moment at which it would have failed to the one at which it was made. */
  readonly steps: number;
  /** State in which it would have failed. */
  readonly state: number;
  /** The edge of the step that made it. */
  readonly edge: number;
}

/** A test as the machine tells of it. */
export interface Made {
  readonly test: string;
  readonly failed: boolean;
  readonly marks: boolean;
}

export interface Watched {
  /** Told that a step of the graph is about to be made, and that it has been; what is tried besides is between others. */
  readonly real: (on: boolean) => void;
  /** What has been tested since it was asked last. */
  readonly tested: () => readonly Made[];
  /** Told of each state, the first one too, while the machine is in it. */
  readonly state: (state: number, faults: readonly FaultKind[]) => void;
}

type Answer = "fails" | "holds" | "not made";

class Counting {
  states = 0;
  marked = 0;
  failed = 0;
  miss: Miss | null = null;
  constructor(readonly test: string) {}
}

/** Count the tests of a graph. The machine is left in its first state. */
export function countTests(graph: StateGraph, faces: Faces, { tested, state, real }: Watched): Tested[] {
  const machine = faces(null);
  const { state: live, cells } = machine;
  const words = live.length;
  const own = Array.from({ length: machine.tasks }, (_, task) =>
    cells.filter((_cell, at) => machine.ownerOf(at) === task),
  );
  const tests = new Map<string, Counting>();
  /** The states on the way to the present one, and which they are. */
  let way = new Uint32Array(words * 64);
  let numbers = new Uint32Array(64);
  const depths = new Uint16Array(graph.states);
  /** Whether a test, of a task in a certain situation, fails in a state: what was tried once. */
  const tried = new Map<string, Map<number, Answer>>();

  const enter = (number: number, depth: number): void => {
    if ((depth + 1) * words > way.length) {
      const room = new Uint32Array(way.length * 2);
      room.set(way);
      way = room;
      const more = new Uint32Array(numbers.length * 2);
      more.set(numbers);
      numbers = more;
    }
    way.set(live, depth * words);
    numbers[depth] = number;
    depths[number] = depth;
  };

  /** What the test would answer now. */
  const ask = (one: Explorable, task: number, test: string): Answer => {
    if (!one.enabled(task)) return "not made";
    tested();
    try {
      one.step(task);
    } catch {
      // In a memory that its task has never seen, a step may find what it cannot be: then it is no test.
      return "not made";
    }
    const answers = tested().filter((made) => made.test === test);
    return answers.length === 0 ? "not made" : answers.some(({ failed }) => failed) ? "fails" : "holds";
  };

  /** Look back from a test that was made in the last state of the way and held. */
  const lookBack = (counting: Counting, depth: number, edge: number): void => {
    const task = graph.task[edge];
    const after = live.slice();
    live.set(way.subarray(depth * words, (depth + 1) * words));
    const values = own[task].map(({ column, row }) => column[row]);
    const key = `${task} ${counting.test} ${values.join(",")}`;
    let known = tried.get(key);
    if (known === undefined) {
      known = new Map();
      tried.set(key, known);
    }
    const least = Math.min(counting.miss === null ? LOOK_BACK : counting.miss.steps - 1, depth);
    let later: Answer = "holds";
    for (let steps = 1; steps <= least; steps++) {
      const at = depth - steps;
      let answer = known.get(numbers[at]);
      const load = (): void => live.set(way.subarray(at * words, (at + 1) * words));
      if (answer === undefined) {
        load();
        own[task].forEach(({ column, row }, cell) => {
          column[row] = values[cell];
        });
        answer = ask(machine, task, counting.test);
        known.set(numbers[at], answer);
      }
      const turned = answer === "fails" && later === "holds";
      later = answer;
      // A step of the task's own that makes the difference is no luck.
      if (!turned || graph.task[graph.tree[numbers[at + 1]]] === task) continue;
      load();
      if (machine.paused(task) || !(machine.enabled(task) || machine.waitsForLock(task))) continue;
      counting.miss = { steps, state: numbers[at], edge };
      break;
    }
    live.set(after);
    tested();
  };

  /** The state from which the present step leads. */
  let source = 0;
  enter(0, 0);
  state(0, []);
  tested();
  replayGraph(graph, faces, {
    before: (_edge, from) => {
      source = from;
      tested();
      real(true);
    },
    step: (edge) => {
      real(false);
      const made = tested();
      const seen = new Set<string>();
      for (const { test, failed, marks } of made) {
        let counting = tests.get(test);
        if (counting === undefined) {
          counting = new Counting(test);
          tests.set(test, counting);
        }
        if (!seen.has(test)) counting.states++;
        if (!seen.has(test) && marks) counting.marked++;
        if (failed) counting.failed++;
        seen.add(test);
      }
      for (const test of seen) {
        const counting = tests.get(test) as Counting;
        if (!made.some((each) => each.test === test && each.failed)) lookBack(counting, depths[source], edge);
      }
    },
    state: (number, faults) => {
      enter(number, depths[source] + 1);
      state(number, faults);
    },
  });
  return [...tests.values()].map(({ test, states, marked, failed, miss }) => ({
    test,
    states,
    marked,
    failed,
    miss,
  }));
}
