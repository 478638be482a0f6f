/** Why a word is what it is: the chain of steps that made it so, each change a row, linked to what its step had read. */
import type { Recording } from "../trace/recording.js";
import { compose, narrowestAxis, type PanelTrace } from "./compose.js";
import { type Annotation, COLOR, type Figure } from "./figure.js";
import { textWidth } from "./text.js";
import { timeline } from "./timeline.js";

/** A change of a word, and the changes that its step had read. */
export interface CauseStory {
  readonly cell: string;
  readonly tick: number;
  readonly task: string;
  readonly step: string;
  readonly before: number;
  readonly after: number;
  readonly because: readonly CauseStory[];
}

interface Row {
  readonly cause: CauseStory;
  readonly y: number;
  /** The row of the change whose step read this one; null for the first. */
  readonly reader: { readonly tick: number; readonly y: number } | null;
}

const ROW_HEIGHT = 26;
const NAME_SIZE = 10;
const TASKS = [COLOR.blue, COLOR.vermillion, COLOR.green, COLOR.purple, COLOR.orange, COLOR.sky, COLOR.black];

/**
 * A row for each change, the one that is asked about on top, and below it what its step had read of what other tasks had changed. A
 * line leads from each to the step that read it.
 *
 * @param recording of the run, a tick a step
 * @throws Error when the run has no step
 * @example
 * const { replay, cause } = why("dio-write-race@v4.20:w10t1m2", "content 0 version");
 * if (cause) whyChain(run(replay).recording, cause)
 */
export function whyChain(recording: Recording, cause: CauseStory): Figure {
  const found: { cause: CauseStory; reader: number }[] = [];
  const visit = (each: CauseStory, reader: number): void => {
    const at = found.push({ cause: each, reader }) - 1;
    for (const earlier of each.because) visit(earlier, at);
  };
  visit(cause, -1);
  const yOf = (row: number): number => found.length - 1 - row;
  const rows = found.map(({ cause: each, reader }, row): Row => {
    const read = reader < 0 ? null : { tick: found[reader].cause.tick, y: yOf(reader) };
    return { cause: each, y: yOf(row), reader: read };
  });
  const line = timeline(recording);
  const tasks = [...new Set(rows.map((row) => row.cause.task))];
  const labels = rows.map(({ cause: { cell, before, after } }) => `${cell} ${before}→${after}`);
  const pixels = narrowestAxis(labels) / (line.end - line.start);
  return compose({
    kind: "why",
    title: `Why ${cause.cell} is ${cause.after}`,
    info: recording.info,
    // Faults have no place in the chain.
    timeline: { ...line, faults: [] },
    hovermode: "closest",
    panels: [
      {
        title: "",
        height: Math.max(2, rows.length) * ROW_HEIGHT,
        range: [-0.6, Math.max(2, rows.length) - 0.4],
        ticks: {
          values: rows.map(({ y }) => y),
          labels,
        },
        grid: false,
        traces: [
          ...(rows.length > 1 ? [links(rows)] : []),
          ...tasks.map((task, at) => changes(rows, task, at)),
        ],
        annotations: rows.map((row) => note(row, (row.cause.tick - line.start) * pixels)),
      },
    ],
    caption:
      "A row for each change, the last one on top, at the step that made it. A grey line leads from a change to the later step that " +
      "read it: what the value can have come from, not what it must have.",
  });
}

/** From each change to the step that read it: along its row, then up. */
function links(rows: readonly Row[]): PanelTrace {
  const x: (number | null)[] = [];
  const y: (number | null)[] = [];
  for (const { cause, y: at, reader } of rows) {
    if (reader === null) continue;
    x.push(cause.tick, reader.tick, reader.tick, null);
    y.push(at, at, reader.y, null);
  }
  const line = { color: COLOR.rule, width: 1.5, shape: "linear" } as const;
  return { name: "was read by", mode: "lines", x, y, hoverinfo: "skip", line, showlegend: true };
}

function changes(rows: readonly Row[], task: string, at: number): PanelTrace {
  const own = rows.filter((row) => row.cause.task === task);
  return {
    name: task,
    mode: "markers",
    x: own.map(({ cause }) => cause.tick),
    y: own.map(({ y }) => y),
    text: own.map(({ cause }) => `step ${cause.tick}, ${task}: ${cause.step}`),
    hovertemplate: "%{text}<extra></extra>",
    marker: { symbol: "circle", size: 9, color: TASKS[at % TASKS.length] },
    showlegend: true,
  };
}

/** The step's name, to the left where it has room in so many pixels: links go to the right. */
function note({ cause: { tick, task, step }, y }: Row, room: number): Omit<Annotation, "yref"> {
  const text = `${tick} ${task}: ${step}`;
  const toLeft = room >= textWidth(text, NAME_SIZE) + 10;
  return {
    text,
    x: tick,
    y,
    xref: "x",
    xanchor: toLeft ? "right" : "left",
    yanchor: toLeft ? "middle" : "bottom",
    xshift: toLeft ? -8 : 7,
    yshift: toLeft ? 0 : -1,
    showarrow: false,
    align: toLeft ? "right" : "left",
    font: { size: NAME_SIZE, color: COLOR.ink },
  };
}
