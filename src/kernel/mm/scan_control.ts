/**
 * struct scan_control: what one reclaimer is doing, from the beginning of its run to its end.
 *
 * Source: mm/vmscan.c in v4.20. In the kernel it lies on the reclaimer's stack; here it is a row, the first one kswapd's, the
 * others those of tasks in direct reclaim. Only machines with watermarks have it: without them a pass of kswapd is all that there is.
 *
 * Left out, as nothing that is modelled can change it: gfp_mask (every allocation may do I/O and enter filesystems),
 * may_unmap and may_swap (both 1, but for node reclaim), order, memcgs.
 */
import { struct, taskPlusOne, total, u8, u32 } from "../../machine/memory.js";
import type { Kernel, Table } from "../kernel.js";

/** The priority at which reclaim begins: lists are scanned by their size >> priority. */
export const DEF_PRIORITY = 12;

const scan_control = struct("scan_control", {
  owner: taskPlusOne("the task that reclaims, plus one; 0 is a free row"),
  priority: u8("how much of each list a pass scans: its size >> priority"),
  may_writepage: u8("0 while dirty pages are not to be written: at first, in laptop mode"),
  nr_scanned: u32("pages looked at since this was last reset, mapped ones twice"),
  nr_reclaimed: u32("pages freed"),
  nr_before: u32("nr_reclaimed when shrink_node began"),
  nr_dirty: u32("sc->nr.dirty: pages dirty or under writeback"),
  nr_congested: u32("sc->nr.congested: of these, those that meet reclaim again under writeback"),
  nr_immediate: u32("sc->nr.immediate: pages under writeback, marked, on a node full of writeback"),
});

/** What the event mm_vmscan_lru_shrink_inactive says of each call, added up. */
const mm_vmscan_lru_shrink_inactive = struct("mm_vmscan_lru_shrink_inactive", {
  nr_scanned: total("pages isolated"),
  nr_reclaimed: total("pages freed"),
  nr_dirty: total("pages dirty or under writeback"),
  nr_writeback: total("pages under writeback, marked for reclaim now"),
  nr_congested: total("pages under writeback that had been marked before"),
  nr_immediate: total("pages under writeback, marked before, on a node full of writeback"),
  nr_activate: total("pages sent to the active list"),
  nr_ref_keep: total("pages kept because a PTE was used"),
  nr_unmap_fail: total("pages that could not be unmapped"),
});

/** The figures of the event. */
export type Stat = keyof typeof mm_vmscan_lru_shrink_inactive.fields;

/** The structs of this file. */
export const scanControlTables: readonly Table[] = [
  {
    struct: scan_control,
    rows: (g) => (g.config.has("watermarks") ? 1 + (g.config.has("direct_reclaim") ? g.reclaimers : 0) : 0),
  },
  { struct: mm_vmscan_lru_shrink_inactive, rows: () => 1 },
];

/** The columns of struct scan_control; of no rows without watermarks. */
export const sc = (k: Kernel) => k.of(scan_control);

/** Count a page in one of the event's figures. */
export function count_stat(k: Kernel, stat: Stat, by = 1): void {
  k.of(mm_vmscan_lru_shrink_inactive)[stat][0] += by;
}

/** Row of kswapd. */
export const KSWAPD = 0;

/** Row of the task that runs, which reclaims for itself. */
export const row_of_task = (k: Kernel): number => k.of(scan_control).owner.indexOf(k.task + 1);

/** A reclaimer begins. */
export function begin(k: Kernel, row: number): void {
  const { owner, priority, may_writepage } = k.of(scan_control);
  owner[row] = k.task + 1;
  priority[row] = DEF_PRIORITY;
  may_writepage[row] = k.geometry.laptop_mode ? 0 : 1;
}

/**
 * A row for a task that begins to reclaim for itself.
 *
 * @throws Error when more tasks do so at once than the geometry says: a fault of the scenario
 */
export function begin_direct(k: Kernel): void {
  const row = k.of(scan_control).owner.indexOf(0, 1);
  if (row < 0)
    throw new Error(`begin_direct: more than ${k.geometry.reclaimers} reclaimers; say so in the geometry`);
  begin(k, row);
}

/** A reclaimer is done: nothing of its row is left. */
export function end(k: Kernel, row: number): void {
  for (const column of Object.values(k.of(scan_control))) column[row] = 0;
}
