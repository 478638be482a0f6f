/**
 * A figure as an SVG picture: for print, for places where scripts do not run, and for tests. Draws exactly the parts of
 * plotly that figure.ts has types for. No font file, no ids, no clock: the same figure gives the same bytes.
 */
import {
  type Annotation,
  type Axis,
  type BoxShape,
  COLOR,
  type Figure,
  type Heatmap,
  type Layout,
  type PathShape,
  panelsOf,
  type Scatter,
  type Shape,
  type Trace,
  WIDTH,
} from "./figure.js";
import { inkOn } from "./heatmap.js";
import { segmentsOf } from "./path.js";
import { escapeXml, LEGEND_ROW, legendItemWidth, legendRows, textWidth, wrap } from "./text.js";
import { niceTicks, tickLabel } from "./ticks.js";

export interface SvgOptions {
  /** Print the caption below the picture. Default true. */
  readonly caption?: boolean;
}

/** Where things lie, in pixels. */
interface Frame {
  readonly layout: Layout;
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

interface Box {
  readonly axis: Axis;
  readonly top: number;
  readonly bottom: number;
}

const CAPTION_SIZE = 11;

/**
 * The figure as a standalone SVG document, 960 pixels wide.
 *
 * @example writeFileSync("pins.svg", toSvg(pinCounts(recording)))
 */
export function toSvg(figure: Figure, options: SvgOptions = {}): string {
  const { layout } = figure;
  const { margin } = layout;
  const frame: Frame = {
    layout,
    left: margin.l,
    right: WIDTH - margin.r,
    top: margin.t,
    bottom: layout.height - margin.b,
  };
  const caption = (options.caption ?? true) ? wrap(figure.caption, CAPTION_SIZE, WIDTH - 32) : [];
  const below = legend(frame, figure.data);
  const height = below.bottom + (caption.length > 0 ? 12 + caption.length * 15 : 0);
  const boxes = boxesOf(frame);
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="${escapeXml(layout.font.family)}" font-size="${layout.font.size}" fill="${layout.font.color}">`,
    `<title>${escapeXml(layout.title.text)}</title>`,
    `<desc>${escapeXml(figure.caption)}</desc>`,
    `<rect width="${WIDTH}" height="${height}" fill="${layout.paper_bgcolor}"/>`,
    ...titles(frame),
    ...layout.shapes.filter((s) => s.layer === "below").map((s) => shape(frame, boxes, s)),
    ...[...boxes.values()].flatMap((box) => grid(frame, box)),
    ...traces(frame, boxes, figure.data),
    ...layout.shapes.filter((s) => s.layer === "above").map((s) => shape(frame, boxes, s)),
    ...[...boxes.values()].flatMap((box) => yAxis(frame, box)),
    ...xAxis(frame),
    ...layout.annotations.map((a) => annotation(frame, boxes, a)),
    ...below.parts,
    ...caption.map((line, i) =>
      text(16, below.bottom + 14 + i * 15, line, { size: CAPTION_SIZE, color: COLOR.dim }),
    ),
    "</svg>",
  ];
  return `${parts.join("\n")}\n`;
}

function boxesOf(frame: Frame): Map<string, Box> {
  const inner = frame.bottom - frame.top;
  return new Map(
    panelsOf(frame.layout).map(({ name, axis }) => {
      const [from, to] = axis.domain!;
      return [name, { axis, top: frame.bottom - to * inner, bottom: frame.bottom - from * inner }];
    }),
  );
}

// ---- numbers

const n = (value: number): string => String(Math.round(value * 100) / 100);

function px(frame: Frame, x: number): number {
  const [from, to] = frame.layout.xaxis.range;
  return frame.left + ((x - from) / (to - from)) * (frame.right - frame.left);
}

function py(box: Box, y: number): number {
  const [from, to] = box.axis.range;
  return box.bottom - ((y - from) / (to - from)) * (box.bottom - box.top);
}

// ---- words

interface TextStyle {
  readonly size?: number;
  readonly color?: string;
  readonly anchor?: "start" | "middle" | "end";
  readonly weight?: "bold";
  readonly rotate?: number;
}

function text(x: number, y: number, words: string, style: TextStyle = {}): string {
  const attributes = [
    `x="${n(x)}" y="${n(y)}"`,
    style.size === undefined ? "" : ` font-size="${style.size}"`,
    style.color === undefined ? "" : ` fill="${style.color}"`,
    style.anchor === undefined || style.anchor === "start" ? "" : ` text-anchor="${style.anchor}"`,
    style.weight === undefined ? "" : ` font-weight="${style.weight}"`,
    style.rotate === undefined ? "" : ` transform="rotate(${style.rotate} ${n(x)} ${n(y)})"`,
  ];
  return `<text ${attributes.join("")}>${escapeXml(words)}</text>`;
}

function titles({ layout, left }: Frame): string[] {
  const { title } = layout;
  return [
    text(left, 26, title.text, { size: title.font.size, weight: "bold" }),
    text(left, 45, title.subtitle.text, { size: title.subtitle.font.size, color: title.subtitle.font.color }),
  ];
}

// ---- axes

function ticksOf(axis: Axis, count: number): { value: number; label: string }[] {
  const [from, to] = axis.range;
  const values = axis.tickvals ?? niceTicks(from, to, count);
  return values
    .map((value, i) => ({ value, label: axis.ticktext?.[i] ?? tickLabel(value) }))
    .filter(({ value }) => value >= from && value <= to);
}

const yTicks = (box: Box) => ticksOf(box.axis, Math.max(2, Math.round((box.bottom - box.top) / 60)));

function grid(frame: Frame, box: Box): string[] {
  if (!box.axis.showgrid) return [];
  return yTicks(box).map(({ value }) =>
    line(frame.left, py(box, value), frame.right, py(box, value), box.axis.gridcolor, 1),
  );
}

function yAxis(frame: Frame, box: Box): string[] {
  const { axis } = box;
  const labels = yTicks(box).map(({ value, label }) =>
    text(frame.left - 7, py(box, value) + 4, label, { anchor: "end" }),
  );
  const title = axis.title.text;
  const titleX = frame.left - 18 - Math.max(0, ...yTicks(box).map(({ label }) => textWidth(label, 12)));
  return [
    ...(axis.showline ? [line(frame.left, box.top, frame.left, box.bottom, axis.linecolor, 1)] : []),
    ...labels,
    ...(title === ""
      ? []
      : [
          text(titleX, (box.top + box.bottom) / 2, title, {
            anchor: "middle",
            rotate: -90,
            color: COLOR.dim,
          }),
        ]),
  ];
}

function xAxis(frame: Frame): string[] {
  const { layout, left, right, bottom } = frame;
  const title = layout.xaxis.title.text;
  const labels = ticksOf(layout.xaxis, 10).flatMap(({ value, label }) => [
    line(px(frame, value), bottom, px(frame, value), bottom + 5, COLOR.dim, 1),
    text(px(frame, value), bottom + 18, label, { anchor: "middle" }),
  ]);
  return [
    ...(layout.xaxis.showline ? [line(left, bottom, right, bottom, layout.xaxis.linecolor, 1)] : []),
    ...labels,
    ...(title === ""
      ? []
      : [text((left + right) / 2, bottom + 37, title, { anchor: "middle", color: COLOR.dim })]),
  ];
}

// ---- lines

const DASH = { solid: "", dot: ' stroke-dasharray="1.5 3"', dash: ' stroke-dasharray="6 4"' } as const;

function line(
  x0: number,
  y0: number,
  x1: number,
  y1: number,
  color: string,
  width: number,
  dash: keyof typeof DASH = "solid",
): string {
  return `<line x1="${n(x0)}" y1="${n(y0)}" x2="${n(x1)}" y2="${n(y1)}" stroke="${color}" stroke-width="${width}"${DASH[dash]}/>`;
}

function shape(frame: Frame, boxes: ReadonlyMap<string, Box>, s: Shape): string {
  const x = (v: number): number =>
    s.xref === "paper" ? frame.left + v * (frame.right - frame.left) : px(frame, v);
  const y = (v: number): number => yOf(frame, boxes, s.yref, v);
  return s.type === "path" ? curve(s, x, y) : box(s, x, y);
}

type Scale = (value: number) => number;

function box(s: BoxShape, x: Scale, y: Scale): string {
  if (s.type === "line")
    return line(x(s.x0), y(s.y0), x(s.x1), y(s.y1), s.line.color, s.line.width, s.line.dash);
  const [left, right] = [x(s.x0), x(s.x1)].sort((a, b) => a - b);
  const [top, bottom] = [y(s.y0), y(s.y1)].sort((a, b) => a - b);
  return `<rect x="${n(left)}" y="${n(top)}" width="${n(right - left)}" height="${n(bottom - top)}"${strokeAndFill(s)}/>`;
}

function curve(s: PathShape, x: Scale, y: Scale): string {
  const d = segmentsOf(s.path).map(
    ({ command, points }) => `${command}${points.map(([a, b]) => `${n(x(a))} ${n(y(b))}`).join(" ")}`,
  );
  return `<path d="${d.join("")}"${strokeAndFill(s)}/>`;
}

const strokeAndFill = ({ line: { color, width, dash }, fillcolor }: Shape): string =>
  ` fill="${fillcolor ?? "none"}" stroke="${color}" stroke-width="${width}"${DASH[dash ?? "solid"]}`;

function yOf(frame: Frame, boxes: ReadonlyMap<string, Box>, ref: string, v: number): number {
  if (ref === "paper") return frame.bottom - v * (frame.bottom - frame.top);
  const box = boxes.get(ref);
  if (box === undefined) throw new Error(`The figure has no axis "${ref}".`);
  return py(box, v);
}

// ---- traces

function traces(frame: Frame, boxes: ReadonlyMap<string, Box>, data: readonly Trace[]): string[] {
  const stacked = new Map<string, number[]>();
  return data.map((trace) => {
    const box = boxes.get(trace.yaxis);
    if (box === undefined) throw new Error(`The figure has no axis "${trace.yaxis}".`);
    const body =
      trace.type === "heatmap"
        ? cells(frame, box, trace)
        : trace.stackgroup !== undefined
          ? area(frame, box, trace, stacked)
          : plain(frame, box, trace);
    return `<g><title>${escapeXml(trace.name)}</title>${body}</g>`;
  });
}

/** A path for each state, of rectangles as long as the state lasts; and what is written in the cells. */
function cells(frame: Frame, box: Box, trace: Heatmap): string {
  const { meta, z, texttemplate, text: words, textfont, xgap = 0, ygap = 0 } = trace;
  const x = trace.x.map((v) => px(frame, v));
  const y = trace.y.map((v) => py(box, v));
  const runs = meta.states.map(() => "");
  z.forEach((row, r) => {
    const [top, bottom] = [y[r + 1] + ygap / 2, y[r] - ygap / 2];
    for (let from = 0; from < row.length; ) {
      const state = row[from];
      let to = from + 1;
      while (xgap === 0 && to < row.length && row[to] === state) to++;
      const [left, right] = [x[from] + xgap / 2, x[to] - xgap / 2];
      if (state !== null) runs[state] += `M${n(left)} ${n(top)}H${n(right)}V${n(bottom)}H${n(left)}Z`;
      from = to;
    }
  });
  const painted = meta.states.map(({ color }, state) =>
    runs[state] === "" ? "" : `<path d="${runs[state]}" fill="${color}" shape-rendering="crispEdges"/>`,
  );
  const written =
    texttemplate === undefined || words === undefined
      ? []
      : z.flatMap((row, r) =>
          row.map((state, c) =>
            state === null || words[r][c] === ""
              ? ""
              : text((x[c] + x[c + 1]) / 2, (y[r] + y[r + 1]) / 2 + 4, words[r][c], {
                  anchor: "middle",
                  size: textfont?.size,
                  color: inkOn(meta.states[state].color),
                }),
          ),
        );
  return [...painted, ...written].join("");
}

/** An area on top of those of its group drawn before; they share their x. */
function area(frame: Frame, box: Box, trace: Scatter, stacked: Map<string, number[]>): string {
  const key = `${trace.yaxis} ${trace.stackgroup}`;
  const below = stacked.get(key) ?? trace.x.map(() => 0);
  const above = below.map((y, i) => y + (trace.y[i] ?? 0));
  stacked.set(key, above);
  const x = trace.x.map((v) => px(frame, v ?? 0));
  const up = stepPath(
    x,
    above.map((y) => py(box, y)),
  );
  const down = stepPath(
    x,
    below.map((y) => py(box, y)),
  );
  const back = down.reverse();
  return `<path d="${through([...up, ...back])}Z" fill="${trace.fillcolor ?? trace.line!.color}"/>`;
}

/** A path through corners; level and upright pieces, which step lines are made of, take one number. */
function through(corners: readonly (readonly [number, number])[]): string {
  let d = "";
  let [fromX, fromY] = ["", ""];
  for (const [at, up] of corners) {
    const [x, y] = [n(at), n(up)];
    if (d === "") d = `M${x} ${y}`;
    else if (x === fromX) d += y === fromY ? "" : `V${y}`;
    else d += y === fromY ? `H${x}` : `L${x} ${y}`;
    [fromX, fromY] = [x, y];
  }
  return d;
}

/** Corners of a line whose value holds until the next point. */
function stepPath(x: readonly number[], y: readonly number[]): [number, number][] {
  const corners: [number, number][] = [];
  x.forEach((at, i) => {
    const turns = i > 0 && y[i] !== y[i - 1];
    if (turns) corners.push([at, y[i - 1]]);
    if (i === 0 || turns || i === x.length - 1) corners.push([at, y[i]]);
  });
  return corners;
}

function plain(frame: Frame, box: Box, trace: Scatter): string {
  if (trace.mode === "markers") return markers(frame, box, trace);
  const pieces = piecesOf(trace).map(({ x, y }) => {
    const points = { x: x.map((v) => px(frame, v)), y: y.map((v) => py(box, v)) };
    return trace.line?.shape === "hv"
      ? stepPath(points.x, points.y)
      : points.x.map((at, i): [number, number] => [at, points.y[i]]);
  });
  // A span shorter than a pixel still has to be seen.
  const seen = trace.line?.shape === "hv" ? pieces : pieces.map(atLeastAPixel);
  const d = seen.map(through).join("");
  const { color, width, dash } = trace.line!;
  const stroke = `<path d="${d}" fill="none" stroke="${color}" stroke-width="${width}"${DASH[dash ?? "solid"]}/>`;
  return trace.fill === undefined ? stroke : `${fillToZero(box, trace, seen)}${stroke}`;
}

function atLeastAPixel(corners: [number, number][]): [number, number][] {
  const [first, last] = [corners[0], corners[corners.length - 1]];
  return last[0] - first[0] >= 1 ? corners : [first, [first[0] + 1, last[1]]];
}

function fillToZero(box: Box, trace: Scatter, pieces: readonly (readonly [number, number][])[]): string {
  const zero = py(box, 0);
  const d = pieces.map((corners) => {
    const [first, last] = [corners[0], corners[corners.length - 1]];
    return `${through([[first[0], zero], ...corners, [last[0], zero]])}Z`;
  });
  return `<path d="${d.join("")}" fill="${trace.fillcolor}"/>`;
}

/** A trace cut at its nulls. */
function piecesOf(trace: Scatter): { x: number[]; y: number[] }[] {
  const pieces: { x: number[]; y: number[] }[] = [];
  let open: { x: number[]; y: number[] } | null = null;
  trace.x.forEach((x, i) => {
    const y = trace.y[i];
    if (x === null || y === null) {
      open = null;
      return;
    }
    if (open === null) {
      open = { x: [], y: [] };
      pieces.push(open);
    }
    open.x.push(x);
    open.y.push(y);
  });
  return pieces;
}

function markers(frame: Frame, box: Box, trace: Scatter): string {
  return trace.x
    .map((x, i) =>
      x === null || trace.y[i] === null ? "" : marker(trace, px(frame, x), py(box, trace.y[i])),
    )
    .join("");
}

function marker({ marker }: Scatter, x: number, y: number): string {
  const { symbol, size, color } = marker!;
  const half = size / 2;
  switch (symbol) {
    case "line-ns-open":
      return line(x, y - half, x, y + half, color, marker!.line?.width ?? 1);
    case "x":
      return `<path d="M${n(x - half)} ${n(y - half)}L${n(x + half)} ${n(y + half)}M${n(x - half)} ${n(y + half)}L${n(x + half)} ${n(y - half)}" stroke="${color}" stroke-width="2.5"/>`;
    case "triangle-down":
      return `<path d="M${n(x - half)} ${n(y - half)}L${n(x + half)} ${n(y - half)}L${n(x)} ${n(y + half)}Z" fill="${color}"/>`;
    case "square": {
      const edge =
        marker!.line === undefined
          ? ""
          : ` stroke="${marker!.line.color}" stroke-width="${marker!.line.width}"`;
      return `<rect x="${n(x - half)}" y="${n(y - half)}" width="${n(size)}" height="${n(size)}" fill="${color}"${edge}/>`;
    }
    case "circle":
      return `<circle cx="${n(x)}" cy="${n(y)}" r="${n(half)}" fill="${color}"/>`;
  }
}

// ---- annotations and legend

function annotation(frame: Frame, boxes: ReadonlyMap<string, Box>, a: Annotation): string {
  const x = (a.xref === "paper" ? frame.left + a.x * (frame.right - frame.left) : px(frame, a.x)) + a.xshift;
  const y = yOf(frame, boxes, a.yref, a.y) - a.yshift;
  const lines = a.text.split("<br>");
  const step = a.font.size + 3;
  const first = {
    bottom: -step * (lines.length - 1) - 3,
    middle: a.font.size * 0.35 - (step * (lines.length - 1)) / 2,
    top: a.font.size + 1,
  };
  const anchor = ({ left: "start", center: "middle", right: "end" } as const)[a.xanchor];
  const size = a.font.size;
  if (a.textangle !== undefined) {
    // As plotly does it: what is anchored is the upright box around the turned text.
    const across = size * 0.95 * Math.abs(Math.sin((a.textangle * Math.PI) / 180));
    const style = { size, color: a.font.color, anchor, rotate: a.textangle };
    return text(x + across, y - 2, lines.join(" "), style);
  }
  return lines
    .map((words, i) => text(x, y + first[a.yanchor] + i * step, words, { size, color: a.font.color, anchor }))
    .join("");
}

/** The legend, and where it ends, and the picture with it: the room for more rows is for narrower figures. */
function legend(frame: Frame, data: readonly Trace[]): { parts: string[]; bottom: number } {
  const entries = data.filter((trace): trace is Scatter => trace.showlegend);
  const rows = legendRows(
    entries.map(({ name }) => name),
    frame.right - frame.left,
  );
  const { height, legend: place } = frame.layout;
  const top = height * (1 - place.y);
  const parts: string[] = [];
  let next = 0;
  rows.forEach((row, r) => {
    const y = top + LEGEND_ROW * r + 14;
    let x = frame.left;
    for (const name of row) {
      parts.push(sample(entries[next], x, y - 4), text(x + 28, y, name));
      x += legendItemWidth(name);
      next++;
    }
  });
  return { parts, bottom: Math.round(top + LEGEND_ROW * rows.length + 6) };
}

function sample(trace: Scatter, x: number, y: number): string {
  if (trace.mode === "markers") return marker(trace, x + 11, y);
  const { color, width, dash } = trace.line!;
  if (trace.stackgroup === undefined) return line(x, y, x + 22, y, color, width, dash);
  return `<rect x="${n(x)}" y="${n(y - 6)}" width="22" height="12" fill="${trace.fillcolor}" stroke="${COLOR.rule}" stroke-width="0.5"/>`;
}
