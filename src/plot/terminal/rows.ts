/** Rows: strips and lanes, with markers in them. */
import {
  blankGrid,
  columnOf,
  type Drawing,
  inkOf,
  type Label,
  labelsOf,
  markerCell,
  type Panel,
  type Scale,
} from "./canvas.js";

export function drawRows(panel: Panel, height: number, scale: Scale): Drawing {
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
