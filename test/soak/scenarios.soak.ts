import { describe, expect, it } from "vitest";
import { bundled } from "../bundled.js";

const { randomRuns } = await bundled<typeof import("../lab/random_runs.js")>("lab/random_runs.ts");

describe("five million steps of random scenarios, on drawn kernels", () => {
  it.each(Array.from({ length: 10 }, (_, at) => 1_000_000 * (at + 1)))(
    "run %i and those after it keep every invariant at every step",
    (first) => {
      expect(randomRuns("scenario", first, 500_000).runs).toBeGreaterThan(0);
    },
  );
});
