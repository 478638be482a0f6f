/**
 * The flusher: walks the dirty inodes and writes their tagged pages, whoever holds references to them.
 *
 * Source: fs/fs-writeback.c in v4.20. It never looks at the LRU: a page that was taken off the LRU is found all the
 * same.
 *
 * There are two. `wb_workfn` looks at every inode at each waking and writes what is dirty: enough where it matters only
 * that writeback can come at any time. With config "kupdate" each disk has a `bdi_flusher` as in the kernel: it sleeps
 * until its timer or somebody wakes it, does the works that are asked of it, and writes in the background above the threshold and
 * what is old.
 *
 * Left out: inode metadata, I_FREEING, the bail-out of writeback_sb_inodes after 100 ms, chunks that follow the disk's
 * measured bandwidth (a chunk is what MIN_WRITEBACK_PAGES says), the emergency worker. wb_writeback's lists: mm/backing_dev.ts.
 */

import type { Kernel } from "../kernel.js";
import {
  branch,
  call,
  dispatch,
  given,
  goto,
  held,
  label,
  leave,
  local,
  path,
  pause,
  repeat,
  step,
  under,
  wait,
  when,
} from "../language.js";
import { i_lock } from "../locks.js";
import {
  bdi,
  begin_work,
  DWORK,
  finish_writeback_work,
  get_next_work_item,
  global_node_page_state,
  has_work,
  IO_LIST,
  inode_io_list_del,
  io_list,
  queue_io,
  reason_of,
  redirtied_now,
  redirty_tail,
  requeue_io,
  tick,
  WB_REASON,
  WB_STATE,
  wb_has_dirty_io,
  wb_wakeup_delayed,
} from "../mm/backing_dev.js";
import { wb_over_bg_thresh } from "../mm/balance_dirty_pages.js";
import { mapping_tagged } from "../mm/filemap.js";
import { LONG_MAX, RANGE_CYCLIC, RANGE_END } from "../mm/page_writeback.js";
import { a_ops, fs_of_inode } from "../operations.js";
import { I_DIRTY_PAGES, I_SYNC } from "../structs.js";
import { disk, type InodeNr, inode, int } from "../types.js";

/** The end of __writeback_single_inode: clean, unless something was dirtied meanwhile. */
function clear_dirty(k: Kernel, mapping: InodeNr): void {
  k.inode.i_state[mapping] &= ~I_DIRTY_PAGES;
  if (mapping_tagged(k, mapping, "dirty")) k.inode.i_state[mapping] |= I_DIRTY_PAGES;
}

export const __writeback_single_inode = path(
  "__writeback_single_inode",
  { source: "fs/fs-writeback.c v4.20", args: { mapping: inode } },
  [
    held(
      step("I_SYNC", (k, f) => {
        k.inode.i_state[f.mapping] |= I_SYNC;
      }),
    ),
    dispatch(a_ops, "writepages", (k, f) => fs_of_inode(k, f.mapping), {
      mapping: "mapping",
      sync: 0,
      tagged: 0,
      nr_to_write: LONG_MAX,
      range_start: 0,
      range_end: RANGE_END,
    }),
    step("inode->i_state &= ~dirty", (k, f) => {
      clear_dirty(k, f.mapping);
      k.inode.i_state[f.mapping] &= ~I_SYNC;
    }),
  ],
);

/** The flusher thread of all disks. */
export const wb_workfn = path(
  "wb_workfn",
  { source: "fs/fs-writeback.c v4.20", locals: { mapping: inode, nr: int } },
  [
    repeat(
      () => true,
      [
        pause("wb_workfn"),
        local((k, f) => {
          f.mapping = 1;
          f.nr = k.inode.i_state.length - 1;
        }),
        repeat(
          (_, f) => f.mapping <= f.nr,
          [
            when("b_dirty", (k, f) => (k.inode.i_state[f.mapping] & I_DIRTY_PAGES) !== 0, [
              call(() => __writeback_single_inode, { mapping: "mapping" }),
            ]),
            local((_, f) => {
              f.mapping++;
            }),
          ],
        ),
        local((_, f) => {
          f.mapping = 0;
          f.nr = 0;
        }),
      ],
    ),
  ],
);

/** What a work's reason says of its wb_writeback_work. */
const is_sync_all = (reason: number): boolean => reason === WB_REASON.sync;
const is_tagged = (reason: number): boolean => reason === WB_REASON.inodes_sb;
const is_cyclic = (reason: number): boolean => !is_sync_all(reason) && !is_tagged(reason);
/** nr_to_write of one that tags and writes all in one go: counted, unlike LONG_MAX. */
const NO_CHUNK = LONG_MAX - 1;

/** get_nr_dirty_pages: dirty pages and inodes. */
const get_nr_dirty_pages = (k: Kernel): number =>
  global_node_page_state(k, "nr_file_dirty") + k.geometry.files.length;

/** writeback_chunk_size for a disk of no measured bandwidth. */
const writeback_chunk_size = (k: Kernel, reason: number): number =>
  is_sync_all(reason) || is_tagged(reason) ? NO_CHUNK : k.geometry.writebackChunk;

/** What take_inode found. */
const TAKEN = { nothing: 0, inode: 1, busy: 2 } as const;

/**
 * The head of writeback_sb_inodes' loop, one list_lock section: the next inode of b_io. One that somebody else writes is
 * put on b_more_io, or waited for when its pages must be on the disk.
 */
function take_inode(
  k: Kernel,
  wb: number,
  reason: number,
): { readonly found: number; readonly mapping: InodeNr } {
  for (const mapping of io_list(k, wb, IO_LIST.b_io)) {
    if ((k.inode.i_state[mapping] & I_SYNC) === 0) {
      k.inode.i_state[mapping] |= I_SYNC;
      bdi(k).writer[wb] = k.task + 1;
      return { found: TAKEN.inode, mapping };
    }
    if (is_sync_all(reason)) return { found: TAKEN.busy, mapping };
    requeue_io(k, mapping);
  }
  return { found: TAKEN.nothing, mapping: 0 };
}

/** requeue_inode, and I_SYNC given back: to the list on which the inode belongs now. */
function requeue_inode(k: Kernel, mapping: InodeNr, reason: number, nr_to_write: number): void {
  const wb = k.inode.disk[mapping];
  const { pages_skipped, writer } = bdi(k);
  const dirty = (k.inode.i_state[mapping] & I_DIRTY_PAGES) !== 0;
  if (dirty && (is_sync_all(reason) || is_tagged(reason))) redirtied_now(k, mapping);
  if (pages_skipped[wb] > 0) redirty_tail(k, mapping);
  else if (mapping_tagged(k, mapping, "dirty")) {
    if (nr_to_write <= 0) requeue_io(k, mapping);
    else redirty_tail(k, mapping);
  } else if (dirty) redirty_tail(k, mapping);
  else inode_io_list_del(k, mapping);
  k.inode.i_state[mapping] &= ~I_SYNC;
  pages_skipped[wb] = 0;
  writer[wb] = 0;
}

/** Write the inodes of b_io, each a chunk. `nr_pages` is the work's own. Gives how many pages and inodes were written. */
const writeback_sb_inodes = path(
  "writeback_sb_inodes",
  {
    source: "fs/fs-writeback.c v4.20",
    args: { wb: disk, reason: int, nr_pages: int },
    locals: { mapping: inode, found: int, sync: int, tagged: int, nr_to_write: int, range_start: int },
    returns: int,
  },
  [
    label("next"),
    under(i_lock, [
      step("wb_inode(wb->b_io.prev)", (k, f) => {
        const { found, mapping } = take_inode(k, f.wb, f.reason);
        f.found = found;
        f.mapping = mapping;
      }),
    ]),
    branch((_, f) => f.found, ["out", "write", "busy"]),
    label("busy"),
    wait("inode_sleep_on_writeback", (k, f) => (k.inode.i_state[f.mapping] & I_SYNC) === 0),
    goto("next"),
    label("write"),
    local((k, f) => {
      f.sync = is_sync_all(f.reason) ? 1 : 0;
      f.tagged = is_tagged(f.reason) ? 1 : 0;
      f.range_start = is_cyclic(f.reason) ? RANGE_CYCLIC : 0;
      f.nr_to_write = writeback_chunk_size(k, f.reason);
    }),
    // __writeback_single_inode. A work for sync does not wait here: it waits for all inodes at its end.
    dispatch(a_ops, "writepages", (k, f) => fs_of_inode(k, f.mapping), {
      mapping: "mapping",
      sync: "sync",
      tagged: "tagged",
      nr_to_write: "nr_to_write",
      range_start: "range_start",
      range_end: RANGE_END,
    }),
    under(i_lock, [
      step("inode->i_state &= ~dirty", (k, f) => clear_dirty(k, f.mapping)),
      step("requeue_inode", (k, f) => {
        const wrote = writeback_chunk_size(k, f.reason) - f.nr_to_write;
        if (f.nr_pages !== LONG_MAX) f.nr_pages = Math.max(f.nr_pages - wrote, 0);
        f.ret += wrote;
        if ((k.inode.i_state[f.mapping] & I_DIRTY_PAGES) === 0) f.ret++;
        requeue_inode(k, f.mapping, f.reason, f.nr_to_write);
        f.sync = 0;
        f.tagged = 0;
        f.range_start = 0;
        f.nr_to_write = 0;
      }),
    ]),
    given((_, f) => f.ret > 0 && f.nr_pages <= 0, [goto("out")]),
    goto("next"),
    label("out"),
    local((_, f) => {
      f.mapping = 0;
      f.found = 0;
    }),
  ],
);

/** Do one work: write until it has what it asked for, or nothing is left that it may write. */
const wb_writeback = path(
  "wb_writeback",
  {
    source: "fs/fs-writeback.c v4.20",
    args: { wb: disk, reason: int, nr_pages: int },
    locals: { progress: int, busy: inode, stop: int },
  },
  [
    under(i_lock, [step("oldest_jif = jiffies", (k, f) => begin_work(k, f.wb))]),
    label("again"),
    given((_, f) => f.nr_pages <= 0, [leave()]),
    under(i_lock, [
      step("queue_io", (k, f) => {
        const background = f.reason === WB_REASON.background;
        // Background and periodic writeback may go on for ever: others come first.
        if ((background || f.reason === WB_REASON.periodic) && has_work(k, f.wb)) f.stop = 1;
        else if (background && !wb_over_bg_thresh(k)) f.stop = 1;
        else {
          if (background) begin_work(k, f.wb);
          if (io_list(k, f.wb, IO_LIST.b_io).length === 0) queue_io(k, f.wb, f.reason);
        }
      }),
    ]),
    given((_, f) => f.stop === 1, [leave()]),
    call(() => writeback_sb_inodes, { wb: "wb", reason: "reason", nr_pages: "nr_pages" }, "progress"),
    given((_, f) => f.progress > 0, [goto("again")]),
    // Nothing written: wait for the inode that somebody else is writing, or it is all done.
    under(i_lock, [
      step("wb->b_more_io", (k, f) => {
        f.busy = io_list(k, f.wb, IO_LIST.b_more_io)[0] ?? 0;
      }),
    ]),
    given((_, f) => f.busy === 0, [leave()]),
    wait("inode_sleep_on_writeback", (k, f) => (k.inode.i_state[f.busy] & I_SYNC) === 0),
    goto("again"),
  ],
);

/** Where wb_do_writeback is: what it goes on with when a work is done. */
const STAGE = { work_list: 0, start_all: 1, old_data: 2, background: 3 } as const;

/**
 * The flusher of one disk: works that somebody waits for, then "write everything", then what is old, then the
 * background.
 */
export const bdi_flusher = path(
  "wb_workfn",
  {
    source: "fs/fs-writeback.c v4.20",
    args: { wb: disk },
    locals: { timer: int, stage: int, work: int, reason: int, nr_pages: int },
  },
  [
    repeat(
      () => true,
      [
        pause("wb_workfn"),
        wait(
          "wb_workfn",
          (k, f) => bdi(k).dwork[f.wb] !== DWORK.idle,
          (k, f) => {
            f.timer = bdi(k).dwork[f.wb] === DWORK.delayed ? 1 : 0;
            bdi(k).dwork[f.wb] = DWORK.idle;
            if (f.timer === 1) tick(k, f.wb);
          },
        ),
        label("wb_do_writeback"),
        local((_, f) => {
          f.stage = STAGE.work_list;
        }),
        label("next_work"),
        step("get_next_work_item", (k, f) => {
          bdi(k).state[f.wb] |= WB_STATE.writeback_running;
          f.work = get_next_work_item(k, f.wb);
          if (f.work === 0) return;
          f.reason = reason_of(k, f.work - 1);
          f.nr_pages = is_sync_all(f.reason) ? LONG_MAX : get_nr_dirty_pages(k);
        }),
        given((_, f) => f.work !== 0, [goto("writeback")]),
        step("wb_check_start_all", (k, f) => {
          f.stage = STAGE.start_all;
          f.reason = WB_REASON.start_all;
          f.nr_pages = (bdi(k).state[f.wb] & WB_STATE.start_all) !== 0 ? get_nr_dirty_pages(k) : 0;
        }),
        given((_, f) => f.nr_pages > 0, [goto("writeback")]),
        label("old_data"),
        local((_, f) => {
          f.stage = STAGE.old_data;
          f.reason = WB_REASON.periodic;
        }),
        given(
          (_, f) => f.timer === 1,
          [
            step("wb_check_old_data_flush", (k, f) => {
              f.timer = 0;
              f.nr_pages = get_nr_dirty_pages(k);
            }),
            goto("writeback"),
          ],
        ),
        label("background"),
        step("wb_check_background_flush", (k, f) => {
          f.stage = STAGE.background;
          f.reason = WB_REASON.background;
          f.nr_pages = wb_over_bg_thresh(k) ? LONG_MAX : 0;
        }),
        given((_, f) => f.nr_pages === 0, [goto("done")]),
        label("writeback"),
        call(() => wb_writeback, { wb: "wb", reason: "reason", nr_pages: "nr_pages" }),
        local((_, f) => {
          f.nr_pages = 0;
        }),
        branch((_, f) => f.stage, ["finish", "clear_start_all", "background", "done"]),
        label("finish"),
        step("finish_writeback_work", (k, f) => {
          finish_writeback_work(k, f.work - 1);
          f.work = 0;
        }),
        goto("next_work"),
        label("clear_start_all"),
        step("clear_bit(WB_start_all)", (k, f) => {
          bdi(k).state[f.wb] &= ~WB_STATE.start_all;
        }),
        goto("old_data"),
        label("done"),
        step("clear_bit(WB_writeback_running)", (k, f) => {
          bdi(k).state[f.wb] &= ~WB_STATE.writeback_running;
          f.work = has_work(k, f.wb) ? 1 : 0;
          if (f.work === 0 && wb_has_dirty_io(k, f.wb)) wb_wakeup_delayed(k, f.wb);
          f.stage = 0;
          f.reason = 0;
        }),
        given(
          (_, f) => f.work === 1,
          [
            local((_, f) => {
              f.work = 0;
            }),
            goto("wb_do_writeback"),
          ],
        ),
      ],
    ),
  ],
);
