/**
 * How big a machine is and what it has: pages, files, mappings, disks, and the options of its configuration.
 */
import type { Config } from "./config.js";
import { init_per_zone_wmark_min, setup_per_zone_wmarks, type Watermarks } from "./mm/mmzone.js";
import { FS, is_dax_fs } from "./operations.js";
import { VM_MAYEXEC, VM_MAYREAD, VM_MAYSHARE, VM_MAYWRITE, VM_READ, VM_SHARED } from "./structs.js";
import type { DiskNr, InodeNr } from "./types.js";

/** A file: its inode number is its place in the list, counted from 1. */
export interface FileSpec {
  /** The most pages that it can have. */
  readonly pages: number;
  /** Its size, in parts of a page; default all of its pages. Changes with config "truncate". */
  readonly size?: number;
  /** Its filesystem, a row of FS; default ext4. */
  readonly fs?: number;
  /** The disk that holds it; default the first. */
  readonly disk?: DiskNr;
  /** Whether its device needs pages to be stable under writeback; default false. */
  readonly stable_writes?: boolean;
  /** What each of its pages has on the disk at the start, from the first on (config "blocks"). Default a block. */
  readonly extents?: readonly ("hole" | "unwritten" | "mapped")[];
  /** A file of an earlier number all of whose blocks it shares at the start (config "blocks"). Default none. */
  readonly reflink?: InodeNr;
}

/** A mapping of a process: virtual pages one after the other, VMA after VMA. */
export interface VmaSpec {
  /** Length in pages. A VMA of none is room for one that a split makes (config "mmap"). */
  readonly pages: number;
  /** VM_* bits beyond those that mmap gives to every mapping: VM_READ, VM_MAY*, and VM_MAYSHARE with VM_SHARED. */
  readonly flags: number;
  /** VM_* bits of those that it does not get; default none. VM_MAYWRITE: the file is open for reading only. */
  readonly without?: number;
  /** What is mapped; default 0, anonymous memory. */
  readonly file?: InodeNr;
  /** Where in the file it begins, in pages; default 0. */
  readonly pgoff?: number;
  /** Whose it is; default the first process's. */
  readonly mm?: number;
  /** Whether it is there at the start; default true. If not, mmap() makes it (config "mmap"). */
  readonly mapped?: boolean;
  /** Number of the VMA whose copy in a child fork makes here: the same addresses in another process. Not mapped at the start. */
  readonly forked?: number;
}

/** A driver's object that is told when PTEs change. */
export interface NotifierSpec {
  /** Row of MMU_NOTIFIER. */
  readonly driver: number;
  /** First virtual page that it watches. */
  readonly start: number;
  /** How many. */
  readonly nr: number;
  /** The array of pages of the object. */
  readonly pages: number;
}

/** A swap area (config "swap"). */
export interface SwapSpec {
  /** Pages that it has room for, beside its header. Default 4. */
  readonly pages: number;
  /** The disk that has it. Default the first. */
  readonly disk: DiskNr;
  /** SWP_STABLE_WRITES: its device needs pages to be stable under writeback. Default false. */
  readonly stable_writes: boolean;
}

/** Mount options of ext4 filesystems. */
export interface Mount {
  /**
   * data=: whether a commit waits for the data of new blocks (config "journal"), or has the data itself ("journal": needs
   * config "blocks", too, and there is no delayed allocation). Default ordered.
   */
  readonly data: "ordered" | "writeback" | "journal";
  /** Whether blocks are chosen when a page is written, not when it is dirtied (config "blocks"). Default true. */
  readonly delalloc: boolean;
}

/** What a scenario says of its machine. */
export interface GeometryOptions {
  /** Page frames. */
  readonly pages: number;
  /** Parts of a page that are written one after the other: 8 is one per 512-byte sector. Default 1. */
  readonly parts?: number;
  readonly files?: readonly FileSpec[];
  readonly vmas?: readonly VmaSpec[];
  /** Processes: address spaces. Default 1. */
  readonly mms?: number;
  /** Default 1. */
  readonly disks?: number;
  /** Arrays of pages that callers of get_user_pages own: direct I/Os under way at once, memory regions, pipes. Default 0. */
  readonly dios?: number;
  /** Pages that one array has room for: DIO_PAGES is 64. Default 1. */
  readonly dioPages?: number;
  /** lru_size >> priority pages of each list are scanned at a time: DEF_PRIORITY is 12. Default 0. */
  readonly priority?: number;
  /**
   * Page frames of persistent memory, the blocks of DAX files: ZONE_DEVICE, numbered after those of RAM. Default as many as
   * the DAX files have pages.
   */
  readonly devicePages?: number;
  /** Tasks that can wait for a flusher's work at once: sync, syncfs (config "kupdate"). Default 1. */
  readonly syncs?: number;
  /** MIN_WRITEBACK_PAGES: pages of one inode that a flusher writes before it comes to the next. Default 1024, 4 MiB. */
  readonly writebackChunk?: number;
  /** Inodes of which a file is open beyond the one that each inode has (config "io_errors"). Default none. */
  readonly opens?: readonly InodeNr[];
  /** RLIMIT_MEMLOCK in pages, and whether the processes have CAP_IPC_LOCK (config "rlimit"). Default 16 (64 KiB), no. */
  readonly memlock?: { readonly pages: number; readonly cap_ipc_lock: boolean };
  /** How ext4 is mounted. */
  readonly mount?: Partial<Mount>;
  /** Huge pages in hugetlb's pool (config "compound"): the first page frames, beside `pages`. Default 0. */
  readonly hugePages?: number;
  /** A huge page has 2^hugeOrder pages; 9 on x86. Default 1. */
  readonly hugeOrder?: number;
  /**
   * ZONE_MOVABLE (config "migration"): these page frames are for pages that can be moved. Allocations of such pages take them
   * first, others never. Default none.
   */
  readonly movable?: { readonly first: number; readonly pages: number };
  /** Blocks of each disk (config "blocks"). Default as many as the fullest needs: one a page, two on btrfs. */
  readonly blocks?: number;
  /** MMU notifiers (config "notifier"): who watches which virtual pages. Default none. */
  readonly notifiers?: readonly NotifierSpec[];
  /** What an NVMe disk does with the command of a direct read (config "nvme"): a row of NVME. Default it completes. */
  readonly nvme?: number;
  /** WMARK_MIN: pages that are kept free (config "watermarks"). Default what min_free_kbytes gives: at least 32. */
  readonly min_free_pages?: number;
  /** Tasks that can be in direct reclaim at once (config "direct_reclaim"). Default 4. */
  readonly reclaimers?: number;
  /** Tasks that can walk a mapping at once (config "pagevec"). Default 4. */
  readonly walkers?: number;
  /**
   * Whether reclaim writes no page before it is desperate, and dirtying wakes no flusher before processes are slowed down.
   * Default false.
   */
  readonly laptop_mode?: boolean;
  /** The swap area (config "swap"). */
  readonly swap?: Partial<SwapSpec>;
  /** /proc/sys/vm/swappiness (config "swap" with "watermarks"). Default 60. */
  readonly swappiness?: number;
  /** CPUs, to which tasks are bound in turn (config "percpu"). Default 2; without the option all tasks share one. */
  readonly cpus?: number;
  /** Options of the configuration. Default none. */
  readonly config?: readonly Config[];
}

/** The same with nothing left open. */
export interface Geometry {
  /** Page frames, those of devices included. */
  readonly pages: number;
  /** How many of them, the last ones, are ZONE_DEVICE. */
  readonly devicePages: number;
  /** How many huge pages of 2^hugeOrder pages the first of them are. */
  readonly hugePages: number;
  readonly hugeOrder: number;
  /** ZONE_MOVABLE. */
  readonly movable: { readonly first: number; readonly pages: number };
  readonly parts: number;
  /** The files; with config "swap" the last one is the swap area (Kernel.swapper_space). */
  readonly files: readonly Required<FileSpec>[];
  readonly vmas: readonly (Required<VmaSpec> & { readonly start: number })[];
  /** Virtual pages of all processes together. */
  readonly virtualPages: number;
  /** Whether there is a zero page behind the page frames: machines with anonymous memory have it. */
  readonly zeroPage: boolean;
  readonly mms: number;
  readonly disks: number;
  readonly dios: number;
  readonly dioPages: number;
  readonly priority: number;
  readonly memlock: { readonly pages: number; readonly cap_ipc_lock: boolean };
  readonly syncs: number;
  readonly writebackChunk: number;
  readonly opens: readonly InodeNr[];
  readonly mount: Mount;
  readonly blocks: number;
  readonly notifiers: readonly NotifierSpec[];
  readonly nvme: number;
  readonly watermarks: Watermarks;
  readonly reclaimers: number;
  readonly walkers: number;
  readonly laptop_mode: boolean;
  readonly swappiness: number;
  readonly cpus: number;
  readonly config: ReadonlySet<Config>;
}

/** The swap area as a file: its header, which nobody reads here, and its pages. */
function swap_area({ swap = {}, config = [] }: GeometryOptions): FileSpec[] {
  if (!config.includes("swap")) return [];
  const { pages = 4, disk = 0, stable_writes = false } = swap;
  return [{ pages: 1 + pages, fs: FS.swap, disk, stable_writes }];
}

/** Blocks that the disk with most of them needs: one a page, and on btrfs another one for the page's next copy. */
function fullest(options: GeometryOptions): number {
  const { files = [], disks = 1 } = options;
  const pages = new Array<number>(disks).fill(0);
  for (const file of [...files, ...swap_area(options)])
    pages[file.disk ?? 0] += file.fs === FS.btrfs ? 2 * file.pages : file.pages;
  return Math.max(0, ...pages);
}

/** How ext4 is mounted: data=journal disables delayed allocation. */
function ext4_mount({ mount = {}, config = [] }: GeometryOptions): Mount {
  const { data = "ordered", delalloc = true } = mount;
  if (data === "journal" && !(config.includes("blocks") && config.includes("journal")))
    throw new Error('ext4_mount: data=journal needs config "blocks" and "journal"');
  return { data, delalloc: delalloc && data !== "journal" };
}

/** Complete what a scenario said of its machine. */
export function completeGeometry(options: GeometryOptions): Geometry {
  let virtualPages = 0;
  const vmas = (options.vmas ?? []).map((vma) => {
    const start = virtualPages;
    virtualPages += vma.pages;
    // An anonymous page is found by its first address, which is the offset that Linux gives such a VMA.
    const pgoff = vma.pgoff ?? ((vma.file ?? 0) === 0 ? start : 0);
    const without = vma.without ?? 0;
    const may = VM_READ | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC;
    const flags = (vma.flags | may | ((vma.flags & VM_SHARED) !== 0 ? VM_MAYSHARE : 0)) & ~without;
    return {
      pages: vma.pages,
      flags,
      without,
      file: vma.file ?? 0,
      pgoff,
      mm: vma.mm ?? 0,
      mapped: vma.mapped ?? vma.forked === undefined,
      forked: vma.forked ?? -1,
      start,
    };
  });
  const { hugePages = 0, hugeOrder = 1 } = options;
  const devicePages =
    options.devicePages ??
    (options.files ?? []).reduce((sum, { fs, pages }) => (is_dax_fs(fs ?? FS.ext4) ? sum + pages : sum), 0);
  return {
    pages: (hugePages << hugeOrder) + options.pages + devicePages,
    devicePages,
    hugePages,
    hugeOrder,
    movable: options.movable ?? { first: 0, pages: 0 },
    parts: options.parts ?? 1,
    files: [...(options.files ?? []), ...swap_area(options)].map((file) => ({
      pages: file.pages,
      size: file.size ?? file.pages * (options.parts ?? 1),
      fs: file.fs ?? FS.ext4,
      disk: file.disk ?? 0,
      stable_writes: file.stable_writes ?? false,
      extents: file.extents ?? [],
      reflink: file.reflink ?? 0,
    })),
    vmas,
    virtualPages,
    zeroPage: vmas.some(({ file, pages }) => file === 0 && pages > 0),
    mms: options.mms ?? 1,
    disks: options.disks ?? 1,
    dios: options.dios ?? 0,
    dioPages: options.dioPages ?? 1,
    priority: options.priority ?? 0,
    memlock: options.memlock ?? { pages: 16, cap_ipc_lock: false },
    syncs: options.syncs ?? 1,
    writebackChunk: options.writebackChunk ?? 1024,
    opens: options.opens ?? [],
    mount: ext4_mount(options),
    blocks: options.blocks ?? fullest(options),
    notifiers: options.notifiers ?? [],
    nvme: options.nvme ?? 0,
    watermarks: setup_per_zone_wmarks(
      options.pages,
      options.min_free_pages ?? init_per_zone_wmark_min(options.pages),
    ),
    reclaimers: options.reclaimers ?? 4,
    walkers: options.walkers ?? 4,
    laptop_mode: options.laptop_mode ?? false,
    swappiness: options.swappiness ?? 60,
    cpus: options.config?.includes("percpu") ? (options.cpus ?? 2) : 1,
    // btrfs writes to a new block each time: it has none without counting them.
    config: new Set([
      ...(options.config ?? []),
      ...(options.files?.some(({ fs }) => fs === FS.btrfs) ? (["blocks"] as const) : []),
    ]),
  };
}
