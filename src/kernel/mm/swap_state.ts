/**
 * The swap cache: pages that have a place in the swap area, and are still, or again, in memory.
 *
 * Source: mm/swap_state.c in v4.20. A page is found here by its entry, so that all PTEs that hold the entry get the same page back,
 * and so does the process whose page a device holds: reclaim unmaps such a page and cannot free it, and as long as it is in memory it is in
 * the swap cache. The cache has a reference, and PG_swapcache says that page->private is the entry. A clean page of the cache is
 * the same as what is on the disk, so reclaim frees it: bytes that a device has written since, and that nobody spoke of, are gone.
 *
 * A page that leaves the cache gives its entry back in the same step: in between, others would only spin.
 *
 * The swap cache has no shadow entries (mm/workingset.ts): a page that is read from swap counts as one that was active.
 *
 * Left out: swap readahead (page_cluster 0: one page is read), huge pages.
 */
import { queue_page } from "../block/disk.js";
import { ERRNO } from "../errno.js";
import { disk_version } from "../fs/blocks.js";
import type { Kernel } from "../kernel.js";
import { call, given, goto, label, leave, local, path, step, under, when } from "../language.js";
import { xa_lock } from "../locks.js";
import { int, NONE, type Pfn, pfn, type SwpEntry } from "../types.js";
import { find_get_page } from "./filemap.js";
import {
  ClearPageSwapCache,
  get_page,
  lock_page_for_read,
  PageSwapCache,
  page_mapped,
  page_ref_add,
  SetPageSwapBacked,
  SetPageSwapCache,
  trylock_page,
  unlock_page,
} from "./page.js";
import { alloc_pages } from "./page_alloc.js";
import { set_page_dirty } from "./page_writeback.js";
import { lru_cache_add, put_page } from "./swap.js";
import {
  __swp_swapcount,
  get_swap_page,
  page_private,
  put_swap_page,
  set_page_private,
  swapcache_prepare,
  try_to_free_swap,
} from "./swapfile.js";
import { note_workingset } from "./workingset.js";

/** add_to_swap_cache: a locked page gets an entry that has been claimed for it, and the cache's reference. */
export function add_to_swap_cache(k: Kernel, page: Pfn, entry: SwpEntry): void {
  get_page(k, page);
  SetPageSwapCache(k, page);
  set_page_private(k, page, entry);
  k.xa_slot.page[k.slotOf(k.swapper_space, entry)] = page + 1;
  k.count("nr_file_pages");
}

/** __delete_from_swap_cache, and the put_swap_page that follows it. The cache's reference is the caller's. */
export function __delete_from_swap_cache(k: Kernel, page: Pfn): void {
  const entry = page_private(k, page);
  k.xa_slot.page[k.slotOf(k.swapper_space, entry)] = 0;
  set_page_private(k, page, 0);
  ClearPageSwapCache(k, page);
  k.count("nr_file_pages", -1);
  put_swap_page(k, entry);
}

/** delete_from_swap_cache: a locked page whose other references the caller has leaves the cache. */
export function delete_from_swap_cache(k: Kernel, page: Pfn): void {
  __delete_from_swap_cache(k, page);
  page_ref_add(k, page, -1);
}

/** Whether a page of the swap cache has bytes that its place on the disk has not, and somebody will want them. */
export function is_newer_than_swap(k: Kernel, page: Pfn): boolean {
  const entry = page_private(k, page);
  const { parts } = k.geometry;
  if (__swp_swapcount(k, entry) === 0) return false;
  for (let part = 0; part < parts; part++)
    if (k.content.version[page * parts + part] !== disk_version(k, k.swapper_space, entry, part)) return true;
  return false;
}

/** Give a locked anonymous page a place in the swap area. Gives 0 when that is full. */
export const add_to_swap = path(
  "add_to_swap",
  { source: "mm/swap_state.c v4.20", args: { page: pfn }, returns: int },
  [
    under(xa_lock, [
      step("add_to_swap_cache", (k, f) => {
        const entry = get_swap_page(k);
        if (entry === 0) return;
        add_to_swap_cache(k, f.page, entry);
        f.ret = 1;
      }),
    ]),
    given((_, f) => f.ret === 0, [leave()]),
    // Its PTE may be clean, and what the swap area has now is not the page's.
    call(() => set_page_dirty, { page: "page" }),
  ],
);

/** lookup_swap_cache: the page of an entry with a reference, or NONE. */
export const lookup_swap_cache = (k: Kernel, entry: SwpEntry): Pfn =>
  find_get_page(k, k.swapper_space, entry);

/** free_swap_cache: an unmapped page that nobody has locked gives up its place, if no PTE holds its entry. */
export function free_swap_cache(k: Kernel, page: Pfn): void {
  if (!PageSwapCache(k, page) || page_mapped(k, page) || !trylock_page(k, page)) return;
  try_to_free_swap(k, page);
  unlock_page(k, page);
}

/**
 * The page of an entry, from the cache or on its way from the disk (locked until it is there), with a reference; NONE when nobody holds
 * the entry any more, or there is no memory.
 */
export const read_swap_cache_async = path(
  "read_swap_cache_async",
  {
    source: "mm/swap_state.c v4.20",
    args: { entry: int },
    locals: { new_page: pfn, err: int },
    returns: pfn,
  },
  [
    label("again"),
    step("find_get_page", (k, f) => {
      f.ret = lookup_swap_cache(k, f.entry);
    }),
    given((_, f) => f.ret !== NONE, [goto("out")]),
    when("!__swp_swapcount", (k, f) => __swp_swapcount(k, f.entry) === 0, [goto("out")]),
    given(
      (_, f) => f.new_page === NONE,
      [alloc_pages("alloc_page_vma", "new_page", () => {}, [leave(() => NONE)])],
    ),
    under(xa_lock, [
      step("swapcache_prepare", (k, f) => {
        f.err = swapcache_prepare(k, f.entry);
        if (f.err !== 0) return;
        lock_page_for_read(k, f.new_page);
        SetPageSwapBacked(k, f.new_page);
        add_to_swap_cache(k, f.new_page, f.entry);
        note_workingset(k, f.new_page);
        lru_cache_add(k, f.new_page);
        f.ret = f.new_page;
        f.new_page = NONE;
      }),
    ]),
    given(
      (_, f) => f.err === 0,
      [
        step("swap_readpage", (k, f) => {
          k.count("pswpin");
          queue_page(k, f.ret);
        }),
        leave((_, f) => f.ret),
      ],
    ),
    given((_, f) => f.err === -ERRNO.EEXIST, [goto("again")]),
    label("out"),
    local((_, f) => {
      f.err = 0;
    }),
    given((_, f) => f.new_page !== NONE, [step("put_page", (k, f) => put_page(k, f.new_page))]),
    leave((_, f) => f.ret),
  ],
);
