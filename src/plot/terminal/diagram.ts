/** Diagrams without traces: boxes, curves as dots, and the words. */
import { polylines } from "../path.js";
import {
  blankGrid,
  columnOf,
  type Drawing,
  inkOf,
  type Panel,
  rowOf,
  type Scale,
  tickLabels,
} from "./canvas.js";

export function drawDiagram(panel: Panel, height: number, scale: Scale): Drawing {
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
