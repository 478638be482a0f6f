/** The machine alone: one runnable task, and a thousand, with and without the seeded scheduler. */
import { bench, describe } from "vitest";
import { bundled } from "../bundled.js";

const { toy } = await bundled<typeof import("./toy.js")>("bench/toy.ts");

const STEPS = 1_000_000;
const options = { time: 1000, warmupTime: 200 };

for (const tasks of [1, 1000]) {
  describe(`${tasks} runnable task${tasks === 1 ? "" : "s"}, ${STEPS} steps`, () => {
    const { inTurn, seeded } = toy(tasks);
    bench("in turn", () => inTurn(STEPS), options);
    bench("by the seeded scheduler", () => seeded(STEPS), options);
  });
}
