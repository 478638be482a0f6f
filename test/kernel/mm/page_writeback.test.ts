import { describe, expect, it } from "vitest";
import { FS } from "../../../src/kernel/operations.js";
import { I_DIRTY_PAGES, VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { PTE_BIT } from "../../../src/trace/words.js";
import { disk, dma, flusher, fsync, load, read, reclaim, store } from "../actors.js";
import { FILE, Hand, small } from "../harness.js";

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
