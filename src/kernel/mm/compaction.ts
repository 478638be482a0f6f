/**
 * Who moves pages: compaction, contiguous allocations (CMA), and memory that is to be switched off.
 *
 * Source: mm/compaction.c, alloc_contig_range in mm/page_alloc.c, mm/memory_hotplug.c in v4.20. What each does about a page that a
 * device holds: compaction passes it by when it is anonymous and has more references than PTEs, and otherwise finds out in
 * migrate_pages; alloc_contig_range gives -EBUSY after five times ten passes; offlining tries again for as long as nobody sends it a
 * signal. On its way each of them takes the page's PTEs and puts them back, clean and old.
 *
 * alloc_contig_range first reclaims the clean file pages of the range instead of moving them (reclaim_clean_pages_from_list): a clean page
 * that a device holds is unmapped and loses its buffers there, as shrink_page_list does it. A third stripper.
 *
 * Left out: the force of that reclaim (a page that was used since the last look is moved instead), pageblocks and zones, the free scanner (targets are the first free pages), deferring and skip hints, the batches of 32 pages,
 * hugetlb pages, isolation failures of other kinds of pages.
 */
import { ERRNO } from "../errno.js";
import type { Kernel } from "../kernel.js";
import { call, given, goto, label, leave, local, path, repeat, step, under } from "../language.js";
import { lru_lock } from "../locks.js";
import { int, NONE, type Pfn, pfn } from "../types.js";
import { page_mapping } from "./filemap.js";
import { MIGRATE, migrate_pages, putback_movable_pages } from "./migrate.js";
import {
  ClearPageActive,
  ClearPageLRU,
  get_page,
  PageDirty,
  PageLRU,
  page_count,
  page_is_file_cache,
} from "./page.js";
import { start_isolate_page_range, test_pages_isolated, undo_isolate_page_range } from "./page_isolation.js";
import { del_page_from_lru_list, lru_add_drain, page_lru } from "./swap.js";
import { shrink_page_list } from "./vmscan.js";

/** Take a page from its LRU list, with a reference; false when it is on none (isolate_lru_page, __isolate_lru_page). */
function isolate_lru_page(k: Kernel, page: Pfn): boolean {
  if (!PageLRU(k, page)) return false;
  get_page(k, page);
  del_page_from_lru_list(k, page, page_lru(k, page));
  ClearPageLRU(k, page);
  if (page_is_file_cache(k, page)) k.count("nr_isolated_file");
  return true;
}

/**
 * Take the pages of a range from their LRU lists; gives the chain (pfn + 1 links). Compaction passes by anonymous pages that somebody
 * holds (`wary`).
 */
function isolate_migratepages_range(k: Kernel, start: Pfn, end: Pfn, wary: boolean): number {
  let first = 0;
  for (let page = end - 1; page >= start; page--) {
    if (wary && page_mapping(k, page) === 0 && page_count(k, page) > k.page.mapcount[page]) continue;
    if (!isolate_lru_page(k, page)) continue;
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
    under(lru_lock, [step("migrate_prep", (k) => lru_add_drain(k))]),
    under(lru_lock, [
      step("isolate_migratepages", (k, f) => {
        f.migratepages = isolate_migratepages_range(k, 0, k.geometry.pages, true);
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

/** Split off the clean file pages of a chain; gives the two chains' first pages. */
function split_clean(k: Kernel, chain: number): { clean: number; rest: number } {
  let clean = 0;
  let rest = 0;
  for (let at = chain; at !== 0; ) {
    const page = at - 1;
    at = k.page.lru_next[page];
    if (page_is_file_cache(k, page) && page_mapping(k, page) !== 0 && !PageDirty(k, page)) {
      ClearPageActive(k, page);
      k.page.lru_next[page] = clean;
      clean = page + 1;
    } else {
      k.page.lru_next[page] = rest;
      rest = page + 1;
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
 * Empty a range of page frames for somebody who wants them all, such as a CMA allocation. Gives 0 or -EBUSY. What it gets it gives back at
 * once: only whether it can be had is of interest here.
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
    under(lru_lock, [step("migrate_prep", (k) => lru_add_drain(k))]),
    under(lru_lock, [
      step("isolate_migratepages_range", (k, f) => {
        f.migratepages = isolate_migratepages_range(k, f.start, f.end, false);
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
          f.failed = 0;
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
      ],
    ),
    under(lru_lock, [step("lru_add_drain_all", (k) => lru_add_drain(k))]),
    step("test_pages_isolated", (k, f) => {
      f.ret = test_pages_isolated(k, f.start, f.end) ? 0 : -ERRNO.EBUSY;
      undo_isolate_page_range(k);
    }),
  ],
);

/**
 * Switch a range of page frames off. Tries until every page has gone or a signal comes; the administrator here sends one after `patience`
 * rounds, which is reported as a hang: Linux would go on. Gives 0 or -EINTR.
 */
export const offline_pages = path(
  "offline_pages",
  {
    source: "mm/memory_hotplug.c v4.20",
    args: { start: pfn, end: pfn, patience: int },
    locals: { source: int, round: int, failed: int },
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
    under(lru_lock, [step("lru_add_drain_all", (k) => lru_add_drain(k))]),
    step("check_pages_isolated", (k, f) => {
      if (test_pages_isolated(k, f.start, f.end)) {
        undo_isolate_page_range(k);
        f.round = f.patience + 1;
      } else f.round++;
    }),
    given((_, f) => f.round > f.patience, [leave()]),
    under(lru_lock, [
      step("do_migrate_range", (k, f) => {
        f.source = isolate_migratepages_range(k, f.start, f.end, false);
      }),
    ]),
    given(
      (_, f) => f.source !== 0,
      [
        call(() => migrate_pages, { from: "source", mode: MIGRATE.SYNC }, "failed"),
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
        }),
      ],
    ),
    goto("repeat"),
  ],
);

/** The first page of a range that is not free, or NONE. */
function firstUsed(k: Kernel, start: Pfn, end: Pfn): Pfn {
  for (let page = start; page < end; page++) if (k.page._refcount[page] > 0) return page;
  return NONE;
}
