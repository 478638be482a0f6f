/** Verbs that keep a run in a file, read one, and leave. */
import type { Saved } from "../desk.js";
import { where } from "./kinds.js";
import { file, required, result, verb } from "./verb.js";

export const save = verb({
  name: "save",
  help: "Write this run to a file: scenario, kernel, parameters, seed, schedule",
  example: "run; save crash.json",
  args: { file: required(file, "a file") },
  run: (desk, { file: path }) => {
    const { world, tick } = desk;
    const saved: Saved = {
      guplab: "session",
      scenario: world.scenario.name,
      kernel: world.kernel.name,
      parameters: world.parameters,
      seed: desk.seed,
      schedule: world.replay.slice(world.replay.lastIndexOf(":") + 1),
    };
    desk.host.write(path, `${JSON.stringify(saved, null, 2)}\n`);
    return result(`wrote ${path} (${tick} steps)`, { written: path, steps: tick });
  },
});

export const open = verb({
  name: "open",
  help: "Go on with a run that save wrote",
  example: "run; save crash.json; open crash.json",
  args: { file: required(file, "a file that save wrote") },
  run: (desk, { file: path }) => {
    const saved = readSaved(path, desk.host.read(path));
    const assignments = Object.entries(saved.parameters).map(([name, value]) => `,${name}=${value}`);
    try {
      desk.start(
        `${saved.scenario}${assignments.join("")}@${saved.kernel}:${saved.schedule}`,
        saved.kernel,
        saved.seed,
      );
    } catch (error) {
      throw new Error(`${path} cannot be opened: ${(error as Error).message}`);
    }
    return where(desk);
  },
});

/** Check what a file holds. @throws Error with one sentence */
function readSaved(path: string, text: string): Saved {
  let value: Partial<Saved> | null;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error(`${path} is not a saved run, or is cut short: it is not whole JSON`);
  }
  const { guplab, scenario: name, kernel: version, parameters, seed: number, schedule } = value ?? {};
  const whole =
    guplab === "session" &&
    typeof name === "string" &&
    typeof version === "string" &&
    typeof schedule === "string" &&
    Number.isInteger(number) &&
    typeof parameters === "object" &&
    Object.values(parameters ?? {}).every(
      (each) => Number.isInteger(each) || (typeof each === "string" && /^[\w-]+$/.test(each)),
    );
  if (!whole) throw new Error(`${path} is not a saved run: the verb save writes one`);
  return value as Saved;
}

export const source = verb({
  name: "source",
  help: "Do what the lines of a file say",
  details: ["The first line that cannot be done ends it."],
  example: 'source "my script.txt"',
  args: { file: required(file, "a file with a verb a line") },
  run: (desk, { file: path }) => desk.host.script(desk, desk.host.read(path)),
});

export const quit = verb({
  name: "quit",
  help: "Leave",
  example: "quit",
  run: (desk) => {
    desk.left = true;
    return result("", {});
  },
});
