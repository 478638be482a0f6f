/**
 * btrfs: write(2), fsync, and holes that are punched.
 *
 * Source: fs/btrfs/file.c in v4.20. A write reserves its space first, then takes its page, waits for what is being written of it, and makes
 * the range delalloc while the page is locked. fsync waits for the ordered extents, not only for writeback: before that the file has the old
 * block. Punching takes the pages out of the file, whoever holds them, until no ordered extent and no page is left in the range, as nothing
 * keeps faults away (btrfs of v4.20 has no i_mmap_sem).
 *
 * Positions and lengths are in parts of a page. A write goes page by page, as the kernel's does when it has to.
 *
 * Left out: the log tree and transactions (what an ordered extent has entered in the file is on the disk), nodatacow, holes at the ends of a
 * punched range (find_first_non_hole only spares work), short copies.
 */
import { ERRNO } from "../../errno.js";
import type { Kernel } from "../../kernel.js";
import {
  call,
  check,
  config,
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
  up_write,
} from "../../language.js";
import { i_rwsem } from "../../locks.js";
import { balance_dirty_pages_ratelimited } from "../../mm/balance_dirty_pages.js";
import { __filemap_fdatawrite_range } from "../../mm/filemap_writeback.js";
import { file_check_and_advance_wb_err } from "../../mm/mapping_error.js";
import {
  ClearPageChecked,
  SetPageUptodate,
  settledUnlessWriteback,
  unlock,
  wait_on_page_writeback,
} from "../../mm/page.js";
import { set_page_dirty } from "../../mm/page_writeback.js";
import { put_page } from "../../mm/swap.js";
import { truncate_pagecache_range } from "../../mm/truncate.js";
import { type InodeNr, inode, int, NONE, pfn } from "../../types.js";
import { free_extent } from "../blocks.js";
import {
  btrfs_delalloc_release_space,
  btrfs_delalloc_reserve_space,
  btrfs_set_extent_delalloc,
  set_page_extent_mapped,
} from "../btrfs.js";
import { find_or_create_page_write, iov_iter_copy_from_user_atomic } from "../read_write.js";
import { btrfs_start_ordered_extent, btrfs_wait_ordered_range, is_ordered, last_ordered } from "./ordered.js";
import { btrfs_cont_expand, btrfs_truncate_block, prepare_uptodate_page } from "./truncate.js";

const WRITE = { mapping: inode, pos: int, count: int } as const;

/** The copy loop of write(2). Gives how many parts were written, or a negative error when none was. */
export const btrfs_buffered_write = path(
  "btrfs_buffered_write",
  {
    source: "fs/btrfs/file.c v4.20",
    args: WRITE,
    locals: { index: int, from: int, to: int, page: pfn, error: int, ordered: int },
    returns: int,
  },
  [
    repeat(
      (_, f) => f.ret < f.count,
      [
        local((k, f) => {
          const { parts } = k.geometry;
          f.index = Math.floor((f.pos + f.ret) / parts);
          f.from = (f.pos + f.ret) % parts;
          f.to = Math.min(parts, f.from + f.count - f.ret);
        }),
        step("btrfs_delalloc_reserve_space", (k, f) => {
          f.error = btrfs_delalloc_reserve_space(k, f.mapping);
        }),
        given((_, f) => f.error < 0, [goto("out")]),
        label("again"),
        call(() => find_or_create_page_write, { mapping: "mapping", index: "index" }, "page"),
        given(
          (_, f) => f.page === NONE,
          [
            step("btrfs_delalloc_release_space", (k, f) => {
              btrfs_delalloc_release_space(k, f.mapping);
              f.error = -ERRNO.ENOMEM;
            }),
            goto("out"),
          ],
        ),
        given(
          (k, f) => f.from > 0 || f.to < k.geometry.parts,
          [
            call(() => prepare_uptodate_page, { mapping: "mapping", page: "page" }, "error"),
            given((_, f) => f.error === -ERRNO.EAGAIN, [goto("again")]),
          ],
        ),
        settledUnlessWriteback(wait_on_page_writeback()),
        // lock_and_cleanup_extent_if_need
        step("btrfs_lookup_ordered_range", (k, f) => {
          f.ordered = is_ordered(k, f.mapping, f.index) ? 1 : 0;
        }),
        given(
          (_, f) => f.ordered === 1,
          [
            unlock(),
            step("put_page", (k, f) => {
              put_page(k, f.page);
              f.page = NONE;
              f.ordered = 0;
            }),
            call(() => btrfs_start_ordered_extent, { mapping: "mapping", index: "index" }),
            goto("again"),
          ],
        ),
        held(step("set_page_extent_mapped", (k, f) => set_page_extent_mapped(k, f.page))),
        step("btrfs_copy_from_user", (k, f) => iov_iter_copy_from_user_atomic(k, f.page, f.from, f.to)),
        // btrfs_dirty_pages
        held(step("btrfs_set_extent_delalloc", (k, f) => btrfs_set_extent_delalloc(k, f.mapping, f.index))),
        held(step("SetPageUptodate", (k, f) => SetPageUptodate(k, f.page))),
        held(step("ClearPageChecked", (k, f) => ClearPageChecked(k, f.page))),
        call(() => set_page_dirty, { page: "page" }),
        config("truncate", [
          step("i_size_write", (k, f) => {
            const end = f.index * k.geometry.parts + f.to;
            if (end > k.inode.i_size[f.mapping]) k.inode.i_size[f.mapping] = end;
          }),
        ]),
        // btrfs_drop_pages: a driver may have dirtied it meanwhile, and the walk may have found that out.
        held(step("ClearPageChecked", (k, f) => ClearPageChecked(k, f.page))),
        unlock(),
        step("put_page", (k, f) => {
          put_page(k, f.page);
          f.page = NONE;
          f.ret += f.to - f.from;
        }),
        call(() => balance_dirty_pages_ratelimited, { mapping: "mapping" }),
      ],
    ),
    label("out"),
    given((_, f) => f.ret === 0, [leave((_, f) => f.error)]),
  ],
);

/** write(2). Gives how many parts were written, or a negative error. */
export const btrfs_file_write_iter = path(
  "btrfs_file_write_iter",
  { source: "fs/btrfs/file.c v4.20", args: WRITE, locals: { oldsize: int }, returns: int },
  [
    down_write(i_rwsem, (_, f) => f.mapping),
    config("truncate", [
      step("i_size_read", (k, f) => {
        f.oldsize = k.inode.i_size[f.mapping];
      }),
      given(
        (_, f) => f.pos > f.oldsize,
        [
          call(() => btrfs_cont_expand, { mapping: "mapping", oldsize: "oldsize" }, "ret"),
          given((_, f) => f.ret < 0, [goto("out")]),
        ],
      ),
    ]),
    call(() => btrfs_buffered_write, { mapping: "mapping", pos: "pos", count: "count" }, "ret"),
    label("out"),
    local((_, f) => {
      f.oldsize = 0;
    }),
    up_write(i_rwsem, (_, f) => f.mapping),
  ],
);

/**
 * fsync: start what is dirty, once more under i_rwsem, and wait until all of it is entered in the file. Gives 0 or a negative
 * error.
 */
export const btrfs_sync_file = path(
  "btrfs_sync_file",
  {
    source: "fs/btrfs/file.c v4.20",
    args: { mapping: inode, file: int, range_start: int, range_end: int },
    locals: { error: int },
    returns: int,
  },
  [
    call(
      () => __filemap_fdatawrite_range,
      { mapping: "mapping", range_start: "range_start", range_end: "range_end", sync: 1 },
      "ret",
    ),
    given((_, f) => f.ret !== 0, [goto("out")]),
    down_write(i_rwsem, (_, f) => f.mapping),
    call(
      () => __filemap_fdatawrite_range,
      { mapping: "mapping", range_start: "range_start", range_end: "range_end", sync: 1 },
      "ret",
    ),
    given(
      (_, f) => f.ret === 0,
      [
        call(
          () => btrfs_wait_ordered_range,
          { mapping: "mapping", range_start: "range_start", range_end: "range_end" },
          "ret",
        ),
      ],
    ),
    up_write(i_rwsem, (_, f) => f.mapping),
    label("out"),
    config("io_errors", [
      step("file_check_and_advance_wb_err", (k, f) => {
        f.error = file_check_and_advance_wb_err(k, f.mapping, f.file);
        if (f.ret === 0) f.ret = f.error;
      }),
    ]),
  ],
);

/** filemap_range_has_page */
function range_has_page(k: Kernel, mapping: InodeNr, start: number, end: number): boolean {
  for (let index = start; index <= end; index++)
    if (k.xa_slot.page[k.slotOf(mapping, index)] !== 0) return true;
  return false;
}

/**
 * Empty a range of pages, both ends included, of cached pages and ordered extents, and free its blocks: the end of
 * btrfs_punch_hole_lock_range and __btrfs_drop_extents are one section of the extent lock. Gives 0 or a negative error.
 */
const btrfs_punch_hole_lock_range = path(
  "btrfs_punch_hole_lock_range",
  {
    source: "fs/btrfs/file.c v4.20",
    args: { mapping: inode, start: int, end: int },
    locals: { lstart: int, lend: int },
    returns: int,
  },
  [
    local((k, f) => {
      f.lstart = f.start * k.geometry.parts;
      f.lend = (f.end + 1) * k.geometry.parts;
    }),
    label("again"),
    call(() => truncate_pagecache_range, { mapping: "mapping", lstart: "lstart", lend: "lend" }),
    check(
      "filemap_range_has_page",
      (k, f) => {
        if (range_has_page(k, f.mapping, f.start, f.end)) return false;
        if (last_ordered(k, f.mapping, f.start, f.end) !== NONE) return false;
        for (let index = f.start; index <= f.end; index++) free_extent(k, f.mapping, index);
        return true;
      },
      "wait",
    ),
    leave(() => 0),
    label("wait"),
    call(
      () => btrfs_wait_ordered_range,
      { mapping: "mapping", range_start: "start", range_end: "end" },
      "ret",
    ),
    given((_, f) => f.ret === 0, [goto("again")]),
  ],
);

/**
 * fallocate(2) with FALLOC_FL_PUNCH_HOLE: parts `lstart` to before `lend` become a hole, the size stays. What is in part of a page is zeroed,
 * which needs space. Gives 0 or a negative error.
 */
export const btrfs_punch_hole = path(
  "btrfs_punch_hole",
  {
    source: "fs/btrfs/file.c v4.20",
    args: { mapping: inode, lstart: int, lend: int },
    locals: { start: int, end: int, to: int },
    returns: int,
  },
  [
    local((k, f) => {
      const { parts } = k.geometry;
      f.start = Math.floor(f.lstart / parts);
      f.end = Math.ceil(f.lend / parts) - 1;
    }),
    call(
      () => btrfs_wait_ordered_range,
      { mapping: "mapping", range_start: "start", range_end: "end" },
      "ret",
    ),
    given((_, f) => f.ret !== 0, [leave()]),
    down_write(i_rwsem, (_, f) => f.mapping),
    local((k, f) => {
      const { parts } = k.geometry;
      // The first page, where the hole begins in it: to its end, or to the hole's.
      f.to = Math.min(f.lend, (f.start + 1) * parts);
      f.start = Math.ceil(f.lstart / parts);
      f.end = Math.floor(f.lend / parts) - 1;
    }),
    given(
      (k, f) => f.lstart < f.start * k.geometry.parts,
      [
        call(() => btrfs_truncate_block, { mapping: "mapping", from: "lstart", to: "to" }, "ret"),
        given((_, f) => f.ret < 0, [goto("out_only_mutex")]),
      ],
    ),
    // The last page, unless that was it.
    local((k, f) => {
      f.to = (f.end + 1) * k.geometry.parts;
    }),
    given(
      (_, f) => f.to < f.lend && f.to >= f.lstart,
      [
        call(() => btrfs_truncate_block, { mapping: "mapping", from: "to", to: "lend" }, "ret"),
        given((_, f) => f.ret < 0, [goto("out_only_mutex")]),
      ],
    ),
    given(
      (_, f) => f.start <= f.end,
      [call(() => btrfs_punch_hole_lock_range, { mapping: "mapping", start: "start", end: "end" }, "ret")],
    ),
    label("out_only_mutex"),
    local((_, f) => {
      f.start = 0;
      f.end = 0;
      f.to = 0;
    }),
    up_write(i_rwsem, (_, f) => f.mapping),
  ],
);
