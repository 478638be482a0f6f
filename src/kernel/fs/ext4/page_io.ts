/**
 * A page on its way to the disk, and its completion.
 *
 * Source: fs/ext4/page-io.c in v4.20. A buffer that waits for a block, or whose extent is not written yet, is not sent; one
 * that is not mapped is over a hole and becomes clean, as does one that is wholly behind the end of the file.
 *
 * Left out: zeroing what is behind i_size in the last page (nobody can read it), bios of more than one page.
 */
import { queue_page } from "../../block/disk.js";
import type { Kernel } from "../../kernel.js";
import { call, given, held, path, step, under } from "../../language.js";
import { xa_lock } from "../../locks.js";
import { end_page_writeback } from "../../mm/filemap.js";
import { unlock } from "../../mm/page.js";
import { set_page_writeback } from "../../mm/page_writeback.js";
import { BH } from "../../structs.js";
import { int, type Pfn, pfn } from "../../types.js";
import {
  buffer_async_write,
  buffer_dirty,
  buffer_mapped,
  delay_or_unwritten,
  page_buffers_BUG_ON,
  write_buffer,
} from "../buffer.js";

/**
 * How many parts of a page are in a file of a size in parts: 0 of one that begins where the file ends. One that is behind it counts
 * as whole.
 */
export function len_of_page(k: Kernel, page: Pfn, size: number): number {
  const { parts } = k.geometry;
  return k.page.index[page] === Math.floor(size / parts) ? size % parts : parts;
}

/** Put a clean, locked page under writeback and submit its buffers, as far as they are in a file of `size` parts; unlocks it. */
export const ext4_bio_write_page = path(
  "ext4_bio_write_page",
  { source: "fs/ext4/page-io.c v4.20", args: { page: pfn, size: int }, locals: { nr_submitted: int } },
  [
    under(xa_lock, [step("set_page_writeback", (k, f) => set_page_writeback(k, f.page))]),
    held(
      step("set_buffer_async_write", (k, f) => {
        if (len_of_page(k, f.page, f.size) === 0) write_buffer(k, f.page, BH.uptodate, BH.dirty);
        else if (!buffer_mapped(k, f.page)) write_buffer(k, f.page, 0, BH.dirty);
        else if (buffer_dirty(k, f.page) && !delay_or_unwritten(k, f.page))
          write_buffer(k, f.page, BH.async_write);
      }),
    ),
    // The buffer is clean from its submission on, not from its completion.
    held(
      step("io_submit_add_bh", (k, f) => {
        if (!buffer_async_write(k, f.page)) return;
        write_buffer(k, f.page, 0, BH.dirty);
        f.nr_submitted++;
      }),
    ),
    unlock(),
    given(
      (_, f) => f.nr_submitted > 0,
      [step("ext4_io_submit", (k, f) => queue_page(k, f.page))],
      [call(() => end_page_writeback, { page: "page" })],
    ),
  ],
);

/** Completion of a page's write: ext4_end_bio, in interrupt context. */
export const ext4_finish_bio = path(
  "ext4_finish_bio",
  { source: "fs/ext4/page-io.c v4.20", args: { page: pfn } },
  [
    held(
      step("clear_buffer_async_write", (k, f) => {
        if (!page_buffers_BUG_ON(k, f.page)) write_buffer(k, f.page, 0, BH.async_write);
      }),
    ),
    call(() => end_page_writeback, { page: "page" }),
  ],
);
