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
 * affair. Notifiers are there from the start, registered in the order of their numbers, and the one that came last is told first
 * (hlist_add_head). A process that exits tells those that have a release operation, and then nobody any more: no
 * invalidation comes for the PTEs that it gives back.
 *
 * Left out: SRCU (exit does not wait for a callback that runs for somebody else), registration, invalidate_range (a change of one PTE
 * without the two calls), the callbacks for young bits, callers that may not sleep (the OOM reaper), the callers in hugetlbfs and DAX, the call of a notifier for ranges in
 * which its driver has nothing.
 */
import { struct, u8 } from "../../machine/memory.js";
import type { FrameOf, Node } from "../../machine/path.js";
import type { Kernel, Table } from "../kernel.js";
import { call, dispatch, given, local, path, repeat, step } from "../language.js";
import { mmu_notifier_ops } from "../operations.js";
import { int, type PagesNr, type Pfn, pfn, type Vpn, vpn } from "../types.js";
import { mm_of } from "./memory.js";

/** The array of pages of a notifier's object. */
export const pages_of_notifier = (k: Kernel, notifier: number): PagesNr =>
  k.geometry.notifiers[notifier].pages;

/** The notifier whose object has this array, or NONE. */
export const notifier_of_pages = (k: Kernel, pages: PagesNr): number =>
  k.geometry.notifiers.findIndex((notifier) => notifier.pages === pages);

const mmu_notifier = struct("mmu_notifier", {
  released: u8("1 when the exit of its process has taken it off the mm's list"),
  mm_users: u8("faults of its driver that keep the process's memory (mmget)"),
});
export const mmu_notifier_table: Table = {
  struct: mmu_notifier,
  rows: (g) => (g.config.has("notifier") ? g.notifiers.length : 0),
};

/** Whether a notifier's process has exited. */
export const notifier_released = (k: Kernel, notifier: number): boolean =>
  k.of(mmu_notifier).released[notifier] === 1;

/** mmget_not_zero of a driver: whether there is memory that it can fault in. mmput gives it back. */
export function mmget_not_zero(k: Kernel, notifier: number): boolean {
  if (notifier_released(k, notifier)) return false;
  k.of(mmu_notifier).mm_users[notifier]++;
  return true;
}
export function mmput(k: Kernel, notifier: number): void {
  k.of(mmu_notifier).mm_users[notifier]--;
}

const watches = (k: Kernel, notifier: number, mm: number): boolean =>
  mm_of(k, k.geometry.notifiers[notifier].start) === mm;

/** Whether no driver faults in pages of a process: exit_mmap belongs to the last user of the memory. */
export const no_driver_faults = (k: Kernel, mm: number): boolean =>
  k.geometry.notifiers.every(
    (_, notifier) => !watches(k, notifier, mm) || k.of(mmu_notifier).mm_users[notifier] === 0,
  );

function overlaps(k: Kernel, notifier: number, start: Vpn, end: Vpn): boolean {
  const { start: first, nr } = k.geometry.notifiers[notifier];
  return !notifier_released(k, notifier) && first < end && first + nr > start;
}

const RANGE = {
  source: "mm/mmu_notifier.c v4.20",
  args: { start: vpn, end: vpn },
  locals: { left: int, notifier: int },
} as const;

/** hlist_for_each_entry_rcu: the notifiers, the last one first. */
const each_notifier = <F extends { left: number; notifier: number }>(
  body: readonly Node<Kernel, F>[],
): Node<Kernel, F>[] => [
  local<F>((k, f) => {
    f.left = k.geometry.notifiers.length;
  }),
  repeat<F>(
    (_, f) => f.left > 0,
    [
      local<F>((_, f) => {
        f.left--;
        f.notifier = f.left;
      }),
      ...body,
    ],
  ),
  local<F>((_, f) => {
    f.notifier = 0;
  }),
];

/** Tell every notifier that watches one of these virtual pages: one of the two operations. */
const notify = (name: string, operation: string) =>
  path(
    name,
    RANGE,
    each_notifier<FrameOf<typeof RANGE>>([
      given(
        (k, f) => overlaps(k, f.notifier, f.start, f.end),
        [
          dispatch(mmu_notifier_ops, operation, (k, f) => k.geometry.notifiers[f.notifier].driver, {
            notifier: "notifier",
            start: "start",
            end: "end",
          }),
        ],
      ),
    ]),
  );

const RELEASE = {
  source: "mm/mmu_notifier.c v4.20",
  args: { mm: int },
  locals: { left: int, notifier: int },
} as const;

/** A process exits: the last that its notifiers hear. */
export const mmu_notifier_release = path("mmu_notifier_release", RELEASE, [
  ...each_notifier<FrameOf<typeof RELEASE>>([
    given(
      (k, f) => watches(k, f.notifier, f.mm),
      [
        dispatch(mmu_notifier_ops, "release", (k, f) => k.geometry.notifiers[f.notifier].driver, {
          notifier: "notifier",
        }),
      ],
    ),
  ]),
  step("hlist_del_init_rcu", (k, f) => {
    for (let each = 0; each < k.geometry.notifiers.length; each++)
      if (watches(k, each, f.mm)) k.of(mmu_notifier).released[each] = 1;
  }),
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
