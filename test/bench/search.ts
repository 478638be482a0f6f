/**
 * A search or walk in a process that has done nothing else: what somebody waits for who asks once. Started by fresh.ts with its order as the
 * argument; prints what came of it as JSON.
 */
import { writeFileSync } from "node:fs";
import { promela } from "../../src/lab/promela.js";
import { open } from "../../src/lab/world.js";
import type { Measured, Order } from "./fresh.js";

const order = JSON.parse(process.argv[2]) as Order;

const cpuSeconds = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

const started = cpuSeconds();
const { scenario, kernel, maxCpuSeconds = Number.POSITIVE_INFINITY } = order;

function measure(): Partial<Measured> {
  if (order.promela !== undefined) {
    writeFileSync(order.promela, promela(scenario, { kernel }));
    return {};
  }
  const world = open(scenario, { kernel, record: false });
  if (order.walks !== undefined) {
    const walked = world.walk({
      strategy: "sticky",
      walks: order.walks,
      seed: 1,
      depth: 5,
      maxSteps: 2000,
      progress: () => true,
    });
    const crash = walked.meetings.find(({ kind }) => kind === "BUG");
    return { walks: walked.walks, first: crash?.first, steps: crash?.schedule.length };
  }
  let left = 0;
  const result = world.explore({
    maxStates: Number.POSITIVE_INFINITY,
    progress: ({ frontier, found }) => {
      left = frontier;
      return (
        (order.until === undefined || !found.includes(order.until)) && cpuSeconds() - started < maxCpuSeconds
      );
    },
  });
  const { complete, states, transitions, depth, bytes, witnesses } = result;
  const steps = witnesses.find(({ kind }) => kind === "BUG")?.schedule.length;
  return { complete, states, transitions, depth, bytes, steps, left: complete ? 0 : left };
}

const measured = measure();
const all = cpuSeconds();
const rss = process.resourceUsage().maxRSS * 1024;
process.stdout.write(JSON.stringify({ ...measured, cpuSeconds: all - started, processCpuSeconds: all, rss }));
