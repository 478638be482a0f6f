import { describe, expect, it } from "vitest";
import { btrfs_writepages } from "../../../src/kernel/fs/btrfs.js";
import { xfs_vm_writepages } from "../../../src/kernel/fs/xfs.js";
import { call, path } from "../../../src/kernel/language.js";
import { address_space } from "../../../src/kernel/mm/filemap.js";
import { lock_page, SetPageDirty, unlock } from "../../../src/kernel/mm/page.js";
import {
  __set_page_dirty_nobuffers,
  cancel_dirty_page,
  clear_page_dirty_for_io,
  generic_writepages,
  LONG_MAX,
  RANGE_CYCLIC,
  RANGE_END,
  redirty_page_for_writepage,
  set_page_dirty,
} from "../../../src/kernel/mm/page_writeback.js";
import { FS } from "../../../src/kernel/operations.js";
import { BH, I_DIRTY_PAGES, VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { pfn } from "../../../src/kernel/types.js";
import { PTE_BIT, pg } from "../../../src/trace/words.js";
import { disk, dma, flusher, fsync, load, old, read, reclaim, store } from "../actors.js";
import { type Actor, FILE, Hand, small } from "../harness.js";

const one = () =>
  new Hand(
    small(
      { pages: 1, vmas: [VM_SHARED | VM_WRITE, VM_SHARED | VM_WRITE] },
      {
        store: store(0),
        store2: store(1),
        load: load(0),
        flusher,
        fsync,
        disk,
        reclaim: reclaim(),
      },
    ),
  );

describe("clear_page_dirty_for_io and set_page_writeback", () => {
  it("F22, trap 9 the tag stays when PG_dirty is cleared, and goes when writeback starts", () => {
    const h = one().go("store").until("flusher", "TestClearPageDirty").step("flusher");
    expect(h.has("dirty")).toBe(false);
    expect(h.tags()).toBe("dirty");
    h.past("flusher", "set_page_writeback");
    expect(h.tags()).toBe("writeback");
  });

  it("F23, F24 page_mkclean takes dirty and write from every PTE, and then set_page_dirty is called", () => {
    const h = one().go("store").go("store2");
    expect([h.pte(0), h.pte(1)]).toEqual(["rwdy", "rwdy"]);
    const steps = h.trace("flusher", () => h.until("flusher", "TestClearPageDirty"));
    expect([h.pte(0), h.pte(1)]).toEqual(["ry", "ry"]);
    expect(steps.filter((step) => step === "page_mkclean_one")).toHaveLength(2);
    expect(steps.indexOf("ext4_set_page_dirty")).toBeGreaterThan(steps.lastIndexOf("page_mkclean_one"));
    expect(h.bufferDirty()).toBe(true);
  });

  it("F24 a PTE that is writable and clean is protected too", () => {
    const h = one().go("store");
    h.k.pte.entry[0] &= ~PTE_BIT.dirty;
    expect(h.pte()).toBe("rwy");
    h.until("flusher", "TestClearPageDirty");
    expect(h.pte()).toBe("ry");
  });

  it("F23 no PTE was dirty or writable: set_page_dirty is not called, PG_reclaim survives (6.5)", () => {
    const h = one().go("store").go("reclaim");
    h.set(["reclaim"]);
    h.k.pte.entry[0] &= ~(PTE_BIT.write | PTE_BIT.dirty);
    const steps = h.trace("flusher", () => h.go("flusher"));
    expect(steps).not.toContain("ext4_set_page_dirty");
    expect(h.has("reclaim")).toBe(true);
  });

  it("F25, trap 29 set_page_dirty clears PG_reclaim; page_mkclean's does too", () => {
    const h = one().go("store").set(["reclaim"]);
    h.until("flusher", "TestClearPageDirty");
    expect(h.has("reclaim")).toBe(false);
  });

  it("the second write after cleaning asks the filesystem again (2.3)", () => {
    const h = one().go("store").go("flusher").go("disk");
    expect(h.pte()).toBe("ry");
    const steps = h.trace("store2", () => h.go("store2"));
    expect(steps).toContain("get_block");
    expect(h.has("dirty")).toBe(true);
  });
});

describe("writeback holds no reference (F27)", () => {
  it("under writeback a mapped page has cache, buffers and PTE", () => {
    const h = one().go("store").go("flusher");
    expect(h.has("writeback")).toBe(true);
    expect(h.refs()).toBe(3);
  });
});

describe("accounting (2.6)", () => {
  it("the first dirtying counts nr_dirty and nr_dirtied, tags the slot and marks the inode, in this order", () => {
    const h = one();
    const { nr_dirty, nr_dirtied, nr_writeback, nr_written } = h.k.vmstat;
    h.past("store", "TestSetPageDirty");
    expect([h.has("dirty"), h.tags(), nr_dirty[0]]).toEqual([true, "", 0]);
    h.step("store");
    expect([h.tags(), nr_dirty[0], nr_dirtied[0], h.k.inode.i_state[FILE]]).toEqual(["dirty", 1, 1, 0]);
    h.step("store");
    expect(h.k.inode.i_state[FILE]).toBe(I_DIRTY_PAGES);
    h.go("store").go("flusher");
    expect([nr_dirty[0], nr_writeback[0], nr_written[0]]).toEqual([0, 1, 0]);
    h.go("disk");
    expect([nr_dirty[0], nr_writeback[0], nr_written[0], nr_dirtied[0]]).toEqual([0, 0, 1, 1]);
  });

  it("a page that is dirty already is not counted again", () => {
    const h = one().go("store").go("store2");
    expect([h.k.vmstat.nr_dirty[0], h.k.vmstat.nr_dirtied[0]]).toEqual([1, 1]);
  });

  it("tmpfs pages are dirty by their flag alone: no tag, no count, no dirty inode (5.4)", () => {
    const h = new Hand(small({ pages: 1, fs: FS.tmpfs }, { store: store() })).go("store");
    expect([h.has("dirty"), h.tags(), h.k.vmstat.nr_dirty[0], h.k.inode.i_state[FILE]]).toEqual([
      true,
      "",
      0,
      0,
    ]);
    expect(h.has("private")).toBe(false);
  });
});

describe("stable pages (7.7)", () => {
  const stable = (stableWrites: boolean) =>
    new Hand(
      small(
        { pages: 1, stableWrites },
        { store: store(), again: store(), flusher, disk, read: read(4), dma: dma(4) },
      ),
    )
      .go("store")
      .go("flusher");

  it("where the device needs them, page_mkwrite waits for writeback, with the page locked", () => {
    const h = stable(true).go("again");
    expect(h.next("again")).toBe("wait_on_page_writeback");
    expect(h.has("locked")).toBe(true);
    h.go("disk").go("again");
    expect(h.finished("again")).toBe(true);
  });

  it("elsewhere a store during writeback is legal: dirty and under writeback at once", () => {
    const h = stable(false).go("again");
    expect(h.finished("again")).toBe(true);
    expect(h.flags()).toEqual(expect.arrayContaining(["dirty", "writeback"]));
    expect(h.tags()).toBe("dirty writeback");
  });

  it("a device that holds a reference does not wait", () => {
    const h = new Hand(
      small({ pages: 1, stableWrites: true }, { read: read(0), flusher, disk, dma: dma(0) }),
    );
    h.past("read", "submit_bio").go("flusher");
    expect(h.has("writeback")).toBe(true);
    h.past("dma", "DMA");
    expect(h.k.page.device[0]).toBe(1);
  });
});

describe("write_cache_pages (7.3)", () => {
  const all = [0, LONG_MAX, 0, RANGE_END] as const;
  const walk = (sync: 0 | 1, wbc: readonly number[] = all, name = "walk") => ({
    [name]: { path: generic_writepages, args: [FILE, sync, ...wbc], ends: true },
  });
  const pages = (actors: Readonly<Record<string, Actor>>) =>
    new Hand(
      small(
        { filePages: 4, pages: 4 },
        { a: store(0), b: store(1), c: store(2), again: store(1), flusher, disk, ...actors },
      ),
    );
  const under = (h: Hand) => [0, 1, 2, 3].filter((page) => h.has("writeback", page));

  it("writes what is tagged, in order, and each page was clean when its writepage began", () => {
    const h = pages(walk(0)).go("a").go("b").go("c");
    const steps = h.trace("walk", () => h.go("walk"));
    expect(under(h)).toEqual([0, 1, 2]);
    expect(steps.indexOf("TestClearPageDirty")).toBeLessThan(steps.indexOf("set_page_writeback"));
    expect(h.k.vmstat.nr_dirty[0]).toBe(0);
  });

  it("asks in the kernel's order: mapping, dirty, writeback, then it cleans", () => {
    const h = pages(walk(0)).go("a");
    const steps = h.trace("walk", () => h.until("walk", "TestClearPageDirty"));
    const asked = [
      "lock_page",
      "page->mapping != mapping",
      "!PageDirty",
      "PageWriteback",
      "BUG_ON(PageWriteback)",
    ];
    expect(steps.filter((step) => asked.includes(step))).toEqual(asked);
  });

  it("F28, trap 28 WB_SYNC_NONE skips a page under writeback, WB_SYNC_ALL waits with the page locked", () => {
    const h = pages({ ...walk(0), ...walk(1, all, "sync") })
      .go("b")
      .go("flusher")
      .go("again")
      .go("walk");
    expect([h.finished("walk"), h.tags(1)]).toEqual([true, "dirty writeback"]);
    h.go("sync");
    expect([h.next("sync"), h.has("locked", 1)]).toEqual(["wait_on_page_writeback", true]);
    h.go("disk").go("sync").go("disk");
    expect([h.finished("sync"), h.k.block.version[1]]).toEqual([true, 2]);
  });

  it("F29 sleeps on the page lock", () => {
    const h = pages(walk(0)).go("a").set(["locked"]).go("walk");
    expect([h.next("walk"), h.enabled("walk")]).toEqual(["lock_page", false]);
  });

  it("skips a page that somebody has cleaned since the lookup, and one that left the file", () => {
    const h = pages(walk(0)).go("a").until("walk", "lock_page").clear(["dirty"]).go("walk");
    expect([h.finished("walk"), under(h), h.refs()]).toEqual([true, [], 3]);
    const gone = pages(walk(0)).go("a").until("walk", "lock_page");
    gone.k.page.mapping[0] = 0;
    gone.go("walk");
    expect([gone.finished("walk"), under(gone), gone.has("locked")]).toEqual([true, [], false]);
  });

  it("D5 tags first with WB_SYNC_ALL, and with tagged_writepages: what is dirtied later is not written", () => {
    for (const [sync, wbc] of [
      [1, all],
      [0, [1, LONG_MAX, 0, RANGE_END]],
    ] as const) {
      const h = pages(walk(sync, wbc)).go("a").past("walk", "tag_pages_for_writeback").go("b").go("walk");
      expect(under(h)).toEqual([0]);
      expect(h.tags(1)).toBe("dirty");
    }
  });

  it("nr_to_write stops WB_SYNC_NONE only", () => {
    const none = pages(walk(0, [0, 2, 0, RANGE_END]))
      .go("a")
      .go("b")
      .go("c")
      .go("walk");
    expect(under(none)).toEqual([0, 1]);
    const integrity = pages(walk(1, [0, 2, 0, RANGE_END]))
      .go("a")
      .go("b")
      .go("c")
      .go("walk");
    expect(under(integrity)).toEqual([0, 1, 2]);
  });

  it("writes a range, both ends included", () => {
    const h = pages(walk(0, [0, LONG_MAX, 1, 1]))
      .go("a")
      .go("b")
      .go("c")
      .go("walk");
    expect(under(h)).toEqual([1]);
  });

  it("a cyclic walk goes on where the last one stopped, and ends at the end of the file", () => {
    const cyclic = [0, 2, RANGE_CYCLIC, RANGE_END];
    const h = new Hand(
      small(
        { filePages: 4, pages: 4, geometry: { config: ["kupdate"] } },
        {
          ...{ a: store(0), b: store(1), c: store(2), again: store(0) },
          ...walk(0, cyclic),
          ...walk(0, cyclic, "next"),
          ...walk(0, cyclic, "third"),
          disk,
        },
      ),
    );
    h.go("a").go("b").go("c").go("walk");
    const { writeback_index } = h.k.of(address_space);
    // v4.20 remembers the last page that it wrote, not the one after it.
    expect([under(h), writeback_index[FILE]]).toEqual([[0, 1], 1]);
    h.go("disk").go("again").go("next");
    // It does not go round: the next one begins at the beginning.
    expect([under(h), writeback_index[FILE]]).toEqual([[2], 0]);
    h.go("third");
    expect(under(h)).toEqual([0, 2]);
  });

  for (const [name, fs, writepages] of [
    ["xfs", FS.xfs, xfs_vm_writepages],
    ["btrfs", FS.btrfs, btrfs_writepages],
  ] as const)
    it(`${name} walks so: round the file with a limit, and waiting for a page's earlier write for integrity`, () => {
      const h = new Hand(
        small(
          { filePages: 3, pages: 3, fs, geometry: { config: ["kupdate", "blocks"], blocks: 9 } },
          {
            ...{ a: store(0), b: store(1), c: store(2), disk },
            device: { path: dirty, args: [0], ends: true },
            cyclic: { path: writepages, args: [FILE, 0, 0, 2, RANGE_CYCLIC, RANGE_END], ends: true },
            sync: { path: writepages, args: [FILE, 1, 0, LONG_MAX, 0, 0], ends: true },
          },
        ),
      );
      h.go("a").go("b").go("c").go("cyclic");
      expect([under(h), h.k.of(address_space).writeback_index[FILE]]).toEqual([[0, 1], 1]);
      h.go("device").go("sync");
      expect([h.next("sync"), h.has("locked")]).toEqual(["wait_on_page_writeback", true]);
      h.go("disk").go("sync");
      expect([h.finished("sync"), h.has("dirty"), h.tags(2)]).toEqual([true, false, "dirty"]);
    });

  it("F64 a lookup takes up to fifteen pages: what is dirtied behind it is not met, what it found is held", () => {
    const h = new Hand(
      small(
        { filePages: 3, pages: 3, geometry: { config: ["pagevec"] } },
        { a: store(0), b: store(1), c: store(2), ...walk(0), disk },
      ),
    );
    h.go("a").go("b").set(["locked"]).go("walk");
    // It sleeps on the lock of the first, and holds the second: cache, buffers, PTE, walk.
    expect([h.next("walk"), h.refs(0), h.refs(1)]).toEqual(["lock_page", 4, 4]);
    h.go("c").clear(["locked"]).go("walk");
    expect([under(h), h.tags(2), h.refs(1)]).toEqual([[0, 1], "dirty", 3]);
    const alone = pages(walk(0)).go("a").go("b").set(["locked"]).go("walk").go("c");
    alone.clear(["locked"]).go("walk");
    expect(under(alone)).toEqual([0, 1, 2]);
  });

  it("so reclaim fails to free a page that nobody uses, after it has freed its buffers: no device is needed for that", () => {
    const h = new Hand(
      small(
        { filePages: 2, pages: 2, geometry: { config: ["pagevec"] } },
        {
          ...{ a: store(0), b: store(1), ...walk(0), ...walk(0, [0, LONG_MAX, 1, 1], "other"), disk },
          reclaim: reclaim(2),
        },
      ),
    );
    h.go("a").go("b").set(["locked"]).go("walk").go("other").go("disk");
    old(h, 1);
    h.k.page.flags[1] &= ~pg("referenced");
    h.go("reclaim");
    expect([h.next("walk"), h.pte(1), h.has("private", 1), h.refs(1)]).toEqual([
      "lock_page",
      "none",
      false,
      2,
    ]);
    h.clear(["locked"]).go("walk");
    expect([h.refs(1), h.faults()]).toEqual([1, []]);
  });
});

const clean = path("clean", { source: "a test", args: { page: pfn } }, [
  lock_page(),
  call(() => clear_page_dirty_for_io, { page: "page" }),
  unlock(),
]);

describe("clear_page_dirty_for_io of a file that lives in memory", () => {
  it("takes the bit and nothing else: its PTEs stay dirty and writable, as nobody accounts it", () => {
    const h = new Hand(
      small({ pages: 1, fs: FS.tmpfs }, { store: store(), clean: { path: clean, args: [0], ends: true } }),
    ).go("store");
    const steps = h.trace("clean", () => h.go("clean"));
    expect(steps).toEqual(["lock_page", "TestClearPageDirty", "unlock_page"]);
    expect([h.has("dirty"), h.pte()]).toEqual([false, "rwdy"]);
  });
});

/** One call of a path with a locked page, for functions that have no caller here. */
const redirty = path("redirty", { source: "a test", args: { page: pfn } }, [
  lock_page(),
  call(() => clear_page_dirty_for_io, { page: "page" }),
  call(() => redirty_page_for_writepage, { page: "page" }),
  unlock(),
]);
const dirty_nobuffers = path("dirty_nobuffers", { source: "a test", args: { page: pfn } }, [
  call(() => __set_page_dirty_nobuffers, { page: "page" }),
]);
const dirty = path("dirty", { source: "a test", args: { page: pfn } }, [
  call(() => set_page_dirty, { page: "page" }),
]);

describe("redirtying and dirtying without buffers (5.3, 5.6)", () => {
  const hand = () =>
    new Hand(
      small(
        { filePages: 2, pages: 3 },
        {
          store: store(),
          redirty: { path: redirty, args: [0], ends: true },
          nobuffers: { path: dirty_nobuffers, args: [1], ends: true },
          orphan: { path: dirty, args: [2], ends: true },
          flusher,
        },
      ),
    );

  it("F30 redirty_page_for_writepage puts the page's state back, does not touch buffers, and takes back nr_dirtied", () => {
    const h = hand().go("store");
    const { nr_dirty, nr_dirtied } = h.k.vmstat;
    h.until("redirty", "page_mapping");
    h.k.page.b_state[0] &= ~BH.dirty;
    h.go("redirty");
    expect([h.bufferDirty(), h.has("dirty"), h.tags(), nr_dirty[0], nr_dirtied[0]]).toEqual([
      false,
      true,
      "dirty",
      1,
      1,
    ]);
  });

  it("__set_page_dirty_nobuffers tags and accounts; it warns of a page that is neither uptodate nor private", () => {
    const h = hand().go("nobuffers");
    expect([h.tags(1), h.k.vmstat.nr_dirty[0], h.faults()]).toEqual(["dirty", 1, []]);
    const bad = hand().clear(["uptodate"], 1).go("nobuffers");
    expect(bad.faults()).toEqual([
      "WARN __set_page_dirty_nobuffers: WARN_ON_ONCE(!PagePrivate(page) && !PageUptodate(page))",
    ]);
  });

  it("a page that leaves its mapping between the look and the lock is a BUG", () => {
    const h = hand().past("nobuffers", "page_mapping");
    h.k.page.mapping[1] = 0;
    h.go("nobuffers");
    expect([h.dead("nobuffers"), h.faults()]).toEqual([
      true,
      ["BUG __set_page_dirty_nobuffers: BUG_ON(page_mapping(page) != mapping)"],
    ]);
  });

  it("a page without a mapping gets the bit, and nothing else (5.1)", () => {
    const h = hand().go("orphan");
    expect([h.has("dirty", 2), h.k.vmstat.nr_dirty[0], h.faults()]).toEqual([true, 0, []]);
  });

  it("trap 42 a raw SetPageDirty is a third kind of dirty: the flusher does not find it, and it spoils the gauge", () => {
    const h = hand().go("store").go("flusher");
    SetPageDirty(h.k, 1);
    const again = h.k.vmstat.nr_dirty[0];
    expect([h.tags(1), again, h.k.inode.i_state[FILE]]).toEqual(["", 0, 0]);
    cancel_dirty_page(h.k, 1);
    // It was never counted in, and is counted out: one less than there are.
    expect(h.k.vmstat.nr_dirty[0]).toBe(-1);
  });

  it("trap 10 set_page_dirty with buffers dirties all of them, __set_page_dirty_nobuffers none", () => {
    const h = hand().go("store").go("flusher");
    expect(h.bufferDirty()).toBe(false);
    h.clear(["writeback"]);
    const page = new Hand(
      small(
        { filePages: 1, pages: 1 },
        { store: store(), flusher, dirty: { path: dirty, args: [0], ends: true } },
      ),
    );
    page.go("store").go("flusher").set(["locked"]).go("dirty");
    expect(page.bufferDirty()).toBe(true);
  });
});
