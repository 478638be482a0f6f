/** A value that does not fit a word of a frame is a fault of guplab, and says where it is. */
import { describe, expect, it } from "vitest";
import { Machine, machineTables, type Running } from "../../src/machine/machine.js";
import { Memory } from "../../src/machine/memory.js";
import { kind, pathLanguage } from "../../src/machine/path.js";
import { link } from "../../src/machine/program.js";
import { randomRun } from "../lab/random_runs.js";

const { path, step, call } = pathLanguage<Running>();
const int = kind("int");
const store = path("store", { source: "none", args: { value: int }, locals: { twice: int } }, [
  step("double", (_, f) => {
    f.twice = 2 * f.value;
  }),
]);
const calls = (value: number) => path("calls", { source: "none" }, [call(() => store, { value })]);

function machine(root: ReturnType<typeof calls> | typeof store, args: readonly number[], small = true) {
  const image = link([root]);
  const tasks = [{ name: "a", letter: "a", program: 0, args, daemon: false }];
  const k: Running = { task: 0, at: 0, dying: false, locks: [] };
  return new Machine(k, image, new Memory(machineTables(image, tasks, small)), tasks);
}

describe("a value that does not fit", () => {
  it("as a constant of a call, or an argument of a task, is refused before the first step", () => {
    const sentence = "Machine: store: value = 40000 does not fit a word of its frame";
    expect(() => machine(calls(40_000), [])).toThrow(sentence);
    expect(() => machine(store, [40_000])).toThrow(sentence);
    expect(() => machine(store, [40_000], false)).not.toThrow();
    expect(() => machine(calls(32_767), [])).not.toThrow();
  });

  it("that a step stores throws where somebody looks, with the path, the local and the value", () => {
    const made = machine(store, [20_000]);
    made.checkWords();
    expect(() => made.step(0)).toThrow("Machine: store: twice = 40000 does not fit a word of its frame");
  });

  it("is stored by no path in random runs", { timeout: 300_000 }, () => {
    for (let seed = 1; seed <= 6; seed++) {
      let first = true;
      randomRun(
        seed % 2 === 0 ? "sandbox" : "scenario",
        seed,
        null,
        ({ machine: each }) => {
          if (first) each.checkWords();
          first = false;
        },
        300,
      );
    }
  });
});
