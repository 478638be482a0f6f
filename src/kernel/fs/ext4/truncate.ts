/**
 * Truncation and punching of an ext4 file: which locks, in which order, and when the blocks go.
 *
 * Source: fs/ext4/inode.c (ext4_setattr, ext4_truncate, ext4_punch_hole) in v4.20. i_rwsem keeps other truncates and writes
 * away, i_mmap_sem faults. inode_dio_wait waits for direct I/O on this file; a transfer that uses the file's cached pages as its
 * memory is none of its business (trap 19), nor of anybody else's here: the pages leave the file, whoever holds them.
 * The blocks go last. They can be given out once a transaction that says so is on the disk.
 *
 * Sizes are in parts of a page, punched ranges in pages. Needs config "truncate"; without "blocks" no block is freed.
 * inode_dio_wait is a step without effect, as no file with a page cache has direct I/O of its own here.
 *
 * Left out: the orphan list (a truncation that a power cut interrupts would be finished by recovery: here it is either in the
 * journal or not), attributes other than the size, break_layouts (DAX files have their own), partial blocks on the disk
 * (truncate_pagecache zeroes the page; ext4_block_truncate_page would dirty it, too), i_data_sem.
 */
import type { Kernel } from "../../kernel.js";
import {
  call,
  check,
  config,
  down_write,
  given,
  label,
  local,
  path,
  step,
  up_write,
  when,
} from "../../language.js";
import { i_mmap_sem, i_rwsem } from "../../locks.js";
import { mapping_tagged } from "../../mm/filemap.js";
import { filemap_write_and_wait_range } from "../../mm/filemap_writeback.js";
import { truncate_pagecache, truncate_pagecache_range } from "../../mm/truncate.js";
import { type InodeNr, inode, int } from "../../types.js";
import { free_extent } from "../blocks.js";
import {
  ext4_inode_info,
  ext4_journal_start,
  ext4_journal_stop,
  ext4_mark_inode_dirty,
  freed_pending,
} from "../jbd2.js";

/** ext4_ext_remove_space: the blocks of pages `start` to before `end` go, promises too. The caller has a handle. */
function ext4_ext_remove_space(k: Kernel, mapping: InodeNr, start: number, end: number): void {
  for (let index = start; index < end; index++) free_extent(k, mapping, index, freed_pending(k));
  ext4_mark_inode_dirty(k, mapping);
}

/** Free the blocks beyond i_size. */
export const ext4_truncate = path(
  "ext4_truncate",
  { source: "fs/ext4/inode.c v4.20", args: { mapping: inode } },
  [
    ext4_journal_start(),
    config("blocks", [
      step("ext4_ext_remove_space", (k, f) => {
        const start = Math.ceil(k.inode.i_size[f.mapping] / k.geometry.parts);
        ext4_ext_remove_space(k, f.mapping, start, k.inode.i_pages[f.mapping]);
      }),
    ]),
    ext4_journal_stop(),
  ],
);

/** ftruncate(2): a new size, in parts of a page. */
export const ext4_setattr = path(
  "ext4_setattr",
  {
    source: "fs/ext4/inode.c v4.20, do_truncate of fs/open.c",
    args: { mapping: inode, size: int },
    locals: { shrink: int },
  },
  [
    down_write(i_rwsem, (_, f) => f.mapping),
    local((k, f) => {
      f.shrink = f.size <= k.inode.i_size[f.mapping] ? 1 : 0;
    }),
    given(
      (k, f) => f.size !== k.inode.i_size[f.mapping],
      [
        ext4_journal_start(),
        step("i_size_write", (k, f) => {
          const { i_disksize } = k.of(ext4_inode_info);
          if (i_disksize.length > 0) i_disksize[f.mapping] = f.size;
          ext4_mark_inode_dirty(k, f.mapping);
          k.inode.i_size[f.mapping] = f.size;
        }),
        ext4_journal_stop(),
      ],
    ),
    given((_, f) => f.shrink === 1, [step("inode_dio_wait", () => {})]),
    down_write(i_mmap_sem, (_, f) => f.mapping),
    call(() => truncate_pagecache, { mapping: "mapping", newsize: "size" }),
    given((_, f) => f.shrink === 1, [call(() => ext4_truncate, { mapping: "mapping" })]),
    up_write(i_mmap_sem, (_, f) => f.mapping),
    up_write(i_rwsem, (_, f) => f.mapping),
  ],
);

/** fallocate(2) with FALLOC_FL_PUNCH_HOLE: pages `start` to before `end` become a hole, the size stays. */
export const ext4_punch_hole = path(
  "ext4_punch_hole",
  {
    source: "fs/ext4/inode.c v4.20",
    args: { mapping: inode, start: int, end: int },
    locals: { lstart: int, lend: int, last: int, ret: int },
  },
  [
    when("mapping_tagged", (k, f) => mapping_tagged(k, f.mapping, "dirty"), [
      local((_, f) => {
        f.last = f.end - 1;
      }),
      call(
        () => filemap_write_and_wait_range,
        { mapping: "mapping", range_start: "start", range_end: "last" },
        "ret",
      ),
    ]),
    down_write(i_rwsem, (_, f) => f.mapping),
    check("i_size_read", (k, f) => f.start * k.geometry.parts < k.inode.i_size[f.mapping], "out_mutex"),
    step("inode_dio_wait", () => {}),
    down_write(i_mmap_sem, (_, f) => f.mapping),
    local((k, f) => {
      f.lstart = f.start * k.geometry.parts;
      f.lend = f.end * k.geometry.parts;
    }),
    call(() => truncate_pagecache_range, { mapping: "mapping", lstart: "lstart", lend: "lend" }),
    ext4_journal_start(),
    config("blocks", [
      step("ext4_ext_remove_space", (k, f) => ext4_ext_remove_space(k, f.mapping, f.start, f.end)),
    ]),
    ext4_journal_stop(),
    up_write(i_mmap_sem, (_, f) => f.mapping),
    label("out_mutex"),
    up_write(i_rwsem, (_, f) => f.mapping),
  ],
);
