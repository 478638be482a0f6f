/**
 * jbd2: handles, the running and the committing transaction, the commit thread.
 *
 * Source: fs/jbd2/transaction.c, fs/jbd2/commit.c, fs/jbd2/journal.c in v4.20. Needs config "journal". Whoever changes metadata
 * opens a handle on the running transaction; a commit closes the transaction for new handles (T_LOCKED), waits for the open
 * ones, and then writes it while the next one runs. With data=ordered it first has the data of the inodes on its list
 * written and waits for it, so that no committed block has old bytes. It writes with ->writepage and WB_SYNC_ALL: a dirty page that
 * has lost its buffers kills the commit thread, long after the driver that caused it has gone (trap 39).
 *
 * What a transaction holds is kept as what it says: the extents of the files (fs/blocks.ts) and their i_disksize, frozen when the
 * transaction starts to commit, on the disk when its commit record is. As no handle is open at that moment, it is a
 * consistent state. What is on the disk after a power cut is in fs/power_cut.ts.
 *
 * With data=journal the transaction has the data, too: which buffers, and in what state, is in fs/jbd2/transaction.ts.
 *
 * Left out: credits and the space of the journal, checkpoints (the journal never fills, so that when metadata
 * reaches its place changes nothing that anybody sees), revoke records, barriers by lock_updates, reserved
 * handles, abort, j_commit_request (the thread commits a running transaction at any time, as its timer lets it), synchronous
 * handles, the checksum of the commit.
 */

import { struct, u8, u16 } from "../../machine/memory.js";
import type { Node } from "../../machine/path.js";
import type { Geometry } from "../geometry.js";
import type { Kernel, Table } from "../kernel.js";
import {
  awaits,
  call,
  config,
  given,
  gives,
  goto,
  label,
  local,
  path,
  pause,
  repeat,
  step,
  takes,
  wait,
  when,
} from "../language.js";
import { jbd2_handle } from "../locks.js";
import { __filemap_fdatawait_range, __filemap_fdatawrite_range } from "../mm/filemap_writeback.js";
import { generic_writepages, LONG_MAX, RANGE_END } from "../mm/page_writeback.js";
import { type DiskNr, disk, type InodeNr, inode, int, NONE, pfn } from "../types.js";
import { advance_pending, EXTENT, extent, PENDING } from "./blocks.js";
import { BJ, should_journal_data } from "./jbd2/journal_head.js";
import {
  begin_commit,
  end_buffer_io,
  forget_buffer,
  log_data,
  next_buffer,
  write_metadata_buffer,
} from "./jbd2/transaction.js";

/** journal_t and its transactions, by disk. */
export const journal = struct("journal", {
  j_running_transaction: u16("its t_tid; 0 none"),
  j_committing_transaction: u16("its t_tid; 0 none"),
  j_commit_sequence: u16("t_tid of the newest transaction on the disk"),
  t_locked: u8("1 while the running transaction is T_LOCKED: it takes no more handles"),
  t_updates: u8("handles that are open on the running transaction"),
});

/** struct jbd2_inode: which transaction must see to an inode's data. */
export const jbd2_inode = struct("jbd2_inode", {
  i_transaction: u16("t_tid of the transaction on whose list it is; 0 none"),
  i_next_transaction: u16("t_tid of the one after, while that one commits; 0 none"),
  i_flags: u8("JI_*"),
});

/** jbd2_inode.i_flags: the commit writes the inode's data; it waits for its data. */
export const JI = { WRITE_DATA: 1, WAIT_DATA: 2 } as const;

/** What ext4 keeps of an inode, as far as the journal has it. */
export const ext4_inode_info = struct("ext4_inode_info", {
  i_disksize: u16("size in the inode, in parts of a page: at most i_size, as blocks are chosen late"),
  i_sync_tid: u16("t_tid of the transaction that changed the inode last; 0 none"),
});

/** Extents as a transaction has them, by slot. */
export const journal_extent = struct("journal_extent", {
  committing_state: u8("EXTENT_* in the committing transaction"),
  committing_block: u16("its block number plus one"),
  state: u8("EXTENT_* in the newest transaction on the disk"),
  block: u16("its block number plus one"),
});

/** Inodes as a transaction has them. */
export const journal_inode = struct("journal_inode", {
  committing_disksize: u16("i_disksize in the committing transaction"),
  disksize: u16("i_disksize in the newest transaction on the disk"),
});

const on = (g: Geometry, rows: number): number => (g.config.has("journal") ? rows : 0);
const slots_of = (g: Geometry): number => g.files.reduce((sum, { pages }) => sum + pages, 0);

/** The structs of this file. */
export const journalTables: readonly Table[] = [
  { struct: journal, rows: (g) => on(g, g.disks) },
  { struct: jbd2_inode, rows: (g) => on(g, g.files.length + 1) },
  { struct: ext4_inode_info, rows: (g) => on(g, g.files.length + 1) },
  { struct: journal_extent, rows: (g) => on(g, g.config.has("blocks") ? slots_of(g) : 0) },
  { struct: journal_inode, rows: (g) => on(g, g.files.length + 1) },
];

/** Before the first step: all that the files have is on the disk, and no transaction runs. */
export function init_journal(k: Kernel): void {
  const { i_disksize } = k.of(ext4_inode_info);
  if (i_disksize.length === 0) return;
  i_disksize.set(k.inode.i_size);
  k.of(journal_inode).disksize.set(i_disksize);
  const image = k.of(journal_extent);
  image.state.set(k.of(extent).state);
  image.block.set(k.of(extent).block);
}

const sb_of = (k: Kernel, mapping: InodeNr): DiskNr => k.inode.disk[mapping];

/** start_this_handle, once the running transaction takes handles: join it, or begin one. */
function join_transaction(k: Kernel, sb: DiskNr): void {
  const { j_running_transaction, j_committing_transaction, j_commit_sequence, t_updates } = k.of(journal);
  if (j_running_transaction[sb] === 0)
    j_running_transaction[sb] = Math.max(j_committing_transaction[sb], j_commit_sequence[sb]) + 1;
  t_updates[sb]++;
}

/** Open a handle on the running transaction of the filesystem that has `mapping`; sleeps while that is T_LOCKED. */
export const ext4_journal_start = <F extends { readonly mapping: InodeNr }>(): Node<Kernel, F> =>
  config<F>("journal", [
    takes(
      jbd2_handle,
      wait<F>(
        "jbd2_journal_start",
        (k, f) => k.of(journal).t_locked[sb_of(k, f.mapping)] === 0,
        (k, f) => join_transaction(k, sb_of(k, f.mapping)),
      ),
    ),
  ]);

/** Close the handle. */
export const ext4_journal_stop = <F extends { readonly mapping: InodeNr }>(): Node<Kernel, F> =>
  config<F>("journal", [
    gives(
      jbd2_handle,
      step<F>("jbd2_journal_stop", (k, f) => {
        k.of(journal).t_updates[sb_of(k, f.mapping)]--;
      }),
    ),
  ]);

/** ext4_mark_inode_dirty: fsync of the inode must wait for the transaction that runs now. The caller has a handle. */
export function ext4_mark_inode_dirty(k: Kernel, mapping: InodeNr): void {
  const { i_sync_tid } = k.of(ext4_inode_info);
  if (i_sync_tid.length > 0) i_sync_tid[mapping] = k.of(journal).j_running_transaction[sb_of(k, mapping)];
}

/** jbd2_journal_file_inode: the running transaction's commit sees to the inode's data, as the flags say. */
export function jbd2_journal_file_inode(k: Kernel, mapping: InodeNr, flags: number): void {
  const { i_transaction, i_next_transaction, i_flags } = k.of(jbd2_inode);
  if (i_transaction.length === 0 || k.geometry.mount.data !== "ordered") return;
  const running = k.of(journal).j_running_transaction[sb_of(k, mapping)];
  i_flags[mapping] |= flags;
  if (i_transaction[mapping] === running || i_next_transaction[mapping] === running) return;
  if (i_transaction[mapping] === 0) i_transaction[mapping] = running;
  else i_next_transaction[mapping] = running;
}

/**
 * Before a file of data=ordered shrinks: what a committing transaction has promised to write of it must be on its way before the
 * pages go. Sizes are in parts.
 */
export const jbd2_journal_begin_ordered_truncate = path(
  "jbd2_journal_begin_ordered_truncate",
  {
    source: "fs/jbd2/transaction.c v4.20",
    args: { mapping: inode, newsize: int },
    locals: { start: int },
    returns: int,
  },
  [
    when(
      "inode_trans == commit_trans",
      (k, f) => {
        const trans = k.of(jbd2_inode).i_transaction[f.mapping];
        return trans !== 0 && trans === k.of(journal).j_committing_transaction[sb_of(k, f.mapping)];
      },
      [
        local((k, f) => {
          f.start = Math.floor(f.newsize / k.geometry.parts);
        }),
        call(
          () => __filemap_fdatawrite_range,
          { mapping: "mapping", range_start: "start", range_end: RANGE_END, sync: 1 },
          "ret",
        ),
      ],
    ),
  ],
);

/** When blocks that are freed now can be given out: after the running transaction, which says so, is on the disk. */
export const freed_pending = (k: Kernel): number =>
  k.of(journal).t_updates.length > 0 ? PENDING.running : PENDING.none;

/** The transaction that has to be on the disk before all that has been done is: the running one, or the committing one. */
const newest_transaction = (k: Kernel, sb: DiskNr): number =>
  k.of(journal).j_running_transaction[sb] || k.of(journal).j_committing_transaction[sb];

/** Sleep until transaction `tid` of the filesystem that has `mapping` is on the disk. Nobody may who has a handle. */
export const jbd2_log_wait_commit = <F extends { readonly mapping: InodeNr; readonly tid: number }>(): Node<
  Kernel,
  F
> =>
  awaits(
    jbd2_handle,
    wait<F>("jbd2_log_wait_commit", (k, f) => k.of(journal).j_commit_sequence[sb_of(k, f.mapping)] >= f.tid),
  );

/**
 * Have what runs committed, or wait for what is being committed, if anything is. Nobody may who has a handle.
 * jbd2_journal_force_commit_nested, for who has none, is the same.
 */
export const jbd2_journal_force_commit = path(
  "jbd2_journal_force_commit",
  { source: "fs/jbd2/journal.c v4.20", args: { mapping: inode }, locals: { tid: int } },
  [
    step("__jbd2_journal_force_commit", (k, f) => {
      f.tid = newest_transaction(k, sb_of(k, f.mapping));
    }),
    given((_, f) => f.tid !== 0, [jbd2_log_wait_commit()]),
  ],
);

/** T_FLUSH: the transaction is frozen, and the next handle begins another one. */
function freeze_transaction(k: Kernel, sb: DiskNr): void {
  const { j_running_transaction, j_committing_transaction, t_locked } = k.of(journal);
  if (should_journal_data(k)) begin_commit(k, sb, j_running_transaction[sb]);
  j_committing_transaction[sb] = j_running_transaction[sb];
  j_running_transaction[sb] = 0;
  t_locked[sb] = 0;
  const image = k.of(journal_extent);
  const { state, block } = k.of(extent);
  for_each_inode(k, sb, (mapping) => {
    k.of(journal_inode).committing_disksize[mapping] = k.of(ext4_inode_info).i_disksize[mapping];
    for (let slot = k.slotOf(mapping, 0); slot < k.slotOf(mapping, k.inode.i_pages[mapping]); slot++) {
      if (image.state.length === 0) return;
      // A promise of space is nothing that the disk knows.
      image.committing_state[slot] = state[slot] === EXTENT.delayed ? EXTENT.hole : state[slot];
      image.committing_block[slot] = block[slot];
    }
  });
  advance_pending(k, sb, PENDING.running, PENDING.committing);
}

/** The commit record is on the disk: recovery finds the transaction whole from here on. */
function log_transaction(k: Kernel, sb: DiskNr): void {
  const image = k.of(journal_extent);
  const inodes = k.of(journal_inode);
  for_each_inode(k, sb, (mapping) => {
    inodes.disksize[mapping] = inodes.committing_disksize[mapping];
    inodes.committing_disksize[mapping] = 0;
    for (let slot = k.slotOf(mapping, 0); slot < k.slotOf(mapping, k.inode.i_pages[mapping]); slot++) {
      if (image.state.length === 0) return;
      log_data(
        k,
        slot,
        image.committing_state[slot] !== EXTENT.mapped || image.block[slot] !== image.committing_block[slot],
      );
      image.state[slot] = image.committing_state[slot];
      image.block[slot] = image.committing_block[slot];
      image.committing_state[slot] = 0;
      image.committing_block[slot] = 0;
    }
  });
}

/** Who waits for the transaction goes on. The blocks that it freed can be given out. */
function finish_transaction(k: Kernel, sb: DiskNr): void {
  const { j_committing_transaction, j_commit_sequence } = k.of(journal);
  j_commit_sequence[sb] = j_committing_transaction[sb];
  j_committing_transaction[sb] = 0;
  advance_pending(k, sb, PENDING.committing, PENDING.none);
}

function for_each_inode(k: Kernel, sb: DiskNr, visit: (mapping: InodeNr) => void): void {
  for (let mapping = 1; mapping < k.inode.disk.length; mapping++)
    if (k.inode.disk[mapping] === sb) visit(mapping);
}

/** The next inode on the committing transaction's list that has this flag, after `mapping`, or 0. */
function next_inode(k: Kernel, sb: DiskNr, mapping: InodeNr, flag: number): InodeNr {
  const { i_transaction, i_flags } = k.of(jbd2_inode);
  const committing = k.of(journal).j_committing_transaction[sb];
  for (let next = mapping + 1; next < i_transaction.length; next++)
    if (k.inode.disk[next] === sb && i_transaction[next] === committing && (i_flags[next] & flag) !== 0)
      return next;
  return 0;
}

/** Inodes of the transaction that has committed go to the next one's list, or to none. */
function refile_inodes(k: Kernel, sb: DiskNr): void {
  const { i_transaction, i_next_transaction } = k.of(jbd2_inode);
  const committing = k.of(journal).j_committing_transaction[sb];
  for_each_inode(k, sb, (mapping) => {
    if (i_transaction[mapping] !== committing) return;
    // Its flags stay: who once asked for its data to be written has asked every later commit that it is in.
    i_transaction[mapping] = i_next_transaction[mapping];
    i_next_transaction[mapping] = 0;
  });
}

/** Commit the running transaction. */
export const jbd2_journal_commit_transaction = path(
  "jbd2_journal_commit_transaction",
  {
    source: "fs/jbd2/commit.c v4.20",
    args: { sb: disk },
    locals: { mapping: inode, ret: int, range_end: int, page: pfn, tid: int },
  },
  [
    step("T_LOCKED", (k, f) => {
      k.of(journal).t_locked[f.sb] = 1;
    }),
    awaits(
      jbd2_handle,
      wait(
        "j_wait_updates",
        (k, f) => k.of(journal).t_updates[f.sb] === 0,
        (k, f) => freeze_transaction(k, f.sb),
      ),
    ),
    label("submit"),
    step("journal_submit_data_buffers", (k, f) => {
      f.mapping = next_inode(k, f.sb, f.mapping, JI.WRITE_DATA);
      f.range_end = Math.floor(k.inode.i_size[f.mapping] / k.geometry.parts);
    }),
    given(
      (_, f) => f.mapping !== 0,
      [
        // Not writepages: that would choose blocks, for which it needs a handle.
        call(
          () => generic_writepages,
          {
            mapping: "mapping",
            sync: 1,
            tagged: 0,
            nr_to_write: LONG_MAX,
            range_start: 0,
            range_end: "range_end",
          },
          "ret",
        ),
        goto("submit"),
      ],
    ),
    given(
      (k) => should_journal_data(k),
      [
        local((k, f) => {
          f.tid = k.of(journal).j_committing_transaction[f.sb];
        }),
        label("write"),
        step("jbd2_journal_write_metadata_buffer", (k, f) => {
          f.page = next_buffer(k, f.sb, f.tid, BJ.Metadata, NONE);
          if (f.page !== NONE) write_metadata_buffer(k, f.page, f.tid);
        }),
        given((_, f) => f.page !== NONE, [goto("write")]),
      ],
    ),
    label("finish"),
    step("journal_finish_inode_data_buffers", (k, f) => {
      f.ret = 0;
      f.range_end = 0;
      f.mapping = next_inode(k, f.sb, f.mapping, JI.WAIT_DATA);
      if (f.mapping === 0) refile_inodes(k, f.sb);
    }),
    given(
      (_, f) => f.mapping !== 0,
      [
        call(() => __filemap_fdatawait_range, { mapping: "mapping", range_start: 0, range_end: RANGE_END }),
        goto("finish"),
      ],
    ),
    given((k) => should_journal_data(k), [step("wait_on_buffer", (k, f) => end_buffer_io(k, f.sb, f.tid))]),
    step("journal_wait_on_commit_record", (k, f) => log_transaction(k, f.sb)),
    given(
      (k) => should_journal_data(k),
      [
        label("forget"),
        step("t_forget", (k, f) => {
          f.page = next_buffer(k, f.sb, f.tid, BJ.Forget, NONE);
          if (f.page !== NONE) forget_buffer(k, f.page, f.tid);
        }),
        given((_, f) => f.page !== NONE, [goto("forget")]),
      ],
    ),
    step("j_commit_sequence", (k, f) => finish_transaction(k, f.sb)),
  ],
);

/** The commit thread of a filesystem: commits what runs, after a while. */
export const kjournald2 = path("kjournald2", { source: "fs/jbd2/journal.c v4.20", args: { sb: disk } }, [
  repeat(
    () => true,
    [
      pause("commit interval"),
      wait("j_wait_commit", (k, f) => k.of(journal).j_running_transaction[f.sb] !== 0),
      call(() => jbd2_journal_commit_transaction, { sb: "sb" }),
    ],
  ),
]);
