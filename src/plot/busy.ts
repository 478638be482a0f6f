/** Lanes of a great many steps: a heat map with a row for each task, the darker the more of the steps it makes; finer on zoom. */
import type { Recording } from "../trace/recording.js";
import { WORD } from "../trace/words.js";
import type { PanelTrace } from "./compose.js";
import type { FineCells, State } from "./figure.js";
import { heatmap } from "./heatmap.js";
import type { Lane, Steps } from "./steps.js";
import type { Timeline } from "./timeline.js";

const WAITS = 0;
/** Apart in grey too. The first is of a task that makes no step; the others are of its share of the steps of all tasks. */
const STATES: readonly State[] = [
  { name: "waits", color: "#DEDEDE", glyph: "━" },
  { name: "makes up to a third of the steps", color: "#93C9EC", glyph: "░" },
  { name: "up to two thirds", color: "#3E92C9", glyph: "▒" },
  { name: "more", color: "#00416B", glyph: "█" },
];
const SHARES = STATES.length - 1;
/** Nothing, in the cells of a grid. */
const NONE = 255;

const COLUMNS = 600;
/** Each level of detail has so many times the columns of the one before. */
const FINER = 4;
/** Most columns of a level: more would not fit into a page (DETAIL_SIZE in pack.ts). */
const MAX_COLUMNS = 1 << 16;

/** Pixels of a lane's bar. */
const BAR = 14;

interface Lanes {
  readonly recording: Recording;
  readonly line: Timeline;
  readonly rows: readonly Lane[];
  readonly steps: Steps;
  /** Rows of the map: one more than the highest lane's. */
  readonly height: number;
}

/** What happens in each column of a level of detail, a row after the other from the bottom up. */
interface Counts {
  readonly columns: number;
  /** Steps of each row's task. */
  readonly own: Int32Array;
  /** Whether it waits in any part of the column. */
  readonly waits: Uint8Array;
}

/**
 * How busy each task is over time. A reader who zooms in gets columns of one tick at last, where the pointer names the step.
 *
 * @param rowHeight pixels from one lane to the next
 */
export function busyTraces(
  recording: Recording,
  line: Timeline,
  rows: readonly Lane[],
  steps: Steps,
  rowHeight: number,
): PanelTrace[] {
  const height = 1 + Math.max(...rows.map(({ y }) => y));
  const lanes: Lanes = { recording, line, rows, steps, height };
  const [{ columns, cells }, ...finer] = levelsOf(lanes);
  const [map, ...legend] = heatmap({
    name: "steps",
    states: STATES,
    rows: Array.from({ length: height }, (_, y) => rows.find((row) => row.y === y)?.name ?? ""),
    x: [...edgesOf(line, columns)],
    y: Array.from({ length: height + 1 }, (_, i) => i - 0.5),
    z: Array.from({ length: height }, (_, y) =>
      Array.from(cells.subarray(y * columns, (y + 1) * columns), (cell) => (cell === NONE ? null : cell)),
    ),
    ygap: rowHeight - BAR,
    // Those that a reader sees who zooms in are named as well.
    named: recording.word.includes(WORD.wait) ? STATES : STATES.slice(WAITS + 1),
  });
  const fine = finer.map(
    (level): FineCells => ({
      x: edgesOf(line, level.columns),
      z: level.cells,
      ...(level.columns === ticksOf(line) ? { columns: steps.names(level.columns) } : {}),
    }),
  );
  return [{ ...map, fine: fine.length > 0 ? fine : undefined }, ...legend];
}

/** How many ticks an axis has; infinitely many where its numbers are not whole. */
const ticksOf = ({ start, end }: Timeline): number =>
  Number.isInteger(start) && Number.isInteger(end) ? end - start : Number.POSITIVE_INFINITY;

/** The levels of detail, the coarsest first; the last has a column for each tick, where there are not too many. */
function levelsOf(lanes: Lanes): { readonly columns: number; readonly cells: Uint8Array }[] {
  const ticks = ticksOf(lanes.line);
  let finest = COLUMNS;
  while (FINER * finest < ticks / 2 && FINER * finest <= MAX_COLUMNS) finest *= FINER;
  const levels = [countsOf(lanes, finest)];
  while (levels[0].columns > COLUMNS) levels.unshift(coarser(levels[0]));
  if (ticks > finest && ticks <= MAX_COLUMNS) levels.push(countsOf(lanes, ticks));
  return levels.map((counts) => ({ columns: counts.columns, cells: cellsOf(counts) }));
}

const edgesOf = ({ start, end }: Timeline, columns: number): Float64Array =>
  Float64Array.from({ length: columns + 1 }, (_, c) => start + ((end - start) * c) / columns);

function countsOf({ recording, line, rows, steps, height }: Lanes, columns: number): Counts {
  const own = new Int32Array(height * columns);
  const waits = new Uint8Array(height * columns);
  const place = (x: number): number => ((x - line.start) / (line.end - line.start)) * columns;
  eachWait(recording, line, rows, (y, from, to) => {
    waits.fill(1, y * columns + Math.floor(place(from)), y * columns + Math.ceil(place(to)));
  });
  for (let nr = 0; nr < steps.length; nr++)
    own[steps.row(nr) * columns + Math.min(columns - 1, Math.floor(place(steps.x(nr))))]++;
  return { columns, own, waits };
}

/** The same with fewer columns. */
function coarser({ columns, own, waits }: Counts): Counts {
  const sum = new Int32Array(own.length / FINER);
  const any = new Uint8Array(own.length / FINER);
  for (let at = 0; at < own.length; at++) {
    sum[Math.floor(at / FINER)] += own[at];
    any[Math.floor(at / FINER)] |= waits[at];
  }
  return { columns: columns / FINER, own: sum, waits: any };
}

/** The state of each cell. */
function cellsOf({ columns, own, waits }: Counts): Uint8Array {
  const all = new Int32Array(columns);
  for (let at = 0; at < own.length; at++) all[at % columns] += own[at];
  return Uint8Array.from(own, (steps, at) =>
    steps > 0 ? Math.ceil((SHARES * steps) / all[at % columns]) : waits[at] === 1 ? WAITS : NONE,
  );
}

/** Each wait of each task, in its lane; one that does not end reaches to the end of the axis. */
export function eachWait(
  { length, word, value, task }: Recording,
  line: Timeline,
  rows: readonly Lane[],
  tell: (y: number, from: number, to: number) => void,
): void {
  const y = new Map(rows.map((row) => [row.task, row.y]));
  const since = new Map<number, number>();
  for (let i = 0; i < length; i++) {
    if (word[i] !== WORD.wait) continue;
    const from = since.get(task[i]);
    if (value[i] === 1 && from === undefined) since.set(task[i], line.at[i]);
    if (value[i] !== 0 || from === undefined) continue;
    tell(y.get(task[i])!, from, line.at[i]);
    since.delete(task[i]);
  }
  for (const [each, from] of since) tell(y.get(each)!, from, line.end);
}
