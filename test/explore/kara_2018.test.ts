/** The first test of the explorer: it finds the known bug, and its shortest schedule is one that really leads there. */
import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { explore, type Verdict } from "../../src/lab/explore.js";
import { run } from "../../src/lab/run.js";
import { applySchedule, open, parseReplay } from "../../src/lab/world.js";
import { parseSchedule } from "../../src/machine/schedule.js";
import { naiveSearch } from "./naive.js";

describe("kara-2018, every interleaving of one page and one driver", () => {
  let verdict: Verdict;
  beforeAll(() => {
    verdict = explore("kara-2018");
  }, 120_000);

  it("can crash: BUG, then HANG; ext4 warns; nothing else goes wrong", () => {
    expect(verdict.verdict).toBe("fault");
    expect(verdict.outcomes).toEqual(["BUG", "HANG", "WARN"]);
    expect([verdict.pages, verdict.drivers]).toEqual([1, 1]);
    expect(String(verdict)).toContain("CRASH");
    expect(String(verdict)).toContain("every interleaving");
  });

  it("takes as many steps as the README says", () => {
    const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
    const steps = verdict.shortest.find(({ kind }) => kind === "BUG")?.steps;
    expect(readme).toContain(`the shortest way has ${steps} steps`);
  });

  it("each shortest schedule leads to its fault, in its last step and not before", () => {
    for (const { kind, steps, replay } of verdict.shortest) {
      const result = run(replay);
      expect(result.steps).toBe(steps);
      expect(result.faults[result.faults.length - 1]).toMatchObject({ kind, tick: steps });
      expect(result.faults.filter((fault) => fault.kind === kind)).toHaveLength(1);
    }
  });

  it("the witness is the article's story: dirtied, cleaned, written, unmapped, stripped, backed out, dirtied, dead", () => {
    const story = [
      "alloc_set_pte",
      "TestClearPageDirty",
      "test_clear_page_writeback",
      "ptep_clear_flush",
      "try_to_free_buffers",
      "__remove_mapping",
      "DMA",
      "TestSetPageDirty",
    ];
    const steps = verdict.steps.map(({ step }) => step);
    let at = -1;
    for (const step of story) {
      at = steps.indexOf(step, at + 1);
      expect(at, step).toBeGreaterThan(0);
    }
    expect(verdict.steps[verdict.steps.length - 1]).toMatchObject({
      task: "flusher",
      path: "mpage_prepare_extent_to_map",
      also: expect.arrayContaining(["page_buffers"]),
    });
  });

  it("has as many named steps as its replay line has steps, each of the task that the line says", () => {
    const { witness, steps } = verdict;
    const { schedule } = parseReplay(witness?.replay ?? "");
    const world = open("kara-2018", { record: false });
    const tasks = parseSchedule(schedule, world.letters);
    expect(steps.map(({ task }) => task)).toEqual(tasks.map((task) => world.machine.tasks[task].name));
  });

  it("from the submission of the read on, no way is shorter: a naive search that stops one step before finds none", () => {
    const { schedule } = parseReplay(verdict.witness?.replay ?? "");
    const world = open("kara-2018", { record: false });
    const tasks = parseSchedule(schedule, world.letters);
    // A shortest way is shortest from each of its states on.
    const left = 22;
    for (const task of tasks.slice(0, tasks.length - left)) world.step(task);
    const start = world.k.memory.snapshot();
    expect(naiveSearch(world, left - 1).faults.has("BUG")).toBe(false);
    world.k.memory.restore(start);
    expect(naiveSearch(world, left).faults.get("BUG")).toBe(left);
  });

  it("its figure has the tasks of the scenario", () => {
    expect(JSON.stringify(verdict.lanes())).toContain("kswapd");
  });

  it("a replay line with one step left out does not reach the fault", () => {
    const { scenario, schedule } = parseReplay(verdict.witness?.replay ?? "");
    const world = open(scenario, { record: false });
    const tasks = parseSchedule(schedule, world.letters);
    applySchedule(world, "");
    for (const task of tasks.slice(0, -1)) world.step(task);
    expect(world.k.faults.some(({ kind }) => kind === "BUG")).toBe(false);
  });
});
