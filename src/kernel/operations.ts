/**
 * The operation tables through which mm and the block layer call up into filesystems. Row numbers are the kernel's filesystems; row 0
 * is a page or VMA without one.
 */
import type { Operations } from "../machine/path.js";
import type { Kernel } from "./kernel.js";
import { isAnon } from "./structs.js";
import type { InodeNr, Pfn } from "./types.js";

/** struct address_space_operations. An operation that a filesystem lacks gives 0. */
export const a_ops: Operations = {
  name: "address_space_operations",
  operations: ["readpage", "set_page_dirty", "writepage", "writepages", "releasepage", "invalidatepage"],
};

/** struct vm_operations_struct. */
export const vm_ops: Operations = { name: "vm_operations_struct", operations: ["page_mkwrite"] };

/** struct bio, as far as a filesystem fills it in: what the completion of a page's write calls. */
export const bio_ops: Operations = { name: "bio", operations: ["bi_end_io"] };

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
} as const;

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
];

/** The tables whose rows are filesystems: of those that a machine does not have, nothing is linked. */
export const FS_TABLES: readonly Operations[] = [a_ops, vm_ops, bio_ops];

/** VM_FAULT_* as far as modelled. */
export const VM_FAULT = { none: 0, NOPAGE: 1, LOCKED: 2, SIGBUS: 4 } as const;

export const fs_of_inode = (k: Kernel, mapping: InodeNr): number =>
  mapping === 0 ? FS.none : k.inode.fs[mapping];

export function fs_of_page(k: Kernel, page: Pfn): number {
  const mapping = k.page.mapping[page];
  return mapping === 0 || isAnon(mapping) ? FS.none : k.inode.fs[mapping];
}

/** Filesystems whose VMAs have page_mkwrite: their clean pages are mapped read-only (vma_wants_writenotify). */
export const has_page_mkwrite = (k: Kernel, mapping: InodeNr): boolean =>
  fs_types[fs_of_inode(k, mapping)].page_mkwrite;

/** mapping_cap_account_dirty, mapping_cap_writeback_dirty: not for filesystems that live in memory. */
export const mapping_cap_account_dirty = (k: Kernel, mapping: InodeNr): boolean =>
  fs_types[fs_of_inode(k, mapping)].account_dirty;
