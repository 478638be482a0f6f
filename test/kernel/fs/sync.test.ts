/** fsync, its errors and its promise (7.9), sync_file_range, msync, sync and syncfs. */
import { describe, expect, it } from "vitest";
import { bad_block, FOR_EVER } from "../../../src/kernel/block/disk.js";
import { bdi_flusher } from "../../../src/kernel/fs/fs_writeback.js";
import {
  fsync,
  fsync_file,
  msync,
  SYNC_FILE_RANGE,
  sync,
  sync_file_range,
  syncfs,
} from "../../../src/kernel/fs/sync.js";
import { call, path, step } from "../../../src/kernel/language.js";
import { filemap_write_and_wait_range } from "../../../src/kernel/mm/filemap_writeback.js";
import { ClearPageDirty } from "../../../src/kernel/mm/page.js";
import { generic_writepages, LONG_MAX, RANGE_END } from "../../../src/kernel/mm/page_writeback.js";
import { VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { inode, int } from "../../../src/kernel/types.js";
import { disk, dma, flusher, load, read, store } from "../actors.js";
import { type Actor, FILE, Hand, small } from "../harness.js";

/** A task that calls fsync and keeps what it gave. */
const caller = path(
  "caller",
  { source: "a test", args: { mapping: inode, file: int }, locals: { got: int } },
  [call(() => fsync_file, { mapping: "mapping", file: "file" }, "got"), step("done", () => {})],
);
const fsyncs = (file = FILE): Actor => ({ path: caller, args: [FILE, file], ends: true });

/** The same with filemap_write_and_wait_range. */
const waiter = path("waiter", { source: "a test", args: { mapping: inode }, locals: { got: int } }, [
  call(() => filemap_write_and_wait_range, { mapping: "mapping", range_start: 0, range_end: 1 }, "got"),
  step("done", () => {}),
]);
const waits = (): Actor => ({ path: waiter, args: [FILE], ends: true });

/** What fsync gave to a task that has returned from it. */
const got = (h: Hand, task: string): number => {
  h.go("disk").until(task, "done");
  const number = h.world.machine.tasks.findIndex(({ name }) => name === task);
  return h.world.machine.local(number, "got") as number;
};

describe("writeback errors", () => {
  const broken = (left: number) => {
    const h = new Hand(
      small(
        {
          filePages: 2,
          pages: 3,
          geometry: { config: ["io_errors"], opens: [FILE] },
          prepare: (k) => {
            k.of(bad_block).left[0] = left;
          },
        },
        {
          ...{ store: store(0), again: store(0), flusher, disk },
          ...{ one: fsyncs(), two: fsyncs(2), three: fsyncs(), wait: waits(), wait2: waits() },
        },
      ),
    );
    return h.go("store");
  };

  it("an fsync whose write fails gives -EIO, and the data is not on the disk", () => {
    const h = broken(FOR_EVER).go("one");
    expect(got(h, "one")).toBe(-5);
    expect([h.k.block.version[0], h.world.lostWrites()]).toEqual([0, [0]]);
  });

  it("every file that is open is told, each once, also of a write that the flusher made", () => {
    const h = broken(1).go("flusher").go("disk");
    expect([got(h, "one"), got(h, "two"), got(h, "three")]).toEqual([-5, -5, 0]);
  });

  it("filemap_write_and_wait_range, which has no open file, is told by the mapping's flags, once; files are told all the same", () => {
    const h = broken(1).go("flusher").go("disk");
    expect([got(h, "wait"), got(h, "wait2"), got(h, "one")]).toEqual([-5, 0, -5]);
  });

  it("the page is clean after the failure: a second fsync gives 0 and the old bytes stay on the disk", () => {
    const h = broken(1).go("one");
    expect(got(h, "one")).toBe(-5);
    expect([got(h, "three"), h.has("dirty"), h.k.block.version[0]]).toEqual([0, false, 0]);
  });

  it("a page that is stored to again is written again", () => {
    const h = broken(1).go("one");
    got(h, "one");
    h.go("again").go("three");
    expect([got(h, "three"), h.k.block.version[0]]).toEqual([0, 2]);
  });
});

describe("what fsync promises (7.9)", () => {
  const promised = (actors: Readonly<Record<string, Actor>>) =>
    new Hand(
      small(
        { filePages: 2, pages: 2, parts: 2, geometry: { config: ["fsync_oracle"] } },
        { store: store(0), fsync: { path: fsync, args: [FILE], ends: true }, flusher, disk, ...actors },
      ),
    );
  const finish = (h: Hand): string[] => h.go("fsync").go("disk").go("fsync").faults();

  it("is kept for stores, whoever writes them", () => {
    expect(finish(promised({}).go("store"))).toEqual([]);
    expect(finish(promised({}).go("store").go("flusher"))).toEqual([]);
  });

  it("is broken by who drops PG_dirty without writing (ClearPageDirty: what ext4 does from v5.18 on)", () => {
    const h = promised({}).go("store");
    ClearPageDirty(h.k, 0);
    const lost = finish(h);
    expect(lost[0]).toBe("LOST fsync: returned 0, and part 0 of page 0 is not on the disk");
  });

  it("does not cover what a device wrote and nobody marked (D14)", () => {
    const h = promised({ read: read(4), dma: dma(4) });
    h.past("read", "submit_bio").go("flusher").go("disk").go("dma");
    expect(h.k.page.device[0]).toBe(1);
    expect(finish(h)).toEqual([]);
    expect([...h.k.block.version].slice(0, 2)).toEqual([0, 0]);
  });

  it("covers it once its driver has marked it", () => {
    const h = promised({ read: read(4), dma: dma(4) });
    h.go("read").go("dma").go("read");
    expect(finish(h)).toEqual([]);
    expect([...h.k.block.version].slice(0, 2)).toEqual([1, 1]);
  });
});

describe("sync_file_range", () => {
  const range = (flags: number, first = 0, last = 0) =>
    new Hand(
      small(
        { filePages: 2, pages: 2 },
        {
          a: store(0),
          b: store(1),
          flusher,
          range: { path: sync_file_range, args: [FILE, first, last, flags], ends: true },
          disk,
        },
      ),
    )
      .go("a")
      .go("b");

  it("WRITE starts writeback and does not wait for it", () => {
    const h = range(SYNC_FILE_RANGE.WRITE, 0, RANGE_END).go("range");
    expect([h.finished("range"), h.has("writeback", 0), h.has("writeback", 1)]).toEqual([true, true, true]);
  });

  it("WAIT_BEFORE and WAIT_AFTER wait for the range only", () => {
    const h = range(SYNC_FILE_RANGE.WAIT_BEFORE, 0, 0).go("flusher").go("range");
    expect(h.next("range")).toBe("wait_on_page_writeback");
    h.go("disk").go("range");
    expect(h.finished("range")).toBe(true);
    const other = range(SYNC_FILE_RANGE.WAIT_AFTER, 5, 7).go("flusher").go("range");
    expect(other.finished("range")).toBe(true);
  });
});

describe("msync", () => {
  it("is fsync of what a shared mapping shows; a private mapping is left alone", () => {
    const h = new Hand(
      small(
        { filePages: 1, pages: 2, vmas: [VM_SHARED | VM_WRITE, VM_WRITE] },
        {
          store: store(0),
          shared: { path: msync, args: [0], ends: true },
          copy: { path: msync, args: [1], ends: true },
          disk,
        },
      ),
    );
    h.go("store").go("copy");
    expect([h.finished("copy"), h.has("dirty")]).toEqual([true, true]);
    h.go("shared").go("disk").go("shared");
    expect([h.finished("shared"), h.k.block.version[0]]).toEqual([true, 1]);
  });
});

describe("sync and syncfs ask the flusher", () => {
  const synced = (task: Actor) =>
    new Hand(
      small(
        {
          pages: 3,
          cached: false,
          vmas: [],
          geometry: {
            files: [{ pages: 1 }, { pages: 1 }],
            vmas: [
              { pages: 1, file: 1, flags: VM_SHARED | VM_WRITE },
              { pages: 1, file: 2, flags: VM_SHARED | VM_WRITE },
            ],
            config: ["kupdate"],
            syncs: 2,
          },
        },
        {
          a: store(0),
          b: store(1),
          load: load(1),
          sync: task,
          flusher: { path: bdi_flusher, args: [0] },
          disk,
          // Somebody else writes the second file.
          other: { path: generic_writepages, args: [2, 0, 0, LONG_MAX, 0, RANGE_END], ends: true },
        },
      ),
    );
  const written = (h: Hand): Hand => {
    for (const task of ["a", "b"]) h.go(task).go("disk").go(task);
    for (let turns = 0; turns < 20 && !h.finished("sync"); turns++) h.go("sync").go("flusher").go("disk");
    return h;
  };

  for (const [name, task] of [
    ["sync", { path: sync, ends: true }],
    ["syncfs", { path: syncfs, args: [0], ends: true }],
  ] as const)
    it(`${name} returns when everything that was dirty is on the disk`, () => {
      const h = written(synced(task));
      expect(h.finished("sync")).toBe(true);
      expect([...h.k.block.version]).toEqual([1, 1]);
      expect([h.k.inode.i_state[1], h.k.inode.i_state[2]]).toEqual([0, 0]);
    });

  it("does not wait for a file that comes under writeback after it has begun to wait", () => {
    const h = synced({ path: sync, ends: true });
    for (const task of ["a", "load"]) h.go(task).go("disk").go(task);
    h.go("sync").go("flusher").past("sync", "list_splice_init").go("b").go("other");
    const [first, second] = h.k.xa_slot.page;
    expect([h.tags(first - 1), h.tags(second - 1)]).toEqual(["writeback", "writeback"]);
    h.until("disk", () => h.tags(first - 1) === "").go("sync");
    expect([h.finished("sync"), h.tags(second - 1)]).toEqual([true, "writeback"]);
  });

  it("lockdep has nothing to say", () => {
    expect(synced({ path: sync, ends: true }).world.lockdep.reports).toEqual([]);
  });
});
