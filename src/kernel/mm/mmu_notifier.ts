/**
 * MMU notifiers: drivers that are told before PTEs of their pages change, and after.
 *
 * Source: mm/mmu_notifier.c, include/linux/mmu_notifier.h in v4.20. A driver that stops its device in invalidate_range_start, and dirties
 * the pages that it wrote, needs no long reference: it is the one kind of user that page_mkclean and try_to_unmap can
 * reach.
 *
 * Callbacks may sleep. Some callers hold the page lock (reclaim, writeback), some do not (munmap): a driver cannot take it, and
 * calls set_page_dirty without.
 *
 * Each notifier watches a range of virtual pages, fixed for the machine; whether its driver has something there is the driver's
 * affair. Left out: SRCU, registration (notifiers are there from the start), invalidate_range (a change of one PTE
 * without the two calls), the callbacks for young bits, callers that may not sleep (the OOM reaper).
 */
import type { Kernel } from "../kernel.js";
import { call, dispatch, given, local, path, repeat } from "../language.js";
import { mmu_notifier_ops } from "../operations.js";
import { int, type PagesNr, type Pfn, pfn, type Vpn, vpn } from "../types.js";

/** The array of pages of a notifier's object. */
export const pages_of_notifier = (k: Kernel, notifier: number): PagesNr =>
  k.geometry.notifiers[notifier].pages;

function overlaps(k: Kernel, notifier: number, start: Vpn, end: Vpn): boolean {
  const { start: first, nr } = k.geometry.notifiers[notifier];
  return first < end && first + nr > start;
}

const RANGE = {
  source: "mm/mmu_notifier.c v4.20",
  args: { start: vpn, end: vpn },
  locals: { notifier: int },
} as const;

/** Tell every notifier that watches one of these virtual pages: one of the two operations. */
const notify = (name: string, operation: string) =>
  path(name, RANGE, [
    repeat(
      (k, f) => f.notifier < k.geometry.notifiers.length,
      [
        given(
          (k, f) => overlaps(k, f.notifier, f.start, f.end),
          [
            dispatch(mmu_notifier_ops, operation, (k, f) => k.geometry.notifiers[f.notifier].driver, {
              notifier: "notifier",
            }),
          ],
        ),
        local((_, f) => {
          f.notifier++;
        }),
      ],
    ),
  ]);

/** PTEs of these virtual pages are about to change. */
export const mmu_notifier_invalidate_range_start = notify(
  "mmu_notifier_invalidate_range_start",
  "invalidate_range_start",
);
/** They have changed. */
export const mmu_notifier_invalidate_range_end = notify(
  "mmu_notifier_invalidate_range_end",
  "invalidate_range_end",
);

const OF_PAGE = {
  source: "mm/rmap.c v4.20",
  args: { page: pfn, vma: int },
  locals: { start: vpn, end: vpn },
} as const;

/** vma_address: where a VMA shows a page, mapped or not. `vma` is the VMA's number plus one. */
const vma_address = (k: Kernel, page: Pfn, vma: number): Vpn =>
  k.vma.vm_start[vma - 1] + k.page.index[page] - k.vma.vm_pgoff[vma - 1];

/** The same for the one virtual page at which a VMA shows a page: what an rmap walk says before and after each VMA. */
export const invalidate_page_start = path("invalidate_page_start", OF_PAGE, [
  local((k, f) => {
    f.start = vma_address(k, f.page, f.vma);
    f.end = f.start + 1;
  }),
  call(() => mmu_notifier_invalidate_range_start, { start: "start", end: "end" }),
]);
export const invalidate_page_end = path("invalidate_page_end", OF_PAGE, [
  local((k, f) => {
    f.start = vma_address(k, f.page, f.vma);
    f.end = f.start + 1;
  }),
  call(() => mmu_notifier_invalidate_range_end, { start: "start", end: "end" }),
]);

const OF_ADDRESS = { source: "mm/memory.c v4.20", args: { at: vpn }, locals: { end: vpn } } as const;

/** The same for one virtual page: what a copy on write says before and after it. */
export const invalidate_at_start = path("invalidate_at_start", OF_ADDRESS, [
  local((_, f) => {
    f.end = f.at + 1;
  }),
  call(() => mmu_notifier_invalidate_range_start, { start: "at", end: "end" }),
]);
export const invalidate_at_end = path("invalidate_at_end", OF_ADDRESS, [
  local((_, f) => {
    f.end = f.at + 1;
  }),
  call(() => mmu_notifier_invalidate_range_end, { start: "at", end: "end" }),
]);
