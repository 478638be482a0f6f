/**
 * Machines of their own for writeback of pinned pages: no standard workload has somebody who calls fsync while a page is pinned for a short time, and a flusher
 * that only wants memory clean beside him.
 */

import { cache_file } from "../../../src/kernel/boot.js";
import { ERRNO } from "../../../src/kernel/errno.js";
import { btrfs_writepage_fixup_worker } from "../../../src/kernel/fs/btrfs.js";
import { fsync as fsync_path } from "../../../src/kernel/fs/sync.js";
import { call, path } from "../../../src/kernel/language.js";
import { last_wb_err } from "../../../src/kernel/mm/mapping_error.js";
import { FS } from "../../../src/kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { inode, NONE } from "../../../src/kernel/types.js";
import type { Oracle, View } from "../../../src/lab/scenario.js";
import type { World } from "../../../src/lab/world.js";
import { disk, dma, fsync, read, reclaim, store } from "../../kernel/actors.js";
import { FILE, small } from "../../kernel/harness.js";

/** fsync, and once more. */
const twice = path("fsync_twice", { source: "a process", args: { mapping: inode } }, [
  call(() => fsync_path, { mapping: "mapping" }),
  call(() => fsync_path, { mapping: "mapping" }),
]);

/** An O_DIRECT read into a mapped page of a file, and fsync of that file, on a disk that checks sums. */
export const checksumMachine = (kernel: string, fs: number = FS.ext4, parts = 1): World =>
  small(
    {
      kernel,
      fs,
      parts,
      stableWrites: true,
      geometry: { pages: 1, config: fs === FS.btrfs ? ["checksum", "blocks"] : ["checksum"], blocks: 5 },
    },
    { read: read(0), dma: dma(0), fsync, disk },
  );

/** The same with reclaim, which comes twice, and a second fsync. */
export const stripMachine = (kernel: string): World =>
  small(
    { kernel, geometry: { pages: 1 } },
    {
      read: read(0),
      dma: dma(0),
      fsync: { path: twice, args: [FILE], ends: true },
      reclaim: reclaim(2),
      disk,
    },
  );

const lateENOSPC: Oracle = {
  kind: "ENOSPC",
  help: "a page was dirtied, and the file system finds that it has no space for it",
  when: "always",
  check: ({ k }: View) =>
    last_wb_err(k, FILE) === -ERRNO.ENOSPC
      ? { page: NONE, message: "the page is dirty, and has no block" }
      : null,
};

/**
 * An O_DIRECT read into a mapped page of a file of btrfs, and two calls of fsync. `full`: with somebody who stores into a hole of another file, and one block too few for
 * all; else there is room.
 */
export const cowMachine = (kernel: string, full: boolean): World =>
  small(
    {
      kernel,
      oracles: [lateENOSPC],
      prepare: (k) => cache_file(k, 2),
      geometry: {
        pages: 2,
        files: [
          { pages: 1, fs: FS.btrfs },
          { pages: 1, fs: FS.btrfs, extents: ["hole"] },
        ],
        vmas: [
          { pages: 1, file: FILE, flags: VM_SHARED | VM_WRITE },
          { pages: 1, file: 2, flags: VM_SHARED | VM_WRITE },
        ],
        blocks: full ? 2 : 5,
        config: ["blocks", "io_errors"],
        dios: 1,
        dioPages: 1,
      },
    },
    {
      read: read(0),
      dma: dma(0),
      fsync: { path: twice, args: [FILE], ends: true },
      ...(full ? { filler: store(1) } : {}),
      fixup: { path: btrfs_writepage_fixup_worker },
      disk,
    },
  );
