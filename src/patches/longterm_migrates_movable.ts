/**
 * A long-term pin moves pages out of ZONE_MOVABLE before it keeps them: memory that may be switched off stays so.
 *
 * Source: mm/gup.c (check_and_migrate_movable_pages, __gup_longterm_locked) in v5.13, commit d1e153fea2a8, with f68749ec342b, 1a08ae36cf8b, f0f4463837da and 6e7f34ebb8d2 of the same
 * series (the order of the calls is f68749ec342b's). The pages are pinned; where one of them is of ZONE_MOVABLE, it is isolated, every page of the call is put again, those that were isolated move to
 * other zones, and all is pinned anew. A page that cannot be moved, because somebody else refers to it, makes the call fail: -ENOMEM (F59). One that
 * could not even be isolated is pinned and looked at again. The fast walk leaves pages of the zone to the slow path.
 *
 * Before, one such pin was enough for the memory under it to stay for as long as the pin lasted.
 *
 * Known to break: a pin can fail because of what others do. A page that a pipe or a short pin holds for a moment is refused.
 *
 * Left out: PF_MEMALLOC_PIN (1a08ae36cf8b), by which a page that the pin itself faults in is not of the zone from the beginning: here it moves
 * like the others; pages of CMA regions; huge pages; device memory that is coherent, of later kernels.
 */
import { ERRNO } from "../kernel/errno.js";
import type { Kernel } from "../kernel/kernel.js";
import {
  call,
  config,
  given,
  goto,
  label,
  leave,
  local,
  path,
  repeat,
  step,
  under,
  when,
} from "../kernel/language.js";
import { lru_lock } from "../kernel/locks.js";
import { isolate } from "../kernel/mm/compaction.js";
import {
  append,
  MIGRATE,
  migrate_pages_out_of_movable,
  putback_movable_pages,
} from "../kernel/mm/migrate.js";
import { PageLRU } from "../kernel/mm/page.js";
import { is_zone_movable_page } from "../kernel/mm/page_alloc.js";
import { lru_add_drain_all } from "../kernel/mm/swap.js";
import { forget_user_page, page_of } from "../kernel/mm/user_pages.js";
import { int, type PagesNr, type Pfn, pages_nr } from "../kernel/types.js";
import { after, before } from "../machine/patch.js";
import { FOLL_LONGTERM, longterm_flag } from "./longterm_flag.js";
import type { Patch } from "./patch.js";
import { put_grabbed, track_foll_pin } from "./track_foll_pin.js";

/** is_pinnable_page. The zero page is of no zone here. */
const is_pinnable_page = (k: Kernel, page: Pfn): boolean => !is_zone_movable_page(k, page);

/** Those of the last `nr` pages of an array that are not for long-term pins. */
function unpinnable(k: Kernel, pages: PagesNr, nr: number): Pfn[] {
  const found: Pfn[] = [];
  for (let at = k.user_pages.nr[pages] - nr; at < k.user_pages.nr[pages]; at++) {
    const page = page_of(k, pages, at);
    if (!is_pinnable_page(k, page) && !found.includes(page)) found.push(page);
  }
  return found;
}

/** Take pages from their LRU lists, as far as they are on one; gives the chain. */
function isolate_lru_pages(k: Kernel, pages: readonly Pfn[]): number {
  let first = 0;
  let last = 0;
  for (const page of pages) {
    if (!isolate(k, page)) continue;
    k.page.lru_next[page] = 0;
    first = append(k, first, last, page);
    last = page + 1;
  }
  return first;
}

/** Gives `nr` where the last `nr` pages of an array may be pinned for long; else none of them is pinned any more: 0 to pin them anew, or an error. */
export const check_and_migrate_movable_pages = path(
  "check_and_migrate_movable_pages",
  {
    source: "mm/gup.c v5.13",
    args: { pages: pages_nr, nr: int, flags: int },
    locals: { movable: int, at: int, failed: int },
    returns: int,
  },
  [
    given((k, f) => unpinnable(k, f.pages, f.nr).length === 0, [leave((_, f) => f.nr)]),
    when("!PageLRU", (k, f) => unpinnable(k, f.pages, f.nr).some((page) => !PageLRU(k, page)), [
      under(lru_lock, [step("lru_add_drain_all", (k) => lru_add_drain_all(k))]),
    ]),
    under(lru_lock, [
      step("isolate_lru_page", (k, f) => {
        f.movable = isolate_lru_pages(k, unpinnable(k, f.pages, f.nr));
      }),
    ]),
    // One reference too many, and a page stays: the pins go first.
    repeat(
      (_, f) => f.at < f.nr,
      [
        step("unpin_user_pages", (k, f) => {
          put_grabbed(k, forget_user_page(k, f.pages, k.user_pages.nr[f.pages] - f.nr + f.at), f.flags);
          f.at++;
        }),
      ],
    ),
    local((k, f) => {
      k.user_pages.nr[f.pages] -= f.nr;
    }),
    given((_, f) => f.movable === 0, [leave()]),
    call(() => migrate_pages_out_of_movable, { from: "movable", mode: MIGRATE.SYNC }, "failed"),
    given(
      (_, f) => f.movable !== 0,
      [
        under(lru_lock, [
          step("putback_movable_pages", (k, f) => {
            putback_movable_pages(k, f.movable);
            f.movable = 0;
          }),
        ]),
      ],
    ),
    leave((_, f) => (f.failed === 0 ? 0 : -ERRNO.ENOMEM)),
  ],
);

interface Longterm {
  readonly pages: PagesNr;
  gup_flags: number;
  at: number;
  ret: number;
}

export const longterm_migrates_movable: Patch = {
  name: "longterm-migrates-movable",
  title: "mm/gup: migrate pinned pages out of movable zone",
  author: "Pavel Tatashin",
  date: "2021-05",
  commit: "d1e153fea2a8",
  help: "a long-term pin moves pages out of ZONE_MOVABLE first, and fails where one of them cannot be moved",
  needs: [longterm_flag, track_foll_pin],
  edits: [
    before<{ readonly page: Pfn; readonly write: number }>("gup_pte_range", "try_grab_compound_head", [
      given((k, f) => (f.write & FOLL_LONGTERM) !== 0 && !is_pinnable_page(k, f.page), [leave()]),
    ]),
    before<Longterm>("__gup_longterm_locked", "get_user_pages", [label("pin")]),
    after<Longterm>("__gup_longterm_locked", "get_user_pages", [
      config<Longterm>("migration", [
        given<Longterm>(
          (k, f) => k.geometry.movable.pages > 0 && f.ret > 0,
          [
            call<Longterm, typeof check_and_migrate_movable_pages.args>(
              () => check_and_migrate_movable_pages,
              { pages: "pages", nr: "ret", flags: "gup_flags" },
              "at",
            ),
            local((_, f) => {
              f.ret = f.at;
              f.at = 0;
            }),
            given<Longterm>((_, f) => f.ret === 0, [goto("pin")]),
          ],
        ),
      ]),
    ]),
  ],
};
