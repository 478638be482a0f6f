/** All pages over time: a row for each page, its colour the dirty class that the page is in. */
import { pagesOf, placesOf, type Recording } from "../trace/recording.js";
import { WORD } from "../trace/words.js";
import { compose, type Panel, type PanelTrace } from "./compose.js";
import { ABSENT, DIRTY_CLASSES, eachChange } from "./dirty.js";
import { FINE } from "./downsample.js";
import { type Annotation, COLOR, type Figure, type FineCells, WIDTH } from "./figure.js";
import { heatmap, inkOn } from "./heatmap.js";
import { hex } from "./pins.js";
import { textWidth } from "./text.js";
import { type AxisOptions, type Timeline, timeline } from "./timeline.js";

/** Most rows, of three pixels each: more pages share them. */
const MAX_ROWS = 128;
const MAX_COLUMNS = 600;
/** Fewer rows than these have the names of their classes written on them. */
const MAX_NAMED_ROWS = 6;
/** Recordings of no more events have a column for each change, where there are not too many. */
const FEW_EVENTS = 50_000;

const GLYPHS = ["·", "░", "▒", "+", "▓", "o", "X", " "];
const STATES = DIRTY_CLASSES.map(({ name, color }, i) => ({ name, color, glyph: GLYPHS[i] }));
const WORST = DIRTY_CLASSES.findIndex(({ id }) => id === "no_buffers");
const PINNED = { name: "held by gup", color: COLOR.black, glyph: "━" };
/** Nothing, in the cells of a grid. */
const NONE = 255;

/** Cells as columns of numbers, a row after the other. */
interface Grid {
  readonly edges: Float64Array;
  readonly cells: Uint8Array;
}

/** Which row each page is in, and the pages of each row. */
interface Rows {
  readonly pages: readonly number[];
  readonly perRow: number;
  readonly n: number;
}

/**
 * All pages over time. Where there are more pages than rows, neighbours share one, and its cells show the class that
 * most of their time in memory is spent in; dirty without buffers, which should never be, is shown wherever it occurs.
 * A dark line through a row: gup holds a page of it.
 *
 * @throws Error when the recording speaks of no page
 * @example heat(recording).kind // "heat"
 */
export function heat(recording: Recording, options: AxisOptions = {}): Figure {
  const line = timeline(recording, options);
  const { pages, perRow, exact, panel } = heatPanel(recording, line);
  return compose({
    kind: "heat",
    title: pages === 1 ? "A page over time" : `${pages} pages over time`,
    info: recording.info,
    timeline: line,
    hovermode: "closest",
    panels: [panel],
    caption: [
      perRow === 1
        ? "A row for each page frame, the lowest number on top, in the colour of the class that the page is in"
        : `A row for each ${perRow} page frames, the lowest numbers on top, in the colour of the class that most of their time in memory is spent in; dirty without buffers is shown wherever it occurs`,
      ...(exact || perRow > 1 ? [] : [", for the most part of a column's time"]),
      `. A dark line through a row: gup holds ${perRow === 1 ? "the page" : "a page of it"}.`,
    ].join(""),
  });
}

/** The heat map as a panel over any axis. */
export function heatPanel(recording: Recording, line: Timeline, maxRows = MAX_ROWS) {
  const pages = pagesOf(recording);
  if (pages.length === 0) throw new Error("The recording speaks of no page: there is no heat map to draw.");
  const perRow = Math.ceil(pages.length / maxRows);
  const rows: Rows = { pages, perRow, n: Math.ceil(pages.length / perRow) };
  const exact = recording.length <= FEW_EVENTS ? changes(recording, pages, line) : null;
  const levels = exact === null ? [1, 4, FINE].map((times) => evenEdges(line, MAX_COLUMNS * times)) : [exact];
  const classes = classGrids(recording, rows, line, levels);
  const pins = pinGrids(recording, rows, line, levels);
  const panel: Panel = {
    ...panelOf(rows, 3 * maxRows),
    traces: [...classTraces(classes, rows), ...pinTraces(pins, rows)],
    annotations: rows.n <= MAX_NAMED_ROWS ? names(classes[0], rows, line) : [],
  };
  return { pages: pages.length, perRow, exact: exact !== null, panel };
}

function panelOf({ pages, perRow, n }: Rows, most: number): Omit<Panel, "traces"> {
  const step = Math.ceil(n / (most / 32));
  const labelled = Array.from({ length: Math.ceil(n / step) }, (_, i) => i * step);
  return {
    title: n === 1 ? "" : perRow === 1 ? "page frame" : `page frames, ${perRow} a row`,
    height: Math.min(most, Math.max(44, 32 * n)),
    range: [0, n],
    ticks: {
      values: labelled.map((row) => n - row - 0.5),
      labels: labelled.map((row) => hex(pages[row * perRow])),
    },
    grid: false,
  };
}

/** Edges at each x at which anything in the map changes; null when that is too often. */
function changes(recording: Recording, pages: readonly number[], line: Timeline): Float64Array | null {
  const at = new Set([line.start, line.end]);
  eachChange(recording, pages, (event) => at.add(line.at[event]));
  for (let i = 0; i < recording.length; i++) if (recording.word[i] === WORD.pins) at.add(line.at[i]);
  return at.size > MAX_COLUMNS + 1 ? null : Float64Array.from(at).sort();
}

const evenEdges = ({ start, end }: Timeline, columns: number): Float64Array =>
  Float64Array.from({ length: columns + 1 }, (_, c) => start + ((end - start) * c) / columns);

/** How long the pages of each row are in each class, brought together column by column. */
class ClassTimes {
  readonly cells: Uint8Array;
  private readonly times: Float64Array;
  private column = 0;

  constructor(
    private readonly edges: Float64Array,
    private readonly rows: number,
  ) {
    this.cells = new Uint8Array(rows * (edges.length - 1)).fill(NONE);
    this.times = new Float64Array(rows * STATES.length);
  }

  /** Where the column ends that times are added to. */
  get until(): number {
    return this.column + 1 < this.edges.length ? this.edges[this.column + 1] : Number.POSITIVE_INFINITY;
  }

  add(row: number, state: number, time: number): void {
    this.times[row * STATES.length + state] += time;
  }

  /** The column is over: decide its cells. */
  next(): void {
    for (let row = 0; row < this.rows; row++)
      this.cells[row * (this.edges.length - 1) + this.column] = this.state(row);
    this.times.fill(0);
    this.column++;
  }

  private state(row: number): number {
    const from = row * STATES.length;
    if (this.times[from + WORST] > 0) return WORST;
    let most = ABSENT;
    for (let state = 0; state < STATES.length; state++) {
      const time = this.times[from + state];
      if (state !== ABSENT && time > 0 && (most === ABSENT || time >= this.times[from + most])) most = state;
    }
    return most;
  }
}

/** The classes in columns between the edges of each level. */
function classGrids(
  recording: Recording,
  { pages, perRow, n }: Rows,
  line: Timeline,
  levels: readonly Float64Array[],
): Grid[] {
  const maps = levels.map((edges) => new ClassTimes(edges, n));
  /** Pages of each row in each class, and since when that is so. */
  const count = new Int32Array(n * STATES.length);
  const since = new Float64Array(n).fill(line.start);
  for (let page = 0; page < pages.length; page++) count[Math.floor(page / perRow) * STATES.length + ABSENT]++;
  const settle = (row: number, x: number): void => {
    const time = x - since[row];
    since[row] = x;
    if (time <= 0) return;
    for (let state = 0; state < STATES.length; state++) {
      const here = count[row * STATES.length + state];
      if (here > 0) for (const map of maps) map.add(row, state, here * time);
    }
  };
  const advance = (x: number): void => {
    for (let until = Math.min(...maps.map((map) => map.until)); until <= x; ) {
      for (let row = 0; row < n; row++) settle(row, until);
      for (const map of maps) if (map.until <= until) map.next();
      until = Math.min(...maps.map((map) => map.until));
    }
  };
  let reached = line.start;
  eachChange(recording, pages, (event, page, before, after) => {
    const x = line.at[event];
    if (x > reached) {
      advance(x);
      reached = x;
    }
    const row = Math.floor(page / perRow);
    settle(row, x);
    count[row * STATES.length + before]--;
    count[row * STATES.length + after]++;
  });
  advance(line.end);
  return maps.map(({ cells }, i) => ({ edges: levels[i], cells }));
}

/** Where gup holds a page of a row at any time of a column. */
function pinGrids(
  recording: Recording,
  { pages, perRow, n }: Rows,
  line: Timeline,
  levels: readonly Float64Array[],
): Grid[] {
  const grids = levels.map((edges) => ({ edges, cells: new Uint8Array(n * (edges.length - 1)).fill(NONE) }));
  const place = placesOf(pages);
  const pins = new Int32Array(pages.length);
  const held = new Int32Array(n);
  const since = new Float64Array(n);
  const mark = (row: number, to: number): void => {
    for (const grid of grids) {
      const columns = grid.edges.length - 1;
      const last = Math.min(columns - 1, columnAt(grid.edges, to, true));
      for (let c = columnAt(grid.edges, since[row], false); c <= last; c++) grid.cells[row * columns + c] = 0;
    }
  };
  for (let i = 0; i < recording.length; i++) {
    if (recording.word[i] !== WORD.pins) continue;
    const page = place(recording.pfn[i]);
    if (page < 0) continue;
    const row = Math.floor(page / perRow);
    const step = Number(recording.value[i] > 0) - Number(pins[page] > 0);
    pins[page] = recording.value[i];
    if (step > 0 && held[row] === 0) since[row] = line.at[i];
    held[row] += step;
    if (step < 0 && held[row] === 0) mark(row, line.at[i]);
  }
  for (let row = 0; row < n; row++) if (held[row] > 0) mark(row, line.end);
  return grids;
}

/** The column that x lies in; at an edge the one before it where that is asked for. */
function columnAt(edges: Float64Array, x: number, before: boolean): number {
  let low = 0;
  let high = edges.length - 1;
  while (low + 1 < high) {
    const middle = (low + high) >> 1;
    if (before ? edges[middle] < x : edges[middle] <= x) low = middle;
    else high = middle;
  }
  return low;
}

/** Rows of a grid from the bottom up, as plotly has them. */
function rowsOf({ edges, cells }: Grid, n: number): (number | null)[][] {
  const columns = edges.length - 1;
  return Array.from({ length: n }, (_, up) =>
    Array.from(cells.subarray((n - 1 - up) * columns, (n - up) * columns), (cell) =>
      cell === NONE ? null : cell,
    ),
  );
}

/** The same as one column of numbers. */
function flipped({ edges, cells }: Grid, n: number): Uint8Array {
  const columns = edges.length - 1;
  const out = new Uint8Array(cells.length);
  for (let row = 0; row < n; row++)
    out.set(cells.subarray((n - 1 - row) * columns, (n - row) * columns), row * columns);
  return out;
}

function classTraces([drawn, ...finer]: readonly Grid[], { pages, perRow, n }: Rows): PanelTrace[] {
  const named = (row: number): string => {
    const [from, to] = [pages[row * perRow], pages[Math.min(pages.length, (row + 1) * perRow) - 1]];
    return from === to ? `page ${hex(from)}` : `pages ${hex(from)} to ${hex(to)}`;
  };
  const [map, ...legend] = heatmap({
    name: "dirty class",
    states: STATES,
    rows: Array.from({ length: n }, (_, up) => named(n - 1 - up)),
    x: [...drawn.edges],
    y: Array.from({ length: n + 1 }, (_, i) => i),
    z: rowsOf(drawn, n),
    ...(n <= MAX_NAMED_ROWS ? { ygap: 2 } : {}),
  });
  return [{ ...map, fine: detail(finer, (grid) => flipped(grid, n)) }, ...legend];
}

const detail = (
  finer: readonly Grid[],
  cells: (grid: Grid) => Uint8Array,
): readonly FineCells[] | undefined =>
  finer.length === 0 ? undefined : finer.map((grid) => ({ x: grid.edges, z: cells(grid) }));

/** A thin line through each row, as a map of its own with nothing between. */
function pinTraces([drawn, ...finer]: readonly Grid[], { n }: Rows): PanelTrace[] {
  const rows = rowsOf(drawn, n);
  if (rows.every((row) => row.every((cell) => cell === null))) return [];
  const nothing = rows[0].map(() => null);
  // Where the rows have names, below these; else edges that are evenly apart, which plotly draws three times as fast.
  const [low, high] = n <= MAX_NAMED_ROWS ? [0.08, 0.22] : [1 / 3, 2 / 3];
  const [map, ...legend] = heatmap({
    name: PINNED.name,
    states: [PINNED],
    x: [...drawn.edges],
    y: [0, ...rows.flatMap((_, row) => [row + low, row + high, row + 1])],
    z: rows.flatMap((row) => [nothing, row, nothing]),
    silent: true,
  });
  return [{ ...map, fine: detail(finer, (grid) => between(flipped(grid, n), n)) }, ...legend];
}

/** Rows of a grid, each with an empty one below and above it. */
function between(cells: Uint8Array, n: number): Uint8Array {
  const columns = cells.length / n;
  const out = new Uint8Array(3 * n * columns).fill(NONE);
  for (let row = 0; row < n; row++)
    out.set(cells.subarray(row * columns, (row + 1) * columns), (3 * row + 1) * columns);
  return out;
}

/** The name of a class where it lasts long enough for it to be written. */
function names({ edges, cells }: Grid, { n }: Rows, line: Timeline): Omit<Annotation, "yref">[] {
  const columns = edges.length - 1;
  const notes: Omit<Annotation, "yref">[] = [];
  for (let row = 0; row < n; row++) {
    for (let from = 0; from < columns; ) {
      const state = cells[row * columns + from];
      let to = from + 1;
      while (to < columns && cells[row * columns + to] === state) to++;
      const { name, color } = STATES[state];
      const px = ((edges[to] - edges[from]) / (line.end - line.start)) * (WIDTH - 120);
      if (state !== ABSENT && px > textWidth(name, 11) + 6)
        notes.push({
          text: name,
          x: (edges[from] + edges[to]) / 2,
          y: n - row - 0.42,
          xref: "x",
          xanchor: "center",
          yanchor: "middle",
          xshift: 0,
          yshift: 0,
          showarrow: false,
          align: "center",
          font: { size: 11, color: inkOn(color) },
        });
      from = to;
    }
  }
  return notes;
}
