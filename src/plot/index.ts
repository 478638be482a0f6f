/** Figures from recordings, and the ways to show them. */
export { type Chances, chances, type Region } from "./chances.js";
export { type DangerMoment, type DangerStory, dangerLanes } from "./danger.js";
export { DIRTY_CLASSES, type DirtyClass, type DirtyWords, dirtyClass, dirtyStates } from "./dirty.js";
export { mimeBundle } from "./display.js";
export { DISPLAY, type Figure, type Layout, type MimeBundle, type Trace } from "./figure.js";
export { reclaimFlow, reclaimWays, type Way } from "./flow.js";
export { heat } from "./heat.js";
export { type PageOptions, toHtml, toPage } from "./html.js";
export { lanes } from "./lanes.js";
export { pageLife } from "./life.js";
export { type PinOptions, pinCounts } from "./pins.js";
export { type Curve, type MeanTimes, meanTimes, type Tornado, tornado } from "./rates.js";
export { reclaimProgress } from "./reclaim.js";
export { type SvgOptions, toSvg } from "./svg.js";
export { type TerminalOptions, toTerminal } from "./terminal.js";
export type { AxisOptions } from "./timeline.js";
export { type CauseStory, whyChain } from "./why.js";
