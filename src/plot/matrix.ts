/** The outcome matrix: what can happen to each workload on each kernel, as a map whose cells say it in a word too. */
import { compose } from "./compose.js";
import { clipped } from "./diagram.js";
import { type Annotation, COLOR, type Figure, type State, type TextForm } from "./figure.js";
import { heatmap } from "./heatmap.js";
import { infoOf, withTicks } from "./rates.js";
import { axisOf } from "./timeline.js";

export interface MatrixCell {
  /** What stands in the cell: "BUG+". */
  readonly text: string;
  /** Number of its state. */
  readonly state: number;
  /** What the pointer shows. */
  readonly about: string;
}

export interface MatrixRows {
  /** What the rows are: "Kernels, as released". */
  readonly group: string;
  /** From top to bottom; null: a cell that was not computed. */
  readonly rows: readonly { readonly name: string; readonly cells: readonly (MatrixCell | null)[] }[];
}

export interface MatrixStory {
  readonly title: string;
  readonly subtitle: string;
  readonly columns: readonly string[];
  readonly groups: readonly MatrixRows[];
  /** How bad a cell can be. */
  readonly states: readonly State[];
  readonly caption: string;
  readonly text: TextForm;
}

const ROW = 18;
const SIZE = 9.5;
const NAME_WIDTH = 190;

type Line = { readonly heading: string } | MatrixRows["rows"][number];

/**
 * The map: a row for each kernel, a column for each workload. The colour says how bad the worst is that can happen, and the word in the
 * cell what it is.
 *
 * @throws Error with one sentence when there is no row
 * @example matrix({ rows: ["v4.20"], columns: ["W9"] }).figure().kind // "matrix"
 */
export function outcomeMatrix({
  title,
  subtitle,
  columns,
  groups,
  states,
  caption,
  text,
}: MatrixStory): Figure {
  const lines = groups.flatMap(({ group, rows }): Line[] => [{ heading: group }, ...rows]);
  if (lines.length === groups.length)
    throw new Error("No cell of the matrix has been computed: there is nothing to draw.");
  const upwards = lines.toReversed();
  const none = columns.map(() => null);
  const cells = upwards.map((line) => ("heading" in line ? none : line.cells));
  const named = upwards.flatMap((line, at) => ("heading" in line ? [] : [{ name: line.name, at: at + 0.5 }]));
  const note = (words: string, x: number, y: number, to: "left" | "center"): Omit<Annotation, "yref"> => ({
    text: words,
    x,
    y,
    xref: "x",
    xanchor: to,
    yanchor: "middle",
    xshift: 0,
    yshift: 0,
    showarrow: false,
    align: to,
    font: { size: 11, color: COLOR.dim },
  });
  const figure = compose({
    kind: "matrix",
    title,
    info: infoOf(subtitle),
    timeline: axisOf(0, columns.length, "workload"),
    hovermode: "closest",
    caption,
    lines: text,
    panels: [
      {
        title: "",
        height: (lines.length + 1) * ROW,
        // A line above the rows for the names of the columns, which stand below them as well.
        range: [0, lines.length + 1],
        ticks: {
          values: named.map(({ at }) => at),
          labels: named.map(({ name }) => clipped(name, NAME_WIDTH, 12)),
        },
        grid: false,
        traces: heatmap({
          name: "outcomes",
          states,
          x: [...columns.map((_, at) => at), columns.length],
          y: [...upwards.map((_, at) => at), upwards.length],
          z: cells.map((row) => row.map((cell) => cell?.state ?? null)),
          text: cells.map((row) => row.map((cell) => cell?.text ?? "")),
          customdata: cells.map((row) => row.map((cell) => cell?.about ?? "")),
          hovertemplate: "%{customdata}<extra></extra>",
          textfont: { size: SIZE },
          written: true,
          xgap: 1,
          ygap: 1,
        }),
        annotations: [
          ...columns.map((name, at) => note(name, at + 0.5, lines.length + 0.5, "center")),
          ...upwards.flatMap((line, at) =>
            "heading" in line ? [note(line.heading, 0.1, at + 0.5, "left")] : [],
          ),
        ],
      },
    ],
  });
  return withTicks(
    figure,
    columns.map((name, at) => [name, at + 0.5] as const),
  );
}
