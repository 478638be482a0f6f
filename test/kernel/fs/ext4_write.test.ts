/** write(2) to an ext4 file: write_begin and write_end, with delayed allocation and without. */
import { describe, expect, it } from "vitest";
import { disk_version, EXTENT, extent_state, free_blocks } from "../../../src/kernel/fs/blocks.js";
import { ext4_punch_hole, ext4_setattr } from "../../../src/kernel/fs/ext4/truncate.js";
import { ext4_inode_info, journal, kjournald2 } from "../../../src/kernel/fs/jbd2.js";
import { recovered_size, recovered_version } from "../../../src/kernel/fs/power_cut.js";
import { generic_file_buffered_read, generic_file_write_iter } from "../../../src/kernel/fs/read_write.js";
import type { FileSpec, GeometryOptions } from "../../../src/kernel/geometry.js";
import { VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { lockReportText } from "../../../src/machine/lockdep.js";
import { disk, flusher, fsync, load, store } from "../actors.js";
import { type Actor, FILE, Hand, type Small, small } from "../harness.js";

const write = (pos: number, count: number): Actor => ({
  path: generic_file_write_iter,
  args: [FILE, pos, count],
  ends: true,
});
const look = (index = 0): Actor => ({ path: generic_file_buffered_read, args: [FILE, index], ends: true });
const truncate = (size: number): Actor => ({ path: ext4_setattr, args: [FILE, size], ends: true });
const punch = (start: number, end: number): Actor => ({
  path: ext4_punch_hole,
  args: [FILE, start, end],
  ends: true,
});
const jbd2: Actor = { path: kjournald2, args: [0] };

const world = (
  file: Partial<FileSpec>,
  actors: Readonly<Record<string, Actor>>,
  more: Partial<GeometryOptions> = {},
  options: Partial<Small> = {},
) => {
  const pages = file.pages ?? 1;
  return small(
    {
      pages: 2 * pages,
      cached: false,
      parts: more.parts ?? 1,
      ...options,
      geometry: {
        files: [{ pages, ...file }],
        vmas: [{ pages, file: FILE, flags: VM_SHARED | VM_WRITE }],
        config: ["blocks", "journal", "truncate"],
        ...more,
      },
    },
    { write: write(0, 1), store: store(), load: load(), look: look(), flusher, fsync, jbd2, disk, ...actors },
  );
};
const file = (...given: Parameters<typeof world>): Hand => new Hand(world(...given));

const page0 = (h: Hand) => h.k.xa_slot.page[0] - 1;
const MODES = [
  ["all blocks mapped", {}, { config: ["truncate"] }],
  ["all blocks mapped, of one size", {}, { config: [] }],
  ["delalloc", { extents: ["hole"] }, {}],
  ["nodelalloc", { extents: ["hole"] }, { mount: { delalloc: false } }],
] as const;

describe("write(2)", () => {
  for (const [name, spec, more] of MODES) {
    it(`${name}: the page is uptodate, dirty, with buffers; after fsync it is on the disk`, () => {
      const h = file(spec, {}, more).go("write");
      const page = page0(h);
      expect([h.finished("write"), h.has("uptodate", page), h.has("dirty", page)]).toEqual([
        true,
        true,
        true,
      ]);
      expect([h.bufferDirty(page), h.has("locked", page), h.refs(page)]).toEqual([true, false, 3]);
      h.go("fsync").go("disk").go("fsync").go("jbd2").go("fsync");
      expect([h.finished("fsync"), recovered_version(h.k, FILE, 0, 0)]).toEqual([true, 1]);
      expect(h.faults()).toEqual([]);
    });
  }

  it("the page lock is dropped for the handle, which comes before it, and taken again", () => {
    for (const [, spec, more] of MODES.slice(2)) {
      const h = file(spec, {}, more);
      const order = [
        "add_to_page_cache_lru",
        "unlock_page",
        "jbd2_journal_start",
        "lock_page",
        "jbd2_journal_stop",
      ];
      const steps = h.trace("write", () => h.go("write")).filter((step) => order.includes(step));
      expect(steps).toEqual([
        "add_to_page_cache_lru",
        "unlock_page",
        "jbd2_journal_start",
        "lock_page",
        "unlock_page",
        "jbd2_journal_stop",
      ]);
      expect(h.k.of(journal).t_updates[0]).toBe(0);
    }
  });

  it("a page that is truncated in between is looked up again, without the handle", () => {
    for (const delalloc of [true, false]) {
      const h = file({}, { cut: truncate(0) }, { mount: { delalloc } }).until("write", "jbd2_journal_start");
      const first = page0(h);
      // i_rwsem keeps truncation away; somebody who ignores it shows why the test is there.
      h.k.page.mapping[first] = 0;
      h.k.xa_slot.page[0] = 0;
      const steps = h.trace("write", () => h.go("write"));
      expect(steps.filter((step) => step === "jbd2_journal_start")).toHaveLength(2);
      expect([h.finished("write"), page0(h) !== first]).toEqual([true, true]);
      expect(h.k.of(journal).t_updates[0]).toBe(0);
    }
  });

  it("a page that leaves the file while it is waited for is looked up again", () => {
    const h = file({}, {}, { config: [] }, { cached: true }).until("write", "lock_page");
    h.k.page.mapping[0] = 0;
    h.k.xa_slot.page[0] = 0;
    h.go("write");
    expect([h.finished("write"), h.k.xa_slot.page[0] > 1, h.has("locked")]).toEqual([true, true, false]);
  });

  it("waits for a stable page, also if writeback began while the page was unlocked", () => {
    for (const delalloc of [true, false]) {
      const h = file({ stable_writes: true }, { again: write(0, 1) }, { mount: { delalloc } }).go("write");
      h.until("again", "jbd2_journal_start").go("flusher").go("again");
      expect([h.next("again"), h.has("locked", page0(h))]).toEqual(["wait_on_page_writeback", true]);
      h.go("disk").go("again");
      expect(h.finished("again")).toBe(true);
    }
  });

  it("a write to a page that is dirty already is written with it", () => {
    const h = file({}, { again: write(0, 1) })
      .go("write")
      .go("again")
      .go("fsync")
      .go("disk")
      .go("fsync");
    h.go("jbd2").go("fsync");
    expect([h.k.content.version[page0(h)], recovered_version(h.k, FILE, 0, 0)]).toEqual([2, 2]);
  });
});

describe("a write of a part of a page that is not cached", () => {
  const versions = (h: Hand) => Array.from(h.k.content.version.subarray(2 * page0(h), 2 * page0(h) + 2));

  it("reads the rest, in the task itself, with the page locked", () => {
    const h = file({}, { write: write(1, 1) }, { parts: 2 });
    h.k.block.version.set([7, 5]);
    expect(h.trace("write", () => h.go("write"))).toContain("ll_rw_block");
    expect(versions(h)).toEqual([7, 6]);
  });

  it("finds zeroes where there is no block yet", () => {
    for (const [, spec, more] of MODES.slice(2)) {
      const h = file(spec, { write: write(1, 1) }, { ...more, parts: 2 });
      h.k.content.version.fill(9);
      expect(h.trace("write", () => h.go("write"))).toContain("zero_user_segments");
      expect(versions(h)).toEqual([0, 1]);
    }
  });

  it("a write of a whole page reads nothing", () => {
    const h = file({}, { write: write(0, 2) }, { parts: 2 });
    h.k.block.version.set([7, 5]);
    const steps = h.trace("write", () => h.go("write"));
    expect(steps).not.toContain("ll_rw_block");
    expect(versions(h)).toEqual([8, 6]);
  });
});

describe("blocks and sizes", () => {
  it("delayed: a promise, and i_disksize when the page is written; else a block, and i_disksize at once", () => {
    const sizes = (delalloc: boolean) => {
      const h = file(
        { pages: 2, size: 1, extents: ["mapped", "hole"] },
        { write: write(1, 1) },
        { mount: { delalloc } },
      );
      h.go("write");
      const { i_disksize } = h.k.of(ext4_inode_info);
      const before = [extent_state(h.k, FILE, 1), h.k.inode.i_size[FILE], i_disksize[FILE]];
      h.go("fsync").go("disk").go("fsync").go("jbd2").go("fsync");
      return [...before, extent_state(h.k, FILE, 1), i_disksize[FILE], recovered_size(h.k, FILE)];
    };
    expect(sizes(true)).toEqual([EXTENT.delayed, 2, 1, EXTENT.mapped, 2, 2]);
    expect(sizes(false)).toEqual([EXTENT.mapped, 2, 2, EXTENT.mapped, 2, 2]);
  });

  it("with delayed allocation a write behind the end to a block that is there already counts at once", () => {
    const h = file({ pages: 2, size: 1 }, { write: write(1, 1) }).go("write");
    expect([h.k.inode.i_size[FILE], h.k.of(ext4_inode_info).i_disksize[FILE]]).toEqual([2, 2]);
  });

  it("-ENOSPC: what was made behind the end of the file goes again", () => {
    for (const delalloc of [true, false]) {
      const h = file(
        { pages: 2, size: 1, extents: ["mapped", "hole"] },
        { write: write(1, 1), again: write(0, 1) },
        { blocks: 1, mount: { delalloc } },
      ).go("write");
      expect([h.finished("write"), h.k.inode.i_size[FILE], h.k.xa_slot.page[1]]).toEqual([true, 1, 0]);
      expect([h.k.of(journal).t_updates[0], free_blocks(h.k, 0)]).toEqual([0, 0]);
      h.go("again");
      expect([h.finished("again"), h.has("dirty", page0(h))]).toEqual([true, true]);
    }
  });

  it("-ENOSPC: waits for a commit that frees a block, without the handle and the page lock", () => {
    const h = file(
      { pages: 2, extents: ["mapped", "hole"] },
      { punch: punch(0, 1), write: write(1, 1) },
      { blocks: 1, mount: { delalloc: false } },
    )
      .go("punch")
      .go("write");
    const page = h.k.xa_slot.page[1] - 1;
    expect([h.next("write"), h.has("locked", page), h.k.of(journal).t_updates[0]]).toEqual([
      "jbd2_log_wait_commit",
      false,
      0,
    ]);
    h.go("jbd2").go("write");
    expect([h.finished("write"), extent_state(h.k, FILE, 1)]).toEqual([true, EXTENT.mapped]);
  });

  it("no memory: gives -ENOMEM with nothing held", () => {
    const h = file({}, {}, { config: ["direct_reclaim", "watermarks"], min_free_pages: 0 });
    h.k.pgdat.free[0] = 0;
    h.go("write");
    expect([h.finished("write"), h.k.xa_slot.page[0]]).toEqual([true, 0]);
  });
});

describe("locks", () => {
  for (const [name, spec, more] of MODES)
    it(`${name}: lockdep has nothing to say; i_rwsem, then the handle, then the page`, () => {
      const { reports, edges } = world(
        spec,
        { ...(name.endsWith("size") ? {} : { cut: truncate(0), hole: punch(0, 1) }) },
        more,
      ).lockdep;
      expect(reports.map(lockReportText)).toEqual([]);
      const orders = edges.map(({ held, taken }) => `${held.name} -> ${taken.name}`);
      if (!name.startsWith("all blocks mapped"))
        expect(orders).toEqual(
          expect.arrayContaining(["inode->i_rwsem -> jbd2_handle", "jbd2_handle -> PG_locked"]),
        );
      expect(orders).toContain("inode->i_rwsem -> PG_locked");
    });
});

it("what is on the disk of a page is never newer than what is in memory", () => {
  const h = file({}, {}, { config: ["truncate"] });
  h.k.block.version[0] = 4;
  h.go("write");
  expect(h.k.content.version[page0(h)]).toBeGreaterThan(disk_version(h.k, FILE, 0, 0));
});
