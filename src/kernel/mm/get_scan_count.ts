/**
 * How a pass of reclaim shares its work between anonymous pages and those of files.
 *
 * Source: mm/vmscan.c (get_scan_count), include/linux/mmzone.h (struct zone_reclaim_stat, whose figures are in mm/mmzone.ts) in v4.20. Left out:
 * memcgs; that a pass which has reclaimed enough before its end goes on with the longer pair of lists, in proportion: it ends.
 */
import type { Kernel } from "../kernel.js";
import { LRU } from "../structs.js";
import { free_pages, pressure } from "./mmzone.js";
import { sc } from "./scan_control.js";
import { inactive_list_is_low, is_file_lru } from "./swap.js";
import { get_nr_swap_pages } from "./swapfile.js";

/** How much of a list a pass scans at most: its size >> priority; without priorities of a short one at least a page. */
function scan_size(k: Kernel, lru: number, row: number): number {
  const size = k.lruvec.size[lru];
  const { priority } = sc(k);
  if (priority.length > 0) return size >>> priority[row];
  return size === 0 ? 0 : Math.max(1, size >>> k.geometry.priority);
}

/**
 * get_scan_count: what of a list is scanned. Without free places in swap the anonymous lists are not; without watermarks all lists are, as far
 * as they would be near OOM (SCAN_EQUAL).
 */
export function scan_count(k: Kernel, lru: number, row: number): number {
  const scan = scan_size(k, lru, row);
  const file = is_file_lru(lru);
  if (get_nr_swap_pages(k) === 0) return file ? scan : 0;
  if (sc(k).priority.length === 0) return scan;
  const balance = scan_balance(k, row);
  if (balance === SCAN.EQUAL) return scan;
  if (balance === SCAN.FRACT) {
    const fraction = [anon_pressure(k), file_pressure(k)];
    return Math.ceil((scan * fraction[file ? 1 : 0]) / (fraction[0] + fraction[1] + 1));
  }
  return (balance === SCAN.FILE) === file ? scan : 0;
}

/** enum scan_balance */
const SCAN = { EQUAL: 0, FRACT: 1, ANON: 2, FILE: 3 } as const;

/** Which of the lists a pass with a priority scans, where there is swap. */
function scan_balance(k: Kernel, row: number): number {
  const { size } = k.lruvec;
  const { watermarks, swappiness } = k.geometry;
  const priority = sc(k).priority[row];
  if (priority === 0 && swappiness > 0) return SCAN.EQUAL;
  // Where files have little left, more of them would come in only to be thrown out again.
  const file = size[LRU.active_file] + size[LRU.inactive_file];
  if (
    file + free_pages(k) <= watermarks.high &&
    !inactive_list_is_low(k, LRU.inactive_anon) &&
    size[LRU.inactive_anon] >>> priority > 0
  )
    return SCAN.ANON;
  if (!inactive_list_is_low(k, LRU.inactive_file) && size[LRU.inactive_file] >>> priority > 0)
    return SCAN.FILE;
  return SCAN.FRACT;
}

/** ap and fp of get_scan_count: the less of what was scanned was in use, the more is scanned. */
const anon_pressure = (k: Kernel): number => pressure(k, 0, k.geometry.swappiness);
const file_pressure = (k: Kernel): number => pressure(k, 1, 200 - k.geometry.swappiness);
