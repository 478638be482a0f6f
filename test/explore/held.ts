/**
 * Held steps are no preemption points: the search is smaller for it, and must not miss anything. Here every held step is
 * made a preemption point, on machines small enough for a naive search, and each state in which no task is in the
 * middle of held steps must be one that the search with held steps reaches as well. On each kernel that makes another machine of a world.
 */
import { old_anonymous } from "../../src/kernel/boot.js";
import type { Config } from "../../src/kernel/config.js";
import { gpu_engine } from "../../src/kernel/drivers/i915_userptr.js";
import { btrfs_setsize } from "../../src/kernel/fs/btrfs/truncate.js";
import { btrfs_writepage_fixup_worker } from "../../src/kernel/fs/btrfs.js";
import { ext4_setattr } from "../../src/kernel/fs/ext4/truncate.js";
import { jbd2_journal_commit_transaction } from "../../src/kernel/fs/jbd2.js";
import {
  generic_file_buffered_read,
  generic_file_write_iter,
  vfs_write,
} from "../../src/kernel/fs/read_write.js";
import { shmem_file_read_iter } from "../../src/kernel/fs/tmpfs.js";
import { xfs_vn_setattr } from "../../src/kernel/fs/xfs.js";
import type { GeometryOptions } from "../../src/kernel/geometry.js";
import { call, local, path } from "../../src/kernel/language.js";
import { ptl } from "../../src/kernel/locks.js";
import { MADV } from "../../src/kernel/mm/madvise.js";
import { lock_page, unlock } from "../../src/kernel/mm/page.js";
import {
  clear_page_dirty_for_io,
  generic_writepages,
  LONG_MAX,
  RANGE_END,
  redirty_page_for_writepage,
} from "../../src/kernel/mm/page_writeback.js";
import { FS, MMU_NOTIFIER } from "../../src/kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../src/kernel/structs.js";
import { pfn } from "../../src/kernel/types.js";
import { type HolderName, holderNamed } from "../../src/lab/workloads/holders.js";
import { open, type World } from "../../src/lab/world.js";
import { HELD, type Instruction, STEP } from "../../src/machine/program.js";
import { kernels } from "../../src/patches/kernels.js";
import { disk, dma, flusher, fsync, load, read, reclaim, store } from "../kernel/actors.js";
import { type Actor, FILE, type Small, small } from "../kernel/harness.js";
import { drop, invalidate2, migrateOne, punch, resize, unmap } from "../kernel/movers.js";
import {
  anonymous,
  child_exits,
  childs,
  fork,
  madvise,
  mlock,
  mprotect,
  munlock,
  munmap,
  parent,
} from "../kernel/processes.js";
import { naiveSearch } from "./naive.js";

const states = (world: World, resting: (world: World) => boolean = () => true): Set<string> => {
  const { state } = world.k.memory;
  const bytes = Buffer.from(state.buffer, state.byteOffset, state.byteLength);
  const seen = new Set<string>();
  naiveSearch(world, undefined, () => {
    if (resting(world)) seen.add(bytes.toString("latin1"));
  });
  return seen;
};

/**
 * zap_pte_range dirties a page without the page lock: the ptl keeps those away who look for its PTE meanwhile (page_mkclean, try_to_unmap),
 * and a ptl has no word. Its section is one step or the machine would do what no kernel can.
 */
const ptlSection = ({ stack, under }: Instruction): boolean =>
  stack.includes("zap_pte_range") && under.includes(ptl);

/** Make every held step of a world a preemption point; gives whether no task stands before one. */
function release(world: World): (world: World) => boolean {
  const { machine } = world;
  const held = new Map<Instruction, NonNullable<Instruction["held"]>>();
  for (const instruction of machine.code) {
    if (ptlSection(instruction)) continue;
    if (instruction.op === HELD) {
      instruction.op = STEP;
      held.set(instruction, () => true);
    } else if (instruction.held !== null) {
      held.set(instruction, instruction.held);
      instruction.held = null;
    }
  }
  return () => {
    for (let task = 0; task < machine.tasks.length; task++) {
      const instruction = machine.at(task);
      const condition = held.get(instruction);
      machine.focus(task);
      if (condition?.(world.k, instruction.frame)) return false;
    }
    return true;
  };
}

/** generic_writepages of the file: with 1, for integrity. */
const walk = (sync: 0 | 1): Actor => ({
  path: generic_writepages,
  args: [FILE, sync, 0, LONG_MAX, 0, RANGE_END],
  ends: true,
});
/** A locked page is cleaned to be written, and is not written. */
const redirty = (): Actor => ({
  path: path("redirty", { source: "a test", locals: { page: pfn } }, [
    local((_, f) => {
      f.page = 0;
    }),
    lock_page(),
    call(() => clear_page_dirty_for_io, { page: "page" }),
    call(() => redirty_page_for_writepage, { page: "page" }),
    unlock(),
  ]),
  ends: true,
});
const write = (): Actor => ({ path: generic_file_write_iter, args: [FILE, 0, 1], ends: true });
/** write(2) of a filesystem with a write_iter of its own. */
const writes = (): Actor => ({ path: vfs_write, args: [FILE, 0, 1], ends: true });
/** read(2) of tmpfs. */
const looks = (): Actor => ({ path: shmem_file_read_iter, args: [FILE, 0], ends: true });
const look = (): Actor => ({ path: generic_file_buffered_read, args: [FILE, 0], ends: true });

/** The first virtual page shows the file, the second a private copy. */
const both = [VM_SHARED | VM_WRITE, VM_WRITE];

/** A file of one page in a process whose VMAs change. */
const moving = (pages: number, ...config: readonly Config[]): Small => ({
  geometry: {
    pages,
    vmas: [{ pages: 1, file: 1, flags: VM_SHARED | VM_WRITE }],
    config: ["mmap", ...config],
  },
});

/** Files that change their size, pages that move. */
const changing = { geometry: { config: ["truncate", "migration"] } } as const;

/** A user of get_user_pages on the first page, with the first array. */
const holder = (name: HolderName): Actor => ({
  path: holderNamed(name).program,
  args: [0, 1, 0],
  ends: true,
});

/** How a world is made on one kernel. */
export interface On {
  readonly small: (options: Small, actors: Readonly<Record<string, Actor>>) => World;
  readonly open: (scenario: string) => World;
}

export const worlds: Readonly<Record<string, (on: On) => World>> = {
  "kara-2018-quiet": ({ open }) => open("kara-2018-quiet"),
  "kara-2018-private": ({ open }) => open("kara-2018-private"),
  "kara-2018-tmpfs": ({ open }) => open("kara-2018-tmpfs"),
  "a store, reclaim and writeback": ({ small }) =>
    small({ pages: 1 }, { store: store(), reclaim: reclaim(2), flusher, disk }),
  "two stores and reclaim": ({ small }) =>
    small({ pages: 1 }, { store: store(), store2: store(), reclaim: reclaim(2), disk }),
  "a load and a store, reclaim": ({ small }) =>
    small({ pages: 1 }, { store: store(), load: load(), reclaim: reclaim(2), disk }),
  "a load and a store of a private mapping, reclaim": ({ small }) =>
    small({ pages: 2, vmas: both }, { load: load(1), store: store(1), reclaim: reclaim(2), disk }),
  "an O_DIRECT read and reclaim": ({ small }) =>
    small({ pages: 1 }, { read: read(0), dma: dma(0), reclaim: reclaim(2), disk }),
  "an O_DIRECT read, reclaim and writeback": ({ small }) =>
    small({ pages: 1 }, { read: read(0), dma: dma(0), reclaim: reclaim(1), flusher, disk }),
  "two pages, stores and reclaim": ({ small }) =>
    small({ filePages: 2, pages: 2 }, { store: store(0), store2: store(1), reclaim: reclaim(1), disk }),
  "an O_DIRECT read and writeback": ({ small }) =>
    small({ pages: 1 }, { read: read(0), dma: dma(0), flusher, disk }),
  "amdgpu dirties without the page lock, and writeback": ({ small }) =>
    small(
      {
        pages: 1,
        geometry: {
          config: ["unlocked_dirty", "notifier"],
          notifiers: [{ driver: MMU_NOTIFIER.amdgpu, start: 0, nr: 1, pages: 0 }],
        },
      },
      { gpu: holder("amdgpu"), engine: { path: gpu_engine, args: [0] }, flusher, disk },
    ),
  "VFIO sets PG_dirty alone, reclaim and writeback": ({ small }) =>
    small(
      { pages: 1, geometry: { config: ["unlocked_dirty"] } },
      { vfio: holder("vfio"), reclaim: reclaim(1), flusher, disk },
    ),
  "a store, truncation and writeback": ({ small }) =>
    small({ pages: 1, ...changing }, { store: store(), truncate: resize(0), flusher, disk }),
  "a load that refaults, a hole and reclaim": ({ small }) =>
    small(
      { pages: 1, geometry: { config: ["truncate", "workingset"] } },
      { load: load(), punch: punch(0, 1), reclaim: reclaim(2), disk },
    ),
  "a store, a hole and reclaim": ({ small }) =>
    small({ pages: 1, ...changing }, { store: store(), punch: punch(0, 1), reclaim: reclaim(1), disk }),
  "an O_DIRECT read and truncation": ({ small }) =>
    small({ pages: 1, ...changing }, { read: read(0), dma: dma(0), truncate: resize(0) }),
  "a store, drop_caches, munmap and reclaim": ({ small }) =>
    small(
      { pages: 1, ...changing },
      { store: store(), drop: drop(), unmap: unmap(), reclaim: reclaim(1), disk },
    ),
  "a store, an O_DIRECT write's invalidation and writeback": ({ small }) =>
    small({ pages: 1, ...changing }, { store: store(), invalidate: invalidate2(), flusher, disk }),
  "tmpfs: a load, a store, truncation and munmap": ({ small }) =>
    small(
      { pages: 2, fs: FS.tmpfs, ...changing },
      { load: load(), store: store(), truncate: resize(0), unmap: unmap() },
    ),
  "a store and a moved page": ({ small }) =>
    small({ pages: 2, ...changing }, { store: store(), move: migrateOne(0), flusher, disk }),
  "a store, munmap and a moved page": ({ small }) =>
    small(
      { pages: 2, ...changing },
      { store: store(), move: migrateOne(0), unmap: unmap(), reclaim: reclaim(1), disk },
    ),
  "write_cache_pages for integrity, a store and the flusher": ({ small }) =>
    small({ pages: 1 }, { store: store(), walk: walk(1), flusher, disk }),
  "write_cache_pages, an O_DIRECT read and reclaim": ({ small }) =>
    small({ pages: 1 }, { walk: walk(0), read: read(1), dma: dma(1), reclaim: reclaim(1), disk }),
  "write_cache_pages of xfs, a store and fsync": ({ small }) =>
    small({ pages: 1, fs: FS.xfs }, { store: store(), walk: walk(0), fsync, disk }),
  "redirty_page_for_writepage, a store and the flusher": ({ small }) =>
    small({ pages: 1 }, { store: store(), redirty: redirty(), flusher, disk }),
  "ext4: write(2) and a store to a delayed page, writeback": ({ small }) =>
    small(ext4(["blocks"]), { write: write(), store: store(), flusher, disk }),
  "ext4 without delayed allocation: write(2), a store, reclaim": ({ small }) =>
    small(ext4(["blocks"], { mount: { delalloc: false } }), {
      write: write(),
      store: store(),
      reclaim: reclaim(1),
      disk,
    }),
  "ext4 with a journal: writeback of a delayed page and a commit": ({ small }) =>
    small(ext4(["blocks", "journal"]), {
      store: store(),
      flusher,
      jbd2: { path: jbd2_journal_commit_transaction, args: [0], ends: true },
      disk,
    }),
  "ext4 without delayed allocation: a store and truncation": ({ small }) =>
    small(ext4(["blocks", "truncate"], { mount: { delalloc: false } }), {
      store: store(),
      truncate: { path: ext4_setattr, args: [FILE, 0], ends: true },
    }),
  "write(2) and a store to a tmpfs page, reclaim": ({ small }) =>
    small({ pages: 1, fs: FS.tmpfs }, { write: write(), store: store(), reclaim: reclaim(1), disk }),
  "write(2) and read(2) of a tmpfs page that is not there": ({ small }) =>
    small({ pages: 1, fs: FS.tmpfs, cached: false }, { write: write(), look: looks(), disk }),
  "a store to a tmpfs page that is not there, read(2) and truncation": ({ small }) =>
    small(
      { pages: 1, fs: FS.tmpfs, cached: false, ...changing },
      { store: store(), look: looks(), truncate: resize(0) },
    ),
  "write(2), read(2) and a load of a page that is not there": ({ small }) =>
    small({ pages: 1, cached: false }, { write: write(), look: look(), load: load(), disk }),
  "a parent and its child store": ({ small }) =>
    small(anonymous(), { parent: parent(), child: childs(1, 1) }),
  "a fork, and a child that exits": ({ small }) =>
    small(anonymous(), { store: store(), fork: fork(), child: child_exits() }),
  "munmap of a tmpfs page, a load and a store": ({ small }) =>
    small({ ...moving(2), fs: FS.tmpfs }, { load: load(), store: store(), munmap: munmap(0) }),
  "mprotect and stores": ({ small }) =>
    small(anonymous(), { store: store(), ro: mprotect(0, 1, 0), rw: mprotect(0, 1, 1), load: load() }),
  "MADV_DONTNEED and stores": ({ small }) =>
    small(anonymous(), { store: store(), forget: madvise(0, 1, MADV.DONTNEED), load: load() }),
  "exit and an O_DIRECT read": ({ small }) =>
    small(anonymous(), { read: read(0), dma: dma(0), fork: fork(), child: child_exits() }),
  "mlock, munlock and reclaim": ({ small }) =>
    small(moving(1, "mlock"), { mlock: mlock(0), munlock: munlock(0), reclaim: reclaim(1) }),
  "a page that goes to swap and is loaded": ({ small }) =>
    small(
      {
        cached: false,
        geometry: { pages: 1, files: [], vmas: [{ pages: 1, flags: VM_WRITE }], config: ["swap"] },
        prepare: (k) => {
          old_anonymous(k, 0);
        },
      },
      { load: load(), store: store(), reclaim: reclaim(1), disk },
    ),
  "a page in swap that is given up": ({ small }) =>
    small(
      {
        ...anonymous(1, { pages: 2, config: ["swap"] }),
        prepare: (k) => {
          old_anonymous(k, 0);
        },
      },
      { store: store(), forget: madvise(0, 1, MADV.DONTNEED), reclaim: reclaim(1), disk },
    ),
  "mlock of a page that two processes map": ({ small }) =>
    small(anonymous(1, { config: ["mlock"] }), {
      mlock: mlock(0),
      fork: fork(),
      child: childs(1, 1),
      munlock: munlock(0),
    }),
  "xfs: a store and writeback, reclaim": ({ small }) =>
    small(cow(FS.xfs, ["hole"]), { store: store(), flusher, reclaim: reclaim(1), disk }),
  "xfs: an O_DIRECT read and writeback of a shared extent": ({ small }) =>
    small(cow(FS.xfs), { read: read(0), dma: dma(0), flusher, disk }),
  "btrfs: two stores and writeback": ({ small }) =>
    small(cow(FS.btrfs), { store: store(), again: store(), flusher, disk }),
  "btrfs: write(2), a store, writeback and fsync": ({ small }) =>
    small(cow(FS.btrfs), { write: writes(), store: store(), fsync, disk }),
  "btrfs: a store, truncation and writeback": ({ small }) =>
    small(cow(FS.btrfs, ["mapped"], ["truncate"]), {
      store: store(),
      truncate: { path: btrfs_setsize, args: [FILE, 0], ends: true },
      flusher,
      disk,
    }),
  "xfs: write(2), a store and writeback": ({ small }) =>
    small(cow(FS.xfs, ["hole"]), { write: writes(), store: store(), flusher, disk }),
  "xfs: a store, truncation and writeback of a shared extent": ({ small }) =>
    small(cow(FS.xfs, ["mapped"], ["truncate"]), {
      store: store(),
      truncate: { path: xfs_vn_setattr, args: [FILE, 0], ends: true },
      flusher,
      disk,
    }),
  "btrfs: an O_DIRECT read, writeback and the fixup worker": ({ small }) =>
    small(cow(FS.btrfs), {
      read: read(0),
      dma: dma(0),
      flusher,
      disk,
      worker: { path: btrfs_writepage_fixup_worker },
    }),
  // What patches take part in.
  "an RDMA region that lets go, and reclaim": ({ small }) =>
    small({ pages: 1 }, { rdma: holder("rdma"), reclaim: reclaim(2), disk }),
  "an RDMA region of tmpfs and reclaim": ({ small }) =>
    small({ pages: 1, fs: FS.tmpfs }, { rdma: holder("rdma"), store: store(), reclaim: reclaim(1) }),
  "process_vm_writev, reclaim and writeback": ({ small }) =>
    small({ pages: 1 }, { writev: holder("pvmw"), reclaim: reclaim(1), flusher, disk }),
  "an RDMA region, drop_caches and munmap": ({ small }) =>
    small({ pages: 1, ...changing }, { rdma: holder("rdma"), drop: drop(), unmap: unmap() }),
  "a fork of a process that pins": ({ small }) =>
    small(anonymous(), { rdma: holder("rdma"), fork: fork(), child: childs(1, 1) }),
  "a fork of a process that reads by O_DIRECT": ({ small }) =>
    small(anonymous(), { read: read(0), dma: dma(0), fork: fork(), child: childs(1, 1) }),
  "a pinned page that should go to swap": ({ small }) =>
    small(
      {
        cached: false,
        geometry: { pages: 1, files: [], vmas: [{ pages: 1, flags: VM_WRITE }], config: ["swap"] },
        prepare: (k) => {
          old_anonymous(k, 0);
        },
      },
      { rdma: holder("rdma"), reclaim: reclaim(1), disk },
    ),
};

/** An ext4 file of one page that has no block. */
const ext4 = (config: readonly Config[], more: Partial<GeometryOptions> = {}): Small => ({
  pages: 1,
  geometry: {
    files: [{ pages: 1, extents: ["hole"] }],
    vmas: [{ pages: 1, file: FILE, flags: VM_SHARED | VM_WRITE }],
    config,
    ...more,
  },
});

/** A file of one page of a filesystem that copies on write, and one that shares its block unless it has none. */
function cow(
  fs: number,
  extents: readonly ("hole" | "mapped")[] = ["mapped"],
  config: readonly Config[] = [],
): Small {
  const shares = extents[0] === "mapped" ? { reflink: FILE } : {};
  return {
    pages: 1,
    geometry: {
      files: [
        { pages: 1, fs, extents },
        { pages: 1, fs, ...shares },
      ],
      blocks: 4,
      config: ["blocks", ...config],
    },
  };
}

/** A world on a kernel. */
const on = (kernel: string): On => ({
  small: (options, actors) => small({ ...options, kernel }, actors),
  open: (scenario) => open(scenario, { kernel, record: false }),
});

/** What a machine does, as far as two of them can be told apart by their programs: the same text is the same proof. */
const programOf = ({ machine }: World): string =>
  machine.code
    .map(({ op, stack, step, run, until, held, next, otherwise, targets, first, count, value }) =>
      [op, stack, step, run, until, held, next, otherwise, targets, first, count, value].join(),
    )
    .concat(machine.tasks.map(({ name, program, args }) => [name, program, args].join()))
    .join("\n");

/** The kernels, oldest first, on which a world is another machine than on all before them. */
export function kernelsFor(make: (on: On) => World): string[] {
  const seen = new Set<string>();
  return kernels
    .map(({ name }) => name)
    .filter((name) => {
      const program = programOf(make(on(name)));
      return !seen.has(program) && seen.add(program);
    });
}

/** How many states a search misses because steps are held, and how many it should have seen. */
export function missed(make: (on: On) => World, kernel: string): { missed: number; of: number } {
  const reduced = states(make(on(kernel)));
  const world = make(on(kernel));
  const full = states(world, release(world));
  return { missed: [...full].filter((state) => !reduced.has(state)).length, of: full.size };
}
