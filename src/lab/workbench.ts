/**
 * The workbench: a patch that somebody writes himself, tried on the standard workloads beside the kernel without it.
 *
 * The patch is what every patch here is: edits of named steps, with the words of src/kernel/language.ts. What does not apply, or
 * cannot run, is said before anything is searched, in a sentence that names the edit.
 *
 * State is what stands in a struct's columns and in a path's locals. A variable of the patch's own is neither put back when a search takes
 * another way nor seen by it: verdicts of a patch that has one mean nothing.
 */
import type { Progress } from "../explore/search.js";
import type { AnyPath, Edit } from "../machine/patch.js";
import { assemble, type KernelVersion, kernels, knownPatch } from "../patches/kernels.js";
import { completed, needsOf } from "../patches/needs.js";
import type { Patch } from "../patches/patch.js";
import { DISPLAY } from "../plot/index.js";
import type { FaultKind } from "../trace/recording.js";
import { type ExploreOptions, explore, type MetByWalk, type Verdict } from "./explore.js";
import { refuseOrders } from "./graphs.js";
import { kernelDiff, reachable } from "./kernels.js";
import { isFault } from "./outcomes.js";
import { type Editable, type Ran, readyEdits } from "./own_edits.js";
import { isOwn, keepPatch, kernelOf, patchNamed } from "./own_patches.js";
import { pathsOf } from "./paths.js";
import { type Run, run } from "./run.js";
import { StepError } from "./step_error.js";
import { columns, listed } from "./text.js";
import { workloads as STANDARD } from "./workloads/index.js";
import { open, parseReplay, type World } from "./world.js";

/** A patch that somebody writes: what it is called, and what it changes. */
export interface OwnPatch
  extends Pick<Patch, "name" | "help" | "edits">,
    Partial<Pick<Patch, "title" | "author" | "date" | "tables" | "rules" | "boot" | "daemons" | "vmstat">> {
  /** Patches that come before it, or their names; where the kernel lacks them, they are brought along. Default none. */
  readonly needs?: readonly (Patch | string)[];
  /** Patches of which it needs one, whichever, or their names: the first, where the kernel has none of them. Default none. */
  readonly needs_one?: readonly (Patch | string)[];
}

export interface WorkbenchOptions {
  /** The kernel to be patched; default v4.20. */
  readonly kernel?: string;
  /** Scenarios, with parameters after commas; default the standard workloads W1 to W18. */
  readonly workloads?: readonly string[];
  /** Give up each search after this many states, and walk at random instead; default 5,000,000. */
  readonly maxStates?: number;
  /** Called now and then with what is being searched; returning false ends all, with what there is. */
  readonly progress?: (seen: Progress & { readonly workload: string; readonly kernel: string }) => boolean;
}

/** A way to a fault. */
export interface WayToFault {
  readonly kind: FaultKind;
  readonly steps: number;
  /** Whether no way is shorter; of one that a random walk met that is not known. */
  readonly shortest: boolean;
  readonly replay: string;
}

/** What became of a workload on one kernel. */
export interface TriedReport {
  readonly kernel: string;
  readonly verdict: Verdict["verdict"];
  readonly outcomes: Verdict["outcomes"];
  readonly ways: readonly WayToFault[];
  /** Whether every interleaving was seen, and how many states and transitions were. */
  readonly complete: boolean;
  readonly states: number;
  readonly transitions: number;
  /** Why a safe verdict says nothing; only where it does. */
  readonly vacuous?: string;
}

/**
 * What a patch does for a workload. `unknown`: one of the searches was cut short, and what it did not find may be there. `untouched`: no task
 * there runs what the patch edits, and one search does for both kernels.
 */
export type Change = "fixed" | "better" | "same" | "worse" | "other" | "unknown" | "untouched";

export interface TriedOnReport {
  readonly workload: string;
  readonly change: Change;
  /** Faults that are gone with the patch, and that are there only with it. */
  readonly gone: readonly FaultKind[];
  readonly fresh: readonly FaultKind[];
  /** Whether a task there came to a step, a test or other code that the patch brings; of a patch without any, whether it is touched. */
  readonly reached: boolean;
  readonly without: TriedReport;
  readonly with: TriedReport;
}

/** A workload on both kernels, with the whole verdicts. */
export interface TriedOn extends Omit<TriedOnReport, "without" | "with"> {
  readonly without: Verdict;
  readonly with: Verdict;
}

/** What `guplab fix --json` prints. */
export interface WorkbenchReport {
  readonly patch: string;
  readonly help: string;
  /** The kernel with the patch, and the one without it. */
  readonly kernel: string;
  readonly without: string;
  /** Patches that it needs, and that were brought along. */
  readonly brought: readonly string[];
  /** False when it was interrupted: workloads are missing then. */
  readonly finished: boolean;
  readonly notes: readonly string[];
  readonly verdicts: readonly TriedOnReport[];
  readonly diff: string;
}

export interface Workbench extends Omit<WorkbenchReport, "verdicts" | "patch"> {
  readonly patch: Patch;
  readonly verdicts: readonly TriedOn[];
  /** Whether some workload has a fault with the patch. */
  readonly faulty: boolean;
  toJSON(): WorkbenchReport;
  toString(): string;
}

const MAX_STATES = 5_000_000;

const STANDARD_NAMES: readonly string[] = STANDARD.map(({ name, aliases }) => aliases[0] ?? name);

const isText = (value: unknown): value is string => typeof value === "string" && value.trim() !== "";

/** Complain of what is no patch at all: a module's default export can be anything. */
function shaped(patch: OwnPatch): void {
  if (typeof patch !== "object" || patch === null)
    throw new Error("a patch is an object: { name, help, edits: [before(path, step, [...]), ...] }");
  if (!isText(patch.name) || !/^[A-Za-z][\w.-]*$/.test(patch.name))
    throw new Error(
      `a patch's name is a word of letters, digits, dots and dashes, such as "my-fix", not ${JSON.stringify(patch.name)}`,
    );
  const { name } = patch;
  if (!isText(patch.help)) throw new Error(`patch ${name} lacks help: one sentence that says what it does`);
  if (!Array.isArray(patch.edits))
    throw new Error(
      `patch ${name} lacks edits: a list of before(...), after(...), replace(...) and the like`,
    );
  patch.edits.forEach((edit: Partial<Edit> | undefined, at) => {
    if (typeof edit !== "object" || edit === null || edit.how === undefined || edit.path === undefined)
      throw new Error(
        `patch ${name}: edit ${at + 1} is none: before(...), after(...), replace(...) and the like make one`,
      );
  });
  if (patch.edits.length === 0 && !patch.rules && !patch.boot && !patch.daemons)
    throw new Error(`patch ${name} has no edits: it changes nothing`);
  if (kernels.some((kernel) => kernel.name === name))
    throw new Error(`there is a kernel ${name} already; choose another name`);
  if (knownPatch(name) !== undefined)
    throw new Error(`there is a patch ${name} already; choose another name`);
}

/** Patches that are given, or named. */
const patchesFor = (patch: string, given: readonly (Patch | string)[]): Patch[] =>
  given.map((each) => {
    if (typeof each !== "string") return each;
    const found = patchNamed(each);
    if (found === undefined) throw new Error(`patch ${patch} needs "${each}", and there is no such patch`);
    return found;
  });

/** A patch as all others are, but for its edits. */
function completedPatch(given: OwnPatch): Patch {
  const { name, help, needs = [], needs_one, edits, ...rest } = given;
  return {
    title: help,
    author: "its author",
    date: "undated",
    ...rest,
    name,
    help,
    commit: null,
    needs: patchesFor(name, needs),
    ...(needs_one === undefined ? {} : { needs_one: patchesFor(name, needs_one) }),
    edits: [],
  };
}

/** The paths that can be edited on a kernel: those of all scenarios, and of the machines that were chosen. */
function editableOn(kernel: KernelVersion, worlds: readonly World[]): Editable {
  const found = new Set([
    ...reachable(kernel.patched),
    ...[...reachable()].map(kernel.patched),
    ...worlds.flatMap((world) => [...pathsOf(world, kernel).values()]),
  ]);
  const byName = new Map<string, AnyPath[]>();
  for (const path of found) byName.set(path.name, [...(byName.get(path.name) ?? []), path]);
  return byName;
}

/** The structs of a patch as the machines of the workloads have them. */
function tablesOf(patch: Patch, worlds: readonly World[], notes: string[]): void {
  for (const { struct, rows } of patch.tables ?? []) {
    const counts = worlds.map(({ name, k }) => ({ name, rows: rows(k.geometry) }));
    const wrong = counts.find(({ rows: count }) => !Number.isInteger(count) || count < 0);
    if (wrong !== undefined)
      throw new Error(
        `patch ${patch.name}: its struct ${struct.name} has ${wrong.rows} rows on ${wrong.name}; rows is a function of the machine, such as (g) => g.pages`,
      );
    const none = counts.filter(({ rows: count }) => count === 0);
    if (none.length === counts.length && counts.length > 0)
      throw new Error(
        `patch ${patch.name}: its struct ${struct.name} has no rows on any machine here; rows is a function of the machine, such as (g) => g.pages for a row a page`,
      );
    if (none.length > 0)
      notes.push(
        `${struct.name} has no rows on ${listed(
          none.map(({ name }) => name),
          "and",
        )}`,
      );
  }
}

const faultsOf = ({ outcomes }: Verdict): FaultKind[] =>
  outcomes.filter((kind): kind is FaultKind => kind !== "OK" && isFault(kind));

function changeOf(before: Verdict, now: Verdict): Pick<TriedOnReport, "change" | "gone" | "fresh"> {
  const [had, has] = [faultsOf(before), faultsOf(now)];
  const gone = had.filter((kind) => !has.includes(kind));
  const fresh = has.filter((kind) => !had.includes(kind));
  const unsure = (gone.length > 0 && !now.complete) || (fresh.length > 0 && !before.complete);
  const sure = (): Change => {
    if (fresh.length > 0) return gone.length > 0 ? "other" : "worse";
    if (gone.length === 0) return "same";
    return has.length === 0 ? "fixed" : "better";
  };
  return { change: unsure ? "unknown" : sure(), gone, fresh };
}

const waysOf = ({ shortest, met = [] }: Verdict): WayToFault[] => [
  ...shortest.map(({ kind, steps, replay }) => ({ kind, steps, shortest: true, replay })),
  ...met.map(({ kind, steps, replay }: MetByWalk) => ({ kind, steps, shortest: false, replay })),
];

function reportOf(tried: Verdict): TriedReport {
  const { kernel, verdict, outcomes, complete, states, transitions, vacuous } = tried;
  return {
    kernel,
    verdict,
    outcomes,
    ways: waysOf(tried),
    complete,
    states,
    transitions,
    ...(vacuous === undefined ? {} : { vacuous }),
  };
}

/** "BUG, HANG", "safe", "safe (vacuous)", "nothing found". */
function outcomeText({ verdict, outcomes, vacuous }: Verdict): string {
  if (verdict === "incomplete") return "nothing found";
  if (verdict === "fault") return outcomes.join(", ");
  const refused = outcomes.filter((kind) => kind !== "OK");
  return [`safe${vacuous === undefined ? "" : " (vacuous)"}`, ...refused].join(", ");
}

const boundText = (tried: Verdict): string =>
  tried.complete ? `${tried.states} states` : `stopped at ${tried.states} states`;

/** What a patch edits, as lines: "before shrink_page_list/PageDirty#1". */
function editLines({ edits }: Patch, { names }: KernelVersion): string[] {
  return edits.map((edit) => {
    const name = typeof edit.path === "string" ? edit.path : edit.path.name;
    const how = edit.how === "callee" ? "recall" : edit.how;
    const at = "anchor" in edit ? `/${names.within(name, edit.anchor)}` : "";
    return `  ${how} ${names.path(name)}${at}`;
  });
}

/** What is brought along, without what only that needs: "brings kara-count-2018 and 15 patches that this needs". */
function broughtLines(brought: readonly Patch[]): string[] {
  const meant = brought.filter((each) => !brought.some((other) => needsOf(other).includes(each)));
  if (meant.length === 0) return [];
  const names = listed(
    meant.map((each) => each.name),
    "and",
  );
  const more = brought.length - meant.length;
  if (more === 0) return [`brings ${names}`];
  return [
    `brings ${names}, with ${more} ${more === 1 ? "patch" : "patches"} that ${meant.length === 1 ? "this needs" : "these need"}`,
  ];
}

/** What went wrong in a search, as a sentence about the patch. */
function complaint(error: unknown, patch: string, workload: string): unknown {
  if (error instanceof StepError) {
    if (error.says.startsWith(`patch ${patch}: `)) return new Error(error.says, { cause: error });
    const { path, step } = error.place;
    if (error.says.endsWith("loops without a step"))
      return new Error(
        `patch ${patch} on ${workload}: ${error.says}, behind ${path}/${step}: nobody else could ever run; a loop needs a step in it`,
        { cause: error },
      );
    return new Error(
      `patch ${patch} on ${workload}: ${path}/${step} cannot go on: ${error.says}; without the patch it can: the patch breaks what this step relies on, or guplab has a fault`,
      { cause: error },
    );
  }
  if (!(error instanceof Error) || error.message.startsWith(`patch ${patch}`)) return error;
  return new Error(`patch ${patch} on ${workload}: ${error.message}`, { cause: error });
}

/** Do something that only the patch can break. @throws Error with one sentence about the patch */
function blaming<T>(patch: string, workload: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw complaint(error, patch, workload);
  }
}

/** A patch that applies and is known in this session, with the machines on which it is to be tried. */
interface Prepared {
  readonly patch: Patch;
  readonly base: KernelVersion;
  readonly beneath: KernelVersion;
  readonly brought: readonly Patch[];
  /** Name of the kernel that has it. */
  readonly kernel: string;
  /** The machines without the patch. */
  readonly worlds: readonly World[];
  readonly notes: string[];
  readonly ran: Ran;
  /** Forget the patch: it cannot run. */
  readonly forget: () => void;
}

function prepared(given: OwnPatch, on: string, chosen: readonly string[]): Prepared {
  shaped(given);
  const base = kernelOf(on);
  const { name } = given;
  if (base.patches.some((each) => each.name === name))
    throw new Error(`${base.name} has a patch ${name} already`);
  const worlds = chosen.map((each) => open(each, { kernel: base.name, record: false }));
  worlds.forEach(refuseOrders);
  const bare = completedPatch(given);
  const brought = completed([bare], base.patches).filter((each) => each !== bare);
  const beneath = assemble(base.name, base.help, [...base.patches, ...brought]);
  const { edits, ran } = readyEdits(name, given.edits, beneath, editableOn(beneath, worlds));
  const patch: Patch = { ...bare, edits };
  const notes: string[] = [];
  tablesOf(patch, worlds, notes);
  if (isOwn(name))
    notes.push(`takes the place of another patch ${name}, whose replay lines are good no more`);
  const kernel = `${base.name}+${name}`;
  return { patch, base, beneath, brought, kernel, worlds, notes, ran, forget: keepPatch(patch) };
}

/**
 * Make a kernel with a patch of one's own, and try nothing. As long as the session lasts it can be named wherever a kernel can be.
 *
 * @param on the kernel to be patched
 * @returns its name
 * @throws Error with one sentence when the patch does not apply
 * @example
 * const nothing = { name: "idle", help: "one step more", edits: [before("kswapd", "kswapd_try_to_sleep", [step("idle", () => {})])] };
 * makeKernel(nothing) // "v4.20+idle"
 */
export const makeKernel = (given: OwnPatch, on = "v4.20"): string => prepared(given, on, []).kernel;

/**
 * Do a run again that the workbench found.
 *
 * @param line its replay line, of a kernel with the patch
 * @throws Error with one sentence when the patch does not apply, or the line does not fit
 */
export function replayWith(given: OwnPatch, line: string): Run {
  shaped(given);
  const { kernel, scenario } = parseReplay(line);
  const added = `+${given.name}`;
  if (!kernel.endsWith(added))
    throw new Error(`the replay line is of kernel ${kernel}, which does not end in ${added}`);
  makeKernel(given, kernel.slice(0, -added.length));
  try {
    return run(line);
  } catch (error) {
    throw error instanceof StepError ? complaint(error, given.name, scenario) : error;
  }
}

/**
 * Try a patch of one's own on workloads, beside the kernel without it. As long as the session lasts the kernel that it makes can be named
 * wherever a kernel can be: `lab.run("kara-2018", { kernel: made.kernel })`. A second patch of the same name takes the place of
 * the first, whose replay lines are then good no more.
 *
 * @throws Error with one sentence when the patch does not apply or cannot run: which edit, why, and what would be right
 * @example
 * const made = workbench(
 *   {
 *     name: "spare-referenced",
 *     help: "reclaim leaves a page that somebody else refers to alone",
 *     edits: [
 *       before<{ page: Pfn }>("shrink_page_list", "PageDirty#1", [
 *         when("page_count", (k, f) => page_count(k, f.page) > 2 + (page_has_private(k, f.page) ? 1 : 0), [
 *           goto("keep_locked"),
 *         ]),
 *       ]),
 *     ],
 *   },
 *   { workloads: ["W7", "W16"] },
 * );
 * made.kernel // "v4.20+spare-referenced"
 * made.verdicts.map(({ change }) => change) // ["untouched", "same"]
 * kernelOf(made.kernel).patches.length // 1
 */
export function workbench(given: OwnPatch, options: WorkbenchOptions = {}): Workbench {
  const { maxStates = MAX_STATES, progress = () => true } = options;
  const chosen = options.workloads ?? STANDARD_NAMES;
  if (chosen.length === 0) throw new Error("the workbench needs a workload: W1 to W18 are the standard ones");
  const made = prepared(given, options.kernel ?? "v4.20", chosen);
  try {
    return tried(made, chosen, (workload, on, seen) => ({
      maxStates,
      progress: (state) => seen(progress({ ...state, workload, kernel: on })),
    }));
  } catch (error) {
    made.forget();
    throw error;
  }
}

/** How a workload is searched on a kernel; `seen` is told whether to go on. */
type Bounds = (
  workload: string,
  kernel: string,
  seen: (goOn: boolean) => boolean,
) => Pick<ExploreOptions, "maxStates" | "progress">;

/** Search each workload without the patch, and with it. */
function tried(made: Prepared, chosen: readonly string[], bounds: Bounds): Workbench {
  const { patch, base, beneath, brought, kernel, worlds, ran } = made;
  const { name, rules, boot, daemons } = patch;
  const edited = new Set(patch.edits.map(({ path }) => (typeof path === "string" ? path : path.name)));
  /** Whether machines differ by more than the edited paths. */
  const elsewhere = brought.length > 0 || [rules, boot, daemons].some((each) => each !== undefined);
  const touched = worlds.map((world) => [...pathsOf(world, beneath).keys()].some((path) => edited.has(path)));
  // What cannot even be linked is known before anything is searched.
  worlds.forEach((world, at) => {
    if (touched[at] || elsewhere)
      blaming(name, world.name, () => open(world.name, { kernel, record: false }));
  });
  let finished = true;
  const search = (workload: string, on: string): Verdict => {
    const goOn = (wanted: boolean): boolean => {
      finished &&= wanted;
      return finished;
    };
    return explore(workload, { kernel: on, ...bounds(workload, on, goOn) });
  };
  const verdicts: TriedOn[] = [];
  for (const [at, workload] of chosen.entries()) {
    const before = search(workload, base.name);
    if (!finished) break;
    if (!touched[at] && !elsewhere) {
      const nothing = { gone: [], fresh: [], reached: false };
      verdicts.push({ workload, change: "untouched", ...nothing, without: before, with: before });
      continue;
    }
    const already = ran.calls;
    const now = blaming(name, workload, () => search(workload, kernel));
    if (!finished) break;
    const reached = touched[at] && (ran.functions === 0 || ran.calls > already);
    verdicts.push({ workload, ...changeOf(before, now), reached, without: before, with: now });
  }
  const untouched = chosen.filter((_, at) => !touched[at]);
  const notes = [...made.notes, ...notesOn({ untouched, chosen, verdicts, brought, finished })];
  return benchOf({ patch, base, kernel, brought, notes, verdicts, finished });
}

/** What there is to say beside the verdicts. */
function notesOn({
  untouched,
  chosen,
  verdicts,
  brought,
  finished,
}: Pick<Made, "verdicts" | "brought" | "finished"> & {
  readonly untouched: readonly string[];
  readonly chosen: readonly string[];
}): string[] {
  const unreached = verdicts
    .filter(({ workload, reached }) => !reached && !untouched.includes(workload))
    .map(({ workload }) => workload);
  const verb = (names: readonly string[], word: string) =>
    `${listed(names, "and")} ${names.length === 1 ? `${word}s` : word}`;
  const notes: string[] = [];
  if (untouched.length > 0) {
    const may = brought.length > 0 ? ", but what it needs may" : "";
    notes.push(`${verb(untouched, "run")} no path that it edits: it changes nothing there${may}`);
  }
  if (unreached.length > 0) notes.push(`${listed(unreached, "and")} never came to what it adds`);
  if (!finished)
    notes.push(`interrupted before ${listed(chosen.slice(verdicts.length), "and")} had a verdict`);
  return notes;
}

interface Made {
  readonly patch: Patch;
  readonly base: KernelVersion;
  readonly kernel: string;
  readonly brought: readonly Patch[];
  readonly notes: readonly string[];
  readonly verdicts: readonly TriedOn[];
  readonly finished: boolean;
}

function benchOf({ patch, base, kernel, brought, notes, verdicts, finished }: Made): Workbench {
  let diff: string | null = null;
  const differs = (): string => {
    diff ??= kernelDiff(base.name, kernel);
    return diff;
  };
  const report = (): WorkbenchReport => ({
    patch: patch.name,
    help: patch.help,
    kernel,
    without: base.name,
    brought: brought.map((each) => each.name),
    finished,
    notes,
    verdicts: verdicts.map((each) => ({
      ...each,
      without: reportOf(each.without),
      with: reportOf(each.with),
    })),
    diff: differs(),
  });
  const text = (): string => {
    const rows = verdicts.map(({ workload, change, without, with: now }) => [
      workload,
      outcomeText(without),
      outcomeText(now),
      change,
      without === now ? boundText(now) : `${boundText(without)}, ${boundText(now)}`,
    ]);
    const ways = verdicts
      .filter(({ change }) => change !== "untouched")
      .flatMap(({ workload, with: now }) =>
        waysOf(now)
          .filter(({ kind }) => isFault(kind))
          .flatMap(({ kind, steps, shortest, replay }) => [
            `${workload} ${kind}: ${shortest ? "reached" : "met by a random walk"} in ${steps} steps, ${shortest ? "no way is shorter" : "a shorter way is not ruled out"}`,
            `  replay: ${replay}`,
          ]),
      );
    return [
      `${patch.name} on ${base.name}: ${patch.help}`,
      ...editLines(patch, base),
      ...broughtLines(brought),
      "",
      columns([["workload", "without it", "with it", "", "states without and with"], ...rows]),
      ...(ways.length > 0 ? ["", ...ways] : []),
      ...(notes.length > 0 ? ["", ...notes] : []),
    ].join("\n");
  };
  const made: Workbench = {
    patch,
    help: patch.help,
    kernel,
    without: base.name,
    brought: brought.map((each) => each.name),
    finished,
    notes,
    verdicts,
    get diff() {
      return differs();
    },
    faulty: verdicts.some(({ with: now }) => now.verdict === "fault"),
    toJSON: report,
    toString: text,
  };
  return Object.assign(made, { [DISPLAY]: () => ({ "text/plain": text() }) });
}
