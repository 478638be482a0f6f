/**
 * A bit that says that a page is get_user_pages' and put_page's complaint about who puts such a page.
 *
 * Andrew Morton asked, after the first series of October 2018, how anybody would know that all call sites have been converted; John Hubbard wants an assertion that
 * fires where put_user_page was not called and should have been, and needs a bit for it, which Matthew Wilcox has, the more so as it is wanted
 * only until the conversion is done (LWN, 12 December 2018). No patch is known: what follows is the most that one bit and what put_page can see allow.
 *
 * get_user_pages sets the bit, put_user_page clears it. put_page cannot know whose reference it drops, and of a marked page it drops others all the time:
 * a batch's, a lookup's. But of a page that stays marked one reference must be left for get_user_pages, one for each PTE, one for the cache
 * and one for private data. Whoever goes below that has dropped one that was not his, or the last but one before him has.
 *
 * What it cannot find:
 * - a site that is never run: "a coverage exercise".
 * - a second pin of the page. put_user_page clears the bit, as there is no count that would say that another pin is left; what is put by put_page then is
 *   put of a page without a mark.
 * - who it was, where somebody else held a reference at the time: the one who puts that reads that he has done it.
 * - an array that nobody puts at all.
 */
import type { Kernel } from "../../kernel/kernel.js";
import { compound_head } from "../../kernel/mm/compound.js";
import { device_page_idle, is_zone_device_page } from "../../kernel/mm/memremap.js";
import { PagePrivate, PageSwapCache, page_count } from "../../kernel/mm/page.js";
import { isAnon } from "../../kernel/structs.js";
import type { Pfn } from "../../kernel/types.js";
import { struct, u8 } from "../../machine/memory.js";
import { noted } from "./noted.js";
import type { Proposal } from "./proposal.js";
import { converted } from "./put_user_page.js";

const gup_bit = struct("gup_bit", {
  PG_gup: u8("1 from get_user_pages to the next put_user_page of the page"),
});

/** Bit of the WARN_ON_ONCE site. */
const WARN_put_page_of_gup = 25;

/** References of a page that somebody who looks at struct page knows of. */
function known(k: Kernel, page: Pfn): number {
  if (is_zone_device_page(k, page)) return device_page_idle(k);
  const mapping = k.page.mapping[page];
  const cached = (mapping !== 0 && !isAnon(mapping)) || PageSwapCache(k, page);
  return k.page.mapcount[page] + (cached ? 1 : 0) + (PagePrivate(k, page) ? 1 : 0);
}

const set = (to: 0 | 1) => (k: Kernel, page: Pfn) => {
  k.of(gup_bit).PG_gup[compound_head(k, page)] = to;
};

export const morton_assertion_2018: Proposal = {
  name: "morton-assertion-2018",
  ideas: ["A10"],
  title: "an assertion that put_user_page has been called",
  author: "Andrew Morton",
  date: "2018-12",
  commit: null,
  source: "DMA and get_user_pages(), LWN, 12 December 2018",
  help: "put_page warns where it takes the reference that get_user_pages has left on a page",
  needs_one: converted,
  remarks: [
    {
      who: "Matthew Wilcox",
      date: "2018-12",
      says: "there is another bit, the more so if it is needed only while the conversion goes on",
      source: "DMA and get_user_pages(), LWN, 12 December 2018",
    },
    {
      who: "Dan Williams",
      date: "2018-12",
      says: "the first bit is free",
      source: "DMA and get_user_pages(), LWN, 12 December 2018",
    },
  ],
  tables: [{ struct: gup_bit, rows: (g) => g.pages + (g.zeroPage ? 1 : 0) }],
  page_words: [{ struct: gup_bit, instead_of: "flags" }],
  inserts: [
    {
      into: "put_page",
      help: "warns if a page that is marked as get_user_pages' has too few references for that, and its PTEs, the cache and private data",
      run: (k, page) => {
        // The zero page is reserved: nobody counts what is mapped of it.
        if (page === k.geometry.pages) return;
        k.WARN_ON_ONCE(
          k.of(gup_bit).PG_gup[page] === 1 && page_count(k, page) - 1 < known(k, page) + 1,
          WARN_put_page_of_gup,
          "put_page: WARN_ON(PageGup(page)): put_user_page should have been called",
          page,
        );
      },
    },
    {
      into: "free_pages_check",
      help: "a page that is freed is nobody's any more",
      run: (k, page) => {
        k.of(gup_bit).PG_gup[page] = 0;
      },
    },
  ],
  edits: noted({ take: set(1), put: set(0) }),
};
