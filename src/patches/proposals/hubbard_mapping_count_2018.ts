/**
 * The count of a page's pins is kept by its file.
 *
 * John Hubbard, 13 December 2018: as struct page has no room, the counters go into the mapping; get_user_pages and put_user_page find it by page->mapping. Dan Williams
 * asks how get_user_pages_fast may look at page->mapping while an invalidation takes it away; Hubbard has no answer, and thinks that the idea is dead.
 *
 * get_user_pages finds the mapping in a step of its own in the walk without a lock, and counts in the next; under the ptl of a PTE that maps the page both are one, as nobody takes
 * a mapped page out of its file. put_user_page looks for the mapping anew: of a page that was truncated meanwhile there is none, and the count
 * stays at that place of the file, for the page that comes there next.
 *
 * Where a PTE is cleared by interrupts to all CPUs (x86), that waits for the end of a fast walk, and a truncation behind it: no step of the base does, so that the
 * race of the walk is one of other machines. That of put_user_page is everybody's.
 *
 * A count for each place of a file: 2 bytes a page of it here. Anonymous pages have no mapping, and no count. Device memory is counted by its file.
 */

import type { Geometry } from "../../kernel/geometry.js";
import type { Kernel } from "../../kernel/kernel.js";
import { step } from "../../kernel/language.js";
import { compound_head } from "../../kernel/mm/compound.js";
import { page_mapping } from "../../kernel/mm/filemap.js";
import { FOLLOW, follow_page_pte } from "../../kernel/mm/gup.js";
import { pte_pfn } from "../../kernel/mm/memory.js";
import { get_page } from "../../kernel/mm/page.js";
import { int, type PagesNr, type Pfn, type Vpn } from "../../kernel/types.js";
import { after, before, type Edit, locals, replace } from "../../machine/patch.js";
import { notes_refused } from "./noted.js";
import type { Proposal } from "./proposal.js";
import { converted, put_user_page, ref_user_page } from "./put_user_page.js";
import { mapping_pins } from "./tracking.js";

/** The place of a page in its file, plus one; 0 for a page of none. */
function place_of(k: Kernel, tail: Pfn): number {
  const page = compound_head(k, tail);
  const mapping = page_mapping(k, page);
  return mapping === 0 || page === k.geometry.pages ? 0 : k.slotOf(mapping, k.page.index[page]) + 1;
}
function count(k: Kernel, place: number, by: 1 | -1): void {
  if (place > 0) k.of(mapping_pins).dma_pinned_count[place - 1] += by;
}
const slots = (g: Geometry): number => g.files.reduce((sum, { pages }) => sum + pages, 0);

interface OnePage {
  readonly at: Vpn;
  readonly flags: number;
  readonly pages: PagesNr;
  ret: number;
  followed: number;
  page: Pfn;
}
interface Found {
  readonly page: Pfn;
  place: number;
}

/** Read page->mapping, and then count there. */
const in_two_steps = (by: 1 | -1) => [
  step<Found>("page_mapping", (k, f) => {
    f.place = place_of(k, f.page);
  }),
  step<Found>("dma_pinned_count", (k, f) => {
    count(k, f.place, by);
    f.place = 0;
  }),
];

const edits: readonly Edit[] = [
  replace<OnePage>("__get_user_pages", "follow_page_pte", [
    step("follow_page_pte", (k, f) => {
      f.followed = follow_page_pte(k, f.at, f.flags | f.ret, f.pages, (_, page) => {
        get_page(k, page);
        count(k, place_of(k, page), 1);
        return true;
      });
      if (f.followed === FOLLOW.dirty) f.page = pte_pfn(k.pte.entry[f.at]);
    }),
  ]),
  locals("gup_pte_range", { place: int }),
  // The PTE has been looked at again: the page is the one that is wanted.
  before<Found>("gup_pte_range", "SetPageReferenced", in_two_steps(1)),
  locals(put_user_page, { place: int }),
  before<Found>(put_user_page, "put_page", in_two_steps(-1)),
  locals(ref_user_page, { place: int }),
  after<Found>(ref_user_page, "get_page", in_two_steps(1)),
  ...notes_refused((k, page) => count(k, place_of(k, page), -1)),
];

export const hubbard_mapping_count_2018: Proposal = {
  name: "hubbard-mapping-count-2018",
  ideas: ["A29"],
  title: "mm: introduce put_user_page*(), placeholder versions",
  author: "John Hubbard",
  date: "2018-12",
  commit: null,
  source: "05a68829-6e6d-b766-11b4-99e1ba4bc87b",
  help: "a file counts the references that get_user_pages has to its pages, by page->mapping",
  needs_one: converted,
  remarks: [
    {
      who: "Dan Williams",
      date: "2018-12",
      says: "get_user_pages_fast cannot look at page->mapping: an invalidation may be taking it away",
      source: "CAPcyv4jyG3YTtghyr04wws_hcSBAmPBpnCm0tFcKgz9VwrV=ow",
    },
    {
      who: "John Hubbard",
      date: "2018-12",
      says: "he has no answer to that, so that the idea may be dead",
      source: "01cf4e0c-b2d6-225a-3ee9-ef0f7e53684d",
    },
  ],
  tables: [{ struct: mapping_pins, rows: slots }],
  edits,
};
