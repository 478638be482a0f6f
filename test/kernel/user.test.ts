import { describe, expect, it } from "vitest";
import { FS, VM_FAULT } from "../../src/kernel/operations.js";
import { VM_READ, VM_SHARED, VM_WRITE } from "../../src/kernel/structs.js";
import { lockReportText } from "../../src/machine/lockdep.js";
import { disk, flusher, load, reclaim, store } from "./actors.js";
import { type Actor, Hand, small } from "./harness.js";
import { munmap } from "./processes.js";

const access = (at: number, write: 0 | 1): Actor => (write === 1 ? store(at) : load(at));

const moving = (pages = 1) => ({
  filePages: pages,
  geometry: {
    pages: 2 * pages,
    vmas: [{ pages, file: 1, flags: VM_SHARED | VM_WRITE }],
    config: ["mmap"] as const,
  },
});

describe("what a process may not do", () => {
  it("a store where the VMA forbids it ends without a fault of a page (access_error)", () => {
    const h = new Hand(small({ vmas: [VM_SHARED] }, { store: store(), load: load() })).go("store").go("load");
    expect([h.finished("store"), h.pte(), h.k.vmstat.pgfault[0]]).toEqual([true, "ry", 1]);
  });

  it("the same on a machine whose VMAs change", () => {
    const geometry = {
      pages: 2,
      vmas: [{ pages: 1, file: 1, flags: VM_SHARED, without: VM_READ }],
      config: ["mmap"] as const,
    };
    const h = new Hand(small({ geometry }, { store: store(), load: load() })).go("store").go("load");
    expect([h.finished("store"), h.finished("load"), h.pte(), h.k.vmstat.pgfault[0]]).toEqual([
      true,
      true,
      "none",
      0,
    ]);
  });

  it("SIGSEGV, SIGBUS and OOM end an access; NOPAGE and RETRY do not", () => {
    const { ERROR, NOPAGE, RETRY, LOCKED, WRITE, SIGSEGV, SIGBUS, OOM } = VM_FAULT;
    expect(ERROR & (SIGSEGV | SIGBUS | OOM)).toBe(SIGSEGV | SIGBUS | OOM);
    expect(ERROR & (NOPAGE | RETRY | LOCKED | WRITE)).toBe(0);
  });
});

describe("VM_FAULT_RETRY (__lock_page_or_retry)", () => {
  it("a fault that finds the page locked gives mmap_sem back before it sleeps, and comes back once", () => {
    const h = new Hand(small(moving(), { a: access(0, 1), munmap: munmap(0) })).set(["locked"]);
    h.until("a", "wait_on_page_locked");
    expect([h.enabled("a"), h.refs()]).toEqual([false, 2]);
    // A writer of mmap_sem is not kept waiting by a page.
    h.past("munmap", "down_write(mm->mmap_sem)");
    h.clear(["locked"]).step("a");
    expect(h.next("a")).toBe("put_page");
    h.go("munmap").go("a");
    expect([h.finished("a"), h.pte(), h.refs()]).toEqual([true, "none", 1]);
  });

  it("the second time it keeps mmap_sem and sleeps for the page lock (FAULT_FLAG_TRIED)", () => {
    const h = new Hand(small(moving(), { a: access(0, 1), munmap: munmap(0) })).set(["locked"]);
    h.until("a", "wait_on_page_locked").clear(["locked"]).step("a").set(["locked"]);
    h.until("a", "lock_page");
    expect([h.enabled("a"), h.enabled("munmap")]).toEqual([false, false]);
    h.clear(["locked"]).go("a");
    expect([h.finished("a"), h.pte()]).toEqual([true, "rwdy"]);
  });

  it("no page lock, no retry; a machine whose VMAs stay has none", () => {
    const h = new Hand(small(moving(), { a: access(0, 1) }));
    const steps = h.trace("a", () => h.go("a"));
    expect([steps.includes("trylock_page"), steps.includes("wait_on_page_locked")]).toEqual([true, false]);
    const still = new Hand(small({}, { a: access(0, 1) }));
    expect(still.trace("a", () => still.go("a"))).not.toContain("trylock_page");
  });

  it("two faults of the same page both end, in every order", () => {
    const world = small(
      { fs: FS.tmpfs, ...moving() },
      { a: access(0, 1), b: access(0, 1), munmap: munmap(0) },
    );
    const result = world.explore({ maxStates: 200_000, progress: () => true });
    expect([result.complete, result.witnesses.map(({ kind }) => kind)]).toEqual([true, []]);
  });

  it("lockdep has nothing to say", () => {
    const world = small(moving(2), {
      a: access(0, 1),
      b: access(1, 0),
      munmap: munmap(0, 2),
      flusher,
      disk,
      r: reclaim(),
    });
    expect(world.lockdep.reports.map(lockReportText)).toEqual([]);
  });
});
