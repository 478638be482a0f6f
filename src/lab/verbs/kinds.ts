/** Kinds of arguments that several verbs have, and what they answer when something has been done. */
import { kernels } from "../../patches/kernels.js";
import { proposals } from "../../patches/proposals/index.js";
import type { Desk } from "../desk.js";
import { isFault } from "../outcomes.js";
import { faultLine } from "../run.js";
import { scenarios } from "../scenarios.js";
import { logLine, logOf } from "../views.js";
import { type Result, result, word } from "./verb.js";

export const scenarioName = word(() => scenarios.flatMap(({ name, aliases }) => [name, ...aliases]));
export const kernelName = word(() => [
  ...kernels.map(({ name }) => name),
  ...proposals.map(({ name }) => `${kernels[0].name}+${name}`),
]);
export const taskOrCount = word((desk) => desk.world.machine.tasks.map(({ name }) => name));

/** What the steps since a tick did: the last lines of the log, and how it stands. */
export function made(desk: Desk, from: number, lines: number): Result {
  const { world, tick } = desk;
  const all = logOf(world.recording(), from + 1);
  const entries = all.slice(-lines);
  const faults = world.faults.filter((fault) => fault.tick > from);
  const left = all.length - entries.length;
  const text = [
    ...(left > 0 ? [`  ... ${left} steps (log ${all.length} shows them)`] : []),
    ...entries.map((entry) => logLine(entry)),
    ...faults.filter(({ tick: at }) => at < (entries[0]?.tick ?? 0)).map(faultLine),
    ...(world.settled() && !world.takesOrders ? [`The run is over at tick ${tick}.`] : []),
  ].join("\n");
  return result(
    text,
    { tick, over: world.settled(), steps: entries, faults },
    faults.filter(({ kind }) => isFault(kind)),
  );
}

export const where = (desk: Desk): Result => {
  const { tick, horizon } = desk;
  const entries = logOf(desk.world.recording(), tick);
  const last = entries.length > 0 ? [logLine(entries[0])] : [];
  const ahead = horizon > tick ? `; known up to ${horizon}` : "";
  return result([...last, `tick ${tick}${ahead}`].join("\n"), { tick, horizon });
};
