/**
 * get_block: what ext4 maps the buffer of a page to, when the page is about to be dirtied.
 *
 * Source: fs/ext4/inode.c (ext4_da_get_block_prep, ext4_get_block, ext4_map_blocks), fs/ext4/balloc.c in v4.20. With delayed
 * allocation a hole costs a promise of space and nothing else; the page is written to a block that is chosen then. Without, the block is
 * chosen now, under a handle, and with data=ordered the commit has the data written. An unwritten extent of a page that is
 * dirtied stays so until it is written with delayed allocation, and is data at once without.
 */
import type { Node } from "../../../machine/path.js";
import type { Kernel } from "../../kernel.js";
import { call, config, given, leave, local, path, step, when } from "../../language.js";
import { BH } from "../../structs.js";
import { type InodeNr, inode, int, type Pfn } from "../../types.js";
import {
  allocate,
  convert_unwritten,
  disk_block,
  EXTENT,
  extent_state,
  free_blocks,
  PENDING,
  reserve_delayed,
} from "../blocks.js";
import { type GetBlock, write_buffer } from "../buffer.js";
import { ext4_mark_inode_dirty, JI, jbd2_journal_file_inode, jbd2_journal_force_commit } from "../jbd2.js";

/** ext4_da_map_blocks: promise space for a hole. Gives 0 or -ENOSPC. */
function ext4_da_get_block_prep(k: Kernel, page: Pfn, mapping: InodeNr): number {
  const index = k.page.index[page];
  if (extent_state(k, mapping, index) === EXTENT.hole) {
    const error = reserve_delayed(k, mapping, index);
    if (error < 0) return error;
  }
  const state = extent_state(k, mapping, index);
  const more = state === EXTENT.delayed ? BH.delay : state === EXTENT.unwritten ? BH.unwritten : 0;
  write_buffer(k, page, BH.mapped | more);
  return 0;
}

/**
 * ext4_map_blocks with EXT4_GET_BLOCKS_CREATE: a hole, or what was promised, gets a block, an unwritten extent counts as written.
 * The caller has a handle. `flags` are what the commit does for data=ordered: JI. Gives 0 or -ENOSPC.
 */
export function ext4_map_blocks(k: Kernel, mapping: InodeNr, index: number, flags: number): number {
  const state = extent_state(k, mapping, index);
  if (state === EXTENT.mapped) return 0;
  if (!convert_unwritten(k, mapping, index)) {
    const error = allocate(k, mapping, index, EXTENT.mapped);
    if (error < 0) return error;
  }
  jbd2_journal_file_inode(k, mapping, flags);
  ext4_mark_inode_dirty(k, mapping);
  return 0;
}

/** get_block with delayed allocation. */
export const da_get_block = (): Node<Kernel, GetBlock>[] => [
  step<GetBlock>("ext4_da_get_block_prep", (k, f) => {
    f.ret = ext4_da_get_block_prep(k, f.page, f.mapping);
  }),
];

/** get_block without. */
export const get_block = (): Node<Kernel, GetBlock>[] => [
  step<GetBlock>("ext4_get_block", (k, f) => {
    f.ret = ext4_map_blocks(k, f.mapping, k.page.index[f.page], JI.WRITE_DATA | JI.WAIT_DATA);
    if (f.ret === 0) write_buffer(k, f.page, BH.mapped);
  }),
];

/** s_mb_free_pending: blocks that are free once a transaction is on the disk. */
const free_pending = (k: Kernel, mapping: InodeNr): boolean => {
  const { blocks } = k.geometry;
  const first = k.inode.disk[mapping] * blocks;
  return k
    .of(disk_block)
    .pending.subarray(first, first + blocks)
    .some((pending) => pending !== PENDING.none);
};

/**
 * After -ENOSPC, and without a handle: if a commit would free blocks, wait for it. Gives 1 when it pays to try again. `retries` is
 * the caller's own count, counted up here: nobody tries more than twice.
 */
export const ext4_should_retry_alloc = path(
  "ext4_should_retry_alloc",
  { source: "fs/ext4/balloc.c v4.20", args: { mapping: inode, retries: int }, returns: int },
  [
    config("journal", [
      when("ext4_has_free_clusters", (k, f) => free_blocks(k, k.inode.disk[f.mapping]) > 0, [
        given((_, f) => f.retries > 1, [leave()]),
        local((_, f) => {
          f.retries++;
        }),
        when("s_mb_free_pending", (k, f) => free_pending(k, f.mapping), [
          call(() => jbd2_journal_force_commit, { mapping: "mapping" }),
          leave(() => 1),
        ]),
      ]),
    ]),
  ],
);
