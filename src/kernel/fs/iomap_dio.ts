/**
 * O_DIRECT reads of xfs and of block devices.
 *
 * Source: fs/iomap.c (iomap_dio_actor, iomap_dio_bio_end_io), fs/block_dev.c in v4.20. Both dirty the pages of a user's buffer before they
 * submit the bio, and let the completion look again: synchronous reads too. The waiter is woken before the interrupt looks, so
 * that read(2) may return while a kworker is still to dirty the pages and to drop their references.
 *
 * A synchronous read of a block device that fits one bio (__blkdev_direct_IO_simple) is the exception: it dirties afterwards, in the
 * reader, and is fs/direct_io.ts's do_blockdev_direct_IO in all that matters here.
 *
 * Left out: as in fs/direct_io.ts; invalidation of file2's page cache.
 */
import { bio_set_pages_dirty } from "../block/bio.js";
import { make_guards } from "../block/dio_integrity.js";
import { call, given, leave, path, step, wait } from "../language.js";
import { get_user_pages_fast } from "../mm/gup.js";
import { is_submitted, PAGES } from "../mm/user_pages.js";
import { dio_nr, inode, int, vpn } from "../types.js";
import { direct_write, refused_io } from "./direct_io.js";

/** pread() of a file of xfs with O_DIRECT into `nr` pages at a virtual address. Gives how many pages were read, or an error. */
export const iomap_dio_rw = path(
  "iomap_dio_rw",
  { source: "fs/iomap.c v4.20", args: { at: vpn, nr: int, dio: dio_nr }, returns: int },
  [
    wait("bio_alloc", (k, f) => k.user_pages.state[f.dio] === PAGES.idle),
    call(() => get_user_pages_fast, { start: "at", nr: "nr", write: 1, pages: "dio" }, "ret"),
    given((_, f) => f.ret <= 0, [leave((k, f) => refused_io(k, f.ret))]),
    call(() => bio_set_pages_dirty, { pages: "dio" }),
    step("submit_bio", (k, f) => {
      k.user_pages.state[f.dio] = PAGES.submitted;
    }),
    wait("blk_io_schedule", (k, f) => !is_submitted(k, f.dio)),
  ],
);

/** pwrite(): the pages are taken for reading, nothing is dirtied, and the interrupt lets go of them. */
export const iomap_dio_write = path(
  "iomap_dio_rw",
  { source: "fs/iomap.c v4.20", args: { at: vpn, nr: int, dio: dio_nr }, returns: int },
  [
    wait("bio_alloc", (k, f) => k.user_pages.state[f.dio] === PAGES.idle),
    call(() => get_user_pages_fast, { start: "at", nr: "nr", write: 0, pages: "dio" }, "ret"),
    given((_, f) => f.ret <= 0, [leave((k, f) => refused_io(k, f.ret))]),
    step("submit_bio", (k, f) => {
      make_guards(k, f.dio);
      k.user_pages.state[f.dio] = PAGES.submitted_write;
    }),
    wait("blk_io_schedule", (k, f) => !is_submitted(k, f.dio)),
  ],
);

const FILE_WRITE = {
  source: "fs/xfs/xfs_file.c v4.20" as string,
  args: { mapping: inode, at: vpn, nr: int, dio: dio_nr },
  returns: int,
} as const;

/**
 * write(2) to a file of xfs that was opened with O_DIRECT, from `nr` pages at a virtual address: to the blocks behind the file's first pages.
 * None of them is cached (fs/direct_write.ts is about those).
 */
export const xfs_file_dio_aio_write = path("xfs_file_dio_aio_write", FILE_WRITE, [
  call(() => iomap_dio_write, { at: "at", nr: "nr", dio: "dio" }, "ret"),
]);

/** The same for ext4, which has fs/direct-io.c for it in v4.20. */
export const ext4_direct_IO = path("ext4_direct_IO", { ...FILE_WRITE, source: "fs/ext4/inode.c v4.20" }, [
  call(() => direct_write, { at: "at", nr: "nr", dio: "dio" }, "ret"),
]);

/** The same for btrfs: fs/direct-io.c, too. */
export const btrfs_direct_IO = path("btrfs_direct_IO", { ...FILE_WRITE, source: "fs/btrfs/inode.c v4.20" }, [
  call(() => direct_write, { at: "at", nr: "nr", dio: "dio" }, "ret"),
]);
