/**
 * What a machine can do without. A scenario names the options that it needs; the paths of the others are not linked,
 * their structs have no rows, so that a machine pays for what it uses. The names are guplab's, in the manner of Kconfig.
 */
export const CONFIGS = {
  mmap: "VMAs come and go: munmap, mprotect, madvise, fork, exit",
  memfd: "files in memory have seals: F_SEAL_SHRINK, F_SEAL_WRITE",
  truncate: "files change their size, pages leave their mapping: truncate, punch, invalidation",
  direct_reclaim: "allocations reclaim pages themselves when memory is short",
  watermarks: "kswapd sleeps while enough pages are free, and drops its priority when it finds nothing",
  kupdate: "the flusher has work items and ages, and sleeps until it is woken: one bdi_writeback per disk",
  io_errors: "a disk can fail a write; mappings and open files remember it",
  checksum:
    "the disks check what they fetch, of O_DIRECT writes too, against a sum that was made at submission",
  fsync_oracle: "what fsync promises is compared with what is on the disk when it returns",
  power_cut:
    "the power can go at any step; what fsync had promised by then is compared with what recovery finds",
  throttle: "processes that dirty too much sleep in balance_dirty_pages",
  buffer_heads_limit: "buffer_heads_over_limit: reclaim strips active pages of their buffers",
  swap: "a swap area: anonymous pages are reclaimed as well",
  workingset:
    "a page that reclaim takes leaves a shadow in its file; one that comes back soon is activated at once",
  fault_around: "a read fault maps the pages round it as well, where they are in the cache",
  rlimit: "RLIMIT_MEMLOCK: locked and pinned pages are counted, and refused where they are too many",
  mlock: "VM_LOCKED, PG_mlocked and the unevictable list",
  pagevec: "who walks a mapping looks up to fifteen pages at once, and holds them all",
  percpu: "each CPU has LRU batches of its own",
  blocks: "files have holes, delayed and unwritten extents; free blocks are counted",
  journal: "ext4 has a jbd2 journal: handles, transactions, commits",
  compound: "pages of more than one page frame: hugetlbfs",
  dax: "files whose pages are the storage",
  migration: "pages move: compaction, CMA, memory offline",
  unlocked_dirty: "drivers that mark pages dirty without the page lock: no step is held by it",
  nvme: "the disk of direct reads can fail to answer: its commands time out",
  notifier: "drivers that are told when a page is unmapped",
  debug_vm:
    "CONFIG_DEBUG_VM: get_page and put_page look at the count, a page's flags are checked when it is freed",
} as const;

/** Name of an option. */
export type Config = keyof typeof CONFIGS;
