/**
 * Symmetry: tasks that nobody could tell apart by what they do.
 *
 * A renaming calls each task by another's name, and each cell by another's, in every state alike. Where it changes nothing about what
 * a machine does, a state and what it becomes by the renaming have the same future under other names, and one of them is enough: the
 * least of those that a state can be renamed to (Clarke, Enders, Filkorn, Jha: Exploiting symmetry in temporal logic model checking,
 * 1996; Ip and Dill: Better verification through symmetry, 1996).
 *
 * Nobody has to be believed that a renaming changes nothing. Whatever the search learns of a step or a question (learned.ts), it learns of the
 * renamed state as well, with all that is read in both: one look is then a proof for each state that looks the same to both. Where the two
 * differ, Asymmetry is thrown, and the search begins again without.
 *
 * Here is what that takes of packed states: the numbers of each component's values under each renaming.
 */
import type { Explorable } from "./engine.js";
import { hashOf, type Packing } from "./packing.js";

/** A cell under a renaming: where its value goes, and what it says there. Values that name nothing stay what they are. */
export interface Moved {
  readonly from: number;
  readonly to: number;
  readonly says: ((value: number) => number) | null;
}

/** A renaming of a machine. */
export interface Renaming {
  /** What each task is called. */
  readonly tasks: readonly number[];
  /** The cells that move, or whose values name something; all others stay as they are. */
  readonly cells: readonly Moved[];
}

/** Thrown where a renaming changes something after all, or nobody can say that it does not. */
export class Asymmetry extends Error {
  /**
   * @param tasks those that are renamed
   * @param task the one whose step is concerned, or -1
   * @param what the step, or what else
   */
  constructor(
    readonly tasks: readonly number[],
    readonly task: number,
    readonly what: string,
  ) {
    super(`symmetry: ${what}`);
  }
}

/** Rename a live state. */
export function rename(moved: readonly Moved[], cells: Explorable["cells"]): void {
  const values = moved.map(({ from, says }) => {
    const { column, row } = cells[from];
    return says === null ? column[row] : says(column[row]);
  });
  for (let at = 0; at < moved.length; at++) {
    const { column, row } = cells[moved[at].to];
    column[row] = values[at];
  }
}

/** A renaming as packed states have it. */
export interface Turn extends Renaming {
  /** The component that each one becomes, and the one that becomes it. */
  readonly to: Int32Array;
  readonly from: Int32Array;
  /** Per component, its cells that are concerned. */
  readonly moved: readonly (readonly Moved[])[];
  /** Per component that is concerned, what its numbers become in `to`; -1 where nobody has asked yet. */
  readonly numbers: readonly number[][];
}

export class Symmetry {
  readonly turns: readonly Turn[];
  /** By which of `turns` the last state was renamed; -1 where it stayed as it was. */
  turned = -1;
  /** The components that are concerned by a renaming; those of tasks come first. */
  private readonly concerned: readonly number[];
  private readonly isConcerned: Uint8Array;
  /** What they become by the turn that is being made. */
  private readonly becoming: Int32Array;

  /**
   * @param renamings all but the one that changes nothing: with it they are a group
   * @param componentOf the component of each cell
   */
  constructor(
    renamings: readonly Renaming[],
    private readonly cells: Explorable["cells"],
    componentOf: Int32Array,
    private readonly packing: Packing,
  ) {
    const { length } = packing.counts;
    this.isConcerned = new Uint8Array(length);
    this.turns = renamings.map((renaming) => {
      const to = Int32Array.from({ length }, (_, component) => component);
      const from = to.slice();
      const moved: Moved[][] = Array.from({ length }, () => []);
      for (const each of renaming.cells) {
        const [source, target] = [componentOf[each.from], componentOf[each.to]];
        to[source] = target;
        from[target] = source;
        moved[source].push(each);
        this.isConcerned[source] = 1;
      }
      return { ...renaming, to, from, moved, numbers: moved.map(() => []) };
    });
    this.becoming = new Int32Array(length);
    this.concerned = [...this.isConcerned.keys()].filter((component) => this.isConcerned[component] === 1);
  }

  /** A component has a number: find out what it becomes. Live memory is overwritten. Gives what must be told of as well. */
  meet(component: number, number: number): readonly (readonly [component: number, number: number])[] {
    if (this.isConcerned[component] === 0) return [];
    if ((this.turns[0].numbers[component][number] ?? -1) >= 0) return [];
    return this.turns.map(({ to, moved, numbers }) => {
      this.packing.put(component, number);
      rename(moved[component], this.cells);
      const becomes = this.packing.numberOf(to[component]);
      while (numbers[component].length <= number) numbers[component].push(-1);
      numbers[component][number] = becomes;
      this.packing.changed();
      return [to[component], becomes];
    });
  }

  /** What a component of a packed state is after a turn. */
  private after({ from, numbers }: Turn, packed: Int32Array, first: number, component: number): number {
    const source = from[component];
    return numbers[source][this.packing.get(packed, source, first)];
  }

  /** Which of two is less where they differ first: a state after one turn, and after another one, or (null) as it is. */
  private compare(turn: Turn, best: Turn | null, packed: Int32Array, first: number): number {
    const { concerned, packing } = this;
    for (let at = 0; at < concerned.length; at++) {
      const component = concerned[at];
      const difference =
        this.after(turn, packed, first, component) -
        (best === null ? packing.get(packed, component, first) : this.after(best, packed, first, component));
      if (difference !== 0) return difference;
    }
    return 0;
  }

  /** Make a packed state, at `first` of `packed`, the least of those that it can be renamed to. Gives its hash. */
  least(packed: Int32Array, first: number, hash: number): number {
    const { turns } = this;
    let best = -1;
    for (let turn = 0; turn < turns.length; turn++)
      if (this.compare(turns[turn], best < 0 ? null : turns[best], packed, first) < 0) best = turn;
    this.turned = best;
    return best < 0 ? hash : this.turn(turns[best], packed, first, hash);
  }

  /** What some tasks, as bits of their numbers, are called where the last state stands now. */
  called(tasks: number): number {
    if (this.turned < 0 || tasks === 0) return tasks;
    let called = 0;
    this.turns[this.turned].tasks.forEach((to, task) => {
      if ((tasks & (1 << task)) !== 0) called |= 1 << to;
    });
    return called;
  }

  /** Tasks that a renaming calls by each other's names. */
  alike(): number[][] {
    const first = (task: number): number => Math.min(task, ...this.turns.map(({ tasks }) => tasks[task]));
    const { tasks } = this.turns[0];
    return [...tasks.keys()]
      .filter((task) => first(task) === task)
      .map((task) => [...tasks.keys()].filter((other) => first(other) === task))
      .filter(({ length }) => length > 1);
  }

  /** Rename a packed state. Gives its hash. */
  private turn(turn: Turn, packed: Int32Array, first: number, hash: number): number {
    const { concerned, packing, becoming } = this;
    let becomes = hash;
    for (let at = 0; at < concerned.length; at++)
      becoming[at] = this.after(turn, packed, first, concerned[at]);
    for (let at = 0; at < concerned.length; at++) {
      const component = concerned[at];
      const old = packing.get(packed, component, first);
      if (old === becoming[at]) continue;
      packed[first + packing.word[component]] ^= (old ^ becoming[at]) << packing.shift[component];
      becomes += hashOf(component, becoming[at]) - hashOf(component, old);
    }
    return becomes | 0;
  }

  /** The states that a packed one can be renamed to, each once; it is the first. */
  images(packed: Int32Array): Int32Array[] {
    const images = [packed.slice()];
    for (const turn of this.turns) {
      const image = packed.slice();
      this.turn(turn, image, 0, 0);
      if (!images.some((known) => known.every((word, at) => word === image[at]))) images.push(image);
    }
    return images;
  }

  /** How many these are. */
  size(packed: Int32Array): number {
    let same = 1;
    for (const turn of this.turns) if (this.compare(turn, null, packed, 0) === 0) same++;
    return (this.turns.length + 1) / same;
  }
}
