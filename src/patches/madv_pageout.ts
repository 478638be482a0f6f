/**
 * madvise(MADV_PAGEOUT): a process asks for its own pages to be reclaimed now.
 *
 * Source: mm/madvise.c and mm/vmscan.c, commit 1a4e58cce84e (v5.4), read in v6.1. The walk makes each page look unused (its PTE old, PG_referenced clear) and
 * takes it off its list; then the pages go through shrink_page_list as in direct reclaim. Those that stay are put back through the batch, so that they
 * are on no list until it is drained. It is the shortest way from a program to reclaim, and what the recordings of real kernels were made with.
 *
 * A page that more than one PTE maps is passed over (commit 12e967fd8e4e).
 *
 * Left out: huge pages (they are passed over), can_do_pageout (the caller owns the file), signals, MADV_COLD.
 */
import { ERRNO } from "../kernel/errno.js";
import { type Kernel, PTE } from "../kernel/kernel.js";
import { call, config, given, leave, local, path, step, under } from "../kernel/language.js";
import { ptl } from "../kernel/locks.js";
import { PageCompound } from "../kernel/mm/compound.js";
import { is_zero_pfn, pte_pfn, pte_present } from "../kernel/mm/memory.js";
import { ClearPageActive, ClearPageReferenced, PageUnevictable } from "../kernel/mm/page.js";
import { set_pte } from "../kernel/mm/rmap.js";
import { begin_direct, end, row_of_task } from "../kernel/mm/scan_control.js";
import { isolate_lru_page, lru_add_drain, putback_lru_page } from "../kernel/mm/swap.js";
import { direct, link_after, unlink_first } from "../kernel/mm/vmscan.js";
import { VM_HUGETLB, VM_LOCKED, VM_PFNMAP } from "../kernel/structs.js";
import { int, type Vpn, vpn } from "../kernel/types.js";
import { after, before } from "../machine/patch.js";
import type { Patch } from "./patch.js";

/** MADV_PAGEOUT, Linux's number. */
export const MADV_PAGEOUT = 21;

/** madvise_cold_or_pageout_pte_range: the pages behind present PTEs, isolated, as a chain; 0 when there is none. */
function isolate_range(k: Kernel, start: Vpn, end: Vpn): number {
  let first = 0;
  let last = 0;
  for (let at = start; at < end; at++) {
    const entry = k.pte.entry[at];
    if (!pte_present(entry) || is_zero_pfn(k, pte_pfn(entry))) continue;
    const page = pte_pfn(entry);
    if (PageCompound(k, page) || k.page.mapcount[page] !== 1) continue;
    if ((entry & PTE.young) !== 0) set_pte(k, at, entry & ~PTE.young, page);
    ClearPageReferenced(k, page);
    if (!isolate_lru_page(k, page)) continue;
    if (PageUnevictable(k, page)) {
      putback_lru_page(k, page);
      continue;
    }
    link_after(k, last, page);
    if (first === 0) first = page + 1;
    last = page + 1;
  }
  return first;
}

const madvise_pageout = path(
  "madvise_pageout",
  {
    source: "mm/madvise.c v6.1",
    args: { vma: int, start: vpn, end: vpn },
    locals: { page_list: int, ret_pages: int, dirty: int, writeback: int },
    returns: int,
  },
  [
    given(
      (k, f) => (k.vma.vm_flags[f.vma] & (VM_LOCKED | VM_HUGETLB | VM_PFNMAP)) !== 0,
      [leave(() => -ERRNO.EINVAL)],
    ),
    step("lru_add_drain", (k) => lru_add_drain(k)),
    under(ptl, [
      step("madvise_cold_or_pageout_pte_range", (k, f) => {
        f.page_list = isolate_range(k, f.start, f.end);
      }),
    ]),
    given((_, f) => f.page_list === 0, [leave()]),
    step("reclaim_pages", (k, f) => {
      for (let at = f.page_list; at !== 0; at = k.page.lru_next[at - 1]) ClearPageActive(k, at - 1);
    }),
    config("watermarks", [local((k) => begin_direct(k))]),
    call(() => direct.shrink_page_list, {
      page_list: "page_list",
      ret_pages: "ret_pages",
      nr_unqueued_dirty: "dirty",
      nr_writeback: "writeback",
    }),
    config("watermarks", [local((k) => end(k, row_of_task(k)))]),
    given(
      (_, f) => f.ret_pages !== 0,
      [
        step("putback_lru_page", (k, f) => {
          while (f.ret_pages !== 0) {
            const page = f.ret_pages - 1;
            f.ret_pages = unlink_first(k, f.ret_pages);
            putback_lru_page(k, page);
          }
        }),
      ],
    ),
  ],
);

export const madv_pageout: Patch = {
  name: "madv-pageout",
  title: "mm: introduce MADV_PAGEOUT",
  author: "Minchan Kim",
  date: "2019-09",
  commit: "1a4e58cce84e",
  help: "madvise(MADV_PAGEOUT) reclaims pages of the caller's at once",
  edits: [
    after<{ readonly behavior: number; ret: number }>("madvise", "madvise_behavior_valid", [
      local((_, f) => {
        if (f.behavior === MADV_PAGEOUT) f.ret = 0;
      }),
    ]),
    after<{ readonly behavior: number; write: number }>("madvise", "madvise_need_mmap_write", [
      local((_, f) => {
        if (f.behavior === MADV_PAGEOUT) f.write = 0;
      }),
    ]),
    before<{
      readonly vma: number;
      readonly start: Vpn;
      readonly end: Vpn;
      readonly behavior: number;
      ret: number;
    }>("madvise_vma", "switch (behavior):", [
      given(
        (_, f) => f.behavior === MADV_PAGEOUT,
        [call(() => madvise_pageout, { vma: "vma", start: "start", end: "end" }, "ret"), leave()],
      ),
    ]),
  ],
};
