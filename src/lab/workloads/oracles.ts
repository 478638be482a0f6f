/**
 * What must not happen on any machine, as oracles that a scenario can ask for: pages that nobody can free any more, and bytes that
 * somebody reads although they are not his.
 */
import type { Kernel } from "../../kernel/kernel.js";
import { PageCompound } from "../../kernel/mm/compound.js";
import { pte_pfn, pte_present } from "../../kernel/mm/memory.js";
import { is_zone_device_page } from "../../kernel/mm/memremap.js";
import { references_held } from "../../kernel/mm/references.js";
import { PAGES, page_lost, page_of } from "../../kernel/mm/user_pages.js";
import { VM_SHARED } from "../../kernel/structs.js";
import { NONE, type Pfn } from "../../kernel/types.js";
import type { Oracle } from "../scenario.js";

/** Pages that the allocator can give. */
function free_list(k: Kernel): Set<Pfn> {
  const free = new Set<Pfn>();
  for (let at = k.pgdat.free[0]; at !== 0; at = k.page.lru_next[at - 1]) free.add(at - 1);
  return free;
}

/** States of an array in which its pages are its owner's to put: no device and no kworker will. */
const OWNERS: readonly number[] = [PAGES.idle, PAGES.done, PAGES.failed, PAGES.mapped, PAGES.mapped_read];

/** A page in an array whose owner must put it, or NONE. */
function kept(k: Kernel): Pfn {
  for (let pages = 0; pages < k.geometry.dios; pages++)
    for (let at = 0; OWNERS.includes(k.user_pages.state[pages]) && at < k.geometry.dioPages; at++)
      if (page_of(k, pages, at) !== NONE && !page_lost(k, pages, at)) return page_of(k, pages, at);
  return NONE;
}

/**
 * LEAK, when every process has ended: a page with a reference that none of the contributors of a page's count explains, one that is
 * in the list of a driver whose process is gone, and one that is neither used nor free.
 */
export const leak: Oracle = {
  kind: "LEAK",
  help: "a page that nobody can free any more, when all processes have ended",
  when: "end",
  check: ({ k, resting }) => {
    if (!resting()) return null;
    const page = kept(k);
    if (page !== NONE)
      return { page, message: "a page is still held, and the process that held it has ended" };
    const held = references_held(k);
    const free = free_list(k);
    for (let each = 0; each < k.geometry.pages; each++) {
      if (k.page._refcount[each] > held[each])
        return { page: each, message: "a page has a reference that nobody holds" };
      if (is_zone_device_page(k, each) || PageCompound(k, each)) continue;
      if (k.page._refcount[each] <= 0 && !free.has(each))
        return { page: each, message: "a page has no references, and the allocator does not have it" };
    }
    return null;
  },
};

/** The process that has a page in private memory of its own, or NONE; `but` is not asked. */
function private_owner(k: Kernel, page: Pfn, but: number): number {
  for (let vma = 0; vma < k.vma.vm_start.length; vma++) {
    if (k.vma.vm_mm[vma] === but || (k.vma.vm_flags[vma] & VM_SHARED) !== 0) continue;
    for (let at = k.vma.vm_start[vma]; at < k.vma.vm_start[vma] + k.vma.vm_pages[vma]; at++)
      if (pte_present(k.pte.entry[at]) && pte_pfn(k.pte.entry[at]) === page) return k.vma.vm_mm[vma];
  }
  return NONE;
}

/** Who listens: an array of pages, and the process (mm) whose it is. */
export interface Listener {
  readonly pages: number;
  readonly mm: number;
  /** Generations of the bytes that it may know: those that were there when it got the page. */
  readonly known: number;
}

/**
 * INFOLEAK: an array of one process has a page that is private memory of another one, with bytes that were written there after the first
 * had got it; of a page that was freed under it, with any bytes.
 */
export const overhears = ({ pages, mm, known }: Listener): Oracle => ({
  kind: "INFOLEAK",
  help: "a page that one process holds has bytes which another one has written into its own memory since",
  when: "always",
  check: ({ k }) => {
    const { parts } = k.geometry;
    for (let at = 0; at < k.geometry.dioPages; at++) {
      const page = page_of(k, pages, at);
      if (page === NONE || private_owner(k, page, mm) === NONE) continue;
      const allowed = page_lost(k, pages, at) ? 0 : known;
      for (let part = 0; part < parts; part++)
        if (k.content.version[page * parts + part] > allowed)
          return { page, message: "one process can read what another one has written into its own memory" };
    }
    return null;
  },
});
