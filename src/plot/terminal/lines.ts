/** Step lines, in box-drawing characters; straight ones as steps of a column each. */
import { type BoxShape, COLOR, type Scatter, type Shape, type Trace } from "../figure.js";
import {
  blankGrid,
  columnOf,
  type Drawing,
  type Grid,
  inkOf,
  type Panel,
  rowOf,
  type Scale,
  tickLabels,
} from "./canvas.js";

const isLevelLine = (shape: Shape): shape is BoxShape => shape.type !== "path" && shape.y0 === shape.y1;

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
export function penOf(trace: Scatter, data: readonly Trace[]): Pen {
  const strokeOf = ({ line }: Scatter) => line?.dash ?? "solid";
  const stroke = strokeOf(trace);
  if (stroke !== "solid") return BROKEN[stroke];
  const place = data
    .filter((t) => t.yaxis === trace.yaxis && t.type === "scatter" && strokeOf(t) === "solid")
    .findIndex(({ name }) => name === trace.name);
  return PENS[place % PENS.length];
}

/** The lines, each over those before it; level lines of shapes below them. */
export function drawLines(panel: Panel, height: number, scale: Scale): Drawing {
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
