/**
 * Verdicts: what can happen to a scenario under every interleaving, with the shortest way to it.
 */
import { exploreGraph } from "../explore/graph.js";
import { type Progress, type SearchResult, STATE_BYTES, type Witness } from "../explore/search.js";
import { fewestSwitches, type Simplest, switchesOf } from "../explore/simplest.js";
import type { Meeting } from "../explore/walk.js";
import { page } from "../kernel/structs.js";
import { lockReportText } from "../machine/lockdep.js";
import { formatSchedule } from "../machine/schedule.js";
import { DISPLAY, type Figure, lanes } from "../plot/index.js";
import type { FaultKind } from "../trace/recording.js";
import type { Certificate } from "./certificate.js";
import { completeBounds, faultsIn, refuseOrders } from "./graphs.js";
import { isFault, SEVERITY } from "./outcomes.js";
import type { KernelName } from "./own_patches.js";
import { CUT_BOUND, POWER_CUT } from "./power_cut.js";
import { outcomesOf, type Run, run } from "./run.js";
import type { Values } from "./scenario.js";
import { fill, listed } from "./text.js";
import { open, type World } from "./world.js";

export interface ExploreOptions {
  /** Name of a kernel; default v4.20. */
  readonly kernel?: KernelName;
  readonly parameters?: Values;
  /** Give up after this many states, and walk at random instead; default as many as fit into 4 GiB. */
  readonly maxStates?: number;
  /** Give up when the states and their table take this many bytes, and walk at random instead; default 4 GiB. */
  readonly maxBytes?: number;
  /** Asked now and then whether there is no time left: then give up, and walk at random instead; default never. */
  readonly overdue?: () => boolean;
  /** Called now and then; returning false interrupts the search. `again`: the part of the steps that were made once more after it. */
  readonly progress?: (seen: Progress & { readonly again?: number }) => boolean;
  /** Also find the way with the fewest context switches to each kind of fault; default false. It takes as long again, and more room. */
  readonly simplest?: boolean;
  /** Also give a certificate that somebody else can check (certificate.ts); default false. Only a complete search has one. */
  readonly certificate?: boolean;
  /**
   * Whether states that are the same but for the names of tasks are to be one, where the scenario has tasks that can be exchanged; default
   * true. Not where `simplest` is asked for.
   */
  readonly symmetry?: boolean;
}

/** The way with the fewest context switches to a kind of fault, and of those with as many the one with the fewest steps. */
export interface SimplestWay {
  readonly kind: FaultKind;
  readonly switches: number;
  readonly steps: number;
  /** Whether no way has fewer switches, and none with as many has fewer steps: false when the search was cut short. */
  readonly proven: boolean;
  readonly replay: string;
}

/** A fault that a search which was cut short did not come to, but a random walk did. */
export interface MetByWalk {
  readonly kind: FaultKind;
  readonly steps: number;
  readonly switches: number;
  /** Number of the first walk that met it, and how many were made. */
  readonly first: number;
  readonly walks: number;
  readonly replay: string;
}

/** How far a search came that did not see every interleaving. */
export interface CutShort {
  /** What ended it: a bound, that there was no room for more, or somebody who interrupted it. */
  readonly by: "states" | "memory" | "time" | "room" | "interruption";
  /** States that were found and not expanded. */
  readonly left: number;
  /** Every way of up to so many steps was seen. */
  readonly steps: number;
}

/** One step of a witness. `also`, where there are any, are the held steps that ran at once with it. */
export interface WitnessStep {
  readonly task: string;
  readonly path: string;
  readonly step: string;
  readonly pfn?: number;
  readonly also?: readonly string[];
}

/** What `guplab explore --json` prints. */
export interface VerdictReport {
  readonly scenario: string;
  readonly kernel: string;
  readonly pages: number;
  readonly drivers: number;
  readonly verdict: "fault" | "safe" | "incomplete";
  readonly outcomes: readonly (FaultKind | "OK")[];
  readonly states: number;
  readonly transitions: number;
  /** Only where not every interleaving was seen. */
  readonly cutShort?: CutShort;
  /** Only where states that are the same but for the names of tasks were one: who can be exchanged, and what the states stand for. */
  readonly symmetry?: {
    readonly exchanged: readonly (readonly string[])[];
    readonly states: number;
    readonly transitions: number;
  };
  /** Why they were not, where it looked as if they could be. */
  readonly asymmetry?: string;
  readonly witness: {
    readonly replay: string;
    readonly switches: number;
    readonly steps: readonly WitnessStep[];
  } | null;
  /** Why a safe verdict says nothing; only where it does. guplab safety says what another one rests on. */
  readonly vacuous?: string;
  /** What random walks met where the search was cut short, and the search had not: not the shortest ways. */
  readonly met?: readonly MetByWalk[];
  /** For each kind of fault; null when there was no room for them, or no time. Only where the option `simplest` asks for it. */
  readonly simplest?: readonly SimplestWay[] | null;
  /** The named steps of the simplest way to the worst fault. */
  readonly simplestSteps?: readonly WitnessStep[];
  /** What lockdep says of the locks of the scenario's tasks, run or not; empty when their order is right. */
  readonly lockdep: readonly string[];
  /** Only where the options ask for it; null when the search is not complete. */
  readonly certificate?: Certificate | null;
}

export interface Verdict extends VerdictReport {
  /** Whether every interleaving was seen. */
  readonly complete: boolean;
  /** Number of steps of the shortest way to each kind of fault. */
  readonly shortest: readonly {
    readonly kind: FaultKind;
    readonly steps: number;
    readonly switches: number;
    readonly replay: string;
  }[];
  readonly steps: readonly WitnessStep[];
  /**
   * The figures of its witness, as `run(verdict.witness.replay).plot` gives them.
   *
   * @throws Error with one sentence where there is no witness
   * @example explore("dio-write-race").plot.lanes().kind // "lanes"
   */
  readonly plot: Run["plot"];
  /** A witness as lanes: the one with the fewest steps, or the one with the fewest switches; null where there is none. */
  lanes(which?: "steps" | "switches"): Figure | null;
  toJSON(): VerdictReport;
  toString(): string;
}

/** The named steps of a schedule. */
export function namedSteps(scenario: string, kernel: string, schedule: readonly number[]): WitnessStep[] {
  const world = open(scenario, { kernel, record: false });
  const steps: WitnessStep[] = [];
  let named: { path: string; step: string; pfn: number }[] = [];
  world.machine.watch = (task, at) => {
    const { path, step } = world.named(world.machine.code[at]);
    named.push({ path, step, pfn: world.machine.page(task) });
  };
  for (const task of schedule) {
    named = [];
    world.step(task);
    const [first, ...rest] = named;
    const { name } = world.machine.tasks[task];
    steps.push({
      task: name,
      path: first.path,
      step: first.step,
      ...(first.pfn >= 0 ? { pfn: first.pfn } : {}),
      ...(rest.length > 0 ? { also: rest.map(({ step }) => step) } : {}),
    });
  }
  return steps;
}

const counted = (count: number, what: string, plural = `${what}s`): string =>
  `${count} ${count === 1 ? what : plural}`;

/** "43 steps, 9 switches". */
const sizeOf = (steps: number, switches: number): string =>
  `${counted(steps, "step")}, ${counted(switches, "switch", "switches")}`;

const simplestLine = ({ kind, switches, steps, proven }: SimplestWay): string =>
  `${kind}: reached with ${counted(switches, "context switch", "context switches")} in ${counted(steps, "step")}, ` +
  (proven ? "no way has fewer switches" : "a way with fewer switches is not ruled out");

/** How many walks are made where a search was cut short, with which seed, and after how many steps one is given up. */
export const WALKS = { strategy: "sticky", walks: 256, seed: 1, depth: 1, maxSteps: 2000 } as const;

/** What random walks meet of what a search that was cut short did not come to: deep faults are often met at once. */
function metByWalks(
  world: World,
  { witnesses }: SearchResult,
): readonly (Meeting & { readonly of: number })[] {
  const { meetings, walks } = world.walk({ ...WALKS, progress: () => true });
  return meetings
    .filter(({ kind }) => !witnesses.some((found) => found.kind === kind))
    .map((meeting) => ({ ...meeting, of: walks }));
}

/** Search, and find the simplest ways where they are wanted: undefined where not, null where there is no room or time for them. */
function searched(
  world: World,
  options: ExploreOptions,
): { result: SearchResult; simple?: readonly Simplest[] | null } {
  const bounds = { ...completeBounds(options), fingerprint: options.certificate === true };
  if (!options.simplest)
    return { result: world.explore({ ...bounds, symmetric: options.symmetry !== false }) };
  const explored = exploreGraph(world.faces, bounds);
  const faults = faultsIn(explored, world, options.progress);
  return { result: explored.result, simple: faults && fewestSwitches(explored.graph, faults) };
}

/** @param enough why the caller ended it, where he did */
function cutShortOf(
  { stopped, left, depth }: SearchResult,
  enough: "time" | "interruption" | null,
): CutShort | null {
  if (stopped === null) return null;
  // The states that take `depth` steps are known, but not all of them have been asked what is wrong with them.
  return {
    by: stopped === "caller" ? (enough ?? "interruption") : stopped,
    left,
    steps: Math.max(0, depth - 1),
  };
}

function cutShortText(
  { by, left, steps }: CutShort,
  { maxStates, maxBytes = STATE_BYTES }: ExploreOptions,
): string {
  const ends: Readonly<Record<CutShort["by"], string>> = {
    states: `stopped by the bound of ${maxStates} states`,
    memory: `stopped by the bound of ${maxBytes / 2 ** 20} MiB`,
    time: "stopped by the bound on time",
    room: "stopped because there was no room for more",
    interruption: "interrupted",
  };
  return `${left} of them not expanded, every way of up to ${counted(steps, "step")} seen, ${ends[by]}`;
}

/** Why a scenario in which nothing goes wrong says nothing about pins; null where it does. */
function vacuity({ machine }: World, { constant }: SearchResult): string | null {
  const still = new Set(constant);
  const pinned = machine.memory
    .cells()
    .some(
      ({ struct, field, column, row }, at) =>
        struct.id === page.id && field === "pins" && !(still.has(at) && column[row] === 0),
    );
  return pinned ? null : "no page is pinned in any state";
}

/** What a complete search claims. */
function certificateOf({ name, kernel }: World, result: SearchResult): Certificate | null {
  const { depth, fingerprint, witnesses } = result;
  // What symmetry left out is claimed as well, and checked without it.
  const { states, transitions } = result.symmetry ?? result;
  if (fingerprint === null) return null;
  const faults = Object.fromEntries(witnesses.map(({ kind, schedule }) => [kind, schedule.length]));
  return {
    guplab: "certificate",
    scenario: name,
    kernel: kernel.name,
    states,
    transitions,
    depth,
    fingerprint,
    faults,
  };
}

/** Who can be exchanged: of processes and the daemons that go with them, the processes. */
function exchangedText({ machine: { tasks } }: World, { symmetry }: SearchResult): string {
  const alike = symmetry?.alike ?? [];
  const processes = alike.filter(([task]) => !tasks[task].daemon);
  return (processes.length > 0 ? processes : alike)
    .map((each) =>
      listed(
        each.map((task) => tasks[task].name),
        "and",
      ),
    )
    .join(", of ");
}

/** Why states that are the same but for names were not one, where the options did not say so, as a sentence. */
function asymmetryOf(
  { machine, faces }: World,
  { asymmetry }: SearchResult,
  { simplest, symmetry = true }: ExploreOptions,
): string | null {
  if (simplest === true && symmetry && faces(null).renamings().length > 0)
    return "ways with few switches are looked for state by state";
  if (asymmetry === null) return null;
  const { tasks, task, what } = asymmetry;
  const names = listed(
    tasks.map((each) => machine.tasks[each].name),
    "and",
  );
  return task < 0
    ? `${what} is answered otherwise when ${names} change places`
    : `${machine.tasks[task].name} does something else in ${what} when ${names} change places`;
}

/** Columns of a page of code: no line of a step table is longer. */
const LINE = 100;

/** A table of steps, a line for each, with the tasks in columns' stead: "12  kswapd  shrink_page_list  trylock_page". */
export function stepTable(steps: readonly WitnessStep[]): string {
  const width = Math.max(...steps.map(({ task }) => task.length));
  const pathWidth = Math.max(...steps.map(({ path }) => path.length));
  let last = "";
  return steps
    .map(({ task, path, step, also = [] }, at) => {
      const who = task === last ? "" : task;
      last = task;
      const head = `${String(at + 1).padStart(4)}  ${who.padEnd(width)}  ${path.padEnd(pathWidth)}  ${step}`;
      if (also.length === 0) return head;
      // Held steps stand behind their step where they fit, below it where they do not.
      const [first, ...rest] = fill(`(${also.join(", ")})`, LINE - width - pathWidth - 12);
      if (rest.length === 0 && head.length + 2 + first.length <= LINE) return `${head}  ${first}`;
      const indent = " ".repeat(width + pathWidth + 12);
      return [head, ...[first, ...rest].map((line) => indent + line)].join("\n");
    })
    .join("\n");
}

/**
 * Visit every interleaving of a scenario.
 *
 * @param scenario name, with parameters after commas
 * @throws Error with one sentence when a name or parameter does not fit, or the scenario waits for orders
 * @example explore("kara-2018-quiet").verdict // "safe"
 */
export function explore(scenario: string, options: ExploreOptions = {}): Verdict {
  const world = open(scenario, { ...options, record: false });
  refuseOrders(world);
  const { letters, name, kernel } = world;
  const drivers = Number(world.parameters.drivers ?? 1);
  const pages = Number(world.parameters.pages ?? 1) * (world.parameters.buffer === "shared" ? 1 : drivers);
  let enough: "time" | "interruption" | null = null;
  const { result, simple } = searched(world, {
    ...options,
    progress: (seen) => {
      if (options.progress?.(seen) === false) enough ??= "interruption";
      else if (options.overdue?.()) enough ??= "time";
      return enough === null;
    },
  });
  const cutShort = cutShortOf(result, enough);
  const walked = cutShort === null || enough === "interruption" ? [] : metByWalks(world, result);
  const replayOf = ({ schedule }: Pick<Witness, "schedule">): string =>
    `${name}@${kernel.name}:${formatSchedule(schedule, letters)}`;
  const severely = <W extends Witness>(found: readonly W[]): W[] =>
    [...found].sort((a, b) => SEVERITY.indexOf(a.kind) - SEVERITY.indexOf(b.kind));
  const bySeverity = severely(result.witnesses);
  const worst: Witness | undefined = severely([...result.witnesses, ...walked]).find(({ kind }) =>
    isFault(kind),
  );
  const verdict = worst ? "fault" : result.complete ? "safe" : "incomplete";
  // A search that was cut short has not shown that all is well.
  const outcomes =
    verdict === "incomplete" ? [] : outcomesOf([...result.witnesses, ...walked].map(({ kind }) => kind));
  const vacuous = verdict === "safe" ? vacuity(world, result) : null;
  const steps = worst ? namedSteps(name, kernel.name, worst.schedule) : [];
  const witness = worst ? { replay: replayOf(worst), switches: switchesOf(worst.schedule), steps } : null;
  const ways = simple
    ? [...simple].sort((a, b) => SEVERITY.indexOf(a.kind) - SEVERITY.indexOf(b.kind))
    : simple;
  const simplest = ways?.map(({ kind, switches, schedule, proven }) => ({
    kind,
    switches,
    steps: schedule.length,
    proven,
    replay: replayOf({ schedule }),
  }));
  const simplestWorst = ways?.find(({ kind }) => kind === worst?.kind);
  /** Whether the way with the fewest steps is one with the fewest switches as well. */
  const alsoSimplest =
    simplestWorst?.schedule.length === worst?.schedule.length &&
    simplestWorst?.switches === witness?.switches;
  const simplestSteps = simplestWorst ? namedSteps(name, kernel.name, simplestWorst.schedule) : [];
  // A scenario without these parameters is as large as its machine.
  const extent =
    world.parameters.pages === undefined
      ? `${counted(world.k.geometry.pages, "page frame")}, ${counted(letters.length, "task")}`
      : `${counted(pages, "page")}, ${counted(drivers, "driver")}`;
  const exchanged = result.symmetry?.alike.map((alike) =>
    alike.map((task) => world.machine.tasks[task].name),
  );
  const symmetry =
    result.symmetry && exchanged
      ? { exchanged, states: result.symmetry.states, transitions: result.symmetry.transitions }
      : null;
  const asymmetry = asymmetryOf(world, result, options);
  const bound =
    `${extent}, ` +
    (cutShort === null
      ? `every interleaving: ${result.states} states, ${result.transitions} transitions`
      : `not every interleaving: ${result.states} states, ${cutShortText(cutShort, options)}`) +
    (symmetry === null
      ? ""
      : `, up to the exchange of ${exchangedText(world, result)}` +
        (result.complete ? ` (${symmetry.states} and ${symmetry.transitions} without it)` : ""));
  const shortest = bySeverity.map((found) => ({
    kind: found.kind,
    steps: found.schedule.length,
    switches: switchesOf(found.schedule),
    replay: replayOf(found),
  }));
  const met: readonly MetByWalk[] = severely(walked).map((found) => ({
    kind: found.kind,
    steps: found.schedule.length,
    switches: switchesOf(found.schedule),
    first: found.first,
    walks: found.of,
    replay: replayOf(found),
  }));
  const report: VerdictReport = {
    scenario: name,
    kernel: kernel.name,
    pages,
    drivers,
    verdict,
    outcomes,
    states: result.states,
    transitions: result.transitions,
    ...(cutShort === null ? {} : { cutShort }),
    ...(symmetry === null ? {} : { symmetry }),
    ...(asymmetry === null ? {} : { asymmetry }),
    witness,
    ...(vacuous === null ? {} : { vacuous }),
    ...(met.length > 0 ? { met } : {}),
    ...(options.simplest ? { simplest: simplest ?? null, simplestSteps } : {}),
    lockdep: world.lockdep.reports.map((each) => kernel.names.text(lockReportText(each))),
    ...(options.certificate ? { certificate: certificateOf(world, result) } : {}),
  };
  const headline =
    verdict === "safe"
      ? "SAFE"
      : verdict === "incomplete"
        ? "INCOMPLETE"
        : outcomes.includes("BUG")
          ? "CRASH"
          : `FAULT ${outcomes[0]}`;
  const text = (): string =>
    [
      `${name} on ${kernel.name}: ${headline}`,
      `bound: ${bound}`,
      ...(asymmetry === null ? [] : [`no symmetry: ${asymmetry}`]),
      ...(vacuous === null ? [] : [`vacuous: ${vacuous}`]),
      ...(world.parameters[POWER_CUT] === "yes" ? [CUT_BOUND] : []),
      ...shortest.map(({ kind, steps: count }) => `${kind}: reached in ${count} steps, no way is shorter`),
      ...met.map(
        ({ kind, steps: count, first, walks }) =>
          `${kind}: met in ${count} steps by random walk ${first} of ${walks}, a shorter way is not ruled out`,
      ),
      ...(simplest ?? []).map(simplestLine),
      ...(options.simplest && witness && !simplest
        ? ["the fewest context switches: not known, for want of room or because it was interrupted"]
        : []),
      ...report.lockdep.map((each) => `lockdep: ${each}`),
      ...(witness ? [""] : []),
      ...(witness && simplestWorst && !alsoSimplest
        ? [`The fewest steps to ${simplestWorst.kind}: ${sizeOf(steps.length, witness.switches)}`]
        : []),
      ...(witness ? [stepTable(steps), "", `replay: ${witness.replay}`] : []),
      ...(simplestWorst && !alsoSimplest
        ? [
            "",
            `The fewest switches: ${sizeOf(simplestSteps.length, simplestWorst.switches)}`,
            stepTable(simplestSteps),
            "",
            `replay: ${replayOf(simplestWorst)}`,
          ]
        : []),
    ].join("\n");
  const replayBy = { steps: witness?.replay, switches: simplestWorst && replayOf(simplestWorst) };
  const made: Omit<Verdict, "plot"> & { readonly plot?: Run["plot"] } = {
    ...report,
    complete: result.complete,
    shortest,
    steps,
    lanes: (which = "steps") => {
      const line = replayBy[which];
      return line === undefined ? null : lanes(run(line).recording);
    },
    toString: text,
    toJSON: () => report,
  };
  let shown: Run | undefined;
  // No part of what a verdict is made of: who copies one has no use for it, and where there is no witness it throws.
  return Object.defineProperty(Object.assign(made, { [DISPLAY]: () => ({ "text/plain": text() }) }), "plot", {
    get: () => {
      if (witness === null) throw new Error(nothingToShow(report));
      shown ??= run(witness.replay);
      return shown.plot;
    },
  }) as Verdict;
}

/** Why a verdict has no figures. */
const nothingToShow = ({ scenario, kernel, verdict, states }: VerdictReport): string =>
  verdict === "safe"
    ? `${scenario} on ${kernel} is safe: there is no way to a fault that a figure could show`
    : `${scenario} on ${kernel}: no way to a fault was found in ${states} states that a figure could show`;
