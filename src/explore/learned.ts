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
/** Of a node: its component comes first, then the number of its branches, then these. */
const SIZE = 1;
const FIRST = 2;

export class Learned {
  /** Per function: UNKNOWN, where its first node is, or ~leaf. */
  private readonly roots: Int32Array;
  /**
   * The nodes, each in one piece: the component that is read there, how many branches follow, and the branches by number: UNKNOWN, where
   * another node is, or ~leaf. Nothing is at 0.
   */
  private readonly tree = new Growing([0]);
  /** Per leaf. */
  private readonly answers = new Growing();
  private readonly firstWrite = new Growing([0]);
  private readonly writes = new Growing();
  /** Per leaf, a bit for each component that it writes, and then for each that it reads or writes. */
  private readonly touched = new Growing();
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
  }

  /** The leaf to which a state leads, or -1 where nobody has been yet. */
  leafOf(fn: number, packed: Int32Array): number {
    let at = this.roots[fn];
    const { word, shift, mask } = this.packing;
    const tree = this.tree.array;
    while (at > 0) {
      const read = tree[at];
      const number = (packed[word[read]] >>> shift[read]) & mask[read];
      if (number >= tree[at + SIZE]) return -1;
      at = tree[at + FIRST + number];
    }
    return ~at;
  }

  answer(leaf: number): number {
    return this.answers.array[leaf];
  }

  /**
   * Whether what two leaves do is independent: neither writes what the other reads or writes. Each then does the same before
   * the other and after it.
   */
  independent(one: number, other: number): boolean {
    const touched = this.touched.array;
    const words = this.maskWords;
    let a = one * 2 * words;
    let b = other * 2 * words;
    for (let at = 0; at < words; at++, a++, b++)
      if (((touched[a] & touched[b + words]) | (touched[a + words] & touched[b])) !== 0) return false;
    return true;
  }

  /** Write at `first` of `to` what `from`, whose hash is `hash`, becomes by the writes of a leaf; gives its hash. */
  apply(leaf: number, from: Int32Array, hash: number, to: Int32Array, first: number): number {
    const { word, shift, mask, words } = this.packing;
    for (let at = 0; at < words; at++) to[first + at] = from[at];
    const writes = this.writes.array;
    const end = this.firstWrite.array[leaf + 1];
    let becomes = hash;
    for (let at = this.firstWrite.array[leaf]; at < end; at += 2) {
      const component = writes[at];
      const number = writes[at + 1];
      const where = first + word[component];
      const bits = shift[component];
      const old = (to[where] >>> bits) & mask[component];
      to[where] ^= (old ^ number) << bits;
      becomes += hashOf(component, number) - hashOf(component, old);
    }
    return becomes | 0;
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
    const leaf = this.answers.push(answer);
    for (const [component, number] of writes) {
      // What it only wrote again, it did not change: others may see that it was read.
      if (reads.includes(component) && this.packing.get(packed, component) === number) continue;
      this.writes.push(component);
      this.writes.push(number);
    }
    this.firstWrite.push(this.writes.length);
    const touched = this.touched.reserve(2 * this.maskWords);
    this.touched.length += 2 * this.maskWords;
    const touch = (component: number, half: number): void => {
      this.touched.array[touched + half * this.maskWords + (component >>> 5)] |= 1 << (component & 31);
    };
    for (const read of reads) touch(read, 1);
    for (const [written] of writes) for (const half of [0, 1]) touch(written, half);
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
      for (let write = this.firstWrite.array[~at]; write < this.firstWrite.array[~at + 1]; write += 2)
        writes.push([this.writes.array[write], this.writes.array[write + 1]]);
      found.push({ reads, writes, answer: this.answers.array[~at] });
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
    tree.array[at + SIZE] = size;
    return at;
  }
}
