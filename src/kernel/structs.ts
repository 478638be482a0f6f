/**
 * The schema of the simulated kernel's memory: which structs there are, and what each field holds.
 *
 * Links to pages are stored as pfn + 1, so that an empty memory has empty lists. One buffer_head per page (4 KiB
 * blocks), one virtual page per PTE, one disk block per page-cache slot.
 */
import { fixed, i32, observed, struct, taskPlusOne, total, u8, u16, u32 } from "../machine/memory.js";
import { pg } from "../trace/words.js";
import { pages_nr } from "./types.js";

export const page = struct("page", {
  flags: u32("PG_* bits, v4.20 numbers"),
  _refcount: i32("references; 0 is a free page"),
  mapcount: i32("PTEs that map the page (the kernel's _mapcount plus one)"),
  index: u32("offset in the mapping; of an anonymous page, its offset as its VMA counts (linear_page_index)"),
  lru_next: i32("next page towards the tail of its list, pfn + 1"),
  lru_prev: i32("next page towards the head of its list, pfn + 1; of a free page, itself"),
  io_next: i32("next page in its disk's queue, pfn + 1"),
  mapping: u16("inode number; 0 is NULL; with PAGE_MAPPING_ANON set an anonymous page"),
  locked_by: taskPlusOne("task that holds PG_locked, plus one; LOCKED_FOR_READ while a read is in flight"),
  pins: u16("references held through get_user_pages"),
  b_state: u8("bits of the page's buffer_head while PG_private is set"),
  device: observed("1 after a device wrote into the page, until the next set_page_dirty"),
});

/** The bit of page->mapping that says "anonymous" (bit 0 of the pointer in Linux). */
export const PAGE_MAPPING_ANON = 0x8000;
/** Whether a page->mapping is an anonymous page's: PageAnon. */
export const isAnon = (mapping: number): boolean => (mapping & PAGE_MAPPING_ANON) !== 0;
/** PageSwapCache: PG_owner_priv_1, which is PG_checked elsewhere, of a page that swap backs. */
export const PG_SWAPCACHE = pg("checked") | pg("swapbacked");
/** locked_by while no task but a read in flight holds the page lock. */
export const LOCKED_FOR_READ = 0xffff;
/** locked_by while the lock's holder waits for a read of the page, after which it is locked still; 0 until he is awake. */
export const LOCKED_FOR_SYNC_READ = 0xfffe;

/** BH_* bits of b_state, in the order of WORD.buffers without "attached". */
export const BH = {
  uptodate: 1,
  dirty: 2,
  mapped: 4,
  async_write: 8,
  delay: 16,
  unwritten: 32,
  /** It has a journal_head (data=journal). */
  jbd: 64,
  /** Dirty for the journal, which has not yet committed it. */
  jbddirty: 128,
} as const;

export const content = struct("content", {
  version: u16("content generation of one part of a page; every write adds one"),
});

export const block = struct("block", {
  version: u16("content generation of one part of a disk block"),
});

export const pte = struct("pte", { entry: u32("PTE_* bits, and the pfn from bit PFN_SHIFT on; 0 is none") });

export const vma = struct("vm_area_struct", {
  vm_start: fixed("first virtual page"),
  vm_pages: fixed("length in pages"),
  vm_flags: fixed("VM_* bits"),
  vm_file: fixed("inode number, 0 is anonymous memory"),
  vm_pgoff: fixed("offset in the file, in pages; of anonymous memory, its first virtual page"),
  vm_mm: fixed("the process"),
  anon_vma: fixed("1 once the VMA has had an anonymous page of its own (vma->anon_vma; all have one here)"),
});

/** VM_* bits of vm_flags, v4.20 numbers. */
export const VM_READ = 0x1;
export const VM_WRITE = 0x2;
export const VM_EXEC = 0x4;
export const VM_SHARED = 0x8;
export const VM_MAYREAD = 0x10;
export const VM_MAYWRITE = 0x20;
export const VM_MAYEXEC = 0x40;
export const VM_MAYSHARE = 0x80;
export const VM_PFNMAP = 0x400;
export const VM_LOCKED = 0x2000;
export const VM_IO = 0x4000;
export const VM_DONTCOPY = 0x20000;
export const VM_DONTEXPAND = 0x40000;
export const VM_LOCKONFAULT = 0x80000;
export const VM_HUGETLB = 0x400000;
export const VM_WIPEONFORK = 0x2000000;
export const VM_MIXEDMAP = 0x10000000;
/** VMAs with which mm does not meddle. */
export const VM_SPECIAL = VM_IO | VM_DONTEXPAND | VM_PFNMAP | VM_MIXEDMAP;
/** guplab's own: the VMA has left mm_rb and is not yet out of i_mmap. find_vma gives it no more, rmap walks still meet it. */
export const VM_DETACHED = 0x40000000;

export const inode_struct = struct("inode", {
  i_state: u8("I_* bits"),
  fs: fixed("which filesystem: row of the address_space_operations"),
  i_pages: fixed("pages that the file can have"),
  i_size: fixed("file size, in parts of a page; state where files change their size"),
  first_slot: fixed("first slot of its mapping"),
  disk: fixed("the disk that holds it"),
  stable_writes: fixed("1 when the device needs pages to be stable under writeback"),
});

export const I_DIRTY_PAGES = 1;
export const I_SYNC = 2;

export const xa_slot = struct("xa_slot", { page: i32("the page in this slot of i_pages, pfn + 1") });

export const xa_mark = struct("xa_mark", {
  dirty: u32("PAGECACHE_TAG_DIRTY, one bit per slot"),
  writeback: u32("PAGECACHE_TAG_WRITEBACK"),
  towrite: u32("PAGECACHE_TAG_TOWRITE"),
});

export const lruvec = struct("lruvec", {
  head: i32("most recently added page, pfn + 1"),
  tail: i32("next victim, pfn + 1"),
  size: u32("pages on the list"),
});

/** Rows of lruvec (enum lru_list). Machines without config "mlock" have no unevictable list. */
export const LRU = {
  inactive_anon: 0,
  active_anon: 1,
  inactive_file: 2,
  active_file: 3,
  unevictable: 4,
} as const;
export const LRU_LISTS = 4;

export const pagevec = struct("pagevec", { nr: u8("pages parked in this batch") });
export const pagevec_page = struct("pagevec_page", { page: i32("a parked page, pfn + 1") });
/** Rows of pagevec, of the first CPU; with config "percpu" each of the others has as many. */
export const PVEC = { lru_add: 0, lru_rotate: 1, activate_page: 2 } as const;

export const pgdat = struct("pgdat", {
  free: i32("first free page, pfn + 1"),
  warned: u32("bit per WARN_ON_ONCE that has fired since boot"),
  flags: u8("PGDAT_* bits"),
});

export const PGDAT_DIRTY = 1;
export const PGDAT_WRITEBACK = 2;
export const PGDAT_CONGESTED = 4;

export const gendisk = struct("gendisk", {
  head: i32("first queued page, pfn + 1"),
  tail: i32("last queued page, pfn + 1"),
});

/** What one caller of get_user_pages has: a direct I/O, a memory region, a pipe (mm/user_pages.ts). */
export const user_pages = struct(
  "user_pages",
  {
    nr: u16("pages taken so far"),
    state: u8("PAGES: what its transfer is doing"),
  },
  pages_nr.kind,
);

export const user_page = struct(
  "user_page",
  { page: i32("a page of the array, pfn + 1; negative once it has been freed under the array") },
  pages_nr.kind,
);

/** Counters under their /proc/vmstat names. nr_ ones that v4.20 shows as gauges go down again. */
export const VMSTAT = [
  "nr_dirty",
  "nr_writeback",
  "nr_mapped",
  "nr_file_pages",
  "nr_isolated_anon",
  "nr_isolated_file",
  "nr_vmscan_write",
  "nr_vmscan_immediate_reclaim",
  "nr_dirtied",
  "nr_written",
  "pgfault",
  "pgmajfault",
  "pgactivate",
  "pgdeactivate",
  "pgrefill",
  "pgscan_kswapd",
  "pgsteal_kswapd",
  "pgscan_direct",
  "pgsteal_direct",
  "pgscan_direct_throttle",
  "allocstall_movable",
  "pageoutrun",
  "kswapd_low_wmark_hit_quickly",
  "kswapd_high_wmark_hit_quickly",
  "oom_kill",
  "pgrotated",
  "pgpgin",
  "pgpgout",
  "nr_mlock",
  "unevictable_pgs_culled",
  "unevictable_pgs_rescued",
  "unevictable_pgs_mlocked",
  "unevictable_pgs_munlocked",
  "unevictable_pgs_cleared",
  "unevictable_pgs_stranded",
  "pswpin",
  "pswpout",
  "workingset_refault",
  "workingset_activate",
  "workingset_restore",
  "pgmigrate_success",
  "pgmigrate_fail",
] as const;
export type Counter = (typeof VMSTAT)[number];

export const vmstat = struct(
  "vmstat",
  Object.fromEntries(
    VMSTAT.map((name) => [name, total(`/proc/vmstat ${name}, in pages or events`)]),
  ) as Record<Counter, ReturnType<typeof total>>,
);
