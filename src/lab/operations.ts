/**
 * Kernel operations that a person can order in the sandbox: what each is called, what it takes, and the path that does it. A path may
 * depend on the file's filesystem; where there is none, the operation is not there.
 */

import { ib_umem_get, ib_umem_release } from "../kernel/drivers/infiniband.js";
import { io_sqe_buffer_register, io_sqe_buffer_unregister } from "../kernel/drivers/io_uring.js";
import { nvme_in_flight } from "../kernel/drivers/nvme.js";
import { release_udmabuf, udmabuf_create } from "../kernel/drivers/udmabuf.js";
import { vfio_dma_do_map, vfio_dma_do_unmap } from "../kernel/drivers/vfio.js";
import { vb2_get_userptr, vb2_put_userptr } from "../kernel/drivers/videobuf2.js";
import { xdp_umem_reg, xdp_umem_release } from "../kernel/drivers/xdp_umem.js";
import { do_exit } from "../kernel/exit.js";
import { fork } from "../kernel/fork.js";
import { btrfs_file_write_iter, btrfs_punch_hole } from "../kernel/fs/btrfs/file.js";
import { btrfs_setsize } from "../kernel/fs/btrfs/truncate.js";
import { ext4_dax_setattr } from "../kernel/fs/dax.js";
import { direct_write, do_blockdev_direct_IO, io_submit_read } from "../kernel/fs/direct_io.js";
import { drop_caches } from "../kernel/fs/drop_caches.js";
import { ext4_punch_hole, ext4_setattr } from "../kernel/fs/ext4/truncate.js";
import { __writeback_single_inode } from "../kernel/fs/fs_writeback.js";
import { mem_rw } from "../kernel/fs/proc_mem.js";
import { generic_file_buffered_read, generic_file_write_iter } from "../kernel/fs/read_write.js";
import { shmem_punch_hole, shmem_setattr } from "../kernel/fs/shmem_truncate.js";
import { pipe_read, tee, vmsplice_to_pipe } from "../kernel/fs/splice.js";
import { fsync, msync, SYNC_FILE_RANGE, sync, sync_file_range } from "../kernel/fs/sync.js";
import { shmem_file_read_iter } from "../kernel/fs/tmpfs.js";
import {
  xfs_file_buffered_aio_read,
  xfs_file_buffered_aio_write,
  xfs_reflink_remap_range,
  xfs_vn_setattr,
} from "../kernel/fs/xfs.js";
import { xfs_dax_setattr } from "../kernel/fs/xfs_dax.js";
import type { Geometry } from "../kernel/geometry.js";
import type { Kernel } from "../kernel/kernel.js";
import { call, down_read, given, path, step, up_read } from "../kernel/language.js";
import { mmap_sem } from "../kernel/locks.js";
import { alloc_contig_range, compact_zone, offline_pages } from "../kernel/mm/compaction.js";
import { generic_file_write_direct } from "../kernel/mm/direct_write.js";
import { fadvise_dontneed } from "../kernel/mm/fadvise.js";
import { get_user_pages_fast, get_user_pages_longterm } from "../kernel/mm/gup.js";
import { GUP_BENCHMARK, gup_benchmark_ioctl } from "../kernel/mm/gup_benchmark.js";
import { MADV, madvise } from "../kernel/mm/madvise.js";
import { F_SEAL, memfd_add_seals } from "../kernel/mm/memfd.js";
import { mm_of } from "../kernel/mm/memory.js";
import { MIGRATE } from "../kernel/mm/migrate.js";
import { mlock, munlock } from "../kernel/mm/mlock.js";
import { mmap, munmap } from "../kernel/mm/mmap.js";
import { mprotect } from "../kernel/mm/mprotect.js";
import { RANGE_END, set_page_dirty_lock } from "../kernel/mm/page_writeback.js";
import { memory_hog } from "../kernel/mm/pressure.js";
import { process_vm_rw } from "../kernel/mm/process_vm_access.js";
import { shrink_active_anon, shrink_active_list } from "../kernel/mm/shrink_active_list.js";
import { truncate_pagecache_range } from "../kernel/mm/truncate.js";
import { dma_write, put_pages } from "../kernel/mm/user_pages.js";
import { shrink_node, shrink_node_swap } from "../kernel/mm/vmscan.js";
import { FS, is_dax_fs, MMU_NOTIFIER } from "../kernel/operations.js";
import { type InodeNr, int, NONE, pages_nr, pfn, vpn } from "../kernel/types.js";
import { cpu_access } from "../kernel/user.js";
import type { FrameOf } from "../machine/path.js";
import { MADV_PAGEOUT } from "../patches/madv_pageout.js";
import {
  amdgpu_cs,
  amdgpu_free,
  amdgpu_userptr,
  i915_exec,
  i915_free,
  OBJECT,
  odp_write_page,
  timer,
} from "./driver_calls.js";
import {
  type AnyPath,
  ARRAYS,
  number,
  type Operation,
  OWN,
  operation,
  PIPE,
  PIPE2,
  REGION,
  word,
} from "./operation.js";

const at = number("at", "virtual page", 0, 0, (k) => k.geometry.virtualPages - 1);
const nr = number("nr", "how many pages", 1, 1, (k) => k.geometry.dioPages);
const inode = number("inode", "the file", 1, 1, (k) => k.inodes - 1);
const mm = number("mm", "the process", 0, 0, (k) => k.geometry.mms - 1);
const own = number("array", "array of pages; the thread's own when not said", OWN, 0, () => PIPE - 1);
const region = number("array", "array of pages", REGION, 0, () => PIPE - 1);
const pipe = number("pipe", "array of pages that is the pipe", PIPE, PIPE, () => ARRAYS - 1);
const mode = word("mode", "whether the pages may be written", { write: 1, read: 0 });
const size = number("size", "size in parts of a page", 0, 0, (k) => k.inode.i_pages[1] * k.geometry.parts);
const ram = (k: Kernel): number => k.geometry.pages - k.geometry.devicePages;
const frame = number("pfn", "page frame", 0, 0, (k) => ram(k) - 1);
const index = number("index", "page of the file", 0, 0, (k) => k.inode.i_pages[1] - 1);

// ---- paths that are no kernel function of their own

const ARRAY = { source: "a driver", args: { pages: pages_nr }, locals: { at: int, page: pfn } } as const;

/** A path by the filesystem of the sandbox's file. */
const byFilesystem =
  (paths: Readonly<Partial<Record<number, AnyPath>>>) =>
  (g: Geometry): AnyPath | null =>
    paths[g.files[0].fs] ?? null;

/** A path that works on the page cache: not on DAX, nor on huge pages. */
const cached = (does: AnyPath) =>
  byFilesystem({ [FS.ext4]: does, [FS.xfs]: does, [FS.btrfs]: does, [FS.tmpfs]: does });

/** A path that works on files in memory, which have seals. */
const memfd =
  (does: AnyPath) =>
  (g: Geometry): AnyPath | null =>
    g.config.has("memfd") ? does : null;

const is_dax = (k: Kernel, file: InodeNr): boolean => is_dax_fs(k.inode.fs[file]);

/** A device writes each part of each page of an array once. */
const dma = path("dma", { source: "a device", args: { pages: pages_nr }, locals: { at: int, part: int } }, [
  step("DMA", (k, f) => {
    for (f.at = 0; f.at < k.user_pages.nr[f.pages]; f.at++)
      for (f.part = 0; f.part < k.geometry.parts; f.part++) dma_write(k, f.pages, f.at, f.part);
    f.at = 0;
    f.part = 0;
  }),
]);

/** The driver lets go: put_page of each page, nothing is marked dirty. */
const put = path("put_pages", ARRAY, [...put_pages<FrameOf<typeof ARRAY>>([])]);

/** The driver lets go in the proper way of 2005: set_page_dirty_lock, then put_page. */
const unpin = path("unpin_pages", ARRAY, [
  ...put_pages<FrameOf<typeof ARRAY>>([call(() => set_page_dirty_lock, { page: "page" })]),
]);

/** get_user_pages_fast with what it could get kept in the array: the driver has its pages. */
const gup = path(
  "gup",
  {
    source: "a driver",
    args: { start: vpn, nr: int, write: int, pages: pages_nr },
    returns: int,
  },
  [
    call(() => get_user_pages_fast, { start: "start", nr: "nr", write: "write", pages: "pages" }, "ret"),
    given(
      (_, f) => f.ret < 0,
      [
        step("refused", (k, f) => {
          k.refused("get_user_pages_fast", f.ret, NONE);
        }),
      ],
    ),
  ],
);

/** get_user_pages_longterm under mmap_sem: a driver that holds pages for as long as a program likes. */
const gup_longterm = path(
  "gup_longterm",
  {
    source: "a driver",
    args: { start: vpn, nr: int, write: int, pages: pages_nr },
    returns: int,
  },
  [
    down_read(mmap_sem, (k, f) => mm_of(k, f.start)),
    call(() => get_user_pages_longterm, { start: "start", nr: "nr", flags: "write", pages: "pages" }, "ret"),
    up_read(mmap_sem, (k, f) => mm_of(k, f.start)),
    given(
      (_, f) => f.ret < 0,
      [
        step("refused", (k, f) => {
          k.refused("get_user_pages_longterm", f.ret, NONE);
        }),
      ],
    ),
  ],
);

/**
 * What the selftest asks of gup_benchmark when it is told nothing else: the fast function, for reading. The other two take no mmap_sem,
 * and here VMAs come and go.
 */
const gup_benchmark = path(
  "gup_benchmark",
  {
    source: "tools/testing/selftests/vm/gup_benchmark.c v4.20",
    args: { start: vpn, nr: int, per_call: int, pages: pages_nr },
    returns: int,
  },
  [
    call(
      () => gup_benchmark_ioctl,
      {
        start: "start",
        size: "nr",
        per_call: "per_call",
        cmd: GUP_BENCHMARK.FAST,
        write: 0,
        pages: "pages",
      },
      "ret",
    ),
  ],
);

/** A path that a sandbox has with a driver that is told when PTEs change. */
const notified =
  (driver: number, does: AnyPath) =>
  (g: Geometry): AnyPath | null =>
    g.notifiers[0]?.driver === driver ? does : null;

/** The part of the process that a driver's object covers: its first virtual pages. */
const covered = {
  ...at,
  help: "virtual page of the region",
  max: (k: Kernel) => (k.geometry.notifiers[0]?.nr ?? 1) - 1,
};

/** What can be ordered, in the order of help. */
const TABLE = [
  // ---- memory
  operation({
    name: "load",
    help: "The CPU reads a virtual page; it faults until it may",
    args: [at],
    path: cpu_access,
    values: ([page]) => [page, 0],
  }),
  operation({
    name: "store",
    help: "The CPU writes a virtual page; it faults until it may",
    details: ["A first write, or the first after the page was cleaned, goes through page_mkwrite."],
    args: [at],
    path: cpu_access,
    values: ([page]) => [page, 1],
  }),
  operation({
    name: "mmap",
    help: "Map an area again that munmap took away: 0 the file, 1 anonymous memory",
    args: [number("area", "number of the area", 0, 0, () => 1)],
    path: mmap,
  }),
  operation({ name: "munmap", help: "Take virtual pages out of the process", args: [at, nr], path: munmap }),
  operation({
    name: "mprotect",
    help: "Make virtual pages read-only, or writable again",
    args: [at, nr, word("to", "what they become", { read: 0, write: 1 })],
    path: mprotect,
  }),
  operation({
    name: "madvise",
    help: "Advice about virtual pages: dontneed drops them, pageout reclaims them (v5.4)",
    details: ["dontfork keeps them from a child. A kernel that does not know an advice says EINVAL."],
    args: [
      at,
      nr,
      word("advice", "MADV_*", {
        dontneed: MADV.DONTNEED,
        dontfork: MADV.DONTFORK,
        dofork: MADV.DOFORK,
        wipeonfork: MADV.WIPEONFORK,
        keeponfork: MADV.KEEPONFORK,
        pageout: MADV_PAGEOUT,
      }),
    ],
    path: madvise,
  }),
  operation({ name: "mlock", help: "Keep virtual pages resident", args: [at, nr], path: mlock }),
  operation({ name: "munlock", help: "Let go of what mlock kept", args: [at, nr], path: munlock }),
  operation({
    name: "fork",
    help: "The process makes its child: process 1, whose pages come after its own",
    path: fork,
    values: () => [0, 1],
  }),
  operation({
    name: "exit",
    help: "A process gives its memory back",
    args: [{ ...mm, default: 1 }],
    path: do_exit,
    example: "fork; exit",
  }),

  // ---- files
  operation({
    name: "read",
    help: "read(2) of a page of a file, through the page cache",
    args: [index, inode],
    path: byFilesystem({
      [FS.ext4]: generic_file_buffered_read,
      [FS.xfs]: xfs_file_buffered_aio_read,
      [FS.btrfs]: generic_file_buffered_read,
      [FS.tmpfs]: shmem_file_read_iter,
    }),
    where: "a sandbox with a page cache",
    values: ([page, file]) => [file, page],
  }),
  operation({
    name: "fsync",
    help: "Write a file's dirty pages and wait for them",
    args: [inode],
    path: fsync,
  }),
  operation({
    name: "msync",
    help: "The same for the file that an area maps (MS_SYNC)",
    args: [number("area", "number of the area", 0, 0, () => 0)],
    path: msync,
  }),
  operation({
    name: "sync",
    help: "sync(2): have the flusher write every file's dirty pages, and wait",
    details: [
      "The flusher does the work, and moves while the thread waits for it. What is dirtied later is not waited for, nor what a device writes into a page after it was submitted.",
    ],
    path: (g) => (g.config.has("kupdate") ? sync : null),
    where: "a sandbox with flusher=works",
    scenario: "sandbox,flusher=works",
  }),
  operation({
    name: "writeback",
    help: "Write a file's dirty pages, as the flusher does, and do not wait",
    args: [inode],
    path: __writeback_single_inode,
  }),
  operation({
    name: "write",
    help: "write(2) of a page of a file, through the page cache",
    details: [
      "write_begin finds or makes the page, and the filesystem promises space; write_end leaves it dirty.",
    ],
    args: [index, inode],
    path: byFilesystem({
      [FS.ext4]: generic_file_write_iter,
      [FS.xfs]: xfs_file_buffered_aio_write,
      [FS.btrfs]: btrfs_file_write_iter,
      [FS.tmpfs]: generic_file_write_iter,
    }),
    where: "a sandbox on ext4, xfs, btrfs or tmpfs",
    values: ([page, file], k) => [file, page * k.geometry.parts, k.geometry.parts],
  }),
  operation({
    name: "sync_file_range",
    help: "Start writing a file's dirty pages, and wait for them or not",
    args: [
      inode,
      word("how", "SYNC_FILE_RANGE_*", {
        write: SYNC_FILE_RANGE.WRITE,
        wait: SYNC_FILE_RANGE.WAIT_BEFORE | SYNC_FILE_RANGE.WRITE | SYNC_FILE_RANGE.WAIT_AFTER,
      }),
    ],
    path: sync_file_range,
    values: ([file, flags]) => [file, 0, RANGE_END, flags],
  }),
  operation({
    name: "truncate",
    help: "Give a file a new size: pages beyond it leave it, whoever holds them",
    details: [
      "ftruncate(2) as the filesystem does it, with its locks and blocks. On DAX it waits until nobody holds a page.",
    ],
    args: [size, inode],
    path: byFilesystem({
      [FS.ext4]: ext4_setattr,
      [FS.xfs]: xfs_vn_setattr,
      [FS.btrfs]: btrfs_setsize,
      [FS.tmpfs]: shmem_setattr,
      [FS.ext4_dax]: ext4_dax_setattr,
      [FS.xfs_dax]: xfs_dax_setattr,
    }),
    where: "a sandbox on a filesystem other than hugetlbfs",
    values: ([parts, file], k) => {
      if (!is_dax(k, file)) return [file, parts];
      if (parts > k.inode.i_size[file])
        throw new Error(
          `a DAX file only shrinks here, and it has ${k.inode.i_size[file]} parts: reading its holes is left out`,
        );
      return [file, Math.ceil(parts / k.geometry.parts), 0];
    },
  }),
  operation({
    name: "punch",
    help: "Throw a page of a file away; its size stays",
    details: ["fallocate(2) with FALLOC_FL_PUNCH_HOLE; on xfs the part of it that every filesystem shares."],
    args: [index, inode],
    path: byFilesystem({
      [FS.ext4]: ext4_punch_hole,
      [FS.xfs]: truncate_pagecache_range,
      [FS.btrfs]: btrfs_punch_hole,
      [FS.tmpfs]: shmem_punch_hole,
    }),
    where: "a sandbox on ext4, xfs, btrfs or tmpfs",
    values: ([page, file], k) => {
      const unit = k.inode.fs[file] === FS.ext4 ? 1 : k.geometry.parts;
      return [file, page * unit, (page + 1) * unit];
    },
  }),
  operation({
    name: "seal",
    help: "fcntl(F_ADD_SEALS) of a memfd: what nobody may do to the file any more",
    details: [
      "shrink and grow are asked by truncate, write by write, punch and mmap. A seal is never taken away.",
      "write needs a file that nobody has mapped shared, and whose pages nobody holds: munmap 0 4; seal write.",
    ],
    args: [
      word("what", "F_SEAL_*", {
        shrink: F_SEAL.SHRINK,
        grow: F_SEAL.GROW,
        write: F_SEAL.WRITE,
        seal: F_SEAL.SEAL,
      }),
      inode,
    ],
    path: memfd(memfd_add_seals),
    values: ([seals, file]) => [file, seals],
    where: "a sandbox with fs=tmpfs or fs=hugetlbfs",
    scenario: "sandbox,fs=tmpfs",
  }),
  operation({
    name: "clone",
    help: "ioctl(FICLONE): file 2 gets every block of file 1, shared",
    path: byFilesystem({ [FS.xfs]: xfs_reflink_remap_range }),
    where: "a sandbox on xfs",
    scenario: "sandbox,fs=xfs",
    values: () => [1, 2],
  }),
  operation({
    name: "dwrite",
    help: "Write the file itself with O_DIRECT: its cached pages are dropped, held or not",
    args: [inode],
    path: cached(generic_file_write_direct),
    where: "a sandbox with a page cache",
    values: ([file], k) => [file, 0, k.inode.i_pages[file] - 1],
  }),
  operation({
    name: "fadvise",
    help: "POSIX_FADV_DONTNEED: write what is dirty, drop what is clean and unmapped",
    args: [inode],
    path: fadvise_dontneed,
    values: ([file]) => [file, 0, 0],
  }),
  operation({ name: "drop_caches", help: "The same for every file, without writing", path: drop_caches }),

  // ---- pins
  operation({
    name: "gup",
    help: "get_user_pages_fast: references to the pages behind virtual addresses",
    details: ["The pages stand in an array until put or unpin lets them go. dma writes into them meanwhile."],
    args: [at, nr, mode, own],
    path: gup,
    takes: true,
  }),
  operation({
    name: "longterm",
    help: "get_user_pages_longterm: the same for as long as a program likes; refused on DAX",
    args: [at, nr, mode, own],
    path: gup_longterm,
    takes: true,
  }),
  operation({
    name: "dma",
    help: "A device writes into every page of an array",
    args: [own],
    path: dma,
    array: "shared",
  }),
  operation({
    name: "put",
    help: "put_page of every page of an array, and nothing else",
    args: [own],
    path: put,
    releases: ["gup", "longterm"],
  }),
  operation({
    name: "unpin",
    help: "set_page_dirty_lock, then put_page, of every page of an array",
    args: [own],
    path: unpin,
    releases: ["gup", "longterm"],
  }),
  operation({
    name: "pread",
    help: "Read another file with O_DIRECT into virtual pages",
    args: [at, nr, own],
    path: do_blockdev_direct_IO,
  }),
  operation({
    name: "pwrite",
    help: "Write another file with O_DIRECT from virtual pages",
    args: [at, nr, own],
    path: direct_write,
  }),
  operation({
    name: "pvmw",
    help: "process_vm_writev into virtual pages: gup, a copy by the CPU, set_page_dirty_lock",
    args: [at, nr, own],
    path: process_vm_rw,
    remote: true,
    values: ([start, count, array]) => [start, count, 1, array],
  }),
  operation({
    name: "mem",
    help: "A write to /proc/<pid>/mem: FOLL_FORCE, a copy under mmap_sem",
    args: [at, nr, own],
    path: mem_rw,
    remote: true,
    values: ([start, count, array]) => [start, count, 1, array],
  }),
  operation({
    name: "vmsplice",
    help: "Put virtual pages into a pipe, which holds them until somebody reads it",
    args: [at, nr, pipe, own],
    path: vmsplice_to_pipe,
    values: ([start, count, to, array]) => [start, count, array, to],
  }),
  operation({
    name: "pipe_read",
    help: "Read one page from a pipe",
    args: [pipe],
    path: pipe_read,
    example: "vmsplice; pipe_read",
  }),
  operation({
    name: "tee",
    help: "Give a second pipe the pages of the first: both hold them",
    path: tee,
    values: () => [PIPE, PIPE2],
    array: "shared",
    example: "vmsplice; tee; pipe_read; pipe_read 6",
  }),
  operation({
    name: "gup_benchmark",
    help: "get_user_pages_fast of virtual pages, some at a time, then put_page of each",
    details: [
      "It gives how many pages of its range it got through. Nothing is written, nothing is marked dirty.",
    ],
    args: [at, nr, number("n", "pages a call", 1, 0, (k) => k.geometry.dioPages), own],
    path: gup_benchmark,
    example: "gup_benchmark 0 4 2",
  }),
  operation({
    name: "rdma_reg",
    help: "Register an RDMA memory region: step card writes into it from then on",
    args: [at, nr, mode, region],
    path: ib_umem_get,
    takes: true,
  }),
  operation({
    name: "rdma_dereg",
    help: "Deregister it: pages that are not dirty are marked so, then put",
    args: [region],
    path: ib_umem_release,
    releases: ["rdma_reg"],
  }),
  operation({
    name: "vfio_map",
    help: "Give pages to a passed-through device",
    args: [at, nr, mode, region],
    path: vfio_dma_do_map,
    takes: true,
  }),
  operation({
    name: "vfio_unmap",
    help: "Take them away: raw SetPageDirty, then put_page",
    args: [region],
    path: vfio_dma_do_unmap,
    releases: ["vfio_map"],
  }),
  operation({
    name: "video_qbuf",
    help: "Give pages to a video camera: step card writes into them",
    args: [at, nr, region],
    path: vb2_get_userptr,
    takes: true,
  }),
  operation({
    name: "video_free",
    help: "The camera lets go",
    args: [region],
    path: vb2_put_userptr,
    releases: ["video_qbuf"],
  }),
  operation({
    name: "xdp_reg",
    help: "Register packet buffers (AF_XDP)",
    args: [at, nr, region],
    path: xdp_umem_reg,
    takes: true,
  }),
  operation({
    name: "xdp_free",
    help: "The last user of the packet buffers is gone",
    args: [region],
    path: xdp_umem_release,
    releases: ["xdp_reg"],
  }),
  operation({
    name: "uring_reg",
    help: "Register a fixed buffer of io_uring (v5.1)",
    args: [at, nr, region],
    path: io_sqe_buffer_register,
    takes: true,
    example: "uring_reg 4",
  }),
  operation({
    name: "uring_unreg",
    help: "Unregister it: nothing is marked dirty",
    args: [region],
    path: io_sqe_buffer_unregister,
    releases: ["uring_reg"],
  }),

  operation({
    name: "udmabuf_create",
    help: "Make a dma-buf of pages of the file (a memfd): step card writes into them",
    details: [
      "UDMABUF_CREATE wants F_SEAL_SHRINK on the file, and no F_SEAL_WRITE: seal shrink comes first.",
      "The pages are found by their place in the file; no address is involved. Up to v6.10 they are referenced, from v6.11 on pinned for long.",
      "truncate is refused from then on, and punch is not.",
    ],
    args: [index, nr, region],
    path: memfd(udmabuf_create),
    values: ([page, count, array]) => [1, page, count, array],
    takes: true,
    where: "a sandbox with fs=tmpfs or fs=hugetlbfs",
    scenario: "sandbox,fs=tmpfs",
    example: "seal shrink; udmabuf_create",
  }),
  operation({
    name: "udmabuf_free",
    help: "The last user of the dma-buf is gone: nothing is marked dirty",
    args: [region],
    path: memfd(release_udmabuf),
    releases: ["udmabuf_create"],
    where: "a sandbox with fs=tmpfs or fs=hugetlbfs",
    scenario: "sandbox,fs=tmpfs",
  }),

  // ---- drivers that a sandbox has when it is asked for: driver=
  operation({
    name: "odp_write",
    help: "An RDMA card writes a page of its on-demand region, and faults it in",
    details: [
      "The region is the file's mapping. The fault takes the page, enters it and puts it again: no reference is kept.",
      "Whatever changes the PTE takes the translation away first, and dirties the page: try writeback, and write again.",
    ],
    args: [covered, own],
    path: notified(MMU_NOTIFIER.ib_umem, odp_write_page),
    where: "a sandbox with driver=odp",
    scenario: "sandbox,driver=odp",
    remote: true,
  }),
  operation({
    name: "i915_exec",
    help: "A job of Intel graphics on the file's mapping: step gpu does it",
    details: [
      "Pages that are mapped writable are taken at once; for others a kworker faults: step worker.",
      "An invalidation waits for the GPU; then the driver dirties the pages and puts them.",
    ],
    path: notified(MMU_NOTIFIER.i915, i915_exec),
    values: () => [OBJECT],
    array: "filled",
    owner: 0,
    where: "a sandbox with driver=i915",
    scenario: "sandbox,driver=i915,pages=1",
  }),
  operation({
    name: "i915_free",
    help: "Close the object: its pages are dirtied, unlocked, and put",
    path: notified(MMU_NOTIFIER.i915, i915_free),
    values: () => [OBJECT],
    array: "filled",
    owner: 0,
    where: "a sandbox with driver=i915",
    scenario: "sandbox,driver=i915,pages=1",
    example: "store 0; i915_exec; step gpu 20; i915_free",
  }),
  operation({
    name: "amdgpu_userptr",
    help: "AMDGPU_GEM_USERPTR of the file's mapping: take its pages",
    args: [word("anononly", "AMDGPU_GEM_USERPTR_ANONONLY: refuse a file's pages", { no: 0, yes: 1 })],
    path: notified(MMU_NOTIFIER.amdgpu, amdgpu_userptr),
    values: ([anononly]) => [anononly, OBJECT],
    takes: true,
    owner: 0,
    where: "a sandbox with driver=amdgpu",
    scenario: "sandbox,driver=amdgpu",
  }),
  operation({
    name: "amdgpu_cs",
    help: "Submit a job that writes the object: step gpu does it",
    details: [
      "Pages that were invalidated are fetched anew. The last look is under the notifier's lock, so that no job starts while PTEs change.",
      "Stop it before that lock (amdgpu_cs --hold yes, step A ...), let writeback come, and it starts again.",
    ],
    path: notified(MMU_NOTIFIER.amdgpu, amdgpu_cs),
    values: (_, k) => {
      if (k.user_pages.nr[OBJECT] === 0)
        throw new Error("amdgpu_cs needs an object with pages: amdgpu_userptr makes it");
      return [OBJECT];
    },
    array: "filled",
    owner: 0,
    where: "a sandbox with driver=amdgpu",
    scenario: "sandbox,driver=amdgpu",
    example: "amdgpu_userptr; amdgpu_cs",
  }),
  operation({
    name: "amdgpu_free",
    help: "Close the object: its pages are dirtied, unlocked, and put",
    path: notified(MMU_NOTIFIER.amdgpu, amdgpu_free),
    values: () => [OBJECT],
    releases: ["amdgpu_userptr"],
    owner: 0,
    where: "a sandbox with driver=amdgpu",
    scenario: "sandbox,driver=amdgpu",
  }),
  operation({
    name: "aio_read",
    help: "io_submit: an O_DIRECT read into virtual pages that nobody waits for",
    details: [
      "The pages are dirty before the disk writes. step aio moves the disk; its interrupt looks whether they still are.",
      "Clean them meanwhile (writeback; step disk), and step kworker dirties them again, later than anybody waits for.",
    ],
    args: [at, nr],
    path: (g) =>
      g.dios > OBJECT && g.notifiers.length === 0 && !g.config.has("nvme") ? io_submit_read : null,
    values: ([start, count]) => [start, count, OBJECT],
    array: "filled",
    where: "a sandbox with driver=aio",
    scenario: "sandbox,driver=aio",
  }),
  operation({
    name: "nvme_timeout",
    help: "The timer of a pread's command: Abort first, then the reset",
    details: [
      "An aborted or cancelled command is sent again, five times; its pages are held until the read fails or succeeds.",
      "The disk is nvme-abortable (obeys Abort), nvme-stuck (never completes) or nvme-dead (does not hear of the reset).",
    ],
    args: [own],
    path: (g) => (g.config.has("nvme") ? timer : null),
    values: ([array], k) => {
      if (k.has("nvme") && !nvme_in_flight(k, array))
        throw new Error(
          `nvme_timeout needs a command in flight, and array ${array} has none: pread --hold yes, step`,
        );
      return [array];
    },
    array: "shared",
    where: "a sandbox with driver=nvme-abortable, nvme-stuck or nvme-dead",
    scenario: "sandbox,driver=nvme-dead",
    example: "pread 0; nvme_timeout 0; nvme_timeout 0; step A 40",
  }),

  // ---- memory pressure, and pages that move
  operation({
    name: "reclaim",
    help: "One pass of reclaim over the LRU lists",
    path: ({ config }) => (config.has("swap") ? shrink_node_swap : shrink_node),
  }),
  operation({
    name: "age",
    help: "Move active pages to the inactive list (shrink_active_list)",
    args: [{ ...nr, name: "pages", max: () => 64 }],
    path: shrink_active_list,
  }),
  operation({
    name: "age_anon",
    help: "The same for the process's own memory, where there is a swap area",
    args: [{ ...nr, name: "pages", max: () => 64 }],
    path: ({ config }) => (config.has("swap") ? shrink_active_anon : null),
    where: "a swap area",
    scenario: "sandbox,swap=4",
  }),
  operation({
    name: "hog",
    help: "Fill anonymous memory, page after page, until it is refused",
    args: [{ ...at, default: 4 }, nr],
    path: memory_hog,
  }),
  operation({
    name: "compact",
    help: "Compact memory: what can move moves; a page that somebody holds stays",
    args: [word("how", "whether it may wait", { sync: MIGRATE.SYNC, async: MIGRATE.ASYNC })],
    path: compact_zone,
  }),
  operation({
    name: "cma",
    help: "alloc_contig_range: take page frames for a device that wants them together",
    args: [frame, { ...nr, max: ram }],
    path: alloc_contig_range,
    values: ([start, count], k) => [start, Math.min(start + count, ram(k))],
  }),
  operation({
    name: "offline",
    help: "Take page frames out of service: their pages move away first",
    args: [frame, { ...nr, max: ram }],
    path: offline_pages,
    values: ([start, count], k) => [start, Math.min(start + count, ram(k)), 3],
  }),
] as const;

export const OPERATIONS: readonly Operation[] = TABLE;

type Row = (typeof TABLE)[number];
/** Name of an operation. */
export type OperationName = Row["name"];
/** What an argument can be set to: a number, or one of its words. */
type ValueOf<A> = A extends { readonly words: Readonly<Record<infer W, number>> } ? W : number;
/** The arguments of an operation by name. */
export type ValuesOf<N extends OperationName> = {
  readonly [A in Extract<Row, { readonly name: N }>["args"][number] as A["name"]]?: ValueOf<A>;
};

/** Statements that do an operation in a fresh sandbox that has it. */
export function exampleOf({ example, releases }: Operation): string {
  const before = OPERATIONS.find(({ name }) => name === releases[0]);
  return before === undefined ? example : `${before.example}; ${example}`;
}
