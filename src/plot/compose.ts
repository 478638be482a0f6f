/**
 * Panels, one above the other over one x axis, put together to a plotly figure: the common frame of all figures.
 *
 * Sizes are in pixels so that plotly, the SVG writer and a printed page agree on where things lie.
 */
import type { RecordingInfo } from "../trace/recording.js";
import { mimeBundle } from "./display.js";
import {
  type Annotation,
  type Axis,
  type BoxShape,
  COLOR,
  DISPLAY,
  type Figure,
  type Fine,
  type Heatmap,
  type Layout,
  NARROWEST,
  type PathShape,
  type Scatter,
  type Shape,
  type Trace,
  WIDTH,
} from "./figure.js";
import { LEGEND_ROW, legendHeight, textWidth, wrap } from "./text.js";
import type { FaultGroup, Timeline } from "./timeline.js";

/** A trace that does not know its panel yet, and what a reader gets who zooms into it, where that is more. */
export type PanelTrace = (Omit<Scatter, "type" | "yaxis"> | Omit<Heatmap, "yaxis">) & {
  readonly fine?: Fine | undefined;
};

/** A shape that does not. */
export type PanelShape = Omit<BoxShape, "yref"> | Omit<PathShape, "yref">;

export interface Panel {
  readonly title: string;
  readonly height: number;
  readonly range: readonly [number, number];
  readonly ticks?: { readonly values: readonly number[]; readonly labels: readonly string[] };
  readonly grid?: boolean;
  readonly traces: readonly PanelTrace[];
  readonly shapes?: readonly PanelShape[];
  readonly annotations?: readonly Omit<Annotation, "yref">[];
}

export interface Composition {
  readonly kind: string;
  readonly title: string;
  readonly info: RecordingInfo;
  readonly timeline: Timeline;
  /** From top to bottom. */
  readonly panels: readonly Panel[];
  /** What to see; marks and replay line are added. */
  readonly caption: string;
  readonly hovermode?: "closest" | "x";
  /** A diagram: neither axis is drawn. */
  readonly bare?: true;
  /** What a terminal shows in place of the panels. */
  readonly lines?: Figure["lines"];
}

const GAP = 18;
const RIGHT = 28;
/** Pixels from the x axis to the legend: its ticks, their labels and its title lie between; a diagram has none of them. */
const AXIS = 46;
const BARE = 10;
const FAMILY = "Helvetica, Arial, 'Liberation Sans', sans-serif";
const FONT_SIZE = 12;
const LABEL_SIZE = 11;
const LINE_HEIGHT = 14;

export function compose(c: Composition): Figure {
  const { timeline } = c;
  const left = leftOf(c.panels.flatMap((p) => p.ticks?.labels ?? []));
  const markRow = timeline.marks.length > 0 ? LINE_HEIGHT + 4 : 0;
  const inner = c.panels.reduce((sum, p) => sum + p.height, 0) + GAP * (c.panels.length - 1);
  const notes = faultNotes(timeline, left, inner, markRow);
  const names = c.panels.flatMap((p) => p.traces.filter((t) => t.showlegend).map((t) => t.name));
  const below = c.bare ? BARE : AXIS;
  const margin = {
    l: left,
    r: RIGHT,
    t: 62 + markRow + notes.height,
    b: below + 6 + LEGEND_ROW * legendHeight(names, innerWidth(left, NARROWEST)),
  };
  const height = inner + margin.t + margin.b;
  const axes: Record<`yaxis${string}`, Axis> = {};
  const data: Trace[] = [];
  const fine: (Fine | undefined)[] = [];
  const shapes: Shape[] = [...markLines(timeline), ...notes.shapes];
  const annotations: Annotation[] = [...markNumbers(timeline), ...notes.annotations];
  let top = inner;
  c.panels.forEach((panel, i) => {
    const yaxis = i === 0 ? "y" : `y${i + 1}`;
    axes[`yaxis${i === 0 ? "" : i + 1}`] = panelAxis(
      panel,
      [(top - panel.height) / inner, top / inner],
      !c.bare,
    );
    for (const { fine: more, ...trace } of panel.traces) {
      fine.push(more);
      data.push("z" in trace ? { ...trace, yaxis } : { type: "scatter", yaxis, ...trace });
    }
    for (const shape of panel.shapes ?? []) shapes.push({ ...shape, yref: yaxis });
    for (const note of panel.annotations ?? []) annotations.push({ ...note, yref: yaxis });
    top -= panel.height + GAP;
  });
  const layout: Layout = {
    title: {
      text: c.title,
      subtitle: { text: c.info.title, font: { size: FONT_SIZE, color: COLOR.dim } },
      x: 0,
      xref: "paper",
      xanchor: "left",
      y: 1 - 12 / height,
      yref: "container",
      yanchor: "top",
      font: { size: 16, color: COLOR.ink },
    },
    height,
    margin,
    xaxis: {
      title: axisTitle(c.bare ? "" : timeline.title),
      range: [timeline.start, timeline.end],
      anchor: c.panels.length === 1 ? "y" : `y${c.panels.length}`,
      ...(c.bare ? { tickvals: [], ticktext: [] } : {}),
      showgrid: false,
      gridcolor: COLOR.grid,
      zeroline: false,
      showline: !c.bare,
      linecolor: COLOR.dim,
      ticks: c.bare ? "" : "outside",
    },
    ...axes,
    shapes,
    annotations,
    showlegend: names.length > 0,
    legend: {
      orientation: "h",
      x: 0,
      xanchor: "left",
      y: (margin.b - below) / height,
      yref: "container",
      yanchor: "top",
      traceorder: "normal",
    },
    hovermode: c.hovermode ?? "x",
    font: { family: FAMILY, size: FONT_SIZE, color: COLOR.ink },
    paper_bgcolor: "#FFFFFF",
    plot_bgcolor: "#FFFFFF",
  };
  const figure: Figure = {
    kind: c.kind,
    data,
    layout,
    timed: timeline.timed,
    caption: captionOf(c),
    replay: c.info.replay,
    ...(c.lines === undefined ? {} : { lines: c.lines }),
    ...(fine.some((more) => more !== undefined) ? { fine: () => fine } : {}),
    [DISPLAY]: () => mimeBundle(figure),
  };
  return figure;
}

/** Pixels to the left of the panels, for the labels of their rows. */
const leftOf = (labels: readonly string[]): number =>
  Math.min(230, Math.max(56, 34 + Math.max(0, ...labels.map((label) => textWidth(label, FONT_SIZE)))));

const innerWidth = (left: number, width: number): number => width - left - RIGHT;

/** Pixels of the x axis where a figure with these labels of rows is narrowest. */
export const narrowestAxis = (labels: readonly string[]): number => innerWidth(leftOf(labels), NARROWEST);

const axisTitle = (text: string) => ({ text, standoff: 8, font: { size: FONT_SIZE, color: COLOR.dim } });

function panelAxis(panel: Panel, domain: readonly [number, number], showline: boolean): Axis {
  return {
    title: axisTitle(panel.title),
    range: panel.range,
    domain,
    ...(panel.ticks === undefined ? {} : { tickvals: panel.ticks.values, ticktext: panel.ticks.labels }),
    showgrid: panel.grid ?? true,
    gridcolor: COLOR.grid,
    zeroline: false,
    showline,
    linecolor: COLOR.dim,
    ticks: "",
    fixedrange: true,
  };
}

// ---- the workload's marks: a thin line, and a number whose text is in the caption

function markLines(timeline: Timeline): Shape[] {
  return timeline.marks.map(({ x }) => vertical(x, COLOR.rule, "dot", "below"));
}

function vertical(
  x: number,
  color: string,
  dash: "dot" | "dash" | "solid",
  layer: "below" | "above",
): BoxShape {
  return {
    type: "line",
    xref: "x",
    yref: "paper",
    x0: x,
    x1: x,
    y0: 0,
    y1: 1,
    line: { color, width: 1, dash },
    layer,
  };
}

function markNumbers(timeline: Timeline): Annotation[] {
  return timeline.marks.map(({ x, text }, i) => ({
    text: markName(text, i),
    x,
    y: 1,
    xref: "x",
    yref: "paper",
    xanchor: "center",
    yanchor: "bottom",
    xshift: 0,
    yshift: 3,
    showarrow: false,
    align: "center",
    font: { size: LABEL_SIZE, color: COLOR.dim },
  }));
}

/** The number that the workload gave its step, or its place. */
const markName = (text: string, i: number): string => /^(\d+) /.exec(text)?.[1] ?? String(i + 1);

// ---- faults: a line, and the message above the panels

const MAX_NOTES = 4;

/**
 * Labels of faults, stacked above the panels. A label begins or ends at its fault's line, and the line reaches up to
 * it. In the right half labels lie to the left of their lines, the earliest lowest; in the left half to the right, the
 * earliest highest: so no line crosses a label of its half.
 */
function faultNotes(timeline: Timeline, left: number, inner: number, markRow: number) {
  const shown = timeline.faults.slice(0, MAX_NOTES);
  const width = innerWidth(left, WIDTH);
  const notes = shown.map((group) => {
    const px = ((group.x - timeline.start) / (timeline.end - timeline.start)) * width;
    const toLeft = px > width / 2;
    return {
      group,
      toLeft,
      lines: wrap(faultText(group), LABEL_SIZE, Math.max(260, (toLeft ? px : width - px) - 8)),
    };
  });
  const more = timeline.faults.length - shown.length;
  if (more > 0) notes.at(-1)!.lines.push(`(and ${more} more faults after these)`);
  const upwards = [...notes.filter((n) => n.toLeft), ...notes.filter((n) => !n.toLeft).reverse()];
  const shapes: Shape[] = [];
  const annotations: Annotation[] = [];
  let bottom = markRow;
  for (const { group, toLeft, lines } of upwards) {
    const height = lines.length * LINE_HEIGHT + 4;
    shapes.push({
      ...vertical(group.x, COLOR.vermillion, "solid", "above"),
      y1: 1 + (bottom + height) / inner,
    });
    annotations.push({
      text: lines.join("<br>"),
      x: group.x,
      y: 1,
      xref: "x",
      yref: "paper",
      xanchor: toLeft ? "right" : "left",
      yanchor: "bottom",
      xshift: toLeft ? -4 : 4,
      yshift: bottom + 1,
      showarrow: false,
      align: toLeft ? "right" : "left",
      font: { size: LABEL_SIZE, color: COLOR.vermillion },
    });
    bottom += height;
  }
  return { height: bottom - markRow, shapes, annotations };
}

/** What a fault's label says. */
export function faultText({ fault, count }: FaultGroup): string {
  return `${fault.kind}${count > 1 ? ` ×${count}, the first` : ""}: ${fault.message}`;
}

function captionOf(c: Composition): string {
  const { marks } = c.timeline;
  const unit = c.info.timeUnit;
  const list = marks
    .map(
      ({ text, time }, i) =>
        `${markName(text, i)} (${time.toFixed(unit === "s" ? 2 : 0)} ${unit}) ${text.replace(/^\d+ /, "")}`,
    )
    .join("; ");
  const parts = [c.caption];
  if (marks.length > 0) parts.push(`Dotted lines are the workload's own steps: ${list}.`);
  if (c.info.replay !== "") parts.push(`Replay: ${c.info.replay}`);
  return parts.join(" ");
}
