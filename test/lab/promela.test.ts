/** The Promela model has as many states as the search: counted by a reader of the text that knows of Promela what the models use. */
import { describe, expect, it } from "vitest";
import { explore } from "../../src/lab/explore.js";
import { promela } from "../../src/lab/promela.js";

interface Step {
  /** One of these holds. */
  readonly guards: readonly (readonly (readonly [string, number])[])[];
  readonly acts: readonly (readonly [string, number])[];
  readonly to: number;
}

const guardsOf = (text: string): Step["guards"] =>
  text
    .split(" || ")
    .map((guard) => [...guard.matchAll(/(\w+) == (\d+)/g)].map(([, name, value]) => [name, Number(value)]));

/** The processes of a model: by label, their options. */
function read(text: string): Map<number, Step[]>[] {
  const processes: Map<number, Step[]>[] = [];
  let place: Step[] = [];
  let sequence: Omit<Step, "to">[] = [];
  for (const line of text.split("\n")) {
    if (line.startsWith("active proctype")) processes.push(new Map());
    const label = /^end_(\d+):$/.exec(line);
    if (label) {
      place = [];
      processes.at(-1)?.set(Number(label[1]), place);
    }
    const alone = /^\t:: (\(.*\)); goto end_(\d+)$/.exec(line);
    if (alone) place.push({ guards: guardsOf(alone[1]), acts: [], to: Number(alone[2]) });
    const option = /^\t\t:: (\(.*\)) -> (.*)$/.exec(line);
    if (option)
      sequence.push({
        guards: guardsOf(option[1]),
        acts: [...option[2].matchAll(/(\w+) = (\d+)/g)].map(([, name, value]) => [name, Number(value)]),
      });
    const end = /^\t\tfi \}; goto end_(\d+)$/.exec(line);
    if (end) {
      place.push(...sequence.map((each) => ({ ...each, to: Number(end[1]) })));
      sequence = [];
    }
  }
  return processes;
}

/** How many states a model has. */
function count(text: string): number {
  const names = [...text.matchAll(/^unsigned (\w+) :/gm)].map(([, name]) => name);
  const processes = read(text);
  const first = [...processes.map(() => 0), ...names.map(() => 0)];
  const at = (name: string): number => processes.length + names.indexOf(name);
  const seen = new Set([first.join()]);
  const states = [first];
  for (const state of states)
    processes.forEach((process, task) => {
      for (const { guards, acts, to } of process.get(state[task]) ?? []) {
        if (!guards.some((guard) => guard.every(([name, value]) => state[at(name)] === value))) continue;
        const next = [...state];
        for (const [name, value] of acts) next[at(name)] = value;
        next[task] = to;
        const key = next.join();
        if (seen.has(key)) continue;
        seen.add(key);
        states.push(next);
      }
    });
  return states.length;
}

describe("a model for Spin", () => {
  it.each([
    ["kara-2018-quiet", "v4.20"],
    ["W7", "v4.20"],
    ["W11", "v4.20"],
    ["W14", "v4.20"],
    ["dio-write-race", "v6.4"],
    ["cve-2020-29374", "v4.20"],
  ])("%s on %s has as many states as the search finds", (scenario, kernel) => {
    const text = promela(scenario, { kernel });
    const { states } = explore(scenario, { kernel });
    expect(count(text)).toBe(states);
    expect(text).toContain(`on ${kernel}: ${states} states.`);
  });

  it("fails an assertion where a step meets a fault, if it is asked to", () => {
    const text = promela("dio-write-race");
    expect(text).toContain("#define TORN assert(false)");
    expect(text).toMatch(/; TORN$/m);
  });

  it("is not written of a search that was cut short", () => {
    expect(() => promela("kara-2018", { maxStates: 1000 })).toThrow(
      "kara-2018 on v4.20: no model can be written, the search is not complete",
    );
  });
});
