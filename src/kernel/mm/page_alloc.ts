/**
 * The page allocator: the free list, watermarks, and what an allocation does when there is not enough.
 *
 * Source: mm/page_alloc.c, mm/oom_kill.c in v4.20. Without config "watermarks" an allocation takes the first free page, and sleeps
 * while there is none. With it an allocation that would go below the low watermark wakes kswapd, and one that would go below the
 * minimum sleeps until kswapd has freed enough; with "direct_reclaim" too it reclaims itself, as the kernel does, until it
 * has a page or gives up.
 *
 * A machine can have a ZONE_MOVABLE (geometry "movable"): pages that can be moved are taken from there first. The watermarks are those of all
 * of its memory.
 *
 * Every allocation modelled is one page for user space or the page cache (GFP_HIGHUSER_MOVABLE, mapping_gfp_mask): it may
 * sleep, do I/O and enter filesystems.
 *
 * A page is looked at when it is freed and when it is allocated: one that is still mapped, in a mapping or referenced then has been
 * put once too often. It is reported and taken out of circulation (bad_page). v4.20 does so when pages move between a CPU's list
 * and the zone's; here at once.
 *
 * Left out: GFP_NOFS, with which xfs fills its page cache and ext4 begins a write (v4.20's direct reclaim writes no file page in any
 * case), orders above 0 and compaction, free pages kept per CPU, the limit of bad_page's reports, the fair spread of dirty pages,
 * PF_MEMALLOC and ALLOC_HARDER (nobody here allocates while reclaiming, in interrupts or in real time). An
 * allocation fails where the OOM killer would be asked, and its fault ends with VM_FAULT_OOM: the killer's choice of a
 * victim, its reserves and the reaper are not modelled (sysctl oom_kill_allocating_task: who asks is who goes).
 */
import type { Node } from "../../machine/path.js";
import { pg } from "../../trace/words.js";
import { ERRNO } from "../errno.js";
import type { Kernel } from "../kernel.js";
import { call, config, given, goto, label, leave, local, path, pause, step, wait } from "../language.js";
import { isAnon } from "../structs.js";
import { int, NONE, type Pfn, pfn } from "../types.js";
import { try_to_free_pages } from "./direct_reclaim.js";
import {
  free_pages,
  MAX_RECLAIM_RETRIES,
  mod_free_pages,
  wakeup_kswapd,
  zone_reclaimable_pages,
  zone_watermark_ok,
} from "./mmzone.js";
import { forget_orphan } from "./orphan.js";
import { page_ref_add, write_flags } from "./page.js";
import { is_migrate_isolate } from "./page_isolation.js";
import { forget_users } from "./user_pages.js";

/** Whether alloc_page would give a page now. */
export function has_free_page(k: Kernel): boolean {
  const before = free_page_before(k);
  if (before === null) return false;
  let page = first_free(k, before);
  // One that is bad is not given.
  while (
    page !== NONE &&
    (is_migrate_isolate(k, page) || !page_expected_state(k, page, PAGE_FLAGS_CHECK_AT_PREP))
  )
    page = k.page.lru_next[page] - 1;
  return page !== NONE;
}

/** is_zone_movable_page: whether a page frame is for pages that can be moved, and for no others. */
export const is_zone_movable_page = (k: Kernel, page: Pfn): boolean => {
  const { first, pages } = k.geometry.movable;
  return page >= first && page < first + pages;
};

/** Where an allocation may look. */
const ZONES = { any: 0, movable: 1, normal: 2 } as const;

/** Whether a free page is not for this allocation. */
const passed_by = (k: Kernel, page: Pfn, zones: number): boolean =>
  is_migrate_isolate(k, page) ||
  (zones !== ZONES.any && is_zone_movable_page(k, page) !== (zones === ZONES.movable));

/** Of the first free page that may be allocated, the one before it in the list (NONE: it is the first); null when there is none. */
function free_page_before(k: Kernel, zones: number = ZONES.any): Pfn | null {
  let before: Pfn = NONE;
  let page = k.pgdat.free[0] - 1;
  while (page !== NONE && passed_by(k, page, zones)) {
    before = page;
    page = k.page.lru_next[page] - 1;
  }
  return page === NONE ? null : before;
}

/** The free page after another one in the list (NONE: the first). */
const first_free = (k: Kernel, before: Pfn): Pfn =>
  (before === NONE ? k.pgdat.free[0] : k.page.lru_next[before]) - 1;

/** The same in the order of the zones that an allocation may use: a page that can be moved goes where only such pages go, if it fits. */
function first_fit(k: Kernel, movable: boolean): Pfn | null {
  if (k.geometry.movable.pages === 0) return free_page_before(k);
  const before = movable ? free_page_before(k, ZONES.movable) : null;
  return before ?? free_page_before(k, ZONES.normal);
}

/**
 * A free page with one reference and no flags, whatever the watermarks say; or NONE. Bad ones on the way are left out for good.
 *
 * @param movable __GFP_MOVABLE: whether the page can be moved later on, so that it may be one of ZONE_MOVABLE
 */
export function alloc_page(k: Kernel, movable = true): Pfn {
  for (;;) {
    const before = first_fit(k, movable);
    if (before === null) return NONE;
    const page = first_free(k, before);
    if (before === NONE) k.pgdat.free[0] = k.page.lru_next[page];
    else k.page.lru_next[before] = k.page.lru_next[page];
    k.page.lru_next[page] = 0;
    k.page.lru_prev[page] = 0;
    mod_free_pages(k, 1);
    if (check_new_page(k, page)) continue;
    page_ref_add(k, page, 1);
    return page;
  }
}

/** PAGE_FLAGS_CHECK_AT_FREE: flags that a page must not have when it is freed. PG_dirty is not among them. */
const PAGE_FLAGS_CHECK_AT_FREE =
  pg("lru") |
  pg("locked") |
  pg("private") |
  pg("private_2") |
  pg("writeback") |
  pg("reserved") |
  pg("slab") |
  pg("active") |
  pg("unevictable") |
  pg("mlocked");
/** PAGE_FLAGS_CHECK_AT_PREP: flags that a page must not have when it is allocated, all of them. */
const PAGE_FLAGS_CHECK_AT_PREP = -1;

/** page_expected_state: what a page looks like that is nobody's. */
const page_expected_state = (k: Kernel, page: Pfn, check_flags: number): boolean =>
  k.page.mapcount[page] === 0 &&
  (k.page.mapping[page] | k.page._refcount[page] | (k.page.flags[page] & check_flags)) === 0;

/** What is wrong with a page that is nobody's: of several things the last one is said. */
function bad_reason(k: Kernel, page: Pfn, check_flags: number, when: string): string {
  if ((k.page.flags[page] & check_flags) !== 0) return `PAGE_FLAGS_CHECK_AT_${when} flag(s) set`;
  if (k.page._refcount[page] !== 0) return when === "FREE" ? "nonzero _refcount" : "nonzero _count";
  return k.page.mapping[page] !== 0 ? "non-NULL mapping" : "nonzero mapcount";
}

/**
 * bad_page: says so, and leaves the page as it is but for its mapcount. Whoever calls it lets go of the page: it is on no list and
 * in no pool from then on, so that nobody gets it again.
 */
function bad_page(k: Kernel, page: Pfn, reason: string): void {
  k.fault("WARN", `bad_page: BUG: Bad page state: ${reason}`, page);
  k.page.mapcount[page] = 0;
}

/** free_pages_check. Gives whether the page is bad. */
function free_pages_check(k: Kernel, page: Pfn): boolean {
  for (const insert of k.inserts.free_pages_check) insert(k, page);
  // Without CONFIG_DEBUG_VM a page is looked at when it leaves its CPU's list, and its flags have been cleared by then.
  const check_flags = k.has("debug_vm") ? PAGE_FLAGS_CHECK_AT_FREE : 0;
  const bad = !page_expected_state(k, page, check_flags);
  if (!k.tested(bad, "free_pages_check: bad_page: BUG: Bad page state", page)) return false;
  bad_page(k, page, bad_reason(k, page, check_flags, "FREE"));
  return true;
}

/** check_new_page. Gives whether the page is bad. */
function check_new_page(k: Kernel, page: Pfn): boolean {
  const bad = !page_expected_state(k, page, PAGE_FLAGS_CHECK_AT_PREP);
  if (!k.tested(bad, "check_new_page: bad_page: BUG: Bad page state", page)) return false;
  bad_page(k, page, bad_reason(k, page, PAGE_FLAGS_CHECK_AT_PREP, "PREP"));
  return true;
}

/** Whether a page is on the free list: such a page names itself as the one before it. */
export const is_free = (k: Kernel, page: Pfn): boolean => k.page.lru_prev[page] === page + 1;

/** Give a page that has no references and is on no list back (free_unref_page). */
export function free_page(k: Kernel, page: Pfn): void {
  // Its CPU's list would have it twice; CONFIG_DEBUG_LIST finds it where the two are neighbours, and does not add it.
  const twice = "__list_add_valid: list_add double add: the page is free already";
  if (k.fault_on(is_free(k, page), "WARN", twice, page)) return;
  forget_orphan(k, page);
  forget_users(k, page);
  // PageMappingFlags: an anonymous page keeps its mapping until here.
  if (isAnon(k.page.mapping[page])) k.page.mapping[page] = 0;
  if (free_pages_check(k, page)) return;
  write_flags(k, page, 0);
  k.page.index[page] = 0;
  k.page.device[page] = 0;
  k.content.version.fill(0, page * k.geometry.parts, (page + 1) * k.geometry.parts);
  k.page.lru_next[page] = k.pgdat.free[0];
  k.page.lru_prev[page] = page + 1;
  k.pgdat.free[0] = page + 1;
  mod_free_pages(k, -1);
}

/** get_page_from_freelist: a page if more are free than this watermark says, or NONE. */
export const get_page_from_freelist = (k: Kernel, mark: number): Pfn =>
  zone_watermark_ok(k, mark) ? alloc_page(k) : NONE;

/** The test of should_reclaim_retry: if all that reclaim may look at were free, it would be enough. */
export const may_become_enough = (k: Kernel): boolean =>
  zone_reclaimable_pages(k) + free_pages(k) > k.geometry.watermarks.min;

/** An allocation that found less than the low watermark free. Gives a page, or NONE where the OOM killer would be asked. */
export const __alloc_pages_slowpath = path(
  "__alloc_pages_slowpath",
  {
    source: "mm/page_alloc.c v4.20",
    locals: { did_some_progress: int, no_progress_loops: int },
    returns: pfn,
  },
  [
    step("wake_all_kswapds", (k) => wakeup_kswapd(k)),
    config(
      "direct_reclaim",
      [
        step("get_page_from_freelist", (k, f) => {
          f.ret = get_page_from_freelist(k, k.geometry.watermarks.min);
        }),
        given((_, f) => f.ret !== NONE, [leave()]),
        // It makes sure that kswapd does not fall asleep as long as this goes on.
        step("wake_all_kswapds", (k) => wakeup_kswapd(k)),
        label("woken"),
        step("get_page_from_freelist", (k, f) => {
          f.ret = get_page_from_freelist(k, k.geometry.watermarks.min);
        }),
        given((_, f) => f.ret !== NONE, [leave()]),
        call(() => try_to_free_pages, {}, "did_some_progress"),
        given(
          (_, f) => f.did_some_progress > 0,
          [
            step("get_page_from_freelist", (k, f) => {
              f.ret = get_page_from_freelist(k, k.geometry.watermarks.min);
            }),
            given((_, f) => f.ret !== NONE, [leave()]),
          ],
        ),
        local((_, f) => {
          f.no_progress_loops = f.did_some_progress > 0 ? 0 : f.no_progress_loops + 1;
          f.did_some_progress = 0;
        }),
        step("should_reclaim_retry", (k, f) => {
          if (f.no_progress_loops > MAX_RECLAIM_RETRIES || !may_become_enough(k)) f.no_progress_loops = NONE;
        }),
        given(
          (_, f) => f.no_progress_loops !== NONE,
          [
            // Where most of what could be reclaimed waits to be written, it gives the disks some time; else it may be preempted.
            pause("congestion_wait"),
            step("wake_all_kswapds", (k) => wakeup_kswapd(k)),
            goto("woken"),
          ],
        ),
        // The last look, above the high watermark: only if somebody else has freed much in the meantime.
        step("__alloc_pages_may_oom", (k, f) => {
          f.ret = get_page_from_freelist(k, k.geometry.watermarks.high);
          if (f.ret !== NONE) return;
          k.count("oom_kill");
          k.refused("out_of_memory", -ERRNO.ENOMEM, NONE);
        }),
      ],
      [
        wait(
          "get_page_from_freelist",
          (k) => zone_watermark_ok(k, k.geometry.watermarks.min),
          (k, f) => {
            f.ret = alloc_page(k);
          },
        ),
      ],
    ),
  ],
);

/**
 * Nodes that allocate a page into a local.
 *
 * @param name the function that asks for it
 * @param into the local: it must be NONE before
 * @param then what is done with the page at once
 * @param failed what the path does without one: config "direct_reclaim" only
 */
export function alloc_pages<N extends string, F extends Record<N, Pfn>>(
  name: string,
  into: N,
  then: (k: Kernel, page: Pfn) => void,
  failed: readonly Node<Kernel, F>[],
): Node<Kernel, F> {
  const set = (f: F, page: Pfn) => {
    (f as Record<string, Pfn>)[into] = page;
  };
  return config<F>(
    "watermarks",
    [
      step(name, (k, f) => set(f, get_page_from_freelist(k, k.geometry.watermarks.low))),
      given((_, f) => f[into] === NONE, [call(() => __alloc_pages_slowpath, {}, into as never)]),
      config("direct_reclaim", [given((_, f) => f[into] === NONE, failed)]),
      local((k, f) => then(k, f[into])),
    ],
    [
      wait(
        name,
        (k) => has_free_page(k),
        (k, f) => {
          const page = alloc_page(k);
          set(f, page);
          then(k, page);
        },
      ),
    ],
  );
}
