/**
 * Dirtying the pages of a read's bio: before it is submitted, and again after it if somebody has cleaned them meanwhile.
 *
 * Source: block/bio.c in v4.20. The page lock sleeps and a completion runs in interrupt context, so the pages are dirtied at
 * submission (bio_set_pages_dirty); the completion only looks whether they still are (bio_check_pages_dirty). If all are, it
 * drops the references. If one is clean, it has been written to disk during the transfer, perhaps in the middle of it, and
 * a kworker dirties all of them again (bio_dirty_fn): later than the end of the system call, with the references held until then.
 *
 * Compound pages are skipped: huge pages have no dirty state that anybody would want.
 *
 * Left out: the list that the kworker takes at once (it finds the arrays by their state, the lowest number first).
 */
import type { Node } from "../../machine/path.js";
import type { Kernel } from "../kernel.js";
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
  under,
  wait,
  when,
} from "../language.js";
import { irq } from "../locks.js";
import { PageCompound } from "../mm/compound.js";
import { PageDirty } from "../mm/page.js";
import { set_page_dirty_lock } from "../mm/page_writeback.js";
import { for_each_page, PAGES, page_of, put_pages } from "../mm/user_pages.js";
import { int, NONE, type PagesNr, type Pfn, pages_nr, pfn } from "../types.js";

/** set_page_dirty_lock of `page`, unless it is compound. */
export const dirty_page = <F extends { readonly page: Pfn }>(): Node<Kernel, F>[] => [
  config<F>("compound", [given<F>((k, f) => PageCompound(k, f.page), [goto("compound")])]),
  { op: "call", callee: () => set_page_dirty_lock, args: { page: "page" }, into: null },
  label<F>("compound"),
];

/** Mark the pages dirty before the device writes into them. */
export const bio_set_pages_dirty = path(
  "bio_set_pages_dirty",
  { source: "block/bio.c v4.20", args: { pages: pages_nr }, locals: { at: int, page: pfn } },
  [...for_each_page(dirty_page())],
);

/** In interrupt context: put the pages if all are dirty still, or leave the bio to bio_dirty_fn. */
export const bio_check_pages_dirty = path(
  "bio_check_pages_dirty",
  { source: "block/bio.c v4.20", args: { pages: pages_nr }, locals: { at: int, page: pfn } },
  [
    under(irq, [
      repeat(
        (k, f) => f.at < k.user_pages.nr[f.pages],
        [
          local((k, f) => {
            f.page = page_of(k, f.pages, f.at);
          }),
          when("PageDirty", (k, f) => !PageDirty(k, f.page) && !PageCompound(k, f.page), [
            local((k, f) => {
              k.user_pages.state[f.pages] = PAGES.dirty_work;
            }),
            leave(),
          ]),
          local((_, f) => {
            f.at++;
          }),
        ],
      ),
      local((_, f) => {
        f.at = 0;
        f.page = NONE;
      }),
      ...put_pages([]),
    ]),
  ],
);

/** In interrupt context: put the pages of a write. Nothing in them has changed. */
export const bio_release_pages = path(
  "bio_release_pages",
  { source: "block/bio.c v4.20", args: { pages: pages_nr }, locals: { at: int, page: pfn } },
  [under(irq, [...put_pages([])])],
);

/** The lowest array on bio_dirty_list, or NONE. */
const next_dirty = (k: Kernel): PagesNr => k.user_pages.state.indexOf(PAGES.dirty_work);

/** The kworker that runs bio_dirty_work. */
export const bio_dirty_fn = path(
  "bio_dirty_fn",
  { source: "block/bio.c v4.20", locals: { pages: pages_nr, at: int, page: pfn } },
  [
    repeat(
      () => true,
      [
        wait(
          "bio_dirty_work",
          (k) => next_dirty(k) !== NONE,
          (k, f) => {
            f.pages = next_dirty(k);
            // Off the list: two kworkers do not get the same bio.
            k.user_pages.state[f.pages] = PAGES.checking;
          },
        ),
        call(() => bio_set_pages_dirty, { pages: "pages" }),
        ...put_pages([]),
        local((_, f) => {
          f.pages = 0;
        }),
      ],
    ),
  ],
);
