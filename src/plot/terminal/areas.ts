/** Stacked areas: each column shows the mean over its width, and every class that occurs in it has a cell. */
import { COLOR, type Scatter } from "../figure.js";
import {
  blankGrid,
  type Cell,
  type Drawing,
  firstAfter,
  inkOf,
  type Panel,
  type Scale,
  tickLabels,
} from "./canvas.js";

export function drawAreas(panel: Panel, height: number, scale: Scale): Drawing {
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

export function areaCell(trace: Scatter): Cell {
  const color = trace.fillcolor ?? COLOR.grey;
  return { glyph: TEXTURE[color] ?? "█", color: inkOf(color) };
}
