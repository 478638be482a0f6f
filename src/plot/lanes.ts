/** Lanes: who did what when, a row for each task. */
import { MARK, type Recording } from "../trace/recording.js";
import { WORD } from "../trace/words.js";
import { compose, type Panel, type PanelTrace } from "./compose.js";
import { MAX_POINTS } from "./downsample.js";
import { type Annotation, COLOR, type Figure } from "./figure.js";
import { textWidth } from "./text.js";
import { type AxisOptions, type Timeline, timeline } from "./timeline.js";

/** Above this many steps their names no longer fit beside them. */
const MAX_NAMED = 72;
const NAME_SIZE = 10;
/** Steep enough that names 11 pixels apart do not touch. */
const NAME_ANGLE = -65;

interface Lane {
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
  const waits = waitsOf(recording, line, rows);
  const faults = faultsOf(recording, line, rows);
  return compose({
    kind: "lanes",
    title: "Who ran when",
    info: recording.info,
    timeline: line,
    hovermode: "closest",
    panels: [
      {
        ...panel,
        traces: [
          ...(waits.x.length > 0 ? [waitTrace(waits)] : []),
          stepTrace(named ? steps : thin(steps, line, rows.length)),
          ...(faults.length > 0 ? [faultTrace(faults)] : []),
        ],
      },
    ],
    caption: `A row for each task${named ? ", its steps named" : `; ${steps.length} steps, one tick each`}. ${
      waits.x.length > 0 ? "A thick grey line: the task waits. " : ""
    }${faults.length > 0 ? "A cross: a fault." : ""}`.trim(),
  });
}

/** A lane for each task, with its steps and the room for their names: what every figure with lanes begins with. */
export function frameOf(recording: Recording, options: AxisOptions = {}) {
  const whole = timeline(recording, options);
  const rows = lanesOf(recording);
  const steps = stepsOf(recording, whole, rows);
  const named = steps.length <= MAX_NAMED;
  // Room that the names need above a lane and to the right of the last step.
  const longest = named ? Math.max(0, ...steps.map(({ step }) => textWidth(step, NAME_SIZE))) : 0;
  const rise = named ? 12 + 0.91 * longest : 0;
  const rowHeight = 34 + rise;
  const line: Timeline = { ...whole, end: whole.end + ((whole.end - whole.start) * 0.45 * longest) / 780 };
  const panel: Omit<Panel, "traces"> = {
    title: "",
    height: rows.length * rowHeight,
    range: [-17 / rowHeight, rows.length - 17 / rowHeight],
    ticks: { values: rows.map(({ y }) => y), labels: rows.map(({ name }) => name) },
    annotations: named ? steps.map(stepName) : [],
  };
  return { line, rows, steps, named, panel };
}

/** Tasks that ran, first to run on top. */
function lanesOf(recording: Recording): Lane[] {
  const order = new Set<number>();
  for (let i = 0; i < recording.length; i++) if (!isMark(recording, i)) order.add(recording.task[i]);
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

/** One point for each tick of a task: what it did at once, named after the first of it. */
function stepsOf(recording: Recording, line: Timeline, rows: readonly Lane[]): StepPoint[] {
  const y = new Map(rows.map((row) => [row.task, row.y]));
  const points: StepPoint[] = [];
  for (let i = 0; i < recording.length; i++) {
    if (recording.word[i] !== WORD.step || isMark(recording, i)) continue;
    const { path, step } = recording.info.steps[recording.step[i]];
    const last = points.at(-1);
    if (last !== undefined && last.x === line.at[i] && last.y === y.get(recording.task[i])) {
      points[points.length - 1] = { ...last, text: `${last.text}, ${step}` };
      continue;
    }
    const page = recording.pfn[i] >= 0 ? ` page 0x${recording.pfn[i].toString(16)}` : "";
    const text = `${path === step ? step : `${path}: ${step}`}${page}`;
    points.push({ x: line.at[i], y: y.get(recording.task[i])!, step, text });
  }
  return points;
}

/** Of steps of one lane that fall on the same half pixel or so the first is drawn, and says how many more there are. */
function thin(steps: readonly StepPoint[], line: Timeline, rows: number): StepPoint[] {
  const columns = Math.min(1800, Math.floor(MAX_POINTS / rows));
  if (steps.length <= columns) return [...steps];
  const cells = new Map<string, { point: StepPoint; more: number }>();
  for (const point of steps) {
    const key = `${point.y} ${Math.floor(((point.x - line.start) / (line.end - line.start)) * columns)}`;
    const cell = cells.get(key);
    if (cell === undefined) cells.set(key, { point, more: 0 });
    else cell.more++;
  }
  return [...cells.values()].map(({ point, more }) =>
    more === 0 ? point : { ...point, text: `${point.text} and ${more} more` },
  );
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

interface Waits {
  readonly x: (number | null)[];
  readonly y: (number | null)[];
}

/** Waits as segments; one that never ends reaches to the end of the recording. */
function waitsOf(recording: Recording, line: Timeline, rows: readonly Lane[]): Waits {
  const waits: Waits = { x: [], y: [] };
  const since = new Map<number, number>();
  const y = new Map(rows.map((row) => [row.task, row.y]));
  const close = (task: number, from: number, to: number): void => {
    waits.x.push(from, to, null);
    waits.y.push(y.get(task)!, y.get(task)!, null);
  };
  for (let i = 0; i < recording.length; i++) {
    if (recording.word[i] !== WORD.wait) continue;
    const task = recording.task[i];
    const from = since.get(task);
    if (recording.value[i] === 1 && from === undefined) since.set(task, line.at[i]);
    if (recording.value[i] === 0 && from !== undefined) {
      close(task, from, line.at[i]);
      since.delete(task);
    }
  }
  for (const [task, from] of since) close(task, from, line.end);
  return waits;
}

function waitTrace({ x, y }: Waits): PanelTrace {
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
