/**
 * Pages of anonymous memory that belong to one process know it: PG_anon_exclusive.
 *
 * Source: mm/memory.c, mm/rmap.c, mm/migrate.c, mm/mprotect.c, include/linux/rmap.h, commit 6c287605fd56 (v5.19) and
 * its series (78fbe906cc90: the flag; 6c54dc6c7437: set it when a page is reused; 1493a1913e34: a bit of a swap entry
 * remembers it). Read in v6.1.192. The flag is set when a page is new, when do_wp_page finds that its process has the
 * only reference, and when it comes back from swap or from migration as exclusive as it went. It is cleared under the
 * ptl, and not while the page may be pinned: fork copies such a page (page_try_dup_anon_rmap), reclaim and migration
 * put its PTE back (page_try_share_anon_rmap). A write to an exclusive page is a write in place: nobody counts.
 *
 * What it mends: since v5.9 a process lost its pinned page at the first write after any write protection, as the pin
 * is a reference that do_wp_page counted (mprotect, and a fork before the pin).
 *
 * The fast walk of gup sees the PTE change, or the flag (unshare-anon). Left out: huge pages, KSM, device memory, the
 * checks of CONFIG_DEBUG_VM. mprotect leaves PTEs read-only (v6.0 makes those of exclusive pages writable at once,
 * 64fe24a3e05e). A page whose unmapping is taken back has become dirty on the way (folio_mark_dirty comes before the
 * question); here its PTE is back a moment before.
 */
import { copy_one_pte } from "../kernel/fork.js";
import { type Kernel, PTE } from "../kernel/kernel.js";
import { step } from "../kernel/language.js";
import { pte_pfn, pte_present, vm_normal_page, WP, wp_page_reuse } from "../kernel/mm/memory.js";
import { remove_migration_ptes, try_to_unmap_for_migration } from "../kernel/mm/migrate.js";
import { get_page, PageWriteback, write_flags } from "../kernel/mm/page.js";
import { set_pte, try_to_unmap } from "../kernel/mm/rmap.js";
import { page_private, swap_free } from "../kernel/mm/swapfile.js";
import {
  is_migration_entry,
  is_swap_entry,
  is_write_migration_entry,
  migration_entry_to_page,
} from "../kernel/mm/swapops.js";
import { isAnon } from "../kernel/structs.js";
import { NONE, type Pfn, type Vpn } from "../kernel/types.js";
import { around, type Edit, replace } from "../machine/patch.js";
import { pg } from "../trace/words.js";
import {
  asks,
  copies,
  copy_pinned_at_fork,
  type ForkRules,
  maybe_needs_copy,
} from "./copy_pinned_at_fork.js";
import type { Patch } from "./patch.js";
import { can_reuse, maps_swapped, type Swapin, type Wp } from "./reuse_by_references.js";
import { page_maybe_dma_pinned } from "./track_foll_pin.js";

const PG_anon_exclusive = pg("anon_exclusive");

export const PageAnonExclusive = (k: Kernel, page: Pfn): boolean =>
  (k.page.flags[page] & PG_anon_exclusive) !== 0;
export const SetPageAnonExclusive = (k: Kernel, page: Pfn): void =>
  write_flags(k, page, k.page.flags[page] | PG_anon_exclusive);
const ClearPageAnonExclusive = (k: Kernel, page: Pfn): void =>
  write_flags(k, page, k.page.flags[page] & ~PG_anon_exclusive);

const is_exclusive = (k: Kernel, page: Pfn): boolean =>
  page !== NONE && isAnon(k.page.mapping[page]) && PageAnonExclusive(k, page);

/**
 * Bits of PTEs that are not present. A swap entry has no use for the write bit: pte_swp_mkexclusive. A migration
 * entry of a page that was not writable has none for the dirty bit: readable_exclusive.
 */
const SWP_EXCLUSIVE = PTE.write;
const MIGRATION_EXCLUSIVE = PTE.dirty;

/** The page of a PTE that has just been made is its process's alone, if it is this one. */
function owns_new(k: Kernel, at: Vpn, page: Pfn): void {
  const entry = k.pte.entry[at];
  if (pte_present(entry) && pte_pfn(entry) === page) SetPageAnonExclusive(k, page);
}

/** page_add_new_anon_rmap in a step that maps a new page. */
const new_page = <F extends { readonly at: Vpn }>(path: string, anchor: string, page: (f: F) => Pfn): Edit =>
  around<F>(path, anchor, "SetPageAnonExclusive", (act) => (k, f) => {
    act(k, f);
    owns_new(k, f.at, page(f));
  });

const fork_rules: ForkRules = {
  needs_copy: (k, vma, from) => {
    const entry = k.pte.entry[from];
    return pte_present(entry) && is_exclusive(k, vm_normal_page(k, entry)) && maybe_needs_copy(k, vma, from);
  },
  share: (k, from, to, vm_flags) => {
    const entry = k.pte.entry[from];
    if (is_swap_entry(entry)) set_pte(k, from, entry & ~SWP_EXCLUSIVE, NONE);
    else if (pte_present(entry)) {
      const page = vm_normal_page(k, entry);
      if (is_exclusive(k, page)) ClearPageAnonExclusive(k, page);
    }
    copy_one_pte(k, from, to, vm_flags);
  },
  copied: SetPageAnonExclusive,
};

interface Unmap {
  readonly page: Pfn;
  vma: number;
  at: number;
  stop: number;
  dirty: number;
}

/**
 * page_try_share_anon_rmap: a PTE has been cleared, and the page becomes one that may be shared, unless it may be pinned.
 *
 * @param taken_back what happens then, with the PTE as it was
 * @param marks the bit by which the entry in the PTE's place says that the page was exclusive
 */
const page_try_share_anon_rmap =
  (taken_back: (k: Kernel, f: Unmap) => void, marks: (entry: number) => number) =>
  (act: (k: Kernel, f: Unmap) => void) =>
  (k: Kernel, f: Unmap): void => {
    const at = k.pteAt(f.vma - 1, f.page);
    const entry = at < 0 ? 0 : k.pte.entry[at];
    act(k, f);
    if (f.at === 0 || !is_exclusive(k, f.page)) return;
    if (page_maybe_dma_pinned(k, f.page)) {
      taken_back(k, f);
      set_pte(k, at, entry, f.page);
      f.at = 0;
      return;
    }
    ClearPageAnonExclusive(k, f.page);
    k.pte.entry[at] |= marks(k.pte.entry[at]);
  };

interface Restore {
  readonly old: Pfn;
  readonly page: Pfn;
  vma: number;
}

/** The virtual page at which a VMA has an entry for a page that is being moved, exclusive; or NONE. */
function exclusive_entry(k: Kernel, vma: number, old: Pfn, page: Pfn): number {
  if (!isAnon(k.page.mapping[page])) return NONE;
  const at = k.vma.vm_start[vma] + k.page.index[page] - k.vma.vm_pgoff[vma];
  const entry = k.pte.entry[at];
  const marked = is_write_migration_entry(entry) || (entry & MIGRATION_EXCLUSIVE) !== 0;
  return is_migration_entry(entry) && migration_entry_to_page(entry) === old && marked ? at : NONE;
}

interface Protect {
  readonly start: Vpn;
  readonly end: Vpn;
}

/** Migration entries of anonymous pages in a range that are writable. */
function writable_entries(k: Kernel, { start, end }: Protect): Vpn[] {
  const found: Vpn[] = [];
  for (let at = start; at < end; at++) {
    const entry = k.pte.entry[at];
    if (is_write_migration_entry(entry) && isAnon(k.page.mapping[migration_entry_to_page(entry)]))
      found.push(at);
  }
  return found;
}

/** Whether a page that comes back from swap is its process's alone, as its entry remembers. */
function is_swp_exclusive(k: Kernel, f: Swapin): boolean {
  if ((f.orig_pte & SWP_EXCLUSIVE) === 0) return false;
  // Somebody might write it while the device reads it: it is mapped read-only, and counted at the next write.
  return !(PageWriteback(k, f.page) && k.inode.stable_writes[k.swapper_space] === 1);
}

export const anon_exclusive: Patch = {
  name: "anon-exclusive",
  title: "mm: remember exclusively mapped anonymous pages with PG_anon_exclusive",
  author: "David Hildenbrand",
  date: "2022-05",
  commit: "6c287605fd56",
  help: "an anonymous page of one process alone is marked; it is written in place, and not shared while it may be pinned",
  needs: [copy_pinned_at_fork],
  boot: (k) => {
    for (const [at, entry] of k.pte.entry.entries())
      if ((entry & PTE.present) !== 0 && (entry & PTE.write) !== 0) {
        const page = vm_normal_page(k, entry);
        if (page !== NONE && isAnon(k.page.mapping[page])) owns_new(k, at, page);
      }
  },
  edits: [
    new_page<{ at: Vpn; page: Pfn }>("do_anonymous_page", "set_pte_at", (f) => f.page),
    new_page<{ at: Vpn; new_page: Pfn }>("do_cow_fault", "alloc_set_pte", (f) => f.new_page),
    new_page<{ at: Vpn; new_page: Pfn }>("wp_page_copy", "ptep_clear_flush_notify", (f) => f.new_page),
    replace<Wp>("do_wp_page", "do_wp_page", [
      step("do_wp_page", (k, f) => {
        if (k.pte.entry[f.at] !== f.orig_pte) return;
        f.page = vm_normal_page(k, f.orig_pte);
        f.wp = WP.copy;
        if (f.page === NONE) return;
        if (may_reuse(k, f.page)) {
          wp_page_reuse(k, f.at, f.vma, f.page);
          f.wp = WP.done;
        } else get_page(k, f.page);
      }),
    ]),
    maps_swapped(is_swp_exclusive, SetPageAnonExclusive),
    around("copy_page_range", "page_maybe_dma_pinned", "PageAnonExclusive", () => asks(fork_rules)),
    around("copy_page_range", "copy_one_pte", "page_try_dup_anon_rmap", () => copies(fork_rules)),
    around<Unmap>(
      try_to_unmap,
      "ptep_clear_flush",
      "page_try_share_anon_rmap",
      page_try_share_anon_rmap(
        (k, f) => {
          swap_free(k, page_private(k, f.page));
          f.stop = 1;
        },
        () => SWP_EXCLUSIVE,
      ),
    ),
    around<Unmap>(
      try_to_unmap_for_migration,
      "ptep_clear_flush",
      "page_try_share_anon_rmap",
      page_try_share_anon_rmap(
        () => {},
        (entry) => (is_write_migration_entry(entry) ? 0 : MIGRATION_EXCLUSIVE),
      ),
    ),
    around<Restore>(remove_migration_ptes, "remove_migration_pte", "RMAP_EXCLUSIVE", (act) => (k, f) => {
      const at = exclusive_entry(k, f.vma - 1, f.old, f.page);
      act(k, f);
      if (at !== NONE) SetPageAnonExclusive(k, f.page);
    }),
    around<Protect>("mprotect_fixup", "change_pte_range", "readable_exclusive", (act) => (k, f) => {
      const writable = writable_entries(k, f);
      act(k, f);
      for (const at of writable) k.pte.entry[at] |= MIGRATION_EXCLUSIVE;
    }),
  ],
};

/** Whether do_wp_page keeps an anonymous page: it is exclusive, or is found to be. */
export function may_reuse(k: Kernel, page: Pfn): boolean {
  if (!isAnon(k.page.mapping[page])) return false;
  if (!PageAnonExclusive(k, page)) {
    if (!can_reuse(k, page)) return false;
    SetPageAnonExclusive(k, page);
  }
  return true;
}
