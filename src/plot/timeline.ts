/**
 * The x axis of a figure: where each event of a recording lies, and the marks and faults along it.
 *
 * Simulated runs have ticks (one step of one task). A real trace bursts: thousands of events within milliseconds, then
 * seconds of nothing. Its figures therefore run by default over the order of the events, which is also what
 * a tick is; `axis: "time"` gives seconds.
 */
import { type Fault, MARK, type Recording } from "../trace/recording.js";
import { WORD } from "../trace/words.js";

/** Options that every figure takes. */
export interface AxisOptions {
  /** "time": the recording's own unit. "order": the number of steps so far. Default: "time" for ticks, "order" for seconds. */
  readonly axis?: "time" | "order";
}

/** A text that the workload wrote into its recording. */
export interface Mark {
  readonly x: number;
  /** In the recording's unit, whatever the axis. */
  readonly time: number;
  readonly text: string;
}

/** Faults of the same kind at the same step that follow each other, as one. */
export interface FaultGroup {
  readonly x: number;
  readonly fault: Fault;
  readonly count: number;
}

export interface Timeline {
  /** x of each event. */
  readonly at: Float64Array;
  readonly start: number;
  /** One step beyond the last event, so that what the last step did can be seen. */
  readonly end: number;
  readonly title: string;
  readonly marks: readonly Mark[];
  readonly faults: readonly FaultGroup[];
  /** Whether x is the time of a run, or the order of its events: figures of one run move together along it. */
  readonly timed: boolean;
}

/** An axis that is no run's time: of a diagram, a table, a parameter. */
export const axisOf = (start: number, end: number, title: string): Timeline => ({
  at: new Float64Array(0),
  start,
  end,
  title,
  marks: [],
  faults: [],
  timed: false,
});

/**
 * Lay a recording out along an axis.
 *
 * @param pages where given, only faults of these pages (or of no page) are on the axis
 * @throws Error when the recording holds no event
 */
export function timeline(
  recording: Recording,
  options: AxisOptions = {},
  pages?: ReadonlySet<number>,
): Timeline {
  if (recording.length === 0) throw new Error("The recording is empty: there is nothing to draw.");
  const axis = options.axis ?? (recording.info.timeUnit === "s" ? "order" : "time");
  const at = axis === "time" ? recording.time : orderOf(recording);
  const seconds = recording.info.timeUnit === "s";
  return {
    at,
    start: at[0],
    end: at[recording.length - 1] + (axis === "time" && seconds ? 1e-6 : 1),
    title:
      axis === "order"
        ? "order of events"
        : seconds
          ? "time (s)"
          : "time (ticks: one tick is one step of one task)",
    marks: marksOf(recording, at),
    faults: faultsOf(recording, at, pages),
    timed: true,
  };
}

/** Number of step events before each event: the words that a step wrote lie at the step. */
function orderOf(recording: Recording): Float64Array {
  const order = new Float64Array(recording.length);
  let steps = 0;
  for (let i = 0; i < recording.length; i++) {
    if (recording.word[i] === WORD.step) steps++;
    order[i] = steps;
  }
  return order;
}

/** The workload's numbered steps ("STEP 2 fdatasync: ..."). */
function marksOf(recording: Recording, at: Float64Array): Mark[] {
  const marks: Mark[] = [];
  for (let i = 0; i < recording.length; i++) {
    if (recording.word[i] !== WORD.step) continue;
    const { path, step } = recording.info.steps[recording.step[i]];
    if (path === MARK && step.startsWith("STEP "))
      marks.push({ x: at[i], time: recording.time[i], text: step.slice("STEP ".length) });
  }
  return marks;
}

function faultsOf(recording: Recording, at: Float64Array, pages?: ReadonlySet<number>): FaultGroup[] {
  const groups: { x: number; fault: Fault; count: number }[] = [];
  for (let i = 0; i < recording.length; i++) {
    if (recording.word[i] !== WORD.fault) continue;
    const fault = recording.info.faults[recording.value[i]];
    if (pages !== undefined && fault.pfn >= 0 && !pages.has(fault.pfn)) continue;
    const last = groups.at(-1);
    if (last !== undefined && last.fault.kind === fault.kind && last.fault.step === fault.step) last.count++;
    else groups.push({ x: at[i], fault, count: 1 });
  }
  return groups;
}
