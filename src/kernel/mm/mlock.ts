/**
 * mlock: VM_LOCKED, PG_mlocked and the unevictable list.
 *
 * Source: mm/mlock.c in v4.20; lru_cache_add_active_or_unevictable from mm/swap.c. mlock keeps a
 * page in memory, not in its place: writeback cleans it, truncation takes it away, migration moves it. But reclaim never gets
 * as far as its buffers, so that the article's crash does not happen to a buffer that the process has mlocked.
 *
 * A page is marked by whoever meets it in a locked VMA: the fault that made it, mlock(2) that faults it in, reclaim that
 * wants to unmap it. munlock clears the mark and then asks the other VMAs.
 *
 * Left out: huge pages, mlockall, MLOCK_ONFAULT, vma_merge, that munlock takes up to fifteen pages through its phases at once
 * (__munlock_pagevec_fill: a batch here is one page), -EINTR.
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
import {
  VM_HUGETLB,
  VM_IO,
  VM_LOCKED,
  VM_LOCKONFAULT,
  VM_PFNMAP,
  VM_SHARED,
  VM_SPECIAL,
  VM_WRITE,
} from "../structs.js";
import { int, NONE, type Pfn, pfn, type Vpn, vpn } from "../types.js";
import { vm_fault_to_errno } from "./gup.js";
import { find_vma, handle_mm_fault, mm_of, pte_present, pte_write, vm_normal_page } from "./memory.js";
import { vma_is_fsdax } from "./memremap.js";
import { __split_vma, next_vma } from "./mmap.js";
import {
  ClearPageMlocked,
  ClearPageUnevictable,
  get_page,
  lock_page,
  PageLocked,
  PageMlocked,
  PageUnevictable,
  SetPageActive,
  SetPageMlocked,
  trylock_page,
  unlock,
  unlock_page,
} from "./page.js";
import { pagevec_release } from "./pagevec.js";
import { account, can_do_mlock, mlock_allowed } from "./rlimit.js";
import { try_to_munlock } from "./rmap.js";
import {
  __pagevec_lru_add,
  isolate_lru_page,
  lru_add_drain,
  lru_cache_add,
  mark_page_accessed,
  page_evictable,
  put_page,
  putback_lru_page,
} from "./swap.js";

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

/** __munlock_isolation_failed: somebody else has isolated the page. */
function __munlock_isolation_failed(k: Kernel, page: Pfn): void {
  k.count(PageUnevictable(k, page) ? "unevictable_pgs_stranded" : "unevictable_pgs_munlocked");
}

/** __munlock_isolated_page: mark the page again if another VMA wants it in memory, and put it back. */
const __munlock_isolated_page = <F extends { readonly page: Pfn }>() => [
  // Mapped once is mapped by the caller: no need to ask the others.
  when<F>("page_mapcount", (k, f) => k.page.mapcount[f.page] > 1, [
    { op: "call", callee: () => try_to_munlock, args: { page: "page" }, into: null },
  ]),
  step<F>("putback_lru_page", (k, f) => {
    if (!PageMlocked(k, f.page)) k.count("unevictable_pgs_munlocked");
    putback_lru_page(k, f.page);
  }),
];

/** A fault lets go of a locked page that is mlocked: clear the mark, and set it again if another VMA wants it. */
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
        if (f.isolated === 0) __munlock_isolation_failed(k, f.page);
      }),
    ]),
    given((_, f) => f.isolated === 1, [...__munlock_isolated_page<{ page: Pfn; isolated: number }>()]),
  ],
);

/**
 * munlock a page with the caller's reference, which is dropped. Phase 1: the mark goes, and the page from its list, without the page
 * lock. Phase 2: with the page lock other VMAs are asked, if there are any. Phase 3: back to its list, at once if it was easy.
 */
const __munlock_pagevec = path(
  "__munlock_pagevec",
  { source: "mm/mlock.c v4.20", args: { page: pfn }, locals: { isolated: int, pgrescued: int } },
  [
    under(lru_lock, [
      step("TestClearPageMlocked", (k, f) => {
        if (!PageMlocked(k, f.page)) return;
        ClearPageMlocked(k, f.page);
        k.count("nr_mlock", -1);
        // The caller's reference is the isolator's.
        f.isolated = isolate_lru_page(k, f.page) ? 1 : 0;
        if (f.isolated === 1) put_page(k, f.page);
        else __munlock_isolation_failed(k, f.page);
      }),
    ]),
    given(
      (_, f) => f.isolated === 0,
      [under(lru_lock, [step("pagevec_release", (k, f) => pagevec_release(k, f))]), leave()],
    ),
    lock_page(),
    when(
      "__putback_lru_fast_prepare",
      (k, f) => k.page.mapcount[f.page] <= 1 && page_evictable(k, f.page),
      [
        held(
          step("TestClearPageUnevictable", (k, f) => {
            f.pgrescued = PageUnevictable(k, f.page) ? 1 : 0;
            ClearPageUnevictable(k, f.page);
          }),
        ),
        unlock(),
        under(lru_lock, [
          step("__pagevec_lru_add", (k, f) => {
            k.count("unevictable_pgs_munlocked");
            __pagevec_lru_add(k, f.page);
            k.count("unevictable_pgs_rescued", f.pgrescued);
          }),
        ]),
      ],
      [
        // For putback_lru_page: the last reference must not go before the lock.
        step("get_page", (k, f) => get_page(k, f.page)),
        ...__munlock_isolated_page(),
        unlock(),
        step("put_page", (k, f) => put_page(k, f.page)),
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
          // FOLL_DUMP passes by the zero page.
          step("follow_page", (k, f) => {
            const entry = k.pte.entry[f.at];
            f.page = pte_present(entry) ? vm_normal_page(k, entry) : NONE;
            if (f.page !== NONE) get_page(k, f.page);
          }),
        ]),
        given((_, f) => f.page !== NONE, [call(() => __munlock_pagevec, { page: "page" })]),
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
      const is_special = (flags & (VM_SPECIAL | VM_HUGETLB)) !== 0 || vma_is_fsdax(k, f.vma);
      f.ignore = locked === f.lock || is_special ? 1 : 0;
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
 * somebody else has locked is not marked now: reclaim will mark it when it meets the VMA. Where nothing is mapped any more, or
 * nothing that has pages, there is nothing to do. Gives VM_FAULT_ERROR bits, or RETRY.
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
    given((k, f) => f.vma === NONE || (k.vma.vm_flags[f.vma] & (VM_IO | VM_PFNMAP)) !== 0, [leave(() => 0)]),
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
        trylock_page(k, page);
        lru_add_drain(k);
        mlock_vma_page(k, page);
        unlock_page(k, page);
      }),
    ]),
    given((_, f) => f.done === 1, [leave(() => 0)]),
    call(() => handle_mm_fault, { at: "at", flags: "flags" }, "ret"),
    given((_, f) => (f.ret & (VM_FAULT.ERROR | VM_FAULT.RETRY)) !== 0, [leave()]),
    goto("retry"),
  ],
);

/**
 * Fault a range in, with mmap_sem held all the time, unless a fault that waits for a page gives it back. Each time one does, the
 * VMA is looked for again; unlike get_user_pages this may go on for ever.
 */
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
    down_read(mmap_sem, (k, f) => mm_of(k, f.start)),
    repeat(
      (_, f) => f.at < f.end && f.ret === 0,
      [
        local((_, f) => {
          f.flags = FAULT_FLAG.ALLOW_RETRY;
        }),
        call(() => populate_page, { at: "at", flags: "flags" }, "fault"),
        given(
          (_, f) => (f.fault & VM_FAULT.RETRY) !== 0,
          [lockdep_assert_not_held(mmap_sem), down_read(mmap_sem, (k, f) => mm_of(k, f.start))],
          [
            lockdep_assert_held(mmap_sem),
            local((_, f) => {
              f.ret = vm_fault_to_errno(f.fault, 0);
              f.at++;
            }),
          ],
        ),
      ],
    ),
    up_read(mmap_sem, (k, f) => mm_of(k, f.start)),
    local((_, f) => {
      f.flags = 0;
      f.fault = 0;
    }),
  ],
);

/** __mlock_posix_error_return: mlock(2) has errors of its own. */
function __mlock_posix_error_return(error: number): number {
  if (error === -ERRNO.EFAULT) return -ERRNO.ENOMEM;
  return error === -ERRNO.ENOMEM ? -ERRNO.EAGAIN : error;
}

/** mlock(2) from a virtual page on, for `nr` pages. Gives 0, -EPERM, -ENOMEM, or -EAGAIN where memory is short. */
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
    given(
      (k) => !can_do_mlock(k),
      [
        step("can_do_mlock", (k, f) => {
          f.ret = k.refused("mlock", -ERRNO.EPERM, NONE);
        }),
        leave(),
      ],
    ),
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
    leave((_, f) => __mlock_posix_error_return(f.ret)),
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
