/** Verbs that search and draw. */
import { STRATEGIES, type Strategy } from "../../explore/walk.js";
import { type Figure, toTerminal } from "../../plot/index.js";
import { type DangerReport, dangerFigure } from "../danger.js";
import type { Desk } from "../desk.js";
import { formatDuration, readDuration } from "../durations.js";
import { type OrderingsReport, orderingsFigure } from "../orderings.js";
import { SEVERITY } from "../outcomes.js";
import { METHODS, type Method, TIMES, type TimeName } from "../rate.js";
import { runOf } from "../run.js";
import { findScenario } from "../scenarios.js";
import type { StudyRequest } from "../study.js";
import { listed } from "../text.js";
import { besides, figureFiles, writeFigure } from "./figures.js";
import { kernelName, scenarioName } from "./kinds.js";
import { count, none, oneOf, optional, pfn, type Result, required, result, verb, word } from "./verb.js";

export const explore = verb({
  name: "explore",
  help: "Visit every interleaving of a scenario, and print the shortest way to a fault",
  details: [
    "The search begins at the scenario's start, not at this tick, and takes seconds to minutes. Ctrl-C ends it: the answer is then incomplete, with the bound reached. replay LINE goes where the printed schedule leads.",
    "With power-cut=yes after the scenario's name the power can go at any step: explore W5,fs=xfs,power-cut=yes. What fsync and msync had promised by then is compared with what recovery finds on the disk.",
  ],
  example: "explore kara-2018-quiet",
  args: {
    scenario: optional(scenarioName, "its name, and parameters after commas; default the present one"),
  },
  options: {
    states: optional(count(1), "give up after so many states; default as many as fit into memory"),
    memory: optional(count(1), "give up when they take so many MiB; default 4096"),
    seconds: optional(count(1), "give up after so long; default never"),
    fewest: optional(
      oneOf("fewest", ["steps", "switches"]),
      "switches: also the way with the fewest context switches, which takes as long again; default steps",
    ),
    symmetry: optional(
      oneOf("symmetry", ["yes", "no"]),
      "no: states that are the same but for the names of tasks are several; default yes",
    ),
  },
  run: async (desk, { scenario: name, states, memory, seconds, fewest, symmetry }) => {
    if (name !== undefined) findScenario(name.split(",")[0]);
    const { text, report } = await desk.host.explore({
      scenario: name ?? desk.world.name,
      kernel: desk.world.kernel.name,
      maxStates: states,
      maxMemory: memory,
      maxSeconds: seconds,
      simplest: fewest === "switches",
      symmetry: symmetry !== "no",
    });
    return { text, json: report, code: report.verdict === "fault" ? 3 : 0 };
  },
});

export const walk = verb({
  name: "walk",
  help: "Walk through a scenario at random, many times: how often each strategy meets what",
  details: [
    `Strategies: ${Object.entries(STRATEGIES)
      .map(([name, meaning]) => `${name} (${meaning})`)
      .join(
        ", ",
      )}. For machines with too many states for explore. Ctrl-C ends it: what was counted so far is told.`,
  ],
  example: "walk kara-2018 --strategy sticky --walks 100",
  args: {
    scenario: optional(scenarioName, "its name, and parameters after commas; default the present one"),
  },
  options: {
    strategy: optional(
      oneOf("strategy", Object.keys(STRATEGIES) as Strategy[]),
      `${Object.keys(STRATEGIES).join(", ")}; default each in turn`,
    ),
    walks: optional(count(1), "of each strategy; default 2000"),
    seed: optional(count(0), "default 1"),
    depth: optional(count(1), "for pct: one more than the steps at which priorities change; default 5"),
  },
  run: async (desk, { scenario: name, strategy, walks, seed, depth }) => {
    if (name !== undefined) findScenario(name.split(",")[0]);
    const { text, report, faulty } = await desk.host.walk({
      scenario: name ?? desk.world.name,
      kernel: desk.world.kernel.name,
      strategy,
      walks,
      seed,
      depth,
    });
    return { text, json: report, code: faulty ? 3 : 0 };
  },
});

export const danger = verb({
  name: "danger",
  help: "After which steps of this run a fault can still be reached, or avoided",
  details: [
    "Every interleaving of the scenario is searched, which takes seconds to minutes; Ctrl-C ends it. For each step of the run so far: is the fault possible after it, certain (no way avoids it any more: the point of no return is the first such step), impossible, or has it happened; and how many steps at least lead to it from there.",
  ],
  example: "replay dio-write-race@v4.20:w10t1m2; danger",
  args: {
    kind: optional(
      word(() => SEVERITY),
      "kind of fault, such as BUG; default the run's worst, or the worst that can be reached",
    ),
  },
  options: {
    states: optional(count(1), "give up after so many states; default as many as fit into 4 GiB"),
    ...figureFiles,
  },
  run: async (desk, { kind, states, ...files }) => {
    const { replay, kernel } = desk.world;
    const { text, report } = await desk.host.study({
      what: "danger",
      of: replay,
      kernel: kernel.name,
      kind,
      maxStates: states,
    });
    const written = await writeFigure(desk, () => dangerFigure(report as DangerReport), files);
    return result(besides(text, written), report);
  },
});

export const orderings = verb({
  name: "orderings",
  help: "Which orderings between tasks the worst fault of a scenario needs",
  details: [
    "Every interleaving is searched from the scenario's start, which takes seconds to minutes; Ctrl-C ends it. Told are the orderings of the shortest way to the fault between steps of different tasks that touch the same thing. NECESSARY: no way to the fault is without it; a fix forbids one of these. optional: another way is, and its replay line is the proof.",
  ],
  example: "orderings cve-2020-29374",
  args: {
    scenario: optional(scenarioName, "its name, and parameters after commas; default the present one"),
  },
  options: {
    states: optional(count(1), "give up after so many states; default as many as fit into 4 GiB"),
    ...figureFiles,
  },
  run: async (desk, { scenario: name, states, ...files }) => {
    if (name !== undefined) findScenario(name.split(",")[0]);
    const { world, host } = desk;
    const { text, report } = await host.study({
      what: "orderings",
      of: name ?? world.name,
      kernel: world.kernel.name,
      kind: undefined,
      maxStates: states,
    });
    const written = await writeFigure(desk, () => orderingsFigure(report as OrderingsReport), files);
    return result(besides(text, written), report);
  },
});

/** Ask a question about a scenario. */
async function studyOf(
  { world, host }: Desk,
  what: StudyRequest["what"],
  { scenario: name, states }: { readonly scenario?: string; readonly states?: number },
  more: Pick<StudyRequest, "rate"> & { readonly kind?: string } = {},
): Promise<Result> {
  if (name !== undefined) findScenario(name.split(",")[0]);
  const { text, report, code } = await host.study({
    kind: undefined,
    ...more,
    what,
    of: name ?? world.name,
    kernel: world.kernel.name,
    maxStates: states,
  });
  return { text, json: report, code };
}

export const liveness = verb({
  name: "liveness",
  help: "What may go on for ever in a scenario: livelock, endless waits",
  details: [
    "Every interleaving is searched from the scenario's start, which takes seconds to minutes; Ctrl-C ends it. A run that never ends counts when it is weakly fair: a task that can move from some moment on does move. LIVELOCK: a process makes steps for ever and does not come to its end. WAITS: it can never move again, while others go on. STARVATION: it can move again and again, and another is always first; that is no fault here, because the locks of this machine have no queues.",
    "Each comes with the line that leads there, for the verb replay, and with the schedule of the round that is made for ever from there.",
  ],
  example: "liveness dio-flusher",
  args: {
    scenario: optional(scenarioName, "its name, and parameters after commas; default the present one"),
  },
  options: { states: optional(count(1), "give up after so many states; default as many as fit into 4 GiB") },
  run: (desk, values) => studyOf(desk, "liveness", values),
});

export const safety = verb({
  name: "safety",
  help: "What a safe verdict rests on: the tests that were made, the nearest miss",
  details: [
    "Every interleaving is searched from the scenario's start and every step is made again, which takes seconds to minutes; Ctrl-C ends the search. Told is each test on which a fault depends (BUG_ON, WARN_ON, a check of bytes, what is asked at the end), in how many states it was made, in how many of them on a pinned page, and which steps nobody came to. VACUOUS: nobody ever pinned a page, or no test was made.",
    "The nearest miss is the test that would have failed had it been made a few steps earlier; its line, for the verb replay, leads to that moment.",
  ],
  example: "safety kara-2018-private",
  args: {
    scenario: optional(scenarioName, "its name, and parameters after commas; default the present one"),
  },
  options: { states: optional(count(1), "give up after so many states; default as many as fit into 4 GiB") },
  run: (desk, values) => studyOf(desk, "safety", values),
});

/** A time that is written as people write it. */
const duration = {
  read: (text: string) => {
    readDuration(text);
    return text;
  },
  choices: none,
};

const timeOption = (name: TimeName) =>
  optional(duration, `${TIMES[name].help}; default ${formatDuration(TIMES[name].standard)}`);

export const rate = verb({
  name: "rate",
  help: "How long it takes until a scenario meets a fault, with times that you give",
  details: [
    "Every interleaving is searched from the scenario's start, which takes seconds to minutes; Ctrl-C ends it. Then each step takes a time, exponentially distributed around its mean (a number and ns, us, ms, s, min, h or d), and the mean time to the fault follows from the graph. Nobody measured these times: what is printed is synthetic, and stands beside the times it was made of. A run ends when every process is gone and all is written; the next one begins after the think time. With --pinned runs go on side by side, independent of each other, as many as it takes for so many pages to be pinned at every moment.",
    `Methods: ${Object.entries(METHODS)
      .map(([name, meaning]) => `${name} (${meaning})`)
      .join(", ")}.`,
  ],
  example: "rate dio-write-race --dma 10ms --think 1s",
  args: {
    scenario: optional(scenarioName, "its name, and parameters after commas; default the present one"),
  },
  options: {
    step: timeOption("step"),
    dma: timeOption("dma"),
    disk: timeOption("disk"),
    kswapd: timeOption("kswapd"),
    flusher: timeOption("flusher"),
    commit: timeOption("commit"),
    timeout: timeOption("timeout"),
    io_timeout: timeOption("io_timeout"),
    think: timeOption("think"),
    pinned: optional(
      count(1),
      "pages that are pinned at every moment, on average, by runs side by side; default: one run after the other",
    ),
    kind: optional(
      word(() => SEVERITY),
      "kind of fault, such as BUG; default the worst that can be reached",
    ),
    method: optional(
      oneOf("method", Object.keys(METHODS) as Method[]),
      `${Object.keys(METHODS).join(", ")}; default exact`,
    ),
    cycles: optional(count(1), "runs by lot; default 100000"),
    seed: optional(count(0), "of the lot; default 1"),
    states: optional(count(1), "give up after so many states; default as many as fit into 4 GiB"),
  },
  run: (desk, { scenario, pinned, kind, method, cycles, seed, states, ...times }) =>
    studyOf(desk, "rate", { scenario, states }, { kind, rate: { times, pinned, method, cycles, seed } }),
});

export const bisect = verb({
  name: "bisect",
  help: "Find the patch that changes the outcome of a scenario between two kernels",
  details: [
    "One of the kernels must have all patches of the other. Each kernel on the way is searched, which takes seconds to minutes; Ctrl-C ends it. --states bounds each search, and --runs makes seeded runs instead. log KERNEL lists the patches of a kernel.",
  ],
  example: "bisect W11 v4.20 v6.1",
  args: {
    scenario: required(scenarioName, "its name, and parameters after commas"),
    good: required(kernelName, "a kernel"),
    bad: required(kernelName, "another one"),
  },
  options: {
    states: optional(count(1), "give up each search after so many states"),
    runs: optional(count(1), "no search: so many seeded runs on each kernel"),
  },
  run: async (desk, { scenario, good, bad, states, runs }) => {
    const { text, report } = await desk.host.bisect({ scenario, good, bad, maxStates: states, runs });
    return result(text, report);
  },
});

const FIGURES = [
  "pins",
  "dirty",
  "heat",
  "reclaim",
  "flow",
  "lanes",
  "life",
  "page",
  "owners",
  "waits",
  "beside",
] as const;
/** Those of one page, and those of one moment. */
const OF_A_PAGE: readonly string[] = ["life", "page", "owners"];
const OF_A_MOMENT: readonly string[] = ["page", "owners", "waits"];

export const plot = verb({
  name: "plot",
  help: "Draw a figure of the run so far, or of a moment of it: here, or into a file",
  details: [
    "pins: who holds references. dirty: where the dirt is. heat: all pages over time. reclaim: what reclaim did, over time. flow: which ways pages took through reclaim. lanes: who ran when. life: every word of one page.",
    "Of one moment, now or after the step that --at names: page: struct page word by word, with --since also what has changed from that tick on. owners: who believes that a page is dirty, and who does not. waits: who waits for what, and who holds it.",
    "beside: this run and the one that --with names, up to where they part and beyond.",
  ],
  example: "run; plot pins",
  args: {
    figure: required(oneOf("figure", FIGURES), FIGURES.join(", ")),
    pfn: optional(pfn, "for life, page and owners: which page"),
  },
  options: {
    at: optional(count(0), "for page, owners and waits: after which step; default now"),
    since: optional(count(0), "for page: what has changed since that tick"),
    with: optional(word(none), "for beside: a replay line, a scenario, or scenario@kernel"),
    ...figureFiles,
  },
  run: async (desk, { figure: name, pfn: number, at, since, with: other, ...files }) => {
    if (number !== undefined && !OF_A_PAGE.includes(name))
      throw new Error(
        `only ${listed(OF_A_PAGE, "and")} take a page: write plot ${name}, or plot life ${number}`,
      );
    if (at !== undefined && !OF_A_MOMENT.includes(name))
      throw new Error(
        `only ${listed(OF_A_MOMENT, "and")} are of one moment: write plot ${name}, or go there`,
      );
    if (since !== undefined && name !== "page") throw new Error("only page has a since: write plot page");
    if (other !== undefined && name !== "beside")
      throw new Error("only beside takes another run: write plot beside --with LINE");
    const { plot: plots } = desk.session.report();
    const moment = { pfn: number, tick: at };
    const drawn = (): Figure => {
      if (name === "life") return plots.life(number);
      if (name === "page") return plots.page({ ...moment, since });
      if (name === "owners" || name === "waits") return plots[name](moment);
      if (name !== "beside") return plots[name]();
      if (other === undefined) throw new Error("beside takes another run: write plot beside --with LINE");
      return plots.beside(runOf(other));
    };
    const figure = drawn();
    const written = await writeFigure(desk, () => figure, files);
    if (written.length > 0) return result(`wrote ${listed(written, "and")}`, { figure: name, written });
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
