/**
 * A pin counts 1,024 references, so that it can be told from a reference.
 *
 * Jan Kara's and Jérôme Glisse's idea, John Hubbard's patch of 3 February 2019 (4/6, "mm/gup: track gup-pinned pages"): the count of references has room for two numbers.
 * struct page does not grow, no lock is taken, and a page looks pinned wrongly where it has more than 1,024 plain references. All call sites are converted
 * first; what was merged in v5.7 (track-foll-pin) lets each user choose instead.
 *
 * - glisse-kara-bias-2019 is what was meant: the put that leaves no reference frees the page, as put_page does.
 * - hubbard-bias-rfc-2019 is what was posted: put_user_page subtracts and does not look. Where the pin was the page's last reference (its process has gone, its
 *   file was truncated) the page is nobody's, and not free: a leak.
 * Both ask page_gup_pinned() as it was posted: more than 1,024, so that a page whose pin is its last reference is not pinned. (v5.7: 1,024 or more.)
 *
 * Left out: -EOVERFLOW for a count that has become negative; huge pages that are taken at once, of which the posted patch counts one pin for
 * all of their page frames (get_user_pages takes them one by one here).
 */
import type { Kernel } from "../../kernel/kernel.js";
import { step } from "../../kernel/language.js";
import { compound_head } from "../../kernel/mm/compound.js";
import { page_count, page_ref_add } from "../../kernel/mm/page.js";
import { rule_of } from "../../kernel/rule.js";
import type { Pfn } from "../../kernel/types.js";
import { replace } from "../../machine/patch.js";
import { notes_put, notes_refused, notes_taken } from "./noted.js";
import type { Proposal } from "./proposal.js";
import { converted, put_user_page } from "./put_user_page.js";
import { gup_pin_bias, gup_pin_counting_bias } from "./tracking.js";

const more = (k: Kernel): number => k.of(gup_pin_bias).bias[0] - 1;

/** get_gup_pin_page, page_cache_gup_pin_speculative: with the reference that has been taken, 1,024. */
const take = (k: Kernel, page: Pfn): void => page_ref_add(k, compound_head(k, page), more(k));
/** All but one, which put_page drops in the same step. */
const put = (k: Kernel, page: Pfn): void => page_ref_add(k, compound_head(k, page), -more(k));

/** page_ref_sub, and nothing else. */
function sub(k: Kernel, tail: Pfn): void {
  const page = compound_head(k, tail);
  if (
    k.has("debug_vm") &&
    k.BUG_ON(
      page_count(k, page) <= more(k),
      "put_user_page: VM_BUG_ON_PAGE(page_ref_count(page) < BIAS)",
      page,
    )
  )
    return;
  page_ref_add(k, page, -(more(k) + 1));
}

interface Fast {
  readonly page: Pfn;
}

const bias = {
  ideas: ["A30"],
  title: "mm/gup: track gup-pinned pages",
  author: "John Hubbard",
  date: "2019-02",
  commit: null,
  source: "20190204052135.25784-5",
  needs_one: converted,
  tables: [{ struct: gup_pin_bias, rows: () => 1 }],
  page_words: [{ struct: gup_pin_bias, instead_of: "_refcount" }],
  rules: [rule_of(gup_pin_counting_bias)],
} satisfies Partial<Proposal>;

export const glisse_kara_bias_2019: Proposal = {
  ...bias,
  name: "glisse-kara-bias-2019",
  help: "a reference that get_user_pages takes counts 1,024; more than that and a page looks pinned; nobody asks",
  remarks: [
    {
      who: "John Hubbard",
      date: "2019-02",
      says: "performance should not change: 190,000 I/Os a second of 4 KiB, which has no run without the patch beside it",
      source: "20190204052135.25784-1",
    },
    {
      who: "Tom Talpey",
      date: "2019-02",
      says: "the figure needs one of the same day without the patch",
      source: "dbca5400-b0c0-0958-c3ba-ff672f301799",
    },
  ],
  edits: [...notes_taken(take), ...notes_put(put, true)],
};

const subtracts = step<Fast>("put_user_page", (k, f) => sub(k, f.page));

export const hubbard_bias_rfc_2019: Proposal = {
  ...bias,
  name: "hubbard-bias-rfc-2019",
  help: "the same as it was posted: put_user_page subtracts 1,024 and does not look whether that was all",
  remarks: [],
  edits: [
    ...notes_taken(take),
    replace<Fast>("gup_pte_range", "put_page", [subtracts]),
    replace<Fast>(put_user_page, "put_page", [subtracts]),
    // What get_user_pages_longterm refuses it puts by put_page in the patch: here as it was meant.
    ...notes_refused(put),
  ],
};
