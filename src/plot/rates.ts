/**
 * How often a fault is met, as curves over one parameter and as a tornado of all. Both axes of the curves are
 * logarithmic: values are drawn at their decimal logarithms, and the ticks say what they are.
 */
import { compose } from "./compose.js";
import { mimeBundle } from "./display.js";
import { COLOR, DISPLAY, type Figure } from "./figure.js";
import { axisOf } from "./timeline.js";

export interface Curve {
  readonly name: string;
  /** From left to right. `y` is in seconds; what is not finite is left out. `label` is what x says to a reader. */
  readonly points: readonly { readonly x: number; readonly y: number; readonly label: string }[];
}

export interface MeanTimes {
  readonly title: string;
  readonly subtitle: string;
  /** What the x axis shows. */
  readonly x: string;
  readonly curves: readonly Curve[];
  readonly caption: string;
}

const YEAR = 365.25 * 86_400;

/** Where people have words for a time. */
const LINES: readonly (readonly [label: string, seconds: number])[] = [
  ["1 ms", 1e-3],
  ["second", 1],
  ["minute", 60],
  ["hour", 3600],
  ["day", 86_400],
  ["week", 7 * 86_400],
  ["month", YEAR / 12],
  ["year", YEAR],
  ["100 years", 100 * YEAR],
  ["10 000 years", 1e4 * YEAR],
  ["a million years", 1e6 * YEAR],
  ["the universe", 13.8e9 * YEAR],
];

/** The four that the article's question names, and the year. */
const ASKED = ["day", "week", "month", "year"];

const COLORS = [
  COLOR.vermillion,
  COLOR.orange,
  COLOR.blue,
  COLOR.green,
  COLOR.purple,
  COLOR.sky,
  COLOR.black,
];

/** Beside its colour each curve has a stroke of its own: in print, and to many eyes, colours are shades of grey. */
const DASHES = ["solid", "dash", "dot"] as const;

/**
 * Curves of mean times.
 *
 * @throws Error with one sentence when no point can be drawn
 */
export function meanTimes({ title, subtitle, x, curves, caption }: MeanTimes): Figure {
  const points = curves.flatMap((curve) => curve.points).filter(({ y }) => Number.isFinite(y) && y > 0);
  if (points.length === 0) throw new Error("No point of these curves is a time: there is nothing to draw.");
  const [left, right] = spread(
    points.map((point) => Math.log10(point.x)),
    0,
  );
  const [bottom, top] = spread(
    points.map(({ y }) => Math.log10(y)),
    0.4,
  );
  const lines = LINES.map(([label, seconds]) => ({ label, y: Math.log10(seconds) })).filter(
    ({ y }) => y > bottom && y < top,
  );
  const figure = compose({
    kind: "rates",
    title,
    info: infoOf(subtitle),
    timeline: axisOf(left, right, x),
    hovermode: "closest",
    caption,
    panels: [
      {
        title: "mean time until it happens",
        height: 380,
        range: [bottom, top],
        ticks: { values: lines.map(({ y }) => y), labels: lines.map(({ label }) => label) },
        traces: curves.map((curve, at) => ({
          name: curve.name,
          mode: "lines" as const,
          x: curve.points.map((point) => Math.log10(point.x)),
          y: curve.points.map(({ y }) => (Number.isFinite(y) && y > 0 ? Math.log10(y) : null)),
          text: curve.points.map(({ y, label }) => `${label}: ${y.toExponential(2)} s`),
          hovertemplate: `${curve.name}, %{text}<extra></extra>`,
          line: {
            color: COLORS[at % COLORS.length],
            width: 2.5,
            shape: "linear" as const,
            dash: DASHES[at % DASHES.length],
          },
          showlegend: true,
        })),
        grid: false,
        shapes: lines.map(({ label, y }) => ({
          type: "line" as const,
          xref: "paper" as const,
          x0: 0,
          x1: 1,
          y0: y,
          y1: y,
          line: ASKED.includes(label)
            ? { color: COLOR.dim, width: 1, dash: "dash" as const }
            : { color: COLOR.grid, width: 1 },
          layer: "below" as const,
        })),
      },
    ],
  });
  const ticks = [...new Map(points.map((point) => [point.label, Math.log10(point.x)]))];
  return withTicks(figure, ticks);
}

export interface Tornado {
  readonly title: string;
  readonly subtitle: string;
  /** From top to bottom. */
  readonly bars: readonly { readonly name: string; readonly value: number }[];
  readonly caption: string;
}

/** A bar for each parameter: the power with which the mean time goes with it. */
export function tornado({ title, subtitle, bars, caption }: Tornado): Figure {
  const most = Math.max(1, ...bars.map(({ value }) => Math.abs(value)));
  const rows = bars.map((bar, at) => ({ ...bar, row: bars.length - 1 - at }));
  return compose({
    kind: "tornado",
    title,
    info: infoOf(subtitle),
    timeline: axisOf(
      -most * 1.15,
      most * 1.15,
      "power of the time: to the left longer is more often, to the right longer is rarer",
    ),
    hovermode: "closest",
    caption,
    panels: [
      {
        title: "",
        height: 34 * bars.length + 10,
        range: [-0.7, bars.length - 0.3],
        ticks: { values: rows.map(({ row }) => row), labels: rows.map(({ name }) => name) },
        grid: false,
        traces: rows.map(({ name, value, row }) => ({
          name,
          mode: "lines" as const,
          x: value < 0 ? [value, 0] : [0, value],
          y: [row, row],
          text: [value.toFixed(2), value.toFixed(2)],
          hovertemplate: `${name}: power %{text}<extra></extra>`,
          line: { color: value < 0 ? COLOR.vermillion : COLOR.blue, width: 16, shape: "linear" as const },
          showlegend: false,
        })),
        shapes: [
          {
            type: "line",
            xref: "x",
            x0: 0,
            x1: 0,
            y0: -0.7,
            y1: bars.length - 0.3,
            line: { color: COLOR.ink, width: 1 },
            layer: "above",
          },
        ],
        annotations: rows.map(({ value, row }) => ({
          text: Math.abs(value) < 0.005 ? "0" : value.toFixed(2),
          x: value,
          y: row,
          xref: "x" as const,
          xanchor: value < 0 ? ("right" as const) : ("left" as const),
          yanchor: "middle" as const,
          xshift: value < 0 ? -5 : 5,
          yshift: 0,
          showarrow: false as const,
          align: "left" as const,
          font: { size: 12, color: COLOR.ink },
        })),
      },
    ],
  });
}

/** The range of some numbers, with room at both ends. */
function spread(values: readonly number[], room: number): [number, number] {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const more = high - low < 1e-9 ? Math.max(room, 0.5) : room;
  return [low - more, high + more];
}

/** These figures are of no recording. */
export const infoOf = (title: string) => ({
  source: "simulated" as const,
  title,
  kernel: "",
  replay: "",
  timeUnit: "s" as const,
  tasks: [],
  steps: [],
  faults: [],
});

/** The same figure with its own ticks on the x axis. */
export function withTicks(figure: Figure, ticks: readonly (readonly [label: string, at: number])[]): Figure {
  const sorted = [...ticks].sort((a, b) => a[1] - b[1]);
  const xaxis = {
    ...figure.layout.xaxis,
    tickvals: sorted.map(([, at]) => at),
    ticktext: sorted.map(([label]) => label),
  };
  const made: Figure = {
    ...figure,
    layout: { ...figure.layout, xaxis },
    [DISPLAY]: () => mimeBundle(made),
  };
  return made;
}
