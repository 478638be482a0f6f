/**
 * struct pagevec on a walker's stack: the pages that one lookup found, each with a reference until all of them are released.
 *
 * Source: mm/swap.c, include/linux/pagevec.h, find_get_pages_range_tag of mm/filemap.c in v4.20. Who walks a mapping looks up to
 * fifteen pages at once and then comes to one after the other. While it sleeps on the lock of the first, it holds all: a
 * freeze of the last fails in reclaim and in migration without any device. And what is found is what was tagged at the
 * lookup: fewer than fifteen mean that the range is done, whatever is dirtied in it meanwhile.
 *
 * The page that the walker is at is in its local `page`, the others are here. They need config "pagevec", and a row for each task
 * that walks. Without it a pagevec has room for one page, which is the local. The batches through which pages reach the LRU lists
 * are in mm/swap.ts. Left out: that release_pages drops one reference after the other (here all at once), and that only the first
 * release of a walk drains the LRU batches (percpu_pvec_drained; here each does).
 */
import { i32, struct, taskPlusOne, u8 } from "../../machine/memory.js";
import type { Node } from "../../machine/path.js";
import { type Kernel, PAGEVEC_SIZE, type Table } from "../kernel.js";
import { config, given, goto, local } from "../language.js";
import { type InodeNr, NONE, type Pfn } from "../types.js";
import { find_get_page_tag, type Tag } from "./filemap.js";
import { lru_add_drain, put_page } from "./swap.js";

const lookup = struct("pagevec_lookup", {
  owner: taskPlusOne("the task that walks, plus one; 0 is a free row"),
  at: u8("which page of the batch the task is at"),
});
const lookup_page = struct("pagevec_lookup_page", {
  page: i32("a page of the batch, pfn + 1; 0 for the one that the task is at"),
});

/** The structs of this file. */
export const pagevecTables: readonly Table[] = [
  { struct: lookup, rows: (g) => (g.config.has("pagevec") ? g.walkers : 0) },
  { struct: lookup_page, rows: (g) => (g.config.has("pagevec") ? g.walkers * PAGEVEC_SIZE : 0) },
];

const row_of_task = (k: Kernel): number => k.of(lookup).owner.indexOf(k.task + 1);

/**
 * Put into a pagevec what `next` gives one after the other, until it gives NONE; `page` is the first, or NONE. Gives whether the
 * pagevec is full.
 *
 * @throws Error when more tasks walk at once than the geometry says, or one inside another's batch: a fault of guplab
 */
export function pagevec_fill(k: Kernel, f: { page: Pfn }, next: () => Pfn): boolean {
  f.page = next();
  if (f.page === NONE) return false;
  const { owner, at } = k.of(lookup);
  if (owner.length === 0) return true;
  const row = owner.indexOf(0);
  if (row < 0) throw new Error(`pagevec_fill: more than ${owner.length} walkers; say so in the geometry`);
  if (row_of_task(k) >= 0) throw new Error("pagevec_fill: the task has a batch already");
  owner[row] = k.task + 1;
  at[row] = 0;
  for (let nr = 1; nr < PAGEVEC_SIZE; nr++) {
    const page = next();
    if (page === NONE) return false;
    k.of(lookup_page).page[row * PAGEVEC_SIZE + nr] = page + 1;
  }
  return true;
}

/**
 * pagevec_lookup_range_tag: pages that carry the tag, from `index` on and not after `end`. Moves `index` behind the last of them, or
 * behind `end` when there are no more.
 */
export function pagevec_lookup_range_tag(
  k: Kernel,
  f: { readonly mapping: InodeNr; index: number; page: Pfn },
  end: number,
  tag: Tag,
): void {
  const full = pagevec_fill(k, f, () => {
    const page = find_get_page_tag(k, f.mapping, f.index, tag, end);
    if (page !== NONE) f.index = k.page.index[page] + 1;
    return page;
  });
  if (!full) f.index = end + 1;
}

/** Go on at a label with the batch's next page, if it has one. */
export const pagevec_next = <F extends { page: Pfn }>(next: string): Node<Kernel, F> =>
  config<F>("pagevec", [
    given<F>(
      (k) => next_of(k) !== 0,
      [
        local((k, f) => {
          const { at } = k.of(lookup);
          const { page } = k.of(lookup_page);
          const row = row_of_task(k);
          const next = next_of(k);
          page[row * PAGEVEC_SIZE + at[row]] = f.page + 1;
          at[row]++;
          page[row * PAGEVEC_SIZE + at[row]] = 0;
          f.page = next - 1;
        }),
        goto(next),
      ],
    ),
  ]);

/** The page behind the one that the task is at, pfn + 1; 0 when that is the last. */
function next_of(k: Kernel): number {
  const row = row_of_task(k);
  const at = k.of(lookup).at[row] + 1;
  return at < PAGEVEC_SIZE ? k.of(lookup_page).page[row * PAGEVEC_SIZE + at] : 0;
}

/** pagevec_release: drain the LRU batches, then drop the references of the walker's. */
export function pagevec_release(k: Kernel, f: { page: Pfn }): void {
  lru_add_drain(k);
  put_page(k, f.page);
  f.page = NONE;
  const { owner, at } = k.of(lookup);
  const row = row_of_task(k);
  if (row < 0) return;
  const { page } = k.of(lookup_page);
  for (let nr = row * PAGEVEC_SIZE; nr < (row + 1) * PAGEVEC_SIZE; nr++) {
    if (page[nr] !== 0) put_page(k, page[nr] - 1);
    page[nr] = 0;
  }
  owner[row] = 0;
  at[row] = 0;
}

/** Pages that batches hold, beside those that their walkers are at. */
export const pagevec_pages = (k: Kernel): Pfn[] =>
  [...k.of(lookup_page).page].filter((page) => page !== 0).map((page) => page - 1);
