/** Two runs side by side: of two kernels, two proposals or two seeds, over one axis, up to where they part and beyond. */
import type { Recording, StepInfo } from "../trace/recording.js";
import { WORD } from "../trace/words.js";
import { compose, type Panel, type PanelShape, type PanelTrace } from "./compose.js";
import { COLOR, type Figure } from "./figure.js";
import { heatPanel } from "./heat.js";
import { laneTraces } from "./lanes.js";
import { type Lane, lanesOf } from "./steps.js";
import { type FaultGroup, type Timeline, timeline } from "./timeline.js";

/** A run, and how it is compared. */
export interface Side {
  readonly recording: Recording;
  /**
   * What each of the recording's steps is called where both runs call it the same. A kernel of folios and one of pages
   * have other names for the same step. Default: the names that the recording has.
   */
  readonly names?: readonly StepInfo[] | undefined;
}

/** What a run does where it parts from the other; null when it is over. */
export type Parting = { readonly task: string; readonly path: string; readonly step: string } | null;

/** How far two runs are the same. */
export interface Difference {
  /** Steps that both have, of the same task, path and name, one by one. */
  readonly same: number;
  readonly a: Parting;
  readonly b: Parting;
}

const ROW_HEIGHT = 26;
const HEAT_ROWS = 40;
const SAME = "#EEF3F7";

/**
 * Where two runs part: the steps of both from the beginning, as long as they are of the same task, path and name.
 *
 * @example firstDifference({ recording }, { recording }).a // null
 */
export function firstDifference(a: Side, b: Side): Difference {
  const [ofA, ofB] = [stepsOf(a.recording), stepsOf(b.recording)];
  let same = 0;
  while (same < ofA.length && same < ofB.length && sameStep(a, ofA[same], b, ofB[same])) same++;
  return { same, a: parting(a.recording, ofA[same]), b: parting(b.recording, ofB[same]) };
}

/** Events at which a step was made. */
function stepsOf({ word, length }: Recording): Int32Array {
  const events = new Int32Array(length);
  let n = 0;
  for (let i = 0; i < length; i++) if (word[i] === WORD.step) events[n++] = i;
  return events.subarray(0, n);
}

function sameStep(a: Side, i: number, b: Side, j: number): boolean {
  const taskOf = ({ recording }: Side, at: number): string => recording.info.tasks[recording.task[at]].name;
  const stepOf = ({ recording, names }: Side, at: number): StepInfo =>
    (names ?? recording.info.steps)[recording.step[at]];
  const [one, other] = [stepOf(a, i), stepOf(b, j)];
  return one.path === other.path && one.step === other.step && taskOf(a, i) === taskOf(b, j);
}

const parting = ({ info, task, step }: Recording, at: number | undefined): Parting =>
  at === undefined ? null : { task: info.tasks[task[at]].name, ...info.steps[step[at]] };

/**
 * The lanes and the pages of two runs over the number of steps made. Up to the first difference the axis is that of both;
 * from there on each run counts its own.
 *
 * @throws Error when a recording is empty or speaks of no page
 * @example sideBySide({ recording: run("kara-2018").recording }, { recording: run("kara-2018", { kernel: "v6.4" }).recording })
 */
export function sideBySide(a: Side, b: Side): Figure {
  const sides = [a, b].map((side) => ({ ...side, line: timeline(side.recording, { axis: "order" }) }));
  const difference = firstDifference(a, b);
  const line: Timeline = {
    at: new Float64Array(0),
    start: Math.min(...sides.map((side) => side.line.start)),
    end: Math.max(...sides.map((side) => side.line.end)),
    title: "steps made, of both runs up to the first difference",
    marks: [],
    timed: true,
    faults: sides
      .flatMap((side, i) => side.line.faults.map((group) => named(group, "AB"[i])))
      .sort((one, other) => one.x - other.x),
  };
  const tasks = [...new Set(sides.flatMap(({ recording }) => lanesOf(recording).map(({ name }) => name)))];
  const panels = sides.flatMap(({ recording, line: own }, i) => {
    const at = { ...own, start: line.start, end: line.end };
    const parted = i === 0 ? difference.a : difference.b;
    return [
      lanesPanel(recording, at, tasks, "AB"[i], difference.same, parted),
      heatPanel(recording, { ...own, start: line.start }, HEAT_ROWS).panel,
    ];
  });
  const [infoA, infoB] = sides.map(({ recording }) => recording.info);
  const words = inWords(difference);
  return compose({
    kind: "beside",
    title: titleOf(difference),
    info: {
      ...infoA,
      title: infoA.title === infoB.title ? `A and B: ${infoA.title}` : `A: ${infoA.title}; B: ${infoB.title}`,
      replay: "",
    },
    timeline: line,
    hovermode: "closest",
    panels: panels.map((panel, i) => ({ ...panel, traces: namedOnce(panel.traces, panels.slice(0, i)) })),
    caption: [
      words,
      ...sides.map(({ recording }, i) => `${"AB"[i]} meets ${faultsOf(recording)}.`),
      "Of each run the tasks and their steps, and below them its page frames in the colour of their dirty class; pale: the same in both.",
      ...sides.flatMap(({ recording: { info } }, i) =>
        info.replay === "" ? [] : [`Replay of ${"AB"[i]}: ${info.replay}`],
      ),
    ].join(" "),
  });
}

const named = (group: FaultGroup, run: string): FaultGroup => ({
  ...group,
  fault: { ...group.fault, message: `${run}: ${group.fault.message}` },
});

function faultsOf({ info }: Recording): string {
  const kinds = [...new Set(info.faults.map(({ kind }) => kind))];
  return kinds.length === 0 ? "no fault" : kinds.join(", ");
}

const stepsIn = (n: number): string => (n === 1 ? "1 step" : `${n} steps`);

function titleOf({ same, a, b }: Difference): string {
  if (a === null && b === null) return "Two runs that are the same";
  return `Two runs that part ${same === 0 ? "at the first step" : `after ${stepsIn(same)}`}`;
}

/** The first difference, as sentences. */
function inWords({ same, a, b }: Difference): string {
  const steps = stepsIn(same);
  const does = (parted: Parting): string =>
    parted === null
      ? "is over"
      : `goes on with ${parted.step}${parted.path === parted.step ? "" : ` of ${parted.path}`}, made by ${parted.task}`;
  if (a === null && b === null) return `The runs are the same, ${steps} long.`;
  const apart = `A ${does(a)}; B ${does(b)}.`;
  return same === 0
    ? `They differ from the first step on. ${apart}`
    : `${same === 1 ? "The first step is" : `The first ${steps} are`} the same. Then ${apart}`;
}

function lanesPanel(
  recording: Recording,
  line: Timeline,
  tasks: readonly string[],
  run: string,
  same: number,
  parted: Parting,
): Panel {
  const rows = lanesOf(recording).map(
    (lane): Lane => ({ ...lane, y: tasks.length - 1 - tasks.indexOf(lane.name) }),
  );
  const top = tasks.length - 0.2;
  // Steps are counted from 1: the last that both made is number `same`.
  const edge = same + 0.5;
  const row = rows.find(({ task }) => recording.info.tasks[task].name === parted?.task);
  return {
    title: `run ${run}`,
    height: ROW_HEIGHT * (tasks.length + 0.6),
    range: [-0.6, top],
    ticks: { values: tasks.map((_, i) => tasks.length - 1 - i), labels: tasks },
    grid: false,
    traces: [
      ...laneTraces(recording, line, rows, ROW_HEIGHT),
      ...(row === undefined ? [] : [partingTrace(same + 1, row.y, parted!)]),
    ],
    shapes: [
      ...(same > 0 ? [area(line.start, edge, -0.6, top)] : []),
      ...(parted === null ? [] : [upright(edge, -0.6, top)]),
    ],
  };
}

const partingTrace = (x: number, y: number, { task, path, step }: NonNullable<Parting>): PanelTrace => ({
  name: "first difference",
  mode: "markers",
  x: [x],
  y: [y],
  text: [`first difference: ${task}, ${path === step ? step : `${path}: ${step}`}`],
  hovertemplate: "%{text}<extra></extra>",
  marker: { symbol: "triangle-down", size: 11, color: COLOR.black },
  showlegend: true,
});

const area = (x0: number, x1: number, y0: number, y1: number): PanelShape => ({
  type: "rect",
  xref: "x",
  x0,
  x1,
  y0,
  y1,
  line: { color: SAME, width: 0 },
  fillcolor: SAME,
  layer: "below",
});

const upright = (x: number, y0: number, y1: number): PanelShape => ({
  type: "line",
  xref: "x",
  x0: x,
  x1: x,
  y0,
  y1,
  line: { color: COLOR.black, width: 1.5, dash: "dash" },
  layer: "above",
});

/** A legend names a thing once, however many panels show it. */
function namedOnce(traces: readonly PanelTrace[], above: readonly Panel[]): PanelTrace[] {
  const before = new Set(above.flatMap((panel) => panel.traces.map(({ name }) => name)));
  return traces.map((trace) =>
    "z" in trace || !trace.showlegend || !before.has(trace.name) ? trace : { ...trace, showlegend: false },
  );
}
