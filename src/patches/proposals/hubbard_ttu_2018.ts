/**
 * Reclaim does not unmap pinned pages.
 *
 * John Hubbard, 1 July 2018, patch 6/6 of "mm/fs: gup: don't unmap or drop filesystem buffers": the rmap walk of try_to_unmap() looks whether the page is pinned, and fails. Reclaim never comes to the page's buffers
 * then. (The other half of that patch, page_mkclean(), is hubbard-mkclean-2018.)
 *
 * What it leaves: writeback cleans a pinned page as before; invalidation and truncation strip it as before.
 */
import { goto, when } from "../../kernel/language.js";
import type { Pfn } from "../../kernel/types.js";
import { before } from "../../machine/patch.js";
import type { Proposal } from "./proposal.js";
import { page_dma_pinned } from "./tracking.js";
import { trackings } from "./trackings.js";

export const hubbard_ttu_2018: Proposal = {
  name: "hubbard-ttu-2018",
  ideas: ["A11"],
  title: "mm: track gup pages with page->dma_pinned_* fields",
  author: "John Hubbard",
  date: "2018-07",
  commit: null,
  source: "20180702005654.20369-1",
  help: "reclaim does not unmap a pinned page: it fails as if the page were locked in memory",
  needs_one: trackings,
  remarks: [
    {
      who: "filesystem developers",
      date: "2018-12",
      says: "holding pages in that state is not a good idea",
      source: "DMA and get_user_pages(), LWN, 12 December 2018",
    },
  ],
  // The step stands twice in the base: for machines that truncate, and for those that do not.
  edits: ["try_to_unmap#1", "try_to_unmap#2"].map((anchor) =>
    before<{ readonly page: Pfn }>("shrink_page_list", anchor, [
      when("page_dma_pinned", (k, f) => page_dma_pinned(k, f.page), [goto("activate_locked")]),
    ]),
  ),
};
