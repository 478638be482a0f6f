/**
 * Files in memory and swap: reclaim writes their dirty pages to the swap area, and the file remembers where.
 *
 * Source: mm/shmem.c in v4.20 (shmem_writepage, shmem_swapin and what shmem_getpage_gfp does with its page, shmem_free_swap). pageout() asks before it calls shmem_writepage whether
 * somebody holds the page (is_page_cache_freeable): one that a device has is not written, and stays dirty. What it does write leaves the file for the swap cache; the file's
 * slot has the swap entry from then on, and a fault, read(2), write(2) or a driver brings the page back, dirty.
 *
 * Only dirty pages go there. A clean one is all zeroes as far as anybody has said, and is dropped.
 *
 * Where there is no room, the page is dirty again and activated (AOP_WRITEPAGE_ACTIVATE).
 *
 * Left out: the list of files with swapped pages, which is swapoff's; fallocated pages; that truncation looks again where a page went to swap, or came back, while it
 * swept (entries of the range are freed before the sweep and after it), and that a page of which only a part is truncated comes back from swap to be zeroed there.
 */

import { struct, u16 } from "../../machine/memory.js";
import type { Node } from "../../machine/path.js";
import { ERRNO } from "../errno.js";
import type { Kernel, Table } from "../kernel.js";
import { call, given, goto, held, leave, local, path, step, under, when } from "../language.js";
import { xa_lock } from "../locks.js";
import {
  get_page,
  lock_page,
  PageSwapCache,
  page_ref_add,
  settledUnlessWriteback,
  unlock,
  wait_on_page_writeback,
} from "../mm/page.js";
import { swap_writepage } from "../mm/page_io.js";
import { set_page_dirty } from "../mm/page_writeback.js";
import { put_page } from "../mm/swap.js";
import { add_to_swap_cache, delete_from_swap_cache, read_swap_cache_async } from "../mm/swap_state.js";
import {
  free_swap_and_cache,
  get_swap_page,
  page_private,
  swap_duplicate,
  swap_free,
} from "../mm/swapfile.js";
import { AOP_WRITEPAGE_ACTIVATE, FS } from "../operations.js";
import { type InodeNr, int, NONE, type Pfn, pfn, type SwpEntry } from "../types.js";

const shmem_swap = struct("shmem_swap", {
  entry: u16("swap entry that stands in this slot of a file in memory; 0: none"),
});

/** A row a slot on machines with config "swap" and files of tmpfs. */
export const shmemSwapTable: Table = {
  struct: shmem_swap,
  rows: (g) =>
    g.config.has("swap") && g.files.some(({ fs }) => fs === FS.tmpfs)
      ? g.files.reduce((sum, { pages }) => sum + pages, 0)
      : 0,
};

/** The swap entry that a file has at an index, or 0. */
export const shmem_swap_entry = (k: Kernel, mapping: InodeNr, index: number): SwpEntry =>
  k.of(shmem_swap).entry[k.slotOf(mapping, index)] ?? 0;

/** Swap entries that files have, as often as they have them. */
export const shmem_swap_entries = (k: Kernel): SwpEntry[] =>
  Array.from(k.of(shmem_swap).entry).filter((entry) => entry !== 0);

/** A locked, unmapped page leaves its file for the swap cache: add_to_swap_cache, swap_shmem_alloc, shmem_delete_from_page_cache. False where there is no room. */
function shmem_move_to_swap(k: Kernel, page: Pfn): boolean {
  const entry = get_swap_page(k);
  if (entry === 0) return false;
  const slot = k.slotOf(k.page.mapping[page], k.page.index[page]);
  add_to_swap_cache(k, page, entry);
  swap_duplicate(k, entry);
  k.xa_slot.page[slot] = 0;
  k.of(shmem_swap).entry[slot] = entry;
  k.page.mapping[page] = 0;
  page_ref_add(k, page, -1);
  k.count("nr_file_pages", -1);
  return true;
}

/** Write a locked, clean page to the swap area, and unlock it; or leave it locked and dirty, and give AOP_WRITEPAGE_ACTIVATE. */
export const shmem_writepage = path(
  "shmem_writepage",
  { source: "mm/shmem.c v4.20", args: { page: pfn }, locals: { moved: int }, returns: int },
  [
    // The page is locked: who finds it in the file meanwhile waits, and looks again.
    under(xa_lock, [
      step("shmem_delete_from_page_cache", (k, f) => {
        f.moved = shmem_move_to_swap(k, f.page) ? 1 : 0;
      }),
    ]),
    given(
      (_, f) => f.moved === 0,
      [call(() => set_page_dirty, { page: "page" }), leave(() => AOP_WRITEPAGE_ACTIVATE)],
    ),
    call(() => swap_writepage, { page: "page" }),
  ],
);

/** A locked page of the swap cache is its file's again. */
function shmem_take_from_swap(k: Kernel, page: Pfn, mapping: InodeNr, index: number): void {
  const slot = k.slotOf(mapping, index);
  const entry = k.of(shmem_swap).entry[slot];
  get_page(k, page);
  delete_from_swap_cache(k, page);
  k.xa_slot.page[slot] = page + 1;
  k.of(shmem_swap).entry[slot] = 0;
  k.page.mapping[page] = mapping;
  k.page.index[page] = index;
  k.count("nr_file_pages");
  swap_free(k, entry);
}

interface GetPage {
  readonly mapping: InodeNr;
  readonly index: number;
  page: Pfn;
  swap: number;
}

/** What shmem_getpage_gfp does where the slot has a swap entry: the page, locked and dirty, with a reference. Goes to "repeat" when somebody else was faster. */
export const shmem_swapin = <F extends GetPage>(): Node<Kernel, F>[] => [
  call<F, typeof read_swap_cache_async.args>(
    () => read_swap_cache_async,
    { entry: "swap" as never },
    "page" as never,
  ),
  given<F>(
    (_, f) => f.page === NONE,
    [
      when<F>("shmem_confirm_swap", (k, f) => shmem_swap_entry(k, f.mapping, f.index) !== f.swap, [
        local<F>((_, f) => {
          f.swap = 0;
        }),
        goto<F>("repeat"),
      ]),
      leave<F>(() => -ERRNO.ENOMEM),
    ],
  ),
  lock_page<F>(),
  held<F>(
    when<F>(
      "shmem_confirm_swap",
      (k, f) =>
        !PageSwapCache(k, f.page) ||
        page_private(k, f.page) !== f.swap ||
        shmem_swap_entry(k, f.mapping, f.index) !== f.swap,
      [
        unlock<F>(),
        step<F>("put_page", (k, f) => {
          put_page(k, f.page);
          f.page = NONE;
          f.swap = 0;
        }),
        goto<F>("repeat"),
      ],
    ),
  ),
  settledUnlessWriteback<F>(wait_on_page_writeback<F>()),
  under<F>(xa_lock, [
    step<F>("shmem_add_to_page_cache", (k, f) => {
      shmem_take_from_swap(k, f.page, f.mapping, f.index);
      f.swap = 0;
    }),
  ]),
  call<F, typeof set_page_dirty.args>(() => set_page_dirty, { page: "page" as never }),
];

/** shmem_free_swap: the entries of a range of a file, `end` not included, are given up. */
export function shmem_free_swap(k: Kernel, mapping: InodeNr, start: number, end: number): void {
  for (let index = start; index < end; index++) {
    const entry = shmem_swap_entry(k, mapping, index);
    if (entry === 0) continue;
    k.of(shmem_swap).entry[k.slotOf(mapping, index)] = 0;
    free_swap_and_cache(k, entry);
  }
}
