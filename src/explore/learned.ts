/**
 * Functions of a state that are evaluated once for each thing that they could see.
 *
 * A step reads a few components of the state and depends on nothing else. So what it does is a decision tree: which component it
 * reads first; by the number read there, which next; at the leaf what it answers and what it writes. The tree is
 * learned from the step itself, which runs on a watched memory (machine/watch.ts) whenever a state leads out of the tree, and
 * never again where it does not. Every leaf says what the step read and wrote, exactly.
 *
 * LTSmin learns its transitions in this way, from what a model declares to depend on (Blom, van de Pol, Weber: LTSmin, CAV
 * 2010); here the step declares nothing and is watched.
 *
 * That a step is a function of the state is not taken on trust: when it reads other components than it did before
 * in the same situation, that is a fault of guplab, and it throws.
 */
import { Growing } from "./growing.js";
import { hashOf, type Packing } from "./packing.js";

/** What came of evaluating a function once. */
export interface Evaluation {
  /** The components that it read, in order, each once. */
  readonly reads: readonly number[];
  /** What it wrote, as numbers of its components' values. */
  readonly writes: readonly (readonly [component: number, number: number])[];
  /** What it answered; the meaning is the asker's. */
  readonly answer: number;
}

/** A way through a decision tree, from its root to a leaf. */
export interface Transition {
  readonly reads: readonly (readonly [component: number, number: number])[];
  readonly writes: readonly (readonly [component: number, number: number])[];
  readonly answer: number;
}

const UNKNOWN = 0;
/** Of a node: its component comes first, where that is packed (Packing.where), the number of its branches, and then these. */
const WHERE = 1;
const SIZE = 2;
const FIRST = 3;

/**
 * Of a leaf, in one piece as well, because it is looked at in one go: its answer; what it changes of the hash where it has read what it
 * wrote; where its writes begin; how many of them are blind, of what it has not read: these come first. Then a bit for each component that it
 * writes and one for each that it reads or writes, and per word of a packed state the bits that it keeps and those that it sets where it
 * is not blind.
 */
const HASH = 1;
const WRITES = 2;
const BLIND = 3;
const TOUCHED = 4;

export class Learned {
  /** Per function: UNKNOWN, where its first node is, or ~leaf. */
  private readonly roots: Int32Array;
  /**
   * The nodes, each in one piece: the component that is read there, where it is, how many branches follow, and the branches by number:
   * UNKNOWN, where another node is, or ~leaf. Nothing is at 0.
   */
  private readonly tree = new Growing([0]);
  /** The leaves, one after the other. */
  private leaves = new Growing();
  /** How many leaves there are, and words of each. */
  private count = 0;
  private leafWords = 0;
  /** What they write, component by component, and per leaf where that ends. */
  private readonly writes = new Growing();
  private readonly ends = new Growing();
  private readonly maskWords: number;
  /** Per function, the components that it read and that have had one value only: they have no node. */
  private readonly constant: Set<number>[];

  constructor(
    private readonly packing: Packing,
    functions: number,
  ) {
    this.maskWords = Math.ceil(packing.counts.length / 32);
    this.roots = new Int32Array(functions);
    this.constant = Array.from({ length: functions }, () => new Set());
    this.moved();
  }

  /** The leaf to which a state leads, or -1 where nobody has been yet. */
  leafOf(fn: number, packed: Int32Array): number {
    let at = this.roots[fn];
    const tree = this.tree.array;
    while (at > 0) {
      const where = tree[at + WHERE];
      const number = (packed[where >>> 10] >>> (where >>> 5)) & ~(-1 << where);
      if (number >= tree[at + SIZE]) return -1;
      at = tree[at + FIRST + number];
    }
    return ~at;
  }

  answer(leaf: number): number {
    return this.leaves.array[leaf * this.leafWords];
  }

  /**
   * Which of some tasks do something independent of what another one does: neither writes what the other reads or writes. Each then does
   * the same before the other and after it.
   *
   * @param tasks those asked about, as bits
   * @param leaves what each task does: its leaf, or -1
   */
  independent(tasks: number, leaves: Int32Array, another: number): number {
    const touched = this.leaves.array;
    const words = this.maskWords;
    const own = leaves[another] * this.leafWords + TOUCHED;
    let found = 0;
    for (let rest = tasks; rest !== 0; rest &= rest - 1) {
      const task = 31 - Math.clz32(rest & -rest);
      if (leaves[task] < 0) continue;
      const other = leaves[task] * this.leafWords + TOUCHED;
      let common = 0;
      for (let at = 0; at < words; at++)
        common |=
          (touched[own + at] & touched[other + words + at]) |
          (touched[own + words + at] & touched[other + at]);
      if (common === 0) found |= 1 << task;
    }
    return found;
  }

  /** Write at `first` of `to` what `from`, whose hash is `hash`, becomes by the writes of a leaf; gives its hash. */
  apply(leaf: number, from: Int32Array, hash: number, to: Int32Array, first: number): number {
    const { words } = this.packing;
    const leaves = this.leaves.array;
    const at = leaf * this.leafWords;
    let change = at + TOUCHED + 2 * this.maskWords;
    for (let word = 0; word < words; word++, change += 2)
      to[first + word] = (from[word] & leaves[change]) | leaves[change + 1];
    const becomes = hash + leaves[at + HASH];
    return (leaves[at + BLIND] === 0 ? becomes : this.overwrite(at, becomes, to, first)) | 0;
  }

  /** Make the blind writes of a leaf. Gives the hash. */
  private overwrite(leaf: number, hash: number, to: Int32Array, first: number): number {
    const { word, shift, mask } = this.packing;
    const leaves = this.leaves.array;
    const writes = this.writes.array;
    const end = leaves[leaf + WRITES] + 2 * leaves[leaf + BLIND];
    let becomes = hash;
    for (let at = leaves[leaf + WRITES]; at < end; at += 2) {
      const component = writes[at];
      const number = writes[at + 1];
      const where = first + word[component];
      const bits = shift[component];
      const old = (to[where] >>> bits) & mask[component];
      to[where] ^= (old ^ number) << bits;
      becomes += hashOf(component, number) - hashOf(component, old);
    }
    return becomes;
  }

  /** Components have moved in packed states. */
  moved(): void {
    const { packing, count, tree } = this;
    const same = TOUCHED + 2 * this.maskWords;
    const words = same + 2 * packing.words;
    if (words !== this.leafWords) {
      const { array: old } = this.leaves;
      this.leaves = new Growing();
      this.leaves.length = this.leaves.reserve(count * words) + count * words;
      const { array } = this.leaves;
      for (let leaf = 0; leaf < count; leaf++)
        for (let at = 0; at < same; at++) array[leaf * words + at] = old[leaf * this.leafWords + at];
      this.leafWords = words;
    }
    for (let leaf = 0; leaf < count; leaf++) this.change(leaf);
    const { array, length } = tree;
    for (let at = 1; at < length; at += FIRST + array[at + SIZE])
      array[at + WHERE] = packing.where(array[at]);
  }

  private room(): number {
    const { leaves, leafWords } = this;
    const at = leaves.reserve(leafWords);
    leaves.length += leafWords;
    return at;
  }

  /** Note what a leaf changes in packed states. */
  private change(leaf: number): void {
    const { words, word, shift, mask } = this.packing;
    const leaves = this.leaves.array;
    const at = leaf * this.leafWords;
    const first = at + TOUCHED + 2 * this.maskWords;
    for (let change = first; change < first + 2 * words; change += 2) {
      leaves[change] = -1;
      leaves[change + 1] = 0;
    }
    const { array } = this.writes;
    for (
      let write = leaves[at + WRITES] + 2 * leaves[at + BLIND];
      write < this.ends.array[leaf];
      write += 2
    ) {
      const component = array[write];
      const where = first + 2 * word[component];
      leaves[where] &= ~(mask[component] << shift[component]);
      leaves[where + 1] |= array[write + 1] << shift[component];
    }
  }

  /** A component has had its second value: what was learned while it had one is forgotten. */
  varies(component: number): void {
    this.constant.forEach((constant, fn) => {
      if (!constant.has(component)) return;
      constant.clear();
      this.roots[fn] = UNKNOWN;
    });
  }

  /** Remember what came of a function in a state; gives the new leaf. */
  learn(fn: number, packed: Int32Array, { reads, writes, answer }: Evaluation): number {
    const { tree } = this;
    let branch = -1;
    let at = this.roots[fn];
    const lead = (to: number): void => {
      if (branch < 0) this.roots[fn] = to;
      else tree.array[branch] = to;
    };
    for (const read of reads) {
      if (this.packing.counts[read] === 1) {
        this.constant[fn].add(read);
        continue;
      }
      if (at < 0 || (at > 0 && tree.array[at] !== read))
        throw new Error(
          "Learned: a function of the state read something else than before in the same situation",
        );
      const number = this.packing.get(packed, read);
      if (at === UNKNOWN || number >= tree.array[at + SIZE]) {
        // A power of two, so that a node moves seldom; most see a few of the values that a component has.
        at = this.node(read, 1 << (32 - Math.clz32(number)), at);
        lead(at);
      }
      branch = at + FIRST + number;
      at = tree.array[branch];
    }
    if (at !== UNKNOWN)
      throw new Error("Learned: a function of the state read less than before in the same situation");
    const leaf = this.count++;
    const own = this.room();
    const { array } = this.leaves;
    array[own] = answer;
    array[own + WRITES] = this.writes.length;
    for (const [component, number] of writes) {
      if (reads.includes(component)) continue;
      this.writes.push(component);
      this.writes.push(number);
      array[own + BLIND]++;
    }
    for (const [component, number] of writes) {
      if (!reads.includes(component)) continue;
      const old = this.packing.get(packed, component);
      // What it only wrote again, it did not change: others may see that it was read.
      if (old === number) continue;
      array[own + HASH] += hashOf(component, number) - hashOf(component, old);
      this.writes.push(component);
      this.writes.push(number);
    }
    this.ends.push(this.writes.length);
    this.change(leaf);
    const touch = (component: number, half: number): void => {
      array[own + TOUCHED + half * this.maskWords + (component >>> 5)] |= 1 << (component & 31);
    };
    for (const read of reads) touch(read, 1);
    for (const [written] of writes) {
      touch(written, 0);
      touch(written, 1);
    }
    lead(~leaf);
    return leaf;
  }

  /** All that is known of a function. */
  transitions(fn: number): Transition[] {
    const found: Transition[] = [];
    const walk = (at: number, reads: readonly (readonly [number, number])[]): void => {
      if (at === UNKNOWN) return;
      if (at > 0) {
        const { array } = this.tree;
        for (let number = 0; number < array[at + SIZE]; number++)
          walk(array[at + FIRST + number], [...reads, [array[at], number]]);
        return;
      }
      const writes: [number, number][] = [];
      const leaf = ~at * this.leafWords;
      const { array } = this.leaves;
      for (let write = array[leaf + WRITES]; write < this.ends.array[~at]; write += 2)
        writes.push([this.writes.array[write], this.writes.array[write + 1]]);
      found.push({ reads, writes, answer: array[leaf] });
    };
    walk(this.roots[fn], []);
    return found;
  }

  /** Where there is room for a node of so many branches; those of the one that it takes the place of are there already. */
  private node(component: number, size: number, old: number): number {
    const { tree } = this;
    const at = tree.reserve(FIRST + size);
    tree.length += FIRST + size;
    if (old !== UNKNOWN) tree.array.copyWithin(at, old, old + FIRST + tree.array[old + SIZE]);
    tree.array[at] = component;
    tree.array[at + WHERE] = this.packing.where(component);
    tree.array[at + SIZE] = size;
    return at;
  }
}
