/** Figures in HTML: the fragment, the page, and what the script in them gives plotly. */
import { createContext, runInContext, runInNewContext } from "node:vm";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { partOf } from "../../src/plot/display.js";
import type { Figure, Heatmap, Scatter } from "../../src/plot/figure.js";
import { FIGURE_SCRIPT, LIVE_FIGURES } from "../../src/plot/figure_script.js";
import { svgUri, toPicture } from "../../src/plot/html.js";
import {
  DISPLAY,
  dirtyStates,
  heat,
  lanes,
  meanTimes,
  pinCounts,
  reclaimProgress,
  toHtml,
  toPage,
  toSvg,
} from "../../src/plot/index.js";
import { DETAIL_SIZE, packColumn, packRuns, packWhole } from "../../src/plot/pack.js";
import { Recorder, type Recording } from "../../src/trace/recording.js";
import { pg, WORD } from "../../src/trace/words.js";
import { PAGE, small } from "./small.js";

describe("HTML", () => {
  const figure = dirtyStates(small());

  it("a fragment carries the picture, the caption and the replay line, and waits for who brings plotly", () => {
    const html = toHtml(figure);
    const [, svg] = /src="data:image\/svg\+xml;charset=utf-8,([^"]+)"/.exec(html)!;
    const quotes = (text: string) => text.replaceAll("'", '"');
    expect(quotes(decodeURIComponent(svg))).toBe(quotes(toSvg(figure, { caption: false })));
    expect(html).toContain(`<code>${figure.replay}</code>`);
    expect(html).not.toContain("window.Plotly");
    expect(html).toBe(toHtml(dirtyStates(small())));
  });

  it("nothing in a recording can end the script or the attribute it stands in", () => {
    const recording = small();
    const evil = {
      ...recording,
      info: { ...recording.info, title: '</script><img src=x onerror="alert(1)">\u2028' },
    };
    const html = toHtml(pinCounts(evil));
    expect(html.match(/<\/script>/g)).toHaveLength(1);
    expect(html).not.toContain("<img src=x");
    expect(toSvg(pinCounts(evil))).not.toContain("<img");
  });

  it("an address of a picture is the picture again, and ends no attribute, whatever is in it", () => {
    const words = `<text fill="red" font-family="A, 'B'">5 % of #1 'x' "y" &amp; é\n</text>`;
    const uri = svgUri(words);
    expect(uri).not.toMatch(/[<>"\n#]/);
    expect(decodeURIComponent(uri.slice(uri.indexOf(",") + 1))).toBe(
      `<text fill='red' font-family='A, "B"'>5 % of #1 'x' "y" &amp; é\n</text>`,
    );
  });

  it("a diagram stays a picture: it has nothing to point at", () => {
    const [diagram, again] = [toHtml, toPicture].map((to) => to({ ...figure, data: [] }));
    expect(diagram).toBe(again);
    expect(diagram).not.toContain("<script>");
    expect(diagram).toContain(`<code>${figure.replay}</code>`);
  });

  it("says of which part of its run a figure is, where it is not of all", () => {
    expect(toHtml(figure)).not.toContain("data-part");
    const part = partOf(figure, { run: "a@b:c1", tick: 52, pfn: 3 });
    const html = toHtml(part);
    expect(html).toContain('data-run="a@b:c1" data-part="{&quot;tick&quot;:52,&quot;pfn&quot;:3}"');
    expect(part[DISPLAY]()["text/html"]).toBe(html);
  });

  it("a page carries plotly itself and refers to nothing outside", () => {
    const page = toPage([figure], { title: "A & B", plotly: 'var x = "</script>";' });
    expect(page).toContain("<title>A &amp; B</title>");
    expect(page).toContain('var x = "<\\/script>";');
    expect(page).not.toMatch(/(src|href)="https?:/);
  });
});

/** What plotly was asked for, and a figure's element that is told of events. */
interface Drawn {
  readonly plots: { data: (Scatter | Heatmap)[]; layout: Figure["layout"] }[];
  readonly restyled: { update: Record<string, unknown[]>; traces: number[] }[];
  readonly relayouts: unknown[];
  readonly sent: { type: string; detail: Record<string, unknown> }[];
  /** Tell the first plot, or the document, of an event. */
  tell(name: string, event: unknown): void;
  hear(type: string, detail: unknown): void;
}

/** Run the scripts of fragments in a page that has as much of a browser as they ask for. */
async function browse(...figures: Figure[]): Promise<Drawn> {
  const drawn = { plots: [], restyled: [], relayouts: [], sent: [] } as unknown as Drawn;
  const listeners: [string, (event: unknown) => void][] = [];
  const ofPlot = new Map<string, (event: unknown) => void>();
  const element = (): Record<string, unknown> => ({
    style: {},
    appendChild: (child: unknown) => child,
    clientWidth: 960,
    getAttribute: () => null,
    setAttribute: () => undefined,
    isConnected: true,
  });
  const figure = { ...element(), querySelector: () => ({ ...element(), querySelector: () => element() }) };
  const Plotly = {
    newPlot: (plot: Record<string, unknown>, data: [], layout: Figure["layout"]) => {
      drawn.plots.push({ data, layout });
      plot.layout = layout;
      plot.on = (name: string, then: (event: unknown) => void) => {
        if (!ofPlot.has(name)) ofPlot.set(name, then);
      };
      return Promise.resolve();
    },
    restyle: (_: unknown, update: Record<string, unknown[]>, traces: number[]) =>
      drawn.restyled.push({ update, traces }),
    relayout: (_: unknown, change: unknown) => {
      drawn.relayouts.push(change);
      return Promise.resolve();
    },
  };
  const window = { Plotly };
  const dispatch = (event: { type: string; detail: Record<string, unknown> }) => {
    drawn.sent.push(event);
    for (const [name, then] of listeners) if (name === event.type) then(event);
  };
  const document = {
    querySelectorAll: () => [{ ...figure }],
    createElement: element,
    addEventListener: (name: string, then: (event: unknown) => void) => listeners.push([name, then]),
    dispatchEvent: dispatch,
  };
  function CustomEvent(type: string, { detail }: { detail: unknown }) {
    return { type, detail };
  }
  const page = createContext({ window, document, CustomEvent });
  // Figures come before what makes them live, and after it.
  figures.forEach((each, at) => {
    const [, script] = /<script>([\s\S]*)<\/script>/.exec(toHtml(each))!;
    runInContext(script, page);
    if (at === 0) for (const _ of [1, 2]) runInContext(LIVE_FIGURES, page);
  });
  await new Promise(setImmediate);
  return Object.assign(drawn, {
    tell: (name: string, event: unknown) => ofPlot.get(name)!(event),
    hear: (type: string, detail: unknown) => dispatch({ type, detail: detail as Record<string, unknown> }),
  });
}

/** So many events of ten pages, whose counts and flags go up and down. */
function many(events: number): Recording {
  const recorder = new Recorder();
  for (let i = 0; i < events; i++) {
    const page = PAGE + (i % 10);
    if (i % 3 === 0) recorder.add(i, 0, 0, page, WORD.refcount, 2 + ((i * 7919) % 13));
    else if (i % 3 === 1) recorder.add(i, 1, 1, page, WORD.flags, (i * 31) % 5 < 2 ? pg("dirty") : 0);
    else recorder.add(i, i % 2, 2, page, WORD.step, 1);
  }
  return recorder.finish({ ...small().info, faults: [] });
}

describe("the script of a figure", () => {
  it("gives plotly the figure's own traces and layout, with names for the pointer where a map has none", async () => {
    for (const figure of [
      pinCounts(small()),
      dirtyStates(small(3)),
      heat(small(2)),
      reclaimProgress(small()),
    ]) {
      const [{ data, layout }] = (await browse(figure)).plots;
      expect(layout).toEqual(JSON.parse(JSON.stringify(figure.layout)));
      data.forEach((trace, i) => {
        const { text, ...rest } = JSON.parse(JSON.stringify(figure.data[i])) as Heatmap;
        if (rest.type === "heatmap" && text === undefined && rest.hoverinfo === undefined) {
          const cell = `${rest.meta.rows![0]}: ${rest.meta.states[rest.z[0][0]!].name}`;
          expect((trace as Heatmap).text![0][0]).toBe(cell);
          expect({ ...trace, text: undefined }).toEqual({ ...rest, text: undefined });
        } else expect(JSON.parse(JSON.stringify(trace))).toEqual(JSON.parse(JSON.stringify(figure.data[i])));
      });
    }
  });

  it("names the steps of a busy lane to a reader who has zoomed in to single ticks", async () => {
    const figure = lanes(many(30_000));
    const map = figure.data[0] as Heatmap;
    expect(map.z[0].length).toBe(600);
    const page = await browse(figure);
    (page.plots[0].layout.xaxis as { range: unknown }).range = [20_000, 20_300];
    page.tell("plotly_relayout", { "xaxis.range[0]": 20_000 });
    const { update } = page.restyled[0];
    const [edges, cells, text] = [
      update.x[0] as number[],
      update.z[0] as number[][],
      update.text[0] as string[][],
    ];
    expect(edges[1] - edges[0]).toBe(1);
    // Every third event is a step, by turns of tasks 0 and 1.
    const at = edges.indexOf(20_003);
    expect(cells.map((row) => row[at])).toContain(3);
    expect(text.map((row) => row[at]).filter((words) => words !== "")).toEqual([
      "K kswapd0: do_shared_fault: finish_fault",
    ]);
  });

  it("shows more of a range that a reader zooms into, and the picture's own points again of all", async () => {
    const figure = pinCounts(many(300_000));
    const trace = figure.data.findIndex(({ name }) => name === "largest reference count");
    const page = await browse(figure);
    const { x: whole } = figure.data[trace];
    const within = (x: readonly (number | null)[]) =>
      x.filter((at) => at! >= 100_000 && at! <= 103_000).length;
    (page.plots[0].layout.xaxis as { range: unknown }).range = [100_000, 103_000];
    page.tell("plotly_relayout", { "xaxis.range[0]": 100_000, "xaxis.range[1]": 103_000 });
    const { update, traces } = page.restyled[0];
    const finer = update.x[traces.indexOf(trace)] as number[];
    expect(within(finer)).toBeGreaterThan(4 * within(whole));
    expect(finer).toEqual([...finer].sort((a, b) => a - b));
    expect([finer[0], finer.at(-1)]).toEqual([whole[0], whole.at(-1)]);
    expect((update.y[traces.indexOf(trace)] as number[]).length).toBe(finer.length);
    (page.plots[0].layout.xaxis as { range: unknown }).range = [0, 300_000];
    page.tell("plotly_relayout", { "xaxis.autorange": true });
    expect(page.restyled[1].update.x[0]).toEqual(figure.data[page.restyled[1].traces[0]].x);
  });

  it("shows narrower columns of a heat map", async () => {
    const figure = heat(many(300_000));
    const page = await browse(figure);
    (page.plots[0].layout.xaxis as { range: unknown }).range = [100_000, 130_000];
    page.tell("plotly_relayout", { "xaxis.range[0]": 100_000 });
    const { update } = page.restyled[0];
    const edges = update.x[0] as number[];
    expect(edges[1] - edges[0]).toBeLessThan(300);
    expect((update.z[0] as number[][]).map((row) => row.length)).toEqual(Array(10).fill(edges.length - 1));
    expect(edges[0]).toBeLessThanOrEqual(70_000);
    expect(edges.at(-1)).toBeGreaterThanOrEqual(160_000);
  });

  it("tells where the pointer and the range are, follows others of the same run and axis, and nobody else", async () => {
    const figure = dirtyStates(small());
    const page = await browse(figure, pinCounts(small()));
    page.tell("plotly_hover", { xvals: [4.5], points: [] });
    const [{ type, detail }] = page.sent;
    expect([type, detail.run, detail.x, detail.axis]).toEqual([
      "guplab-time",
      figure.replay,
      4.5,
      figure.layout.xaxis.title.text,
    ]);
    page.hear("guplab-range", { run: figure.replay, range: [2, 5], source: null });
    expect(page.relayouts).toEqual([{ "xaxis.range": [2, 5] }, { "xaxis.range": [2, 5] }]);
    page.hear("guplab-range", { run: figure.replay, range: null, source: null });
    expect(page.relayouts.slice(2)).toEqual([{ "xaxis.range": [0, 12] }, { "xaxis.range": [0, 12] }]);
    page.hear("guplab-range", { run: "another", range: [2, 5], source: null });
    page.hear("guplab-range", { run: figure.replay, axis: "order of events", range: [2, 5], source: null });
    expect(page.relayouts.length).toBe(4);
  });

  it("does not link figures whose x is no time: a table, a curve, a diagram", async () => {
    const curve = { name: "a", points: [1, 2].map((x) => ({ x, y: 10 * x, label: String(x) })) };
    const rates = meanTimes({ title: "t", subtitle: "s", x: "x", curves: [curve], caption: "c" });
    expect([rates.layout.xaxis.showline, rates.timed, lanes(small()).timed]).toEqual([true, false, true]);
    const page = await browse(rates);
    page.hear("guplab-range", { run: "s", range: [2, 5], source: null });
    expect(page.relayouts).toEqual([]);
  });

  it("is said once on a page of many figures", () => {
    const page = toPage([pinCounts(small()), dirtyStates(small())], { title: "two", plotly: "" });
    expect(page.split(FIGURE_SCRIPT).length).toBe(2);
    expect(FIGURE_SCRIPT.length).toBeLessThan(10_000);
  });
});

describe("packing", () => {
  it("numbers come back", () => {
    const unpack = (text: string, name: string): unknown =>
      runInNewContext(
        `${FIGURE_SCRIPT.replace(/^function \(\) \{/, "").replace(/return function \(key[\s\S]*$/, "")};${name}(given)`,
        {
          given: text,
        },
      );
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -(2 ** 30) + 1, max: 2 ** 30 - 1 })), (values) => {
        expect([...(unpack(packWhole(values), "whole") as number[])]).toEqual(values);
      }),
    );
    fc.assert(
      fc.property(fc.array(fc.double({ min: -5, max: 1e7, noNaN: true }), { minLength: 1 }), (values) => {
        const packed = packColumn(Float64Array.from(values));
        const back = [...(unpack(packed as never, "column") as number[])];
        const span = Math.max(...values) - Math.min(...values);
        const errors = back.map((value, i) => Math.abs(value - values[i]));
        expect(Math.max(...errors)).toBeLessThanOrEqual(span / 2 ** 23 + 1e-9);
      }),
    );
    expect(packColumn(Float64Array.of(5, 7, 6))).toEqual({
      from: 5,
      step: 1,
      differences: packWhole([0, 2, -1]),
    });
    expect(packRuns([3, 3, null, 0], null)).toBe(packWhole([4, 2, 0, 1, 1, 1]));
    expect(() => packWhole([0.5])).toThrow("packWhole: 0.5 is not a whole number of at most 30 bits");
  });

  it("details of a figure are cut to what they may take", () => {
    const recorder = new Recorder();
    for (let i = 0; i < 400_000; i++)
      recorder.add(
        i,
        0,
        0,
        PAGE + (i % 100),
        WORD.flags,
        (i * 7919) % 17 < 8 ? pg("dirty") : pg("writeback"),
      );
    const html = toHtml(dirtyStates(recorder.finish({ ...small().info, faults: [] })));
    const details = JSON.stringify(JSON.parse(/"details":(.*)\}\]\);\n<\/script>/.exec(html)![1]));
    expect(details.length).toBeLessThanOrEqual(DETAIL_SIZE);
    expect(details.length).toBeGreaterThan(DETAIL_SIZE / 5);
  });
});
