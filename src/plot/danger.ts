/** Danger along a run: lanes whose steps are coloured by what can still happen after them, and how far away the fault is. */
import type { Recording } from "../trace/recording.js";
import { compose, type Panel, type PanelShape, type PanelTrace } from "./compose.js";
import { type Annotation, COLOR, type Figure } from "./figure.js";
import { frameOf } from "./lanes.js";
import type { StepPoint } from "./steps.js";

/** What is so at one moment: "possible", "certain", "impossible", "happened" or "unknown"; and the fewest steps to the fault. */
export interface DangerMoment {
  readonly status: "impossible" | "possible" | "certain" | "happened" | "unknown";
  readonly stepsToFault: number | null;
}

/** The danger of one kind of fault along a run: the start, and what is so after each step. */
export interface DangerStory {
  readonly kind: string;
  readonly start: DangerMoment;
  readonly steps: readonly DangerMoment[];
  /** The number of the step after which no way avoids it; 0 is the start. */
  readonly certainFrom: number | null;
  readonly happenedAt: number | null;
}

type Status = DangerMoment["status"];

const LOOK: Readonly<Record<Status, { readonly name: (kind: string) => string; readonly color: string }>> = {
  possible: { name: (kind) => `${kind} can be reached and avoided`, color: COLOR.blue },
  certain: { name: (kind) => `no way avoids ${kind}`, color: COLOR.vermillion },
  impossible: { name: (kind) => `no way leads to ${kind}`, color: COLOR.green },
  happened: { name: (kind) => `${kind} has happened`, color: COLOR.black },
  unknown: { name: () => "not known", color: COLOR.grey },
};

const UNKNOWN: DangerMoment = { status: "unknown", stepsToFault: null };
const STEPS_HEIGHT = 110;
const CERTAIN_AREA = "#FBE9DF";

/**
 * The lanes of a run, each step coloured by what is so after it, and below them at least how many steps lead to the fault. The
 * point of no return, after which no way avoids it, is a line through both.
 *
 * @param recording of the run, a tick a step
 * @throws Error when the run has no step
 * @example
 * const line = "dio-write-race@v4.20:w10t1m2";
 * dangerLanes(run(line).recording, danger(line)).kind // "danger"
 */
export function dangerLanes(recording: Recording, story: DangerStory): Figure {
  const { kind, steps: moments, certainFrom, happenedAt } = story;
  const changes = moments.flatMap(({ status }, at) =>
    status === (moments[at - 1] ?? story.start).status ? [] : [at + 1],
  );
  const frame = frameOf(recording, {}, changes);
  const { named, panel } = frame;
  const steps = frame.steps.all();
  // The start is a moment as well.
  const line = { ...frame.line, start: 0 };
  const after = ({ x }: StepPoint): DangerMoment => moments[x - 1] ?? UNKNOWN;
  const statusAt = (step: StepPoint): Status => after(step).status;
  const present = (Object.keys(LOOK) as Status[]).filter((status) =>
    steps.some((step) => statusAt(step) === status),
  );
  // The point of no return is a step that somebody makes: what is certain from the start has none.
  const point = certainFrom === null || certainFrom === 0 || certainFrom === happenedAt ? null : certainFrom;
  const end = happenedAt ?? line.end;
  const marks = ([from, to]: readonly [number, number]): PanelShape[] =>
    certainFrom === null || certainFrom === happenedAt
      ? []
      : [area(certainFrom, end, from, to), ...(point === null ? [] : [upright(point, from, to)])];
  const traces = present.map((status): PanelTrace => {
    const { name, color } = LOOK[status];
    const own = steps.filter((step) => statusAt(step) === status);
    return {
      name: name(kind),
      mode: "markers",
      x: own.map(({ x }) => x),
      y: own.map(({ y }) => y),
      text: own.map((step) => `${step.text}<br>${hoverOf(after(step), kind)}`),
      hovertemplate: "%{text}<extra></extra>",
      marker: { symbol: "line-ns-open", size: 16, color, line: { width: 3, color } },
      showlegend: true,
    };
  });
  const distance = distancePanel(story);
  const pointStep = steps.find(({ x }) => x === point);
  const note = pointStep ? [pointNote(pointStep, distance.range[1], pointStep.x > line.end / 2)] : [];
  return compose({
    kind: "danger",
    title: `The danger of ${kind}`,
    info: recording.info,
    timeline: line,
    hovermode: "closest",
    panels: [
      { ...panel, shapes: marks(panel.range), traces },
      { ...distance, shapes: marks(distance.range), annotations: note },
    ],
    caption:
      `A row for each task${named ? `, ${named}` : ""}, coloured by what is so after each step; ` +
      `below, at least how many steps lead to ${kind} from there. ` +
      (pointStep
        ? `The point of no return is step ${point}, ${pointStep.step}: after it no way avoids ${kind}.`
        : certainFrom === 0
          ? `No way avoids ${kind}, from the start on.`
          : `Up to the end of the run no step makes ${kind} certain before it happens.`),
  });
}

const hoverOf = ({ status, stepsToFault }: DangerMoment, kind: string): string =>
  `${LOOK[status].name(kind)}${stepsToFault === null || status === "happened" ? "" : `, in ${stepsToFault} steps at least`}`;

/** How many steps lead to the fault at least: a line that ends where none do. */
function distancePanel({ start, steps }: DangerStory): Panel {
  const moments = [start, ...steps];
  const y = moments.map(({ stepsToFault }) => stepsToFault);
  const most = Math.max(1, ...y.map((value) => value ?? 0));
  return {
    title: "steps to it",
    height: STEPS_HEIGHT,
    range: [0, most * 1.25],
    traces: [
      {
        name: "fewest steps to it",
        mode: "lines",
        x: moments.map((_, tick) => tick),
        y,
        line: { color: COLOR.ink, width: 1.5, shape: "hv" },
        showlegend: false,
      },
    ],
  };
}

function area(x0: number, x1: number, y0: number, y1: number): PanelShape {
  const line = { color: CERTAIN_AREA, width: 0 };
  return { type: "rect", xref: "x", x0, x1, y0, y1, line, fillcolor: CERTAIN_AREA, layer: "below" };
}

function upright(x: number, y0: number, y1: number): PanelShape {
  const line = { color: COLOR.vermillion, width: 1.5, dash: "dash" } as const;
  return { type: "line", xref: "x", x0: x, x1: x, y0, y1, line, layer: "above" };
}

function pointNote({ x, step }: StepPoint, top: number, toLeft: boolean): Omit<Annotation, "yref"> {
  const side = toLeft ? "right" : "left";
  return {
    text: `point of no return: step ${x}, ${step}`,
    x,
    y: top,
    xref: "x",
    xanchor: side,
    yanchor: "top",
    xshift: toLeft ? -5 : 5,
    yshift: -2,
    showarrow: false,
    align: side,
    font: { size: 11, color: COLOR.vermillion },
  };
}
