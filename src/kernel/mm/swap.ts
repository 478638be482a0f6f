/**
 * The LRU lists and the batches through which pages reach them.
 *
 * Source: mm/swap.c, include/linux/mm_inline.h in v4.20. Reclaim walks these lists; writeback does not: it walks the
 * tags of a mapping (mm/filemap.ts). The article's hope that a page off the LRU is safe mixes up the two.
 *
 * A page in a batch (pagevec) carries one more reference: a reason why a freeze fails that has nothing to do with
 * DMA. With config "percpu" tasks are bound to CPUs in turn, and reclaim drains the batches of its own CPU only: what is parked
 * on another one keeps its reference. Without it all share one CPU. Left out: deactivate_page and lazyfree batches, as
 * nothing modelled uses them.
 */
import { list_del } from "../inserts.js";
import { type Kernel, PVECS } from "../kernel.js";
import { LRU, PVEC } from "../structs.js";
import type { Pfn } from "../types.js";
import { compound_head, PageHead } from "./compound.js";
import { free_huge_page } from "./hugetlb.js";
import { is_zone_device_page, put_devmap_managed_page } from "./memremap.js";
import { recent_rotated, recent_scanned } from "./mmzone.js";
import {
  ClearPageActive,
  ClearPageLRU,
  ClearPageReferenced,
  ClearPageUnevictable,
  get_page,
  PageActive,
  PageDirty,
  PageLocked,
  PageLRU,
  PageMlocked,
  PageReferenced,
  PageSwapBacked,
  PageUnevictable,
  page_count,
  page_ref_add,
  SetPageActive,
  SetPageLRU,
  SetPageReferenced,
  SetPageUnevictable,
} from "./page.js";
import { free_page } from "./page_alloc.js";
import { refaults_observed, workingset_activation } from "./workingset.js";

/** page_evictable (mm/vmscan.c); no mapping is unevictable as a whole here. */
export const page_evictable = (k: Kernel, page: Pfn): boolean => !PageMlocked(k, page);

/** Which list a page belongs on: page_lru(). */
export function page_lru(k: Kernel, page: Pfn): number {
  if (PageUnevictable(k, page)) return LRU.unevictable;
  return (PageSwapBacked(k, page) ? LRU.inactive_anon : LRU.inactive_file) + (PageActive(k, page) ? 1 : 0);
}

/** Whether a list is one of files: is_file_lru. */
export const is_file_lru = (lru: number): boolean => lru >= LRU.inactive_file;

/** Add at the head: the place farthest from reclaim. */
export function add_page_to_lru_list(k: Kernel, page: Pfn, lru: number): void {
  const { head, tail, size } = k.lruvec;
  k.page.lru_prev[page] = 0;
  k.page.lru_next[page] = head[lru];
  if (head[lru] !== 0) k.page.lru_prev[head[lru] - 1] = page + 1;
  else tail[lru] = page + 1;
  head[lru] = page + 1;
  size[lru]++;
}

/** Add at the tail: the next victim. */
export function add_page_to_lru_list_tail(k: Kernel, page: Pfn, lru: number): void {
  const { head, tail, size } = k.lruvec;
  k.page.lru_next[page] = 0;
  k.page.lru_prev[page] = tail[lru];
  if (tail[lru] !== 0) k.page.lru_next[tail[lru] - 1] = page + 1;
  else head[lru] = page + 1;
  tail[lru] = page + 1;
  size[lru]++;
}

export function del_page_from_lru_list(k: Kernel, page: Pfn, lru: number): void {
  list_del(k, page);
  const { head, tail, size } = k.lruvec;
  const { lru_next, lru_prev } = k.page;
  if (lru_prev[page] !== 0) lru_next[lru_prev[page] - 1] = lru_next[page];
  else head[lru] = lru_next[page];
  if (lru_next[page] !== 0) lru_prev[lru_next[page] - 1] = lru_prev[page];
  else tail[lru] = lru_prev[page];
  lru_next[page] = 0;
  lru_prev[page] = 0;
  size[lru]--;
}

/**
 * Drop a reference; the last one takes the page off its list (__page_cache_release) and frees it. Where there was none, the count goes
 * below zero and nobody notices before the page is allocated again; CONFIG_DEBUG_VM notices at once.
 */
export function put_page(k: Kernel, tail: Pfn): void {
  const page = k.compound ? compound_head(k, tail) : tail;
  if (is_zone_device_page(k, page)) {
    for (const insert of k.inserts.put_page) insert(k, page);
    put_devmap_managed_page(k, page);
    return;
  }
  for (const insert of k.inserts.put_page) insert(k, page);
  if (k.has("debug_vm"))
    k.BUG_ON(page_count(k, page) === 0, "put_page_testzero: VM_BUG_ON_PAGE(page_ref_count(page) == 0)", page);
  page_ref_add(k, page, -1);
  if (page_count(k, page) !== 0) return;
  if (k.compound && PageHead(k, page)) {
    free_huge_page(k, page);
    return;
  }
  if (PageLRU(k, page)) {
    ClearPageLRU(k, page);
    // page_off_lru
    del_page_from_lru_list(k, page, page_lru(k, page));
    if (PageUnevictable(k, page)) ClearPageUnevictable(k, page);
  }
  if (PageActive(k, page)) ClearPageActive(k, page);
  free_page(k, page);
}

/** update_page_reclaim_stat: a page has come to a list, and is in use or not. */
function update_page_reclaim_stat(k: Kernel, page: Pfn, rotated: boolean): void {
  const file = !PageSwapBacked(k, page);
  recent_scanned(k, file, 1);
  if (rotated) recent_rotated(k, file, 1);
}

/** What happens to each page of a batch when the batch is drained. */
const DRAIN: ((k: Kernel, page: Pfn) => void)[] = [];

/** __pagevec_lru_add_fn: where a page that nobody may reclaim reaches the unevictable list, and where it leaves it. */
DRAIN[PVEC.lru_add] = (k, page) => {
  for (const insert of k.inserts.__pagevec_lru_add_fn) if (insert(k, page)) return;
  const was_unevictable = PageUnevictable(k, page);
  if (was_unevictable) ClearPageUnevictable(k, page);
  SetPageLRU(k, page);
  if (page_evictable(k, page)) {
    update_page_reclaim_stat(k, page, PageActive(k, page));
    if (was_unevictable) k.count("unevictable_pgs_rescued");
  } else {
    ClearPageActive(k, page);
    SetPageUnevictable(k, page);
    if (!was_unevictable) k.count("unevictable_pgs_culled");
  }
  add_page_to_lru_list(k, page, page_lru(k, page));
};

/** pagevec_move_tail_fn */
DRAIN[PVEC.lru_rotate] = (k, page) => {
  if (!PageLRU(k, page) || PageUnevictable(k, page)) return;
  del_page_from_lru_list(k, page, page_lru(k, page));
  ClearPageActive(k, page);
  add_page_to_lru_list_tail(k, page, page_lru(k, page));
  k.count("pgrotated");
};

/** __activate_page */
DRAIN[PVEC.activate_page] = (k, page) => {
  if (!PageLRU(k, page) || PageActive(k, page) || PageUnevictable(k, page)) return;
  del_page_from_lru_list(k, page, page_lru(k, page));
  SetPageActive(k, page);
  add_page_to_lru_list(k, page, page_lru(k, page));
  k.count("pgactivate");
  update_page_reclaim_stat(k, page, true);
};

/** __pagevec_lru_add of one page that is in no batch: to its list at once, and its reference is dropped. */
export function __pagevec_lru_add(k: Kernel, page: Pfn): void {
  DRAIN[PVEC.lru_add](k, page);
  put_page(k, page);
}

/** The CPU on which the task that runs is, which never changes: its first batch. */
const this_cpu = (k: Kernel): number => (k.geometry.cpus === 1 ? 0 : PVECS * (k.task % k.geometry.cpus));

function drain(k: Kernel, cpu: number, pvec: number): void {
  const batch = cpu + pvec;
  const first = batch * k.pagevecSize;
  const nr = k.pagevec.nr[batch];
  for (let at = 0; at < nr; at++) {
    const page = k.pagevec_page.page[first + at] - 1;
    k.pagevec_page.page[first + at] = 0;
    DRAIN[pvec](k, page);
    put_page(k, page);
  }
  k.pagevec.nr[batch] = 0;
}

/** get_page and park; a full batch is drained at once. */
function pagevec_add(k: Kernel, pvec: number, page: Pfn): void {
  const cpu = this_cpu(k);
  const batch = cpu + pvec;
  get_page(k, page);
  k.pagevec_page.page[batch * k.pagevecSize + k.pagevec.nr[batch]] = page + 1;
  k.pagevec.nr[batch]++;
  if (k.pagevec.nr[batch] === k.pagevecSize) drain(k, cpu, pvec);
}

function lru_add_drain_cpu(k: Kernel, cpu: number): void {
  drain(k, cpu, PVEC.lru_add);
  drain(k, cpu, PVEC.lru_rotate);
  drain(k, cpu, PVEC.activate_page);
}

/** Move what is parked in this CPU's batches to the lists. */
export const lru_add_drain = (k: Kernel): void => lru_add_drain_cpu(k, this_cpu(k));

/** The same on every CPU: the caller sleeps until each has done it, which is one step here. */
export function lru_add_drain_all(k: Kernel): void {
  for (let cpu = 0; cpu < k.geometry.cpus; cpu++) lru_add_drain_cpu(k, PVECS * cpu);
}

export const lru_cache_add = (k: Kernel, page: Pfn): void => pagevec_add(k, PVEC.lru_add, page);

/**
 * Move a page whose writeback has ended to the tail of the inactive list, if it is still clean and unlocked: the
 * fast lane into reclaim (called by end_page_writeback for a page with PG_reclaim).
 */
export function rotate_reclaimable_page(k: Kernel, page: Pfn): void {
  if (PageLocked(k, page) || PageDirty(k, page) || PageUnevictable(k, page) || !PageLRU(k, page)) return;
  pagevec_add(k, PVEC.lru_rotate, page);
}

export function activate_page(k: Kernel, page: Pfn): void {
  if (PageLRU(k, page) && !PageActive(k, page) && !PageUnevictable(k, page))
    pagevec_add(k, PVEC.activate_page, page);
}

/** __lru_cache_activate_page: a page that is still in the lru_add batch is activated there. */
function __lru_cache_activate_page(k: Kernel, page: Pfn): void {
  const batch = this_cpu(k) + PVEC.lru_add;
  const first = batch * k.pagevecSize;
  for (let at = k.pagevec.nr[batch] - 1; at >= 0; at--) {
    if (k.pagevec_page.page[first + at] === page + 1) {
      SetPageActive(k, page);
      return;
    }
  }
}

/** Second chance: the first call sets PG_referenced, the next one activates the page. */
export function mark_page_accessed(k: Kernel, page: Pfn): void {
  if (!PageActive(k, page) && !PageUnevictable(k, page) && PageReferenced(k, page)) {
    if (PageLRU(k, page)) activate_page(k, page);
    else __lru_cache_activate_page(k, page);
    ClearPageReferenced(k, page);
    workingset_activation(k, page);
  } else if (!PageReferenced(k, page)) {
    SetPageReferenced(k, page);
  }
}

/**
 * Whether so few pages are inactive that active ones must follow. `actual_reclaim`: who asks is about to shrink the list, not only to
 * decide which lists to scan. Then any active page of a file is one too many as long as refaulting ones need room.
 */
export function inactive_list_is_low(k: Kernel, inactiveLru: number, actual_reclaim = false): boolean {
  const inactive = k.lruvec.size[inactiveLru];
  const active = k.lruvec.size[inactiveLru + 1];
  if (actual_reclaim && is_file_lru(inactiveLru) && refaults_observed(k)) return active > 0;
  const gigabytes = Math.floor((inactive + active) / (1 << 18));
  const ratio = gigabytes > 0 ? Math.floor(Math.sqrt(10 * gigabytes)) : 1;
  return inactive * ratio < active;
}

/** isolate_lru_page (mm/vmscan.c): take a page off its list, with a reference; false when it is on none. */
export function isolate_lru_page(k: Kernel, page: Pfn): boolean {
  if (!PageLRU(k, page)) return false;
  get_page(k, page);
  ClearPageLRU(k, page);
  del_page_from_lru_list(k, page, page_lru(k, page));
  return true;
}

/**
 * putback_lru_page (mm/vmscan.c): drop the isolator's reference of a page, which goes through the batch: it is on no list until
 * that is drained, and where it belongs is asked then.
 */
export function putback_lru_page(k: Kernel, page: Pfn): void {
  lru_cache_add(k, page);
  put_page(k, page);
}

/** putback_inactive_pages (mm/vmscan.c), for one page: reclaim puts back what it has isolated at once, unless it has become unevictable. */
export function putback_inactive_page(k: Kernel, page: Pfn): void {
  if (!page_evictable(k, page)) {
    putback_lru_page(k, page);
    return;
  }
  SetPageLRU(k, page);
  add_page_to_lru_list(k, page, page_lru(k, page));
  put_page(k, page);
}

/**
 * Isolate up to `nr` pages from the tail of a list (isolate_lru_pages): each gets a reference and loses PG_lru. They
 * are chained through lru_next in the order in which reclaim will look at them; gives the first one, pfn + 1.
 */
export function isolate_lru_pages(k: Kernel, lru: number, nr: number): number {
  let first = 0;
  let last = 0;
  for (let taken = 0; taken < nr && k.lruvec.tail[lru] !== 0; taken++) {
    const page = k.lruvec.tail[lru] - 1;
    del_page_from_lru_list(k, page, lru);
    get_page(k, page);
    ClearPageLRU(k, page);
    if (last !== 0) k.page.lru_next[last - 1] = page + 1;
    else first = page + 1;
    last = page + 1;
  }
  return first;
}
