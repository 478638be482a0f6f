import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ERRNO } from "../../../src/kernel/errno.js";
import { block_nr, EXTENT, extent_state, free_blocks, is_shared } from "../../../src/kernel/fs/blocks.js";
import { COW, cow_state } from "../../../src/kernel/fs/cow.js";
import {
  xfs_file_buffered_aio_read,
  xfs_reflink_remap_range,
  xfs_vn_setattr,
} from "../../../src/kernel/fs/xfs.js";
import type { FileSpec } from "../../../src/kernel/geometry.js";
import { FS } from "../../../src/kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import type { World } from "../../../src/lab/world.js";
import { Invariants } from "../../lab/invariants.js";
import { disk, dma, flusher, fsync, load, read, reclaim, store } from "../actors.js";
import { ask } from "../drivers/ask.js";
import { type Actor, FILE, Hand, small } from "../harness.js";
import { dirties } from "../movers.js";

const CLONE = 2;
const rw = VM_SHARED | VM_WRITE;

/** One xfs file of one page, and a second one if asked for; the first is mapped. */
const machine = (
  actors: Readonly<Record<string, Actor>>,
  files: readonly Partial<FileSpec>[] = [{}],
  more: { blocks?: number; truncate?: boolean; pages?: number } = {},
): World =>
  small(
    {
      pages: more.pages ?? 1,
      geometry: {
        files: files.map((file) => ({ pages: 1, fs: FS.xfs, ...file })),
        vmas: [{ pages: 1, file: FILE, flags: rw }],
        blocks: more.blocks ?? 3,
        config: more.truncate ? ["blocks", "truncate"] : ["blocks"],
      },
    },
    actors,
  );

const clone: Actor = { path: xfs_reflink_remap_range, args: [FILE, CLONE], ends: true };
const truncate: Actor = { path: xfs_vn_setattr, args: [FILE, 0], ends: true };

const kinds = (world: World) => {
  const found = world.explore({ maxStates: 2_000_000, progress: () => true });
  expect(found.complete).toBe(true);
  return found.witnesses.map(({ kind }) => kind).sort();
};
const state = (h: Hand, file = FILE) => extent_state(h.k, file, 0);
const block = (h: Hand, file = FILE) => block_nr(h.k, file, 0);
const onDisk = (h: Hand, file = FILE) => h.k.block.version[block(h, file)];

describe("trap 17: xfs of v4.20 has no buffer_heads", () => {
  it("the article's machine is free of BUG and WARN on xfs, in every interleaving", () => {
    const world = small(
      { fs: FS.xfs, pages: 1 },
      { read: read(0), dma: dma(0), flusher, reclaim: reclaim(2), disk },
    );
    expect(kinds(world)).toEqual([]);
  });
});

describe("page_mkwrite reserves what writeback will need", () => {
  it("over a hole: a delayed extent, a promise of one block, and the block at writeback", () => {
    const h = new Hand(machine({ store: store(), flusher, disk }, [{ extents: ["hole"] }])).go("store");
    expect([state(h), free_blocks(h.k, 0), h.k.pte.entry[0] & 2]).toEqual([EXTENT.delayed, 2, 2]);
    h.go("flusher");
    expect([state(h), free_blocks(h.k, 0), h.has("writeback")]).toEqual([EXTENT.mapped, 2, true]);
    h.go("disk");
    expect([onDisk(h), h.has("writeback"), h.faults()]).toEqual([1, false, []]);
  });

  it("W13 on a full filesystem: SIGBUS, and the page stays clean", () => {
    const files = [{ extents: ["hole"] as const }, {}];
    const h = new Hand(machine({ store: store(), flusher, disk }, files, { blocks: 1 })).go("store");
    expect([h.finished("store"), h.pte(), h.has("dirty"), state(h)]).toEqual([
      true,
      "none",
      false,
      EXTENT.hole,
    ]);
  });

  it("over an unwritten extent: data once the write is over, not before", () => {
    const h = new Hand(machine({ store: store(), flusher, disk }, [{ extents: ["unwritten"] }])).go("store");
    h.go("flusher");
    expect(state(h)).toBe(EXTENT.unwritten);
    h.go("disk");
    expect([state(h), onDisk(h)]).toEqual([EXTENT.mapped, 1]);
  });

  it("over a shared extent: the COW fork; the file has the new block when the write is over", () => {
    const h = new Hand(machine({ store: store(), flusher, disk }, [{}, { reflink: FILE }]));
    const shared = block(h);
    expect([is_shared(h.k, FILE, 0), block(h, CLONE)]).toEqual([true, shared]);
    h.go("store");
    expect([cow_state(h.k, FILE, 0), free_blocks(h.k, 0)]).toEqual([COW.delayed, 1]);
    h.go("flusher");
    expect([cow_state(h.k, FILE, 0), block(h)]).toEqual([COW.real, shared]);
    h.go("disk");
    expect([cow_state(h.k, FILE, 0), block(h) === shared, block(h, CLONE)]).toEqual([
      COW.none,
      false,
      shared,
    ]);
    expect([onDisk(h), onDisk(h, CLONE), is_shared(h.k, FILE, 0), h.faults()]).toEqual([1, 0, false, []]);
  });
});

describe("writeback looks at the block map as it is", () => {
  it("F51 over a hole it writes nothing, and the page is clean", () => {
    const h = new Hand(machine({ dirties, flusher, disk }, [{ extents: ["hole"] }])).go("dirties");
    expect([h.has("dirty"), h.tags()]).toEqual([true, "dirty"]);
    const steps = h.trace("flusher", () => h.go("flusher"));
    expect(steps).not.toContain("xfs_submit_ioend");
    expect([h.has("dirty"), h.has("writeback"), h.tags(), state(h), h.faults()]).toEqual([
      false,
      false,
      "",
      EXTENT.hole,
      [],
    ]);
  });

  it("7.5 the steps of xfs_writepage_map in order", () => {
    const h = new Hand(machine({ store: store(), flusher, disk })).go("store");
    const order = [
      "xfs_map_blocks",
      "TestClearPageDirty",
      "set_page_writeback",
      "unlock_page",
      "xfs_submit_ioend",
    ];
    const steps = h.trace("flusher", () => h.go("flusher")).filter((step) => order.includes(step));
    // Cleaned by write_cache_pages, and once more by xfs_writepage_map.
    expect(steps).toEqual(["TestClearPageDirty", ...order]);
  });

  it("a page that is dirtied without a fault over a shared extent overwrites the other file's bytes", () => {
    const h = new Hand(machine({ dirties, flusher, disk }, [{}, { reflink: FILE }]));
    h.k.content.version[0] = 5;
    h.go("dirties").go("flusher").go("disk");
    expect(h.faults()).toEqual(["UAF disk: a shared block is overwritten, the other file's bytes are gone"]);
    expect([onDisk(h, CLONE), is_shared(h.k, FILE, 0)]).toEqual([5, true]);
  });
});

describe("the file that gets the blocks", () => {
  const files = [{}, {}];
  const fetch: Actor = { path: xfs_file_buffered_aio_read, args: [CLONE, 0], ends: true };

  it("is not read meanwhile: read(2) holds the inode (XFS_IOLOCK_SHARED)", () => {
    const h = new Hand(machine({ fetch, clone, disk }, files, { truncate: true, pages: 2 }));
    h.until("clone", "xfs_reflink_remap_extent").go("fetch");
    expect([h.finished("fetch"), h.finished("clone")]).toEqual([false, false]);
    h.go("clone");
    for (let steps = 0; !h.finished("fetch") && steps < 100; steps++) h.go("fetch").go("disk");
    expect([h.finished("fetch"), h.finished("clone")]).toEqual([true, true]);
  });

  it("loses its cached pages: what is read afterwards is the other file's", () => {
    const h = new Hand(machine({ fetch, clone, disk }, files, { truncate: true, pages: 2 }));
    for (let steps = 0; !h.finished("fetch") && steps < 100; steps++) h.go("fetch").go("disk");
    expect(h.k.xa_slot.page[h.k.slotOf(CLONE, 0)]).not.toBe(0);
    h.go("clone");
    expect([h.k.xa_slot.page[h.k.slotOf(CLONE, 0)], block(h, CLONE)]).toEqual([0, block(h)]);
  });

  it("gets longer when the other file is; a partial last block inside it is refused, and nothing has changed", () => {
    const cloned = (size: number, other: number) => {
      const given: number[] = [];
      const world = small(
        {
          pages: 1,
          parts: 2,
          geometry: {
            files: [size, other].map((each) => ({ pages: 1, fs: FS.xfs, size: each })),
            vmas: [],
            blocks: 3,
            config: ["blocks", "truncate"],
          },
        },
        { clone: ask(xfs_reflink_remap_range, [FILE, CLONE], given) },
      );
      const h = new Hand(world).go("clone");
      return [given[0], h.k.inode.i_size[CLONE], is_shared(h.k, FILE, 0)];
    };
    expect(cloned(2, 1)).toEqual([0, 2, true]);
    expect(cloned(1, 1)).toEqual([0, 1, true]);
    expect(cloned(1, 2)).toEqual([-ERRNO.EINVAL, 2, false]);
    expect(cloned(0, 1)).toEqual([0, 1, false]);
  });
});

describe("a file is cloned while a device writes into one of its pages", () => {
  const files = [{}, { extents: ["hole"] as const }];

  it("the completion dirties the page, and writeback overwrites the clone", () => {
    const h = new Hand(machine({ read: read(0), dma: dma(0), clone, flusher, disk }, files));
    h.past("read", "submit_bio").go("clone").go("disk").go("clone");
    expect([h.finished("clone"), h.pte(), is_shared(h.k, FILE, 0)]).toEqual([true, "ry", true]);
    h.go("dma").go("read").go("flusher").go("disk");
    expect([h.finished("read"), h.faults()]).toEqual([
      true,
      ["UAF disk: a shared block is overwritten, the other file's bytes are gone"],
    ]);
  });

  it("the search finds it", () => {
    expect(kinds(machine({ read: read(0), dma: dma(0), clone, flusher, disk }, files))).toContain("UAF");
  });

  it("a CPU store after the clone asks page_mkwrite, and the clone keeps its bytes", () => {
    const h = new Hand(machine({ store: store(), clone, flusher, disk }, files)).go("clone");
    h.go("store").go("flusher").go("disk");
    expect([h.finished("store"), is_shared(h.k, FILE, 0), onDisk(h, CLONE), h.faults()]).toEqual([
      true,
      false,
      0,
      [],
    ]);
  });

  it("v4.20 lets faults of the source in between flush and sharing: a CPU store does the same harm", () => {
    expect(kinds(machine({ store: store(), clone, flusher, disk }, files))).toEqual(["UAF"]);
  });

  it("the lock orders are sound", () => {
    const world = machine(
      { read: read(0), dma: dma(0), clone, flusher, disk, store: store(), fsync, reclaim: reclaim() },
      files,
    );
    expect(world.lockdep.reports).toEqual([]);
  });
});

describe("truncation", () => {
  it("W7 a pinned page becomes an orphan; what the device writes then is nobody's", () => {
    const h = new Hand(
      machine({ read: read(0), dma: dma(0), truncate, flusher, disk }, [{}], { truncate: true }),
    );
    h.past("read", "submit_bio").go("flusher").go("disk").go("truncate");
    expect([h.finished("truncate"), h.k.page.mapping[0], state(h), free_blocks(h.k, 0)]).toEqual([
      true,
      0,
      EXTENT.hole,
      3,
    ]);
    h.go("dma").until("read", () => h.has("dirty"));
    expect([h.tags(), h.k.inode.i_state[FILE], h.k.page.pins[0]]).toEqual(["", 0, 1]);
    h.go("read").go("flusher");
    expect([h.finished("read"), h.refs(), h.k.gendisk.head[0]]).toEqual([true, 0, 0]);
  });

  it("gives back what is promised", () => {
    const h = new Hand(
      machine({ store: store(), truncate, disk }, [{ extents: ["hole"] }], { truncate: true }),
    );
    h.go("store");
    expect(free_blocks(h.k, 0)).toBe(2);
    h.go("truncate");
    expect([h.finished("truncate"), free_blocks(h.k, 0), h.pte()]).toEqual([true, 3, "none"]);
  });
});

describe("random runs", () => {
  const actors = {
    read: read(0),
    read2: read(1),
    dma: dma(0),
    dma2: dma(1),
    store: store(),
    load: load(),
    clone,
    flusher,
    fsync,
    reclaim: reclaim(2),
    disk,
  };
  const files: readonly Partial<FileSpec>[][] = [
    [{}, { extents: ["hole"] }],
    [{ extents: ["hole"] }, { extents: ["hole"] }],
    [{}, { reflink: FILE }],
    [{ extents: ["unwritten"] }, { extents: ["hole"] }],
  ];

  it("references, flags, tags and gauges agree at every step", () => {
    fc.assert(
      fc.property(fc.constantFrom(...files), fc.nat(), (which, seed) => {
        const world = machine(actors, which, { blocks: 4 });
        const invariants = new Invariants(world);
        const scheduler = world.scheduler(seed);
        for (let made = 0; made < 600; made++) {
          const task = scheduler.next();
          if (task < 0) break;
          world.step(task);
          const violated = invariants.violated();
          if (violated !== null) throw new Error(`${violated}\nreplay: ${world.replay}`);
        }
      }),
      { numRuns: 60 },
    );
  });
});
