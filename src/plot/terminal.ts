/**
 * A figure as text: for the REPL, for consoles, and for the text/plain of a notebook's output. Areas become blocks, step
 * lines box-drawing characters, rows bars. Without colour each area and line keeps a look of its own.
 */
import { type Axis, COLOR, type Figure, panelsOf, type Scatter } from "./figure.js";
import { drawAreas } from "./terminal/areas.js";
import { faultLines, legendLines, markLine, xAxisLines } from "./terminal/around.js";
import { drawBars } from "./terminal/bars.js";
import {
  ansi,
  type Cell,
  cut,
  type Drawing,
  inkOf,
  isLevel,
  labelsOf,
  type Panel,
  type Scale,
} from "./terminal/canvas.js";
import { drawCells } from "./terminal/cells.js";
import { drawDiagram } from "./terminal/diagram.js";
import { drawLines } from "./terminal/lines.js";
import { drawRows } from "./terminal/rows.js";

export interface TerminalOptions {
  /** Width in characters; at least 40. */
  readonly columns: number;
  /** Height in lines; at least 14. */
  readonly rows: number;
  /** Use 24-bit colours. */
  readonly color: boolean;
}

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

// ---- panels

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

const DRAW: Readonly<Record<Panel["kind"], (panel: Panel, height: number, scale: Scale) => Drawing>> = {
  areas: drawAreas,
  bars: drawBars,
  rows: drawRows,
  lines: drawLines,
  cells: drawCells,
  diagram: drawDiagram,
};
