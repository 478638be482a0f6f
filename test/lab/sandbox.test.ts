/** The sandbox: orders are part of the schedule, threads do them, and what does not fit changes nothing. */

import { beforeEach, describe, expect, it } from "vitest";
import { runLine, statements } from "../../src/cli/shell.js";
import { Desk } from "../../src/lab/desk.js";
import { OBJECT } from "../../src/lab/driver_calls.js";
import { ARRAYS } from "../../src/lab/operation.js";
import { exampleOf, OPERATIONS } from "../../src/lab/operations.js";
import { sandbox } from "../../src/lab/sandbox.js";
import { isIdle, THREADS } from "../../src/lab/threads.js";
import { applySchedule, open } from "../../src/lab/world.js";
import { stubHost } from "./stub_host.js";

let desk: Desk;
const host = {
  ...stubHost,
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

describe("a swap area", () => {
  it("a held page is in the swap cache without a PTE, dirty and never written; page and layout say so, and drop_caches leaves it alone", async () => {
    await say("scenario sandbox,swap=2,pages=1; store 1; gup 1; age_anon 1; reclaim; reclaim; drop_caches");
    const page = desk.world.k.xa_slot.page[desk.world.k.slotOf(desk.world.k.swapper_space, 1)] - 1;
    const seen = (await say(`page ${page}`)).text;
    expect(seen).toContain("2 (swap cache, gup)");
    expect(seen).toContain("anonymous, in the swap cache as entry 1");
    expect((await say(`layout ${page}`)).text).toContain("swap entry 1");
    expect(desk.world.k.vmstat.pswpout[0]).toBe(0);
    await say("load 1");
    expect(desk.world.k.pte.entry[1] >>> 4).toBe(page);
  });

  it("age_anon is for sandboxes that have one", async () => {
    await expect(say("scenario sandbox; age_anon 1")).rejects.toThrow("age_anon needs a swap area");
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

describe("drivers that a sandbox has when it is asked for", () => {
  const pins = () => desk.world.k.page.pins.reduce((sum, nr) => sum + nr, 0);
  const faults = () => desk.world.k.faults.map(({ kind, message }) => `${kind} ${message}`);

  it("a machine that does not ask for one has no rows and no paths of theirs", () => {
    const { k } = open("sandbox", { record: false });
    expect([k.has("notifier"), k.has("nvme"), k.geometry.notifiers, k.geometry.dios]).toEqual([
      false,
      false,
      [],
      ARRAYS,
    ]);
  });

  it("an operation of another driver says which sandbox has it", async () => {
    await expect(say("odp_write 0")).rejects.toThrow(
      "odp_write needs a sandbox with driver=odp: say scenario sandbox,driver=odp",
    );
  });

  it("odp: the card faults a page in and keeps no reference; writeback takes its translation away", async () => {
    await say("scenario sandbox,driver=odp,pages=1; odp_write");
    expect([desk.world.k.content.version[0], pins(), desk.world.k.user_page.page.at(OBJECT)]).toEqual([
      1, 0, 1,
    ]);
    await say("writeback");
    expect(desk.world.k.user_page.page.at(OBJECT)).toBe(0);
    await say("step disk 9; odp_write");
    expect([desk.world.k.content.version[0], desk.world.k.user_page.page.at(OBJECT)]).toEqual([2, 1]);
  });

  it("i915: a kworker faults what is not mapped; writeback waits for the GPU", async () => {
    const { text } = await say("scenario sandbox,driver=i915,pages=1; i915_exec");
    expect(text).toContain("wait_for_userptr");
    await say("step worker 200; step A 20");
    expect(pins()).toBe(1);
    expect((await say("writeback")).text).toContain("i915_gem_object_wait");
    await say("step gpu 9; step A 60");
    expect([pins(), desk.world.k.content.version[0]]).toEqual([0, 1]);
  });

  it("amdgpu: a submission that an invalidation overtakes starts again (-ERESTARTSYS)", async () => {
    await say("scenario sandbox,driver=amdgpu,pages=1; amdgpu_userptr; amdgpu_cs --hold yes");
    const { machine } = desk.world;
    const task = (name: string) => machine.tasks.findIndex((each) => each.name === name);
    for (let steps = 0; machine.at(task("A")).step !== "drm_sched_entity_push_job" && steps < 99; steps++) {
      if (machine.at(task("A")).step.startsWith("down_write(amdgpu")) await say("writeback --by B");
      desk.step(task("A"));
    }
    desk.step(task("A"));
    expect(desk.world.enabled(task("gpu"))).toBe(false);
    for (let steps = 0; !isIdle(desk.world.k, 0) && steps < 400; steps++) desk.step(task("A"));
    expect([isIdle(desk.world.k, 0), desk.world.enabled(task("gpu")), pins()]).toEqual([true, true, 1]);
  });

  it("amdgpu: a job needs an object; its own process submits it", async () => {
    await say("scenario sandbox,driver=amdgpu");
    await expect(say("amdgpu_cs")).rejects.toThrow(
      "amdgpu_cs needs an object with pages: amdgpu_userptr makes it",
    );
    await expect(say("amdgpu_userptr --by D")).rejects.toThrow("thread D is process 1's");
    expect((await say("amdgpu_userptr yes")).text).toContain("-EPERM");
  });

  it("aio: dirty before the disk writes; cleaned meanwhile, a kworker dirties it again", async () => {
    await say("scenario sandbox,driver=aio,pages=1; aio_read");
    const { k } = desk.world;
    const dirty = () => (k.page.flags[0] & 8) !== 0;
    expect([dirty(), k.content.version[0], pins()]).toEqual([true, 0, 1]);
    await say("writeback; step disk 9");
    expect(dirty()).toBe(false);
    await say("step aio 9");
    expect([dirty(), k.content.version[0], pins()]).toEqual([false, 1, 1]);
    await say("step kworker 9");
    expect([dirty(), pins()]).toEqual([true, 0]);
  });

  it("nvme: Abort, then the reset; a dead controller fails the read, and the pages come back", async () => {
    await say("scenario sandbox,driver=nvme-dead,pages=1; pread 0");
    expect((await say("nvme_timeout 0")).text).toContain("nvme_submit_cmd(abort)");
    expect((await say("nvme_timeout 0")).text).toContain("nvme_kill_queues");
    await say("step A 40");
    expect([pins(), isIdle(desk.world.k, 0), faults()]).toEqual([0, true, []]);
    await expect(say("nvme_timeout 0")).rejects.toThrow("nvme_timeout needs a command in flight");
    expect((await say("pread 0")).text).toContain("-EIO");
  });

  it("a driver that is told of PTEs needs a page cache", () => {
    expect(() => open("sandbox", { parameters: { driver: "odp", fs: "hugetlbfs" } })).toThrow(
      "driver=odp is for sandboxes with a page cache: leave fs=hugetlbfs out",
    );
  });
});
