/**
 * How long somebody waits for a notebook's kernel: stock tslab and guplab's, one after the other, several times, so that
 * what else the machine does meets both. It prints, and fails nothing.
 */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { startKernel } from "../../src/notebook/kernel-client.js";
import { table } from "./fresh.js";

const ROUNDS = Number(process.env.ROUNDS ?? 5);
const root = process.cwd();
const tslab = dirname(createRequire(join(root, "package.json")).resolve("tslab/package.json"));
const kernels = {
  "stock tslab": [
    process.execPath,
    join(tslab, "bin", "tslab"),
    "kernel",
    "--config-path",
    "{connection_file}",
  ],
  guplab: undefined,
} as const;
/** Stock tslab has to be told where the names come from; guplab's kernel has them. */
const cells = ['import { lab } from "guplab";\nlab.run("kara-2018").outcomes', "1 + 1"];

const seconds_of: Record<string, number[][]> = { "stock tslab": [], guplab: [] };
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, argv] of Object.entries(kernels)) {
    const start = performance.now();
    const laps = [start];
    const kernel = await startKernel(root, argv && [...argv]);
    laps.push(performance.now());
    for (const cell of cells) {
      const { failure } = await kernel.execute(cell, 120);
      if (failure) throw new Error(`${name}: ${failure.ename}: ${failure.evalue}`);
      laps.push(performance.now());
    }
    kernel.close();
    seconds_of[name].push(laps.slice(1).map((lap) => (lap - start) / 1000));
  }
}

/** The middle of the rounds, at each moment. */
const median = (name: string): number[] =>
  seconds_of[name][0].map(
    (_, at) => seconds_of[name].map((laps) => laps[at]).sort((a, b) => a - b)[ROUNDS >> 1],
  );

const [stock, ours] = [median("stock tslab"), median("guplab")];
const rows = ["answers", "first cell of guplab done", "second cell done"].map((moment, at) => [
  moment,
  `${stock[at].toFixed(2)} s`,
  `${ours[at].toFixed(2)} s`,
  (ours[at] / stock[at]).toFixed(2),
]);
process.stdout.write(
  `Seconds from the start, median of ${ROUNDS} rounds in turn\n${table([["", "stock tslab", "guplab", "ratio"], ...rows])}\n`,
);
