/** Lanes: who did what when, a row for each task. */
import { MARK, type Recording } from "../trace/recording.js";
import { WORD } from "../trace/words.js";
import { compose, type Panel, type PanelTrace } from "./compose.js";
import { MAX_POINTS } from "./downsample.js";
import { type Annotation, COLOR, type Figure } from "./figure.js";
import { Spans, spanLine } from "./spans.js";
import { textWidth } from "./text.js";
import { type AxisOptions, type Timeline, timeline } from "./timeline.js";

/** Above this many steps their names no longer fit beside them. */
const MAX_NAMED = 72;
const NAME_SIZE = 10;
/** Steep enough that names 11 pixels apart do not touch. */
const NAME_ANGLE = -65;

export interface Lane {
  readonly task: number;
  readonly name: string;
  readonly y: number;
}

/**
 * A lane for each task that did anything: a tick for each step, a thick line while it waits, faults marked. With few
 * steps (a schedule that the explorer found) each is named; with many, the pointer names them.
 *
 * @example lanes(recording)
 */
export function lanes(recording: Recording, options: AxisOptions = {}): Figure {
  const { line, rows, steps, named, panel } = frameOf(recording, options);
  const traces = laneTraces(recording, line, rows, steps);
  const has = (name: string): boolean => traces.some((trace) => trace.name === name);
  return compose({
    kind: "lanes",
    title: "Who ran when",
    info: recording.info,
    timeline: line,
    hovermode: "closest",
    panels: [{ ...panel, traces }],
    caption: `A row for each task${named ? ", its steps named" : `; ${steps.length} steps, one tick each`}. ${
      has("waiting") ? "A thick grey line: the task waits. " : ""
    }${has("fault") ? "A cross: a fault." : ""}`.trim(),
  });
}

/** Waits, steps and faults in the lanes. */
export function laneTraces(
  recording: Recording,
  line: Timeline,
  rows: readonly Lane[],
  steps = new Steps(recording, line, rows),
): PanelTrace[] {
  const waits = waitsOf(recording, line, rows);
  const faults = faultsOf(recording, line, rows);
  return [
    ...(waits.x.length > 0 ? [waitTrace(waits)] : []),
    stepTrace(
      steps.length <= MAX_NAMED ? steps.all() : thin(steps, line, 1 + Math.max(0, ...rows.map(({ y }) => y))),
    ),
    ...(faults.length > 0 ? [faultTrace(faults)] : []),
  ];
}

/** A lane for each task, with its steps and the room for their names: what every figure with lanes begins with. */
export function frameOf(recording: Recording, options: AxisOptions = {}) {
  const whole = timeline(recording, options);
  const rows = lanesOf(recording);
  const steps = new Steps(recording, whole, rows);
  const named = steps.length <= MAX_NAMED;
  const points = named ? steps.all() : [];
  // Room that the names need above a lane and to the right of the last step.
  const longest = Math.max(0, ...points.map(({ step }) => textWidth(step, NAME_SIZE)));
  const rise = named ? 12 + 0.91 * longest : 0;
  const rowHeight = 34 + rise;
  const line: Timeline = { ...whole, end: whole.end + ((whole.end - whole.start) * 0.45 * longest) / 780 };
  const panel: Omit<Panel, "traces"> = {
    title: "",
    height: rows.length * rowHeight,
    range: [-17 / rowHeight, rows.length - 17 / rowHeight],
    ticks: { values: rows.map(({ y }) => y), labels: rows.map(({ name }) => name) },
    annotations: points.map(stepName),
  };
  return { line, rows, steps, named, panel };
}

/** Tasks that ran, first to run on top. */
export function lanesOf(recording: Recording): Lane[] {
  const order = new Set<number>();
  const { tasks } = recording.info;
  for (let i = 0; i < recording.length && order.size < tasks.length; i++)
    if (!isMark(recording, i)) order.add(recording.task[i]);
  return [...order].map((task, row) => {
    const { name, letter } = recording.info.tasks[task];
    return { task, name: letter === "" ? name : `${letter} ${name}`, y: order.size - 1 - row };
  });
}

const isMark = (recording: Recording, i: number): boolean =>
  recording.info.steps[recording.step[i]].path === MARK;

export interface StepPoint {
  readonly x: number;
  readonly y: number;
  readonly step: string;
  readonly text: string;
}

/** The steps of a recording, one for each tick of a task: what it did at once, named after the first of it. */
class Steps {
  /** The event that each begins with. */
  private readonly first: Int32Array;
  private readonly y: ReadonlyMap<number, number>;
  readonly length: number;

  constructor(
    private readonly recording: Recording,
    private readonly line: Timeline,
    rows: readonly Lane[],
  ) {
    this.y = new Map(rows.map((row) => [row.task, row.y]));
    const { word, task } = recording;
    const first = new Int32Array(recording.length);
    let n = 0;
    for (let i = 0; i < recording.length; i++) {
      if (word[i] !== WORD.step || isMark(recording, i)) continue;
      const last = first[n - 1];
      if (n === 0 || line.at[last] !== line.at[i] || task[last] !== task[i]) first[n++] = i;
    }
    this.first = first.subarray(0, n);
    this.length = n;
  }

  x(nr: number): number {
    return this.line.at[this.first[nr]];
  }

  row(nr: number): number {
    return this.y.get(this.recording.task[this.first[nr]])!;
  }

  point(nr: number): StepPoint {
    const { info, step, pfn, word } = this.recording;
    const first = this.first[nr];
    const { path, step: name } = info.steps[step[first]];
    const page = pfn[first] >= 0 ? ` page 0x${pfn[first].toString(16)}` : "";
    let text = `${path === name ? name : `${path}: ${name}`}${page}`;
    const end = nr + 1 < this.length ? this.first[nr + 1] : this.recording.length;
    for (let i = first + 1; i < end; i++)
      if (word[i] === WORD.step && !isMark(this.recording, i)) text += `, ${info.steps[step[i]].step}`;
    return { x: this.x(nr), y: this.row(nr), step: name, text };
  }

  all(): StepPoint[] {
    return Array.from({ length: this.length }, (_, nr) => this.point(nr));
  }
}

/** Of steps of one lane that fall on the same half pixel or so the first is drawn, and says how many more there are. */
function thin(steps: Steps, line: Timeline, rows: number): StepPoint[] {
  const columns = Math.min(1800, Math.floor(MAX_POINTS / rows));
  if (steps.length <= columns) return steps.all();
  const firsts = new Int32Array(rows * columns).fill(-1);
  const more = new Int32Array(rows * columns);
  for (let nr = 0; nr < steps.length; nr++) {
    const column = Math.floor(((steps.x(nr) - line.start) / (line.end - line.start)) * columns);
    const cell = steps.row(nr) * columns + Math.min(columns - 1, column);
    if (firsts[cell] < 0) firsts[cell] = nr;
    else more[cell]++;
  }
  const kept = [...firsts.keys()].filter((cell) => firsts[cell] >= 0).sort((a, b) => firsts[a] - firsts[b]);
  return kept.map((cell) => {
    const point = steps.point(firsts[cell]);
    return more[cell] === 0 ? point : { ...point, text: `${point.text} and ${more[cell]} more` };
  });
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
    xshift: 2,
    yshift: 8,
    showarrow: false,
    align: "left",
    font: { size: NAME_SIZE, color: COLOR.ink },
    textangle: NAME_ANGLE,
  };
}

/** Waits as segments; one that never ends reaches to the end of the recording. */
function waitsOf(recording: Recording, line: Timeline, rows: readonly Lane[]) {
  const waits = new Map(rows.map(({ task, y }) => [task, { y, spans: new Spans([line.start, line.end]) }]));
  for (let i = 0; i < recording.length; i++) {
    if (recording.word[i] !== WORD.wait) continue;
    const { spans } = waits.get(recording.task[i])!;
    if (recording.value[i] === 1) spans.open(line.at[i]);
    if (recording.value[i] === 0) spans.close(line.at[i]);
  }
  for (const { spans } of waits.values()) spans.close(line.end);
  return spanLine([...waits.values()]);
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

function faultsOf(recording: Recording, line: Timeline, rows: readonly Lane[]): StepPoint[] {
  const y = new Map(rows.map(({ name, task, y }) => [task, { name, y }]));
  const points: StepPoint[] = [];
  for (let i = 0; i < recording.length; i++) {
    if (recording.word[i] !== WORD.fault) continue;
    const { kind, step, message } = recording.info.faults[recording.value[i]];
    points.push({ x: line.at[i], y: y.get(recording.task[i])!.y, step, text: `${kind} ${message}` });
  }
  return points;
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
