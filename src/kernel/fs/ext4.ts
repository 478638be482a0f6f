/**
 * ext4: what it does when a page is dirtied, written, released and invalidated.
 *
 * Source: fs/ext4/inode.c, fs/ext4/page-io.c in v4.20. This is the owner of the dirty state that nobody asks: it
 * expects page_mkwrite before a page gets dirty, warns in ext4_set_page_dirty when it was not asked, and dies in
 * page_buffers() when it comes to write such a page.
 *
 * On machines without "blocks" the blocks of all files are allocated. With it get_block finds holes, delayed and unwritten
 * extents (fs/ext4/get_block.ts), and writepages chooses blocks (fs/ext4/writepages.ts); with "journal" that needs handles
 * (fs/jbd2.ts). What is different with data=journal is in fs/ext4/journalled.ts, write(2) in fs/ext4/write.ts. i_mmap_sem is there with "truncate" (fs/ext4/truncate.ts): elsewhere nobody takes it for writing. A machine
 * with none of "blocks", "kupdate" and "truncate" has a writepages that knows no range and no limit: it writes the whole file.
 *
 * Left out: dioread_nolock (off by default: extents become written when they are mapped for writing, not at
 * the end of the transfer), inline data, freeze protection and file_update_time around page_mkwrite, the switch to
 * nodelalloc when space gets short (ext4_nonda_switch: it would always be on for disks as small as these), bios of more
 * than one page (each page is submitted right after it is unlocked), lookups of fifteen pages at a time, the warning about
 * direct reclaim in writepage (it never writes).
 */
import type { Node } from "../../machine/path.js";
import { queue_page } from "../block/disk.js";
import { ERRNO } from "../errno.js";
import type { Kernel } from "../kernel.js";
import {
  call,
  check,
  config,
  down_read,
  given,
  goto,
  held,
  label,
  leave,
  local,
  lockdep_assert_not_held,
  path,
  step,
  under,
  up_read,
  when,
} from "../language.js";
import { i_mmap_sem, PG_locked, private_lock, xa_lock } from "../locks.js";
import { filemap_fault, i_size_pages, mapping_tagged } from "../mm/filemap.js";
import { lock_page, PageChecked, PageDirty, PageLocked, unlock } from "../mm/page.js";
import {
  clear_page_dirty_for_io,
  RANGE_END,
  redirty_page_for_writepage,
  tag_pages_for_writeback,
  WARN,
  wait_for_stable_page,
} from "../mm/page_writeback.js";
import { pagevec_lookup_range_tag, pagevec_next } from "../mm/pagevec.js";
import { VM_FAULT } from "../operations.js";
import { BH } from "../structs.js";
import { inode, int, NONE, type Pfn, pfn } from "../types.js";
import { release_delayed } from "./blocks.js";
import {
  __set_page_dirty_buffers,
  block_page_mkwrite,
  block_page_mkwrite_return,
  buffer_delay,
  buffer_mapped,
  delay_or_unwritten,
  i_size_read,
  is_truncated,
  page_buffers_BUG_ON,
  page_has_buffers,
  try_to_free_buffers,
  write_buffer,
} from "./buffer.js";
import { da_get_block, ext4_should_retry_alloc, get_block } from "./ext4/get_block.js";
import { __ext4_journalled_writepage } from "./ext4/journalled.js";
import { ext4_bio_write_page, len_of_page } from "./ext4/page_io.js";
import { mpage_lock_page, mpage_release_page } from "./ext4/writepages.js";
import { block_invalidatepage } from "./invalidatepage.js";
import { should_journal_data } from "./jbd2/journal_head.js";
import { do_journal_get_write_access, jbd2_journal_try_to_free_buffers } from "./jbd2/transaction.js";
import { ext4_journal_start, ext4_journal_stop } from "./jbd2.js";

/** block_page_mkwrite with ext4_da_get_block_prep, with ext4_get_block, and on machines on which all blocks are mapped. */
const da_block_page_mkwrite = block_page_mkwrite(da_get_block());
const get_block_page_mkwrite = block_page_mkwrite(get_block());
const mapped_page_mkwrite = block_page_mkwrite([]);

/** Whether every buffer of a page is mapped, as far as it is in the file. */
const is_mapped = (k: Kernel, page: Pfn, size: number): boolean =>
  len_of_page(k, page, size) === 0 || buffer_mapped(k, page);

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
  {
    source: "fs/ext4/inode.c v4.20",
    args: { page: pfn, mapping: inode },
    locals: { retries: int, size: int },
    returns: int,
  },
  [
    config("truncate", [down_read(i_mmap_sem, (_, f) => f.mapping)]),
    config(
      "blocks",
      [
        given((k) => !k.geometry.mount.delalloc, [goto("nodelalloc")]),
        label("retry"),
        call(() => da_block_page_mkwrite, { page: "page", mapping: "mapping" }, "ret"),
        given((_, f) => f.ret !== -ERRNO.ENOSPC, [goto("out_ret")]),
        lockdep_assert_not_held(PG_locked),
        call(() => ext4_should_retry_alloc, { mapping: "mapping", retries: "retries" }, "ret"),
        given((_, f) => f.ret === 1, [goto("retry")]),
        goto("no_space"),
        label("nodelalloc"),
        lock_page(),
        i_size_read(),
        held(check("page->mapping == mapping", (k, f) => !is_truncated(k, f, f.size), "truncated")),
        // With all buffers mapped there is no need for a handle, nor to dirty the page here: the fault does.
        held(
          when("ext4_bh_unmapped", (k, f) => page_has_buffers(k, f.page) && is_mapped(k, f.page, f.size), [
            wait_for_stable_page(),
            local((_, f) => {
              f.ret = VM_FAULT.LOCKED;
            }),
            goto("out"),
          ]),
        ),
        unlock(),
        label("retry_alloc"),
        ext4_journal_start(),
        call(() => get_block_page_mkwrite, { page: "page", mapping: "mapping" }, "ret"),
        given((k, f) => f.ret === 0 && should_journal_data(k), [do_journal_get_write_access()]),
        ext4_journal_stop(),
        given((_, f) => f.ret !== -ERRNO.ENOSPC, [goto("out_ret")]),
        lockdep_assert_not_held(PG_locked),
        call(() => ext4_should_retry_alloc, { mapping: "mapping", retries: "retries" }, "ret"),
        given((_, f) => f.ret === 1, [goto("retry_alloc")]),
        label("no_space"),
        local((_, f) => {
          f.ret = -ERRNO.ENOSPC;
        }),
        goto("out_ret"),
        label("truncated"),
        unlock(),
        local((_, f) => {
          f.ret = VM_FAULT.NOPAGE;
        }),
        goto("out"),
      ],
      [call(() => mapped_page_mkwrite, { page: "page", mapping: "mapping" }, "ret")],
    ),
    label("out_ret"),
    local((_, f) => {
      f.ret = block_page_mkwrite_return(f.ret);
    }),
    label("out"),
    config("truncate", [up_read(i_mmap_sem, (_, f) => f.mapping)]),
  ],
);

/** The page of a file for a fault: filemap_fault, with no truncation or punch under way. */
export const ext4_filemap_fault = path(
  "ext4_filemap_fault",
  {
    source: "fs/ext4/inode.c v4.20",
    args: { mapping: inode, index: int, vma: int, flags: int },
    returns: pfn,
  },
  [
    down_read(i_mmap_sem, (_, f) => f.mapping),
    call(() => filemap_fault, { mapping: "mapping", index: "index", vma: "vma", flags: "flags" }, "ret"),
    up_read(i_mmap_sem, (_, f) => f.mapping),
  ],
);

/** May the page lose its buffers? Gives 1 when they are gone. */
const releasepage = (free: (k: Kernel, page: Pfn) => boolean) =>
  path("ext4_releasepage", { source: "fs/ext4/inode.c v4.20", args: { page: pfn }, returns: int }, [
    held(when("PageChecked", (k, f) => PageChecked(k, f.page), [leave()])),
    under(private_lock, [
      step("try_to_free_buffers", (k, f) => {
        f.ret = free(k, f.page) ? 1 : 0;
      }),
    ]),
  ]);
/** Without journalled data no buffer is attached to a transaction. */
export const ext4_releasepage = releasepage(try_to_free_buffers);
export const ext4_journalled_releasepage = releasepage(jbd2_journal_try_to_free_buffers);

/** A page leaves the file, wholly or in part. */
export const ext4_invalidatepage = path(
  "ext4_invalidatepage",
  { source: "fs/ext4/inode.c v4.20", args: { page: pfn, offset: int, length: int } },
  [call(() => block_invalidatepage, { page: "page", offset: "offset", length: "length" })],
);

/** The same with delayed allocation: what was promised for it is void. */
export const ext4_da_invalidatepage = path(
  "ext4_da_invalidatepage",
  { source: "fs/ext4/inode.c v4.20", args: { page: pfn, offset: int, length: int } },
  [
    config("blocks", [
      given(
        (k, f) => f.offset === 0 && f.length === k.geometry.parts,
        [
          step("ext4_da_page_release_reservation", (k, f) => {
            if (!buffer_delay(k, f.page)) return;
            release_delayed(k, k.page.mapping[f.page], k.page.index[f.page]);
            write_buffer(k, f.page, 0, BH.delay);
          }),
        ],
      ),
    ]),
    call(() => ext4_invalidatepage, { page: "page", offset: "offset", length: "length" }),
  ],
);

export const ext4_readpage = path(
  "ext4_readpage",
  { source: "fs/ext4/readpage.c v4.20", args: { page: pfn } },
  [step("submit_bio", (k, f) => queue_page(k, f.page))],
);

/** Write one locked page: what reclaim and jbd2 call. Cannot allocate blocks. */
const writepage = (journalled: readonly Node<Kernel, { readonly page: Pfn }>[]) =>
  path("ext4_writepage", { source: "fs/ext4/inode.c v4.20", args: { page: pfn }, locals: { size: int } }, [
    i_size_read(),
    held(
      step("page_buffers", (k, f) => {
        page_buffers_BUG_ON(k, f.page);
      }),
    ),
    config("blocks", [
      held(
        when(
          "ext4_bh_delay_or_unwritten",
          (k, f) => len_of_page(k, f.page, f.size) > 0 && delay_or_unwritten(k, f.page),
          [call(() => redirty_page_for_writepage, { page: "page" }), unlock(), leave()],
        ),
      ),
    ]),
    ...journalled,
    call(() => ext4_bio_write_page, { page: "page", size: "size" }),
  ]);
export const ext4_writepage = writepage([]);
/** With data=journal: what is pending goes to the journal, what has been there to its place. */
export const ext4_journalled_writepage = writepage([
  when("PageChecked", (k, f) => PageChecked(k, f.page), [
    { op: "call", callee: () => __ext4_journalled_writepage, args: { page: "page" }, into: null },
    leave(),
  ]),
]);

/** Find the dirty pages of a mapping from `first_page` on and write them: the blocks of all are mapped. */
export const mpage_prepare_extent_to_map = path(
  "mpage_prepare_extent_to_map",
  {
    source: "fs/ext4/inode.c v4.20",
    args: { mapping: inode, sync: int, first_page: int },
    locals: { index: int, page: pfn },
  },
  [
    local((_, f) => {
      f.index = f.first_page;
    }),
    label("next"),
    given((_, f) => f.index > RANGE_END, [leave()]),
    step("pagevec_lookup_range_tag", (k, f) =>
      pagevec_lookup_range_tag(k, f, RANGE_END, f.sync === 1 ? "towrite" : "dirty"),
    ),
    given((_, f) => f.page === NONE, [leave()]),
    label("page"),
    ...mpage_lock_page(),
    // mpage_process_page_bufs: every buffer is mapped, so the page is submitted at once (mpage_submit_page).
    call(() => clear_page_dirty_for_io, { page: "page" }),
    call(() => ext4_bio_write_page, { page: "page", size: -1 }),
    local((_, f) => {
      f.first_page++;
    }),
    // The last page of the file is the last of the walk.
    given((k, f) => k.page.index[f.page] + 1 >= i_size_pages(k, f.mapping), [mpage_release_page(), leave()]),
    label("release"),
    pagevec_next("page"),
    mpage_release_page(),
    goto("next"),
  ],
);

/** Write a file's dirty pages. sync 1 is WB_SYNC_ALL: all that are dirty now, waiting for earlier writes. */
export const ext4_writepages_whole = path(
  "ext4_writepages",
  {
    source: "fs/ext4/inode.c v4.20",
    args: { mapping: inode, sync: int },
    locals: { first_page: int },
  },
  [
    check("mapping_tagged", (k, f) => mapping_tagged(k, f.mapping, "dirty"), "out_writepages"),
    given(
      (_, f) => f.sync === 1,
      [
        under(xa_lock, [
          step("tag_pages_for_writeback", (k, f) => tag_pages_for_writeback(k, f.mapping, 0, RANGE_END)),
        ]),
      ],
    ),
    // First the pages that need no block: without a transaction.
    call(() => mpage_prepare_extent_to_map, { mapping: "mapping", sync: "sync", first_page: "first_page" }),
    // Then with one, from where the first walk stopped. No page here needs a block, so this ends the loop.
    held(step("ext4_journal_start", () => {})),
    call(() => mpage_prepare_extent_to_map, { mapping: "mapping", sync: "sync", first_page: "first_page" }),
    label("out_writepages"),
  ],
);
