/**
 * What is on the disks if the power goes now, and what recovery makes of it.
 *
 * Source: fs/jbd2/recovery.c in v4.20 and the promise of data=ordered (Documentation/filesystems/ext4). Recovery replays every
 * transaction whose commit record is on the disk; a file is then as the newest of them says, whatever later transactions had
 * changed in memory: which pages have blocks, and how long it is. Its bytes are what those blocks hold. Blocks that are
 * allocated in the journal before their bytes are on the disk show what was there before, which is another file's or a
 * deleted page's: data=ordered never lets that happen, nor data=journal, which replays the bytes themselves; data=writeback does.
 *
 * Without config "journal" metadata is taken to be on the disk at once. Left out: torn commit records, the disk's own cache.
 */
import type { Kernel } from "../kernel.js";
import type { InodeNr } from "../types.js";
import { block_owner, DELETED, disk_block, disk_version, EXTENT, FOREIGN, PENDING } from "./blocks.js";
import { journal_data } from "./jbd2/journal_head.js";
import { journal_extent, journal_inode } from "./jbd2.js";

/** Bytes that a file shows after recovery and that are not its own. */
export interface Stale {
  readonly mapping: InodeNr;
  readonly index: number;
  readonly part: number;
}

/** The file's size after recovery, in parts of a page. */
export function recovered_size(k: Kernel, mapping: InodeNr): number {
  const { disksize } = k.of(journal_inode);
  return disksize.length > 0 ? disksize[mapping] : k.inode.i_size[mapping];
}

/**
 * Version of a part of a file's page after recovery: 0, zeroes, where the file has no block, or none that is written; FOREIGN
 * where the block has bytes that are not the page's. What is beyond the size is not asked.
 */
export function recovered_version(k: Kernel, mapping: InodeNr, index: number, part: number): number {
  const { state, block } = k.of(journal_extent);
  if (state.length === 0) return disk_version(k, mapping, index, part);
  const slot = k.slotOf(mapping, index);
  if (state[slot] !== EXTENT.mapped) return 0;
  // What the journal has of the data is written over the block, whatever that holds by then.
  const { logged } = k.of(journal_data);
  const record = logged[slot * k.geometry.parts + part] ?? 0;
  if (record > 0) return record - 1;
  const nr = block[slot] - 1;
  const at = nr * k.geometry.parts + part;
  const owner = k.of(block_owner).slot[at];
  // A block that a later transaction frees is not given out before that is on the disk: its bytes are still the file's.
  const freed = k.of(disk_block).pending[nr] !== PENDING.none;
  const own = owner === 0 || owner === slot + 1 || (freed && owner === ((slot + 1) | DELETED));
  const shared = (owner & DELETED) === 0 && owner !== 0 && block[owner - 1] === nr + 1;
  return own || shared ? k.block.version[at] : FOREIGN;
}

/** Where files show bytes after recovery that are not theirs. */
export function stale_after_power_cut(k: Kernel): Stale[] {
  const stale: Stale[] = [];
  const { parts } = k.geometry;
  for (let mapping = 1; mapping < k.inodes; mapping++) {
    const size = Math.min(recovered_size(k, mapping), k.inode.i_pages[mapping] * parts);
    for (let at = 0; at < size; at++) {
      const index = Math.floor(at / parts);
      const part = at % parts;
      if (recovered_version(k, mapping, index, part) === FOREIGN) stale.push({ mapping, index, part });
    }
  }
  return stale;
}
