/** Waits for what is no lock: who can end them, and when nobody can but who waits himself. */
import { describe, expect, it } from "vitest";
import { call, path, step } from "../../src/kernel/language.js";
import { end_page_writeback } from "../../src/kernel/mm/filemap.js";
import { lock_page, unlock, wait_on_page_writeback } from "../../src/kernel/mm/page.js";
import { set_page_writeback } from "../../src/kernel/mm/page_writeback.js";
import { pfn } from "../../src/kernel/types.js";
import { AWAITED } from "../../src/lab/awaited.js";
import { ENDED_IN, endersOf, stuckIn } from "../../src/lab/enders.js";
import { open, run } from "../../src/lab/lab.js";
import { waitStory } from "../../src/lab/wait_graph.js";
import type { World } from "../../src/lab/world.js";
import { toTerminal, waits } from "../../src/plot/index.js";
import { Hand, small } from "../kernel/harness.js";

/** Waits under the page lock for the page's writeback to end. */
const waits_locked = path("waits_locked", { source: "a test", args: { page: pfn } }, [
  lock_page(),
  wait_on_page_writeback(),
  unlock(),
]);

/** Begins writeback, and takes the page lock before it ends it. */
const writes_locked = path("writes_locked", { source: "a test", args: { page: pfn } }, [
  step("set_page_writeback", (k, f) => set_page_writeback(k, f.page)),
  lock_page(),
  unlock(),
  call(() => end_page_writeback, { page: "page" }),
]);

/** Begins writeback, and ends it. */
const writes = path("writes", { source: "a test", args: { page: pfn } }, [
  step("set_page_writeback", (k, f) => set_page_writeback(k, f.page)),
  step("between", () => {}),
  call(() => end_page_writeback, { page: "page" }),
]);

const two = (writer: typeof writes): World =>
  small(
    {},
    {
      waiter: { path: waits_locked, args: [0], ends: true },
      writer: { path: writer, args: [0], ends: true },
    },
  );

describe("who can end a wait", () => {
  it("is who has a step ahead that ends it, and not who has made it", () => {
    const h = new Hand(two(writes))
      .past("writer", "set_page_writeback")
      .until("waiter", "wait_on_page_writeback");
    expect(endersOf(h.world, 0)).toEqual([1]);
    expect(stuckIn(h.world).size).toBe(0);
    const [, wait] = waitStory(h.world).things;
    expect(wait).toMatchObject({
      name: "the end of page 0's writeback",
      lock: false,
      heldBy: [1],
      wantedBy: [0],
    });
    expect(toTerminal(waits(waitStory(h.world)), { columns: 80, rows: 24, color: false })).toContain(
      "can be ended by writer",
    );
    h.go("writer");
    expect(endersOf(h.world, 0)).toEqual([]);
  });

  it("is told of waits that have words of their own", () => {
    const known = Object.keys(ENDED_IN).filter((name) => !(name in AWAITED));
    expect(known).toEqual([]);
  });
});

describe("a wait ends", () => {
  const kernels = ["v4.20", "v5.7", "v6.1", "v6.12", "2026"];
  const scenarios = [
    "kara-2018",
    "W1,fs=xfs",
    "W1,fs=btrfs",
    "W2,holder=aio",
    "W5,fs=ext4-journal",
    "W7",
    "W10",
  ];

  // Who is not told of could go on, and a circle would be none.
  it.each(kernels)("by one of those who are told of, whatever the order: %s", (kernel) => {
    const strangers: string[] = [];
    let ends = 0;
    for (const scenario of scenarios)
      for (let seed = 1; seed <= 4; seed++) {
        const world = open(scenario, { kernel, record: false });
        const { machine } = world;
        for (const mover of run(scenario, { kernel, seed }).world.schedule) {
          const waits = [...machine.tasks.keys()].filter((task) => task !== mover && machine.waiting(task));
          const told = waits.map((task) => ({
            task,
            enders: endersOf(world, task),
            at: machine.at(task).step,
          }));
          world.step(mover);
          for (const { task, enders, at } of told) {
            if (enders.length === 0 || machine.waiting(task)) continue;
            ends++;
            if (!enders.includes(mover)) strangers.push(`${scenario}: ${at} by ${machine.tasks[mover].name}`);
          }
        }
      }
    expect(strangers).toEqual([]);
    expect(ends).toBeGreaterThan(20);
  });
});

describe("a circle through a wait that is for no lock", () => {
  const h = new Hand(two(writes_locked))
    .past("writer", "set_page_writeback")
    .until("waiter", "wait_on_page_writeback");

  it("is none as long as one of them can move", () => {
    const free = new Hand(two(writes_locked)).past("writer", "set_page_writeback");
    expect(waitStory(free.world).circles).toEqual([]);
  });

  it("is seen: the writer waits for the page lock, its holder for the writeback", () => {
    const story = waitStory(h.world);
    expect(story.circles).toEqual([[0, 1]]);
    const text = toTerminal(waits(story), { columns: 80, rows: 24, color: false });
    expect(text).toContain("HANG: waiter waits for writer waits for waiter");
    expect(waits(story).layout.shapes.filter(({ line }) => line.width === 3).length).toBeGreaterThan(0);
  });

  it("is none where somebody else can end it", () => {
    const third = small(
      {},
      {
        waiter: { path: waits_locked, args: [0], ends: true },
        writer: { path: writes_locked, args: [0], ends: true },
        other: { path: writes, args: [0], ends: true },
      },
    );
    const three = new Hand(third)
      .past("writer", "set_page_writeback")
      .until("waiter", "wait_on_page_writeback");
    expect(waitStory(three.world).circles).toEqual([]);
  });
});

describe("a run's waits", () => {
  it("for a read are ended by its disk", () => {
    const h = Hand.open("kara-2018").until("reader", "dio_await_completion");
    const { things, tasks, circles } = waitStory(h.world);
    const read = things.find(({ name }) => name === "its read to complete");
    expect(read?.heldBy.map((task) => tasks[task].name)).toEqual(["dma"]);
    expect(circles).toEqual([]);
  });
});
