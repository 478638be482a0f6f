/** A whole search of a scenario with tasks that can be exchanged, for the benchmarks: with symmetry, or without. */
import { open } from "../../src/lab/world.js";

export function exchanged(scenario: string, symmetric: boolean) {
  return open(scenario, { record: false }).explore({
    maxStates: Number.POSITIVE_INFINITY,
    progress: () => true,
    symmetric,
  });
}
