/**
 * The matrix as a value: rows, cells, and what each proposal asks for.
 */
import { proposals } from "../../patches/proposals/index.js";
import { DISPLAY, type Figure } from "../../plot/index.js";
import { workloads } from "../workloads/index.js";
import { type Cell, computeCell } from "./cell.js";
import { type Criteria, criteriaOf } from "./criteria.js";
import { matrixFigure } from "./figure.js";
import { matrixHtml } from "./html.js";
import {
  ARTICLE,
  baseOf,
  type CellPlace,
  COLUMNS,
  type LeftOut,
  type MatrixRow,
  matrixRows,
  placeOf,
} from "./plan.js";
import { matrixText } from "./text.js";

/** What `guplab matrix --json` prints. */
export interface Matrix {
  readonly guplab: "matrix";
  readonly columns: readonly {
    readonly workload: string;
    readonly scenario: string;
    readonly help: string;
  }[];
  readonly rows: readonly (MatrixRow & {
    /** By the workload's number; a cell that has not been computed is not there. */
    readonly cells: Readonly<Record<string, Cell>>;
  })[];
  readonly left_out: readonly LeftOut[];
  readonly criteria: readonly Criteria[];
}

/** Put cells together. Cells of kernels that have no row of their own, such as two proposals at once, get rows behind the others. */
export function matrixOf(cells: readonly Cell[]): Matrix {
  const { rows: own, left_out } = matrixRows();
  const asked = new Set(cells.map(({ kernel }) => kernel));
  for (const { kernel } of own) asked.delete(kernel);
  const rows: readonly MatrixRow[] = [
    ...own,
    ...[...asked].map((kernel) => ({
      group: "asked" as const,
      kernel,
      name: kernel,
      help: "as it was asked for",
    })),
  ];
  const at = new Map(cells.map((cell) => [`${cell.kernel} ${cell.workload}`, cell]));
  return {
    guplab: "matrix",
    columns: workloads.map(({ name, aliases, help }) => ({ workload: aliases[0], scenario: name, help })),
    rows: rows.map((row) => ({
      ...row,
      cells: Object.fromEntries(
        COLUMNS.flatMap((workload) => {
          const cell = at.get(`${row.kernel} ${workload}`);
          return cell === undefined ? [] : [[workload, cell]];
        }),
      ),
    })),
    left_out,
    criteria: proposals.map((proposal) => criteriaOf(proposal, baseOf(proposal.name) ?? ARTICLE)),
  };
}

export interface MatrixOptions {
  /** Names of kernels and proposals; default all. */
  readonly rows?: readonly string[];
  /** W1 to W18; default all. */
  readonly columns?: readonly string[];
  /** Bound of each cell's search; default CELL_STATES. */
  readonly maxStates?: number;
  /** Called before each cell and during its search; returning false ends it, with what there is. */
  readonly progress?: (seen: {
    readonly cell: CellPlace;
    readonly done: number;
    readonly of: number;
  }) => boolean;
}

/** The cells that are asked for, all or those of some rows and columns. @throws Error with one sentence when a name is unknown */
export function placesOf({
  rows,
  columns: wanted = COLUMNS,
}: Pick<MatrixOptions, "rows" | "columns">): CellPlace[] {
  const kernels = rows ?? matrixRows().rows.map(({ kernel }) => kernel);
  return kernels.flatMap((kernel) => wanted.map((workload) => placeOf(kernel, workload)));
}

/** A matrix that shows itself. */
export interface MatrixView extends Matrix {
  /** The rows that have a cell as a map. @throws Error with one sentence when no cell has been computed */
  figure(): Figure;
  /** The same with some kernels and workloads alone, by their names; unknown ones are not there. */
  only(kernels: readonly string[], workloads?: readonly string[]): MatrixView;
  toString(): string;
}

/** Cells as a matrix that shows itself. */
function viewOf(cells: readonly Cell[]): MatrixView {
  const made = matrixOf(cells);
  const shown: MatrixView = {
    ...made,
    figure: () => matrixFigure(made),
    only: (wanted, workloads = COLUMNS) =>
      viewOf(cells.filter(({ kernel, workload }) => wanted.includes(kernel) && workloads.includes(workload))),
    toString: () => matrixText(made, 100),
  };
  return Object.assign(shown, {
    [DISPLAY]: () => ({ "text/html": matrixHtml(made), "text/plain": matrixText(made, 100) }),
  });
}

/**
 * Read what `guplab matrix --json` has printed.
 *
 * @throws Error with one sentence when it is something else
 * @example readMatrix(JSON.stringify(matrix({ rows: ["v4.20"], columns: ["W9"] }))).rows.length > 1 === true
 */
export function readMatrix(json: string): MatrixView {
  let read: Matrix | null = null;
  try {
    read = JSON.parse(json) as Matrix;
  } catch {
    // Said below.
  }
  if (read?.guplab !== "matrix") throw new Error("this is no matrix: guplab matrix --json prints one");
  return viewOf(read.rows.flatMap(({ cells }) => Object.values(cells)));
}

/**
 * Compute cells, one after the other (`guplab matrix` computes them on all cores, and keeps them).
 *
 * @throws Error with one sentence when a row or a column is unknown
 * @example matrix({ rows: ["v4.20", "hubbard-ttu-2018"], columns: ["W2", "W6"] })
 */
export function matrix(options: MatrixOptions = {}): MatrixView {
  const places = placesOf(options);
  const cells: Cell[] = [];
  let ended = false;
  for (const cell of places) {
    const progress = (): boolean => {
      ended ||= options.progress?.({ cell, done: cells.length, of: places.length }) === false;
      return !ended;
    };
    if (!progress()) break;
    const made = computeCell(cell, { maxStates: options.maxStates, progress });
    if (!ended) cells.push(made);
  }
  return viewOf(cells);
}
