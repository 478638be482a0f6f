import { describe, expect, it } from "vitest";
import { BH, PGDAT_DIRTY } from "../../../src/kernel/structs.js";
import { disk, dma, flusher, fsync, load, old, read, reclaim, store } from "../actors.js";
import { Hand, small } from "../harness.js";

const one = () =>
  new Hand(
    small(
      { pages: 1 },
      { store: store(), again: store(), load: load(), flusher, fsync, disk, reclaim: reclaim() },
    ),
  );

/** A page that lost its buffers while a device held it. */
function stripped(): Hand {
  const h = new Hand(
    small(
      { pages: 1 },
      { read: read(0), dma: dma(0), flusher, fsync, disk, reclaim: reclaim(3), pageout: reclaim(4) },
    ),
  );
  h.past("read", "submit_bio").go("flusher").go("disk");
  old(h);
  return h.clear(["referenced"]).go("reclaim");
}

describe("ext4_releasepage", () => {
  it("F10 keeps the buffers of a page with PG_checked, which is to go through the journal first", () => {
    const release = (checked: boolean) => {
      const h = one().go("store").go("flusher").go("disk");
      old(h);
      h.clear(["referenced"]);
      if (checked) h.set(["checked"]);
      h.go("reclaim");
      return [h.has("private"), h.lru()];
    };
    expect(release(true)).toEqual([true, "active"]);
    expect(release(false)).toEqual([false, "none"]);
  });
});

describe("ext4_set_page_dirty", () => {
  it("F8 warns, once, when the page has no buffers", () => {
    const h = stripped();
    expect(h.has("private")).toBe(false);
    h.go("dma").go("read");
    expect(h.faults()).toEqual(["WARN ext4_set_page_dirty: WARN_ON_ONCE(!page_has_buffers(page))"]);
    expect([h.has("dirty"), h.tags()]).toEqual([true, "dirty"]);
  });

  it("F9 does not warn of a page that is locked, or dirty already", () => {
    const h = one().go("store").go("again").go("flusher");
    expect(h.faults()).toEqual([]);
  });
});

describe("writing a page", () => {
  it("F49, trap 30 the buffer is clean from its submission on, before the disk has seen it", () => {
    const h = one().go("store").until("flusher", "ext4_io_submit");
    expect([h.bufferDirty(), h.has("writeback"), h.k.gendisk.head[0]]).toEqual([false, true, 0]);
    expect(h.k.page.b_state[0] & BH.async_write).toBe(BH.async_write);
    expect(h.has("locked")).toBe(false);
  });

  it("set_page_writeback, then the buffers, then the page lock goes, then the completion", () => {
    const h = one().go("store");
    const order = [
      "page_mkclean_one",
      "TestClearPageDirty",
      "set_page_writeback",
      "set_buffer_async_write",
      "io_submit_add_bh",
      "unlock_page",
      "ext4_io_submit",
    ];
    const steps = h.trace("flusher", () => h.go("flusher"));
    expect(steps.filter((step) => order.includes(step))).toEqual(order);
    const ends = h.trace("disk", () => h.go("disk"));
    expect(ends.indexOf("clear_buffer_async_write")).toBeLessThan(ends.indexOf("test_clear_page_writeback"));
  });

  it("F27 the disk needs no page lock and no reference to end writeback", () => {
    const h = one().go("store").go("flusher").set(["locked"]).go("disk");
    expect(h.has("writeback")).toBe(false);
  });

  it("F28 WB_SYNC_NONE skips a page under writeback; WB_SYNC_ALL waits for it with the page locked", () => {
    const h = one().go("store").until("flusher", "ext4_io_submit").step("flusher");
    h.go("again");
    expect(h.tags()).toBe("dirty writeback");
    h.go("flusher");
    expect(h.finished("flusher")).toBe(true);
    expect(h.tags()).toBe("dirty writeback");
    h.go("fsync");
    expect([h.next("fsync"), h.has("locked")]).toEqual(["wait_on_page_writeback", true]);
    h.step("disk").go("disk").go("fsync").go("disk").go("fsync");
    expect([h.finished("fsync"), h.tags()]).toEqual([true, ""]);
  });

  it("F29 the flusher sleeps on the page lock", () => {
    const h = one().go("store").set(["locked"]).go("flusher");
    expect([h.finished("flusher"), h.next("flusher")]).toEqual([false, "lock_page"]);
    h.clear(["locked"]).go("flusher");
    expect(h.finished("flusher")).toBe(true);
  });
});

describe("a dirty page without buffers kills whoever writes it", () => {
  const victims = [
    { task: "flusher", path: "mpage_prepare_extent_to_map" },
    { task: "fsync", path: "mpage_prepare_extent_to_map" },
  ] as const;
  for (const { task, path } of victims) {
    it(`${task}, in ${path}`, () => {
      const h = new Hand(
        small(
          { pages: 1 },
          { read: read(0), dma: dma(0), first: flusher, flusher, fsync, disk, reclaim: reclaim(3) },
        ),
      );
      h.past("read", "submit_bio").go("first").go("disk");
      old(h);
      h.clear(["referenced"]).go("reclaim").go("dma").go("read").go(task);
      expect(h.k.faults[1]).toMatchObject({ kind: "BUG", path, task, step: "page_buffers" });
    });
  }

  it("kswapd, in ext4_writepage, once nobody holds the page (trap 18)", () => {
    const h = stripped().go("dma").go("read").set(["reclaim"]);
    h.k.pgdat.flags[0] |= PGDAT_DIRTY;
    h.go("pageout");
    expect(h.k.faults[1]).toMatchObject({ kind: "BUG", path: "ext4_writepage", task: "pageout" });
  });
});

describe("reading a missing page", () => {
  it("the page is locked until the disk has brought it, and uptodate then", () => {
    const h = new Hand(small({ pages: 1, cached: false }, { load: load(), disk })).go("load");
    expect([h.next("load"), h.has("locked"), h.has("uptodate")]).toEqual(["lock_page", true, false]);
    h.go("disk").go("load");
    expect([h.finished("load"), h.has("uptodate"), h.pte()]).toEqual([true, true, "ry"]);
    expect([h.k.vmstat.pgmajfault[0], h.k.vmstat.pgpgin[0]]).toEqual([1, 4]);
  });
});
