/**
 * How likely a fault is within some time, as a map over two parameters. Both axes are logarithmic; a place's colour is the class of its
 * probability, and the pointer shows the number.
 */
import { compose } from "./compose.js";
import { COLOR, type Figure } from "./figure.js";
import { infoOf, withTicks } from "./rates.js";
import { axisOf } from "./timeline.js";

export interface Axis {
  readonly title: string;
  /** From left to right, or from bottom to top; at least two, each a fixed factor above the one before. */
  readonly values: readonly number[];
  /** What a value says to a reader. */
  readonly labels: readonly string[];
}

/** A part of the map that somebody spoke of. */
export interface Region {
  readonly label: string;
  readonly x: readonly [from: number, to: number];
  readonly y: readonly [from: number, to: number];
}

export interface Chances {
  readonly title: string;
  readonly subtitle: string;
  readonly x: Axis;
  readonly y: Axis;
  /** By the row from the bottom, then by the column: probabilities. */
  readonly rows: readonly (readonly number[])[];
  readonly regions: readonly Region[];
  readonly caption: string;
}

/** Classes from the least to the most likely, each with the probability that it begins with. Darker is likelier. */
const CLASSES: readonly { readonly from: number; readonly name: string; readonly color: string }[] = [
  { from: 0, name: "less", color: "#F1F1F1" },
  { from: 1e-12, name: "1 in 10^12", color: "#FBE8C8" },
  { from: 1e-9, name: "1 in 10^9", color: "#F6CF94" },
  { from: 1e-6, name: "1 in a million", color: "#EDB05A" },
  { from: 1e-3, name: "1 in 1000", color: "#DE7E2F" },
  { from: 1e-1, name: "1 in 10", color: "#B94A12" },
  { from: 0.99, name: "99 in 100", color: "#6E1E0A" },
];

/** On classes from this one on ink is white. */
const DARK = 4;

const classOf = (probability: number): number => CLASSES.findLastIndex(({ from }) => probability >= from);

/**
 * The map.
 *
 * @throws Error with one sentence when there are not two values on each axis, or a row is not as long as the x axis
 */
export function chances({ title, subtitle, x, y, rows, regions, caption }: Chances): Figure {
  if (x.values.length < 2 || y.values.length < 2)
    throw new Error("a map needs two values or more on each axis");
  if (rows.length !== y.values.length || rows.some((row) => row.length !== x.values.length))
    throw new Error("a map needs a probability for each pair of values");
  const [xs, ys] = [x, y].map(({ values }) => values.map(Math.log10));
  const half = (at: readonly number[]): number => (at[at.length - 1] - at[0]) / (at.length - 1) / 2;
  const [wide, high] = [half(xs), half(ys)];
  const [left, right] = [xs[0] - wide, xs[xs.length - 1] + wide];
  const [bottom, top] = [ys[0] - high, ys[ys.length - 1] + high];
  const places = rows.flatMap((row, r) =>
    row.map((probability, c) => ({ x: xs[c], y: ys[r], probability, at: `${x.labels[c]}, ${y.labels[r]}` })),
  );
  /** What can be read where a region's name stands. */
  const inkAt = ({ x: [from], y: [, to] }: Region): string => {
    const far = (place: (typeof places)[number]): number =>
      (place.x - Math.log10(from)) ** 2 + (place.y - Math.log10(to)) ** 2;
    const nearest = places.reduce((best, place) => (far(place) < far(best) ? place : best));
    return classOf(nearest.probability) >= DARK ? "#FFFFFF" : COLOR.ink;
  };
  const inside = (value: number, low: number, most: number): number => Math.min(most, Math.max(low, value));
  const figure = compose({
    kind: "chances",
    title,
    info: infoOf(subtitle),
    timeline: axisOf(left, right, x.title),
    hovermode: "closest",
    caption,
    panels: [
      {
        title: y.title,
        height: 380,
        range: [bottom, top],
        ticks: { values: ys, labels: y.labels },
        grid: false,
        traces: CLASSES.map(({ name, color }, at) => {
          const here = places.filter(({ probability }) => classOf(probability) === at);
          return {
            name,
            mode: "markers" as const,
            x: here.map((place) => place.x),
            y: here.map((place) => place.y),
            text: here.map((place) => `${place.at}: ${place.probability.toExponential(2)}`),
            hovertemplate: "%{text}<extra></extra>",
            marker: { symbol: "circle" as const, size: 9, color, line: { width: 1, color: COLOR.rule } },
            showlegend: true,
          };
        }),
        shapes: [
          ...places.map((place) => ({
            type: "rect" as const,
            xref: "x" as const,
            x0: place.x - wide,
            x1: place.x + wide,
            y0: place.y - high,
            y1: place.y + high,
            line: { color: CLASSES[classOf(place.probability)].color, width: 0 },
            fillcolor: CLASSES[classOf(place.probability)].color,
            layer: "below" as const,
          })),
          ...regions.map((region) => ({
            type: "rect" as const,
            xref: "x" as const,
            x0: inside(Math.log10(region.x[0]), left, right),
            x1: inside(Math.log10(region.x[1]), left, right),
            y0: inside(Math.log10(region.y[0]), bottom, top),
            y1: inside(Math.log10(region.y[1]), bottom, top),
            line: { color: inkAt(region), width: 2, dash: "dash" as const },
            layer: "above" as const,
          })),
        ],
        annotations: regions.map((region) => ({
          text: region.label,
          x: inside(Math.log10(region.x[0]), left, right),
          y: inside(Math.log10(region.y[1]), bottom, top),
          xref: "x" as const,
          xanchor: "left" as const,
          yanchor: "top" as const,
          xshift: 5,
          yshift: -4,
          showarrow: false as const,
          align: "left" as const,
          font: { size: 12, color: inkAt(region) },
        })),
      },
    ],
  });
  return withTicks(
    figure,
    x.labels.map((label, at) => [label, xs[at]] as const),
  );
}
