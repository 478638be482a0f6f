/**
 * bdi_writeback: the dirty inodes of a disk, in the order in which its flusher comes to them, and what it is asked to do.
 *
 * Source: mm/backing-dev.c, include/linux/backing-dev-defs.h, the list half of fs/fs-writeback.c in v4.20. All of it
 * needs config "kupdate": without it a machine's flusher looks at every inode at each waking, and has no lists.
 *
 * Time is counted where it decides something. A flusher's clock moves by one dirty_writeback_interval whenever its timer
 * wakes it; an inode's age counts those, up to dirty_expire_interval, after which being older makes no difference. Within
 * an interval only before and after the beginning of the work under way are told apart.
 *
 * Left out: cgroup writeback (one bdi_writeback per disk, one superblock per disk), I_DIRTY_TIME and metadata, bandwidth
 * estimation, s_umount, forker threads.
 */
import { struct, taskPlusOne, u8, u16 } from "../../machine/memory.js";
import type { Kernel, Table } from "../kernel.js";
import { I_SYNC } from "../structs.js";
import type { DiskNr, InodeNr } from "../types.js";

/** dirty_writeback_centisecs: how often a flusher's timer wakes it. */
export const dirty_writeback_interval = 500;
/** dirty_expire_centisecs: how old a dirty inode is when the periodic flush writes it. */
export const dirty_expire_interval = 3000;
/** The same in intervals: the age that a periodic flush asks for. */
export const EXPIRED = dirty_expire_interval / dirty_writeback_interval;

/** WB_* bits of bdi_writeback.state. */
export const WB_STATE = { writeback_running: 1, start_all: 2 } as const;
/** bdi_writeback.dwork: not queued, when its timer ends, at once. */
export const DWORK = { idle: 0, delayed: 1, now: 2 } as const;

const bdi_writeback = struct("bdi_writeback", {
  state: u8("WB_* bits"),
  dwork: u8("whether the flusher is to run: DWORK"),
  pages_skipped: u8("wbc->pages_skipped of the flusher while it writes an inode, at most 255"),
  writer: taskPlusOne("the flusher's task, plus one, while it writes an inode"),
});

/** i_io_list of an inode: which list of its disk's bdi_writeback it is on. */
export const IO_LIST = { none: 0, b_dirty: 1, b_io: 2, b_more_io: 3 } as const;

const inode_wb = struct("inode_wb", {
  i_io_list: u8("the list that the inode is on: IO_LIST"),
  place: u8("its place on that list, from 1 at the end from which inodes are taken"),
  age: u8("dirty_writeback_intervals since dirtied_when, at most EXPIRED"),
  dirtied_after: u8("1 when dirtied_when is after the beginning of the flusher's work"),
});

/** Why a flusher works: what its wb_writeback_work holds follows from it. */
export const WB_REASON = { background: 0, periodic: 1, start_all: 2, inodes_sb: 3, sync: 4 } as const;
/** States of a work item that somebody waits for. */
const WORK = { free: 0, queued: 1, running: 2, done: 3 } as const;

const wb_writeback_work = struct("wb_writeback_work", {
  state: u8("free, queued, running or done"),
  reason: u8("WB_REASON"),
  wb: u8("the bdi_writeback on whose work_list it is"),
  place: u8("its place on that list, from 1 at the end from which works are taken"),
});

const node_state = struct("node_state", {
  nr_file_dirty: u16("NR_FILE_DIRTY: dirty pages of mappings that account them"),
  nr_writeback: u16("NR_WRITEBACK"),
});

/** The structs of this file. */
export const writebackTables: readonly Table[] = [
  { struct: bdi_writeback, rows: (g) => (g.config.has("kupdate") ? g.disks : 0) },
  { struct: inode_wb, rows: (g) => (g.config.has("kupdate") ? g.files.length + 1 : 0) },
  { struct: wb_writeback_work, rows: (g) => (g.config.has("kupdate") ? g.syncs : 0) },
  {
    struct: node_state,
    rows: (g) => (g.config.has("kupdate") || g.config.has("throttle") ? 1 : 0),
  },
];

/** Count a page into or out of a gauge that steps read; machines on which none does have no gauges. */
export function count_node_state(k: Kernel, gauge: keyof typeof node_state.fields, by: 1 | -1): void {
  const column = k.of(node_state)[gauge];
  if (column.length > 0) column[0] += by;
}

/** global_node_page_state of NR_FILE_DIRTY or NR_WRITEBACK. */
export const global_node_page_state = (k: Kernel, gauge: keyof typeof node_state.fields): number =>
  k.of(node_state)[gauge][0];

/** wb_wakeup: the flusher runs at once. */
export function wb_wakeup(k: Kernel, wb: DiskNr): void {
  const { dwork } = k.of(bdi_writeback);
  if (dwork.length > 0) dwork[wb] = DWORK.now;
}

/** wb_wakeup_delayed: the flusher runs when its timer ends, if not sooner. */
export function wb_wakeup_delayed(k: Kernel, wb: DiskNr): void {
  const { dwork } = k.of(bdi_writeback);
  if (dwork[wb] === DWORK.idle) dwork[wb] = DWORK.delayed;
}

/** writeback_in_progress: WB_writeback_running. */
export const writeback_in_progress = (k: Kernel, wb: DiskNr): boolean =>
  (k.of(bdi_writeback).state[wb] & WB_STATE.writeback_running) !== 0;

/** The flusher's own column: it is asked whether it has anything to do. */
export const bdi = (k: Kernel) => k.of(bdi_writeback);

const on_list = (k: Kernel, inode: InodeNr, wb: DiskNr, list: number): boolean =>
  k.inode.disk[inode] === wb && k.of(inode_wb).i_io_list[inode] === list;

/** Inodes on a list of a bdi_writeback, the one that is taken first first. */
export function io_list(k: Kernel, wb: DiskNr, list: number): InodeNr[] {
  const { place, i_io_list } = k.of(inode_wb);
  const found: InodeNr[] = [];
  for (let inode = 1; inode < i_io_list.length; inode++)
    if (on_list(k, inode, wb, list)) found[place[inode] - 1] = inode;
  return found;
}

/** wb_has_dirty_io */
export function wb_has_dirty_io(k: Kernel, wb: DiskNr): boolean {
  const { i_io_list } = k.of(inode_wb);
  for (let inode = 1; inode < i_io_list.length; inode++)
    if (k.inode.disk[inode] === wb && i_io_list[inode] !== IO_LIST.none) return true;
  return false;
}

/** inode_io_list_move_locked: to the head of a list, the end that is taken last; or off all lists. */
function inode_io_list_move(k: Kernel, inode: InodeNr, list: number): void {
  const { i_io_list, place } = k.of(inode_wb);
  const wb = k.inode.disk[inode];
  let last = 0;
  for (let other = 1; other < i_io_list.length; other++) {
    if (other === inode) continue;
    if (on_list(k, other, wb, i_io_list[inode]) && place[other] > place[inode]) place[other]--;
    if (on_list(k, other, wb, list)) last = Math.max(last, place[other]);
  }
  i_io_list[inode] = list;
  place[inode] = list === IO_LIST.none ? 0 : last + 1;
}

/** inode->dirtied_when = jiffies */
function dirtied_now(k: Kernel, inode: InodeNr): void {
  const { age, dirtied_after } = k.of(inode_wb);
  age[inode] = 0;
  dirtied_after[inode] = 1;
}

/**
 * The end of __mark_inode_dirty for an inode that was clean: onto b_dirty, unless somebody writes it, who will put it
 * where it belongs. The first dirty inode of a disk starts its flusher's timer.
 */
export function inode_list_dirty(k: Kernel, inode: InodeNr): void {
  if (k.of(inode_wb).i_io_list.length === 0 || (k.inode.i_state[inode] & I_SYNC) !== 0) return;
  const wb = k.inode.disk[inode];
  const first = !wb_has_dirty_io(k, wb);
  dirtied_now(k, inode);
  inode_io_list_move(k, inode, IO_LIST.b_dirty);
  if (first) wb_wakeup_delayed(k, wb);
}

/** inode_io_list_del_locked: the inode is clean. */
export function inode_io_list_del(k: Kernel, inode: InodeNr): void {
  const { age, dirtied_after } = k.of(inode_wb);
  inode_io_list_move(k, inode, IO_LIST.none);
  age[inode] = 0;
  dirtied_after[inode] = 0;
}

/** requeue_io: the inode will be looked at again in this round. */
export const requeue_io = (k: Kernel, inode: InodeNr): void =>
  inode_io_list_move(k, inode, IO_LIST.b_more_io);

/** redirty_tail: back to b_dirty, as newly dirtied if that keeps the list in order of time. */
export function redirty_tail(k: Kernel, inode: InodeNr): void {
  const { age, dirtied_after } = k.of(inode_wb);
  const newest = io_list(k, k.inode.disk[inode], IO_LIST.b_dirty).at(-1);
  if (newest !== undefined) {
    const older =
      age[inode] > age[newest] ||
      (age[inode] === age[newest] && dirtied_after[inode] < dirtied_after[newest]);
    if (older) dirtied_now(k, inode);
  }
  inode_io_list_move(k, inode, IO_LIST.b_dirty);
}

/** Sync livelock prevention of requeue_inode: a still dirty inode counts as dirtied now. */
export const redirtied_now = dirtied_now;

/** A work begins: what is dirty now was dirtied before it. */
export function begin_work(k: Kernel, wb: DiskNr): void {
  const { dirtied_after } = k.of(inode_wb);
  for (let inode = 1; inode < dirtied_after.length; inode++)
    if (k.inode.disk[inode] === wb) dirtied_after[inode] = 0;
}

/** The flusher's timer has ended: an interval has passed. */
export function tick(k: Kernel, wb: DiskNr): void {
  const { i_io_list, age } = k.of(inode_wb);
  for (let inode = 1; inode < age.length; inode++)
    if (k.inode.disk[inode] === wb && i_io_list[inode] !== IO_LIST.none)
      age[inode] = Math.min(age[inode] + 1, EXPIRED);
}

/** queue_io: b_more_io, then what of b_dirty was dirtied long enough ago, oldest first, to b_io. */
export function queue_io(k: Kernel, wb: DiskNr, reason: number): void {
  const { age, dirtied_after } = k.of(inode_wb);
  for (const inode of io_list(k, wb, IO_LIST.b_more_io)) inode_io_list_move(k, inode, IO_LIST.b_io);
  for (const inode of io_list(k, wb, IO_LIST.b_dirty)) {
    if (reason === WB_REASON.periodic ? age[inode] < EXPIRED : dirtied_after[inode] === 1) break;
    inode_io_list_move(k, inode, IO_LIST.b_io);
  }
}

/** redirty_page_for_writepage's wbc->pages_skipped++, where the wbc is a flusher's. */
export function note_pages_skipped(k: Kernel): void {
  const { writer, pages_skipped } = k.of(bdi_writeback);
  for (let wb = 0; wb < writer.length; wb++)
    if (writer[wb] === k.task + 1) pages_skipped[wb] = Math.min(pages_skipped[wb] + 1, 255);
}

/** wb_start_writeback: write everything, unless that has been asked already. */
function wb_start_writeback(k: Kernel, wb: DiskNr): void {
  const { state } = k.of(bdi_writeback);
  if (!wb_has_dirty_io(k, wb) || (state[wb] & WB_STATE.start_all) !== 0) return;
  state[wb] |= WB_STATE.start_all;
  wb_wakeup(k, wb);
}

/**
 * wakeup_flusher_threads: start writeback of all that is dirty, on all disks. Where flushers have no lists (no config
 * "kupdate") they are awake anyway.
 */
export function wakeup_flusher_threads(k: Kernel): void {
  for (let wb = 0; wb < k.of(bdi_writeback).state.length; wb++) wb_start_writeback(k, wb);
}

/** The works on a bdi_writeback's work_list, the next one first. */
function work_list(k: Kernel, wb: DiskNr): number[] {
  const work = k.of(wb_writeback_work);
  const found: number[] = [];
  for (let nr = 0; nr < work.state.length; nr++)
    if (work.state[nr] === WORK.queued && work.wb[nr] === wb) found[work.place[nr] - 1] = nr;
  return found;
}

/** Whether the work_list is not empty. */
export const has_work = (k: Kernel, wb: DiskNr): boolean => work_list(k, wb).length > 0;

/** wb_queue_work: gives the work's number. */
export function wb_queue_work(k: Kernel, wb: DiskNr, reason: number): number {
  const work = k.of(wb_writeback_work);
  const nr = work.state.indexOf(WORK.free);
  if (nr < 0)
    throw new Error(`wb_queue_work: more than ${work.state.length} works; say syncs in the geometry`);
  work.place[nr] = work_list(k, wb).length + 1;
  work.state[nr] = WORK.queued;
  work.reason[nr] = reason;
  work.wb[nr] = wb;
  wb_wakeup(k, wb);
  return nr;
}

/** get_next_work_item: its number, plus one; 0 when there is none. */
export function get_next_work_item(k: Kernel, wb: DiskNr): number {
  const work = k.of(wb_writeback_work);
  const [first, ...rest] = work_list(k, wb);
  if (first === undefined) return 0;
  for (const nr of rest) work.place[nr]--;
  work.place[first] = 0;
  work.state[first] = WORK.running;
  return first + 1;
}

/** Why a work item was queued. */
export const reason_of = (k: Kernel, nr: number): number => k.of(wb_writeback_work).reason[nr];

/** finish_writeback_work: its waiter goes on. */
export function finish_writeback_work(k: Kernel, nr: number): void {
  k.of(wb_writeback_work).state[nr] = WORK.done;
}

/** Whether a work is done: what wb_wait_for_completion waits for. */
export const is_done = (k: Kernel, nr: number): boolean => k.of(wb_writeback_work).state[nr] === WORK.done;

/** The waiter has seen it: the item on its stack is gone. */
export function forget_work(k: Kernel, nr: number): void {
  const work = k.of(wb_writeback_work);
  work.state[nr] = WORK.free;
  work.reason[nr] = 0;
  work.wb[nr] = 0;
}
