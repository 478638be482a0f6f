/**
 * Dirty and clean: set_page_dirty, clear_page_dirty_for_io, the writeback bit, and their accounting.
 *
 * Source: mm/page-writeback.c in v4.20. Gorman's remark in the article, that dirty is not binary, is this file: PTE
 * bits, PG_dirty, the mapping's tags and the buffers' bits change in different steps, and a gup reference is visible
 * to none of them.
 *
 * Left out: thresholds and throttling (balance_dirty_pages), cgroup writeback.
 */
import type { Kernel } from "../kernel.js";
import { call, dispatch, given, held, heldIf, leave, local, path, step, when } from "../language.js";
import { a_ops, fs_of_page, mapping_cap_account_dirty } from "../operations.js";
import { I_DIRTY_PAGES } from "../structs.js";
import { type InodeNr, int, type Pfn, pfn } from "../types.js";
import { page_mapping, xa_clear_mark, xa_get_mark, xa_set_mark } from "./filemap.js";
import {
  ClearPageReclaim,
  ClearPageWriteback,
  PageDirty,
  PageLocked,
  PageReclaim,
  PageUptodate,
  PageWriteback,
  SetPageWriteback,
  TestClearPageDirty,
  TestSetPageDirty,
} from "./page.js";
import { page_mkclean } from "./rmap.js";

/** Bits of the WARN_ON_ONCE sites. */
export const WARN = {
  set_page_dirty_not_uptodate: 0,
  ext4_set_page_dirty_unlocked: 1,
  ext4_set_page_dirty_no_buffers: 2,
} as const;

/** account_page_dirtied: on the transition from clean to dirty. */
function account_page_dirtied(k: Kernel, mapping: InodeNr): void {
  if (!mapping_cap_account_dirty(k, mapping)) return;
  k.count("nr_dirty");
  k.count("nr_dirtied");
}

/** account_page_cleaned */
function account_page_cleaned(k: Kernel, mapping: InodeNr): void {
  if (mapping_cap_account_dirty(k, mapping)) k.count("nr_dirty", -1);
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
  if (mapping !== 0) k.inode.i_state[mapping] |= I_DIRTY_PAGES;
}

/** Clear PG_dirty with its accounting; the tag stays (__cancel_dirty_page). */
export function cancel_dirty_page(k: Kernel, page: Pfn): void {
  if (TestClearPageDirty(k, page)) account_page_cleaned(k, page_mapping(k, page));
}

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
          // Only the holder of the page lock sets PG_reclaim, so that it is clear stays so.
          heldIf(
            (k, f) => !PageReclaim(k, f.page),
            step("ClearPageReclaim", (k, f) => {
              if (PageReclaim(k, f.page)) ClearPageReclaim(k, f.page);
            }),
          ),
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
    xa_set_mark(k, page, "writeback");
    k.count("nr_writeback");
  }
  if (!PageDirty(k, page) && xa_get_mark(k, page, "dirty")) xa_clear_mark(k, page, "dirty");
  if (xa_get_mark(k, page, "towrite")) xa_clear_mark(k, page, "towrite");
}

/** Gives false when the page was not under writeback. */
export function test_clear_page_writeback(k: Kernel, page: Pfn): boolean {
  if (!PageWriteback(k, page)) return false;
  ClearPageWriteback(k, page);
  xa_clear_mark(k, page, "writeback");
  k.count("nr_writeback", -1);
  k.count("nr_written");
  return true;
}
