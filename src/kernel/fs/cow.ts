/**
 * Copy on write: a new block for a page that has one, in the file only once it has been written.
 *
 * xfs keeps such blocks in an inode's COW fork (fs/xfs/xfs_reflink.c in v4.20), btrfs in ordered extents (fs/btrfs/ordered-data.c):
 * space is promised before the page is dirtied, a block chosen when it is written, and the file's extent replaced when the
 * write is over. Needs config "blocks".
 */
import { ERRNO } from "../errno.js";
import type { Kernel } from "../kernel.js";
import { type InodeNr, NONE } from "../types.js";
import {
  cow_fork,
  EXTENT,
  free_blocks,
  map_extent,
  new_block,
  put_block,
  release_delayed,
  sb_info,
  unmap_extent,
} from "./blocks.js";

/** cow_fork.state: nothing, space promised, a block chosen. */
export const COW = { none: 0, delayed: 1, real: 2 } as const;

/** COW_* of a page of a file. */
export const cow_state = (k: Kernel, mapping: InodeNr, index: number): number =>
  k.of(cow_fork).state[k.slotOf(mapping, index)];

/** Whether a page of any file is being written to a block that its file does not have yet. */
export const has_cow_block = (k: Kernel, mapping: InodeNr, index: number): boolean =>
  k.of(cow_fork).state[k.slotOf(mapping, index)] === COW.real;

/** Promise space for a page's next block. Nothing when it has a promise or a block already. Gives 0 or -ENOSPC. */
export function cow_reserve(k: Kernel, mapping: InodeNr, index: number): number {
  const slot = k.slotOf(mapping, index);
  if (k.of(cow_fork).state[slot] !== COW.none) return 0;
  const sb = k.inode.disk[mapping];
  if (free_blocks(k, sb) === 0) return -ERRNO.ENOSPC;
  k.of(sb_info).s_dirtyclusters_counter[sb]++;
  k.of(cow_fork).state[slot] = COW.delayed;
  return 0;
}

/** The promise becomes a block: cannot fail. Nothing when there is one already. */
export function cow_allocate(k: Kernel, mapping: InodeNr, index: number): void {
  const slot = k.slotOf(mapping, index);
  const { state, block } = k.of(cow_fork);
  if (state[slot] !== COW.delayed) return;
  const sb = k.inode.disk[mapping];
  const nr = new_block(k, sb, true);
  if (nr === NONE) throw new Error("cow_allocate: a promise has no block");
  k.of(sb_info).s_dirtyclusters_counter[sb]--;
  state[slot] = COW.real;
  block[slot] = nr + 1;
}

/** The write is over: the file has the new block, and gives back its old one. Gives whether there was one in the fork. */
export function cow_end(k: Kernel, mapping: InodeNr, index: number): boolean {
  const slot = k.slotOf(mapping, index);
  const { state, block } = k.of(cow_fork);
  if (state[slot] !== COW.real) return false;
  const nr = block[slot] - 1;
  state[slot] = COW.none;
  block[slot] = 0;
  release_delayed(k, mapping, index);
  const old = unmap_extent(k, mapping, index);
  if (old !== NONE) put_block(k, old);
  map_extent(k, mapping, index, nr, EXTENT.mapped);
  return true;
}

/** The page leaves its file: promise and block are given up. */
export function cow_cancel(k: Kernel, mapping: InodeNr, index: number): void {
  const slot = k.slotOf(mapping, index);
  const { state, block } = k.of(cow_fork);
  if (state[slot] === COW.delayed) k.of(sb_info).s_dirtyclusters_counter[k.inode.disk[mapping]]--;
  const nr = block[slot] - 1;
  state[slot] = COW.none;
  block[slot] = 0;
  if (nr !== NONE) put_block(k, nr);
}
