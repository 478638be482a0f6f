/** Bars: one filled line, in eighths of a character. */
import type { Scatter } from "../figure.js";
import { BLANK, blankGrid, type Drawing, firstAfter, inkOf, type Panel, type Scale } from "./canvas.js";

const EIGHTHS = " ▁▂▃▄▅▆▇█";

/** The bar, and the value that it ends with behind it. */
export function drawBars(panel: Panel, height: number, scale: Scale): Drawing {
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
