/**
 * What struct page could know of get_user_pages, and the question that is put to it: is this page pinned?
 *
 * v4.20 cannot tell. Several ways to note a pin were proposed, each a patch of its own (the files named at each struct here), and of one kernel
 * only one can be. A policy that has to know (reclaim that spares pinned pages, truncation that fails) asks page_dma_pinned(), and works
 * with whichever way its kernel has. Since v5.7 that is what was merged: page_maybe_dma_pinned() (track_foll_pin.ts).
 */
import type { Kernel } from "../../kernel/kernel.js";
import { compound_head } from "../../kernel/mm/compound.js";
import { page_mapping } from "../../kernel/mm/filemap.js";
import { page_count } from "../../kernel/mm/page.js";
import type { Rule } from "../../kernel/rule.js";
import type { Pfn } from "../../kernel/types.js";
import { fixed, i16, struct, u8, u16 } from "../../machine/memory.js";
import { GUP_PIN_COUNTING_BIAS } from "../../trace/words.js";
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

/** One bit (wilcox_bit_2018.ts). */
export const pinned_bit = struct("pinned_bit", { PG_pinned: u8("1 once get_user_pages has taken the page") });

/** 1,024 references a pin (glisse_kara_bias_2019.ts). */
export const gup_pin_bias = struct("gup_pin_bias", {
  bias: fixed("references that a reference of get_user_pages counts"),
});
export const gup_pin_counting_bias: Rule<typeof gup_pin_bias.fields> = {
  name: "GUP_PIN_COUNTING_BIAS",
  help: "how many references a pin counts; a page with more is taken for pinned",
  struct: gup_pin_bias,
  values: { bias: GUP_PIN_COUNTING_BIAS },
  asked: ["__get_user_pages/follow_page_pte", "page_cache_get_speculative", "put_user_page"],
  asked_by: "whoever asks whether a page is pinned",
};

/** Mapcounts beyond those of PTEs (glisse_mapcount_2018.ts). */
export const gup_mapcount = struct("gup_mapcount", {
  counts: fixed("1: a reference of get_user_pages to a page of a file is a mapcount as well"),
});

export const gup_mapcount_rule: Rule<typeof gup_mapcount.fields> = {
  name: "page_is_guped",
  help: "whether mapcounts beyond those of PTEs are pins",
  struct: gup_mapcount,
  values: { counts: 1 },
  asked: ["__get_user_pages/follow_page_pte", "page_cache_get_speculative", "put_user_page"],
  asked_by: "whoever asks whether a page is pinned",
};

/** A count for each place of a file (hubbard_mapping_count_2018.ts). */
export const mapping_pins = struct("mapping_pins", {
  dma_pinned_count: i16(
    "of a page of the file: times that it was counted up less times that it was counted down",
  ),
});

/** Objects of their own for pages that are pinned (page_aux_2018.ts). */
export const page_objects = struct("page_objects", {
  pins: u16("references of get_user_pages that the page's object has, or objects that the page has"),
});

/** PTEs that show a page: what an rmap walk finds. */
function ptes_of(k: Kernel, page: Pfn): number {
  let found = 0;
  for (let vma = 0; vma < k.vma.vm_start.length; vma++) if (k.pteAt(vma, page) >= 0) found++;
  return found;
}

/** Whether a kernel that notes pins says that a page has one; no in a kernel that does not. */
export function page_dma_pinned(k: Kernel, page: Pfn): boolean {
  if (k.knows(vmstat_foll_pin)) return page_maybe_dma_pinned(k, page);
  if (k.knows(dma_pinned_count)) return k.of(dma_pinned_count).dma_pinned_count[compound_head(k, page)] > 0;
  if (k.knows(page_lru_words))
    return (k.of(page_lru_words).dma_pinned_flags[compound_head(k, page)] & PAGE_DMA_PINNED) !== 0;
  if (k.knows(pinned_bit)) return k.of(pinned_bit).PG_pinned[compound_head(k, page)] === 1;
  // page_gup_pinned() of February 2019: the count is compared as one without a sign.
  if (k.knows(gup_pin_bias)) return page_count(k, compound_head(k, page)) >>> 0 > k.of(gup_pin_bias).bias[0];
  if (k.knows(gup_mapcount)) {
    const head = compound_head(k, page);
    return k.page.mapcount[head] > ptes_of(k, head);
  }
  if (k.knows(mapping_pins)) {
    const mapping = page_mapping(k, page);
    return mapping !== 0 && k.of(mapping_pins).dma_pinned_count[k.slotOf(mapping, k.page.index[page])] > 0;
  }
  if (k.knows(page_objects)) return k.of(page_objects).pins[compound_head(k, page)] > 0;
  return false;
}
