/**
 * The edits of a patch that notes a page when get_user_pages takes it, and when put_user_page puts it.
 *
 * In v4.20's walks a reference is taken in one step under the ptl, or without a lock by page_cache_get_speculative: a note that is taken with it is never
 * late. (hubbard_lru_2018.ts does it later, and has a window.)
 */
import type { Kernel } from "../../kernel/kernel.js";
import { check, step } from "../../kernel/language.js";
import {
  FOLLOW,
  follow_page_pte,
  get_user_pages_longterm,
  get_user_pages_longterm_stale,
} from "../../kernel/mm/gup.js";
import { pte_pfn } from "../../kernel/mm/memory.js";
import { get_page, get_page_unless_zero } from "../../kernel/mm/page.js";
import { put_page } from "../../kernel/mm/swap.js";
import { forget_user_page, page_of, put_page_of } from "../../kernel/mm/user_pages.js";
import type { PagesNr, Pfn, Vpn } from "../../kernel/types.js";
import { after, before, type Edit, replace } from "../../machine/patch.js";
import { put_user_page, ref_user_page } from "./put_user_page.js";

/** A page is noted that has just been referenced. */
export type Take = (k: Kernel, page: Pfn) => void;

interface OnePage {
  readonly at: Vpn;
  readonly flags: number;
  readonly pages: PagesNr;
  ret: number;
  followed: number;
  page: Pfn;
}
interface Fast {
  readonly page: Pfn;
}
interface Longterm {
  readonly pages: PagesNr;
  at: number;
  ret: number;
}

/** Each page is noted in the step in which its reference is taken. */
export const notes_taken = (take: Take): readonly Edit[] => [
  replace<OnePage>("__get_user_pages", "follow_page_pte", [
    step("follow_page_pte", (k, f) => {
      f.followed = follow_page_pte(k, f.at, f.flags | f.ret, f.pages, (_, page) => {
        get_page(k, page);
        take(k, page);
        return true;
      });
      if (f.followed === FOLLOW.dirty) f.page = pte_pfn(k.pte.entry[f.at]);
    }),
  ]),
  replace<Fast>("gup_pte_range", "page_cache_get_speculative", [
    check(
      "page_cache_get_speculative",
      (k, f) => {
        const taken = get_page_unless_zero(k, f.page);
        if (taken) take(k, f.page);
        return taken;
      },
      "pte_unmap",
    ),
  ]),
  after<Fast>(ref_user_page, "get_page", [step("ref_user_page", (k, f) => take(k, f.page))]),
];

/** Long-term pins of fsdax memory are given back at once: by get_user_pages_longterm itself. */
export const notes_refused = (put: Take): readonly Edit[] => [
  replace<Longterm>(get_user_pages_longterm, "put_page", [
    step("put_user_page", (k, f) => {
      const page = forget_user_page(k, f.pages, k.user_pages.nr[f.pages] - f.ret + f.at);
      put(k, page);
      put_page(k, page);
      f.at++;
    }),
  ]),
  replace<Longterm>(get_user_pages_longterm_stale, "put_page", [
    step("put_user_page", (k, f) => {
      const at = k.user_pages.nr[f.pages] - f.ret + f.at;
      put(k, page_of(k, f.pages, at));
      put_page_of(k, f.pages, at);
      f.at++;
    }),
  ]),
];

/** Each page is noted as put before its reference is: one step, then the other. `at_once`: in one step. */
export const notes_put = (put: Take, at_once = false): readonly Edit[] => [
  replace<Fast>("gup_pte_range", "put_page", [
    step("put_user_page", (k, f) => {
      put(k, f.page);
      put_page(k, f.page);
    }),
  ]),
  ...notes_refused(put),
  at_once
    ? replace<Fast>(put_user_page, "put_page", [
        step("put_user_page", (k, f) => {
          put(k, f.page);
          put_page(k, f.page);
        }),
      ])
    : before<Fast>(put_user_page, "put_page", [step("put_user_page", (k, f) => put(k, f.page))]),
];

/** The edits of a patch that notes each page in the moment in which it is taken, and in which it is put. */
export const noted = ({ take, put }: { readonly take: Take; readonly put: Take }): readonly Edit[] => [
  ...notes_taken(take),
  ...notes_put(put),
];
