/**
 * The operation tables through which mm and the block layer call up into filesystems. Row numbers are the kernel's filesystems; row 0
 * is a page or VMA without one.
 */
import type { Operations } from "../machine/path.js";
import type { Kernel } from "./kernel.js";
import { isAnon, PG_SWAPCACHE } from "./structs.js";
import type { InodeNr, Pfn } from "./types.js";

/**
 * struct address_space_operations. An operation that a filesystem lacks gives 0.
 *
 * writepages is offered { mapping, sync, tagged, nr_to_write, range_start, range_end }, a struct writeback_control of
 * which an implementation takes what it needs: sync 1 is WB_SYNC_ALL; nr_to_write is the caller's own and is counted down
 * unless it is LONG_MAX; the range is in pages, both ends included; range_start RANGE_CYCLIC is wbc->range_cyclic. It
 * gives 0 or a negative error, or nothing. writepage is offered { page, sync, memalloc } (1: the caller is reclaim, and has PF_MEMALLOC), gets the page locked and clean,
 * and unlocks it, or gives AOP_WRITEPAGE_ACTIVATE with the page locked and dirty.
 * write_begin { mapping, index, from, to, page }: parts from..to of a page will be written; it assigns its argument
 * `page`, locked and with a reference, and gives 0 or a negative error. write_end takes the same, unlocks and puts the page, and
 * gives how many parts it took.
 */
export const a_ops: Operations = {
  name: "address_space_operations",
  operations: [
    "readpage",
    "set_page_dirty",
    "writepage",
    "writepages",
    "write_begin",
    "write_end",
    "releasepage",
    "invalidatepage",
  ],
};

/**
 * struct file_operations: fsync { mapping, file, range_start, range_end, datasync } gives 0 or a negative error. write_iter { mapping,
 * pos, count }, in parts of a page, gives how many were written, or a negative error.
 */
export const f_ops: Operations = { name: "file_operations", operations: ["fsync", "write_iter"] };

/**
 * struct vm_operations_struct. fault { at, vma, write } is only of filesystems that install their PTEs themselves, DAX and (through
 * hugetlb_fault) hugetlbfs; also for a write to a read-only PTE (pfn_mkwrite). Gives VM_FAULT_* bits. filemap_fault { mapping, index,
 * vma, flags } is `fault` of the others, which find or make a page of the cache: it gives the page, locked, or no_page(VM_FAULT_*).
 */
export const vm_ops: Operations = {
  name: "vm_operations_struct",
  operations: ["page_mkwrite", "fault", "filemap_fault"],
};

/** struct bio, as far as a filesystem fills it in: what the completion of a page's write calls. */
export const bio_ops: Operations = { name: "bio", operations: ["bi_end_io"] };

/**
 * struct mmu_notifier_ops: offered { notifier, start, end } before and after PTEs change that a driver watches; release { notifier } when the
 * process exits. Its rows are MMU_NOTIFIER. An operation may sleep, and finds the page locked or not.
 */
export const mmu_notifier_ops: Operations = {
  name: "mmu_notifier_ops",
  operations: ["release", "invalidate_range_start", "invalidate_range_end"],
};
/** Rows of mmu_notifier_ops: the drivers that have notifiers. */
export const MMU_NOTIFIER = { none: 0, ib_umem: 1, i915: 2, amdgpu: 3 } as const;

/** Rows of the tables. */
export const FS = {
  none: 0,
  ext4: 1,
  tmpfs: 2,
  xfs: 3,
  btrfs: 4,
  hugetlbfs: 5,
  ext4_dax: 6,
  xfs_dax: 7,
  /** No filesystem: swap_aops of the swap cache, swapper_space. */
  swap: 8,
} as const;

/** What a writepage gives that leaves the page locked: reclaim activates it. Not the kernel's number (0x80000), which no local has room for. */
export const AOP_WRITEPAGE_ACTIVATE = 2;

/** Rows of a_ops beyond those of FS: what ext4_set_aops chooses from for FS.ext4, by the mount. */
export const EXT4_AOPS = { ordered: 9, da: 10, journalled: 11 } as const;

/** What mm asks of a filesystem without calling it. */
interface FsType {
  /** Its VMAs have page_mkwrite: clean pages are mapped read-only (vma_wants_writenotify). */
  readonly page_mkwrite: boolean;
  /** mapping_cap_account_dirty, mapping_cap_writeback_dirty: not for filesystems that live in memory. */
  readonly account_dirty: boolean;
}

const DISK: FsType = { page_mkwrite: true, account_dirty: true };
const MEMORY: FsType = { page_mkwrite: false, account_dirty: false };

/** By row of FS. */
const fs_types: readonly FsType[] = [
  MEMORY,
  DISK,
  MEMORY,
  DISK,
  DISK,
  MEMORY,
  { page_mkwrite: true, account_dirty: false },
  { page_mkwrite: true, account_dirty: false },
  MEMORY,
];

/** The tables whose rows are filesystems: of those that a machine does not have, nothing is linked. */
export const FS_TABLES: readonly Operations[] = [a_ops, f_ops, vm_ops, bio_ops];

/** Whether a filesystem's files are DAX: their pages are the storage. */
export const is_dax_fs = (fs: number): boolean => fs === FS.ext4_dax || fs === FS.xfs_dax;

/** Whether a filesystem's faults install their PTEs themselves: vm_ops.fault is asked. */
export const has_own_fault = (k: Kernel, file: InodeNr): boolean =>
  is_dax_fs(k.inode.fs[file]) || k.inode.fs[file] === FS.hugetlbfs;

/** VM_FAULT_* as far as modelled, v4.20 numbers; ERROR is every one that ends an access. */
export const VM_FAULT = {
  none: 0,
  OOM: 0x1,
  SIGBUS: 0x2,
  WRITE: 0x8,
  HWPOISON: 0x10,
  SIGSEGV: 0x40,
  NOPAGE: 0x100,
  LOCKED: 0x200,
  RETRY: 0x400,
  ERROR: 0x1 | 0x2 | 0x10 | 0x40,
} as const;

/** FAULT_FLAG_*: what the caller of a fault asks for, v4.20 numbers. A plain 1 is a write that may not drop mmap_sem. */
export const FAULT_FLAG = { WRITE: 0x1, ALLOW_RETRY: 0x4, TRIED: 0x20 } as const;

export const fs_of_inode = (k: Kernel, mapping: InodeNr): number =>
  mapping === 0 ? FS.none : k.inode.fs[mapping];

export function fs_of_page(k: Kernel, page: Pfn): number {
  const mapping = k.page.mapping[page];
  if (mapping !== 0 && !isAnon(mapping)) return k.inode.fs[mapping];
  return (k.page.flags[page] & PG_SWAPCACHE) === PG_SWAPCACHE ? FS.swap : FS.none;
}

/** Filesystems whose VMAs have page_mkwrite: their clean pages are mapped read-only (vma_wants_writenotify). */
export const has_page_mkwrite = (k: Kernel, mapping: InodeNr): boolean =>
  fs_types[fs_of_inode(k, mapping)].page_mkwrite;

/** mapping_use_writeback_tags: nobody walks the swap cache to write it. */
export const mapping_use_writeback_tags = (k: Kernel, page: Pfn): boolean => fs_of_page(k, page) !== FS.swap;

/** mapping_cap_account_dirty, mapping_cap_writeback_dirty: not for filesystems that live in memory. */
export const mapping_cap_account_dirty = (k: Kernel, mapping: InodeNr): boolean =>
  fs_types[fs_of_inode(k, mapping)].account_dirty;
