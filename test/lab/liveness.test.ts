/** What may go on for ever in real scenarios: each is a round that can be made, and made again. */
import { describe, expect, it } from "vitest";
import { liveness } from "../../src/lab/liveness.js";
import { study } from "../../src/lab/study.js";
import { applySchedule, open, parseReplay } from "../../src/lab/world.js";
import { parseSchedule } from "../../src/machine/schedule.js";

/** Whether after a replay line a round leads to the same state again. */
function comesRound(replay: string, round: string): boolean {
  const { scenario, kernel, schedule } = parseReplay(replay);
  const world = open(scenario, { kernel, record: false });
  applySchedule(world, schedule);
  const before = world.machine.memory.state.slice();
  for (const task of parseSchedule(round, world.letters)) world.step(task);
  return world.machine.memory.state.every((word, at) => word === before[at]);
}

describe("liveness", () => {
  it.each(["kara-2018-quiet", "dio-flusher", "fsync-pinned"])(
    "%s: __get_user_pages faults again and again while the flusher cleans the page each time",
    (scenario) => {
      const told = liveness(scenario);
      expect(told.complete).toBe(true);
      expect(told.endless.map(({ what, certain }) => [what, certain])).toEqual([["livelock", false]]);
      const [{ task, movers, path, step, awaits, roundSteps, replay, round }] = told.endless;
      expect([path, step, awaits]).toEqual(["__get_user_pages", "follow_page_pte", null]);
      expect(movers).toEqual([task, "flusher", "disk"]);
      const made = roundSteps.map((each) => `${each.task} ${each.step}`);
      expect(made).toContain(`${task} follow_page_pte`);
      expect(made).toContain(`${task} handle_pte_fault`);
      expect(made).toContain("flusher page_mkclean_one");
      expect(comesRound(replay, round)).toBe(true);
      expect(String(told)).toContain("fairness: weak.");
      expect(String(told)).toMatch(/LIVELOCK \w+ makes steps for ever/);
    },
  );

  it("kara-2018-private: reclaim can always be first at the page lock; no fault, and the round is fair", () => {
    const told = liveness("kara-2018-private");
    expect(told.endless.map(({ what, certain, awaits, step }) => [what, certain, awaits, step])).toEqual([
      ["starvation", false, null, "lock_page"],
    ]);
    expect(told.endless[0].roundSteps.map(({ task }) => task)).not.toContain("reader");
    expect(comesRound(told.endless[0].replay, told.endless[0].round)).toBe(true);
    expect(String(told)).toContain("the locks of this machine have no queues");
    expect(
      study({
        what: "liveness",
        of: "kara-2018-private",
        kernel: "v4.20",
        kind: undefined,
        maxStates: undefined,
      }).code,
    ).toBe(0);
  });

  // The machine has three pages, fewer than a batch, and the process that waits does not reclaim pages itself (config direct_reclaim).
  it("pressure on 2026: pages that wait in a batch to be put on the LRU are found by nobody, memory stays short", () => {
    const told = liveness("pressure", { kernel: "2026" });
    const waits = told.endless.find(({ what }) => what === "waits");
    expect(waits).toMatchObject({ task: "hog", certain: true, step: "__alloc_pages", awaits: "a free page" });
    expect(waits && comesRound(waits.replay, waits.round)).toBe(true);
    expect(String(told)).toContain("SOMETHING GOES ON FOR EVER");
    expect(String(told)).toContain("nobody will wake it");
  });

  it.each(["dio-write-race", "trunc-cache", "migrate", "cve-2020-29374"])(
    "%s: every process comes to its end",
    (scenario) => {
      const told = liveness(scenario);
      expect(told).toMatchObject({ complete: true, endless: [] });
      expect(String(told)).toContain("EVERY PROCESS COMES TO ITS END\nbound: every interleaving");
    },
  );

  it("who is kept away by the scenario waits for nobody", () => {
    // On 2026 the registration is refused, and the application never begins.
    expect(liveness("fsync-pinned", { kernel: "2026" }).endless).toEqual([]);
  });

  it("a search that was cut short says so, and not that all is well", () => {
    const told = liveness("migrate", { maxStates: 4097 });
    expect(told.complete).toBe(false);
    expect(String(told)).toContain("INCOMPLETE\nbound: not every interleaving");
  });

  it("says in one sentence what does not fit", () => {
    expect(() => liveness("sandbox")).toThrow(/takes orders/);
    expect(() => liveness("nonsense")).toThrow(/there is no scenario "nonsense"/);
  });
});
