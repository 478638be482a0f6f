/** The sandbox: orders are part of the schedule, threads do them, and what does not fit changes nothing. */
import { beforeEach, describe, expect, it } from "vitest";
import { runLine, statements } from "../../src/cli/shell.js";
import { Desk } from "../../src/lab/desk.js";
import { exampleOf, OPERATIONS } from "../../src/lab/operations.js";
import { isIdle, sandbox, THREADS } from "../../src/lab/sandbox.js";
import { applySchedule, open } from "../../src/lab/world.js";

let desk: Desk;
const host = {
  columns: 100,
  rows: 24,
  color: false,
  write: () => {},
  read: () => "",
  plotly: async () => "",
  explore: () => {
    throw new Error("no search here");
  },
  script: () => {
    throw new Error("no script here");
  },
};
beforeEach(() => {
  desk = new Desk(host, "sandbox");
});
const say = async (text: string) => {
  let last = await runLine(desk, "tasks");
  for (const statement of statements(text)) last = await runLine(desk, statement);
  return last;
};

describe("orders", () => {
  it("the article's sequence by hand: store, writeback, strip, and the completion of a read that was under way", async () => {
    const { k, machine } = desk.world;
    const task = (name: string) => machine.tasks.findIndex((each) => each.name === name);
    const until = (name: string, there: () => boolean) => {
      for (let steps = 0; !there(); steps++) {
        if (steps > 500) throw new Error(`${name} never gets there: ${desk.world.replay}`);
        desk.step(task(name));
      }
    };
    await say("pread 0 1 0 --hold yes");
    until("A", () => machine.at(task("A")).step === "dio_await_completion");
    await say("writeback");
    until("disk", () => k.tagsWord(0) === 0);
    // Nothing says so, but the device holds the page: reclaim takes its buffers at the second look, and backs out.
    await say("reclaim; reclaim; reclaim");
    expect([k.page.pins[0], k.buffersWord(0), k.page.mapping[0]]).toEqual([1, 0, 1]);
    until("dmaA", () => desk.world.enabled(task("A")));
    until("A", () => isIdle(k, 0));
    expect(k.faults.map(({ message }) => message)).toEqual([
      "ext4_set_page_dirty: WARN_ON_ONCE(!page_has_buffers(page))",
    ]);
    expect((await say("fsync")).text).toContain("page_buffers: BUG_ON");
  });

  it("a run of orders replays from its line, and goes back step by step", async () => {
    await say("store 1; load 2; pread 0 2; fsync");
    const { replay } = desk.world;
    const cells = desk.world.k.memory.snapshot();
    const again = open("sandbox", { record: false });
    applySchedule(again, replay.slice(replay.indexOf(":") + 1));
    expect(again.replay).toBe(replay);
    expect(again.k.memory.diff(cells, again.k.memory.snapshot())).toEqual([]);
    const { tick } = desk;
    await say("goto 0");
    await say(`goto ${tick}`);
    expect(desk.world.k.memory.diff(cells, desk.world.k.memory.snapshot())).toEqual([]);
    expect(replay).toContain("[A store 1]A");
  });

  it("an order that is held waits for the person; another thread takes the next one", async () => {
    await say("store 0 --hold yes; store 1");
    expect(isIdle(desk.world.k, 0)).toBe(false);
    expect(isIdle(desk.world.k, 1)).toBe(true);
    expect(desk.world.schedule.length).toBeGreaterThan(2);
  });

  it("every operation is there as a verb and does something", async () => {
    for (const operation of OPERATIONS) {
      const { name } = operation;
      await say(`scenario ${operation.scenario}; store 0; ${exampleOf(operation)}`);
      expect([name, THREADS.every((_, id) => isIdle(desk.world.k, id))]).toEqual([name, true]);
    }
  });
});

describe("every filesystem", () => {
  const grounds = Object.keys((sandbox.parameters.fs as { choices: Record<string, string> }).choices);
  it.each(grounds)("%s: stores, a pin, a device, writeback, reclaim, truncation, by hand", async (fs) => {
    await say(`scenario sandbox,fs=${fs},pages=2; store 0; gup 0; dma; writeback; reclaim; unpin`);
    expect(desk.world.k.content.version.some((version) => version > 0)).toBe(true);
    const { text } = await say("power_cut");
    const onDisk = !["tmpfs", "hugetlbfs", "ext4-dax", "xfs-dax"].includes(fs);
    expect(text.includes("file 1, page 0")).toBe(onDisk);
    if (fs !== "hugetlbfs") {
      await say("truncate 0");
      expect([fs, desk.world.k.inode.i_size[1]]).toEqual([fs, 0]);
    }
    expect(desk.world.k.faults.map(({ kind }) => kind)).not.toContain("BUG");
  });

  it("the child that fork makes has thread D: it stores, and its parent's page is another one", async () => {
    await say("scenario sandbox; store 4; fork; store 12; load 4");
    const { k, machine } = desk.world;
    expect(machine.tasks.map(({ name }) => name)).toContain("D");
    expect(desk.world.replay).toContain("[D store 12]");
    expect(k.pte.entry[12] >>> 4).not.toBe(k.pte.entry[4] >>> 4);
    await expect(say("fork")).rejects.toThrow("process 1 is there already: exit 1 ends it");
    await expect(say("store 12 --by A")).rejects.toThrow(
      "store is for process 1 to call: say --by D, or nothing",
    );
    await say("exit 1");
    await expect(say("store 12")).rejects.toThrow("process 1's, which is not there: fork makes it");
    await say("fork; load 12");
  });

  it("power_cut says what is gone, and what fsync has saved", async () => {
    await say("scenario sandbox,fs=ext4-delalloc,pages=1; store 0");
    expect((await say("power_cut")).text).toContain("file 1, page 0: 0, memory has 1: that is gone");
    await say("fsync --hold yes");
    for (let steps = 0; !isIdle(desk.world.k, 0) && steps < 500; steps++)
      desk.step([0, 6, 7].find((task) => desk.world.enabled(task)) as number);
    expect((await say("power_cut")).text).toContain("file 1, page 0: 1, as in memory");
  });
});

describe("what does not fit is one sentence and changes nothing", () => {
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ["a page that is not there", "store 99", /^at of store is a number from 0 to 15, not 99$/],
    ["too many numbers", "pread 0 1 0 7", /./],
    ["a busy thread", "store 0 --by A --hold yes; store 1 --by A", /^thread A is busy with store$/],
    [
      "another scenario",
      "scenario kara-2018; store 0",
      /^store is an order, and kara-2018 takes none: say scenario sandbox$/,
    ],
  ];
  for (const [name, text, message] of cases)
    it(name, async () => {
      const all = statements(text);
      for (const statement of all.slice(0, -1)) await runLine(desk, statement);
      const before = desk.world.replay;
      await expect(runLine(desk, all[all.length - 1])).rejects.toThrow(message);
      expect(desk.world.replay).toBe(before);
    });

  it("a replay line with an order that does not fit leaves the world as it was", () => {
    const world = open("sandbox", { record: false });
    expect(() => applySchedule(world, "[A store 0]A3[A store 1]")).toThrow(
      "the schedule does not fit sandbox on v4.20: at step 5, thread A is busy with store",
    );
    expect(world.schedule).toEqual([]);
    expect(() => applySchedule(world, "[Z store 0]")).toThrow('"Z" is no thread');
  });
});
