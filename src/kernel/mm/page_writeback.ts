/**
 * Dirty and clean: set_page_dirty, clear_page_dirty_for_io, the writeback bit, and their accounting.
 *
 * Source: mm/page-writeback.c in v4.20. Gorman's remark in the article, that dirty is not binary, is this file: PTE
 * bits, PG_dirty, the mapping's tags and the buffers' bits change in different steps, and a gup reference is visible
 * to none of them.
 *
 * And the walk that writes a mapping's dirty pages, write_cache_pages. It is a function of what it does to each page, as
 * in the kernel, and gives a path. Pages are looked up in batches: mm/pagevec.ts.
 *
 * Thresholds and throttling are in mm/balance_dirty_pages.ts. Left out: cgroup writeback, block plugs, tagging in
 * batches of 4096 with the xa_lock dropped in between, AOP_WRITEPAGE_ACTIVATE (what shmem's writepage gives, which no walk calls).
 */
import type { FrameOf, Node } from "../../machine/path.js";
import type { Kernel } from "../kernel.js";
import {
  call,
  config,
  dispatch,
  given,
  goto,
  held,
  heldIf,
  label,
  leave,
  local,
  path,
  step,
  under,
  when,
} from "../language.js";
import { i_lock, lru_lock, xa_lock } from "../locks.js";
import {
  a_ops,
  fs_of_inode,
  fs_of_page,
  mapping_cap_account_dirty,
  mapping_use_writeback_tags,
} from "../operations.js";
import { I_DIRTY_PAGES } from "../structs.js";
import { type InodeNr, inode, int, NONE, type Pfn, pfn } from "../types.js";
import { count_node_state, inode_list_dirty, note_pages_skipped } from "./backing_dev.js";
import {
  address_space,
  find_tagged,
  page_mapping,
  xa_clear_mark,
  xa_get_mark,
  xa_set_mark,
} from "./filemap.js";
import {
  ClearPageReclaim,
  ClearPageWriteback,
  lock_page,
  PageDirty,
  PageLocked,
  PagePrivate,
  PageReclaim,
  PageUptodate,
  PageWriteback,
  SetPageWriteback,
  settledUnlessWriteback,
  TestClearPageDirty,
  TestSetPageDirty,
  unlock,
  wait_on_page_writeback,
} from "./page.js";
import { pagevec_lookup_range_tag, pagevec_next, pagevec_release } from "./pagevec.js";
import { page_mkclean } from "./rmap.js";

/** Bits of the WARN_ON_ONCE sites. */
export const WARN = {
  set_page_dirty_not_uptodate: 0,
  ext4_set_page_dirty_unlocked: 1,
  ext4_set_page_dirty_no_buffers: 2,
  set_page_dirty_nobuffers_not_uptodate: 3,
  unaccount_page_cache_page_dirty: 4,
} as const;

/** account_page_dirtied: on the transition from clean to dirty. */
function account_page_dirtied(k: Kernel, mapping: InodeNr): void {
  if (!mapping_cap_account_dirty(k, mapping)) return;
  k.count("nr_dirty");
  k.count("nr_dirtied");
  count_node_state(k, "nr_file_dirty", 1);
}

/** account_page_cleaned: also for a page that leaves the cache dirty, which keeps its PG_dirty. */
export function account_page_cleaned(k: Kernel, mapping: InodeNr): void {
  if (!mapping_cap_account_dirty(k, mapping)) return;
  k.count("nr_dirty", -1);
  count_node_state(k, "nr_file_dirty", -1);
}

/** account_page_redirty: a page that was cleaned to be written and was not written has not been dirtied anew. */
export function account_page_redirty(k: Kernel, page: Pfn): void {
  const mapping = page_mapping(k, page);
  if (mapping !== 0 && mapping_cap_account_dirty(k, mapping)) k.count("nr_dirtied", -1);
}

/**
 * __set_page_dirty: account and tag, under the xa_lock; nothing when the page left its mapping meanwhile. Only a caller
 * that dirties whole pages wants to be warned (`warn`) of one that is not uptodate.
 */
export function __set_page_dirty(k: Kernel, page: Pfn, warn: boolean): void {
  const mapping = page_mapping(k, page);
  if (mapping === 0) return;
  k.WARN_ON_ONCE(
    warn && !PageUptodate(k, page),
    WARN.set_page_dirty_not_uptodate,
    "__set_page_dirty: page is not uptodate",
    page,
  );
  account_page_dirtied(k, mapping);
  xa_set_mark(k, page, "dirty");
}

/** __mark_inode_dirty(I_DIRTY_PAGES): from here on the flusher knows the inode. */
export function __mark_inode_dirty(k: Kernel, page: Pfn): void {
  const mapping = page_mapping(k, page);
  if (mapping === 0) return;
  const was_dirty = (k.inode.i_state[mapping] & I_DIRTY_PAGES) !== 0;
  k.inode.i_state[mapping] |= I_DIRTY_PAGES;
  if (!was_dirty) inode_list_dirty(k, mapping);
}

/**
 * Dirty a page whose filesystem has no buffers, or one of whose buffers was dirtied: tag and account, nothing else.
 * Gives 1 when it was clean. A page that is truncated between the look at its mapping and the lock is a BUG: the
 * caller must prevent it, as with the page lock.
 */
export const __set_page_dirty_nobuffers = path(
  "__set_page_dirty_nobuffers",
  {
    source: "mm/page-writeback.c v4.20",
    args: { page: pfn },
    locals: { mapping: inode },
    returns: int,
  },
  [
    heldIf(
      (k, f) => PageDirty(k, f.page),
      step("TestSetPageDirty", (k, f) => {
        f.ret = TestSetPageDirty(k, f.page) ? 0 : 1;
      }),
    ),
    given((_, f) => f.ret === 0, [leave()]),
    step("page_mapping", (k, f) => {
      f.mapping = page_mapping(k, f.page);
    }),
    given((_, f) => f.mapping === 0, [leave()]),
    under(xa_lock, [
      step("__set_page_dirty", (k, f) => {
        const moved = page_mapping(k, f.page) !== f.mapping;
        if (k.BUG_ON(moved, "__set_page_dirty_nobuffers: BUG_ON(page_mapping(page) != mapping)", f.page))
          return;
        k.WARN_ON_ONCE(
          !PagePrivate(k, f.page) && !PageUptodate(k, f.page),
          WARN.set_page_dirty_nobuffers_not_uptodate,
          "__set_page_dirty_nobuffers: WARN_ON_ONCE(!PagePrivate(page) && !PageUptodate(page))",
          f.page,
        );
        account_page_dirtied(k, f.mapping);
        xa_set_mark(k, f.page, "dirty");
      }),
    ]),
    under(i_lock, [step("__mark_inode_dirty", (k, f) => __mark_inode_dirty(k, f.page))]),
  ],
);

/** Put back the dirty state of a locked page that writepage does not want to write. Buffers are not touched. */
export const redirty_page_for_writepage = path(
  "redirty_page_for_writepage",
  { source: "mm/page-writeback.c v4.20", args: { page: pfn }, returns: int },
  [
    local((k) => note_pages_skipped(k)),
    call(() => __set_page_dirty_nobuffers, { page: "page" }, "ret"),
    held(step("account_page_redirty", (k, f) => account_page_redirty(k, f.page))),
  ],
);

/** Clear PG_dirty with its accounting; the tag stays (__cancel_dirty_page). */
export function cancel_dirty_page(k: Kernel, page: Pfn): void {
  if (TestClearPageDirty(k, page)) account_page_cleaned(k, page_mapping(k, page));
}

const clear_reclaim = step<{ readonly page: Pfn; ret: number }>("ClearPageReclaim", (k, f) => {
  if (PageReclaim(k, f.page)) ClearPageReclaim(k, f.page);
});

/** Mark a page dirty, as its filesystem wants it. Gives 1 when it was clean. */
export const set_page_dirty = path(
  "set_page_dirty",
  { source: "mm/page-writeback.c v4.20", args: { page: pfn }, returns: int },
  [
    held(
      when(
        "page_mapping",
        (k, f) => page_mapping(k, f.page) !== 0,
        [
          // Only the holder of the page lock sets PG_reclaim, so that it is clear stays so; and, where there is drop_caches,
          // deactivate_file_page.
          config("truncate", [clear_reclaim], [heldIf((k, f) => !PageReclaim(k, f.page), clear_reclaim)]),
          dispatch(a_ops, "set_page_dirty", (k, f) => fs_of_page(k, f.page), { page: "page" }, "ret"),
        ],
        [
          // A truncated or anonymous page: the bit, and nothing else.
          step("TestSetPageDirty", (k, f) => {
            f.ret = TestSetPageDirty(k, f.page) ? 0 : 1;
          }),
        ],
      ),
    ),
  ],
);

/** Mark a page dirty that the caller does not have locked. Guards against truncation, not against missing buffers. */
export const set_page_dirty_lock = path(
  "set_page_dirty_lock",
  { source: "mm/page-writeback.c v4.20", args: { page: pfn } },
  [lock_page(), call(() => set_page_dirty, { page: "page" }), unlock()],
);

/** Clean a page that is about to be written. The page is locked. Gives 1 when it was dirty. */
export const clear_page_dirty_for_io = path(
  "clear_page_dirty_for_io",
  { source: "mm/page-writeback.c v4.20", args: { page: pfn }, locals: { cleaned: int }, returns: int },
  [
    local((k, f) => {
      if (!PageLocked(k, f.page)) throw new Error("clear_page_dirty_for_io: the page is not locked");
    }),
    given(
      (k, f) => mapping_cap_account_dirty(k, page_mapping(k, f.page)),
      [
        call(() => page_mkclean, { page: "page" }, "cleaned"),
        given((_, f) => f.cleaned > 0, [call(() => set_page_dirty, { page: "page" })]),
        step("TestClearPageDirty", (k, f) => {
          f.ret = TestClearPageDirty(k, f.page) ? 1 : 0;
          if (f.ret === 1) account_page_cleaned(k, page_mapping(k, f.page));
        }),
        leave(),
      ],
    ),
    step("TestClearPageDirty", (k, f) => {
      f.ret = TestClearPageDirty(k, f.page) ? 1 : 0;
    }),
  ],
);

/** set_page_writeback: the bit and the tags, under the xa_lock. The dirty tag goes only if the page is clean. */
export function set_page_writeback(k: Kernel, page: Pfn): void {
  if (!PageWriteback(k, page)) {
    SetPageWriteback(k, page);
    if (mapping_use_writeback_tags(k, page)) xa_set_mark(k, page, "writeback");
    k.count("nr_writeback");
    count_node_state(k, "nr_writeback", 1);
  }
  if (!mapping_use_writeback_tags(k, page)) return;
  if (!PageDirty(k, page) && xa_get_mark(k, page, "dirty")) xa_clear_mark(k, page, "dirty");
  if (xa_get_mark(k, page, "towrite")) xa_clear_mark(k, page, "towrite");
}

/** Gives false when the page was not under writeback. */
export function test_clear_page_writeback(k: Kernel, page: Pfn): boolean {
  if (!PageWriteback(k, page)) return false;
  ClearPageWriteback(k, page);
  if (mapping_use_writeback_tags(k, page)) xa_clear_mark(k, page, "writeback");
  k.count("nr_writeback", -1);
  count_node_state(k, "nr_writeback", -1);
  k.count("nr_written");
  return true;
}

/** wait_for_stable_page: nodes for a path whose `page` is locked and in a mapping. */
export const wait_for_stable_page = <F extends { readonly page: Pfn }>(): Node<Kernel, F> =>
  given<F>(
    (k, f) => k.inode.stable_writes[page_mapping(k, f.page)] === 1,
    [settledUnlessWriteback(wait_on_page_writeback<F>())],
  );

/** wbc->nr_to_write of somebody who sets no limit: it is not counted down. */
export const LONG_MAX = 0x7fff;
/** wbc->range_start of somebody who goes round the file from where the last one stopped: wbc->range_cyclic. */
export const RANGE_CYCLIC = -1;
/** wbc->range_end of somebody who means the whole file. One more is still a number that a local can hold. */
export const RANGE_END = 0x7ffe;
/** Tag what is dirty in a range now, so that what is dirtied later is not met: no livelock. One xa_lock section. */
export function tag_pages_for_writeback(k: Kernel, mapping: InodeNr, start: number, end: number): void {
  for (
    let at = find_tagged(k, mapping, start, "dirty");
    at !== NONE && at <= end;
    at = find_tagged(k, mapping, at + 1, "dirty")
  ) {
    xa_set_mark(k, k.xa_slot.page[k.slotOf(mapping, at)] - 1, "towrite");
  }
}

const WRITE_CACHE_PAGES = {
  source: "mm/page-writeback.c v4.20",
  args: { mapping: inode, sync: int, tagged: int, nr_to_write: int, range_start: int, range_end: int },
  locals: { index: int, page: pfn, done_index: int },
  returns: int,
} as const;
type Walk = FrameOf<typeof WRITE_CACHE_PAGES>;

/** wbc->sync_mode == WB_SYNC_ALL || wbc->tagged_writepages */
const tags = (f: Walk): boolean => f.sync === 1 || f.tagged === 1;
const is_cyclic = (f: Walk): boolean => f.range_start === RANGE_CYCLIC;
const end_of = (f: Walk): number => (is_cyclic(f) ? RANGE_END : f.range_end);

/**
 * The walk over a mapping's dirty pages that hands each of them, locked and clean, to `writepage`: nodes that unlock
 * `page` and leave an error or 0 in `ret`. Gives the last writepage's error.
 *
 * A cyclic walk ends at the end of the file (new in v4.20: it used to go round once): the next one begins at its start.
 */
export const write_cache_pages = (writepage: readonly Node<Kernel, Walk>[]) =>
  path("write_cache_pages", WRITE_CACHE_PAGES, [
    given(
      (_, f) => is_cyclic(f),
      [
        config("kupdate", [
          step("mapping->writeback_index", (k, f) => {
            f.index = k.of(address_space).writeback_index[f.mapping];
          }),
        ]),
      ],
      [
        local((_, f) => {
          f.index = f.range_start;
        }),
      ],
    ),
    given(
      (_, f) => tags(f),
      [
        under(xa_lock, [
          step("tag_pages_for_writeback", (k, f) =>
            tag_pages_for_writeback(k, f.mapping, f.index, end_of(f)),
          ),
        ]),
      ],
    ),
    local((_, f) => {
      f.done_index = f.index;
    }),
    label("lookup"),
    given((_, f) => f.index > end_of(f), [goto("end")]),
    step("pagevec_lookup_range_tag", (k, f) =>
      pagevec_lookup_range_tag(k, f, end_of(f), tags(f) ? "towrite" : "dirty"),
    ),
    given((_, f) => f.page === NONE, [goto("end")]),
    label("page"),
    local((k, f) => {
      f.done_index = k.page.index[f.page];
    }),
    lock_page(),
    held(
      when("page->mapping != mapping", (k, f) => k.page.mapping[f.page] !== f.mapping, [
        goto("continue_unlock"),
      ]),
    ),
    // Somebody wrote it for us.
    held(when("!PageDirty", (k, f) => !PageDirty(k, f.page), [goto("continue_unlock")])),
    settledUnlessWriteback(
      when("PageWriteback", (k, f) => PageWriteback(k, f.page), [
        given((_, f) => f.sync === 0, [goto("continue_unlock")]),
        wait_on_page_writeback(),
      ]),
    ),
    held(
      step("BUG_ON(PageWriteback)", (k, f) => {
        k.BUG_ON(PageWriteback(k, f.page), "write_cache_pages: BUG_ON(PageWriteback(page))", f.page);
      }),
    ),
    call(() => clear_page_dirty_for_io, { page: "page" }, "ret"),
    given((_, f) => f.ret === 0, [goto("continue_unlock")]),
    local((_, f) => {
      f.ret = 0;
    }),
    ...writepage,
    given(
      (_, f) => f.ret !== 0,
      [
        // Past this page: a bad block must not keep the rest of the file from being written.
        local((k, f) => {
          f.done_index = k.page.index[f.page] + 1;
        }),
        goto("done"),
      ],
    ),
    local((_, f) => {
      if (f.nr_to_write !== LONG_MAX) f.nr_to_write--;
    }),
    // Who asks for integrity goes on to the last page that it tagged.
    given((_, f) => f.nr_to_write <= 0 && f.sync === 0, [goto("done")]),
    goto("continue"),
    label("continue_unlock"),
    unlock(),
    local((_, f) => {
      f.ret = 0;
    }),
    label("continue"),
    pagevec_next("page"),
    under(lru_lock, [step("pagevec_release", (k, f) => pagevec_release(k, f))]),
    goto("lookup"),
    label("done"),
    under(lru_lock, [step("pagevec_release", (k, f) => pagevec_release(k, f))]),
    goto("out"),
    label("end"),
    local((_, f) => {
      if (is_cyclic(f)) f.done_index = 0;
    }),
    label("out"),
    config("kupdate", [
      given(
        (_, f) => is_cyclic(f) || (f.range_start === 0 && f.range_end === RANGE_END && f.nr_to_write > 0),
        [
          step("mapping->writeback_index = done_index", (k, f) => {
            k.of(address_space).writeback_index[f.mapping] = f.done_index;
          }),
        ],
      ),
    ]),
  ]);

/** write_cache_pages with the filesystem's writepage. None that is written so gives an error: __writepage has none to tell the mapping. */
const generic_walk = write_cache_pages([
  dispatch(
    a_ops,
    "writepage",
    (k, f) => fs_of_inode(k, f.mapping),
    { page: "page", sync: "sync", memalloc: 0 },
    "ret",
  ),
]);

/**
 * Write a mapping's dirty pages with its filesystem's writepage: data=journal ext4, and jbd2's ordered commit. Who has no
 * more to say than the mapping passes tagged 0, LONG_MAX, 0 and RANGE_END.
 */
export const generic_writepages = path(
  "generic_writepages",
  {
    source: "mm/page-writeback.c v4.20",
    args: { mapping: inode, sync: int, tagged: int, nr_to_write: int, range_start: int, range_end: int },
    returns: int,
  },
  [
    call(
      () => generic_walk,
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
