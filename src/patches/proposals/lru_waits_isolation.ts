/**
 * Before it takes a page off its LRU list, get_user_pages waits until the page is on one.
 *
 * No mail has this. Pages in a batch, or in the hands of reclaim, of migration or of munlock are on no list for a while; in Hubbard's patches of 2018 isolate_lru_page() says no then, and the page
 * is noted all the same, into words that hold somebody's links (hubbard-lru-2018), or is not noted (hubbard-lru-v1-2018). Named by this project, as the question that anybody asks who reads them: what if
 * get_user_pages waited for its turn? The batches are drained first, of all CPUs, and again when the page comes back through one.
 *
 * What it ends: words that are written over other people's links. What it leaves: a page that comes back may have been cleaned and stripped while it was away, with the reference of get_user_pages on it
 * already. Whoever asks for the page waits for reclaim, with mmap_sem held, and for ever if reclaim dies.
 *
 * Pages that are never on a list are noted as before: huge pages, device memory, the zero page.
 */
import type { Kernel } from "../../kernel/kernel.js";
import { given, goto, label, local, step, under, wait, when } from "../../kernel/language.js";
import { lru_lock } from "../../kernel/locks.js";
import { compound_head, PageCompound } from "../../kernel/mm/compound.js";
import { is_zero_pfn } from "../../kernel/mm/memory.js";
import { is_zone_device_page } from "../../kernel/mm/memremap.js";
import { PageLRU } from "../../kernel/mm/page.js";
import { lru_add_drain_all } from "../../kernel/mm/swap.js";
import { int, type Pfn } from "../../kernel/types.js";
import { after, around, before, locals } from "../../machine/patch.js";
import { hubbard_lru_2018 } from "./hubbard_lru_2018.js";
import { hubbard_lru_longterm_2023 } from "./hubbard_lru_longterm_2023.js";
import { PageDmaPinned } from "./lru_words.js";
import type { Proposal } from "./proposal.js";

interface Pin {
  readonly page: Pfn;
  /** 1 when somebody was faster. */
  away: number;
}

/** The page will be on a list again, and is on none. */
function isolated(k: Kernel, page: Pfn): boolean {
  if (PageCompound(k, page) || is_zone_device_page(k, page) || is_zero_pfn(k, page)) return false;
  return !PageLRU(k, page) && !PageDmaPinned(k, compound_head(k, page));
}

/** Whether a batch has the page: to be drained, and not to be waited for. */
function in_batch(k: Kernel, page: Pfn): boolean {
  const { nr } = k.pagevec;
  for (let batch = 0; batch < nr.length; batch++)
    for (let at = 0; at < nr[batch]; at++)
      if (k.pagevec_page.page[batch * k.pagevecSize + at] === page + 1) return true;
  return false;
}

export const lru_waits_isolation: Proposal = {
  name: "lru-waits-isolation",
  ideas: ["A6"],
  title: "pages off the LRU: get_user_pages waits for whoever has isolated a page",
  author: "nobody",
  date: "2018-11",
  commit: null,
  source: "no mail: named by this project, beside 20181110085041.10071-7, where get_user_pages does not wait",
  help: "get_user_pages waits until a page that somebody has isolated is back on its LRU list, and takes it off then (in no mail)",
  needs_one: [hubbard_lru_2018, hubbard_lru_longterm_2023],
  remarks: [],
  edits: [
    locals("pin_page_for_dma", { away: int }),
    before<Pin>("pin_page_for_dma", "under zone->zone_gup_lock", [
      label("retry"),
      when("!PageLRU", (k, f) => isolated(k, f.page), [
        under(lru_lock, [step("lru_add_drain_all", (k) => lru_add_drain_all(k))]),
        given(
          (k, f) => isolated(k, f.page),
          [
            wait(
              "wait_for_isolation",
              (k, f) => !isolated(k, f.page) || in_batch(k, f.page),
              () => {},
            ),
            goto("retry"),
          ],
        ),
      ]),
    ]),
    around<Pin>("pin_page_for_dma", "pin_page_for_dma", "PageLRU", (act) => (k: Kernel, f) => {
      if (isolated(k, f.page)) f.away = 1;
      else act(k, f);
    }),
    after<Pin>("pin_page_for_dma", "under zone->zone_gup_lock", [
      given(
        (_, f) => f.away === 1,
        [
          local((_, f) => {
            f.away = 0;
          }),
          goto("retry"),
        ],
      ),
    ]),
  ],
};
