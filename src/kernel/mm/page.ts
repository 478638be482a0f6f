/**
 * struct page: flags, references, the page lock.
 *
 * Source: include/linux/page-flags.h, include/linux/page_ref.h, include/linux/mm.h in v4.20.
 * Serves the article's "struct page is full": every word that the crash turns on is here.
 *
 * Left out: compound pages (mm/compound.ts has them).
 */

import type { Node } from "../../machine/path.js";
import { type PageFlag, pg, WORD } from "../../trace/words.js";
import type { Kernel } from "../kernel.js";
import { awaits, gives, heldIf, step, takes, wait } from "../language.js";
import { PG_locked as PG_locked_class, PG_writeback as PG_writeback_class } from "../locks.js";
import { LOCKED_FOR_READ, LOCKED_FOR_SYNC_READ, PG_SWAPCACHE } from "../structs.js";
import type { Pfn } from "../types.js";
import { compound_head } from "./compound.js";
import { mark_written } from "./written.js";

const PG_locked = pg("locked");
const PG_private = pg("private");
const LRU_FLAGS = pg("lru") | pg("active");

/** Change flags and tell the recording. */
export function write_flags(k: Kernel, page: Pfn, flags: number): void {
  const changed = k.page.flags[page] ^ flags;
  k.page.flags[page] = flags;
  if (k.recorder === null || changed === 0) return;
  k.note(WORD.flags, page, flags);
  if ((changed & LRU_FLAGS) !== 0) k.note(WORD.lru, page, k.lruWord(page));
  if ((changed & PG_private) !== 0) k.note(WORD.buffers, page, k.buffersWord(page));
}

/** PF_HEAD, PF_NO_TAIL: the flags and the count of a tail are its head's. */
const head = (k: Kernel, page: Pfn): Pfn => (k.compound ? compound_head(k, page) : page);

const tester = (flag: PageFlag) => {
  const mask = pg(flag);
  return (k: Kernel, page: Pfn): boolean => (k.page.flags[head(k, page)] & mask) !== 0;
};
const setter = (flag: PageFlag) => {
  const mask = pg(flag);
  return (k: Kernel, page: Pfn): void => {
    const at = head(k, page);
    write_flags(k, at, k.page.flags[at] | mask);
  };
};
const clearer = (flag: PageFlag) => {
  const mask = pg(flag);
  return (k: Kernel, page: Pfn): void => {
    const at = head(k, page);
    write_flags(k, at, k.page.flags[at] & ~mask);
  };
};

export const PageLocked = tester("locked");
export const PageUptodate = tester("uptodate");
export const SetPageUptodate = setter("uptodate");
export const PageDirty = tester("dirty");
export const SetPageDirty = setter("dirty");
export const ClearPageDirty = clearer("dirty");
export const PageWriteback = tester("writeback");
export const SetPageWriteback = setter("writeback");
export const ClearPageWriteback = clearer("writeback");
export const PageReferenced = tester("referenced");
export const SetPageReferenced = setter("referenced");
export const ClearPageReferenced = clearer("referenced");
export const PageActive = tester("active");
export const SetPageActive = setter("active");
export const ClearPageActive = clearer("active");
export const PageWorkingset = tester("workingset");
export const SetPageWorkingset = setter("workingset");
export const PageLRU = tester("lru");
export const SetPageLRU = setter("lru");
export const ClearPageLRU = clearer("lru");
export const PagePrivate = tester("private");
export const SetPagePrivate = setter("private");
export const ClearPagePrivate = clearer("private");
export const PageReclaim = tester("reclaim");
export const SetPageReclaim = setter("reclaim");
export const ClearPageReclaim = clearer("reclaim");
export const PageSwapBacked = tester("swapbacked");
export const SetPageSwapBacked = setter("swapbacked");
export const PageUnevictable = tester("unevictable");
export const SetPageUnevictable = setter("unevictable");
export const ClearPageUnevictable = clearer("unevictable");
export const PageMlocked = tester("mlocked");
export const PagePrivate2 = tester("private_2");
export const SetPagePrivate2 = setter("private_2");
export const ClearPagePrivate2 = clearer("private_2");
export const PageChecked = tester("checked");
export const SetPageChecked = setter("checked");
export const ClearPageChecked = clearer("checked");
/** PageSwapCache: the bit of PG_checked, of a page that swap backs. */
export const PageSwapCache = (k: Kernel, page: Pfn): boolean =>
  (k.page.flags[page] & PG_SWAPCACHE) === PG_SWAPCACHE;
export const SetPageSwapCache = SetPageChecked;
export const ClearPageSwapCache = ClearPageChecked;
export const SetPageMlocked = setter("mlocked");
export const ClearPageMlocked = clearer("mlocked");

/** Whether the page has buffers, or what else a filesystem keeps with it: those hold a reference. */
export const page_has_private = PagePrivate;
/** Whether the page is of a file that is not in memory only: which LRU lists it is on. */
export const page_is_file_cache = (k: Kernel, page: Pfn): boolean => !PageSwapBacked(k, page);
/** Whether a PTE maps the page. */
export const page_mapped = (k: Kernel, page: Pfn): boolean => k.page.mapcount[page] > 0;
/** The page's references: the cache's, one for each PTE, the buffers', those of get_user_pages, and others. */
export const page_count = (k: Kernel, page: Pfn): number => k.page._refcount[page];

/** Sets PG_dirty; gives its old value. A device's unspoken write counts as spoken from here on. */
export function TestSetPageDirty(k: Kernel, page: Pfn): boolean {
  const was = PageDirty(k, page);
  SetPageDirty(k, page);
  mark_written(k, page);
  if (k.page.device[page] !== 0) set_device_wrote(k, page, 0);
  return was;
}

export function TestClearPageDirty(k: Kernel, page: Pfn): boolean {
  const was = PageDirty(k, page);
  if (was) ClearPageDirty(k, page);
  return was;
}

export function TestClearPageReferenced(k: Kernel, page: Pfn): boolean {
  const was = PageReferenced(k, page);
  if (was) ClearPageReferenced(k, page);
  return was;
}

/** D14: bytes that a device wrote and that nobody has marked dirty. No kernel word holds this. */
export function set_device_wrote(k: Kernel, page: Pfn, wrote: 0 | 1): void {
  k.page.device[page] = wrote;
  if (k.recorder !== null) k.note(WORD.device, page, wrote);
}

export function page_ref_add(k: Kernel, page: Pfn, by: number): void {
  k.page._refcount[page] += by;
  if (k.recorder !== null) k.note(WORD.refcount, page, k.page._refcount[page]);
}

/** Another reference of a page that has one. Whether it has is asked with CONFIG_DEBUG_VM only. */
export function get_page(k: Kernel, page: Pfn): void {
  const at = head(k, page);
  if (k.has("debug_vm"))
    k.BUG_ON(k.page._refcount[at] <= 0, "get_page: VM_BUG_ON_PAGE(page_ref_count(page) <= 0)", page);
  page_ref_add(k, at, 1);
}

/** get_page_unless_zero, page_cache_get_speculative: a reference unless the page is being freed. */
export function get_page_unless_zero(k: Kernel, page: Pfn): boolean {
  const at = head(k, page);
  if (k.page._refcount[at] === 0) return false;
  page_ref_add(k, at, 1);
  return true;
}

/** page_ref_freeze: from exactly `count` references to none, or not at all. */
export function page_ref_freeze(k: Kernel, page: Pfn, count: number): boolean {
  if (k.page._refcount[page] !== count) return false;
  page_ref_add(k, page, -count);
  return true;
}

export function page_ref_unfreeze(k: Kernel, page: Pfn, count: number): void {
  page_ref_add(k, page, count);
}

/** A reference taken through get_user_pages: counted so that figures can show the pins exactly. */
export function count_pin(k: Kernel, page: Pfn, by: 1 | -1): void {
  k.page.pins[page] += by;
  if (k.recorder !== null) k.note(WORD.pins, page, k.page.pins[page]);
}

export function trylock_page(k: Kernel, page: Pfn): boolean {
  if (PageLocked(k, page)) return false;
  const at = head(k, page);
  write_flags(k, at, k.page.flags[at] | PG_locked);
  k.page.locked_by[at] = k.task + 1;
  return true;
}

/** __SetPageLocked of a page that a read will unlock when it completes. */
export function lock_page_for_read(k: Kernel, page: Pfn): void {
  write_flags(k, page, k.page.flags[page] | PG_locked);
  k.page.locked_by[page] = LOCKED_FOR_READ;
}

/** The holder of a page's lock is about to wait for a read of the page (submit_bio_wait). */
export function lock_page_for_sync_read(k: Kernel, page: Pfn): void {
  k.page.locked_by[page] = LOCKED_FOR_SYNC_READ;
}

/** That read is over: whoever waits for it has the lock still. Gives false when nobody waits so. */
export function complete_sync_read(k: Kernel, page: Pfn): boolean {
  if (k.page.locked_by[page] !== LOCKED_FOR_SYNC_READ) return false;
  k.page.locked_by[page] = 0;
  return true;
}

export const sync_read_is_done = (k: Kernel, page: Pfn): boolean => k.page.locked_by[page] === 0;

/** He is awake. */
export function end_sync_read(k: Kernel, page: Pfn): void {
  k.page.locked_by[page] = k.task + 1;
}

export function unlock_page(k: Kernel, page: Pfn): void {
  if (!PageLocked(k, page)) throw new Error(`unlock_page: page ${page} is not locked`);
  const at = head(k, page);
  write_flags(k, at, k.page.flags[at] & ~PG_locked);
  k.page.locked_by[at] = 0;
}

/** The step that sleeps for the page lock and takes it. */
export const lock_page = <F extends { readonly page: Pfn }>() =>
  takes(
    PG_locked_class,
    wait<F>(
      "lock_page",
      (k, f) => !PageLocked(k, f.page),
      (k, f) => {
        trylock_page(k, f.page);
      },
    ),
  );

/** The step that gives the page lock back. */
export const unlock = <F extends { readonly page: Pfn }>() =>
  gives(
    PG_locked_class,
    step<F>("unlock_page", (k, f) => unlock_page(k, f.page)),
  );

/** The step that sleeps until the page's writeback has ended. */
export const wait_on_page_writeback = <F extends { readonly page: Pfn }>() =>
  awaits(
    PG_writeback_class,
    wait<F>("wait_on_page_writeback", (k, f) => !PageWriteback(k, f.page)),
  );

/**
 * That a locked page is not under writeback stays so, as only the holder of its lock starts writeback: a test of it,
 * or a wait for it, is a preemption point only while the page is.
 */
export const settledUnlessWriteback = <F extends { readonly page: Pfn }>(
  node: Node<Kernel, F>,
): Node<Kernel, F> => heldIf((k, f) => !PageWriteback(k, f.page), node);
