/** What the drawings of a figure's panels have in common: characters and their colours, where a value lies, the panel itself. */
import { type Annotation, type Axis, COLOR, type Heatmap, type Scatter, type Shape } from "../figure.js";
import { niceTicks, tickLabel } from "../ticks.js";

/** A character and its colour ("" is the terminal's own). */
export interface Cell {
  readonly glyph: string;
  readonly color: string;
}

/** Rows from the top. */
export type Grid = Cell[][];

/** One y axis of a figure, with what lies on it, and how that is drawn. */
export interface Panel {
  readonly axis: Axis;
  readonly traces: readonly Scatter[];
  /** The first is drawn whole, the others over it. */
  readonly heatmaps: readonly Heatmap[];
  readonly shapes: readonly Shape[];
  readonly annotations: readonly Annotation[];
  readonly kind: "areas" | "bars" | "rows" | "lines" | "cells" | "diagram";
}

export const BLANK: Cell = { glyph: " ", color: "" };

/** A panel drawn: its cells, and a label for some of its rows. */
export interface Drawing {
  /** By row from the top; sparse. */
  readonly labels: readonly (string | undefined)[];
  readonly cells: Grid;
}

/** The x axis, and the characters it takes. */
export interface Scale {
  readonly range: readonly [number, number];
  /** Characters. */
  readonly width: number;
}

/** Column of an x; the first or the last where it is off the axis. */
export function columnOf({ range, width }: Scale, x: number): number {
  const at = Math.floor(((x - range[0]) / (range[1] - range[0])) * width);
  return Math.min(width - 1, Math.max(0, at));
}

/** So many rows of blanks. */
export const blankGrid = (height: number, { width }: Scale): Grid =>
  Array.from({ length: height }, () => Array.from({ length: width }, () => BLANK));

/** Row of a value, the range's ends on the first and last row. */
export function rowOf({ axis }: Panel, height: number, y: number): number {
  const [from, to] = axis.range;
  return Math.min(height - 1, Math.max(0, Math.round(((to - y) / (to - from)) * (height - 1))));
}

/** The axis's labels at their rows; of two at one row the first. */
export function tickLabels(panel: Panel, height: number): (string | undefined)[] {
  const labels: (string | undefined)[] = Array.from({ length: height });
  for (const { value, label } of labelsOf(panel)) labels[rowOf(panel, height, value)] ??= label;
  return labels;
}

/** A tick of the y axis. */
export interface Label {
  readonly value: number;
  readonly label: string;
}

/** The ticks of a panel's y axis that are in its range. */
export function labelsOf({ axis }: Panel): Label[] {
  const [from, to] = axis.range;
  const values = axis.tickvals ?? niceTicks(from, to, 4);
  return values
    .map((value, i) => ({ value, label: axis.ticktext?.[i] ?? tickLabel(value) }))
    .filter(({ value }) => value >= from && value <= to);
}

/** Index of the first x greater than `value`. */
export function firstAfter(x: readonly (number | null)[], value: number): number {
  let low = 0;
  let high = x.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (x[middle]! <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Whether a line only ever runs along a row. */
export const isLevel = ({ y }: Scatter): boolean =>
  y.every((value, at) => at === 0 || value === null || y[at - 1] === null || y[at - 1] === value);

/** How a marker looks. */
export function markerCell(trace: Scatter): Cell {
  const glyph = { "line-ns-open": "│", x: "✗", circle: "●", square: "■", "triangle-down": "▼" }[
    trace.marker!.symbol
  ];
  return { glyph, color: inkOf(trace.marker!.color) };
}

/** The text in at most so many characters; one that is cut ends with …. */
export const cut = (s: string, columns: number): string =>
  s.length <= columns ? s : `${s.slice(0, columns - 1)}…`;

/** Black and the darkest grey are the terminal's own foreground. */
export const inkOf = (color: string): string => (color === COLOR.black || color === COLOR.ink ? "" : color);

/** The escape sequence of a colour like "#0072B2". */
export function ansi(color: string): string {
  const [r, g, b] = [1, 3, 5].map((i) => Number.parseInt(color.slice(i, i + 2), 16));
  return `\u001b[38;2;${r};${g};${b}m`;
}
