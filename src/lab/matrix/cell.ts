/**
 * One cell of the matrix: what can happen to a standard workload on a kernel, under every interleaving within a bound, each outcome with a
 * replay line. Everything in it is computed.
 */
import { switchesOf } from "../../explore/simplest.js";
import type { Cost, Proposal } from "../../patches/proposals/proposal.js";
import type { FaultKind, Recording } from "../../trace/recording.js";
import { WORD } from "../../trace/words.js";
import { type ExploreOptions, explore, WALKS } from "../explore.js";
import { isFault, SEVERITY } from "../outcomes.js";
import { kernelOf } from "../own_patches.js";
import { type Run, run } from "../run.js";
import { applySchedule, open, parseReplay } from "../world.js";
import type { CellPlace } from "./plan.js";

/** States after which the search of a cell is given up, and random walks follow: a few seconds. */
export const CELL_STATES = 3_000_000;
/** Seeded runs among which one is looked for in which nothing goes wrong, and the steps of each. */
const RUNS = 20;
const RUN_STEPS = 20_000;
/**
 * Time of one O_DIRECT read of 4 KiB with 64 under way, in nanoseconds: what a proposal's own time is held against.
 * Source: John Hubbard, 29 November 2018, v4.20-rc3 without debugging options, 194,181 reads a second.
 */
export const READ_NS = 5150;
/** A proposal is slow from this part of it on. */
const SLOW_PART = 0.01;

export interface CellOutcome {
  readonly kind: FaultKind | "OK";
  readonly steps: number;
  readonly switches: number;
  /** Where it is from: the search, and no way to it is shorter; a random walk; a seeded run; or what lockdep says of each run. */
  readonly by: "search" | "walk" | "run" | "lockdep";
  readonly replay: string;
}

/** What the steps of a proposal cost in a run of the workload, by what was measured elsewhere. */
export interface CellCost {
  /** Times that get_user_pages took a page in the run. */
  readonly taken: number;
  readonly ns: number;
  readonly steps: readonly (Cost & { readonly times: number })[];
  /** The run. */
  readonly replay: string;
}

export interface Cell extends CellPlace {
  readonly guplab: "cell";
  /** The workload with its parameters. */
  readonly scenario: string;
  /** The worst first. */
  readonly outcomes: readonly CellOutcome[];
  /** Whether every interleaving was seen. */
  readonly complete: boolean;
  readonly states: number;
  readonly transitions: number;
  /** What lockdep says of the order in which locks are taken, run or not; default nothing. */
  readonly lockdep?: readonly string[];
  /** Why a cell in which nothing goes wrong says nothing about pins. */
  readonly vacuous?: string;
  readonly bounds: {
    readonly pages: number;
    readonly drivers: number;
    readonly max_states: number;
    /** Random walks that were made because the search had been cut short. */
    readonly walks: number;
  };
  /** Null where no step of the kernel's proposals has a cost. */
  readonly cost: CellCost | null;
}

/**
 * A run in which nothing goes wrong, best one in which nobody is refused either; null when none of the first seeds gives one. What lockdep
 * says of a machine stands in each of its runs, and is no matter of the run.
 */
function quietRun(scenario: string, kernel: string): Run | null {
  let refused: Run | null = null;
  for (let seed = 1; seed <= RUNS; seed++) {
    const made = run(scenario, { kernel, seed, steps: RUN_STEPS });
    if (!made.finished || made.outcomes.some((kind) => kind !== "OK" && kind !== "WARN" && isFault(kind)))
      continue;
    if (made.faults.some(({ kind }) => isFault(kind))) continue;
    if (made.faults.length === 0) return made;
    refused ??= made;
  }
  return refused;
}

/** How often get_user_pages took a page: a page's pins went up by one. */
function pagesTaken({ length, word, pfn, value }: Recording): number {
  const pins = new Map<number, number>();
  let taken = 0;
  for (let event = 0; event < length; event++) {
    if (word[event] !== WORD.pins) continue;
    if (value[event] > (pins.get(pfn[event]) ?? 0)) taken++;
    pins.set(pfn[event], value[event]);
  }
  return taken;
}

/** What a run's steps cost that proposals brought; null when none of them was measured. */
function costOf(replay: string, costs: readonly Cost[]): CellCost | null {
  const { scenario, kernel, schedule } = parseReplay(replay);
  const world = open(scenario, { kernel });
  const times = new Map<string, number>();
  world.machine.watch = (_task, at) => {
    const { path, step } = world.machine.code[at];
    const name = `${path}/${step}`;
    times.set(name, (times.get(name) ?? 0) + 1);
  };
  applySchedule(world, schedule);
  const steps = costs
    .map((cost) => ({ ...cost, times: times.get(cost.step) ?? 0 }))
    .filter((cost) => cost.times > 0);
  if (steps.length === 0) return null;
  const taken = pagesTaken(world.recording());
  return { taken, ns: steps.reduce((sum, step) => sum + step.ns * step.times, 0), steps, replay };
}

/**
 * Compute a cell.
 *
 * @param place a kernel's name and a workload's number
 * @throws Error with one sentence when the kernel does not apply
 * @example computeCell({ kernel: "v4.20", workload: "W2" }).outcomes[0].kind // "OK"
 */
export function computeCell(
  { kernel, workload }: CellPlace,
  { maxStates = CELL_STATES, progress }: Pick<ExploreOptions, "maxStates" | "progress"> = {},
): Cell {
  const verdict = explore(workload, { kernel, maxStates, progress });
  const found: CellOutcome[] = [
    ...verdict.shortest.map((each) => ({ ...each, by: "search" as const })),
    ...(verdict.met ?? []).map(({ kind, steps, switches, replay }) => ({
      kind,
      steps,
      switches,
      by: "walk" as const,
      replay,
    })),
  ];
  const quiet = quietRun(workload, kernel);
  const costs = kernelOf(kernel).patches.flatMap((patch) => (patch as Proposal).costs ?? []);
  const cost = quiet === null || costs.length === 0 ? null : costOf(quiet.replay, costs);
  if (quiet !== null) {
    const { steps, replay, world, faults } = quiet;
    const way = { steps, switches: switchesOf(world.schedule), replay };
    if (faults.length === 0) found.push({ kind: "OK", by: "run", ...way });
    if (cost !== null && cost.taken > 0 && cost.ns / cost.taken >= SLOW_PART * READ_NS)
      found.push({ kind: "SLOW", by: "run", ...way });
    // Linux prints a lockdep report as a warning.
    if (verdict.lockdep.length > 0 && !found.some(({ kind }) => kind === "WARN"))
      found.push({ kind: "WARN", by: "lockdep", ...way });
  }
  const rank = ({ kind }: CellOutcome) => (kind === "OK" ? SEVERITY.length : SEVERITY.indexOf(kind));
  return {
    guplab: "cell",
    kernel,
    workload,
    scenario: verdict.scenario,
    outcomes: found.sort((a, b) => rank(a) - rank(b)),
    complete: verdict.complete,
    states: verdict.states,
    transitions: verdict.transitions,
    ...(verdict.lockdep.length === 0 ? {} : { lockdep: verdict.lockdep }),
    ...(verdict.vacuous === undefined ? {} : { vacuous: verdict.vacuous }),
    bounds: {
      pages: verdict.pages,
      drivers: verdict.drivers,
      max_states: maxStates,
      walks: verdict.complete ? 0 : WALKS.walks,
    },
    cost,
  };
}
