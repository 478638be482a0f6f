/**
 * Who moves pages: compaction, contiguous allocations (CMA), and memory that is to be switched off.
 *
 * Source: mm/compaction.c, alloc_contig_range in mm/page_alloc.c, mm/memory_hotplug.c in v4.20. What each does about a page that a
 * device holds: compaction and alloc_contig_range pass it by when it is anonymous and has more references than PTEs, and otherwise
 * find out in migrate_pages: alloc_contig_range gives -EBUSY after five times ten passes. Offlining tries again for as long as nobody
 * sends it a signal. On its way each of them takes the page's PTEs and puts them back, clean and old.
 *
 * alloc_contig_range first reclaims the clean file pages of the range instead of moving them (reclaim_clean_pages_from_list): a clean page
 * that a device holds is unmapped and loses its buffers there, as shrink_page_list does it. A third stripper.
 *
 * Left out: the force of that reclaim (a page that was used since the last look is moved instead), pageblocks and zones, the free
 * scanner (targets are the first free pages), deferring and skip hints, the batches of 32 pages, that compaction waits or gives up
 * while half of the pages are isolated (too_many_isolated), hugetlb pages, isolation failures of other kinds of pages.
 */
import { ERRNO } from "../errno.js";
import { list_del } from "../inserts.js";
import type { Kernel } from "../kernel.js";
import { call, given, goto, label, leave, local, path, repeat, step, under } from "../language.js";
import { lru_lock } from "../locks.js";
import { int, NONE, type Pfn, pfn } from "../types.js";
import { page_mapping } from "./filemap.js";
import { append, MIGRATE, migrate_pages, putback_movable_pages } from "./migrate.js";
import {
  ClearPageActive,
  PageDirty,
  PageLocked,
  PageLRU,
  PageWriteback,
  page_count,
  page_is_file_cache,
} from "./page.js";
import { start_isolate_page_range, test_pages_isolated, undo_isolate_page_range } from "./page_isolation.js";
import { isolate_lru_page, lru_add_drain, lru_add_drain_all } from "./swap.js";
import { shrink_page_list } from "./vmscan.js";

/** isolate_lru_page, counted as isolated. */
export function isolate(k: Kernel, page: Pfn): boolean {
  if (!isolate_lru_page(k, page)) return false;
  if (page_is_file_cache(k, page)) k.count("nr_isolated_file");
  return true;
}

/** __isolate_lru_page with ISOLATE_ASYNC_MIGRATE: whether one would have to wait for something to move the page. */
const must_wait = (k: Kernel, page: Pfn): boolean =>
  PageWriteback(k, page) || (PageDirty(k, page) && PageLocked(k, page));

/**
 * isolate_migratepages_block: take the pages of a range from their LRU lists; gives the chain (pfn + 1 links), the last page frame
 * first. Passes by anonymous pages that somebody holds, and with `async` those for which migration would wait.
 */
function isolate_migratepages_block(k: Kernel, start: Pfn, end: Pfn, async: boolean): number {
  let first = 0;
  for (let page = start; page < end; page++) {
    if (!PageLRU(k, page)) continue;
    if (page_mapping(k, page) === 0 && page_count(k, page) > k.page.mapcount[page]) continue;
    if (async && must_wait(k, page)) continue;
    if (!isolate(k, page)) continue;
    k.page.lru_next[page] = first;
    first = page + 1;
  }
  return first;
}

/** Compact all of memory once: isolate what can be moved, move it, put the rest back. `mode` is one of MIGRATE. */
export const compact_zone = path(
  "compact_zone",
  {
    source: "mm/compaction.c v4.20",
    args: { mode: int },
    locals: { migratepages: int, failed: int },
    returns: int,
  },
  [
    under(lru_lock, [step("migrate_prep_local", (k) => lru_add_drain(k))]),
    under(lru_lock, [
      step("isolate_migratepages", (k, f) => {
        f.migratepages = isolate_migratepages_block(k, 0, k.geometry.pages, f.mode !== MIGRATE.SYNC);
      }),
    ]),
    call(() => migrate_pages, { from: "migratepages", mode: "mode" }, "failed"),
    given(
      (_, f) => f.migratepages !== 0,
      [
        under(lru_lock, [
          step("putback_movable_pages", (k, f) => {
            putback_movable_pages(k, f.migratepages);
            f.migratepages = 0;
          }),
        ]),
      ],
    ),
    leave((_, f) => f.failed),
  ],
);

/** Split off the clean file pages of a chain, the last one first; gives the two chains' first pages. */
function split_clean(k: Kernel, chain: number): { clean: number; rest: number } {
  let clean = 0;
  let rest = 0;
  let last = 0;
  for (let at = chain; at !== 0; ) {
    const page = at - 1;
    list_del(k, page);
    at = k.page.lru_next[page];
    k.page.lru_next[page] = 0;
    if (page_is_file_cache(k, page) && !PageDirty(k, page)) {
      ClearPageActive(k, page);
      k.page.lru_next[page] = clean;
      clean = page + 1;
    } else {
      rest = append(k, rest, last, page);
      last = page + 1;
    }
  }
  return { clean, rest };
}

function chain_length(k: Kernel, chain: number): number {
  let length = 0;
  for (let at = chain; at !== 0; at = k.page.lru_next[at - 1]) length++;
  return length;
}

/** Append a chain to another one; gives the first page. */
function splice(k: Kernel, chain: number, tail: number): number {
  if (chain === 0) return tail;
  let at = chain;
  while (k.page.lru_next[at - 1] !== 0) at = k.page.lru_next[at - 1];
  k.page.lru_next[at - 1] = tail;
  return chain;
}

/** Times that alloc_contig_range calls migrate_pages for the same pages. */
const TRIES = 5;

/**
 * Empty a range of page frames for somebody who wants them all, such as a CMA allocation. Gives 0, -EBUSY, or -ENOMEM where pages
 * have nowhere to go. What it gets it gives back at once: only whether it can be had is of interest here.
 */
export const alloc_contig_range = path(
  "alloc_contig_range",
  {
    source: "mm/page_alloc.c v4.20",
    args: { start: pfn, end: pfn },
    locals: {
      migratepages: int,
      clean: int,
      kept: int,
      tries: int,
      dirty: int,
      writeback: int,
      taken: int,
      failed: int,
    },
    returns: int,
  },
  [
    step("start_isolate_page_range", (k, f) => {
      f.ret = start_isolate_page_range(k, f.start, f.end);
    }),
    given((_, f) => f.ret !== 0, [leave()]),
    under(lru_lock, [step("migrate_prep", (k) => lru_add_drain_all(k))]),
    under(lru_lock, [
      step("isolate_migratepages_range", (k, f) => {
        f.migratepages = isolate_migratepages_block(k, f.start, f.end, false);
      }),
    ]),
    repeat(
      (_, f) => f.migratepages !== 0 && f.tries < TRIES,
      [
        step("reclaim_clean_pages_from_list", (k, f) => {
          const { clean, rest } = split_clean(k, f.migratepages);
          f.clean = clean;
          f.taken = chain_length(k, clean);
          f.migratepages = rest;
        }),
        given(
          (_, f) => f.clean !== 0,
          [
            call(() => shrink_page_list, {
              page_list: "clean",
              ret_pages: "kept",
              nr_unqueued_dirty: "dirty",
              nr_writeback: "writeback",
            }),
            local((k, f) => {
              k.count("nr_isolated_file", chain_length(k, f.kept) - f.taken);
              f.taken = 0;
              f.migratepages = splice(k, f.kept, f.migratepages);
              f.kept = 0;
              f.dirty = 0;
              f.writeback = 0;
            }),
          ],
        ),
        call(() => migrate_pages, { from: "migratepages", mode: MIGRATE.SYNC }, "failed"),
        local((_, f) => {
          f.tries++;
        }),
      ],
    ),
    given(
      (_, f) => f.migratepages !== 0,
      [
        under(lru_lock, [
          step("putback_movable_pages", (k, f) => {
            putback_movable_pages(k, f.migratepages);
            f.migratepages = 0;
          }),
        ]),
        // -EBUSY is no answer yet: the page may have gone by itself when the range is looked at.
        given(
          (_, f) => f.failed === -ERRNO.ENOMEM,
          [step("undo_isolate_page_range", (k) => undo_isolate_page_range(k)), leave((_, f) => f.failed)],
        ),
      ],
    ),
    under(lru_lock, [step("lru_add_drain_all", (k) => lru_add_drain_all(k))]),
    step("test_pages_isolated", (k, f) => {
      f.ret = test_pages_isolated(k, f.start, f.end) ? 0 : -ERRNO.EBUSY;
      undo_isolate_page_range(k);
    }),
  ],
);

/** Whether a page of a range is on an LRU list: scan_movable_pages. */
function scan_movable_pages(k: Kernel, start: Pfn, end: Pfn): boolean {
  for (let page = start; page < end; page++) if (PageLRU(k, page)) return true;
  return false;
}

/**
 * The isolating half of do_migrate_range: the chain (pfn + 1 links), the first page frame first, and whether it met a page in use
 * that is on no list. It stops there, and nothing is moved this time.
 */
function isolate_range(
  k: Kernel,
  start: Pfn,
  end: Pfn,
): { readonly source: number; readonly not_managed: boolean } {
  let source = 0;
  let last = 0;
  for (let page = start; page < end; page++) {
    if (page_count(k, page) === 0) continue;
    if (!isolate(k, page)) return { source, not_managed: true };
    k.page.lru_next[page] = 0;
    source = append(k, source, last, page);
    last = page + 1;
  }
  return { source, not_managed: false };
}

/**
 * Switch a range of page frames off. Tries until every page has gone or a signal comes; the administrator here sends one after `patience`
 * rounds, which is reported as a hang: Linux would go on. Gives 0 or -EINTR.
 */
export const offline_pages = path(
  "offline_pages",
  {
    source: "mm/memory_hotplug.c v4.20",
    args: { start: pfn, end: pfn, patience: int },
    locals: { source: int, round: int, movable: int, failed: int },
    returns: int,
  },
  [
    step("start_isolate_page_range", (k, f) => {
      f.ret = start_isolate_page_range(k, f.start, f.end);
    }),
    given((_, f) => f.ret !== 0, [leave()]),
    label("repeat"),
    given(
      (_, f) => f.round === f.patience,
      [
        step("signal_pending", (k, f) => {
          const page = firstUsed(k, f.start, f.end);
          k.fault(
            "HANG",
            `offline_pages: page ${page} does not go away, and nothing but a signal ends this`,
            page,
          );
          f.ret = -ERRNO.EINTR;
          undo_isolate_page_range(k);
        }),
        leave(),
      ],
    ),
    local((_, f) => {
      f.round++;
    }),
    under(lru_lock, [step("lru_add_drain_all", (k) => lru_add_drain_all(k))]),
    step("scan_movable_pages", (k, f) => {
      f.movable = scan_movable_pages(k, f.start, f.end) ? 1 : 0;
    }),
    given(
      (_, f) => f.movable === 1,
      [
        under(lru_lock, [
          step("do_migrate_range", (k, f) => {
            const { source, not_managed } = isolate_range(k, f.start, f.end);
            f.source = source;
            f.failed = not_managed ? -ERRNO.EBUSY : 0;
          }),
        ]),
        given(
          (_, f) => f.source !== 0 && f.failed === 0,
          [call(() => migrate_pages, { from: "source", mode: MIGRATE.SYNC }, "failed")],
        ),
        given(
          (_, f) => f.source !== 0,
          [
            under(lru_lock, [
              step("putback_movable_pages", (k, f) => {
                putback_movable_pages(k, f.source);
                f.source = 0;
              }),
            ]),
          ],
        ),
        local((_, f) => {
          f.failed = 0;
          f.movable = 0;
        }),
        goto("repeat"),
      ],
    ),
    step("check_pages_isolated", (k, f) => {
      f.failed = test_pages_isolated(k, f.start, f.end) ? 0 : -ERRNO.EBUSY;
      if (f.failed === 0) undo_isolate_page_range(k);
    }),
    given((_, f) => f.failed === 0, [leave()]),
    local((_, f) => {
      f.failed = 0;
    }),
    goto("repeat"),
  ],
);

/** The first page of a range that is not free, or NONE. */
function firstUsed(k: Kernel, start: Pfn, end: Pfn): Pfn {
  for (let page = start; page < end; page++) if (k.page._refcount[page] > 0) return page;
  return NONE;
}
