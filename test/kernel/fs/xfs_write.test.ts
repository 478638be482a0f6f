import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ERRNO } from "../../../src/kernel/errno.js";
import {
  block_nr,
  disk_version,
  EXTENT,
  extent_state,
  free_blocks,
  is_shared,
} from "../../../src/kernel/fs/blocks.js";
import { COW, cow_state } from "../../../src/kernel/fs/cow.js";
import { bdi_flusher } from "../../../src/kernel/fs/fs_writeback.js";
import { vfs_write } from "../../../src/kernel/fs/read_write.js";
import { xfs_vm_writepage, xfs_vn_setattr } from "../../../src/kernel/fs/xfs.js";
import type { FileSpec } from "../../../src/kernel/geometry.js";
import { call, path } from "../../../src/kernel/language.js";
import { lock_page } from "../../../src/kernel/mm/page.js";
import { clear_page_dirty_for_io } from "../../../src/kernel/mm/page_writeback.js";
import { FS } from "../../../src/kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { pfn } from "../../../src/kernel/types.js";
import type { World } from "../../../src/lab/world.js";
import { Invariants } from "../../lab/invariants.js";
import { disk, dma, flusher, fsync, load, read, reclaim, store } from "../actors.js";
import { ask } from "../drivers/ask.js";
import { type Actor, FILE, Hand, type Small, small } from "../harness.js";
import { punch } from "../movers.js";

const write = (pos: number, count: number, given: number[] = []): Actor =>
  ask(vfs_write, [FILE, pos, count], given);
const setsize = (size: number, given: number[] = []): Actor => ask(xfs_vn_setattr, [FILE, size], given);

/** One file of two pages of two parts each, and others if asked for; the first is mapped. */
function machine(
  actors: Readonly<Record<string, Actor>>,
  files: readonly Partial<FileSpec>[] = [{}],
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
        files: files.map((file) => ({ pages: 2, fs: FS.xfs, ...file })),
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
const state = (h: Hand, index = 0) => extent_state(h.k, FILE, index);
const versions = (h: Hand, index = 0) => [0, 1].map((part) => disk_version(h.k, FILE, index, part));
const content = (h: Hand, page = 0) => [...h.k.content.version.slice(page * 2, page * 2 + 2)];
const holes = [{ extents: ["hole", "hole"] as const }];

describe("write(2)", () => {
  it("asks for the block before it has the page, and dirties the page before it lets it go", () => {
    const given: number[] = [];
    const h = hand({ write: write(0, 2, given), flusher, disk }, holes);
    const steps = h.trace("write", () => h.go("write"));
    const order = [
      "xfs_file_iomap_begin",
      "lock_page",
      "iov_iter_copy_from_user_atomic",
      "iomap_set_range_uptodate",
      "TestSetPageDirty",
      "i_size_write",
      "unlock_page",
    ];
    expect(steps.filter((step) => order.includes(step))).toEqual(order);
    expect([given, state(h), free_blocks(h.k, 0)]).toEqual([[2], EXTENT.delayed, 3]);
    h.go("flusher").go("disk");
    expect([state(h), versions(h), h.faults()]).toEqual([EXTENT.mapped, [1, 1], []]);
  });

  it("over a shared extent: a promise in the COW fork, and the other file keeps its bytes", () => {
    const h = hand({ write: write(0, 2), flusher, disk }, [{}, { reflink: FILE }]).go("write");
    expect([cow_state(h.k, FILE, 0), free_blocks(h.k, 0)]).toEqual([COW.delayed, 1]);
    h.go("flusher").go("disk");
    expect([is_shared(h.k, FILE, 0), versions(h), h.k.block.version[block_nr(h.k, 2, 0) * 2]]).toEqual([
      false,
      [1, 1],
      0,
    ]);
  });

  it("a page that is written in part is read first, with its lock kept", () => {
    const h = hand({ write: write(1, 1), load: load(), disk }, [{}], {}, false);
    h.k.block.version[0] = 5;
    h.go("write");
    expect([h.next("write"), h.has("locked")]).toEqual(["submit_bio_wait", true]);
    h.go("disk");
    expect([h.has("locked"), h.has("uptodate")]).toEqual([true, false]);
    h.go("write");
    expect([content(h), h.has("uptodate"), h.has("locked")]).toEqual([[5, 1], true, false]);
  });

  it("over a hole its other part is zeroes, and nothing is read", () => {
    const h = hand({ write: write(1, 1), disk }, holes, {}, false).go("write");
    expect([h.finished("write"), content(h), h.k.vmstat.pgpgin[0]]).toEqual([true, [0, 1], 0]);
  });

  it("W13 on a full filesystem: what is dirty is written, it tries once more, and gives -ENOSPC", () => {
    const given: number[] = [];
    const files = [{ extents: ["hole", "mapped"] as const }];
    const h = hand({ write: write(0, 2, given), disk }, files, { blocks: 1 });
    const steps = h.trace("write", () => h.go("write"));
    expect([given, h.has("dirty"), state(h)]).toEqual([[-ERRNO.ENOSPC], false, EXTENT.hole]);
    expect(steps.filter((step) => step === "xfs_file_iomap_begin")).toHaveLength(2);
  });

  it("xfs_flush_inodes waits for the flusher with i_rwsem held", () => {
    const given: number[] = [];
    const h = hand(
      { write: write(0, 4, given), flusher: { path: bdi_flusher, args: [0] }, disk },
      [{ extents: ["mapped", "hole"] as const }],
      { blocks: 1, config: ["kupdate"] },
    );
    h.go("write");
    // The first page was written: a short count is no error.
    expect([given, h.has("dirty")]).toEqual([[2], true]);
    const full = hand(
      { write: write(2, 2, given), flusher: { path: bdi_flusher, args: [0] }, disk },
      [{ extents: ["mapped", "hole"] as const }],
      { blocks: 1, config: ["kupdate"] },
    );
    full.go("write");
    expect(full.next("write")).toBe("wb_wait_for_completion");
    full.until("flusher", () => full.enabled("write")).go("write");
    expect(given).toEqual([2, -ERRNO.ENOSPC]);
  });

  it("without memory for the page the reservation is punched out", () => {
    const given: number[] = [];
    const more = { pages: 1, min_free_pages: 1, config: ["watermarks", "direct_reclaim"] as const };
    const h = hand({ write: write(0, 2, given), disk }, holes, more, false).go("write");
    expect([given, state(h), free_blocks(h.k, 0)]).toEqual([[-ERRNO.ENOMEM], EXTENT.hole, 4]);
  });

  it("behind the end of the file what is in between is zeroed", () => {
    const h = hand({ write: write(2, 1), disk }, [{ size: 1 }]);
    h.k.content.version[1] = 7;
    h.go("write").go("disk").go("write");
    expect([h.k.inode.i_size[FILE], content(h), h.has("dirty")]).toEqual([3, [0, 8], true]);
  });

  it("and a full filesystem cannot do that over a shared extent", () => {
    const given: number[] = [];
    const files = [{ size: 1 }, { reflink: FILE }];
    const h = hand({ write: write(2, 1, given), disk }, files, { blocks: 2 }).go("write");
    expect([given, h.k.inode.i_size[FILE]]).toEqual([[-ERRNO.ENOSPC], 1]);
  });
});

describe("a page that is faulted for writing", () => {
  it("and leaves the file between fault and page_mkwrite: -EFAULT, tried again, and behind the end by then", () => {
    const h = hand({ store: store(), set: setsize(0), disk });
    h.until("store", () => h.path("store") === "xfs_filemap_page_mkwrite").go("set");
    const steps = h.trace("store", () => h.go("store"));
    expect(steps).toContain("-EFAULT");
    expect([h.finished("store"), h.pte(), h.faults()]).toEqual([true, "none", []]);
  });
});

describe("truncation", () => {
  it("to a part of a page zeroes the rest of it through the page cache", () => {
    const given: number[] = [];
    const h = hand({ set: setsize(1, given), flusher, disk });
    h.k.content.version[1] = 7;
    h.go("set").go("disk").go("set");
    expect([given, content(h), state(h), state(h, 1), h.k.inode.i_size[FILE]]).toEqual([
      [0],
      [0, 9],
      EXTENT.mapped,
      EXTENT.hole,
      1,
    ]);
    expect([h.has("dirty"), free_blocks(h.k, 0)]).toEqual([true, 3]);
  });

  it("over a hole there is nothing to zero", () => {
    const h = hand({ set: setsize(1), disk }, holes).go("set");
    expect([h.finished("set"), h.has("dirty"), h.k.inode.i_size[FILE]]).toEqual([true, false, 1]);
  });

  it("a file that grows is zeroed from its old end on, and that is on the disk before the new size is", () => {
    const given: number[] = [];
    const h = hand({ set: setsize(4, given), disk }, [{ size: 1, extents: ["mapped", "hole"] }]);
    h.k.content.version[1] = 7;
    h.go("set");
    expect(h.next("set")).toBe("wait_on_page_writeback");
    h.go("disk").go("set");
    expect([h.finished("set"), versions(h), h.k.inode.i_size[FILE], state(h, 1)]).toEqual([
      true,
      [0, 8],
      4,
      EXTENT.hole,
    ]);
  });

  it("that needs space over a shared extent: -ENOSPC, and nothing has changed", () => {
    const given: number[] = [];
    const h = hand({ set: setsize(1, given), disk }, [{}, { reflink: FILE }], { blocks: 2 }).go("set");
    expect([given, h.k.inode.i_size[FILE], state(h, 1)]).toEqual([[-ERRNO.ENOSPC], 4, EXTENT.mapped]);
  });

  it("and memory: -ENOMEM", () => {
    const given: number[] = [];
    const more = { pages: 1, min_free_pages: 1, config: ["watermarks", "direct_reclaim"] as const };
    const h = hand({ set: setsize(1, given), disk }, [{}], more, false).go("set");
    expect([given, h.k.inode.i_size[FILE]]).toEqual([[-ERRNO.ENOMEM], 4]);
  });
});

describe("writeback against truncation", () => {
  it("a page behind the end is redirtied", () => {
    const h = hand({ store: store(), set: setsize(0), flusher, disk }).go("store");
    h.until("set", "i_size_write").step("set").go("flusher");
    expect([h.has("dirty"), h.has("locked"), h.k.gendisk.head[0]]).toEqual([true, false, 0]);
  });

  it("in the page in which the file ends what is behind is zeroed", () => {
    const h = hand({ store: store(), flusher, disk }, [{ size: 1 }])
      .go("store")
      .go("flusher")
      .go("disk");
    expect([versions(h), content(h)]).toEqual([
      [1, 2],
      [1, 2],
    ]);
  });

  it("a COW reservation that truncation is about to cancel is not turned into a block", () => {
    const h = hand({ store: store(1), set: setsize(0), flusher, disk }, [{ size: 3 }, { reflink: FILE }]);
    h.go("store");
    expect(cow_state(h.k, FILE, 1)).toBe(COW.delayed);
    h.until("flusher", "zero_user_segment").until("set", "i_size_write").step("set").go("flusher");
    expect([cow_state(h.k, FILE, 1), h.k.gendisk.head[0], h.has("writeback", 1)]).toEqual([
      COW.delayed,
      0,
      false,
    ]);
    h.go("set");
    expect([cow_state(h.k, FILE, 1), free_blocks(h.k, 0)]).toEqual([COW.none, 2]);
  });

  it("kswapd writes a page with the same steps (xfs_vm_writepage)", () => {
    const pageout: Actor = {
      path: path("pageout", { source: "a test", args: { page: pfn } }, [
        lock_page(),
        call(() => clear_page_dirty_for_io, { page: "page" }),
        call(() => xfs_vm_writepage, { page: "page" }),
      ]),
      args: [0],
      ends: true,
    };
    const h = hand({ store: store(), pageout, disk }).go("store").go("pageout").go("disk");
    expect([versions(h), h.has("dirty")]).toEqual([[1, 1], false]);
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
    punch: punch(0, 0),
    flusher,
    fsync,
    reclaim: reclaim(2),
    disk,
  };

  it("the lock orders are sound", () => {
    expect(machine(actors, [{}], { dioPages: 1, dios: 1 }).lockdep.reports).toEqual([]);
  });

  it("references, flags, tags, gauges and free space agree at every step", () => {
    const files: readonly Partial<FileSpec>[][] = [
      [{}],
      [{ extents: ["hole", "unwritten"] }],
      [{ size: 3 }, { reflink: FILE }],
    ];
    fc.assert(
      fc.property(fc.constantFrom(...files), fc.nat(), fc.boolean(), (which, seed, cached) => {
        const world = machine(actors, which, { pages: 4, blocks: 5, dioPages: 1, dios: 1 }, cached);
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
