/** Scenarios in which the power can go: the cut stands in schedules, lanes and verdicts. */
import { describe, expect, it } from "vitest";
import { runLine } from "../../src/cli/shell.js";
import { Desk } from "../../src/lab/desk.js";
import { explore } from "../../src/lab/explore.js";
import { run } from "../../src/lab/run.js";
import { open } from "../../src/lab/world.js";
import { stubHost } from "./stub_host.js";

describe("power-cut=yes", () => {
  it("kara-2018-private stays safe, with the cut tried in every state", () => {
    const without = explore("kara-2018-private");
    const told = explore("kara-2018-private,power-cut=yes");
    expect([without.verdict, told.verdict]).toEqual(["safe", "safe"]);
    expect(told.states).toBeGreaterThan(without.states);
    // One more step in each state but those in which the power has gone.
    expect(told.transitions).toBeGreaterThan(without.transitions + without.states - 1);
    expect(String(told)).toMatch(/\npower cut: in every state; /);
    expect(String(without)).not.toContain("power cut");
  });

  it("a replay line has it, and after it nobody moves", () => {
    const line = "fsync-pinned,power-cut=yes@v4.20:p15m1f9cut1";
    const made = run(line);
    expect(made.replay).toBe(line);
    expect(made.outcomes).toEqual(["OK"]);
    expect(made.recording.info.tasks.at(-1)?.name).toBe("power");
    const world = open("fsync-pinned,power-cut=yes", { record: false });
    const cut = world.letters.indexOf("cut");
    world.step(cut);
    expect(world.letters.some((_, task) => world.enabled(task))).toBe(false);
    expect(world.whyNot(0)).toBe("rdma cannot move: the power has gone");
    expect(world.settled()).toBe(true);
  });

  it("the REPL says what the disk holds afterwards", async () => {
    const desk = new Desk(stubHost);
    await runLine(desk, "scenario fsync-pinned,power-cut=yes");
    expect((await runLine(desk, "step power")).text).toContain("power_cut");
    expect((await runLine(desk, "power_cut")).text).toMatch(/^file 1, page 0: 0/);
    expect((await runLine(desk, "pages")).code).toBe(0);
    expect((await runLine(desk, "tasks")).text).toContain("dead");
  });

  it("a seeded run comes to its cut", () => {
    const made = run("kara-2018-quiet,power-cut=yes", { seed: 3 });
    expect(made.replay).toMatch(/cut1$/);
    expect(made.outcomes).toEqual(["OK"]);
  });

  it("says in one sentence what does not fit", () => {
    expect(() => open("W5,power-cut=maybe")).toThrow(
      "power-cut of scenario fsync-pinned is one of no, yes, not maybe",
    );
  });
});
