/**
 * The running kernel: its memory by struct, its counters, and the two ways in which it speaks: faults and events.
 *
 * Faults of the simulated kernel are data (a record on `faults`); guplab's own faults throw.
 */

import type { LockClass } from "../machine/lock.js";
import type { Running } from "../machine/machine.js";
import { type Columns, type Fields, type Memory, type Struct, thawed } from "../machine/memory.js";
import type { Image, Instruction } from "../machine/program.js";
import type { Fault, FaultKind, Recorder } from "../trace/recording.js";
import { LRU_PLACE, PTE_BIT, pg, TAG_BIT, WORD, type Word } from "../trace/words.js";
import type { Config } from "./config.js";
import { errnoName } from "./errno.js";
import { block_rows } from "./fs/blocks.js";
import type { Geometry } from "./geometry.js";
import { type Inserts, NO_INSERTS } from "./inserts.js";
import { lockCount } from "./locks.js";
import * as S from "./structs.js";
import type { InodeNr, Pfn, Slot } from "./types.js";

export const PAGEVEC_SIZE = 15;
export const PVECS = 3;

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

/** Entries of a batch: 15, or as many as a small machine can ever park before somebody drains. */
export const pagevecSize = (geometry: Geometry) => Math.min(PAGEVEC_SIZE, 2 * geometry.pages);

/** A struct of one subsystem, and how many rows of it a machine has. */
export interface Table {
  readonly struct: Struct;
  readonly rows: (g: Geometry) => number;
}

/**
 * The kernel's structs and their rows for a machine of this size.
 *
 * @param tables the structs that subsystems have of their own
 * @param locks the lock classes for which somebody may have to wait
 */
export function kernelTables(
  g: Geometry,
  tables: readonly Table[] = [],
  locks: readonly LockClass[] = [],
): (readonly [Struct, number])[] {
  const slots = sum(g.files.map(({ pages }) => pages));
  return [
    [S.page, g.pages + (g.zeroPage ? 1 : 0)],
    [S.content, (g.pages + (g.zeroPage ? 1 : 0)) * g.parts],
    [S.block, block_rows(g)],
    [S.pte, g.virtualPages],
    [g.config.has("mmap") ? thawed(S.vma) : S.vma, g.vmas.length],
    [g.config.has("truncate") ? thawed(S.inode_struct, ["i_size"]) : S.inode_struct, g.files.length + 1],
    [S.xa_slot, slots],
    [S.xa_mark, Math.ceil(slots / 32)],
    [S.lruvec, S.LRU_LISTS + (g.config.has("mlock") ? 1 : 0)],
    [S.pagevec, PVECS * g.cpus],
    [S.pagevec_page, PVECS * g.cpus * pagevecSize(g)],
    [S.pgdat, 1],
    [S.gendisk, g.disks],
    [S.user_pages, g.dios],
    [S.user_page, g.dios * g.dioPages],
    [S.vmstat, 1],
    ...tables.map(({ struct, rows }) => [struct, rows(g)] as const),
    ...locks.map((lock) => [lock.struct, lockCount(lock, g)] as const),
  ];
}

/** A PTE: its bits, and the pfn above them. */
export const PFN_SHIFT = 4;
/** More page frames than a machine can have: a pfn must fit into a PTE. */
const MAX_PAGES = 2 ** (32 - PFN_SHIFT);
export const PTE = PTE_BIT;

type Of<T> = T extends Struct<infer C> ? Columns<C> : never;

/** The state that steps read and write: a column for each field of each struct, `k.page._refcount[page]`, and a patch's own by `k.of(struct)`. */
export class Kernel implements Running {
  task = 0;
  at = 0;
  dying = false;

  readonly page: Of<typeof S.page>;
  readonly content: Of<typeof S.content>;
  readonly block: Of<typeof S.block>;
  readonly pte: Of<typeof S.pte>;
  readonly vma: Of<typeof S.vma>;
  readonly inode: Of<typeof S.inode_struct>;
  readonly xa_slot: Of<typeof S.xa_slot>;
  readonly xa_mark: Of<typeof S.xa_mark>;
  readonly lruvec: Of<typeof S.lruvec>;
  readonly pagevec: Of<typeof S.pagevec>;
  readonly pagevec_page: Of<typeof S.pagevec_page>;
  readonly pgdat: Of<typeof S.pgdat>;
  readonly gendisk: Of<typeof S.gendisk>;
  readonly user_pages: Of<typeof S.user_pages>;
  readonly user_page: Of<typeof S.user_page>;
  readonly vmstat: Of<typeof S.vmstat>;
  readonly pagevecSize: number;
  /** The first page frame of device memory; no page has this number on a machine without. */
  readonly device_start: number;
  /** Whether there are compound pages. */
  readonly compound: boolean;
  /** swapper_space: the inode of the swap area; 0 without one. */
  readonly swapper_space: InodeNr;
  readonly locks: readonly Int16Array[];
  private readonly code: readonly Instruction[];
  /** Told of each test on which a fault depends: what it says when it fails, whether it does, and the page. Default nobody. */
  testing: ((test: string, failed: boolean, page: Pfn) => void) | null = null;

  /** The number of the step that runs, counted from 1: the clock of events and faults. 0 is the start. */
  tick = 0;
  /** Faults so far. */
  readonly faults: Fault[] = [];
  /** Where events go; null when nobody listens. */
  recorder: Recorder | null = null;

  constructor(
    readonly memory: Memory,
    readonly geometry: Geometry,
    image: Image,
    private readonly taskNames: readonly string[],
    /** What patches have put into functions of the base. */
    readonly inserts: Inserts = NO_INSERTS,
  ) {
    this.code = image.code;
    const locks: Int16Array[] = [];
    for (const lock of image.locks) locks[lock.id] = memory.of(lock.struct).count;
    this.locks = locks;
    this.page = memory.of(S.page);
    this.content = memory.of(S.content);
    this.block = memory.of(S.block);
    this.pte = memory.of(S.pte);
    this.vma = memory.of(S.vma);
    this.inode = memory.of(S.inode_struct);
    this.xa_slot = memory.of(S.xa_slot);
    this.xa_mark = memory.of(S.xa_mark);
    this.lruvec = memory.of(S.lruvec);
    this.pagevec = memory.of(S.pagevec);
    this.pagevec_page = memory.of(S.pagevec_page);
    this.pgdat = memory.of(S.pgdat);
    this.gendisk = memory.of(S.gendisk);
    this.user_pages = memory.of(S.user_pages);
    this.user_page = memory.of(S.user_page);
    this.vmstat = memory.of(S.vmstat);
    this.pagevecSize = pagevecSize(geometry);
    let slot = 0;
    geometry.files.forEach(({ pages, size, fs, disk, stable_writes }, at) => {
      const inode = at + 1;
      this.inode.i_pages[inode] = pages;
      this.inode.i_size[inode] = size;
      this.inode.first_slot[inode] = slot;
      this.inode.fs[inode] = fs;
      this.inode.disk[inode] = disk;
      this.inode.stable_writes[inode] = stable_writes ? 1 : 0;
      slot += pages;
    });
    geometry.vmas.forEach(({ start, pages, flags, file, pgoff, mm, mapped }, at) => {
      this.vma.vm_start[at] = start;
      this.vma.vm_mm[at] = mm;
      if (!mapped || pages === 0) return;
      this.vma.vm_pages[at] = pages;
      this.vma.vm_flags[at] = flags;
      this.vma.vm_file[at] = file;
      this.vma.vm_pgoff[at] = pgoff;
    });
    if (geometry.zeroPage) {
      this.page._refcount[geometry.pages] = 1;
      this.page.flags[geometry.pages] = pg("reserved") | pg("uptodate");
    }
    this.compound = geometry.config.has("compound");
    this.swapper_space = geometry.config.has("swap") ? geometry.files.length : 0;
    this.device_start = geometry.devicePages > 0 ? geometry.pages - geometry.devicePages : MAX_PAGES;
    // Device memory is nobody's to allocate.
    const first = geometry.hugePages << geometry.hugeOrder;
    for (let p = geometry.pages - geometry.devicePages - 1; p >= first; p--) {
      this.page.lru_next[p] = this.pgdat.free[0];
      this.page.lru_prev[p] = p + 1;
      this.pgdat.free[0] = p + 1;
    }
  }

  /** The columns of a subsystem's struct; empty ones on a machine that does not have it. */
  of<C extends Fields>(table: Struct<C>): Columns<C> {
    return this.memory.of(table);
  }

  /** Whether the kernel has a struct: whether it has the patch that brings it. */
  knows(table: Struct<Fields>): boolean {
    return this.memory.has(table);
  }

  /** Whether the machine's configuration has an option. */
  has(option: Config): boolean {
    return this.geometry.config.has(option);
  }

  /** How many rows of struct inode are files', the first one of which is none: without the swap area. */
  get inodes(): number {
    return this.swapper_space === 0 ? this.inode.i_state.length : this.swapper_space;
  }

  /** Add to a /proc/vmstat counter. */
  count(counter: S.Counter, by = 1): void {
    this.vmstat[counter][0] += by;
  }

  /** The slot of a page of a file. */
  slotOf(inode: InodeNr, index: number): Slot {
    return this.inode.first_slot[inode] + index;
  }

  /** Report a fault of the simulated kernel at the step that runs now. */
  fault(kind: FaultKind, message: string, page: Pfn): void {
    const { path, step } = this.code[this.at];
    if (this.recorder) this.recorder.add(this.tick, this.task, this.at, page, WORD.fault, this.faults.length);
    this.faults.push({
      kind,
      path,
      step,
      pfn: page,
      task: this.taskNames[this.task],
      tick: this.tick,
      message,
    });
  }

  /** A call that is refused: what a caller asked for, and the error it gets. Gives the error. */
  refused(call: string, error: number, page: Pfn): number {
    this.fault("REFUSED", `${call}: ${errnoName(error)}`, page);
    return error;
  }

  /** A test on which a fault depends is made, and told to who counts them. Gives the condition, which is true where it fails. */
  tested(condition: boolean, test: string, page: Pfn): boolean {
    if (this.testing !== null) this.testing(test, condition, page);
    return condition;
  }

  /** Report a fault if its condition holds. Gives the condition. */
  fault_on(condition: boolean, kind: FaultKind, message: string, page: Pfn): boolean {
    if (this.tested(condition, message, page)) this.fault(kind, message, page);
    return condition;
  }

  /** BUG_ON: when it holds, the task dies here with all that it holds. Gives the condition. */
  BUG_ON(condition: boolean, message: string, page: Pfn): boolean {
    if (this.tested(condition, message, page)) {
      this.fault("BUG", message, page);
      this.dying = true;
    }
    return condition;
  }

  /** WARN_ON_ONCE: reports the first time since boot. `site` is the bit that remembers. */
  WARN_ON_ONCE(condition: boolean, site: number, message: string, page: Pfn): boolean {
    if (this.tested(condition, message, page) && (this.pgdat.warned[0] & (1 << site)) === 0) {
      this.pgdat.warned[0] |= 1 << site;
      this.fault("WARN", message, page);
    }
    return condition;
  }

  /** Tell the recording that a word of a page has a new value. */
  note(word: Word, page: Pfn, value: number): void {
    if (this.recorder !== null) this.recorder.add(this.tick, this.task, this.at, page, word, value);
  }

  /** Tell the recording every word of a page: at its start, and after time travel. */
  notePage(page: Pfn): void {
    this.note(WORD.flags, page, this.page.flags[page]);
    this.note(WORD.refcount, page, this.page._refcount[page]);
    this.note(WORD.mapcount, page, this.page.mapcount[page]);
    this.note(WORD.pins, page, this.page.pins[page]);
    this.note(WORD.device, page, this.page.device[page]);
    this.note(WORD.buffers, page, this.buffersWord(page));
    this.note(WORD.pte, page, this.pteWord(page));
    this.note(WORD.tags, page, this.tagsWord(page));
    this.note(WORD.lru, page, this.lruWord(page));
  }

  /** WORD.buffers of a page. */
  buffersWord(page: Pfn): number {
    return (this.page.flags[page] & pg("private")) !== 0 ? 1 | (this.page.b_state[page] << 1) : 0;
  }

  /** WORD.pte of a page: its PTEs' bits, ORed. */
  pteWord(page: Pfn): number {
    let bits = 0;
    if (this.page.mapcount[page] === 0) return 0;
    for (let at = 0; at < this.vma.vm_start.length; at++) {
      const entry = this.pteAt(at, page);
      if (entry >= 0) bits |= this.pte.entry[entry] & ((1 << PFN_SHIFT) - 1);
    }
    return bits;
  }

  /** The virtual page at which this VMA maps the page, or -1. */
  pteAt(vma: number, page: Pfn): number {
    const mapping = this.page.mapping[page];
    const start = this.vma.vm_start[vma];
    if (mapping === 0 || (!S.isAnon(mapping) && this.vma.vm_file[vma] !== mapping)) return -1;
    const at = start + this.page.index[page] - this.vma.vm_pgoff[vma];
    if (at < start || at >= start + this.vma.vm_pages[vma]) return -1;
    const entry = this.pte.entry[at];
    return (entry & PTE.present) !== 0 && entry >>> PFN_SHIFT === page ? at : -1;
  }

  /** WORD.tags of a page. */
  tagsWord(page: Pfn): number {
    const mapping = this.page.mapping[page];
    if (mapping === 0 || S.isAnon(mapping)) return 0;
    const slot = this.slotOf(mapping, this.page.index[page]);
    const bit = 1 << (slot & 31);
    const at = slot >>> 5;
    return (
      ((this.xa_mark.dirty[at] & bit) !== 0 ? TAG_BIT.dirty : 0) |
      ((this.xa_mark.writeback[at] & bit) !== 0 ? TAG_BIT.writeback : 0) |
      ((this.xa_mark.towrite[at] & bit) !== 0 ? TAG_BIT.towrite : 0)
    );
  }

  /** WORD.lru of a page. */
  lruWord(page: Pfn): number {
    const flags = this.page.flags[page];
    if ((flags & pg("lru")) === 0) return this.page._refcount[page] > 0 ? LRU_PLACE.isolated : LRU_PLACE.none;
    return (flags & pg("active")) !== 0 ? LRU_PLACE.active : LRU_PLACE.inactive;
  }
}
