/**
 * A machine as the explorer moves it: a packed state, and what each task's step makes of it.
 *
 * A step runs once for each thing that it could see; after that, what it does is known (learned.ts). A step that sees so much that
 * it is hardly ever known runs as it is, each time. Both the search over all states (search.ts) and random walks (walk.ts) are
 * made of this.
 */
import type { Watch } from "../machine/watch.js";
import type { FaultKind } from "../trace/recording.js";
import { Learned, type Transition } from "./learned.js";
import { hashOf, type PackedCell, Packing } from "./packing.js";
import { Asymmetry, type Renaming, rename, Symmetry, type Turn } from "./symmetry.js";
import { type Look, Watching } from "./watching.js";

/** What the explorer needs of a machine: its live state, single steps that report what went wrong, and what is asked of a state. */
export interface Explorable {
  readonly tasks: number;
  /** The whole of its state. The explorer overwrites it; a step changes it. */
  readonly state: Uint32Array;
  /** The same, cell by cell. */
  readonly cells: readonly PackedCell[];
  /** What had gone wrong before the first step. */
  readonly before: readonly FaultKind[];
  /** The task whose own a cell is, or -1. */
  ownerOf(cell: number): number;
  enabled(task: number): boolean;
  /** Let a task make one step; gives the kinds of the faults that it met. */
  step(task: number): readonly FaultKind[];
  /** Whether a task that cannot move waits for a lock. */
  waitsForLock(task: number): boolean;
  /** Whether a task's next step begins with a sleep: somewhere to let others go first. */
  paused(task: number): boolean;
  /** Whether nothing more will happen that matters: every process is gone and all is written. */
  over(): boolean;
  /** What is asked of every state. */
  readonly questions: readonly (() => FaultKind | null)[];
  /** What is asked about a task that waits for a lock. */
  forEver(task: number): FaultKind | null;
  /** What is asked where two tasks or more wait for locks, unless one of them waits for ever anyway. */
  circle(): FaultKind | null;
  /** What is asked where nobody can move. */
  still(): FaultKind | null;
  /** What may change nothing but names, and leaves the live state as it is: a group, but for the one that renames nothing. */
  renamings(): readonly Renaming[];
  /** What a task will do next, in words. */
  placeOf(task: number): string;
}

/**
 * The machine to explore, as often as it is asked for, always over the same cells: as it is, or telling a watch of each cell that it
 * touches (the number of a cell is its place in `cells`).
 */
export type Faces = (watch: Watch | null) => Explorable;

/** What is wrong with a machine's live state, as Engine.judge says it of a packed one. */
export function wrongWith(machine: Explorable): FaultKind[] {
  const kinds = machine.questions.map((question) => question());
  const tasks = Array.from({ length: machine.tasks }, (_, task) => task);
  const blocked = tasks.filter((task) => !machine.enabled(task));
  const waiting = blocked.filter((task) => machine.waitsForLock(task));
  let waits = waiting.length > 0 ? (tasks.map((task) => machine.forEver(task)).find(Boolean) ?? null) : null;
  if (waiting.length > 1) waits ??= machine.circle();
  if (blocked.length === machine.tasks) waits ??= machine.still();
  return [...kinds, waits].filter((kind) => kind !== null);
}

/** What a step answers: that its task cannot move ... */
export const BLOCKED = 0;
/** ... because it waits for a lock ... */
export const WAITS_FOR_LOCK = 1;
/** ... or that it moved; this plus the number of the list of faults that it met. */
export const MOVED = 2;

/** A function is not worth learning when so many states were looked at ... */
const TRIALS = 10_000;
/** ... and in so large a part of them it saw something new. */
const NEWS = 0.2;

export class Engine {
  readonly tasks: number;
  readonly packing: Packing;
  readonly learned: Learned;
  readonly components: number;
  /** The state. */
  readonly current: Int32Array;
  hash = 0;
  /** Null where every state is looked at by itself. */
  readonly symmetry: Symmetry | null;
  /** States that are compared with each other: before something is done, after it, and after the same was done by other names. */
  private readonly before: Uint32Array;
  private readonly after: Uint32Array;
  private readonly there: Uint32Array;
  private readonly machine: Explorable;
  private readonly watched: Explorable;
  private readonly watching: Watching;
  /** What can be learned: the step of each task, each question, `forEver` of each task, and so on. */
  private readonly functions: readonly ((machine: Explorable) => number)[];
  private readonly firstQuestion: number;
  private readonly firstForEver: number;
  private readonly circle: number;
  private readonly still: number;
  private readonly over: number;
  private readonly firstPaused: number;
  /** States that were judged. */
  private judged = 0;
  private readonly news: Float64Array;
  /** Functions that were run without being learned. */
  private readonly unlearned = new Set<number>();
  /** Lists of faults; number 0 is the empty one. */
  private readonly lists: (readonly FaultKind[])[] = [];
  private readonly listNumbers = new Map<string, number>();
  /** Numbers of what the state became by a step that was not learned. */
  private readonly numbers: Int32Array;
  private readonly cellNumbers: ReadonlyMap<PackedCell, number>;
  private readonly componentOf: Int32Array;

  /**
   * @param widen lets a component's numbers have more bits, in every state that somebody keeps; `current` is the engine's. Default: nobody
   *   keeps any
   * @param symmetric whether states that are the same but for names are to be one
   */
  constructor(
    faces: Faces,
    private readonly widen: ((component: number, number: number) => void) | null = null,
    symmetric = false,
  ) {
    this.machine = faces(null);
    const { cells, tasks, questions, state } = this.machine;
    this.before = new Uint32Array(state.length);
    this.after = new Uint32Array(state.length);
    this.there = new Uint32Array(state.length);
    this.tasks = tasks;
    this.cellNumbers = new Map(cells.map((cell, at) => [cell, at]));
    const componentOf = new Int32Array(cells.length);
    this.componentOf = componentOf;
    const components: PackedCell[][] = Array.from({ length: tasks }, () => []);
    cells.forEach((cell, at) => {
      const owner = this.machine.ownerOf(at);
      componentOf[at] = owner >= 0 ? owner : components.push([]) - 1;
      components[componentOf[at]].push(cell);
    });
    this.components = components.length;
    this.current = new Int32Array(components.length + 1);
    this.numbers = new Int32Array(components.length);
    this.packing = new Packing(components);
    this.watching = new Watching(
      componentOf,
      components.map(({ length }) => length > 1),
    );
    this.watched = faces(this.watching);
    this.listNumber([]);
    const one = (kind: FaultKind | null): number => this.listNumber(kind === null ? [] : [kind]);
    const each = Array.from({ length: tasks }, (_, task) => task);
    this.firstQuestion = tasks;
    this.firstForEver = tasks + questions.length;
    this.circle = this.firstForEver + tasks;
    this.still = this.circle + 1;
    this.over = this.still + 1;
    this.firstPaused = this.over + 1;
    this.functions = [
      ...each.map((task) => (machine: Explorable) => this.move(machine, task)),
      ...questions.map((_, nr) => (machine: Explorable) => one(machine.questions[nr]())),
      ...each.map((task) => (machine: Explorable) => one(machine.forEver(task))),
      (machine) => one(machine.circle()),
      (machine) => one(machine.still()),
      (machine) => Number(machine.over()),
      ...each.map((task) => (machine: Explorable) => Number(machine.paused(task))),
    ];
    this.learned = new Learned(this.packing, this.functions.length);
    const renamings = symmetric ? this.machine.renamings() : [];
    this.symmetry = renamings.length > 0 ? new Symmetry(renamings, cells, componentOf, this.packing) : null;
    if (this.symmetry) for (let each = 0; each < this.components; each++) this.fit(each, 0);
    this.news = new Float64Array(this.functions.length);
  }

  private listNumber(kinds: readonly FaultKind[]): number {
    const key = kinds.join(" ");
    const known = this.listNumbers.get(key);
    if (known !== undefined) return known;
    this.listNumbers.set(key, this.lists.length);
    return this.lists.push([...kinds]) - 1;
  }

  private move(machine: Explorable, task: number): number {
    if (machine.enabled(task)) return MOVED + this.listNumber(machine.step(task));
    return machine.waitsForLock(task) ? WAITS_FOR_LOCK : BLOCKED;
  }

  /** Note a number that may be too large for its component's field. */
  private fit(component: number, number: number): void {
    const { packing } = this;
    if (packing.counts[component] === 2 && number === 1) this.learned.varies(component);
    if (!packing.fits(component, number)) this.makeRoom(component, number);
    if (this.symmetry !== null)
      for (const [image, becomes] of this.symmetry.meet(component, number)) this.fit(image, becomes);
  }

  private makeRoom(component: number, number: number): void {
    const { packing } = this;
    const own = Array.from({ length: this.components }, (_, each) => packing.get(this.current, each));
    if (this.widen) this.widen(component, number);
    else packing.widen(component, number, 0);
    this.current.fill(0);
    own.forEach((value, each) => {
      this.current[packing.word[each]] |= value << packing.shift[each];
    });
    this.learned.moved();
  }

  /** The leaf of a function in the current state, learned where it has to be; -1 where it is not worth it. */
  leafOf(fn: number): number {
    const leaf = this.learned.leafOf(fn, this.current);
    return leaf >= 0 ? leaf : this.learn(fn);
  }

  private learn(fn: number): number {
    const { judged, news } = this;
    if (judged > TRIALS && news[fn] > NEWS * judged) return -1;
    news[fn]++;
    this.packing.unpack(this.current);
    if (this.symmetry !== null) this.before.set(this.machine.state);
    const look = this.watching.look(() => this.functions[fn](this.watched));
    const writes = look.written.map((component) => [component, this.packing.numberOf(component)] as const);
    const reads = this.symmetry === null ? look.reads : this.readByAll(fn, look, this.symmetry);
    for (const [component, number] of writes) this.fit(component, number);
    return this.learned.learn(fn, this.current, { reads, writes, answer: look.answer });
  }

  /**
   * Look at a function that has just been looked at once more in all that the state can be renamed to: whether it does the same there, under
   * other names. Gives what this depends on, and what the function itself has read: it holds in each state that has the same there.
   *
   * @throws Asymmetry where it does not
   */
  private readByAll(fn: number, { reads, written, answer }: Look, { turns }: Symmetry): readonly number[] {
    const read = new Set(reads);
    this.after.set(this.machine.state);
    for (const turn of turns) {
      const other = this.doAfter(turn, fn, answer, (renamed) =>
        this.watching.look(() => this.functions[renamed](this.watched)),
      );
      for (const component of other.reads) read.add(turn.from[component]);
      // What only one of them writes, it writes as it was: that is so where it was so.
      const back = other.written.map((component) => turn.from[component]);
      for (const component of back) if (!written.includes(component)) read.add(component);
      for (const component of written) if (!back.includes(component)) read.add(component);
    }
    return [...read];
  }

  /** The same of a function that is not learned and has just been run: nothing is known of other states. @throws Asymmetry */
  private runByAll(fn: number, answer: number, { turns }: Symmetry): void {
    this.after.set(this.machine.state);
    for (const turn of turns)
      this.doAfter(turn, fn, answer, (renamed) => ({ answer: this.functions[renamed](this.machine) }));
    this.machine.state.set(this.after);
  }

  /** Do after a turn what made `after` and an answer of `before`: whether it comes to the same. @throws Asymmetry where it does not */
  private doAfter<L extends { readonly answer: number }>(
    { tasks, cells }: Turn,
    fn: number,
    answer: number,
    look: (renamed: number) => L,
  ): L {
    const { machine, before, after, there } = this;
    const { state } = machine;
    this.packing.changed();
    state.set(before);
    rename(cells, machine.cells);
    const other = look(this.renamed(fn, tasks));
    there.set(state);
    state.set(after);
    rename(cells, machine.cells);
    let same = other.answer === answer;
    for (let word = 0; same && word < state.length; word++) same = state[word] === there[word];
    if (!same) this.refuse(fn, tasks);
    return other;
  }

  /** The function that asks the same of a renamed state. */
  private renamed(fn: number, tasks: readonly number[]): number {
    if (fn < this.firstQuestion) return tasks[fn];
    if (fn >= this.firstForEver && fn < this.circle) return this.firstForEver + tasks[fn - this.firstForEver];
    return fn >= this.firstPaused ? this.firstPaused + tasks[fn - this.firstPaused] : fn;
  }

  private refuse(fn: number, tasks: readonly number[]): never {
    this.packing.unpack(this.current);
    const renamed = tasks.flatMap((name, task) => (name === task ? [] : [task]));
    const isStep = fn < this.firstQuestion;
    throw new Asymmetry(
      renamed,
      isStep ? fn : -1,
      isStep ? this.machine.placeOf(fn) : "what is asked of a state",
    );
  }

  /** What a function answers that has no leaf; for a step that was made, the numbers of what the state has become. */
  run(fn: number): number {
    this.unlearned.add(fn);
    this.packing.unpack(this.current);
    if (this.symmetry !== null) this.before.set(this.machine.state);
    const answer = this.functions[fn](this.machine);
    const { packing, numbers } = this;
    if (this.symmetry !== null) this.runByAll(fn, answer, this.symmetry);
    if (fn >= this.firstQuestion || answer < MOVED) return answer;
    for (let component = 0; component < this.components; component++)
      numbers[component] = packing.numberOf(component);
    for (let component = 0; component < this.components; component++) this.fit(component, numbers[component]);
    return answer;
  }

  /** Write at `first` of `to` what the current state becomes by a step: its leaf, or -1 where it was run just now. Gives its hash. */
  apply(leaf: number, to: Int32Array, first: number): number {
    const { packing, numbers, current, learned } = this;
    if (leaf >= 0) return learned.apply(leaf, current, this.hash, to, first);
    for (let word = 0; word < packing.words; word++) to[first + word] = current[word];
    let hash = this.hash;
    for (let component = 0; component < this.components; component++) {
      const number = numbers[component];
      const old = packing.get(current, component);
      if (number === old) continue;
      to[first + packing.word[component]] ^= (old ^ number) << packing.shift[component];
      hash += hashOf(component, number) - hashOf(component, old);
    }
    return hash | 0;
  }

  /** The cells that are nobody's own and have had one value only. */
  constantCells(): number[] {
    const { packing, machine } = this;
    return machine.cells.flatMap((_, at) => {
      const component = this.componentOf[at];
      return component >= this.tasks && packing.counts[component] === 1 ? [at] : [];
    });
  }

  /** Per component, what each of its numbers adds to the two sums of a state's fingerprint. */
  prints(): readonly Int32Array[] {
    return this.packing.prints((cell) => this.cellNumbers.get(cell) as number);
  }

  /** All that is known of a task's step. @throws Error with one sentence when it was run where it was not learned */
  transitions(task: number): Transition[] {
    if (this.unlearned.has(task))
      throw new Error("a step of this scenario sees too much to be learned: it can only be run");
    return this.learned.transitions(task);
  }

  /** The faults of a step that moved. */
  faultsOf(answer: number): readonly FaultKind[] {
    return this.lists[answer - MOVED];
  }

  private ask(fn: number): number {
    const leaf = this.leafOf(fn);
    return leaf >= 0 ? this.learned.answer(leaf) : this.run(fn);
  }

  /** Ask what is asked of the current state, of whose tasks so many can move and so many wait for locks. */
  judge(moved: number, waiting: number, report: (kinds: readonly FaultKind[]) => void): void {
    this.judged++;
    for (let fn = this.firstQuestion; fn < this.firstForEver; fn++) this.isWrong(fn, report);
    let forEver = false;
    if (waiting > 0)
      for (let fn = this.firstForEver; fn < this.circle && !forEver; fn++) forEver = this.isWrong(fn, report);
    if (waiting > 1 && !forEver) forEver = this.isWrong(this.circle, report);
    if (moved === 0 && !forEver) this.isWrong(this.still, report);
  }

  private isWrong(fn: number, report: (kinds: readonly FaultKind[]) => void): boolean {
    const list = this.ask(fn);
    if (list !== 0) report(this.lists[list]);
    return list !== 0;
  }

  /** Whether nothing more will happen that matters. */
  isOver(): boolean {
    return this.ask(this.over) === 1;
  }

  /** Whether a task's next step begins with a sleep. */
  isPaused(task: number): boolean {
    return this.ask(this.firstPaused + task) === 1;
  }
}
