/**
 * From a page to its PTEs: cleaning, unmapping, and asking whether anybody used it.
 *
 * Source: mm/rmap.c in v4.20. Each PTE is changed under its ptl, so one PTE is one step. A device that reaches the
 * page through a gup reference has no PTE: it is told nothing here, and leaves no young or dirty bit.
 *
 * A mapped page is tested for (page_mapped) under the page lock, which keeps new PTEs away; that an old one may go
 * meanwhile commutes with the step before the test.
 *
 * All anonymous pages have one anon_vma: a walk meets VMAs of other processes too, and finds no PTE there. (In Linux the anon_vmas of
 * a process and its children are several, under one lock.)
 *
 * Unmapping for migration (TTU_MIGRATION) is in mm/migrate.ts. An anonymous page leaves its swap entry in the PTE, in the step that clears it: under
 * the ptl nobody sees the PTE empty. Left out: batched TLB flushes (TTU_BATCH_FLUSH; a cleared PTE is flushed at
 * once), lazyfree pages, page_move_anon_rmap; and page_referenced walks to the end, where the
 * kernel stops once it has met as many PTEs as the page had.
 */
import type { FrameOf } from "../../machine/path.js";
import { WORD } from "../../trace/words.js";
import { type Kernel, PTE } from "../kernel.js";
import {
  call,
  check,
  config,
  given,
  goto,
  held,
  heldIf,
  label,
  leave,
  local,
  lockdep_assert_not_held,
  path,
  repeat,
  step,
  tries,
  under,
  when,
} from "../language.js";
import { PG_locked, ptl } from "../locks.js";
import { isAnon, VM_EXEC, VM_LOCKED } from "../structs.js";
import { int, NONE, type Pfn, pfn } from "../types.js";
import { page_mapping } from "./filemap.js";
import { clear_page_mlock, mlock_vma_page } from "./mlock.js";
import { invalidate_page_end, invalidate_page_start } from "./mmu_notifier.js";
import { PageMlocked, PageSwapCache, page_mapped, trylock_page, unlock } from "./page.js";
import { set_page_dirty } from "./page_writeback.js";
import { next_vma, rmap_walk, rmap_walk_file } from "./rmap_walk.js";
import { put_page } from "./swap.js";
import { page_private, swap_duplicate } from "./swapfile.js";
import { swp_entry_to_pte } from "./swapops.js";

/** The same among VMAs that keep their pages in memory: munlock has nothing to gain from the others. */
function next_locked_vma(k: Kernel, page: Pfn, from: number): number {
  let vma = next_vma(k, page, from, false);
  while (vma !== 0 && (k.vma.vm_flags[vma - 1] & VM_LOCKED) === 0) vma = next_vma(k, page, vma, false);
  return vma;
}

/** Write a PTE and tell the recording of the page that it maps (or mapped); NONE for the zero page. */
export function set_pte(k: Kernel, at: number, entry: number, page: Pfn): void {
  k.pte.entry[at] = entry;
  if (k.recorder !== null && page !== NONE) k.note(WORD.pte, page, k.pteWord(page));
}

/** page_add_file_rmap, page_add_new_anon_rmap, page_dup_rmap */
export function page_add_rmap(k: Kernel, page: Pfn): void {
  k.page.mapcount[page]++;
  if (k.recorder !== null) k.note(WORD.mapcount, page, k.page.mapcount[page]);
  if (k.page.mapcount[page] === 1 && page_mapping(k, page) !== 0) k.count("nr_mapped");
}

export function page_remove_rmap(k: Kernel, page: Pfn): void {
  k.page.mapcount[page]--;
  if (k.recorder !== null) {
    k.note(WORD.mapcount, page, k.page.mapcount[page]);
    k.note(WORD.pte, page, k.pteWord(page));
  }
  if (k.page.mapcount[page] > 0) return;
  if (page_mapping(k, page) !== 0) k.count("nr_mapped", -1);
  if (PageMlocked(k, page)) clear_page_mlock(k, page);
}

const MKCLEAN = {
  source: "mm/rmap.c v4.20",
  args: { page: pfn },
  locals: { vma: int },
  returns: int,
} as const;

/** Write-protect and clean every shared PTE of a page of a file. Gives how many were dirty or writable. */
export const page_mkclean = path("page_mkclean", MKCLEAN, [
  held(when("page_mapped", (k, f) => !page_mapped(k, f.page), [leave()])),
  ...rmap_walk_file<FrameOf<typeof MKCLEAN>>([
    local((k, f) => {
      f.vma = next_vma(k, f.page, 0, true);
    }),
    repeat(
      (_, f) => f.vma !== 0,
      [
        config("notifier", [call(() => invalidate_page_start, { page: "page", vma: "vma" })]),
        under(ptl, [
          step("page_mkclean_one", (k, f) => {
            const at = k.pteAt(f.vma - 1, f.page);
            if (at < 0) return;
            const entry = k.pte.entry[at];
            if ((entry & (PTE.dirty | PTE.write)) === 0) return;
            set_pte(k, at, entry & ~(PTE.dirty | PTE.write), f.page);
            f.ret++;
          }),
        ]),
        config("notifier", [call(() => invalidate_page_end, { page: "page", vma: "vma" })]),
        local((k, f) => {
          f.vma = next_vma(k, f.page, f.vma, true);
        }),
      ],
    ),
  ]),
]);

const REFERENCED = {
  source: "mm/rmap.c v4.20",
  args: { page: pfn, is_locked: int },
  locals: { vma: int },
  returns: int,
} as const;

/** What page_referenced says of vm_flags, as bits above its number of PTEs. */
const REFERENCED_EXEC = 0x1000;
const REFERENCED_LOCKED = 0x2000;

/** How many PTEs page_referenced found used, from what it gives. */
export const referenced_ptes = (referenced: number): number => referenced & (REFERENCED_EXEC - 1);
/** The vm_flags that page_referenced gives: VM_EXEC of a VMA through which the page was used, VM_LOCKED of one that it met. */
export const referenced_vm_flags = (referenced: number): number =>
  ((referenced & REFERENCED_EXEC) !== 0 ? VM_EXEC : 0) |
  ((referenced & REFERENCED_LOCKED) !== 0 ? VM_LOCKED : 0);

/**
 * How many PTEs were used since the last time (referenced_ptes of what it gives); clears their young bits. Without the page
 * lock it must get it at once, or it answers 1; an anonymous page needs no lock. It stops at a locked VMA, and says so.
 */
export const page_referenced = path("page_referenced", REFERENCED, [
  heldIf(
    (_, f) => f.is_locked === 1,
    when("page_mapped", (k, f) => !page_mapped(k, f.page), [leave()]),
  ),
  given(
    (k, f) => f.is_locked === 0 && !isAnon(k.page.mapping[f.page]),
    [
      lockdep_assert_not_held(PG_locked),
      tries(
        PG_locked,
        check("trylock_page", (k, f) => trylock_page(k, f.page), "referenced"),
      ),
    ],
  ),
  ...rmap_walk<FrameOf<typeof REFERENCED>>([
    local((k, f) => {
      f.vma = next_vma(k, f.page, 0, false);
    }),
    repeat(
      (_, f) => f.vma !== 0,
      [
        under(ptl, [
          step("page_referenced_one", (k, f) => {
            const at = k.pteAt(f.vma - 1, f.page);
            if (at < 0) return;
            const flags = k.vma.vm_flags[f.vma - 1];
            if ((flags & VM_LOCKED) !== 0) {
              f.ret |= REFERENCED_LOCKED;
              return;
            }
            const entry = k.pte.entry[at];
            if ((entry & PTE.young) === 0) return;
            set_pte(k, at, entry & ~PTE.young, f.page);
            f.ret++;
            if ((flags & VM_EXEC) !== 0) f.ret |= REFERENCED_EXEC;
          }),
        ]),
        local((k, f) => {
          f.vma = (f.ret & REFERENCED_LOCKED) !== 0 ? 0 : next_vma(k, f.page, f.vma, false);
        }),
      ],
    ),
  ]),
  given((k, f) => f.is_locked === 0 && !isAnon(k.page.mapping[f.page]), [unlock()]),
  leave(),
  label("referenced"),
  leave(() => 1),
]);

const UNMAP = {
  source: "mm/rmap.c v4.20",
  args: { page: pfn },
  locals: { vma: int, at: int, stop: int, dirty: int },
  returns: int,
} as const;

/** try_to_unmap_one up to the cleared PTE. It is in `at`, plus one; `stop` ends the walk. */
function unmap_one(k: Kernel, f: { page: Pfn; vma: number; at: number; stop: number; dirty: number }): void {
  const at = k.pteAt(f.vma - 1, f.page);
  if (at < 0) return;
  const entry = k.pte.entry[at];
  if ((k.vma.vm_flags[f.vma - 1] & VM_LOCKED) !== 0) {
    mlock_vma_page(k, f.page);
    f.stop = 1;
  } else if ((entry & PTE.young) !== 0) {
    set_pte(k, at, entry & ~PTE.young, f.page);
    f.stop = 1;
  } else if (isAnon(k.page.mapping[f.page]) && !PageSwapCache(k, f.page)) {
    // It has nothing to leave behind. shrink_page_list does not come here with such a page (v4.20 warns).
    f.stop = 1;
  } else {
    f.at = at + 1;
    f.dirty = (entry & PTE.dirty) !== 0 ? 1 : 0;
    if (!isAnon(k.page.mapping[f.page])) set_pte(k, at, 0, f.page);
    else {
      swap_duplicate(k, page_private(k, f.page));
      set_pte(k, at, swp_entry_to_pte(page_private(k, f.page)), f.page);
    }
  }
}

/**
 * Remove every PTE of a locked page. Gives 1 when none is left. A PTE that was used meanwhile stops it, and so does a VMA that
 * keeps its pages in memory: the page is marked for it.
 */
export const try_to_unmap = path("try_to_unmap", UNMAP, [
  ...rmap_walk<FrameOf<typeof UNMAP>>([
    local((k, f) => {
      f.vma = next_vma(k, f.page, 0, false);
    }),
    repeat(
      (_, f) => f.vma !== 0,
      [
        config("notifier", [call(() => invalidate_page_start, { page: "page", vma: "vma" })]),
        under(ptl, [
          step("ptep_clear_flush", (k, f) => unmap_one(k, f)),
          given((_, f) => f.dirty === 1, [call(() => set_page_dirty, { page: "page" })]),
          given((_, f) => f.stop === 1, [goto("page_vma_mapped_walk_done")]),
          given(
            (_, f) => f.at !== 0,
            [
              held(
                step("page_remove_rmap", (k, f) => {
                  page_remove_rmap(k, f.page);
                  put_page(k, f.page);
                }),
              ),
            ],
          ),
        ]),
        label("page_vma_mapped_walk_done"),
        config("notifier", [call(() => invalidate_page_end, { page: "page", vma: "vma" })]),
        given((_, f) => f.stop === 1, [goto("out")]),
        local((k, f) => {
          f.dirty = 0;
          f.at = 0;
          // page_mapcount_is_zero
          f.vma = page_mapped(k, f.page) ? next_vma(k, f.page, f.vma, false) : 0;
        }),
      ],
    ),
    label("out"),
  ]),
  local((k, f) => {
    f.ret = page_mapped(k, f.page) ? 0 : 1;
  }),
]);

/** Whether a VMA that keeps its pages in memory maps an isolated, locked page: it is marked then (TTU_MUNLOCK). */
export const try_to_munlock = path(
  "try_to_munlock",
  { source: "mm/rmap.c v4.20", args: { page: pfn }, locals: { vma: int } },
  [
    ...rmap_walk<{ page: Pfn; vma: number }>([
      local((k, f) => {
        f.vma = next_locked_vma(k, f.page, 0);
      }),
      repeat(
        (_, f) => f.vma !== 0,
        [
          // It will unmap nothing, and says all the same that it may.
          config("notifier", [call(() => invalidate_page_start, { page: "page", vma: "vma" })]),
          under(ptl, [
            step("try_to_unmap_one", (k, f) => {
              const locked = (k.vma.vm_flags[f.vma - 1] & VM_LOCKED) !== 0;
              if (locked && k.pteAt(f.vma - 1, f.page) >= 0) mlock_vma_page(k, f.page);
            }),
          ]),
          config("notifier", [call(() => invalidate_page_end, { page: "page", vma: "vma" })]),
          local((k, f) => {
            const done = PageMlocked(k, f.page) || !page_mapped(k, f.page);
            f.vma = done ? 0 : next_locked_vma(k, f.page, f.vma);
          }),
        ],
      ),
    ]),
  ],
);
