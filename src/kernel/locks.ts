/**
 * The lock classes of section 10 of the lock order: mm/filemap.c and mm/rmap.c list them in v4.20, outermost first.
 *
 * Sleeping locks have words on machines where somebody may have to wait for them. Spinlocks have none: what runs under
 * one is one step. PG_locked and PG_writeback are bits of struct page. The order is not declared here: lockdep finds it
 * in the paths, and a test compares it with the list.
 */
import { type LockClass, lockClass } from "../machine/lock.js";
import type { Geometry } from "./geometry.js";

/** inode->i_rwsem: write(2), truncate, direct I/O writes. */
export const i_rwsem = lockClass("inode->i_rwsem", "sleeping", true);
/** pipe->mutex: whoever puts pages into a pipe, or takes them out; faults happen inside it. tee takes two, the lower pipe's first. */
export const pipe_mutex = lockClass("pipe->mutex", "sleeping", true);
/** mm->mmap_sem: for reading by faults and get_user_pages, for writing by whoever changes VMAs. */
export const mmap_sem = lockClass("mm->mmap_sem", "sleeping", true);
/** EXT4_I(inode)->i_mmap_sem, XFS_MMAPLOCK: faults for reading, truncate and punch for writing; a reflink takes two, the lower inode's first. */
export const i_mmap_sem = lockClass("inode->i_mmap_sem", "sleeping", true);
/** The lock bit of a DAX entry in mapping->i_pages: faults on one page of a DAX file. */
export const dax_entry_lock = lockClass("dax entry", "sleeping");
/** hugetlb_fault_mutex_table: faults that take a huge page from the pool; one mutex stands for the table. */
export const hugetlb_fault_mutex = lockClass("hugetlb_fault_mutex", "sleeping");
/** A jbd2 handle: whoever has one keeps its transaction from committing. */
export const jbd2_handle = lockClass("jbd2_handle", "sleeping");
/** The page lock: sleeps; several at once only by ascending index. */
export const PG_locked = lockClass("PG_locked", "sleeping", true);
/** Not a lock: the bit that a page's completion clears. Waiting for it orders like one. */
export const PG_writeback = lockClass("PG_writeback", "sleeping");
/** mapping->i_mmap_rwsem: rmap walks of file pages, unmap_mapping_range. */
export const i_mmap_rwsem = lockClass("mapping->i_mmap_rwsem", "sleeping");
/** anon_vma->rwsem: rmap walks of anonymous pages. */
export const anon_vma_rwsem = lockClass("anon_vma->rwsem", "sleeping");
/** The page table lock of a PTE. */
export const ptl = lockClass("ptl", "spin");
/** pgdat->lru_lock (zone_lru_lock). */
export const lru_lock = lockClass("pgdat->lru_lock", "spin");
/** mapping->private_lock: buffers against dirtying. */
export const private_lock = lockClass("mapping->private_lock", "spin");
/** The xa_lock of mapping->i_pages. */
export const xa_lock = lockClass("mapping->i_pages.xa_lock", "spin");
/** inode->i_lock and wb->list_lock: the inode's dirty state. */
export const i_lock = lockClass("inode->i_lock", "spin");
/** Interrupt context: nobody may sleep in it. */
export const irq = lockClass("irq", "spin");

/** How many locks of a class a machine has. */
export function lockCount(lock: LockClass, g: Geometry): number {
  switch (lock) {
    case mmap_sem:
      return g.mms;
    case i_rwsem:
    case i_mmap_sem:
    case i_mmap_rwsem:
      return g.files.length + 1;
    case pipe_mutex:
      return g.dios;
    default:
      return 1;
  }
}
