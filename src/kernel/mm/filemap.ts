/**
 * The page cache: slots and tags of a mapping, the read fault, the end of writeback.
 *
 * Source: mm/filemap.c, lib/xarray.c in v4.20. The tags are what writeback walks (PAGECACHE_TAG_DIRTY, TOWRITE) and
 * what fsync waits on (WRITEBACK); they change under the xa_lock, so each change is part of one step.
 *
 * What reclaim leaves in the slot of a page is in mm/workingset.ts. Left out: readahead (a miss reads one page), VM_RAND_READ, killable
 * waits, reads that fail.
 */

import { struct, u16 } from "../../machine/memory.js";
import type { Node } from "../../machine/path.js";
import { WORD } from "../../trace/words.js";
import type { Kernel, Table } from "../kernel.js";
import {
  awaits,
  call,
  check,
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
  tries,
  under,
  up_read,
  wait,
  when,
} from "../language.js";
import { mmap_sem, PG_locked, xa_lock } from "../locks.js";
import { a_ops, FAULT_FLAG, fs_of_inode, VM_FAULT } from "../operations.js";
import { isAnon } from "../structs.js";
import { type InodeNr, inode, int, NONE, type Pfn, pfn, type Slot } from "../types.js";
import {
  ClearPageReclaim,
  get_page,
  get_page_unless_zero,
  lock_page,
  lock_page_for_read,
  PageDirty,
  PageLocked,
  PageReclaim,
  PageSwapCache,
  PageUptodate,
  PageWriteback,
  trylock_page,
  unlock,
  unlock_page,
} from "./page.js";
import { alloc_pages } from "./page_alloc.js";
import { account_page_cleaned, test_clear_page_writeback, WARN } from "./page_writeback.js";
import { lru_cache_add, put_page, rotate_reclaimable_page } from "./swap.js";
import { page_private } from "./swapfile.js";
import { shadows, take_shadow, workingset_refault } from "./workingset.js";
import { forget_written } from "./written.js";

/** What struct address_space holds beyond the tree. */
export const address_space = struct("address_space", {
  writeback_index: u16("where the next cyclic walk begins: an index"),
});

/** The structs of this file. */
export const addressSpaceTables: readonly Table[] = [
  { struct: address_space, rows: (g) => (g.config.has("kupdate") ? g.files.length + 1 : 0) },
];

export type Tag = "dirty" | "writeback" | "towrite";

/** What filemap_fault gives when it has no page: why, VM_FAULT_*, as a page number that is none. */
export const no_page = (vm_fault: number): Pfn => NONE - 1 - vm_fault;
/** The VM_FAULT_* of such a page number. */
export const fault_without_page = (page: Pfn): number => NONE - 1 - page;

/** page->mapping, or 0: anonymous pages have no page_mapping() unless they are in the swap cache. */
export function page_mapping(k: Kernel, page: Pfn): InodeNr {
  if (k.swapper_space !== 0 && PageSwapCache(k, page)) return k.swapper_space;
  const mapping = k.page.mapping[page];
  return isAnon(mapping) ? 0 : mapping;
}

/** page_index: where in its page_mapping() a page is. */
export const page_index = (k: Kernel, page: Pfn): number =>
  k.swapper_space !== 0 && PageSwapCache(k, page) ? page_private(k, page) : k.page.index[page];

/** The file's size in pages, the last one partial or not: DIV_ROUND_UP(i_size_read(inode), PAGE_SIZE). */
export const i_size_pages = (k: Kernel, mapping: InodeNr): number =>
  Math.ceil(k.inode.i_size[mapping] / k.geometry.parts);

const slot_of = (k: Kernel, page: Pfn): Slot => k.slotOf(page_mapping(k, page), page_index(k, page));

export function xa_get_mark(k: Kernel, page: Pfn, tag: Tag): boolean {
  const slot = slot_of(k, page);
  return (k.xa_mark[tag][slot >>> 5] & (1 << (slot & 31))) !== 0;
}

export function xa_set_mark(k: Kernel, page: Pfn, tag: Tag): void {
  const slot = slot_of(k, page);
  k.xa_mark[tag][slot >>> 5] |= 1 << (slot & 31);
  if (k.recorder !== null) k.note(WORD.tags, page, k.tagsWord(page));
}

export function xa_clear_mark(k: Kernel, page: Pfn, tag: Tag): void {
  const slot = slot_of(k, page);
  k.xa_mark[tag][slot >>> 5] &= ~(1 << (slot & 31));
  if (k.recorder !== null) k.note(WORD.tags, page, k.tagsWord(page));
}

/** The first index at or after `from` whose slot carries the tag, or NONE. */
export function find_tagged(k: Kernel, mapping: InodeNr, from: number, tag: Tag): number {
  const first = k.inode.first_slot[mapping];
  const end = first + k.inode.i_pages[mapping];
  const marks = k.xa_mark[tag];
  let slot = first + from;
  while (slot < end) {
    const word = marks[slot >>> 5] >>> (slot & 31);
    if (word !== 0) {
      const found = slot + 31 - Math.clz32(word & -word);
      return found < end ? found - first : NONE;
    }
    slot = (slot | 31) + 1;
  }
  return NONE;
}

/** mapping_tagged */
export const mapping_tagged = (k: Kernel, mapping: InodeNr, tag: Tag): boolean =>
  find_tagged(k, mapping, 0, tag) !== NONE;

/** find_get_page: the cached page with a reference, or NONE. */
export function find_get_page(k: Kernel, mapping: InodeNr, index: number): Pfn {
  const page = k.xa_slot.page[k.slotOf(mapping, index)] - 1;
  if (page === NONE || !get_page_unless_zero(k, page)) return NONE;
  return page;
}

/**
 * The first page at or after `from`, and not after `end`, that carries the tag, with a reference, or NONE:
 * pagevec_lookup_range_tag for one page.
 */
export function find_get_page_tag(
  k: Kernel,
  mapping: InodeNr,
  from: number,
  tag: Tag,
  end = Number.POSITIVE_INFINITY,
): Pfn {
  for (
    let index = find_tagged(k, mapping, from, tag);
    index !== NONE && index <= end;
    index = find_tagged(k, mapping, index + 1, tag)
  ) {
    const page = find_get_page(k, mapping, index);
    if (page !== NONE) return page;
  }
  return NONE;
}

/** mapping->nrpages, or whether there are any: what evicted pages have left does not count. */
export function nrpages(k: Kernel, mapping: InodeNr): boolean {
  const first = k.inode.first_slot[mapping];
  return k.xa_slot.page.subarray(first, first + k.inode.i_pages[mapping]).some((page) => page !== 0);
}

/**
 * Put a locked page into a mapping: one reference for the cache, and the batch that leads to the LRU. A page that reclaim took lately goes
 * there as an active one, unless it is to be written (`gfp_write`, __GFP_WRITE): others should not go for it.
 */
export function add_to_page_cache_lru(
  k: Kernel,
  page: Pfn,
  mapping: InodeNr,
  index: number,
  gfp_write = false,
): boolean {
  const slot = k.slotOf(mapping, index);
  if (k.xa_slot.page[slot] !== 0) return false;
  const shadow = take_shadow(k, slot);
  k.xa_slot.page[slot] = page + 1;
  forget_written(k, page);
  k.page.mapping[page] = mapping;
  k.page.index[page] = index;
  get_page(k, page);
  k.count("nr_file_pages");
  if (!gfp_write && shadow !== 0) workingset_refault(k, page, shadow);
  lru_cache_add(k, page);
  return true;
}

/**
 * __delete_from_page_cache: empties the slot, its tags, and page->mapping. The cache's reference is the caller's. A page that
 * is dirty now loses its data: a warning and the gauges, PG_dirty stays (unaccount_page_cache_page). Reclaim leaves a shadow in the slot.
 */
export function __delete_from_page_cache(k: Kernel, page: Pfn, shadow = 0): void {
  for (const insert of k.inserts.__delete_from_page_cache) insert(k, page);
  const dirty = k.WARN_ON_ONCE(
    PageDirty(k, page),
    WARN.unaccount_page_cache_page_dirty,
    "unaccount_page_cache_page: WARN_ON_ONCE(PageDirty(page))",
    page,
  );
  if (dirty) account_page_cleaned(k, k.page.mapping[page]);
  for (const tag of ["dirty", "writeback", "towrite"] as const)
    if (xa_get_mark(k, page, tag)) xa_clear_mark(k, page, tag);
  const slot = slot_of(k, page);
  k.xa_slot.page[slot] = 0;
  if (shadow !== 0) shadows(k)[slot] = shadow;
  k.page.mapping[page] = 0;
  k.count("nr_file_pages", -1);
}

/** Read a missing page into the cache. Gives NONE, or no_page(VM_FAULT_OOM). */
export const page_cache_read = path(
  "page_cache_read",
  {
    source: "mm/filemap.c v4.20",
    args: { mapping: inode, index: int },
    locals: { page: pfn, added: int },
    returns: pfn,
  },
  [
    alloc_pages("__alloc_pages_nodemask", "page", () => {}, [leave(() => no_page(VM_FAULT.OOM))]),
    step("add_to_page_cache_lru", (k, f) => {
      lock_page_for_read(k, f.page);
      f.added = add_to_page_cache_lru(k, f.page, f.mapping, f.index) ? 1 : 0;
      if (f.added === 0) unlock_page(k, f.page);
    }),
    given(
      (_, f) => f.added === 1,
      [dispatch(a_ops, "readpage", (k, f) => fs_of_inode(k, f.mapping), { page: "page" })],
    ),
    step("put_page", (k, f) => put_page(k, f.page)),
  ],
);

/**
 * lock_page_or_retry, of a fault: who would have to wait for the page lets go of mmap_sem first, if the caller allows it, puts the page and
 * leaves with `retry`. It goes on at the label `locked`.
 */
export function lock_page_or_retry(
  retry: number,
): Node<Kernel, { readonly page: Pfn; readonly vma: number; readonly flags: number; ret: number }>[] {
  return [
    config("mmap", [
      given(
        (_, f) => (f.flags & FAULT_FLAG.ALLOW_RETRY) !== 0,
        [
          tries(
            PG_locked,
            when("trylock_page", (k, f) => trylock_page(k, f.page), [goto("locked")]),
          ),
          up_read(mmap_sem, (k, f) => k.vma.vm_mm[f.vma]),
          awaits(
            PG_locked,
            wait("wait_on_page_locked", (k, f) => !PageLocked(k, f.page)),
          ),
          step("put_page", (k, f) => put_page(k, f.page)),
          leave(() => retry),
        ],
      ),
    ]),
    lock_page(),
    label("locked"),
  ];
}

/**
 * The page of a file at an index, uptodate and locked, with a reference for the caller; or no_page(VM_FAULT_*).
 */
export const filemap_fault = path(
  "filemap_fault",
  {
    source: "mm/filemap.c v4.20",
    args: { mapping: inode, index: int, vma: int, flags: int },
    locals: { page: pfn },
    returns: pfn,
  },
  [
    config("truncate", [
      when("offset >= max_off", (k, f) => f.index >= i_size_pages(k, f.mapping), [
        lockdep_assert_not_held(PG_locked),
        leave(() => no_page(VM_FAULT.SIGBUS)),
      ]),
    ]),
    step("find_get_page", (k, f) => {
      f.page = find_get_page(k, f.mapping, f.index);
    }),
    given(
      (_, f) => f.page !== NONE,
      [
        // The same bit means readahead here: the fault takes a page that reclaim has marked for one to read ahead of.
        given(
          (_, f) => (f.flags & FAULT_FLAG.TRIED) === 0,
          [
            when("PageReadahead", (k, f) => PageReclaim(k, f.page) && !PageWriteback(k, f.page), [
              step("page_cache_async_readahead", (k, f) => ClearPageReclaim(k, f.page)),
            ]),
          ],
        ),
      ],
      [
        // do_sync_mmap_readahead: that it fails is seen when the page is looked for again.
        call(() => page_cache_read, { mapping: "mapping", index: "index" }, "page"),
        local((k, f) => {
          k.count("pgmajfault");
          f.page = NONE;
        }),
        label("retry_find"),
        step("find_get_page", (k, f) => {
          f.page = find_get_page(k, f.mapping, f.index);
        }),
        given(
          (_, f) => f.page === NONE,
          [
            call(() => page_cache_read, { mapping: "mapping", index: "index" }, "page"),
            config("direct_reclaim", [given((_, f) => f.page !== NONE, [leave((_, f) => f.page)])]),
            goto("retry_find"),
          ],
        ),
      ],
    ),
    ...lock_page_or_retry(no_page(VM_FAULT.RETRY)),
    held(
      when("page->mapping != mapping", (k, f) => k.page.mapping[f.page] !== f.mapping, [
        unlock(),
        step("put_page", (k, f) => put_page(k, f.page)),
        goto("retry_find"),
      ]),
    ),
    held(check("PageUptodate", (k, f) => PageUptodate(k, f.page), "page_not_uptodate")),
    // The size is asked once more under the page lock, for which truncation waits.
    config("truncate", [
      when("offset >= max_off", (k, f) => f.index >= i_size_pages(k, f.mapping), [
        unlock(),
        step("put_page", (k, f) => put_page(k, f.page)),
        leave(() => no_page(VM_FAULT.SIGBUS)),
      ]),
    ]),
    leave((_, f) => f.page),
    // The page of a write that has not filled it. The read has the page lock now, and unlocks it.
    label("page_not_uptodate"),
    held(
      gives(
        PG_locked,
        step("readpage", (k, f) => lock_page_for_read(k, f.page)),
      ),
    ),
    dispatch(a_ops, "readpage", (k, f) => fs_of_inode(k, f.mapping), { page: "page" }),
    // Uptodate afterwards: no read fails here.
    awaits(
      PG_locked,
      wait("wait_on_page_locked", (k, f) => !PageLocked(k, f.page)),
    ),
    step("put_page", (k, f) => put_page(k, f.page)),
    goto("retry_find"),
  ],
);

/** The end of a page's writeback, called by the disk's completion: no page lock, no reference. */
export const end_page_writeback = path(
  "end_page_writeback",
  { source: "mm/filemap.c v4.20", args: { page: pfn } },
  [
    when("PageReclaim", (k, f) => PageReclaim(k, f.page), [
      step("rotate_reclaimable_page", (k, f) => {
        ClearPageReclaim(k, f.page);
        rotate_reclaimable_page(k, f.page);
      }),
    ]),
    under(xa_lock, [
      step("test_clear_page_writeback", (k, f) => {
        k.BUG_ON(
          !test_clear_page_writeback(k, f.page),
          "end_page_writeback: the page was not under writeback",
          f.page,
        );
      }),
    ]),
  ],
);
