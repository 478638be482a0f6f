import { describe, expect, it } from "vitest";
import { I_DIRTY_PAGES } from "../../../src/kernel/structs.js";
import { disk, flusher, fsync, old, reclaim, store } from "../actors.js";
import { FILE, Hand, small } from "../harness.js";

const three = () =>
  new Hand(
    small(
      { filePages: 3, pages: 3 },
      {
        store0: store(0),
        store1: store(1),
        store2: store(2),
        again: store(0),
        flusher,
        second: flusher,
        fsync,
        disk,
        reclaim: reclaim(),
      },
    ),
  );

describe("the flusher walks tags, not LRU lists (D8, trap 6)", () => {
  it("finds and cleans a page that is on no list", () => {
    const h = three().go("store1").until("reclaim", "trylock_page");
    expect(h.lru(1)).toBe("isolated");
    const steps = h.trace("flusher", () => h.until("flusher", "ext4_io_submit"));
    expect(steps).toContain("page_mkclean_one");
    expect(h.has("writeback", 1)).toBe(true);
  });

  it("writes all tagged pages of the file, in the order of their offsets", () => {
    const h = three().go("store2").go("store0").go("flusher");
    expect(h.k.gendisk.head[0]).toBe(1);
    expect(h.k.page.io_next[0]).toBe(3);
    expect([h.tags(0), h.tags(1), h.tags(2)]).toEqual(["writeback", "", "writeback"]);
  });

  it("trap 9 skips a page whose tag is set and whose PG_dirty is not", () => {
    const h = three().go("store0").clear(["dirty"]).go("flusher");
    expect([h.finished("flusher"), h.has("writeback"), h.tags()]).toEqual([true, false, "dirty"]);
  });
});

describe("the inode's dirty state (7.2)", () => {
  it("is cleared after the pages were submitted, not when they are written", () => {
    const h = three().go("store0");
    expect(h.k.inode.i_state[FILE]).toBe(I_DIRTY_PAGES);
    h.go("flusher");
    expect([h.k.inode.i_state[FILE], h.has("writeback")]).toEqual([0, true]);
  });

  it("is set again when a page was dirtied behind the flusher", () => {
    const h = three().go("store0").until("flusher", "inode->i_state &= ~dirty").go("store1").go("flusher");
    expect([h.k.inode.i_state[FILE], h.tags(1)]).toEqual([I_DIRTY_PAGES, "dirty"]);
  });
});

describe("fsync (7.9)", () => {
  it("writes what is dirty now and waits until the disk has it", () => {
    const h = three().go("store0").go("store2").go("fsync");
    expect([h.finished("fsync"), h.next("fsync")]).toEqual([false, "wait_on_page_writeback"]);
    h.go("disk").go("fsync");
    expect(h.finished("fsync")).toBe(true);
    expect([...h.k.block.version]).toEqual([1, 0, 1]);
    expect(h.k.page._refcount[0]).toBe(3);
  });

  it("D5 tags first, and does not write what was dirtied after that", () => {
    const h = three().go("store0").past("fsync", "tag_pages_for_writeback");
    expect(h.tags(0)).toBe("dirty towrite");
    h.go("store1").go("fsync").go("disk").go("fsync");
    expect([h.finished("fsync"), h.tags(0), h.tags(1)]).toEqual([true, "", "dirty"]);
  });

  it("waits for writeback that somebody else has started", () => {
    const h = three().go("store0").go("flusher").go("fsync");
    expect([h.finished("fsync"), h.next("fsync")]).toEqual([false, "wait_on_page_writeback"]);
  });

  it("trap 28 a page redirtied during its writeback needs, and gets, another write", () => {
    const h = three().go("store0").go("flusher").go("again").go("disk");
    expect(h.tags(0)).toBe("dirty");
    expect(h.k.block.version[0]).toBe(2);
    h.go("second").go("disk");
    expect([h.tags(0), h.has("dirty")]).toEqual(["", false]);
  });
});

describe("a page that kswapd unmapped while dirty", () => {
  it("is cleaned without page_mkclean finding anything: its mark survives, and it is rotated (6.5, 7.8)", () => {
    const h = three().go("store0");
    old(h);
    h.go("reclaim");
    expect([h.pte(0), h.has("reclaim", 0), h.lru(0)]).toEqual(["none", true, "active"]);
    const steps = h.trace("flusher", () => h.go("flusher"));
    expect(steps).not.toContain("page_mkclean_one");
    const ends = h.trace("disk", () => h.go("disk"));
    expect(ends).toContain("rotate_reclaimable_page");
    expect(h.has("reclaim", 0)).toBe(false);
  });
});
