/**
 * Random runs of random scenarios: a part of what `npm run soak` does, and that a run's number and its replay line say all
 * that there is to say of it.
 */
import { describe, expect, it } from "vitest";
import { applySchedule, open, parseReplay } from "../../src/lab/world.js";
import { randomRun, randomRuns } from "./random_runs.js";

/** Each run links a machine of its own, which takes most of the time. */
const TIMEOUT = 180_000;

describe("random runs", { timeout: TIMEOUT }, () => {
  it("of scenarios keep every invariant at every step", () => {
    const { outcomes, kernels } = randomRuns("scenario", 1, 100_000);
    expect(kernels.size).toBeGreaterThan(15);
    // They get somewhere: what the invariants are held against includes machines that have crashed and lost.
    for (const kind of ["BUG", "LOST", "REFUSED"]) expect(outcomes).toContain(kind);
  });

  it("of orders to the sandbox keep every invariant at every step", () => {
    const { outcomes } = randomRuns("sandbox", 1, 80_000);
    for (const kind of ["REFUSED"]) expect(outcomes).toContain(kind);
  });

  it.each([["scenario"], ["sandbox"]] as const)(
    "of a %s: their numbers and their replay lines give them again",
    (draw) => {
      for (let seed = 1; seed <= 12; seed++) {
        const { world } = randomRun(draw, seed, null, undefined, 1500);
        const state = new Uint8Array(world.k.memory.snapshot());
        expect(
          new Uint8Array(randomRun(draw, seed, null, undefined, 1500).world.k.memory.snapshot()),
        ).toEqual(state);
        const { scenario, kernel, schedule } = parseReplay(world.replay);
        const again = open(scenario, { kernel, record: false });
        applySchedule(again, schedule);
        expect(new Uint8Array(again.k.memory.snapshot())).toEqual(state);
      }
    },
  );
});
