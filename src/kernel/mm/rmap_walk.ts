/**
 * Which VMAs show a page: the walk that cleaning, unmapping and moving share.
 *
 * Source: rmap_walk and vma_interval_tree_foreach of mm/rmap.c in v4.20.
 */
import type { Node } from "../../machine/path.js";
import type { Kernel } from "../kernel.js";
import { down_read, given, up_read } from "../language.js";
import { anon_vma_rwsem, i_mmap_rwsem } from "../locks.js";
import { isAnon, VM_SHARED } from "../structs.js";
import type { Pfn } from "../types.js";

/** The first VMA at or after `from` that could map the page, plus one; 0 when there is none. */
export function next_vma(k: Kernel, page: Pfn, from: number, sharedOnly: boolean): number {
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

/** rmap_walk_file: nodes that walk the VMAs of a page's mapping under its semaphore. */
export const rmap_walk_file = <F extends { readonly page: Pfn }>(
  nodes: readonly Node<Kernel, F>[],
): Node<Kernel, F>[] => [
  down_read(i_mmap_rwsem, (k, f) => k.page.mapping[f.page]),
  ...nodes,
  up_read(i_mmap_rwsem, (k, f) => k.page.mapping[f.page]),
];

/** rmap_walk: nodes that walk the VMAs of a page's mapping, or of its anon_vma, under its semaphore. */
export const rmap_walk = <F extends { readonly page: Pfn }>(
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
