/**
 * ftruncate and fallocate(FALLOC_FL_PUNCH_HOLE) of tmpfs.
 *
 * Source: mm/shmem.c in v4.20 (shmem_setattr, shmem_fallocate, shmem_undo_range). A page that goes takes its data with it. A device that holds
 * it keeps a page of no file; nothing else comes of it, as tmpfs has no buffers and no writeback.
 *
 * F_SEAL_SHRINK and F_SEAL_GROW keep ftruncate from changing the size; a hole is punched all the same, unless F_SEAL_WRITE is set (mm/memfd.ts).
 *
 * shmem_undo_range is truncate_inode_pages_range here, with what the file has in swap freed beside it (fs/shmem_swap.ts): the two differ in what they do about huge pages, and about
 * writeback, which tmpfs does not have. Left out: block accounting, the wait of faults for a hole in the making
 * (shmem_falloc), times.
 */
import type { Node } from "../../machine/path.js";
import { ERRNO } from "../errno.js";
import type { Kernel } from "../kernel.js";
import { call, config, down_write, given, leave, local, path, step, under, up_write } from "../language.js";
import { i_rwsem, xa_lock } from "../locks.js";
import { F_SEAL, is_sealed } from "../mm/memfd.js";
import { truncate_inode_pages, truncate_pagecache_range } from "../mm/truncate.js";
import { unmap_mapping_pages } from "../mm/zap.js";
import { type InodeNr, inode, int, NONE } from "../types.js";
import { shmem_free_swap } from "./shmem_swap.js";

/** What a file has in swap from one index to before another; to its end where none is said. */
const free_swapped = <F extends { readonly mapping: InodeNr }>(
  start: (k: Kernel, f: F) => number,
  end: (k: Kernel, f: F) => number = (k, f) => k.inode.i_pages[f.mapping],
): Node<Kernel, F> =>
  config<F>("swap", [
    under<F>(xa_lock, [
      step<F>("shmem_free_swap", (k, f) => shmem_free_swap(k, f.mapping, start(k, f), end(k, f))),
    ]),
  ]);

/** Whether the file's seals keep it from this size. */
const may_not_be = (k: Kernel, mapping: InodeNr, size: number): boolean =>
  (size < k.inode.i_size[mapping] && is_sealed(k, mapping, F_SEAL.SHRINK)) ||
  (size > k.inode.i_size[mapping] && is_sealed(k, mapping, F_SEAL.GROW));

/** ftruncate(2) to `size` parts of a page. Gives 0, or -EPERM. */
export const shmem_setattr = path(
  "shmem_setattr",
  {
    source: "mm/shmem.c v4.20",
    args: { mapping: inode, size: int },
    locals: { oldsize: int, start: int, nr: int },
    returns: int,
  },
  [
    down_write(i_rwsem, (_, f) => f.mapping),
    config("memfd", [
      given(
        (k, f) => may_not_be(k, f.mapping, f.size),
        [up_write(i_rwsem, (_, f) => f.mapping), leave((k) => k.refused("ftruncate", -ERRNO.EPERM, NONE))],
      ),
    ]),
    step("i_size_write", (k, f) => {
      f.oldsize = k.inode.i_size[f.mapping];
      k.inode.i_size[f.mapping] = f.size;
      f.start = Math.ceil(f.size / k.geometry.parts);
      f.nr = Math.max(0, Math.ceil(f.oldsize / k.geometry.parts) - f.start);
    }),
    given(
      (_, f) => f.size <= f.oldsize,
      [
        given(
          (_, f) => f.nr > 0,
          [call(() => unmap_mapping_pages, { mapping: "mapping", start: "start", nr: "nr", even_cows: 1 })],
        ),
        free_swapped((k, f) => Math.ceil(f.size / k.geometry.parts)),
        call(() => truncate_inode_pages, { mapping: "mapping", lstart: "size" }),
        free_swapped((k, f) => Math.ceil(f.size / k.geometry.parts)),
        // Private copies that were made meanwhile.
        given(
          (_, f) => f.nr > 0,
          [call(() => unmap_mapping_pages, { mapping: "mapping", start: "start", nr: "nr", even_cows: 1 })],
        ),
      ],
    ),
    local((_, f) => {
      f.oldsize = 0;
      f.start = 0;
      f.nr = 0;
    }),
    up_write(i_rwsem, (_, f) => f.mapping),
  ],
);

/** fallocate(2) with FALLOC_FL_PUNCH_HOLE: parts `lstart` to before `lend` become a hole, the size stays. Gives 0, or -EPERM. */
export const shmem_punch_hole = path(
  "shmem_fallocate",
  { source: "mm/shmem.c v4.20", args: { mapping: inode, lstart: int, lend: int }, returns: int },
  [
    down_write(i_rwsem, (_, f) => f.mapping),
    config("memfd", [
      given(
        (k, f) => is_sealed(k, f.mapping, F_SEAL.WRITE),
        [up_write(i_rwsem, (_, f) => f.mapping), leave((k) => k.refused("fallocate", -ERRNO.EPERM, NONE))],
      ),
    ]),
    free_swapped<{ mapping: InodeNr; lstart: number; lend: number }>(
      (k, f) => Math.ceil(f.lstart / k.geometry.parts),
      (k, f) => Math.floor(f.lend / k.geometry.parts),
    ),
    call(() => truncate_pagecache_range, { mapping: "mapping", lstart: "lstart", lend: "lend" }),
    free_swapped<{ mapping: InodeNr; lstart: number; lend: number }>(
      (k, f) => Math.ceil(f.lstart / k.geometry.parts),
      (k, f) => Math.floor(f.lend / k.geometry.parts),
    ),
    up_write(i_rwsem, (_, f) => f.mapping),
  ],
);
