/** Deadlocks and hangs are outcomes: found in runs, found by the search, and named. */
import { describe, expect, it } from "vitest";
import { call, down_read, down_write, path, step, up_read, up_write } from "../../src/kernel/language.js";
import { mmap_sem } from "../../src/kernel/locks.js";
import { lock_page, unlock } from "../../src/kernel/mm/page.js";
import { pfn } from "../../src/kernel/types.js";
import { taskViews } from "../../src/lab/views.js";
import type { World } from "../../src/lab/world.js";
import { Hand, small } from "../kernel/harness.js";

const inner = path("inner", { source: "a test", args: { page: pfn } }, [
  lock_page(),
  step("work", () => {}),
  unlock(),
]);

/** Lock one page, then another. */
const two = path("two", { source: "a test", args: { page: pfn, other: pfn } }, [
  lock_page(),
  step("between", () => {}),
  call(() => inner, { page: "other" }),
  unlock(),
]);

const readThenPage = path("readThenPage", { source: "a test", args: { page: pfn } }, [
  down_read(mmap_sem, () => 0),
  step("between", () => {}),
  call(() => inner, { page: "page" }),
  up_read(mmap_sem, () => 0),
]);

const pageThenWrite = path("pageThenWrite", { source: "a test", args: { page: pfn } }, [
  lock_page(),
  step("between", () => {}),
  down_write(mmap_sem, () => 0),
  step("work", () => {}),
  up_write(mmap_sem, () => 0),
  unlock(),
]);

const keeper = path("keeper", { source: "a test", args: { page: pfn } }, [
  lock_page(),
  step("forgets", () => {}),
]);

const pages = (first: number[], second: number[]): World =>
  small(
    { filePages: 2 },
    { a: { path: two, args: first, ends: true }, b: { path: two, args: second, ends: true } },
  );

const semaphores = (): World =>
  small(
    {},
    {
      a: { path: readThenPage, args: [0], ends: true },
      b: { path: pageThenWrite, args: [0], ends: true },
    },
  );

const kinds = (world: World): string[] =>
  world.explore({ maxStates: 10_000, progress: () => true }).witnesses.map(({ kind }) => kind);

describe("a deadlock", () => {
  it("of two page locks taken in both orders is found by the search, and not when the order is one", () => {
    expect(kinds(pages([0, 1], [1, 0]))).toEqual(["DEADLOCK"]);
    expect(kinds(pages([0, 1], [0, 1]))).toEqual([]);
  });

  it("is reported in a run with both tasks", () => {
    const h = new Hand(pages([0, 1], [1, 0]));
    h.until("a", "lock_page", true).until("b", "lock_page", true);
    expect(h.faults()).toEqual([
      "DEADLOCK inner: lock_page for ever, as these wait for each other: a in lock_page, b in lock_page",
    ]);
    expect([h.world.gone(0), h.world.gone(1), h.world.settled()]).toEqual([true, true, true]);
  });

  it("of a semaphore's reader and its writer: the reader is known by where it is", () => {
    expect(kinds(semaphores())).toEqual(["DEADLOCK"]);
    const h = new Hand(semaphores());
    h.until("a", "lock_page").until("b", "down_write(mm->mmap_sem)");
    expect(h.faults()).toEqual([expect.stringContaining("b in down_write(mm->mmap_sem)")]);
    expect(h.world.lockdep.reports).toHaveLength(1);
  });

  it("is shown: who waits for what, and who holds it, not that pages are short", () => {
    const h = new Hand(semaphores());
    h.k.pgdat.free[0] = 0;
    h.until("a", "lock_page").until("b", "down_write(mm->mmap_sem)");
    expect(JSON.stringify(taskViews(h.world))).toContain("mm->mmap_sem, held by a");
  });

  it("is forgotten when one goes back before it", () => {
    const h = new Hand(semaphores());
    const start = h.world.moment();
    h.until("a", "lock_page").until("b", "down_write(mm->mmap_sem)");
    h.world.goTo(start);
    expect([h.faults(), h.world.gone(0)]).toEqual([[], false]);
  });
});

describe("a hang", () => {
  it("behind a task that has finished with the lock in its hand", () => {
    const world = small(
      {},
      { a: { path: keeper, args: [0], ends: true }, b: { path: inner, args: [0], ends: true } },
    );
    const h = new Hand(world).go("a");
    expect(h.faults()).toEqual([
      "HANG inner: waits for ever for the page lock that a took and never gave back",
    ]);
  });

  it("behind one that hangs itself", () => {
    const world = small(
      { filePages: 2 },
      {
        a: { path: keeper, args: [0], ends: true },
        b: { path: two, args: [1, 0], ends: true },
        c: { path: inner, args: [1], ends: true },
      },
    );
    const h = new Hand(world).go("a").go("b");
    expect(h.faults()).toEqual([
      "HANG inner: waits for ever for the page lock that a took and never gave back",
      "HANG inner: waits for ever for the page lock that b holds, which waits for ever itself",
    ]);
  });
});
