/** A page's life: every word of its state over time. */
import { pagesOf, type Recording } from "../trace/recording.js";
import { BUFFER_BIT, LRU_PLACE, PG, PTE_BIT, TAG_BIT, WORD, type Word } from "../trace/words.js";
import { compose, type Panel, type PanelTrace } from "./compose.js";
import { type Points, Sampler } from "./downsample.js";
import { COLOR, type Figure } from "./figure.js";
import { hex, stepLine } from "./pins.js";
import { countScale } from "./scale.js";
import { Spans, spanLine } from "./spans.js";
import { type AxisOptions, type Timeline, timeline } from "./timeline.js";

/** A row that is on while a condition on one word holds. */
interface Row {
  readonly label: string;
  readonly word: Word;
  readonly holds: (value: number) => boolean;
}

interface Group {
  readonly name: string;
  readonly color: string;
  readonly rows: readonly Row[];
}

const bits = (word: Word, names: Readonly<Record<string, number>>, label: (name: string) => string): Row[] =>
  Object.entries(names).map(([name, mask]) => ({ label: label(name), word, holds: (v) => (v & mask) !== 0 }));

const FLAG_MASKS = Object.fromEntries(Object.entries(PG).map(([name, bit]) => [name, 1 << bit]));

/** From top to bottom. Rows that are never on are left out. */
const GROUPS: readonly Group[] = [
  { name: "page flags", color: COLOR.blue, rows: bits(WORD.flags, FLAG_MASKS, (name) => `PG_${name}`) },
  { name: "page table entry", color: COLOR.purple, rows: bits(WORD.pte, PTE_BIT, (name) => `PTE ${name}`) },
  { name: "buffers", color: COLOR.green, rows: bits(WORD.buffers, BUFFER_BIT, (name) => `buffer ${name}`) },
  {
    name: "tags in the mapping",
    color: COLOR.orange,
    rows: bits(WORD.tags, TAG_BIT, (name) => `tag ${name}`),
  },
  {
    name: "place",
    color: COLOR.dim,
    rows: (["inactive", "active", "isolated"] as const).map((place) => ({
      label: place === "isolated" ? "off the lists" : `${place} list`,
      word: WORD.lru,
      holds: (v) => v === LRU_PLACE[place],
    })),
  },
  {
    name: "device",
    color: COLOR.vermillion,
    rows: [{ label: "device wrote, nobody said", word: WORD.device, holds: (v) => v !== 0 }],
  },
];

/**
 * One page's life: reference count, map count and pins as steps, and a strip for each flag, PTE bit, buffer state, tag, list
 * and for what the device wrote, drawn where it is set.
 *
 * @throws Error when the recording never speaks of the page
 * @example pageLife(recording, 0x9489)
 */
export function pageLife(recording: Recording, pfn: number, options: AxisOptions = {}): Figure {
  if (!pagesOf(recording).includes(pfn)) throw new Error(`The recording never speaks of page frame ${pfn}.`);
  const line = timeline(recording, options, new Set([pfn]));
  const events = eventsOf(recording, pfn);
  return compose({
    kind: "life",
    title: `The life of page ${hex(pfn)}`,
    info: recording.info,
    timeline: line,
    panels: [counts(recording, events, line), ...strips(recording, events, line)],
    caption: `Page ${hex(pfn)}: its counts (the axis is cut below 1024, where page_maybe_dma_pinned begins to say yes) and, below, a strip for each bit of its state while it is set. Bits that are never set are left out.`,
  });
}

/** Events that are about one page, by their number. */
function eventsOf({ pfn, length }: Recording, page: number): Int32Array {
  let n = 0;
  for (let i = 0; i < length; i++) if (pfn[i] === page) n++;
  const events = new Int32Array(n);
  n = 0;
  for (let i = 0; i < length; i++) if (pfn[i] === page) events[n++] = i;
  return events;
}

function counts(recording: Recording, events: Int32Array, line: Timeline): Panel {
  const series = [
    { name: "reference count", word: WORD.refcount, color: COLOR.blue, width: 2.5 },
    { name: "pins", word: WORD.pins, color: COLOR.orange, width: 2.5 },
    { name: "map count", word: WORD.mapcount, color: COLOR.black, width: 1 },
  ].map((s) => ({ ...s, points: valuesOf(recording, events, s.word, line) }));
  const scale = countScale(series.flatMap(({ points }) => [...points.y[0]]));
  return {
    title: "count",
    height: 170,
    range: scale.range,
    ticks: scale.ticks,
    traces: series
      .filter(({ points }) => points.x.length > 0)
      .map(({ name, points, color, width }) => stepLine(name, points, color, width, "solid", scale.y)),
    shapes: [
      {
        type: "line",
        xref: "paper",
        x0: 0,
        x1: 1,
        y0: scale.threshold,
        y1: scale.threshold,
        line: { color: COLOR.ink, width: 1, dash: "dash" },
        layer: "below",
      },
    ],
  };
}

/** A word of the page where it changes (the last value where it changes twice), and at the end. */
function valuesOf(recording: Recording, events: Int32Array, word: Word, line: Timeline): Points {
  const points = new Sampler([line.start, line.end], 1);
  for (const i of events) if (recording.word[i] === word) points.add(line.at[i], [recording.value[i]]);
  return points.end(line.end);
}

/** One panel with a row for each bit that is ever on; none when no bit is. */
function strips(recording: Recording, events: Int32Array, line: Timeline): Panel[] {
  const drawn = GROUPS.flatMap((group) =>
    group.rows.map((row) => ({ group, label: row.label, spans: spansOf(recording, events, row, line) })),
  ).filter(({ spans }) => spans.list().length > 0);
  const rows = drawn.map((row, i) => ({ ...row, y: drawn.length - 1 - i }));
  const traces = GROUPS.map((group): PanelTrace => {
    const own = rows.filter((row) => row.group === group);
    return {
      name: group.name,
      mode: "lines",
      ...spanLine(own),
      hoverinfo: "skip",
      line: { color: group.color, width: 9, shape: "linear" },
      showlegend: false,
    };
  });
  if (rows.length === 0) return [];
  return [
    {
      title: "",
      height: rows.length * 18,
      range: [-0.7, rows.length - 0.3],
      ticks: { values: rows.map(({ y }) => y), labels: rows.map(({ label }) => label) },
      traces: traces.filter(({ x }) => x.length > 0),
    },
  ];
}

/** Where the row is on. */
function spansOf(recording: Recording, events: Int32Array, row: Row, line: Timeline): Spans {
  const spans = new Spans([line.start, line.end]);
  for (const i of events) {
    if (recording.word[i] !== row.word) continue;
    if (row.holds(recording.value[i])) spans.open(line.at[i]);
    else spans.close(line.at[i]);
  }
  spans.close(line.end);
  return spans;
}
