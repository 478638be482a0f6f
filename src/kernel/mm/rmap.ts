/**
 * From a page to its PTEs: cleaning, unmapping, and asking whether anybody used it.
 *
 * Source: mm/rmap.c in v4.20. Each PTE is changed under its ptl, so one PTE is one step. A device that reaches the
 * page through a gup reference has no PTE: it is told nothing here, and leaves no young or dirty bit.
 *
 * A mapped page is tested for (page_mapped) under the page lock, which keeps new PTEs away; that an old one may go
 * meanwhile commutes with the step before the test.
 *
 * Left out: batched TLB flushes (TTU_BATCH_FLUSH; a cleared PTE is flushed at once), mlocked VMAs, MMU notifiers.
 */
import type { FrameOf, Node } from "../../machine/path.js";
import { WORD } from "../../trace/words.js";
import { type Kernel, PTE } from "../kernel.js";
import {
  call,
  check,
  down_read,
  given,
  goto,
  held,
  heldIf,
  label,
  leave,
  local,
  path,
  repeat,
  step,
  tries,
  under,
  up_read,
  when,
} from "../language.js";
import { anon_vma_rwsem, i_mmap_rwsem, PG_locked, ptl } from "../locks.js";
import { isAnon, VM_SHARED } from "../structs.js";
import { int, type Pfn, pfn } from "../types.js";
import { page_mapping } from "./filemap.js";
import { page_mapped, trylock_page, unlock } from "./page.js";
import { set_page_dirty } from "./page_writeback.js";
import { put_page } from "./swap.js";

/** The first VMA at or after `from` that could map the page, plus one; 0 when there is none. */
function next_vma(k: Kernel, page: Pfn, from: number, sharedOnly: boolean): number {
  const mapping = k.page.mapping[page];
  const index = k.page.index[page];
  const { vm_pages, vm_file, vm_pgoff, vm_flags } = k.vma;
  for (let at = from; at < vm_pages.length; at++) {
    if (sharedOnly && (vm_flags[at] & VM_SHARED) === 0) continue;
    if (!isAnon(mapping) && vm_file[at] !== mapping) continue;
    const offset = index - vm_pgoff[at];
    if (offset >= 0 && offset < vm_pages[at]) return at + 1;
  }
  return 0;
}

/** rmap_walk: nodes that walk the VMAs of a page's mapping, or of its anon_vma, under its semaphore. */
const rmap_walk = <F extends { readonly page: Pfn }>(
  nodes: readonly Node<Kernel, F>[],
): Node<Kernel, F>[] => [
  given<F>(
    (k, f) => isAnon(k.page.mapping[f.page]),
    [down_read(anon_vma_rwsem, () => 0)],
    [down_read(i_mmap_rwsem, (k, f) => k.page.mapping[f.page])],
  ),
  ...nodes,
  given<F>(
    (k, f) => isAnon(k.page.mapping[f.page]),
    [up_read(anon_vma_rwsem, () => 0)],
    [up_read(i_mmap_rwsem, (k, f) => k.page.mapping[f.page])],
  ),
];

/** Write a PTE and tell the recording of the page that it maps (or mapped). */
export function set_pte(k: Kernel, at: number, entry: number, page: Pfn): void {
  k.pte.entry[at] = entry;
  if (k.recorder !== null) k.note(WORD.pte, page, k.pteWord(page));
}

/** page_add_file_rmap, page_add_new_anon_rmap */
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
  if (k.page.mapcount[page] === 0 && page_mapping(k, page) !== 0) k.count("nr_mapped", -1);
}

const MKCLEAN = {
  source: "mm/rmap.c v4.20",
  args: { page: pfn },
  locals: { vma: int },
  returns: int,
} as const;

/** Write-protect and clean every shared PTE of a page. Gives how many were dirty or writable. */
export const page_mkclean = path("page_mkclean", MKCLEAN, [
  held(when("page_mapped", (k, f) => !page_mapped(k, f.page), [leave()])),
  ...rmap_walk<FrameOf<typeof MKCLEAN>>([
    local((k, f) => {
      f.vma = next_vma(k, f.page, 0, true);
    }),
    repeat(
      (_, f) => f.vma !== 0,
      [
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

/**
 * How many PTEs were used since the last time; clears their young bits. Without the page lock it must get it at once,
 * or it answers 1.
 */
export const page_referenced = path("page_referenced", REFERENCED, [
  heldIf(
    (_, f) => f.is_locked === 1,
    when("page_mapped", (k, f) => !page_mapped(k, f.page), [leave()]),
  ),
  given(
    (_, f) => f.is_locked === 0,
    [
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
            const entry = k.pte.entry[at];
            if ((entry & PTE.young) === 0) return;
            set_pte(k, at, entry & ~PTE.young, f.page);
            f.ret++;
          }),
        ]),
        local((k, f) => {
          f.vma = next_vma(k, f.page, f.vma, false);
        }),
      ],
    ),
  ]),
  given((_, f) => f.is_locked === 0, [unlock()]),
  leave(),
  label("referenced"),
  leave(() => 1),
]);

const UNMAP = {
  source: "mm/rmap.c v4.20",
  args: { page: pfn },
  locals: { vma: int, at: int, young: int, dirty: int },
  returns: int,
} as const;

/** Remove every PTE of a locked page. Gives 1 when none is left; a PTE that was used meanwhile stops it. */
export const try_to_unmap = path("try_to_unmap", UNMAP, [
  ...rmap_walk<FrameOf<typeof UNMAP>>([
    local((k, f) => {
      f.vma = next_vma(k, f.page, 0, false);
    }),
    repeat(
      (_, f) => f.vma !== 0,
      [
        under(ptl, [
          step("ptep_clear_flush", (k, f) => {
            const at = k.pteAt(f.vma - 1, f.page);
            f.at = at + 1;
            if (at < 0) return;
            const entry = k.pte.entry[at];
            f.young = (entry & PTE.young) !== 0 ? 1 : 0;
            if (f.young === 1) set_pte(k, at, entry & ~PTE.young, f.page);
            else {
              f.dirty = (entry & PTE.dirty) !== 0 ? 1 : 0;
              set_pte(k, at, 0, f.page);
            }
          }),
          given((_, f) => f.young === 1, [goto("out")]),
          given(
            (_, f) => f.at !== 0,
            [
              given((_, f) => f.dirty === 1, [call(() => set_page_dirty, { page: "page" })]),
              held(
                step("page_remove_rmap", (k, f) => {
                  page_remove_rmap(k, f.page);
                  put_page(k, f.page);
                }),
              ),
            ],
          ),
        ]),
        local((k, f) => {
          f.dirty = 0;
          f.at = 0;
          f.vma = next_vma(k, f.page, f.vma, false);
        }),
      ],
    ),
    label("out"),
  ]),
  local((k, f) => {
    f.ret = page_mapped(k, f.page) ? 0 : 1;
  }),
]);
