/**
 * btrfs as far as dirty pages go: every write goes to a new block, prepared before the page is dirtied, and a page that
 * was dirtied without that is found out at writeback and handed to a fixup worker.
 *
 * Source: fs/btrfs/inode.c, fs/btrfs/extent_io.c in v4.20. page_mkwrite reserves space and marks the range delalloc; writeback
 * turns delalloc into an ordered extent (a new block, fs/cow.ts) and sets PG_private_2, "this page was prepared". A page that
 * arrives without it was dirtied behind the filesystem's back, as by a device's driver: writepage_start_hook sets
 * PG_checked, queues the fixup worker with a page reference, and gives -EBUSY.
 *
 * The worker of v4.20 prepares a page only if it is still dirty. The walk has cleaned it before it came to the hook, and
 * -EBUSY does not dirty it again. So unless somebody else dirties the page meanwhile, the worker finds a clean page,
 * takes PG_checked off, and nothing is written: the device's bytes are lost. (v5.6 gave -EAGAIN instead, which redirties.)
 * A page whose PG_checked is set gives -EAGAIN here too, and is redirtied.
 *
 * Needs config "blocks". Left out: checksums, compression, inline extents, the extent lock (its sections are single steps), subpages,
 * truncation (no invalidatepage: do not truncate files of btrfs here), the worker that finishes ordered extents (its step is
 * the disk's, after the end of writeback), extent_write_cache_pages' own order (the walk is write_cache_pages, which looks at
 * PG_dirty once more), bios of more than one page, that a page loses PG_uptodate when the worker fails.
 */
import { struct, u8 } from "../../machine/memory.js";
import { queue_page } from "../block/disk.js";
import { ERRNO } from "../errno.js";
import type { Geometry } from "../geometry.js";
import type { Kernel, Table } from "../kernel.js";
import {
  awaits,
  call,
  config,
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
  wait,
  when,
} from "../language.js";
import { PG_writeback, xa_lock } from "../locks.js";
import { end_page_writeback, i_size_pages } from "../mm/filemap.js";
import { mapping_set_error } from "../mm/mapping_error.js";
import {
  ClearPageChecked,
  ClearPagePrivate,
  ClearPagePrivate2,
  get_page,
  lock_page,
  PageChecked,
  PageDirty,
  PagePrivate,
  PagePrivate2,
  PageWriteback,
  SetPageChecked,
  SetPagePrivate,
  SetPagePrivate2,
  SetPageUptodate,
  settledUnlessWriteback,
  unlock,
  wait_on_page_writeback,
} from "../mm/page.js";
import {
  __set_page_dirty_nobuffers,
  redirty_page_for_writepage,
  set_page_dirty,
  set_page_writeback,
  write_cache_pages,
} from "../mm/page_writeback.js";
import { put_page } from "../mm/swap.js";
import { FS, VM_FAULT } from "../operations.js";
import { type InodeNr, inode, int, NONE, type Pfn, pfn } from "../types.js";
import { cow_fork, free_blocks, sb_info, set_bi_sector_cow } from "./blocks.js";
import { COW, cow_allocate, cow_end, cow_state } from "./cow.js";

/** fs_info->fixup_workers: pages that wait for the worker, each with a reference. */
export const btrfs_fixup = struct("btrfs_writepage_fixup", {
  queued: u8("1 while the page is in the queue of the fixup worker"),
});

const uses = (g: Geometry): boolean => g.files.some(({ fs }) => fs === FS.btrfs);

/** The struct of this file. */
export const btrfsTable: Table = { struct: btrfs_fixup, rows: (g) => (uses(g) ? g.pages : 0) };

// ---- space

/** btrfs_delalloc_reserve_space: promise one block. Gives 0 or -ENOSPC. */
function btrfs_delalloc_reserve_space(k: Kernel, mapping: InodeNr): number {
  if (!k.has("blocks")) throw new Error('btrfs_delalloc_reserve_space: btrfs needs config "blocks"');
  const sb = k.inode.disk[mapping];
  if (free_blocks(k, sb) === 0) return -ERRNO.ENOSPC;
  k.of(sb_info).s_dirtyclusters_counter[sb]++;
  return 0;
}

function btrfs_delalloc_release_space(k: Kernel, mapping: InodeNr): void {
  k.of(sb_info).s_dirtyclusters_counter[k.inode.disk[mapping]]--;
}

/** btrfs_set_extent_delalloc: the promise becomes the page's. One that it had already is given up. */
function btrfs_set_extent_delalloc(k: Kernel, mapping: InodeNr, index: number): void {
  const { state } = k.of(cow_fork);
  const slot = k.slotOf(mapping, index);
  if (state[slot] === COW.none) state[slot] = COW.delayed;
  else btrfs_delalloc_release_space(k, mapping);
}

/** btrfs_lookup_ordered_range: a write of the page is under way, or not yet entered in the file. */
const is_ordered = (k: Kernel, mapping: InodeNr, index: number): boolean =>
  cow_state(k, mapping, index) === COW.real;

/** The page belongs to btrfs: PG_private, with a reference. */
function set_page_extent_mapped(k: Kernel, page: Pfn): void {
  if (PagePrivate(k, page)) return;
  SetPagePrivate(k, page);
  get_page(k, page);
}

// ---- dirtying

export const btrfs_set_page_dirty = path(
  "btrfs_set_page_dirty",
  { source: "fs/btrfs/inode.c v4.20", args: { page: pfn }, returns: int },
  [call(() => __set_page_dirty_nobuffers, { page: "page" }, "ret")],
);

/** A page is about to be written through a mapping: reserve, wait for what is being written, mark delalloc, dirty. */
export const btrfs_page_mkwrite = path(
  "btrfs_page_mkwrite",
  {
    source: "fs/btrfs/inode.c v4.20",
    args: { page: pfn, mapping: inode },
    locals: { ordered: int, index: int },
    returns: int,
  },
  [
    // Before the page lock: reserving may have to write pages out, this one perhaps.
    step("btrfs_delalloc_reserve_space", (k, f) => {
      f.ret = btrfs_delalloc_reserve_space(k, f.mapping);
    }),
    given((_, f) => f.ret < 0, [leave(() => VM_FAULT.SIGBUS)]),
    label("again"),
    lock_page(),
    held(
      when(
        "page->mapping != inode->i_mapping",
        (k, f) => k.page.mapping[f.page] !== f.mapping || k.page.index[f.page] >= i_size_pages(k, f.mapping),
        [goto("out_unlock")],
      ),
    ),
    settledUnlessWriteback(wait_on_page_writeback()),
    held(step("set_page_extent_mapped", (k, f) => set_page_extent_mapped(k, f.page))),
    step("btrfs_lookup_ordered_range", (k, f) => {
      f.index = k.page.index[f.page];
      f.ordered = is_ordered(k, f.mapping, f.index) ? 1 : 0;
    }),
    given(
      (_, f) => f.ordered === 1,
      [
        unlock(),
        local((_, f) => {
          f.ordered = 0;
        }),
        wait("btrfs_start_ordered_extent", (k, f) => !is_ordered(k, f.mapping, f.index)),
        goto("again"),
      ],
    ),
    held(step("btrfs_set_extent_delalloc", (k, f) => btrfs_set_extent_delalloc(k, f.mapping, f.index))),
    held(step("ClearPageChecked", (k, f) => ClearPageChecked(k, f.page))),
    call(() => set_page_dirty, { page: "page" }),
    held(step("SetPageUptodate", (k, f) => SetPageUptodate(k, f.page))),
    leave(() => VM_FAULT.LOCKED),
    label("out_unlock"),
    unlock(),
    step("btrfs_delalloc_release_space", (k, f) => btrfs_delalloc_release_space(k, f.mapping)),
    leave(() => VM_FAULT.NOPAGE),
  ],
);

export const btrfs_readpage = path(
  "btrfs_readpage",
  { source: "fs/btrfs/extent_io.c v4.20", args: { page: pfn } },
  [step("submit_bio", (k, f) => queue_page(k, f.page))],
);

/** May the page lose PG_private? Not while it is dirty or under writeback. Gives 1 when it is gone. */
export const btrfs_releasepage = path(
  "btrfs_releasepage",
  { source: "fs/btrfs/inode.c v4.20", args: { page: pfn }, returns: int },
  [
    step("btrfs_releasepage", (k, f) => {
      if (PageWriteback(k, f.page) || PageDirty(k, f.page)) return;
      ClearPagePrivate(k, f.page);
      put_page(k, f.page);
      f.ret = 1;
    }),
  ],
);

// ---- writeback

/** What writepage_start_hook gives: the page was prepared; it waits for the worker; it waits already. */
const HOOK = { prepared: 0, EBUSY: 1, EAGAIN: 2 } as const;

function btrfs_writepage_start_hook(k: Kernel, page: Pfn): number {
  if (PagePrivate2(k, page)) {
    ClearPagePrivate2(k, page);
    return HOOK.prepared;
  }
  if (PageChecked(k, page)) return HOOK.EAGAIN;
  SetPageChecked(k, page);
  get_page(k, page);
  k.of(btrfs_fixup).queued[page] = 1;
  return HOOK.EBUSY;
}

/** Write one locked page that has just been cleaned. */
export const __extent_writepage = path(
  "__extent_writepage",
  { source: "fs/btrfs/extent_io.c v4.20", args: { page: pfn }, locals: { hook: int }, returns: int },
  [
    held(step("set_page_extent_mapped", (k, f) => set_page_extent_mapped(k, f.page))),
    held(
      step("writepage_delalloc", (k, f) => {
        const mapping = k.page.mapping[f.page];
        const index = k.page.index[f.page];
        if (cow_state(k, mapping, index) !== COW.delayed) return;
        cow_allocate(k, mapping, index);
        SetPagePrivate2(k, f.page);
      }),
    ),
    held(
      step("writepage_start_hook", (k, f) => {
        f.hook = btrfs_writepage_start_hook(k, f.page);
      }),
    ),
    given(
      (_, f) => f.hook !== HOOK.prepared,
      [
        given((_, f) => f.hook === HOOK.EAGAIN, [call(() => redirty_page_for_writepage, { page: "page" })]),
        unlock(),
        leave(() => 0),
      ],
    ),
    under(xa_lock, [step("set_page_writeback", (k, f) => set_page_writeback(k, f.page))]),
    unlock(),
    step("submit_extent_page", (k, f) => {
      queue_page(k, f.page);
      set_bi_sector_cow(k, f.page);
    }),
    leave(() => 0),
  ],
);

const btrfs_walk = write_cache_pages([call(() => __extent_writepage, { page: "page" }, "ret")]);

/** Write a file's dirty pages: extent_writepages. */
export const btrfs_writepages = path(
  "btrfs_writepages",
  {
    source: "fs/btrfs/extent_io.c v4.20",
    args: { mapping: inode, sync: int, tagged: int, nr_to_write: int, range_start: int, range_end: int },
    returns: int,
  },
  [
    call(
      () => btrfs_walk,
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

/** Reclaim may not write pages of btrfs: PF_MEMALLOC. */
export const btrfs_writepage = path(
  "btrfs_writepage",
  { source: "fs/btrfs/inode.c v4.20", args: { page: pfn }, returns: int },
  [call(() => redirty_page_for_writepage, { page: "page" }), unlock(), leave(() => 0)],
);

/** Completion of a page's write; the ordered extent is entered in the file after writeback has ended. */
export const end_bio_extent_writepage = path(
  "end_bio_extent_writepage",
  {
    source: "fs/btrfs/extent_io.c v4.20",
    args: { page: pfn },
    locals: { mapping: inode, index: int },
  },
  [
    step("btrfs_writepage_end_io_hook", (k, f) => {
      f.mapping = k.page.mapping[f.page];
      f.index = k.page.index[f.page];
      ClearPagePrivate2(k, f.page);
    }),
    call(() => end_page_writeback, { page: "page" }),
    step("btrfs_finish_ordered_io", (k, f) => {
      cow_end(k, f.mapping, f.index);
    }),
  ],
);

// ---- the fixup worker

const next_fixup = (k: Kernel): Pfn => k.of(btrfs_fixup).queued.indexOf(1);

/** Prepares pages that were dirtied without page_mkwrite, if they are still dirty. */
export const btrfs_writepage_fixup_worker = path(
  "btrfs_writepage_fixup_worker",
  {
    source: "fs/btrfs/inode.c v4.20",
    locals: { page: pfn, mapping: inode, index: int, ordered: int, error: int },
  },
  [
    repeat(
      () => true,
      [
        wait(
          "btrfs_queue_work",
          (k) => next_fixup(k) !== NONE,
          (k, f) => {
            f.page = next_fixup(k);
            k.of(btrfs_fixup).queued[f.page] = 0;
          },
        ),
        label("again"),
        lock_page(),
        // Some drivers dirty pages without the page lock: this test is a moment of its own.
        when(
          "!PageDirty",
          (k, f) => k.page.mapping[f.page] === 0 || !PageDirty(k, f.page) || !PageChecked(k, f.page),
          [held(step("ClearPageChecked", (k, f) => ClearPageChecked(k, f.page))), goto("out_page")],
        ),
        held(when("PagePrivate2", (k, f) => PagePrivate2(k, f.page), [goto("out_page")])),
        step("btrfs_lookup_ordered_range", (k, f) => {
          f.mapping = k.page.mapping[f.page];
          f.index = k.page.index[f.page];
          f.ordered = is_ordered(k, f.mapping, f.index) ? 1 : 0;
        }),
        given(
          (_, f) => f.ordered === 1,
          [
            unlock(),
            local((_, f) => {
              f.ordered = 0;
            }),
            awaits(
              PG_writeback,
              wait("btrfs_start_ordered_extent", (k, f) => !is_ordered(k, f.mapping, f.index)),
            ),
            goto("again"),
          ],
        ),
        step("btrfs_delalloc_reserve_space", (k, f) => {
          f.error = btrfs_delalloc_reserve_space(k, f.mapping);
        }),
        given(
          (_, f) => f.error === 0,
          [
            held(
              step("btrfs_set_extent_delalloc", (k, f) => btrfs_set_extent_delalloc(k, f.mapping, f.index)),
            ),
            held(step("ClearPageChecked", (k, f) => ClearPageChecked(k, f.page))),
            call(() => set_page_dirty, { page: "page" }),
          ],
          [
            config("io_errors", [
              step("mapping_set_error", (k, f) => mapping_set_error(k, f.mapping, f.error)),
            ]),
            held(step("ClearPageChecked", (k, f) => ClearPageChecked(k, f.page))),
          ],
        ),
        label("out_page"),
        unlock(),
        step("put_page", (k, f) => {
          put_page(k, f.page);
          f.page = NONE;
          f.mapping = 0;
          f.index = 0;
          f.error = 0;
        }),
      ],
    ),
  ],
);
