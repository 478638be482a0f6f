/**
 * Reclaim: the tests that a page passes on its way out, in v4.20's order.
 *
 * Source: mm/vmscan.c in v4.20. What the article's crash needs is the order: shrink_page_list unmaps a page before it
 * looks whether it is dirty, and frees its buffers before it finds out, in __remove_mapping, that somebody holds a
 * reference. Then it backs out, and the buffers are not put back. pageout() comes before that with a stricter test
 * (is_page_cache_freeable), so kswapd alone never cleans a page that somebody holds.
 *
 * Held tests of PG_dirty rest on this: whoever sets it without the page lock (follow_page_pte, under the ptl) reaches the
 * page through a PTE and does not look at the lock, so that its step commutes with the one before the test. A driver
 * that dirties a page that is neither locked nor mapped would make a preemption point of them.
 *
 * There are two reclaimers: kswapd, and a task that reclaims for its own allocation (mm/direct_reclaim.ts). current_is_kswapd() is
 * known when the paths are made, so that each has only the steps that it can reach.
 *
 * Without config "watermarks" memory is always short: the node is never balanced, its PGDAT_ flags stay set, and a machine of
 * few pages stands for the tail of a long list: at least one page of each list is scanned at a time.
 *
 * Without swap space the kernel scans the file lists only, and does not age the others: that is all that machines without config
 * "swap" have. With it, an anonymous page gets a place in the swap area before it is unmapped, is dirty from then on, and is written by pageout(), by
 * direct reclaimers as well. How the lists share the work is decided with watermarks (get_scan_count); without, each is scanned.
 *
 * With config "workingset" a page of a file that goes is remembered, and active pages make room for those that come back (mm/workingset.ts).
 *
 * Left out: lazyfree pages (MADV_FREE puts them on the file lists), shrink_slab, memcgs, readahead marks, vmpressure, congested disks, a writepage that fails, is_dirty_writeback (block devices and NFS have one), and what reclaim here may always do: may_unmap, may_swap,
 * may_enter_fs.
 */
import type { Frame, Node } from "../../machine/path.js";
import { RECLAIM, type ReclaimAct, WORD } from "../../trace/words.js";
import { free_buffers } from "../fs/invalidatepage.js";
import { is_newer_than_disk, is_nowhere_else } from "../fs/newer.js";
import { list_del } from "../inserts.js";
import type { Kernel } from "../kernel.js";
import {
  branch,
  call,
  check,
  config,
  dispatch,
  given,
  gives,
  goto,
  held,
  heldIf,
  label,
  leave,
  local,
  lockdep_assert_not_held,
  path,
  pause,
  repeat,
  step,
  tries,
  under,
  when,
} from "../language.js";
import { lru_lock, PG_locked, xa_lock } from "../locks.js";
import { AOP_WRITEPAGE_ACTIVATE, a_ops, fs_of_page } from "../operations.js";
import {
  isAnon,
  LRU,
  PGDAT_CONGESTED,
  PGDAT_DIRTY,
  PGDAT_WRITEBACK,
  VM_EXEC,
  VM_LOCKED,
} from "../structs.js";
import { int, NONE, type Pfn, pfn } from "../types.js";
import { wakeup_flusher_threads } from "./backing_dev.js";
import { __delete_from_page_cache, page_mapping } from "./filemap.js";
import { scan_count } from "./get_scan_count.js";
import { age_pressure, mod_isolated, node, nr_isolated, recent_rotated, recent_scanned } from "./mmzone.js";
import {
  ClearPageDirty,
  ClearPageReclaim,
  PageActive,
  PageDirty,
  PageMlocked,
  PageReclaim,
  PageSwapBacked,
  PageSwapCache,
  PageWriteback,
  page_count,
  page_has_private,
  page_is_file_cache,
  page_mapped,
  page_ref_freeze,
  page_ref_unfreeze,
  SetPageActive,
  SetPageReclaim,
  SetPageReferenced,
  settledUnlessWriteback,
  TestClearPageReferenced,
  trylock_page,
  unlock,
  unlock_page,
} from "./page.js";
import { free_page } from "./page_alloc.js";
import { clear_page_dirty_for_io } from "./page_writeback.js";
import { page_referenced, referenced_ptes, referenced_vm_flags, try_to_unmap } from "./rmap.js";
import { count_stat, DEF_PRIORITY, KSWAPD, row_of_task, sc } from "./scan_control.js";
import { shrink_active_anon, shrink_active_list } from "./shrink_active_list.js";
import {
  inactive_list_is_low,
  isolate_lru_pages,
  lru_add_drain,
  page_evictable,
  put_page,
  putback_inactive_page,
} from "./swap.js";
import { __delete_from_swap_cache, add_to_swap, is_newer_than_swap } from "./swap_state.js";
import { try_to_free_swap, vm_swap_full } from "./swapfile.js";
import { workingset_eviction } from "./workingset.js";

export const SWAP_CLUSTER_MAX = 32;

/** PAGEREF_*: what page_check_references says, in the order of shrink_page_list's labels. */
const PAGEREF = { RECLAIM: 0, RECLAIM_CLEAN: 1, KEEP: 2, ACTIVATE: 3 } as const;

/** pageout_t */
export const PAGE = { KEEP: 0, ACTIVATE: 1, SUCCESS: 2, CLEAN: 3 } as const;

/** Tell the recording what reclaim did to a page. */
export function act(k: Kernel, page: Pfn, what: ReclaimAct): void {
  if (k.recorder !== null) k.note(WORD.reclaim, page, RECLAIM[what]);
}

/** Only the isolator and the page cache hold it, whether or not it has buffers. */
export const is_page_cache_freeable = (k: Kernel, page: Pfn): boolean =>
  page_count(k, page) - (page_has_private(k, page) ? 1 : 0) === 2;

/**
 * The reference that reclaim and the cache hold, frozen to zero; then, and only then, the dirty test. `reclaimed`: the page goes because
 * memory is short, and is remembered in its file.
 */
export function __remove_mapping(k: Kernel, page: Pfn, reclaimed: boolean): boolean {
  if (!page_ref_freeze(k, page, 2)) return false;
  if (PageDirty(k, page)) {
    page_ref_unfreeze(k, page, 2);
    return false;
  }
  // An oracle, no test of the kernel's: what is freed now can be had from the disk, or it is gone.
  if (!PageSwapCache(k, page)) {
    k.fault_on(
      is_newer_than_disk(k, page, k.page.mapping[page]),
      "LOST",
      "__remove_mapping: a page is freed with bytes that are not on the disk",
      page,
    );
    k.fault_on(
      is_nowhere_else(k, page, k.page.mapping[page]),
      "LOST",
      "__remove_mapping: a page of a file in memory is freed with bytes that are nowhere else",
      page,
    );
    const remembered = reclaimed && page_is_file_cache(k, page);
    __delete_from_page_cache(k, page, remembered ? workingset_eviction(k, page) : 0);
  } else {
    k.fault_on(
      is_newer_than_swap(k, page),
      "LOST",
      "__remove_mapping: a page is freed with bytes that are not in its place in swap",
      page,
    );
    __delete_from_swap_cache(k, page);
  }
  return true;
}

/** Take the first page from a chain of isolated pages (pfn + 1 links); gives the rest of the chain. */
export function unlink_first(k: Kernel, first: number): number {
  list_del(k, first - 1);
  const rest = k.page.lru_next[first - 1];
  k.page.lru_next[first - 1] = 0;
  return rest;
}

/** Append a page to the chain whose last page is `last`. */
export function link_after(k: Kernel, last: number, page: Pfn): void {
  if (last !== 0) k.page.lru_next[last - 1] = page + 1;
}

const page_check_references = path(
  "page_check_references",
  {
    source: "mm/vmscan.c v4.20",
    args: { page: pfn },
    locals: { referenced_ptes: int, referenced_page: int },
    returns: int,
  },
  [
    call(() => page_referenced, { page: "page", is_locked: 1 }, "referenced_ptes"),
    step("TestClearPageReferenced", (k, f) => {
      f.referenced_page = TestClearPageReferenced(k, f.page) ? 1 : 0;
    }),
    // mlock was late: try_to_unmap will mark the page.
    given(
      (_, f) => (referenced_vm_flags(f.referenced_ptes) & VM_LOCKED) !== 0,
      [leave(() => PAGEREF.RECLAIM)],
    ),
    given(
      (_, f) => referenced_ptes(f.referenced_ptes) > 0,
      [
        given((k, f) => PageSwapBacked(k, f.page), [leave(() => PAGEREF.ACTIVATE)]),
        // Mapped pages are added referenced: it takes a second look, or a second user, to activate one.
        step("SetPageReferenced", (k, f) => SetPageReferenced(k, f.page)),
        leave((_, f) =>
          f.referenced_page === 1 ||
          referenced_ptes(f.referenced_ptes) > 1 ||
          (referenced_vm_flags(f.referenced_ptes) & VM_EXEC) !== 0
            ? PAGEREF.ACTIVATE
            : PAGEREF.KEEP,
        ),
      ],
    ),
    leave((k, f) =>
      f.referenced_page === 1 && !PageSwapBacked(k, f.page) ? PAGEREF.RECLAIM_CLEAN : PAGEREF.RECLAIM,
    ),
  ],
);

/** Write a dirty page that only reclaim and the cache hold. */
const pageout = path(
  "pageout",
  { source: "mm/vmscan.c v4.20", args: { page: pfn }, locals: { dirty: int }, returns: int },
  [
    check("is_page_cache_freeable", (k, f) => is_page_cache_freeable(k, f.page), "keep"),
    held(
      when("page_mapping", (k, f) => page_mapping(k, f.page) === 0, [
        // An orphan with buffers passes the test above only while somebody else holds it too.
        config("truncate", [
          given(
            (k, f) => page_has_private(k, f.page),
            [
              call(() => free_buffers, { page: "page" }, "dirty"),
              given(
                (_, f) => f.dirty === 1,
                [
                  step("ClearPageDirty", (k, f) => {
                    act(k, f.page, "stripped");
                    ClearPageDirty(k, f.page);
                  }),
                  leave(() => PAGE.CLEAN),
                ],
              ),
            ],
          ),
        ]),
        goto("keep"),
      ]),
    ),
    call(() => clear_page_dirty_for_io, { page: "page" }, "dirty"),
    given((_, f) => f.dirty === 0, [leave(() => PAGE.CLEAN)]),
    step("SetPageReclaim", (k, f) => SetPageReclaim(k, f.page)),
    dispatch(
      a_ops,
      "writepage",
      (k, f) => fs_of_page(k, f.page),
      { page: "page", sync: 0, memalloc: 1 },
      "dirty",
    ),
    // What tmpfs gives where it has no room in swap.
    config("swap", [
      given(
        (_, f) => f.dirty === AOP_WRITEPAGE_ACTIVATE,
        [step("ClearPageReclaim", (k, f) => ClearPageReclaim(k, f.page)), leave(() => PAGE.ACTIVATE)],
      ),
    ]),
    when("!PageWriteback", (k, f) => !PageWriteback(k, f.page), [
      step("ClearPageReclaim", (k, f) => ClearPageReclaim(k, f.page)),
    ]),
    local((k) => k.count("nr_vmscan_write")),
    leave(() => PAGE.SUCCESS),
    label("keep"),
    leave(() => PAGE.KEEP),
  ],
);

/** try_to_release_page: may the filesystem's private data go? Gives 1 when it is gone. */
export const try_to_release_page = path(
  "try_to_release_page",
  { source: "mm/filemap.c v4.20", args: { page: pfn }, returns: int },
  [
    settledUnlessWriteback(when("PageWriteback", (k, f) => PageWriteback(k, f.page), [leave(() => 0)])),
    // A page that left its file with its buffers.
    config("truncate", [
      given(
        (k, f) => page_mapping(k, f.page) === 0,
        [call(() => free_buffers, { page: "page" }, "ret"), leave()],
      ),
    ]),
    dispatch(a_ops, "releasepage", (k, f) => fs_of_page(k, f.page), { page: "page" }, "ret"),
  ],
);

/** The node's PGDAT_* bit. */
const test_bit = (k: Kernel, bit: number): boolean => (k.pgdat.flags[0] & bit) !== 0;

/** What was found out about a page is not needed once its fate is decided: states differ only in what matters. */
const forget = local<{ references: number; unmapped: number; result: number; released: number }>((_, f) => {
  f.references = 0;
  f.unmapped = 0;
  f.result = 0;
  f.released = 0;
});

/** Give every page of a chain back to the lists that their flags name (putback_inactive_pages, under the lru_lock). */
function putback_pages(k: Kernel, chain: number): void {
  for (let first = chain; first !== 0; ) {
    const page = first - 1;
    first = unlink_first(k, first);
    if (PageActive(k, page)) recent_rotated(k, page_is_file_cache(k, page), 1);
    putback_inactive_page(k, page);
  }
}

export function chain_length(k: Kernel, chain: number): number {
  let length = 0;
  for (let at = chain; at !== 0; at = k.page.lru_next[at - 1]) length++;
  return length;
}

/** too_many_isolated for a reclaimer that may do I/O and enter filesystems: an eighth of the inactive list. */
const too_many_isolated = (k: Kernel, file: boolean): boolean =>
  nr_isolated(k, file) > k.lruvec.size[file ? LRU.inactive_file : LRU.inactive_anon] >>> 3;

/** kswapd_shrink_node's sc->nr_to_reclaim */
export const kswapd_nr_to_reclaim = (k: Kernel): number =>
  Math.max(k.geometry.watermarks.high, SWAP_CLUSTER_MAX);

/** The paths of one of the two kinds of reclaimer. */
function reclaimer(current_is_kswapd: boolean) {
  const row = current_is_kswapd ? () => KSWAPD : row_of_task;

  /** Add to a figure of the scan_control. */
  const add = (
    k: Kernel,
    figure: "nr_scanned" | "nr_reclaimed" | "nr_dirty" | "nr_congested" | "nr_immediate",
  ): void => {
    const column = sc(k)[figure];
    if (column.length > 0) column[row(k)]++;
  };
  /** The same, and to the figure of the event. */
  const count = (k: Kernel, figure: "nr_reclaimed" | "nr_dirty" | "nr_congested" | "nr_immediate"): void => {
    add(k, figure);
    count_stat(k, figure);
  };

  /** nr_reclaimed++ */
  const reclaimed = (k: Kernel, page: Pfn): void => {
    act(k, page, "reclaimed");
    count(k, "nr_reclaimed");
  };

  /** Not written here: it goes as soon as its writeback has ended. */
  const immediate = <F extends { readonly page: Pfn }>(): Node<Kernel, F>[] => [
    step<F>("SetPageReclaim", (k, f) => {
      k.count("nr_vmscan_immediate_reclaim");
      SetPageReclaim(k, f.page);
    }),
    goto("activate_locked"),
  ];

  /** A dirty page is written. */
  const write_out: Node<Kernel, { page: Pfn; references: number; result: number }>[] = [
    given((_, f) => f.references === PAGEREF.RECLAIM_CLEAN, [goto("keep_locked")]),
    config("watermarks", [given((k) => sc(k).may_writepage[row(k)] === 0, [goto("keep_locked")])]),
    call(() => pageout, { page: "page" }, "result"),
    branch((_, f) => f.result, ["keep_locked", "activate_locked", "written", "clean"]),
    label("written"),
    lockdep_assert_not_held(PG_locked),
    when("PageWriteback", (k, f) => PageWriteback(k, f.page), [goto("keep")]),
    when("PageDirty", (k, f) => PageDirty(k, f.page), [goto("keep")]),
    tries(
      PG_locked,
      check("trylock_page", (k, f) => trylock_page(k, f.page), "keep"),
    ),
    when("PageDirty", (k, f) => PageDirty(k, f.page) || PageWriteback(k, f.page), [goto("keep_locked")]),
    label("clean"),
  ];

  /**
   * What happens to a dirty page. Only kswapd writes file pages, only at the second meeting, only when the node is full of dirty pages.
   * Everybody writes anonymous pages.
   */
  const when_dirty: Node<Kernel, { page: Pfn; references: number; result: number }>[] = current_is_kswapd
    ? [
        held(
          when(
            "!PGDAT_DIRTY",
            (k, f) => page_is_file_cache(k, f.page) && (!PageReclaim(k, f.page) || !test_bit(k, PGDAT_DIRTY)),
            immediate(),
          ),
        ),
        ...write_out,
      ]
    : [
        config<{ page: Pfn; references: number; result: number }>(
          "swap",
          [given((k, f) => page_is_file_cache(k, f.page), immediate()), ...write_out],
          immediate(),
        ),
      ];

  const when_mapped = when<{ page: Pfn; unmapped: number }>("page_mapped", (k, f) => page_mapped(k, f.page), [
    call(() => try_to_unmap, { page: "page" }, "unmapped"),
    given(
      (_, f) => f.unmapped === 0,
      [local((k) => count_stat(k, "nr_unmap_fail")), goto("activate_locked")],
    ),
    local((k, f) => {
      act(k, f.page, "unmapped");
      f.unmapped = 0;
    }),
  ]);

  /**
   * Decide on each page of a chain. Pages that stay are chained to `ret_pages` (out: its first page); the others are
   * freed.
   */
  const shrink_page_list = path(
    "shrink_page_list",
    {
      source: "mm/vmscan.c v4.20",
      args: { page_list: int, ret_pages: int, nr_unqueued_dirty: int, nr_writeback: int },
      locals: {
        page: pfn,
        last: int,
        references: int,
        unmapped: int,
        result: int,
        released: int,
        free_pages: int,
      },
    },
    [
      repeat(
        (_, f) => f.page_list !== 0,
        [
          local((k, f) => {
            f.page = f.page_list - 1;
            f.page_list = unlink_first(k, f.page_list);
          }),
          tries(
            PG_locked,
            check("trylock_page", (k, f) => trylock_page(k, f.page), "keep"),
          ),
          held(
            step("sc->nr_scanned", (k, f) => {
              act(k, f.page, "scanned");
              add(k, "nr_scanned");
            }),
          ),
          held(check("page_evictable", (k, f) => page_evictable(k, f.page), "activate_locked")),
          config("watermarks", [
            // Mapped pages count twice, and those of the swap cache.
            held(
              step("page_mapped", (k, f) => {
                if (page_mapped(k, f.page) || PageSwapCache(k, f.page)) add(k, "nr_scanned");
              }),
            ),
          ]),
          settledUnlessWriteback(
            step("page_check_dirty_writeback", (k, f) => {
              // Only pages on the file LRU are counted.
              if (!page_is_file_cache(k, f.page)) return;
              const dirty = PageDirty(k, f.page);
              const writeback = PageWriteback(k, f.page);
              if (!dirty && !writeback) return;
              count(k, "nr_dirty");
              if (!writeback) f.nr_unqueued_dirty++;
              else if (PageReclaim(k, f.page)) count(k, "nr_congested");
            }),
          ),
          settledUnlessWriteback(
            when("PageWriteback", (k, f) => PageWriteback(k, f.page), [
              // Case 1 (kswapd meets it a second time while the node is full of writeback) and case 2 differ in what they count.
              step("SetPageReclaim", (k, f) => {
                if (current_is_kswapd && PageReclaim(k, f.page) && test_bit(k, PGDAT_WRITEBACK)) {
                  count(k, "nr_immediate");
                  return;
                }
                SetPageReclaim(k, f.page);
                f.nr_writeback++;
                count_stat(k, "nr_writeback");
              }),
              goto("activate_locked"),
            ]),
          ),
          call(() => page_check_references, { page: "page" }, "references"),
          local((k, f) => {
            if (f.references === PAGEREF.KEEP) count_stat(k, "nr_ref_keep");
          }),
          branch((_, f) => f.references, ["unmap", "unmap", "keep_locked", "activate_locked"]),
          label("unmap"),
          // A page of its own must have a place to go to. It gets one although a device may hold it.
          config("swap", [
            given(
              (k, f) => isAnon(k.page.mapping[f.page]) && !PageSwapCache(k, f.page),
              [
                call(() => add_to_swap, { page: "page" }, "result"),
                given((_, f) => f.result === 0, [goto("activate_locked")]),
                local((_, f) => {
                  f.result = 0;
                }),
              ],
            ),
          ]),
          // Where unmap_mapping_pages holds i_mmap_rwsem while it drops its reference, a page that is no longer mapped is not waited for.
          config("truncate", [when_mapped], [held(when_mapped)]),
          held(when("PageDirty", (k, f) => PageDirty(k, f.page), [...when_dirty])),
          forget,
          held(
            when("page_has_private", (k, f) => page_has_private(k, f.page), [
              call(() => try_to_release_page, { page: "page" }, "released"),
              given((_, f) => f.released === 0, [goto("activate_locked")]),
              local((k, f) => {
                act(k, f.page, "stripped");
                f.released = 0;
              }),
              heldIf(
                (k, f) => page_mapping(k, f.page) !== 0,
                when(
                  "!mapping && page_count == 1",
                  (k, f) => page_mapping(k, f.page) === 0 && page_count(k, f.page) === 1,
                  [
                    gives(
                      PG_locked,
                      step("put_page_testzero", (k, f) => {
                        unlock_page(k, f.page);
                        reclaimed(k, f.page);
                        put_page(k, f.page);
                      }),
                    ),
                    goto("next"),
                  ],
                ),
              ),
            ]),
          ),
          under(xa_lock, [
            when(
              "__remove_mapping",
              (k, f) => page_mapping(k, f.page) !== 0 && __remove_mapping(k, f.page, true),
              [
                // Nobody can reach the page any more.
                held(
                  gives(
                    PG_locked,
                    step("unlock_page", (k, f) => {
                      unlock_page(k, f.page);
                      reclaimed(k, f.page);
                      k.page.lru_next[f.page] = f.free_pages;
                      f.free_pages = f.page + 1;
                    }),
                  ),
                ),
                goto("next"),
              ],
            ),
          ]),
          // The page has lost its PTEs and its buffers, and nothing puts them back.
          local((k, f) => act(k, f.page, "backed_out")),
          goto("unlock"),
          label("activate_locked"),
          forget,
          step("SetPageActive", (k, f) => {
            act(k, f.page, "activated");
            // Not a candidate for swapping: the place is free for others.
            if (PageSwapCache(k, f.page) && (vm_swap_full(k) || PageMlocked(k, f.page)))
              try_to_free_swap(k, f.page);
            if (PageMlocked(k, f.page)) return;
            SetPageActive(k, f.page);
            k.count("pgactivate");
            count_stat(k, "nr_activate");
          }),
          goto("unlock"),
          label("keep_locked"),
          forget,
          local((k, f) => act(k, f.page, "kept")),
          label("unlock"),
          unlock(),
          label("keep"),
          local((k, f) => {
            link_after(k, f.last, f.page);
            if (f.last === 0) f.ret_pages = f.page + 1;
            f.last = f.page + 1;
          }),
          label("next"),
          lockdep_assert_not_held(PG_locked),
          local((_, f) => {
            f.page = NONE;
          }),
        ],
      ),
      given(
        (_, f) => f.free_pages !== 0,
        [
          step("free_unref_page_list", (k, f) => {
            while (f.free_pages !== 0) {
              const page = f.free_pages - 1;
              f.free_pages = unlink_first(k, f.free_pages);
              free_page(k, page);
            }
          }),
        ],
      ),
    ],
  );

  /** too_many_isolated: once it sleeps, then it leaves the field to those who hold the pages. kswapd does not ask. */
  const throttle = (file: boolean): Node<Kernel, { taken: number }>[] =>
    current_is_kswapd
      ? []
      : [
          step("too_many_isolated", (k, f) => {
            f.taken = too_many_isolated(k, file) ? 1 : 0;
          }),
          given(
            (_, f) => f.taken === 1,
            [
              pause("msleep"),
              step("too_many_isolated", (k, f) => {
                f.taken = too_many_isolated(k, file) ? 1 : 0;
              }),
              given((_, f) => f.taken === 1, [leave()]),
            ],
          ),
        ];

  const shrink_inactive = (file: boolean) =>
    path(
      "shrink_inactive_list",
      {
        source: "mm/vmscan.c v4.20",
        args: { nr_to_scan: int, nr_writeback: int, nr_taken: int, nr_unqueued_dirty: int },
        locals: { page_list: int, ret_pages: int, taken: int, dirty: int, writeback: int },
      },
      [
        ...throttle(file),
        under(lru_lock, [step("lru_add_drain", (k) => lru_add_drain(k))]),
        under(lru_lock, [
          step("isolate_lru_pages", (k, f) => {
            f.page_list = isolate_lru_pages(k, file ? LRU.inactive_file : LRU.inactive_anon, f.nr_to_scan);
            f.taken = chain_length(k, f.page_list);
            mod_isolated(k, file, f.taken);
            recent_scanned(k, file, f.taken);
            k.count(current_is_kswapd ? "pgscan_kswapd" : "pgscan_direct", f.taken);
            count_stat(k, "nr_scanned", f.taken);
          }),
        ]),
        given((_, f) => f.taken === 0, [leave()]),
        call(() => shrink_page_list, {
          page_list: "page_list",
          ret_pages: "ret_pages",
          nr_unqueued_dirty: "dirty",
          nr_writeback: "writeback",
        }),
        under(lru_lock, [
          step("putback_inactive_pages", (k, f) => {
            k.count(
              current_is_kswapd ? "pgsteal_kswapd" : "pgsteal_direct",
              f.taken - chain_length(k, f.ret_pages),
            );
            putback_pages(k, f.ret_pages);
            mod_isolated(k, file, -f.taken);
            f.nr_taken += f.taken;
            f.nr_writeback += f.writeback;
            f.nr_unqueued_dirty += f.dirty;
          }),
        ]),
        config("kupdate", [
          // Nobody has written what should have been written long ago.
          given(
            (_, f) => f.dirty === f.taken,
            [step("wakeup_flusher_threads", (k) => wakeup_flusher_threads(k))],
          ),
        ]),
      ],
    );

  const shrink_inactive_list = shrink_inactive(true);
  const shrink_inactive_anon = shrink_inactive(false);

  /** memset(&sc->nr, 0): the figures of a pass of shrink_node. */
  const forget_pass = (k: Kernel): void => {
    const { nr_before, nr_reclaimed, nr_dirty, nr_congested, nr_immediate } = sc(k);
    if (nr_before.length === 0) return;
    const at = row(k);
    nr_before[at] = nr_reclaimed[at];
    nr_dirty[at] = 0;
    nr_congested[at] = 0;
    nr_immediate[at] = 0;
  };

  /** Pages that this pass of shrink_node has freed. */
  const progress = (k: Kernel): number => sc(k).nr_reclaimed[row(k)] - sc(k).nr_before[row(k)];

  /** Whether a pass may stop before its end. A direct reclaimer's first pass may not (scan_adjusted). */
  const is_enough = (k: Kernel): boolean =>
    (current_is_kswapd || sc(k).priority[row(k)] < DEF_PRIORITY) &&
    progress(k) >= (current_is_kswapd ? kswapd_nr_to_reclaim(k) : SWAP_CLUSTER_MAX);

  interface Pass {
    nr_writeback: number;
    nr_taken: number;
    nr_unqueued_dirty: number;
    anon_taken: number;
  }

  /** What kswapd concludes about the node from a pass. */
  const conclude: Node<Kernel, Pass>[] = current_is_kswapd
    ? [
        held(
          step("set_bit(PGDAT_*)", (k, f) => {
            const { nr_dirty, nr_congested } = sc(k);
            const nr_taken = f.nr_taken + (f.anon_taken ?? 0);
            if (f.nr_writeback > 0 && f.nr_writeback === nr_taken) k.pgdat.flags[0] |= PGDAT_WRITEBACK;
            if (nr_dirty[KSWAPD] > 0 && nr_dirty[KSWAPD] === nr_congested[KSWAPD])
              k.pgdat.flags[0] |= PGDAT_CONGESTED;
            // sc->nr.file_taken; also when it has taken no page.
            if (f.nr_unqueued_dirty === f.nr_taken) k.pgdat.flags[0] |= PGDAT_DIRTY;
          }),
        ),
        config("watermarks", [
          given(
            (k) => sc(k).nr_immediate[KSWAPD] > 0,
            [pause("congestion_wait"), step("congestion_wait", () => {})],
          ),
        ]),
      ]
    : [];

  const FILE_PASS = {
    inactive: int,
    active: int,
    nr: int,
    nr_writeback: int,
    nr_taken: int,
    nr_unqueued_dirty: int,
  } as const;
  const ANON_PASS = { inactive_anon: int, active_anon: int, anon_taken: int } as const;
  type PassFrame = Frame<typeof FILE_PASS & typeof ANON_PASS>;

  /** As many pages of a list as are scanned at once. */
  const chunk = (left: number): number => Math.min(left, SWAP_CLUSTER_MAX);

  /** shrink_list of the anonymous lists, for which a machine without swap has no locals. */
  const anon_lists: Node<Kernel, PassFrame>[] = [
    given(
      (_, f) => f.inactive_anon > 0,
      [
        local((_, f) => {
          f.nr = chunk(f.inactive_anon);
          f.inactive_anon -= f.nr;
        }),
        call(() => shrink_inactive_anon, {
          nr_to_scan: "nr",
          nr_writeback: "nr_writeback",
          nr_taken: "anon_taken",
          nr_unqueued_dirty: "nr_unqueued_dirty",
        }),
      ],
    ),
    given(
      (_, f) => f.active_anon > 0,
      [
        local((_, f) => {
          f.nr = chunk(f.active_anon);
          f.active_anon -= f.nr;
        }),
        when("inactive_list_is_low", (k) => inactive_list_is_low(k, LRU.inactive_anon), [
          call(() => shrink_active_anon, { nr_to_scan: "nr" }),
        ]),
      ],
    ),
  ];

  const file_lists: Node<Kernel, PassFrame>[] = [
    given(
      (_, f) => f.inactive > 0,
      [
        local((_, f) => {
          f.nr = chunk(f.inactive);
          f.inactive -= f.nr;
        }),
        call(() => shrink_inactive_list, {
          nr_to_scan: "nr",
          nr_writeback: "nr_writeback",
          nr_taken: "nr_taken",
          nr_unqueued_dirty: "nr_unqueued_dirty",
        }),
      ],
    ),
    given(
      (_, f) => f.active > 0,
      [
        local((_, f) => {
          f.nr = chunk(f.active);
          f.active -= f.nr;
        }),
        when("inactive_list_is_low", (k) => inactive_list_is_low(k, LRU.inactive_file, true), [
          call(() => shrink_active_list, { nr_to_scan: "nr" }),
        ]),
      ],
    ),
  ];

  /** Even where no anonymous page is evicted, the active ones follow when few are inactive. */
  const age_anon: Node<Kernel, PassFrame>[] = [
    when("inactive_list_is_low", (k) => inactive_list_is_low(k, LRU.inactive_anon), [
      local((_, f) => {
        f.nr = SWAP_CLUSTER_MAX;
      }),
      call(() => shrink_active_anon, { nr_to_scan: "nr" }),
    ]),
    local((_, f) => {
      f.active_anon = 0;
      f.nr = 0;
    }),
  ];

  /** One pass over the lists of the node, and the conclusions that kswapd draws from it. */
  const pass = (swap: boolean) =>
    path(
      "shrink_node",
      {
        source: "mm/vmscan.c v4.20",
        locals: (swap ? { ...FILE_PASS, ...ANON_PASS } : FILE_PASS) as typeof FILE_PASS & typeof ANON_PASS,
      },
      [
        step("get_scan_count", (k, f) => {
          forget_pass(k);
          if (swap) {
            age_pressure(k);
            f.inactive_anon = scan_count(k, LRU.inactive_anon, row(k));
            f.active_anon = scan_count(k, LRU.active_anon, row(k));
          }
          f.inactive = scan_count(k, LRU.inactive_file, row(k));
          // Active pages are scanned only while the inactive list is low; it may become so during the pass.
          f.active = scan_count(k, LRU.active_file, row(k));
        }),
        repeat(
          (_, f) => f.inactive > 0 || f.active > 0 || (swap && f.inactive_anon > 0),
          [
            ...(swap ? anon_lists : []),
            ...file_lists,
            config("watermarks", [given((k) => is_enough(k), [goto("enough")])]),
          ],
        ),
        config("watermarks", [
          label("enough"),
          local((_, f) => {
            f.inactive = 0;
            f.active = 0;
            f.nr = 0;
            if (swap) f.inactive_anon = 0;
          }),
        ]),
        ...(swap ? age_anon : []),
        ...conclude,
        config("watermarks", [
          given(
            (k) => progress(k) > 0,
            [
              step("kswapd_failures = 0", (k) => {
                node(k).kswapd_failures[0] = 0;
              }),
            ],
          ),
        ]),
      ],
    );
  const shrink_node = pass(false);
  const shrink_node_swap = pass(true);

  /** shrink_node on the machine that there is. */
  const call_shrink_node = (): Node<Kernel, Record<never, never>> =>
    config("swap", [call(() => shrink_node_swap, {})], [call(() => shrink_node, {})]);
  return {
    shrink_page_list,
    shrink_inactive_list,
    shrink_inactive_anon,
    shrink_node,
    shrink_node_swap,
    call_shrink_node,
  };
}

/** kswapd's paths. shrink_node is that of a machine without swap. */
export const { shrink_page_list, shrink_node, shrink_node_swap, call_shrink_node } = reclaimer(true);
/** Those of a task that reclaims for its own allocation. */
export const direct = reclaimer(false);
