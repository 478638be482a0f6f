/**
 * Whether a process may write an anonymous page in place is asked of the references in the swap cache, too.
 *
 * Source: mm/memory.c, commits 53a05ad9f21d, d4c470970d45 and c145e0b47c77 (v5.18). do_swap_page asked, as v4.20
 * does, how many PTEs and entries there are (reuse_swap_page); it counts references now, as do_wp_page does since
 * v5.9. do_wp_page drains this CPU's batches and gives up the page's place in swap before it counts, so that fewer
 * pages are copied for nothing.
 *
 * What it mends: CVE-2020-29374 of a page that was in swap: a child that has given its page to a pipe and unmapped it
 * leaves the parent as the last one with the entry, and the parent got the page itself for its write.
 *
 * A page that is read from swap is not activated, since v5.9 (b518154e59aa); the base does.
 */
import { type Kernel, PFN_SHIFT, PTE } from "../kernel/kernel.js";
import { gives, step } from "../kernel/language.js";
import { PG_locked } from "../kernel/locks.js";
import {
  do_page_add_anon_rmap,
  maybe_mkwrite,
  SWAPIN,
  vm_normal_page,
  vm_page_prot,
  WP,
  wp_page_reuse,
} from "../kernel/mm/memory.js";
import {
  get_page,
  PageLocked,
  PageLRU,
  PageMlocked,
  PageSwapCache,
  page_count,
  unlock_page,
} from "../kernel/mm/page.js";
import { set_pte } from "../kernel/mm/rmap.js";
import { lru_add_drain } from "../kernel/mm/swap.js";
import { swap_free, try_to_free_swap, vm_swap_full } from "../kernel/mm/swapfile.js";
import { pte_to_swp_entry } from "../kernel/mm/swapops.js";
import { FAULT_FLAG } from "../kernel/operations.js";
import { isAnon, VM_LOCKED } from "../kernel/structs.js";
import { NONE, type Pfn, type Vpn } from "../kernel/types.js";
import { replace } from "../machine/patch.js";
import type { Patch } from "./patch.js";

/** The frame of do_wp_page. */
export interface Wp {
  readonly at: Vpn;
  readonly vma: number;
  readonly orig_pte: number;
  page: Pfn;
  wp: number;
}

/**
 * wp_can_reuse_anon_folio, as it was called later: whether the PTE's reference is the only one. Who asks holds the
 * ptl; the page lock is tried, and given back at once.
 */
export function can_reuse(k: Kernel, page: Pfn): boolean {
  if (page_count(k, page) > 3) return false;
  if (!PageLRU(k, page)) lru_add_drain(k);
  if (page_count(k, page) > 1 + (PageSwapCache(k, page) ? 1 : 0) || PageLocked(k, page)) return false;
  try_to_free_swap(k, page);
  return page_count(k, page) === 1;
}

/** The frame of do_swap_page. */
export interface Swapin {
  readonly at: Vpn;
  readonly vma: number;
  readonly flags: number;
  readonly orig_pte: number;
  page: Pfn;
  done: number;
  pte: number;
}

/** should_try_to_free_swap: a page that is wanted for writing leaves the swap cache if that makes it nobody else's. */
const should_try_to_free_swap = (k: Kernel, f: Swapin): boolean =>
  vm_swap_full(k) ||
  (k.vma.vm_flags[f.vma] & VM_LOCKED) !== 0 ||
  PageMlocked(k, f.page) ||
  ((f.flags & FAULT_FLAG.WRITE) !== 0 && page_count(k, f.page) === 2);

/**
 * The end of do_swap_page, with the page and its lock.
 *
 * @param exclusive whether the page is this process's alone, whatever its references say
 * @param owns called with a page that is
 */
export function map_swapped(
  k: Kernel,
  f: Swapin,
  exclusive: boolean,
  owns: (k: Kernel, page: Pfn) => void,
): number {
  const wants = (f.flags & FAULT_FLAG.WRITE) !== 0;
  if (wants && !PageLRU(k, f.page)) lru_add_drain(k);
  if (k.pte.entry[f.at] !== f.orig_pte) return SWAPIN.changed;
  swap_free(k, pte_to_swp_entry(f.orig_pte));
  if (should_try_to_free_swap(k, f)) try_to_free_swap(k, f.page);
  const own = exclusive || page_count(k, f.page) === 1;
  const written = wants && own ? PTE.dirty | maybe_mkwrite(k, f.vma) : 0;
  do_page_add_anon_rmap(k, f.page, f.vma, f.at);
  set_pte(
    k,
    f.at,
    (f.page << PFN_SHIFT) | PTE.present | PTE.young | vm_page_prot(k, f.vma) | written,
    f.page,
  );
  if (own) owns(k, f.page);
  return wants && !own ? SWAPIN.copy : SWAPIN.mapped;
}

/** The step of do_swap_page that maps a page, and gives its lock back before the ptl. */
export const maps_swapped = (
  is_exclusive: (k: Kernel, f: Swapin) => boolean,
  owns: (k: Kernel, page: Pfn) => void,
) =>
  replace<Swapin>("do_swap_page", "set_pte_at", [
    gives(
      PG_locked,
      step("set_pte_at", (k, f) => {
        f.done = map_swapped(k, f, is_exclusive(k, f), owns);
        if (f.done === SWAPIN.copy) f.pte = k.pte.entry[f.at];
        unlock_page(k, f.page);
      }),
    ),
  ]);

export const reuse_by_references: Patch = {
  name: "reuse-by-references",
  title: "mm: streamline COW logic in do_swap_page()",
  author: "David Hildenbrand",
  date: "2022-03",
  commit: "c145e0b47c77",
  help: "a page that comes back from swap is written in place only by who has its only reference",
  edits: [
    replace<Wp>("do_wp_page", "do_wp_page", [
      step("do_wp_page", (k, f) => {
        if (k.pte.entry[f.at] !== f.orig_pte) return;
        f.page = vm_normal_page(k, f.orig_pte);
        f.wp = WP.copy;
        if (f.page === NONE) return;
        if (isAnon(k.page.mapping[f.page]) && can_reuse(k, f.page)) {
          wp_page_reuse(k, f.at, f.vma, f.page);
          f.wp = WP.done;
        } else get_page(k, f.page);
      }),
    ]),
    maps_swapped(
      () => false,
      () => {},
    ),
  ],
};
