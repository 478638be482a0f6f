/**
 * What a task that waits is waiting for, in words. A lock is named by its class and by who holds it; every other wait of the kernel
 * has its line here, by the step in which it waits.
 */
import type { Kernel } from "../kernel/kernel.js";
import { LOCKED_FOR_SYNC_READ } from "../kernel/structs.js";
import type { Pfn } from "../kernel/types.js";
import { holdersFor, waitsForLock } from "./waits.js";
import type { World } from "./world.js";

type Awaited = string | ((k: Kernel, page: Pfn) => string);

const aFreePage = (k: Kernel): string => (k.pgdat.free[0] === 0 ? "a free page" : "");

/** A step's name, or path: step where two paths use one name. */
export const AWAITED: Readonly<Record<string, Awaited>> = {
  // ---- pages
  wait_on_page_writeback: (_, page) => `the end of page ${page}'s writeback`,
  wait_for_dma_pinned_to_clear: (_, page) => `everybody who has pinned page ${page} to let go of it`,
  wait_for_short_pins: (_, page) => `everybody who has pinned page ${page} for a short time to let go of it`,
  wait_for_isolation: (_, page) => `page ${page} to be back on its LRU list`,
  get_page_from_freelist: "free pages above the watermark",
  __alloc_pages_nodemask: aFreePage,
  alloc_page_vma: aFreePage,
  alloc_zeroed_user_highpage_movable: aFreePage,
  __page_cache_alloc: aFreePage,
  page_cache_alloc: aFreePage,
  shmem_alloc_page: aFreePage,
  pfmemalloc_wait: "kswapd to free pages",
  "wait_dax_page: schedule": (_, page) => `everybody to let go of page ${page}`,
  dax_busy_page: "the lock of a DAX entry",
  dax_delete_mapping_entry: "the lock of a DAX entry",
  lock_range: "writeback or truncation to give the range lock back",
  lock_range_write: "everybody who has the range lock of a page to give it back",
  wait_for_last_put: "the last reference to a block that was truncated to be gone",
  wait_for_file_pins: "its own pins of the file to be gone",
  break_layout: "the leases on the file to be given back",

  // ---- writeback
  io_schedule_timeout: "fewer dirty pages",
  inode_sleep_on_writeback: "the end of somebody else's writeback of the file",
  wb_wait_for_completion: "the flusher to have done its work",
  wb_workfn: "work",
  "kswapd_try_to_sleep: schedule": "memory to be short",
  j_wait_updates: "the handles of the transaction to stop",
  jbd2_journal_get_write_access: "the commit to have copied the block",
  jbd2_log_wait_commit: "the transaction to be committed",
  j_wait_commit: "a transaction to commit",
  btrfs_queue_work: "a page to fix up",
  btrfs_start_ordered_extent: "the end of an ordered extent",
  "kernel_direct_write: iomap_begin": "the end of an ordered extent",

  // ---- devices and those who wait for them
  bio_alloc: "a bio of its own to be free",
  dio_await_completion: "its read to complete",
  blk_io_schedule: "its read to complete",
  submit_bio_wait: "its read to complete",
  blk_peek_request: "a request",
  DMA: "pages to write into",
  doorbell: "a command",
  "nvme_controller: no completion": "its reset",
  blk_mq_check_expired: "a command that is late",
  notifier_completion: "the end of an invalidation",
  ttm_bo_wait: "the graphics card to finish",
  "revoke: revoke": "the device to be done with the pages",
  bio_dirty_work: "a bio whose pages were cleaned meanwhile",
  i915_gem_object_wait: "the graphics card to finish",
  i915_request_execute: "the graphics card to finish",
  wait_for_userptr: "a worker to have the pages",
  process_one_work: "work",
  reservation_object_wait_timeout_rcu: "the graphics card to finish",
  i915_gem_object_put: "the graphics card and the worker to let go of the object",
  exit_mm: "a driver's fault in the process to end",

  // ---- processes
  pipe_wait: "somebody at the other end of the pipe",
  ipipe_prep: "a page in the pipe that is read",
  opipe_prep: "room in the pipe that is written",
  ret_from_fork: "fork to make its process",
  wait4: "its child to exit",
  "thread: next order": "an order",
};

/** Who holds a page's lock, in words. */
export function lockHolder(world: World, page: Pfn): string {
  const owner = world.k.page.locked_by[page];
  if (owner === 0) return "nobody";
  if (owner >= LOCKED_FOR_SYNC_READ) return "a read in flight";
  const { name } = world.machine.tasks[owner - 1];
  return world.machine.isDead(owner - 1) ? `${name} (dead)` : name;
}

/** Waits that end when a page is unlocked, whether or not they take its lock then. */
export const PAGE_LOCK_WAITS = ["lock_page", "wait_on_page_locked", "wait_on_page_locked_killable"];

/** What a task that waits is waiting for; empty when there is nothing to say. */
export function awaited(world: World, task: number): string {
  const { machine, k } = world;
  const page = machine.page(task);
  const { path, step, lock } = machine.at(task);
  // The lock of a page is named with its page, which no lock class knows.
  if (PAGE_LOCK_WAITS.includes(step)) return `the lock of page ${page}, held by ${lockHolder(world, page)}`;
  if (lock !== null && waitsForLock(machine, task)) {
    const names = holdersFor(machine, () => world.lockdep, task).map(
      (owner) => `${machine.tasks[owner].name}${machine.isDead(owner) ? " (dead)" : ""}`,
    );
    return names.length > 0 ? `${lock.class.name}, held by ${names.join(", ")}` : lock.class.name;
  }
  const found = AWAITED[`${path}: ${step}`] ?? AWAITED[step] ?? "";
  return typeof found === "string" ? found : found(k, page);
}
