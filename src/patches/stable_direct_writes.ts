/**
 * The bytes of an O_DIRECT write are the kernel's own before their sum is made.
 *
 * Two answers to one problem: a program that changes the buffer of its O_DIRECT write meanwhile spoils the sums that go with it, of a device with
 * protection information, of a RAID's parity, of btrfs.
 *
 * btrfs-buffered-if-checksum: fs/btrfs/direct-io.c, commit 968f19c5b1b7 (v6.15, and stable kernels). A write to an inode that has checksums goes through the page
 * cache: it is copied, written and waited for. Every inode here has checksums. (In 2026 btrfs was given xfs's answer in its stead: not modelled.)
 *
 * xfs-bounce-direct-io: fs/xfs/xfs_file.c, commit 3373503df025, and fs/iomap/direct-io.c, commit c9d114846b38 (merged in January 2026, v7.0). Where the mapping needs stable pages
 * the buffer is copied before the bio is submitted (IOMAP_DIO_BOUNCE); the device reads the copy, which nobody else has. What is written may be a mix of old and new bytes still:
 * with a sum that fits.
 *
 * Left out: reads, which are bounced too; the memory that the copy takes; what the file has on its disk afterwards.
 */

import { btrfs_buffered_write } from "../kernel/fs/btrfs/file.js";
import { iomap_dio_write } from "../kernel/fs/iomap_dio.js";
import { call, given, local, path, repeat, step, wait } from "../kernel/language.js";
import { filemap_write_and_wait_range } from "../kernel/mm/filemap_writeback.js";
import { invalidate_mapping_pages } from "../kernel/mm/truncate.js";
import { is_submitted, PAGES } from "../kernel/mm/user_pages.js";
import { type DioNr, dio_nr, type InodeNr, int, type Vpn, vpn } from "../kernel/types.js";
import { cpu_access } from "../kernel/user.js";
import { locals, replace } from "../machine/patch.js";
import type { Patch } from "./patch.js";

interface Direct {
  readonly mapping: InodeNr;
  readonly at: Vpn;
  readonly nr: number;
  readonly dio: DioNr;
  ret: number;
}
interface Buffered extends Direct {
  count: number;
  last: number;
  error: number;
}

export const btrfs_buffered_if_checksum: Patch = {
  name: "btrfs-buffered-if-checksum",
  title: "btrfs: always fallback to buffered write if the inode requires checksum",
  author: "Qu Wenruo",
  date: "2025-02",
  commit: "968f19c5b1b7",
  help: "an O_DIRECT write to a file of btrfs goes through the page cache, as the file has checksums",
  edits: [
    locals("btrfs_direct_IO", { count: int, last: int, error: int }),
    replace<Buffered>("btrfs_direct_IO", "do_blockdev_direct_IO", [
      local((k, f) => {
        f.count = f.nr * k.geometry.parts;
        f.last = f.nr - 1;
      }),
      // fault_in_iov_iter_readable
      call(() => cpu_access, { at: "at", write: 0 }),
      call(() => btrfs_buffered_write, { mapping: "mapping", pos: 0, count: "count" }, "ret"),
      call(
        () => filemap_write_and_wait_range,
        { mapping: "mapping", range_start: 0, range_end: "last" },
        "error",
      ),
      given(
        (_, f) => f.error === 0,
        [call(() => invalidate_mapping_pages, { mapping: "mapping", start: 0, end: "last" }, "error")],
        [
          local((_, f) => {
            f.ret = f.error;
          }),
        ],
      ),
      local((k, f) => {
        if (f.ret > 0) f.ret /= k.geometry.parts;
        f.count = 0;
        f.last = 0;
        f.error = 0;
      }),
    ]),
  ],
};

/** iomap_dio_rw with IOMAP_DIO_BOUNCE, of a write: the bio has pages of the kernel's, which no other task has. */
const iomap_dio_bounce = path(
  "iomap_dio_bio_iter_one",
  {
    source: "fs/iomap/direct-io.c v7.0",
    args: { at: vpn, nr: int, dio: dio_nr },
    locals: { from: vpn },
    returns: int,
  },
  [
    wait("bio_alloc", (k, f) => k.user_pages.state[f.dio] === PAGES.idle),
    // bio_iov_iter_bounce_write
    repeat(
      (_, f) => f.ret < f.nr,
      [
        local((_, f) => {
          f.from = f.at + f.ret;
        }),
        call(() => cpu_access, { at: "from", write: 0 }),
        step("copy_from_iter", (_, f) => {
          f.ret++;
          f.from = 0;
        }),
      ],
    ),
    step("submit_bio", (k, f) => {
      k.user_pages.state[f.dio] = PAGES.submitted_write;
    }),
    wait("blk_io_schedule", (k, f) => !is_submitted(k, f.dio)),
  ],
);

export const xfs_bounce_direct_io: Patch = {
  name: "xfs-bounce-direct-io",
  title: "xfs: use bounce buffering direct I/O when the device requires stable pages",
  author: "Christoph Hellwig",
  date: "2026-01",
  commit: "3373503df025",
  help: "an O_DIRECT write to a file of xfs is of a copy of the buffer, where the device needs pages to be stable",
  edits: [
    replace<Direct>("xfs_file_dio_aio_write", "iomap_dio_rw", [
      given(
        (k, f) => k.inode.stable_writes[f.mapping] === 1,
        [call(() => iomap_dio_bounce, { at: "at", nr: "nr", dio: "dio" }, "ret")],
        [call(() => iomap_dio_write, { at: "at", nr: "nr", dio: "dio" }, "ret")],
      ),
    ]),
  ],
};
