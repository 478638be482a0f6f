/**
 * The zero page is never pinned.
 *
 * Source: mm/gup.c (try_grab_page, gup_put_folio), commit c8070b787519 (v6.5): a pin of it takes no reference and is
 * in no counter, and its end drops none. Its count has 21 bits for pins, and any process can ask for more of them
 * than that. The page goes nowhere.
 *
 * The array of the one who pins names it as any other page. References (FOLL_GET) count as before. The fast walk
 * never takes the zero page (pte_special).
 *
 * Left out: folio_add_pin (a second pin of a page that is pinned), which nothing here asks for.
 */
import type { Kernel } from "../kernel/kernel.js";
import { is_zero_pfn, pte_pfn } from "../kernel/mm/memory.js";
import { page_ref_add } from "../kernel/mm/page.js";
import { page_of } from "../kernel/mm/user_pages.js";
import type { PagesNr, Pfn, Vpn } from "../kernel/types.js";
import { around, type Edit } from "../machine/patch.js";
import { bio_flags, blockdev_dio_pins } from "./dio_pins.js";
import type { Patch } from "./patch.js";
import { FOLL_PIN } from "./pin_user_pages.js";
import { vmstat_foll_pin } from "./track_foll_pin.js";

/** A step that pins or unpins a page: it counts nothing if that is the zero page. */
const uncounted = <F>(
  path: string,
  anchor: string,
  what: string,
  pinned: (k: Kernel, f: F) => Pfn | null,
): Edit =>
  around<F>(path, anchor, what, (act) => (k: Kernel, f) => {
    const page = pinned(k, f);
    if (page === null || !is_zero_pfn(k, page)) {
      act(k, f);
      return;
    }
    const { nr_foll_pin_acquired, nr_foll_pin_released } = k.of(vmstat_foll_pin);
    const before = [k.page._refcount[page], nr_foll_pin_acquired[0], nr_foll_pin_released[0]];
    act(k, f);
    page_ref_add(k, page, before[0] - k.page._refcount[page]);
    nr_foll_pin_acquired[0] = before[1];
    nr_foll_pin_released[0] = before[2];
  });

interface OnePage {
  readonly at: Vpn;
  readonly flags: number;
}
interface Walk {
  readonly pages: PagesNr;
  at: number;
}

/** The completion of a bio: its pages were pinned, or are plain references. */
const releases = (path: string): Edit =>
  uncounted<Walk>(path, "bio_release_page", "is_zero_folio", (k, f) =>
    k.of(bio_flags).BIO_PAGE_PINNED[f.pages] === 1 ? page_of(k, f.pages, f.at) : null,
  );

export const zero_page_unpinned: Patch = {
  name: "zero-page-unpinned",
  title: "mm: Don't pin ZERO_PAGE in pin_user_pages()",
  author: "David Howells",
  date: "2023-05",
  commit: "c8070b787519",
  help: "a pin of the zero page counts nothing, and its end drops nothing",
  needs: [blockdev_dio_pins],
  edits: [
    uncounted<OnePage>("__get_user_pages", "follow_page_pte", "is_zero_page", (k, f) =>
      (f.flags & FOLL_PIN) !== 0 ? pte_pfn(k.pte.entry[f.at]) : null,
    ),
    uncounted<{ readonly page: Pfn }>(
      "unpin_user_page",
      "put_compound_head",
      "is_zero_folio",
      (_, f) => f.page,
    ),
    releases("bio_check_pages_dirty"),
    releases("bio_dirty_fn"),
    releases("bio_release_pages"),
    releases("dio_bio_complete"),
  ],
};
