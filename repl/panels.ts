/**
 * The live panels as lines: how it stands, tasks, pages, the log. They never take more rows or columns than they are
 * given: a terminal that is too small loses the log first, then pages, then tasks.
 */
import type { Desk } from "../src/lab/desk.js";
import { PAGE_COLUMNS, pageCells } from "../src/lab/verbs/look.js";
import {
  holderText,
  type LogEntry,
  logLine,
  logOf,
  type PageView,
  pageViews,
  type TaskState,
  type TaskView,
  taskViews,
} from "../src/lab/views.js";
import type { Style } from "./style.js";

/** What is shown of a desk; made once per command. */
export interface Standing {
  readonly title: string;
  /** Kinds of fault, in the order in which they came. */
  readonly faults: readonly string[];
  readonly tasks: readonly TaskView[];
  readonly pages: readonly PageView[];
  /** The last steps, newest last. */
  readonly log: readonly LogEntry[];
  /** The page that the newest step was about, or -1. */
  readonly touched: number;
}

const LOG_LINES = 20;

export function standingOf(desk: Desk): Standing {
  const { world, tick, horizon, seed } = desk;
  const log = logOf(world.recording(), tick - LOG_LINES + 1);
  const ahead = horizon > tick ? ` of ${horizon}` : "";
  const over = world.settled() && tick > 0 ? ", over" : "";
  return {
    title: `${world.name} on ${world.kernel.name}, seed ${seed}, tick ${tick}${ahead}${over}`,
    faults: [...new Set(world.k.faults.map(({ kind }) => kind))],
    tasks: taskViews(world),
    pages: pageViews(world),
    log,
    touched: log.findLast(({ pfn }) => pfn >= 0)?.pfn ?? -1,
  };
}

export interface Room {
  readonly columns: number;
  readonly rows: number;
  /** How far the pages are scrolled from where the newest step was. */
  readonly scrolled: number;
}

/** A text in at most so many columns. */
export const clip = (text: string, columns: number): string =>
  text.length <= columns ? text : columns < 1 ? "" : `${text.slice(0, columns - 1)}…`;

/** The panels, at most `rows` lines of at most `columns` characters. */
export function panelLines(standing: Standing, room: Room, style: Style): string[] {
  const { columns, rows } = room;
  if (rows < 1) return [];
  const wanted = {
    tasks: 1 + standing.tasks.length,
    pages: 1 + standing.pages.length,
    log: 1 + Math.max(1, standing.log.length),
  };
  let left = rows - 1;
  const take = (most: number, least: number): number => {
    const taken = left >= least ? Math.min(most, left) : 0;
    left -= taken;
    return taken;
  };
  // Pages and log get their least before tasks get all that they want.
  const spare = Math.max(0, left - 5);
  const tasks = take(Math.min(wanted.tasks, Math.max(3, spare)), 2);
  const pages = take(Math.min(wanted.pages, Math.max(2, left - 4)), 2);
  const log = take(wanted.log, 2);
  return [
    titleLine(standing, columns, style),
    ...(tasks > 0 ? taskLines(standing.tasks, tasks, columns, style) : []),
    ...(pages > 0 ? pageLines(standing, pages, room, style) : []),
    ...(log > 0 ? logLines(standing, log, columns, style) : []),
  ];
}

function titleLine({ title, faults }: Standing, columns: number, { bold, bad, dim }: Style): string {
  const shown = clip(title, columns - 4);
  const kinds =
    faults.length > 0 ? clip(`  ${faults.join(" ")}`, Math.max(0, columns - 4 - shown.length)) : "";
  const rule = "─".repeat(Math.max(0, columns - shown.length - kinds.length - 4));
  return `${dim("──")} ${bold(shown)}${bad(kinds)} ${dim(rule)}`;
}

const WORST = ["dead", "hung"];

/** States, those first that a person must see. */
const WEIGHT: readonly TaskState[] = ["dead", "hung", "waits", "can move", "held back", "asleep", "finished"];

/** The tasks for which there is room, in their order: who sleeps gives way to who does not. */
function foremost(tasks: readonly TaskView[], room: number): readonly TaskView[] {
  const ranked = [...tasks].sort((a, b) => WEIGHT.indexOf(a.state) - WEIGHT.indexOf(b.state));
  const chosen = new Set(ranked.slice(0, room));
  return tasks.filter((task) => chosen.has(task));
}

function taskLines(tasks: readonly TaskView[], rows: number, columns: number, style: Style): string[] {
  const shown = foremost(tasks, rows - 1);
  const name = Math.max(4, ...tasks.map((task) => task.name.length));
  const letter = Math.max(1, ...tasks.map((task) => task.letter.length));
  const more = tasks.length > shown.length ? `  (${tasks.length - shown.length} more: tasks)` : "";
  const head = `${" ".repeat(letter)} ${"task".padEnd(name)} state     path: next step${more}`;
  return [
    style.dim(clip(head, columns)),
    ...shown.map((task) => {
      const where = task.path === "" ? "" : `${task.path}: ${task.step}`;
      const why = task.why === "" ? "" : `${where === "" ? "" : "  "}(${task.why})`;
      const line = `${task.letter.padEnd(letter)} ${task.name.padEnd(name)} ${task.state.padEnd(9)} ${where}${why}`;
      const clipped = clip(line.trimEnd(), columns);
      return WORST.includes(task.state) ? style.bad(clipped) : clipped;
    }),
  ];
}

function pageLines({ pages, touched }: Standing, rows: number, room: Room, { dim, bad }: Style): string[] {
  const shown = Math.min(rows - 1, pages.length);
  const middle = pages.findIndex(({ pfn }) => pfn === touched) - (shown >> 1) + room.scrolled;
  const first = Math.max(0, Math.min(middle, pages.length - shown));
  const window = pages.slice(first, first + shown);
  const heads = [...PAGE_COLUMNS, "held by"];
  const cells = window.map((page) => [...pageCells(page), holderText(page.holders)]);
  const widths = heads.map((head, at) => Math.max(head.length, ...cells.map((row) => row[at].length)));
  const text = (row: readonly string[]): string => {
    const padded = row.map((cell, at) =>
      [0, 2, 3, 4].includes(at) ? cell.padStart(widths[at]) : cell.padEnd(widths[at]),
    );
    return clip(padded.join(" ").trimEnd(), room.columns);
  };
  const more = pages.length > shown ? ` (${first + 1}-${first + shown} of ${pages.length}, PgUp PgDn)` : "";
  return [
    dim(clip(`${text(heads)}${more}`, room.columns)),
    ...window.map((page, at) => {
      const wrong =
        page.flags.includes("dirty") && page.buffers === "none" && page.mapping.startsWith("file");
      return wrong ? bad(text(cells[at])) : text(cells[at]);
    }),
  ];
}

function logLines({ log }: Standing, rows: number, columns: number, { dim, bad }: Style): string[] {
  const shown = log.slice(-(rows - 1));
  if (shown.length === 0) return [dim(clip(" tick  log: no step yet; try run, step or guide", columns))];
  return [
    dim(clip(" tick  task     path: step  [what it changed]", columns)),
    ...shown.map((entry) => {
      const line = clip(logLine(entry, columns), columns);
      return entry.faults.length > 0 ? bad(line) : line;
    }),
  ];
}
