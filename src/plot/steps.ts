/** The steps of a recording, and the lanes that they lie in: what every figure begins with that has a row for each task. */
import { MARK, type Recording, type StepInfo } from "../trace/recording.js";
import { WORD } from "../trace/words.js";
import type { Timeline } from "./timeline.js";

/** The row of a task. */
export interface Lane {
  /** Its number in the recording. */
  readonly task: number;
  readonly name: string;
  /** 0 is the lowest row. */
  readonly y: number;
}

/** Tasks that ran, first to run on top. */
export function lanesOf(recording: Recording): Lane[] {
  const order = new Set<number>();
  const { tasks } = recording.info;
  for (let i = 0; i < recording.length && order.size < tasks.length; i++)
    if (!isMark(recording, i)) order.add(recording.task[i]);
  return [...order].map((task, row) => {
    const { name, letter } = recording.info.tasks[task];
    return { task, name: letter === "" ? name : `${letter} ${name}`, y: order.size - 1 - row };
  });
}

const isMark = (recording: Recording, i: number): boolean =>
  recording.info.steps[recording.step[i]].path === MARK;

/** A step in its lane. */
export interface StepPoint {
  readonly x: number;
  readonly y: number;
  readonly step: string;
  /** What the pointer shows. */
  readonly text: string;
}

/** The steps of a recording, one for each tick of a task: what it did at once, named after the first of it. */
export class Steps {
  /** The event that each begins with. */
  private readonly first: Int32Array;
  private readonly y: ReadonlyMap<number, number>;
  readonly length: number;

  constructor(
    private readonly recording: Recording,
    private readonly line: Timeline,
    rows: readonly Lane[],
  ) {
    this.y = new Map(rows.map((row) => [row.task, row.y]));
    const { word, task } = recording;
    const first = new Int32Array(recording.length);
    let n = 0;
    for (let i = 0; i < recording.length; i++) {
      if (word[i] !== WORD.step || isMark(recording, i)) continue;
      const last = first[n - 1];
      if (n === 0 || line.at[last] !== line.at[i] || task[last] !== task[i]) first[n++] = i;
    }
    this.first = first.subarray(0, n);
    this.length = n;
  }

  x(nr: number): number {
    return this.line.at[this.first[nr]];
  }

  row(nr: number): number {
    return this.y.get(this.recording.task[this.first[nr]])!;
  }

  point(nr: number): StepPoint {
    const { info, step, pfn, word } = this.recording;
    const first = this.first[nr];
    const { step: name } = info.steps[step[first]];
    const page = pfn[first] >= 0 ? ` page 0x${pfn[first].toString(16)}` : "";
    let text = `${stepName(info.steps[step[first]])}${page}`;
    const end = nr + 1 < this.length ? this.first[nr + 1] : this.recording.length;
    for (let i = first + 1; i < end; i++)
      if (word[i] === WORD.step && !isMark(this.recording, i)) text += `, ${info.steps[step[i]].step}`;
    return { x: this.x(nr), y: this.row(nr), step: name, text };
  }

  all(): StepPoint[] {
    return Array.from({ length: this.length }, (_, nr) => this.point(nr));
  }

  /**
   * What is done in each tick of an axis of whole ticks: a number for each of `columns` ticks, 0 for nothing, else one more than the place
   * of its name.
   */
  names(columns: number): { readonly names: readonly string[]; readonly of: Int32Array } {
    const { step, info } = this.recording;
    const places = new Map<number, number>();
    const of = new Int32Array(columns);
    for (let nr = 0; nr < this.length; nr++) {
      const id = step[this.first[nr]];
      if (!places.has(id)) places.set(id, places.size + 1);
      of[this.x(nr) - this.line.start] = places.get(id)!;
    }
    return { names: [...places.keys()].map((id) => stepName(info.steps[id])), of };
  }
}

/** "shrink_page_list: trylock_page". */
const stepName = ({ path, step }: StepInfo): string => (path === step ? step : `${path}: ${step}`);
