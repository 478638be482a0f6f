/**
 * Taking pages out of a file: truncation and punching, which throw data away, and invalidation, which only drops copies.
 *
 * Source: mm/truncate.c in v4.20. Three ways, and what each asks before it takes a page:
 *
 * truncate_inode_page asks nothing. Dirty, written to by a device, held by anybody: the page leaves the file, and whoever holds it holds
 * a page that is in no file (mm/orphan.ts).
 *
 * invalidate_mapping_pages (drop_caches, POSIX_FADV_DONTNEED) takes only pages that are clean, unmapped and unheld; but it asks for
 * holders last, in remove_mapping, when try_to_release_page has already freed the buffers. So it strips a page that a driver holds
 * exactly as reclaim does. Later kernels ask for holders first.
 *
 * invalidate_inode_pages2_range (before and after O_DIRECT writes) unmaps the page, frees its buffers, and takes every clean page, held or
 * not. A clean page that a device is writing into is taken with all that arrives in it.
 *
 * Left out: that truncation's first sweep locks all pages of a batch before it takes the first (each is locked and taken by itself;
 * batches: mm/pagevec.ts), that the shadow entries of evicted pages (mm/workingset.ts) are cleared batch by batch (here those of the whole
 * range that are there after a lookup), cleancache, huge pages,
 * launder_page (no filesystem here has it), blocks smaller than a page (pagecache_isize_extended has nothing to do), and the batch
 * through which deactivate_file_page goes.
 */

import type { Node } from "../../machine/path.js";
import { ERRNO } from "../errno.js";
import { disk_version } from "../fs/blocks.js";
import type { Kernel } from "../kernel.js";
import {
  call,
  check,
  config,
  dispatch,
  given,
  goto,
  held,
  label,
  leave,
  local,
  path,
  step,
  tries,
  under,
  when,
} from "../language.js";
import { lru_lock, PG_locked, xa_lock } from "../locks.js";
import { a_ops, fs_of_page, is_dax_fs, mapping_cap_account_dirty } from "../operations.js";
import { type InodeNr, inode, int, NONE, type Pfn, pfn } from "../types.js";
import { __delete_from_page_cache, find_get_page, page_mapping } from "./filemap.js";
import { remember_orphan } from "./orphan.js";
import {
  ClearPageActive,
  ClearPageReferenced,
  lock_page,
  PageActive,
  PageDirty,
  PageLRU,
  PageUnevictable,
  PageWriteback,
  page_has_private,
  page_mapped,
  page_ref_unfreeze,
  SetPageReclaim,
  trylock_page,
  unlock,
  wait_on_page_writeback,
} from "./page.js";
import { cancel_dirty_page } from "./page_writeback.js";
import { pagevec_fill, pagevec_next, pagevec_release } from "./pagevec.js";
import {
  add_page_to_lru_list,
  add_page_to_lru_list_tail,
  del_page_from_lru_list,
  page_lru,
  put_page,
} from "./swap.js";
import { __remove_mapping, try_to_release_page } from "./vmscan.js";
import { clear_shadow_entries } from "./workingset.js";
import { unmap_mapping_pages } from "./zap.js";

/** The first cached page from `from` to before `end`, with a reference, or NONE. */
function find_get_entry(k: Kernel, mapping: InodeNr, from: number, end: number): Pfn {
  for (let index = from; index < Math.min(end, k.inode.i_pages[mapping]); index++) {
    const page = find_get_page(k, mapping, index);
    if (page !== NONE) return page;
  }
  return NONE;
}

/** pagevec_lookup_entries: cached pages from `index` to before `end`. */
function pagevec_lookup_entries(
  k: Kernel,
  f: { readonly mapping: InodeNr; readonly index: number; page: Pfn },
  end: number,
): void {
  let index = f.index;
  pagevec_fill(k, f, () => {
    const page = find_get_entry(k, f.mapping, index, end);
    if (page !== NONE) index = k.page.index[page] + 1;
    return page;
  });
}

/**
 * truncate_exceptional_pvec_entries, invalidate_exceptional_entry: what evicted pages have left from `index` to before `end` goes. It comes
 * after the lookup: a page that is read in between takes its shadow with it.
 */
const clear_shadow_entry = <F extends { readonly mapping: InodeNr; readonly index: number }>(
  end: (f: F) => number,
): Node<Kernel, F> =>
  config("workingset", [
    under(xa_lock, [
      step("clear_shadow_entry", (k, f) => clear_shadow_entries(k, f.mapping, f.index, end(f))),
    ]),
  ]);

/** zero_user_segment: a write like any other. */
function zero_user_segment(k: Kernel, page: Pfn, from: number, to: number): void {
  for (let part = from; part < to; part++) k.content.version[page * k.geometry.parts + part]++;
}

/** What a process may have stored behind the end of the file in its last page is zeroed before it is written: parts from `size` on. */
export function zero_page_tail(k: Kernel, page: Pfn, size: number): void {
  const { parts } = k.geometry;
  for (let at = page * parts + Math.max(size, 0); at < (page + 1) * parts; at++)
    if (k.content.version[at] !== 0) k.content.version[at]++;
}

/** Let the filesystem drop what it has attached to a part of a page. `offset` and `length` are in parts. */
export const do_invalidatepage = path(
  "do_invalidatepage",
  { source: "mm/truncate.c v4.20", args: { page: pfn, offset: int, length: int } },
  [
    dispatch(a_ops, "invalidatepage", (k, f) => fs_of_page(k, f.page), {
      page: "page",
      offset: "offset",
      length: "length",
    }),
  ],
);

/** Make a locked page ready to leave: no PTE, no buffers if they can go, clean. In this order. */
export const truncate_cleanup_page = path(
  "truncate_cleanup_page",
  {
    source: "mm/truncate.c v4.20",
    args: { mapping: inode, page: pfn },
    locals: { index: int, length: int },
  },
  [
    when("page_mapped", (k, f) => page_mapped(k, f.page), [
      local((k, f) => {
        f.index = k.page.index[f.page];
      }),
      call(() => unmap_mapping_pages, { mapping: "mapping", start: "index", nr: 1, even_cows: 0 }),
    ]),
    when("page_has_private", (k, f) => page_has_private(k, f.page), [
      local((k, f) => {
        f.length = k.geometry.parts;
      }),
      call(() => do_invalidatepage, { page: "page", offset: 0, length: "length" }),
    ]),
    step("cancel_dirty_page", (k, f) => cancel_dirty_page(k, f.page)),
  ],
);

/** Take a page that is ready out of its file. Nobody's reference is looked at; the cache's own is dropped. */
function delete_from_page_cache(k: Kernel, page: Pfn): void {
  remember_orphan(k, page, null);
  __delete_from_page_cache(k, page);
  put_page(k, page);
}

/** Throw a locked page of a file away. Gives 0, or -EIO when it is in the file no more. */
export const truncate_inode_page = path(
  "truncate_inode_page",
  { source: "mm/truncate.c v4.20", args: { mapping: inode, page: pfn }, returns: int },
  [
    held(
      when("page->mapping != mapping", (k, f) => k.page.mapping[f.page] !== f.mapping, [
        leave(() => -ERRNO.EIO),
      ]),
    ),
    call(() => truncate_cleanup_page, { mapping: "mapping", page: "page" }),
    under(xa_lock, [step("delete_from_page_cache", (k, f) => delete_from_page_cache(k, f.page))]),
  ],
);

/** Zero a part of the page at an index, if it is cached. `from` and `to` are parts. */
const truncate_partial_page = path(
  "truncate_partial_page",
  {
    source: "mm/truncate.c v4.20, truncate_inode_pages_range",
    args: { mapping: inode, index: int, from: int, to: int },
    locals: { page: pfn, length: int },
  },
  [
    label("repeat"),
    step("find_lock_page", (k, f) => {
      f.page = find_get_page(k, f.mapping, f.index);
    }),
    given((_, f) => f.page === NONE, [leave()]),
    lock_page(),
    held(
      when("page->mapping != mapping", (k, f) => k.page.mapping[f.page] !== f.mapping, [
        unlock(),
        step("put_page", (k, f) => {
          put_page(k, f.page);
          f.page = NONE;
        }),
        goto("repeat"),
      ]),
    ),
    wait_on_page_writeback(),
    step("zero_user_segment", (k, f) => zero_user_segment(k, f.page, f.from, f.to)),
    when("page_has_private", (k, f) => page_has_private(k, f.page), [
      local((_, f) => {
        f.length = f.to - f.from;
      }),
      call(() => do_invalidatepage, { page: "page", offset: "from", length: "length" }),
    ]),
    unlock(),
    step("put_page", (k, f) => put_page(k, f.page)),
  ],
);

/**
 * Throw away the cached pages of a file from `lstart` to before `lend`, both in parts of a page; pages at the edges are zeroed
 * in part. The first sweep takes what it can have at once, the second waits for locks and writeback.
 */
export const truncate_inode_pages_range = path(
  "truncate_inode_pages_range",
  {
    source: "mm/truncate.c v4.20",
    args: { mapping: inode, lstart: int, lend: int },
    locals: { start: int, end: int, partial_start: int, partial_end: int, index: int, page: pfn, top: int },
  },
  [
    local((k, f) => {
      const { parts } = k.geometry;
      f.partial_start = f.lstart % parts;
      f.partial_end = f.lend % parts;
      f.start = Math.ceil(f.lstart / parts);
      f.end = Math.floor(f.lend / parts);
      f.index = f.start;
    }),
    label("sweep"),
    step("pagevec_lookup_entries", (k, f) => pagevec_lookup_entries(k, f, f.end)),
    clear_shadow_entry((f) => f.end),
    given((_, f) => f.page === NONE, [goto("partial")]),
    label("sweep_page"),
    local((k, f) => {
      f.index = k.page.index[f.page] + 1;
    }),
    tries(
      PG_locked,
      check("trylock_page", (k, f) => trylock_page(k, f.page), "busy"),
    ),
    when("PageWriteback", (k, f) => PageWriteback(k, f.page) || k.page.mapping[f.page] !== f.mapping, [
      unlock(),
      goto("busy"),
    ]),
    call(() => truncate_cleanup_page, { mapping: "mapping", page: "page" }),
    under(xa_lock, [step("delete_from_page_cache", (k, f) => delete_from_page_cache(k, f.page))]),
    unlock(),
    label("busy"),
    pagevec_next("sweep_page"),
    under(lru_lock, [step("pagevec_release", (k, f) => pagevec_release(k, f))]),
    goto("sweep"),
    label("partial"),
    given(
      (_, f) => f.partial_start > 0,
      [
        local((k, f) => {
          f.index = f.start - 1;
          f.top = k.geometry.parts;
          if (f.start <= f.end) return;
          // Within a single page.
          f.top = f.partial_end;
          f.partial_end = 0;
        }),
        call(() => truncate_partial_page, {
          mapping: "mapping",
          index: "index",
          from: "partial_start",
          to: "top",
        }),
      ],
    ),
    given(
      (_, f) => f.partial_end > 0,
      [
        call(() => truncate_partial_page, {
          mapping: "mapping",
          index: "end",
          from: 0,
          to: "partial_end",
        }),
      ],
    ),
    local((_, f) => {
      f.index = f.start;
      f.partial_start = 0;
      f.partial_end = 0;
      f.top = 0;
    }),
    given((_, f) => f.start >= f.end, [leave()]),
    label("next"),
    step("pagevec_lookup_entries", (k, f) => pagevec_lookup_entries(k, f, f.end)),
    clear_shadow_entry((f) => f.end),
    given(
      (_, f) => f.page === NONE,
      [
        given((_, f) => f.index === f.start, [leave()]),
        // Restart to make sure that all are gone.
        local((_, f) => {
          f.index = f.start;
        }),
        goto("next"),
      ],
    ),
    label("page"),
    local((k, f) => {
      f.index = k.page.index[f.page] + 1;
    }),
    lock_page(),
    wait_on_page_writeback(),
    call(() => truncate_inode_page, { mapping: "mapping", page: "page" }),
    unlock(),
    pagevec_next("page"),
    under(lru_lock, [step("pagevec_release", (k, f) => pagevec_release(k, f))]),
    goto("next"),
  ],
);

/** Throw away the cached pages of a file from `lstart` on, in parts. */
export const truncate_inode_pages = path(
  "truncate_inode_pages",
  { source: "mm/truncate.c v4.20", args: { mapping: inode, lstart: int }, locals: { lend: int } },
  [
    local((k, f) => {
      f.lend = k.inode.i_pages[f.mapping] * k.geometry.parts;
    }),
    call(() => truncate_inode_pages_range, { mapping: "mapping", lstart: "lstart", lend: "lend" }),
  ],
);

/**
 * Unmap and throw away what a file has in the cache beyond its new size, in parts. Unmapped twice: once for speed, and once more for
 * private copies that were made meanwhile.
 */
export const truncate_pagecache = path(
  "truncate_pagecache",
  {
    source: "mm/truncate.c v4.20",
    args: { mapping: inode, newsize: int },
    locals: { start: int, nr: int },
  },
  [
    local((k, f) => {
      f.start = Math.ceil(f.newsize / k.geometry.parts);
      f.nr = k.inode.i_pages[f.mapping] - f.start;
    }),
    call(() => unmap_mapping_pages, { mapping: "mapping", start: "start", nr: "nr", even_cows: 1 }),
    call(() => truncate_inode_pages, { mapping: "mapping", lstart: "newsize" }),
    call(() => unmap_mapping_pages, { mapping: "mapping", start: "start", nr: "nr", even_cows: 1 }),
  ],
);

/** Give a file a new size, in parts, and throw away what is beyond it. The caller keeps other truncates and writes away. */
export const truncate_setsize = path(
  "truncate_setsize",
  { source: "mm/truncate.c v4.20", args: { mapping: inode, newsize: int } },
  [
    step("i_size_write", (k, f) => {
      k.inode.i_size[f.mapping] = f.newsize;
    }),
    call(() => truncate_pagecache, { mapping: "mapping", newsize: "newsize" }),
  ],
);

/** Unmap and throw away a range of a file whose size stays: a hole is punched. Private copies stay. */
export const truncate_pagecache_range = path(
  "truncate_pagecache_range",
  {
    source: "mm/truncate.c v4.20",
    args: { mapping: inode, lstart: int, lend: int },
    locals: { start: int, nr: int },
  },
  [
    local((k, f) => {
      const { parts } = k.geometry;
      f.start = Math.ceil(f.lstart / parts);
      f.nr = Math.max(0, Math.floor(f.lend / parts) - f.start);
    }),
    given(
      (_, f) => f.nr > 0,
      [call(() => unmap_mapping_pages, { mapping: "mapping", start: "start", nr: "nr", even_cows: 0 })],
    ),
    call(() => truncate_inode_pages_range, { mapping: "mapping", lstart: "lstart", lend: "lend" }),
  ],
);

/** remove_mapping: out of the file if nobody but the caller and the cache holds it. The cache's reference goes. */
function remove_mapping(k: Kernel, page: Pfn): boolean {
  if (page_mapping(k, page) === 0 || !__remove_mapping(k, page, false)) return false;
  page_ref_unfreeze(k, page, 1);
  return true;
}

/**
 * Drop a locked page if it is clean and unused. Gives 1 when it is dropped. The references are counted after the buffers are
 * freed: a page that a driver holds loses its buffers and stays.
 */
export const invalidate_inode_page = path(
  "invalidate_inode_page",
  { source: "mm/truncate.c v4.20", args: { page: pfn }, locals: { released: int }, returns: int },
  [
    held(when("page_mapping", (k, f) => page_mapping(k, f.page) === 0, [leave()])),
    when("PageDirty || PageWriteback", (k, f) => PageDirty(k, f.page) || PageWriteback(k, f.page), [leave()]),
    when("page_mapped", (k, f) => page_mapped(k, f.page), [leave()]),
    when("page_has_private", (k, f) => page_has_private(k, f.page), [
      call(() => try_to_release_page, { page: "page" }, "released"),
      given((_, f) => f.released === 0, [leave()]),
    ]),
    under(xa_lock, [
      step("remove_mapping", (k, f) => {
        f.ret = remove_mapping(k, f.page) ? 1 : 0;
      }),
    ]),
  ],
);

/** deactivate_file_page, lru_deactivate_file_fn: what cannot be dropped now becomes the next victim, unless it is mapped. */
function deactivate_file_page(k: Kernel, page: Pfn): void {
  if (!PageLRU(k, page) || PageUnevictable(k, page) || page_mapped(k, page)) return;
  const active = PageActive(k, page);
  del_page_from_lru_list(k, page, page_lru(k, page));
  ClearPageActive(k, page);
  ClearPageReferenced(k, page);
  if (PageWriteback(k, page) || PageDirty(k, page)) {
    // PG_reclaim moves it to the tail when its writeback ends.
    SetPageReclaim(k, page);
    add_page_to_lru_list(k, page, page_lru(k, page));
  } else {
    add_page_to_lru_list_tail(k, page, page_lru(k, page));
    k.count("pgrotated");
  }
  if (active) k.count("pgdeactivate");
}

/** Drop what is clean, unlocked, unmapped and unused of a file, from page `start` to page `end` included. Gives how many. */
export const invalidate_mapping_pages = path(
  "invalidate_mapping_pages",
  {
    source: "mm/truncate.c v4.20",
    args: { mapping: inode, start: int, end: int },
    locals: { index: int, page: pfn, invalidated: int },
    returns: int,
  },
  [
    local((k, f) => {
      // deactivate_file_page sets PG_reclaim without the page lock: set_page_dirty has to know.
      if (!k.has("truncate"))
        throw new Error('invalidate_mapping_pages: this machine lacks config "truncate"');
      f.index = f.start;
    }),
    // invalidate_exceptional_entry: nothing is done to the entries of a DAX file.
    given((k, f) => is_dax_fs(k.inode.fs[f.mapping]), [leave(() => 0)]),
    label("next"),
    step("pagevec_lookup_entries", (k, f) => pagevec_lookup_entries(k, f, f.end + 1)),
    clear_shadow_entry((f) => f.end + 1),
    given((_, f) => f.page === NONE, [leave()]),
    label("page"),
    local((k, f) => {
      f.index = k.page.index[f.page] + 1;
    }),
    tries(
      PG_locked,
      check("trylock_page", (k, f) => trylock_page(k, f.page), "release"),
    ),
    call(() => invalidate_inode_page, { page: "page" }, "invalidated"),
    unlock(),
    given(
      (_, f) => f.invalidated === 0,
      [under(lru_lock, [step("deactivate_file_page", (k, f) => deactivate_file_page(k, f.page))])],
    ),
    local((_, f) => {
      f.ret += f.invalidated;
      f.invalidated = 0;
    }),
    label("release"),
    pagevec_next("page"),
    under(lru_lock, [step("pagevec_release", (k, f) => pagevec_release(k, f))]),
    goto("next"),
  ],
);

/** Take a clean page out of its file, whoever holds it: the end of invalidate_complete_page2, under the xa_lock. */
function complete_invalidation(k: Kernel, page: Pfn): boolean {
  if (PageDirty(k, page)) return false;
  const bug = k.BUG_ON(
    page_has_private(k, page),
    "invalidate_complete_page2: BUG_ON(page_has_private(page))",
    page,
  );
  if (bug) return false;
  // Where the bytes are in memory only, dropping a page throws them away.
  const saved = mapping_cap_account_dirty(k, k.page.mapping[page])
    ? (part: number) => disk_version(k, k.page.mapping[page], k.page.index[page], part)
    : () => 0;
  remember_orphan(k, page, saved);
  __delete_from_page_cache(k, page);
  put_page(k, page);
  return true;
}

/** Drop a locked, unmapped page whatever its references. Gives 1 when it is dropped, 0 when it is dirty or has busy buffers. */
export const invalidate_complete_page2 = path(
  "invalidate_complete_page2",
  {
    source: "mm/truncate.c v4.20",
    args: { mapping: inode, page: pfn },
    locals: { released: int },
    returns: int,
  },
  [
    held(when("page->mapping != mapping", (k, f) => k.page.mapping[f.page] !== f.mapping, [leave()])),
    when("page_has_private", (k, f) => page_has_private(k, f.page), [
      call(() => try_to_release_page, { page: "page" }, "released"),
      given((_, f) => f.released === 0, [leave()]),
    ]),
    under(xa_lock, [
      step("__delete_from_page_cache", (k, f) => {
        f.ret = complete_invalidation(k, f.page) ? 1 : 0;
      }),
    ]),
  ],
);

/**
 * Drop a file's pages from `start` to `end` included, mapped or held or not, so that what an O_DIRECT write puts on the disk is what
 * the next reader sees. Waits for locks and writeback. Gives 0, or -EBUSY when a page was dirty or had busy buffers.
 */
export const invalidate_inode_pages2_range = path(
  "invalidate_inode_pages2_range",
  {
    source: "mm/truncate.c v4.20",
    args: { mapping: inode, start: int, end: int },
    locals: { index: int, page: pfn, nr: int, did_range_unmap: int, invalidated: int },
    returns: int,
  },
  [
    local((_, f) => {
      f.index = f.start;
    }),
    label("next"),
    step("pagevec_lookup_entries", (k, f) => pagevec_lookup_entries(k, f, f.end + 1)),
    clear_shadow_entry((f) => f.end + 1),
    given((_, f) => f.page === NONE, [leave()]),
    label("page"),
    local((k, f) => {
      f.index = k.page.index[f.page];
    }),
    lock_page(),
    held(
      when("page->mapping != mapping", (k, f) => k.page.mapping[f.page] !== f.mapping, [
        unlock(),
        goto("release"),
      ]),
    ),
    wait_on_page_writeback(),
    when("page_mapped", (k, f) => page_mapped(k, f.page), [
      // The first mapped page takes the PTEs of all that follow with it.
      local((_, f) => {
        f.nr = f.did_range_unmap === 0 ? 1 + f.end - f.index : 1;
        f.did_range_unmap = 1;
      }),
      call(() => unmap_mapping_pages, { mapping: "mapping", start: "index", nr: "nr", even_cows: 0 }),
    ]),
    step("BUG_ON(page_mapped)", (k, f) => {
      f.nr = 0;
      k.BUG_ON(page_mapped(k, f.page), "invalidate_inode_pages2_range: BUG_ON(page_mapped(page))", f.page);
    }),
    call(() => invalidate_complete_page2, { mapping: "mapping", page: "page" }, "invalidated"),
    local((_, f) => {
      if (f.invalidated === 0) f.ret = -ERRNO.EBUSY;
      f.invalidated = 0;
    }),
    unlock(),
    label("release"),
    pagevec_next("page"),
    under(lru_lock, [
      step("pagevec_release", (k, f) => {
        pagevec_release(k, f);
        f.index++;
      }),
    ]),
    goto("next"),
  ],
);
