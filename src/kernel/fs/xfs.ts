/**
 * xfs as far as dirty pages go: reservation at the first write, block lookup at writeback, and no buffer_heads.
 *
 * Source: fs/xfs/xfs_file.c, fs/xfs/xfs_aops.c, fs/xfs/xfs_iomap.c, fs/xfs/xfs_reflink.c in v4.20. There is nothing on a page that
 * reclaim could strip, so the article's crash does not happen. What page_mkwrite would have done is missing all the
 * same when a device's page is dirtied without it, and writeback looks at the block map as it is: over a hole it writes
 * nothing, without a word, and the page is clean; over an extent that is shared with another file and has no COW
 * reservation it overwrites the other file's bytes. Which of these happens is computed from the block map (fs/blocks.ts).
 *
 * MMAPLOCK is the class i_mmap_sem. Needs config "blocks" for more than mapped, unshared extents.
 *
 * Left out: the journal, quotas, blocks smaller than a page, extent size hints, errors of allocation in writeback (the space is
 * promised), bios of more than one page (each is submitted right after it is unlocked), the workqueue of
 * completions that change the block map (their steps are the disk's; PG_writeback stays on as long), sb_start_pagefault,
 * pages of the second file's cache in a reflink (that file is new and nobody has it open).
 */
import { queue_page } from "../block/disk.js";
import type { Kernel } from "../kernel.js";
import {
  call,
  config,
  down_read,
  down_write,
  given,
  held,
  leave,
  local,
  path,
  repeat,
  step,
  under,
  up_read,
  up_write,
  when,
} from "../language.js";
import { i_mmap_sem, i_rwsem, xa_lock } from "../locks.js";
import { end_page_writeback, filemap_fault, i_size_pages } from "../mm/filemap.js";
import { filemap_write_and_wait_range } from "../mm/filemap_writeback.js";
import { unlock } from "../mm/page.js";
import {
  clear_page_dirty_for_io,
  RANGE_END,
  redirty_page_for_writepage,
  set_page_writeback,
  write_cache_pages,
} from "../mm/page_writeback.js";
import { truncate_setsize } from "../mm/truncate.js";
import { type InodeNr, inode, int, type Pfn, pfn } from "../types.js";
import {
  allocate,
  convert_unwritten,
  EXTENT,
  extent_state,
  free_extent,
  is_shared,
  reserve_delayed,
  set_bi_sector_cow,
  share_extent,
} from "./blocks.js";
import { COW, cow_allocate, cow_cancel, cow_end, cow_reserve, cow_state } from "./cow.js";
import { iomap_page_mkwrite } from "./iomap.js";

/** XFS_IO_*: what writeback found for a page. */
const IO = { HOLE: 0, DELALLOC: 1, UNWRITTEN: 2, OVERWRITE: 3, COW: 4 } as const;

/**
 * xfs_file_iomap_begin_delay for a write of one page: a hole is reserved, a shared extent gets a reservation in the COW fork. One
 * ILOCK section. Gives 0 or -ENOSPC.
 */
function xfs_file_iomap_begin(k: Kernel, mapping: InodeNr, index: number): number {
  if (!k.has("blocks")) return 0;
  if (extent_state(k, mapping, index) === EXTENT.hole) return reserve_delayed(k, mapping, index);
  return is_shared(k, mapping, index) ? cow_reserve(k, mapping, index) : 0;
}

const xfs_iomap_page_mkwrite = iomap_page_mkwrite([
  held(
    step("xfs_file_iomap_begin", (k, f) => {
      f.error = xfs_file_iomap_begin(k, f.mapping, k.page.index[f.page]);
    }),
  ),
]);

/** A page is about to be written through a mapping. */
export const xfs_filemap_page_mkwrite = path(
  "xfs_filemap_page_mkwrite",
  { source: "fs/xfs/xfs_file.c v4.20", args: { page: pfn, mapping: inode }, returns: int },
  [
    down_read(i_mmap_sem, (_, f) => f.mapping),
    call(() => xfs_iomap_page_mkwrite, { page: "page", mapping: "mapping" }, "ret"),
    up_read(i_mmap_sem, (_, f) => f.mapping),
  ],
);

/** A page is not mapped yet: filemap_fault, away from truncation. */
export const xfs_filemap_fault = path(
  "xfs_filemap_fault",
  {
    source: "fs/xfs/xfs_file.c v4.20",
    args: { mapping: inode, index: int, vma: int, flags: int },
    returns: pfn,
  },
  [
    down_read(i_mmap_sem, (_, f) => f.mapping),
    call(() => filemap_fault, { mapping: "mapping", index: "index", vma: "vma", flags: "flags" }, "ret"),
    up_read(i_mmap_sem, (_, f) => f.mapping),
  ],
);

export const xfs_vm_readpage = path(
  "xfs_vm_readpage",
  { source: "fs/xfs/xfs_aops.c, fs/iomap.c v4.20", args: { page: pfn } },
  [step("submit_bio", (k, f) => queue_page(k, f.page))],
);

/** xfs_map_blocks: the COW fork first, then the data fork; what is delayed gets its block. Gives XFS_IO_*. */
function xfs_map_blocks(k: Kernel, page: Pfn): number {
  if (!k.has("blocks")) return IO.OVERWRITE;
  const mapping = k.page.mapping[page];
  const index = k.page.index[page];
  if (cow_state(k, mapping, index) !== COW.none) {
    cow_allocate(k, mapping, index);
    return IO.COW;
  }
  switch (extent_state(k, mapping, index)) {
    case EXTENT.hole:
      return IO.HOLE;
    case EXTENT.delayed:
      if (allocate(k, mapping, index, EXTENT.mapped) < 0)
        throw new Error("xfs_map_blocks: a promise has no block");
      return IO.DELALLOC;
    case EXTENT.unwritten:
      return IO.UNWRITTEN;
    default:
      return IO.OVERWRITE;
  }
}

/** xfs_submit_ioend: to the COW fork's block or the file's. */
function xfs_submit_ioend(k: Kernel, page: Pfn, io_type: number): void {
  queue_page(k, page);
  if (io_type === IO.COW) set_bi_sector_cow(k, page);
}

/** Write one locked page that has just been cleaned. Over a hole nothing is submitted, and nobody is told. */
export const xfs_do_writepage = path(
  "xfs_do_writepage",
  { source: "fs/xfs/xfs_aops.c v4.20", args: { page: pfn }, locals: { io_type: int }, returns: int },
  [
    config("truncate", [
      held(
        when(
          "page->index > end_index",
          (k, f) => k.page.index[f.page] >= i_size_pages(k, k.page.mapping[f.page]),
          [call(() => redirty_page_for_writepage, { page: "page" }), unlock(), leave(() => 0)],
        ),
      ),
      step("zero_user_segment", (k, f) => {
        const { parts } = k.geometry;
        const end = k.inode.i_size[k.page.mapping[f.page]] - k.page.index[f.page] * parts;
        for (let part = Math.max(end, 0); part < parts; part++) k.content.version[f.page * parts + part] = 0;
      }),
    ]),
    held(
      step("xfs_map_blocks", (k, f) => {
        f.io_type = xfs_map_blocks(k, f.page);
      }),
    ),
    call(() => clear_page_dirty_for_io, { page: "page" }),
    under(xa_lock, [step("set_page_writeback", (k, f) => set_page_writeback(k, f.page))]),
    unlock(),
    given(
      (_, f) => f.io_type !== IO.HOLE,
      [step("xfs_submit_ioend", (k, f) => xfs_submit_ioend(k, f.page, f.io_type))],
      [call(() => end_page_writeback, { page: "page" })],
    ),
    leave(() => 0),
  ],
);

/** Write one locked page: what reclaim calls. */
export const xfs_vm_writepage = path(
  "xfs_vm_writepage",
  { source: "fs/xfs/xfs_aops.c v4.20", args: { page: pfn }, returns: int },
  [call(() => xfs_do_writepage, { page: "page" }, "ret")],
);

const xfs_walk = write_cache_pages([call(() => xfs_do_writepage, { page: "page" }, "ret")]);

/** Write a file's dirty pages. */
export const xfs_vm_writepages = path(
  "xfs_vm_writepages",
  {
    source: "fs/xfs/xfs_aops.c v4.20",
    args: { mapping: inode, sync: int, tagged: int, nr_to_write: int, range_start: int, range_end: int },
    returns: int,
  },
  [
    call(
      () => xfs_walk,
      {
        mapping: "mapping",
        sync: "sync",
        tagged: "tagged",
        nr_to_write: "nr_to_write",
        range_start: "range_start",
        range_end: "range_end",
      },
      "ret",
    ),
  ],
);

/** Completion of a page's write: a COW block becomes the file's, an unwritten one data; then writeback ends. */
export const xfs_end_bio = path("xfs_end_bio", { source: "fs/xfs/xfs_aops.c v4.20", args: { page: pfn } }, [
  config("blocks", [
    step("xfs_end_io", (k, f) => {
      const mapping = k.page.mapping[f.page];
      const index = k.page.index[f.page];
      if (!cow_end(k, mapping, index)) convert_unwritten(k, mapping, index);
    }),
  ]),
  call(() => end_page_writeback, { page: "page" }),
]);

/** Every page of a file from an index on becomes a hole: xfs_itruncate_extents, of both forks. */
function xfs_itruncate_extents(k: Kernel, mapping: InodeNr, from: number): void {
  if (!k.has("blocks")) return;
  for (let index = from; index < k.inode.i_pages[mapping]; index++) {
    cow_cancel(k, mapping, index);
    free_extent(k, mapping, index);
  }
}

/** xfs_vn_setattr with ATTR_SIZE: truncate(2); `size` is in parts. Nothing asks whether a page is held. */
export const xfs_vn_setattr = path(
  "xfs_vn_setattr",
  { source: "fs/xfs/xfs_iops.c v4.20", args: { mapping: inode, size: int }, locals: { from: int } },
  [
    down_write(i_rwsem, (_, f) => f.mapping),
    down_write(i_mmap_sem, (_, f) => f.mapping),
    call(() => truncate_setsize, { mapping: "mapping", newsize: "size" }),
    step("xfs_itruncate_extents", (k, f) => {
      f.from = Math.ceil(f.size / k.geometry.parts);
      xfs_itruncate_extents(k, f.mapping, f.from);
    }),
    up_write(i_mmap_sem, (_, f) => f.mapping),
    up_write(i_rwsem, (_, f) => f.mapping),
  ],
);

/**
 * ioctl(FICLONE): a new file gets every block of this one, shared. What is dirty is written first, which takes away write
 * access; a device that holds a page is not asked. v4.20 takes the source's MMAPLOCK shared: a fault can come between the
 * flush and the sharing, find nothing shared yet, and reserve nothing.
 */
export const xfs_reflink_remap_range = path(
  "xfs_reflink_remap_range",
  {
    source: "fs/xfs/xfs_reflink.c v4.20",
    args: { mapping: inode, clone: inode },
    locals: { index: int, nr: int, error: int },
    returns: int,
  },
  [
    down_write(i_rwsem, (_, f) => f.mapping),
    down_read(i_mmap_sem, (_, f) => f.mapping),
    call(
      () => filemap_write_and_wait_range,
      { mapping: "mapping", range_start: 0, range_end: RANGE_END },
      "error",
    ),
    local((k, f) => {
      f.nr = k.inode.i_pages[f.mapping];
    }),
    repeat(
      (_, f) => f.index < f.nr,
      [
        step("xfs_reflink_remap_extent", (k, f) => {
          free_extent(k, f.clone, f.index);
          share_extent(k, f.mapping, f.index, f.clone, f.index);
          f.index++;
        }),
      ],
    ),
    up_read(i_mmap_sem, (_, f) => f.mapping),
    up_write(i_rwsem, (_, f) => f.mapping),
    leave(() => 0),
  ],
);
