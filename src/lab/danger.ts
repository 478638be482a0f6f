/**
 * The danger along a run: after which of its steps a fault can still be reached, from which on it can no longer be avoided
 * (the point of no return), and after which it is impossible.
 */
import { dangerAlong, dangerOf, type RunDanger, type Status } from "../explore/danger.js";
import { backward, type Faults, isWhole } from "../explore/graph.js";
import { parseSchedule } from "../machine/schedule.js";
import { dangerLanes, type Figure } from "../plot/index.js";
import type { FaultKind } from "../trace/recording.js";
import { namedSteps, type WitnessStep } from "./explore.js";
import { type Bounds, mapOf, refuseOrders } from "./graphs.js";
import { isFault, SEVERITY } from "./outcomes.js";
import { run } from "./run.js";
import { columns } from "./text.js";
import { applySchedule, open, parseReplay } from "./world.js";

export interface DangerOptions extends Bounds {
  /** Which kind of fault; default the worst that the run has, or else the worst that can be reached. */
  readonly kind?: string;
}

/** What `guplab danger --json` prints. */
export interface DangerReport extends Pick<RunDanger, "certainFrom" | "impossibleFrom" | "happenedAt"> {
  readonly replay: string;
  readonly kind: FaultKind;
  /** Whether the search saw every state: if not, "unknown" may stand where the whole would say more. */
  readonly complete: boolean;
  readonly states: number;
  /** What is so before the first step. */
  readonly start: { readonly status: Status; readonly stepsToFault: number | null };
  /** The steps of the run, each with what is so after it, and how many steps at least lead to the fault from there. */
  readonly steps: readonly (WitnessStep & {
    readonly status: Status;
    readonly stepsToFault: number | null;
  })[];
}

export interface DangerOfRun extends DangerReport {
  /** The run's lanes, coloured by what is so after each step, with the point of no return. */
  figure(): Figure;
  toJSON(): DangerReport;
  toString(): string;
}

/** @throws Error with one sentence when there is no such kind */
export function readKind(asked: string): FaultKind {
  const kind = SEVERITY.find((each) => each === asked.toUpperCase());
  if (kind === undefined)
    throw new Error(`there is no kind of fault "${asked}"; known: ${SEVERITY.join(", ")}`);
  return kind;
}

/** The kind that is asked for, or the worst there is. @throws Error with one sentence when it was not found */
export function kindFor(asked: FaultKind | undefined, own: readonly FaultKind[], faults: Faults): FaultKind {
  const known = SEVERITY.filter((kind) => faults.has(kind));
  if (asked !== undefined) {
    if (known.includes(asked)) return asked;
    throw new Error(
      `no ${asked} was found here; ${known.length > 0 ? `found: ${known.join(", ")}` : "nothing goes wrong"}`,
    );
  }
  const worst =
    SEVERITY.find((kind) => own.includes(kind) && faults.has(kind) && isFault(kind)) ?? known.find(isFault);
  if (worst === undefined) throw new Error("no fault was found here: there is no danger to tell of");
  return worst;
}

const BEYOND: Readonly<Record<Status, string>> = {
  possible: "possible",
  certain: "CERTAIN",
  impossible: "impossible",
  happened: "happened",
  unknown: "not known",
};

function textOf(report: DangerReport): string {
  const { kind, start, steps, certainFrom, impossibleFrom, happenedAt } = report;
  const stepName = (tick: number): string => {
    const { task, path, step } = steps[tick - 1];
    return `step ${tick} (${task}, ${path}: ${step})`;
  };
  const sentences = [
    certainFrom === null || certainFrom === happenedAt
      ? []
      : certainFrom === 0
        ? [`${kind} is certain from the start: no way avoids it.`]
        : [`The point of no return is ${stepName(certainFrom)}: after it no way avoids ${kind}.`],
    impossibleFrom === null
      ? []
      : impossibleFrom === 0
        ? [`${kind} cannot be reached from the start.`]
        : [`After ${stepName(impossibleFrom)} no way leads to ${kind}.`],
    happenedAt === null || happenedAt === 0 ? [] : [`${kind} happens in ${stepName(happenedAt)}.`],
    report.complete ? [] : ["The search was cut short: what is not known would take all of it."],
  ].flat();
  const rows = [
    ["0", "", "", "the start", start],
    ...steps.map((step, at) => [String(at + 1), step.task, step.path, step.step, step] as const),
  ].map(([tick, task, path, step, moment]) => {
    const { status, stepsToFault } = moment as DangerReport["start"];
    const left = stepsToFault === null || status === "happened" ? "" : String(stepsToFault);
    return [tick, BEYOND[status], left, task, path, step] as string[];
  });
  return [
    `The danger of ${kind} along ${report.replay}`,
    `bound: ${report.complete ? "every interleaving" : "not every interleaving"}, ${report.states} states`,
    ...sentences,
    "",
    columns([["", kind, "steps to it", "task", "path", "step"], ...rows], [0, 2]),
  ].join("\n");
}

/** A report as lanes. @throws Error with one sentence when the run has no step */
export function dangerFigure(report: DangerReport): Figure {
  if (report.steps.length === 0) throw new Error("this run has no step: there is nothing to draw");
  return dangerLanes(run(report.replay).recording, report);
}

/**
 * The danger along a run, from a search of all that could have happened instead.
 *
 * @param replay the run's replay line
 * @throws Error with one sentence when the line does not fit, or nothing can go wrong
 * @example danger("dio-write-race@v4.20:w10t1m2").certainFrom // 11
 */
export function danger(replay: string, options: DangerOptions = {}): DangerOfRun {
  const asked = options.kind === undefined ? undefined : readKind(options.kind);
  const parsed = parseReplay(replay);
  const world = open(parsed.scenario, { kernel: parsed.kernel, record: false });
  const schedule = parseSchedule(parsed.schedule, world.letters, world.inputs);
  refuseOrders(world);
  applySchedule(world, parsed.schedule);
  const { graph, faults } = mapOf(parsed.scenario, parsed.kernel, options);
  const own = world.faults.map(({ kind }) => kind);
  const kind = kindFor(asked, own, faults);
  const places = faults.get(kind);
  if (!places) throw new Error(`danger: no places of ${kind}`);
  const along = dangerAlong(graph, places, dangerOf(graph, backward(graph), places), schedule);
  const [start, ...moments] = along.moments.map(({ status, steps }) => ({ status, stepsToFault: steps }));
  const report: DangerReport = {
    replay: world.replay,
    kind,
    complete: isWhole(graph),
    states: graph.states,
    certainFrom: along.certainFrom,
    impossibleFrom: along.impossibleFrom,
    happenedAt: along.happenedAt,
    start,
    steps: namedSteps(world.name, world.kernel.name, schedule).map((step, at) => ({
      ...step,
      ...moments[at],
    })),
  };
  return {
    ...report,
    figure: () => dangerFigure(report),
    toJSON: () => report,
    toString: () => textOf(report),
  };
}
