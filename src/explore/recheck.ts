/**
 * A second search, to confirm what the first one said: nothing of its packing, its table of states or its learned steps is used here. It makes
 * every step for itself, and knows a state again by the 64 bits of its fingerprint.
 *
 * Two states with one print would be taken for one: the number of states would then be too small, and not be confirmed. By chance that
 * happens to n states with probability n^2 / 2^65, for three million once in four million times.
 */
import type { FaultKind } from "../trace/recording.js";
import { type Explorable, wrongWith } from "./engine.js";
import { cellPrint, Fingerprint } from "./fingerprint.js";

/** What is confirmed of a search. */
export interface Confirmed {
  readonly states: number;
  readonly transitions: number;
  readonly depth: number;
  readonly fingerprint: string;
  /** Steps of the shortest way to each kind of fault. */
  readonly faults: Readonly<Partial<Record<FaultKind, number>>>;
}

/** 64-bit prints that were seen. */
class Prints {
  count = 0;
  private size = 1 << 12;
  private high = new Int32Array(this.size);
  private low = new Int32Array(this.size);
  private used = new Uint8Array(this.size);

  /** Whether a print is new; it is known from now on. */
  add(high: number, low: number): boolean {
    if (this.count * 2 >= this.size) this.grow();
    const at = this.place(high, low);
    if (this.used[at] === 1) return false;
    this.used[at] = 1;
    this.high[at] = high;
    this.low[at] = low;
    this.count++;
    return true;
  }

  private place(high: number, low: number): number {
    let at = (high ^ (low << 7)) & (this.size - 1);
    while (this.used[at] === 1 && (this.high[at] !== high || this.low[at] !== low))
      at = (at + 1) & (this.size - 1);
    return at;
  }

  private grow(): void {
    const { high, low, used } = this;
    this.size *= 2;
    this.high = new Int32Array(this.size);
    this.low = new Int32Array(this.size);
    this.used = new Uint8Array(this.size);
    used.forEach((is, at) => {
      if (is === 0) return;
      const place = this.place(high[at], low[at]);
      this.used[place] = 1;
      this.high[place] = high[at];
      this.low[place] = low[at];
    });
  }
}

/**
 * Visit every state of a machine again. It is left in its first state.
 *
 * @param progress called now and then; returning false ends it, and null is the answer
 */
export function recheck(
  machine: Explorable,
  progress: (seen: { states: number; depth: number }) => boolean = () => true,
): Confirmed | null {
  const { state: live, cells, tasks } = machine;
  const start = live.slice();
  const prints = new Prints();
  const all = new Fingerprint();
  const faults: Partial<Record<FaultKind, number>> = {};
  let frontier: Uint32Array[] = [];
  let next: Uint32Array[] = [];
  let transitions = 0;
  let depth = 0;
  const note = (kinds: readonly FaultKind[], steps: number): void => {
    for (const kind of kinds) faults[kind] ??= steps;
  };
  const meet = (): void => {
    let high = 0;
    let low = 0;
    cells.forEach(({ column, row }, cell) => {
      const [a, b] = cellPrint(cell, column[row]);
      high = (high + a) | 0;
      low = (low + b) | 0;
    });
    if (!prints.add(high, low)) return;
    all.add(high, low);
    next.push(live.slice());
  };
  meet();
  note(machine.before, 0);
  for (; next.length > 0; depth++) {
    frontier = next;
    next = [];
    for (let at = 0; at < frontier.length; at++) {
      if ((at & 0x3ff) === 0 && !progress({ states: prints.count, depth })) {
        live.set(start);
        return null;
      }
      live.set(frontier[at]);
      note(wrongWith(machine), depth);
      for (let task = 0; task < tasks; task++) {
        live.set(frontier[at]);
        if (!machine.enabled(task)) continue;
        note(machine.step(task), depth + 1);
        transitions++;
        meet();
      }
    }
  }
  live.set(start);
  return { states: prints.count, transitions, depth: depth - 1, fingerprint: String(all), faults };
}
