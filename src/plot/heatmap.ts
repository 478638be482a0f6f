/**
 * Heat maps: cells in rows and columns, each in one of a few states.
 *
 * There is no continuous scale: a reader cannot tell near colours apart in print, and a terminal has none. An amount is
 * cut into classes ("none", "1 to 9", "10 to 99") that are states.
 */
import type { PanelTrace } from "./compose.js";
import type { Heatmap, State } from "./figure.js";

export interface HeatmapOptions
  extends Pick<
    Heatmap,
    "name" | "x" | "y" | "z" | "text" | "textfont" | "customdata" | "hovertemplate" | "xgap" | "ygap"
  > {
  /** By their number. */
  readonly states: readonly State[];
  /** Write `text` in the cells. */
  readonly written?: boolean;
  /** A name for each row, from the bottom up, for the pointer. */
  readonly rows?: readonly string[];
  /** The pointer shows nothing. */
  readonly silent?: boolean;
  /** States that the legend names; default: those that occur. */
  readonly named?: readonly State[];
}

/**
 * A heat map, and a legend entry for each state that occurs in it.
 *
 * @throws Error where there is not one more edge than there are cells
 * @example
 * const states = [
 *   { name: "clean", color: "#CFCFCF", glyph: "·" },
 *   { name: "dirty", color: "#E69F00", glyph: "▒" },
 * ];
 * heatmap({ name: "page", states, x: [0, 1, 2], y: [0, 1], z: [[0, 1]] }).length // 3
 */
export function heatmap({ states, rows, written, silent, named, ...cells }: HeatmapOptions): PanelTrace[] {
  const { x, y, z } = cells;
  if (y.length !== z.length + 1 || z.some((row) => row.length !== x.length - 1))
    throw new Error("A heat map has one more edge than cells, in x and in y.");
  const n = states.length;
  const map: Omit<Heatmap, "yaxis"> = {
    type: "heatmap",
    ...cells,
    ...(silent
      ? { hoverinfo: "skip" as const }
      : { hovertemplate: cells.hovertemplate ?? "%{text}<extra></extra>" }),
    ...(written ? { texttemplate: "%{text}" as const } : {}),
    colorscale: states.flatMap(({ color }, i) => [[i / n, color] as const, [(i + 1) / n, color] as const]),
    zmin: -0.5,
    zmax: n - 0.5,
    showscale: false,
    showlegend: false,
    meta: rows === undefined ? { states } : { states, rows },
  };
  const occurs = new Set(z.flatMap((row) => [...new Set(row)]));
  return [map, ...(named ?? states.filter((_, i) => occurs.has(i))).map(legendEntry)];
}

/** A trace without points, for its entry in the legend. */
export const legendEntry = ({ name, color }: Pick<State, "name" | "color">): PanelTrace => ({
  name,
  mode: "markers",
  x: [null],
  y: [null],
  hoverinfo: "skip",
  marker: { symbol: "square", size: 12, color, line: { width: 0.5, color: "#666666" } },
  showlegend: true,
});

/** Black or white, whichever can be read better on a colour (WCAG's contrast, as plotly chooses). */
export function inkOn(color: string): string {
  const [r, g, b] = [1, 3, 5].map((i) => {
    const part = Number.parseInt(color.slice(i, i + 2), 16) / 255;
    return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000000" : "#FFFFFF";
}
