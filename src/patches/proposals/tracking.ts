/**
 * What struct page could know of get_user_pages, and the question that is put to it: is this page pinned?
 *
 * v4.20 cannot tell. Several ways to note a pin were proposed, each a patch of its own (the files named at each struct here), and of one kernel
 * only one can be. A policy that has to know (reclaim that spares pinned pages, truncation that fails) asks page_dma_pinned(), and works
 * with whichever way its kernel has. Since v5.7 that is what was merged: page_maybe_dma_pinned() (track_foll_pin.ts).
 */
import type { Kernel } from "../../kernel/kernel.js";
import { compound_head } from "../../kernel/mm/compound.js";
import type { Pfn } from "../../kernel/types.js";
import { struct, u8, u16 } from "../../machine/memory.js";
import { page_maybe_dma_pinned, vmstat_foll_pin } from "../track_foll_pin.js";

/** A count in a word of its own (kara_count_2018.ts). */
export const dma_pinned_count = struct("dma_pinned_count", {
  dma_pinned_count: u16("times that get_user_pages has taken the page and put_user_page has not yet put it"),
});

/** PageDmaPinned; and whether its reference of the LRU list's isolation is still there. */
export const PAGE_DMA_PINNED = 0x2;
export const PAGE_DMA_PINNED_WAS_LRU = 0x4;

/** A count in the words of page->lru (hubbard_lru_2018.ts). */
export const page_lru_words = struct("page_lru_words", {
  dma_pinned_flags: u8("over lru.next: 2 pinned, 4 was on an LRU list"),
  dma_pinned_count: u16(
    "over lru.prev: times that get_user_pages has taken the page and put_user_page has not yet put it",
  ),
  lost: u8("1 when that was written over links that somebody else has, or over a device's words"),
});

/** Whether a kernel that notes pins says that a page has one; no in a kernel that does not. */
export function page_dma_pinned(k: Kernel, page: Pfn): boolean {
  if (k.knows(vmstat_foll_pin)) return page_maybe_dma_pinned(k, page);
  if (k.knows(dma_pinned_count)) return k.of(dma_pinned_count).dma_pinned_count[compound_head(k, page)] > 0;
  if (k.knows(page_lru_words))
    return (k.of(page_lru_words).dma_pinned_flags[compound_head(k, page)] & PAGE_DMA_PINNED) !== 0;
  return false;
}
