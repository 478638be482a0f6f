/**
 * data=journal: file data goes through the journal, and everything that dirties a page is put off.
 *
 * Source: fs/ext4/inode.c in v4.20. A page that is dirtied by a store, a zap or a driver is only marked (PG_checked): its buffers
 * belong to the journal, and whoever marks has no handle. writepage has one, and gives the buffers to the running transaction, so
 * that the page's bytes are written with the commit. PG_checked also keeps the buffers from being released. It goes with the first
 * writepage: from then on the journal_head does, and when the transaction is on the disk and the page written to its place nothing does.
 * A device that still holds the page can then write into one that has no buffers; the next writepage asks for them and dies, in
 * ext4_writepage itself, called by write_cache_pages (trap 18). Nobody has warned before.
 *
 * Left out: EXT4_STATE_JDATA (bmap asks for it), errors of the journal.
 */
import type { Kernel } from "../../kernel.js";
import { call, check, config, given, goto, label, leave, local, path, step, when } from "../../language.js";
import { find_get_page, mapping_tagged } from "../../mm/filemap.js";
import {
  ClearPageChecked,
  get_page,
  lock_page,
  SetPageChecked,
  SetPageUptodate,
  unlock,
} from "../../mm/page.js";
import { __set_page_dirty_nobuffers, generic_writepages } from "../../mm/page_writeback.js";
import { put_page } from "../../mm/swap.js";
import { mark_written } from "../../mm/written.js";
import { inode, int, NONE, type Pfn, pfn } from "../../types.js";
import { page_buffers_BUG_ON, page_has_buffers, try_to_free_buffers } from "../buffer.js";
import { journal_head } from "../jbd2/journal_head.js";
import { do_journal_get_write_access, journal_unmap_buffer, write_end_fn } from "../jbd2/transaction.js";
import { ext4_journal_start, ext4_journal_stop, ext4_mark_inode_dirty } from "../jbd2.js";
import { update_inode_size } from "./write.js";

/** Mark a page as pending: it is journalled when it is written. */
export const ext4_journalled_set_page_dirty = path(
  "ext4_journalled_set_page_dirty",
  { source: "fs/ext4/inode.c v4.20", args: { page: pfn }, returns: int },
  [
    step("SetPageChecked", (k, f) => SetPageChecked(k, f.page)),
    call(() => __set_page_dirty_nobuffers, { page: "page" }, "ret"),
  ],
);

const count_buffer = (k: Kernel, page: Pfn, by: 1 | -1): void => {
  k.of(journal_head).b_count[page] += by;
};

/**
 * Give a locked page's buffers to the running transaction; unlocks it. The page lock is dropped for the handle. If the page is truncated
 * meanwhile, the references to its buffers are never given back (they are not in v4.20): it keeps its buffers for ever.
 */
export const __ext4_journalled_writepage = path(
  "__ext4_journalled_writepage",
  { source: "fs/ext4/inode.c v4.20", args: { page: pfn }, locals: { mapping: inode } },
  [
    local((k, f) => {
      f.mapping = k.page.mapping[f.page];
    }),
    step("ClearPageChecked", (k, f) => ClearPageChecked(k, f.page)),
    step("bget_one", (k, f) => {
      if (!page_buffers_BUG_ON(k, f.page)) count_buffer(k, f.page, 1);
    }),
    step("get_page", (k, f) => get_page(k, f.page)),
    unlock(),
    ext4_journal_start(),
    lock_page(),
    step("put_page", (k, f) => put_page(k, f.page)),
    when("page->mapping != mapping", (k, f) => k.page.mapping[f.page] !== f.mapping, [
      ext4_journal_stop(),
      goto("out"),
    ]),
    do_journal_get_write_access(),
    step("write_end_fn", (k, f) => write_end_fn(k, f)),
    ext4_journal_stop(),
    step("bput_one", (k, f) => count_buffer(k, f.page, -1)),
    label("out"),
    unlock(),
  ],
);

/** Write a file's dirty pages one by one, with writepage. Gives 0 or a negative error. */
export const ext4_journalled_writepages = path(
  "ext4_writepages",
  {
    source: "fs/ext4/inode.c v4.20",
    args: { mapping: inode, sync: int, tagged: int, nr_to_write: int, range_start: int, range_end: int },
    returns: int,
  },
  [
    check("mapping_tagged", (k, f) => mapping_tagged(k, f.mapping, "dirty"), "out_writepages"),
    call(
      () => generic_writepages,
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
    label("out_writepages"),
  ],
);

/** The end of a write: the bytes are the running transaction's. The page itself is not dirty before that has committed. */
export const ext4_journalled_write_end = path(
  "ext4_journalled_write_end",
  {
    source: "fs/ext4/inode.c v4.20",
    args: { mapping: inode, index: int, from: int, to: int, page: pfn },
    locals: { changed: int },
    returns: int,
  },
  [
    step("write_end_fn", (k, f) => {
      write_end_fn(k, f);
      mark_written(k, f.page);
    }),
    step("SetPageUptodate", (k, f) => SetPageUptodate(k, f.page)),
    step("ext4_update_inode_size", update_inode_size),
    unlock(),
    step("put_page", (k, f) => put_page(k, f.page)),
    given(
      (_, f) => f.changed === 1,
      [step("ext4_mark_inode_dirty", (k, f) => ext4_mark_inode_dirty(k, f.mapping))],
    ),
    ext4_journal_stop(),
    leave((_, f) => f.to - f.from),
  ],
);

/** A page leaves the file. One whose buffers a commit has keeps them until that is done; a part of a page is never a whole block. */
export const ext4_journalled_invalidatepage = path(
  "ext4_journalled_invalidatepage",
  {
    source: "fs/ext4/inode.c v4.20",
    args: { page: pfn, offset: int, length: int },
    locals: { may_free: int },
  },
  [
    given((k, f) => f.offset > 0 || f.length < k.geometry.parts, [leave()]),
    step("ClearPageChecked", (k, f) => ClearPageChecked(k, f.page)),
    when("!page_has_buffers", (k, f) => !page_has_buffers(k, f.page), [leave()]),
    step("journal_unmap_buffer", (k, f) => {
      f.may_free = journal_unmap_buffer(k, f.page, k.inode.disk[k.page.mapping[f.page]]) ? 1 : 0;
    }),
    given(
      (_, f) => f.may_free === 1,
      [step("try_to_free_buffers", (k, f) => void try_to_free_buffers(k, f.page))],
    ),
  ],
);

/**
 * Before pages behind a new size go: of the page in which the file ends now, what is in the journal must be out of it. With blocks as
 * large as pages that is nothing; but a file that ends between two pages has the first page behind its end invalidated here, under
 * writeback or not.
 */
export const ext4_wait_for_tail_page_commit = path(
  "ext4_wait_for_tail_page_commit",
  { source: "fs/ext4/inode.c v4.20", args: { mapping: inode }, locals: { page: pfn, length: int } },
  [
    given((k, f) => k.inode.i_size[f.mapping] % k.geometry.parts > 0, [leave()]),
    step("find_lock_page", (k, f) => {
      const index = k.inode.i_size[f.mapping] / k.geometry.parts;
      f.page = index < k.inode.i_pages[f.mapping] ? find_get_page(k, f.mapping, index) : NONE;
    }),
    given((_, f) => f.page === NONE, [leave()]),
    lock_page(),
    config("truncate", [
      local((k, f) => {
        f.length = k.geometry.parts;
      }),
    ]),
    call(() => ext4_journalled_invalidatepage, { page: "page", offset: 0, length: "length" }),
    unlock(),
    step("put_page", (k, f) => put_page(k, f.page)),
  ],
);
