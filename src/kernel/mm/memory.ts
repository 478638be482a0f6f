/**
 * Page faults.
 *
 * Source: mm/memory.c in v4.20. A first write to a shared file page goes through page_mkwrite with the page lock held
 * from there to the installed PTE, so that writeback sees "buffers attached, dirty, writable PTE" at once. After
 * cleaning, the PTE is read-only and the next CPU store comes here again: that is how ext4 learns of it. A device's
 * store comes nowhere.
 *
 * ptl sections are single steps. Left out: mmap_sem (held for reading by all faults; nobody here takes it for
 * writing), huge pages, swap, userfaultfd, throttling in balance_dirty_pages, FAULT_FLAG_ALLOW_RETRY, the
 * reference that fault-around holds for a moment (it is one step).
 */
import { type Kernel, PFN_SHIFT, PTE } from "../kernel.js";
import {
  call,
  dispatch,
  given,
  goto,
  label,
  leave,
  local,
  lockdep_assert_not_held,
  path,
  step,
  under,
  wait,
} from "../language.js";
import { PG_locked, ptl } from "../locks.js";
import { fs_of_inode, has_page_mkwrite, VM_FAULT, vm_ops } from "../operations.js";
import { PAGE_MAPPING_ANON, VM_SHARED, VM_WRITE } from "../structs.js";
import { inode, int, NONE, type Pfn, pfn, type Vpn, vpn } from "../types.js";
import { filemap_fault } from "./filemap.js";
import {
  alloc_page,
  get_page,
  get_page_unless_zero,
  has_free_page,
  PageLocked,
  PageReclaim,
  PageUptodate,
  SetPageActive,
  SetPageSwapBacked,
  SetPageUptodate,
  unlock,
} from "./page.js";
import { set_page_dirty } from "./page_writeback.js";
import { page_add_rmap, page_remove_rmap, set_pte } from "./rmap.js";
import { lru_cache_add, put_page } from "./swap.js";

export const pte_present = (entry: number): boolean => (entry & PTE.present) !== 0;
export const pte_write = (entry: number): boolean => (entry & PTE.write) !== 0;
export const pte_pfn = (entry: number): Pfn => entry >>> PFN_SHIFT;

/** find_vma: the VMA that holds a virtual page; guplab's own error when there is none. */
export function find_vma(k: Kernel, at: Vpn): number {
  const { vm_start, vm_pages } = k.vma;
  for (let nr = 0; nr < vm_start.length; nr++)
    if (at >= vm_start[nr] && at < vm_start[nr] + vm_pages[nr]) return nr;
  throw new Error(`find_vma: virtual page ${at} is in no VMA`);
}

/** The process that a virtual page belongs to. */
export const mm_of = (k: Kernel, at: Vpn): number => k.vma.vm_mm[find_vma(k, at)];

/** The file and the offset that a virtual page shows. */
const file_of = (k: Kernel, vma: number): number => k.vma.vm_file[vma];
const offset_of = (k: Kernel, vma: number, at: Vpn): number => at - k.vma.vm_start[vma] + k.vma.vm_pgoff[vma];

/**
 * alloc_set_pte: install a PTE unless somebody was faster. The caller's reference becomes the PTE's. A PTE for a
 * read of a shared mapping is writable only where the filesystem does not want to hear of the first write.
 */
function alloc_set_pte(k: Kernel, at: Vpn, vma: number, page: Pfn, write: boolean): boolean {
  if (k.pte.entry[at] !== 0) return false;
  const shared = (k.vma.vm_flags[vma] & VM_SHARED) !== 0;
  const writable = (k.vma.vm_flags[vma] & VM_WRITE) !== 0;
  const open = shared && writable && !has_page_mkwrite(k, file_of(k, vma));
  const bits = PTE.present | PTE.young | (write ? PTE.dirty | PTE.write : open ? PTE.write : 0);
  page_add_rmap(k, page);
  set_pte(k, at, (page << PFN_SHIFT) | bits, page);
  return true;
}

/** A new page becomes an anonymous page of this process: page_add_new_anon_rmap and its LRU batch. */
function make_anonymous(k: Kernel, page: Pfn, vma: number, at: Vpn): void {
  SetPageSwapBacked(k, page);
  k.page.mapping[page] = PAGE_MAPPING_ANON;
  k.page.index[page] = offset_of(k, vma, at);
  SetPageActive(k, page);
  lru_cache_add(k, page);
}

function copy_page(k: Kernel, to: Pfn, from: Pfn): void {
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

export const fault_dirty_shared_page = path(
  "fault_dirty_shared_page",
  { source: "mm/memory.c v4.20", args: { page: pfn } },
  [call(() => set_page_dirty, { page: "page" }), unlock()],
);

/** First write to a page of a shared mapping. */
export const do_shared_fault = path(
  "do_shared_fault",
  {
    source: "mm/memory.c v4.20",
    args: { at: vpn, vma: int },
    locals: { mapping: inode, index: int, page: pfn, tmp: int },
    returns: int,
  },
  [
    local((k, f) => {
      f.mapping = file_of(k, f.vma);
      f.index = offset_of(k, f.vma, f.at);
    }),
    call(() => filemap_fault, { mapping: "mapping", index: "index" }, "page"),
    given(
      (k, f) => has_page_mkwrite(k, f.mapping),
      [
        // From here to the lock in page_mkwrite anybody may have the page.
        unlock(),
        call(() => do_page_mkwrite, { page: "page", mapping: "mapping" }, "tmp"),
        given(
          (_, f) => (f.tmp & (VM_FAULT.NOPAGE | VM_FAULT.SIGBUS)) !== 0,
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

/** First read of a page of a mapping. */
export const do_read_fault = path(
  "do_read_fault",
  {
    source: "mm/memory.c v4.20",
    args: { at: vpn, vma: int },
    locals: { mapping: inode, index: int, page: pfn, mapped: int },
    returns: int,
  },
  [
    local((k, f) => {
      f.mapping = file_of(k, f.vma);
      f.index = offset_of(k, f.vma, f.at);
    }),
    // filemap_map_pages of this one page: it needs no lock that it cannot have at once.
    step("do_fault_around", (k, f) => {
      const page = k.xa_slot.page[k.slotOf(f.mapping, f.index)] - 1;
      if (page === NONE || !get_page_unless_zero(k, page)) return;
      // PG_reclaim is also PG_readahead, of which filemap_map_pages keeps away.
      const ready = PageUptodate(k, page) && !PageLocked(k, page) && !PageReclaim(k, page);
      f.mapped = ready && alloc_set_pte(k, f.at, f.vma, page, false) ? 1 : 0;
      if (f.mapped === 0) put_page(k, page);
    }),
    given((_, f) => f.mapped === 1, [leave()]),
    call(() => filemap_fault, { mapping: "mapping", index: "index" }, "page"),
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
    args: { at: vpn, vma: int },
    locals: { mapping: inode, index: int, page: pfn, new_page: pfn },
    returns: int,
  },
  [
    local((k, f) => {
      f.mapping = file_of(k, f.vma);
      f.index = offset_of(k, f.vma, f.at);
    }),
    wait(
      "alloc_page_vma",
      (k) => has_free_page(k),
      (k, f) => {
        f.new_page = alloc_page(k);
      },
    ),
    call(() => filemap_fault, { mapping: "mapping", index: "index" }, "page"),
    step("copy_user_highpage", (k, f) => copy_page(k, f.new_page, f.page)),
    under(ptl, [
      step("alloc_set_pte", (k, f) => {
        if (alloc_set_pte(k, f.at, f.vma, f.new_page, true)) make_anonymous(k, f.new_page, f.vma, f.at);
        else f.ret = VM_FAULT.NOPAGE;
      }),
    ]),
    unlock(),
    step("put_page", (k, f) => put_page(k, f.page)),
    given((_, f) => f.ret !== 0, [step("put_page", (k, f) => put_page(k, f.new_page))]),
  ],
);

/** A write to a page that is mapped read-only in a shared mapping: page_mkwrite again, then the PTE if unchanged. */
export const wp_page_shared = path(
  "wp_page_shared",
  {
    source: "mm/memory.c v4.20",
    args: { at: vpn, orig_pte: int },
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
      f.mapping = k.page.mapping[f.page];
      get_page(k, f.page);
    }),
    given((_, f) => f.tmp === 1, [leave()]),
    call(() => do_page_mkwrite, { page: "page", mapping: "mapping" }, "tmp"),
    given(
      (_, f) => (f.tmp & (VM_FAULT.NOPAGE | VM_FAULT.SIGBUS)) !== 0,
      [
        lockdep_assert_not_held(PG_locked),
        step("put_page", (k, f) => put_page(k, f.page)),
        leave((_, f) => f.tmp),
      ],
    ),
    under(ptl, [
      step("finish_mkwrite_fault", (k, f) => {
        if (k.pte.entry[f.at] !== f.orig_pte) f.ret = VM_FAULT.NOPAGE;
        else set_pte(k, f.at, f.orig_pte | PTE.young | PTE.dirty | PTE.write, f.page);
      }),
    ]),
    given((_, f) => f.ret !== 0, [unlock()], [call(() => fault_dirty_shared_page, { page: "page" })]),
    step("put_page", (k, f) => put_page(k, f.page)),
  ],
);

/** A write to a page that is mapped read-only in a private mapping: a copy takes its place. */
export const wp_page_copy = path(
  "wp_page_copy",
  {
    source: "mm/memory.c v4.20",
    args: { at: vpn, orig_pte: int },
    locals: { page: pfn, new_page: pfn, stale: int },
  },
  [
    step("get_page", (k, f) => {
      f.page = pte_pfn(f.orig_pte);
      f.stale = k.pte.entry[f.at] === f.orig_pte ? 0 : 1;
      if (f.stale === 0) get_page(k, f.page);
    }),
    given((_, f) => f.stale === 1, [leave()]),
    wait(
      "alloc_page_vma",
      (k) => has_free_page(k),
      (k, f) => {
        f.new_page = alloc_page(k);
      },
    ),
    step("cow_user_page", (k, f) => copy_page(k, f.new_page, f.page)),
    step("ptep_clear_flush_notify", (k, f) => {
      if (k.pte.entry[f.at] !== f.orig_pte) {
        f.stale = 1;
        return;
      }
      k.pte.entry[f.at] = 0;
      page_remove_rmap(k, f.page);
      put_page(k, f.page);
      page_add_rmap(k, f.new_page);
      make_anonymous(k, f.new_page, find_vma(k, f.at), f.at);
      const bits = PTE.present | PTE.young | PTE.dirty | PTE.write;
      set_pte(k, f.at, (f.new_page << PFN_SHIFT) | bits, f.new_page);
    }),
    given((_, f) => f.stale === 1, [step("put_page", (k, f) => put_page(k, f.new_page))]),
    step("put_page", (k, f) => put_page(k, f.page)),
  ],
);

/** Resolve a fault at a virtual page. Gives VM_FAULT_* bits; the access is then tried again. */
export const handle_mm_fault = path(
  "handle_mm_fault",
  {
    source: "mm/memory.c v4.20",
    args: { at: vpn, write: int },
    locals: { vma: int, orig_pte: int },
    returns: int,
  },
  [
    step("handle_pte_fault", (k, f) => {
      f.vma = find_vma(k, f.at);
      f.orig_pte = k.pte.entry[f.at];
      k.count("pgfault");
    }),
    given(
      (k, f) => f.write === 1 && (k.vma.vm_flags[f.vma] & VM_WRITE) === 0,
      [leave(() => VM_FAULT.SIGBUS)],
    ),
    given((_, f) => pte_present(f.orig_pte), [goto("present")]),
    given((_, f) => f.write === 0, [call(() => do_read_fault, { at: "at", vma: "vma" }, "ret"), leave()]),
    given(
      (k, f) => (k.vma.vm_flags[f.vma] & VM_SHARED) === 0,
      [call(() => do_cow_fault, { at: "at", vma: "vma" }, "ret"), leave()],
    ),
    call(() => do_shared_fault, { at: "at", vma: "vma" }, "ret"),
    leave(),
    label("present"),
    given(
      (_, f) => f.write === 1 && !pte_write(f.orig_pte),
      [
        given(
          (k, f) => (k.vma.vm_flags[f.vma] & VM_SHARED) !== 0,
          [call(() => wp_page_shared, { at: "at", orig_pte: "orig_pte" }, "ret")],
          [call(() => wp_page_copy, { at: "at", orig_pte: "orig_pte" })],
        ),
        leave(),
      ],
    ),
    step("ptep_set_access_flags", (k, f) => {
      if (k.pte.entry[f.at] !== f.orig_pte) return;
      const bits = PTE.young | (f.write === 1 ? PTE.dirty : 0);
      set_pte(k, f.at, f.orig_pte | bits, pte_pfn(f.orig_pte));
    }),
  ],
);
