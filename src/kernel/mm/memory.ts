/**
 * Page faults.
 *
 * Source: mm/memory.c in v4.20. A first write to a shared file page goes through page_mkwrite with the page lock held
 * from there to the installed PTE, so that writeback sees "buffers attached, dirty, writable PTE" at once. After
 * cleaning, the PTE is read-only and the next CPU store comes here again: that is how ext4 learns of it. A device's
 * store comes nowhere.
 *
 * A write to a page that a private mapping shows read-only is do_wp_page. v4.20 asks one question of an anonymous page: is this PTE
 * the only one (reuse_swap_page)? References do not count. So a device that holds a page by its reference loses it to
 * whoever is mapped last, and a process that forks loses sight of the page that its device writes.
 *
 * ptl sections are single steps. The caller holds mmap_sem for reading and has found the VMA. VM_FAULT_WRITE is given only for a VMA without VM_WRITE, as nobody looks at it elsewhere. VM_FAULT_RETRY
 * comes on machines whose VMAs change (config "mmap"): elsewhere nobody waits for mmap_sem.
 *
 * Left out: huge pages, userfaultfd, NUMA hints, memcg charges, PFN mappings (wp_pfn_shared), VM_FAULT_MAJOR (the fault that reads
 * counts), the reference that fault-around holds for a moment (it is one step), TLBs: a changed PTE holds at once.
 */
import type { Node } from "../../machine/path.js";
import { type Kernel, PFN_SHIFT, PTE } from "../kernel.js";
import {
  call,
  config,
  dispatch,
  given,
  gives,
  goto,
  held,
  label,
  leave,
  local,
  lockdep_assert_not_held,
  path,
  step,
  under,
  when,
} from "../language.js";
import { PG_locked, ptl } from "../locks.js";
import {
  FAULT_FLAG,
  fs_of_inode,
  has_own_fault,
  has_page_mkwrite,
  mapping_cap_account_dirty,
  VM_FAULT,
  vm_ops,
} from "../operations.js";
import {
  isAnon,
  PAGE_MAPPING_ANON,
  VM_DETACHED,
  VM_LOCKED,
  VM_MAYWRITE,
  VM_SHARED,
  VM_WRITE,
} from "../structs.js";
import { inode, int, NONE, type Pfn, pfn, type Vpn, vpn } from "../types.js";
import { balance_dirty_pages_ratelimited } from "./balance_dirty_pages.js";
import { fault_without_page, i_size_pages, lock_page_or_retry } from "./filemap.js";
import { is_zone_device_page } from "./memremap.js";
import { migration_entry_wait } from "./migrate.js";
import { lru_cache_add_active_or_unevictable, munlock_vma_page } from "./mlock.js";
import { invalidate_at_end, invalidate_at_start } from "./mmu_notifier.js";
import {
  get_page,
  get_page_unless_zero,
  lock_page,
  PageLocked,
  PageMlocked,
  PageReclaim,
  PageSwapCache,
  PageUptodate,
  SetPageSwapBacked,
  SetPageUptodate,
  unlock,
  unlock_page,
} from "./page.js";
import { alloc_pages } from "./page_alloc.js";
import { set_page_dirty } from "./page_writeback.js";
import { page_add_rmap, page_remove_rmap, set_pte } from "./rmap.js";
import { activate_page, put_page } from "./swap.js";
import { lookup_swap_cache, read_swap_cache_async } from "./swap_state.js";
import { page_private, reuse_swap_page, swap_free, try_to_free_swap, vm_swap_full } from "./swapfile.js";
import { is_migration_entry, is_swap_entry, migration_entry_to_page, pte_to_swp_entry } from "./swapops.js";

export const pte_present = (entry: number): boolean => (entry & PTE.present) !== 0;
export const pte_write = (entry: number): boolean => (entry & PTE.write) !== 0;
export const pte_pfn = (entry: number): Pfn => entry >>> PFN_SHIFT;

/** Whether a page frame number is the zero page's (ZERO_PAGE): the row behind the page frames. */
export const is_zero_pfn = (k: Kernel, page: Pfn): boolean => page === k.geometry.pages;

/** The page of a present PTE, or NONE for the zero page and for device memory: nobody counts their PTEs, by reference or by mapcount. */
export const vm_normal_page = (k: Kernel, entry: number): Pfn =>
  is_zero_pfn(k, pte_pfn(entry)) || is_zone_device_page(k, pte_pfn(entry)) ? NONE : pte_pfn(entry);

/** find_vma: the VMA that holds a virtual page, or NONE when none does (where Linux would give the next one above). */
export function find_vma(k: Kernel, at: Vpn): number {
  const { vm_start, vm_pages, vm_flags } = k.vma;
  for (let nr = 0; nr < vm_start.length; nr++)
    if (at >= vm_start[nr] && at < vm_start[nr] + vm_pages[nr] && (vm_flags[nr] & VM_DETACHED) === 0)
      return nr;
  return NONE;
}

/** The process that a virtual page belongs to, mapped or not: each has addresses of its own. */
export function mm_of(k: Kernel, at: Vpn): number {
  const area = k.geometry.vmas.find(({ start, pages }) => at >= start && at < start + pages);
  if (area === undefined) throw new Error(`mm_of: virtual page ${at} is nobody's`);
  return area.mm;
}

/**
 * The page that a process would see at a virtual page if it looked: its PTE's, or the file's in the cache; NONE for zeroes, for
 * what is not in memory (a page that is in swap only) and for what is not mapped. A device that holds another page for this address writes where the process
 * does not look: its data is STALE.
 */
export function page_behind(k: Kernel, at: Vpn): Pfn {
  const entry = k.pte.entry[at];
  if (pte_present(entry)) return vm_normal_page(k, entry);
  if (is_migration_entry(entry)) return migration_entry_to_page(entry);
  if (is_swap_entry(entry)) return k.xa_slot.page[k.slotOf(k.swapper_space, pte_to_swp_entry(entry))] - 1;
  const vma = find_vma(k, at);
  if (vma === NONE || file_of(k, vma) === 0) return NONE;
  return k.xa_slot.page[k.slotOf(file_of(k, vma), offset_of(k, vma, at))] - 1;
}

/** A mapping in which a write makes a copy. */
export const is_cow_mapping = (flags: number): boolean => (flags & (VM_SHARED | VM_MAYWRITE)) === VM_MAYWRITE;

/** The file and the offset that a virtual page shows. */
const file_of = (k: Kernel, vma: number): number => k.vma.vm_file[vma];
const offset_of = (k: Kernel, vma: number, at: Vpn): number => at - k.vma.vm_start[vma] + k.vma.vm_pgoff[vma];

const SHARED_WRITABLE = VM_SHARED | VM_WRITE;
const is_shared_writable = (k: Kernel, vma: number): boolean =>
  (k.vma.vm_flags[vma] & SHARED_WRITABLE) === SHARED_WRITABLE;

/** vma_wants_writenotify: whether a first write must fault although the VMA allows it. */
export const vma_wants_writenotify = (k: Kernel, vma: number): boolean =>
  is_shared_writable(k, vma) &&
  (has_page_mkwrite(k, file_of(k, vma)) || mapping_cap_account_dirty(k, file_of(k, vma)));

/** The write bit of vma->vm_page_prot: what a PTE gets that nobody has written through yet. */
export const vm_page_prot = (k: Kernel, vma: number): number =>
  is_shared_writable(k, vma) && !vma_wants_writenotify(k, vma) ? PTE.write : 0;

/** maybe_mkwrite: FOLL_FORCE may write where the process may not; the PTE stays read-only then. */
export const maybe_mkwrite = (k: Kernel, vma: number): number =>
  (k.vma.vm_flags[vma] & VM_WRITE) !== 0 ? PTE.write : 0;

/** A write fault has made a copy: only faultin_page wants to know, and only where the PTE is read-only all the same. */
const fault_write = (k: Kernel, vma: number): number =>
  (k.vma.vm_flags[vma] & VM_WRITE) !== 0 ? 0 : VM_FAULT.WRITE;

/**
 * alloc_set_pte: install a PTE unless somebody was faster. The caller's reference becomes the PTE's. A PTE for a
 * read of a shared mapping is writable only where the filesystem does not want to hear of the first write.
 */
function alloc_set_pte(k: Kernel, at: Vpn, vma: number, page: Pfn, write: boolean): boolean {
  if (k.pte.entry[at] !== 0) return false;
  const bits =
    PTE.present | PTE.young | vm_page_prot(k, vma) | (write ? PTE.dirty | maybe_mkwrite(k, vma) : 0);
  page_add_rmap(k, page);
  set_pte(k, at, (page << PFN_SHIFT) | bits, page);
  return true;
}

/** A new page becomes an anonymous page of this process: page_add_new_anon_rmap and its LRU batch. */
export function make_anonymous(k: Kernel, page: Pfn, vma: number, at: Vpn): void {
  SetPageSwapBacked(k, page);
  k.page.mapping[page] = PAGE_MAPPING_ANON;
  k.page.index[page] = offset_of(k, vma, at);
  lru_cache_add_active_or_unevictable(k, page, vma);
}

/**
 * anon_vma_prepare: from its first anonymous page on, fork copies the VMA's PTEs. Only fork asks, and it has mmap_sem
 * for writing, so nobody could come between.
 */
const anon_vma_prepare = <F extends { readonly vma: number }>() =>
  config<F>("mmap", [
    held(
      step("anon_vma_prepare", (k, f) => {
        k.vma.anon_vma[f.vma] = 1;
      }),
    ),
  ]);

export function copy_page(k: Kernel, to: Pfn, from: Pfn): void {
  const { parts } = k.geometry;
  k.content.version.copyWithin(to * parts, from * parts, (from + 1) * parts);
  SetPageUptodate(k, to);
}

/** Tell the filesystem that the page is about to be written. All that are modelled return with the page locked. */
export const do_page_mkwrite = path(
  "do_page_mkwrite",
  { source: "mm/memory.c v4.20", args: { page: pfn, mapping: inode }, returns: int },
  [
    dispatch(
      vm_ops,
      "page_mkwrite",
      (k, f) => fs_of_inode(k, f.mapping),
      { page: "page", mapping: "mapping" },
      "ret",
    ),
  ],
);

/** The end of fault_dirty_shared_page on a machine that throttles. */
const unlock_and_balance_dirty_pages = path(
  "unlock_and_balance_dirty_pages",
  { source: "mm/memory.c v4.20", args: { page: pfn }, locals: { mapping: inode } },
  [
    // The mapping is read while the page is locked: it may be gone afterwards.
    local((k, f) => {
      f.mapping = k.page.mapping[f.page];
    }),
    unlock(),
    given((_, f) => f.mapping !== 0, [call(() => balance_dirty_pages_ratelimited, { mapping: "mapping" })]),
  ],
);

export const fault_dirty_shared_page = path(
  "fault_dirty_shared_page",
  { source: "mm/memory.c v4.20", args: { page: pfn } },
  [
    call(() => set_page_dirty, { page: "page" }),
    // In v4.20 whoever sleeps here has mmap_sem.
    config("throttle", [call(() => unlock_and_balance_dirty_pages, { page: "page" })], [unlock()]),
  ],
);

/** vma->vm_ops->fault of a file that has a page cache. */
const file_fault = <F extends { page: Pfn; readonly mapping: number }>(): Node<Kernel, F> => ({
  op: "dispatch",
  table: vm_ops,
  operation: "filemap_fault",
  select: (k, f) => fs_of_inode(k, f.mapping),
  args: { mapping: "mapping", index: "index", vma: "vma", flags: "flags" },
  into: "page",
});

/** First write to a page of a shared mapping. */
export const do_shared_fault = path(
  "do_shared_fault",
  {
    source: "mm/memory.c v4.20",
    args: { at: vpn, vma: int, flags: int },
    locals: { mapping: inode, index: int, page: pfn, tmp: int },
    returns: int,
  },
  [
    local((k, f) => {
      f.mapping = file_of(k, f.vma);
      f.index = offset_of(k, f.vma, f.at);
    }),
    file_fault(),
    given(
      (_, f) => f.page < NONE,
      [lockdep_assert_not_held(PG_locked), leave((_, f) => fault_without_page(f.page))],
    ),
    given(
      (k, f) => has_page_mkwrite(k, f.mapping),
      [
        // From here to the lock in page_mkwrite anybody may have the page.
        unlock(),
        call(() => do_page_mkwrite, { page: "page", mapping: "mapping" }, "tmp"),
        given(
          (_, f) => f.tmp === 0 || (f.tmp & (VM_FAULT.NOPAGE | VM_FAULT.ERROR)) !== 0,
          [
            lockdep_assert_not_held(PG_locked),
            step("put_page", (k, f) => put_page(k, f.page)),
            leave((_, f) => f.tmp),
          ],
        ),
      ],
    ),
    under(ptl, [
      step("alloc_set_pte", (k, f) => {
        f.tmp = alloc_set_pte(k, f.at, f.vma, f.page, true) ? 0 : VM_FAULT.NOPAGE;
      }),
    ]),
    given(
      (_, f) => f.tmp !== 0,
      [unlock(), step("put_page", (k, f) => put_page(k, f.page)), leave((_, f) => f.tmp)],
    ),
    call(() => fault_dirty_shared_page, { page: "page" }),
  ],
);

/** fault_around_bytes, in pages. */
const FAULT_AROUND = 16;

/** filemap_map_pages for one page: map it for reading if it is in the cache and nothing has to be waited for. */
function filemap_map_page(k: Kernel, at: Vpn, vma: number): boolean {
  const mapping = file_of(k, vma);
  const index = offset_of(k, vma, at);
  if (index >= i_size_pages(k, mapping)) return false;
  const page = k.xa_slot.page[k.slotOf(mapping, index)] - 1;
  if (page === NONE || !get_page_unless_zero(k, page)) return false;
  // PG_reclaim is also PG_readahead, of which filemap_map_pages keeps away.
  const ready = PageUptodate(k, page) && !PageLocked(k, page) && !PageReclaim(k, page);
  if (ready && alloc_set_pte(k, at, vma, page, false)) return true;
  put_page(k, page);
  return false;
}

/** First read of a page of a mapping. */
export const do_read_fault = path(
  "do_read_fault",
  {
    source: "mm/memory.c v4.20",
    args: { at: vpn, vma: int, flags: int },
    locals: { mapping: inode, index: int, page: pfn, mapped: int },
    returns: int,
  },
  [
    local((k, f) => {
      f.mapping = file_of(k, f.vma);
      f.index = offset_of(k, f.vma, f.at);
    }),
    // It needs no lock that it cannot have at once.
    config(
      "fault_around",
      [
        step("do_fault_around", (k, f) => {
          const start = k.vma.vm_start[f.vma];
          const first = Math.max(f.at - (f.at % FAULT_AROUND), start);
          const end = Math.min(f.at - (f.at % FAULT_AROUND) + FAULT_AROUND, start + k.vma.vm_pages[f.vma]);
          for (let at = first; at < end; at++) filemap_map_page(k, at, f.vma);
          f.mapped = k.pte.entry[f.at] !== 0 ? 1 : 0;
        }),
      ],
      [
        step("do_fault_around", (k, f) => {
          f.mapped = filemap_map_page(k, f.at, f.vma) ? 1 : 0;
        }),
      ],
    ),
    given((_, f) => f.mapped === 1, [leave()]),
    file_fault(),
    given(
      (_, f) => f.page < NONE,
      [lockdep_assert_not_held(PG_locked), leave((_, f) => fault_without_page(f.page))],
    ),
    under(ptl, [
      step("alloc_set_pte", (k, f) => {
        if (!alloc_set_pte(k, f.at, f.vma, f.page, false)) f.ret = VM_FAULT.NOPAGE;
      }),
    ]),
    unlock(),
    given((_, f) => f.ret !== 0, [step("put_page", (k, f) => put_page(k, f.page))]),
  ],
);

/** First write to a page of a private mapping: the process gets a copy, the file's page is left alone. */
export const do_cow_fault = path(
  "do_cow_fault",
  {
    source: "mm/memory.c v4.20",
    args: { at: vpn, vma: int, flags: int },
    locals: { mapping: inode, index: int, page: pfn, new_page: pfn },
    returns: int,
  },
  [
    local((k, f) => {
      f.mapping = file_of(k, f.vma);
      f.index = offset_of(k, f.vma, f.at);
    }),
    anon_vma_prepare(),
    alloc_pages("alloc_page_vma", "new_page", () => {}, [leave(() => VM_FAULT.OOM)]),
    file_fault(),
    given(
      (_, f) => f.page < NONE,
      [
        lockdep_assert_not_held(PG_locked),
        local((_, f) => {
          f.ret = fault_without_page(f.page);
          f.page = NONE;
        }),
        goto("uncharge_out"),
      ],
    ),
    step("copy_user_highpage", (k, f) => copy_page(k, f.new_page, f.page)),
    under(ptl, [
      step("alloc_set_pte", (k, f) => {
        if (alloc_set_pte(k, f.at, f.vma, f.new_page, true)) make_anonymous(k, f.new_page, f.vma, f.at);
        else f.ret = VM_FAULT.NOPAGE;
      }),
    ]),
    unlock(),
    step("put_page", (k, f) => put_page(k, f.page)),
    label("uncharge_out"),
    given((_, f) => f.ret !== 0, [step("put_page", (k, f) => put_page(k, f.new_page))]),
  ],
);

/** wp_page_reuse: the PTE becomes young, dirty and, where the VMA allows it, writable. The page stays. */
export function wp_page_reuse(k: Kernel, at: Vpn, vma: number, page: Pfn): void {
  set_pte(k, at, k.pte.entry[at] | PTE.young | PTE.dirty | maybe_mkwrite(k, vma), page);
}

/** A write to a page that is mapped read-only in a shared mapping: page_mkwrite again, then the PTE if unchanged. */
export const wp_page_shared = path(
  "wp_page_shared",
  {
    source: "mm/memory.c v4.20",
    args: { at: vpn, vma: int, orig_pte: int },
    locals: { page: pfn, mapping: inode, tmp: int },
    returns: int,
  },
  [
    // do_wp_page took the page from the PTE under the ptl that it still holds.
    step("get_page", (k, f) => {
      f.page = pte_pfn(f.orig_pte);
      if (k.pte.entry[f.at] !== f.orig_pte) {
        f.tmp = 1;
        return;
      }
      f.mapping = file_of(k, f.vma);
      get_page(k, f.page);
      if (!has_page_mkwrite(k, f.mapping)) wp_page_reuse(k, f.at, f.vma, f.page);
    }),
    given((_, f) => f.tmp === 1, [leave()]),
    given(
      (k, f) => has_page_mkwrite(k, f.mapping),
      [
        call(() => do_page_mkwrite, { page: "page", mapping: "mapping" }, "tmp"),
        given(
          (_, f) => f.tmp === 0 || (f.tmp & (VM_FAULT.NOPAGE | VM_FAULT.ERROR)) !== 0,
          [
            lockdep_assert_not_held(PG_locked),
            step("put_page", (k, f) => put_page(k, f.page)),
            leave((_, f) => f.tmp),
          ],
        ),
        under(ptl, [
          step("finish_mkwrite_fault", (k, f) => {
            if (k.pte.entry[f.at] !== f.orig_pte) f.ret = VM_FAULT.NOPAGE;
            else wp_page_reuse(k, f.at, f.vma, f.page);
          }),
        ]),
      ],
      [lock_page()],
    ),
    given((_, f) => f.ret !== 0, [unlock()], [call(() => fault_dirty_shared_page, { page: "page" })]),
    step("put_page", (k, f) => put_page(k, f.page)),
  ],
);

/** The ptl section of wp_page_copy: unless somebody was faster, the copy takes the place of the page, with these bits of a PTE. */
export function replace_by_copy(
  k: Kernel,
  f: {
    readonly at: Vpn;
    readonly vma: number;
    readonly orig_pte: number;
    readonly page: Pfn;
    new_page: Pfn;
    stale: number;
  },
  bits: number,
): void {
  if (k.pte.entry[f.at] !== f.orig_pte) {
    f.stale = 1;
    put_page(k, f.new_page);
    f.new_page = NONE;
    return;
  }
  k.pte.entry[f.at] = 0;
  if (f.page !== NONE) {
    page_remove_rmap(k, f.page);
    put_page(k, f.page);
  }
  page_add_rmap(k, f.new_page);
  make_anonymous(k, f.new_page, f.vma, f.at);
  set_pte(k, f.at, (f.new_page << PFN_SHIFT) | PTE.present | PTE.young | bits, f.new_page);
}

/**
 * A write to a page that is mapped read-only in a private mapping: a copy takes its place. `page` comes with a reference, and
 * is NONE for the zero page and for device memory.
 */
export const wp_page_copy = path(
  "wp_page_copy",
  {
    source: "mm/memory.c v4.20",
    args: { at: vpn, vma: int, orig_pte: int, page: pfn },
    locals: { new_page: pfn, stale: int },
    returns: int,
  },
  [
    anon_vma_prepare(),
    alloc_pages("alloc_page_vma", "new_page", () => {}, [
      given((_, f) => f.page !== NONE, [step("put_page", (k, f) => put_page(k, f.page))]),
      leave(() => VM_FAULT.OOM),
    ]),
    // For the zero page alloc_zeroed_user_highpage_movable: a free page here is full of zeroes.
    given(
      (k, f) => is_zero_pfn(k, pte_pfn(f.orig_pte)),
      [local((k, f) => SetPageUptodate(k, f.new_page))],
      [step("cow_user_page", (k, f) => copy_page(k, f.new_page, pte_pfn(f.orig_pte)))],
    ),
    config("notifier", [call(() => invalidate_at_start, { at: "at" })]),
    under(ptl, [
      step("ptep_clear_flush_notify", (k, f) => replace_by_copy(k, f, PTE.dirty | maybe_mkwrite(k, f.vma))),
    ]),
    config("notifier", [call(() => invalidate_at_end, { at: "at" })]),
    given(
      (_, f) => f.page !== NONE,
      [
        config("mlock", [
          // Or a page that only somebody else maps would stay mlocked.
          given(
            (k, f) => f.stale === 0 && (k.vma.vm_flags[f.vma] & VM_LOCKED) !== 0,
            [
              lock_page(),
              when("PageMlocked", (k, f) => PageMlocked(k, f.page), [
                call(() => munlock_vma_page, { page: "page" }),
              ]),
              unlock(),
            ],
          ),
        ]),
        step("put_page", (k, f) => put_page(k, f.page)),
      ],
    ),
    leave((k, f) => (f.stale === 1 ? 0 : fault_write(k, f.vma))),
  ],
);

/** What do_wp_page decided under the ptl; changed: the PTE is another one by now. */
export const WP = { changed: 0, done: 1, copy: 2, lock: 3 } as const;

/** The end of do_wp_page for an anonymous page whose lock is held. A page to copy gets a reference. */
function reuse_or_copy(k: Kernel, at: Vpn, vma: number, page: Pfn): number {
  if (reuse_swap_page(k, page)) {
    wp_page_reuse(k, at, vma, page);
    return WP.done;
  }
  get_page(k, page);
  return WP.copy;
}

/** A write to a present, read-only PTE. */
export const do_wp_page = path(
  "do_wp_page",
  {
    source: "mm/memory.c v4.20",
    args: { at: vpn, vma: int, orig_pte: int },
    locals: { page: pfn, wp: int },
    returns: int,
  },
  [
    // No anonymous page is in a shared mapping.
    given(
      (k, f) => is_shared_writable(k, f.vma),
      [call(() => wp_page_shared, { at: "at", vma: "vma", orig_pte: "orig_pte" }, "ret"), leave()],
    ),
    under(ptl, [
      step("do_wp_page", (k, f) => {
        if (k.pte.entry[f.at] !== f.orig_pte) return;
        f.page = vm_normal_page(k, f.orig_pte);
        f.wp = WP.copy;
        if (f.page === NONE) return;
        if (!isAnon(k.page.mapping[f.page])) get_page(k, f.page);
        // trylock_page, and the lock is given back before the ptl is.
        else if (!PageLocked(k, f.page)) f.wp = reuse_or_copy(k, f.at, f.vma, f.page);
        else {
          get_page(k, f.page);
          f.wp = WP.lock;
        }
      }),
    ]),
    given(
      (_, f) => f.wp === WP.lock,
      [
        lock_page(),
        under(ptl, [
          gives(
            PG_locked,
            step("pte_same", (k, f) => {
              const same = k.pte.entry[f.at] === f.orig_pte;
              f.wp = same ? reuse_or_copy(k, f.at, f.vma, f.page) : WP.changed;
              unlock_page(k, f.page);
              put_page(k, f.page);
            }),
          ),
        ]),
      ],
    ),
    given(
      (_, f) => f.wp === WP.copy,
      [
        call(() => wp_page_copy, { at: "at", vma: "vma", orig_pte: "orig_pte", page: "page" }, "ret"),
        leave(),
      ],
    ),
    leave((k, f) => (f.wp === WP.done ? fault_write(k, f.vma) : 0)),
  ],
);

/** First touch of anonymous memory: a read shows the zero page, a write gets a page of zeroes. */
export const do_anonymous_page = path(
  "do_anonymous_page",
  {
    source: "mm/memory.c v4.20",
    args: { at: vpn, vma: int, flags: int },
    locals: { page: pfn },
    returns: int,
  },
  [
    // Shared memory is a file's (tmpfs); a shared mapping of nothing has no vm_ops.
    given((k, f) => (k.vma.vm_flags[f.vma] & VM_SHARED) !== 0, [leave(() => VM_FAULT.SIGBUS)]),
    given(
      (_, f) => (f.flags & FAULT_FLAG.WRITE) === 0,
      [
        under(ptl, [
          step("do_anonymous_page", (k, f) => {
            if (k.pte.entry[f.at] !== 0) return;
            set_pte(k, f.at, (k.geometry.pages << PFN_SHIFT) | PTE.present | PTE.young, NONE);
          }),
        ]),
        leave(),
      ],
    ),
    anon_vma_prepare(),
    alloc_pages("alloc_zeroed_user_highpage_movable", "page", SetPageUptodate, [leave(() => VM_FAULT.OOM)]),
    under(ptl, [
      step("set_pte_at", (k, f) => {
        if (k.pte.entry[f.at] !== 0) {
          put_page(k, f.page);
          return;
        }
        page_add_rmap(k, f.page);
        make_anonymous(k, f.page, f.vma, f.at);
        const writable = (k.vma.vm_flags[f.vma] & VM_WRITE) !== 0 ? PTE.write | PTE.dirty : 0;
        set_pte(k, f.at, (f.page << PFN_SHIFT) | PTE.present | PTE.young | writable, f.page);
      }),
    ]),
  ],
);

/** do_page_add_anon_rmap: one PTE more; a page that was read from swap has no mapping yet. */
export function do_page_add_anon_rmap(k: Kernel, page: Pfn, vma: number, at: Vpn): void {
  if (!isAnon(k.page.mapping[page])) {
    k.page.mapping[page] = PAGE_MAPPING_ANON;
    k.page.index[page] = offset_of(k, vma, at);
  }
  page_add_rmap(k, page);
}

/** What do_swap_page did under the ptl, with the page and its lock; changed: the PTE is another one by now. */
export const SWAPIN = { changed: 0, mapped: 1, copy: 2 } as const;

/**
 * The end of do_swap_page: the page, uptodate and locked, is mapped in the place of its entry, and its reference becomes the PTE's. A write
 * gets a writable PTE if nobody else has the page, as reuse_swap_page counts: the page in swap, and not yet here.
 */
function map_swapped(
  k: Kernel,
  f: { at: Vpn; vma: number; flags: number; orig_pte: number; page: Pfn },
): number {
  if (k.pte.entry[f.at] !== f.orig_pte) return SWAPIN.changed;
  const entry = pte_to_swp_entry(f.orig_pte);
  const wants = (f.flags & FAULT_FLAG.WRITE) !== 0;
  const reuse = wants && reuse_swap_page(k, f.page);
  const bits =
    PTE.present | PTE.young | vm_page_prot(k, f.vma) | (reuse ? PTE.dirty | maybe_mkwrite(k, f.vma) : 0);
  do_page_add_anon_rmap(k, f.page, f.vma, f.at);
  set_pte(k, f.at, (f.page << PFN_SHIFT) | bits, f.page);
  activate_page(k, f.page);
  swap_free(k, entry);
  if (vm_swap_full(k) || (k.vma.vm_flags[f.vma] & VM_LOCKED) !== 0 || PageMlocked(k, f.page))
    try_to_free_swap(k, f.page);
  return wants && !reuse ? SWAPIN.copy : SWAPIN.mapped;
}

/**
 * A fault at a PTE whose page is in swap: in the swap cache, or only on the disk. Whoever waits here for the page's lock has a
 * reference that reclaim cannot get rid of.
 */
export const do_swap_page = path(
  "do_swap_page",
  {
    source: "mm/memory.c v4.20",
    args: { at: vpn, vma: int, flags: int, orig_pte: int },
    locals: { page: pfn, entry: int, done: int, pte: int },
    returns: int,
  },
  [
    step("lookup_swap_cache", (k, f) => {
      f.entry = pte_to_swp_entry(f.orig_pte);
      f.page = lookup_swap_cache(k, f.entry);
    }),
    given(
      (_, f) => f.page === NONE,
      [
        call(() => read_swap_cache_async, { entry: "entry" }, "page"),
        given(
          (_, f) => f.page === NONE,
          [
            // Somebody else may have brought it back, and given up the entry.
            under(ptl, [
              step("pte_same", (k, f) => {
                f.ret = k.pte.entry[f.at] === f.orig_pte ? VM_FAULT.OOM : 0;
              }),
            ]),
            leave(),
          ],
        ),
        local((k) => k.count("pgmajfault")),
      ],
    ),
    ...lock_page_or_retry(VM_FAULT.RETRY),
    // The reference does not keep it in the swap cache: only the lock does.
    held(
      when("!PageSwapCache", (k, f) => !PageSwapCache(k, f.page) || page_private(k, f.page) !== f.entry, [
        goto("out_page"),
      ]),
    ),
    // The page lock is given back before the ptl is: who takes the PTE away finds the page unlocked.
    under(ptl, [
      gives(
        PG_locked,
        step("set_pte_at", (k, f) => {
          f.done = map_swapped(k, f);
          if (f.done === SWAPIN.copy) f.pte = k.pte.entry[f.at];
          unlock_page(k, f.page);
        }),
      ),
    ]),
    given((_, f) => f.done === SWAPIN.changed, [goto("out_release")]),
    // In the kernel the ptl is held from there to here: who has changed the PTE meanwhile would have waited.
    given(
      (_, f) => f.done === SWAPIN.copy,
      [
        call(() => do_wp_page, { at: "at", vma: "vma", orig_pte: "pte" }, "ret"),
        leave((_, f) => ((f.ret & VM_FAULT.ERROR) !== 0 ? f.ret & VM_FAULT.ERROR : f.ret)),
      ],
    ),
    leave((k, f) => ((f.flags & FAULT_FLAG.WRITE) !== 0 ? fault_write(k, f.vma) : 0)),
    label("out_page"),
    unlock(),
    label("out_release"),
    step("put_page", (k, f) => put_page(k, f.page)),
  ],
);

/**
 * A filesystem that installs its PTEs itself is asked for a missing one, and for a write to a read-only one: do_fault and
 * wp_pfn_shared of a DAX file, hugetlb_fault.
 */
const own_fault = (): Node<
  Kernel,
  { at: number; vma: number; orig_pte: number; flags: number; ret: number }
> =>
  given(
    (k, f) =>
      file_of(k, f.vma) !== 0 &&
      has_own_fault(k, file_of(k, f.vma)) &&
      (!pte_present(f.orig_pte) || ((f.flags & FAULT_FLAG.WRITE) !== 0 && !pte_write(f.orig_pte))),
    [
      dispatch(
        vm_ops,
        "fault",
        (k, f) => fs_of_inode(k, file_of(k, f.vma)),
        { at: "at", vma: "vma", write: "flags" },
        "ret",
      ),
      leave(),
    ],
  );

/**
 * Resolve a fault at a virtual page of a VMA, with mmap_sem held for reading. `flags` are FAULT_FLAG_*. Gives VM_FAULT_* bits; the
 * access is then tried again. After VM_FAULT_RETRY mmap_sem is no longer held.
 */
export const handle_mm_fault = path(
  "handle_mm_fault",
  {
    source: "mm/memory.c v4.20",
    args: { at: vpn, flags: int },
    locals: { vma: int, orig_pte: int },
    returns: int,
  },
  [
    step("handle_pte_fault", (k, f) => {
      f.vma = find_vma(k, f.at);
      if (f.vma === NONE) throw new Error(`handle_mm_fault: virtual page ${f.at} is in no VMA`);
      f.orig_pte = k.pte.entry[f.at];
      k.count("pgfault");
    }),
    config("dax", [own_fault()], [config("compound", [own_fault()])]),
    given((_, f) => pte_present(f.orig_pte), [goto("present")]),
    // do_swap_page of a page that is being moved.
    config("migration", [
      given(
        (_, f) => is_migration_entry(f.orig_pte),
        [call(() => migration_entry_wait, { at: "at" }), leave()],
      ),
    ]),
    config("swap", [
      given(
        (_, f) => is_swap_entry(f.orig_pte),
        [
          call(() => do_swap_page, { at: "at", vma: "vma", flags: "flags", orig_pte: "orig_pte" }, "ret"),
          leave(),
        ],
      ),
    ]),
    given(
      (k, f) => file_of(k, f.vma) === 0,
      [call(() => do_anonymous_page, { at: "at", vma: "vma", flags: "flags" }, "ret"), leave()],
    ),
    given(
      (_, f) => (f.flags & FAULT_FLAG.WRITE) === 0,
      [call(() => do_read_fault, { at: "at", vma: "vma", flags: "flags" }, "ret"), leave()],
    ),
    given(
      (k, f) => (k.vma.vm_flags[f.vma] & VM_SHARED) === 0,
      [call(() => do_cow_fault, { at: "at", vma: "vma", flags: "flags" }, "ret"), leave()],
    ),
    call(() => do_shared_fault, { at: "at", vma: "vma", flags: "flags" }, "ret"),
    leave(),
    label("present"),
    given(
      (_, f) => (f.flags & FAULT_FLAG.WRITE) !== 0 && !pte_write(f.orig_pte),
      [call(() => do_wp_page, { at: "at", vma: "vma", orig_pte: "orig_pte" }, "ret"), leave()],
    ),
    under(ptl, [
      step("ptep_set_access_flags", (k, f) => {
        if (k.pte.entry[f.at] !== f.orig_pte) return;
        const bits = PTE.young | ((f.flags & FAULT_FLAG.WRITE) !== 0 ? PTE.dirty : 0);
        set_pte(k, f.at, f.orig_pte | bits, vm_normal_page(k, f.orig_pte));
      }),
    ]),
  ],
);
