/** The matrix and its cells as text for a terminal. */
import { isFault } from "../outcomes.js";
import { blocks, columns, fill, glossary } from "../text.js";
import type { Cell, CellOutcome } from "./cell.js";
import type { Criteria } from "./criteria.js";
import type { Matrix } from "./matrix.js";
import type { RowGroup } from "./plan.js";

export const GROUPS: Readonly<Record<RowGroup, string>> = {
  kernels: "Kernels, as released",
  proposals: "Proposals on v4.20, or the oldest kernel to which they apply",
  today: "Proposals on 2026, where they apply",
  asked: "Kernels that were asked for",
};

/** What a cell says in a few letters, worst outcomes first: "BUG HANG ..". */
const SHORT: Readonly<Record<string, string>> = {
  REFUSED: "REFUS",
  DEADLOCK: "DEADL",
  INFOLEAK: "INFOL",
  ENOSPC: "ENOSP",
};

/** The worst outcome of a cell, "+" when there are others that are faults, "?" when not every interleaving was seen. */
export function shortCell(cell: Cell | undefined): string {
  if (cell === undefined) return "-";
  const all = cell.outcomes.map(({ kind }) => kind);
  // Slow is said where nothing else is to be said.
  const kinds = all.filter((kind) => kind !== "SLOW");
  const faults = kinds.filter((kind) => kind !== "OK" && isFault(kind));
  // Refused in every order is another thing than refused in some.
  if (kinds[0] === "REFUSED" && kinds.includes("OK")) return `OK/REF${cell.complete ? "" : "?"}`;
  const worst = faults[0] ?? (kinds[0] === "OK" || kinds.length === 0 ? all[0] : kinds[0]) ?? "";
  return `${SHORT[worst] ?? worst}${faults.length > 1 ? "+" : ""}${cell.complete ? "" : "?"}`;
}

/** How an outcome was found, and what that says of the way to it. */
export const BY: Readonly<Record<CellOutcome["by"], string>> = {
  search: "no way is shorter",
  walk: "by a random walk",
  run: "by a seeded run",
  lockdep: "by lockdep, in this run as in any",
};

/** Bounds and outcomes of one cell, a line each, with the lines that replay them. */
export function cellText(cell: Cell): string {
  const { kernel, workload, scenario, outcomes, complete, states, transitions, bounds, cost, vacuous } = cell;
  const { lockdep = [] } = cell;
  const outcome = ({ kind, steps, switches, by, replay }: CellOutcome): string =>
    `${kind}: ${kind === "SLOW" ? slowText(cell) : `${steps} steps, ${switches} ${switches === 1 ? "switch" : "switches"}, ${BY[by]}`}\n  ${replay}`;
  return [
    `${workload} (${scenario}) on ${kernel}`,
    `bound: ${bounds.pages} page${bounds.pages === 1 ? "" : "s"}, ${bounds.drivers} driver${bounds.drivers === 1 ? "" : "s"}, ` +
      (complete
        ? `every interleaving: ${states} states, ${transitions} transitions`
        : `INCOMPLETE: not every interleaving, stopped at ${states} states, then ${bounds.walks} random walks`),
    ...(vacuous === undefined ? [] : [`vacuous: ${vacuous}`]),
    ...lockdep.map((report) => `lockdep: ${report}`),
    ...outcomes.map(outcome),
    ...(outcomes.length === 0 ? ["nothing was met within the bound"] : []),
    ...(cost === null
      ? []
      : cost.steps.map(
          ({ step, ns, times, source }) => `cost: ${step}, ${times} times ${ns} ns (${source})`,
        )),
  ].join("\n");
}

const slowText = ({ cost }: Cell): string =>
  cost === null ? "" : `${Math.round(cost.ns / cost.taken)} ns for each page that is taken`;

/** Within which bounds the cells were computed, in one line. */
export function boundsText({ rows }: Matrix): string {
  const all = rows.flatMap(({ cells }) => Object.values(cells));
  const most = (of: (cell: Cell) => number): number => all.reduce((max, cell) => Math.max(max, of(cell)), 0);
  const [states, walks] = [most(({ bounds }) => bounds.max_states), most(({ bounds }) => bounds.walks)];
  const cut = all.filter(({ complete }) => !complete).length;
  return (
    `bound: the workloads as they stand, at one page and one driver where they have them; every interleaving in ${all.length - cut} of ${all.length} cells` +
    (cut === 0 ? "" : `, in the others ${states} states and then ${walks} random walks`)
  );
}

/** Names that are no wider than this stand in a row's head. */
const HEAD = 32;

/** What the signs of a cell say. */
export const SIGNS =
  "+ other faults as well; OK/REF refused in some orders; ? not every interleaving was seen; - not computed";

/** The rows that have a cell, and the columns. */
export function shownOf({ rows, columns: all }: Matrix): Pick<Matrix, "rows" | "columns"> {
  const computed = rows.filter(({ cells }) => Object.keys(cells).length > 0);
  return {
    rows: computed,
    columns: all.filter(({ workload }) => computed.some(({ cells }) => cells[workload] !== undefined)),
  };
}

/** The cells as tables that are no wider than `width` columns, where that leaves room for one workload at least. */
export function tablesText(matrix: Matrix, width: number): string {
  const { rows: computed, columns: asked } = shownOf(matrix);
  const shown = asked.map(({ workload }) => workload);
  const rows = computed.map(({ group, name, cells }) => ({
    group,
    name: name.length > HEAD ? `${name.slice(0, HEAD - 1)}~` : name,
    cells: shown.map((workload) => shortCell(cells[workload])),
  }));
  const head = Math.max(...rows.map(({ name }) => name.length));
  const widest = Math.max(...rows.flatMap(({ cells }) => cells.map((cell) => cell.length)), 3);
  const fit = Math.max(1, Math.floor((width - head) / (widest + 2)));
  const tables = Array.from({ length: Math.ceil(shown.length / fit) }, (_, at) => {
    const part = <T>(all: readonly T[]): readonly T[] => all.slice(at * fit, (at + 1) * fit);
    const body = rows.flatMap(({ group, name, cells }, nr) => [
      ...(rows[nr - 1]?.group === group ? [] : [[`${GROUPS[group]}:`, ...part(shown).map(() => "")]]),
      [name, ...part(cells)],
    ]);
    return table([["", ...part(shown)], ...body], head);
  });
  return blocks(...tables);
}

/** The matrix for a terminal: its cells as tables, what the signs and the columns are, and what proposals ask for. */
export function matrixText(matrix: Matrix, width: number): string {
  const { rows: computed, columns: asked } = shownOf(matrix);
  if (computed.length === 0) return "no cell of the matrix has been computed";
  return blocks(
    tablesText(matrix, width),
    SIGNS,
    fill(boundsText(matrix), width).join("\n"),
    columns(asked.map(({ workload, scenario, help }) => [workload, scenario, help])),
    criteriaText(
      matrix.criteria.filter(({ name }) => computed.some((row) => row.name === name)),
      width,
    ),
    // Who asks for some rows knows which.
    computed.length < matrix.rows.length || matrix.left_out.length === 0
      ? ""
      : fill(`does not apply: ${matrix.left_out.map(({ kernel }) => kernel).join(", ")}`, width).join("\n"),
  );
}

/** columns(), in which a group's title may be wider than the names below it. */
function table(rows: readonly (readonly string[])[], head: number): string {
  const titles = new Set(rows.filter((row) => row[0].endsWith(":")).map((row) => row[0]));
  return columns(rows.map(([first, ...rest]) => [titles.has(first) ? first.slice(0, head) : first, ...rest]))
    .split("\n")
    .map((line) => [...titles].find((title) => line === title.slice(0, head).trimEnd()) ?? line)
    .join("\n");
}

/** What proposals ask for, a line each, and below it what an administrator sees of them. */
export function criteriaText(criteria: readonly Criteria[], width = 100): string {
  if (criteria.length === 0) return "";
  const rows = criteria.map(({ name, page_bytes, page_words, edits, functions, who, costs }) => [
    name,
    page_bytes > 0 ? `+${page_bytes}` : page_words.length > 0 ? page_words.join(" ") : "0",
    String(edits),
    String(Object.values(functions).flat().length),
    costs.map(({ ns }) => String(ns)).join(" "),
    [...new Set(who.map((folder) => folder.split("/")[0]))].join(" "),
  ]);
  const seen = criteria.flatMap(({ name, shows }) =>
    shows.length === 0 ? [] : [[`  ${name}`, shows.join(", ")] as const],
  );
  return blocks(
    columns([["proposal", "struct page", "edits", "functions", "ns a step", "whose"], ...rows], [2, 3]),
    seen.length === 0 ? "" : `an administrator sees:\n${glossary(seen, width)}`,
  );
}
