/**
 * A second search, written to be obviously right and nothing else: breadth first over a Set of strings, a copy of the
 * whole memory for each state.
 */
import type { World } from "../../src/lab/world.js";
import type { FaultKind } from "../../src/trace/recording.js";

export interface NaiveResult {
  readonly states: number;
  readonly transitions: number;
  /** Steps to the first fault of each kind that a step reported. */
  readonly faults: ReadonlyMap<FaultKind, number>;
}

/** Visit every state within `depth` steps of where the world is now. `visit` is called in each of them. */
export function naiveSearch(
  world: World,
  depth = Number.POSITIVE_INFINITY,
  visit: (world: World) => void = () => {},
): NaiveResult {
  const { machine, k } = world;
  const { memory } = k;
  const bytes = Buffer.from(memory.state.buffer, memory.state.byteOffset, memory.state.byteLength);
  const key = () => bytes.toString("latin1");
  const seen = new Set([key()]);
  const faults = new Map<FaultKind, number>();
  let frontier = [memory.snapshot()];
  let transitions = 0;
  visit(world);
  for (let steps = 1; frontier.length > 0 && steps <= depth; steps++) {
    const next: ArrayBuffer[] = [];
    for (const state of frontier) {
      for (let task = 0; task < machine.tasks.length; task++) {
        memory.restore(state);
        if (!world.enabled(task)) continue;
        k.faults.length = 0;
        machine.step(task);
        transitions++;
        for (const { kind } of k.faults) if (!faults.has(kind)) faults.set(kind, steps);
        const reached = key();
        if (seen.has(reached)) continue;
        seen.add(reached);
        next.push(memory.snapshot());
        visit(world);
      }
    }
    frontier = next;
  }
  return { states: seen.size, transitions, faults };
}
