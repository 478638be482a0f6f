/**
 * Direct reclaim: an allocation that finds too little free makes room itself.
 *
 * Source: mm/vmscan.c in v4.20. It differs from kswapd in what it may do: it never writes file pages (R12), it waits while too many
 * pages are isolated already, and it is content with SWAP_CLUSTER_MAX pages. It runs wherever a task allocates: in a
 * fault, with mmap_sem held, below get_user_pages. All of it needs config "direct_reclaim".
 *
 * Left out: memcgs, compaction, the signals that end its sleeps, wait_iff_congested (no disk here says that it is congested,
 * and without one it only offers the CPU to others).
 */
import type { Kernel } from "../kernel.js";
import { config, given, goto, label, leave, local, path, step, wait } from "../language.js";
import { int } from "../types.js";
import { free_pages, MAX_RECLAIM_RETRIES, node, wakeup_kswapd, zone_reclaimable_pages } from "./mmzone.js";
import { begin_direct, DEF_PRIORITY, end, row_of_task, sc } from "./scan_control.js";
import { direct, SWAP_CLUSTER_MAX } from "./vmscan.js";
import { snapshot_refaults } from "./workingset.js";

/**
 * allow_direct_reclaim: not while less than half of the minimum is free, which is kept for reclaim's own allocations, unless
 * kswapd has given up or there is nothing to reclaim.
 */
export const allow_direct_reclaim = (k: Kernel): boolean =>
  node(k).kswapd_failures[0] >= MAX_RECLAIM_RETRIES ||
  zone_reclaimable_pages(k) === 0 ||
  k.geometry.watermarks.min === 0 ||
  free_pages(k) > Math.floor(k.geometry.watermarks.min / 2);

/** Reclaim for an allocation of the task. Gives how many pages were freed. */
export const try_to_free_pages = path(
  "try_to_free_pages",
  { source: "mm/vmscan.c v4.20", locals: { allowed: int }, returns: int },
  [
    step("throttle_direct_reclaim", (k, f) => {
      f.allowed = allow_direct_reclaim(k) ? 1 : 0;
      if (f.allowed === 1) return;
      wakeup_kswapd(k);
      k.count("pgscan_direct_throttle");
    }),
    given((_, f) => f.allowed === 0, [wait("pfmemalloc_wait", (k) => allow_direct_reclaim(k))]),
    local((k, f) => {
      f.allowed = 0;
      k.count("allocstall_movable");
      begin_direct(k);
    }),
    label("do_try_to_free_pages"),
    direct.call_shrink_node(),
    local((k, f) => {
      const row = row_of_task(k);
      const { nr_scanned, nr_reclaimed, priority, may_writepage } = sc(k);
      nr_scanned[row] = 0;
      if (priority[row] < DEF_PRIORITY - 2) may_writepage[row] = 1;
      f.allowed = nr_reclaimed[row] >= SWAP_CLUSTER_MAX || priority[row] === 0 ? 1 : 0;
      if (f.allowed === 0) priority[row]--;
    }),
    given((_, f) => f.allowed === 0, [goto("do_try_to_free_pages")]),
    config("workingset", [step("snapshot_refaults", (k) => snapshot_refaults(k))]),
    local((k, f) => {
      const row = row_of_task(k);
      f.allowed = 0;
      f.ret = sc(k).nr_reclaimed[row];
      end(k, row);
    }),
    leave(),
  ],
);
