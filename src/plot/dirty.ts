/** Dirty states over time: which of the many places that can hold "dirty" does, for how many pages. */
import { pagesOf, placesOf, type Recording } from "../trace/recording.js";
import { BUFFER_BIT, PTE_BIT, pg, TAG_BIT, WORD, type WordName } from "../trace/words.js";
import { compose } from "./compose.js";
import { drawn, type Points, Sampler } from "./downsample.js";
import { type Annotation, COLOR, type Figure, WIDTH } from "./figure.js";
import { textWidth } from "./text.js";
import { type AxisOptions, type Timeline, timeline } from "./timeline.js";

/**
 * The classes, from the bottom of the stack up. A page is in exactly one: the first that holds of
 *
 * 1. absent: nothing was seen of it yet, or its reference count is 0;
 * 2. no_buffers: PG_dirty without buffers, the state ext4 must never see. The absence of buffers means something
 *    only on a filesystem that uses them: it counts only where some page of the recording had buffers attached;
 * 3. device: a device has written, nobody has said so, and PG_dirty is clear;
 * 4. writeback: PG_writeback, dirty again or not;
 * 5. dirty: PG_dirty;
 * 6. tagged: the mapping's DIRTY or TOWRITE tag, with PG_dirty clear;
 * 7. pte: a dirty PTE, with PG_dirty clear;
 * 8. clean.
 */
export const DIRTY_CLASSES = [
  { id: "clean", name: "clean", color: COLOR.grey },
  { id: "pte", name: "PTE-dirty", color: COLOR.yellow },
  { id: "dirty", name: "PG_dirty", color: COLOR.orange },
  { id: "tagged", name: "tagged", color: COLOR.purple },
  { id: "writeback", name: "under writeback", color: COLOR.green },
  { id: "device", name: "device wrote but nobody said", color: COLOR.blue },
  { id: "no_buffers", name: "dirty without buffers", color: COLOR.vermillion },
  { id: "absent", name: "not in memory", color: COLOR.pale },
] as const;

export type DirtyClass = (typeof DIRTY_CLASSES)[number]["id"];

/** The words that decide the class; absent where not known yet. */
export type DirtyWords = Partial<Record<WordName, number>>;

/** The class of a page; the rule is at DIRTY_CLASSES. */
export function dirtyClass(words: DirtyWords, filesystemHasBuffers: boolean): DirtyClass {
  const { flags, refcount, pte = 0, buffers, tags = 0, device = 0 } = words;
  const nothingKnown =
    flags === undefined && refcount === undefined && buffers === undefined && words.pte === undefined;
  if (refcount === 0 || nothingKnown) return "absent";
  const dirty = ((flags ?? 0) & pg("dirty")) !== 0;
  if (dirty && buffers === 0 && filesystemHasBuffers) return "no_buffers";
  if (device !== 0 && !dirty) return "device";
  if (((flags ?? 0) & pg("writeback")) !== 0) return "writeback";
  if (dirty) return "dirty";
  if ((tags & (TAG_BIT.dirty | TAG_BIT.towrite)) !== 0) return "tagged";
  return (pte & PTE_BIT.dirty) !== 0 ? "pte" : "clean";
}

/**
 * Dirty states: the pages of the recording, stacked by class. The counts add up to the number of pages everywhere.
 *
 * @throws Error when the recording speaks of no page
 * @example dirtyStates(recording)
 */
export function dirtyStates(recording: Recording, options: AxisOptions = {}): Figure {
  const pages = pagesOf(recording);
  if (pages.length === 0)
    throw new Error("The recording speaks of no page: there are no dirty states to draw.");
  const line = timeline(recording, options);
  const { x, lines } = drawn(countClasses(recording, pages, line));
  const panel = {
    title: "pages",
    height: 300,
    range: [0, pages.length] as const,
    ...wholeTicks(pages.length),
    grid: false,
  };
  const traces = DIRTY_CLASSES.map(({ name, color }, c) => ({ name, color, ...lines[c] }))
    .filter(({ y }) => y.some((count) => count > 0))
    .map(({ name, color, y, fine }) => ({
      name,
      mode: "lines" as const,
      x,
      y,
      fine,
      hovertemplate: `${name}: %{y}<extra></extra>`,
      line: { color, width: 0, shape: "hv" as const },
      stackgroup: "pages",
      fillcolor: color,
      showlegend: true,
    }));
  return compose({
    kind: "dirty",
    title: pages.length === 1 ? "Dirty states of a page" : `Dirty states of ${pages.length} pages`,
    info: recording.info,
    timeline: line,
    panels: [
      {
        ...panel,
        traces,
        annotations: names(
          x,
          lines.map(({ y }) => y),
          pages.length,
          line,
        ),
      },
    ],
    caption:
      "Each page is in one class, the most alarming that holds: dirty without buffers; written by a device and not marked dirty; under writeback; PG_dirty; tagged in the mapping while PG_dirty is clear; dirty only in a PTE; clean.",
  });
}

/** The name of a class on its area, where it holds most of the pages for long enough to write it. */
function names(
  x: readonly number[],
  counts: readonly number[][],
  pages: number,
  line: Timeline,
): Omit<Annotation, "yref">[] {
  const notes: Omit<Annotation, "yref">[] = [];
  DIRTY_CLASSES.forEach(({ name, id, color }, c) => {
    const run = longestRun(x, counts[c], pages / 2);
    const px = ((run.to - run.from) / (line.end - line.start)) * (WIDTH - 90);
    if (id === "absent" || px < textWidth(name, 11) + 6) return;
    const i = x.findLastIndex((at) => at <= (run.from + run.to) / 2);
    const below = counts.slice(0, c).reduce((sum, column) => sum + column[i], 0);
    notes.push({
      text: name,
      x: (run.from + run.to) / 2,
      y: below + counts[c][i] / 2,
      xref: "x",
      xanchor: "center",
      yanchor: "middle",
      xshift: 0,
      yshift: 0,
      showarrow: false,
      align: "center",
      font: { size: 11, color: color === COLOR.blue || color === COLOR.vermillion ? "#FFFFFF" : COLOR.black },
    });
  });
  return notes;
}

/** The longest stretch of x on which a step line is at least `level`. */
function longestRun(x: readonly number[], y: readonly number[], level: number): { from: number; to: number } {
  let best = { from: x[0], to: x[0] };
  let from = Number.NaN;
  x.forEach((at, i) => {
    if (y[i] >= level && Number.isNaN(from)) from = at;
    if (!Number.isNaN(from) && at - from > best.to - best.from) best = { from, to: at };
    if (y[i] < level) from = Number.NaN;
  });
  return best;
}

/** Ticks at whole numbers, where plotly's own would be fractions. */
function wholeTicks(n: number) {
  if (n > 4) return {};
  const values = Array.from({ length: n + 1 }, (_, i) => i);
  return { ticks: { values, labels: values.map(String) } };
}

/** How many pages are in each class, where that changes. */
function countClasses(recording: Recording, pages: readonly number[], line: Timeline): Points {
  const counts = new Sampler([line.start, line.end], DIRTY_CLASSES.length);
  const now = new Int32Array(DIRTY_CLASSES.length);
  now[ABSENT] = pages.length;
  counts.add(line.start, now);
  eachChange(recording, pages, (event, _, before, after) => {
    now[before]--;
    now[after]++;
    counts.add(line.at[event], now);
  });
  return counts.end(line.end);
}

/** The number of the class that nothing is known of, in DIRTY_CLASSES. */
export const ABSENT = DIRTY_CLASSES.findIndex(({ id }) => id === "absent");

/**
 * Go through a recording and tell each change of a page's class, by the class's number in DIRTY_CLASSES.
 *
 * @param pages that are followed: `page` is a place in this list
 */
export function eachChange(
  recording: Recording,
  pages: readonly number[],
  tell: (event: number, page: number, before: number, after: number) => void,
): void {
  const place = placesOf(pages);
  const hasBuffers = buffersSeen(recording);
  const words = RELEVANT.map(() => new Int32Array(pages.length));
  /** A bit for each word that is known. */
  const known = new Uint8Array(pages.length);
  const current = new Uint8Array(pages.length).fill(ABSENT);
  const asked: { -readonly [name in WordName]?: number } = {};
  const { word, pfn, value } = recording;
  for (let i = 0; i < recording.length; i++) {
    const column = COLUMN[word[i]];
    if (column < 0 || pfn[i] < 0) continue;
    const page = place(pfn[i]);
    if (page < 0) continue;
    const before = known[page];
    known[page] |= 1 << column;
    if (words[column][page] === value[i] && known[page] === before) continue;
    words[column][page] = value[i];
    for (let w = 0; w < RELEVANT.length; w++)
      asked[RELEVANT[w]] = (known[page] & (1 << w)) === 0 ? undefined : words[w][page];
    const after = NUMBER[dirtyClass(asked, hasBuffers)];
    if (after === current[page]) continue;
    tell(i, page, current[page], after);
    current[page] = after;
  }
}

const NUMBER = Object.fromEntries(DIRTY_CLASSES.map(({ id }, number) => [id, number])) as Record<
  DirtyClass,
  number
>;

/** The words that decide the class. */
const RELEVANT = ["flags", "refcount", "pte", "buffers", "tags", "device"] as const;

/** Place in RELEVANT of each word; -1 for the others. */
const COLUMN = Int8Array.from({ length: 256 }, (_, word) =>
  RELEVANT.findIndex((name) => WORD[name] === word),
);

function buffersSeen(recording: Recording): boolean {
  for (let i = 0; i < recording.length; i++) {
    if (recording.word[i] === WORD.buffers && (recording.value[i] & BUFFER_BIT.attached) !== 0) return true;
  }
  return false;
}
