/** Lanes: who did what when, a row for each task. */
import type { Recording } from "../trace/recording.js";
import { WORD } from "../trace/words.js";
import { busyTraces, eachWait } from "./busy.js";
import { compose, narrowestAxis, type Panel, type PanelTrace } from "./compose.js";
import { type Annotation, COLOR, type Figure } from "./figure.js";
import { Spans, spanLine } from "./spans.js";
import { type Lane, lanesOf, type StepPoint, Steps } from "./steps.js";
import { textWidth } from "./text.js";
import { type AxisOptions, type Timeline, timeline } from "./timeline.js";

/** Above this many steps their names no longer fit beside them. */
const MAX_NAMED = 72;
/** Above this many steps a tick for each is too much: plotly makes an element of each, and they lie on top of each other. */
const MAX_TICKS = 1000;
/** Faults nearer to each other than a part of the axis are one cross where there are a great many. */
const FAULT_COLUMNS = 200;
const NAME_SIZE = 10;
const NAME_ANGLE = -65;
/** Pixels from one name to the next along a lane, so that turned as they are they do not touch. */
const NAME_APART = 13;

/**
 * A lane for each task that did anything: a tick for each step, a thick line while it waits, faults marked. With few
 * steps (a schedule that the explorer found) each is named; with many, the pointer names them; with a great many a lane is as
 * dark as its task is busy, and the pointer names the steps of who zooms in.
 *
 * @example lanes(recording)
 */
export function lanes(recording: Recording, options: AxisOptions = {}): Figure {
  const { line, rows, rowHeight, steps, named, panel } = frameOf(recording, options);
  const traces = laneTraces(recording, line, rows, rowHeight, steps);
  const has = (name: string): boolean => traces.some((trace) => trace.name === name);
  const told = named
    ? `, ${named}.`
    : steps.length <= MAX_TICKS
      ? `; ${steps.length} steps, one tick each.`
      : `; ${steps.length} steps: the darker, the more of the steps that are made meanwhile are this task's.`;
  return compose({
    kind: "lanes",
    title: "Who ran when",
    info: recording.info,
    timeline: line,
    hovermode: "closest",
    panels: [{ ...panel, traces }],
    caption: [
      `A row for each task${told}`,
      ...(has("waiting") || has("waits") ? ["Grey: the task waits."] : []),
      ...(has("fault") ? ["A cross: a fault."] : []),
    ].join(" "),
  });
}

/**
 * Waits, steps and faults in the lanes: each step as a tick, or how busy each task is where there are a great many.
 *
 * @param rowHeight pixels from one lane to the next
 */
export function laneTraces(
  recording: Recording,
  line: Timeline,
  rows: readonly Lane[],
  rowHeight: number,
  steps = new Steps(recording, line, rows),
): PanelTrace[] {
  const faults = faultsOf(recording, line, rows);
  const crosses = faults.length > 0 ? [faultTrace(faults)] : [];
  if (steps.length > MAX_TICKS) return [...busyTraces(recording, line, rows, steps, rowHeight), ...crosses];
  const waits = waitsOf(recording, line, rows);
  return [...(waits.x.length > 0 ? [waitTrace(waits)] : []), stepTrace(steps.all()), ...crosses];
}

/**
 * A lane for each task, with its steps and the room for their names: what every figure with lanes begins with.
 *
 * @param first x of steps that get a name before others do; steps with a fault do anyway
 */
export function frameOf(recording: Recording, options: AxisOptions = {}, first: readonly number[] = []) {
  const whole = timeline(recording, options);
  const rows = lanesOf(recording);
  const steps = new Steps(recording, whole, rows);
  const points = steps.length <= MAX_NAMED ? steps.all() : [];
  // Room that the names need above a lane and to the right of the last step.
  const longest = Math.max(0, ...points.map(({ step }) => textWidth(step, NAME_SIZE)));
  const rise = points.length > 0 ? 12 + 0.91 * longest : 0;
  const rowHeight = 34 + rise;
  const line: Timeline = { ...whole, end: whole.end + ((whole.end - whole.start) * 0.45 * longest) / 780 };
  const labels = rows.map(({ name }) => name);
  const apart = (NAME_APART * (line.end - line.start)) / narrowestAxis(labels);
  const faults = points.length > 0 ? faultsOf(recording, line, rows) : [];
  const shown = withRoom(points, new Set([...faults.map(({ x }) => x), ...first]), apart);
  const named =
    points.length === 0
      ? ""
      : shown.length === points.length
        ? "its steps named"
        : "those of its steps named that have room";
  const panel: Omit<Panel, "traces"> = {
    title: "",
    height: rows.length * rowHeight,
    range: [-17 / rowHeight, rows.length - 17 / rowHeight],
    ticks: { values: rows.map(({ y }) => y), labels },
    annotations: shown.map(stepName),
  };
  return { line, rows, rowHeight, steps, named, panel };
}

/** The steps that are at least `apart` from each other in their lanes; `first` go before others, which come from left to right. */
function withRoom(points: readonly StepPoint[], first: ReadonlySet<number>, apart: number): StepPoint[] {
  const shown: StepPoint[] = [];
  for (const point of [...points.filter(({ x }) => first.has(x)), ...points.filter(({ x }) => !first.has(x))])
    if (shown.every(({ x, y }) => y !== point.y || Math.abs(x - point.x) >= apart)) shown.push(point);
  return shown.sort((a, b) => a.x - b.x);
}

function stepTrace(steps: readonly StepPoint[]): PanelTrace {
  return {
    name: "step",
    mode: "markers",
    x: steps.map(({ x }) => x),
    y: steps.map(({ y }) => y),
    text: steps.map(({ text }) => text),
    hovertemplate: "%{text}<extra></extra>",
    marker: { symbol: "line-ns-open", size: 14, color: COLOR.blue, line: { width: 1, color: COLOR.blue } },
    showlegend: true,
  };
}

function stepName({ x, y, step }: StepPoint): Omit<Annotation, "yref"> {
  return {
    text: step,
    x,
    y,
    xref: "x",
    xanchor: "left",
    yanchor: "bottom",
    xshift: -7,
    yshift: 8,
    showarrow: false,
    align: "left",
    font: { size: NAME_SIZE, color: COLOR.ink },
    textangle: NAME_ANGLE,
  };
}

/** Waits as segments. */
function waitsOf(recording: Recording, line: Timeline, rows: readonly Lane[]) {
  const waits = rows.map(({ y }) => ({ y, spans: new Spans([line.start, line.end]) }));
  const at = new Map(waits.map(({ y, spans }) => [y, spans]));
  eachWait(recording, line, rows, (y, from, to) => {
    at.get(y)!.open(from);
    at.get(y)!.close(to);
  });
  return spanLine(waits);
}

function waitTrace({ x, y }: ReturnType<typeof waitsOf>): PanelTrace {
  return {
    name: "waiting",
    mode: "lines",
    x,
    y,
    hoverinfo: "skip",
    line: { color: COLOR.grey, width: 9, shape: "linear" },
    showlegend: true,
  };
}

/** Faults in their lanes; of a great many, those that fall on the same place are one. */
function faultsOf(recording: Recording, line: Timeline, rows: readonly Lane[]): StepPoint[] {
  const y = new Map(rows.map((row) => [row.task, row.y]));
  const points: StepPoint[] = [];
  for (let i = 0; i < recording.length; i++) {
    if (recording.word[i] !== WORD.fault) continue;
    const { kind, step, message } = recording.info.faults[recording.value[i]];
    points.push({ x: line.at[i], y: y.get(recording.task[i])!, step, text: `${kind} ${message}` });
  }
  if (points.length <= MAX_TICKS) return points;
  const places = new Map<number, { point: StepPoint; more: number }>();
  for (const point of points) {
    const column = Math.floor(((point.x - line.start) / (line.end - line.start)) * FAULT_COLUMNS);
    const place = point.y * FAULT_COLUMNS + column;
    const known = places.get(place);
    if (known === undefined) places.set(place, { point, more: 0 });
    else known.more++;
  }
  return [...places.values()].map(({ point, more }) =>
    more === 0 ? point : { ...point, text: `${point.text} and ${more} more` },
  );
}

function faultTrace(faults: readonly StepPoint[]): PanelTrace {
  return {
    name: "fault",
    mode: "markers",
    x: faults.map(({ x }) => x),
    y: faults.map(({ y }) => y),
    text: faults.map(({ text }) => text),
    hovertemplate: "%{text}<extra></extra>",
    marker: { symbol: "x", size: 9, color: COLOR.vermillion },
    showlegend: true,
  };
}
