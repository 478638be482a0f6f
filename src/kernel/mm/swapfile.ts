/**
 * The swap area: which of its pages are in use, and by how many.
 *
 * Source: mm/swapfile.c in v4.20. swap_map counts, for each page of the area, the PTEs that hold its entry; SWAP_HAS_CACHE says that a
 * page of the swap cache has it as well (mm/swap_state.ts). Who holds the page itself by reference is not counted: reuse_swap_page
 * asks how many PTEs and entries there are, as do_wp_page does without swap, and a device has neither.
 *
 * The area is the last file of the machine (Kernel.swapper_space): the slots of its mapping are the swap cache, its blocks what is
 * on the disk. Each section under the cluster lock is atomic, and so is one that the page lock protects from whoever could tell.
 *
 * Left out: more than one area, priorities, clusters and the slot caches (the lowest free page is taken, and a freed one is free at once, so that
 * an entry is another page's much sooner than there), huge pages, counts above SWAP_MAP_MAX
 * (swap_count_continued), SWAP_MAP_SHMEM (an entry of a file counts as one), swapoff, hibernation, discard, frontswap; that scan_swap_map takes pages from a full area
 * which only the cache has.
 */
import { struct, u8, u16 } from "../../machine/memory.js";
import { ERRNO } from "../errno.js";
import type { Kernel, Table } from "../kernel.js";
import type { Pfn, SwpEntry } from "../types.js";
import {
  get_page_unless_zero,
  PageLocked,
  PageSwapCache,
  PageWriteback,
  page_mapped,
  SetPageDirty,
} from "./page.js";
import { put_page } from "./swap.js";
import { delete_from_swap_cache } from "./swap_state.js";

const swap_info_struct = struct("swap_info_struct", {
  swap_map: u8("PTEs that hold the entry of this page of the area; SWAP_HAS_CACHE with it"),
});

const swap_page = struct("swap_page", {
  private: u16("page->private of a page in the swap cache: its entry"),
});

/** The structs of this file. */
export const swapTables: readonly Table[] = [
  {
    struct: swap_info_struct,
    rows: (g) => (g.config.has("swap") ? g.files[g.files.length - 1].pages : 0),
  },
  { struct: swap_page, rows: (g) => (g.config.has("swap") ? g.pages : 0) },
];

/** The page is in the swap cache, too. */
export const SWAP_HAS_CACHE = 0x40;
/** The highest count. */
const SWAP_MAP_MAX = 0x3e;

/** swap_count: how many PTEs hold an entry, from its swap_map. */
const swap_count = (entry: number): number => entry & ~SWAP_HAS_CACHE;

/** swap_map of the area, by offset; of no rows without one. */
export const swap_map = (k: Kernel): Uint8Array => k.of(swap_info_struct).swap_map as Uint8Array;

/** page_private of a page in the swap cache: its entry. */
export const page_private = (k: Kernel, page: Pfn): SwpEntry => k.of(swap_page).private[page];

export function set_page_private(k: Kernel, page: Pfn, entry: SwpEntry): void {
  k.of(swap_page).private[page] = entry;
}

/** total_swap_pages */
export const total_swap_pages = (k: Kernel): number => Math.max(0, swap_map(k).length - 1);

/** get_nr_swap_pages: pages of the area that are free. */
export function get_nr_swap_pages(k: Kernel): number {
  const map = swap_map(k);
  let free = 0;
  for (let offset = 1; offset < map.length; offset++) if (map[offset] === 0) free++;
  return free;
}

/** vm_swap_full: more than half of the area is used. Then entries that need not be kept are given up. */
export const vm_swap_full = (k: Kernel): boolean => get_nr_swap_pages(k) * 2 < total_swap_pages(k);

/** get_swap_page: a free page of the area, for the swap cache; 0 when there is none. */
export function get_swap_page(k: Kernel): SwpEntry {
  const map = swap_map(k);
  for (let offset = 1; offset < map.length; offset++) {
    if (map[offset] !== 0) continue;
    map[offset] = SWAP_HAS_CACHE;
    return offset;
  }
  return 0;
}

/** __swap_entry_free: one user less. A page of the area without users is free; nobody reads it before it is written. */
function __swap_entry_free(k: Kernel, entry: SwpEntry, usage: number): number {
  const map = swap_map(k);
  if (usage === SWAP_HAS_CACHE) {
    if ((map[entry] & SWAP_HAS_CACHE) === 0) throw new Error(`put_swap_page: entry ${entry} has no cache`);
    map[entry] &= ~SWAP_HAS_CACHE;
  } else {
    if (swap_count(map[entry]) === 0) throw new Error(`swap_free: nobody holds entry ${entry}`);
    map[entry]--;
  }
  return map[entry];
}

/** swap_free: a PTE does not hold the entry any more. */
export function swap_free(k: Kernel, entry: SwpEntry): void {
  __swap_entry_free(k, entry, 1);
}

/** put_swap_page: the page has left the swap cache. */
export function put_swap_page(k: Kernel, entry: SwpEntry): void {
  __swap_entry_free(k, entry, SWAP_HAS_CACHE);
}

/** swap_duplicate: another PTE holds the entry. */
export function swap_duplicate(k: Kernel, entry: SwpEntry): void {
  const map = swap_map(k);
  if (map[entry] === 0) throw new Error(`swap_duplicate: entry ${entry} is free`);
  if (swap_count(map[entry]) === SWAP_MAP_MAX)
    throw new Error(`swap_duplicate: more than ${SWAP_MAP_MAX} PTEs hold entry ${entry}`);
  map[entry]++;
}

/** swapcache_prepare: claim an entry for a page that is to be read. Gives 0, -EEXIST when there is one, -ENOENT when nobody holds the entry. */
export function swapcache_prepare(k: Kernel, entry: SwpEntry): number {
  const map = swap_map(k);
  if ((map[entry] & SWAP_HAS_CACHE) !== 0) return -ERRNO.EEXIST;
  if (map[entry] === 0) return -ERRNO.ENOENT;
  map[entry] |= SWAP_HAS_CACHE;
  return 0;
}

/** __swp_swapcount: how many PTEs hold an entry. */
export const __swp_swapcount = (k: Kernel, entry: SwpEntry): number => swap_count(swap_map(k)[entry]);

/** page_swapcount: how many PTEs hold the entry of a page of the swap cache. page_swapped when there are some. */
export const page_swapcount = (k: Kernel, page: Pfn): number => __swp_swapcount(k, page_private(k, page));

/**
 * reuse_swap_page: whether a locked anonymous page can be written where it is, as nobody else's PTE shows it, now or when it comes
 * back from swap. Whoever holds it by reference is not asked. A page of the swap cache leaves it, unless it is being written there:
 * then it depends on the device.
 */
export function reuse_swap_page(k: Kernel, page: Pfn): boolean {
  const cached = PageSwapCache(k, page);
  const count = k.page.mapcount[page] + (cached ? page_swapcount(k, page) : 0);
  if (count === 1 && cached) {
    if (!PageWriteback(k, page)) {
      delete_from_swap_cache(k, page);
      SetPageDirty(k, page);
    } else if (k.inode.stable_writes[k.swapper_space] === 1) return false;
  }
  return count <= 1;
}

/** try_to_free_swap: take a locked page out of the swap cache if no PTE holds its entry. It is dirty then: nobody else has its bytes. */
export function try_to_free_swap(k: Kernel, page: Pfn): boolean {
  if (!PageSwapCache(k, page) || PageWriteback(k, page) || page_swapcount(k, page) > 0) return false;
  delete_from_swap_cache(k, page);
  SetPageDirty(k, page);
  return true;
}

/** __try_to_reclaim_swap with TTRS_UNMAPPED and TTRS_FULL: the page in the swap cache that has this entry need not keep it. */
function __try_to_reclaim_swap(k: Kernel, entry: SwpEntry): void {
  const page = k.xa_slot.page[k.slotOf(k.swapper_space, entry)] - 1;
  if (!get_page_unless_zero(k, page)) return;
  if (!PageLocked(k, page) && (!page_mapped(k, page) || vm_swap_full(k))) try_to_free_swap(k, page);
  put_page(k, page);
}

/** free_swap_and_cache: a PTE that held the entry is gone for good. Where only the swap cache is left, its page goes as well, if nobody has it locked. */
export function free_swap_and_cache(k: Kernel, entry: SwpEntry): void {
  if (__swap_entry_free(k, entry, 1) === SWAP_HAS_CACHE) __try_to_reclaim_swap(k, entry);
}
