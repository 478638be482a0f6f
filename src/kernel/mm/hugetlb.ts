/**
 * hugetlb: huge pages from a pool, their faults, and their way back.
 *
 * Source: mm/hugetlb.c in v4.20. A huge page is a compound page that is set aside at boot: never on an LRU list, never written,
 * so that reclaim and writeback cannot do to it what they do to a file's pages. A fault takes one from the pool, under a mutex,
 * enters it in the file's cache and maps it with one huge PTE. References of its tails are counted in its head, so
 * that a driver that holds one 4 KiB piece of it keeps all of it.
 *
 * One huge PTE is written into each of the virtual pages that it covers, always all of them in one step; it counts once, in the
 * head's mapcount and with one reference. A page's index is that of its first virtual page, in base pages (the kernel counts
 * in huge pages). get_user_pages takes the pages one by one as from small PTEs: the counts are those of
 * follow_hugetlb_page and gup_huge_pmd, PG_referenced may be set once more.
 *
 * Left out: private mappings (hugetlb_cow), reservations and subpools, surplus pages, several sizes at once, migration, poison,
 * truncation of hugetlbfs files (for which the size is asked once more under the ptl), and what a fault does that finds its PTE
 * filled by another one: it is young already, and dirty where it may be written.
 */
import { i32, struct } from "../../machine/memory.js";
import { pg } from "../../trace/words.js";
import { list_del } from "../inserts.js";
import { type Kernel, PFN_SHIFT, PTE, type Table } from "../kernel.js";
import {
  call,
  down_write,
  given,
  goto,
  label,
  leave,
  local,
  path,
  step,
  under,
  up_write,
  when,
} from "../language.js";
import { hugetlb_fault_mutex, ptl } from "../locks.js";
import { VM_FAULT } from "../operations.js";
import { VM_SHARED, VM_WRITE } from "../structs.js";
import { inode, int, NONE, type Pfn, pfn, type Vpn, vpn } from "../types.js";
import { compound_order, PageHead, prep_compound_page } from "./compound.js";
import { find_get_page, i_size_pages } from "./filemap.js";
import {
  get_page,
  lock_page,
  page_count,
  page_ref_add,
  SetPageUptodate,
  trylock_page,
  unlock,
} from "./page.js";
import { page_add_rmap, set_pte } from "./rmap.js";
import { forget_users } from "./user_pages.js";

const hstate = struct("hstate", { free: i32("first huge page of hugepage_freelists, pfn + 1") });

/** The pool of huge pages. */
export const hugetlbTable: Table = { struct: hstate, rows: (g) => (g.config.has("compound") ? 1 : 0) };

/** Pages of one huge page. */
export const pages_per_huge_page = (k: Kernel): number => 1 << k.geometry.hugeOrder;

/** Before the first step: the first page frames of the machine are huge pages in the pool. */
export function hugetlb_init(k: Kernel): void {
  const { hugePages, hugeOrder } = k.geometry;
  for (let nr = hugePages - 1; nr >= 0; nr--) {
    const page = nr << hugeOrder;
    page_ref_add(k, page, 1);
    prep_compound_page(k, page, hugeOrder);
    page_ref_add(k, page, -1);
    enqueue_huge_page(k, page);
  }
}

function enqueue_huge_page(k: Kernel, page: Pfn): void {
  const { free } = k.of(hstate);
  k.page.lru_next[page] = free[0];
  free[0] = page + 1;
}

/** A huge page with one reference, or NONE: alloc_huge_page, dequeue_huge_page_node. */
function alloc_huge_page(k: Kernel): Pfn {
  const { free } = k.of(hstate);
  const page = free[0] - 1;
  if (page === NONE) return NONE;
  free[0] = k.page.lru_next[page];
  k.page.lru_next[page] = 0;
  // set_page_refcounted: whatever the count was.
  page_ref_add(k, page, 1 - page_count(k, page));
  return page;
}

/** How many huge pages the pool has: HugePages_Free. */
export function free_huge_pages(k: Kernel): number {
  let nr = 0;
  for (let at = k.of(hstate).free[0]; at !== 0; at = k.page.lru_next[at - 1]) nr++;
  return nr;
}

/**
 * The destructor of a huge page: the last reference is gone, it goes back to the pool. Nobody looks whether it is mapped (VM_BUG_ON_PAGE
 * does, which is left out).
 */
export function free_huge_page(k: Kernel, page: Pfn): void {
  list_del(k, page);
  for (let each = page; each < page + (1 << compound_order(k, page)); each++) forget_users(k, each);
  k.page.flags[page] = pg("head");
  k.page.mapping[page] = 0;
  k.page.index[page] = 0;
  enqueue_huge_page(k, page);
}

/** The entries of one huge PTE, from the first virtual page that it covers. */
export function set_huge_pte_at(k: Kernel, at: Vpn, page: Pfn, bits: number): void {
  for (let nr = 0; nr < 1 << compound_order(k, page); nr++)
    set_pte(k, at + nr, bits === 0 ? 0 : ((page + nr) << PFN_SHIFT) | bits, page);
}

/** A huge PTE is taken away by zap: its other virtual pages show nothing any more either. */
export function huge_ptep_get_and_clear(k: Kernel, at: Vpn, page: Pfn): void {
  if (!PageHead(k, page)) throw new Error(`huge_ptep_get_and_clear: page ${page} is no head`);
  set_huge_pte_at(k, at, page, 0);
}

/** make_huge_pte: what may be written is dirty and writable from the start. */
const make_huge_pte = (k: Kernel, vma: number): number =>
  PTE.present |
  PTE.young |
  ((k.vma.vm_flags[vma] & (VM_WRITE | VM_SHARED)) === (VM_WRITE | VM_SHARED) ? PTE.write | PTE.dirty : 0);

/** A fault where no huge page is mapped: find it in the file's cache, or take one from the pool. */
export const hugetlb_no_page = path(
  "hugetlb_no_page",
  {
    source: "mm/hugetlb.c v4.20",
    args: { mapping: inode, index: int, at: vpn, vma: int },
    locals: { page: pfn },
    returns: int,
  },
  [
    step("find_lock_page", (k, f) => {
      f.page = find_get_page(k, f.mapping, f.index);
    }),
    given((_, f) => f.page !== NONE, [lock_page(), goto("map")]),
    // The size counts in whole huge pages.
    when("idx >= size", (k, f) => f.index + pages_per_huge_page(k) > i_size_pages(k, f.mapping), [
      leave(() => VM_FAULT.SIGBUS),
    ]),
    step("alloc_huge_page", (k, f) => {
      f.page = alloc_huge_page(k);
    }),
    given((_, f) => f.page === NONE, [leave(() => VM_FAULT.SIGBUS)]),
    step("clear_huge_page", (k, f) => {
      const { parts } = k.geometry;
      k.content.version.fill(0, f.page * parts, (f.page + pages_per_huge_page(k)) * parts);
      SetPageUptodate(k, f.page);
    }),
    // Locked before anybody can find it. Under the mutex nobody else can have entered one.
    step("huge_add_to_page_cache", (k, f) => {
      trylock_page(k, f.page);
      k.xa_slot.page[k.slotOf(f.mapping, f.index)] = f.page + 1;
      k.page.mapping[f.page] = f.mapping;
      k.page.index[f.page] = f.index;
      get_page(k, f.page);
      k.count("nr_file_pages", pages_per_huge_page(k));
    }),
    label("map"),
    // v4.20 asks huge_pte_none again and backs out. Only faults fill a huge PTE, and all faults on this page of the file, of every
    // process, have the mutex: it is none still.
    under(ptl, [
      step("set_huge_pte_at", (k, f) => {
        if (k.pte.entry[f.at] !== 0) throw new Error("hugetlb_no_page: the huge PTE is there already");
        page_add_rmap(k, f.page);
        set_huge_pte_at(k, f.at, f.page, make_huge_pte(k, f.vma));
      }),
    ]),
    unlock(),
  ],
);

/** A fault in a mapping of a hugetlbfs file. Gives VM_FAULT_*. */
export const hugetlb_fault = path(
  "hugetlb_fault",
  {
    source: "mm/hugetlb.c v4.20",
    args: { at: vpn, vma: int, write: int },
    locals: { mapping: inode, index: int, haddr: vpn },
    returns: int,
  },
  [
    local((k, f) => {
      if ((k.vma.vm_flags[f.vma] & VM_SHARED) === 0)
        throw new Error("hugetlb_fault: private mappings of hugetlbfs are left out");
      if ((f.write & 1) !== 0 && (k.vma.vm_flags[f.vma] & VM_WRITE) === 0) f.ret = VM_FAULT.SIGBUS;
      const offset = f.at - k.vma.vm_start[f.vma] + k.vma.vm_pgoff[f.vma];
      f.mapping = k.vma.vm_file[f.vma];
      f.index = offset & ~(pages_per_huge_page(k) - 1);
      f.haddr = f.at - (offset - f.index);
    }),
    given((_, f) => f.ret !== 0, [leave()]),
    down_write(hugetlb_fault_mutex, () => 0),
    when("huge_pte_none", (k, f) => k.pte.entry[f.haddr] === 0, [
      call(() => hugetlb_no_page, { mapping: "mapping", index: "index", at: "haddr", vma: "vma" }, "ret"),
    ]),
    up_write(hugetlb_fault_mutex, () => 0),
  ],
);
