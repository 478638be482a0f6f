import { describe, expect, it } from "vitest";
import { bdi_flusher } from "../../../src/kernel/fs/fs_writeback.js";
import { sync } from "../../../src/kernel/fs/sync.js";
import { path, step } from "../../../src/kernel/language.js";
import {
  bdi,
  DWORK,
  EXPIRED,
  IO_LIST,
  io_list,
  wakeup_flusher_threads,
} from "../../../src/kernel/mm/backing_dev.js";
import { global_dirty_limits } from "../../../src/kernel/mm/balance_dirty_pages.js";
import { FS } from "../../../src/kernel/operations.js";
import { I_DIRTY_PAGES, I_SYNC } from "../../../src/kernel/structs.js";
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

describe("the flusher of one disk (7.2), config kupdate", () => {
  const { b_dirty, b_more_io } = IO_LIST;
  const wb = (writebackChunk = 1024, fs: number = FS.ext4) =>
    new Hand(
      small(
        {
          filePages: 3,
          fs,
          // Few of many pages are dirty: below the background threshold.
          pages: 60,
          geometry: { config: ["kupdate"], writebackChunk },
        },
        {
          a: store(0),
          b: store(1),
          c: store(2),
          fsync,
          starter: {
            path: path("starter", { source: "a test" }, [
              step("wakeup_flusher_threads", (k) => wakeup_flusher_threads(k)),
            ]),
            ends: true,
          },
          sync: { path: sync, ends: true },
          flusher: { path: bdi_flusher, args: [0] },
          disk,
        },
      ),
    );
  const under = (h: Hand) => [0, 1, 2].filter((page) => h.has("writeback", page));

  it("sleeps until something is dirty, and then until the timer ends", () => {
    const h = wb();
    expect(h.enabled("flusher")).toBe(false);
    h.go("a");
    expect(h.enabled("flusher")).toBe(true);
  });

  it("writes an inode when it has been dirty for dirty_expire_interval, not sooner", () => {
    const h = wb().go("a");
    for (let interval = 1; interval < EXPIRED; interval++) {
      h.round("flusher");
      expect([under(h), io_list(h.k, 0, b_dirty)]).toEqual([[], [FILE]]);
    }
    h.round("flusher");
    expect([under(h), io_list(h.k, 0, b_dirty), h.k.inode.i_state[FILE]]).toEqual([[0], [], 0]);
    h.go("disk");
    expect(h.enabled("flusher")).toBe(false);
  });

  it("writes everything at once when it is asked to (wakeup_flusher_threads)", () => {
    const h = wb().go("a").go("c").go("starter").round("flusher");
    expect(under(h)).toEqual([0, 2]);
  });

  it("a chunk used up puts the inode on b_more_io, and the next one is written in the same work", () => {
    const h = wb(1, FS.xfs).go("a").go("b").go("starter");
    h.past("flusher", "requeue_inode");
    expect(io_list(h.k, 0, b_more_io)).toEqual([FILE]);
    h.round("flusher");
    expect(under(h)).toContain(1);
  });

  it("puts an inode that somebody else writes on b_more_io, and waits for it when nothing else is left", () => {
    const h = wb().go("a").go("starter");
    h.k.inode.i_state[FILE] |= I_SYNC;
    h.until("flusher", "inode_sleep_on_writeback");
    expect([h.enabled("flusher"), io_list(h.k, 0, b_more_io)]).toEqual([false, [FILE]]);
    h.k.inode.i_state[FILE] &= ~I_SYNC;
    h.round("flusher");
    expect(under(h)).toEqual([0]);
  });

  it("a sync waits for an inode that somebody else writes, instead of passing it by", () => {
    const h = wb().go("a").go("sync");
    h.k.inode.i_state[FILE] |= I_SYNC;
    h.until("flusher", "inode_sleep_on_writeback");
    expect([h.path("flusher"), h.enabled("flusher"), io_list(h.k, 0, b_more_io)]).toEqual([
      "writeback_sb_inodes",
      false,
      [],
    ]);
    h.k.inode.i_state[FILE] &= ~I_SYNC;
    h.round("flusher").go("disk").go("sync");
    expect([h.finished("sync"), h.k.block.version[0]]).toEqual([true, 1]);
  });

  it("trap 6 an inode stays on the lists while pages of it are dirty", () => {
    const h = wb().go("a").go("starter").until("flusher", "inode->i_state &= ~dirty").go("b");
    h.step("flusher").step("flusher");
    expect(io_list(h.k, 0, b_dirty)).toEqual([FILE]);
    expect(h.k.inode.i_state[FILE] & I_DIRTY_PAGES).toBe(I_DIRTY_PAGES);
  });

  it("above the background threshold it writes what is young, and leaves off when it is below", () => {
    const h = new Hand(
      small(
        { filePages: 3, pages: 20, geometry: { config: ["kupdate", "throttle"] } },
        { a: store(0), b: store(1), c: store(2), flusher: { path: bdi_flusher, args: [0] }, disk },
      ),
    );
    // Twenty pages and one: background 2, dirty 4, freerun 3.
    expect(global_dirty_limits(h.k)).toEqual({ thresh: 4, bg_thresh: 2 });
    h.go("a").go("b").round("flusher");
    expect(under(h)).toEqual([]);
    h.go("c").round("flusher");
    expect(under(h)).toEqual([0, 1, 2]);
  });

  it("lockdep has nothing to say", () => {
    expect(wb().world.lockdep.reports).toEqual([]);
  });
});

describe("balance_dirty_pages, config throttle", () => {
  const machine = (pages: number, laptop_mode = false) =>
    new Hand(
      small(
        { filePages: 6, pages, geometry: { config: ["kupdate", "throttle"], laptop_mode } },
        {
          ...Object.fromEntries([0, 1, 2, 3, 4, 5].map((at) => [`s${at}`, store(at)])),
          flusher: { path: bdi_flusher, args: [0] },
          disk,
        },
      ),
    );

  it("F61 below the freerun ceiling nobody waits; above it the writer sleeps, at the limit until pages are clean", () => {
    const h = machine(20);
    for (const task of ["s0", "s1", "s2"]) h.go(task);
    expect(["s0", "s1", "s2"].map((task) => h.finished(task))).toEqual([true, true, true]);
    // The fourth page is at the limit of 4: not below it.
    h.go("s3");
    expect([h.finished("s3"), h.path("s3"), h.next("s3")]).toEqual([
      false,
      "balance_dirty_pages",
      "io_schedule_timeout",
    ]);
    h.round("flusher");
    // Pages under writeback count as dirty here.
    expect(h.enabled("s3")).toBe(false);
    h.go("disk").go("s3");
    expect(h.finished("s3")).toBe(true);
  });

  it("between the background threshold and the ceiling it wakes the flusher and goes on; in laptop mode it lets it sleep", () => {
    for (const [laptop_mode, woken] of [
      [false, DWORK.now],
      [true, DWORK.delayed],
    ] as const) {
      const h = machine(20, laptop_mode).go("s0").go("s1");
      expect(bdi(h.k).dwork[0]).toBe(DWORK.delayed);
      h.go("s2");
      expect([h.finished("s2"), bdi(h.k).dwork[0]]).toEqual([true, woken]);
    }
  });

  it("who has slept wakes the flusher once more if it found too much dirty", () => {
    const h = machine(20);
    for (const task of ["s0", "s1", "s2", "s3"]) h.go(task);
    h.round("flusher").go("disk");
    expect(bdi(h.k).dwork[0]).toBe(DWORK.idle);
    const steps = h.trace("s3", () => h.go("s3"));
    expect(steps.slice(0, 2)).toEqual(["io_schedule_timeout", "wb_start_background_writeback"]);
    expect(bdi(h.k).dwork[0]).toBe(DWORK.now);
  });

  it("in a fault it sleeps without the page lock and, in v4.20, with mmap_sem (2.1 W11)", () => {
    const h = machine(20);
    for (const task of ["s0", "s1", "s2", "s3"]) h.go(task);
    expect([h.next("s3"), h.has("locked", 3)]).toEqual(["io_schedule_timeout", false]);
    const { image } = h.world.machine;
    const at = image.code.find(({ step }) => step === "io_schedule_timeout");
    expect(at?.stack).toContain("handle_mm_fault");
    expect(h.world.lockdep.reports).toEqual([]);
  });
});
