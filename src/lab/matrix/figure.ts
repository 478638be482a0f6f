/** The matrix as a figure. */
import { filled } from "../../plot/diagram.js";
import { type Figure, type MatrixRows, outcomeMatrix } from "../../plot/index.js";
import { isFault } from "../outcomes.js";
import { BADNESS, badnessOf } from "./badness.js";
import type { Cell } from "./cell.js";
import type { Matrix } from "./matrix.js";
import type { RowGroup } from "./plan.js";
import { boundsText, GROUPS, SIGNS, shortCell, shownOf, tablesText } from "./text.js";

/** What the pointer shows of a cell. */
function aboutOf({ workload, scenario, kernel, outcomes, complete }: Cell): string {
  const kinds = outcomes.map(({ kind }) => kind).join(", ");
  return `${workload} (${scenario}) on ${kernel}<br>${kinds === "" ? "nothing was met" : kinds}${complete ? "" : ", not every interleaving"}`;
}

/**
 * The rows that have a cell, as a figure.
 *
 * @throws Error with one sentence when no cell has been computed
 */
export function matrixFigure(matrix: Matrix): Figure {
  const { columns, rows } = shownOf(matrix);
  const groups = (Object.keys(GROUPS) as RowGroup[]).flatMap((group): MatrixRows[] => {
    const own = rows.filter((row) => row.group === group);
    if (own.length === 0) return [];
    return [
      {
        group: GROUPS[group],
        rows: own.map(({ name, cells }) => ({
          name,
          cells: columns.map(({ workload }) => {
            const cell = cells[workload];
            if (cell === undefined) return null;
            const state = BADNESS.findIndex(({ id }) => id === badnessOf(cell));
            return { text: shortCell(cell), state, about: aboutOf(cell) };
          }),
        })),
      },
    ];
  });
  const all = rows.flatMap(({ cells }) => Object.values(cells));
  const faulty = all.filter(({ outcomes }) => outcomes.some(({ kind }) => kind !== "OK" && isFault(kind)));
  const bounds = boundsText(matrix);
  return outcomeMatrix({
    title: "What can happen, by kernel and workload",
    subtitle: `${all.length} cells, in ${faulty.length} of them something goes wrong`,
    columns: columns.map(({ workload }) => workload),
    groups,
    states: BADNESS.map(({ says, color, glyph }) => ({ name: says, color: color.toUpperCase(), glyph })),
    caption:
      `Each cell has the worst that can happen to a workload on a kernel: ${SIGNS.replace("- not", "an empty cell was not")}. The colour says how bad that is. ` +
      `${bounds[0].toUpperCase()}${bounds.slice(1)}. ${columns.map(({ workload, scenario }) => `${workload} is ${scenario}`).join(", ")}.`,
    // In a very narrow terminal a name goes before its last cell.
    text: ({ columns: width }) => [
      ...tablesText(matrix, width)
        .split("\n")
        .map((line) => line.slice(0, width)),
      ...filled("", SIGNS, width),
    ],
  });
}
