/**
 * Reclaim does not unmap pinned pages.
 *
 * John Hubbard, 1 July 2018, patch 6/6 of "mm/fs: gup: don't unmap or drop filesystem buffers": in the rmap walk of try_to_unmap() each VMA begins with the question
 * whether the page is pinned, and the walk fails if it is. Reclaim never comes to the page's buffers then. (The other half of that patch, page_mkclean(), is
 * hubbard-mkclean-2018.)
 *
 * hubbard-ttu-2018 is what was posted. The question takes zone_gup_lock "to serialise with get_user_pages" and gives it back before it looks at a PTE: a pin that comes
 * between the question and the cleared PTE is not seen, and the page loses its buffers under it (73 steps in W1).
 *
 * hubbard-ttu-serialised-2018 is what that comment promises, and nobody posted: the question and the cleared PTE are one section of the page table lock. get_user_pages takes the pin under the
 * same lock, and the fast walk looks at the PTE again when it has its pin: neither can come between. What it leaves, and the search finds, is no race of gup's: pageout() gives the page lock away while it
 * writes, so that a page which has been unmapped can be faulted in and pinned again, is cleaned, and loses its buffers without another look at its PTEs.
 *
 * kara-ttu-2018 is Jan Kara's answer of the next day: unmap first, and ask then. The page lock keeps faults away, so that no new pin comes; Hubbard agreed. Reclaim
 * that does so was merged five years later (keep-private-of-pinned, v6.4), with one difference: there the question is put to every page, here only to one that try_to_unmap() was called for. A page that has lost
 * its PTEs at one meeting is not mapped at the next, and its buffers go.
 *
 * What all leave: writeback cleans a pinned page as before; invalidation and truncation strip it as before; a page that its process has unmapped is not asked about.
 *
 * Left out: zone_gup_lock itself (its sections are single steps), and that the series noted the pin some time after it had taken the reference: whichever way of counting a kernel has, here both are one.
 */
import type { Kernel } from "../../kernel/kernel.js";
import { config, given, goto, when } from "../../kernel/language.js";
import { try_to_unmap_for_migration } from "../../kernel/mm/migrate.js";
import { try_to_unmap } from "../../kernel/mm/rmap.js";
import type { Pfn } from "../../kernel/types.js";
import { after, around, before, type Edit } from "../../machine/patch.js";
import type { Node } from "../../machine/path.js";
import type { Proposal, Remark } from "./proposal.js";
import { page_dma_pinned } from "./tracking.js";
import { trackings } from "./trackings.js";

interface Walk {
  readonly page: Pfn;
  vma: number;
  stop: number;
}

/** rmap_one gives false: the walk ends, and a page that is mapped still was not unmapped. */
const is_pinned: Node<Kernel, Walk> = when<Walk>("PageDmaPinned", (k, f) => page_dma_pinned(k, f.page), [
  goto<Walk>("out"),
]);

const not_good: Remark = {
  who: "filesystem developers",
  date: "2018-12",
  says: "holding pages in that state is not a good idea",
  source: "DMA and get_user_pages(), LWN, 12 December 2018",
};

const hubbard = {
  ideas: ["A11"],
  title: "mm: page_mkclean, ttu: handle pinned pages",
  author: "John Hubbard",
  date: "2018-07",
  commit: null,
  source: "20180702005654.20369-7",
  needs_one: trackings,
} as const;

export const hubbard_ttu_2018: Proposal = {
  ...hubbard,
  name: "hubbard-ttu-2018",
  help: "reclaim does not unmap a pinned page: it asks before it looks at the page's PTE, and a pin that comes then is not seen",
  remarks: [
    not_good,
    {
      who: "Jan Kara",
      date: "2018-07",
      says: "asking for each page table is too often and the lock will hurt: unmap first, then ask, as nobody can fault the page in while it is locked",
      source: "20180702101542.fi7ndfkg5fpzodey",
    },
    {
      who: "John Hubbard",
      date: "2018-07",
      says: "he had thought of it the wrong way round; unmapping first is better",
      source: "b64bda3d-903d-c3b9-f315-bf7a7302e425",
    },
  ],
  edits: [
    // The notifier's users are not told of what will not happen.
    before("try_to_unmap", "invalidate_page_start", [is_pinned]),
    before("try_to_unmap", "under ptl", [config<Walk>("notifier", [], [is_pinned])]),
  ],
};

export const hubbard_ttu_serialised_2018: Proposal = {
  ...hubbard,
  name: "hubbard-ttu-serialised-2018",
  help: "reclaim does not unmap a pinned page: the question and the cleared PTE are one",
  uncertain: "nobody posted it so: it is what the posted patch says that it does",
  remarks: [not_good],
  edits: [
    around<Walk>(try_to_unmap, "ptep_clear_flush", "PageDmaPinned", (act) => (k, f) => {
      if (page_dma_pinned(k, f.page)) f.stop = 1;
      else act(k, f);
    }),
    // The walk that makes migration entries comes to the end of the VMAs without one.
    around<Walk>(try_to_unmap_for_migration, "ptep_clear_flush", "PageDmaPinned", (act) => (k, f) => {
      if (!page_dma_pinned(k, f.page)) act(k, f);
    }),
  ],
};

/** The call stands twice in the base: for machines that truncate, and for those that do not. */
const asks_unmapped = (anchor: string): Edit =>
  after<{ readonly page: Pfn; readonly unmapped: number }>("shrink_page_list", anchor, [
    given(
      (_, f) => f.unmapped === 1,
      [when("PageDmaPinned", (k, f) => page_dma_pinned(k, f.page), [goto("activate_locked")])],
    ),
  ]);

export const kara_ttu_2018: Proposal = {
  ...hubbard,
  name: "kara-ttu-2018",
  author: "Jan Kara",
  source: "20180702101542.fi7ndfkg5fpzodey",
  help: "reclaim unmaps a page first and asks then whether it is pinned: if so it keeps its buffers",
  remarks: [
    {
      who: "John Hubbard",
      date: "2018-07",
      says: "much better: unmap, let things drain, and look later",
      source: "b64bda3d-903d-c3b9-f315-bf7a7302e425",
    },
  ],
  edits: [asks_unmapped("try_to_unmap#1"), asks_unmapped("try_to_unmap#2")],
};
