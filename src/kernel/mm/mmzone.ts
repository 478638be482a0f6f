/**
 * The node's memory as the allocator and reclaim count it: free pages against watermarks, and what kswapd is told.
 *
 * Source: include/linux/mmzone.h, mm/page_alloc.c, mm/vmscan.c in v4.20. All of it needs config "watermarks": without it memory is
 * always short, kswapd never sleeps for good, and an allocation takes the last page.
 *
 * Left out: more than one zone and node, orders above 0, reserves of the allocator (lowmem_reserve, CMA, highatomic),
 * the short buffers in which each CPU keeps free pages and counts (free pages are counted exactly).
 */
import { struct, u8, u32 } from "../../machine/memory.js";
import type { Kernel, Table } from "../kernel.js";
import { LRU, PGDAT_CONGESTED, PGDAT_DIRTY, PGDAT_WRITEBACK } from "../structs.js";
import { get_nr_swap_pages } from "./swapfile.js";

/** sysctl watermark_scale_factor: the gap between watermarks, in parts of 10,000 of the zone. */
const watermark_scale_factor = 10;
const PAGE_KBYTES = 4;
/** Rounds without progress after which kswapd, or an allocation, gives up. */
export const MAX_RECLAIM_RETRIES = 16;

/** The watermarks of a zone, in pages. */
export interface Watermarks {
  /** WMARK_MIN: below it an allocation has to reclaim itself. */
  readonly min: number;
  /** WMARK_LOW: below it kswapd is woken. */
  readonly low: number;
  /** WMARK_HIGH: above it kswapd sleeps. */
  readonly high: number;
}

/** init_per_zone_wmark_min: pages that are kept free on a machine with this many. */
export function init_per_zone_wmark_min(managed: number): number {
  const min_free_kbytes = Math.floor(Math.sqrt(managed * PAGE_KBYTES * 16));
  return Math.floor(Math.min(65536, Math.max(128, min_free_kbytes)) / PAGE_KBYTES);
}

/** __setup_per_zone_wmarks for the one zone. */
export function setup_per_zone_wmarks(managed: number, min: number): Watermarks {
  const gap = Math.max(Math.floor(min / 4), Math.floor((managed * watermark_scale_factor) / 10000));
  return { min, low: min + gap, high: min + 2 * gap };
}

const zone = struct("zone", { allocated: u32("page frames of RAM that are not on the free list") });

/** States of kswapd on its wait queue. */
const KSWAPD = { running: 0, waiting: 1, woken: 2 } as const;

const pglist_data = struct("pglist_data", {
  kswapd_wait: u8("whether kswapd is on its wait queue, and whether it was woken there: KSWAPD"),
  kswapd_failures: u8("runs of balance_pgdat in a row that reclaimed nothing"),
  nr_isolated_file: u32("NR_ISOLATED_FILE: pages that reclaim has taken off the file lists"),
});

const isolated_anon = struct("isolated_anon", {
  nr_isolated_anon: u32("NR_ISOLATED_ANON: pages that reclaim has taken off the anonymous lists"),
});

/** Rows: the anonymous lists, the file lists. */
const zone_reclaim_stat = struct("zone_reclaim_stat", {
  recent_scanned: u32("pages that reclaim has looked at lately"),
  recent_rotated: u32("of these, pages that were in use"),
});

const weighs = (g: { readonly config: ReadonlySet<string> }) =>
  g.config.has("watermarks") && g.config.has("swap");

const one = (g: { readonly config: ReadonlySet<string> }) => (g.config.has("watermarks") ? 1 : 0);

/** The structs of this file. */
export const zoneTables: readonly Table[] = [
  { struct: zone, rows: one },
  { struct: pglist_data, rows: one },
  { struct: isolated_anon, rows: (g) => (weighs(g) ? 1 : 0) },
  { struct: zone_reclaim_stat, rows: (g) => (weighs(g) ? 2 : 0) },
];

/** The node's columns that only machines with watermarks have. */
export const node = (k: Kernel) => k.of(pglist_data);

/** A page left the free list, or came back to it. */
export function mod_free_pages(k: Kernel, taken: 1 | -1): void {
  const { allocated } = k.of(zone);
  if (allocated.length > 0) allocated[0] += taken;
}

/** NR_ISOLATED_ANON, NR_ISOLATED_FILE go up and down: gauges that too_many_isolated reads, where there are watermarks. */
export function mod_isolated(k: Kernel, file: boolean, by: number): void {
  k.count(file ? "nr_isolated_file" : "nr_isolated_anon", by);
  const { nr_isolated_file } = node(k);
  if (nr_isolated_file.length === 0) return;
  if (file) nr_isolated_file[0] += by;
  else k.of(isolated_anon).nr_isolated_anon[0] += by;
}

/** Pages that reclaim has taken off the anonymous or the file lists, where there are watermarks. */
export const nr_isolated = (k: Kernel, file: boolean): number =>
  file ? node(k).nr_isolated_file[0] : k.of(isolated_anon).nr_isolated_anon[0];

const row_of = (file: boolean): number => (file ? 1 : 0);

/** Pages of anonymous or file lists have been looked at; where nobody weighs the lists against each other nothing is noted. */
export function recent_scanned(k: Kernel, file: boolean, by: number): void {
  const { recent_scanned: scanned } = k.of(zone_reclaim_stat);
  if (scanned.length > 0) scanned[row_of(file)] += by;
}

/** Of these, some were in use. */
export function recent_rotated(k: Kernel, file: boolean, by: number): void {
  const { recent_rotated: rotated } = k.of(zone_reclaim_stat);
  if (rotated.length > 0) rotated[row_of(file)] += by;
}

/** What was long ago counts less: the figures are halved once they are a quarter of the lists. */
export function age_pressure(k: Kernel): void {
  const { recent_scanned: scanned, recent_rotated: rotated } = k.of(zone_reclaim_stat);
  for (let row = 0; row < scanned.length; row++) {
    const lists = k.lruvec.size[2 * row] + k.lruvec.size[2 * row + 1];
    if (scanned[row] <= Math.floor(lists / 4)) continue;
    scanned[row] >>>= 1;
    rotated[row] >>>= 1;
  }
}

/** The share of the scanning that a pair of lists gets: its priority, times what was scanned for each page in use. */
export function pressure(k: Kernel, row: number, priority: number): number {
  const { recent_scanned: scanned, recent_rotated: rotated } = k.of(zone_reclaim_stat);
  return Math.floor((priority * (scanned[row] + 1)) / (rotated[row] + 1));
}

/** NR_FREE_PAGES */
export const free_pages = (k: Kernel): number =>
  k.geometry.pages - k.geometry.devicePages - k.of(zone).allocated[0];

/** zone_watermark_ok at order 0: strictly more is free than the mark says. */
export const zone_watermark_ok = (k: Kernel, mark: number): boolean => free_pages(k) > mark;

/** zone_reclaimable_pages: those of the file lists, and while there is room in swap those of the anonymous lists. */
export const zone_reclaimable_pages = (k: Kernel): number =>
  k.lruvec.size[LRU.inactive_file] +
  k.lruvec.size[LRU.active_file] +
  (get_nr_swap_pages(k) > 0 ? k.lruvec.size[LRU.inactive_anon] + k.lruvec.size[LRU.active_anon] : 0);

/** pgdat_balanced: kswapd has nothing to do. */
export const pgdat_balanced = (k: Kernel): boolean => zone_watermark_ok(k, k.geometry.watermarks.high);

/** clear_pgdat_congested: what was found out about the node's pages is of the past. */
export function clear_pgdat_congested(k: Kernel): void {
  k.pgdat.flags[0] &= ~(PGDAT_CONGESTED | PGDAT_DIRTY | PGDAT_WRITEBACK);
}

/** wakeup_kswapd: if it sleeps, has not given up, and there is something to do. */
export function wakeup_kswapd(k: Kernel): void {
  const { kswapd_wait, kswapd_failures } = node(k);
  if (kswapd_wait[0] !== KSWAPD.waiting) return;
  if (kswapd_failures[0] >= MAX_RECLAIM_RETRIES || pgdat_balanced(k)) return;
  kswapd_wait[0] = KSWAPD.woken;
}

/** Whether kswapd was woken on its wait queue. */
export const kswapd_woken = (k: Kernel): boolean => node(k).kswapd_wait[0] === KSWAPD.woken;

/** prepare_to_wait: kswapd can be woken from now on. */
export function prepare_to_wait(k: Kernel): void {
  node(k).kswapd_wait[0] = KSWAPD.waiting;
}

/** finish_wait: it runs again. */
export function finish_wait(k: Kernel): void {
  node(k).kswapd_wait[0] = KSWAPD.running;
}

/**
 * prepare_kswapd_sleep: whether kswapd may sleep: it has given up, or the node is balanced, and then what was found out about
 * the node is forgotten.
 */
export function prepare_kswapd_sleep(k: Kernel): boolean {
  if (node(k).kswapd_failures[0] >= MAX_RECLAIM_RETRIES) return true;
  if (!pgdat_balanced(k)) return false;
  clear_pgdat_congested(k);
  return true;
}
