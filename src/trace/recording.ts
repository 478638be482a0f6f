/**
 * A recording: the events of a run as columns.
 *
 * Written by the simulator while it runs (Recorder) and by the importer of real kernels' traces; read by the
 * figures. A recording is immutable once finished. Events are in order of time; ties keep the order of writing.
 */
import type { Word } from "./words.js";

/** A task of the run: a process, kswapd, a flusher, a disk; of a real trace: a thread. */
export interface TaskInfo {
  readonly name: string;
  /** One letter, unique in the run, used by replay lines; empty for real traces. */
  readonly letter: string;
  readonly daemon: boolean;
}

/** Where an event comes from: a step of a path, or the probe of a real trace (path and step are then equal). */
export interface StepInfo {
  readonly path: string;
  readonly step: string;
}

/** Path of the steps that are no kernel code but marks: what a workload wrote into its recording. The step is the text. */
export const MARK = "mark";

/** A fault of the simulated kernel (or one that a real kernel reported): data, never an exception. */
export interface Fault {
  readonly kind: FaultKind;
  readonly path: string;
  readonly step: string;
  /** Page frame number, or -1 when no page is involved. */
  readonly pfn: number;
  readonly task: string;
  /** Ticks (simulated) or seconds (real). */
  readonly tick: number;
  /** `function: fact`, in the kernel's words. */
  readonly message: string;
}

export type FaultKind =
  | "BUG"
  | "WARN"
  | "LOST"
  | "TORN"
  | "STALE"
  | "INFOLEAK"
  | "UAF"
  | "HANG"
  | "DEADLOCK"
  | "LEAK"
  | "ENOSPC"
  | "REFUSED"
  | "SLOW";

export interface RecordingInfo {
  readonly source: "simulated" | "real";
  /** What a caption says first, for example "kara-2018 on v4.20". */
  readonly title: string;
  readonly kernel: string;
  /** The line that reproduces the run; empty for a real trace. */
  readonly replay: string;
  /** Unit of Recording.time: one tick is one step of one task. */
  readonly timeUnit: "tick" | "s";
  readonly tasks: readonly TaskInfo[];
  readonly steps: readonly StepInfo[];
  readonly faults: readonly Fault[];
}

export interface Recording {
  readonly info: RecordingInfo;
  /** Number of events. Columns hold exactly this many. */
  readonly length: number;
  readonly time: Float64Array;
  /** Index into info.tasks. */
  readonly task: Uint16Array;
  /** Index into info.steps. */
  readonly step: Uint32Array;
  /** Page frame number, or -1. */
  readonly pfn: Int32Array;
  /** WORD. */
  readonly word: Uint8Array;
  readonly value: Int32Array;
}

const CHUNK = 1 << 16;

/** Columns that grow by chunks; `finish` gives the Recording. */
export class Recorder {
  private capacity = CHUNK;
  length = 0;
  private time = new Float64Array(CHUNK);
  private task = new Uint16Array(CHUNK);
  private step = new Uint32Array(CHUNK);
  private pfn = new Int32Array(CHUNK);
  private word = new Uint8Array(CHUNK);
  private value = new Int32Array(CHUNK);

  /** Append one event. */
  add(time: number, task: number, step: number, pfn: number, word: Word, value: number): void {
    const at = this.length;
    if (at === this.capacity) this.grow();
    this.time[at] = time;
    this.task[at] = task;
    this.step[at] = step;
    this.pfn[at] = pfn;
    this.word[at] = word;
    this.value[at] = value;
    this.length = at + 1;
  }

  /** Forget the events after the first `length`: time travel in the REPL. */
  truncate(length: number): void {
    if (length > this.length) throw new Error(`Recorder.truncate: ${length} is beyond ${this.length}`);
    this.length = length;
  }

  finish(info: RecordingInfo): Recording {
    const n = this.length;
    return {
      info,
      length: n,
      time: this.time.slice(0, n),
      task: this.task.slice(0, n),
      step: this.step.slice(0, n),
      pfn: this.pfn.slice(0, n),
      word: this.word.slice(0, n),
      value: this.value.slice(0, n),
    };
  }

  private grow(): void {
    this.capacity *= 2;
    const wider = <T extends Float64Array | Uint16Array | Uint32Array | Int32Array | Uint8Array>(
      old: T,
      make: (n: number) => T,
    ): T => {
      const column = make(this.capacity);
      column.set(old);
      return column;
    };
    this.time = wider(this.time, (n) => new Float64Array(n));
    this.task = wider(this.task, (n) => new Uint16Array(n));
    this.step = wider(this.step, (n) => new Uint32Array(n));
    this.pfn = wider(this.pfn, (n) => new Int32Array(n));
    this.word = wider(this.word, (n) => new Uint8Array(n));
    this.value = wider(this.value, (n) => new Int32Array(n));
  }
}

/** Page frame numbers below this are few enough for a table. */
const DENSE = 1 << 26;

/** Pages that the recording speaks of, ascending. */
export function pagesOf(recording: Recording): number[] {
  const { pfn } = recording;
  let highest = -1;
  for (let i = 0; i < pfn.length; i++) if (pfn[i] > highest) highest = pfn[i];
  if (highest < DENSE) {
    const seen = new Uint8Array(highest + 1);
    for (let i = 0; i < pfn.length; i++) if (pfn[i] >= 0) seen[pfn[i]] = 1;
    const pages: number[] = [];
    for (let page = 0; page <= highest; page++) if (seen[page] === 1) pages.push(page);
    return pages;
  }
  return [...new Set(pfn)].filter((page) => page >= 0).sort((a, b) => a - b);
}

/** Place of each page in a list of pages; -1 for a page that is not in it. */
export function placesOf(pages: readonly number[]): (pfn: number) => number {
  const highest = pages.reduce((high, page) => Math.max(high, page), -1);
  if (highest < DENSE) {
    const places = new Int32Array(highest + 1).fill(-1);
    pages.forEach((page, place) => {
      places[page] = place;
    });
    return (pfn) => (pfn >= 0 && pfn <= highest ? places[pfn] : -1);
  }
  const places = new Map(pages.map((page, place) => [page, place]));
  return (pfn) => places.get(pfn) ?? -1;
}
