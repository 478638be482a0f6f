/**
 * xfs as far as dirty pages go: reservation at the first write, block lookup at writeback, and no buffer_heads.
 *
 * Source: fs/xfs/xfs_file.c, fs/xfs/xfs_aops.c, fs/xfs/xfs_iomap.c, fs/xfs/xfs_reflink.c in v4.20. There is nothing on a page that
 * reclaim could strip, so the article's crash does not happen. What page_mkwrite would have done is missing all the
 * same when a device's page is dirtied without it, and writeback looks at the block map as it is: over a hole it writes
 * nothing, without a word, and the page is clean; over an extent that is shared with another file and has no COW
 * reservation it overwrites the other file's bytes. Which of these happens is computed from the block map (fs/blocks.ts).
 *
 * MMAPLOCK is the class i_mmap_sem. Needs config "blocks" for more than mapped, unshared extents. xfs_flush_inodes needs config "kupdate".
 * iomap_invalidatepage is never called, as no page has PG_private.
 *
 * Left out: the journal, quotas, blocks smaller than a page, extent size hints, errors of allocation in writeback (the space is
 * promised), bios of more than one page (each is submitted right after it is unlocked), the workqueue of
 * completions that change the block map (their steps are the disk's; PG_writeback stays on as long), sb_start_pagefault, leases
 * (fs/xfs_dax.ts has them), preallocation behind the end of a file and what frees it.
 */
import { queue_page } from "../block/disk.js";
import { ERRNO } from "../errno.js";
import type { Kernel } from "../kernel.js";
import {
  call,
  config,
  down_read,
  down_write,
  given,
  goto,
  held,
  label,
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
import { truncate_pagecache_range, truncate_setsize, zero_page_tail } from "../mm/truncate.js";
import { disk, type InodeNr, inode, int, type Pfn, pfn } from "../types.js";
import {
  allocate,
  convert_unwritten,
  EXTENT,
  extent_state,
  free_extent,
  is_shared,
  release_delayed,
  reserve_delayed,
  set_bi_sector_cow,
  share_extent,
} from "./blocks.js";
import { COW, cow_allocate, cow_cancel, cow_end, cow_reserve, cow_state } from "./cow.js";
import { IOMAP, iomap_file_buffered_write, iomap_page_mkwrite, iomap_zero_range } from "./iomap.js";
import { generic_file_buffered_read } from "./read_write.js";
import { sync_inodes_sb } from "./sync.js";

/** XFS_IO_*: what writeback found for a page. */
const IO = { HOLE: 0, DELALLOC: 1, UNWRITTEN: 2, OVERWRITE: 3, COW: 4 } as const;

/**
 * xfs_file_iomap_begin_delay for a write of one page: a hole is reserved, a shared extent gets a reservation in the COW fork. One
 * ILOCK section. Gives IOMAP.OLD, IOMAP.NEW for what was reserved in the data fork, or -ENOSPC.
 */
function xfs_file_iomap_begin(k: Kernel, mapping: InodeNr, index: number): number {
  if (!k.has("blocks")) return IOMAP.OLD;
  if (extent_state(k, mapping, index) === EXTENT.hole) {
    const error = reserve_delayed(k, mapping, index);
    return error < 0 ? error : IOMAP.NEW;
  }
  return is_shared(k, mapping, index) ? cow_reserve(k, mapping, index) : IOMAP.OLD;
}

/** The same with IOMAP_ZERO: IOMAP.HOLE where there are zeroes already. */
function xfs_file_iomap_begin_zero(k: Kernel, mapping: InodeNr, index: number): number {
  const state = extent_state(k, mapping, index);
  if (state === EXTENT.hole || state === EXTENT.unwritten) return IOMAP.HOLE;
  return xfs_file_iomap_begin(k, mapping, index);
}

const xfs_iomap_page_mkwrite = iomap_page_mkwrite([
  held(
    step("xfs_file_iomap_begin", (k, f) => {
      f.error = xfs_file_iomap_begin(k, f.mapping, k.page.index[f.page]);
    }),
  ),
]);

const xfs_iomap_file_buffered_write = iomap_file_buffered_write(
  [
    step("xfs_file_iomap_begin", (k, f) => {
      f.error = xfs_file_iomap_begin(k, f.mapping, f.index);
    }),
  ],
  // xfs_file_iomap_end_delalloc: what was reserved for a write that came to nothing.
  [
    step("xfs_bmap_punch_delalloc_range", (k, f) => {
      if (f.error === IOMAP.NEW) release_delayed(k, f.mapping, f.index);
    }),
  ],
);

const xfs_iomap_zero_range = iomap_zero_range([
  step("xfs_file_iomap_begin", (k, f) => {
    f.error = xfs_file_iomap_begin_zero(k, f.mapping, f.index);
  }),
]);

/** read(2) of a page at an index, with the inode held against writes and against who takes its blocks. As generic_file_buffered_read. */
export const xfs_file_buffered_aio_read = path(
  "xfs_file_buffered_aio_read",
  { source: "fs/xfs/xfs_file.c v4.20", args: { mapping: inode, index: int }, returns: int },
  [
    down_read(i_rwsem, (_, f) => f.mapping),
    call(() => generic_file_buffered_read, { mapping: "mapping", index: "index" }, "ret"),
    up_read(i_rwsem, (_, f) => f.mapping),
  ],
);

/**
 * write(2). Where there is no space it writes back what is dirty, to get back what is reserved beyond need, and tries once more.
 * `pos` and `count` are in parts. Gives how many were written, or a negative error.
 */
export const xfs_file_buffered_aio_write = path(
  "xfs_file_buffered_aio_write",
  {
    source: "fs/xfs/xfs_file.c v4.20",
    args: { mapping: inode, pos: int, count: int },
    locals: { enospc: int, isize: int, sb: disk },
    returns: int,
  },
  [
    label("write_retry"),
    down_write(i_rwsem, (_, f) => f.mapping),
    // xfs_file_aio_write_checks: between the old end and the write there are zeroes.
    config("truncate", [
      step("i_size_read", (k, f) => {
        f.isize = k.inode.i_size[f.mapping];
      }),
      given(
        (_, f) => f.pos > f.isize,
        [
          call(() => xfs_iomap_zero_range, { mapping: "mapping", pos: "isize", end: "pos" }, "ret"),
          given((_, f) => f.ret < 0, [goto("out")]),
        ],
      ),
    ]),
    call(() => xfs_iomap_file_buffered_write, { mapping: "mapping", pos: "pos", count: "count" }, "ret"),
    given(
      (_, f) => f.ret === -ERRNO.ENOSPC && f.enospc === 0,
      [
        local((k, f) => {
          f.enospc = 1;
          f.sb = k.inode.disk[f.mapping];
        }),
        config("kupdate", [call(() => sync_inodes_sb, { sb: "sb" })]),
        up_write(i_rwsem, (_, f) => f.mapping),
        goto("write_retry"),
      ],
    ),
    label("out"),
    local((_, f) => {
      f.enospc = 0;
      f.isize = 0;
      f.sb = 0;
    }),
    up_write(i_rwsem, (_, f) => f.mapping),
  ],
);

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

/** xfs_map_blocks: the COW fork first, then the data fork; what is delayed gets its block. Gives XFS_IO_*. One ILOCK section. */
function xfs_map_blocks(k: Kernel, page: Pfn): number {
  if (!k.has("blocks")) return IO.OVERWRITE;
  const mapping = k.page.mapping[page];
  const index = k.page.index[page];
  if (cow_state(k, mapping, index) !== COW.none) {
    // A truncation under way has made the file shorter since its size was looked at: what it will throw away is not written.
    if (index * k.geometry.parts > k.inode.i_size[mapping]) return IO.HOLE;
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
  {
    source: "fs/xfs/xfs_aops.c v4.20",
    args: { page: pfn },
    locals: { io_type: int, size: int },
    returns: int,
  },
  [
    config("truncate", [
      held(
        when(
          "page->index > end_index",
          (k, f) => {
            f.size = k.inode.i_size[k.page.mapping[f.page]] - k.page.index[f.page] * k.geometry.parts;
            return f.size <= 0;
          },
          [call(() => redirty_page_for_writepage, { page: "page" }), unlock(), leave(() => 0)],
        ),
      ),
      given(
        (k, f) => f.size < k.geometry.parts,
        [step("zero_user_segment", (k, f) => zero_page_tail(k, f.page, f.size))],
      ),
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

/**
 * xfs_vn_setattr with ATTR_SIZE: truncate(2); `size` is in parts. Nothing asks whether a page is held. The part of a page that the new
 * end, or the old one, leaves is zeroed through the page cache first, as write(2) would: it needs space, and it dirties the page.
 * Gives 0 or a negative error.
 */
export const xfs_vn_setattr = path(
  "xfs_vn_setattr",
  {
    source: "fs/xfs/xfs_iops.c v4.20",
    args: { mapping: inode, size: int },
    locals: { oldsize: int, pos: int, end: int, last: int },
    returns: int,
  },
  [
    down_write(i_rwsem, (_, f) => f.mapping),
    down_write(i_mmap_sem, (_, f) => f.mapping),
    // iomap_zero_range from the old end to the new one, or iomap_truncate_page: from the new one to the end of its page.
    local((k, f) => {
      const { parts } = k.geometry;
      f.oldsize = k.inode.i_size[f.mapping];
      f.pos = Math.min(f.size, f.oldsize);
      f.end = f.size > f.oldsize ? f.size : Math.ceil(f.size / parts) * parts;
    }),
    given(
      (_, f) => f.pos < f.end,
      [
        call(() => xfs_iomap_zero_range, { mapping: "mapping", pos: "pos", end: "end" }, "ret"),
        given((_, f) => f.ret < 0, [goto("out_unlock")]),
      ],
    ),
    call(() => truncate_setsize, { mapping: "mapping", newsize: "size" }),
    // did_zeroing: what was zeroed is on the disk before the new size is.
    given(
      (_, f) => f.ret > 0,
      [
        local((k, f) => {
          f.last = Math.ceil(f.size / k.geometry.parts) - 1;
          f.pos = Math.floor(f.oldsize / k.geometry.parts);
        }),
        call(
          () => filemap_write_and_wait_range,
          { mapping: "mapping", range_start: "pos", range_end: "last" },
          "ret",
        ),
        given((_, f) => f.ret < 0, [goto("out_unlock")]),
      ],
    ),
    given(
      (_, f) => f.size <= f.oldsize,
      [
        step("xfs_itruncate_extents", (k, f) =>
          xfs_itruncate_extents(k, f.mapping, Math.ceil(f.size / k.geometry.parts)),
        ),
      ],
    ),
    label("out_unlock"),
    local((_, f) => {
      f.oldsize = 0;
      f.pos = 0;
      f.end = 0;
      f.last = 0;
    }),
    up_write(i_mmap_sem, (_, f) => f.mapping),
    up_write(i_rwsem, (_, f) => f.mapping),
  ],
);

/**
 * ioctl(FICLONE): another file, of a higher inode number, gets every block of this one, shared. What is dirty in either is written first,
 * which takes away write access, and the other's cached pages go; a device that holds a page is not asked. v4.20 takes the
 * source's MMAPLOCK shared: a fault can come between the flush and the sharing, find nothing shared yet, and reserve nothing.
 * Gives 0, or -EINVAL where a partial last block would come to lie inside the other file.
 */
export const xfs_reflink_remap_range = path(
  "xfs_reflink_remap_range",
  {
    source: "fs/xfs/xfs_reflink.c v4.20",
    args: { mapping: inode, clone: inode },
    locals: { index: int, nr: int, len: int, end: int },
    returns: int,
  },
  [
    // xfs_iolock_two_inodes_and_break_layout, xfs_lock_two_inodes: the lower inode first.
    down_read(i_rwsem, (_, f) => f.mapping),
    down_write(i_rwsem, (_, f) => f.clone),
    down_read(i_mmap_sem, (_, f) => f.mapping),
    down_write(i_mmap_sem, (_, f) => f.clone),
    step("generic_remap_file_range_prep", (k, f) => {
      f.len = k.inode.i_size[f.mapping];
      f.nr = i_size_pages(k, f.mapping);
      f.end = f.nr * k.geometry.parts;
    }),
    given((_, f) => f.len === 0, [goto("unlock")]),
    call(
      () => filemap_write_and_wait_range,
      { mapping: "mapping", range_start: 0, range_end: RANGE_END },
      "ret",
    ),
    given((_, f) => f.ret < 0, [goto("unlock")]),
    call(
      () => filemap_write_and_wait_range,
      { mapping: "clone", range_start: 0, range_end: RANGE_END },
      "ret",
    ),
    given((_, f) => f.ret < 0, [goto("unlock")]),
    config("truncate", [
      when(
        "generic_remap_check_len",
        (k, f) => f.len % k.geometry.parts !== 0 && f.len < k.inode.i_size[f.clone],
        [
          local((_, f) => {
            f.ret = -ERRNO.EINVAL;
          }),
          goto("unlock"),
        ],
      ),
      // xfs_flush_unmap_range
      call(
        () => filemap_write_and_wait_range,
        { mapping: "clone", range_start: 0, range_end: RANGE_END },
        "ret",
      ),
      given((_, f) => f.ret < 0, [goto("unlock")]),
      call(() => truncate_pagecache_range, { mapping: "clone", lstart: 0, lend: "end" }),
    ]),
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
    config("truncate", [
      when("xfs_reflink_update_dest", (k, f) => f.len > k.inode.i_size[f.clone], [
        held(
          step("i_size_write", (k, f) => {
            k.inode.i_size[f.clone] = f.len;
          }),
        ),
      ]),
    ]),
    label("unlock"),
    up_write(i_mmap_sem, (_, f) => f.clone),
    up_read(i_mmap_sem, (_, f) => f.mapping),
    up_write(i_rwsem, (_, f) => f.clone),
    up_read(i_rwsem, (_, f) => f.mapping),
  ],
);
