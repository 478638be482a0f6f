/**
 * Kernel operations that a person can order in the sandbox: what each is called, what it takes, and the path that does it.
 */

import { ib_umem_get, ib_umem_release } from "../kernel/drivers/infiniband.js";
import { io_sqe_buffer_register, io_sqe_buffer_unregister } from "../kernel/drivers/io_uring.js";
import { vfio_dma_do_map, vfio_dma_do_unmap } from "../kernel/drivers/vfio.js";
import { vb2_get_userptr, vb2_put_userptr } from "../kernel/drivers/videobuf2.js";
import { xdp_umem_reg, xdp_umem_release } from "../kernel/drivers/xdp_umem.js";
import { do_exit } from "../kernel/exit.js";
import { fork } from "../kernel/fork.js";
import { direct_write, do_blockdev_direct_IO } from "../kernel/fs/direct_io.js";
import { drop_caches } from "../kernel/fs/drop_caches.js";
import { __writeback_single_inode } from "../kernel/fs/fs_writeback.js";
import { mem_rw } from "../kernel/fs/proc_mem.js";
import { generic_file_buffered_read } from "../kernel/fs/read_write.js";
import { pipe_read, vmsplice_to_pipe } from "../kernel/fs/splice.js";
import { fsync, msync } from "../kernel/fs/sync.js";
import type { Kernel } from "../kernel/kernel.js";
import { call, given, path, step } from "../kernel/language.js";
import { generic_file_write_direct } from "../kernel/mm/direct_write.js";
import { fadvise_dontneed } from "../kernel/mm/fadvise.js";
import { get_user_pages_fast } from "../kernel/mm/gup.js";
import { MADV, madvise } from "../kernel/mm/madvise.js";
import { mlock, munlock } from "../kernel/mm/mlock.js";
import { mmap, munmap } from "../kernel/mm/mmap.js";
import { mprotect } from "../kernel/mm/mprotect.js";
import { set_page_dirty_lock } from "../kernel/mm/page_writeback.js";
import { process_vm_rw } from "../kernel/mm/process_vm_access.js";
import { truncate_pagecache_range, truncate_setsize } from "../kernel/mm/truncate.js";
import { dma_write, page_of, put_pages } from "../kernel/mm/user_pages.js";
import { shrink_active_list, shrink_node } from "../kernel/mm/vmscan.js";
import { int, NONE, pages_nr, pfn, vpn } from "../kernel/types.js";
import { cpu_access } from "../kernel/user.js";
import type { FrameOf, Path } from "../machine/path.js";

/** One argument as it is written: a name, what it is for, and what it can be on a machine. */
export interface OperationArgument {
  readonly name: string;
  readonly help: string;
  /** What it is when nothing is said; without one it must be said. */
  readonly default?: number;
  readonly min: number;
  readonly max: (k: Kernel) => number;
  /** Words that stand for numbers; then only these can be said. */
  readonly words?: Readonly<Record<string, number>>;
}

// biome-ignore lint/suspicious/noExplicitAny: paths of any frame
type AnyPath = Path<Kernel, any, any>;

/** An operation of the sandbox. */
export interface Operation {
  readonly name: string;
  /** One line. */
  readonly help: string;
  readonly details: readonly string[];
  readonly args: readonly OperationArgument[];
  /** A statement that works in a fresh sandbox, after `releases` has been done there. */
  readonly example: string;
  readonly path: AnyPath;
  /** The operation whose pages this one lets go of. */
  readonly releases: string | null;
  /** Whether it leaves pages in its array, its last argument, until another operation lets them go. */
  readonly takes: boolean;
  /**
   * The path's arguments from the words of an order to a thread.
   *
   * @throws Error with one sentence when they do not fit
   */
  readonly read: (k: Kernel, words: readonly string[], thread: number) => readonly number[];
}

/** Array of pages that registrations use when nothing else is said, and the pipe: after the threads' own. */
export const REGION = 3;
export const PIPE = 4;
/** Arrays that the sandbox has. */
export const ARRAYS = 5;

/** Stands for "the thread's own array" where an argument was not said. */
const OWN = -1;

function readArgument(name: string, arg: OperationArgument, k: Kernel, word: string | undefined): number {
  const { min, max, words, default: standard } = arg;
  const range =
    words === undefined ? `a number from ${min} to ${max(k)}` : `one of ${Object.keys(words).join(", ")}`;
  if (word === undefined) {
    if (standard === undefined) throw new Error(`${name} needs ${arg.name}, ${range}`);
    return standard;
  }
  const value = words === undefined ? (/^\d+$/.test(word) ? Number(word) : Number.NaN) : words[word];
  if (value === undefined || Number.isNaN(value) || (words === undefined && (value < min || value > max(k))))
    throw new Error(`${arg.name} of ${name} is ${range}, not ${word}`);
  return value;
}

interface OperationSpec {
  readonly name: string;
  readonly help: string;
  readonly details?: readonly string[];
  readonly args?: readonly OperationArgument[];
  readonly path: AnyPath;
  /** The path's arguments from what was said; default as said. */
  readonly values?: (said: readonly number[], k: Kernel) => readonly number[];
  readonly releases?: string;
  readonly takes?: boolean;
  readonly example?: string;
}

function operation({
  values = (said) => said,
  args = [],
  details = [],
  releases,
  takes = false,
  ...spec
}: OperationSpec): Operation {
  return {
    ...spec,
    args,
    details,
    example: spec.example ?? spec.name,
    releases: releases ?? null,
    takes,
    read: (k, words, thread) => {
      if (words.length > args.length) {
        const most =
          args.length === 1 ? "one argument" : `${args.length === 0 ? "no" : args.length} arguments`;
        throw new Error(`${spec.name} takes ${most}, not ${words.length}`);
      }
      const said = args.map((arg, at) => {
        const value = readArgument(spec.name, arg, k, words[at]);
        return value === OWN ? thread : value;
      });
      return values(said, k);
    },
  };
}

// ---- arguments

const number = (
  name: string,
  help: string,
  standard: number | undefined,
  min: number,
  max: (k: Kernel) => number,
): OperationArgument => ({ name, help, default: standard, min, max });

const word = (name: string, help: string, words: Readonly<Record<string, number>>): OperationArgument => ({
  name,
  help,
  default: Object.values(words)[0],
  min: 0,
  max: () => 0,
  words,
});

const at = number("at", "virtual page", 0, 0, (k) => k.geometry.virtualPages - 1);
const nr = number("nr", "how many pages", 1, 1, (k) => k.geometry.dioPages);
const inode = number("inode", "the file", 1, 1, (k) => k.geometry.files.length);
const mm = number("mm", "the process", 0, 0, (k) => k.geometry.mms - 1);
const own = number("array", "array of pages; the thread's own when not said", OWN, 0, () => PIPE - 1);
const region = number("array", "array of pages", REGION, 0, () => PIPE - 1);
const pipe = number("pipe", "array of pages that is the pipe", PIPE, PIPE, () => ARRAYS - 1);
const mode = word("mode", "whether the pages may be written", { write: 1, read: 0 });
const size = number("size", "size in parts of a page", 0, 0, (k) => k.inode.i_pages[1] * k.geometry.parts);
const index = number("index", "page of the file", 0, 0, (k) => k.inode.i_pages[1] - 1);

// ---- paths that are no kernel function of their own

const ARRAY = { source: "a driver", args: { pages: pages_nr }, locals: { at: int, page: pfn } } as const;

/** A device writes each part of each page of an array once. */
const dma = path("dma", { source: "a device", args: { pages: pages_nr }, locals: { at: int, part: int } }, [
  step("DMA", (k, f) => {
    for (f.at = 0; f.at < k.user_pages.nr[f.pages]; f.at++)
      for (f.part = 0; f.part < k.geometry.parts; f.part++) dma_write(k, page_of(k, f.pages, f.at), f.part);
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

/** What can be ordered, in the order of help. */
export const OPERATIONS: readonly Operation[] = [
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
    help: "Advice about virtual pages: dontneed drops them, dontfork keeps them from a child",
    args: [
      at,
      nr,
      word("advice", "MADV_*", {
        dontneed: MADV.DONTNEED,
        dontfork: MADV.DONTFORK,
        dofork: MADV.DOFORK,
        wipeonfork: MADV.WIPEONFORK,
        keeponfork: MADV.KEEPONFORK,
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
  }),

  // ---- files
  operation({
    name: "read",
    help: "read(2) of a page of a file, through the page cache",
    args: [index, inode],
    path: generic_file_buffered_read,
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
    name: "writeback",
    help: "Write a file's dirty pages, as the flusher does, and do not wait",
    args: [inode],
    path: __writeback_single_inode,
  }),
  operation({
    name: "truncate",
    help: "Give a file a new size: pages beyond it leave it, whoever holds them",
    details: [
      "The part of it that every filesystem shares, truncate_setsize: its locks and blocks are not touched.",
    ],
    args: [size, inode],
    path: truncate_setsize,
    values: ([parts, file]) => [file, parts],
  }),
  operation({
    name: "punch",
    help: "Throw a page of a file away; its size stays",
    details: ["The part of it that every filesystem shares, truncate_pagecache_range."],
    args: [index, inode],
    path: truncate_pagecache_range,
    values: ([page, file], k) => [file, page * k.geometry.parts, (page + 1) * k.geometry.parts],
  }),
  operation({
    name: "dwrite",
    help: "Write the file itself with O_DIRECT: its cached pages are dropped, held or not",
    args: [inode],
    path: generic_file_write_direct,
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
  operation({ name: "dma", help: "A device writes into every page of an array", args: [own], path: dma }),
  operation({
    name: "put",
    help: "put_page of every page of an array, and nothing else",
    args: [own],
    path: put,
    releases: "gup",
  }),
  operation({
    name: "unpin",
    help: "set_page_dirty_lock, then put_page, of every page of an array",
    args: [own],
    path: unpin,
    releases: "gup",
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
    values: ([start, count, array]) => [start, count, 1, array],
  }),
  operation({
    name: "mem",
    help: "A write to /proc/<pid>/mem: FOLL_FORCE, a copy under mmap_sem",
    args: [at, nr, own],
    path: mem_rw,
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
    releases: "rdma_reg",
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
    releases: "vfio_map",
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
    releases: "video_qbuf",
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
    releases: "xdp_reg",
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
    releases: "uring_reg",
  }),

  // ---- memory pressure
  operation({ name: "reclaim", help: "One pass of reclaim over the LRU lists", path: shrink_node }),
  operation({
    name: "age",
    help: "Move active pages to the inactive list (shrink_active_list)",
    args: [{ ...nr, name: "pages", max: () => 64 }],
    path: shrink_active_list,
  }),
];

/** Statements that do an operation in a fresh sandbox. */
export function exampleOf({ example, releases }: Operation): string {
  const before = OPERATIONS.find(({ name }) => name === releases);
  return before === undefined ? example : `${before.example}; ${example}`;
}
