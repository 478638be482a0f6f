/**
 * The arrays of pages that callers of get_user_pages own: struct page **pages of a bio, a memory region, a pipe ...
 *
 * One array is one request: a direct I/O, a memory region, a buffer object. It knows how many pages it has, and what its
 * transfer is doing. A page in it carries one reference, which is counted in `pins` so that figures can show it; struct page
 * itself does not know (the article's complaint). What an array names is what its owner believes: a page whose reference somebody has
 * put once too often is freed under it, and the array names it still.
 */
import type { Node } from "../../machine/path.js";
import type { Kernel } from "../kernel.js";
import { local, repeat, step } from "../language.js";
import { NONE, type PagesNr, type Pfn } from "../types.js";
import { compound_head, PageCompound } from "./compound.js";
import { device_stores } from "./memremap.js";
import { count_pin, page_count, set_device_wrote } from "./page.js";
import { is_free } from "./page_alloc.js";
import { put_page } from "./swap.js";

/** States of an array's transfer: the bio's, or the registration's. */
export const PAGES = {
  /** Nothing under way: the array is its owner's alone. */
  idle: 0,
  /** A transfer is under way in which the device writes memory; the device ends it. */
  submitted: 1,
  /** The transfer has ended; its owner has not looked yet. */
  done: 2,
  /** Registered: the device may write at any time until its owner stops it. */
  mapped: 3,
  /** On bio_dirty_list, for a kworker. */
  dirty_work: 4,
  /** The owner has been told, and the interrupt still looks at the pages. */
  checking: 5,
  /** Registered for reading: the device may not write. */
  mapped_read: 6,
  /** The transfer has ended with an error; its owner has not looked yet. */
  failed: 7,
  /** A transfer is under way in which the device reads memory; the device ends it. */
  submitted_write: 8,
  /** The CPU copies from the pages or to them: no device has anything to do with it. */
  copying: 9,
} as const;

/** Whether a device is to write an array's pages to its medium: it reads memory. */
export const reads_memory = (k: Kernel, pages: PagesNr): boolean =>
  k.user_pages.state[pages] === PAGES.submitted_write;
/** Whether a transfer of an array is under way. */
export const is_submitted = (k: Kernel, pages: PagesNr): boolean =>
  k.user_pages.state[pages] === PAGES.submitted || reads_memory(k, pages);

const slot = (k: Kernel, pages: PagesNr, at: number): number => pages * k.geometry.dioPages + at;

/** The page at a place of an array, or NONE. The array may have lost it: see page_lost. */
export const page_of = (k: Kernel, pages: PagesNr, at: number): Pfn =>
  Math.abs(k.user_page.page[slot(k, pages, at)]) - 1;

/** Whether the page at a place of an array has been freed since it came there: somebody has put the array's reference. */
export const page_lost = (k: Kernel, pages: PagesNr, at: number): boolean =>
  k.user_page.page[slot(k, pages, at)] < 0;

/** A page is freed. Arrays that name it have lost it, and do not know. */
export function forget_users(k: Kernel, page: Pfn): void {
  if (k.page.pins[page] === 0) return;
  const entries = k.user_page.page;
  for (let at = 0; at < entries.length; at++)
    if (entries[at] === page + 1) {
      entries[at] = -entries[at];
      count_pin(k, page, -1);
    }
}

/** Append a page whose reference the caller has. */
export function store_page(k: Kernel, pages: PagesNr, page: Pfn): void {
  const { nr } = k.user_pages;
  if (nr[pages] >= k.geometry.dioPages) throw new Error(`store_page: array ${pages} is full`);
  k.user_page.page[slot(k, pages, nr[pages])] = page + 1;
  nr[pages]++;
  count_pin(k, page, 1);
}

/** A place of an array is empty from now on. Its reference has been put, or is not. Gives the page that was there. */
export function forget_user_page(k: Kernel, pages: PagesNr, at: number): Pfn {
  const page = page_of(k, pages, at);
  if (!page_lost(k, pages, at)) count_pin(k, page, -1);
  k.user_page.page[slot(k, pages, at)] = 0;
  return page;
}

/** put_page of a page of an array: its place is empty from then on. */
export const put_user_page = (k: Kernel, pages: PagesNr, at: number): void =>
  put_page(k, forget_user_page(k, pages, at));

/** The reference of a page of an array is about to be put by somebody who leaves the page's name where it stands. Gives the page. */
export function lose_user_page(k: Kernel, pages: PagesNr, at: number): Pfn {
  const page = page_of(k, pages, at);
  if (!page_lost(k, pages, at)) {
    count_pin(k, page, -1);
    k.user_page.page[slot(k, pages, at)] = -(page + 1);
  }
  return page;
}

/** put_page of a page of an array by him: the array has lost it, and does not know. */
export const put_page_of = (k: Kernel, pages: PagesNr, at: number): void =>
  put_page(k, lose_user_page(k, pages, at));

/** Hand the page at a place of an array to another one, with its reference. */
export function move_user_page(k: Kernel, from: PagesNr, at: number, to: PagesNr): void {
  const { page } = k.user_page;
  page[slot(k, to, k.user_pages.nr[to])] = page[slot(k, from, at)];
  page[slot(k, from, at)] = 0;
  k.user_pages.nr[to]++;
}

/** The first page of an array leaves it, the others move up. Gives the page; its reference has been put, or is not. */
export function forget_first_page(k: Kernel, pages: PagesNr): Pfn {
  const page = forget_user_page(k, pages, 0);
  const first = slot(k, pages, 0);
  k.user_page.page.copyWithin(first, first + 1, first + k.user_pages.nr[pages]);
  k.user_pages.nr[pages]--;
  k.user_page.page[first + k.user_pages.nr[pages]] = 0;
  return page;
}

/** A device writes one part of a page that it was told of: no lock, no PTE, no flag. */
export function write_part(k: Kernel, page: Pfn, part: number): void {
  k.content.version[page * k.geometry.parts + part]++;
  if (k.page.device[page] === 0) set_device_wrote(k, page, 1);
  device_stores(k, page);
  const free = is_free(k, page) || (PageCompound(k, page) && page_count(k, compound_head(k, page)) === 0);
  if (k.tested(free, "DMA: the device writes into a page that was freed under it and is free", page))
    report_uaf(k, page, "is free");
}

/** The same, or the kernel through its own mapping, to a page of an array. */
export function dma_write(k: Kernel, pages: PagesNr, at: number, part: number): void {
  const page = page_of(k, pages, at);
  write_part(k, page, part);
  const lost = page_lost(k, pages, at) && !is_free(k, page);
  if (k.tested(lost, "DMA: the device writes into a page that is somebody else's by now", page))
    report_uaf(k, page, "is somebody else's by now");
}

/** Bytes go where their writer has no reference; said once for each way. */
function report_uaf(k: Kernel, page: Pfn, whose: string): void {
  const message = `DMA: the device writes into a page that was freed under it and ${whose}`;
  if (!k.faults.some((fault) => fault.message === message)) k.fault("UAF", message, page);
}

interface Walk {
  readonly pages: PagesNr;
  at: number;
  page: Pfn;
}

/** For each page of an array: `nodes`, which find it in `page`, and then `last`. */
const walk = <F extends Walk>(
  nodes: readonly Node<Kernel, F>[],
  last: readonly Node<Kernel, F>[],
): Node<Kernel, F> =>
  repeat<F>(
    (k, f) => f.at < k.user_pages.nr[f.pages],
    [
      local<F>((k, f) => {
        f.page = page_of(k, f.pages, f.at);
      }),
      ...nodes,
      ...last,
    ],
  );

/** For each page of an array from `at` on: what `nodes` do to `page`. Leaves `at` and `page` empty. */
export const for_each_page = <F extends Walk>(nodes: readonly Node<Kernel, F>[]): Node<Kernel, F>[] => [
  walk<F>(nodes, [
    local<F>((_, f) => {
      f.at++;
    }),
  ]),
  local<F>((_, f) => {
    f.at = 0;
    f.page = NONE;
  }),
];

/** Let go of an array: for each page what `nodes` do, then put_page. The array is idle and empty after that. */
export const put_pages = <F extends Walk>(nodes: readonly Node<Kernel, F>[]): Node<Kernel, F>[] => [
  walk<F>(nodes, [
    step<F>("put_page", (k, f) => {
      put_user_page(k, f.pages, f.at);
      f.at++;
      f.page = NONE;
    }),
  ]),
  local<F>((k, f) => {
    k.user_pages.nr[f.pages] = 0;
    k.user_pages.state[f.pages] = PAGES.idle;
    f.at = 0;
  }),
];
