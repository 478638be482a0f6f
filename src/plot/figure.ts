/**
 * What a figure is: a plotly figure as plain JSON, a caption, and the line that replays the run it was made from.
 *
 * The types are the few parts of plotly that the figures use, written out here because plotly's own types need a newer
 * TypeScript than a notebook cell is checked with, and because the SVG and terminal renderers must draw every part
 * of them. Panels lie above each other and share the x axis. All y values of step lines and areas are numbers;
 * rows (strips, lanes) use tickvals and ticktext.
 */

/** Okabe and Ito's colours, told apart with every common colour blindness, and greys. */
export const COLOR = {
  black: "#000000",
  orange: "#E69F00",
  sky: "#56B4E9",
  green: "#009E73",
  yellow: "#F0E442",
  blue: "#0072B2",
  vermillion: "#D55E00",
  purple: "#CC79A7",
  ink: "#222222",
  dim: "#666666",
  rule: "#BBBBBB",
  grid: "#E8E8E8",
  pale: "#F1F1F1",
  grey: "#CFCFCF",
} as const;

export interface TraceLine {
  readonly color: string;
  /** Pixels. */
  readonly width: number;
  /** "hv": the value holds until the next point. */
  readonly shape?: "hv" | "linear";
  readonly dash?: "solid" | "dot" | "dash";
}

export interface TraceMarker {
  readonly symbol: "circle" | "square" | "x" | "line-ns-open" | "triangle-down";
  readonly size: number;
  readonly color: string;
  readonly line?: { readonly width: number; readonly color: string };
}

/** Width of the static picture, in pixels; the interactive one takes the width it is given. */
export const WIDTH = 960;

/** Width below which an interactive figure scrolls: its legend gets no more rows, and its words no nearer, than they are here. */
export const NARROWEST = 840;

/** A line, an area or markers. In strips a null splits the line. */
export interface Scatter {
  readonly type: "scatter";
  readonly name: string;
  readonly mode: "lines" | "markers";
  readonly x: readonly (number | null)[];
  readonly y: readonly (number | null)[];
  /** "y", "y2", ...: the panel. */
  readonly yaxis: string;
  readonly line?: TraceLine;
  readonly marker?: TraceMarker;
  /** Areas with the same group are stacked in the order of the traces. */
  readonly stackgroup?: string;
  readonly fill?: "tozeroy";
  readonly fillcolor?: string;
  /** What the pointer shows for each point, where x and y do not say it. */
  readonly text?: readonly string[];
  readonly hovertemplate?: string;
  readonly hoverinfo?: "skip";
  readonly showlegend: boolean;
}

/** What a cell of a heat map can be. An amount is cut into classes, each of them a state. */
export interface State {
  readonly name: string;
  readonly color: string;
  /** One character: how it looks in a terminal without colour. */
  readonly glyph: string;
}

/** Cells in rows and columns, each in one of a few states. Made by heatmap() in heatmap.ts, which brings the legend too. */
export interface Heatmap {
  readonly type: "heatmap";
  readonly name: string;
  /** Edges of the columns, ascending: one more than there are columns. */
  readonly x: readonly number[];
  /** Edges of the rows, ascending. */
  readonly y: readonly number[];
  /** The number of each cell's state, the lowest row first; null leaves the paper. */
  readonly z: readonly (readonly (number | null)[])[];
  /** "y", "y2", ...: the panel. */
  readonly yaxis: string;
  /** A step for each state, on a scale from zmin to zmax with the states' numbers in the middle of the steps. */
  readonly colorscale: readonly (readonly [at: number, color: string])[];
  readonly zmin: number;
  readonly zmax: number;
  readonly showscale: false;
  readonly showlegend: false;
  /** plotly keeps this for whoever reads the figure: the states, by their number, and names of the rows. */
  readonly meta: { readonly states: readonly State[]; readonly rows?: readonly string[] };
  /** What the pointer shows for each cell; where it is left out, the HTML form shows the row's name and the state's. */
  readonly text?: readonly (readonly string[])[];
  /** Where given, `text` is also written in the cells. */
  readonly texttemplate?: "%{text}";
  /** Of what is written in the cells; default the figure's own. */
  readonly textfont?: { readonly size: number };
  /** What a hovertemplate may name besides. */
  readonly customdata?: readonly (readonly string[])[];
  readonly hovertemplate?: string;
  readonly hoverinfo?: "skip";
  /** Pixels of paper between columns and between rows. */
  readonly xgap?: number;
  readonly ygap?: number;
}

export type Trace = Scatter | Heatmap;

/** A line, or the cells of a heat map, before the picture's few were taken from it. */
export type Fine = FineLine | readonly FineCells[];

export interface FineLine {
  readonly x: Float64Array;
  readonly y: Float64Array;
  /** The numbers that the pointer shows, where they are not y. */
  readonly shown?: Float64Array;
}

/** One level of detail of several, the coarsest first. */
export interface FineCells {
  /** Edges of the columns. */
  readonly x: Float64Array;
  /** A number for each cell, a row after the other as in Heatmap.z; 255 is null. */
  readonly z: Uint8Array;
  /** What the pointer names in each column in place of any state but the first: one more than the place of its name, 0 for none. */
  readonly columns?: { readonly names: readonly string[]; readonly of: Int32Array };
}

export interface Axis {
  readonly title: {
    readonly text: string;
    readonly standoff: number;
    readonly font: { readonly size: number; readonly color: string };
  };
  readonly range: readonly [number, number];
  readonly domain?: readonly [number, number];
  readonly anchor?: string;
  readonly tickvals?: readonly number[];
  readonly ticktext?: readonly string[];
  readonly showgrid: boolean;
  readonly gridcolor: string;
  readonly zeroline: false;
  readonly showline: boolean;
  readonly linecolor: string;
  readonly ticks: "outside" | "";
  readonly fixedrange?: boolean;
  readonly showticklabels?: boolean;
}

interface ShapeBase {
  readonly xref: "x" | "paper";
  readonly yref: string;
  readonly line: { readonly color: string; readonly width: number; readonly dash?: "solid" | "dot" | "dash" };
  readonly fillcolor?: string;
  readonly layer: "below" | "above";
}

/** A line from one corner to the other, or the rectangle between them. */
export interface BoxShape extends ShapeBase {
  readonly type: "line" | "rect";
  readonly x0: number;
  readonly x1: number;
  readonly y0: number;
  readonly y1: number;
}

/** A curve, an arrow, a band: an SVG path in the units of the axes. */
export interface PathShape extends ShapeBase {
  readonly type: "path";
  /** Commands M, L, C and Z, absolute, numbers apart by spaces or commas: "M0 0L3 1C4 1 5 2 5 3Z". See path.ts. */
  readonly path: string;
}

/** What is drawn behind or before the traces. */
export type Shape = BoxShape | PathShape;

export interface Annotation {
  /** Lines are split by <br>. */
  readonly text: string;
  readonly x: number;
  readonly y: number;
  readonly xref: "x" | "paper";
  readonly yref: string;
  readonly xanchor: "left" | "center" | "right";
  readonly yanchor: "bottom" | "middle" | "top";
  /** Pixels to the right and upwards. */
  readonly xshift: number;
  readonly yshift: number;
  readonly showarrow: false;
  readonly align: "left" | "center" | "right";
  readonly font: { readonly size: number; readonly color: string };
  /** Degrees clockwise. */
  readonly textangle?: number;
}

export interface LayoutBase {
  readonly title: {
    readonly text: string;
    readonly subtitle: {
      readonly text: string;
      readonly font: { readonly size: number; readonly color: string };
    };
    readonly x: number;
    readonly xref: "paper";
    readonly xanchor: "left";
    readonly y: number;
    readonly yref: "container";
    readonly yanchor: "top";
    readonly font: { readonly size: number; readonly color: string };
  };
  readonly height: number;
  /** Pixels; without it the figure takes the width it is given. */
  readonly width?: number;
  readonly margin: { readonly l: number; readonly r: number; readonly t: number; readonly b: number };
  readonly xaxis: Axis;
  readonly shapes: readonly Shape[];
  readonly annotations: readonly Annotation[];
  readonly showlegend: boolean;
  readonly legend: {
    readonly orientation: "h";
    readonly x: number;
    readonly xanchor: "left";
    readonly y: number;
    readonly yref: "container";
    readonly yanchor: "top";
    readonly traceorder: "normal";
  };
  readonly hovermode: "closest" | "x";
  readonly font: { readonly family: string; readonly size: number; readonly color: string };
  readonly paper_bgcolor: string;
  readonly plot_bgcolor: string;
}

/** The y axes are yaxis, yaxis2, ... */
export type Layout = LayoutBase & { readonly [axis: `yaxis${string}`]: Axis };

/** What the notebook shows: the richest form that the front end can draw. */
export interface MimeBundle {
  readonly "text/plain": string;
  readonly "text/html": string;
  readonly "image/svg+xml": string;
}

/** Notebook front ends look for this method on the value of a cell. */
export const DISPLAY: unique symbol = Symbol.for("Jupyter.display") as never;

/** What a figure says in a terminal, in lines of at most so many characters; `paint` colours some of their words. */
export type TextForm = (room: {
  readonly columns: number;
  readonly paint: (words: string, color: string) => string;
}) => readonly string[];

/** What of a run a figure is of, in the words by which the run is asked for that figure. */
export interface Part {
  /** The replay line of the whole run, where the figure is of one of its moments. */
  readonly run?: string;
  /** Page frame number. */
  readonly pfn?: number;
  /** After so many steps. */
  readonly tick?: number;
  /** The earlier moment that it is compared with. */
  readonly since?: number;
  /** Struct, row and field. */
  readonly cell?: string;
}

export interface Figure {
  /** Short name of the kind of figure: "pins", "dirty", "reclaim", "lanes", "life", "danger", "why" ... */
  readonly kind: string;
  readonly data: readonly Trace[];
  readonly layout: Layout;
  /** Whether the x axis is the time of a run, so that the figure moves together with others of that run. */
  readonly timed: boolean;
  /** What to see, in full sentences; ends with the replay line where there is one. */
  readonly caption: string;
  /** The line that reproduces the run; empty for a recording of a real kernel. */
  readonly replay: string;
  /** Where it is of a part of the run: which. The same can then be drawn of another run. No part of the figure's JSON. */
  readonly part?: Part;
  /**
   * What a terminal shows in place of the panels, where words in lines say it better than a drawing. Lines that are given are cut to the
   * room there is; those that are made for it are as many as they need.
   */
  readonly lines?: readonly string[] | TextForm;
  /** For each trace what a reader gets who zooms in, where that is more than what is drawn. No part of the figure's JSON. */
  readonly fine?: () => readonly (Fine | undefined)[];
  readonly [DISPLAY]: () => MimeBundle;
}

/** The y axes of a figure from bottom to top, with the name that traces and annotations use. */
export function panelsOf(layout: Layout): { name: string; axis: Axis }[] {
  return Object.keys(layout)
    .filter((key): key is `yaxis${string}` => key.startsWith("yaxis"))
    .map((key) => ({ name: `y${key.slice("yaxis".length)}`, axis: layout[key] }))
    .sort((a, b) => a.axis.domain![0] - b.axis.domain![0]);
}
