/**
 * The table of verbs: everything that can be said at the prompt, in a script or on a pipe. Parsing, completion and
 * help are made from it (src/cli/shell.ts); a verb reads its arguments, does one thing to the desk, and gives a text
 * and the same as JSON.
 *
 * A verb that cannot do what it is asked throws an Error with one sentence, and the desk is as it was.
 */
import { kernels } from "../patches/kernels.js";
import { type Figure, toPage, toSvg, toTerminal } from "../plot/index.js";
import type { Fault } from "../trace/recording.js";
import type { Desk, Saved } from "./desk.js";
import { eventNames, MOMENTS, watchFor } from "./events.js";
import { allMoments, momentText, nextMoment } from "./guide.js";
import { lockdepVerb } from "./lock_order.js";
import { orders } from "./order.js";
import { linesOf, pathsOf } from "./paths.js";
import { countersOf, faultLine } from "./run.js";
import { rangeOf } from "./scenario.js";
import { findScenario, scenarios } from "./scenarios.js";
import { blocks, columns, fill } from "./text.js";
import {
  count,
  file,
  none,
  oneOf,
  optional,
  pfn,
  type Result,
  required,
  result,
  usage,
  type Verb,
  verb,
  word,
} from "./verb.js";
import {
  cellText,
  FLAG_LEGEND,
  holderText,
  logLine,
  logOf,
  type PageView,
  pageView,
  pageViews,
  taskViews,
} from "./views.js";

// ---- kinds of arguments that only this table has

const scenarioName = word(() => scenarios.flatMap(({ name, aliases }) => [name, ...aliases]));
const kernelName = word(() => kernels.map(({ name }) => name));
const taskOrCount = word((desk) => desk.world.machine.tasks.map(({ name }) => name));

/** What the steps since a tick did: the last lines of the log, and how it stands. */
function made(desk: Desk, from: number, lines: number): Result {
  const { world, tick } = desk;
  const all = logOf(world.recording(), from + 1);
  const entries = all.slice(-lines);
  const faults = world.k.faults.filter((fault) => fault.tick > from);
  const left = all.length - entries.length;
  const text = [
    ...(left > 0 ? [`  ... ${left} steps (log ${all.length} shows them)`] : []),
    ...entries.map((entry) => logLine(entry)),
    ...faults.filter(({ tick: at }) => at < (entries[0]?.tick ?? 0)).map(faultLine),
    ...(world.settled() ? [`The run is over at tick ${tick}.`] : []),
  ].join("\n");
  return result(text, { tick, over: world.settled(), steps: entries, faults }, faults);
}

// ---- help

function helpText(about: Verb, desk: Desk): string {
  const described = [
    ...Object.entries(about.args).map(([name, { help }]) => [`  ${name.toUpperCase()}`, help]),
    ...Object.entries(about.options).map(([name, { help }]) => [`  --${name}`, help]),
  ];
  const width = desk.host.columns;
  return blocks(
    `${usage(about)}\n  ${about.help}`,
    described.length > 0 ? columns(described) : "",
    ...about.details.map((paragraph) =>
      paragraph.includes("\n") ? paragraph : fill(paragraph, width).join("\n"),
    ),
    `Example: ${about.example}`,
  );
}

const help = verb({
  name: "help",
  help: "What can be said here, or all about one verb",
  example: "help until",
  args: {
    verb: optional(
      word(() => verbs.map(({ name }) => name)),
      "the verb",
    ),
  },
  run: (desk, { verb: name }) => {
    if (name === undefined) {
      const rows = verbs.map((each) => [`  ${usage({ ...each, options: {} })}`, each.help]);
      return result(
        blocks(columns(rows), "Lines may be joined with ;  and # begins a comment. help VERB tells more."),
        verbs.map((each) => ({ verb: each.name, usage: usage(each), help: each.help })),
      );
    }
    const about = findVerb(name);
    return result(helpText(about, desk), {
      verb: about.name,
      usage: usage(about),
      help: about.help,
      details: about.details,
      example: about.example,
    });
  },
});

// ---- choosing what runs

const listScenarios = verb({
  name: "scenarios",
  help: "List the scenarios",
  example: "scenarios",
  run: () =>
    result(
      columns(
        scenarios.map(({ name, aliases, help: about }) => [`  ${[...aliases, name].join(", ")}`, about]),
      ),
      scenarios.map(({ name, aliases, help: about, parameters }) => ({
        scenario: name,
        aliases,
        help: about,
        parameters,
      })),
    ),
});

const scenario = verb({
  name: "scenario",
  help: "Tell what this scenario is about, or begin another",
  details: [
    "Parameters follow the name after commas: scenario kara-2018,pages=2,drivers=2. The run begins at tick 0, with the scenario's own seed and the kernel in use.",
  ],
  example: "scenario kara-2018-quiet",
  args: { name: optional(scenarioName, "its name, and parameters after commas") },
  run: (desk, { name }) => {
    if (name !== undefined) {
      if (name.includes("@")) throw new Error(`"${name}" is a replay line: say replay ${name}`);
      desk.start(name);
    }
    const { world, host, seed, tick } = desk;
    const { story, parameters } = world.scenario;
    const rows = Object.entries(parameters).map(([name, each]) => [
      `  ${name}=${world.parameters[name]}`,
      `${each.help} (${rangeOf(each)})`,
    ]);
    return result(
      blocks(
        `${world.name} on ${world.kernel.name}, seed ${seed}, tick ${tick}`,
        fill(story, host.columns).join("\n"),
        rows.length > 0 ? columns(rows) : "",
      ),
      { scenario: world.name, kernel: world.kernel.name, seed, tick, story, parameters: world.parameters },
    );
  },
});

const listKernels = verb({
  name: "kernels",
  help: "List the kernels",
  example: "kernels",
  run: () =>
    result(
      columns(kernels.map(({ name, help: about }) => [`  ${name}`, about])),
      kernels.map(({ name, help: about }) => ({ kernel: name, help: about })),
    ),
});

const kernel = verb({
  name: "kernel",
  help: "Tell which kernel runs, or begin the scenario again on another",
  example: "kernel v4.20",
  args: { name: optional(kernelName, "its name") },
  run: (desk, { name }) => {
    if (name !== undefined) desk.start(desk.world.name, name);
    const { name: current, help: about } = desk.world.kernel;
    return result(`${current}: ${about}`, { kernel: current, help: about });
  },
});

const seed = verb({
  name: "seed",
  help: "Go on from here with other chances; without a number, tell the seed",
  details: ["To run the whole scenario with another seed: goto 0; seed 7; run"],
  example: "seed 7; run",
  args: { n: optional(count(0), "the seed") },
  run: (desk, { n }) => {
    if (n !== undefined) desk.reseed(n);
    return result(`seed ${desk.seed}, tick ${desk.tick}`, { seed: desk.seed, tick: desk.tick });
  },
});

// ---- looking

const tasks = verb({
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

const pages = verb({
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

const page = verb({
  name: "page",
  help: "All that is known of one page",
  details: [
    `Flags are the letters of the kernel's page-types tool: ${FLAG_LEGEND}.`,
    "page_maybe_dma_pinned came with Linux v5.7; the line says what it would answer for this reference count.",
  ],
  example: "page 0",
  args: { pfn: required(pfn, "page frame number, decimal or 0x...") },
  run: (desk, { pfn: number }) => {
    const view = pageView(desk.world, number);
    const rows = [
      ["flags", `${view.letters}  ${view.flags.join(" ")}`],
      ["refcount", `${view.refcount}${view.holders.length > 0 ? ` (${holderText(view.holders)})` : ""}`],
      ["mapcount", String(view.mapcount)],
      ["mapping", view.mapping],
      ["vma", view.vma],
      ["pins", String(view.pins)],
      ["page_maybe_dma_pinned", view.maybe_dma_pinned ? "yes" : "no"],
      ["buffers", view.buffers],
      ["pte", view.pte],
      ["tags", view.tags],
      ["lru", view.lru],
      ["locked by", view.locked_by === "" ? "nobody" : view.locked_by],
      ["device wrote, nobody said", view.device_wrote ? "yes" : "no"],
    ];
    return result(
      `page ${view.pfn} at tick ${desk.tick}\n${columns(rows.map(([name, value]) => [`  ${name}`, value]))}`,
      view,
    );
  },
});

const log = verb({
  name: "log",
  help: "The last steps: task, path, step, and what it changed",
  details: [
    "Steps that follow the first after a comma ran at once with it: a lock keeps everybody else from what they touch. In brackets: words of the step's page that changed.",
  ],
  example: "step 5; log 3",
  args: { n: optional(count(1), "how many; default 10") },
  run: (desk, { n = 10 }) => {
    const entries = logOf(desk.world.recording(), desk.tick - n + 1);
    return result(
      entries.length > 0 ? entries.map((entry) => logLine(entry)).join("\n") : "No step has been made.",
      entries,
    );
  },
});

const faults = verb({
  name: "faults",
  help: "The faults of this run",
  example: "run; faults",
  run: (desk) => {
    const { world } = desk;
    const lost = world.lostWrites();
    const text = [
      ...world.k.faults.map(faultLine),
      ...lost.map((lostPage) => `LOST: page ${lostPage} is clean, but the disk has older bytes`),
    ].join("\n");
    return result(text === "" ? "None so far." : text, {
      faults: world.k.faults.map((fault): Fault => ({ ...fault })),
      lost,
    });
  },
});

const diff = verb({
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

const counters = verb({
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

const paths = verb({
  name: "paths",
  help: "The kernel paths that can run here, or the steps of one",
  details: [
    "Other tasks can run before a step marked *. Steps marked . run at once with the step before them while a lock protects what they touch.",
  ],
  example: "paths shrink_page_list",
  args: {
    name: optional(
      word((desk) => [...pathsOf(desk.world).keys()]),
      "a path",
    ),
  },
  run: (desk, { name }) => {
    const known = pathsOf(desk.world);
    if (name === undefined) {
      const list = [...known.values()];
      return result(
        columns(list.map((path) => [`  ${path.name}`, path.source])),
        list.map((path) => ({ path: path.name, source: path.source })),
      );
    }
    const path = known.get(name);
    if (!path) throw new Error(`there is no path "${name}" in ${desk.world.name}; paths lists them`);
    const lines = linesOf(path);
    const mark = { step: "*", held: ".", none: " " } as const;
    return result(
      [
        `${path.name}(${Object.keys(path.args).join(", ")})  ${path.source}`,
        ...lines.map(({ depth, text, preemption }) => `  ${mark[preemption]} ${"  ".repeat(depth)}${text}`),
      ].join("\n"),
      { path: path.name, source: path.source, lines },
    );
  },
});

// ---- moving

/** The number of a task by its name or letter. @throws Error that lists them */
function taskNumber(desk: Desk, text: string): number {
  const all = desk.world.machine.tasks;
  const task = all.findIndex(({ name, letter }) => name === text || letter === text);
  if (task < 0)
    throw new Error(`there is no task "${text}"; here are ${all.map(({ name }) => name).join(", ")}`);
  return task;
}

const step = verb({
  name: "step",
  help: "Make one step or N: of a task, or of whom the seed chooses",
  details: [
    "step makes one step, step 5 five, step kswapd one of kswapd, step kswapd 3 three. A task may be named by its letter. After going back, step without a task makes the same steps again; with a task it may lead somewhere else.",
  ],
  example: "step reader 3",
  args: {
    task: optional(taskOrCount, "a task, by name or letter; or a number of steps"),
    n: optional(count(1), "how many steps; default 1"),
  },
  run: (desk, { task, n }) => {
    const from = desk.tick;
    if (task === undefined || /^\d+$/.test(task)) {
      if (task !== undefined && n !== undefined)
        throw new Error(`"${task}" is no task: write step TASK N, or step N`);
      const steps = task === undefined ? 1 : count(1).read(task, desk);
      if (desk.forward(steps) === 0)
        throw new Error(`the run is over at tick ${from}: goto, back or scenario go elsewhere`);
    } else {
      const number = taskNumber(desk, task);
      for (let each = 0; each < (n ?? 1); each++) {
        if (!desk.world.enabled(number)) {
          const why = desk.world.whyNot(number);
          if (each === 0) throw new Error(why);
          const stopped = made(desk, from, 20);
          return { ...stopped, text: `${stopped.text}\nAfter ${each} steps: ${why}.` };
        }
        desk.step(number);
      }
    }
    return made(desk, from, 20);
  },
});

const MOST_STEPS = 100_000;

const run = verb({
  name: "run",
  help: "Let the seed choose until the run is over, or for N steps",
  details: [
    `At most ${MOST_STEPS} steps at a time. A run is over when every process has finished, died or hangs, and the daemons have nothing left to write.`,
  ],
  example: "run",
  args: { n: optional(count(1), "how many steps") },
  run: (desk, { n = MOST_STEPS }) => {
    const from = desk.tick;
    desk.forward(n);
    return made(desk, from, 4);
  },
});

const until = verb({
  name: "until",
  help: "Run until something has happened",
  details: [
    "EVENT is one of: a tick, such as 120; a fault (BUG, WARN, HANG, LOST, ... or fault for any); a moment of a page; the name of a task, of a path or of a step, once that task, path or step has run; or two names with a colon, such as kswapd:trylock_page.",
    `Moments of a page:\n${columns(MOMENTS.map((moment) => [`  ${moment.name}`, moment.help]))}`,
    "The run stops after the step in which it happened: back 1 is the moment before.",
  ],
  example: "until buffers-gone",
  args: {
    event: required(
      word((desk) => eventNames(desk.world)),
      "what to wait for",
    ),
  },
  run: (desk, { event }) => {
    const from = desk.tick;
    const watch = watchFor(desk.world, event);
    let happened = false;
    desk.forward(MOST_STEPS, () => {
      happened = watch.happened();
      return happened;
    });
    watch.end();
    const done = made(desk, from, 4);
    const text = happened
      ? `${done.text}\n${event}: tick ${desk.tick}`
      : `${done.text}\n${event} did not happen from tick ${from} on; goto 0 begins again.`;
    return { ...done, text: text.trimStart(), json: { event, happened, ...(done.json as object) } };
  },
});

const where = (desk: Desk): Result => {
  const { tick, horizon } = desk;
  const entries = logOf(desk.world.recording(), tick);
  const last = entries.length > 0 ? [logLine(entries[0])] : [];
  const ahead = horizon > tick ? `; known up to ${horizon}` : "";
  return result([...last, `tick ${tick}${ahead}`].join("\n"), { tick, horizon });
};

const back = verb({
  name: "back",
  help: "Take back one step or N, or go to the moment before an event",
  details: [
    "back takes back one step, back 20 twenty. back buffers-gone goes to the moment before the buffers last went: any event of until will do.",
    "What was taken back is not forgotten: run, step and goto make the same steps again, until you make another.",
  ],
  example: "run; back buffers-gone",
  args: {
    "n|event": optional(
      word((desk) => eventNames(desk.world)),
      "how many steps, default 1; or an event (help until)",
    ),
  },
  run: (desk, { "n|event": how = "1" }) => {
    const { tick } = desk;
    if (/^\d+$/.test(how)) {
      const steps = count(1).read(how, desk);
      if (steps > tick) throw new Error(`there are ${tick} steps to take back, not ${steps}`);
      desk.goTo(tick - steps);
    } else {
      const last = desk.lastTime(how);
      if (last < 0)
        throw new Error(`${how} has not happened in the ${tick} steps up to here; until ${how} looks ahead`);
      desk.goTo(last - 1);
    }
    return where(desk);
  },
});

const goto = verb({
  name: "goto",
  help: "Go to a tick of the past, or forward again",
  example: "run; goto 100",
  args: { tick: required(count(0), "the tick") },
  run: (desk, { tick }) => {
    desk.goTo(tick);
    return where(desk);
  },
});

const replay = verb({
  name: "replay",
  help: "Print the line that repeats this run anywhere, or go where such a line leads",
  details: [
    "A replay line reads scenario@kernel:schedule. The schedule is letters of tasks and numbers of steps: r12k3 lets the reader make 12 steps, then kswapd 3.",
  ],
  example: "replay kara-2018@v4.20:r14f14",
  args: { line: optional(word(none), "a replay line") },
  run: (desk, { line }) => {
    if (line === undefined) return result(desk.world.replay, { replay: desk.world.replay });
    if (!line.includes("@"))
      throw new Error(
        `"${line}" is no replay line: it reads scenario@kernel:schedule, for example kara-2018@v4.20:r14f14`,
      );
    desk.start(line);
    return where(desk);
  },
});

const guide = verb({
  name: "guide",
  help: "Walk through the article's crash, a moment at a time",
  details: [
    "Each guide goes on to the next moment, and stops there: look with page 0, tasks and diff. After the last it begins again. guide all tells the whole story.",
  ],
  example: "guide all",
  args: { how: optional(oneOf("way through the story", ["all"]), "all: the whole story at once") },
  run: (desk, { how }) => {
    const width = Math.min(100, desk.host.columns);
    if (how === undefined) {
      const moment = nextMoment(desk);
      const next = moment.chapter < moment.of ? "guide goes on" : "guide begins again";
      const text = `${momentText(moment, width)}\n     (look around: page 0, tasks, diff; ${next})`;
      return result(text, moment, moment.last.faults);
    }
    const moments = allMoments(desk);
    return result(
      [...moments.map((moment) => momentText(moment, width)), `replay: ${desk.world.replay}`].join("\n"),
      { moments, replay: desk.world.replay },
      desk.world.k.faults,
    );
  },
});

// ---- searching, drawing, keeping

const explore = verb({
  name: "explore",
  help: "Visit every interleaving of a scenario, and print the shortest way to a fault",
  details: [
    "The search begins at the scenario's start, not at this tick, and takes seconds to minutes. Ctrl-C ends it: the answer is then incomplete, with the bound reached. replay LINE goes where the printed schedule leads.",
  ],
  example: "explore kara-2018-quiet",
  args: {
    scenario: optional(scenarioName, "its name, and parameters after commas; default the present one"),
  },
  options: { states: optional(count(1), "give up after so many states; default as many as fit into 4 GiB") },
  run: async (desk, { scenario: name, states }) => {
    if (name !== undefined) findScenario(name.split(",")[0]);
    const { text, report } = await desk.host.explore({
      scenario: name ?? desk.world.name,
      kernel: desk.world.kernel.name,
      maxStates: states,
    });
    return { text, json: report, code: report.verdict === "fault" ? 3 : 0 };
  },
});

const FIGURES = ["pins", "dirty", "reclaim", "lanes", "life"] as const;

const plot = verb({
  name: "plot",
  help: "Draw a figure of the run so far: here, or into a file",
  details: [
    "pins: who holds references. dirty: where the dirt is. reclaim: what reclaim did. lanes: who ran when. life: every word of one page.",
  ],
  example: "run; plot pins",
  args: {
    figure: required(oneOf("figure", FIGURES), FIGURES.join(", ")),
    pfn: optional(pfn, "for life: which page"),
  },
  options: {
    file: optional(file, "write an HTML page that needs nothing else"),
    svg: optional(file, "write a picture"),
  },
  run: async (desk, { figure: name, pfn: number, file: html, svg }) => {
    if (number !== undefined && name !== "life")
      throw new Error(`only life takes a page: write plot ${name}, or plot life ${number}`);
    const { plot: plots } = desk.session.report();
    const figure = name === "life" ? plots.life(number) : plots[name]();
    const { host } = desk;
    if (html !== undefined)
      host.write(html, toPage([figure], { title: figure.layout.title.text, plotly: await host.plotly() }));
    if (svg !== undefined) host.write(svg, toSvg(figure));
    const written = [html, svg].filter((path) => path !== undefined);
    if (written.length > 0) return result(`wrote ${written.join(" and ")}`, { figure: name, written });
    return result(chart(desk, figure), {
      figure: name,
      caption: figure.caption,
      data: figure.data,
      layout: figure.layout,
    });
  },
});

function chart({ host }: Desk, figure: Figure): string {
  const size = { columns: Math.max(40, host.columns), rows: Math.max(12, Math.min(30, host.rows - 2)) };
  return toTerminal(figure, { ...size, color: host.color });
}

const save = verb({
  name: "save",
  help: "Write this run to a file: scenario, kernel, parameters, seed, schedule",
  example: "run; save crash.json",
  args: { file: required(file, "a file") },
  run: (desk, { file: path }) => {
    const { world, tick } = desk;
    const saved: Saved = {
      guplab: "session",
      scenario: world.scenario.name,
      kernel: world.kernel.name,
      parameters: world.parameters,
      seed: desk.seed,
      schedule: world.replay.slice(world.replay.lastIndexOf(":") + 1),
    };
    desk.host.write(path, `${JSON.stringify(saved, null, 2)}\n`);
    return result(`wrote ${path} (${tick} steps)`, { written: path, steps: tick });
  },
});

const open = verb({
  name: "open",
  help: "Go on with a run that save wrote",
  example: "run; save crash.json; open crash.json",
  args: { file: required(file, "a file that save wrote") },
  run: (desk, { file: path }) => {
    const saved = readSaved(path, desk.host.read(path));
    const assignments = Object.entries(saved.parameters).map(([name, value]) => `,${name}=${value}`);
    try {
      desk.start(
        `${saved.scenario}${assignments.join("")}@${saved.kernel}:${saved.schedule}`,
        saved.kernel,
        saved.seed,
      );
    } catch (error) {
      throw new Error(`${path} cannot be opened: ${(error as Error).message}`);
    }
    return where(desk);
  },
});

/** Check what a file holds. @throws Error with one sentence */
function readSaved(path: string, text: string): Saved {
  let value: Partial<Saved> | null;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error(`${path} is not a saved run, or is cut short: it is not whole JSON`);
  }
  const { guplab, scenario: name, kernel: version, parameters, seed: number, schedule } = value ?? {};
  const whole =
    guplab === "session" &&
    typeof name === "string" &&
    typeof version === "string" &&
    typeof schedule === "string" &&
    Number.isInteger(number) &&
    typeof parameters === "object" &&
    Object.values(parameters ?? {}).every(
      (each) => Number.isInteger(each) || (typeof each === "string" && /^[\w-]+$/.test(each)),
    );
  if (!whole) throw new Error(`${path} is not a saved run: the verb save writes one`);
  return value as Saved;
}

const source = verb({
  name: "source",
  help: "Do what the lines of a file say",
  details: ["The first line that cannot be done ends it."],
  example: 'source "my script.txt"',
  args: { file: required(file, "a file with a verb a line") },
  run: (desk, { file: path }) => desk.host.script(desk, desk.host.read(path)),
});

const quit = verb({
  name: "quit",
  help: "Leave",
  example: "quit",
  run: (desk) => {
    desk.left = true;
    return result("", {});
  },
});

/** Every verb, in the order of help. */
export const verbs: readonly Verb[] = [
  help,
  guide,
  listScenarios,
  scenario,
  listKernels,
  kernel,
  seed,
  run,
  step,
  until,
  back,
  goto,
  replay,
  tasks,
  pages,
  page,
  log,
  faults,
  diff,
  counters,
  paths,
  lockdepVerb,
  ...orders,
  explore,
  plot,
  save,
  open,
  source,
  quit,
];

/** Look a verb up. @throws Error with one sentence */
export function findVerb(name: string): Verb {
  const found = verbs.find((each) => each.name === name);
  if (!found) throw new Error(`there is no verb "${name}"; help lists them`);
  return found;
}
