/**
 * A driver of somebody's own on every kernel: what can happen to the pages that it holds beside a flusher, reclaim, fsync, truncation and
 * swap, each under every interleaving within a bound. The driver is a pin pattern (workloads/pattern.ts), the answer a matrix like that of the
 * proposals, and computed like it.
 */
import { kernels } from "../patches/kernels.js";
import { DISPLAY, type Figure } from "../plot/index.js";
import { patchesFor } from "./alike.js";
import type { ExploreOptions } from "./explore.js";
import { type Cell, computeCell } from "./matrix/cell.js";
import { matrixFigure } from "./matrix/figure.js";
import { matrixHtml } from "./matrix/html.js";
import type { Matrix } from "./matrix/matrix.js";
import { BY, cellText, matrixText, shortCell } from "./matrix/text.js";
import { isFault } from "./outcomes.js";
import { kernelOf } from "./own_patches.js";
import { findScenario } from "./scenarios.js";
import { StepError } from "./step_error.js";
import { blocks, fill, listed } from "./text.js";
import { overputs, programOf } from "./workloads/pattern.js";
import { open, type World } from "./world.js";

/** What is tried where nothing else is asked for: scenarios that have a holder. */
export const SITUATIONS = [
  "W2",
  "W1",
  "W5",
  "W6",
  "W7",
  "W8",
  "swap-pinned",
  "swap-pinned,touch=writes,fork=yes",
  "W18",
] as const;

/** Short names of those that are long. */
const LABELS: Readonly<Record<string, string>> = {
  "swap-pinned": "swap",
  "swap-pinned,touch=writes,fork=yes": "fork",
};

/** States after which a search is given up, and random walks follow: less than a second. */
const MAX_STATES = 300_000;

export interface DriverOptions {
  /** Names of kernels; default all that were released. */
  readonly kernels?: readonly string[];
  /** Scenarios with a parameter `holder`, with others after commas; default SITUATIONS. */
  readonly scenarios?: readonly string[];
  /** Give up each search after this many states, and walk at random instead; default 300,000. */
  readonly maxStates?: number;
  /** Called now and then with what is being searched; returning false ends all, with what there is. */
  readonly progress?: (seen: {
    readonly scenario: string;
    readonly kernel: string;
    readonly states: number;
  }) => boolean;
}

/** What became of a driver in one situation on one kernel. */
export interface DriverCell extends Cell {
  /** The kernel on which it was searched: one that is the same machine for this scenario, and stands further up. */
  readonly searched: string;
}

/** What `guplab driver --json` prints. */
export interface DriverReport {
  /** Its calls. */
  readonly driver: readonly string[];
  readonly cells: readonly DriverCell[];
  /** What could not be followed to its end, and why. */
  readonly notes: readonly string[];
  /** False when it was interrupted: cells are missing then. */
  readonly finished: boolean;
}

export interface DriverCheck extends DriverReport {
  /** Whether something goes wrong somewhere. */
  readonly faulty: boolean;
  /** The answer as a map. */
  figure(): Figure;
  /** The cell of a scenario and a kernel. @throws Error with one sentence when there is none */
  cell(scenario: string, kernel: string): DriverCell;
  toJSON(): DriverReport;
  toString(): string;
}

/** A scenario with the driver as its holder. @throws Error with one sentence when it has none */
function withHolder(scenario: string, pattern: string): string {
  const [name, ...said] = scenario.split(",");
  const { parameters } = findScenario(name);
  if (!("holder" in parameters))
    throw new Error(
      `scenario ${name} does not ask who holds the pages; a driver can be tried in ${listed(SITUATIONS)}`,
    );
  if (said.some((each) => each.startsWith("holder=")))
    throw new Error(`${scenario}: the holder is the driver that is tried; leave holder= away`);
  return [name, `holder=${pattern}`, ...said].join(",");
}

/** Rows for kernels that follow each other and of which the same is to be said become one. */
function merged(rows: Matrix["rows"], columns: Matrix["columns"]): Matrix["rows"] {
  const said = (row: Matrix["rows"][number]) =>
    columns.map(({ workload }) => shortCell(row.cells[workload])).join();
  const groups: (typeof rows)[number][][] = [];
  for (const row of rows) {
    const last = groups.at(-1);
    if (last !== undefined && said(last[0]) === said(row)) last.push(row);
    else groups.push([row]);
  }
  return groups.map((group) => ({
    ...group[0],
    name: group.length === 1 ? group[0].name : `${group[0].name} to ${group[group.length - 1].name}`,
  }));
}

function matrixOf(scenarios: readonly string[], on: readonly string[], cells: readonly DriverCell[]): Matrix {
  const labelOf = (scenario: string): string => LABELS[scenario] ?? scenario;
  const columns = scenarios.map((scenario) => {
    const [name, ...said] = scenario.split(",");
    const found = findScenario(name);
    return { workload: labelOf(scenario), scenario: [found.name, ...said].join(","), help: found.help };
  });
  const rows = on.map((kernel) => ({
    group: "kernels" as const,
    kernel,
    name: kernel,
    help: kernelOf(kernel).help,
    cells: Object.fromEntries(
      cells.filter((cell) => cell.kernel === kernel).map((cell) => [labelOf(cell.workload), cell]),
    ),
  }));
  return { guplab: "matrix", columns, rows: merged(rows, columns), left_out: [], criteria: [] };
}

/** The faults of a check, each with the first kernel that has it, and a way there. */
function faultLines(cells: readonly DriverCell[]): string[] {
  const seen = new Set<string>();
  return cells.flatMap(({ workload, kernel, searched, outcomes }) =>
    searched !== kernel
      ? []
      : outcomes
          .filter(({ kind }) => kind !== "OK" && isFault(kind) && !seen.has(`${workload} ${kind}`))
          .flatMap(({ kind, steps, by, replay }) => {
            seen.add(`${workload} ${kind}`);
            return [`${workload} on ${kernel}: ${kind} in ${steps} steps, ${BY[by]}`, `  ${replay}`];
          }),
  );
}

/**
 * Try a driver on every kernel.
 *
 * @param calls what it does, call after call, in a list or with + between them: driverCalls() has them all
 * @throws Error with one sentence when it is no driver, or a scenario has no holder; nothing is searched then
 * @example
 * const calls = ["get_user_pages_fast", "dma_map_sg", "wait", "dma_unmap_sg", "set_page_dirty_lock", "put_page"];
 * const mine = driver(calls, { kernels: ["v4.20", "v6.12"], scenarios: ["W2", "W6"] });
 * mine.cell("W6", "v6.12").outcomes[0].kind // "TORN"
 */
export function driver(calls: string | readonly string[], options: DriverOptions = {}): DriverCheck {
  const { maxStates = MAX_STATES, progress = () => true } = options;
  const pattern = (typeof calls === "string" ? calls : calls.join("+")).replace(/\s/g, "");
  programOf(pattern);
  const versions = (options.kernels ?? kernels.map(({ name }) => name)).map((name) => kernelOf(name));
  const scenarios = options.scenarios ?? SITUATIONS;
  if (versions.length === 0 || scenarios.length === 0)
    throw new Error("a driver is tried on a kernel, in a scenario: name one");
  const places = scenarios.map((scenario) => ({ scenario, held: withHolder(scenario, pattern) }));
  const on = versions.map(({ name }) => name);
  const worlds: readonly World[] = places.map(({ held }) => open(held, { record: false }));
  const searched = new Map<string, Cell>();
  const notes: string[] = [];
  const cells: DriverCell[] = [];
  let finished = true;
  for (const kernel of versions)
    for (const [at, { scenario, held }] of places.entries()) {
      if (!finished) break;
      const seen: ExploreOptions["progress"] = ({ states }) => {
        finished &&= progress({ scenario, kernel: kernel.name, states });
        return finished;
      };
      const key = [held, ...patchesFor(worlds[at], kernel).map((patch) => patch.name)].join(" ");
      const known = searched.get(key);
      const made = known ?? tried(pattern, held, kernel.name, maxStates, seen, notes);
      if (!finished || made === null) continue;
      searched.set(key, made);
      cells.push({ ...made, workload: scenario, kernel: kernel.name, searched: made.kernel });
    }
  return checkOf({ driver: pattern.split("+"), cells, notes: [...new Set(notes)], finished }, scenarios, on);
}

/** Search one cell; null, with a note, where a driver that lets go too often leads to what is not modelled. */
function tried(
  pattern: string,
  workload: string,
  kernel: string,
  maxStates: number,
  progress: ExploreOptions["progress"],
  notes: string[],
): Cell | null {
  try {
    return computeCell({ kernel, workload }, { maxStates, progress });
  } catch (error) {
    if (!(error instanceof StepError) || !overputs(pattern)) throw error;
    notes.push(
      `${workload} is not followed to its end: the driver lets go of what it has not, and what comes of that is not modelled (${error.message})`,
    );
    return null;
  }
}

function checkOf(report: DriverReport, scenarios: readonly string[], on: readonly string[]): DriverCheck {
  const { cells, notes, finished } = report;
  const matrix = matrixOf(scenarios, on, cells);
  const head = ["a driver that calls", ...report.driver.map((each) => `  ${each}`)].join("\n");
  const remarks = [...notes, ...(finished ? [] : ["interrupted: cells are missing"])]
    .flatMap((note) => fill(note, 100))
    .join("\n");
  const text = (): string => blocks(head, matrixText(matrix, 100), faultLines(cells).join("\n"), remarks);
  const check: DriverCheck = {
    ...report,
    faulty: cells.some(({ outcomes }) => outcomes.some(({ kind }) => kind !== "OK" && isFault(kind))),
    figure: () => matrixFigure(matrix),
    cell: (scenario, kernel) => {
      const found = cells.find((each) => each.workload === scenario && each.kernel === kernel);
      if (found === undefined)
        throw new Error(
          `${scenario} on ${kernel} was not tried; tried were ${listed(scenarios, "and")} on ${listed(on, "and")}`,
        );
      return Object.defineProperty({ ...found }, "toString", {
        value: () => cellText(found),
        enumerable: false,
      });
    },
    toJSON: () => report,
    toString: text,
  };
  return Object.defineProperty(check, DISPLAY, {
    value: () => ({ "text/plain": text(), "text/html": matrixHtml(matrix) }),
  });
}
