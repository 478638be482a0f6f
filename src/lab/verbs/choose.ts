/** Verbs that choose what runs: scenario, kernel, seed. */
import { kernels, uncertainIn } from "../../patches/kernels.js";
import { rangeOf } from "../scenario.js";
import { scenarios } from "../scenarios.js";
import { blocks, columns, fill, glossary } from "../text.js";
import { kernelName, scenarioName } from "./kinds.js";
import { count, optional, result, verb } from "./verb.js";

export const listScenarios = verb({
  name: "scenarios",
  help: "List the scenarios",
  example: "scenarios",
  run: () =>
    result(
      columns(
        scenarios.map(({ name, aliases, help: about }) => [`  ${[...aliases, name].join(", ")}`, about]),
      ),
      scenarios.map(({ name, aliases, help: about, parameters }) => ({
        scenario: name,
        aliases,
        help: about,
        parameters,
      })),
    ),
});

export const scenario = verb({
  name: "scenario",
  help: "Tell what this scenario is about, or begin another",
  details: [
    "Parameters follow the name after commas: scenario kara-2018,pages=2,drivers=2. The run begins at tick 0, with the scenario's own seed and the kernel in use.",
  ],
  example: "scenario kara-2018-quiet",
  args: { name: optional(scenarioName, "its name, and parameters after commas") },
  run: (desk, { name }) => {
    if (name !== undefined) {
      if (name.includes("@")) throw new Error(`"${name}" is a replay line: say replay ${name}`);
      desk.start(name);
    }
    const { world, host, seed, tick } = desk;
    const { parameters } = world.scenario;
    const story = world.kernel.names.text(world.scenario.story);
    const rows = Object.entries(parameters).map(
      ([name, each]) => [`  ${name}=${world.parameters[name]}`, `${each.help} (${rangeOf(each)})`] as const,
    );
    return result(
      blocks(
        `${world.name} on ${world.kernel.name}, seed ${seed}, tick ${tick}`,
        fill(story, host.columns).join("\n"),
        rows.length > 0 ? glossary(rows, host.columns) : "",
      ),
      { scenario: world.name, kernel: world.kernel.name, seed, tick, story, parameters: world.parameters },
    );
  },
});

export const listKernels = verb({
  name: "kernels",
  help: "List the kernels",
  example: "kernels",
  run: () =>
    result(
      columns(
        kernels.flatMap((each) => [
          [`  ${each.name}`, each.help],
          ...uncertainIn(each).map((what) => ["", `uncertain: ${what}`]),
        ]),
      ),
      kernels.map((each) => ({ kernel: each.name, help: each.help, uncertain: uncertainIn(each) })),
    ),
});

export const kernel = verb({
  name: "kernel",
  help: "Tell which kernel runs, or begin the scenario again on another",
  example: "kernel v4.20",
  args: { name: optional(kernelName, "its name") },
  run: (desk, { name }) => {
    if (name !== undefined) desk.start(desk.world.name, name);
    const { name: current, help: about } = desk.world.kernel;
    return result(`${current}: ${about}`, { kernel: current, help: about });
  },
});

export const seed = verb({
  name: "seed",
  help: "Go on from here with other chances; without a number, tell the seed",
  details: ["To run the whole scenario with another seed: goto 0; seed 7; run"],
  example: "seed 7; run",
  args: { n: optional(count(0), "the seed") },
  run: (desk, { n }) => {
    if (n !== undefined) desk.reseed(n);
    return result(`seed ${desk.seed}, tick ${desk.tick}`, { seed: desk.seed, tick: desk.tick });
  },
});
