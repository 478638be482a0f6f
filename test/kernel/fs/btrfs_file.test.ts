import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ERRNO } from "../../../src/kernel/errno.js";
import { disk_version, EXTENT, extent_state, free_blocks } from "../../../src/kernel/fs/blocks.js";
import { btrfs_punch_hole } from "../../../src/kernel/fs/btrfs/file.js";
import { btrfs_setsize } from "../../../src/kernel/fs/btrfs/truncate.js";
import { btrfs_writepage_fixup_worker } from "../../../src/kernel/fs/btrfs.js";
import { COW, cow_state } from "../../../src/kernel/fs/cow.js";
import { vfs_write } from "../../../src/kernel/fs/read_write.js";
import { fsync as fsync_path } from "../../../src/kernel/fs/sync.js";
import type { FileSpec } from "../../../src/kernel/geometry.js";
import { FS } from "../../../src/kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import type { World } from "../../../src/lab/world.js";
import { Invariants } from "../../lab/invariants.js";
import { disk, dma, flusher, fsync, load, read, reclaim, store } from "../actors.js";
import { ask } from "../drivers/ask.js";
import { type Actor, FILE, Hand, type Small, small } from "../harness.js";
import { dirties, drop, invalidate2 } from "../movers.js";

const worker: Actor = { path: btrfs_writepage_fixup_worker };
const write = (pos: number, count: number, given: number[] = []): Actor =>
  ask(vfs_write, [FILE, pos, count], given);
const setsize = (size: number, given: number[] = []): Actor => ask(btrfs_setsize, [FILE, size], given);
const punch = (from: number, to: number, given: number[] = []): Actor =>
  ask(btrfs_punch_hole, [FILE, from, to], given);

/** One file of two pages of two parts each. */
function machine(
  actors: Readonly<Record<string, Actor>>,
  file: Partial<FileSpec> = {},
  more: Partial<NonNullable<Small["geometry"]>> = {},
  cached = true,
): World {
  const { config = [], ...geometry } = more;
  return small(
    {
      pages: 3,
      parts: 2,
      cached,
      geometry: {
        files: [{ pages: 2, fs: FS.btrfs, ...file }],
        vmas: [{ pages: 2, file: FILE, flags: VM_SHARED | VM_WRITE }],
        blocks: 4,
        config: ["blocks", "truncate", ...config],
        ...geometry,
      },
    },
    actors,
  );
}
const hand = (...args: Parameters<typeof machine>) => new Hand(machine(...args));
const versions = (h: Hand, index = 0) => [0, 1].map((part) => disk_version(h.k, FILE, index, part));
const content = (h: Hand, page = 0) => [...h.k.content.version.slice(page * 2, page * 2 + 2)];
const cow = (h: Hand, index = 0) => cow_state(h.k, FILE, index);

describe("write(2)", () => {
  it("prepares the page before it is dirty, so that writeback writes it without the worker", () => {
    const given: number[] = [];
    const h = hand({ write: write(0, 2, given), flusher, disk, worker });
    const steps = h.trace("write", () => h.go("write"));
    const order = [
      "btrfs_delalloc_reserve_space",
      "lock_page",
      "btrfs_lookup_ordered_range",
      "set_page_extent_mapped",
      "btrfs_copy_from_user",
      "btrfs_set_extent_delalloc",
      "__set_page_dirty",
      "unlock_page",
    ];
    expect(steps.filter((step) => order.includes(step))).toEqual(order);
    expect([given, cow(h), free_blocks(h.k, 0)]).toEqual([[2], COW.delayed, 1]);
    h.go("flusher").go("disk");
    expect([versions(h), cow(h), h.has("checked"), h.faults()]).toEqual([[1, 1], COW.none, false, []]);
  });

  it("makes pages that are missing, and the file longer", () => {
    const h = hand({ write: write(2, 2), disk }, { size: 2 }, {}, false).go("write");
    expect([h.k.inode.i_size[FILE], h.has("uptodate"), h.has("dirty"), h.refs()]).toEqual([4, true, true, 3]);
  });

  it("reads a page that it writes in part", () => {
    const h = hand({ write: write(1, 1), disk }, {}, {}, false);
    h.k.block.version[0] = 5;
    h.go("write").go("disk").go("write");
    expect([h.finished("write"), content(h), h.has("dirty")]).toEqual([true, [5, 1], true]);
  });

  it("a page that is truncated while it is read is made anew", () => {
    const h = hand({ write: write(1, 1), drop: drop(0, 1), disk }, {}, {}, false);
    h.go("write").go("disk").until("write", "lock_page").go("drop");
    // drop_caches leaves a page that somebody holds; take it out as truncation does.
    h.k.page.mapping[0] = 0;
    h.k.xa_slot.page[0] = 0;
    h.k.page._refcount[0]--;
    h.go("write").go("disk").go("write");
    expect([h.finished("write"), h.has("dirty", h.k.xa_slot.page[0] - 1), h.k.vmstat.pgpgin[0]]).toEqual([
      true,
      true,
      8,
    ]);
  });

  it("a page that is invalidated while it waits for its lock is looked up again (pagecache_get_page)", () => {
    const h = hand({ write: write(0, 2), invalidate: invalidate2(), disk });
    h.until("write", "lock_page").go("invalidate");
    expect([h.path("write"), h.refs(), h.k.xa_slot.page[0]]).toEqual(["find_or_create_page", 1, 0]);
    h.until("write", "find_get_entry");
    // The other page is put: it goes, and may come back for the same place.
    expect([h.refs(), h.has("locked")]).toEqual([0, false]);
    h.go("write");
    const now = h.k.xa_slot.page[0] - 1;
    expect([h.k.page.mapping[now], h.has("dirty", now), content(h, now), h.refs(now)]).toEqual([
      FILE,
      true,
      [1, 1],
      3,
    ]);
  });

  it("waits for the ordered extent of the page, whose dirty bytes it starts", () => {
    const h = hand({ store: store(), again: write(0, 2), flusher, disk });
    h.go("store").go("flusher").until("disk", "btrfs_finish_ordered_io").go("again");
    expect([h.next("again"), h.path("again")]).toEqual([
      "btrfs_start_ordered_extent",
      "btrfs_start_ordered_extent",
    ]);
    h.go("disk").go("again");
    expect([h.finished("again"), cow(h), content(h)]).toEqual([true, COW.delayed, [2, 2]]);
  });

  it("W13 on a full filesystem: -ENOSPC, nothing is promised and no page is dirty", () => {
    const given: number[] = [];
    const h = hand({ write: write(0, 2, given), disk }, {}, { blocks: 2 }).go("write");
    expect([given, h.has("dirty"), free_blocks(h.k, 0)]).toEqual([[-ERRNO.ENOSPC], false, 0]);
  });

  it("what fits is written, and said", () => {
    const given: number[] = [];
    const h = hand({ write: write(0, 4, given), disk }, {}, { blocks: 3 }).go("write");
    expect([given, h.has("dirty"), h.has("dirty", 1)]).toEqual([[2], true, false]);
  });

  it("without memory for the page the promise is given back", () => {
    const given: number[] = [];
    const more = { pages: 1, min_free_pages: 1, config: ["watermarks", "direct_reclaim"] as const };
    const h = hand({ write: write(0, 2, given), disk }, {}, more, false).go("write");
    expect([given, free_blocks(h.k, 0)]).toEqual([[-ERRNO.ENOMEM], 2]);
  });

  it("behind the end of the file the rest of its last page is zeroed first", () => {
    const h = hand({ write: write(2, 1), disk }, { size: 1 }, {}, true);
    h.k.content.version[1] = 7;
    h.go("write").go("disk").go("write");
    expect([h.k.inode.i_size[FILE], content(h), h.has("dirty"), cow(h)]).toEqual([
      3,
      [0, 8],
      true,
      COW.delayed,
    ]);
  });

  it("a full filesystem cannot zero it: the write gives -ENOSPC", () => {
    const given: number[] = [];
    const h = hand({ write: write(2, 1, given), disk }, { size: 1 }, { blocks: 2 }).go("write");
    expect([given, h.k.inode.i_size[FILE]]).toEqual([[-ERRNO.ENOSPC], 1]);
  });
});

describe("a page that is read again", () => {
  it("waits for its ordered extent: the file has the old block before", () => {
    const h = hand({ store: store(), again: load(), drop: drop(), flusher, reclaim: reclaim(3), disk });
    h.go("store").go("flusher").until("disk", "btrfs_finish_ordered_io").go("reclaim");
    expect(h.k.xa_slot.page[0]).toBe(0);
    h.go("again");
    expect(h.next("again")).toBe("btrfs_start_ordered_extent");
    h.go("disk").go("again").go("disk").go("again");
    expect([h.finished("again"), h.k.content.version[h.k.pte.entry[0] >>> 4 === 0 ? 0 : 2]]).toEqual([
      true,
      1,
    ]);
  });
});

describe("fsync", () => {
  it("waits until the file has the new block, not only for the end of writeback", () => {
    const h = hand({ store: store(), fsync, disk }).go("store").go("fsync");
    expect(h.next("fsync")).toBe("wait_on_page_writeback");
    h.until("disk", "btrfs_finish_ordered_io").go("fsync");
    expect([h.has("writeback"), h.finished("fsync"), versions(h)]).toEqual([false, false, [0, 0]]);
    h.go("disk").go("fsync");
    expect([h.finished("fsync"), versions(h)]).toEqual([true, [1, 1]]);
  });

  it("F-promise: what was stored before it is on the disk when it returns, in every interleaving", () => {
    const world = machine({ store: store(), fsync, flusher, disk, worker }, {}, { config: ["fsync_oracle"] });
    const found = world.explore({ maxStates: 2_000_000, progress: () => true });
    expect([found.complete, found.witnesses]).toEqual([true, []]);
  });

  it("is told of a page that the worker could not prepare: a late -ENOSPC", () => {
    const given: number[] = [];
    const more = { blocks: 2, config: ["io_errors"] as const };
    const h = hand(
      { dirties, again: dirties, flusher, fsync: ask(fsync_path, [FILE], given), disk, worker },
      {},
      more,
    );
    h.go("dirties").go("flusher").go("again").go("worker").go("fsync");
    expect(given).toEqual([-ERRNO.ENOSPC]);
  });
});

describe("truncation", () => {
  it("W7 a pinned page becomes an orphan: what was promised is void, and what the device writes is nobody's", () => {
    const h = hand(
      { read: read(0), dma: dma(0), set: setsize(0), flusher, disk, worker },
      {},
      { dioPages: 1 },
    );
    h.past("read", "submit_bio");
    expect([cow(h), free_blocks(h.k, 0)]).toEqual([COW.delayed, 1]);
    h.go("set");
    expect([h.finished("set"), h.k.page.mapping[0], h.has("private"), cow(h), free_blocks(h.k, 0)]).toEqual([
      true,
      0,
      false,
      COW.none,
      4,
    ]);
    h.go("dma").go("read").go("flusher").go("worker");
    expect([h.finished("read"), h.k.page.pins[0], h.faults()]).toEqual([true, 0, []]);
  });

  it("waits for a page under writeback, then for its ordered extent, and only then frees the blocks", () => {
    const h = hand({ store: store(), set: setsize(0), flusher, disk })
      .go("store")
      .go("flusher")
      .go("set");
    expect([h.next("set"), h.k.inode.i_size[FILE], extent_state(h.k, FILE, 0)]).toEqual([
      "wait_on_page_writeback",
      0,
      EXTENT.mapped,
    ]);
    h.until("disk", "btrfs_finish_ordered_io").go("set");
    expect([h.next("set"), h.k.page.mapping[0]]).toEqual(["btrfs_start_ordered_extent", 0]);
    h.go("disk").go("set");
    expect([h.finished("set"), extent_state(h.k, FILE, 0), free_blocks(h.k, 0)]).toEqual([
      true,
      EXTENT.hole,
      4,
    ]);
  });

  it("of a part of a page: a clean page loses what btrfs keeps on it, its end is zeroed, its block stays", () => {
    const h = hand({ store: store(), set: setsize(1), flusher, disk });
    h.go("store").go("flusher").go("disk").go("set");
    expect([content(h), h.has("private"), extent_state(h.k, FILE, 0), extent_state(h.k, FILE, 1)]).toEqual([
      [1, 2],
      false,
      EXTENT.mapped,
      EXTENT.hole,
    ]);
    expect([h.k.inode.i_size[FILE], h.refs()]).toEqual([1, 2]);
  });

  it("a page that the walk finds behind the end is invalidated, not written", () => {
    const h = hand({ store: store(), set: setsize(0), flusher, disk }).go("store");
    h.until("set", "i_size_write").step("set").go("flusher");
    expect([h.has("dirty"), h.has("private"), cow(h), h.k.gendisk.head[0]]).toEqual([
      false,
      false,
      COW.none,
      0,
    ]);
    h.go("set");
    expect([h.finished("set"), free_blocks(h.k, 0)]).toEqual([true, 4]);
  });

  it("what was stored behind the end, in its last page, is zeroed when it is written", () => {
    const h = hand({ store: store(), flusher, disk }, { size: 1 }).go("store").go("flusher").go("disk");
    expect([versions(h), content(h)]).toEqual([
      [1, 2],
      [1, 2],
    ]);
  });

  it("and when it is faulted in for writing", () => {
    const h = hand({ store: store(), disk }, { size: 1 });
    h.k.content.version[1] = 9;
    h.until("store", "access", true);
    expect(content(h)).toEqual([0, 10]);
  });

  it("a fault that finds the page behind the end gives its promise back", () => {
    const h = hand({ store: store(), set: setsize(0), disk });
    h.until("store", "lock_page").until("store", "btrfs_delalloc_reserve_space", false);
    h.step("store").go("set").go("store");
    expect([h.finished("store"), h.pte(), free_blocks(h.k, 0)]).toEqual([true, "none", 4]);
  });

  it("an error that the mapping remembers ends it: the pages are gone, size and blocks stay", () => {
    const given: number[] = [];
    const more = { blocks: 2, config: ["io_errors"] as const };
    const h = hand({ dirties, again: dirties, set: setsize(0, given), flusher, disk, worker }, {}, more);
    h.go("dirties").go("flusher").go("again").go("worker").go("set");
    expect([given, h.k.inode.i_size[FILE], h.k.xa_slot.page[0], extent_state(h.k, FILE, 0)]).toEqual([
      [-ERRNO.ENOSPC],
      4,
      0,
      EXTENT.mapped,
    ]);
  });

  it("a file that grows has the rest of its last page zeroed", () => {
    const h = hand({ set: setsize(4), disk }, { size: 1 });
    h.k.content.version[1] = 9;
    h.go("set");
    expect([h.k.inode.i_size[FILE], content(h), h.has("dirty"), cow(h)]).toEqual([
      4,
      [0, 10],
      true,
      COW.delayed,
    ]);
  });

  it("and does not grow where there is no space for that", () => {
    const given: number[] = [];
    const h = hand({ set: setsize(4, given), disk }, { size: 1 }, { blocks: 2 }).go("set");
    expect([given, h.k.inode.i_size[FILE]]).toEqual([[-ERRNO.ENOSPC], 1]);
  });
});

describe("a part of a page that is zeroed", () => {
  it("waits for what is being written of the page", () => {
    const h = hand({ store: store(), set: setsize(4), flusher, disk }, { size: 1 });
    h.go("store").go("flusher").until("disk", "btrfs_finish_ordered_io").go("set");
    expect(h.next("set")).toBe("btrfs_start_ordered_extent");
    h.go("disk").go("set");
    expect([h.finished("set"), cow(h)]).toEqual([true, COW.delayed]);
  });

  it("reads a page that is missing, and makes one that is gone meanwhile anew", () => {
    const h = hand({ set: setsize(4), disk }, { size: 1 }, {}, false);
    h.go("set").go("disk").until("set", "lock_page");
    h.k.page.mapping[0] = 0;
    h.k.xa_slot.page[0] = 0;
    h.k.page._refcount[0]--;
    h.go("set").go("disk").go("set");
    expect([h.finished("set"), h.has("dirty", 1)]).toEqual([true, true]);
  });

  it("without memory gives its promise back", () => {
    const given: number[] = [];
    const more = { pages: 1, min_free_pages: 1, config: ["watermarks", "direct_reclaim"] as const };
    const h = hand({ set: setsize(4, given), disk }, { size: 1 }, more, false).go("set");
    expect([given, free_blocks(h.k, 0)]).toEqual([[-ERRNO.ENOMEM], 2]);
  });
});

describe("a hole that is punched", () => {
  it("frees the blocks of whole pages and zeroes parts of others", () => {
    const given: number[] = [];
    const h = hand({ punch: punch(1, 4, given), flusher, disk }).go("punch");
    expect([
      given,
      content(h),
      h.has("dirty"),
      extent_state(h.k, FILE, 0),
      extent_state(h.k, FILE, 1),
    ]).toEqual([[0], [0, 1], true, EXTENT.mapped, EXTENT.hole]);
    expect([h.k.inode.i_size[FILE], h.k.xa_slot.page[1]]).toEqual([4, 0]);
  });

  it("the beginning of a last page, and a hole inside one page", () => {
    const first = hand({ punch: punch(0, 3), disk }).go("punch");
    expect([content(first, 1), extent_state(first.k, FILE, 0), first.has("dirty", 1)]).toEqual([
      [1, 0],
      EXTENT.hole,
      true,
    ]);
    const inside = hand({ punch: punch(2, 3), disk }).go("punch");
    expect([content(inside, 1), extent_state(inside.k, FILE, 1)]).toEqual([[1, 0], EXTENT.mapped]);
  });

  it("needs space for that", () => {
    const given: number[] = [];
    const h = hand({ punch: punch(1, 4, given), again: punch(0, 3, given), disk }, {}, { blocks: 2 });
    h.go("punch").go("again");
    expect(given).toEqual([-ERRNO.ENOSPC, -ERRNO.ENOSPC]);
  });

  it("a fault that brings a page back meanwhile is found: the range is emptied once more", () => {
    const h = hand({ store: store(), punch: punch(0, 2), flusher, disk });
    h.until("punch", "filemap_range_has_page").go("store");
    h.go("punch").go("disk").go("punch").go("disk").go("punch");
    expect([h.finished("punch"), extent_state(h.k, FILE, 0), h.pte(), h.faults()]).toEqual([
      true,
      EXTENT.hole,
      "none",
      [],
    ]);
  });

  it("an error of what was written before ends it", () => {
    const given: number[] = [];
    const more = { blocks: 2, config: ["io_errors"] as const };
    const h = hand({ dirties, again: dirties, punch: punch(0, 2, given), flusher, disk, worker }, {}, more);
    h.go("dirties").go("flusher").go("again").go("worker").go("punch");
    expect([given, extent_state(h.k, FILE, 0)]).toEqual([[-ERRNO.ENOSPC], EXTENT.mapped]);
  });
});

describe("lock orders and random runs", () => {
  const actors = {
    read: read(0),
    dma: dma(0),
    store: store(),
    load: load(1),
    write: write(1, 2),
    again: write(0, 4),
    set: setsize(1),
    grow: setsize(4),
    punch: punch(1, 3),
    flusher,
    sync: flusher,
    fsync,
    reclaim: reclaim(2),
    disk,
    worker,
  };

  it("the lock orders are sound", () => {
    expect(machine(actors, {}, { dioPages: 1, dios: 1, pages: 4 }).lockdep.reports).toEqual([]);
  });

  it("references, flags, tags, gauges and free space agree at every step", () => {
    const extents = [
      ["mapped", "mapped"],
      ["hole", "mapped"],
      ["hole", "hole"],
    ] as const;
    fc.assert(
      fc.property(fc.constantFrom(...extents), fc.nat(), fc.boolean(), (which, seed, cached) => {
        const world = machine(
          actors,
          { extents: which },
          { pages: 4, blocks: 5, dioPages: 1, dios: 1, config: ["io_errors"] },
          cached,
        );
        const invariants = new Invariants(world);
        const scheduler = world.scheduler(seed);
        for (let made = 0; made < 900; made++) {
          const task = scheduler.next();
          if (task < 0) break;
          world.step(task);
          const violated = invariants.violated();
          if (violated !== null) throw new Error(`${violated}\nreplay: ${world.replay}`);
        }
        expect(free_blocks(world.k, 0)).toBeGreaterThanOrEqual(0);
      }),
      { numRuns: 60 },
    );
  });
});
