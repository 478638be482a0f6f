/**
 * A figure as text: for the REPL, for consoles, and for the text/plain of a notebook's output. Areas become blocks, step
 * lines box-drawing characters, rows bars. Without colour each area and line keeps a look of its own.
 */
import {
  type Annotation,
  type Axis,
  type BoxShape,
  COLOR,
  type Figure,
  type Heatmap,
  panelsOf,
  type Scatter,
  type Shape,
  type Trace,
} from "./figure.js";
import { polylines } from "./path.js";
import { niceTicks, tickLabel } from "./ticks.js";

export interface TerminalOptions {
  /** Width in characters; at least 40. */
  readonly columns: number;
  /** Height in lines; at least 14. */
  readonly rows: number;
  /** Use 24-bit colours. */
  readonly color: boolean;
}

/** A character and its colour ("" is the terminal's own). */
interface Cell {
  readonly glyph: string;
  readonly color: string;
}

type Grid = Cell[][];

interface Panel {
  readonly axis: Axis;
  readonly traces: readonly Scatter[];
  /** The first is drawn whole, the others over it. */
  readonly heatmaps: readonly Heatmap[];
  readonly shapes: readonly Shape[];
  readonly annotations: readonly Annotation[];
  readonly kind: "areas" | "bars" | "rows" | "lines" | "cells" | "diagram";
}

const BLANK: Cell = { glyph: " ", color: "" };

/**
 * The figure in at most `columns` by `rows` characters; one that is told in words made for the room takes the rows that it needs.
 *
 * @throws Error when there is less room than 40 by 14
 * @example console.log(toTerminal(dirtyStates(recording), { columns: 80, rows: 24, color: true }))
 */
export function toTerminal(figure: Figure, options: TerminalOptions): string {
  const { columns, rows, color } = options;
  if (!(columns >= 40 && rows >= 14)) {
    throw new Error(
      `A figure needs a terminal of at least 40 columns and 14 rows; this one has ${columns} by ${rows}.`,
    );
  }
  const { layout, data } = figure;
  const paint = (cell: Cell): string =>
    color && cell.color !== "" ? `${ansi(cell.color)}${cell.glyph}\u001b[0m` : cell.glyph;
  const dim = (s: string): string => (color ? `\u001b[2m${s}\u001b[0m` : s);
  const bold = (s: string): string => (color ? `\u001b[1m${s}\u001b[0m` : s);
  const red = (s: string): string => (color ? `${ansi(COLOR.vermillion)}${s}\u001b[0m` : s);

  const { lines } = figure;
  if (typeof lines === "function") {
    const words = lines({ columns, paint: (said, ink) => paint({ glyph: said, color: inkOf(ink) }) });
    return inWords(figure, words, { columns, rows: Number.POSITIVE_INFINITY, bold, dim });
  }
  if (lines !== undefined) return inWords(figure, lines, { columns, rows, bold, dim });
  const panels = panelsOf(layout)
    .reverse()
    .map(({ name, axis }) => panelOf(figure, name, axis));
  const gutter = Math.min(
    26,
    Math.max(-1, ...panels.flatMap((p) => labelsOf(p).map(({ label }) => label.length))) + 1,
  );
  const width = columns - gutter - 2 - endRoom(panels);
  const scale: Scale = { range: layout.xaxis.range, width };
  const legend = legendLines(data, columns, paint);
  const head = [bold(cut(layout.title.text, columns)), dim(cut(layout.title.subtitle.text, columns))];
  const faults = faultLines(figure, columns).map(red);
  const marks = markLine(figure, scale);
  const foot = figure.replay === "" ? [] : [dim(cut(`Replay: ${figure.replay}`, columns))];
  const axis = xAxisLines(figure, gutter, scale).map(dim);
  const room = () =>
    rows - head.length - faults.length - (marks === null ? 0 : 1) - axis.length - legend.length - foot.length;
  // What a small terminal does without, least important first.
  for (const [block, least] of [
    [axis, 2],
    [faults, 1],
    [legend, 0],
    [head, 1],
  ] as const) {
    while (room() < leastRows(panels) && block.length > least) block.pop();
  }
  const heights = share(panels, room());
  const body = panels.flatMap((panel, i) => drawPanel(panel, heights[i], gutter, scale, paint));
  return [
    ...head,
    ...faults,
    ...(marks === null ? [] : [dim(`${" ".repeat(gutter + 1)}${marks}`)]),
    ...body,
    ...axis,
    ...legend,
    ...foot,
  ]
    .map((line) => line.trimEnd())
    .join("\n");
}

/** A figure that says itself in lines: they stand for its panels. */
function inWords(
  { layout, replay }: Figure,
  lines: readonly string[],
  {
    columns,
    rows,
    bold,
    dim,
  }: Pick<TerminalOptions, "columns" | "rows"> & Record<"bold" | "dim", (s: string) => string>,
): string {
  const head = [bold(cut(layout.title.text, columns)), dim(cut(layout.title.subtitle.text, columns))];
  const foot = replay === "" ? [] : [dim(cut(`Replay: ${replay}`, columns))];
  const room = rows - head.length - foot.length;
  const shown = lines.length <= room ? lines : lines.slice(0, room - 1);
  const more = lines.length - shown.length;
  return [
    ...head,
    // Lines that are made for the room fit, and may have colours in them.
    ...(rows === Number.POSITIVE_INFINITY ? shown : shown.map((line) => cut(line, columns))),
    ...(more > 0 ? [dim(`(and ${more} more lines)`)] : []),
    ...foot,
  ]
    .map((line) => line.trimEnd())
    .join("\n");
}

function panelOf(figure: Figure, name: string, axis: Axis): Panel {
  const here = figure.data.filter((trace) => trace.yaxis === name);
  const heatmaps = here.filter((trace) => trace.type === "heatmap");
  // Entries of the legend alone have no points.
  const traces = here.filter(
    (trace): trace is Scatter => trace.type === "scatter" && trace.x.some((x) => x !== null),
  );
  const shapes = figure.layout.shapes.filter((shape) => shape.yref === name);
  const annotations = figure.layout.annotations.filter((note) => note.yref === name);
  const kind =
    heatmaps.length > 0 ? "cells" : traces.length === 0 && shapes.length > 0 ? "diagram" : kindOf(traces);
  return { axis, traces, heatmaps, shapes, annotations, kind };
}

function kindOf(traces: readonly Scatter[]): "areas" | "bars" | "rows" | "lines" {
  return traces.some((t) => t.stackgroup !== undefined)
    ? "areas"
    : traces.some((t) => t.fill !== undefined)
      ? "bars"
      : traces.some((t) => t.mode === "markers") ||
          traces.every((t) => t.line?.shape === "linear" && isLevel(t))
        ? "rows"
        : "lines";
}

const isLevelLine = (shape: Shape): shape is BoxShape => shape.type !== "path" && shape.y0 === shape.y1;

/** Whether a line only ever runs along a row. */
const isLevel = ({ y }: Scatter): boolean =>
  y.every((value, at) => at === 0 || value === null || y[at - 1] === null || y[at - 1] === value);

/** Bars print their last value behind the axis. */
const endRoom = (panels: readonly Panel[]): number =>
  Math.max(
    0,
    ...panels.filter((p) => p.kind === "bars").map((p) => 1 + String(p.traces[0].y.at(-1) ?? "").length),
  );

// ---- room

const leastOf = ({ kind }: Panel): number => (kind === "bars" || kind === "rows" || kind === "cells" ? 1 : 3);
const leastRows = (panels: readonly Panel[]): number =>
  panels.reduce((sum, panel) => sum + leastOf(panel), 0);

/** Lines for each panel: what it must have first, the rest in proportion to the figure. */
function share(panels: readonly Panel[], available: number): number[] {
  const least = panels.map(leastOf);
  const most = panels.map((p) =>
    p.kind === "rows"
      ? Math.max(1, labelsOf(p).length)
      : (p.heatmaps[0]?.z.length ?? Number.POSITIVE_INFINITY),
  );
  const ideal = panels.map(({ axis }) => axis.domain![1] - axis.domain![0]);
  const heights = [...least];
  for (let spare = available - heights.reduce((a, b) => a + b, 0); spare > 0; spare--) {
    let best = -1;
    heights.forEach((height, i) => {
      if (height >= most[i]) return;
      if (best === -1 || height / ideal[i] < heights[best] / ideal[best]) best = i;
    });
    if (best === -1) break;
    heights[best]++;
  }
  return heights;
}

interface Scale {
  readonly range: readonly [number, number];
  /** Characters. */
  readonly width: number;
}

function columnOf({ range, width }: Scale, x: number): number {
  const at = Math.floor(((x - range[0]) / (range[1] - range[0])) * width);
  return Math.min(width - 1, Math.max(0, at));
}

// ---- lines around the panels

const cut = (s: string, columns: number): string => (s.length <= columns ? s : `${s.slice(0, columns - 1)}…`);

/** Fault messages, from the annotations in the colour of faults. */
function faultLines(figure: Figure, columns: number): string[] {
  return figure.layout.annotations
    .filter((a) => a.yref === "paper" && a.font.color === COLOR.vermillion)
    .map((a) => cut(`▼ ${a.text.replaceAll("<br>", " ")}`, columns));
}

/** The numbers of the workload's steps, and an arrow at each fault. */
function markLine(figure: Figure, scale: Scale): string | null {
  const notes = figure.layout.annotations.filter((a) => a.yref === "paper" && a.xref === "x");
  if (notes.length === 0) return null;
  const cells = Array.from({ length: scale.width }, () => " ");
  for (const a of notes)
    cells[columnOf(scale, a.x)] = a.font.color === COLOR.vermillion ? "▼" : a.text.slice(0, 1);
  return cells.join("");
}

function xAxisLines(figure: Figure, gutter: number, scale: Scale): string[] {
  const { xaxis } = figure.layout;
  if (!xaxis.showline) return [];
  const rule = Array.from({ length: scale.width }, () => "─");
  const labels = Array.from({ length: scale.width + 1 }, () => " ");
  const title = xaxis.title.text;
  const beside = title.length <= scale.width / 3;
  const room = beside ? scale.width - title.length - 2 : scale.width;
  let free = 0;
  const values =
    xaxis.tickvals ?? niceTicks(xaxis.range[0], xaxis.range[1], Math.max(2, Math.floor(scale.width / 12)));
  for (const [at, value] of values.entries()) {
    const column = columnOf(scale, value);
    rule[column] = "┬";
    const label = xaxis.ticktext?.[at] ?? tickLabel(value);
    const from = Math.max(0, column - Math.floor(label.length / 2));
    if (from < free || from + label.length > room) continue;
    for (let i = 0; i < label.length; i++) labels[from + i] = label[i];
    free = from + label.length + 1;
  }
  const pad = " ".repeat(gutter);
  const line = labels.join("").slice(0, room).padEnd(room);
  if (beside) return [`${pad}└${rule.join("")}`, `${pad} ${line}  ${title}`];
  return [`${pad}└${rule.join("")}`, `${pad} ${line}`, `${pad} ${cut(title, scale.width)}`];
}

function legendLines(data: readonly Trace[], columns: number, paint: (cell: Cell) => string): string[] {
  const lines: string[] = [];
  let used = Number.POSITIVE_INFINITY;
  for (const trace of data.filter((t): t is Scatter => t.showlegend)) {
    const size = trace.name.length + 5;
    if (used + size > columns) {
      lines.push("");
      used = 0;
    }
    lines[lines.length - 1] += `${sampleOf(trace, data).map(paint).join("")} ${trace.name}  `;
    used += size;
  }
  return lines;
}

function sampleOf(trace: Scatter, data: readonly Trace[]): Cell[] {
  const state = data
    .flatMap((other) => (other.type === "heatmap" ? other.meta.states : []))
    .find(({ name }) => trace.marker?.symbol === "square" && name === trace.name);
  if (state !== undefined) return [stateCell(state), stateCell(state)];
  if (trace.mode === "markers") return [markerCell(trace), BLANK].slice(0, 1);
  if (trace.stackgroup !== undefined) return [areaCell(trace), areaCell(trace)];
  const color = inkOf(trace.line!.color);
  if (trace.line!.shape === "linear" && isLevel(trace))
    return [
      { glyph: "━", color },
      { glyph: "━", color },
    ];
  const { h } = penOf(trace, data);
  return [
    { glyph: h, color },
    { glyph: h, color },
  ];
}

// ---- panels

interface Label {
  readonly value: number;
  readonly label: string;
}

function labelsOf({ axis }: Panel): Label[] {
  const [from, to] = axis.range;
  const values = axis.tickvals ?? niceTicks(from, to, 4);
  return values
    .map((value, i) => ({ value, label: axis.ticktext?.[i] ?? tickLabel(value) }))
    .filter(({ value }) => value >= from && value <= to);
}

function drawPanel(
  panel: Panel,
  height: number,
  gutter: number,
  scale: Scale,
  paint: (c: Cell) => string,
): string[] {
  const { labels, cells } = DRAW[panel.kind](panel, height, scale);
  writeTitle(cells[0], panel.axis.title.text);
  return cells.map((row, r) => {
    const label = cut(labels[r] ?? "", gutter).padStart(gutter);
    const edge = panel.axis.showline ? "│" : " ";
    return `${label}${labels[r] === undefined ? edge : "┤"}${row.map(paint).join("")}`;
  });
}

/** The panel's title on its first row, where nothing is drawn. */
function writeTitle(row: Cell[], title: string): void {
  const room = row.slice(1, title.length + 3);
  if (title === "" || room.length < title.length + 2 || room.some(({ glyph }) => glyph !== " ")) return;
  [...title].forEach((glyph, i) => {
    row[i + 1] = { glyph, color: COLOR.dim };
  });
}

interface Drawing {
  /** By row from the top; sparse. */
  readonly labels: readonly (string | undefined)[];
  readonly cells: Grid;
}

const DRAW: Readonly<Record<Panel["kind"], (panel: Panel, height: number, scale: Scale) => Drawing>> = {
  areas: drawAreas,
  bars: drawBars,
  rows: drawRows,
  lines: drawLines,
  cells: drawCells,
  diagram: drawDiagram,
};

const blankGrid = (height: number, { width }: Scale): Grid =>
  Array.from({ length: height }, () => Array.from({ length: width }, () => BLANK));

/** Row of a value, the range's ends on the first and last row. */
function rowOf({ axis }: Panel, height: number, y: number): number {
  const [from, to] = axis.range;
  return Math.min(height - 1, Math.max(0, Math.round(((to - y) / (to - from)) * (height - 1))));
}

function tickLabels(panel: Panel, height: number): (string | undefined)[] {
  const labels: (string | undefined)[] = Array.from({ length: height });
  for (const { value, label } of labelsOf(panel)) labels[rowOf(panel, height, value)] ??= label;
  return labels;
}

// ---- stacked areas: each column shows the mean over its width, and every class that occurs in it has a cell

function drawAreas(panel: Panel, height: number, scale: Scale): Drawing {
  const cells = blankGrid(height, scale);
  const total = panel.axis.range[1];
  for (let c = 0; c < scale.width; c++) {
    const means = panel.traces.map((trace) => meanIn(trace, scale, c));
    let row = height - 1;
    apportion(means, total, height).forEach((count, t) => {
      for (let i = 0; i < count; i++) cells[row--][c] = areaCell(panel.traces[t]);
    });
  }
  return { labels: tickLabels(panel, height), cells };
}

/** Mean of a step line over a column. */
function meanIn(trace: Scatter, { range, width }: Scale, column: number): number {
  const size = (range[1] - range[0]) / width;
  const from = range[0] + column * size;
  const to = from + size;
  let sum = 0;
  for (
    let i = firstAfter(trace.x, from) - 1;
    i < trace.x.length && (trace.x[Math.max(i, 0)] ?? 0) < to;
    i++
  ) {
    if (i < 0) continue;
    const begin = Math.max(from, trace.x[i]!);
    const end = Math.min(to, trace.x[i + 1] ?? to);
    sum += Math.max(0, end - begin) * (trace.y[i] ?? 0);
  }
  return sum / size;
}

/** Index of the first x greater than `value`. */
function firstAfter(x: readonly (number | null)[], value: number): number {
  let low = 0;
  let high = x.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (x[middle]! <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Cells for each share, `height` in all, none of the shares that occur left out while there is room. */
function apportion(shares: readonly number[], total: number, height: number): number[] {
  const exact = shares.map((share) => (share / total) * height);
  const counts = exact.map((e) => (e > 0 ? Math.max(1, Math.floor(e)) : 0));
  const excess = (i: number): number => counts[i] - exact[i];
  const order = (by: (i: number) => number, may: (i: number) => boolean): number =>
    counts
      .map((_, i) => i)
      .filter(may)
      .sort((a, b) => by(a) - by(b))[0];
  let sum = counts.reduce((a, b) => a + b, 0);
  for (; sum > height; sum--)
    counts[
      order(
        (i) => -excess(i),
        (i) => counts[i] > 0,
      )
    ]--;
  for (; sum < height && counts.some((count) => count > 0); sum++)
    counts[order(excess, (i) => exact[i] > 0)]++;
  return counts;
}

/** How an area looks without colour. */
const TEXTURE: Readonly<Record<string, string>> = {
  [COLOR.grey]: "·",
  [COLOR.yellow]: "░",
  [COLOR.orange]: "▒",
  [COLOR.purple]: "+",
  [COLOR.green]: "▓",
  [COLOR.blue]: "o",
  [COLOR.vermillion]: "X",
  [COLOR.pale]: " ",
};

function areaCell(trace: Scatter): Cell {
  const color = trace.fillcolor ?? COLOR.grey;
  return { glyph: TEXTURE[color] ?? "█", color: inkOf(color) };
}

// ---- bars: one filled line, in eighths of a character

const EIGHTHS = " ▁▂▃▄▅▆▇█";

function drawBars(panel: Panel, height: number, scale: Scale): Drawing {
  const cells = blankGrid(height, scale);
  const trace = panel.traces[0];
  const top = Math.max(1e-9, panel.axis.range[1]);
  const color = inkOf(trace.line!.color);
  for (let c = 0; c < scale.width; c++) {
    const value = lastIn(trace, scale, c);
    const eighths = value > 0 ? Math.max(1, Math.round((value / top) * height * 8)) : 0;
    for (let r = 0; r < height; r++) {
      const fill = Math.min(8, Math.max(0, eighths - 8 * (height - 1 - r)));
      cells[r][c] = { glyph: EIGHTHS[fill], color };
    }
  }
  const last = ` ${trace.y.at(-1) ?? 0}`;
  cells.forEach((row, r) => {
    for (const glyph of last) row.push(r === height - 1 ? { glyph, color: "" } : BLANK);
  });
  const labels: (string | undefined)[] = Array.from({ length: height });
  labels[height - 1] = panel.axis.ticktext?.[0];
  return { labels, cells };
}

/** Value of a step line at the end of a column. */
function lastIn(trace: Scatter, { range, width }: Scale, column: number): number {
  const to = range[0] + ((column + 1) / width) * (range[1] - range[0]);
  const at = firstAfter(trace.x, to - 1e-12) - 1;
  return at < 0 ? 0 : (trace.y[at] ?? 0);
}

// ---- rows: strips and lanes

function drawRows(panel: Panel, height: number, scale: Scale): Drawing {
  const wanted = labelsOf(panel).sort((a, b) => b.value - a.value);
  const rows = fewer(wanted, panel, scale, height);
  const cells = blankGrid(rows.length, scale);
  const rowAt = new Map(rows.map(({ value }, r) => [value, r]));
  for (const trace of panel.traces) {
    trace.x.forEach((x, i) => {
      const row = rowAt.get(trace.y[i] ?? Number.NaN);
      if (x === null || row === undefined) return;
      if (trace.mode === "markers") {
        cells[row][columnOf(scale, x)] = markerCell(trace);
        return;
      }
      const next = trace.x[i + 1];
      if (next === null || next === undefined) return;
      const last = Math.max(columnOf(scale, x), columnOf(scale, next) - (next < scale.range[1] ? 1 : 0));
      for (let c = columnOf(scale, x); c <= last; c++)
        cells[row][c] = { glyph: "━", color: inkOf(trace.line!.color) };
    });
  }
  return { labels: rows.map(({ label }) => label), cells };
}

/** Where rows do not all fit, those go first that are on for the longest: they say least. */
function fewer(rows: readonly Label[], panel: Panel, scale: Scale, height: number): readonly Label[] {
  if (rows.length <= height) return rows;
  const length = (value: number): number => {
    let sum = 0;
    for (const { x, y } of panel.traces)
      for (let i = 0; i + 1 < x.length; i++)
        if (y[i] === value && y[i + 1] === value) sum += x[i + 1]! - x[i]!;
    return sum / (scale.range[1] - scale.range[0]);
  };
  const kept = new Set([...rows].sort((a, b) => length(a.value) - length(b.value)).slice(0, height));
  return rows.filter((row) => kept.has(row));
}

function markerCell(trace: Scatter): Cell {
  const glyph = { "line-ns-open": "│", x: "✗", circle: "●", square: "■", "triangle-down": "▼" }[
    trace.marker!.symbol
  ];
  return { glyph, color: inkOf(trace.marker!.color) };
}

// ---- cells of a heat map: each character shows the state that most of its part of the map is in

const stateCell = ({ glyph, color }: { readonly glyph: string; readonly color: string }): Cell => ({
  glyph,
  color: inkOf(color),
});

function drawCells(panel: Panel, height: number, scale: Scale): Drawing {
  const grid = blankGrid(height, scale);
  const [bottom, top] = panel.axis.range;
  const line = (value: number): number => ((top - value) / (top - bottom)) * height;
  panel.heatmaps.forEach((map, nr) => {
    // What lies over a map takes every second character, so that the map can be seen.
    mostOf(map, height, line, scale).forEach((state, at) => {
      const [row, column] = [Math.floor(at / scale.width), at % scale.width];
      if (state >= 0 && (nr === 0 || column % 2 === 0)) grid[row][column] = stateCell(map.meta.states[state]);
    });
  });
  for (const trace of panel.traces) overlay(grid, trace, line, scale);
  const labels: (string | undefined)[] = Array.from({ length: height });
  for (const { value, label } of labelsOf(panel))
    labels[Math.min(height - 1, Math.floor(line(value)))] ??= label;
  return { labels, cells: grid };
}

/** The state that most of each character's part of a map is in, of two that have the same part the later one; -1 for none. */
function mostOf(
  { x, y, z, meta }: Heatmap,
  height: number,
  line: (y: number) => number,
  { range, width }: Scale,
): Int16Array {
  const column = (value: number): number => ((value - range[0]) / (range[1] - range[0])) * width;
  const columns = x.slice(1).map((to, c) => covered(column(x[c]), column(to), width));
  const parts = meta.states.map(() => new Float64Array(height * width));
  z.forEach((row, r) => {
    const lines = covered(line(y[r + 1]), line(y[r]), height);
    row.forEach((state, c) => {
      if (state === null) return;
      for (const [at, tall] of lines)
        for (const [across, wide] of columns[c]) parts[state][at * width + across] += tall * wide;
    });
  });
  const most = new Int16Array(height * width).fill(-1);
  parts.forEach((part, state) => {
    for (let at = 0; at < part.length; at++)
      if (part[at] > 0 && (most[at] < 0 || part[at] >= parts[most[at]][at])) most[at] = state;
  });
  return most;
}

/** Which of `size` places a stretch covers, and how much of each. */
function covered(from: number, to: number, size: number): [place: number, part: number][] {
  const places: [number, number][] = [];
  for (let at = Math.max(0, Math.floor(from)); at < Math.min(size, to); at++)
    places.push([at, Math.min(to, at + 1) - Math.max(from, at)]);
  return places;
}

/** Lines and markers on a heat map; a line takes every second character, so that the states below it can be seen. */
function overlay(grid: Grid, trace: Scatter, line: (y: number) => number, scale: Scale): void {
  trace.x.forEach((x, i) => {
    const y = trace.y[i];
    if (x === null || y === null) return;
    const row = grid[Math.min(grid.length - 1, Math.max(0, Math.floor(line(y))))];
    if (trace.mode === "markers") {
      row[columnOf(scale, x)] = markerCell(trace);
      return;
    }
    const next = trace.x[i + 1];
    if (next === null || next === undefined) return;
    const last = Math.max(columnOf(scale, x), columnOf(scale, next) - (next < scale.range[1] ? 1 : 0));
    for (let c = columnOf(scale, x); c <= last; c++)
      if (c % 2 === 0 || c === last) row[c] = { glyph: "━", color: inkOf(trace.line!.color) };
  });
}

// ---- diagrams without traces: boxes, curves as dots, and the words

function drawDiagram(panel: Panel, height: number, scale: Scale): Drawing {
  const cells = blankGrid(height, scale);
  const x = (ref: "x" | "paper", value: number): number =>
    ref === "x" ? columnOf(scale, value) : Math.min(scale.width - 1, Math.floor(value * scale.width));
  const put = (r: number, c: number, glyph: string, color: string): void => {
    if (r >= 0 && r < height && c >= 0 && c < scale.width) cells[r][c] = { glyph, color: inkOf(color) };
  };
  for (const shape of panel.shapes) {
    const color = shape.line.color;
    if (shape.type === "path") {
      for (const line of polylines(shape.path))
        dots(
          line,
          (c) => x(shape.xref, c),
          (r) => rowOf(panel, height, r),
          (r, c) => put(r, c, "·", color),
        );
      continue;
    }
    const [left, right] = [x(shape.xref, shape.x0), x(shape.xref, shape.x1)].sort((a, b) => a - b);
    const [top, bottom] = [rowOf(panel, height, shape.y0), rowOf(panel, height, shape.y1)].sort(
      (a, b) => a - b,
    );
    for (let c = left; c <= right; c++) for (const r of [top, bottom]) put(r, c, "─", color);
    for (let r = top; r <= bottom; r++) for (const c of [left, right]) put(r, c, "│", color);
    if (left === right || top === bottom) continue;
    put(top, left, "┌", color);
    put(top, right, "┐", color);
    put(bottom, left, "└", color);
    put(bottom, right, "┘", color);
  }
  for (const { text, font, xref, x: at, y, xanchor, yanchor } of panel.annotations) {
    const lines = text.split("<br>");
    const first =
      rowOf(panel, height, y) -
      { bottom: lines.length - 1, middle: (lines.length - 1) >> 1, top: 0 }[yanchor];
    lines.forEach((words, i) => {
      const from = x(xref, at) - { left: 0, center: words.length >> 1, right: words.length - 1 }[xanchor];
      [...words].forEach((glyph, c) => {
        put(first + i, from + c, glyph, font.color);
      });
    });
  }
  return { labels: tickLabels(panel, height), cells };
}

/** Straight pieces, as characters that lie next to each other. */
function dots(
  line: readonly (readonly [number, number])[],
  column: (x: number) => number,
  row: (y: number) => number,
  put: (row: number, column: number) => void,
): void {
  line.slice(1).forEach(([x1, y1], i) => {
    const [from, to] = [
      [column(line[i][0]), row(line[i][1])],
      [column(x1), row(y1)],
    ];
    const steps = Math.max(1, Math.abs(to[0] - from[0]), Math.abs(to[1] - from[1]));
    for (let step = 0; step <= steps; step++)
      put(
        Math.round(from[1] + ((to[1] - from[1]) * step) / steps),
        Math.round(from[0] + ((to[0] - from[0]) * step) / steps),
      );
  });
}

// ---- step lines

interface Pen {
  readonly h: string;
  readonly v: string;
  /** Corners: came from the left and turns down; turns up; comes from above and goes right; comes from below and goes right. */
  readonly leftDown: string;
  readonly leftUp: string;
  readonly upRight: string;
  readonly downRight: string;
}

const PENS: readonly Pen[] = [
  { h: "━", v: "┃", leftDown: "┓", leftUp: "┛", upRight: "┗", downRight: "┏" },
  { h: "═", v: "║", leftDown: "╗", leftUp: "╝", upRight: "╚", downRight: "╔" },
  { h: "─", v: "│", leftDown: "╮", leftUp: "╯", upRight: "╰", downRight: "╭" },
];
const BROKEN: Readonly<Record<"dash" | "dot", Pen>> = {
  dash: { h: "╌", v: "╎", leftDown: "╮", leftUp: "╯", upRight: "╰", downRight: "╭" },
  dot: { h: "┈", v: "┊", leftDown: "╮", leftUp: "╯", upRight: "╰", downRight: "╭" },
};

/** The look of a line: by its stroke, and by its place among the solid ones of its panel, so that lines differ without colour. */
function penOf(trace: Scatter, data: readonly Trace[]): Pen {
  const strokeOf = ({ line }: Scatter) => line?.dash ?? "solid";
  const stroke = strokeOf(trace);
  if (stroke !== "solid") return BROKEN[stroke];
  const place = data
    .filter((t) => t.yaxis === trace.yaxis && t.type === "scatter" && strokeOf(t) === "solid")
    .findIndex(({ name }) => name === trace.name);
  return PENS[place % PENS.length];
}

function drawLines(panel: Panel, height: number, scale: Scale): Drawing {
  const cells = blankGrid(height, scale);
  for (const { y0 } of panel.shapes.filter(isLevelLine)) {
    const row = cells[rowOf(panel, height, y0)];
    for (let c = 0; c < scale.width; c++) row[c] = { glyph: "┄", color: COLOR.dim };
  }
  for (const trace of panel.traces)
    drawStep(cells, trace.line?.shape === "linear" ? columnwise(trace, scale) : trace, panel, height, scale);
  return { labels: tickLabels(panel, height), cells };
}

/** A straight line as a step line with a point for each column that it crosses. Where it has nulls it goes on from the next point. */
function columnwise(trace: Scatter, { range, width }: Scale): Scatter {
  const points = trace.x.flatMap((x, at) => {
    const y = trace.y[at];
    return x === null || y === null ? [] : [{ x, y }];
  });
  const made: { x: number; y: number }[] = points.slice(0, 1);
  points.slice(1).forEach((to, at) => {
    const from = points[at];
    const steps = Math.max(1, Math.round(((to.x - from.x) / (range[1] - range[0])) * width));
    for (let step = 1; step <= steps; step++)
      made.push({
        x: from.x + ((to.x - from.x) * step) / steps,
        y: from.y + ((to.y - from.y) * step) / steps,
      });
  });
  return { ...trace, x: made.map(({ x }) => x), y: made.map(({ y }) => y) };
}

function drawStep(cells: Grid, trace: Scatter, panel: Panel, height: number, scale: Scale): void {
  const pen = penOf(trace, panel.traces);
  const color = inkOf(trace.line!.color);
  const put = (r: number, c: number, glyph: string): void => {
    // A broken line leaves every second character of a line below it to be seen.
    if (!PENS.includes(pen) && c % 2 === 1 && glyph === cells[r][c].glyph.replace(/[━═─]/, pen.h)) return;
    cells[r][c] = { glyph, color };
  };
  const first = trace.x.length > 0 ? columnOf(scale, trace.x[0]!) : scale.width;
  let row = trace.x.length > 0 ? rowOf(panel, height, trace.y[0]!) : 0;
  let i = 0;
  for (let c = first; c < scale.width; c++) {
    const before = row;
    let low = row;
    let high = row;
    for (; i < trace.x.length && columnOf(scale, trace.x[i]!) <= c; i++) {
      row = rowOf(panel, height, trace.y[i]!);
      low = Math.min(low, row);
      high = Math.max(high, row);
    }
    for (let r = low; r <= high; r++) put(r, c, pen.v);
    if (low === high) put(row, c, pen.h);
    else if (before !== row) {
      put(before, c, row > before ? pen.leftDown : pen.leftUp);
      put(row, c, row > before ? pen.upRight : pen.downRight);
    }
  }
}

// ---- colour

/** Black and the darkest grey are the terminal's own foreground. */
const inkOf = (color: string): string => (color === COLOR.black || color === COLOR.ink ? "" : color);

function ansi(color: string): string {
  const [r, g, b] = [1, 3, 5].map((i) => Number.parseInt(color.slice(i, i + 2), 16));
  return `\u001b[38;2;${r};${g};${b}m`;
}
