/** The cells of a heat map: each character shows the state that most of its part of the map is in. */
import type { Heatmap, Scatter } from "../figure.js";
import {
  blankGrid,
  type Cell,
  columnOf,
  type Drawing,
  type Grid,
  inkOf,
  labelsOf,
  markerCell,
  type Panel,
  type Scale,
} from "./canvas.js";

export const stateCell = ({ glyph, color }: { readonly glyph: string; readonly color: string }): Cell => ({
  glyph,
  color: inkOf(color),
});

export function drawCells(panel: Panel, height: number, scale: Scale): Drawing {
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
