/**
 * The search: states and transitions a second of CPU time, on the first 300,000 states of kara-2018; and what symmetry saves where two and three drivers
 * have one buffer.
 */
import { bench, describe } from "vitest";
import { bundled } from "../bundled.js";

const { bounded } = await bundled<typeof import("./bounded.js")>("bench/bounded.ts");

const { exchanged } = await bundled<typeof import("./exchanged.js")>("bench/exchanged.ts");

const STATES = 300_000;

const before = process.cpuUsage();
const { states, transitions, bytes } = bounded(STATES);
const { user, system } = process.cpuUsage(before);
const seconds = (user + system) / 1e6;
console.log(
  `kara-2018: ${states} states of ${bytes} bytes, ${transitions} transitions in ${seconds.toFixed(2)} s of CPU, cold: ` +
    `${Math.round(states / seconds)} states and ${Math.round(transitions / seconds)} transitions a second`,
);

for (const drivers of [2, 3]) {
  const scenario = `dio-flusher,drivers=${drivers},buffer=shared`;
  const [without, with_] = [false, true].map((symmetric) => {
    const start = process.cpuUsage();
    const result = exchanged(scenario, symmetric);
    const used = process.cpuUsage(start);
    return { ...result, seconds: (used.user + used.system) / 1e6 };
  });
  console.log(
    `${scenario}: ${without.states} states in ${without.seconds.toFixed(1)} s of CPU, ${with_.states} up to the exchange of ` +
      `drivers in ${with_.seconds.toFixed(1)} s: ${(without.states / with_.states).toFixed(2)} and ` +
      `${(without.seconds / with_.seconds).toFixed(2)} times as many`,
  );
}

describe("exhaustive search", () => {
  bench(
    `kara-2018, ${states} states, ${transitions} transitions`,
    () => {
      bounded(STATES);
    },
    { time: 3000, iterations: 3 },
  );
});
