import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { block_nr, free_blocks, is_shared } from "../../../src/kernel/fs/blocks.js";
import {
  btrfs_writepage,
  btrfs_writepage_fixup_worker,
  set_page_extent_mapped,
} from "../../../src/kernel/fs/btrfs.js";
import { COW, cow_state } from "../../../src/kernel/fs/cow.js";
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
import { type Actor, FILE, Hand, small } from "../harness.js";
import { dirties } from "../movers.js";

const worker: Actor = { path: btrfs_writepage_fixup_worker };

const machine = (
  actors: Readonly<Record<string, Actor>>,
  files: readonly Partial<FileSpec>[] = [{}],
  blocks = 3,
): World =>
  small(
    {
      pages: 1,
      geometry: {
        files: files.map((file) => ({ pages: 1, fs: FS.btrfs, ...file })),
        vmas: [{ pages: 1, file: FILE, flags: VM_SHARED | VM_WRITE }],
        blocks,
        config: ["blocks"],
      },
    },
    actors,
  );

/** pageout: the page cleaned, then ->writepage. */
const pageout: Actor = {
  path: path("pageout", { source: "a test", args: { page: pfn } }, [
    lock_page(),
    call(() => clear_page_dirty_for_io, { page: "page" }),
    call(() => btrfs_writepage, { page: "page", memalloc: 1 }),
  ]),
  args: [0],
  ends: true,
};

const kinds = (world: World) => {
  const found = world.explore({ maxStates: 2_000_000, progress: () => true });
  expect(found.complete).toBe(true);
  return found.witnesses.map(({ kind }) => kind).sort();
};
const onDisk = (h: Hand) => h.k.block.version[block_nr(h.k, FILE, 0)];

describe("a page that page_mkwrite prepared", () => {
  it("7.6 goes to a new block; the file has it after the end of writeback", () => {
    const h = new Hand(machine({ store: store(), flusher, disk, worker }));
    const old = block_nr(h.k, FILE, 0);
    h.go("store");
    expect([cow_state(h.k, FILE, 0), h.has("private"), h.has("private_2"), free_blocks(h.k, 0)]).toEqual([
      COW.delayed,
      true,
      false,
      1,
    ]);
    const steps = h.trace("flusher", () => h.go("flusher"));
    const order = [
      "writepage_delalloc",
      "writepage_start_hook",
      "btrfs_set_range_writeback",
      "submit_extent_page",
    ];
    expect(steps.filter((name) => order.includes(name))).toEqual(order);
    expect([cow_state(h.k, FILE, 0), block_nr(h.k, FILE, 0), h.has("writeback")]).toEqual([
      COW.real,
      old,
      true,
    ]);
    h.until("disk", "btrfs_finish_ordered_io");
    expect([h.has("writeback"), block_nr(h.k, FILE, 0)]).toEqual([false, old]);
    h.go("disk");
    expect([block_nr(h.k, FILE, 0) === old, onDisk(h), h.has("checked"), h.faults()]).toEqual([
      false,
      1,
      false,
      [],
    ]);
    expect(free_blocks(h.k, 0)).toBe(2);
  });

  it("a shared block is left alone by every write", () => {
    const h = new Hand(machine({ store: store(), flusher, disk, worker }, [{}, { reflink: FILE }]));
    const shared = block_nr(h.k, FILE, 0);
    h.go("store").go("flusher").go("disk");
    expect([is_shared(h.k, FILE, 0), h.k.block.version[shared], onDisk(h), h.faults()]).toEqual([
      false,
      0,
      1,
      [],
    ]);
  });

  it("W13 on a full filesystem: SIGBUS before the page is locked, the promise of nobody is lost", () => {
    const h = new Hand(machine({ store: store(), flusher, disk, worker }, [{}], 1)).go("store");
    expect([h.finished("store"), h.has("dirty"), free_blocks(h.k, 0)]).toEqual([true, false, 0]);
  });

  it("a second store waits for the write and for the ordered extent", () => {
    const h = new Hand(machine({ store: store(), again: store(), flusher, disk, worker }));
    h.go("store").go("flusher").go("again");
    expect(h.next("again")).toBe("wait_on_page_writeback");
    h.until("disk", "btrfs_finish_ordered_io").go("again");
    expect(h.next("again")).toBe("btrfs_start_ordered_extent");
    h.go("disk").go("again").go("flusher");
    expect([h.finished("again"), h.pte(), h.faults()]).toEqual([true, "rwdy", []]);
  });
});

describe("a page that was dirtied behind the filesystem's back", () => {
  const behind = () => new Hand(machine({ dirties, again: dirties, flusher, sync: flusher, disk, worker }));

  it("7.6 is not written: PG_checked, -EBUSY, the worker has a reference", () => {
    const h = behind().go("dirties").go("flusher");
    expect([h.has("checked"), h.has("dirty"), h.has("writeback"), h.has("locked")]).toEqual([
      true,
      false,
      false,
      false,
    ]);
    expect([h.k.gendisk.head[0], h.faults()]).toEqual([0, []]);
  });

  it("v4.20's worker finds it clean, as -EBUSY did not redirty it, and does nothing", () => {
    const h = behind().go("dirties").go("flusher").go("worker");
    expect([h.has("checked"), h.has("dirty"), cow_state(h.k, FILE, 0)]).toEqual([false, false, COW.none]);
    expect(h.tags()).toBe("dirty");
    h.go("sync");
    expect([h.k.gendisk.head[0], h.has("dirty")]).toEqual([0, false]);
  });

  it("dirtied again before the worker comes, it is prepared, and the next writeback writes it", () => {
    const h = behind().go("dirties").go("flusher").go("again").go("worker");
    expect([h.has("checked"), h.has("dirty"), cow_state(h.k, FILE, 0)]).toEqual([false, true, COW.delayed]);
    h.go("sync").go("disk");
    expect([h.has("dirty"), cow_state(h.k, FILE, 0), h.faults()]).toEqual([false, COW.none, []]);
  });

  it("met by writeback while it is in the queue, it is redirtied: -EAGAIN", () => {
    const h = behind().go("dirties").go("flusher").go("again").go("sync");
    expect([h.has("checked"), h.has("dirty"), h.has("locked")]).toEqual([true, true, false]);
  });

  it("on a full filesystem the worker gives up, and the page stays dirty", () => {
    const h = new Hand(machine({ dirties, again: dirties, flusher, disk, worker }, [{}], 1));
    h.go("dirties").go("flusher").go("again").go("worker");
    expect([h.has("checked"), h.has("dirty"), cow_state(h.k, FILE, 0)]).toEqual([false, true, COW.none]);
  });
});

describe("an O_DIRECT read into a mapping of btrfs", () => {
  const actors = { read: read(0), dma: dma(0), flusher, sync: flusher, disk, worker };

  it("is free of BUG and WARN in every interleaving, and loses what the device wrote", () => {
    expect(kinds(machine(actors))).toEqual(["LOST"]);
  });

  it("the way: cleaned while held, dirtied at completion, cleaned by the walk, dropped by the worker", () => {
    const h = new Hand(machine(actors)).past("read", "submit_bio").go("flusher").go("disk");
    h.go("dma").go("read").go("sync").go("worker");
    expect([h.finished("read"), h.has("dirty"), h.k.content.version[0], onDisk(h)]).toEqual([
      true,
      false,
      1,
      0,
    ]);
    expect(h.world.lostWrites()).toEqual([0]);
  });

  it("without writeback in between there is nothing to find", () => {
    expect(kinds(machine({ read: read(0), dma: dma(0), disk, worker }))).toEqual([]);
  });

  it("the lock orders are sound", () => {
    const all = { ...actors, store: store(), fsync, reclaim: reclaim() };
    expect(machine(all).lockdep.reports).toEqual([]);
  });
});

describe("reclaim", () => {
  it("never writes a page of btrfs: it is redirtied", () => {
    const h = new Hand(machine({ store: store(), pageout, disk, worker })).go("store").go("pageout");
    expect([h.has("dirty"), h.has("locked"), h.k.gendisk.head[0]]).toEqual([true, false, 0]);
  });
});

describe("random runs", () => {
  it("references, flags, tags and gauges agree at every step", () => {
    const files: readonly Partial<FileSpec>[][] = [[{}], [{ extents: ["hole"] }], [{}, { reflink: FILE }]];
    fc.assert(
      fc.property(fc.constantFrom(...files), fc.nat(), (which, seed) => {
        const world = machine(
          {
            read: read(0),
            read2: read(1),
            dma: dma(0),
            dma2: dma(1),
            store: store(),
            load: load(),
            flusher,
            sync: flusher,
            fsync,
            reclaim: reclaim(2),
            disk,
            worker,
          },
          which,
          4,
        );
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

describe("a page behind the end that its file has got", () => {
  const written = (keeps: "PG_private" | "no PG_private"): number => {
    const config = ["blocks", "truncate"] as const;
    const h = new Hand(
      small(
        { pages: 1, geometry: { files: [{ pages: 1, fs: FS.btrfs }], vmas: [], blocks: 3, config } },
        { dirty: dirties, flusher, disk },
      ),
    );
    if (keeps === "PG_private") set_page_extent_mapped(h.k, 0);
    h.go("dirty");
    // btrfs_setsize has made the file shorter, and not yet let go of its pages.
    h.k.inode.i_size[FILE] = 0;
    const before = h.refs();
    h.go("flusher");
    return before - h.refs();
  };

  it("is let go by writeback, with the reference of its PG_private", () => {
    expect(written("PG_private")).toBe(1);
  });

  it("loses a reference that is somebody else's if it has no PG_private: __btrfs_releasepage does not ask", () => {
    expect(written("no PG_private")).toBe(1);
  });
});
