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
 * journal or not), attributes other than the size, break_layouts (DAX files have their own), reading the page of a partial
 * block that is not cached (its end stays as it is on the disk), i_data_sem.
 */
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
  step,
  up_write,
  when,
} from "../../language.js";
import { i_mmap_sem, i_rwsem } from "../../locks.js";
import { find_get_page, mapping_tagged } from "../../mm/filemap.js";
import { filemap_write_and_wait_range } from "../../mm/filemap_writeback.js";
import { lock_page, PageUptodate, unlock } from "../../mm/page.js";
import { put_page } from "../../mm/swap.js";
import { truncate_pagecache, truncate_pagecache_range } from "../../mm/truncate.js";
import { BH } from "../../structs.js";
import { type InodeNr, inode, int, NONE, pfn } from "../../types.js";
import { EXTENT, extent_state, free_extent } from "../blocks.js";
import { buffer_mapped, create_page_buffers, mark_buffer_dirty, write_buffer } from "../buffer.js";
import { should_journal_data } from "../jbd2/journal_head.js";
import { do_journal_get_write_access, write_end_fn } from "../jbd2/transaction.js";
import {
  ext4_inode_info,
  ext4_journal_start,
  ext4_journal_stop,
  ext4_mark_inode_dirty,
  freed_pending,
  JI,
  jbd2_journal_begin_ordered_truncate,
  jbd2_journal_file_inode,
} from "../jbd2.js";
import { ext4_wait_for_tail_page_commit } from "./journalled.js";

/** ext4_ext_remove_space: the blocks of pages `start` to before `end` go, promises too. The caller has a handle. */
function ext4_ext_remove_space(k: Kernel, mapping: InodeNr, start: number, end: number): void {
  for (let index = start; index < Math.min(end, k.inode.i_pages[mapping]); index++)
    free_extent(k, mapping, index, freed_pending(k));
  ext4_mark_inode_dirty(k, mapping);
}

/** ext4_update_i_disksize: what the inode says on the disk from the next commit on. The caller has a handle. */
export function ext4_update_i_disksize(k: Kernel, mapping: InodeNr, size: number): void {
  const { i_disksize } = k.of(ext4_inode_info);
  if (i_disksize.length > 0) i_disksize[mapping] = size;
}

/**
 * Zero the end of the page in which the file ends, if it is cached and has a block: the page is dirty from then on, and with
 * data=ordered the commit writes it, and all that is dirty of the file.
 */
export const ext4_block_truncate_page = path(
  "ext4_block_truncate_page",
  {
    source: "fs/ext4/inode.c v4.20, __ext4_block_zero_page_range",
    args: { mapping: inode },
    locals: { page: pfn },
  },
  [
    step("find_or_create_page", (k, f) => {
      f.page = find_get_page(k, f.mapping, Math.floor(k.inode.i_size[f.mapping] / k.geometry.parts));
    }),
    given((_, f) => f.page === NONE, [leave()]),
    lock_page(),
    create_page_buffers(),
    held(
      when(
        "buffer_unmapped",
        (k, f) =>
          !buffer_mapped(k, f.page) && extent_state(k, f.mapping, k.page.index[f.page]) !== EXTENT.mapped,
        [goto("unlock")],
      ),
    ),
    held(
      step("set_buffer_uptodate", (k, f) =>
        write_buffer(k, f.page, BH.mapped | (PageUptodate(k, f.page) ? BH.uptodate : 0)),
      ),
    ),
    given((k) => should_journal_data(k), [do_journal_get_write_access()]),
    step("zero_user", (k, f) => {
      const { parts } = k.geometry;
      for (let part = k.inode.i_size[f.mapping] % parts; part < parts; part++)
        k.content.version[f.page * parts + part]++;
    }),
    given(
      (k) => should_journal_data(k),
      [step("ext4_handle_dirty_metadata", (k, f) => write_end_fn(k, f))],
      [
        call(() => mark_buffer_dirty, { page: "page" }),
        step("ext4_jbd2_inode_add_write", (k, f) =>
          jbd2_journal_file_inode(k, f.mapping, JI.WRITE_DATA | JI.WAIT_DATA),
        ),
      ],
    ),
    label("unlock"),
    unlock(),
    step("put_page", (k, f) => put_page(k, f.page)),
  ],
);

/** Free the blocks beyond i_size. */
export const ext4_truncate = path(
  "ext4_truncate",
  { source: "fs/ext4/inode.c v4.20", args: { mapping: inode } },
  [
    ext4_journal_start(),
    given(
      (k, f) => k.inode.i_size[f.mapping] % k.geometry.parts !== 0,
      [call(() => ext4_block_truncate_page, { mapping: "mapping" })],
    ),
    config("blocks", [
      step("ext4_ext_remove_space", (k, f) => {
        const start = Math.ceil(k.inode.i_size[f.mapping] / k.geometry.parts);
        ext4_ext_remove_space(k, f.mapping, start, k.inode.i_pages[f.mapping]);
      }),
    ]),
    ext4_journal_stop(),
  ],
);

/** ftruncate(2): a new size, in parts of a page. Gives 0 or a negative error. */
export const ext4_setattr = path(
  "ext4_setattr",
  {
    source: "fs/ext4/inode.c v4.20, do_truncate of fs/open.c",
    args: { mapping: inode, size: int },
    locals: { shrink: int, orphan: int },
    returns: int,
  },
  [
    down_write(i_rwsem, (_, f) => f.mapping),
    local((k, f) => {
      f.shrink = f.size <= k.inode.i_size[f.mapping] ? 1 : 0;
    }),
    config("journal", [
      given(
        (k, f) => k.geometry.mount.data === "ordered" && f.size < k.inode.i_size[f.mapping],
        [
          call(() => jbd2_journal_begin_ordered_truncate, { mapping: "mapping", newsize: "size" }, "ret"),
          given((_, f) => f.ret !== 0, [goto("err_out")]),
        ],
      ),
    ]),
    given(
      (k, f) => f.size !== k.inode.i_size[f.mapping],
      [
        ext4_journal_start(),
        config("journal", [
          local((_, f) => {
            f.orphan = f.shrink;
          }),
        ]),
        step("i_size_write", (k, f) => {
          ext4_update_i_disksize(k, f.mapping, f.size);
          ext4_mark_inode_dirty(k, f.mapping);
          k.inode.i_size[f.mapping] = f.size;
        }),
        ext4_journal_stop(),
      ],
    ),
    // Without a journal there is no orphan list, and nobody waits.
    given(
      (_, f) => f.orphan === 1,
      [
        given(
          (k) => should_journal_data(k),
          [call(() => ext4_wait_for_tail_page_commit, { mapping: "mapping" })],
          [step("inode_dio_wait", () => {})],
        ),
      ],
    ),
    down_write(i_mmap_sem, (_, f) => f.mapping),
    call(() => truncate_pagecache, { mapping: "mapping", newsize: "size" }),
    given((_, f) => f.shrink === 1, [call(() => ext4_truncate, { mapping: "mapping" })]),
    up_write(i_mmap_sem, (_, f) => f.mapping),
    config("journal", [label("err_out")]),
    up_write(i_rwsem, (_, f) => f.mapping),
  ],
);

/** What is delayed may never be written once its page is gone: the size that it would have brought to the disk comes now. */
const ext4_update_disksize_before_punch = path(
  "ext4_update_disksize_before_punch",
  { source: "fs/ext4/inode.c v4.20", args: { mapping: inode, start: int, end: int } },
  [
    given(
      (k, f) => {
        const { parts } = k.geometry;
        const size = k.inode.i_size[f.mapping];
        return f.start * parts > size || f.end * parts < size;
      },
      [leave()],
    ),
    config("journal", [
      when(
        "i_disksize < i_size",
        (k, f) => k.of(ext4_inode_info).i_disksize[f.mapping] < k.inode.i_size[f.mapping],
        [
          ext4_journal_start(),
          step("ext4_update_i_disksize", (k, f) => {
            ext4_update_i_disksize(k, f.mapping, k.inode.i_size[f.mapping]);
            ext4_mark_inode_dirty(k, f.mapping);
          }),
          ext4_journal_stop(),
        ],
      ),
    ]),
  ],
);

/** fallocate(2) with FALLOC_FL_PUNCH_HOLE: pages `start` to before `end` become a hole, the size stays. Gives 0 or an error. */
export const ext4_punch_hole = path(
  "ext4_punch_hole",
  {
    source: "fs/ext4/inode.c v4.20",
    args: { mapping: inode, start: int, end: int },
    locals: { lstart: int, lend: int, last: int },
    returns: int,
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
      given((_, f) => f.ret !== 0, [leave()]),
    ]),
    down_write(i_rwsem, (_, f) => f.mapping),
    check("i_size_read", (k, f) => f.start * k.geometry.parts < k.inode.i_size[f.mapping], "out_mutex"),
    local((k, f) => {
      // A hole that reaches beyond the end of the file ends with the page in which the file does.
      const { parts } = k.geometry;
      const size = k.inode.i_size[f.mapping];
      f.last = f.end * parts > size ? Math.floor(size / parts) + 1 : f.end;
      f.lstart = f.start * parts;
      f.lend = f.last * parts;
    }),
    step("inode_dio_wait", () => {}),
    down_write(i_mmap_sem, (_, f) => f.mapping),
    call(() => ext4_update_disksize_before_punch, { mapping: "mapping", start: "start", end: "last" }),
    call(() => truncate_pagecache_range, { mapping: "mapping", lstart: "lstart", lend: "lend" }),
    ext4_journal_start(),
    config("blocks", [
      step("ext4_ext_remove_space", (k, f) => ext4_ext_remove_space(k, f.mapping, f.start, f.last)),
    ]),
    ext4_journal_stop(),
    up_write(i_mmap_sem, (_, f) => f.mapping),
    label("out_mutex"),
    up_write(i_rwsem, (_, f) => f.mapping),
  ],
);
