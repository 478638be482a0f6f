/**
 * tmpfs: a filesystem in memory. No buffers, no writeback, no page_mkwrite: nobody else owns the dirty bit.
 *
 * Source: mm/shmem.c, mm/page-writeback.c (__set_page_dirty_no_writeback) in v4.20. The article's "non-RAM-based
 * filesystem" is every filesystem but this kind. A page comes to be in one function, shmem_getpage_gfp, for reads, faults and writes.
 * With swap its dirty pages go to the swap area and come back (fs/shmem_swap.ts); seals are in mm/memfd.ts. Left out: huge pages, fallocate, limits of the filesystem's size, a fault's wait for a hole in the making (shmem_falloc).
 */
import { ERRNO } from "../errno.js";
import type { Kernel } from "../kernel.js";
import {
  call,
  check,
  config,
  given,
  goto,
  held,
  label,
  leave,
  lockdep_assert_not_held,
  path,
  step,
  tries,
  under,
  when,
} from "../language.js";
import { PG_locked, xa_lock } from "../locks.js";
import { __delete_from_page_cache, add_to_page_cache_lru, find_get_page, no_page } from "../mm/filemap.js";
import { F_SEAL, is_sealed } from "../mm/memfd.js";
import {
  lock_page,
  PageDirty,
  SetPageReferenced,
  SetPageSwapBacked,
  SetPageUptodate,
  TestSetPageDirty,
  trylock_page,
  unlock,
} from "../mm/page.js";
import { alloc_pages } from "../mm/page_alloc.js";
import { set_page_dirty } from "../mm/page_writeback.js";
import { mark_page_accessed, put_page } from "../mm/swap.js";
import { VM_FAULT } from "../operations.js";
import { type InodeNr, inode, int, NONE, type Pfn, pfn } from "../types.js";
import { shmem_swap_entry, shmem_swapin } from "./shmem_swap.js";

const set_dirty = step<{ readonly page: Pfn; ret: number }>("TestSetPageDirty", (k, f) => {
  f.ret = PageDirty(k, f.page) || TestSetPageDirty(k, f.page) ? 0 : 1;
});

export const __set_page_dirty_no_writeback = path(
  "__set_page_dirty_no_writeback",
  { source: "mm/page-writeback.c v4.20", args: { page: pfn }, returns: int },
  // Where PTEs are zapped without the page lock: a dirty PTE and PG_dirty change in one ptl section (mm/zap.ts).
  [config("truncate", [held(set_dirty)], [config("mmap", [held(set_dirty)], [set_dirty])])],
);

/** enum sgp_type: what shmem_getpage_gfp is asked for. READ gives no page for a hole, WRITE one that need not be filled. */
export const SGP = { READ: 0, CACHE: 1, WRITE: 4 } as const;

/** Enter a new page, locked, into the file; false, and it is free again, when somebody was faster. */
function shmem_add_to_page_cache(k: Kernel, page: Pfn, mapping: number, index: number, sgp: number): boolean {
  trylock_page(k, page);
  SetPageSwapBacked(k, page);
  if (sgp === SGP.WRITE) SetPageReferenced(k, page);
  if (add_to_page_cache_lru(k, page, mapping, index)) return true;
  k.page.flags[page] = 0;
  k.page.locked_by[page] = 0;
  put_page(k, page);
  return false;
}

const GETPAGE = { mapping: inode, index: int, sgp: int, page: pfn } as const;

/** Whether the page is behind the end of the file. */
const behind = (k: Kernel, f: { readonly mapping: InodeNr; readonly index: number }): boolean =>
  f.index * k.geometry.parts >= k.inode.i_size[f.mapping];

/**
 * The page of a file at an index, locked and with a reference, in the argument `page`, which is NONE before: found, or made. Gives 0, -EINVAL
 * behind the end of the file (a write may go there), or -ENOMEM.
 */
export const shmem_getpage_gfp = path(
  "shmem_getpage_gfp",
  { source: "mm/shmem.c v4.20", args: GETPAGE, locals: { swap: int }, returns: int },
  [
    label("repeat"),
    step("find_get_entry", (k, f) => {
      f.page = find_get_page(k, f.mapping, f.index);
      f.swap = f.page === NONE ? shmem_swap_entry(k, f.mapping, f.index) : 0;
    }),
    given(
      (_, f) => f.page !== NONE,
      [
        lock_page(),
        held(
          when("page_mapping(page) != mapping", (k, f) => k.page.mapping[f.page] !== f.mapping, [
            unlock(),
            step("put_page", (k, f) => put_page(k, f.page)),
            goto("repeat"),
          ]),
        ),
      ],
    ),
    config("truncate", [
      given((_, f) => f.sgp <= SGP.CACHE, [when("i_size_read", (k, f) => behind(k, f), [goto("EINVAL")])]),
    ]),
    config("swap", [given((_, f) => f.swap !== 0, shmem_swapin())]),
    given(
      (_, f) => f.page !== NONE && f.sgp === SGP.WRITE,
      [step("mark_page_accessed", (k, f) => mark_page_accessed(k, f.page))],
    ),
    // A page that is not uptodate would be one of fallocate.
    given((_, f) => f.page !== NONE || f.sgp === SGP.READ, [leave(() => 0)]),
    lockdep_assert_not_held(PG_locked),
    alloc_pages("shmem_alloc_page", "page", () => {}, [leave(() => -ERRNO.ENOMEM)]),
    tries(
      PG_locked,
      check(
        "shmem_add_to_page_cache",
        (k, f) => shmem_add_to_page_cache(k, f.page, f.mapping, f.index, f.sgp),
        "repeat",
      ),
    ),
    given(
      (_, f) => f.sgp !== SGP.WRITE,
      [held(step("clear_highpage", (k, f) => SetPageUptodate(k, f.page)))],
    ),
    // Perhaps the file has been truncated since it was asked.
    config("truncate", [
      given(
        (_, f) => f.sgp <= SGP.CACHE,
        [
          when("i_size_read", (k, f) => behind(k, f), [
            under(xa_lock, [
              step("delete_from_page_cache", (k, f) => {
                __delete_from_page_cache(k, f.page);
                put_page(k, f.page);
              }),
            ]),
            goto("EINVAL"),
          ]),
        ],
      ),
    ]),
    leave(() => 0),
    config("truncate", [
      label("EINVAL"),
      given(
        (_, f) => f.page !== NONE,
        [
          unlock(),
          step("put_page", (k, f) => {
            put_page(k, f.page);
            f.page = NONE;
          }),
        ],
      ),
      lockdep_assert_not_held(PG_locked),
      leave(() => -ERRNO.EINVAL),
    ]),
  ],
);

/** The page of a file for a driver, uptodate and with a reference, in the argument `page`; a hole gets one. Gives 0, -EINVAL or -ENOMEM. */
export const shmem_read_mapping_page = path(
  "shmem_read_mapping_page_gfp",
  { source: "mm/shmem.c v4.20", args: { mapping: inode, index: int, page: pfn }, returns: int },
  [
    call(
      () => shmem_getpage_gfp,
      { mapping: "mapping", index: "index", sgp: SGP.CACHE, page: "page" },
      "ret",
    ),
    given((_, f) => f.ret === 0, [unlock()]),
    lockdep_assert_not_held(PG_locked),
  ],
);

/** The page of a file for a fault, uptodate and locked, with a reference for the caller; or no_page(VM_FAULT_*). Sleeps with mmap_sem. */
export const shmem_fault = path(
  "shmem_fault",
  {
    source: "mm/shmem.c v4.20",
    args: { mapping: inode, index: int },
    locals: { page: pfn, error: int },
    returns: pfn,
  },
  [
    call(
      () => shmem_getpage_gfp,
      { mapping: "mapping", index: "index", sgp: SGP.CACHE, page: "page" },
      "error",
    ),
    given(
      (_, f) => f.error < 0,
      [
        lockdep_assert_not_held(PG_locked),
        leave((_, f) => no_page(f.error === -ERRNO.ENOMEM ? VM_FAULT.OOM : VM_FAULT.SIGBUS)),
      ],
    ),
    leave((_, f) => f.page),
  ],
);

/**
 * read(2) of a file's page at an index; a hole is read as zeroes, and stays one. Gives 1, or 0 beyond the end of the file. The second
 * look at the size asks only whether the file ends right before the page: when it has got shorter still, v4.20 gives bytes.
 */
export const shmem_file_read_iter = path(
  "shmem_file_read_iter",
  {
    source: "mm/shmem.c v4.20",
    args: { mapping: inode, index: int },
    locals: { page: pfn, error: int },
    returns: int,
  },
  [
    config("truncate", [when("i_size_read", (k, f) => behind(k, f), [leave(() => 0)])]),
    call(
      () => shmem_getpage_gfp,
      { mapping: "mapping", index: "index", sgp: SGP.READ, page: "page" },
      "error",
    ),
    config("truncate", [given((_, f) => f.error < 0, [leave(() => 0)])]),
    given((_, f) => f.page !== NONE, [unlock()]),
    lockdep_assert_not_held(PG_locked),
    config("truncate", [
      when("index == end_index", (k, f) => f.index * k.geometry.parts === k.inode.i_size[f.mapping], [
        given((_, f) => f.page !== NONE, [step("put_page", (k, f) => put_page(k, f.page))]),
        leave(() => 0),
      ]),
    ]),
    given((_, f) => f.page !== NONE, [step("mark_page_accessed", (k, f) => mark_page_accessed(k, f.page))]),
    // Or of ZERO_PAGE.
    step("copy_page_to_iter", () => {}),
    given((_, f) => f.page !== NONE, [step("put_page", (k, f) => put_page(k, f.page))]),
    leave(() => 1),
  ],
);

const WRITE = { mapping: inode, index: int, from: int, to: int, page: pfn } as const;

/** Whether the file's seals keep a write from a page up to a part. */
const may_not_write = (k: Kernel, mapping: InodeNr, index: number, to: number): boolean =>
  is_sealed(k, mapping, F_SEAL.WRITE) ||
  (is_sealed(k, mapping, F_SEAL.GROW) && index * k.geometry.parts + to > k.inode.i_size[mapping]);

/** A page that is about to be written: the caller has i_rwsem. */
export const shmem_write_begin = path(
  "shmem_write_begin",
  { source: "mm/shmem.c v4.20", args: WRITE, returns: int },
  [
    // i_rwsem is the caller's.
    config("memfd", [
      given((k, f) => may_not_write(k, f.mapping, f.index, f.to), [leave(() => -ERRNO.EPERM)]),
    ]),
    call(
      () => shmem_getpage_gfp,
      { mapping: "mapping", index: "index", sgp: SGP.WRITE, page: "page" },
      "ret",
    ),
  ],
);

/** The page has been written: uptodate, what was not written is zeroes, and dirty by its flag. */
export const shmem_write_end = path(
  "shmem_write_end",
  { source: "mm/shmem.c v4.20", args: WRITE, returns: int },
  [
    config("truncate", [
      step("i_size_write", (k, f) => {
        const end = f.index * k.geometry.parts + f.to;
        if (end > k.inode.i_size[f.mapping]) k.inode.i_size[f.mapping] = end;
      }),
    ]),
    held(step("SetPageUptodate", (k, f) => SetPageUptodate(k, f.page))),
    call(() => set_page_dirty, { page: "page" }),
    unlock(),
    step("put_page", (k, f) => put_page(k, f.page)),
    leave((_, f) => f.to - f.from),
  ],
);
