import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compose } from "../../src/plot/compose.js";
import { FINE, MAX_POINTS, m4, Sampler } from "../../src/plot/downsample.js";
import { COLOR, type FineCells, type Heatmap, NARROWEST, type Scatter } from "../../src/plot/figure.js";
import {
  DIRTY_CLASSES,
  DISPLAY,
  dirtyClass,
  dirtyStates,
  type Figure,
  firstDifference,
  heat,
  lanes,
  pageLife,
  pinCounts,
  reclaimFlow,
  reclaimProgress,
  reclaimWays,
  sideBySide,
  toSvg,
  toTerminal,
} from "../../src/plot/index.js";
import { countScale } from "../../src/plot/scale.js";
import { axisOf } from "../../src/plot/timeline.js";
import { readFtrace } from "../../src/trace/ftrace.js";
import { Recorder, type Recording } from "../../src/trace/recording.js";
import {
  BUFFER_BIT,
  PTE_BIT,
  pg,
  RECLAIM,
  type ReclaimAct,
  TAG_BIT,
  WORD,
  type Word,
} from "../../src/trace/words.js";
import { PAGE, small } from "./small.js";

function load(name: string): Recording {
  const folder = new URL(`../../notebooks/data/${name}/`, import.meta.url);
  const text = gunzipSync(readFileSync(new URL("trace.txt.gz", folder))).toString("utf8");
  return readFtrace(text, JSON.parse(readFileSync(new URL("outcome.json", folder), "utf8")));
}

const old = load("b-dio-pageout-6.1");
const recent = load("b-dio-pageout-6.12");

const all = (recording: Recording, pfn: number): Figure[] => [
  pinCounts(recording),
  pinCounts(recording, { pfn }),
  dirtyStates(recording),
  heat(recording),
  reclaimProgress(recording),
  reclaimFlow(recording),
  lanes(recording),
  pageLife(recording, pfn),
];

const RECORDINGS: [string, Recording, number][] = [
  ["small", small(), PAGE],
  ["several pages", small(3), PAGE + 1],
  ["6.1", old, 0x9489],
  ["6.12", recent, 0x8c5c],
];

/** The last value of a trace. */
const last = (figure: Figure, name: string): number =>
  figure.data.find((trace) => trace.name === name)!.y.at(-1)!;

/** Random events: any words with any values of a few pages, time never going back. */
const anyRecording: fc.Arbitrary<Recording> = fc
  .array(
    fc.record({
      wait: fc.integer({ min: 0, max: 3 }),
      task: fc.integer({ min: 0, max: 2 }),
      step: fc.integer({ min: 0, max: 4 }),
      pfn: fc.integer({ min: 0, max: 5 }),
      word: fc.constantFrom(...Object.values(WORD).filter((word) => word !== WORD.fault)),
      value: fc.oneof(fc.integer({ min: 0, max: 8 }), fc.integer({ min: 0, max: 0x1fffff })),
    }),
    { minLength: 1, maxLength: 80 },
  )
  .map((events) => {
    const recorder = new Recorder();
    let time = 0;
    for (const { wait, task, step, pfn, word, value } of events) {
      time += wait;
      recorder.add(time, task, step, pfn, word as Word, value);
    }
    return recorder.finish({ ...small().info, faults: [] });
  });

describe("figure JSON of a small recording", () => {
  for (const figure of all(small(), PAGE).slice(1)) {
    it(`${figure.kind}: ${figure.layout.title.text}`, async () => {
      await expect(`${JSON.stringify(figure, null, 1)}\n`).toMatchFileSnapshot(
        `fixtures/${figure.kind}.json`,
      );
    });
  }
});

describe("every figure", () => {
  for (const [name, recording, pfn] of RECORDINGS) {
    for (const figure of all(recording, pfn)) {
      it(`${name}, ${figure.kind}: explains itself, and is thin enough to be drawn`, () => {
        const { layout, data, caption } = figure;
        expect(layout.title.text).not.toBe("");
        expect(layout.title.subtitle.text).toBe(recording.info.title);
        // A diagram of what happened and not of when has no axis.
        if (figure.kind !== "flow")
          expect(layout.xaxis.title.text).toMatch(/tick|time \(s\)|order of events/);
        expect(caption.endsWith(recording.info.replay)).toBe(true);
        expect(figure.replay).toBe(recording.info.replay);
        for (const trace of data) {
          if (trace.type === "scatter") expect(trace.x.length).toBe(trace.y.length);
          else expect(trace.z.every((row) => row.length === trace.x.length - 1)).toBe(true);
          expect(trace.x.length).toBeLessThanOrEqual(4000);
        }
        const notes = layout.annotations.map(({ text }) => text.replaceAll("<br>", " ")).join("\n");
        const aboutOnePage = figure.layout.title.text.includes(`0x${pfn.toString(16)}`);
        const [first] = recording.info.faults.filter((fault) => !aboutOnePage || fault.pfn === pfn);
        if (first !== undefined && figure.kind !== "flow") expect(notes).toContain(first.message);
      });

      it(`${name}, ${figure.kind}: the SVG names every trace, is well formed, and is the same twice`, () => {
        const svg = toSvg(figure);
        for (const trace of figure.data) expect(svg).toContain(`<title>${trace.name}</title>`);
        for (const trace of figure.data.filter((t) => t.showlegend))
          expect(svg).toContain(`>${trace.name}</text>`);
        expect(svg).not.toMatch(/NaN|undefined|Infinity|null/);
        expect((svg.match(/<g>/g) ?? []).length).toBe((svg.match(/<\/g>/g) ?? []).length);
        expect(svg).toBe(toSvg(figure));
      });

      it(`${name}, ${figure.kind}: fits the terminal it is given`, () => {
        for (const [columns, rows] of [
          [80, 24],
          [40, 14],
          [132, 50],
          [61, 17],
        ]) {
          const plain = toTerminal(figure, { columns, rows, color: false });
          const lines = plain.split("\n");
          expect(lines.length).toBeLessThanOrEqual(rows);
          expect(Math.max(...lines.map((line) => [...line].length))).toBeLessThanOrEqual(columns);
          expect(plain).not.toMatch(/undefined|NaN/);
          expect(plain).not.toContain("\u001b");
          // biome-ignore lint/suspicious/noControlCharactersInRegex: the colours are what is taken out
          const bare = toTerminal(figure, { columns, rows, color: true }).replace(/\u001b\[[0-9;]*m/g, "");
          expect(bare.split("\n").map((line) => line.trimEnd())).toEqual(lines);
        }
      });
    }
  }

  it("is what a notebook can show: plain text, HTML and SVG", () => {
    const figure = pinCounts(small());
    const bundle = figure[DISPLAY]();
    expect(Object.keys(bundle)).toEqual(["text/plain", "text/html", "image/svg+xml"]);
    expect((figure as unknown as Record<symbol, unknown>)[Symbol.for("Jupyter.display")]).toBe(
      figure[DISPLAY],
    );
    expect(Object.keys(JSON.parse(JSON.stringify(figure)))).toEqual([
      "kind",
      "data",
      "layout",
      "timed",
      "caption",
      "replay",
    ]);
  });

  it("draws whatever a recording holds", () => {
    fc.assert(
      fc.property(anyRecording, (recording) => {
        for (const figure of [
          pinCounts(recording),
          dirtyStates(recording),
          heat(recording),
          reclaimProgress(recording),
          reclaimFlow(recording),
          lanes(recording),
          pageLife(recording, recording.pfn[0]),
        ]) {
          expect(toSvg(figure)).not.toMatch(/NaN|undefined|Infinity/);
          toTerminal(figure, { columns: 80, rows: 24, color: true });
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe("text in terminals", () => {
  it("80 by 24: the story of one page", async () => {
    const text = all(small(), PAGE)
      .slice(1)
      .map((figure) => toTerminal(figure, { columns: 80, rows: 24, color: false }));
    await expect(`${text.join("\n\n")}\n`).toMatchFileSnapshot("fixtures/terminal.txt");
  });

  it("80 by 24: the recordings", async () => {
    const figures = [
      pinCounts(old),
      dirtyStates(old),
      heat(old),
      reclaimProgress(recent),
      reclaimFlow(recent),
      pageLife(recent, 0x8c5c),
    ];
    const text = figures.map((figure) => toTerminal(figure, { columns: 80, rows: 24, color: false }));
    await expect(`${text.join("\n\n")}\n`).toMatchFileSnapshot("fixtures/terminal-recordings.txt");
  });

  it("says how much room it needs", () => {
    expect(() => toTerminal(pinCounts(small()), { columns: 20, rows: 24, color: false })).toThrow(
      "A figure needs a terminal of at least 40 columns and 14 rows; this one has 20 by 24.",
    );
  });
});

describe("pin counts", () => {
  it("6.1: 64 pages are held and page_maybe_dma_pinned never says so", () => {
    const figure = pinCounts(old);
    const [held, maybe] = figure.data;
    expect(Math.max(...held.y.map(Number))).toBe(64);
    expect(Math.max(...maybe.y.map(Number))).toBe(0);
    expect(last(figure, "held by gup (exact)")).toBe(0);
  });

  it("6.12: page_maybe_dma_pinned says yes for exactly the pages that are held", () => {
    const [held, maybe] = pinCounts(recent).data;
    expect(maybe.x).toEqual(held.x);
    expect(maybe.y).toEqual(held.y);
    expect(Math.max(...held.y.map(Number))).toBe(64);
  });

  it("the pointer shows the counts themselves, not their place on the cut axis", () => {
    const refs = pinCounts(recent, { pfn: 0x8c5c }).data.find(({ name }) => name === "reference count")!;
    expect(refs.text).toContain("1027");
    expect(Math.max(...refs.y.map(Number))).toBeLessThan(20);
  });

  it("says which page the recording does not know", () => {
    expect(() => pinCounts(old, { pfn: 3 })).toThrow("The recording never speaks of page frame 3.");
    expect(() => pageLife(old, 3)).toThrow("The recording never speaks of page frame 3.");
  });
});

describe("the axis of counts", () => {
  it("keeps order and gives whole steps, below and above 1024", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 5000 }), { minLength: 1 }), (counts) => {
        const { y, range, ticks } = countScale(counts);
        const sorted = [...counts].sort((a, b) => a - b);
        for (let i = 1; i < sorted.length; i++) {
          if (sorted[i] > sorted[i - 1]) expect(y(sorted[i])).toBeGreaterThan(y(sorted[i - 1]));
        }
        for (const count of counts) {
          expect(y(count)).toBeGreaterThan(range[0]);
          expect(y(count)).toBeLessThan(range[1]);
        }
        expect(ticks.labels.map((label) => y(Number(label)))).toEqual(ticks.values);
      }),
    );
  });

  it("puts the cut between the last count below 1024 and 1024", () => {
    const scale = countScale([3, 4, 1027]);
    expect(scale.y(4)).toBeLessThan(scale.threshold);
    expect(scale.y(1024)).toBeGreaterThan(scale.threshold);
  });
});

describe("dirty states", () => {
  const dirty = pg("dirty");
  const cases: [string, Parameters<typeof dirtyClass>[0], ReturnType<typeof dirtyClass>][] = [
    ["nothing known", {}, "absent"],
    ["freed", { flags: dirty, refcount: 0 }, "absent"],
    ["clean", { flags: 0, refcount: 2 }, "clean"],
    ["a dirty PTE", { flags: 0, refcount: 3, pte: PTE_BIT.present | PTE_BIT.dirty }, "pte"],
    ["PG_dirty over a dirty PTE", { flags: dirty, refcount: 3, pte: PTE_BIT.dirty, buffers: 1 }, "dirty"],
    ["a tag left behind", { flags: 0, refcount: 1, tags: TAG_BIT.dirty | TAG_BIT.towrite }, "tagged"],
    [
      "under writeback and dirty again",
      { flags: dirty | pg("writeback"), refcount: 3, buffers: 1 },
      "writeback",
    ],
    ["written by a device", { flags: 0, refcount: 2, buffers: 0, device: 1 }, "device"],
    ["dirty without buffers", { flags: dirty, refcount: 2, buffers: 0 }, "no_buffers"],
  ];
  for (const [name, words, wanted] of cases) {
    it(`${name}: ${wanted}`, () => expect(dirtyClass(words, true)).toBe(wanted));
  }

  it("the absence of buffers means nothing on a filesystem that has none", () => {
    expect(dirtyClass({ flags: dirty, refcount: 2, buffers: 0 }, false)).toBe("dirty");
  });

  it("the counts add up to the number of pages everywhere", () => {
    fc.assert(
      fc.property(anyRecording, (recording) => {
        const figure = dirtyStates(recording);
        const [, pages] = figure.layout.yaxis.range;
        figure.data[0].x.forEach((_, i) => {
          expect(figure.data.reduce((sum, { y }) => sum + y[i]!, 0)).toBe(pages);
        });
      }),
    );
  });

  it("6.1 ends dirty without buffers, then tagged; 6.12 never", () => {
    const name = (id: string): string => DIRTY_CLASSES.find((c) => c.id === id)!.name;
    const most = (figure: Figure, id: string): number =>
      Math.max(0, ...(figure.data.find((trace) => trace.name === name(id))?.y.map(Number) ?? []));
    expect(most(dirtyStates(old), "no_buffers")).toBe(64);
    expect(most(dirtyStates(old), "tagged")).toBe(64);
    expect(most(dirtyStates(recent), "no_buffers")).toBe(0);
    expect(most(dirtyStates(recent), "device")).toBe(64);
  });

  it("a page that never had buffers is not dirty without them", () => {
    const recorder = new Recorder();
    recorder.add(0, 0, 0, 1, WORD.refcount, 3);
    recorder.add(1, 0, 0, 1, WORD.flags, dirty);
    recorder.add(1, 0, 0, 1, WORD.buffers, 0);
    const info = { ...small().info, faults: [] };
    expect(dirtyStates(recorder.finish(info)).data.map(({ name }) => name)).not.toContain(
      "dirty without buffers",
    );
    recorder.add(2, 0, 0, 2, WORD.buffers, BUFFER_BIT.attached);
    expect(dirtyStates(recorder.finish(info)).data.map(({ name }) => name)).toContain(
      "dirty without buffers",
    );
  });
});

describe("reclaim's progress", () => {
  it("6.1: stripped and backed out; 6.12: activated", () => {
    const ends = (recording: Recording) =>
      Object.fromEntries(reclaimProgress(recording).data.map(({ name, y }) => [name, y.at(-1)]));
    expect(ends(old)).toEqual({
      scanned: 64,
      unmapped: 64,
      "stripped of buffers": 64,
      "backed out": 64,
      reclaimed: 0,
      activated: 0,
    });
    expect(ends(recent)).toEqual({
      scanned: 64,
      unmapped: 64,
      "stripped of buffers": 0,
      "backed out": 0,
      reclaimed: 0,
      activated: 64,
    });
  });
});

describe("all pages over time", () => {
  /** Names of the classes of a row from left to right, the row above all others being 0. */
  const classes = (figure: Figure, row: number): string[] => {
    const map = figure.data[0] as Heatmap;
    const cells = map.z[map.z.length - 1 - row];
    return cells.map((cell) => map.meta.states[cell!].name).filter((name, i, all) => name !== all[i - 1]);
  };

  it("one page: a column for each change, each in its class, and a line while gup holds it", () => {
    const figure = heat(small());
    expect(classes(figure, 0)).toEqual([
      "clean",
      "PG_dirty",
      "clean",
      "device wrote but nobody said",
      "dirty without buffers",
    ]);
    const pins = figure.data.find(({ name }) => name === "held by gup") as Heatmap;
    const held = pins.z[1].flatMap((cell, i) => (cell === null ? [] : [[pins.x[i], pins.x[i + 1]]]));
    expect([held[0][0], held.at(-1)![1]]).toEqual([3, 11]);
    expect(pins.z[0].every((cell) => cell === null)).toBe(true);
  });

  it("says in each row what the page's class is at each event", () => {
    fc.assert(
      fc.property(anyRecording, (recording) => {
        const map = heat(recording).data[0] as Heatmap;
        const counts = dirtyStates(recording);
        map.x.slice(0, -1).forEach((from, c) => {
          for (const { name } of DIRTY_CLASSES) {
            const trace = counts.data.find((each) => each.name === name);
            const at = (trace?.x ?? []).findLastIndex((x) => x! <= from);
            const here = map.z.filter((row) => map.meta.states[row[c]!].name === name).length;
            expect(here).toBe(trace === undefined ? 0 : trace.y[at]);
          }
        });
      }),
    );
  });

  it("6.1: every page goes from clean by a device's write to dirty without buffers and a left-over tag", () => {
    const figure = heat(old);
    for (let row = 0; row < 64; row++)
      expect(
        classes(figure, row)
          .filter((name) => name !== "not in memory")
          .slice(-4),
      ).toEqual(["clean", "device wrote but nobody said", "dirty without buffers", "tagged"]);
  });

  it("a hundred thousand pages share rows, and the one that is dirty without buffers for a moment is seen", () => {
    const recorder = new Recorder();
    const PAGES = 100_000;
    for (let pfn = 0; pfn < PAGES; pfn++) recorder.add(pfn, 0, 0, pfn, WORD.flags, pg("dirty"));
    recorder.add(PAGES, 0, 0, 50_000, WORD.buffers, BUFFER_BIT.attached);
    recorder.add(PAGES + 1, 0, 0, 50_000, WORD.buffers, 0);
    recorder.add(PAGES + 2, 0, 0, 50_000, WORD.flags, 0);
    recorder.add(2 * PAGES, 0, 0, 1, WORD.step, 1);
    const figure = heat(recorder.finish({ ...small().info, faults: [] }));
    const map = figure.data[0] as Heatmap;
    expect(map.z.length).toBe(128);
    expect(map.meta.rows![127]).toBe("pages 0x0 to 0x30d");
    expect(classes(figure, 0)).toEqual(["PG_dirty"]);
    expect(classes(figure, 127)).toEqual(["not in memory", "PG_dirty"]);
    expect(classes(figure, Math.floor(50_000 / 782))).toEqual([
      "not in memory",
      "PG_dirty",
      "dirty without buffers",
      "PG_dirty",
    ]);
    expect(figure.caption).toContain("A row for each 782 page frames");
  });
});

describe("reclaim's flow", () => {
  it("6.1: every page is stripped and backed out while gup holds it; 6.12: activated", () => {
    expect(reclaimWays(old)).toEqual([
      { stages: ["isolated", "unmapped", "buffers stripped", "backed out"], passes: 64, held: 64 },
    ]);
    expect(reclaimWays(recent)).toEqual([
      { stages: ["isolated", "unmapped", "activated"], passes: 64, held: 64 },
    ]);
  });

  it("a pass ends with what ends it, or where the next one begins; pins count that were there in the pass", () => {
    const recorder = new Recorder();
    const act = (pfn: number, ...acts: ReclaimAct[]) => {
      for (const each of acts) recorder.add(0, 0, 0, pfn, WORD.reclaim, RECLAIM[each]);
    };
    act(1, "scanned", "kept", "scanned", "unmapped", "stripped", "reclaimed", "scanned");
    act(2, "scanned", "unmapped");
    recorder.add(0, 0, 0, 2, WORD.pins, 1);
    act(2, "scanned", "activated");
    recorder.add(0, 0, 0, 2, WORD.pins, 0);
    act(2, "scanned", "activated");
    const ways = reclaimWays(recorder.finish({ ...small().info, faults: [] }));
    expect(ways[0]).toEqual({ stages: ["isolated", "activated"], passes: 2, held: 1 });
    expect(new Set(ways.slice(1))).toEqual(
      new Set([
        { stages: ["isolated", "not over yet"], passes: 1, held: 0 },
        { stages: ["isolated", "unmapped", "not over yet"], passes: 1, held: 1 },
        { stages: ["isolated", "unmapped", "buffers stripped", "freed"], passes: 1, held: 0 },
        { stages: ["isolated", "kept"], passes: 1, held: 0 },
      ]),
    );
  });

  it("what flows into a stage flows out of it, in the bands as in the words", () => {
    fc.assert(
      fc.property(anyRecording, (recording) => {
        const ways = reclaimWays(recording);
        const figure = reclaimFlow(recording);
        const total = ways.reduce((sum, { passes }) => sum + passes, 0);
        const said = figure.layout.annotations.map(({ text }) => /^isolated (\d+)$/.exec(text)?.[1]);
        expect(Number(said.find((n) => n !== undefined) ?? 0)).toBe(total);
        const ends = /^(freed|backed out|activated|kept|not over yet) (\d+)$/;
        const ended = figure.layout.annotations.reduce(
          (sum, { text }) => sum + Number(ends.exec(text)?.[2] ?? 0),
          0,
        );
        expect(ended).toBe(total);
        expect((figure.lines as readonly string[]).join("\n")).toContain(
          total === 0 ? "Reclaim looked at no page." : `${total} passes`,
        );
      }),
    );
  });
});

describe("two runs side by side", () => {
  const side = { recording: small() };
  const words = (figure: Figure) => [figure.layout.title.text, figure.caption.split(" A meets")[0]];

  /** The small recording with one step of it called something else, or cut off there. */
  function parted(at: number, step: string | null): Recording {
    const recording = small();
    const events = [...recording.word.keys()].filter((i) => recording.word[i] === WORD.step);
    const { info } = recording;
    if (step === null) {
      const length = events[at];
      const cut = <T extends { slice(from: number, to: number): T }>(column: T): T => column.slice(0, length);
      const { time, task, step: ids, pfn, word, value } = recording;
      return {
        info: { ...info, faults: [] },
        length,
        time: cut(time),
        task: cut(task),
        step: cut(ids),
        pfn: cut(pfn),
        word: cut(word),
        value: cut(value),
      };
    }
    const ids = recording.step.map((id, i) => (i === events[at] ? info.steps.length : id));
    return {
      ...recording,
      step: ids,
      info: { ...info, steps: [...info.steps, { path: "elsewhere", step }] },
    };
  }

  it("the same run twice is the same, to its end", () => {
    expect(firstDifference(side, side)).toEqual({ same: 12, a: null, b: null });
    expect(words(sideBySide(side, side))).toEqual([
      "Two runs that are the same",
      "The runs are the same, 12 steps long.",
    ]);
  });

  it("the first step that differs is named, and marked in both at one place of the axis", () => {
    const other = { recording: parted(4, "truncate") };
    const figure = sideBySide(side, other);
    expect(words(figure)).toEqual([
      "Two runs that part after 4 steps",
      "The first 4 steps are the same. Then A goes on with page_mkclean of clear_page_dirty_for_io, made by kswapd0; B goes on with truncate of elsewhere, made by kswapd0.",
    ]);
    const marks = figure.data.filter(({ name }) => name === "first difference");
    expect(marks.map(({ x }) => x)).toEqual([[5], [5]]);
    expect(figure.layout.shapes.filter((s) => s.type === "line" && s.x0 === 4.5).length).toBe(2);
    expect(figure.caption).toContain("A meets WARN. B meets WARN.");
    expect(
      figure.caption.endsWith(`Replay of A: ${small().info.replay} Replay of B: ${small().info.replay}`),
    ).toBe(true);
    const legend = figure.data.filter(({ showlegend }) => showlegend).map(({ name }) => name);
    expect(new Set(legend).size).toBe(legend.length);
  });

  it("a run that ends where the other goes on; runs that differ at once", () => {
    expect(words(sideBySide(side, { recording: parted(3, null) }))[1]).toBe(
      "The first 3 steps are the same. Then A goes on with get_page of get_user_pages, made by reader; B is over.",
    );
    expect(words(sideBySide({ recording: parted(0, "open") }, side))).toEqual([
      "Two runs that part at the first step",
      "They differ from the first step on. A goes on with open of elsewhere, made by reader; B goes on with page_mkwrite of do_shared_fault, made by reader.",
    ]);
  });

  it("steps that one kernel calls otherwise are the same where both are told by common names", () => {
    const renamed = parted(4, "folio_mkclean");
    const names = renamed.info.steps.map((step) =>
      step.step === "folio_mkclean" ? { path: "clear_page_dirty_for_io", step: "page_mkclean" } : step,
    );
    expect(firstDifference(side, { recording: renamed }).same).toBe(4);
    expect(firstDifference(side, { recording: renamed, names }).same).toBe(12);
  });

  it("draws real recordings, each with its own tasks, in every form", () => {
    const figure = sideBySide({ recording: old }, { recording: recent });
    const steps = figure.data.filter((trace) => trace.name === "steps") as Heatmap[];
    expect(steps.map(({ z }) => z.some((row) => row.some((state) => state! > 0)))).toEqual([true, true]);
    expect(toSvg(figure)).not.toMatch(/NaN|undefined|Infinity|null/);
    expect(
      toTerminal(figure, { columns: 100, rows: 30, color: false }).split("\n").length,
    ).toBeLessThanOrEqual(30);
  });
});

describe("lanes", () => {
  it("a short run has its steps named, its waits drawn, its faults crossed", () => {
    const figure = lanes(small());
    expect(figure.layout.annotations.map(({ text }) => text)).toContain("try_to_release_page");
    expect(figure.data.map(({ name }) => name)).toEqual(["waiting", "step", "fault"]);
    expect(figure.layout.yaxis.ticktext).toEqual(["K kswapd0", "A reader", "D disk"]);
  });

  it("names that would touch are left out, first those of steps without a fault", () => {
    const { info } = small();
    const recorder = new Recorder();
    const faulty = [20, 41];
    for (let tick = 0; tick < 60; tick++) {
      recorder.add(tick, 0, 0, PAGE, WORD.step, 1);
      if (faulty.includes(tick)) recorder.add(tick, 0, 0, PAGE, WORD.fault, 0);
    }
    const { layout, caption } = lanes(recorder.finish(info));
    const named = layout.annotations.filter(({ textangle }) => textangle !== undefined).map(({ x }) => x);
    const [from, to] = layout.xaxis.range;
    const tick = (NARROWEST - layout.margin.l - layout.margin.r) / (to - from);
    const gaps = named.slice(1).map((x, i) => (x - named[i]) * tick);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(13);
    // No more are left out than have to be.
    expect(Math.max(...gaps)).toBeLessThan(4 * tick);
    expect(named).toEqual(expect.arrayContaining(faulty));
    expect(caption).toContain("those of its steps named that have room");
  });
});

describe("a legend", () => {
  const names = Array.from({ length: 5 }, (_, i) => `something that takes a good deal of room, ${i}`);
  const figure = compose({
    kind: "lanes",
    title: "Five names",
    info: small().info,
    timeline: axisOf(0, 1, "of nothing"),
    caption: "",
    panels: [
      {
        title: "",
        height: 100,
        range: [0, 1],
        // Wide labels leave little to the legend.
        ticks: { values: [0], labels: ["a name of a row as wide as its margin"] },
        traces: names.map((name) => ({
          name,
          mode: "lines",
          x: [0, 1],
          y: [0, 1],
          line: { color: COLOR.blue, width: 1 },
          showlegend: true,
        })),
      },
    ],
  });
  const { height, margin, legend } = figure.layout;

  it("begins below the title of the axis, and has the rows that it needs where the figure is narrowest", () => {
    const top = height * (1 - legend.y);
    expect(top - (height - margin.b)).toBeCloseTo(46);
    expect(height - top).toBeGreaterThanOrEqual(5 * 20);
  });

  it("ends the picture, which is wider and needs fewer rows", () => {
    const svg = toSvg(figure, { caption: false });
    expect(Number(/ height="(\d+)"/.exec(svg)![1])).toBe(height - 2 * 20);
  });
});

describe("lanes of a great many steps", () => {
  /** Task 0 makes three steps of four, task 1 the fourth; task 2 makes one step, and waits in the second half. */
  function busy(ticks: number): Recording {
    const recorder = new Recorder();
    recorder.add(0, 2, 0, -1, WORD.step, 1);
    for (let tick = 1; tick < ticks; tick++) {
      if (tick === ticks / 2) recorder.add(tick, 2, 0, -1, WORD.wait, 1);
      recorder.add(tick, tick % 4 === 0 ? 1 : 0, tick % 5, -1, WORD.step, 1);
    }
    return recorder.finish({ ...small().info, faults: [] });
  }

  it("are the darker, the more of the steps a task makes, and grey where it waits", () => {
    const map = lanes(busy(24_000)).data[0] as Heatmap;
    // The first to run is on top; the first column has the step of task 2.
    const states = map.z.map((row) => [...new Set(row.slice(1))]);
    expect(states).toEqual([[1], [3], [null, 0]]);
    expect(map.z[2].indexOf(0)).toBe(300);
    expect(map.z[2][0]).toBe(1);
  });

  it("have columns of single ticks at last, with a step in one row of each", () => {
    const levels = lanes(busy(24_000)).fine!()[0] as readonly FineCells[];
    expect(levels.map(({ x }) => x.length - 1)).toEqual([2400, 9600, 24_000]);
    const { z, columns } = levels[2];
    for (const column of [0, 1, 4, 11_999, 12_000, 23_999])
      expect([0, 1, 2].filter((row) => z[row * 24_000 + column] === 3).length).toBe(1);
    expect(columns!.of.length).toBe(24_000);
    expect(columns!.names[columns!.of[6] - 1]).toBe("do_shared_fault: set_page_dirty");
  });

  it("faults that fall on the same place are one cross that counts them", () => {
    const { info } = small();
    const recorder = new Recorder();
    for (let tick = 0; tick < 4000; tick++) {
      recorder.add(tick, 0, 0, PAGE, WORD.step, 1);
      recorder.add(tick, 0, 0, PAGE, WORD.fault, 0);
    }
    const crosses = lanes(recorder.finish(info)).data.find(({ name }) => name === "fault") as Scatter;
    expect(crosses.x.length).toBe(200);
    expect(crosses.text![0]).toMatch(/^WARN .* and 19 more$/);
  });
});

describe("thinning", () => {
  const series = fc
    .array(fc.tuple(fc.integer({ min: 0, max: 9 }), fc.integer({ min: -50, max: 50 })), {
      minLength: 1,
      maxLength: 400,
    })
    .map((points) => {
      const x = points.map(([dx]) => dx);
      for (let i = 1; i < x.length; i++) x[i] += x[i - 1];
      return { x, y: points.map(([, value]) => value) };
    });

  it("keeps first, last, smallest and largest of every column, and not more than asked for", () => {
    fc.assert(
      fc.property(series, fc.integer({ min: 4, max: 60 }), ({ x, y }, limit) => {
        const kept = m4(x, [y], limit);
        expect(kept.length).toBeLessThanOrEqual(Math.max(limit, 0));
        expect([...kept].sort((a, b) => a - b)).toEqual(kept);
        if (x.length <= limit) {
          expect(kept).toEqual([...x.keys()]);
          return;
        }
        const buckets = Math.floor(limit / 4);
        const width = (x[x.length - 1] - x[0]) / buckets || 1;
        const columns = new Map<number, number[]>();
        for (const i of x.keys()) {
          const column = Math.min(buckets - 1, Math.floor((x[i] - x[0]) / width));
          columns.set(column, [...(columns.get(column) ?? []), i]);
        }
        for (const column of columns.values()) {
          const values = column.map((i) => y[i]);
          const left = column.filter((i) => kept.includes(i)).map((i) => y[i]);
          expect(kept).toContain(column[0]);
          expect(kept).toContain(column.at(-1));
          expect(Math.min(...left)).toBe(Math.min(...values));
          expect(Math.max(...left)).toBe(Math.max(...values));
        }
      }),
    );
  });

  it("a figure of 60,000 events has at most 4,000 points a trace, and its highest count", () => {
    const recorder = new Recorder();
    for (let i = 0; i < 60_000; i++) {
      const [word, value] = i % 3 === 0 ? [WORD.refcount, i === 30_000 ? 9 : 2 + (i % 2)] : [WORD.step, 1];
      recorder.add(i, i % 3, i % 5, 1, word, value);
      if (i % 7 === 0) recorder.add(i, 0, 0, 1, WORD.flags, i % 2 === 0 ? pg("dirty") : 0);
    }
    const recording = recorder.finish({ ...small().info, faults: [] });
    for (const figure of [
      pinCounts(recording),
      dirtyStates(recording),
      reclaimProgress(recording),
      lanes(recording),
    ]) {
      for (const { x } of figure.data) expect(x.length).toBeLessThanOrEqual(4000);
    }
    const refs = pinCounts(recording).data.find(({ name }) => name === "reference count")!;
    expect(Math.max(...refs.y.map(Number))).toBe(9);
  });

  it("several series stay aligned", () => {
    const x = Array.from({ length: 1000 }, (_, i) => i);
    const series = [x.map((i) => i % 7), x.map((i) => 10 - (i % 7))];
    const kept = m4(x, series, 100);
    expect(kept.length).toBeLessThanOrEqual(100);
    for (const i of kept) expect(series[0][i] + series[1][i]).toBe(10);
    expect(() => m4(x, series, 5)).toThrow("m4: 5 points are too few for 2 series.");
  });

  it("a step line loses only points at which it does not turn, and of those with the same x all but the last", () => {
    const line = new Sampler([0, 4], 1);
    for (const [x, y] of [
      [0, 5],
      [1, 5],
      [2, 6],
      [2, 7],
      [3, 7],
    ])
      line.add(x, [y]);
    const { x, y } = line.end(4);
    expect([[...x], [...y[0]]]).toEqual([
      [0, 2, 4],
      [5, 7, 7],
    ]);
  });

  it("a sampler of two million points keeps the extremes of every column of the picture, and few points", () => {
    const line = new Sampler([0, 2e6], 1);
    const wave = (i: number): number => Math.round(1000 * Math.sin(i / 9)) + (i === 1_234_567 ? 5000 : 0);
    for (let i = 0; i < 2e6; i++) line.add(i, [wave(i)]);
    const { x, y } = line.end(2e6);
    expect(x.length).toBeLessThanOrEqual(FINE * MAX_POINTS);
    expect(x.length).toBeGreaterThan((FINE * MAX_POINTS) / 2);
    const width = 2e6 / (MAX_POINTS / 4);
    for (const column of [0, 7, 617, 999]) {
      const here = [...y[0]].filter((_, i) => Math.floor(x[i] / width) === column);
      const all = Array.from({ length: width }, (_, i) => wave(column * width + i));
      expect([Math.min(...here), Math.max(...here)]).toEqual([Math.min(...all), Math.max(...all)]);
    }
  });
});

describe("a recording with nothing in it", () => {
  it("is refused in one sentence", () => {
    const empty = new Recorder().finish({ ...small().info, faults: [] });
    expect(() => lanes(empty)).toThrow("The recording is empty: there is nothing to draw.");
    expect(() => dirtyStates(empty)).toThrow(
      "The recording speaks of no page: there are no dirty states to draw.",
    );
    expect(() => pinCounts(empty)).toThrow(
      "The recording speaks of no page: there are no pin counts to draw.",
    );
  });
});
