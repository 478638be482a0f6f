/**
 * mlock: VM_LOCKED, PG_mlocked and the unevictable list.
 *
 * Source: mm/mlock.c in v4.20; isolate_lru_page from mm/vmscan.c, lru_cache_add_active_or_unevictable from mm/swap.c. mlock keeps a
 * page in memory, not in its place: writeback cleans it, truncation takes it away, migration moves it. But reclaim never gets
 * as far as its buffers, so that the article's crash does not happen to a buffer that the process has mlocked.
 *
 * A page is marked by whoever meets it in a locked VMA: the fault that made it, mlock(2) that faults it in, reclaim that
 * wants to unmap it. munlock clears the mark and then asks the other VMAs.
 *
 * Left out: huge pages, mlockall, MLOCK_ONFAULT, the pagevec of munlock (__munlock_pagevec): each page is munlocked alone, as munlock_vma_page
 * does for a huge one.
 */
import { ERRNO } from "../errno.js";
import type { Kernel } from "../kernel.js";
import {
  call,
  down_read,
  down_write,
  given,
  goto,
  held,
  label,
  leave,
  local,
  lockdep_assert_held,
  lockdep_assert_not_held,
  path,
  repeat,
  step,
  under,
  up_read,
  up_write,
  when,
} from "../language.js";
import { lru_lock, mmap_sem, ptl } from "../locks.js";
import { FAULT_FLAG, VM_FAULT } from "../operations.js";
import { VM_HUGETLB, VM_LOCKED, VM_LOCKONFAULT, VM_SHARED, VM_SPECIAL, VM_WRITE } from "../structs.js";
import { int, NONE, type Pfn, pfn, type Vpn, vpn } from "../types.js";
import { find_vma, handle_mm_fault, mm_of, pte_present, pte_write, vm_normal_page } from "./memory.js";
import { __split_vma, next_vma } from "./mmap.js";
import {
  ClearPageLRU,
  ClearPageMlocked,
  get_page,
  lock_page,
  PageLocked,
  PageLRU,
  PageMlocked,
  PageUnevictable,
  SetPageActive,
  SetPageMlocked,
  trylock_page,
  unlock,
  unlock_page,
} from "./page.js";
import { account, mlock_allowed } from "./rlimit.js";
import { try_to_munlock } from "./rmap.js";
import {
  del_page_from_lru_list,
  lru_add_drain,
  lru_cache_add,
  mark_page_accessed,
  page_lru,
  put_page,
} from "./swap.js";

/** isolate_lru_page: take a page off its list, with a reference; false when it is on none. */
function isolate_lru_page(k: Kernel, page: Pfn): boolean {
  if (!PageLRU(k, page)) return false;
  get_page(k, page);
  const lru = page_lru(k, page);
  ClearPageLRU(k, page);
  del_page_from_lru_list(k, page, lru);
  return true;
}

/** putback_lru_page as v4.20 has it: through the batch, which asks again where the page belongs. */
function putback_lru_page(k: Kernel, page: Pfn): void {
  lru_cache_add(k, page);
  put_page(k, page);
}

function count_mlock(k: Kernel): void {
  k.count("nr_mlock");
  k.count("unevictable_pgs_mlocked");
}

/** Mark a locked page as mlocked and send it to the unevictable list. */
export function mlock_vma_page(k: Kernel, page: Pfn): void {
  if (!PageLocked(k, page)) throw new Error(`mlock_vma_page: page ${page} is not locked`);
  if (PageMlocked(k, page)) return;
  SetPageMlocked(k, page);
  count_mlock(k);
  if (isolate_lru_page(k, page)) putback_lru_page(k, page);
}

/** The last PTE of an mlocked page has gone: nobody wants it in memory any more. */
export function clear_page_mlock(k: Kernel, page: Pfn): void {
  if (!PageMlocked(k, page)) return;
  ClearPageMlocked(k, page);
  k.count("nr_mlock", -1);
  k.count("unevictable_pgs_cleared");
  if (isolate_lru_page(k, page)) putback_lru_page(k, page);
  else if (PageUnevictable(k, page)) k.count("unevictable_pgs_stranded");
}

/** Where a new anonymous page goes: to the active list, or in a locked VMA to the unevictable one. */
export function lru_cache_add_active_or_unevictable(k: Kernel, page: Pfn, vma: number): void {
  if ((k.vma.vm_flags[vma] & (VM_LOCKED | VM_SPECIAL)) !== VM_LOCKED) SetPageActive(k, page);
  else if (!PageMlocked(k, page)) {
    SetPageMlocked(k, page);
    count_mlock(k);
  }
  lru_cache_add(k, page);
}

/** A VMA lets go of a locked page: clear the mark, and set it again if another VMA wants it. */
export const munlock_vma_page = path(
  "munlock_vma_page",
  { source: "mm/mlock.c v4.20", args: { page: pfn }, locals: { isolated: int } },
  [
    under(lru_lock, [
      step("TestClearPageMlocked", (k, f) => {
        if (!PageMlocked(k, f.page)) return;
        ClearPageMlocked(k, f.page);
        k.count("nr_mlock", -1);
        f.isolated = isolate_lru_page(k, f.page) ? 1 : 0;
        if (f.isolated === 0)
          k.count(PageUnevictable(k, f.page) ? "unevictable_pgs_stranded" : "unevictable_pgs_munlocked");
      }),
    ]),
    given(
      (_, f) => f.isolated === 1,
      [
        // Mapped once is mapped by the caller: no need to ask the others.
        when("page_mapcount", (k, f) => k.page.mapcount[f.page] > 1, [
          call(() => try_to_munlock, { page: "page" }),
        ]),
        step("putback_lru_page", (k, f) => {
          if (!PageMlocked(k, f.page)) k.count("unevictable_pgs_munlocked");
          putback_lru_page(k, f.page);
        }),
      ],
    ),
  ],
);

/** Take VM_LOCKED from a VMA and munlock each of its pages, with mmap_sem held for writing (exit: by the last user). */
export const munlock_vma_pages_range = path(
  "munlock_vma_pages_range",
  { source: "mm/mlock.c v4.20", args: { vma: int }, locals: { at: vpn, end: vpn, page: pfn } },
  [
    step("vma->vm_flags &= VM_LOCKED_CLEAR_MASK", (k, f) => {
      k.vma.vm_flags[f.vma] &= ~(VM_LOCKED | VM_LOCKONFAULT);
      f.at = k.vma.vm_start[f.vma];
      f.end = f.at + k.vma.vm_pages[f.vma];
    }),
    repeat(
      (_, f) => f.at < f.end,
      [
        under(ptl, [
          step("follow_page", (k, f) => {
            const entry = k.pte.entry[f.at];
            f.page = pte_present(entry) ? vm_normal_page(k, entry) : NONE;
            if (f.page !== NONE) get_page(k, f.page);
          }),
        ]),
        given(
          (_, f) => f.page !== NONE,
          [
            lock_page(),
            call(() => munlock_vma_page, { page: "page" }),
            unlock(),
            step("put_page", (k, f) => put_page(k, f.page)),
          ],
        ),
        local((_, f) => {
          f.at++;
          f.page = NONE;
        }),
      ],
    ),
  ],
);

/** Pages from `start` to before `end` that are in locked VMAs already: count_mm_mlocked_page_nr. */
function count_mm_mlocked_page_nr(k: Kernel, mm: number, start: Vpn, end: Vpn): number {
  let count = 0;
  for (let vma = next_vma(k, mm, start); vma !== NONE; ) {
    const { vm_start, vm_pages, vm_flags } = k.vma;
    if (vm_start[vma] >= end) break;
    const last = vm_start[vma] + vm_pages[vma];
    if ((vm_flags[vma] & VM_LOCKED) !== 0) count += Math.min(last, end) - Math.max(vm_start[vma], start);
    vma = next_vma(k, mm, last);
  }
  return count;
}

/** Lock or unlock one VMA or a part of it: mlock_fixup. Gives 0 or -ENOMEM. */
const mlock_fixup = path(
  "mlock_fixup",
  {
    source: "mm/mlock.c v4.20",
    args: { vma: int, start: vpn, end: vpn, lock: int },
    locals: { ignore: int },
    returns: int,
  },
  [
    local((k, f) => {
      const flags = k.vma.vm_flags[f.vma];
      const locked = (flags & VM_LOCKED) !== 0 ? 1 : 0;
      f.ignore = locked === f.lock || (flags & (VM_SPECIAL | VM_HUGETLB)) !== 0 ? 1 : 0;
    }),
    given((_, f) => f.ignore === 1, [leave()]),
    given(
      (k, f) => f.start > k.vma.vm_start[f.vma],
      [
        call(() => __split_vma, { vma: "vma", at: "start", new_below: 1 }, "ret"),
        given((_, f) => f.ret !== 0, [leave()]),
      ],
    ),
    given(
      (k, f) => f.end < k.vma.vm_start[f.vma] + k.vma.vm_pages[f.vma],
      [
        call(() => __split_vma, { vma: "vma", at: "end", new_below: 0 }, "ret"),
        given((_, f) => f.ret !== 0, [leave()]),
      ],
    ),
    given(
      (_, f) => f.lock === 1,
      [
        step("vma->vm_flags |= VM_LOCKED", (k, f) => {
          k.vma.vm_flags[f.vma] |= VM_LOCKED;
          account(k, "mm->locked_vm", k.vma.vm_mm[f.vma], k.vma.vm_pages[f.vma]);
        }),
      ],
      [
        held(
          step("mm->locked_vm", (k, f) => {
            account(k, "mm->locked_vm", k.vma.vm_mm[f.vma], -k.vma.vm_pages[f.vma]);
          }),
        ),
        call(() => munlock_vma_pages_range, { vma: "vma" }),
      ],
    ),
  ],
);

/** Every VMA of a range, which must have no holes: apply_vma_lock_flags. */
const apply_vma_lock_flags = path(
  "apply_vma_lock_flags",
  {
    source: "mm/mlock.c v4.20",
    args: { start: vpn, end: vpn, lock: int },
    locals: { at: vpn, tmp: vpn, vma: int },
    returns: int,
  },
  [
    local((_, f) => {
      f.at = f.start;
    }),
    repeat(
      (_, f) => f.ret === 0 && f.at < f.end,
      [
        local((k, f) => {
          f.vma = find_vma(k, f.at);
          if (f.vma === NONE) f.ret = -ERRNO.ENOMEM;
          else f.tmp = Math.min(k.vma.vm_start[f.vma] + k.vma.vm_pages[f.vma], f.end);
        }),
        given(
          (_, f) => f.ret === 0,
          [call(() => mlock_fixup, { vma: "vma", start: "at", end: "tmp", lock: "lock" }, "ret")],
        ),
        local((_, f) => {
          f.at = f.tmp;
        }),
      ],
    ),
  ],
);

/** Whether mlock faults a VMA in for writing: private mappings get their copies now. */
const populates_for_write = (k: Kernel, vma: number): boolean =>
  (k.vma.vm_flags[vma] & (VM_WRITE | VM_SHARED)) === VM_WRITE;

/**
 * Fault one page in, and mark it if its VMA is locked (FOLL_TOUCH, FOLL_POPULATE, FOLL_MLOCK): no reference stays. A page that
 * somebody else has locked is not marked now: reclaim will mark it when it meets the VMA. Gives VM_FAULT_ERROR bits, or RETRY.
 */
const populate_page = path(
  "populate_vma_page_range",
  {
    source: "mm/gup.c v4.20",
    args: { at: vpn, flags: int },
    locals: { vma: int, done: int },
    returns: int,
  },
  [
    local((k, f) => {
      f.vma = find_vma(k, f.at);
    }),
    given((_, f) => f.vma === NONE, [leave(() => VM_FAULT.SIGSEGV)]),
    local((k, f) => {
      if (populates_for_write(k, f.vma)) f.flags |= FAULT_FLAG.WRITE;
    }),
    label("retry"),
    under(ptl, [
      step("follow_page_pte", (k, f) => {
        const entry = k.pte.entry[f.at];
        const write = (f.flags & FAULT_FLAG.WRITE) !== 0;
        if (!pte_present(entry) || (write && !pte_write(entry))) return;
        f.done = 1;
        const page = vm_normal_page(k, entry);
        if (page === NONE) return;
        mark_page_accessed(k, page);
        if ((k.vma.vm_flags[f.vma] & VM_LOCKED) === 0 || k.page.mapping[page] === 0) return;
        if (PageLocked(k, page)) return;
        // trylock_page: nobody sees a lock that is taken and given back under the ptl.
        lru_add_drain(k);
        trylock_page(k, page);
        mlock_vma_page(k, page);
        unlock_page(k, page);
      }),
    ]),
    given((_, f) => f.done === 1, [leave()]),
    call(() => handle_mm_fault, { at: "at", flags: "flags" }, "ret"),
    given((_, f) => (f.ret & (VM_FAULT.ERROR | VM_FAULT.RETRY)) !== 0, [leave()]),
    goto("retry"),
  ],
);

/** Fault a range in. A fault that waits for a page gives mmap_sem back, once a page. */
const __mm_populate = path(
  "__mm_populate",
  {
    source: "mm/gup.c v4.20",
    args: { start: vpn, end: vpn },
    locals: { at: vpn, flags: int, fault: int },
    returns: int,
  },
  [
    local((_, f) => {
      f.at = f.start;
    }),
    repeat(
      (_, f) => f.at < f.end && f.ret === 0,
      [
        local((_, f) => {
          f.flags = (f.fault & VM_FAULT.RETRY) !== 0 ? FAULT_FLAG.TRIED : FAULT_FLAG.ALLOW_RETRY;
          f.fault = 0;
        }),
        down_read(mmap_sem, (k, f) => mm_of(k, f.at)),
        call(() => populate_page, { at: "at", flags: "flags" }, "fault"),
        given(
          (_, f) => (f.fault & VM_FAULT.RETRY) !== 0,
          [lockdep_assert_not_held(mmap_sem), local(() => {})],
          [
            lockdep_assert_held(mmap_sem),
            up_read(mmap_sem, (k, f) => mm_of(k, f.at)),
            local((_, f) => {
              // -EFAULT becomes -ENOMEM: __mlock_posix_error_return.
              if ((f.fault & VM_FAULT.ERROR) !== 0) f.ret = -ERRNO.ENOMEM;
              f.fault = 0;
              f.at++;
            }),
          ],
        ),
      ],
    ),
    local((_, f) => {
      f.flags = 0;
    }),
  ],
);

/** mlock(2) from a virtual page on, for `nr` pages. Gives 0, -EPERM or -ENOMEM. */
export const mlock = path(
  "mlock",
  {
    source: "mm/mlock.c v4.20",
    args: { start: vpn, nr: int },
    locals: { end: vpn },
    returns: int,
  },
  [
    local((_, f) => {
      f.end = f.start + f.nr;
    }),
    down_write(mmap_sem, (k, f) => mm_of(k, f.start)),
    step("do_mlock", (k, f) => {
      const mm = mm_of(k, f.start);
      f.ret = mlock_allowed(k, mm, f.nr, count_mm_mlocked_page_nr(k, mm, f.start, f.end));
      if (f.ret !== 0) k.refused("mlock", f.ret, NONE);
    }),
    given(
      (_, f) => f.ret === 0,
      [call(() => apply_vma_lock_flags, { start: "start", end: "end", lock: 1 }, "ret")],
    ),
    up_write(mmap_sem, (k, f) => mm_of(k, f.start)),
    given((_, f) => f.ret !== 0, [leave()]),
    call(() => __mm_populate, { start: "start", end: "end" }, "ret"),
  ],
);

/** munlock(2) */
export const munlock = path(
  "munlock",
  {
    source: "mm/mlock.c v4.20",
    args: { start: vpn, nr: int },
    locals: { end: vpn },
    returns: int,
  },
  [
    local((_, f) => {
      f.end = f.start + f.nr;
    }),
    down_write(mmap_sem, (k, f) => mm_of(k, f.start)),
    call(() => apply_vma_lock_flags, { start: "start", end: "end", lock: 0 }, "ret"),
    up_write(mmap_sem, (k, f) => mm_of(k, f.start)),
  ],
);
