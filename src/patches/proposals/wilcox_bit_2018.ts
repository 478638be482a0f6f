/**
 * One page bit, and put_page does the right thing by itself: no call site changes.
 *
 * Matthew Wilcox, November 2018 (Linux Plumbers Conference; LWN, 12 December 2018): a bit that may stay marks the pages that get_user_pages gave.
 * In the same session it was found that this does not help: there is no telling whether a put is the driver's. What put_page does with a marked page is
 * not said. There are two things that it can do, and each is wrong:
 * - wilcox-bit-2018: any put clears the bit. A put of somebody who has nothing to do with it makes a pinned page look free.
 * - wilcox-bit-sticky-2018: no put does, the bit goes when the page is freed. A page that was pinned once looks pinned for good.
 *
 * Nobody asks yet.
 */
import type { Kernel } from "../../kernel/kernel.js";
import { compound_head } from "../../kernel/mm/compound.js";
import type { Pfn } from "../../kernel/types.js";
import { notes_taken } from "./noted.js";
import type { Proposal } from "./proposal.js";
import { pinned_bit } from "./tracking.js";

const mark = (k: Kernel, page: Pfn): void => {
  k.of(pinned_bit).PG_pinned[compound_head(k, page)] = 1;
};
const clear = (k: Kernel, page: Pfn): void => {
  k.of(pinned_bit).PG_pinned[page] = 0;
};

const bit = {
  ideas: ["A14"],
  title: "a page bit for pages of get_user_pages",
  author: "Matthew Wilcox",
  date: "2018-11",
  commit: null,
  source: "DMA and get_user_pages(), LWN, 12 December 2018",
  remarks: [
    {
      who: "John Hubbard",
      date: "2018-12",
      says: "it was seen in the same session that a bit does not help: a random put_page would touch a pinned page, one needs a count",
      source: "a0adcf7c-5592-f003-abc5-a2645eb1d5df",
    },
    {
      who: "Jan Kara",
      date: "2018-07",
      says: "of whatever is noted, nobody can tell which of the puts is the one that ends it",
      source: "20180709134937.fqk77w2jjw62lw6m",
    },
  ],
  tables: [{ struct: pinned_bit, rows: (g) => g.pages + (g.zeroPage ? 1 : 0) }],
  page_words: [{ struct: pinned_bit, instead_of: "flags" }],
  edits: notes_taken(mark),
} satisfies Partial<Proposal>;

const freed = {
  into: "free_pages_check",
  help: "a freed page has no bit",
  run: clear,
} as const;

export const wilcox_bit_2018: Proposal = {
  ...bit,
  name: "wilcox-bit-2018",
  uncertain: "what put_page does with the bit is not said",
  help: "get_user_pages sets a bit in struct page, and any put_page clears it; nobody asks",
  inserts: [{ into: "put_page", help: "clears the bit, whoever puts", run: clear }, freed],
};

export const wilcox_bit_sticky_2018: Proposal = {
  ...bit,
  name: "wilcox-bit-sticky-2018",
  uncertain: "what put_page does with the bit is not said",
  help: "get_user_pages sets a bit in struct page, and only the end of the page clears it; nobody asks",
  inserts: [freed],
};
