/** Kernels side by side: what a kernel's patches are, where the paths of two kernels differ, and which patch makes an outcome another. */
import { createTwoFilesPatch } from "diff";
import type { RuleValues } from "../kernel/rule.js";
import type { AnyPath } from "../machine/patch.js";
import type { KernelVersion } from "../patches/kernels.js";
import { isSince, type Names } from "../patches/names.js";
import type { Patch } from "../patches/patch.js";
import type { FaultKind } from "../trace/recording.js";
import { type ExploreOptions, explore, WALKS } from "./explore.js";
import { isFault, SEVERITY } from "./outcomes.js";
import { kernelOf } from "./own_patches.js";
import { linesOf, pathsBelow } from "./paths.js";
import { askersOf, ruleIn, ruleListing } from "./rules.js";
import { lossesOf, runToEnd } from "./run.js";
import { completeParameters } from "./scenario.js";
import { scenarios } from "./scenarios.js";
import { open } from "./world.js";

/** A path as text, a line for each step. */
const listing = (path: AnyPath, names: Names): string =>
  [
    `${names.path(path.name)}(${Object.keys(path.args).join(", ")})`,
    ...linesOf(path, names).map(({ depth, text }) => `${"  ".repeat(depth + 1)}${text}`),
    "",
  ].join("\n");

/** Every path that some scenario can reach: the base's, with those that patches bring left out; or those of a kernel. */
export const reachable = (patched?: KernelVersion["patched"]): Set<AnyPath> => {
  const found = new Set<AnyPath>();
  for (const scenario of scenarios) {
    const { tasks } = scenario.setup(completeParameters(scenario, {}));
    for (const { path } of tasks) for (const each of pathsBelow(path, patched)) found.add(each);
  }
  return found;
};

/** The paths that a kernel's patches bring, by their names; some have one name. */
function pathsBrought({ patched }: KernelVersion): Map<string, AnyPath[]> {
  const base = new Set([...reachable()].map(({ name }) => name));
  const found = new Map<string, AnyPath[]>();
  for (const each of reachable(patched))
    if (!base.has(each.name)) found.set(each.name, [...(found.get(each.name) ?? []), each]);
  return found;
}

/** A rule is short: all of it stands in a diff. */
const WHOLE = { context: 100 };

/** Where the answers of two kernels' rules differ: of those that are asked in a path, or that are named. */
function rulesDiff(
  a: KernelVersion,
  b: KernelVersion,
  names: Names,
  meant: readonly string[] | null,
): string {
  const parts: string[] = [];
  for (const rule of new Set([...a.rules, ...b.rules].map((each) => each.rule.name))) {
    const [old, now] = [ruleIn(a, rule), ruleIn(b, rule)];
    if (JSON.stringify(old?.values) === JSON.stringify(now?.values)) continue;
    const known = (now ?? old) as RuleValues;
    const askers = askersOf(known, reachable((now === null ? a : b).patched));
    if (meant !== null && ![rule, ...askers.map(({ path }) => path)].some((each) => meant.includes(each)))
      continue;
    const [before, after] = [old, now].map((each) => (each === null ? "" : ruleListing(each, askers, names)));
    const title = `rule ${names.path(rule)}`;
    parts.push(
      createTwoFilesPatch(
        `${a.name}/${title}`,
        `${b.name}/${title}`,
        before,
        after,
        undefined,
        undefined,
        WHOLE,
      ),
    );
  }
  return parts.join("");
}

/** What patches have put into functions that have no steps, as lines. */
const insertLines = ({ patches, names }: KernelVersion, meant: readonly string[] | null): string =>
  patches
    .flatMap(({ inserts = [] }) => inserts)
    .filter(({ into }) => meant === null || meant.includes(into))
    .map(({ into, help }) => `${names.path(into)}: ${names.text(help)}\n`)
    .join("");

/** Where that differs between two kernels. */
function insertsDiff(a: KernelVersion, b: KernelVersion, meant: readonly string[] | null): string {
  const [before, after] = [a, b].map((each) => insertLines(each, meant));
  if (before === after) return "";
  const title = "functions without steps";
  return createTwoFilesPatch(`${a.name}/${title}`, `${b.name}/${title}`, before, after);
}

/**
 * Where the paths of two kernels differ, as a unified diff of their steps, those of the base first, then those that patches bring; then where the answers of rules do that paths ask, then what patches have
 * put into functions without steps; empty when nothing differs. Both sides have the newer kernel's names: a function that has only been renamed is no difference.
 *
 * @param path only this one, by any of its names, with the rules that it asks; or one rule, or a function without steps
 * @throws Error with one sentence when a name is unknown
 * @example kernelDiff("v6.3", "v6.4").includes("+    if folio_maybe_dma_pinned") // true
 */
export function kernelDiff(from: string, to: string, path?: string): string {
  const a = kernelOf(from);
  const b = kernelOf(to);
  const all = [...reachable()];
  const { names } = isSince(a.name, b.name) ? a : b;
  const meant = path === undefined ? [] : [...a.names.typed(path), ...b.names.typed(path)];
  const rule = meant.some((name) => ruleIn(a, name) !== null || ruleIn(b, name) !== null);
  const inserted = insertLines(a, meant) !== "" || insertLines(b, meant) !== "";
  const brought = [a, b].map(pathsBrought);
  const known = [...all.map(({ name }) => name), ...brought.flatMap((each) => [...each.keys()])];
  if (path !== undefined && !rule && !inserted && !known.some((name) => meant.includes(name)))
    throw new Error(`there is no path "${path}"; the verb paths lists those of a scenario`);
  const parts = new Set<string>();
  for (const each of all) {
    if (path !== undefined && !meant.includes(each.name)) continue;
    const old = listing(a.patched(each), names);
    const now = listing(b.patched(each), names);
    const title = names.path(each.name);
    if (old !== now)
      parts.add(
        createTwoFilesPatch(`${from}/${title}`, `${to}/${title}`, old, now, each.source, each.source),
      );
  }
  for (const name of new Set(brought.flatMap((each) => [...each.keys()]))) {
    if (path !== undefined && !meant.includes(name)) continue;
    const paths = brought.map((each) => each.get(name) ?? []);
    const [old, now] = paths.map((each) => [...new Set(each.map((one) => listing(one, names)))].join(""));
    if (old === now) continue;
    const title = names.path(name);
    const [from_source, to_source] = paths.map((each) => each[0]?.source);
    parts.add(createTwoFilesPatch(`${from}/${title}`, `${to}/${title}`, old, now, from_source, to_source));
  }
  const only = path === undefined ? null : meant;
  return [...parts, rulesDiff(a, b, names, only), insertsDiff(a, b, only)].join("");
}

/** What a bisection learns of one kernel. */
export interface Judged {
  readonly kernel: string;
  /** The faults that were found, the worst first; none where nothing was found. OK only where every interleaving was seen. */
  readonly outcome: readonly (FaultKind | "OK")[];
  /** States of the search; 0 where seeded runs were made instead. */
  readonly states: number;
  /** Seeded runs that were made; 0 where a search was. */
  readonly runs: number;
  /** Whether every interleaving was seen. */
  readonly complete: boolean;
}

export interface BisectOptions {
  /** For each kernel, as for explore. */
  readonly maxStates?: ExploreOptions["maxStates"];
  /** Judge each kernel by as many seeded runs, from seed 1 on, and not by a search: for machines that are too big for one. */
  readonly runs?: number;
  readonly progress?: ExploreOptions["progress"];
  /** Called with the name of each kernel before it is searched. */
  readonly searching?: (kernel: string) => void;
}

/** What `guplab bisect --json` prints. */
export interface BisectionReport {
  readonly scenario: string;
  /** Name of the patch with which the outcome is another. */
  readonly patch: string;
  readonly before: Judged;
  readonly after: Judged;
  /** All kernels that were looked at, in order. */
  readonly searched: readonly Judged[];
}

export interface Bisection extends Omit<BisectionReport, "patch"> {
  readonly patch: Patch;
  toJSON(): BisectionReport;
  toString(): string;
}

const textOf = ({ outcome, states, runs, complete }: Judged): string => {
  const walks = complete ? "" : ` and ${WALKS.walks} random walks`;
  const extent = runs > 0 ? `${runs} runs` : `${states} states${walks}`;
  if (outcome.length === 0) return `nothing found in ${extent}`;
  if (runs > 0) return `${outcome.join(", ")} (${extent})`;
  return `${outcome.join(", ")} (${complete ? "every interleaving" : "not every interleaving"}, ${extent})`;
};

/** A search's figures before it has seen anything. */
const AT_NOUGHT = { states: 0, transitions: 0, frontier: 0, depth: 0, found: [] };

/**
 * What some seeded runs of a scenario meet, the worst first; nothing where they meet nothing.
 *
 * @param progress asked before each run, with a search's figures at nought; false ends the series
 */
export function outcomesOfRuns(
  scenario: string,
  kernel: string,
  runs: number,
  progress: NonNullable<ExploreOptions["progress"]> = () => true,
): FaultKind[] {
  const world = open(scenario, { kernel, record: false });
  const start = world.moment();
  const kinds = new Set<FaultKind>();
  for (let seed = 1; seed <= runs && progress(AT_NOUGHT); seed++) {
    world.goTo(start);
    const finished = runToEnd(world, seed, RUN_STEPS);
    for (const { kind } of world.k.faults) kinds.add(kind);
    for (const { kind } of lossesOf(world)) kinds.add(kind);
    if (finished) for (const { kind } of world.verdictsAtEnd()) kinds.add(kind);
  }
  return SEVERITY.filter((kind) => kinds.has(kind));
}

/** Steps after which a run of a series is given up: those that end are a few hundred steps long. */
const RUN_STEPS = 20_000;

/** What a search finds on one kernel. */
function searchOf(scenario: string, kernel: string, options: ExploreOptions): Judged {
  const { outcomes, states, complete } = explore(scenario, { ...options, kernel });
  const faults = outcomes.filter((kind) => kind !== "OK" && isFault(kind));
  return { kernel, outcome: faults.length === 0 && complete ? ["OK"] : faults, states, runs: 0, complete };
}

/** Whether two kernels come off alike: to have found nothing is not to have found a difference. */
const same = (a: Judged, b: Judged): boolean => {
  const faults = ({ outcome }: Judged) => outcome.filter((kind) => kind !== "OK").join();
  return faults(a) === faults(b);
};

/**
 * Find the patch that changes a scenario's outcome on the way from one kernel to another, which has all of its patches and more, or fewer.
 * Outcomes are the faults that a search finds, as far as its bound lets it come, or those of some seeded runs. When the outcome changes more than once,
 * one of the changes is found.
 *
 * @throws Error with one sentence when neither kernel has all of the other's patches, or when the outcomes are the same
 * @example bisect("W5", "v4.20", "v6.5").patch.name // "refuse-longterm-file-write"
 */
export function bisect(scenario: string, good: string, bad: string, options: BisectOptions = {}): Bisection {
  const { maxStates, progress = () => true, runs = 0, searching = () => {} } = options;
  const ends = [kernelOf(good), kernelOf(bad)];
  const [fewer, more] = ends[0].patches.length <= ends[1].patches.length ? ends : [ends[1], ends[0]];
  const lacking = fewer.patches.filter((patch) => !more.patches.includes(patch));
  if (lacking.length > 0)
    throw new Error(
      `bisect needs one kernel to have all patches of the other: ${more.name} lacks ${lacking.map(({ name }) => name).join(", ")} of ${fewer.name}`,
    );
  const added = more.patches.filter((patch) => !fewer.patches.includes(patch));
  const searched: Judged[] = [];
  const judge = (count: number): Judged => {
    const kernel =
      count === added.length
        ? more.name
        : [fewer.name, ...added.slice(0, count).map(({ name }) => name)].join("+");
    searching(kernel);
    let interrupted = false;
    const goOn: typeof progress = (seen) => {
      interrupted ||= progress(seen) === false;
      return !interrupted;
    };
    const judged: Judged =
      runs > 0
        ? {
            kernel,
            outcome: outcomesOfRuns(scenario, kernel, runs, goOn).filter(isFault),
            states: 0,
            runs,
            complete: false,
          }
        : searchOf(scenario, kernel, { maxStates, progress: goOn });
    if (interrupted) throw new Error(`the bisection was interrupted while it looked at ${kernel}`);
    searched.push(judged);
    return judged;
  };
  let low = 0;
  let high = added.length;
  let before = judge(low);
  let after = judge(high);
  if (same(before, after))
    throw new Error(
      `${scenario} has the same outcome on ${fewer.name} and on ${more.name}, ${textOf(before)}: there is nothing to bisect`,
    );
  const first = before;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    const judged = judge(middle);
    if (same(judged, first)) {
      low = middle;
      before = judged;
    } else {
      high = middle;
      after = judged;
    }
  }
  const patch = added[high - 1];
  return {
    scenario,
    patch,
    before,
    after,
    searched,
    toJSON: () => ({ scenario, patch: patch.name, before, after, searched }),
    toString: () =>
      [
        `${scenario}: ${patch.name} makes the difference`,
        `  ${patch.title} (${patch.commit ?? "commit unknown"}, ${patch.date})`,
        ...(patch.uncertain === undefined ? [] : [`  uncertain: ${patch.uncertain}`]),
        `  without it: ${textOf(before)}`,
        `  with it:    ${textOf(after)}`,
        "",
        ...searched.map((each) => `searched ${each.kernel}: ${textOf(each)}`),
      ].join("\n"),
  };
}

/** A patch as `guplab log --json` prints it. */
export interface ListedPatch
  extends Pick<Patch, "name" | "title" | "author" | "date" | "commit" | "uncertain" | "help"> {
  /** Names of the patches that must come before it, without what these need themselves. */
  readonly needs?: readonly string[];
}

/** The patches of a kernel, the oldest first. @throws Error with one sentence when there is no such kernel */
export const patchesOf = (kernel: string): readonly ListedPatch[] =>
  kernelOf(kernel).patches.map(({ name, title, author, date, commit, uncertain, help, needs = [] }) => ({
    name,
    title,
    author,
    date,
    commit,
    ...(uncertain === undefined ? {} : { uncertain }),
    help,
    ...(needs.length === 0 ? {} : { needs: needs.map((need) => need.name) }),
  }));

/** The same as text. */
export function patchLog(kernel: string): string {
  const patches = patchesOf(kernel);
  if (patches.length === 0) return `${kernel} has no patches: it is the base`;
  return patches
    .map(({ name, title, author, date, commit, uncertain, help, needs = [] }) =>
      [
        name,
        `  ${commit ?? "commit unknown"}  ${date}  ${author}: ${title}`,
        ...(uncertain === undefined ? [] : [`  uncertain: ${uncertain}`]),
        `  ${help}`,
        ...(needs.length === 0 ? [] : [`  needs: ${needs.join(", ")}`]),
      ].join("\n"),
    )
    .join("\n");
}
