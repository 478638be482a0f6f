/**
 * sandbox: a machine without a story, for somebody who wants to say himself what happens.
 *
 * Threads wait for orders. An order is one call of one kernel path ("store 0", "pread 0 2"): it is written into the
 * thread's syscall row between two steps, and the thread then makes the call, step by step, among the daemons. Orders are part of the
 * schedule, in brackets, so that such a run replays like any other.
 *
 * A held step stays one here, although VFIO's driver and the graphics card's mark pages dirty without the page lock: nobody can stand
 * where a held step begins.
 */
import { bio_dirty_fn } from "../kernel/block/bio.js";
import { disk_daemon } from "../kernel/block/disk.js";
import { cache_file } from "../kernel/boot.js";
import type { Config } from "../kernel/config.js";
import { device } from "../kernel/drivers/device.js";
import { __i915_gem_userptr_get_pages_worker, gpu_engine } from "../kernel/drivers/i915_userptr.js";
import { odp_device } from "../kernel/drivers/infiniband_odp.js";
import { NVME, nvme_controller } from "../kernel/drivers/nvme.js";
import { btrfs_writepage_fixup_worker } from "../kernel/fs/btrfs.js";
import { dax_allocate_file } from "../kernel/fs/dax.js";
import { dma_engine, dma_engine_aio } from "../kernel/fs/direct_io.js";
import { bdi_flusher, wb_workfn } from "../kernel/fs/fs_writeback.js";
import { kjournald2 } from "../kernel/fs/jbd2.js";
import { completeGeometry, type GeometryOptions, type Mount } from "../kernel/geometry.js";
import { kswapd } from "../kernel/mm/kswapd.js";
import { FS, is_dax_fs, MMU_NOTIFIER } from "../kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../kernel/structs.js";
import { OBJECT, SPARE } from "./driver_calls.js";
import { ARRAYS, REGION } from "./operation.js";
import { choice, scenario, type TaskPlan, whole } from "./scenario.js";
import { order, syscall, THREADS, taken, threadOn } from "./threads.js";

/** What a sandbox's file lies on. */
interface Ground {
  readonly help: string;
  readonly fs: number;
  readonly config?: readonly Config[];
  readonly mount?: Partial<Mount>;
}

const GROUNDS = {
  ext4: { help: "ext4, every block allocated: buffers, and nothing else that can go wrong", fs: FS.ext4 },
  "ext4-delalloc": {
    help: "ext4 with delayed allocation and a journal (data=ordered)",
    fs: FS.ext4,
    config: ["blocks", "journal"],
  },
  "ext4-nodelalloc": {
    help: "ext4 that allocates at the fault, with a journal (data=ordered): the commit writes pages",
    fs: FS.ext4,
    config: ["blocks", "journal"],
    mount: { delalloc: false },
  },
  "ext4-journal": {
    help: "ext4 with data=journal: file data goes through the journal",
    fs: FS.ext4,
    config: ["blocks", "journal"],
    mount: { data: "journal", delalloc: false },
  },
  xfs: { help: "xfs: no buffers; file 2 can share its blocks (clone)", fs: FS.xfs, config: ["blocks"] },
  btrfs: { help: "btrfs: every write goes to a new block", fs: FS.btrfs, config: ["blocks"] },
  tmpfs: { help: "memory; the file is a memfd (seal, udmabuf_create)", fs: FS.tmpfs, config: ["memfd"] },
  hugetlbfs: { help: "huge pages of two pages each", fs: FS.hugetlbfs, config: ["compound", "memfd"] },
  "ext4-dax": {
    help: "ext4 on persistent memory: the pages are the blocks",
    fs: FS.ext4_dax,
    config: ["dax"],
  },
  "xfs-dax": { help: "xfs on persistent memory", fs: FS.xfs_dax, config: ["dax"] },
} as const satisfies Record<string, Ground>;

const daemon = (name: string, letter: string, taskPath: TaskPlan["path"], args: readonly number[] = []) => ({
  name,
  letter,
  path: taskPath,
  args,
  daemon: true,
});

const SWAP_DISK = 1;

/** A driver that only some sandboxes have: what its objects are, and its tasks. */
interface Driver {
  readonly help: string;
  /** Row of MMU_NOTIFIER: its object or region is the file's mapping. */
  readonly notifier?: number;
  readonly config?: readonly Config[];
  /** Row of NVME. */
  readonly nvme?: number;
  readonly tasks: readonly TaskPlan[];
}

const DRIVERS = {
  none: { help: "none of those below", tasks: [] },
  odp: {
    help: "RDMA on demand: a card that faults pages in (odp_write, step odp)",
    notifier: MMU_NOTIFIER.ib_umem,
    tasks: [daemon("odp", "o", odp_device, [0, SPARE, 0])],
  },
  i915: {
    help: "Intel graphics with a program's memory (i915_exec, step gpu, step worker)",
    notifier: MMU_NOTIFIER.i915,
    tasks: [
      daemon("gpu", "g", gpu_engine, [OBJECT]),
      daemon("worker", "w", __i915_gem_userptr_get_pages_worker, [0, SPARE]),
    ],
  },
  amdgpu: {
    help: "AMD graphics with a program's memory (amdgpu_userptr, amdgpu_cs, step gpu)",
    notifier: MMU_NOTIFIER.amdgpu,
    tasks: [daemon("gpu", "g", gpu_engine, [OBJECT])],
  },
  aio: {
    help: "asynchronous O_DIRECT reads (aio_read, step aio, step kworker)",
    tasks: [daemon("aio", "a", dma_engine_aio, [OBJECT]), daemon("kworker", "w", bio_dirty_fn)],
  },
  "nvme-abortable": {
    help: "pread's disk is NVMe and obeys Abort (nvme_timeout)",
    config: ["nvme"],
    nvme: NVME.abortable,
    tasks: [],
  },
  "nvme-stuck": {
    help: "it never completes; its controller can be reset",
    config: ["nvme"],
    nvme: NVME.stuck,
    tasks: [],
  },
  "nvme-dead": {
    help: "it does not hear of the reset either",
    config: ["nvme"],
    nvme: NVME.dead,
    tasks: [],
  },
} as const satisfies Record<string, Driver>;

/** What `driver=` can be. */
export type SandboxDriver = keyof typeof DRIVERS;

const helpOf = <N extends string>(table: Readonly<Record<N, { readonly help: string }>>): Record<N, string> =>
  Object.fromEntries((Object.keys(table) as N[]).map((name) => [name, table[name].help])) as Record<
    N,
    string
  >;

interface Sizes {
  readonly pages: number;
  readonly swap: number;
  readonly map: "shared" | "private";
  readonly workingset: "off" | "on";
  readonly flusher: "simple" | "works";
  readonly user: "plain" | "root";
  readonly huge: number;
}

/** The machine of a sandbox. */
function geometryOf(
  { fs, config = [], mount }: Ground,
  { notifier, nvme, tasks, config: more = [] }: Driver,
  { pages, swap, map, workingset, flusher, user, huge }: Sizes,
): GeometryOptions {
  const notified: readonly Config[] = notifier === undefined ? [] : ["notifier"];
  const watching = notifier === undefined ? [] : [{ driver: notifier, start: 0, nr: pages, pages: OBJECT }];
  const cached = !is_dax_fs(fs) && fs !== FS.hugetlbfs;
  return {
    pages: 4 * pages,
    // A second file, not cached, where there is a cache.
    files: [{ pages, fs }, ...(cached ? [{ pages, fs }] : [])],
    vmas: [
      { pages, file: 1, flags: VM_WRITE | (map === "shared" ? VM_SHARED : 0) },
      { pages, flags: VM_WRITE },
      { pages, flags: 0, mm: 1, forked: 0 },
      { pages, flags: 0, mm: 1, forked: 1 },
    ],
    mms: 2,
    dios: tasks.length === 0 ? ARRAYS : SPARE + 1,
    dioPages: pages,
    // RLIMIT_MEMLOCK as many systems have it: 64 KiB.
    memlock: { pages: 16, cap_ipc_lock: user === "root" },
    notifiers: watching,
    nvme,
    mount,
    // One sync of each thread.
    syncs: flusher === "works" ? THREADS.length : 1,
    // The swap area has a disk of its own.
    ...(swap > 0 ? { disks: 2, swap: { pages: swap, disk: SWAP_DISK } } : {}),
    blocks: Math.max(4 * pages, swap > 0 ? swap + 1 : 0),
    ...(fs === FS.hugetlbfs ? { hugePages: pages >> huge, hugeOrder: huge } : {}),
    config: [
      ...(["mmap", "truncate", "mlock", "rlimit", "migration"] as const),
      ...config,
      ...more,
      ...notified,
      ...(swap > 0 ? (["swap"] as const) : []),
      ...(workingset === "on" ? (["workingset"] as const) : []),
      ...(flusher === "works" ? (["kupdate"] as const) : []),
    ],
  };
}

export const sandbox = scenario({
  name: "sandbox",
  help: "a machine that does what you say: store, pread, fsync, reclaim ...",
  story:
    "A process with a file of a few pages, cached and mapped from virtual page 0 on, and as much anonymous memory after it. Its threads A, B and C wait for orders: each verb " +
    "that names a kernel operation is one. A child that fork makes has the same pages again, after these, and thread D. File 2 is there to be read, written and cloned. With swap=4 kswapd has somewhere to put the process's own memory; with workingset=on files remember the pages that it took. kswapd, the flusher and the " +
    "filesystem's own daemons sleep until you step them; the card writes into registered pages when you step it. Everything you say is part of the replay line.",
  parameters: {
    fs: choice("the file's filesystem", helpOf(GROUNDS)),
    pages: whole("pages of the file", 4, 1, 64),
    swap: whole("pages of the swap area, on a disk of its own; 0: none", 0, 0, 64),
    map: choice("how the file is mapped", { shared: "MAP_SHARED", private: "MAP_PRIVATE" }),
    driver: choice("a driver, or a disk, that the machine has besides", helpOf(DRIVERS)),
    workingset: choice("what the page cache knows of pages that reclaim took", {
      off: "nothing",
      on: "how long ago that was: one that comes back soon is active at once",
    }),
    flusher: choice("what the flusher knows", {
      simple: "files with dirty pages",
      works: "also works that others give it and wait for (sync), age and thresholds",
    }),
    user: choice("who the process is", {
      plain: "somebody who may lock sixteen pages (RLIMIT_MEMLOCK)",
      root: "somebody with CAP_IPC_LOCK, who may lock as many as he likes",
    }),
    huge: whole("fs=hugetlbfs: a huge page has 2 to this power page frames", 1, 1, 3),
  },
  setup: ({ fs, pages, swap, map, driver, workingset, flusher, user, huge }) => {
    const added: Driver = DRIVERS[driver];
    const ground: Ground = GROUNDS[fs];
    const { fs: row, config = [] } = ground;
    if (map === "private" && (is_dax_fs(row) || row === FS.hugetlbfs))
      throw new Error(`a sandbox on ${fs} has shared mappings only: leave map=private out`);
    if (added.notifier !== undefined && (is_dax_fs(row) || row === FS.hugetlbfs))
      throw new Error(`driver=${driver} is for sandboxes with a page cache: leave fs=${fs} out`);
    const whole_pages = row === FS.hugetlbfs ? Math.ceil(pages / 2 ** huge) << huge : pages;
    const sizes = { pages: whole_pages, swap, map, workingset, flusher, user, huge };
    const geometry = geometryOf(ground, added, sizes);
    const plan = completeGeometry(geometry);
    const thread = threadOn((operation) => operation.pathOn(plan));
    const tasks: TaskPlan[] = [
      ...THREADS.map((letter, id) => daemon(letter, letter, thread, [id])),
      daemon("kswapd", "k", kswapd),
      flusher === "works" ? daemon("flusher", "f", bdi_flusher, [0]) : daemon("flusher", "f", wb_workfn),
      daemon("disk", "d", disk_daemon, [0]),
      ...(swap > 0 ? [daemon("swapdisk", "s", disk_daemon, [SWAP_DISK])] : []),
      ...(config.includes("journal") ? [daemon("jbd2", "j", kjournald2, [0])] : []),
      ...(row === FS.btrfs ? [daemon("fixup", "x", btrfs_writepage_fixup_worker)] : []),
      ...THREADS.map((letter, dio) =>
        daemon(
          `dma${letter}`,
          `m${letter.toLowerCase()}`,
          added.nvme === undefined ? dma_engine : nvme_controller,
          [dio],
        ),
      ),
      daemon("card", "c", device, [REGION, 0]),
      ...added.tasks,
    ];
    return {
      geometry,
      tasks,
      pace: { kswapd: 100, flusher: 150, disk: 20, swapdisk: 20, jbd2: 100, fixup: 50 },
      prepare: (k) => {
        if (is_dax_fs(row)) dax_allocate_file(k, 1);
        else if (row !== FS.hugetlbfs) cache_file(k, 1);
      },
      tables: [
        { struct: syscall, rows: () => THREADS.length },
        { struct: taken, rows: (g) => g.dios },
      ],
      input: order,
    };
  },
});
