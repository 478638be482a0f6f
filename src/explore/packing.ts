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

/** Where a component is: bits `shift` to `shift` + `bits` of a word. */
export interface Field {
  readonly word: number;
  readonly shift: number;
  readonly mask: number;
}

/** One cell of a machine. */
export interface PackedCell {
  readonly column: Numbers;
  readonly row: number;
}

/** What a component's number adds to the hash of a state: it changes with the number, wherever that stands. */
export function hashOf(component: number, number: number): number {
  const mixed = Math.imul(number + Math.imul(component + 1, 0x9e3779b1), 0x85ebca77);
  return Math.imul(mixed ^ (mixed >>> 15), 0xc2b2ae3d);
}

const NOWHERE: Field = { word: 0, shift: 0, mask: 0 };

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
  /** Bits of each word that are taken. */
  private readonly taken: number[] = [0];

  /** @param components the cells of each, together all that a state is */
  constructor(private readonly components: readonly (readonly PackedCell[])[]) {
    const { length } = components;
    this.word = new Int32Array(length);
    this.shift = new Int32Array(length);
    this.mask = new Int32Array(length);
    this.counts = new Int32Array(length);
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
    if (known !== undefined) return known;
    const number = numbers.size;
    numbers.set(key, number);
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

  /** Put a value of a component, by its number, into memory. */
  put(component: number, number: number): void {
    const cells = this.components[component];
    const of = this.values[component];
    const first = number * cells.length;
    for (let at = 0; at < cells.length; at++) cells[at].column[cells[at].row] = of[first + at];
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

  /** Make room for a number of a component; gives the field that it had. What is in states that are kept must move there. */
  widen(component: number, number: number, spare: number): Field {
    const old = { word: this.word[component], shift: this.shift[component], mask: this.mask[component] };
    const bits = 32 - Math.clz32(number) + spare;
    if (bits > 31) throw new Error(`Packing: a component has more than ${number} values`);
    if (old.mask !== 0) this.taken[old.word] &= ~(old.mask << old.shift);
    const { word, shift, mask } = this.room(bits);
    this.taken[word] |= mask << shift;
    this.word[component] = word;
    this.shift[component] = shift;
    this.mask[component] = mask;
    return old.mask === 0 ? NOWHERE : old;
  }

  private room(bits: number): Field {
    const mask = 2 ** bits - 1;
    for (let word = 0; word < this.taken.length; word++)
      for (let shift = 0; shift + bits <= 32; shift++)
        if ((this.taken[word] & (mask << shift)) === 0) return { word, shift, mask };
    this.taken.push(0);
    this.words = this.taken.length;
    return { word: this.words - 1, shift: 0, mask };
  }
}
