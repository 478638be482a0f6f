/** Verbs that look at a run: tasks, pages, steps, faults, memory, counters, paths. */
import type { Figure } from "../../plot/index.js";
import { patchesOf, patchLog } from "../kernels.js";
import { linesOf, pathsOf } from "../paths.js";
import { countersOf, faultLine, lossesOf } from "../run.js";
import { columns } from "../text.js";
import {
  cellText,
  FLAG_LEGEND,
  logLine,
  logOf,
  type PageView,
  pageView,
  pageViews,
  taskViews,
} from "../views.js";
import { why as reasons } from "../why.js";
import { besides, figureFiles, writeFigure } from "./figures.js";
import { kernelName } from "./kinds.js";
import { count, type Kind, none, optional, pfn, required, result, verb, word } from "./verb.js";

export const tasks = verb({
  name: "tasks",
  help: "Where each task is, and what it waits for",
  details: [
    "The step shown is the one that the task will make next, or in which it died. A task is dead (a BUG killed it), hung (it waits for something that a dead task holds), held back (the scenario keeps it away), asleep, waiting, or it can move.",
  ],
  example: "tasks",
  run: (desk) => {
    const views = taskViews(desk.world);
    const rows = views.map(({ name, letter, path, step, state, why }) => [
      letter,
      name,
      path,
      step,
      why === "" ? state : `${state}: ${why}`,
    ]);
    return result(columns([["", "task", "path", "step", "state"], ...rows]), views);
  },
});

/** Column heads and cells of the table of pages. */
export const PAGE_COLUMNS = ["pfn", "flags", "ref", "map", "pins", "buffers", "pte", "tags", "lru"] as const;
export const pageCells = (page: PageView): string[] => [
  String(page.pfn),
  page.letters,
  String(page.refcount),
  String(page.mapcount),
  String(page.pins),
  page.buffers,
  page.pte,
  page.tags,
  page.lru,
];

export const pages = verb({
  name: "pages",
  help: "The pages in use, one a line",
  details: [
    `Flags are the letters of the kernel's page-types tool: ${FLAG_LEGEND}. PTE bits: p present, w write, d dirty, y young.`,
  ],
  example: "pages",
  run: (desk) => {
    const views = pageViews(desk.world);
    return result(columns([PAGE_COLUMNS, ...views.map(pageCells)], [0, 2, 3, 4]), views);
  },
});

export const page = verb({
  name: "page",
  help: "All that is known of one page",
  details: [
    `Flags are the letters of the kernel's page-types tool: ${FLAG_LEGEND}.`,
    "page_maybe_dma_pinned came with Linux v5.7: of an older kernel the line says what it would answer for this reference count.",
  ],
  example: "page 0",
  args: { pfn: required(pfn, "page frame number, decimal or 0x...") },
  run: (desk, { pfn: number }) => {
    const view = pageView(desk.world, number);
    return result(String(view), view);
  },
});

/** A number of steps, or a kernel's name. */
const stepsOrKernel: Kind<number | string> = {
  read: (text, desk) =>
    /^\d+$/.test(text) && !kernelName.choices(desk).includes(text) ? count(1).read(text, desk) : text,
  choices: (desk) => kernelName.choices(desk),
};

export const log = verb({
  name: "log",
  help: "The last steps: task, path, step, and what it changed; or the patches of a kernel",
  details: [
    "log 20 shows twenty steps. log v6.5 lists what that kernel has beyond the base, the oldest change first, and what each change needs before it.",
    "Steps that follow the first after a comma ran at once with it: a lock keeps everybody else from what they touch. In brackets: words of the step's page that changed.",
  ],
  example: "step 5; log 3",
  args: { what: optional(stepsOrKernel, "how many steps, default 10; or a kernel") },
  run: (desk, { what = 10 }) => {
    if (typeof what === "string") return result(patchLog(what), patchesOf(what));
    const n = what;
    const entries = logOf(desk.world.recording(), desk.tick - n + 1);
    return result(
      entries.length > 0 ? entries.map((entry) => logLine(entry)).join("\n") : "No step has been made.",
      entries,
    );
  },
});

export const faults = verb({
  name: "faults",
  help: "The faults of this run",
  example: "run; faults",
  run: (desk) => {
    const { world } = desk;
    const text = [...world.faults.map(faultLine), ...lossesOf(world).map(({ line }) => line)].join("\n");
    return result(text === "" ? "None so far." : text, {
      faults: world.faults,
      lost: world.lostWrites(),
      stale: world.staleWrites(),
    });
  },
});

export const diff = verb({
  name: "diff",
  help: "The cells of the machine's memory that changed since a tick",
  example: "until buffers-gone; diff",
  args: { tick: optional(count(0), "an earlier tick; default the one before") },
  run: (desk, { tick = Math.max(0, desk.tick - 1) }) => {
    const changes = desk.session.changesSince(tick);
    const lines = changes.map((change) => `  ${cellText(desk.world, change)}`);
    const text = [`From tick ${tick} to ${desk.tick}: ${lines.length} cells`, ...lines].join("\n");
    return result(text, { from: tick, to: desk.tick, changes });
  },
});

export const why = verb({
  name: "why",
  help: "The chain of steps that made a word of the state what it is",
  details: [
    "why 0 PG_private asks about a flag of page 0, why 0 _refcount about another of its words, why content:0 version about any cell of the memory (diff shows their names). Told is the last step that changed it, and under it the changes by other tasks that this step read.",
  ],
  example: "run 30; why 0 PG_private",
  args: {
    of: required(word(none), "page frame number, or struct:row"),
    field: required(word(none), "a field, or a flag such as PG_dirty"),
    depth: optional(count(1), "how many changes a chain has at most; default 3"),
  },
  options: figureFiles,
  run: async (desk, { of, field, depth, ...files }) => {
    const cell = `${of.includes(":") ? of.replace(":", " ") : `page ${of}`} ${field}`;
    const told = reasons(desk.world.replay, cell, { depth });
    const { cause } = told;
    if (cause === null) return result(String(told), told.toJSON());
    const written = await writeFigure(desk, () => told.figure() as Figure, files);
    return result(besides(String(told), written), told.toJSON());
  },
});

export const counters = verb({
  name: "counters",
  help: "The counters of /proc/vmstat",
  example: "run; counters",
  run: (desk) => {
    const values = countersOf(desk.world);
    return result(
      Object.entries(values)
        .map(([name, value]) => `${name} ${value}`)
        .join("\n"),
      values,
    );
  },
});

export const paths = verb({
  name: "paths",
  help: "The kernel paths that can run here, or the steps of one",
  details: [
    "Functions have the names that this kernel's source has; v4.20's will do, too. Other tasks can run before a step marked *. Steps marked . run at once with the step before them while a lock protects what they touch.",
  ],
  example: "paths shrink_page_list",
  args: {
    name: optional(
      word((desk) => [...pathsOf(desk.world).keys()].map(desk.world.kernel.names.path)),
      "a path",
    ),
  },
  run: (desk, { name }) => {
    const known = pathsOf(desk.world);
    const { names } = desk.world.kernel;
    if (name === undefined) {
      const list = [...known.values()];
      return result(
        columns(list.map((path) => [`  ${names.path(path.name)}`, path.source])),
        list.map((path) => ({ path: names.path(path.name), source: path.source })),
      );
    }
    const path = names
      .typed(name)
      .map((each) => known.get(each))
      .find((each) => each !== undefined);
    if (!path) throw new Error(`there is no path "${name}" in ${desk.world.name}; paths lists them`);
    const lines = linesOf(path, names);
    const mark = { step: "*", held: ".", none: " " } as const;
    return result(
      [
        `${names.path(path.name)}(${Object.keys(path.args).join(", ")})  ${path.source}`,
        ...lines.map(({ depth, text, preemption }) => `  ${mark[preemption]} ${"  ".repeat(depth)}${text}`),
      ].join("\n"),
      { path: names.path(path.name), source: path.source, lines },
    );
  },
});
