/**
 * The fingerprint of a set of states: 64 bits that do not depend on the order in which the states were found, nor on how they are kept.
 *
 * By definition: each cell of a state (Memory.cells numbers them) with its value gives two 32-bit words, by `mixed` with the two
 * seeds below; those of a state's cells are added; the two sums, each mixed again, are the state's own print; and the prints of all states
 * are added, word by word. All sums are taken modulo 2^32.
 */
const SEEDS = [0x243f6a88, 0x13198a2e] as const;

function mixed(seed: number, cell: number, value: number): number {
  let word = Math.imul(value + seed, 0x85ebca6b) ^ Math.imul(cell + 1, 0x9e3779b1);
  word = Math.imul(word ^ (word >>> 15), 0x2c1b3c6d);
  word = Math.imul(word ^ (word >>> 12), 0x297a2d39);
  return word ^ (word >>> 15);
}

/** What a cell with a value adds to the sums of its state. */
export const cellPrint = (cell: number, value: number): readonly [number, number] => [
  mixed(SEEDS[0], cell, value),
  mixed(SEEDS[1], cell, value),
];

/** Adds up states. */
export class Fingerprint {
  private high = 0;
  private low = 0;

  /** Add a state, by the sums of its cells. */
  add(high: number, low: number): void {
    this.high = (this.high + mixed(SEEDS[1], low, high)) | 0;
    this.low = (this.low + mixed(SEEDS[0], high, low)) | 0;
  }

  /** Sixteen hexadecimal digits. */
  toString(): string {
    return [this.high, this.low].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  }
}
