/**
 * RLIMIT_MEMLOCK: how many pages a process may keep in memory, and the counters that are held against it.
 *
 * Source: mm/mlock.c, include/linux/mm_types.h, include/linux/sched/user.h in v4.20. One limit, three counters that know nothing of each
 * other: mm->locked_vm (mlock, VFIO), mm->pinned_vm (RDMA), user->locked_vm (io_uring, AF_XDP). So a process can have
 * the limit several times over, and a page that is pinned twice counts twice. Direct I/O, vmsplice and process_vm_writev
 * count nothing.
 *
 * The counters exist with config "rlimit"; without it nothing is counted and nothing refused. Left out: one limit a process (all have
 * the machine's), several users, memory cgroups.
 */

import { struct, u32 } from "../../machine/memory.js";
import { ERRNO } from "../errno.js";
import type { Geometry } from "../geometry.js";
import type { Kernel, Table } from "../kernel.js";

const has_rlimit = (g: Geometry): boolean => g.config.has("rlimit");

/** The counters of struct mm_struct, a row a process. */
export const mm_rlimit = struct("mm_struct.rlimit", {
  locked_vm: u32("pages in VM_LOCKED VMAs, and what VFIO has added"),
  pinned_vm: u32("pages pinned for long, as their drivers counted them"),
});
export const mm_rlimit_table: Table = { struct: mm_rlimit, rows: (g) => (has_rlimit(g) ? g.mms : 0) };

/** struct user_struct; all processes are one user's. */
export const user_struct = struct("user_struct", {
  locked_vm: u32("pages that the user's rings and sockets hold"),
});
export const user_struct_table: Table = { struct: user_struct, rows: (g) => (has_rlimit(g) ? 1 : 0) };

/** A counter that is held against RLIMIT_MEMLOCK. */
export type LimitedBy = "mm->locked_vm" | "mm->pinned_vm" | "user->locked_vm";

function counterOf(k: Kernel, counter: LimitedBy): Uint32Array {
  if (counter === "user->locked_vm") return k.of(user_struct).locked_vm;
  const { locked_vm, pinned_vm } = k.of(mm_rlimit);
  return counter === "mm->locked_vm" ? locked_vm : pinned_vm;
}

/** capable(CAP_IPC_LOCK) */
export const capable_ipc_lock = (k: Kernel): boolean => k.geometry.memlock.cap_ipc_lock;

/** can_do_mlock: whether there is any limit above zero. */
export const can_do_mlock = (k: Kernel): boolean =>
  !k.has("rlimit") || k.geometry.memlock.pages !== 0 || capable_ipc_lock(k);

/** What a counter stands at, in pages; 0 where nothing is counted. `mm` is ignored for the user's counter. */
export const counted = (k: Kernel, counter: LimitedBy, mm: number): number =>
  k.has("rlimit") ? counterOf(k, counter)[counter === "user->locked_vm" ? 0 : mm] : 0;

/** Add pages to a counter, or take them off again. Nobody is asked. */
export function account(k: Kernel, counter: LimitedBy, mm: number, pages: number): void {
  if (!k.has("rlimit")) return;
  const row = counter === "user->locked_vm" ? 0 : mm;
  const column = counterOf(k, counter);
  if (column[row] + pages < 0) throw new Error(`account: ${counter} of ${mm} would fall below 0`);
  column[row] += pages;
}

/** Whether so many pages are too many for somebody who may not ignore the limit. */
export const over_memlock = (k: Kernel, pages: number): boolean =>
  k.has("rlimit") && pages > k.geometry.memlock.pages && !capable_ipc_lock(k);

/** do_mlock's test: -ENOMEM where the limit would be passed. `again` of the pages are locked already and do not count twice. */
export function mlock_allowed(k: Kernel, mm: number, pages: number, again: number): number {
  return over_memlock(k, counted(k, "mm->locked_vm", mm) + pages - again) ? -ERRNO.ENOMEM : 0;
}
