/**
 * The running kernel: its memory by struct, its counters, and the two ways in which it speaks: faults and events.
 *
 * Faults of the simulated kernel are data (a record on `faults`); guplab's own faults throw.
 */

import type { Running } from "../machine/machine.js";
import type { Columns, Memory, Struct } from "../machine/memory.js";
import type { Instruction } from "../machine/program.js";
import type { Fault, FaultKind, Recorder } from "../trace/recording.js";
import { LRU_PLACE, PTE_BIT, pg, TAG_BIT, WORD, type Word } from "../trace/words.js";
import * as S from "./structs.js";
import type { InodeNr, Pfn, Slot } from "./types.js";

/** How big a machine is. */
export interface Geometry {
  /** Page frames. */
  readonly pages: number;
  /** Parts of a page that are written one after the other: 8 is one per 512-byte sector. */
  readonly parts: number;
  /** Virtual pages of all processes together. */
  readonly virtualPages: number;
  readonly vmas: number;
  readonly disks: number;
  readonly dios: number;
  /** Pages that one direct I/O can take: DIO_PAGES is 64. */
  readonly dioPages: number;
  /** Sizes of the files in pages; inode numbers count from 1. */
  readonly files: readonly number[];
  /** lru_size >> priority pages of each list are scanned at a time: DEF_PRIORITY is 12. */
  readonly priority: number;
}

export const PAGEVEC_SIZE = 15;
export const PVECS = 3;

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

/** Entries of a batch: 15, or as many as a small machine can ever park before somebody drains. */
export const pagevecSize = (geometry: Geometry) => Math.min(PAGEVEC_SIZE, 2 * geometry.pages);

/** The kernel's structs and their rows for a machine of this size. */
export function kernelTables(g: Geometry): (readonly [Struct, number])[] {
  const slots = sum(g.files);
  return [
    [S.page, g.pages],
    [S.content, g.pages * g.parts],
    [S.block, slots * g.parts],
    [S.pte, g.virtualPages],
    [S.vma, g.vmas],
    [S.inode_struct, g.files.length + 1],
    [S.xa_slot, slots],
    [S.xa_mark, Math.ceil(slots / 32)],
    [S.lruvec, S.LRU_LISTS],
    [S.pagevec, PVECS],
    [S.pagevec_page, PVECS * pagevecSize(g)],
    [S.pgdat, 1],
    [S.gendisk, g.disks],
    [S.dio_struct, g.dios],
    [S.dio_page, g.dios * g.dioPages],
    [S.vmstat, 1],
  ];
}

/** A PTE: its bits, and the pfn above them. */
export const PFN_SHIFT = 4;
export const PTE = PTE_BIT;

type Of<T> = T extends Struct<infer C> ? Columns<C> : never;

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
  readonly dio: Of<typeof S.dio_struct>;
  readonly dio_page: Of<typeof S.dio_page>;
  readonly vmstat: Of<typeof S.vmstat>;
  readonly pagevecSize: number;

  /** The number of the step that runs, counted from 1: the clock of events and faults. 0 is the start. */
  tick = 0;
  /** Faults so far. */
  readonly faults: Fault[] = [];
  /** Where events go; null when nobody listens. */
  recorder: Recorder | null = null;

  constructor(
    readonly memory: Memory,
    readonly geometry: Geometry,
    private readonly code: readonly Instruction[],
    private readonly taskNames: readonly string[],
  ) {
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
    this.dio = memory.of(S.dio_struct);
    this.dio_page = memory.of(S.dio_page);
    this.vmstat = memory.of(S.vmstat);
    this.pagevecSize = pagevecSize(geometry);
    let slot = 0;
    geometry.files.forEach((pages, at) => {
      this.inode.i_pages[at + 1] = pages;
      this.inode.first_slot[at + 1] = slot;
      slot += pages;
    });
    for (let p = geometry.pages - 1; p >= 0; p--) {
      this.page.lru_next[p] = this.pgdat.free[0];
      this.pgdat.free[0] = p + 1;
    }
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

  /** BUG_ON: when it holds, the task dies here with all that it holds. Gives the condition. */
  BUG_ON(condition: boolean, message: string, page: Pfn): boolean {
    if (condition) {
      this.fault("BUG", message, page);
      this.dying = true;
    }
    return condition;
  }

  /** WARN_ON_ONCE: reports the first time since boot. `site` is the bit that remembers. */
  WARN_ON_ONCE(condition: boolean, site: number, message: string, page: Pfn): boolean {
    if (condition && (this.pgdat.warned[0] & (1 << site)) === 0) {
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
    let at: number;
    if (mapping === S.ANON_MAPPING) at = this.page.index[page];
    else if (mapping !== 0 && this.vma.vm_file[vma] === mapping)
      at = start + this.page.index[page] - this.vma.vm_pgoff[vma];
    else return -1;
    if (at < start || at >= start + this.vma.vm_pages[vma]) return -1;
    const entry = this.pte.entry[at];
    return (entry & PTE.present) !== 0 && entry >>> PFN_SHIFT === page ? at : -1;
  }

  /** WORD.tags of a page. */
  tagsWord(page: Pfn): number {
    const mapping = this.page.mapping[page];
    if (mapping === 0 || mapping === S.ANON_MAPPING) return 0;
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
