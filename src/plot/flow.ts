/** How pages go through reclaim: a Sankey diagram of what shrink_page_list did to them, pass by pass. */
import { sankey, sankeyJustify } from "d3-sankey";
import { pagesOf, placesOf, type Recording } from "../trace/recording.js";
import { RECLAIM, type ReclaimAct, WORD } from "../trace/words.js";
import { compose, type PanelShape } from "./compose.js";
import { type Annotation, COLOR, type Figure } from "./figure.js";
import { legendEntry } from "./heatmap.js";
import { levelCurve, pathOf } from "./path.js";
import { timeline } from "./timeline.js";

/** What can become of a page in a pass, in the order of shrink_page_list; `open` is where the recording ends. */
const STAGES = [
  { act: "scanned", name: "isolated", rank: 0 },
  { act: "unmapped", name: "unmapped", rank: 1 },
  { act: "stripped", name: "buffers stripped", rank: 2 },
  { act: "reclaimed", name: "freed", rank: 3 },
  { act: "backed_out", name: "backed out", rank: 3 },
  { act: "activated", name: "activated", rank: 3 },
  { act: "kept", name: "kept", rank: 3 },
  { act: "open", name: "not over yet", rank: 3 },
] as const satisfies readonly { act: ReclaimAct | "open"; name: string; rank: number }[];

const OPEN = STAGES.findIndex(({ act }) => act === "open");
const LAST_RANK = 3;

/** Number in STAGES of each of reclaim's acts. */
const STAGE_OF = new Map<number, number>(
  STAGES.flatMap(({ act }, stage) => (act === "open" ? [] : [[RECLAIM[act], stage] as const])),
);

/** A way through reclaim, and how many passes took it. */
export interface Way {
  /** Names of what was done, in order. */
  readonly stages: readonly string[];
  readonly passes: number;
  /** Of these, in how many gup held the page at some moment of the pass. */
  readonly held: number;
}

/**
 * The ways that pages took through reclaim, the most frequent first. A pass begins when reclaim takes a page from its
 * list and ends when the page is freed, backed out, activated or kept; a page that is looked at again is another pass.
 *
 * @example reclaimWays(recording)[0].stages // ["isolated", "unmapped", "buffers stripped", "backed out"]
 */
export function reclaimWays(recording: Recording): Way[] {
  const pages = pagesOf(recording);
  const place = placesOf(pages);
  /** What was done in the pass under way, as a set of stages; 0 where there is none. */
  const done = new Uint8Array(pages.length);
  const rank = new Uint8Array(pages.length);
  const pins = new Int32Array(pages.length);
  const held = new Uint8Array(pages.length);
  const passes = new Uint32Array(1 << STAGES.length);
  const ofHeld = new Uint32Array(1 << STAGES.length);
  const close = (page: number): void => {
    passes[done[page]]++;
    ofHeld[done[page]] += held[page];
    done[page] = 0;
  };
  const { word, value, pfn } = recording;
  for (let i = 0; i < recording.length; i++) {
    if (word[i] !== WORD.reclaim && word[i] !== WORD.pins) continue;
    const page = place(pfn[i]);
    if (page < 0) continue;
    if (word[i] === WORD.pins) {
      pins[page] = value[i];
      if (value[i] > 0) held[page] = 1;
      continue;
    }
    const stage = STAGE_OF.get(value[i]);
    if (stage === undefined) continue;
    if (done[page] !== 0 && STAGES[stage].rank <= rank[page]) {
      done[page] |= 1 << OPEN;
      close(page);
    }
    // A recording may begin in the middle of a pass, and a real kernel's shows scanning late: it was isolated before.
    if (done[page] === 0) {
      done[page] = 1;
      held[page] = Number(pins[page] > 0);
    }
    done[page] |= 1 << stage;
    rank[page] = STAGES[stage].rank;
    if (rank[page] === LAST_RANK) close(page);
  }
  for (let page = 0; page < pages.length; page++) {
    if (done[page] === 0) continue;
    done[page] |= 1 << OPEN;
    close(page);
  }
  return [...passes.keys()]
    .filter((way) => passes[way] > 0)
    .map((way) => ({
      stages: STAGES.filter((_, stage) => (way & (1 << stage)) !== 0).map(({ name }) => name),
      passes: passes[way],
      held: ofHeld[way],
    }))
    .sort((a, b) => b.passes - a.passes);
}

const WIDTH = 1000;
const HEIGHT = 300;
const NODE = 14;
const KINDS = [
  { name: "gup held the page", color: COLOR.orange },
  { name: "nobody held it", color: "#B9D9EC" },
] as const;

interface Node {
  readonly name: string;
}
interface Link {
  readonly source: string;
  readonly target: string;
  readonly value: number;
  readonly kind: 0 | 1;
}

/**
 * Reclaim's flow: from the left to the right what was done to the pages that reclaim took from its list, as bands as
 * wide as there were passes; those in which gup held the page apart from the others.
 *
 * @throws Error when the recording is empty
 * @example reclaimFlow(recording).kind // "flow"
 */
export function reclaimFlow(recording: Recording): Figure {
  const ways = reclaimWays(recording);
  const total = ways.reduce((sum, { passes }) => sum + passes, 0);
  const held = ways.reduce((sum, way) => sum + way.held, 0);
  const { nodes, links } = layoutOf(ways);
  const line = timeline(recording);
  return compose({
    kind: "flow",
    title: "How pages went through reclaim",
    info: recording.info,
    timeline: { ...line, start: -10, end: WIDTH + 130, marks: [], faults: [], title: "" },
    hovermode: "closest",
    bare: true,
    lines: inLines(ways, total),
    panels: [
      {
        title: "",
        height: total === 0 ? 60 : HEIGHT + 20,
        range: [-10, HEIGHT + 10],
        ticks: { values: [], labels: [] },
        grid: false,
        traces: KINDS.filter((_, kind) => links.some((link) => link.kind === kind)).map(legendEntry),
        shapes: [...links.map(band), ...nodes.map(bar)],
        annotations:
          total === 0
            ? [note(WIDTH / 2, HEIGHT / 2, "center", "Reclaim looked at no page.", COLOR.dim)]
            : [
                // Where a band arrives: where it leaves is the name of what it leaves.
                ...links.map(({ x1, y1, value }) => note(x1 - 6, y1, "right", String(value), COLOR.ink)),
                ...nodes.map(({ name, x, y0, y1, value }) =>
                  note(x + NODE + 5, (y0 + y1) / 2, "left", `${name} ${value}`, COLOR.ink),
                ),
              ],
      },
    ],
    caption:
      total === 0
        ? "Reclaim looked at no page."
        : `${passesOf(total)} of reclaim over a page, ${held} of them over a page that gup held meanwhile. A band is as high as there were passes. A page that reclaim looks at again is counted again.`,
  });
}

const passesOf = (n: number): string => (n === 1 ? "1 pass" : `${n} passes`);

/** Where nodes and bands lie, y upwards. */
function layoutOf(ways: readonly Way[]) {
  const counts = new Map<string, Link>();
  const add = (source: string, target: string, value: number, kind: 0 | 1): void => {
    if (value === 0) return;
    const key = `${source}>${target}>${kind}`;
    counts.set(key, { source, target, kind, value: (counts.get(key)?.value ?? 0) + value });
  };
  for (const { stages, passes, held } of ways) {
    stages.slice(1).forEach((target, i) => {
      add(stages[i], target, held, 0);
      add(stages[i], target, passes - held, 1);
    });
  }
  if (counts.size === 0) return { nodes: [], links: [] };
  const names = new Set([...counts.values()].flatMap(({ source, target }) => [source, target]));
  const graph = sankey<Node, Link>()
    .nodeId(({ name }) => name)
    .nodeAlign(sankeyJustify)
    .nodeWidth(NODE)
    .nodePadding(26)
    .extent([
      [0, 0],
      [WIDTH, HEIGHT],
    ])({
    nodes: STAGES.filter(({ name }) => names.has(name)).map(({ name }) => ({ name })),
    links: [...counts.values()].map((link) => ({ ...link })),
  });
  return {
    nodes: graph.nodes.map(({ name, value = 0, x0 = 0, y0 = 0, y1 = 0 }) => ({
      name,
      value,
      x: x0,
      y0: HEIGHT - y1,
      y1: HEIGHT - y0,
    })),
    links: graph.links.map(({ source, target, kind, value, y0 = 0, y1 = 0, width = 0 }) => ({
      kind,
      value,
      x0: ((source as { x1?: number }).x1 ?? 0) as number,
      x1: ((target as { x0?: number }).x0 ?? 0) as number,
      y0: HEIGHT - y0,
      y1: HEIGHT - y1,
      width,
    })),
  };
}

type Layout = ReturnType<typeof layoutOf>;

function band({ kind, x0, x1, y0, y1, width }: Layout["links"][number]): PanelShape {
  const half = width / 2;
  return {
    type: "path",
    xref: "x",
    path: pathOf([
      { command: "M", points: [[x0, y0 + half]] },
      levelCurve([x0, y0 + half], [x1, y1 + half]),
      { command: "L", points: [[x1, y1 - half]] },
      levelCurve([x1, y1 - half], [x0, y0 - half]),
      { command: "Z", points: [] },
    ]),
    line: { color: "#FFFFFF", width: 1 },
    fillcolor: KINDS[kind].color,
    layer: "below",
  };
}

const bar = ({ x, y0, y1 }: Layout["nodes"][number]): PanelShape => ({
  type: "rect",
  xref: "x",
  x0: x,
  x1: x + NODE,
  y0,
  y1,
  line: { color: COLOR.ink, width: 0 },
  fillcolor: COLOR.ink,
  layer: "above",
});

const note = (
  x: number,
  y: number,
  xanchor: "left" | "center" | "right",
  text: string,
  color: string,
): Omit<Annotation, "yref"> => ({
  text,
  x,
  y,
  xref: "x",
  xanchor,
  yanchor: "middle",
  xshift: 0,
  yshift: 0,
  showarrow: false,
  align: "left",
  font: { size: 12, color },
});

const BAR = 24;

/** The ways as lines: how many passes, as a number and as a bar, and by which stages. */
function inLines(ways: readonly Way[], total: number): string[] {
  if (total === 0) return ["", "Reclaim looked at no page."];
  const width = String(total).length;
  return [
    "",
    ...ways.map(({ stages, passes, held }) => {
      const length = Math.max(1, Math.round((passes / total) * BAR));
      const who = held === 0 ? "" : held === passes ? "  (held by gup)" : `  (${held} held by gup)`;
      return `${String(passes).padStart(width)} ${"█".repeat(length).padEnd(BAR)} ${stages.join(" → ")}${who}`;
    }),
    "",
    `${String(total).padStart(width)} passes of reclaim over a page`,
  ];
}
