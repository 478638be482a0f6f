/**
 * Buffers in transactions: how file data gets into the journal with data=journal, and out of it.
 *
 * Source: fs/jbd2/transaction.c, fs/jbd2/commit.c, fs/jbd2/checkpoint.c in v4.20. A buffer belongs to one transaction at a time; the
 * next one may have it, too, while the first commits, and what it changes before the first has written the buffer to the journal makes
 * a copy (frozen data). Only what asks is copied: a CPU or a device that has the page mapped or pinned changes it without a word, up to
 * the moment at which the commit takes its bytes. After the commit the buffer is dirty like any other, and ordinary
 * writeback brings it to its place. Until then its journal_head keeps its transaction in the journal, and try_to_free_buffers away.
 *
 * Everything here runs under j_list_lock and the buffer's own lock: plain functions are one step each.
 *
 * Left out: credits, undo access, triggers, revoke records as such (a block that a transaction frees is not replayed), the buffer
 * lock, checkpointing when the journal is full (it never is): what is logged stays so until a newer transaction has the block or
 * frees it.
 */
import type { Node } from "../../../machine/path.js";
import type { Kernel } from "../../kernel.js";
import { wait } from "../../language.js";
import { page_mapping } from "../../mm/filemap.js";
import { PageLocked, TestSetPageDirty } from "../../mm/page.js";
import { __mark_inode_dirty, __set_page_dirty } from "../../mm/page_writeback.js";
import { BH } from "../../structs.js";
import { type DiskNr, type InodeNr, NONE, type Pfn, type Slot } from "../../types.js";
import { buffer_dirty, buffer_mapped, try_to_free_buffers, write_buffer } from "../buffer.js";
import { journal } from "../jbd2.js";
import { BJ, frozen_data, journal_data, journal_head } from "./journal_head.js";

export const buffer_jbd = (k: Kernel, page: Pfn): boolean => (k.page.b_state[page] & BH.jbd) !== 0;
const buffer_jbddirty = (k: Kernel, page: Pfn): boolean => (k.page.b_state[page] & BH.jbddirty) !== 0;

/** jbd2_journal_put_journal_head: without a transaction and a checkpoint it is gone. */
function put_journal_head(k: Kernel, page: Pfn): void {
  const jh = k.of(journal_head);
  if (jh.b_transaction[page] !== 0 || jh.b_cp_transaction[page] !== 0) return;
  jh.b_jlist[page] = BJ.None;
  jh.b_modified[page] = 0;
  jh.b_blocknr[page] = 0;
  write_buffer(k, page, 0, BH.jbd);
}

/** mark_buffer_dirty under a spinlock: the page may be locked by anybody, or by nobody. */
function expose_to_VM(k: Kernel, page: Pfn): void {
  write_buffer(k, page, BH.dirty);
  if (TestSetPageDirty(k, page)) return;
  __set_page_dirty(k, page, false);
  __mark_inode_dirty(k, page);
}

/** __jbd2_journal_temp_unlink_buffer: off its list; what the journal had as dirty is dirty for all to see. */
function temp_unlink_buffer(k: Kernel, page: Pfn): void {
  const { b_jlist } = k.of(journal_head);
  if (b_jlist[page] === BJ.None) return;
  b_jlist[page] = BJ.None;
  if (!buffer_jbddirty(k, page)) return;
  write_buffer(k, page, 0, BH.jbddirty);
  expose_to_VM(k, page);
}

/** __jbd2_journal_unfile_buffer */
function unfile_buffer(k: Kernel, page: Pfn): void {
  temp_unlink_buffer(k, page);
  k.of(journal_head).b_transaction[page] = 0;
  put_journal_head(k, page);
}

/** __jbd2_journal_file_buffer: on a list of a transaction; its dirty bit is the journal's from now on. */
function file_buffer(k: Kernel, page: Pfn, tid: number, jlist: number): void {
  const jh = k.of(journal_head);
  if (jh.b_transaction[page] !== 0 && jh.b_jlist[page] === jlist) return;
  const was_dirty = buffer_dirty(k, page) || buffer_jbddirty(k, page);
  write_buffer(k, page, BH.jbd, BH.dirty | BH.jbddirty);
  if (jh.b_blocknr[page] === 0) jh.b_blocknr[page] = k.slotOf(k.page.mapping[page], k.page.index[page]) + 1;
  jh.b_transaction[page] = tid;
  jh.b_jlist[page] = jlist;
  if (was_dirty) write_buffer(k, page, BH.jbddirty);
}

/** __jbd2_journal_refile_buffer: to the next transaction that has it, or to none. */
function refile_buffer(k: Kernel, page: Pfn): void {
  const jh = k.of(journal_head);
  const next = jh.b_next_transaction[page];
  if (next === 0) {
    unfile_buffer(k, page);
    return;
  }
  const was_dirty = buffer_jbddirty(k, page);
  write_buffer(k, page, 0, BH.jbddirty);
  jh.b_jlist[page] = BJ.None;
  jh.b_transaction[page] = next;
  jh.b_next_transaction[page] = 0;
  const jlist = jh.b_freed[page] === 1 ? BJ.Forget : jh.b_modified[page] === 1 ? BJ.Metadata : BJ.Reserved;
  file_buffer(k, page, next, jlist);
  if (was_dirty) write_buffer(k, page, BH.jbddirty);
}

/** __jbd2_journal_remove_checkpoint */
function remove_checkpoint(k: Kernel, page: Pfn): void {
  k.of(journal_head).b_cp_transaction[page] = 0;
  put_journal_head(k, page);
}

const parts_of = (k: Kernel, page: Pfn): readonly [number, number] => [
  page * k.geometry.parts,
  (page + 1) * k.geometry.parts,
];

const has_frozen_data = (k: Kernel, page: Pfn): boolean =>
  k.of(frozen_data).version[page * k.geometry.parts] !== 0;

/** Whether the committing transaction is writing the buffer to the journal, without a copy: its bytes may not change. */
function is_shadow(k: Kernel, page: Pfn, tid: number): boolean {
  const { b_transaction, b_next_transaction, b_jlist } = k.of(journal_head);
  return (
    buffer_jbd(k, page) &&
    b_transaction[page] !== tid &&
    b_next_transaction[page] !== tid &&
    b_jlist[page] === BJ.Shadow &&
    !has_frozen_data(k, page)
  );
}

/** do_get_write_access, once the buffer is in nobody's shadow. */
function get_write_access(k: Kernel, page: Pfn, tid: number): void {
  const jh = k.of(journal_head);
  if (buffer_dirty(k, page)) write_buffer(k, page, BH.jbddirty, BH.dirty);
  if (jh.b_transaction[page] === tid || jh.b_next_transaction[page] === tid) return;
  jh.b_modified[page] = 0;
  if (jh.b_transaction[page] === 0) {
    file_buffer(k, page, tid, BJ.Reserved);
    return;
  }
  if (!has_frozen_data(k, page) && jh.b_jlist[page] === BJ.Metadata) {
    const [from, to] = parts_of(k, page);
    for (let at = from; at < to; at++) k.of(frozen_data).version[at] = k.content.version[at] + 1;
  }
  jh.b_next_transaction[page] = tid;
}

/** jbd2_journal_dirty_metadata: the buffer is modified in this transaction. Write access was got before. */
function dirty_metadata(k: Kernel, page: Pfn, tid: number): void {
  const jh = k.of(journal_head);
  if (jh.b_modified[page] === 1) return;
  jh.b_modified[page] = 1;
  if (jh.b_transaction[page] === tid && jh.b_jlist[page] === BJ.Metadata) return;
  write_buffer(k, page, BH.jbddirty);
  // The committing transaction's: it is filed again when that is done.
  if (jh.b_transaction[page] !== tid) return;
  file_buffer(k, page, tid, BJ.Metadata);
}

interface BufferOf {
  readonly page: Pfn;
  readonly mapping: InodeNr;
}

const running_tid = (k: Kernel, { mapping }: BufferOf): number =>
  k.of(journal).j_running_transaction[k.inode.disk[mapping]];
const skipped = (k: Kernel, page: Pfn): boolean =>
  !buffer_mapped(k, page) || k.of(journal_head).b_freed[page] === 1;

/** The running transaction may change a page's buffer from here on; sleeps while the committing one writes it to the journal. */
export const do_journal_get_write_access = <F extends BufferOf>(): Node<Kernel, F> =>
  wait<F>(
    "jbd2_journal_get_write_access",
    (k, f) => skipped(k, f.page) || !is_shadow(k, f.page, running_tid(k, f)),
    (k, f) => {
      if (skipped(k, f.page)) return;
      const dirty = buffer_dirty(k, f.page);
      write_buffer(k, f.page, 0, BH.dirty);
      get_write_access(k, f.page, running_tid(k, f));
      if (dirty) dirty_metadata(k, f.page, running_tid(k, f));
    },
  );

/** write_end_fn: the buffer has its new bytes; the running transaction has the buffer. */
export function write_end_fn(k: Kernel, f: BufferOf): void {
  if (skipped(k, f.page)) return;
  write_buffer(k, f.page, BH.uptodate);
  dirty_metadata(k, f.page, running_tid(k, f));
}

/** May jbd2 let go of a page's buffer, and the page of its buffers? A buffer in a transaction is busy; a written checkpoint is not. */
export function jbd2_journal_try_to_free_buffers(k: Kernel, page: Pfn): boolean {
  const { b_transaction, b_next_transaction, b_cp_transaction } = k.of(journal_head);
  if (buffer_jbd(k, page)) {
    const busy = buffer_dirty(k, page) || b_next_transaction[page] !== 0 || b_transaction[page] !== 0;
    if (!busy && b_cp_transaction[page] !== 0) remove_checkpoint(k, page);
    if (buffer_jbd(k, page)) return false;
  }
  return try_to_free_buffers(k, page);
}

/** __dispose_buffer: gives whether jbd2 has no more interest in it. */
function dispose_buffer(k: Kernel, page: Pfn, tid: number): boolean {
  if (k.of(journal_head).b_cp_transaction[page] === 0) {
    unfile_buffer(k, page);
    return true;
  }
  temp_unlink_buffer(k, page);
  write_buffer(k, page, 0, BH.dirty);
  file_buffer(k, page, tid, BJ.Forget);
  return false;
}

/** journal_unmap_buffer of a whole page: what becomes of a buffer whose page is truncated. Gives whether it may be freed. */
export function journal_unmap_buffer(k: Kernel, page: Pfn, sb: DiskNr): boolean {
  const jh = k.of(journal_head);
  const { j_running_transaction, j_committing_transaction } = k.of(journal);
  const running = j_running_transaction[sb];
  const committing = j_committing_transaction[sb];
  let may_free = true;
  if (buffer_jbd(k, page)) {
    const transaction = jh.b_transaction[page];
    if (transaction === 0) {
      if (!buffer_dirty(k, page)) remove_checkpoint(k, page);
      else if (running !== 0 || committing !== 0) may_free = dispose_buffer(k, page, running || committing);
      else {
        write_buffer(k, page, 0, BH.jbddirty);
        remove_checkpoint(k, page);
      }
    } else if (transaction === committing) {
      // It cannot be touched before the commit is done, which then throws it away.
      jh.b_freed[page] = 1;
      if (running !== 0 && buffer_jbddirty(k, page)) jh.b_next_transaction[page] = running;
      return false;
    } else {
      may_free = dispose_buffer(k, page, transaction);
    }
    jh.b_modified[page] = 0;
  }
  write_buffer(k, page, 0, BH.dirty | BH.mapped | BH.delay | BH.unwritten);
  return may_free;
}

const sb_of_slot = (k: Kernel, slot: Slot): DiskNr => {
  let mapping = 1;
  while (mapping + 1 < k.inode.first_slot.length && k.inode.first_slot[mapping + 1] <= slot) mapping++;
  return k.inode.disk[mapping];
};

/** The next page after `page` whose buffer is on a list of a transaction of this filesystem, or NONE. */
export function next_buffer(k: Kernel, sb: DiskNr, tid: number, jlist: number, page: Pfn): Pfn {
  const { b_transaction, b_jlist, b_blocknr } = k.of(journal_head);
  for (let next = page + 1; next < b_transaction.length; next++)
    if (b_transaction[next] === tid && b_jlist[next] === jlist && sb_of_slot(k, b_blocknr[next] - 1) === sb)
      return next;
  return NONE;
}

const for_each_buffer = (
  k: Kernel,
  sb: DiskNr,
  tid: number,
  jlist: number,
  visit: (page: Pfn) => void,
): void => {
  for (
    let page = next_buffer(k, sb, tid, jlist, NONE);
    page !== NONE;
    page = next_buffer(k, sb, tid, jlist, page)
  )
    visit(page);
};

/** A commit begins: what was reserved and not used goes, and what has been written to its place is off the checkpoint lists. */
export function begin_commit(k: Kernel, sb: DiskNr, tid: number): void {
  for_each_buffer(k, sb, tid, BJ.Reserved, (page) => refile_buffer(k, page));
  const { b_transaction, b_cp_transaction, b_blocknr } = k.of(journal_head);
  for (let page = 0; page < b_transaction.length; page++)
    if (b_cp_transaction[page] !== 0 && b_transaction[page] === 0 && !buffer_dirty(k, page))
      if (sb_of_slot(k, b_blocknr[page] - 1) === sb) remove_checkpoint(k, page);
}

/** jbd2_journal_write_metadata_buffer: the bytes as they are now, or as they were frozen, go to the journal. */
export function write_metadata_buffer(k: Kernel, page: Pfn, tid: number): void {
  const { parts } = k.geometry;
  const slot = k.of(journal_head).b_blocknr[page] - 1;
  const frozen = has_frozen_data(k, page);
  for (let part = 0; part < parts; part++) {
    const at = page * parts + part;
    k.of(journal_data).committing[slot * parts + part] = frozen
      ? k.of(frozen_data).version[at]
      : k.content.version[at] + 1;
  }
  file_buffer(k, page, tid, BJ.Shadow);
}

/** They are in the journal: changes need not wait any more. */
export function end_buffer_io(k: Kernel, sb: DiskNr, tid: number): void {
  for_each_buffer(k, sb, tid, BJ.Shadow, (page) => file_buffer(k, page, tid, BJ.Forget));
}

/** release_buffer_page: the buffers of a page that was truncated while they were in the journal. */
function release_buffer_page(k: Kernel, page: Pfn): void {
  if (buffer_dirty(k, page) || page_mapping(k, page) !== 0 || PageLocked(k, page)) return;
  try_to_free_buffers(k, page);
}

/** A buffer of a transaction that is on the disk: on its checkpoint list until it is written to its place, or gone. */
export function forget_buffer(k: Kernel, page: Pfn, tid: number): void {
  const jh = k.of(journal_head);
  k.of(frozen_data).version.fill(0, ...parts_of(k, page));
  jh.b_cp_transaction[page] = 0;
  const last = jh.b_next_transaction[page] === 0;
  if (jh.b_freed[page] === 1) {
    jh.b_modified[page] = 0;
    if (last) {
      jh.b_freed[page] = 0;
      write_buffer(k, page, 0, BH.jbddirty | BH.mapped);
    }
  }
  const try_to_free = !buffer_jbddirty(k, page) && last;
  if (buffer_jbddirty(k, page)) jh.b_cp_transaction[page] = tid;
  refile_buffer(k, page);
  if (try_to_free) release_buffer_page(k, page);
}

/** The transaction is on the disk: recovery replays its data from here on. */
export function log_data(k: Kernel, slot: Slot, replaced: boolean): void {
  const { committing, logged } = k.of(journal_data);
  const { parts } = k.geometry;
  for (let at = slot * parts; at < (slot + 1) * parts && at < logged.length; at++) {
    if (committing[at] !== 0) logged[at] = committing[at];
    else if (replaced) logged[at] = 0;
    committing[at] = 0;
  }
}
