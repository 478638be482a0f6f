/**
 * Taking PTEs away from processes: for munmap, exit and MADV_DONTNEED by address, for truncation and invalidation by
 * file.
 *
 * Source: mm/memory.c in v4.20 (zap_pte_range, unmap_vmas, zap_page_range, unmap_mapping_pages). What a PTE knew moves to
 * its page, without the page lock: a dirty PTE calls set_page_dirty, a young one mark_page_accessed. A device that
 * writes into the page is not asked: the page survives by its gup reference, and nobody hears of later writes.
 *
 * All that happens to one PTE under its ptl is one step. That holds because a page of a filesystem with writeback that has a
 * dirty PTE is dirty already (every such PTE was made under the page lock, after set_page_dirty), and set_page_dirty of a
 * dirty page is held; and because PG_reclaim is cleared with the PTE. The reference is dropped a step later,
 * when the TLB has been flushed: until then the page is unmapped and has a holder too many, so that reclaim that meets it
 * frees its buffers and backs out, with no device anywhere.
 *
 * Left out: the batch of mmu_gather (each page is flushed and given back before the next PTE), huge pages, rss counters,
 * VM_SEQ_READ, pages without struct page.
 */
import { type Kernel, PFN_SHIFT, PTE } from "../kernel.js";
import {
  call,
  config,
  dispatch,
  down_write,
  given,
  held,
  local,
  path,
  repeat,
  step,
  under,
  up_write,
} from "../language.js";
import { i_mmap_rwsem, lru_lock, ptl } from "../locks.js";
import { a_ops, fs_of_page } from "../operations.js";
import { isAnon } from "../structs.js";
import { type InodeNr, inode, int, NONE, type Pfn, pfn, type Vpn, vpn } from "../types.js";
import { PageHead, PageTail } from "./compound.js";
import { huge_ptep_get_and_clear } from "./hugetlb.js";
import { is_zero_pfn, vm_normal_page } from "./memory.js";
import { device_pte_counts, is_zone_device_page } from "./memremap.js";
import { mmu_notifier_invalidate_range_end, mmu_notifier_invalidate_range_start } from "./mmu_notifier.js";
import { ClearPageReclaim, PageReclaim } from "./page.js";
import { page_remove_rmap, set_pte } from "./rmap.js";
import { lru_add_drain, mark_page_accessed, put_page } from "./swap.js";
import { free_swap_cache } from "./swap_state.js";
import { free_swap_and_cache } from "./swapfile.js";
import { is_swap_entry, pte_to_swp_entry } from "./swapops.js";

/**
 * What struct zap_details says. all: no details, everything goes, entries that are not present too. file: what the file
 * shows goes, private copies stay (even_cows 0). cows: private copies go as well, swap and migration entries stay.
 */
export const ZAP = { all: 0, file: 1, cows: 2 } as const;

/** Whether this PTE is one that goes. */
function goes(k: Kernel, vma: number, entry: number, details: number): boolean {
  if (entry === 0) return false;
  if ((entry & PTE.present) === 0) return details === ZAP.all;
  // The other virtual pages of a huge PTE go with the first.
  if (k.compound && PageTail(k, entry >>> PFN_SHIFT)) return false;
  // What no struct page is counted for belongs to nobody else: it is not asked.
  const page = vm_normal_page(k, entry);
  return details !== ZAP.file || page === NONE || k.page.mapping[page] === k.vma.vm_file[vma];
}

/** The next virtual page from `at` on whose PTE goes, or `end`. */
function next_pte(k: Kernel, vma: number, at: Vpn, end: Vpn, details: number): Vpn {
  let next = at;
  while (next < end && !goes(k, vma, k.pte.entry[next], details)) next++;
  return next;
}

/** Take away the PTEs from `start` to before `end`, all in one VMA. `details` is one of ZAP. */
export const zap_pte_range = path(
  "zap_pte_range",
  {
    source: "mm/memory.c v4.20",
    args: { vma: int, start: vpn, end: vpn, details: int },
    locals: { at: vpn, page: pfn, dirty: int, young: int },
  },
  [
    local((_, f) => {
      f.at = f.start;
    }),
    repeat(
      (_, f) => f.at < f.end,
      [
        under(ptl, [
          step("ptep_get_and_clear_full", (k, f) => {
            f.at = next_pte(k, f.vma, f.at, f.end, f.details);
            if (f.at === f.end) return;
            const entry = k.pte.entry[f.at];
            const page: Pfn = entry >>> PFN_SHIFT;
            if ((entry & PTE.present) === 0) {
              // A migration entry's page is told nothing, and holds no reference for it.
              if (is_swap_entry(entry)) free_swap_and_cache(k, pte_to_swp_entry(entry));
              k.pte.entry[f.at] = 0;
              return;
            }
            if (is_zero_pfn(k, page)) {
              set_pte(k, f.at, 0, NONE);
              return;
            }
            if (is_zone_device_page(k, page)) {
              // vm_normal_page gives none for a devmap PTE, for which nothing is counted as a rule.
              if (device_pte_counts(k)) f.page = page;
              set_pte(k, f.at, 0, page);
              return;
            }
            f.page = page;
            if (k.compound && PageHead(k, page)) {
              // __unmap_hugepage_range: one huge PTE, and its age is not asked.
              f.dirty = (entry & PTE.dirty) !== 0 ? 1 : 0;
              huge_ptep_get_and_clear(k, f.at, page);
              return;
            }
            set_pte(k, f.at, 0, page);
            if (isAnon(k.page.mapping[page])) return;
            f.dirty = (entry & PTE.dirty) !== 0 ? 1 : 0;
            f.young = (entry & PTE.young) !== 0 ? 1 : 0;
            if (f.dirty === 1 && PageReclaim(k, page)) ClearPageReclaim(k, page);
          }),
          // set_page_dirty, of which this step has done the first part.
          given(
            (_, f) => f.dirty === 1,
            [dispatch(a_ops, "set_page_dirty", (k, f) => fs_of_page(k, f.page), { page: "page" })],
          ),
          given(
            (_, f) => f.page !== NONE,
            [
              held(
                step("page_remove_rmap", (k, f) => {
                  if (f.young === 1) mark_page_accessed(k, f.page);
                  f.young = 0;
                  f.dirty = 0;
                  page_remove_rmap(k, f.page);
                }),
              ),
            ],
          ),
        ]),
        given(
          (_, f) => f.page !== NONE,
          [
            step("tlb_flush_mmu", (k, f) => {
              // free_pages_and_swap_cache
              free_swap_cache(k, f.page);
              put_page(k, f.page);
              f.page = NONE;
            }),
          ],
        ),
        local((_, f) => {
          if (f.at < f.end) f.at++;
        }),
      ],
    ),
  ],
);

/** Take away the PTEs of a part of a VMA that is going away: munmap, exit. */
export const unmap_vmas = path(
  "unmap_vmas",
  { source: "mm/memory.c v4.20", args: { vma: int, start: vpn, end: vpn } },
  [
    config("notifier", [call(() => mmu_notifier_invalidate_range_start, { start: "start", end: "end" })]),
    call(() => zap_pte_range, { vma: "vma", start: "start", end: "end", details: ZAP.all }),
    config("notifier", [call(() => mmu_notifier_invalidate_range_end, { start: "start", end: "end" })]),
  ],
);

/** Take away the PTEs of a part of a VMA that stays: MADV_DONTNEED. */
export const zap_page_range = path(
  "zap_page_range",
  { source: "mm/memory.c v4.20", args: { vma: int, start: vpn, end: vpn } },
  [
    under(lru_lock, [step("lru_add_drain", (k) => lru_add_drain(k))]),
    config("notifier", [call(() => mmu_notifier_invalidate_range_start, { start: "start", end: "end" })]),
    call(() => zap_pte_range, { vma: "vma", start: "start", end: "end", details: ZAP.all }),
    config("notifier", [call(() => mmu_notifier_invalidate_range_end, { start: "start", end: "end" })]),
  ],
);

/** vma_interval_tree_foreach: the first VMA from `from` on that shows some of these pages of a file, plus one; 0 if none. */
function next_vma(k: Kernel, mapping: InodeNr, start: number, nr: number, from: number): number {
  const { vm_pages, vm_file, vm_pgoff } = k.vma;
  for (let at = from; at < vm_pages.length; at++) {
    if (vm_file[at] !== mapping || vm_pages[at] === 0) continue;
    if (vm_pgoff[at] + vm_pages[at] > start && vm_pgoff[at] < start + nr) return at + 1;
  }
  return 0;
}

/**
 * Take away the PTEs of `nr` pages of a file from `start` on in all processes. even_cows: 1 takes private copies too, as
 * truncation does; 0 leaves them, as invalidation and punching do.
 */
export const unmap_mapping_pages = path(
  "unmap_mapping_pages",
  {
    source: "mm/memory.c v4.20",
    args: { mapping: inode, start: int, nr: int, even_cows: int },
    locals: { vma: int, at: vpn, end: vpn, details: int },
  },
  [
    down_write(i_mmap_rwsem, (_, f) => f.mapping),
    local((k, f) => {
      f.details = f.even_cows === 1 ? ZAP.cows : ZAP.file;
      f.vma = next_vma(k, f.mapping, f.start, f.nr, 0);
    }),
    repeat(
      (_, f) => f.vma !== 0,
      [
        local((k, f) => {
          f.vma--;
          const { vm_start, vm_pages, vm_pgoff } = k.vma;
          const first = vm_start[f.vma] - vm_pgoff[f.vma];
          f.at = Math.max(first + f.start, vm_start[f.vma]);
          f.end = Math.min(first + f.start + f.nr, vm_start[f.vma] + vm_pages[f.vma]);
        }),
        // zap_page_range_single
        under(lru_lock, [step("lru_add_drain", (k) => lru_add_drain(k))]),
        config("notifier", [call(() => mmu_notifier_invalidate_range_start, { start: "at", end: "end" })]),
        call(() => zap_pte_range, { vma: "vma", start: "at", end: "end", details: "details" }),
        config("notifier", [call(() => mmu_notifier_invalidate_range_end, { start: "at", end: "end" })]),
        local((k, f) => {
          f.vma = next_vma(k, f.mapping, f.start, f.nr, f.vma + 1);
          f.at = 0;
          f.end = 0;
        }),
      ],
    ),
    up_write(i_mmap_rwsem, (_, f) => f.mapping),
  ],
);
