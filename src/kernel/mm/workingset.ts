/**
 * Refaults: what the page cache remembers of a page that reclaim took, and what it does when the page comes back.
 *
 * Source: mm/workingset.c, with its callers in mm/vmscan.c, mm/filemap.c, mm/swap.c and mm/truncate.c, in v4.20. All of it needs
 * config "workingset".
 *
 * One counter per node, inactive_age, goes up with each page of a file that is evicted, and with each that is activated. What an evicted
 * page leaves in its slot, the shadow entry, is the counter's value, and whether the page had been aged off the active list
 * (PG_workingset). When the page is read again, the counter says how many inactive pages have gone by since: the refault distance. Had the
 * inactive list been longer by so much, the page would have been there still. Where at least so many pages are active, which could make
 * room for it, the page is activated at once, and for the reclaimer that comes next the inactive list is low, whatever its length: active
 * pages have to go. So a page that is evicted and read again before anything else happens comes back active (its distance is 0), and
 * a lone reader who thrashes empties the active list.
 *
 * Who leaves a shadow: reclaim, of pages of files only. Nobody else who takes a page out of its file does (truncation and invalidation
 * clear the shadows of their range as well; migration puts another page into the slot), and the swap cache has none in v4.20: a page that is
 * read from swap counts as one that was active. A page that a driver holds is never evicted, so that it has none, and its return to the inactive
 * list counts for nothing. Who reads one: whoever adds a page to the cache. It is lost then; a page that is about to be written
 * (__GFP_WRITE: write(2)) does not profit from it.
 *
 * Left out: nodes of the tree that have nothing but shadows, their list and its shrinker (workingset_nodes, workingset_nodereclaim: here a slot
 * costs nothing), memcgs, more than one node (bucket_order is 0 where a counter fits), mapping_exiting (no inode goes), DAX (none of its
 * pages is reclaimed), and what PG_workingset does in wait_on_page_bit_common: waits for such pages are counted as thrashing
 * (delayacct, psi), which no path reads.
 */
import { struct, u8, u32 } from "../../machine/memory.js";
import type { Kernel, Table } from "../kernel.js";
import { LRU } from "../structs.js";
import type { InodeNr, Pfn, Slot } from "../types.js";
import { PageWorkingset, page_is_file_cache, SetPageActive, SetPageWorkingset } from "./page.js";

const lruvec_workingset = struct("lruvec_workingset", {
  inactive_age: u32("evictions and activations of pages of files, modulo 2^32"),
  refaults: u8("1 when WORKINGSET_ACTIVATE has moved since the last reclaimer noted it (lruvec->refaults)"),
});

const shadow_entry = struct("shadow_entry", {
  entry: u32("in a slot of i_pages without a page: what its last one left (pack_shadow); 0 is nothing"),
});

/** The structs of this file. */
export const workingsetTables: readonly Table[] = [
  { struct: lruvec_workingset, rows: (g) => (g.config.has("workingset") ? 1 : 0) },
  {
    struct: shadow_entry,
    rows: (g) => (g.config.has("workingset") ? g.files.reduce((slots, { pages }) => slots + pages, 0) : 0),
  },
];

/** The columns of the node's counters; of no rows without config "workingset". */
export const lruvec = (k: Kernel) => k.of(lruvec_workingset);

/** The shadow entries, by slot. */
export const shadows = (k: Kernel): Uint32Array => k.of(shadow_entry).entry;

/** EVICTION_MASK of a 32-bit kernel with one node and without memcgs: a bit says that this is no page, one is PG_workingset. */
export const EVICTION_MASK = 0xffffffff >>> 2;

/** pack_shadow: the counter, above PG_workingset, above the bit of xa_mk_value. */
export const pack_shadow = (eviction: number, workingset: boolean): number =>
  (((eviction & EVICTION_MASK) << 2) | (workingset ? 2 : 0) | 1) >>> 0;

/** unpack_shadow */
export const unpack_shadow = (shadow: number): { eviction: number; workingset: boolean } => ({
  eviction: shadow >>> 2,
  workingset: (shadow & 2) !== 0,
});

/** A page of a file is evicted: gives what stays in its slot. 0 without config "workingset". */
export function workingset_eviction(k: Kernel, page: Pfn): number {
  const { inactive_age } = lruvec(k);
  if (inactive_age.length === 0) return 0;
  inactive_age[0]++;
  return pack_shadow(inactive_age[0], PageWorkingset(k, page));
}

/** Take the shadow entry out of a slot into which a page comes. Gives 0 where there is none. */
export function take_shadow(k: Kernel, slot: Slot): number {
  const entry = shadows(k);
  if (entry.length === 0) return 0;
  const shadow = entry[slot];
  entry[slot] = 0;
  return shadow;
}

/** A page that was evicted is read again, and has left this shadow: activate it if the active pages could have made room for it. */
export function workingset_refault(k: Kernel, page: Pfn, shadow: number): void {
  const { inactive_age, refaults } = lruvec(k);
  const { eviction, workingset } = unpack_shadow(shadow);
  const refault_distance = (inactive_age[0] - eviction) & EVICTION_MASK;
  k.count("workingset_refault");
  if (refault_distance > k.lruvec.size[LRU.active_file]) return;
  SetPageActive(k, page);
  inactive_age[0]++;
  k.count("workingset_activate");
  refaults[0] = 1;
  if (!workingset) return;
  SetPageWorkingset(k, page);
  k.count("workingset_restore");
}

/** mark_page_accessed has activated a page of a file, or tried to: one that is on no list and in no batch is counted as well. */
export function workingset_activation(k: Kernel, page: Pfn): void {
  const { inactive_age } = lruvec(k);
  if (inactive_age.length > 0 && page_is_file_cache(k, page)) inactive_age[0]++;
}

/** SetPageWorkingset of a page that was active: it leaves the active list, or comes back from swap. */
export function note_workingset(k: Kernel, page: Pfn): void {
  if (lruvec(k).inactive_age.length > 0) SetPageWorkingset(k, page);
}

/** lruvec->refaults != WORKINGSET_ACTIVATE: refaulting pages have been activated since the last reclaimer was done. */
export function refaults_observed(k: Kernel): boolean {
  const { refaults } = lruvec(k);
  return refaults.length > 0 && refaults[0] === 1;
}

/** snapshot_refaults (mm/vmscan.c): a reclaimer is done, and has made room for those that were activated until now. */
export function snapshot_refaults(k: Kernel): void {
  lruvec(k).refaults[0] = 0;
}

/** clear_shadow_entry (mm/truncate.c), for the slots of a file from an index to before another. */
export function clear_shadow_entries(k: Kernel, mapping: InodeNr, from: number, end: number): void {
  const first = k.inode.first_slot[mapping];
  shadows(k).fill(0, first + from, first + Math.max(from, Math.min(end, k.inode.i_pages[mapping])));
}
