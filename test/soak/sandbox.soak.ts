import { describe, expect, it } from "vitest";
import { randomRuns } from "../lab/random_runs.js";

describe("five million steps of random orders to the sandbox", () => {
  it.each(Array.from({ length: 10 }, (_, at) => 1_000_000 * (at + 1)))(
    "run %i and those after it keep every invariant at every step",
    (first) => {
      expect(randomRuns("sandbox", first, 500_000).runs).toBeGreaterThan(0);
    },
  );
});
