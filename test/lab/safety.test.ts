/** What safe verdicts rest on: tests that were made, on pinned pages or not, and by how little they were missed. */
import { describe, expect, it } from "vitest";
import { explore } from "../../src/lab/explore.js";
import { run } from "../../src/lab/run.js";
import { type Safety, safety } from "../../src/lab/safety.js";
import { applySchedule, open, parseReplay } from "../../src/lab/world.js";

const testOf = ({ tests }: Safety, name: string) => tests.find(({ test }) => test.startsWith(name));

/** What a task waits for or does where a replay line leads. */
function standing(line: string, task: string): string {
  const { scenario, kernel, schedule } = parseReplay(line);
  const world = open(scenario, { kernel, record: false });
  applySchedule(world, schedule);
  return world.named(world.machine.at(world.machine.tasks.findIndex(({ name }) => name === task))).step;
}

describe("safety", () => {
  it("kara-2018-quiet on v6.4 is not safe because nothing happened: the flusher asks pinned pages for their buffers", () => {
    const told = safety("kara-2018-quiet", { kernel: "v6.4" });
    expect(told).toMatchObject({ verdict: "safe", vacuous: null, complete: true, states: 7350 });
    const buffers = testOf(told, "page_buffers: BUG_ON(!PagePrivate(page))");
    expect(buffers).toMatchObject({ asked: "in a step", failed: 0 });
    expect(buffers?.pinned).toBeGreaterThan(0);
    expect(buffers?.pinned).toBeLessThan(buffers?.states ?? 0);
    expect(told.reached.pinned).toBeGreaterThan(0);
    expect(testOf(told, "DMA: the device writes into a page that was freed")?.states).toBeGreaterThan(0);
    expect(testOf(told, "LOST")?.states).toBe(told.reached.over);
    expect(told.never.map(({ path, source }) => [path, source])).toContainEqual([
      "do_cow_fault",
      "mm/memory.c v4.20",
    ]);
    expect(String(told)).toContain("kara-2018-quiet on v6.4: SAFE\nbound: every interleaving, 7350 states");
  });

  it("what a patch brought is counted: reclaim of v6.4 asks whether the page is pinned before it frees its buffers", () => {
    const told = safety("kara-2018", { kernel: "v6.4", maxStates: 30_000 });
    expect(told.verdict).toBe("incomplete");
    const asks = told.brought.filter(({ step }) => step === "folio_maybe_dma_pinned");
    expect(asks.map(({ path }) => path)).toEqual(["shrink_folio_list"]);
    expect(asks[0].states).toBeGreaterThan(0);
    expect(safety("kara-2018-quiet").brought).toEqual([]);
  });

  it("trunc-dax: truncation that had not waited for the pin would have warned, four steps before it did not", () => {
    const told = safety("trunc-dax", { kernel: "v6.4" });
    expect(told.verdict).toBe("safe");
    expect(told.nearest?.test).toBe(
      "dax_disassociate_entry: WARN_ON_ONCE(trunc && page_ref_count(page) > 1)",
    );
    const miss = told.nearest?.miss;
    if (!miss?.by) throw new Error("no miss");
    expect(miss.steps).toBe(4);
    expect(miss.by).toMatchObject({ task: "truncator", step: "dax_delete_mapping_entry" });
    expect(miss.by.instead).toMatchObject({ path: "dax_layout_busy_page", step: "dax_busy_page" });
    expect(standing(miss.replay, "truncator")).toBe("dax_busy_page");
    // The way from there to the test, and no fault on it.
    const made = run(miss.replay + miss.rest);
    expect(made.outcomes).toEqual(["OK"]);
    expect(made.steps).toBe(run(miss.replay).steps + miss.steps + 1);
    expect(String(told)).toContain("A miss of k steps: ");
  });

  it("who never gets a pin is safe for nothing: W5 where long-term pins of files are refused", () => {
    const told = safety("W5", { kernel: "2026" });
    expect(explore("W5", { kernel: "2026" }).verdict).toBe("safe");
    expect(told.vacuous).toContain("no page is pinned in any state");
    expect(testOf(told, "page_buffers")).toBeUndefined();
    expect(testOf(told, "LOST: bytes of a page")?.states).toBe(0);
    expect(String(told)).toContain("SAFE, VACUOUS");
    expect(String(told)).toMatch(/never made +0/);
  });

  it("a test that fails is told as one", () => {
    const told = safety("fsync-pinned");
    expect(told.verdict).toBe("fault");
    expect(testOf(told, "LOST: fsync has returned")?.failed).toBeGreaterThan(0);
    expect(String(told)).toMatch(/FAILS in \d+/);
    expect(told.nearest?.failed ?? 0).toBe(0);
  });

  it("can be interrupted while the steps are made again, and says so", () => {
    const seen: number[] = [];
    const interrupted = () =>
      safety("kara-2018-quiet,pages=2", {
        progress: ({ again }) => {
          if (again !== undefined) seen.push(again);
          return seen.length < 2;
        },
      });
    expect(interrupted).toThrow(
      /^kara-2018-quiet,pages=2: interrupted before every step had been looked at again$/,
    );
    expect(seen).toHaveLength(2);
    expect(seen[0]).toBeLessThan(seen[1]);
  });

  it("says in one sentence what does not fit", () => {
    expect(() => safety("sandbox")).toThrow(/takes orders/);
    expect(() => safety("kara-2018", { kernel: "v0.1" })).toThrow(/there is no kernel/);
  });
});
