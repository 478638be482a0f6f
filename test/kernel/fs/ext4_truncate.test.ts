/** Truncation, punching and page_mkwrite of an ext4 file: what they do beside the page cache. */
import { describe, expect, it } from "vitest";
import { bad_block, FOR_EVER } from "../../../src/kernel/block/disk.js";
import type { Config } from "../../../src/kernel/config.js";
import {
  block_owner,
  DELETED,
  disk_block,
  EXTENT,
  extent_state,
  PENDING,
  sb_info,
} from "../../../src/kernel/fs/blocks.js";
import { ext4_punch_hole, ext4_setattr } from "../../../src/kernel/fs/ext4/truncate.js";
import { ext4_page_mkwrite } from "../../../src/kernel/fs/ext4.js";
import { ext4_inode_info, JI, jbd2_inode, journal, kjournald2 } from "../../../src/kernel/fs/jbd2.js";
import { stale_after_power_cut } from "../../../src/kernel/fs/power_cut.js";
import { generic_file_write_iter } from "../../../src/kernel/fs/read_write.js";
import type { FileSpec, GeometryOptions } from "../../../src/kernel/geometry.js";
import { VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { disk, dma, flusher, fsync, old, read, reclaim, store } from "../actors.js";
import { type Actor, FILE, Hand, small } from "../harness.js";

const jbd2: Actor = { path: kjournald2, args: [0] };
const truncate = (size: number): Actor => ({ path: ext4_setattr, args: [FILE, size], ends: true });
const punch = (start: number, end: number): Actor => ({
  path: ext4_punch_hole,
  args: [FILE, start, end],
  ends: true,
});
const mkwrite = (page = 0): Actor => ({ path: ext4_page_mkwrite, args: [page, FILE], ends: true });

const JOURNAL: readonly Config[] = ["blocks", "journal", "truncate"];

function file(
  spec: Partial<FileSpec>,
  actors: Readonly<Record<string, Actor>>,
  more: Partial<GeometryOptions> = {},
): Hand {
  const pages = spec.pages ?? 1;
  return new Hand(
    small(
      {
        pages: 2 * pages,
        parts: more.parts ?? 1,
        geometry: {
          files: [{ pages, ...spec }],
          vmas: [{ pages, file: FILE, flags: VM_SHARED | VM_WRITE }],
          config: JOURNAL,
          dios: 16,
          ...more,
        },
      },
      { store: store(), flusher, fsync, jbd2, disk, ...actors },
    ),
  );
}

describe("ext4_setattr", () => {
  const nodelalloc = { mount: { delalloc: false } } as const;

  it("data=ordered: what a committing transaction has promised to write is sent before the pages go", () => {
    const h = file({ extents: ["hole"] }, { truncate: truncate(0) }, nodelalloc).go("store");
    h.until("jbd2", "journal_submit_data_buffers");
    const steps = h.trace("truncate", () => h.go("truncate"));
    expect(steps).toContain("ext4_io_submit");
    // It waits for the write that it has begun, with the page locked.
    expect(h.next("truncate")).toBe("wait_on_page_writeback");
    h.go("disk").go("truncate").go("jbd2");
    expect([h.finished("truncate"), h.faults()]).toEqual([true, []]);
  });

  it("what only the running transaction has is thrown away unwritten", () => {
    const h = file({ extents: ["hole"] }, { truncate: truncate(0) }, nodelalloc).go("store");
    expect(h.trace("truncate", () => h.go("truncate"))).not.toContain("ext4_io_submit");
    expect([h.finished("truncate"), extent_state(h.k, FILE, 0)]).toEqual([true, EXTENT.hole]);
  });

  it("direct I/O is waited for when the file shrinks and is an orphan: not without a journal, nor for the same size", () => {
    const waits = (size: number, config: readonly Config[]) => {
      const h = file({}, { truncate: truncate(size) }, { config });
      return h.trace("truncate", () => h.go("truncate")).includes("inode_dio_wait");
    };
    expect([waits(0, JOURNAL), waits(0, ["blocks", "truncate"]), waits(1, JOURNAL)]).toEqual([
      true,
      false,
      false,
    ]);
  });
});

describe("a file that ends within a page", () => {
  const partial = (actors: Readonly<Record<string, Actor>> = {}) =>
    file({}, { truncate: truncate(1), again: store(), ...actors }, { parts: 2 });

  it("ext4_block_truncate_page zeroes the rest, dirties the page, and has the commit write it", () => {
    const h = partial().go("store").go("flusher").go("disk").go("jbd2").go("disk").go("jbd2");
    expect(h.k.of(jbd2_inode).i_flags[FILE]).toBe(0);
    const steps = h.trace("truncate", () => h.go("truncate"));
    expect(steps.indexOf("zero_user")).toBeGreaterThan(steps.indexOf("jbd2_journal_start"));
    expect([h.finished("truncate"), h.has("dirty"), h.bufferDirty()]).toEqual([true, true, true]);
    expect(h.k.of(jbd2_inode).i_flags[FILE]).toBe(JI.WRITE_DATA | JI.WAIT_DATA);
    expect(h.trace("jbd2", () => h.go("jbd2"))).toContain("ext4_io_submit");
  });

  it("it leaves alone what is not cached, and what has no block", () => {
    const none = new Hand(
      small({ cached: false, parts: 2, geometry: { config: JOURNAL } }, { truncate: truncate(1), disk }),
    ).go("truncate");
    expect([none.finished("truncate"), none.k.of(jbd2_inode).i_flags[FILE]]).toEqual([true, 0]);
    const hole = file({ extents: ["hole"] }, { truncate: truncate(1) }, { parts: 2 }).go("truncate");
    expect([hole.finished("truncate"), hole.has("private"), hole.has("dirty")]).toEqual([true, true, false]);
  });

  it("trap 39: with delayed allocation, too, the commit thread can be the one that dies, after such a truncation", () => {
    const h = partial({ read: read(6), dma: dma(6), reclaim: reclaim(3) });
    h.go("truncate").go("jbd2").go("disk").go("jbd2");
    expect(h.k.of(jbd2_inode).i_transaction[FILE]).toBe(0);
    // The inode is put on a later transaction's list to be waited for, and is written: it has kept the flag.
    h.past("read", "submit_bio").go("flusher").go("disk");
    old(h);
    h.clear(["referenced"]).go("reclaim").go("dma").go("read");
    expect([h.has("private"), h.has("dirty")]).toEqual([false, true]);
    h.k.of(journal).j_running_transaction[0] = 9;
    h.k.of(jbd2_inode).i_transaction[FILE] = 9;
    h.go("jbd2");
    expect(h.k.faults.at(-1)).toMatchObject({ kind: "BUG", path: "ext4_writepage", task: "jbd2" });
  });
});

describe("ext4_punch_hole", () => {
  it("a write error before it ends it: nothing is punched", () => {
    const h = file({}, { punch: punch(0, 1) }, { config: [...JOURNAL, "io_errors"] });
    h.k.of(bad_block).left[0] = FOR_EVER;
    h.go("store").go("punch").go("disk").go("punch");
    expect([h.finished("punch"), extent_state(h.k, FILE, 0), h.has("private")]).toEqual([
      true,
      EXTENT.mapped,
      true,
    ]);
  });

  it("ends with the page in which the file ends: what is allocated behind it stays", () => {
    const h = file(
      { pages: 3, size: 1, extents: ["mapped", "mapped", "unwritten"] },
      { punch: punch(0, 3) },
    ).go("punch");
    expect([0, 1, 2].map((index) => extent_state(h.k, FILE, index))).toEqual([
      EXTENT.hole,
      EXTENT.hole,
      EXTENT.unwritten,
    ]);
  });

  it("does nothing behind the end of the file", () => {
    const h = file({ pages: 2, size: 1 }, { punch: punch(1, 2) });
    expect(h.trace("punch", () => h.go("punch"))).not.toContain("jbd2_journal_start");
    expect([h.finished("punch"), extent_state(h.k, FILE, 1)]).toEqual([true, EXTENT.mapped]);
  });

  it("a write(2) between its flush and i_rwsem: a commit before the hole shows what the new block had; not with delayed allocation", () => {
    const stale = (delalloc: boolean) => {
      const write: Actor = { path: generic_file_write_iter, args: [FILE, 0, 1], ends: true };
      const h = file({ extents: ["hole"] }, { punch: punch(0, 1), write }, { mount: { delalloc } });
      h.k.block.version[0] = 9;
      h.k.of(block_owner).slot.fill(DELETED | 0x7000);
      // Nothing is dirty when it looks. Then the page is thrown away that the commit would have written.
      h.past("punch", "mapping_tagged").go("write").until("punch", "jbd2_journal_start");
      const shown = stale_after_power_cut(h.go("jbd2").k).length;
      h.go("punch").go("jbd2");
      return [shown, stale_after_power_cut(h.k).length];
    };
    expect(stale(false)).toEqual([1, 0]);
    expect(stale(true)).toEqual([0, 0]);
  });

  it("the size that delayed pages would have brought to the disk is journalled before they go", () => {
    const disksize = (start: number, end: number) => {
      const h = file({ pages: 2 }, { punch: punch(start, end) });
      h.k.of(ext4_inode_info).i_disksize[FILE] = 0;
      return h.go("punch").k.of(ext4_inode_info).i_disksize[FILE];
    };
    expect([disksize(1, 2), disksize(0, 1)]).toEqual([2, 0]);
  });
});

describe("ext4_page_mkwrite", () => {
  it("a page that has left the file, or is behind its end, is faulted again", () => {
    for (const delalloc of [true, false]) {
      const gone = file({}, { mkwrite: mkwrite() }, { mount: { delalloc } });
      gone.k.page.mapping[0] = 0;
      gone.go("mkwrite");
      expect([gone.finished("mkwrite"), gone.has("locked"), gone.has("private")]).toEqual([
        true,
        false,
        false,
      ]);
      const behind = file({ pages: 2 }, { mkwrite: mkwrite(1) }, { mount: { delalloc } });
      behind.k.inode.i_size[FILE] = 0;
      behind.go("mkwrite");
      expect([behind.finished("mkwrite"), behind.has("locked", 1)]).toEqual([true, false]);
    }
  });

  it("a page that begins where the file ends by now is given, locked, without a block: truncation comes for it", () => {
    for (const delalloc of [true, false]) {
      const h = file({ extents: ["hole"] }, { mkwrite: mkwrite() }, { mount: { delalloc } });
      h.k.inode.i_size[FILE] = 0;
      h.go("mkwrite");
      expect([h.has("locked"), h.has("private"), extent_state(h.k, FILE, 0)], String(delalloc)).toEqual([
        true,
        true,
        EXTENT.hole,
      ]);
    }
  });

  it("writeback of such a page sends nothing, and cleans its buffer", () => {
    const h = file({ extents: ["hole"] }, {}).go("store");
    h.k.inode.i_size[FILE] = 0;
    const steps = h.trace("flusher", () => h.go("flusher"));
    expect([h.finished("flusher"), h.has("writeback"), h.bufferDirty()]).toEqual([true, false, false]);
    expect(steps).not.toContain("ext4_io_submit");
    expect(steps).not.toContain("ext4_map_blocks");
  });

  it("nodelalloc: with all buffers mapped it needs no handle, and waits for a stable page", () => {
    const h = file({ stable_writes: true }, { again: mkwrite() }, { mount: { delalloc: false } })
      .go("store")
      .go("flusher")
      .go("again");
    expect([h.next("again"), h.has("locked")]).toEqual(["wait_on_page_writeback", true]);
    expect(h.go("disk").trace("again", () => h.go("again"))).not.toContain("jbd2_journal_start");
    expect([h.finished("again"), h.has("locked")]).toEqual([true, true]);
  });

  it("no space for a promise or a block: waits for a commit that frees some", () => {
    const full = (delalloc: boolean) =>
      file(
        { pages: 2, extents: ["mapped", "hole"] },
        { punch: punch(0, 1), mkwrite: mkwrite(1) },
        { blocks: 1, mount: { delalloc } },
      ).go("punch");
    // A promise can be given at once; it is the allocation that waits.
    const promised = full(true).go("mkwrite");
    expect([promised.finished("mkwrite"), extent_state(promised.k, FILE, 1)]).toEqual([true, EXTENT.delayed]);
    const h = full(false).go("mkwrite");
    expect([h.next("mkwrite"), h.k.of(journal).t_updates[0]]).toEqual(["jbd2_log_wait_commit", 0]);
    h.go("jbd2").go("mkwrite");
    expect([h.finished("mkwrite"), extent_state(h.k, FILE, 1)]).toEqual([true, EXTENT.mapped]);
  });

  it("tries twice more, and then gives up; nothing that a commit frees is no reason to wait", () => {
    const waits = (delalloc: boolean, frees: boolean) => {
      const h = file(
        { pages: 2, extents: ["mapped", "hole"] },
        { mkwrite: mkwrite(1) },
        { blocks: 2, mount: { delalloc } },
      );
      const { pending } = h.k.of(disk_block);
      const { s_dirtyclusters_counter } = h.k.of(sb_info);
      let waited = 0;
      for (; waited < 9; waited++) {
        // Another file has promised all that is free, and gives it up while the fault looks whether it pays to wait.
        pending[1] = frees ? PENDING.running : PENDING.none;
        h.k.of(journal).j_running_transaction[0] = 10 + waited;
        s_dirtyclusters_counter[0] = delalloc ? 1 : 0;
        if (delalloc) {
          h.until("mkwrite", () => h.finished("mkwrite") || h.next("mkwrite") === "ext4_has_free_clusters");
          s_dirtyclusters_counter[0] = 0;
        }
        h.go("mkwrite");
        if (h.finished("mkwrite")) break;
        h.go("jbd2");
      }
      return [waited, h.has("locked", 1), extent_state(h.k, FILE, 1)];
    };
    expect(waits(false, true)).toEqual([2, false, EXTENT.hole]);
    expect(waits(true, true)).toEqual([2, false, EXTENT.hole]);
    expect(waits(true, false)).toEqual([0, false, EXTENT.hole]);
  });
});
