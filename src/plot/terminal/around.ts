/** The lines around the panels: faults and marks above them, the x axis and the legend below. */
import { COLOR, type Figure, type Scatter, type Trace } from "../figure.js";
import { niceTicks, tickLabel } from "../ticks.js";
import { areaCell } from "./areas.js";
import { type Cell, columnOf, cut, inkOf, isLevel, markerCell, type Scale } from "./canvas.js";
import { stateCell } from "./cells.js";
import { penOf } from "./lines.js";

/** Fault messages, from the annotations in the colour of faults. */
export function faultLines(figure: Figure, columns: number): string[] {
  return figure.layout.annotations
    .filter((a) => a.yref === "paper" && a.font.color === COLOR.vermillion)
    .map((a) => cut(`▼ ${a.text.replaceAll("<br>", " ")}`, columns));
}

/** The numbers of the workload's steps, and an arrow at each fault. */
export function markLine(figure: Figure, scale: Scale): string | null {
  const notes = figure.layout.annotations.filter((a) => a.yref === "paper" && a.xref === "x");
  if (notes.length === 0) return null;
  const cells = Array.from({ length: scale.width }, () => " ");
  for (const a of notes)
    cells[columnOf(scale, a.x)] = a.font.color === COLOR.vermillion ? "▼" : a.text.slice(0, 1);
  return cells.join("");
}

/** The x axis with its ticks, their labels and its title; none where the figure has no axis. */
export function xAxisLines(figure: Figure, gutter: number, scale: Scale): string[] {
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

/** The legend, in as many lines as it needs. */
export function legendLines(
  data: readonly Trace[],
  columns: number,
  paint: (cell: Cell) => string,
): string[] {
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

/** What stands before a name in the legend. */
function sampleOf(trace: Scatter, data: readonly Trace[]): Cell[] {
  const state = data
    .flatMap((other) => (other.type === "heatmap" ? other.meta.states : []))
    .find(({ name }) => trace.marker?.symbol === "square" && name === trace.name);
  if (state !== undefined) return [stateCell(state), stateCell(state)];
  if (trace.mode === "markers") return [markerCell(trace)];
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
