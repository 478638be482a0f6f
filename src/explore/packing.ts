/**
 * Exact states in few bits.
 *
 * A state is cut into components: what is one task's own (its place in the code and its locals), and every other cell by
 * itself. The values that a component takes are numbered as they are met, and a state is those numbers, each in as many bits as
 * its component needs so far: nothing is lost and nothing is hashed away, because the values themselves are kept once. A component that has
 * only ever had one value takes no bits. When a number does not fit, its component moves to a wider field, in every state that is
 * kept (states.ts).
 */
import type { Numbers } from "../machine/watch.js";
import { cellPrint } from "./fingerprint.js";

/** A component's field is now elsewhere: its number had these bits of a word, and has as many of another one, or of the same. */
export interface Move {
  readonly mask: number;
  readonly fromWord: number;
  readonly fromShift: number;
  readonly toWord: number;
  readonly toShift: number;
}

/** One cell of a machine. */
export interface PackedCell {
  readonly column: Numbers;
  readonly row: number;
}

/**
 * What a component's number adds to the hash of a state: it changes with the number, wherever that stands. Mixed well (the end of Austin
 * Appleby's MurmurHash3), because what is added up is not mixed any more.
 */
export function hashOf(component: number, number: number): number {
  let mixed = Math.imul(number, 0x9e3779b1) + Math.imul(component + 1, 0x7feb352d);
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}

/** How many bits are to be free after fields were moved to make room for one, so that it is not for one only. */
const FREE_BITS = 12;

const bitsOf = (mask: number): number => 32 - Math.clz32(mask);

export class Packing {
  /** Words of a packed state now. */
  words = 1;
  /** Per component, where its number is: read by loops that cannot afford to ask. */
  readonly word: Int32Array;
  readonly shift: Int32Array;
  readonly mask: Int32Array;
  /** How many values each component has had. */
  readonly counts: Int32Array;
  /** Per component, its values: as many numbers each as it has cells. */
  private readonly values: number[][];
  private readonly numbers: Map<number | string, number>[];
  /** Per component, the number of the value that it has in memory now; -1 where nobody knows. */
  private readonly live: Int32Array;
  /** Bits of each word that are taken. */
  private readonly taken: number[] = [0];

  /** @param components the cells of each, together all that a state is */
  constructor(private readonly components: readonly (readonly PackedCell[])[]) {
    const { length } = components;
    this.word = new Int32Array(length);
    this.shift = new Int32Array(length);
    this.mask = new Int32Array(length);
    this.counts = new Int32Array(length);
    this.live = new Int32Array(length);
    this.values = components.map(() => []);
    this.numbers = components.map(() => new Map());
    for (let each = 0; each < length; each++) this.numberOf(each);
  }

  /** Number of the value that a component has in memory now. The first value of each is number 0. */
  numberOf(component: number): number {
    const cells = this.components[component];
    const key =
      cells.length === 1
        ? cells[0].column[cells[0].row]
        : cells.map(({ column, row }) => column[row]).join(",");
    const numbers = this.numbers[component];
    const known = numbers.get(key);
    if (known !== undefined) {
      this.live[component] = known;
      return known;
    }
    const number = numbers.size;
    numbers.set(key, number);
    this.live[component] = number;
    for (const { column, row } of cells) this.values[component].push(column[row]);
    this.counts[component]++;
    return number;
  }

  /** Whether a number fits into its component's field as it is. */
  fits(component: number, number: number): boolean {
    return number <= this.mask[component];
  }

  /** Number of a component in a packed state, which begins at `first`. */
  get(packed: Int32Array, component: number, first = 0): number {
    return (packed[first + this.word[component]] >>> this.shift[component]) & this.mask[component];
  }

  /** Where a component is, in one number: from the lowest, 5 bits for how many bits it has, 5 for the shift, and the word. */
  where(component: number): number {
    return (this.word[component] << 10) | (this.shift[component] << 5) | bitsOf(this.mask[component]);
  }

  /** Put a value of a component, by its number, into memory. */
  put(component: number, number: number): void {
    if (this.live[component] === number) return;
    this.live[component] = number;
    const cells = this.components[component];
    const of = this.values[component];
    const first = number * cells.length;
    for (let at = 0; at < cells.length; at++) cells[at].column[cells[at].row] = of[first + at];
  }

  /** Memory has been changed by somebody else, who does not ask for the numbers of what it has become. */
  changed(): void {
    this.live.fill(-1);
  }

  /** Put the values of a packed state into memory. */
  unpack(packed: Int32Array): void {
    for (let component = 0; component < this.components.length; component++)
      this.put(component, this.get(packed, component));
  }

  /** Per component, what each of its numbers adds to the two sums of a state's fingerprint, one after the other. */
  prints(cellNumber: (cell: PackedCell) => number): Int32Array[] {
    return this.components.map((cells, component) => {
      const prints = new Int32Array(2 * this.counts[component]);
      this.values[component].forEach((value, at) => {
        const [high, low] = cellPrint(cellNumber(cells[at % cells.length]), value);
        const number = Math.floor(at / cells.length);
        prints[2 * number] += high;
        prints[2 * number + 1] += low;
      });
      return prints;
    });
  }

  /**
   * Make room for a number of a component: its field becomes wider. Gives what must move in states that are kept: where there are holes
   * enough but none wide enough, that may be all fields, and where not, there is one word more.
   */
  widen(component: number, number: number, spare: number): Move[] {
    const { word, shift, mask } = this;
    const bits = bitsOf(number) + spare;
    if (bits > 31) throw new Error(`Packing: a component has more than ${number} values`);
    const old = mask.map((each, at) => (each === 0 ? -1 : (word[at] << 5) | shift[at]));
    const oldMask = mask[component];
    if (oldMask !== 0) this.taken[word[component]] &= ~(oldMask << shift[component]);
    mask[component] = 2 ** bits - 1;
    if (!this.place(component)) {
      const needed = mask.reduce((sum, each) => sum + bitsOf(each), 0);
      if (needed + FREE_BITS > 32 * this.words || !this.placeAll()) {
        this.taken.push(0);
        this.words++;
        this.place(component);
      }
    }
    const moves: Move[] = [];
    old.forEach((at, each) => {
      if (at < 0 || at === ((word[each] << 5) | shift[each])) return;
      const [fromWord, fromShift, toWord, toShift] = [at >>> 5, at & 31, word[each], shift[each]];
      moves.push({ mask: each === component ? oldMask : mask[each], fromWord, fromShift, toWord, toShift });
    });
    return moves;
  }

  /** Give a component's field the first place that is wide enough. Gives whether there is one. */
  private place(component: number): boolean {
    const mask = this.mask[component];
    const bits = bitsOf(mask);
    for (let word = 0; word < this.words; word++)
      for (let shift = 0; shift + bits <= 32; shift++)
        if ((this.taken[word] & (mask << shift)) === 0) {
          this.taken[word] |= mask << shift;
          this.word[component] = word;
          this.shift[component] = shift;
          return true;
        }
    return false;
  }

  /** Place all fields anew, the widest first. Gives whether there is room; where not, all are as before. */
  private placeAll(): boolean {
    const { word, shift, mask, taken } = this;
    const before = { word: word.slice(), shift: shift.slice(), taken: taken.slice() };
    const fields = [...mask.keys()].filter((each) => mask[each] !== 0);
    fields.sort((a, b) => mask[b] - mask[a]);
    taken.fill(0);
    if (fields.every((each) => this.place(each))) return true;
    word.set(before.word);
    shift.set(before.shift);
    taken.splice(0, taken.length, ...before.taken);
    return false;
  }
}
