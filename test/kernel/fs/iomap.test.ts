import { describe, expect, it } from "vitest";
import { iomap_releasepage, iomap_set_page_dirty } from "../../../src/kernel/fs/iomap.js";
import { call, path } from "../../../src/kernel/language.js";
import { FS } from "../../../src/kernel/operations.js";
import { I_DIRTY_PAGES } from "../../../src/kernel/structs.js";
import { int, pfn } from "../../../src/kernel/types.js";
import { disk, flusher, load, reclaim, store } from "../actors.js";
import { type Actor, FILE, Hand, small } from "../harness.js";

const ask: Actor = {
  path: path("ask", { source: "a test", args: { page: pfn }, locals: { released: int }, returns: int }, [
    call(() => iomap_releasepage, { page: "page" }, "ret"),
  ]),
  args: [0],
  ends: true,
};
const dirty: Actor = { path: iomap_set_page_dirty, args: [0], ends: true };

/** What iomap_releasepage answers about page 0 now. */
const released = (h: Hand): number => {
  const { machine } = h.world;
  const task = machine.tasks.findIndex(({ name }) => name === "ask");
  const { frame } = machine.at(task);
  machine.focus(task);
  h.step("ask");
  return (frame as unknown as { ret: number }).ret;
};

const one = () =>
  new Hand(
    small(
      { fs: FS.xfs, pages: 2 },
      { store: store(), load: load(), ask, dirty, flusher, disk, reclaim: reclaim(3) },
    ),
  );

describe("iomap_releasepage", () => {
  it("F52 refuses a dirty page and one under writeback, and lets a clean one go", () => {
    expect(released(one())).toBe(1);
    expect(released(one().set(["dirty"]))).toBe(0);
    expect(released(one().set(["writeback"]))).toBe(0);
  });

  it("5.5 with blocks as large as pages nothing is on the page: reclaim has nothing to ask for", () => {
    const h = one().go("store");
    expect([h.has("private"), h.has("dirty"), h.refs()]).toEqual([false, true, 2]);
    h.go("flusher").go("disk");
    const steps = h.trace("reclaim", () => h.go("reclaim"));
    expect(steps).not.toContain("iomap_releasepage");
  });
});

describe("iomap_set_page_dirty", () => {
  it("5.4 sets the bit, the tag and the inode, and asks nothing", () => {
    const h = one().go("dirty");
    expect([h.has("dirty"), h.tags(), h.k.inode.i_state[FILE]]).toEqual([true, "dirty", I_DIRTY_PAGES]);
    expect([h.k.vmstat.nr_dirty[0], h.faults()]).toEqual([1, []]);
  });

  it("of a page that is not uptodate does not warn, unlike __set_page_dirty_buffers", () => {
    const h = one().clear(["uptodate"]).go("dirty");
    expect([h.has("dirty"), h.faults()]).toEqual([true, []]);
  });

  it("of a dirty page does nothing more", () => {
    const h = one().set(["dirty"]).go("dirty");
    expect([h.tags(), h.k.vmstat.nr_dirtied[0]]).toEqual(["", 0]);
  });
});

describe("iomap_page_mkwrite", () => {
  it("warns of a page that is not uptodate, and marks it dirty", () => {
    const h = one().go("load").until("store", "lock_page").clear(["uptodate"]).go("store");
    expect(h.faults()).toEqual(["WARN iomap_page_mkwrite_actor: WARN_ON_ONCE(!PageUptodate(page))"]);
    expect(h.has("dirty")).toBe(true);
  });

  it("of a page that has left the file gives NOPAGE: the fault is tried again", () => {
    const h = one().go("load").until("store", "lock_page");
    h.k.page.mapping[0] = 0;
    const steps = h.trace("store", () => h.past("store", "unlock_page"));
    expect(steps.slice(0, 4)).toEqual([
      "lock_page",
      "page->mapping != inode->i_mapping",
      "-EFAULT",
      "unlock_page",
    ]);
  });
});

describe("iomap_page_mkwrite on a disk that needs stable pages", () => {
  const underWriteback = (stableWrites: boolean) => {
    const h = new Hand(
      small(
        { fs: FS.xfs, pages: 2, stableWrites },
        { store: store(), load: load(), ask, dirty, flusher, disk, again: store() },
      ),
    );
    return h.go("store").go("flusher").go("again");
  };

  it("a store sleeps until the writeback has ended, its page dirty and locked already", () => {
    const h = underWriteback(true);
    expect([h.path("again"), h.next("again"), h.enabled("again")]).toEqual([
      "iomap_page_mkwrite",
      "wait_on_page_writeback",
      false,
    ]);
    expect([h.has("dirty"), h.has("locked"), h.pte(), [...h.k.content.version].slice(0, 1)]).toEqual([
      true,
      true,
      "ry",
      [1],
    ]);
    h.go("disk").go("again");
    expect([h.finished("again"), h.k.content.version[0], h.k.block.version[0]]).toEqual([true, 2, 1]);
  });

  it("on another disk it does not: the disk writes what it finds", () => {
    const h = underWriteback(false);
    expect([h.finished("again"), h.has("writeback")]).toEqual([true, true]);
    h.go("disk");
    expect(h.k.block.version[0]).toBe(2);
  });
});
