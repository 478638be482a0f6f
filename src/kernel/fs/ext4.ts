/**
 * ext4 with ordered data and delayed allocation, for files whose blocks are allocated.
 *
 * Source: fs/ext4/inode.c, fs/ext4/page-io.c in v4.20. This is the owner of the dirty state that nobody asks: it
 * expects page_mkwrite before a page gets dirty, warns in ext4_set_page_dirty when it was not asked, and dies in
 * page_buffers() when it comes to write such a page.
 *
 * Left out: the journal's transactions (ext4_journal_start is a step without effect here), delayed and unwritten
 * extents, data=journal, i_mmap_sem and freeze protection around page_mkwrite (nobody truncates or freezes), bios of
 * more than one page (each page is submitted right after it is unlocked), lookups of fifteen pages at a time.
 */
import { queue_page } from "../block/disk.js";
import { call, check, given, goto, held, label, leave, local, path, step, under, when } from "../language.js";
import { private_lock, xa_lock } from "../locks.js";
import {
  end_page_writeback,
  find_get_page_tag,
  find_tagged,
  mapping_tagged,
  page_mapping,
  xa_set_mark,
} from "../mm/filemap.js";
import {
  lock_page,
  PageDirty,
  PageLocked,
  PageWriteback,
  settledUnlessWriteback,
  unlock,
  wait_on_page_writeback,
} from "../mm/page.js";
import { clear_page_dirty_for_io, set_page_writeback, WARN } from "../mm/page_writeback.js";
import { put_page } from "../mm/swap.js";
import { BH } from "../structs.js";
import { inode, int, NONE, pfn } from "../types.js";
import {
  __set_page_dirty_buffers,
  block_page_mkwrite,
  buffer_async_write,
  buffer_dirty,
  buffer_mapped,
  page_buffers_BUG_ON,
  page_has_buffers,
  try_to_free_buffers,
  write_buffer,
} from "./buffer.js";

export const ext4_set_page_dirty = path(
  "ext4_set_page_dirty",
  { source: "fs/ext4/inode.c v4.20", args: { page: pfn }, returns: int },
  [
    held(
      step("ext4_set_page_dirty", (k, f) => {
        k.WARN_ON_ONCE(
          !PageLocked(k, f.page) && !PageDirty(k, f.page),
          WARN.ext4_set_page_dirty_unlocked,
          "ext4_set_page_dirty: WARN_ON_ONCE(!PageLocked(page) && !PageDirty(page))",
          f.page,
        );
        k.WARN_ON_ONCE(
          !page_has_buffers(k, f.page),
          WARN.ext4_set_page_dirty_no_buffers,
          "ext4_set_page_dirty: WARN_ON_ONCE(!page_has_buffers(page))",
          f.page,
        );
      }),
    ),
    call(() => __set_page_dirty_buffers, { page: "page" }, "ret"),
  ],
);

/** A page is about to be written through a mapping: attach buffers, reserve, mark dirty. */
export const ext4_page_mkwrite = path(
  "ext4_page_mkwrite",
  { source: "fs/ext4/inode.c v4.20", args: { page: pfn, mapping: inode }, returns: int },
  [call(() => block_page_mkwrite, { page: "page", mapping: "mapping" }, "ret")],
);

/** May the page lose its buffers? Gives 1 when they are gone. */
export const ext4_releasepage = path(
  "ext4_releasepage",
  { source: "fs/ext4/inode.c v4.20", args: { page: pfn }, returns: int },
  [
    under(private_lock, [
      step("try_to_free_buffers", (k, f) => {
        f.ret = try_to_free_buffers(k, f.page) ? 1 : 0;
      }),
    ]),
  ],
);

export const ext4_readpage = path(
  "ext4_readpage",
  { source: "fs/ext4/readpage.c v4.20", args: { page: pfn } },
  [step("submit_bio", (k, f) => queue_page(k, f.page))],
);

/** Put a clean, locked page under writeback and submit its buffers; unlocks it. */
export const ext4_bio_write_page = path(
  "ext4_bio_write_page",
  { source: "fs/ext4/page-io.c v4.20", args: { page: pfn }, locals: { nr_submitted: int } },
  [
    under(xa_lock, [step("set_page_writeback", (k, f) => set_page_writeback(k, f.page))]),
    held(
      step("set_buffer_async_write", (k, f) => {
        if (buffer_dirty(k, f.page) && buffer_mapped(k, f.page)) write_buffer(k, f.page, BH.async_write);
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

/** Write one locked page: what reclaim and jbd2 call. Cannot allocate blocks. */
export const ext4_writepage = path(
  "ext4_writepage",
  { source: "fs/ext4/inode.c v4.20", args: { page: pfn } },
  [
    held(
      step("page_buffers", (k, f) => {
        page_buffers_BUG_ON(k, f.page);
      }),
    ),
    call(() => ext4_bio_write_page, { page: "page" }),
  ],
);

/** Find the dirty pages of a mapping and write those whose blocks are mapped: here, all of them. */
export const mpage_prepare_extent_to_map = path(
  "mpage_prepare_extent_to_map",
  {
    source: "fs/ext4/inode.c v4.20",
    args: { mapping: inode, sync: int },
    locals: { index: int, page: pfn },
  },
  [
    label("next"),
    step("pagevec_lookup_range_tag", (k, f) => {
      f.page = find_get_page_tag(k, f.mapping, f.index, f.sync === 1 ? "towrite" : "dirty");
    }),
    given((_, f) => f.page === NONE, [leave()]),
    local((k, f) => {
      f.index = k.page.index[f.page] + 1;
    }),
    lock_page(),
    settledUnlessWriteback(
      when(
        "!PageDirty",
        (k, f) =>
          !PageDirty(k, f.page) ||
          (PageWriteback(k, f.page) && f.sync === 0) ||
          page_mapping(k, f.page) !== f.mapping,
        [unlock(), goto("release")],
      ),
    ),
    settledUnlessWriteback(wait_on_page_writeback()),
    held(
      step("page_buffers", (k, f) => {
        page_buffers_BUG_ON(k, f.page);
      }),
    ),
    // mpage_process_page_bufs: every buffer is mapped, so the page is submitted at once (mpage_submit_page).
    call(() => clear_page_dirty_for_io, { page: "page" }),
    call(() => ext4_bio_write_page, { page: "page" }),
    label("release"),
    step("pagevec_release", (k, f) => {
      put_page(k, f.page);
      f.page = NONE;
    }),
    goto("next"),
  ],
);

/** Write a file's dirty pages. sync 1 is WB_SYNC_ALL: all that are dirty now, waiting for earlier writes. */
export const ext4_writepages = path(
  "ext4_writepages",
  { source: "fs/ext4/inode.c v4.20", args: { mapping: inode, sync: int } },
  [
    check("mapping_tagged", (k, f) => mapping_tagged(k, f.mapping, "dirty"), "out_writepages"),
    given(
      (_, f) => f.sync === 1,
      [
        step("tag_pages_for_writeback", (k, f) => {
          for (
            let at = find_tagged(k, f.mapping, 0, "dirty");
            at !== NONE;
            at = find_tagged(k, f.mapping, at + 1, "dirty")
          ) {
            xa_set_mark(k, k.xa_slot.page[k.slotOf(f.mapping, at)] - 1, "towrite");
          }
        }),
      ],
    ),
    // First the pages that need no block: without a transaction.
    call(() => mpage_prepare_extent_to_map, { mapping: "mapping", sync: "sync" }),
    // Then with one. No page here needs a block, so this pass ends the loop.
    held(step("ext4_journal_start", () => {})),
    call(() => mpage_prepare_extent_to_map, { mapping: "mapping", sync: "sync" }),
    label("out_writepages"),
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
