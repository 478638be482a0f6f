/** Reclaim's progress over time: how far it got with how many pages, and how it ended. */
import type { Recording } from "../trace/recording.js";
import { RECLAIM, type ReclaimAct, WORD } from "../trace/words.js";
import { compose, type Panel } from "./compose.js";
import { drawn, Sampler } from "./downsample.js";
import { COLOR, type Figure } from "./figure.js";
import { type AxisOptions, type Timeline, timeline } from "./timeline.js";

/** In the order of the tests in shrink_page_list; the last three are how it can end. */
const ACTS: readonly { act: ReclaimAct; name: string; color: string }[] = [
  { act: "scanned", name: "scanned", color: COLOR.dim },
  { act: "unmapped", name: "unmapped", color: COLOR.sky },
  { act: "stripped", name: "stripped of buffers", color: COLOR.orange },
  { act: "backed_out", name: "backed out", color: COLOR.vermillion },
  { act: "reclaimed", name: "reclaimed", color: COLOR.green },
  { act: "activated", name: "activated", color: COLOR.blue },
  { act: "kept", name: "kept", color: COLOR.purple },
];

/**
 * Reclaim's progress: for each thing that reclaim does to a page, how often it did so far. One panel each, on one
 * scale, because the counts are often equal and lines would hide each other.
 *
 * @example reclaimProgress(recording)
 */
export function reclaimProgress(recording: Recording, options: AxisOptions = {}): Figure {
  const line = timeline(recording, options);
  const series = cumulate(recording, line);
  const top = Math.max(1, ...series.map(({ total }) => total));
  const panels: Panel[] = series
    .filter(({ act, total }) => act !== "kept" || total > 0)
    .map(({ name, color, x, y, fine, total }) => ({
      title: "",
      height: 46,
      range: [0, top * 1.08] as const,
      ticks: { values: [top / 2], labels: [name] },
      grid: false,
      traces: [
        {
          name,
          mode: "lines" as const,
          x,
          y,
          fine,
          hovertemplate: `${name}: %{y}<extra></extra>`,
          line: { color, width: 2, shape: "hv" as const },
          fill: "tozeroy" as const,
          fillcolor: tint(color),
          showlegend: false,
        },
      ],
      annotations: [
        {
          text: String(total),
          x: 1,
          y: total,
          xref: "paper" as const,
          xanchor: "left" as const,
          yanchor: total > top / 2 ? ("top" as const) : ("bottom" as const),
          xshift: 3,
          yshift: 0,
          showarrow: false,
          align: "left" as const,
          font: { size: 12, color: total === 0 ? COLOR.dim : COLOR.ink },
        },
      ],
    }));
  return compose({
    kind: "reclaim",
    title: "Reclaim's progress",
    info: recording.info,
    timeline: line,
    panels,
    caption: `Pages that reclaim took from its list (scanned), took out of all page tables (unmapped), freed the buffers of (stripped), then could not remove from the page cache (backed out), freed (reclaimed), or put on the active list (activated): counts so far, all panels from 0 to ${top}. A page is counted again each time.`,
  });
}

/** The count of each act so far, as thinned step lines from the first x to the last. */
function cumulate(recording: Recording, line: Timeline) {
  const totals = new Int32Array(Math.max(...Object.values(RECLAIM)) + 1);
  const lines = new Map(
    ACTS.map(({ act }) => [RECLAIM[act] as number, new Sampler([line.start, line.end], 1)]),
  );
  for (const into of lines.values()) into.add(line.start, [0]);
  const { word, value } = recording;
  for (let i = 0; i < recording.length; i++) {
    if (word[i] === WORD.reclaim) lines.get(value[i])?.add(line.at[i], [++totals[value[i]]]);
  }
  return ACTS.map((act) => {
    const { x, lines: drawnLines } = drawn(lines.get(RECLAIM[act.act])!.end(line.end));
    return { ...act, x, ...drawnLines[0], total: totals[RECLAIM[act.act]] };
  });
}

/** The colour mixed with three parts of white. */
function tint(color: string): string {
  const parts = [1, 3, 5].map((i) => Math.round((Number.parseInt(color.slice(i, i + 2), 16) + 3 * 255) / 4));
  return `#${parts.map((p) => p.toString(16).padStart(2, "0")).join("")}`.toUpperCase();
}
