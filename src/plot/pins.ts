/** Pin counts over time: how many references gup holds, what the page's count is, and what a heuristic makes of it. */
import { pagesOf, placesOf, type Recording } from "../trace/recording.js";
import { refs_maybe_dma_pinned, WORD } from "../trace/words.js";
import { compose, type Panel, type PanelTrace } from "./compose.js";
import { drawn, type Points, Sampler } from "./downsample.js";
import { COLOR, type Figure } from "./figure.js";
import { countScale } from "./scale.js";
import { type AxisOptions, type Timeline, timeline } from "./timeline.js";

export interface PinOptions extends AxisOptions {
  /** One page frame: its counts. */
  readonly pfn?: number;
  /** Several: how many are held, and the range of their counts. Default: all pages of the recording. */
  readonly pages?: readonly number[];
}

/** What is drawn, at each x where it changes. */
interface Counts {
  /** Pages with at least one reference of gup. */
  readonly held: Points;
  /** Pages for which page_maybe_dma_pinned would say yes. */
  readonly maybe: Points;
  readonly most_pins: Points;
  readonly lowest_ref: Points;
  readonly highest_ref: Points;
}

/**
 * Pin counts. Upper panel: pages that gup holds (counted exactly), and pages that page_maybe_dma_pinned (v5.7), which sees
 * nothing but a reference count, would take for pinned. Lower panel: the counts themselves, on an axis cut below 1024.
 *
 * @throws Error when the recording does not speak of a page asked for
 * @example pinCounts(recording, { pfn: 0x9489 })
 */
export function pinCounts(recording: Recording, options: PinOptions = {}): Figure {
  const pages = choosePages(recording, options);
  const line = timeline(recording, options, new Set(pages));
  const counts = count(recording, pages, line);
  const one = pages.length === 1;
  const n = pages.length;
  return compose({
    kind: "pins",
    title: one ? `Pin counts of page ${hex(pages[0])}` : `Pin counts of ${n} pages`,
    info: recording.info,
    timeline: line,
    panels: [whoSaysPinned(counts, n), references(counts, one)],
    caption: [
      one
        ? `References that gup holds on page ${hex(pages[0])}, counted by those who took them, beside the page's reference count.`
        : `Of ${n} pages: how many gup holds, counted by those who took them; below, the smallest and largest reference count.`,
      "page_maybe_dma_pinned (since v5.7) sees only the reference count and says yes from 1024 on; a FOLL_GET reference adds 1, a FOLL_PIN reference 1024.",
    ].join(" "),
  });
}

/** Page frame numbers as the kernel prints them. */
export const hex = (pfn: number): string => `0x${pfn.toString(16)}`;

function choosePages(recording: Recording, { pfn, pages }: PinOptions): readonly number[] {
  const known = pagesOf(recording);
  const wanted = pfn !== undefined ? [pfn] : (pages ?? known);
  const here = new Set(known);
  const missing = wanted.find((page) => !here.has(page));
  if (missing !== undefined) throw new Error(`The recording never speaks of page frame ${missing}.`);
  if (wanted.length === 0)
    throw new Error("The recording speaks of no page: there are no pin counts to draw.");
  return wanted;
}

function count(recording: Recording, pages: readonly number[], line: Timeline): Counts {
  const place = placesOf(pages);
  const pins = new Tally(pages.length);
  const refs = new Tally(pages.length);
  const range = [line.start, line.end] as const;
  const sampled = (value: () => number) => ({ value, line: new Sampler(range, 1) });
  const ofPins = {
    held: sampled(() => pins.pagesWhere((p) => p > 0)),
    most_pins: sampled(() => pins.highest()),
  };
  const ofRefs = {
    maybe: sampled(() => refs.pagesWhere(refs_maybe_dma_pinned)),
    lowest_ref: sampled(() => refs.lowestAboveZero()),
    highest_ref: sampled(() => refs.highest()),
  };
  const write = (what: readonly ReturnType<typeof sampled>[], x: number): void => {
    for (const { value, line: into } of what) into.add(x, [value()]);
  };
  const [pinLines, refLines] = [Object.values(ofPins), Object.values(ofRefs)];
  write([...pinLines, ...refLines], line.start);
  const { word, pfn, value } = recording;
  for (let i = 0; i < recording.length; i++) {
    if (word[i] !== WORD.refcount && word[i] !== WORD.pins) continue;
    const page = place(pfn[i]);
    if (page < 0) continue;
    const [tally, lines] = word[i] === WORD.refcount ? [refs, refLines] : [pins, pinLines];
    if (tally.set(page, value[i])) write(lines, line.at[i]);
  }
  const points = ({ line: from }: ReturnType<typeof sampled>): Points => from.end(line.end);
  return {
    held: points(ofPins.held),
    most_pins: points(ofPins.most_pins),
    maybe: points(ofRefs.maybe),
    lowest_ref: points(ofRefs.lowest_ref),
    highest_ref: points(ofRefs.highest_ref),
  };
}

/** A number for each page, 0 to begin with, and how many pages have each number: few numbers, however many pages. */
class Tally {
  private readonly value: Int32Array;
  private readonly pages = new Map<number, number>();

  constructor(pages: number) {
    this.value = new Int32Array(pages);
    this.pages.set(0, pages);
  }

  /** Whether the number of pages with some number is another than before. */
  set(place: number, value: number): boolean {
    const before = this.value[place];
    if (before === value) return false;
    this.value[place] = value;
    const left = this.pages.get(before)! - 1;
    if (left === 0) this.pages.delete(before);
    else this.pages.set(before, left);
    this.pages.set(value, (this.pages.get(value) ?? 0) + 1);
    return true;
  }

  pagesWhere(holds: (value: number) => boolean): number {
    let sum = 0;
    for (const [value, pages] of this.pages) if (holds(value)) sum += pages;
    return sum;
  }

  highest(): number {
    let highest = 0;
    for (const value of this.pages.keys()) if (value > highest) highest = value;
    return highest;
  }

  /** Smallest number of a page that has any; 0 when none has. */
  lowestAboveZero(): number {
    let lowest = 0;
    for (const value of this.pages.keys()) if (value > 0 && (lowest === 0 || value < lowest)) lowest = value;
    return lowest;
  }
}

function whoSaysPinned(counts: Counts, pages: number): Panel {
  const step = Math.max(1, Math.ceil(pages / 4));
  const values = Array.from({ length: Math.floor(pages / step) + 1 }, (_, i) => i * step);
  return {
    title: pages === 1 ? "held?" : "pages",
    height: pages === 1 ? 64 : 110,
    range: [-0.12 * Math.max(1, pages / 4), pages * 1.12],
    ticks: { values, labels: pages === 1 ? ["no", "yes"] : values.map(String) },
    traces: [
      stepLine("held by gup (exact)", counts.held, COLOR.vermillion, 3),
      stepLine("page_maybe_dma_pinned says yes", counts.maybe, COLOR.black, 1.5, "dash"),
    ],
  };
}

function references(counts: Counts, one: boolean): Panel {
  const scale = countScale([...counts.highest_ref.y[0], ...counts.most_pins.y[0]]);
  const refs = one
    ? [stepLine("reference count", counts.highest_ref, COLOR.blue, 2.5, "solid", scale.y)]
    : [
        stepLine("largest reference count", counts.highest_ref, COLOR.blue, 2.5, "solid", scale.y),
        stepLine("smallest reference count", counts.lowest_ref, COLOR.sky, 1.5, "solid", scale.y),
      ];
  const pins = stepLine(
    one ? "pins" : "most pins on a page",
    counts.most_pins,
    COLOR.orange,
    2.5,
    "solid",
    scale.y,
  );
  return {
    title: one ? "references" : "references of a page",
    height: 230,
    range: scale.range,
    ticks: scale.ticks,
    traces: [...refs, pins],
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
    annotations: [
      {
        text: "page_maybe_dma_pinned: yes above, no below (axis cut here)",
        x: 1,
        y: scale.threshold,
        xref: "paper",
        xanchor: "right",
        yanchor: "bottom",
        xshift: -4,
        yshift: 1,
        showarrow: false,
        align: "right",
        font: { size: 11, color: COLOR.dim },
      },
    ],
  };
}

/** A step line, thinned; `y` places a value on the panel's axis, and the pointer shows the value itself. */
export function stepLine(
  name: string,
  points: Points,
  color: string,
  width: number,
  dash: "solid" | "dash" = "solid",
  y: (value: number) => number = (value) => value,
): PanelTrace {
  const { x, lines } = drawn(points);
  const [{ y: values, fine }] = lines;
  return {
    name,
    mode: "lines",
    x,
    y: values.map(y),
    text: values.map(String),
    hovertemplate: `${name}: %{text}<extra></extra>`,
    line: { color, width, shape: "hv", dash },
    showlegend: true,
    fine: fine && { x: fine.x, y: fine.y.map(y), shown: fine.y },
  };
}
