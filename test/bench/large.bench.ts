/** A machine of 1,048,576 pages with eight drivers, kswapd and the flusher under way. */
import { bench, describe } from "vitest";
import { bundled } from "../bundled.js";

const { largeMachine } = await bundled<typeof import("./large.js")>("bench/large.ts");

const PAGES = 1_048_576;
const STEPS = 1_000_000;

const large = largeMachine(PAGES);
const { memory, machine, k } = large;
large.run(3 * STEPS);

// Named steps per scheduler step: held ones run at once with the step before them.
let named = 0;
machine.watch = () => {
  named++;
};
large.run(STEPS);
machine.watch = null;

const before = process.cpuUsage();
large.run(4 * STEPS);
const { user, system } = process.cpuUsage(before);
const rate = (4 * STEPS) / (user + system);

console.log(
  `${(memory.bytes / PAGES).toFixed(1)} bytes per simulated page; ${rate.toFixed(1)} million steps a second of CPU, each with ` +
    `${(named / STEPS).toFixed(2)} named steps: ${((rate * named) / STEPS).toFixed(1)} million of those; ${k.vmstat.pgscan_kswapd[0]} pages scanned, ${k.vmstat.nr_written[0]} written, ${k.faults.length} faults`,
);

describe(`${PAGES} pages, 8 drivers, kswapd, flusher, 8 disks`, () => {
  bench(
    `${STEPS} scheduler steps (${Math.round((named / STEPS) * 100) / 100} named steps each)`,
    () => large.run(STEPS),
    { time: 5000, iterations: 5, warmupIterations: 2 },
  );
});

describe("a snapshot, which is what time travel costs", () => {
  const moment = memory.snapshot();
  bench(`copy ${Math.round(memory.bytes / 1e6)} MB`, () => {
    memory.snapshot();
  });
  bench("restore", () => memory.restore(moment));
});
