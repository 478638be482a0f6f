/** The first states of kara-2018's search. */
import { open } from "../../src/lab/world.js";

/** Search until this many states are seen. */
export function bounded(maxStates: number): { states: number; transitions: number; bytes: number } {
  const world = open("kara-2018", { record: false });
  const { states, transitions } = world.explore({ maxStates, progress: () => true });
  return { states, transitions, bytes: world.k.memory.state.byteLength };
}
