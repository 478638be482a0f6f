/**
 * How big a machine is and what it has: pages, files, mappings, disks, and the options of its configuration.
 */
import type { Config } from "./config.js";
import { FS } from "./operations.js";
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
  /** Length in pages. */
  readonly pages: number;
  /** VM_* bits. */
  readonly flags: number;
  /** What is mapped; default 0, anonymous memory. */
  readonly file?: InodeNr;
  /** Where in the file it begins, in pages; default 0. */
  readonly pgoff?: number;
  /** Whose it is; default the first process's. */
  readonly mm?: number;
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
  /** Direct I/Os that can be under way at once. Default 0. */
  readonly dios?: number;
  /** Pages that one direct I/O can take: DIO_PAGES is 64. Default 1. */
  readonly dioPages?: number;
  /** lru_size >> priority pages of each list are scanned at a time: DEF_PRIORITY is 12. Default 0. */
  readonly priority?: number;
  /**
   * Page frames of persistent memory, the blocks of DAX files: ZONE_DEVICE, numbered after those of RAM. Default as many as
   * the DAX files have pages.
   */
  readonly devicePages?: number;
  /** Blocks of each disk (config "blocks"). Default as many as the files of the fullest have pages. */
  readonly blocks?: number;
  /** Options of the configuration. Default none. */
  readonly config?: readonly Config[];
}

/** The same with nothing left open. */
export interface Geometry {
  /** Page frames, those of devices included. */
  readonly pages: number;
  /** How many of them, the last ones, are ZONE_DEVICE. */
  readonly devicePages: number;
  readonly parts: number;
  readonly files: readonly Required<FileSpec>[];
  readonly vmas: readonly (Required<VmaSpec> & { readonly start: number })[];
  /** Virtual pages of all processes together. */
  readonly virtualPages: number;
  readonly mms: number;
  readonly disks: number;
  readonly dios: number;
  readonly dioPages: number;
  readonly priority: number;
  readonly blocks: number;
  readonly config: ReadonlySet<Config>;
}

const isDax = (fs: number | undefined): boolean => fs === FS.ext4_dax || fs === FS.xfs_dax;

/** Pages that the files of the disk with most of them have. */
function fullest({ files = [], disks = 1 }: GeometryOptions): number {
  const pages = new Array<number>(disks).fill(0);
  for (const file of files) pages[file.disk ?? 0] += file.pages;
  return Math.max(0, ...pages);
}

/** Complete what a scenario said of its machine. */
export function completeGeometry(options: GeometryOptions): Geometry {
  let virtualPages = 0;
  const vmas = (options.vmas ?? []).map((vma) => {
    const start = virtualPages;
    virtualPages += vma.pages;
    // An anonymous page is found by its first address, which is the offset that Linux gives such a VMA.
    const pgoff = vma.pgoff ?? ((vma.file ?? 0) === 0 ? start : 0);
    return { pages: vma.pages, flags: vma.flags, file: vma.file ?? 0, pgoff, mm: vma.mm ?? 0, start };
  });
  const devicePages =
    options.devicePages ??
    (options.files ?? []).reduce((sum, { fs, pages }) => (isDax(fs) ? sum + pages : sum), 0);
  return {
    pages: options.pages + devicePages,
    devicePages,
    parts: options.parts ?? 1,
    files: (options.files ?? []).map((file) => ({
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
    mms: options.mms ?? 1,
    disks: options.disks ?? 1,
    dios: options.dios ?? 0,
    dioPages: options.dioPages ?? 1,
    priority: options.priority ?? 0,
    blocks: options.blocks ?? fullest(options),
    config: new Set(options.config ?? []),
  };
}
