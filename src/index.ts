/**
 * guplab: what a notebook or a program imports.
 *
 * @example
 * import { lab, explore } from "guplab";
 * const run = lab.run("kara-2018", { kernel: "v4.20", seed: 1 });
 * run.plot.pins();
 * explore("kara-2018-quiet").verdict; // "safe"
 */
/** The laboratory under one name, for notebooks. */

export type { Kernel, Table } from "./kernel/kernel.js";
export * from "./kernel/language.js";
// The words in which a patch is written: what edits make of paths, what nodes are made of, and what the kernel's functions say of a page.
export { compound_head } from "./kernel/mm/compound.js";
export {
  get_page,
  get_page_unless_zero,
  PageActive,
  PageDirty,
  PageLocked,
  PageLRU,
  PageReclaim,
  PageReferenced,
  PageSwapBacked,
  PageSwapCache,
  PageUnevictable,
  PageUptodate,
  PageWriteback,
  page_count,
  page_has_private,
  page_is_file_cache,
  page_mapped,
} from "./kernel/mm/page.js";
export { put_page } from "./kernel/mm/swap.js";
export * from "./kernel/types.js";
export {
  type ArticleOptions,
  article,
  articleText,
  type Claim,
  type ClaimRate,
  type ClaimResult,
  type ClaimSearch,
  claims,
  type RatedReport,
  type Shows,
  type Told,
  type ToldReport,
} from "./lab/article.js";
export { type Beside, beside, besideTable, type Call, realCalls, simulatedCalls } from "./lab/beside.js";
export { type Box, type BoxOptions, type OrderOptions, type OrderResult, sandboxOf } from "./lab/box.js";
export type { Certificate, Check, CheckReport } from "./lab/certificate.js";
export { type Compared, type Comparison, compare, kernelFor } from "./lab/compare/compare.js";
export { type Recorded, readRecorded } from "./lab/compare/recorded.js";
export { type DangerOfRun, type DangerOptions, type DangerReport, danger } from "./lab/danger.js";
export {
  type DriverCell,
  type DriverCheck,
  type DriverOptions,
  type DriverReport,
  driver,
  SITUATIONS,
} from "./lab/driver.js";
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
export * as lab from "./lab/lab.js";
export {
  type EndlessReport,
  type LivenessOfScenario,
  type LivenessOptions,
  type LivenessReport,
  liveness,
} from "./lab/liveness.js";
export { type Cell, type CellOutcome, computeCell } from "./lab/matrix/cell.js";
export { type Criteria, criteriaOf } from "./lab/matrix/criteria.js";
export { type Matrix, type MatrixOptions, matrix, readMatrix } from "./lab/matrix/matrix.js";
export { type CellChange, type Story, storiesOf, storyText } from "./lab/matrix/stories.js";
export { cellText, criteriaText } from "./lab/matrix/text.js";
export { type MomentPlots, type PageMoment, worldAt } from "./lab/moments.js";
export { type Orderings, type OrderingsOptions, type OrderingsReport, orderings } from "./lab/orderings.js";
export type { KernelName } from "./lab/own_patches.js";
export { kernelOf } from "./lab/own_patches.js";
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
export {
  type OtherRun,
  type PlotName,
  type Plots,
  plotsOf,
  type Run,
  type RunOptions,
  type RunReport,
  run,
  runOf,
} from "./lab/run.js";
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
export {
  type Change,
  makeKernel,
  type OwnPatch,
  replayWith,
  type TriedOn,
  type TriedOnReport,
  type TriedReport,
  type WayToFault,
  type Workbench,
  type WorkbenchOptions,
  type WorkbenchReport,
  workbench,
} from "./lab/workbench.js";
export { driverCalls } from "./lab/workloads/pattern.js";
export { open, World, type WorldOptions } from "./lab/world.js";
export { fixed, i16, i32, observed, struct, total, u8, u16, u32 } from "./machine/memory.js";
export {
  after,
  around,
  becomes,
  before,
  type Edit,
  locals,
  recall,
  remove,
  replace,
} from "./machine/patch.js";
export { show } from "./notebook/display.js";
export { type PngOptions, picture, toPng } from "./notebook/png.js";
export { assemble, type KernelVersion, kernels, patches } from "./patches/kernels.js";
export type { Patch } from "./patches/patch.js";
export { proposals } from "./patches/proposals/index.js";
export type { Cost, Proposal, Remark } from "./patches/proposals/proposal.js";
export { page_dma_pinned } from "./patches/proposals/tracking.js";
export { trackings } from "./patches/proposals/trackings.js";
export { page_maybe_dma_pinned } from "./patches/track_foll_pin.js";
export * from "./plot/index.js";
export * from "./trace/ftrace.js";
export * from "./trace/history.js";
export * from "./trace/recording.js";
export * from "./trace/words.js";
