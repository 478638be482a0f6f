/**
 * How many pages may be dirty, and who has to wait when there are more.
 *
 * Source: mm/page-writeback.c in v4.20. Above the background threshold the flusher is woken; above the mean of both thresholds
 * (the freerun ceiling) whoever dirties pages sleeps once; at the limit it sleeps until others have cleaned some. In v4.20 a fault
 * sleeps here with mmap_sem held. A page that a device dirtied and nobody marked counts nowhere.
 *
 * How long a sleep is follows from the disks' measured bandwidth and is the scheduler's business here. A machine whose
 * threshold is a few pages polls at every page that is dirtied (dirty_poll_interval gives 1), so each dirtying asks. Left out:
 * per-disk limits, cgroups, dirty_bytes, reserves and highmem, the quarter more that real-time tasks and nfsd get, the page
 * that a disk may always have (wb_stat_error).
 */
import type { Kernel } from "../kernel.js";
import { call, config, given, path, pause, step, wait } from "../language.js";
import { mapping_cap_account_dirty } from "../operations.js";
import { LRU } from "../structs.js";
import { type InodeNr, inode, int } from "../types.js";
import { global_node_page_state, wb_wakeup, writeback_in_progress } from "./backing_dev.js";

/** dirty_background_ratio: percent of dirtyable memory above which the flusher works. */
export const dirty_background_ratio = 10;
/** vm_dirty_ratio: percent of dirtyable memory at which processes write no more. */
export const vm_dirty_ratio = 20;
const PAGE_SIZE = 4096;

/** Pages on the free list. */
function nr_free_pages(k: Kernel): number {
  let free = 0;
  const ram = k.geometry.pages - k.geometry.devicePages;
  for (let page = 0; page < ram; page++) if (k.page._refcount[page] === 0) free++;
  return free;
}

/** global_dirtyable_memory, in pages: free memory and the page cache, never 0. */
export const global_dirtyable_memory = (k: Kernel): number =>
  nr_free_pages(k) + k.lruvec.size[LRU.inactive_file] + k.lruvec.size[LRU.active_file] + 1;

/** domain_dirty_limits for this much dirtyable memory, in pages. Ratios are kept per page for precision, as in the kernel. */
export function domain_dirty_limits(available: number): {
  readonly thresh: number;
  readonly bg_thresh: number;
} {
  const share = (percent: number) =>
    Math.floor((Math.floor((percent * PAGE_SIZE) / 100) * available) / PAGE_SIZE);
  const thresh = share(vm_dirty_ratio);
  const bg_thresh = share(dirty_background_ratio);
  return { thresh, bg_thresh: bg_thresh >= thresh ? Math.floor(thresh / 2) : bg_thresh };
}

/** global_dirty_limits: the thresholds of this moment, in pages. */
export const global_dirty_limits = (k: Kernel) => domain_dirty_limits(global_dirtyable_memory(k));

/** dirty_freerun_ceiling: below it nobody is slowed down. */
export const dirty_freerun_ceiling = (thresh: number, bg_thresh: number): number =>
  Math.floor((thresh + bg_thresh) / 2);

/** wb_over_bg_thresh: whether the background has work to do. Pages under writeback do not count: they are being written. */
export const wb_over_bg_thresh = (k: Kernel): boolean =>
  global_node_page_state(k, "nr_file_dirty") > global_dirty_limits(k).bg_thresh;

const dirty_pages = (k: Kernel): number =>
  global_node_page_state(k, "nr_file_dirty") + global_node_page_state(k, "nr_writeback");

/** wb_start_background_writeback, unless the flusher works anyway. */
function start_background(k: Kernel, mapping: InodeNr): void {
  const wb = k.inode.disk[mapping];
  if (k.has("kupdate") && !writeback_in_progress(k, wb)) wb_wakeup(k, wb);
}

/** Sleep while too much is dirty. The caller has just dirtied a page. */
const balance_dirty_pages = path(
  "balance_dirty_pages",
  {
    source: "mm/page-writeback.c v4.20",
    args: { mapping: inode },
    locals: { nr_reclaimable: int, above: int },
  },
  [
    step("domain_dirty_limits", (k, f) => {
      const { thresh, bg_thresh } = global_dirty_limits(k);
      f.nr_reclaimable = global_node_page_state(k, "nr_file_dirty") > bg_thresh ? 1 : 0;
      f.above = dirty_pages(k) > dirty_freerun_ceiling(thresh, bg_thresh) ? 1 : 0;
      if (f.above === 1) start_background(k, f.mapping);
    }),
    given(
      (_, f) => f.above === 1,
      [
        // At the limit the rate that is allowed is 0, and the sleep is repeated.
        pause("balance_dirty_pages"),
        wait("io_schedule_timeout", (k) => dirty_pages(k) < Math.max(global_dirty_limits(k).thresh, 1)),
      ],
    ),
    // In laptop mode a disk that sleeps is not woken for less than the ceiling.
    config("kupdate", [
      given(
        (k, f) => f.nr_reclaimable === 1 && !k.geometry.laptop_mode,
        [step("wb_start_background_writeback", (k, f) => start_background(k, f.mapping))],
      ),
    ]),
  ],
);

/** Whoever has dirtied a page of a mapping calls this, and may sleep. Nothing without config "throttle". */
export const balance_dirty_pages_ratelimited = path(
  "balance_dirty_pages_ratelimited",
  { source: "mm/page-writeback.c v4.20", args: { mapping: inode } },
  [
    config("throttle", [
      given(
        (k, f) => mapping_cap_account_dirty(k, f.mapping),
        [call(() => balance_dirty_pages, { mapping: "mapping" })],
      ),
    ]),
  ],
);
