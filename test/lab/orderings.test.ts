/** Necessary orderings: of graphs on a sheet of paper, and of scenarios whose bug is known. */
import { describe, expect, it } from "vitest";
import { exploreGraph, faultsOf } from "../../src/explore/graph.js";
import { orderingsOf, type Touched, wayWithout } from "../../src/explore/orderings.js";
import { orderings, touchedBy } from "../../src/lab/orderings.js";
import { run } from "../../src/lab/run.js";
import { open } from "../../src/lab/world.js";
import { counters } from "../explore/counters.js";

const step = (task: number, reads: readonly string[], writes: readonly string[]): Touched => ({
  task,
  reads: new Set(reads),
  writes: new Set(writes),
});

describe("the orderings of a way", () => {
  it("a reader comes after the last writer, a writer after the readers; what follows from others is left out", () => {
    const way = [
      step(0, [], ["a"]),
      step(0, [], ["b"]),
      step(1, ["b"], []),
      step(1, ["a"], []),
      step(0, [], ["b"]),
    ];
    expect(orderingsOf(way)).toEqual([
      { before: 1, after: 2, cells: ["b"] },
      { before: 2, after: 4, cells: ["b"] },
    ]);
  });

  it("steps that touch nothing in common are in no order", () => {
    expect(orderingsOf([step(0, ["c"], ["a"]), step(1, ["c"], ["b"])])).toEqual([]);
  });

  it("two counters at the top: each raises its own, in any order", () => {
    const machine = counters(2, "state");
    const explored = exploreGraph(machine, { maxStates: 1e9, progress: () => true });
    const places = faultsOf(explored, machine).get("BUG");
    const { graph } = explored;
    if (!places) throw new Error("no fault");
    const by = (task: number) => (edge: number) => graph.task[edge] === task;
    expect(wayWithout(graph, places, by(0), by(1))).toEqual([1, 1, 0, 0]);
    expect(wayWithout(graph, places, by(0), by(0))).toBeNull();
  });
});

describe("what a run touches", () => {
  it("is what it changes, and the machine that is watched does the same as another", () => {
    const schedule = [...Array(10).fill(0), 1, 2, 2];
    const touched = touchedBy("dio-write-race", "v4.20", schedule);
    const world = open("dio-write-race", { record: false });
    schedule.forEach((task, at) => {
      const before = world.k.memory.snapshot();
      world.machine.step(task);
      const changed = world.k.memory
        .diff(before, world.k.memory.snapshot())
        .map(({ struct, row, field }) => `${struct} ${row} ${field}`)
        .filter((cell) => /^(page|content|pte|user_page|user_pages|xa_slot|vma) /.test(cell));
      for (const cell of changed) expect(touched[at].writes).toContain(cell);
    });
  });
});

describe("of scenarios", () => {
  it("cve-2020-29374: the child is born before it unmaps, and unmaps before the parent writes; both necessary", () => {
    const told = orderings("cve-2020-29374");
    expect(
      told.orderings.map(({ necessary, before, after }) => [necessary, before.step, after.step]),
    ).toEqual([
      [true, "wake_up_new_task", "ret_from_fork"],
      [true, "ptep_get_and_clear_full", "do_wp_page"],
    ]);
    expect(told.orderings[1].cells).toContain("page 0 mapcount");
  });

  it.each(["dio-write-race", "trunc-cache", "fsync-pinned"])(
    "%s: each way without an optional ordering meets the fault, and does not have it",
    (scenario) => {
      const told = orderings(scenario);
      expect(told.complete).toBe(true);
      expect(told.orderings.some(({ necessary }) => necessary)).toBe(true);
      for (const { necessary, without, before, after } of told.orderings) {
        expect(necessary).toBe(without === null);
        if (without === null) continue;
        expect(run(without).outcomes).toContain(told.kind);
        expect(String(told)).toContain(
          `${told.kind} without ${before.tick} before ${after.tick}: ${without}`,
        );
      }
    },
  );

  it("what a search that was cut short has not found is not proven", () => {
    const told = orderings("fsync-pinned", { maxStates: 4097 });
    expect(told.complete).toBe(false);
    expect(told.orderings.some(({ necessary }) => necessary === true)).toBe(false);
  });

  it("says in one sentence where nothing goes wrong", () => {
    expect(() => orderings("control")).toThrow(/no fault was found/);
    expect(() => orderings("sandbox")).toThrow(/takes orders/);
  });
});
