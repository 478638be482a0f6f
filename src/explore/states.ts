/**
 * The states that a search has seen, packed (packing.ts), with the way to each: what tells new ones from old ones. Two states are
 * the same when all words are; the hash (Packing.hashOf) only says where to look.
 *
 * Looking up a state is waiting for memory and little else, so everything about a state lies together: its packed words, then
 * its hash, the state from which it was reached, by which task, and who sleeps in it.
 */
import type { Move, Packing } from "./packing.js";

const CHUNK_BITS = 14;
const CHUNK_STATES = 1 << CHUNK_BITS;
/** Words of a row that are not the state's own: its hash, where it was reached from, and by whom with who sleeps. */
const MORE = 3;
const HASH = 0;
const FROM = 1;
const BY = 2;
const FROM_NOWHERE = -1;
const TASK_BITS = 8;
/** A slot of the table: the number of a state plus one, and above it some bits of its hash, which spare most looks at other states. */
const NUMBER_BITS = 27;
const NUMBER = 2 ** NUMBER_BITS - 1;
const EMPTY = 0;
/** No search keeps more states. */
export const MOST_STATES = NUMBER - 1;
/** ... nor has more tasks. */
export const MOST_TASKS = 1 << TASK_BITS;
/** The tasks of which a state can say that they sleep: the first ones. */
export const SLEEPERS = 32 - TASK_BITS;

/** States that wait to be added, with the way to each. */
export class Batch {
  static readonly MOST = 256;
  count = 0;
  readonly packed: Int32Array;
  readonly from = new Int32Array(Batch.MOST);
  readonly tasks = new Int32Array(Batch.MOST);
  /** The tasks that sleep in each, as bits, should it be new. */
  readonly asleep = new Int32Array(Batch.MOST);
  readonly hashes = new Int32Array(Batch.MOST);
  /** What the table says of each at first sight. */
  readonly near = new Int32Array(Batch.MOST);
  /** The numbers that they got. */
  readonly numbers = new Int32Array(Batch.MOST);
  /** Keeps the looks ahead from being nothing. */
  touched = 0;

  /** @param mostWords words that a packed state can come to have */
  constructor(mostWords: number) {
    this.packed = new Int32Array(Batch.MOST * mostWords);
  }
}

export class StateSet {
  count = 0;
  /** Words of a packed state as it is kept. */
  private words: number;
  private stride: number;
  private chunks: Int32Array[] = [];
  /** Open addressing. */
  private table = new Int32Array(1 << 12);

  constructor(private readonly packing: Packing) {
    this.words = packing.words;
    this.stride = this.words + MORE;
  }

  /** What it takes, in bytes. */
  get bytes(): number {
    return this.chunks.length * CHUNK_STATES * this.stride * 4 + this.table.byteLength;
  }

  /** Copy a state that was seen; gives its hash. */
  load(state: number, packed: Int32Array): number {
    const { words } = this;
    const chunk = this.chunks[state >>> CHUNK_BITS];
    let at = (state & (CHUNK_STATES - 1)) * this.stride;
    for (let word = 0; word < words; word++) packed[word] = chunk[at++];
    return chunk[at + HASH];
  }

  /**
   * Add states that wait in a batch. Nearly all the time is spent on waiting for memory, once for the table and once for the state
   * that the table names; so each is asked for, for all of the batch, before it is needed.
   */
  addAll(batch: Batch): void {
    const { words, stride, table, chunks } = this;
    const { count, packed, hashes, near, numbers, from, tasks, asleep } = batch;
    const mask = table.length - 1;
    for (let each = 0; each < count; each++) near[each] = table[hashes[each] & mask];
    let touched = 0;
    for (let each = 0; each < count; each++) {
      const entry = near[each];
      if (entry === EMPTY || ((entry ^ hashes[each]) & ~NUMBER) !== 0) continue;
      const state = (entry & NUMBER) - 1;
      touched ^= chunks[state >>> CHUNK_BITS][(state & (CHUNK_STATES - 1)) * stride];
    }
    batch.touched = touched;
    for (let each = 0, at = 0; each < count; each++, at += words)
      numbers[each] = this.add(
        packed,
        at,
        hashes[each],
        from[each],
        tasks[each] | (asleep[each] << TASK_BITS),
      );
  }

  /** The number of a state; if it is new it is kept, reached from `from` (-1: it is the first), `by` a task and with those who sleep. */
  private add(packed: Int32Array, first: number, hash: number, from: number, by: number): number {
    const { words, table, chunks, stride } = this;
    const tag = hash & ~NUMBER;
    const mask = table.length - 1;
    let slot = hash;
    for (;;) {
      slot &= mask;
      const entry = table[slot];
      if (entry === EMPTY) break;
      if (((entry ^ tag) & ~NUMBER) === 0) {
        const state = (entry & NUMBER) - 1;
        const chunk = chunks[state >>> CHUNK_BITS];
        let at = (state & (CHUNK_STATES - 1)) * stride;
        let word = 0;
        while (word < words && packed[first + word] === chunk[at]) {
          word++;
          at++;
        }
        if (word === words) return state;
      }
      slot++;
    }
    const state = this.count;
    if (state === MOST_STATES) throw new RangeError(`a search keeps at most ${MOST_STATES} states`);
    // What can run out of memory comes first: what was seen so far stays whole.
    if ((state & (CHUNK_STATES - 1)) === 0 && state >>> CHUNK_BITS === chunks.length)
      chunks.push(new Int32Array(CHUNK_STATES * stride));
    const chunk = chunks[state >>> CHUNK_BITS];
    const at = (state & (CHUNK_STATES - 1)) * stride;
    for (let word = 0; word < words; word++) chunk[at + word] = packed[first + word];
    chunk[at + words + HASH] = hash;
    chunk[at + words + FROM] = from;
    chunk[at + words + BY] = by;
    table[slot] = tag | (state + 1);
    this.count++;
    if (this.count * 2 > table.length) this.rebuild(table.length * (table.length < 1 << 24 ? 4 : 2));
    return state;
  }

  /** The tasks that sleep in a state. */
  asleep(state: number): number {
    const chunk = this.chunks[state >>> CHUNK_BITS];
    return chunk[(state & (CHUNK_STATES - 1)) * this.stride + this.words + BY] >>> TASK_BITS;
  }

  /** The steps that lead to a state. */
  scheduleTo(state: number): number[] {
    const schedule: number[] = [];
    for (let at = state; ; ) {
      const chunk = this.chunks[at >>> CHUNK_BITS];
      const way = (at & (CHUNK_STATES - 1)) * this.stride + this.words;
      if (chunk[way + FROM] === FROM_NOWHERE) return schedule.reverse();
      schedule.push(chunk[way + BY] & (MOST_TASKS - 1));
      at = chunk[way + FROM];
    }
  }

  /** Let a component's numbers have more bits, in every state. */
  widen(component: number, number: number): void {
    const { packing } = this;
    // A pass over many states is dear: so that there are few, a wider field than is needed.
    const moves = packing.widen(component, number, this.count > CHUNK_STATES ? 1 : 0);
    if (moves.length === 0 && packing.words === this.words) return;
    const { words } = packing;
    this.chunks = this.chunks.map((chunk, at) => this.moved(chunk, at << CHUNK_BITS, moves, words));
    this.words = words;
    this.stride = words + MORE;
  }

  private moved(chunk: Int32Array, first: number, moves: readonly Move[], words: number): Int32Array {
    const stride = words + MORE;
    const wider = words > this.words ? new Int32Array(CHUNK_STATES * stride) : chunk;
    const states = Math.min(CHUNK_STATES, this.count - first);
    const numbers = new Int32Array(moves.length);
    for (let state = 0; state < states; state++) {
      const from = state * this.stride;
      const to = state * stride;
      if (wider !== chunk) {
        for (let at = 0; at < this.words; at++) wider[to + at] = chunk[from + at];
        for (let at = 0; at < MORE; at++) wider[to + words + at] = chunk[from + this.words + at];
      }
      for (let at = 0; at < moves.length; at++) {
        const { mask, fromWord, fromShift } = moves[at];
        numbers[at] = (wider[to + fromWord] >>> fromShift) & mask;
        wider[to + fromWord] &= ~(mask << fromShift);
      }
      for (let at = 0; at < moves.length; at++) {
        const { toWord, toShift } = moves[at];
        wider[to + toWord] |= numbers[at] << toShift;
      }
    }
    return wider;
  }

  private rebuild(size: number): void {
    const { words, stride } = this;
    const table = new Int32Array(size);
    const mask = size - 1;
    for (let state = 0; state < this.count; state++) {
      const hash = this.chunks[state >>> CHUNK_BITS][(state & (CHUNK_STATES - 1)) * stride + words + HASH];
      let slot = hash & mask;
      while (table[slot] !== EMPTY) slot = (slot + 1) & mask;
      table[slot] = (hash & ~NUMBER) | (state + 1);
    }
    this.table = table;
  }
}
