/** The search: states and transitions a second of CPU time, on the first 300,000 states of kara-2018. */
import { bench, describe } from "vitest";
import { bundled } from "../bundled.js";

const { bounded } = await bundled<typeof import("./bounded.js")>("bench/bounded.ts");

const STATES = 300_000;

const before = process.cpuUsage();
const { states, transitions, bytes } = bounded(STATES);
const { user, system } = process.cpuUsage(before);
const seconds = (user + system) / 1e6;
console.log(
  `kara-2018: ${states} states of ${bytes} bytes, ${transitions} transitions in ${seconds.toFixed(2)} s of CPU, cold: ` +
    `${Math.round(states / seconds)} states and ${Math.round(transitions / seconds)} transitions a second`,
);

describe("exhaustive search", () => {
  bench(
    `kara-2018, ${states} states, ${transitions} transitions`,
    () => {
      bounded(STATES);
    },
    { time: 3000, iterations: 3 },
  );
});
