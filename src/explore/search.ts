/**
 * Exhaustive search: every interleaving of a small machine, breadth first.
 *
 * A state is the machine's memory, word for word: no hashing away, no abstraction. Each state is expanded by letting
 * each task that can move make one step. Because the search goes breadth first, the first way it finds to a fault is
 * one with the fewest steps. The visited set holds the states themselves; two states are equal when all words are.
 */
import type { FaultKind } from "../trace/recording.js";

/** What the search needs of a machine: its live state, and single steps that report what went wrong. */
export interface Explorable {
  /** The live state. The search overwrites it; a step changes it. */
  readonly state: Uint32Array;
  readonly tasks: number;
  enabled(task: number): boolean;
  /** Let a task make one step; gives the kinds of the faults that it met. */
  step(task: number): readonly FaultKind[];
  /** Faults of the live state as such: tasks that can never move again, writes that are lost. */
  inspect(): readonly FaultKind[];
}

export interface SearchOptions {
  /** Stop after this many states: the answer is then "incomplete". */
  readonly maxStates: number;
  /** Called now and then with what has been done; returning false interrupts the search. */
  readonly progress: (seen: {
    states: number;
    transitions: number;
    frontier: number;
    depth: number;
  }) => boolean;
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
  /** The shortest way to each kind of fault, in the order in which they were found. */
  readonly witnesses: readonly Witness[];
}

const CHUNK_BITS = 14;
const CHUNK_STATES = 1 << CHUNK_BITS;
const NO_STATE = -1;

/**
 * A 32-bit hash. Four lanes side by side, each a multiplicative hash of every fourth word, because one chain of
 * multiplications would wait for each before it began the next.
 */
function hashWords(state: Uint32Array, words: number): number {
  let a = 0x811c9dc5;
  let b = 0x2545f491;
  let c = 0x51ed270b;
  let d = 0x7feb352d;
  let i = 0;
  for (; i + 4 <= words; i += 4) {
    a = Math.imul(a ^ state[i], 0x9e3779b1);
    b = Math.imul(b ^ state[i + 1], 0x85ebca77);
    c = Math.imul(c ^ state[i + 2], 0xc2b2ae3d);
    d = Math.imul(d ^ state[i + 3], 0x27d4eb2f);
    a ^= a >>> 15;
    b ^= b >>> 13;
    c ^= c >>> 16;
    d ^= d >>> 14;
  }
  for (; i < words; i++) a = Math.imul(a ^ state[i], 0x9e3779b1);
  let hash =
    Math.imul(a ^ (b << 7) ^ (b >>> 25), 0x85ebca77) ^ Math.imul(c ^ (d << 11) ^ (d >>> 21), 0xc2b2ae3d);
  hash ^= hash >>> 15;
  return Math.imul(hash, 0x27d4eb2f) ^ (hash >>> 13);
}

/** The states seen so far, with the way to each. */
class StateSet {
  count = 0;
  private readonly words: number;
  /** The state that is being expanded, near at hand. */
  private readonly expanding: Uint32Array;
  private readonly chunks: Uint32Array[] = [];
  /** Open addressing, two words a slot: a state's number (NO_STATE where empty) and its hash. */
  private table = new Int32Array(2 << 16).fill(NO_STATE);
  private parent = new Int32Array(1 << 15);
  private via = new Uint8Array(1 << 15);

  constructor(private readonly live: Uint32Array) {
    this.words = live.length;
    this.expanding = new Uint32Array(this.words);
  }

  /** Make a seen state the one to expand, and the live one. */
  expand(state: number): void {
    const at = (state & (CHUNK_STATES - 1)) * this.words;
    this.expanding.set(this.chunks[state >>> CHUNK_BITS].subarray(at, at + this.words));
    this.back();
  }

  /** Make the state that is being expanded the live one again. */
  back(): void {
    const { live, expanding, words } = this;
    for (let i = 0; i < words; i++) live[i] = expanding[i];
  }

  /** Whether the live state is new; if so it is kept, reached from `from` by a step of `task`. */
  add(from: number, task: number): boolean {
    const { live, words } = this;
    const hash = hashWords(live, words);
    const { table } = this;
    const mask = table.length - 2;
    let slot = (hash << 1) & mask;
    for (let state = table[slot]; state !== NO_STATE; state = table[slot]) {
      if (table[slot + 1] === hash && this.same(state)) return false;
      slot = (slot + 2) & mask;
    }
    const state = this.count++;
    table[slot] = state;
    table[slot + 1] = hash;
    if (state === this.parent.length) this.growStates();
    this.parent[state] = from;
    this.via[state] = task;
    if ((state & (CHUNK_STATES - 1)) === 0) this.chunks.push(new Uint32Array(CHUNK_STATES * words));
    this.chunks[state >>> CHUNK_BITS].set(live, (state & (CHUNK_STATES - 1)) * words);
    if (this.count * 4 > table.length) this.growTable();
    return true;
  }

  /** The steps that lead to a state. */
  scheduleTo(state: number): number[] {
    const schedule: number[] = [];
    for (let at = state; this.parent[at] !== NO_STATE; at = this.parent[at]) schedule.push(this.via[at]);
    return schedule.reverse();
  }

  private same(state: number): boolean {
    const chunk = this.chunks[state >>> CHUNK_BITS];
    const { live, words } = this;
    let at = (state & (CHUNK_STATES - 1)) * words;
    for (let i = 0; i < words; i++) if (live[i] !== chunk[at++]) return false;
    return true;
  }

  private growStates(): void {
    const size = this.parent.length * 2;
    const parent = new Int32Array(size);
    const via = new Uint8Array(size);
    parent.set(this.parent);
    via.set(this.via);
    this.parent = parent;
    this.via = via;
  }

  private growTable(): void {
    const old = this.table;
    const table = new Int32Array(old.length * 2).fill(NO_STATE);
    const mask = table.length - 2;
    for (let at = 0; at < old.length; at += 2) {
      if (old[at] === NO_STATE) continue;
      let slot = (old[at + 1] << 1) & mask;
      while (table[slot] !== NO_STATE) slot = (slot + 2) & mask;
      table[slot] = old[at];
      table[slot + 1] = old[at + 1];
    }
    this.table = table;
  }
}

/** Visit every state that the machine can reach from its live state. */
export function search(machine: Explorable, options: SearchOptions): SearchResult {
  if (machine.tasks > 256) throw new Error(`search: ${machine.tasks} tasks; at most 256 are possible`);
  const seen = new StateSet(machine.state);
  const witnesses: Witness[] = [];
  const found = new Set<FaultKind>();
  let transitions = 0;
  let depth = 0;
  let levelEnd = 1;
  const report = (kinds: readonly FaultKind[], from: number, task: number | null): void => {
    for (const kind of kinds) {
      if (found.has(kind)) continue;
      found.add(kind);
      const schedule = seen.scheduleTo(from);
      if (task !== null) schedule.push(task);
      witnesses.push({ kind, schedule });
    }
  };

  seen.add(NO_STATE, 0);
  report(machine.inspect(), 0, null);
  let complete = true;
  let at = 0;
  for (; at < seen.count; at++) {
    if (at === levelEnd) {
      depth++;
      levelEnd = seen.count;
    }
    if ((at & 0xfff) === 0) {
      const goOn = options.progress({ states: seen.count, transitions, frontier: seen.count - at, depth });
      if (!goOn || seen.count > options.maxStates) {
        complete = false;
        break;
      }
    }
    seen.expand(at);
    let moved = false;
    for (let task = 0; task < machine.tasks; task++) {
      if (moved) seen.back();
      moved = machine.enabled(task);
      if (!moved) continue;
      const faults = machine.step(task);
      transitions++;
      if (faults.length > 0) report(faults, at, task);
      if (seen.add(at, task)) {
        const state = machine.inspect();
        if (state.length > 0) report(state, seen.count - 1, null);
      }
    }
  }
  return { complete, states: seen.count, transitions, depth, witnesses };
}
