/**
 * A count of pins in struct page: what everybody would have, were there room for it.
 *
 * Jan Kara, 5 July 2018: pinned is not a property of a page but of a reference, and a page is pinned while it has at least one of that kind. So acquiring and
 * dropping need an API of their own, and a count. struct page is full: a word for the count makes it 72 bytes where it had 64.
 *
 * Here as the ideal against which the ways without a word of their own are held: hubbard-lru-2018 and others.
 */
import { compound_head } from "../../kernel/mm/compound.js";
import { noted } from "./noted.js";
import type { Proposal } from "./proposal.js";
import { converted } from "./put_user_page.js";
import { dma_pinned_count } from "./tracking.js";

export const kara_count_2018: Proposal = {
  name: "kara-count-2018",
  ideas: ["A5"],
  title: "mm/fs: put_user_page() proposal",
  author: "Jan Kara",
  date: "2018-07",
  commit: null,
  source: "reply to Christopher Lameter, linux-mm, 5 July 2018",
  help: "struct page counts the references that get_user_pages has taken; nobody asks",
  needs_one: converted,
  remarks: [
    {
      who: "LWN",
      date: "2018-12",
      says: "struct page is full: a word more of it is a word for every page of the machine",
      source: "DMA and get_user_pages(), 12 December 2018",
    },
  ],
  tables: [{ struct: dma_pinned_count, rows: (g) => g.pages + (g.zeroPage ? 1 : 0) }],
  page_words: [{ struct: dma_pinned_count, instead_of: null }],
  edits: noted({
    take: (k, page) => {
      k.of(dma_pinned_count).dma_pinned_count[compound_head(k, page)]++;
    },
    put: (k, page) => {
      k.of(dma_pinned_count).dma_pinned_count[compound_head(k, page)]--;
    },
  }),
};
