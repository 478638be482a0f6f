/**
 * A page's life as a list: what happened to it, in order, and what its words were afterwards.
 *
 * It is how a simulated life is set beside a recorded one: the rows of both have a step's name and the same words.
 */
import type { Recording } from "./recording.js";
import { WORD, type WordName } from "./words.js";

/** One thing that happened to a page. */
export interface Moment {
  /** In the recording's unit. */
  readonly time: number;
  readonly task: string;
  readonly path: string;
  /** Step of the path; of a real trace the probe's name. */
  readonly step: string;
  /** Words that this step changed. */
  readonly changed: readonly WordName[];
  /** Every word known of the page after the step (moments, as reclaim and fault, only where they happen). */
  readonly words: Readonly<Partial<Record<WordName, number>>>;
}

const NAMES = Object.fromEntries(Object.entries(WORD).map(([name, word]) => [word, name as WordName]));
const MOMENTS: readonly WordName[] = ["step", "reclaim", "fault", "wait"];

/**
 * The life of one page, one row for each step that was about it or changed a word of it.
 *
 * @throws Error when the recording never speaks of the page
 * @example
 *   pageHistory(recording, 0x9489).map((m) => `${m.time} ${m.step} ref=${m.words.refcount}`)
 */
export function pageHistory(recording: Recording, pfn: number): Moment[] {
  const { info } = recording;
  const moments: Moment[] = [];
  const known: Partial<Record<WordName, number>> = {};
  let open: { moment: Moment; changed: WordName[]; at: number } | null = null;
  for (let i = 0; i < recording.length; i++) {
    if (recording.pfn[i] !== pfn) continue;
    if (open === null || !sameStep(recording, open.at, i)) {
      const { path, step } = info.steps[recording.step[i]];
      const changed: WordName[] = [];
      const moment = {
        time: recording.time[i],
        task: info.tasks[recording.task[i]].name,
        path,
        step,
        changed,
        words: { ...known },
      };
      moments.push(moment);
      open = { moment, changed, at: i };
    }
    const name = NAMES[recording.word[i]];
    const value = recording.value[i];
    (open.moment.words as Partial<Record<WordName, number>>)[name] = value;
    if (name === "step") continue;
    open.changed.push(name);
    if (!MOMENTS.includes(name)) known[name] = value;
  }
  if (moments.length === 0) throw new Error(`The recording never speaks of page frame ${pfn}.`);
  return moments;
}

/** Two events belong to one step when nothing but their page tells them apart, and no second step event lies between. */
function sameStep(r: Recording, a: number, b: number): boolean {
  if (r.time[a] !== r.time[b] || r.task[a] !== r.task[b] || r.step[a] !== r.step[b]) return false;
  return r.word[b] !== WORD.step;
}
