/**
 * get_user_pages: a reference to the page behind a virtual address, and nothing else.
 *
 * Source: mm/gup.c in v4.20. Taking a writable reference makes sure that the PTE is writable at that instant, through
 * page_mkwrite if it was not. It cannot make the PTE stay writable: that is the whole bug. The fast path on a
 * writable PTE calls neither the filesystem nor set_page_dirty.
 *
 * The functions differ in who holds mmap_sem. get_user_pages: the caller, all the time. get_user_pages_locked: the
 * caller has it, a fault that sleeps may drop it (VM_FAULT_RETRY), and it is given back at the end, as all of its callers do then.
 * get_user_pages_unlocked: nobody. get_user_pages_fast: nobody, and it is not needed while PTEs allow the access.
 * get_user_pages_remote is the first or the second of these for another process, which its address says. All give how
 * many pages were taken, an error only when none were: the caller owns what it got.
 *
 * Flags are FOLL_*. FOLL_GET and FOLL_TOUCH are not passed: every caller here has them (get_dump_page has no FOLL_TOUCH, and
 * FOLL_DUMP leaves it out).
 *
 * The fast walk runs with interrupts off, so that whoever clears a PTE and flushes the TLBs by interrupts waits for its end. Nobody waits
 * here: a walk that has seen the old PTE takes a spurious reference at any later moment, and finds out.
 *
 * Left out: addresses that are the kernel's (access_ok), protection keys (all that FOLL_REMOTE decides), huge pages, device
 * memory's pgmap references (see mm/memremap.ts), the gate area, NUMA hints, signals (-ERESTARTSYS), FOLL_NOWAIT, FOLL_MIGRATION,
 * FOLL_SPLIT, pages == NULL (populate: mm/mlock.ts) and with it the -EINVAL of get_user_pages_longterm, its own vmas array and
 * with it -ENOMEM.
 */
import type { FrameOf, Node } from "../../machine/path.js";
import { ERRNO } from "../errno.js";
import { type Kernel, PTE } from "../kernel.js";
import {
  call,
  check,
  config,
  down_read,
  given,
  goto,
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
} from "../language.js";
import { mmap_sem, ptl } from "../locks.js";
import { FAULT_FLAG, VM_FAULT } from "../operations.js";
import { VM_IO, VM_MAYREAD, VM_PFNMAP, VM_READ, VM_WRITE } from "../structs.js";
import { int, NONE, type PagesNr, type Pfn, pages_nr, pfn, type Vpn, vpn } from "../types.js";
import {
  find_vma,
  handle_mm_fault,
  is_cow_mapping,
  is_zero_pfn,
  mm_of,
  pte_pfn,
  pte_present,
  pte_write,
} from "./memory.js";
import { vma_is_fsdax } from "./memremap.js";
import { get_page, get_page_unless_zero, PageDirty, SetPageReferenced } from "./page.js";
import { set_page_dirty } from "./page_writeback.js";
import { mark_page_accessed, put_page } from "./swap.js";
import { put_page_of, put_user_page, store_page } from "./user_pages.js";

/** FOLL_*, v4.20 numbers, as far as somebody passes them. */
export const FOLL = {
  /** The PTE must be writable, or a copy must have been made. */
  WRITE: 0x1,
  /** Holes are errors. */
  DUMP: 0x8,
  /** Not the process's own access: VM_MAY* decides, and a write goes to a copy only. */
  FORCE: 0x10,
  /** A hardware-poisoned page gives -EHWPOISON and not -EFAULT. */
  HWPOISON: 0x100,
  /** A fault that was told to drop mmap_sem is tried once more, and keeps it now. */
  TRIED: 0x800,
  /** Another process's memory. */
  REMOTE: 0x2000,
  /** Set by faultin_page: the copy has been made. */
  COW: 0x4000,
  /** Anonymous memory only. Not the kernel's number, 0x8000: a word of a path's frame has fifteen bits, and 0x80 (FOLL_SPLIT) is not modelled. */
  ANON: 0x80,
} as const;

/** What a VMA allows: 0, or -EFAULT. In this order. */
export function check_vma_flags(k: Kernel, vma: number, gup_flags: number): number {
  const vm_flags = k.vma.vm_flags[vma];
  const force = (gup_flags & FOLL.FORCE) !== 0;
  if ((vm_flags & (VM_IO | VM_PFNMAP)) !== 0) return -ERRNO.EFAULT;
  if ((gup_flags & FOLL.ANON) !== 0 && k.vma.vm_file[vma] !== 0) return -ERRNO.EFAULT;
  if ((gup_flags & FOLL.WRITE) !== 0) {
    if ((vm_flags & VM_WRITE) === 0) {
      if (!force) return -ERRNO.EFAULT;
      // A forced write makes a copy: it never reaches a file or another process.
      if (!is_cow_mapping(vm_flags)) return -ERRNO.EFAULT;
    }
  } else if ((vm_flags & VM_READ) === 0) {
    if (!force) return -ERRNO.EFAULT;
    if ((vm_flags & VM_MAYREAD) === 0) return -ERRNO.EFAULT;
  }
  return 0;
}

/** The lockless walk. Stops at the first page that it cannot have; the rest is the slow path's. */
const gup_pte_range = path(
  "gup_pte_range",
  {
    source: "mm/gup.c v4.20",
    args: { at: vpn, write: int, pages: pages_nr },
    locals: { pte: int, page: pfn },
    returns: int,
  },
  [
    step("pte_read", (k, f) => {
      f.pte = k.pte.entry[f.at];
    }),
    given((_, f) => !pte_present(f.pte) || ((f.write & FOLL.WRITE) !== 0 && !pte_write(f.pte)), [leave()]),
    // pte_special
    given((k, f) => is_zero_pfn(k, pte_pfn(f.pte)), [leave()]),
    local((_, f) => {
      f.page = pte_pfn(f.pte);
    }),
    check("page_cache_get_speculative", (k, f) => get_page_unless_zero(k, f.page), "pte_unmap"),
    // The page may have been given to somebody else between the walk and the reference.
    check("pte_val(pte) == pte_val(*ptep)", (k, f) => k.pte.entry[f.at] === f.pte, "put"),
    step("SetPageReferenced", (k, f) => {
      SetPageReferenced(k, f.page);
      store_page(k, f.pages, f.page);
      f.ret = 1;
    }),
    leave(),
    label("put"),
    step("put_page", (k, f) => put_page(k, f.page)),
    label("pte_unmap"),
  ],
);

/** What follow_page_pte found: no page, a page that is the caller's now, one that must be marked dirty first, a hole, one that cannot be taken. */
export const FOLLOW = { none: 0, taken: 1, dirty: 2, error: 3, refused: 4 } as const;

/** can_follow_write_pte: a forced write is content with a copy whose PTE is dirty and read-only. */
const can_follow_write_pte = (pte: number, flags: number): boolean =>
  pte_write(pte) || ((flags & FOLL.FORCE) !== 0 && (flags & FOLL.COW) !== 0 && (pte & PTE.dirty) !== 0);

/**
 * follow_page_pte with FOLL_GET and FOLL_TOUCH, one ptl section. FOLL_TOUCH wants a page that is taken for writing to be
 * dirty: where neither PTE nor page is, set_page_dirty comes first. Only a filesystem that does not trap first writes
 * gets there (tmpfs, mapped by a read); its steps are the caller's, and no rmap walk of such a page can come between.
 *
 * @param take how a reference is taken, and whether there is one to take: get_page always says so
 */
export function follow_page_pte(
  k: Kernel,
  at: Vpn,
  flags: number,
  pages: PagesNr,
  take: (k: Kernel, page: Pfn, flags: number) => boolean = (k, page) => {
    get_page(k, page);
    return true;
  },
): number {
  const pte = k.pte.entry[at];
  const write = (flags & FOLL.WRITE) !== 0;
  const dump = (flags & FOLL.DUMP) !== 0;
  // no_page_table: a core dump does not fill in what nobody has touched.
  if (!pte_present(pte))
    return dump && pte === 0 && k.vma.vm_file[find_vma(k, at)] === 0 ? FOLLOW.error : FOLLOW.none;
  if (write && !can_follow_write_pte(pte, flags)) return FOLLOW.none;
  const page = pte_pfn(pte);
  if (dump && is_zero_pfn(k, page)) return FOLLOW.error;
  if (!take(k, page, flags)) return FOLLOW.refused;
  if (!dump) {
    if (write && (pte & PTE.dirty) === 0 && !PageDirty(k, page)) return FOLLOW.dirty;
    mark_page_accessed(k, page);
  }
  store_page(k, pages, page);
  return FOLLOW.taken;
}

/** faultin_page: what a fault's result means, 0 for "look again". */
export function vm_fault_to_errno(fault: number, gup_flags: number): number {
  if ((fault & VM_FAULT.OOM) !== 0) return -ERRNO.ENOMEM;
  if ((fault & VM_FAULT.HWPOISON) !== 0)
    return (gup_flags & FOLL.HWPOISON) !== 0 ? -ERRNO.EHWPOISON : -ERRNO.EFAULT;
  if ((fault & VM_FAULT.ERROR) !== 0) return -ERRNO.EFAULT;
  return 0;
}

const ONE_PAGE = {
  source: "mm/gup.c v4.20",
  args: { at: vpn, flags: int, pages: pages_nr },
  // followed: also the fault's flags. ret: what faultin_page has added to foll_flags, until there is a result. Slots are state.
  locals: { followed: int, fault: int, page: pfn },
  returns: int,
} as const;

/**
 * The slow path for one page: look, fault, look again. Between the fault and the look the PTE may be protected again.
 * Gives 1, or a negative error. With `nonblocking` a fault that has to sleep gives mmap_sem back, and the page is asked for once more
 * from the beginning with mmap_sem taken anew, as __get_user_pages_locked does: no VMA that was found before counts then.
 */
const __get_user_pages = (nonblocking: boolean) =>
  path("__get_user_pages", ONE_PAGE, [
    label("find_extend_vma"),
    given(
      (k, f) => find_vma(k, f.at) === NONE || check_vma_flags(k, find_vma(k, f.at), f.flags) !== 0,
      [leave(() => -ERRNO.EFAULT)],
    ),
    label("retry"),
    under(ptl, [
      step("follow_page_pte", (k, f) => {
        f.followed = follow_page_pte(k, f.at, f.flags | f.ret, f.pages);
        if (f.followed === FOLLOW.dirty) f.page = pte_pfn(k.pte.entry[f.at]);
      }),
    ]),
    given((_, f) => f.followed === FOLLOW.taken, [leave(() => 1)]),
    given((_, f) => f.followed === FOLLOW.error, [leave(() => -ERRNO.EFAULT)]),
    given(
      (_, f) => f.followed === FOLLOW.dirty,
      [
        under(ptl, [
          call(() => set_page_dirty, { page: "page" }),
          step("mark_page_accessed", (k, f) => {
            mark_page_accessed(k, f.page);
            store_page(k, f.pages, f.page);
          }),
        ]),
        leave(() => 1),
      ],
    ),
    local((_, f) => {
      const may_drop = nonblocking && (f.ret & FOLL.TRIED) === 0;
      f.followed =
        (((f.flags | f.ret) & FOLL.WRITE) !== 0 ? FAULT_FLAG.WRITE : 0) |
        (may_drop ? FAULT_FLAG.ALLOW_RETRY : 0);
      if ((f.ret & FOLL.TRIED) !== 0) f.followed |= FAULT_FLAG.TRIED;
    }),
    call(() => handle_mm_fault, { at: "at", flags: "followed" }, "fault"),
    given(
      (_, f) => vm_fault_to_errno(f.fault, f.flags) !== 0,
      [leave((_, f) => vm_fault_to_errno(f.fault, f.flags))],
    ),
    ...(nonblocking
      ? [
          config<FrameOf<typeof ONE_PAGE>>("mmap", [
            given<FrameOf<typeof ONE_PAGE>>(
              (_, f) => (f.fault & VM_FAULT.RETRY) !== 0,
              [
                lockdep_assert_not_held(mmap_sem),
                local((_, f) => {
                  f.ret = FOLL.TRIED;
                  f.followed = 0;
                  f.fault = 0;
                }),
                down_read(mmap_sem, (k, f) => mm_of(k, f.at)),
                goto("find_extend_vma"),
              ],
              [lockdep_assert_held(mmap_sem)],
            ),
          ]),
        ]
      : []),
    local((k, f) => {
      f.followed = 0;
      if ((f.fault & VM_FAULT.WRITE) !== 0 && (k.vma.vm_flags[find_vma(k, f.at)] & VM_WRITE) === 0)
        f.ret |= FOLL.COW;
    }),
    goto("retry"),
  ]);

/** One page, with mmap_sem held by the caller all the time; and one for which it may be given back. */
export const one_page = __get_user_pages(false);
export const one_page_nonblocking = __get_user_pages(true);

/** The fast walk over an array's addresses, for a path with these locals. */
const FAST = {
  source: "mm/gup.c v4.20",
  args: { start: vpn, nr: int, write: int, pages: pages_nr },
  locals: { at: vpn, got: int },
  returns: int,
} as const;

/**
 * Take `nr` pages from a virtual address on, `write` 1 for writing. Gives how many were taken: short when a page
 * cannot be had; an error of the slow path counts only when there is none.
 */
export const get_user_pages_fast = path("get_user_pages_fast", FAST, [
  local((_, f) => {
    f.at = f.start;
    f.got = 1;
  }),
  label("local_irq_disable"),
  repeat(
    (_, f) => f.ret < f.nr && f.got === 1,
    [
      call(() => gup_pte_range, { at: "at", write: "write", pages: "pages" }, "got"),
      local((_, f) => {
        f.ret += f.got;
        f.at = f.start + f.ret;
      }),
    ],
  ),
  label("local_irq_enable"),
  given((_, f) => f.ret === f.nr, [leave()]),
  local((_, f) => {
    f.got = 1;
  }),
  // get_user_pages_unlocked of the rest.
  down_read(mmap_sem, (k, f) => mm_of(k, f.start)),
  repeat(
    (_, f) => f.ret < f.nr && f.got >= 0,
    [
      call(() => one_page_nonblocking, { at: "at", flags: "write", pages: "pages" }, "got"),
      local((_, f) => {
        if (f.got === 1) f.ret++;
        f.at = f.start + f.ret;
      }),
    ],
  ),
  up_read(mmap_sem, (k, f) => mm_of(k, f.start)),
  given((_, f) => f.ret === 0, [leave((_, f) => f.got)]),
]);

/** The fast walk alone: for callers that may not sleep, or that have something better to do than fault. Never an error. */
export const __get_user_pages_fast = path("__get_user_pages_fast", FAST, [
  local((_, f) => {
    f.at = f.start;
    f.got = 1;
  }),
  label("local_irq_disable"),
  repeat(
    (_, f) => f.ret < f.nr && f.got === 1,
    [
      call(() => gup_pte_range, { at: "at", write: "write", pages: "pages" }, "got"),
      local((_, f) => {
        f.ret += f.got;
        f.at = f.start + f.ret;
      }),
    ],
  ),
  label("local_irq_enable"),
]);

const SLOW = {
  source: "mm/gup.c v4.20",
  args: { start: vpn, nr: int, flags: int, pages: pages_nr },
  locals: { at: vpn, got: int },
  returns: int,
} as const;

/** Take `nr` pages with mmap_sem held by the caller, from the beginning to the end. */
export const get_user_pages = path("get_user_pages", SLOW, [
  lockdep_assert_held(mmap_sem),
  given((_, f) => f.nr === 0, [leave()]),
  repeat(
    (_, f) => f.ret < f.nr && f.got >= 0,
    [
      local((_, f) => {
        f.at = f.start + f.ret;
      }),
      call(() => one_page, { at: "at", flags: "flags", pages: "pages" }, "got"),
      local((_, f) => {
        if (f.got === 1) f.ret++;
      }),
    ],
  ),
  given((_, f) => f.ret === 0, [leave((_, f) => f.got)]),
]);

/**
 * Take `nr` pages with mmap_sem held by the caller, and give it back. A fault that has to sleep drops it meanwhile: the VMAs may
 * be others then.
 */
export const get_user_pages_locked = path("get_user_pages_locked", SLOW, [
  lockdep_assert_held(mmap_sem),
  repeat(
    (_, f) => f.ret < f.nr && f.got >= 0,
    [
      local((_, f) => {
        f.at = f.start + f.ret;
      }),
      call(() => one_page_nonblocking, { at: "at", flags: "flags", pages: "pages" }, "got"),
      local((_, f) => {
        if (f.got === 1) f.ret++;
      }),
    ],
  ),
  up_read(mmap_sem, (k, f) => mm_of(k, f.start)),
  given((_, f) => f.ret === 0, [leave((_, f) => f.got)]),
]);

/** The same for a caller that does not hold mmap_sem. */
export const get_user_pages_unlocked = path(
  "get_user_pages_unlocked",
  { source: "mm/gup.c v4.20", args: SLOW.args, returns: int },
  [
    down_read(mmap_sem, (k, f) => mm_of(k, f.start)),
    call(() => get_user_pages_locked, { start: "start", nr: "nr", flags: "flags", pages: "pages" }, "ret"),
  ],
);

/** Whether one of the last `nr` pages of an array, which lie from `start` on, is a page of a file on fsdax. */
function any_fsdax(k: Kernel, start: Vpn, nr: number): boolean {
  for (let at = start; at < start + nr; at++) if (vma_is_fsdax(k, find_vma(k, at))) return true;
  return false;
}

interface Longterm {
  readonly start: Vpn;
  readonly pages: PagesNr;
  at: number;
  ret: number;
}

/** check_dax_vmas, and what follows: of pages that were taken, all are put where one is of a file on fsdax. */
export const refuse_fsdax = <F extends Longterm>(forgets = true): Node<Kernel, F> =>
  config<F>("dax", [
    given<F>(
      (k, f) => f.ret > 0 && any_fsdax(k, f.start, f.ret),
      [
        repeat<F>(
          (_, f) => f.at < f.ret,
          [
            step<F>("put_page", (k, f) => {
              const at = k.user_pages.nr[f.pages] - f.ret + f.at;
              if (forgets) put_user_page(k, f.pages, at);
              else put_page_of(k, f.pages, at);
              f.at++;
            }),
          ],
        ),
        local<F>((k, f) => {
          if (forgets) k.user_pages.nr[f.pages] -= f.ret;
        }),
        leave<F>(() => -ERRNO.EOPNOTSUPP),
      ],
    ),
  ]);

/**
 * get_user_pages for as long as a user likes: refused for files on fsdax, whose pages are the storage. The pages have been taken
 * by then, and are given back: for a moment truncation saw them busy. They stand in the caller's array still; `forgets` is for callers
 * that do not look there after an error.
 */
const longterm = (forgets: boolean) =>
  path(
    "get_user_pages_longterm",
    { source: "mm/gup.c v4.20", args: SLOW.args, locals: { at: int }, returns: int },
    [
      call(() => get_user_pages, { start: "start", nr: "nr", flags: "flags", pages: "pages" }, "ret"),
      refuse_fsdax(forgets),
    ],
  );

export const get_user_pages_longterm = longterm(true);
/** The same for a caller that takes what stands in its array after an error for its own. */
export const get_user_pages_longterm_stale = longterm(false);

/** The page of a core dump, or no page: FOLL_FORCE, and holes stay holes. Gives 1 or 0. */
export const get_dump_page = path(
  "get_dump_page",
  { source: "mm/gup.c v4.20", args: { at: vpn, pages: pages_nr }, returns: int },
  [
    call(() => one_page, { at: "at", flags: FOLL.FORCE | FOLL.DUMP, pages: "pages" }, "ret"),
    leave((_, f) => (f.ret === 1 ? 1 : 0)),
  ],
);
