/**
 * guplab: what a notebook or a program imports.
 *
 * @example
 * import { lab, explore } from "guplab";
 * const run = lab.run("kara-2018", { kernel: "v4.20", seed: 1 });
 * run.plot.pins();
 * explore("kara-2018-quiet").verdict; // "safe"
 */
import { sandboxOf } from "./lab/box.js";
import { check } from "./lab/certificate.js";
import { compare } from "./lab/compare/compare.js";
import { readRecorded } from "./lab/compare/recorded.js";
import { danger } from "./lab/danger.js";
import { explore } from "./lab/explore.js";
import { bisect, kernelDiff } from "./lab/kernels.js";
import { liveness } from "./lab/liveness.js";
import { computeCell } from "./lab/matrix/cell.js";
import { matrix } from "./lab/matrix/matrix.js";
import { orderings } from "./lab/orderings.js";
import { rate, rateModel } from "./lab/rate.js";
import { run } from "./lab/run.js";
import { safety } from "./lab/safety.js";
import { scenarios } from "./lab/scenarios.js";
import { Session } from "./lab/session.js";
import { walks } from "./lab/walks.js";
import { why } from "./lab/why.js";
import { open } from "./lab/world.js";
import { kernels } from "./patches/kernels.js";
import { proposals } from "./patches/proposals/index.js";

/** The laboratory under one name, for notebooks. */
export const lab = {
  run,
  explore,
  check,
  danger,
  orderings,
  rate,
  rateModel,
  liveness,
  safety,
  why,
  walks,
  open,
  sandbox: sandboxOf,
  Session,
  scenarios,
  kernels,
  bisect,
  kernelDiff,
  compare,
  readRecorded,
  matrix,
  computeCell,
  proposals,
};

export { type Beside, beside, besideTable, type Call, realCalls, simulatedCalls } from "./lab/beside.js";
export { type Box, type BoxOptions, type OrderOptions, type OrderResult, sandboxOf } from "./lab/box.js";
export { type Certificate, type Check, type CheckReport, check } from "./lab/certificate.js";
export { type Compared, type Comparison, compare, kernelFor } from "./lab/compare/compare.js";
export { type Recorded, readRecorded } from "./lab/compare/recorded.js";
export { type DangerOfRun, type DangerOptions, type DangerReport, danger } from "./lab/danger.js";
export {
  type ExploreOptions,
  explore,
  type SimplestWay,
  type Verdict,
  type VerdictReport,
  type WitnessStep,
} from "./lab/explore.js";
export { FIO_RUNS, type FioRun, fioModel, fioPair, fioTable } from "./lab/fio.js";
export {
  type Bisection,
  type BisectOptions,
  bisect,
  type Judged,
  kernelDiff,
  patchesOf,
  patchLog,
} from "./lab/kernels.js";
export {
  type EndlessReport,
  type LivenessOfScenario,
  type LivenessOptions,
  type LivenessReport,
  liveness,
} from "./lab/liveness.js";
export { type Cell, type CellOutcome, computeCell } from "./lab/matrix/cell.js";
export { type Criteria, criteriaOf } from "./lab/matrix/criteria.js";
export { type Matrix, type MatrixOptions, matrix } from "./lab/matrix/matrix.js";
export { type Orderings, type OrderingsOptions, type OrderingsReport, orderings } from "./lab/orderings.js";
export {
  type CurveOptions,
  METHODS,
  type Method,
  RateModel,
  type RateModelOptions,
  type RateOf,
  type RateOptions,
  type RateReport,
  rate,
  rateModel,
  type Sensitivity,
  TIMES,
  type TimeName,
  type TimesGiven,
} from "./lab/rate.js";
export { type Plots, plotsOf, type Run, type RunOptions, type RunReport, run } from "./lab/run.js";
export {
  type MissReport,
  type Safety,
  type SafetyOptions,
  type SafetyReport,
  safety,
  type TestReport,
} from "./lab/safety.js";
export type { Parameter, Scenario } from "./lab/scenario.js";
export { scenarios } from "./lab/scenarios.js";
export { Session } from "./lab/session.js";
export { type Walks, type WalksOptions, type WalksReport, walks } from "./lab/walks.js";
export { type Cause, type Why, type WhyOptions, type WhyReport, why } from "./lab/why.js";
export { open, World, type WorldOptions } from "./lab/world.js";
export { show } from "./notebook/display.js";
export { assemble, findKernel, type KernelVersion, kernels, patches } from "./patches/kernels.js";
export type { Patch } from "./patches/patch.js";
export { proposals } from "./patches/proposals/index.js";
export type { Cost, Proposal, Remark } from "./patches/proposals/proposal.js";
export * from "./plot/index.js";
export * from "./trace/ftrace.js";
export * from "./trace/history.js";
export * from "./trace/recording.js";
export * from "./trace/words.js";
