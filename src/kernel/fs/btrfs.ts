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
 * fs/btrfs/ordered.ts waits for ordered extents, fs/btrfs/file.ts has write(2), fsync and punching, fs/btrfs/truncate.ts truncation.
 *
 * Needs config "blocks". Left out: checksums, compression, inline extents, the extent lock (its sections are single steps), subpages,
 * the worker that finishes ordered extents (its step is the disk's, after the end of writeback), bios of more than one page (each is
 * submitted right after its page is unlocked), that a page loses PG_uptodate when the fixup worker fails, ordered extents whose page is
 * not submitted yet (block and submission are in one section of the page lock: btrfs_invalidatepage never has to end one).
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
import { lru_lock, PG_writeback, xa_lock } from "../locks.js";
import { note_pages_skipped } from "../mm/backing_dev.js";
import { address_space, end_page_writeback } from "../mm/filemap.js";
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
  clear_page_dirty_for_io,
  LONG_MAX,
  RANGE_CYCLIC,
  RANGE_END,
  redirty_page_for_writepage,
  set_page_dirty,
  set_page_writeback,
  tag_pages_for_writeback,
} from "../mm/page_writeback.js";
import { pagevec_lookup_range_tag, pagevec_next, pagevec_release } from "../mm/pagevec.js";
import { put_page } from "../mm/swap.js";
import { zero_page_tail } from "../mm/truncate.js";
import { FS, VM_FAULT } from "../operations.js";
import { type InodeNr, inode, int, NONE, type Pfn, pfn } from "../types.js";
import { cow_fork, free_blocks, sb_info, set_bi_sector_cow } from "./blocks.js";
import { btrfs_start_ordered_extent, is_ordered } from "./btrfs/ordered.js";
import { COW, cow_allocate, cow_cancel, cow_end, cow_state } from "./cow.js";

/** fs_info->fixup_workers: pages that wait for the worker, each with a reference. */
export const btrfs_fixup = struct("btrfs_writepage_fixup", {
  queued: u8("1 while the page is in the queue of the fixup worker"),
});

const uses = (g: Geometry): boolean => g.files.some(({ fs }) => fs === FS.btrfs);

/** The struct of this file. */
export const btrfsTable: Table = { struct: btrfs_fixup, rows: (g) => (uses(g) ? g.pages : 0) };

// ---- space

/** btrfs_delalloc_reserve_space: promise one block. Gives 0 or -ENOSPC. */
export function btrfs_delalloc_reserve_space(k: Kernel, mapping: InodeNr): number {
  if (!k.has("blocks")) throw new Error('btrfs_delalloc_reserve_space: btrfs needs config "blocks"');
  const sb = k.inode.disk[mapping];
  if (free_blocks(k, sb) === 0) return -ERRNO.ENOSPC;
  k.of(sb_info).s_dirtyclusters_counter[sb]++;
  return 0;
}

/** The promise of a block is given up. */
export function btrfs_delalloc_release_space(k: Kernel, mapping: InodeNr): void {
  k.of(sb_info).s_dirtyclusters_counter[k.inode.disk[mapping]]--;
}

/** btrfs_set_extent_delalloc: the promise becomes the page's. One that it had already is given up. */
export function btrfs_set_extent_delalloc(k: Kernel, mapping: InodeNr, index: number): void {
  const { state } = k.of(cow_fork);
  const slot = k.slotOf(mapping, index);
  if (state[slot] === COW.none) state[slot] = COW.delayed;
  else btrfs_delalloc_release_space(k, mapping);
}

/** The page belongs to btrfs: PG_private, with a reference. */
export function set_page_extent_mapped(k: Kernel, page: Pfn): void {
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
    locals: { ordered: int, index: int, size: int },
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
        (k, f) => {
          f.index = k.page.index[f.page];
          f.size = k.inode.i_size[f.mapping] - f.index * k.geometry.parts;
          return k.page.mapping[f.page] !== f.mapping || f.size <= 0;
        },
        [goto("out_unlock")],
      ),
    ),
    settledUnlessWriteback(wait_on_page_writeback()),
    held(step("set_page_extent_mapped", (k, f) => set_page_extent_mapped(k, f.page))),
    step("btrfs_lookup_ordered_range", (k, f) => {
      f.ordered = is_ordered(k, f.mapping, f.index) ? 1 : 0;
    }),
    given(
      (_, f) => f.ordered === 1,
      [
        unlock(),
        local((_, f) => {
          f.ordered = 0;
        }),
        call(() => btrfs_start_ordered_extent, { mapping: "mapping", index: "index" }),
        goto("again"),
      ],
    ),
    held(step("btrfs_set_extent_delalloc", (k, f) => btrfs_set_extent_delalloc(k, f.mapping, f.index))),
    config("truncate", [
      given(
        (k, f) => f.size < k.geometry.parts,
        [held(step("memset", (k, f) => zero_page_tail(k, f.page, f.size)))],
      ),
    ]),
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

/** Read a locked page: the block that is being written for it has to be the file's first. */
export const btrfs_readpage = path(
  "btrfs_readpage",
  { source: "fs/btrfs/extent_io.c v4.20", args: { page: pfn } },
  [
    // btrfs_start_ordered_extent: the page itself is not dirty, so that there is nothing to start.
    awaits(
      PG_writeback,
      wait(
        "btrfs_start_ordered_extent",
        (k, f) => !is_ordered(k, k.page.mapping[f.page], k.page.index[f.page]),
        (k, f) => queue_page(k, f.page),
      ),
    ),
  ],
);

/**
 * try_release_extent_mapping, and what follows it: nothing of the page's extent is under way, so that the page is let go. v4.20 does not
 * ask for PG_private. Writeback that meets a page behind the file's new end comes here all the same (btrfs_invalidatepage), and if the page
 * had lost PG_private and was then dirtied by a device's driver, it is somebody else's reference that goes.
 */
function __btrfs_releasepage(k: Kernel, page: Pfn): void {
  ClearPagePrivate(k, page);
  put_page(k, page);
}

/** May the page lose PG_private? Not while it is dirty or under writeback. Gives 1 when it is gone. */
export const btrfs_releasepage = path(
  "btrfs_releasepage",
  { source: "fs/btrfs/inode.c v4.20", args: { page: pfn }, returns: int },
  [
    step("btrfs_releasepage", (k, f) => {
      if (PageWriteback(k, f.page) || PageDirty(k, f.page)) return;
      __btrfs_releasepage(k, f.page);
      f.ret = 1;
    }),
  ],
);

/**
 * A page leaves the file: what was promised for it is void, and nothing of it will be written. Whether somebody holds it is not asked.
 * A page of which only the end goes is let go if it is clean.
 */
export const btrfs_invalidatepage = path(
  "btrfs_invalidatepage",
  {
    source: "fs/btrfs/inode.c v4.20",
    args: { page: pfn, offset: int, length: int },
    locals: { released: int },
  },
  [
    settledUnlessWriteback(wait_on_page_writeback()),
    given(
      (_, f) => f.offset > 0,
      [
        call(() => btrfs_releasepage, { page: "page" }, "released"),
        local((_, f) => {
          f.released = 0;
        }),
        leave(),
      ],
    ),
    step("clear_extent_bit", (k, f) => {
      const mapping = k.page.mapping[f.page];
      const index = k.page.index[f.page];
      if (cow_state(k, mapping, index) === COW.delayed) cow_cancel(k, mapping, index);
    }),
    step("__btrfs_releasepage", (k, f) => __btrfs_releasepage(k, f.page)),
    held(step("ClearPageChecked", (k, f) => ClearPageChecked(k, f.page))),
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

/** Write one locked page that has just been cleaned. Gives how many pages update_nr_written counts: 1 when it is submitted. */
export const __extent_writepage = path(
  "__extent_writepage",
  {
    source: "fs/btrfs/extent_io.c v4.20",
    args: { page: pfn },
    locals: { hook: int, size: int, length: int },
    returns: int,
  },
  [
    config("truncate", [
      step("i_size_read", (k, f) => {
        f.size = k.inode.i_size[k.page.mapping[f.page]] - k.page.index[f.page] * k.geometry.parts;
        f.length = k.geometry.parts;
      }),
      given(
        (_, f) => f.size <= 0,
        [
          call(() => btrfs_invalidatepage, { page: "page", offset: 0, length: "length" }),
          unlock(),
          leave(() => 0),
        ],
      ),
      given((_, f) => f.size < f.length, [step("memset", (k, f) => zero_page_tail(k, f.page, f.size))]),
    ]),
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
        given(
          (_, f) => f.hook === HOOK.EAGAIN,
          [call(() => redirty_page_for_writepage, { page: "page" })],
          [local((k) => note_pages_skipped(k))],
        ),
        unlock(),
        leave(() => 0),
      ],
    ),
    under(xa_lock, [step("btrfs_set_range_writeback", (k, f) => set_page_writeback(k, f.page))]),
    unlock(),
    step("submit_extent_page", (k, f) => {
      queue_page(k, f.page);
      set_bi_sector_cow(k, f.page);
    }),
    leave(() => 1),
  ],
);

const WALK = {
  source: "fs/btrfs/extent_io.c v4.20",
  args: { mapping: inode, sync: int, tagged: int, nr_to_write: int, range_start: int, range_end: int },
  locals: { index: int, end: int, page: pfn, scanned: int, done_index: int },
  returns: int,
} as const;

/**
 * The walk over a file's dirty pages. Unlike write_cache_pages it does not ask whether a page is dirty before it waits for its
 * writeback, looks at TOWRITE for integrity only, stops at nr_to_write whoever asks, and begins once more at the start of the file where a cyclic walk
 * has found nothing.
 */
export const extent_write_cache_pages = path("extent_write_cache_pages", WALK, [
  given(
    (_, f) => f.range_start === RANGE_CYCLIC,
    [
      config("kupdate", [
        step("mapping->writeback_index", (k, f) => {
          f.index = k.of(address_space).writeback_index[f.mapping];
        }),
      ]),
      local((_, f) => {
        f.end = RANGE_END;
      }),
    ],
    [
      local((_, f) => {
        f.index = f.range_start;
        f.end = f.range_end;
        f.scanned = 1;
      }),
    ],
  ),
  label("retry"),
  given(
    (_, f) => f.sync === 1,
    [
      under(xa_lock, [
        step("tag_pages_for_writeback", (k, f) => tag_pages_for_writeback(k, f.mapping, f.index, f.end)),
      ]),
    ],
  ),
  local((_, f) => {
    f.done_index = f.index;
  }),
  label("lookup"),
  given((_, f) => f.index > f.end, [goto("wrap")]),
  step("pagevec_lookup_range_tag", (k, f) =>
    pagevec_lookup_range_tag(k, f, f.end, f.sync === 1 ? "towrite" : "dirty"),
  ),
  given((_, f) => f.page === NONE, [goto("wrap")]),
  label("page"),
  local((k, f) => {
    f.scanned = 1;
    f.done_index = k.page.index[f.page];
  }),
  lock_page(),
  held(
    when("page->mapping != mapping", (k, f) => k.page.mapping[f.page] !== f.mapping, [
      goto("continue_unlock"),
    ]),
  ),
  given((_, f) => f.sync === 1, [settledUnlessWriteback(wait_on_page_writeback())]),
  settledUnlessWriteback(
    when("PageWriteback", (k, f) => PageWriteback(k, f.page), [goto("continue_unlock")]),
  ),
  call(() => clear_page_dirty_for_io, { page: "page" }, "ret"),
  given((_, f) => f.ret === 0, [goto("continue_unlock")]),
  call(() => __extent_writepage, { page: "page" }, "ret"),
  local((_, f) => {
    if (f.nr_to_write !== LONG_MAX) f.nr_to_write -= f.ret;
  }),
  goto("continue"),
  label("continue_unlock"),
  unlock(),
  label("continue"),
  local((_, f) => {
    f.ret = 0;
  }),
  pagevec_next("page"),
  under(lru_lock, [step("pagevec_release", (k, f) => pagevec_release(k, f))]),
  given((_, f) => f.nr_to_write > 0, [goto("lookup")]),
  goto("out"),
  label("wrap"),
  given(
    (_, f) => f.scanned === 0,
    [
      local((_, f) => {
        f.scanned = 1;
        f.index = 0;
      }),
      goto("retry"),
    ],
  ),
  label("out"),
  config("kupdate", [
    given(
      (_, f) =>
        f.range_start === RANGE_CYCLIC ||
        (f.range_start === 0 && f.range_end === RANGE_END && f.nr_to_write > 0),
      [
        step("mapping->writeback_index = done_index", (k, f) => {
          k.of(address_space).writeback_index[f.mapping] = f.done_index;
        }),
      ],
    ),
  ]),
]);

/** Write a file's dirty pages: extent_writepages. */
export const btrfs_writepages = path(
  "btrfs_writepages",
  {
    source: "fs/btrfs/inode.c v4.20",
    args: { mapping: inode, sync: int, tagged: int, nr_to_write: int, range_start: int, range_end: int },
    returns: int,
  },
  [
    call(
      () => extent_write_cache_pages,
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

/** Write one locked, clean page. Reclaim may not (PF_MEMALLOC); migration may. */
export const btrfs_writepage = path(
  "btrfs_writepage",
  { source: "fs/btrfs/inode.c v4.20", args: { page: pfn, memalloc: int }, returns: int },
  [
    given(
      (_, f) => f.memalloc === 1,
      [call(() => redirty_page_for_writepage, { page: "page" }), unlock(), leave(() => 0)],
    ),
    // extent_write_full_page
    call(() => __extent_writepage, { page: "page" }, "ret"),
    leave(() => 0),
  ],
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
            call(() => btrfs_start_ordered_extent, { mapping: "mapping", index: "index" }),
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
