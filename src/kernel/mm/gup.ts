/**
 * get_user_pages: a reference to the page behind a virtual address, and nothing else.
 *
 * Source: mm/gup.c in v4.20. Taking a writable reference makes sure that the PTE is writable at that instant, through
 * page_mkwrite if it was not. It cannot make the PTE stay writable: that is the whole bug. The fast path on a
 * writable PTE calls nobody at all.
 *
 * Left out: huge pages, FOLL_FORCE, device memory, signals, RLIMIT_MEMLOCK; every VMA here may be taken.
 */
import { type Kernel, PTE } from "../kernel.js";
import {
  call,
  check,
  down_read,
  given,
  goto,
  label,
  leave,
  local,
  path,
  repeat,
  step,
  under,
  up_read,
} from "../language.js";
import { mmap_sem, ptl } from "../locks.js";
import { VM_FAULT } from "../operations.js";
import { type DioNr, dio_nr, int, type Pfn, pfn, type Vpn, vpn } from "../types.js";
import { handle_mm_fault, mm_of, pte_pfn, pte_present, pte_write } from "./memory.js";
import { count_pin, get_page, get_page_unless_zero, PageDirty, SetPageReferenced } from "./page.js";
import { set_page_dirty } from "./page_writeback.js";
import { mark_page_accessed, put_page } from "./swap.js";

/** The caller's array of pages: pages[] of a dio. */
function store_page(k: Kernel, dio: DioNr, page: Pfn): void {
  k.dio_page.page[dio * k.geometry.dioPages + k.dio.nr[dio]] = page + 1;
  k.dio.nr[dio]++;
  count_pin(k, page, 1);
}

/** The lockless walk. Stops at the first page that it cannot have; the rest is the slow path's. */
const gup_pte_range = path(
  "gup_pte_range",
  {
    source: "mm/gup.c v4.20",
    args: { at: vpn, write: int, dio: dio_nr },
    locals: { pte: int, page: pfn },
    returns: int,
  },
  [
    step("pte_read", (k, f) => {
      f.pte = k.pte.entry[f.at];
    }),
    given((_, f) => !pte_present(f.pte) || (f.write === 1 && !pte_write(f.pte)), [leave()]),
    local((_, f) => {
      f.page = pte_pfn(f.pte);
    }),
    check("page_cache_get_speculative", (k, f) => get_page_unless_zero(k, f.page), "pte_unmap"),
    // The page may have been given to somebody else between the walk and the reference.
    check("pte_val(pte) == pte_val(*ptep)", (k, f) => k.pte.entry[f.at] === f.pte, "put"),
    step("SetPageReferenced", (k, f) => {
      SetPageReferenced(k, f.page);
      store_page(k, f.dio, f.page);
      f.ret = 1;
    }),
    leave(),
    label("put"),
    step("put_page", (k, f) => put_page(k, f.page)),
    label("pte_unmap"),
  ],
);

/** What follow_page_pte found: no page, a page that is the caller's now, or one that must be marked dirty first. */
const FOLLOW = { none: 0, taken: 1, dirty: 2 } as const;

/**
 * follow_page_pte with FOLL_GET and FOLL_TOUCH, one ptl section. FOLL_TOUCH wants a page that is taken for writing to be
 * dirty: where neither PTE nor page is, set_page_dirty comes first. Only a filesystem that does not trap first writes
 * gets there (tmpfs, mapped by a read); its steps are the caller's, and no rmap walk of such a page can come between.
 */
function follow_page_pte(k: Kernel, at: Vpn, write: boolean, dio: DioNr): number {
  const pte = k.pte.entry[at];
  if (!pte_present(pte) || (write && !pte_write(pte))) return FOLLOW.none;
  const page = pte_pfn(pte);
  get_page(k, page);
  if (write && (pte & PTE.dirty) === 0 && !PageDirty(k, page)) return FOLLOW.dirty;
  mark_page_accessed(k, page);
  store_page(k, dio, page);
  return FOLLOW.taken;
}

/** The slow path for one page: look, fault, look again. Between the fault and the look the PTE may be protected again. */
const __get_user_pages = path(
  "__get_user_pages",
  {
    source: "mm/gup.c v4.20",
    args: { at: vpn, write: int, dio: dio_nr },
    locals: { followed: int, fault: int, page: pfn },
    returns: int,
  },
  [
    label("retry"),
    under(ptl, [
      step("follow_page_pte", (k, f) => {
        f.followed = follow_page_pte(k, f.at, f.write === 1, f.dio);
        if (f.followed === FOLLOW.dirty) f.page = pte_pfn(k.pte.entry[f.at]);
      }),
    ]),
    given((_, f) => f.followed === FOLLOW.taken, [leave(() => 1)]),
    given(
      (_, f) => f.followed === FOLLOW.dirty,
      [
        under(ptl, [
          call(() => set_page_dirty, { page: "page" }),
          step("mark_page_accessed", (k, f) => {
            mark_page_accessed(k, f.page);
            store_page(k, f.dio, f.page);
          }),
        ]),
        leave(() => 1),
      ],
    ),
    call(() => handle_mm_fault, { at: "at", write: "write" }, "fault"),
    given((_, f) => (f.fault & VM_FAULT.SIGBUS) !== 0, [leave(() => 0)]),
    goto("retry"),
  ],
);

/**
 * Take `nr` pages from a virtual address on, into a dio's pages[]. Gives how many were taken: short when a page
 * cannot be had, as the caller then owns what it got.
 */
export const get_user_pages_fast = path(
  "get_user_pages_fast",
  {
    source: "mm/gup.c v4.20",
    args: { start: vpn, nr: int, write: int, dio: dio_nr },
    locals: { at: vpn, got: int },
    returns: int,
  },
  [
    local((_, f) => {
      f.at = f.start;
      f.got = 1;
    }),
    repeat(
      (_, f) => f.ret < f.nr && f.got === 1,
      [
        call(() => gup_pte_range, { at: "at", write: "write", dio: "dio" }, "got"),
        local((_, f) => {
          f.ret += f.got;
          f.at = f.start + f.ret;
        }),
      ],
    ),
    local((_, f) => {
      f.got = 1;
    }),
    given((_, f) => f.ret === f.nr, [leave()]),
    down_read(mmap_sem, (k, f) => mm_of(k, f.start)),
    repeat(
      (_, f) => f.ret < f.nr && f.got === 1,
      [
        call(() => __get_user_pages, { at: "at", write: "write", dio: "dio" }, "got"),
        local((_, f) => {
          f.ret += f.got;
          f.at = f.start + f.ret;
        }),
      ],
    ),
    up_read(mmap_sem, (k, f) => mm_of(k, f.start)),
  ],
);
