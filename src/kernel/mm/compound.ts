/**
 * Compound pages: a head and its tails, which have one reference count and one set of flags between them.
 *
 * Source: include/linux/page-flags.h, include/linux/mm.h, mm/page_alloc.c in v4.20. A tail's word 1 is the head's
 * address with bit 0 set, so that whoever meets a page finds its head without a lock; bit 0 of that word must be clear in every
 * other page. get_page and put_page of a tail count in the head; a tail's own count is 0.
 *
 * The order, the destructor and compound_mapcount live in word 2 of the first tail. Here compound_mapcount is the
 * head's mapcount column.
 *
 * Left out: transparent huge pages (a tail has no mapcount of its own), splitting.
 */
import { i32, struct, u8 } from "../../machine/memory.js";
import { pg } from "../../trace/words.js";
import type { Kernel, Table } from "../kernel.js";
import type { Pfn } from "../types.js";
import { page_ref_add } from "./page.js";

const compound_page = struct("compound_page", {
  compound_head: i32("of a tail, its head's pfn + 1; 0 in any other page"),
  compound_order: u8("of a head: 2^order page frames"),
});

/** Rows of the compound words: none on a machine without compound pages. */
export const compoundTable: Table = {
  struct: compound_page,
  rows: (g) => (g.config.has("compound") ? g.pages : 0),
};

const PG_head = pg("head");

/** Bit 0 of the first word of the union. */
export const PageTail = (k: Kernel, page: Pfn): boolean =>
  k.compound && k.of(compound_page).compound_head[page] !== 0;
export const PageHead = (k: Kernel, page: Pfn): boolean => (k.page.flags[page] & PG_head) !== 0;
export const PageCompound = (k: Kernel, page: Pfn): boolean => PageHead(k, page) || PageTail(k, page);

/** The page that has the reference count: the head of a tail, any other page itself. */
export function compound_head(k: Kernel, page: Pfn): Pfn {
  if (!k.compound) return page;
  const head = k.of(compound_page).compound_head[page];
  return head === 0 ? page : head - 1;
}

/** 2^order page frames belong together; 0 for a page that is not compound. */
export const compound_order = (k: Kernel, page: Pfn): number =>
  PageHead(k, page) ? k.of(compound_page).compound_order[page] : 0;

/** Make 2^order free page frames one page: prep_compound_page. The tails lose their references. */
export function prep_compound_page(k: Kernel, page: Pfn, order: number): void {
  const words = k.of(compound_page);
  if (k.page._refcount[page] !== 1) throw new Error(`prep_compound_page: page ${page} is not new`);
  k.page.flags[page] |= PG_head;
  words.compound_order[page] = order;
  for (let tail = page + 1; tail < page + (1 << order); tail++) {
    if (k.page._refcount[tail] !== 0) page_ref_add(k, tail, -k.page._refcount[tail]);
    words.compound_head[tail] = page + 1;
  }
}

/** Which tail of its head a tail is, from 1; 0 for a page that is none. */
export const tail_of = (k: Kernel, page: Pfn): number => page - compound_head(k, page);
