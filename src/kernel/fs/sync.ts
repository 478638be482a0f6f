/**
 * fsync, fdatasync, msync, sync_file_range, sync and syncfs.
 *
 * Source: fs/sync.c, mm/msync.c, fs/libfs.c, wait_sb_inodes and its callers of fs/fs-writeback.c in v4.20. What is dirty
 * when the call begins is written and waited for; what is dirtied later is not, nor is what a device writes through a
 * gup reference after its page was submitted: nothing marks those bytes.
 *
 * A superblock is a disk here. Left out: metadata (sync_inode_metadata, sync_fs, the block device's own cache), s_umount
 * and s_sync_lock, I_DIRTY_TIME. A filesystem with a journal has an fsync of its own. sync and syncfs ask the flusher, so
 * that they need config "kupdate".
 */
import type { Kernel } from "../kernel.js";
import {
  call,
  config,
  dispatch,
  down_read,
  given,
  leave,
  local,
  path,
  repeat,
  step,
  under,
  up_read,
  wait,
  when,
} from "../language.js";
import { i_lock, mmap_sem } from "../locks.js";
import {
  forget_work,
  is_done,
  WB_REASON,
  wakeup_flusher_threads,
  wb_has_dirty_io,
  wb_queue_work,
} from "../mm/backing_dev.js";
import { mapping_tagged } from "../mm/filemap.js";
import {
  __filemap_fdatawait_range,
  __filemap_fdatawrite_range,
  file_fdatawait_range,
  file_write_and_wait_range,
} from "../mm/filemap_writeback.js";
import { RANGE_END } from "../mm/page_writeback.js";
import { f_ops, fs_of_inode } from "../operations.js";
import { VM_SHARED } from "../structs.js";
import { type DiskNr, disk, inode, int } from "../types.js";
import { keep_promise, promise } from "./fsync_oracle.js";

const FSYNC = { mapping: inode, file: int, range_start: int, range_end: int } as const;

/** The fsync of a filesystem that has no journal, as far as data goes. */
export const __generic_file_fsync = path(
  "__generic_file_fsync",
  { source: "fs/libfs.c v4.20", args: FSYNC, returns: int },
  [
    call(
      () => file_write_and_wait_range,
      { mapping: "mapping", file: "file", range_start: "range_start", range_end: "range_end" },
      "ret",
    ),
  ],
);

/** The fsync of a file that lives in memory: there is nothing to write. */
export const noop_fsync = path("noop_fsync", { source: "fs/libfs.c v4.20", args: FSYNC, returns: int }, [
  leave(() => 0),
]);

/** fsync of a range of a file. */
export const vfs_fsync_range = path(
  "vfs_fsync_range",
  { source: "fs/sync.c v4.20", args: { ...FSYNC, datasync: int }, returns: int },
  [
    config("fsync_oracle", [step("fsync", (k, f) => promise(k, f.mapping, f.range_start, f.range_end))]),
    dispatch(
      f_ops,
      "fsync",
      (k, f) => fs_of_inode(k, f.mapping),
      {
        mapping: "mapping",
        file: "file",
        range_start: "range_start",
        range_end: "range_end",
        datasync: "datasync",
      },
      "ret",
    ),
    config("fsync_oracle", [
      step("returns", (k, f) => keep_promise(k, f.mapping, f.range_start, f.range_end, f.ret)),
    ]),
  ],
);

/** fsync(2) of the file that each inode has open. Gives 0 or a negative error. */
export const fsync = path("fsync", { source: "fs/sync.c v4.20", args: { mapping: inode }, returns: int }, [
  call(
    () => vfs_fsync_range,
    { mapping: "mapping", file: "mapping", range_start: 0, range_end: RANGE_END, datasync: 0 },
    "ret",
  ),
]);

/** fsync(2) of an open file by its number, which may be a second one of the same inode. */
export const fsync_file = path(
  "fsync",
  { source: "fs/sync.c v4.20", args: { mapping: inode, file: int }, returns: int },
  [
    call(
      () => vfs_fsync_range,
      { mapping: "mapping", file: "file", range_start: 0, range_end: RANGE_END, datasync: 0 },
      "ret",
    ),
  ],
);

/** Flags of sync_file_range. */
export const SYNC_FILE_RANGE = { WAIT_BEFORE: 1, WRITE: 2, WAIT_AFTER: 4 } as const;

/** sync_file_range(2): what its flags say, of a range of pages. WRITE starts what can be started without waiting. */
export const sync_file_range = path(
  "sync_file_range",
  {
    source: "fs/sync.c v4.20",
    args: { mapping: inode, range_start: int, range_end: int, flags: int },
    returns: int,
  },
  [
    given(
      (_, f) => (f.flags & SYNC_FILE_RANGE.WAIT_BEFORE) !== 0,
      [
        call(
          () => file_fdatawait_range,
          { mapping: "mapping", file: "mapping", range_start: "range_start", range_end: "range_end" },
          "ret",
        ),
        given((_, f) => f.ret < 0, [leave()]),
      ],
    ),
    given(
      (_, f) => (f.flags & SYNC_FILE_RANGE.WRITE) !== 0,
      [
        call(
          () => __filemap_fdatawrite_range,
          { mapping: "mapping", range_start: "range_start", range_end: "range_end", sync: 0 },
          "ret",
        ),
        given((_, f) => f.ret < 0, [leave()]),
      ],
    ),
    given(
      (_, f) => (f.flags & SYNC_FILE_RANGE.WAIT_AFTER) !== 0,
      [
        call(
          () => file_fdatawait_range,
          { mapping: "mapping", file: "mapping", range_start: "range_start", range_end: "range_end" },
          "ret",
        ),
      ],
    ),
  ],
);

/** msync(2) with MS_SYNC of one VMA's pages; with MS_ASYNC the kernel does nothing at all. Private mappings are left alone. */
export const msync = path(
  "msync",
  {
    source: "mm/msync.c v4.20",
    args: { vma: int },
    locals: { mapping: inode, range_start: int, range_end: int },
    returns: int,
  },
  [
    down_read(mmap_sem, (k, f) => k.vma.vm_mm[f.vma]),
    step("find_vma", (k, f) => {
      if ((k.vma.vm_flags[f.vma] & VM_SHARED) === 0) return;
      f.mapping = k.vma.vm_file[f.vma];
      f.range_start = k.vma.vm_pgoff[f.vma];
      f.range_end = f.range_start + k.vma.vm_pages[f.vma] - 1;
    }),
    // The file is held, so that the semaphore need not be.
    up_read(mmap_sem, (k, f) => k.vma.vm_mm[f.vma]),
    given((_, f) => f.mapping === 0, [leave(() => 0)]),
    call(
      () => vfs_fsync_range,
      {
        mapping: "mapping",
        file: "mapping",
        range_start: "range_start",
        range_end: "range_end",
        datasync: 1,
      },
      "ret",
    ),
  ],
);

/** sb->s_inodes_wb: the files of a superblock with pages under writeback, one bit each; the first file has bit 0. */
function s_inodes_wb(k: Kernel, sb: DiskNr): number {
  const nr = k.inode.i_state.length - 1;
  if (nr > 15) throw new Error(`s_inodes_wb: ${nr} files are more than a local has bits`);
  let list = 0;
  for (let mapping = 1; mapping <= nr; mapping++)
    if (k.inode.disk[mapping] === sb && mapping_tagged(k, mapping, "writeback")) list |= 1 << (mapping - 1);
  return list;
}

/**
 * Wait for a superblock's pages that are under writeback, whoever started it; files that come under writeback later are not waited
 * for. The kernel's list is in the order in which files came under writeback, here it is that of their numbers.
 */
const wait_sb_inodes = path(
  "wait_sb_inodes",
  { source: "fs/fs-writeback.c v4.20", args: { sb: disk }, locals: { sync_list: int, mapping: inode } },
  [
    step("list_splice_init", (k, f) => {
      f.sync_list = s_inodes_wb(k, f.sb);
    }),
    repeat(
      (_, f) => f.sync_list !== 0,
      [
        local((_, f) => {
          f.mapping = 32 - Math.clz32(f.sync_list & -f.sync_list);
          f.sync_list &= f.sync_list - 1;
        }),
        when("mapping_tagged", (k, f) => mapping_tagged(k, f.mapping, "writeback"), [
          // filemap_fdatawait_keep_errors: a later fsync is still told.
          call(() => __filemap_fdatawait_range, { mapping: "mapping", range_start: 0, range_end: RANGE_END }),
        ]),
      ],
    ),
  ],
);

/** Have the flusher write everything with WB_SYNC_ALL, and wait for it. */
export const sync_inodes_sb = path(
  "sync_inodes_sb",
  { source: "fs/fs-writeback.c v4.20", args: { sb: disk }, locals: { work: int } },
  [
    under(i_lock, [
      step("bdi_split_work_to_wbs", (k, f) => {
        f.work = wb_queue_work(k, f.sb, WB_REASON.sync);
      }),
    ]),
    wait(
      "wb_wait_for_completion",
      (k, f) => is_done(k, f.work),
      (k, f) => forget_work(k, f.work),
    ),
    call(() => wait_sb_inodes, { sb: "sb" }),
  ],
);

/** Have the flusher start writing everything that is dirty now, and wait until it has started it. */
export const writeback_inodes_sb = path(
  "writeback_inodes_sb",
  { source: "fs/fs-writeback.c v4.20", args: { sb: disk }, locals: { work: int } },
  [
    under(i_lock, [
      step("bdi_split_work_to_wbs", (k, f) => {
        f.work = wb_has_dirty_io(k, f.sb) ? wb_queue_work(k, f.sb, WB_REASON.inodes_sb) + 1 : 0;
      }),
    ]),
    given((_, f) => f.work === 0, [leave()]),
    wait(
      "wb_wait_for_completion",
      (k, f) => is_done(k, f.work - 1),
      (k, f) => forget_work(k, f.work - 1),
    ),
  ],
);

/** syncfs(2): first without waiting, so that all disks of the superblock are busy, then for integrity. */
export const syncfs = path("syncfs", { source: "fs/sync.c v4.20", args: { sb: disk } }, [
  call(() => writeback_inodes_sb, { sb: "sb" }),
  call(() => sync_inodes_sb, { sb: "sb" }),
]);

/** How many superblocks there are: disks with files, the first ones. The swap area is none. */
function superblocks(k: Kernel): number {
  let nr = 0;
  for (let mapping = 1; mapping < k.inodes; mapping++) nr = Math.max(nr, k.inode.disk[mapping] + 1);
  return nr;
}

/** sync(2): wake all flushers, then each superblock for integrity. */
export const sync = path("sync", { source: "fs/sync.c v4.20", locals: { sb: disk, nr: int } }, [
  step("wakeup_flusher_threads", (k, f) => {
    wakeup_flusher_threads(k);
    f.nr = superblocks(k);
  }),
  repeat(
    (_, f) => f.sb < f.nr,
    [
      call(() => sync_inodes_sb, { sb: "sb" }),
      local((_, f) => {
        f.sb++;
      }),
    ],
  ),
]);
