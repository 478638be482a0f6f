import { describe, expect, it } from "vitest";
import {
  block_nr,
  block_owner,
  DELETED,
  EXTENT,
  extent_state,
  free_blocks,
} from "../../../src/kernel/fs/blocks.js";
import { ext4_punch_hole, ext4_setattr } from "../../../src/kernel/fs/ext4/truncate.js";
import {
  ext4_inode_info,
  ext4_journal_start,
  ext4_journal_stop,
  JI,
  jbd2_inode,
  journal,
  kjournald2,
} from "../../../src/kernel/fs/jbd2.js";
import {
  recovered_size,
  recovered_version,
  stale_after_power_cut,
} from "../../../src/kernel/fs/power_cut.js";
import type { FileSpec, GeometryOptions } from "../../../src/kernel/geometry.js";
import { awaits, gives, path, step, takes, wait } from "../../../src/kernel/language.js";
import { lock_page, page_count, unlock } from "../../../src/kernel/mm/page.js";
import { VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { inode, pfn } from "../../../src/kernel/types.js";
import { lockClass } from "../../../src/machine/lock.js";
import { lockReportText } from "../../../src/machine/lockdep.js";
import { naiveSearch } from "../../explore/naive.js";
import { disk, dma, flusher, fsync, old, read, reclaim, store } from "../actors.js";
import { type Actor, FILE, Hand, type Small, small } from "../harness.js";

const hole: Partial<FileSpec> = { extents: ["hole"] };
const jbd2: Actor = { path: kjournald2, args: [0] };
const truncate = (size: number): Actor => ({ path: ext4_setattr, args: [FILE, size], ends: true });
const punch = (start: number, end: number): Actor => ({
  path: ext4_punch_hole,
  args: [FILE, start, end],
  ends: true,
});

/** A file of one page, and a journal. */
const machine = (
  file: Partial<FileSpec>,
  more: Partial<GeometryOptions> = {},
  actors: Readonly<Record<string, Actor>> = {},
  options: Partial<Small> = {},
) =>
  small(
    {
      pages: 1,
      ...options,
      geometry: {
        files: [{ pages: 1, ...file }],
        vmas: [{ pages: 1, file: FILE, flags: VM_SHARED | VM_WRITE }],
        config: ["blocks", "journal"],
        ...more,
      },
    },
    { store: store(), flusher, fsync, jbd2, disk, ...actors },
  );

const state = (h: Hand) => extent_state(h.k, FILE, 0);
const tids = (h: Hand) => {
  const { j_running_transaction, j_committing_transaction, j_commit_sequence } = h.k.of(journal);
  return [j_running_transaction[0], j_committing_transaction[0], j_commit_sequence[0]];
};

describe("handles and transactions", () => {
  it("a delayed store opens no handle; its writeback does, and the extent is in the running transaction", () => {
    const h = new Hand(machine(hole)).go("store");
    expect([state(h), tids(h)]).toEqual([EXTENT.delayed, [0, 0, 0]]);
    h.until("flusher", "ext4_map_blocks");
    expect([tids(h), h.k.of(journal).t_updates[0], h.has("locked")]).toEqual([[1, 0, 0], 1, true]);
    h.go("flusher");
    expect([state(h), tids(h), h.k.of(journal).t_updates[0]]).toEqual([EXTENT.mapped, [1, 0, 0], 0]);
    expect(h.k.of(ext4_inode_info).i_sync_tid[FILE]).toBe(1);
  });

  it("a commit waits for the open handles, and nobody opens one meanwhile", () => {
    const h = new Hand(machine(hole, {}, { second: flusher }))
      .go("store")
      // Past its first pass, which needs no handle, and would wait for the page.
      .until("second", "jbd2_journal_start")
      .until("flusher", "ext4_map_blocks")
      .go("jbd2");
    expect([h.next("jbd2"), h.enabled("second")]).toEqual(["j_wait_updates", false]);
    h.go("flusher").step("jbd2");
    expect([tids(h), h.enabled("second")]).toEqual([[0, 1, 0], true]);
    h.step("second");
    expect([tids(h), h.k.of(journal).t_updates[0]]).toEqual([[2, 1, 0], 1]);
  });

  it("data=ordered: the commit record waits for the data; what was in memory only is not in the transaction", () => {
    const h = new Hand(machine(hole)).go("store").go("flusher").go("jbd2");
    expect([h.next("jbd2"), tids(h), h.has("writeback")]).toEqual([
      "wait_on_page_writeback",
      [0, 1, 0],
      true,
    ]);
    expect(recovered_version(h.k, FILE, 0, 0)).toBe(0);
    h.go("disk").go("jbd2");
    expect([tids(h), recovered_version(h.k, FILE, 0, 0)]).toEqual([[0, 0, 1], 1]);
    expect(h.k.of(jbd2_inode).i_transaction[FILE]).toBe(0);
  });

  it("delayed allocation asks the commit only to wait; without it the commit writes", () => {
    const da = new Hand(machine(hole)).go("store").go("flusher");
    expect(da.k.of(jbd2_inode).i_flags[FILE]).toBe(JI.WAIT_DATA);
    const now = new Hand(machine(hole, { mount: { delalloc: false } })).go("store");
    expect([state(now), now.k.of(jbd2_inode).i_flags[FILE]]).toEqual([
      EXTENT.mapped,
      JI.WRITE_DATA | JI.WAIT_DATA,
    ]);
  });

  it("fsync returns when the transaction is on the disk, and not before", () => {
    const h = new Hand(machine(hole)).go("store").go("fsync").go("disk").go("fsync");
    expect(h.next("fsync")).toBe("jbd2_log_wait_commit");
    expect([recovered_version(h.k, FILE, 0, 0), h.enabled("fsync")]).toEqual([0, false]);
    h.go("jbd2").go("fsync");
    expect([h.finished("fsync"), recovered_version(h.k, FILE, 0, 0)]).toEqual([true, 1]);
  });
});

describe("F70, trap 39: the ordered commit writes dirty pages with writepage", () => {
  /** A page without blocks of its own choosing is dirty, and in a transaction (nodelalloc). */
  const dirty = (actors = {}, options = {}) =>
    new Hand(machine(hole, { mount: { delalloc: false }, dios: 8 }, actors, options));

  it("F70 WB_SYNC_ALL through ->writepage, without a handle", () => {
    const h = dirty().go("store");
    const steps = h.trace("jbd2", () => h.go("jbd2"));
    expect(steps).toEqual(
      expect.arrayContaining(["tag_pages_for_writeback", "page_buffers", "ext4_io_submit"]),
    );
    expect(steps).not.toContain("jbd2_journal_start");
    h.go("disk").go("jbd2");
    expect([tids(h), recovered_version(h.k, FILE, 0, 0)]).toEqual([[0, 0, 1], 1]);
  });

  it("a page that lost its buffers while a device held it kills the commit thread, when the driver is long gone", () => {
    const h = dirty({ read: read(5), dma: dma(5), reclaim: reclaim(3) });
    h.past("read", "submit_bio").go("flusher").go("disk");
    old(h);
    h.clear(["referenced"]).go("reclaim");
    expect(h.has("private")).toBe(false);
    h.go("dma").go("read");
    expect([h.finished("read"), h.has("dirty")]).toEqual([true, true]);
    h.go("jbd2");
    expect(h.k.faults[1]).toMatchObject({ kind: "BUG", path: "ext4_writepage", task: "jbd2" });
    expect([h.dead("jbd2"), h.has("locked")]).toEqual([true, true]);
  });
});

describe("F50 writepage does not choose blocks", () => {
  it("a delayed page met by an ordered commit is dirtied again, and its dirty pages are no reason to wait", () => {
    const two: Partial<GeometryOptions> = {
      pages: 2,
      files: [{ pages: 2, extents: ["unwritten", "hole"] }],
      vmas: [{ pages: 2, file: FILE, flags: VM_SHARED | VM_WRITE }],
      blocks: 2,
    };
    const h = new Hand(machine({}, two, { second: store(1) }));
    h.go("second");
    // Somebody without delayed allocation has put the inode on the list.
    h.until("flusher", "ext4_map_blocks");
    h.k.of(jbd2_inode).i_transaction[FILE] = 1;
    h.k.of(jbd2_inode).i_flags[FILE] = JI.WRITE_DATA | JI.WAIT_DATA;
    expect(extent_state(h.k, FILE, 1)).toBe(EXTENT.delayed);
    h.go("flusher");
    h.go("store").go("jbd2");
    const page = h.k.xa_slot.page[1] - 1;
    expect([extent_state(h.k, FILE, 1), h.faults()]).toEqual([EXTENT.mapped, []]);
    expect(h.has("writeback", page)).toBe(true);
    const unwritten = h.k.xa_slot.page[0] - 1;
    expect([h.has("dirty", unwritten), h.bufferDirty(unwritten), extent_state(h.k, FILE, 0)]).toEqual([
      true,
      true,
      EXTENT.unwritten,
    ]);
  });
});

describe("power cut", () => {
  /** A page is stored to a hole of the file; the disk's only free block has the bytes of a deleted page. */
  const search = (mount: GeometryOptions["mount"]) => {
    const world = small(
      { pages: 1, geometry: { files: [{ pages: 1, ...hole }], config: ["blocks", "journal"], mount } },
      { store: store(), flusher, jbd2, disk },
    );
    const { k } = world;
    // The block was another's: of a slot that is no file's any more.
    k.block.version[0] = 9;
    k.of(block_owner).slot.fill(DELETED | 0x7000);
    let worst = 0;
    let states = 0;
    naiveSearch(world, undefined, () => {
      states++;
      worst = Math.max(worst, stale_after_power_cut(k).length);
    });
    return { worst, many: states > 100 };
  };

  it("data=ordered shows nobody's bytes at any moment of any interleaving; with delayed allocation and without", () => {
    expect(search({ data: "ordered" })).toEqual({ worst: 0, many: true });
    expect(search({ data: "ordered", delalloc: false })).toEqual({ worst: 0, many: true });
  });

  it("data=writeback shows a deleted page's bytes", () => {
    expect(search({ data: "writeback", delalloc: false })).toEqual({ worst: 1, many: true });
  });

  it("after a truncation that is not on the disk the file is whole; its block is nobody else's before", () => {
    const h = new Hand(
      machine(
        {},
        { config: ["blocks", "journal", "truncate"] },
        { truncate: truncate(0), again: truncate(1), second: store() },
      ),
    );
    h.go("store").go("fsync").go("disk").go("fsync").go("truncate");
    expect([h.finished("truncate"), state(h), h.k.inode.i_size[FILE]]).toEqual([true, EXTENT.hole, 0]);
    expect([recovered_size(h.k, FILE), recovered_version(h.k, FILE, 0, 0)]).toEqual([1, 1]);
    expect([free_blocks(h.k, 0), block_nr(h.k, FILE, 0)]).toEqual([1, -1]);
    h.go("jbd2");
    expect([recovered_size(h.k, FILE), recovered_version(h.k, FILE, 0, 0)]).toEqual([0, 0]);
    expect(stale_after_power_cut(h.k)).toEqual([]);
  });
});

describe("locks", () => {
  it("handle before page lock, i_rwsem before i_mmap_sem before handle, and no cycle (section 10)", () => {
    const world = machine(
      hole,
      { config: ["blocks", "journal", "truncate"] },
      { truncate: truncate(0), punch: punch(0, 1), reclaim: reclaim() },
    );
    expect(world.lockdep.reports.map(lockReportText)).toEqual([]);
    const orders = new Set(world.lockdep.edges.map(({ held, taken }) => `${held.name} -> ${taken.name}`));
    expect([...orders]).toEqual(
      expect.arrayContaining([
        "jbd2_handle -> PG_locked",
        "inode->i_mmap_sem -> jbd2_handle",
        "inode->i_rwsem -> inode->i_mmap_sem",
        "mm->mmap_sem -> inode->i_mmap_sem",
      ]),
    );
    expect([...orders]).not.toContain("PG_locked -> jbd2_handle");
  });

  /** A get_user_pages reference, as a lock that whoever waits for the end of all references waits for. */
  const pin = lockClass("pin", "sleeping");

  /** A writepages that waits, under a handle and the page lock, until nobody has the page pinned: never merged. */
  const waits_for_pins = path(
    "waits_for_pins",
    { source: "a proposal, LSF/MM 2018", args: { mapping: inode, page: pfn } },
    [
      ext4_journal_start(),
      lock_page(),
      awaits(
        pin,
        wait("wait for pins", (k, f) => page_count(k, f.page) <= 1),
      ),
      unlock(),
      ext4_journal_stop(),
    ],
  );
  /** A direct write that has pinned its source page, and now has to allocate. */
  const pins_and_allocates = path(
    "pins_and_allocates",
    { source: "fs/ext4/inode.c v4.20, ext4_direct_IO_write", args: { mapping: inode, page: pfn } },
    [
      takes(
        pin,
        step("get_user_pages", (k, f) => {
          k.page._refcount[f.page]++;
        }),
      ),
      ext4_journal_start(),
      ext4_journal_stop(),
      gives(
        pin,
        step("put_page", (k, f) => {
          k.page._refcount[f.page]--;
        }),
      ),
    ],
  );
  const karas = (more: Readonly<Record<string, Actor>>) =>
    small(
      { pages: 1, geometry: { files: [{ pages: 1 }], config: ["blocks", "journal"] } },
      {
        writepages: { path: waits_for_pins, args: [FILE, 0], ends: true },
        dio: { path: pins_and_allocates, args: [FILE, 0], ends: true },
        ...more,
      },
    );

  it("T-KARA-DL: waiting for a pin under a handle and a pinner that needs a handle make a cycle, which lockdep finds", () => {
    const reports = karas({ jbd2 }).lockdep.reports;
    expect(reports.map(lockReportText).join("\n")).toMatch(
      /possible circular locking dependency: jbd2_handle -> pin -> jbd2_handle/,
    );
  });

  it("T-KARA-DL: they are stuck once a commit stands between them; without one the pinner gets its handle", () => {
    const stuck = karas({ jbd2 }).explore({ maxStates: 10_000, progress: () => true });
    expect([stuck.complete, stuck.witnesses.length]).toEqual([true, 1]);
    expect(["HANG", "DEADLOCK"]).toContain(stuck.witnesses[0].kind);
    const free = karas({}).explore({ maxStates: 10_000, progress: () => true });
    expect([free.complete, free.witnesses]).toEqual([true, []]);
  });
});
