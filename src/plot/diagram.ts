/**
 * Diagrams: boxes with words in them and arrows between them, on a sheet without axes.
 *
 * Everything is in pixels from the sheet's top left corner, so that plotly, the SVG writer and a printed page agree; the sheet keeps its
 * width in a browser, as its words would not shrink with it. A terminal has no room for a sheet: a diagram brings its own text, which
 * says the same.
 */
import { compose } from "./compose.js";
import { mimeBundle } from "./display.js";
import {
  type Annotation,
  type BoxShape,
  COLOR,
  DISPLAY,
  type Figure,
  type TextForm,
  WIDTH,
} from "./figure.js";
import { infoOf } from "./rates.js";
import { textWidth, wrap } from "./text.js";
import { axisOf } from "./timeline.js";

/** Sizes of words, in pixels. */
export const SIZE = { head: 13, body: 12, small: 10.5 } as const;

type Dash = "solid" | "dot" | "dash";

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly fill: string;
  readonly border: string;
  /** Of the border, in pixels; default 1. */
  readonly thick?: number;
  readonly dash?: Dash;
}

/** A line along some corners, with a head at its last one. */
export interface Arrow {
  readonly along: readonly (readonly [x: number, y: number])[];
  readonly color: string;
  readonly thick: number;
  readonly dash?: Dash;
  /** Default true. */
  readonly head?: boolean;
}

/** Words on the sheet. */
export interface Note {
  /** Lines are split by <br>. */
  readonly text: string;
  readonly x: number;
  readonly y: number;
  /** Default left. */
  readonly anchor?: "left" | "center" | "right";
  /** What y is of the words; default their middle. */
  readonly at?: "top" | "middle" | "bottom";
  readonly size?: number;
  readonly color?: string;
}

export interface Sheet {
  readonly kind: string;
  readonly title: string;
  readonly subtitle: string;
  readonly height: number;
  readonly boxes: readonly Box[];
  readonly arrows?: readonly Arrow[];
  readonly notes: readonly Note[];
  /** What to see, in full sentences; the replay line is added. */
  readonly caption: string;
  readonly replay: string;
  readonly text: TextForm;
}

const MARGIN = { l: 14, r: 14, t: 62, b: 12 };
/** Paper beyond the sheet at its sides, so that the frame of a box at its edge is whole. */
const EDGE = 2;
/** Width of a sheet. */
export const SHEET = WIDTH - MARGIN.l - MARGIN.r - 2 * EDGE;

/** A sheet as a figure. */
export function diagram(sheet: Sheet): Figure {
  const { kind, title, subtitle, boxes, arrows = [], notes, caption, replay, text } = sheet;
  const height = Math.ceil(sheet.height);
  const framed = compose({
    kind,
    title,
    info: { ...infoOf(subtitle), replay },
    timeline: axisOf(-EDGE, SHEET + EDGE, ""),
    hovermode: "closest",
    panels: [
      {
        title: "",
        height,
        range: [height, 0],
        ticks: { values: [], labels: [] },
        grid: false,
        traces: [],
        // A box hides the line that crosses it.
        shapes: [...arrows.flatMap(arrowShapes), ...boxes.map(boxShape)],
        annotations: notes.map(annotation),
      },
    ],
    caption,
    bare: true,
    lines: text,
  });
  const { layout } = framed;
  const whole = MARGIN.t + height + MARGIN.b;
  const figure: Figure = {
    ...framed,
    layout: {
      ...layout,
      title: { ...layout.title, y: 1 - 12 / whole },
      width: WIDTH,
      height: whole,
      margin: MARGIN,
    },
    [DISPLAY]: () => mimeBundle(figure),
  };
  return figure;
}

function boxShape({ x, y, width, height, fill, border, thick = 1, dash }: Box): Omit<BoxShape, "yref"> {
  return {
    type: "rect",
    xref: "x",
    x0: x,
    x1: x + width,
    y0: y,
    y1: y + height,
    line: { color: border, width: thick, ...(dash === undefined ? {} : { dash }) },
    fillcolor: fill,
    layer: "below",
  };
}

type Point = readonly [x: number, y: number];

const stroke = ([x0, y0]: Point, [x1, y1]: Point, line: BoxShape["line"]): Omit<BoxShape, "yref"> => ({
  type: "line",
  xref: "x",
  x0,
  x1,
  y0,
  y1,
  line,
  layer: "below",
});

/** Length of an arrow's head, and half its width. */
const HEAD = [9, 4] as const;

function arrowShapes({ along, color, thick, dash, head = true }: Arrow): Omit<BoxShape, "yref">[] {
  const solid = { color, width: thick };
  const line = dash === undefined ? solid : { ...solid, dash };
  const strokes = along.slice(1).map((to, at) => stroke(along[at], to, line));
  if (!head) return strokes;
  const [[fromX, fromY], tip] = along.slice(-2) as [Point, Point];
  const length = Math.hypot(tip[0] - fromX, tip[1] - fromY) || 1;
  const [dx, dy] = [(tip[0] - fromX) / length, (tip[1] - fromY) / length];
  const barb = (side: 1 | -1): Point => [
    tip[0] - HEAD[0] * dx - side * HEAD[1] * dy,
    tip[1] - HEAD[0] * dy + side * HEAD[1] * dx,
  ];
  return [...strokes, stroke(barb(1), tip, solid), stroke(barb(-1), tip, solid)];
}

function annotation({
  text,
  x,
  y,
  anchor = "left",
  at = "middle",
  size,
  color,
}: Note): Omit<Annotation, "yref"> {
  return {
    text,
    x,
    y,
    xref: "x",
    xanchor: anchor,
    yanchor: at,
    xshift: 0,
    yshift: 0,
    showarrow: false,
    align: anchor,
    font: { size: size ?? SIZE.body, color: color ?? COLOR.ink },
  };
}

/** Words broken into lines of at most `width` pixels, and how high they are. */
export function paragraph(text: string, width: number, size: number = SIZE.body) {
  const lines = wrap(text, size, width);
  return { text: lines.join("<br>"), height: lines.length * (size + 3), lines: lines.length };
}

/** The words, or as many of them as fit into `width` pixels. */
export function clipped(text: string, width: number, size: number = SIZE.body): string {
  if (textWidth(text, size) <= width) return text;
  let end = text.length;
  while (end > 1 && textWidth(`${text.slice(0, end)}…`, size) > width) end--;
  return `${text.slice(0, end)}…`;
}

// ---- the same in a terminal

/**
 * Words filled into lines of at most `columns` characters, the first after `head`, the others indented as far. A word that is longer than a
 * line goes on in the next one.
 */
export function filled(head: string, words: string, columns: number): string[] {
  const indent = " ".repeat([...head].length);
  const room = Math.max(8, columns - indent.length);
  const lines: string[] = [];
  for (const word of words.split(" ")) {
    const last = lines.at(-1);
    const letters = [...word];
    if (last !== undefined && [...last].length + 1 + letters.length <= room)
      lines[lines.length - 1] = `${last} ${word}`;
    else
      for (let at = 0; at < letters.length || at === 0; at += room)
        lines.push(letters.slice(at, at + room).join(""));
  }
  return lines.map((line, at) => `${at === 0 ? head : indent}${line}`);
}
