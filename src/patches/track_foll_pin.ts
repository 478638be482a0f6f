/**
 * A pin can be told from a reference: it counts 1024 of them.
 *
 * Source: mm/gup.c, include/linux/mm.h, commit 3faa52c03f44 (v5.7). A small page's count goes up by GUP_PIN_COUNTING_BIAS for each pin; a compound
 * page of more than two page frames has a count of its own (compound_pincount, commit 47e29d32afba), and one reference a pin.
 * page_maybe_dma_pinned() is the question: never a false no, a false yes for a page with 1,024 plain references. /proc/vmstat
 * counts pins taken and dropped (commit 1970dc6f5226).
 *
 * A page whose count is not above zero is not taken any more: more than two million pins, or a bug, have brought it there. The slow path gives
 * -ENOMEM and warns. (Plain references are refused so since v5.1, commits 88b1a17dfc3e and 8fde12ca79af: here with the pins.)
 *
 * Nobody asks yet: this alone changes no outcome.
 *
 * Which compound pages have a count is a rule, which was changed later: see exact_pincount.ts.
 *
 * Left out: batches of unpin_user_pages; folio_add_pin, a second pin by somebody who has one (v6.5: fs/direct-io.c for one page in two bios).
 */

import { ERRNO } from "../kernel/errno.js";
import type { Kernel, Table } from "../kernel/kernel.js";
import { check, given, leave, step } from "../kernel/language.js";
import { compound_head, compound_order } from "../kernel/mm/compound.js";
import { FOLLOW, follow_page_pte, get_user_pages_longterm } from "../kernel/mm/gup.js";
import { pte_pfn } from "../kernel/mm/memory.js";
import { get_page, get_page_unless_zero, page_count, page_ref_add } from "../kernel/mm/page.js";
import { put_page } from "../kernel/mm/swap.js";
import { forget_user_page } from "../kernel/mm/user_pages.js";
import { type Rule, rule_of } from "../kernel/rule.js";
import type { PagesNr, Pfn, Vpn } from "../kernel/types.js";
import { fixed, struct, total, u32 } from "../machine/memory.js";
import { after, replace } from "../machine/patch.js";
import { GUP_PIN_COUNTING_BIAS, refs_maybe_dma_pinned } from "../trace/words.js";
import type { Patch } from "./patch.js";
import { FOLL_PIN, pin_user_pages_api } from "./pin_user_pages.js";

export const compound_pincount = struct("compound_pincount", {
  compound_pincount: u32("of a head of more than two page frames: pins, exactly"),
});

/** Pins that were taken and dropped: /proc/vmstat. */
export const vmstat_foll_pin = struct("vmstat_foll_pin", {
  nr_foll_pin_acquired: total("pages pinned by pin_user_pages"),
  nr_foll_pin_released: total("pages unpinned"),
});

const compound_pincount_order = struct("compound_pincount_order", {
  order: fixed("the smallest order of a compound page that has a count of its pins"),
});

const pinTables: readonly Table[] = [
  { struct: compound_pincount_order, rows: () => 1 },
  { struct: compound_pincount, rows: (g) => (g.config.has("compound") ? g.pages : 0) },
  { struct: vmstat_foll_pin, rows: () => 1 },
];

export const hpage_pincount_available: Rule<typeof compound_pincount_order.fields> = {
  name: "hpage_pincount_available",
  help: "which compound pages have an exact count of their pins; in others a pin counts 1,024 references",
  struct: compound_pincount_order,
  values: { order: 2 },
  asked: [
    "__get_user_pages/follow_page_pte",
    "try_grab_compound_head",
    "put_compound_head",
    "bio_release_page",
    "page_maybe_dma_pinned",
    "page_try_share_anon_rmap",
    "page_try_dup_anon_rmap",
    "PageAnonExclusive",
    "try_grab_folio",
    "unpin_folio",
    "unpin_folios",
  ],
};

/** Whether a compound page has a count of its pins. */
export const has_pincount = (k: Kernel, page: Pfn): boolean =>
  k.compound && compound_order(k, page) >= k.of(compound_pincount_order).order[0];

/** Bit of the WARN_ON_ONCE site. */
const WARN_count_overflown = 24;

/** page_maybe_dma_pinned: whether a device may write into the page; sometimes yes where none does. */
export function page_maybe_dma_pinned(k: Kernel, page: Pfn): boolean {
  const head = compound_head(k, page);
  if (has_pincount(k, head)) return k.of(compound_pincount).compound_pincount[head] > 0;
  return refs_maybe_dma_pinned(page_count(k, head));
}

/** A page that has been referenced once is pinned. */
function pin(k: Kernel, page: Pfn): void {
  const head = compound_head(k, page);
  if (has_pincount(k, head)) k.of(compound_pincount).compound_pincount[head]++;
  else page_ref_add(k, head, GUP_PIN_COUNTING_BIAS - 1);
  k.of(vmstat_foll_pin).nr_foll_pin_acquired[0]++;
}

/** WARN_ON_ONCE(page_ref_count(page) <= 0): too many references and pins, or a page that is free. */
const overflown = (k: Kernel, page: Pfn, least: number): boolean =>
  k.WARN_ON_ONCE(
    page_count(k, page) < least,
    WARN_count_overflown,
    "try_grab_page: WARN_ON_ONCE(page_ref_count(page) <= 0)",
    page,
  );

/** try_grab_page: a reference or a pin, as the flags say; not of a page whose count has overflown. */
export function try_grab_page(k: Kernel, page: Pfn, flags: number): boolean {
  const pins = (flags & FOLL_PIN) !== 0;
  if (overflown(k, compound_head(k, page), 1)) return false;
  get_page(k, page);
  if (pins) pin(k, page);
  return true;
}

/** try_grab_compound_head of a page without a lock: not if it is being freed. */
function try_grab_compound_head(k: Kernel, page: Pfn, flags: number): boolean {
  if (overflown(k, compound_head(k, page), 0)) return false;
  if (!get_page_unless_zero(k, page)) return false;
  if ((flags & FOLL_PIN) !== 0) pin(k, page);
  return true;
}

/** put_compound_head, unpin_user_page: the pin goes, and its reference. */
export function unpin(k: Kernel, page: Pfn): void {
  const head = compound_head(k, page);
  if (has_pincount(k, head)) k.of(compound_pincount).compound_pincount[head]--;
  else page_ref_add(k, head, 1 - GUP_PIN_COUNTING_BIAS);
  k.of(vmstat_foll_pin).nr_foll_pin_released[0]++;
  put_page(k, page);
}

/** What try_grab_page took, as the same flags say. */
export const put_grabbed = (k: Kernel, page: Pfn, flags: number): void =>
  (flags & FOLL_PIN) !== 0 ? unpin(k, page) : put_page(k, page);

interface OnePage {
  readonly at: Vpn;
  readonly flags: number;
  readonly pages: PagesNr;
  ret: number;
  followed: number;
  page: Pfn;
}
interface Longterm {
  readonly flags: number;
  readonly pages: PagesNr;
  at: number;
  ret: number;
}
interface Fast {
  readonly write: number;
  readonly page: Pfn;
}

const put_refused = step<Longterm>("put_compound_head", (k, f) => {
  const at = k.user_pages.nr[f.pages] - f.ret + f.at;
  put_grabbed(k, forget_user_page(k, f.pages, at), f.flags);
  f.at++;
});

export const track_foll_pin: Patch = {
  name: "track-foll-pin",
  title: "mm/gup: track FOLL_PIN pages",
  author: "John Hubbard",
  date: "2020-04",
  commit: "3faa52c03f44",
  help: "a pin counts 1,024 references, so that page_maybe_dma_pinned can tell; nobody asks yet",
  needs: [pin_user_pages_api],
  tables: pinTables,
  vmstat: vmstat_foll_pin,
  rules: [rule_of(hpage_pincount_available)],
  edits: [
    replace<OnePage>("__get_user_pages", "follow_page_pte", [
      step("follow_page_pte", (k, f) => {
        f.followed = follow_page_pte(k, f.at, f.flags | f.ret, f.pages, try_grab_page);
        if (f.followed === FOLLOW.dirty) f.page = pte_pfn(k.pte.entry[f.at]);
      }),
    ]),
    after<OnePage>("__get_user_pages", "under ptl#1", [
      given((_, f) => f.followed === FOLLOW.refused, [leave(() => -ERRNO.ENOMEM)]),
    ]),
    replace<Fast>("gup_pte_range", "page_cache_get_speculative", [
      check("try_grab_compound_head", (k, f) => try_grab_compound_head(k, f.page, f.write), "pte_unmap"),
    ]),
    replace<Fast>("gup_pte_range", "put_page", [
      step("put_compound_head", (k, f) => put_grabbed(k, f.page, f.write)),
    ]),
    // Long-term pins of fsdax memory are given back at once.
    replace<Longterm>(get_user_pages_longterm, "put_page", [put_refused]),
    replace<Longterm>("__gup_longterm_locked", "put_page", [put_refused]),
    replace<{ readonly page: Pfn }>("unpin_user_page", "put_page", [
      step("put_compound_head", (k, f) => unpin(k, f.page)),
    ]),
  ],
};
