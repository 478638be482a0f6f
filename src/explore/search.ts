/**
 * Exhaustive search: every interleaving of a small machine, breadth first.
 *
 * A state is the machine's memory, cell for cell: no hashing away, no abstraction. Each state is expanded by letting
 * each task that can move make one step. Because the search goes breadth first, the first way it finds to a fault is
 * one with the fewest steps.
 *
 * Where two steps a and b, of a lower and a higher task, touch nothing in common, either order leads to the same state; then a is not made
 * in a state that was found by b ("a sleeps there"). Nothing is missed by this, and nothing is even found in another order: if the
 * step by which a state is found first slept, the state from which it is made would have been found by a higher task's step b; the
 * same state is reached by making a first and then b, and what a leads to was found before what b leads to, so that b would have
 * found it first. These are Godefroid's sleep sets (LNCS 1032, 1996) without inheritance, which breadth-first search does not need.
 *
 * By symmetry (symmetry.ts) a state can be there for others. Who sleeps in it has been renamed with it, and the argument is the same: the
 * state that would have been found first is there under some name, with a smaller number.
 */
import type { FaultKind } from "../trace/recording.js";
import { Engine, type Faces, MOVED, WAITS_FOR_LOCK } from "./engine.js";
import { Fingerprint } from "./fingerprint.js";
import { Batch, MOST_TASKS, SLEEPERS, StateSet } from "./states.js";
import { Asymmetry } from "./symmetry.js";

export interface Progress {
  readonly states: number;
  readonly transitions: number;
  /** States that are not expanded yet. */
  readonly frontier: number;
  /** Steps of the longest shortest way so far. */
  readonly depth: number;
  /** The kinds of fault to which a shortest way is known. */
  readonly found: readonly FaultKind[];
}

export interface SearchOptions {
  /** Stop after this many states: the answer is then "incomplete". */
  readonly maxStates: number;
  /** Stop when what is kept of them takes this many bytes; default 4 GiB. */
  readonly maxBytes?: number;
  /** Called now and then with what has been done; returning false interrupts the search. */
  readonly progress: (seen: Progress) => boolean;
  /** Called for each transition, with the numbers of its states: 0 is the first, the others as they are met. */
  readonly edge?: (from: number, task: number, to: number) => void;
  /** Told of all that is wrong: in a state, or in the step that a task makes from it (-1: in the state itself). */
  readonly wrong?: (state: number, task: number, kinds: readonly FaultKind[]) => void;
  /** Told of each state that is expanded, in the order of their numbers; it is the engine's current one. */
  readonly visit?: (state: number, engine: Engine) => void;
  /** Whether to say the fingerprint of the states (fingerprint.ts); default no. */
  readonly fingerprint?: boolean;
  /**
   * Whether states that are the same but for names are to be one (symmetry.ts), where that is so; default no. Who looks at edges or states
   * sees one of each only.
   */
  readonly symmetric?: boolean;
  /** Told, when the search is complete, of the engine that knows what every step of every state does. */
  readonly learned?: (engine: Engine, states: number) => void;
}

/** A way to a fault: task numbers, one per step, the last one the step in which it happens. */
export interface Witness {
  readonly kind: FaultKind;
  readonly schedule: readonly number[];
}

export interface SearchResult {
  /** Whether every reachable state was expanded. */
  readonly complete: boolean;
  readonly states: number;
  readonly transitions: number;
  /** Steps of the longest shortest way to a state. */
  readonly depth: number;
  /** Why it is not complete: a bound on states or on memory, no room for more, or the caller had enough; null where it is. */
  readonly stopped: "states" | "memory" | "room" | "caller" | null;
  /** States that were not expanded; 0 where it is complete. */
  readonly left: number;
  /** Bytes that the states take, with their table and the ways to them. */
  readonly bytes: number;
  /** The shortest way to each kind of fault, in the order in which they were found. */
  readonly witnesses: readonly Witness[];
  /** The cells that are nobody's own and have the same value in every state that was seen, as Explorable.cells numbers them. */
  readonly constant: readonly number[];
  /** Of all states, also of those that were left out by symmetry, where the options ask for it and the search is complete. */
  readonly fingerprint: string | null;
  /** Where states that are the same but for names were one. */
  readonly symmetry: {
    /** Tasks that can be exchanged with each other. */
    readonly alike: readonly (readonly number[])[];
    /** What the states stand for, and what the transitions do. */
    readonly states: number;
    readonly transitions: number;
  } | null;
  /** Why they were not, where the options asked for it and the machine has tasks that could have been exchanged. */
  readonly asymmetry: Asymmetry | null;
}

/** What the states of a search may take unless a caller says otherwise: 4 GiB. */
export const STATE_BYTES = 4 * 2 ** 30;

const NO_STATE = -1;
const NOBODY = -1;

class Search {
  private readonly before: readonly FaultKind[];
  private readonly engine: Engine;
  private readonly seen: StateSet;
  /** What states became that are not added yet. */
  private readonly batch: Batch;
  /** The state that is expanded. */
  private at = 0;
  /** The first state of the next level: those from here on take one step more. */
  private levelEnd = 1;
  /** Per task that can move in the current state, what its step does. */
  private readonly leaves: Int32Array;
  /** Where each kind of fault was found first: a state, and the task that makes the step, or NOBODY. */
  private readonly found = new Map<FaultKind, readonly [state: number, task: number]>();
  /** What the states stand for that were expanded, and how many transitions. */
  private readonly stoodFor = { states: 0, transitions: 0 };
  private readonly reportState = (kinds: readonly FaultKind[]): void => this.report(kinds, NOBODY);

  constructor(
    faces: Faces,
    private readonly options: SearchOptions,
    symmetric: boolean,
  ) {
    this.before = faces(null).before;
    const widen = (component: number, number: number): void => {
      this.flush();
      this.seen.widen(component, number);
    };
    this.engine = new Engine(faces, widen, symmetric);
    this.batch = new Batch(this.engine.components + 1);
    this.leaves = new Int32Array(this.engine.tasks);
    this.seen = new StateSet(this.engine.packing);
  }

  private report(kinds: readonly FaultKind[], task: number): void {
    this.options.wrong?.(this.at, task, kinds);
    for (const kind of kinds) if (!this.found.has(kind)) this.found.set(kind, [this.at, task]);
  }

  /**
   * The steps that lead to a state, and then that of a task. By symmetry a state may be there for another one: from where a step was renamed, all
   * that follow are given back the names that they have in the first state's run.
   */
  private scheduleTo(state: number, task: number): number[] {
    const { engine, seen } = this;
    const { symmetry, current } = engine;
    const named = seen.scheduleTo(state);
    if (task !== NOBODY) named.push(task);
    if (symmetry === null) return named;
    let own = Array.from({ length: engine.tasks }, (_, each) => each);
    engine.hash = seen.load(0, current);
    const packed = new Int32Array(engine.components + 1);
    return named.map((name) => {
      const real = own[name];
      const leaf = engine.leafOf(name);
      if (leaf < 0) engine.run(name);
      engine.hash = symmetry.least(packed, 0, engine.apply(leaf, packed, 0));
      current.set(packed);
      if (symmetry.turned >= 0) {
        const { tasks } = symmetry.turns[symmetry.turned];
        const before = own;
        own = [...own];
        tasks.forEach((to, from) => {
          own[to] = before[from];
        });
      }
      return real;
    });
  }

  /** Add the states that wait in the batch. */
  private flush(): void {
    const { batch, seen, options } = this;
    seen.addAll(batch);
    if (options.edge)
      for (let each = 0; each < batch.count; each++)
        if (batch.from[each] !== NO_STATE)
          options.edge(batch.from[each], batch.tasks[each], batch.numbers[each]);
    batch.count = 0;
  }

  /** Let every task that can move make a step, and ask what is asked of the state. Gives how many could. */
  private expand(): number {
    const { engine, seen, leaves, at, batch, options } = this;
    const { tasks, learned, symmetry } = engine;
    // Whoever wants to know all transitions has them all made.
    const asleep = options.edge ? 0 : seen.asleep(at);
    let moved = 0;
    let waiting = 0;
    let enabled = 0;
    for (let task = 0; task < tasks; task++) {
      const leaf = engine.leafOf(task);
      const answer = leaf >= 0 ? learned.answer(leaf) : engine.run(task);
      if (answer < MOVED) {
        if (answer === WAITS_FOR_LOCK) waiting++;
        continue;
      }
      moved++;
      leaves[task] = leaf;
      const lower = enabled;
      if (task < SLEEPERS) {
        enabled |= 1 << task;
        if ((asleep & (1 << task)) !== 0) continue;
      }
      if (answer > MOVED) this.report(engine.faultsOf(answer), task);
      const { count } = batch;
      batch.hashes[count] = engine.apply(leaf, batch.packed, count * engine.packing.words);
      batch.from[count] = at;
      batch.tasks[count] = task;
      const sleepers = leaf >= 0 ? learned.independent(lower, leaves, task) : 0;
      if (symmetry === null) batch.asleep[count] = sleepers;
      else {
        batch.hashes[count] = symmetry.least(batch.packed, count * engine.packing.words, batch.hashes[count]);
        batch.asleep[count] = symmetry.called(sleepers);
      }
      if (++batch.count === Batch.MOST) this.flush();
    }
    if (symmetry !== null) {
      const size = symmetry.size(engine.current);
      this.stoodFor.states += size;
      this.stoodFor.transitions += size * moved;
    }
    engine.judge(moved, waiting, this.reportState);
    options.visit?.(at, engine);
    return moved;
  }

  /** What was learned while a component had had one value only is forgotten when it has a second: learn it again. */
  private relearn(): void {
    const { engine, seen } = this;
    for (let state = 0; state < seen.count; state++) {
      seen.load(state, engine.current);
      for (let task = 0; task < engine.tasks; task++) engine.leafOf(task);
    }
  }

  private fingerprint(): string {
    const { engine, seen } = this;
    const all = new Fingerprint();
    const prints = engine.prints();
    const packed = new Int32Array(engine.components + 1);
    for (let state = 0; state < seen.count; state++) {
      seen.load(state, packed);
      for (const image of engine.symmetry?.images(packed) ?? [packed]) {
        let high = 0;
        let low = 0;
        for (let component = 0; component < engine.components; component++) {
          const at = 2 * engine.packing.get(image, component);
          high = (high + prints[component][at]) | 0;
          low = (low + prints[component][at + 1]) | 0;
        }
        all.add(high, low);
      }
    }
    return String(all);
  }

  go(): SearchResult {
    const { seen, options, engine } = this;
    const { maxStates, maxBytes = STATE_BYTES, progress } = options;
    let transitions = 0;
    let depth = 0;
    let stopped: SearchResult["stopped"] = null;
    this.batch.from[0] = NO_STATE;
    this.batch.count = 1;
    this.flush();
    this.report(this.before, NOBODY);
    try {
      for (; ; this.at++) {
        if (this.at === this.levelEnd) this.flush();
        if (this.at === seen.count) break;
        if (this.at === this.levelEnd) {
          depth++;
          this.levelEnd = seen.count;
        }
        if ((this.at & 0xfff) === 0) {
          const { count } = seen;
          const found = [...this.found.keys()];
          const goOn = progress({ states: count, transitions, frontier: count - this.at, depth, found });
          if (!goOn) stopped = "caller";
          else if (count > maxStates) stopped = "states";
          else if (seen.bytes > maxBytes) stopped = "memory";
          if (stopped !== null) break;
        }
        engine.hash = seen.load(this.at, engine.current);
        transitions += this.expand();
      }
    } catch (error) {
      // There is no room for more states: what was seen so far is whole.
      if (!(error instanceof RangeError)) throw error;
      stopped = "room";
    }
    const complete = stopped === null;
    const left = complete ? 0 : seen.count - this.at;
    const witnesses = [...this.found].map(([kind, [state, task]]) => ({
      kind,
      schedule: this.scheduleTo(state, task),
    }));
    if (complete && options.learned) {
      this.relearn();
      options.learned(engine, seen.count);
    }
    const fingerprint = options.fingerprint && complete ? this.fingerprint() : null;
    const constant = engine.constantCells();
    const { count: states, bytes } = seen;
    const { symmetry: by } = engine;
    const symmetry = by && { alike: by.alike(), ...this.stoodFor };
    const asymmetry = null;
    return {
      complete,
      states,
      transitions,
      depth,
      stopped,
      left,
      bytes,
      witnesses,
      constant,
      fingerprint,
      symmetry,
      asymmetry,
    };
  }
}

/**
 * Visit every state that a machine can reach from the one that its cells hold. The cells are left as they were.
 */
export function search(faces: Faces, options: SearchOptions): SearchResult {
  const { cells, tasks } = faces(null);
  if (tasks > MOST_TASKS) throw new Error(`search: ${tasks} tasks; at most ${MOST_TASKS} are possible`);
  const before = cells.map(({ column, row }) => column[row]);
  const searched = (symmetric: boolean): SearchResult => {
    try {
      return new Search(faces, options, symmetric).go();
    } finally {
      cells.forEach(({ column, row }, at) => {
        column[row] = before[at];
      });
    }
  };
  if (options.symmetric !== true) return searched(false);
  try {
    return searched(true);
  } catch (error) {
    if (!(error instanceof Asymmetry)) throw error;
    return { ...searched(false), asymmetry: error };
  }
}
