/**
 * The operation tables through which mm and the block layer call up into filesystems. Row numbers are the kernel's filesystems; row 0
 * is a page or VMA without one.
 */
import type { Operations } from "../machine/path.js";
import type { Kernel } from "./kernel.js";
import { ANON_MAPPING } from "./structs.js";
import type { InodeNr, Pfn } from "./types.js";

/** struct address_space_operations. An operation that a filesystem lacks gives 0. */
export const a_ops: Operations = {
  name: "address_space_operations",
  operations: ["readpage", "set_page_dirty", "writepage", "writepages", "releasepage"],
};

/** struct vm_operations_struct. */
export const vm_ops: Operations = { name: "vm_operations_struct", operations: ["page_mkwrite"] };

/** struct bio, as far as a filesystem fills it in: what the completion of a page's write calls. */
export const bio_ops: Operations = { name: "bio", operations: ["bi_end_io"] };

/** Rows of the tables. */
export const FS = { none: 0, ext4: 1, tmpfs: 2 } as const;

/** VM_FAULT_* as far as modelled. */
export const VM_FAULT = { none: 0, NOPAGE: 1, LOCKED: 2, SIGBUS: 4 } as const;

export const fs_of_inode = (k: Kernel, mapping: InodeNr): number =>
  mapping === 0 ? FS.none : k.inode.fs[mapping];

export function fs_of_page(k: Kernel, page: Pfn): number {
  const mapping = k.page.mapping[page];
  return mapping === 0 || mapping === ANON_MAPPING ? FS.none : k.inode.fs[mapping];
}

/** Filesystems whose VMAs have page_mkwrite: their clean pages are mapped read-only (vma_wants_writenotify). */
export const has_page_mkwrite = (k: Kernel, mapping: InodeNr): boolean => fs_of_inode(k, mapping) === FS.ext4;

/** mapping_cap_account_dirty, mapping_cap_writeback_dirty: not for filesystems that live in memory. */
export const mapping_cap_account_dirty = (k: Kernel, mapping: InodeNr): boolean =>
  fs_of_inode(k, mapping) === FS.ext4;
