/** Diagrams: everything lies on the sheet and can be read, each form says the same, and what they claim follows from the words. */
import { describe, expect, it } from "vitest";
import { SHEET } from "../../src/plot/diagram.js";
import {
  type BeforeStory,
  beforeGraph,
  type Figure,
  misfitsOf,
  type OwnersStory,
  owners,
  ownersIn,
  type PageStory,
  pageWordsSheet,
  toHtml,
  toSvg,
  toTerminal,
  type WaitStory,
  waits,
} from "../../src/plot/index.js";
import { textWidth } from "../../src/plot/text.js";
import { BUFFER_BIT, PTE_BIT, pg, TAG_BIT } from "../../src/trace/words.js";
import { PAGE, small } from "./small.js";

const RUN = { run: "kara-2018 on v4.20", replay: "kara-2018@v4.20:r12" };

const page: PageStory = {
  ...RUN,
  pfn: 3,
  type: "page cache",
  tick: 40,
  since: 10,
  layout: "The words are as in v4.20.",
  words: [
    {
      word: 0,
      field: "flags",
      owner: "always",
      holds: "PG_* bits",
      value: "locked",
      before: "locked dirty",
      elsewhere: [],
    },
    {
      word: 1,
      field: "dma_pinned_flags",
      owner: "proposal",
      holds: "while get_user_pages has the page",
      value: "pinned",
      before: "lru.next: list head",
      elsewhere: ["pgmap (ZONE_DEVICE)"],
    },
    {
      word: 2,
      field: "lru.prev",
      owner: "free",
      holds: "while PG_lru is set",
      value: "",
      before: null,
      elsewhere: [],
    },
    { word: 3, field: "mapping", owner: "never", holds: "", value: "", before: null, elsewhere: [] },
    {
      word: 4,
      field: "_mapcount, _refcount",
      owner: "sometimes",
      holds: "counts",
      value: "-1, 4",
      before: null,
      elsewhere: [],
    },
  ],
};

const clean: OwnersStory = {
  ...RUN,
  pfn: 3,
  moment: "tick 40",
  words: {
    flags: pg("uptodate"),
    refcount: 3,
    pins: 0,
    pte: 0,
    buffers: BUFFER_BIT.attached,
    tags: 0,
    device: 0,
  },
  buffers: true,
  tags: true,
  contents: { memory: [1], disk: [1], newer: false },
};
const withWords = (words: OwnersStory["words"], more: Partial<OwnersStory> = {}): OwnersStory => ({
  ...clean,
  ...more,
  words: { ...clean.words, ...words },
});
const newer = { memory: [2], disk: [1], newer: true };

const task = (name: string, state: string) => ({ name, state, path: "filemap_fault", step: "lock_page" });
const deadlock: WaitStory = {
  ...RUN,
  moment: "tick 40",
  tasks: [task("a", "hung"), task("b", "hung"), task("c", "waits"), task("d", "can move")],
  things: [
    { name: "the lock of page 0", lock: true, note: "", heldBy: [0], wantedBy: [1, 2] },
    { name: "the lock of page 1", lock: true, note: "", heldBy: [1], wantedBy: [0] },
    { name: "mm->mmap_sem", lock: true, note: "held by 2 readers", heldBy: [], wantedBy: [] },
    { name: "its read to complete", lock: false, note: "", heldBy: [], wantedBy: [3] },
  ],
  circles: [[0, 1]],
  still: false,
};
const quiet: WaitStory = { ...deadlock, things: [], circles: [] };

const step = (tick: number, who: string, name: string) => ({
  tick,
  task: who,
  path: `in_${name}`,
  step: name,
});
const before: BeforeStory = {
  ...RUN,
  kind: "BUG",
  steps: 63,
  orderings: [
    {
      before: step(3, "reader", "unlock"),
      after: step(9, "kswapd", "isolate"),
      cells: ["page 0 flags"],
      necessary: true,
    },
    {
      before: step(9, "kswapd", "isolate"),
      after: step(12, "flusher", "look"),
      cells: ["a", "b"],
      necessary: false,
    },
    { before: step(4, "reader", "pin"), after: step(12, "flusher", "look"), cells: ["a"], necessary: null },
  ],
  fault: step(20, "reader", "die"),
};

const FIGURES: Figure[] = [
  pageWordsSheet(page),
  pageWordsSheet({ ...page, since: null, words: page.words.map((word) => ({ ...word, before: null })) }),
  owners(clean),
  owners(withWords({ device: 1, pins: 2 }, { contents: newer })),
  owners(ownersIn(small(), PAGE)),
  waits(deadlock),
  waits(quiet),
  beforeGraph(before),
];

describe("every diagram", () => {
  it.each(FIGURES.map((figure) => [figure.layout.title.text, figure] as const))(
    "%s: its words and boxes lie on the sheet",
    (_, { layout }) => {
      const [left, right] = layout.xaxis.range;
      const [bottom] = layout.yaxis.range;
      for (const shape of layout.shapes) {
        if (shape.type === "path") continue;
        for (const x of [shape.x0, shape.x1]) expect(x >= left && x <= right).toBe(true);
        for (const y of [shape.y0, shape.y1]) expect(y >= 0 && y <= bottom).toBe(true);
      }
      for (const { text, x, y, xanchor, font } of layout.annotations) {
        const lines = text.split("<br>");
        const width = Math.max(...lines.map((line) => textWidth(line, font.size)));
        const from = x - { left: 0, center: width / 2, right: width }[xanchor];
        expect([text, from >= left - 1 && from + width <= right + 1]).toEqual([text, true]);
        expect([text, y >= 0 && y <= bottom]).toEqual([text, true]);
      }
      expect(right - left).toBeGreaterThanOrEqual(SHEET);
    },
  );

  it.each(FIGURES.map((figure) => [figure.layout.title.text, figure] as const))(
    "%s: the same bytes twice, no axes, and an alternative text in sentences",
    (_, figure) => {
      const svg = toSvg(figure);
      expect(svg).toBe(toSvg(figure));
      expect(svg).not.toMatch(/NaN|undefined|Infinity|null/);
      const drawn = svg.match(/<(rect|line)/g) ?? [];
      // The paper is a rectangle too; an axis would be a line more.
      expect(drawn.length).toBe(figure.layout.shapes.length + 1);
      expect(figure.caption).toMatch(/\. Replay: kara-2018@v4\.20:r12$|Replay: guplab run /);
      expect(toHtml(figure)).toContain(`alt="${figure.layout.title.text}. `);
    },
  );

  it.each(FIGURES.map((figure) => [figure.layout.title.text, figure] as const))(
    "%s: fits into a terminal of any width, and says the same with colours as without",
    (_, figure) => {
      for (const columns of [40, 80, 100, 132]) {
        const plain = toTerminal(figure, { columns, rows: 14, color: false });
        for (const line of plain.split("\n")) expect([...line].length).toBeLessThanOrEqual(columns);
        expect(plain).not.toContain("\u001b");
        // biome-ignore lint/suspicious/noControlCharactersInRegex: the colours are what is taken out
        const bare = toTerminal(figure, { columns, rows: 14, color: true }).replace(/\u001b\[[0-9;]*m/g, "");
        expect(bare.split("\n").map((line) => line.trimEnd())).toEqual(plain.split("\n"));
      }
    },
  );

  it("80 columns: what they say", async () => {
    const text = FIGURES.map((figure) => toTerminal(figure, { columns: 80, rows: 24, color: false }));
    await expect(`${text.join("\n\n")}\n`).toMatchFileSnapshot("fixtures/terminal-diagrams.txt");
  });
});

describe("struct page", () => {
  it("says what a changed word was, in a frame of its own, and only there", () => {
    const { layout, caption } = pageWordsSheet(page);
    const words = layout.annotations.map(({ text }) => text);
    expect(words.filter((text) => text.startsWith("was: "))).toEqual([
      "was: locked dirty",
      "was: lru.next: list head",
    ]);
    // Two words and the legend.
    expect(layout.shapes.filter(({ line }) => line.width === 3)).toHaveLength(3);
    expect(caption).toContain(
      "Since tick 10 flags, dma_pinned_flags have changed. A proposal has dma_pinned_flags.",
    );
  });

  it("draws two counts of one word side by side", () => {
    const { layout } = pageWordsSheet(page);
    const texts = layout.annotations.map(({ text }) => text);
    expect(texts).toContain("_mapcount");
    expect(texts).toContain("_refcount");
  });
});

describe("the two owners", () => {
  const dirty = pg("uptodate") | pg("dirty");
  const said = (story: OwnersStory) => misfitsOf(story).map(({ text }) => text.split(":")[0]);

  it("a clean page that nobody holds fits together", () => {
    expect(misfitsOf(clean)).toEqual([]);
    expect(owners(clean).caption).toContain("What is noted about the page fits together.");
  });

  it("a dirty page with dirty buffers and a tag does, too", () => {
    const story = withWords({
      flags: dirty,
      buffers: BUFFER_BIT.attached | BUFFER_BIT.dirty,
      tags: TAG_BIT.dirty,
      pte: PTE_BIT.present | PTE_BIT.write | PTE_BIT.dirty,
    });
    expect(misfitsOf(story)).toEqual([]);
  });

  it.each([
    ["A device has written and PG_dirty is clear", withWords({ device: 1 }), true],
    [
      "PG_dirty is set and the buffers are gone",
      withWords({ flags: dirty, buffers: 0, tags: TAG_BIT.dirty }),
      true,
    ],
    [
      "PG_dirty is set and the mapping has no dirty tag",
      withWords({ flags: dirty, buffers: BUFFER_BIT.attached | BUFFER_BIT.dirty }),
      true,
    ],
    [
      "Memory is newer than the disk, and nobody says that the page is dirty.",
      withWords({}, { contents: newer }),
      true,
    ],
    [
      "The page is being written to the disk and is pinned",
      withWords({
        flags: pg("writeback") | dirty,
        pins: 1,
        tags: TAG_BIT.dirty,
        buffers: BUFFER_BIT.attached | BUFFER_BIT.async_write,
      }),
      true,
    ],
    [
      "A PTE is dirty and PG_dirty is clear",
      withWords({ pte: PTE_BIT.present | PTE_BIT.write | PTE_BIT.dirty }),
      false,
    ],
    ["The mapping's tag says dirty and PG_dirty is clear", withWords({ tags: TAG_BIT.towrite }), false],
    ["PG_dirty is set and the buffers are clean", withWords({ flags: dirty, tags: TAG_BIT.dirty }), false],
    [
      "Buffers are dirty and PG_dirty is clear",
      withWords({ buffers: BUFFER_BIT.attached | BUFFER_BIT.dirty }),
      false,
    ],
    ["The page is pinned and counts as clean", withWords({ pins: 1 }), false],
    [
      "A PTE is writable and the page counts as clean",
      withWords({ pte: PTE_BIT.present | PTE_BIT.write }),
      false,
    ],
  ])("%s", (text, story, wrong) => {
    expect(said(story)).toEqual([text]);
    expect(misfitsOf(story)[0].wrong).toBe(wrong);
    expect(toTerminal(owners(story), { columns: 200, rows: 24, color: false })).toContain(
      `${wrong ? "≠" : "-"} ${text}`,
    );
  });

  it("without buffers and tags their absence says nothing", () => {
    const tmpfs = withWords({ flags: dirty, buffers: 0 }, { buffers: false, tags: false, contents: null });
    expect(misfitsOf(tmpfs)).toEqual([]);
  });

  it("of a recording: before the device writes, after it, and after the driver has said so", () => {
    const recording = small();
    expect(said(ownersIn(recording, PAGE, 8))).toContain("The page is pinned and counts as clean");
    expect(said(ownersIn(recording, PAGE, 9))).toEqual(["A device has written and PG_dirty is clear"]);
    expect(said(ownersIn(recording, PAGE, 10))).toEqual(["PG_dirty is set and the buffers are gone"]);
  });

  it("says in one sentence what is not in the recording", () => {
    expect(() => ownersIn(small(), 99)).toThrow("The recording never speaks of page frame 99.");
    expect(() => ownersIn(small(), PAGE, 12)).toThrow(
      "12 is not in the recording, which goes from 0 to 11 (tick).",
    );
  });
});

describe("the wait graph", () => {
  it("draws thick what can never end, and nothing else", () => {
    const { layout } = waits(deadlock);
    const thick = layout.shapes.filter(({ type, line }) => type === "line" && line.width === 3);
    const thin = layout.shapes.filter(({ type, line }) => type === "line" && line.width < 3);
    expect(thick.length).toBeGreaterThan(0);
    expect(thin.length).toBeGreaterThan(0);
    expect(
      waits({
        ...deadlock,
        tasks: deadlock.tasks.map((each) => ({ ...each, state: "waits" })),
        circles: [],
      }).layout.shapes.some(({ line }) => line.width === 3),
    ).toBe(false);
  });

  it("calls a circle a deadlock only where everybody in it waits for a lock", () => {
    const things = deadlock.things.map((thing, at) => ({ ...thing, lock: at !== 1 }));
    expect(toTerminal(waits({ ...deadlock, things }), { columns: 100, rows: 24, color: false })).toContain(
      "HANG: a waits for b waits for a",
    );
  });

  it("tells the circle, who waits for it outside, and where nobody can move", () => {
    const text = toTerminal(waits(deadlock), { columns: 100, rows: 24, color: false });
    expect(text).toContain("DEADLOCK: a waits for b waits for a");
    expect(text).toContain("held by a: this is a circle");
    expect(text).toMatch(/^c \[waits\] in filemap_fault: lock_page\n└ waits for the lock of page 0/m);
    expect(text).toContain("mm->mmap_sem: held by 2 readers; nobody waits for it");
    expect(toTerminal(waits({ ...quiet, still: true }), { columns: 100, rows: 24, color: false })).toContain(
      "HANG: ",
    );
  });

  it("finds room for a chain that is too long for one line, and for many who wait for one", () => {
    const chain: WaitStory = {
      ...quiet,
      tasks: Array.from({ length: 6 }, (_, nr) => task(`t${nr}`, "waits")),
      things: Array.from({ length: 5 }, (_, nr) => ({
        name: `lock ${nr}`,
        lock: true,
        note: "",
        heldBy: [nr + 1],
        wantedBy: [nr],
      })),
    };
    const crowd: WaitStory = {
      ...quiet,
      tasks: Array.from({ length: 12 }, (_, nr) => task(`t${nr}`, "waits")),
      things: [
        {
          name: "one",
          lock: true,
          note: "",
          heldBy: [0],
          wantedBy: Array.from({ length: 11 }, (_, nr) => nr + 1),
        },
      ],
    };
    for (const story of [chain, crowd]) {
      const { shapes } = waits(story).layout;
      const boxes = shapes.flatMap((shape) => (shape.type === "rect" ? [shape] : []));
      for (const { x0, x1 } of boxes) expect(x0 >= 0 && x1 <= SHEET + 0.01).toBe(true);
      boxes.forEach((a, at) => {
        for (const b of boxes.slice(at + 1))
          expect(a.x1 <= b.x0 || b.x1 <= a.x0 || a.y1 <= b.y0 || b.y1 <= a.y0).toBe(true);
      });
    }
  });
});

describe("happens before", () => {
  it("shows the steps that matter in their order, and the fault", () => {
    const { layout, caption } = beforeGraph(before);
    expect(layout.shapes.filter(({ type }) => type === "rect")).toHaveLength(5);
    expect(caption).toContain("5 of the 63 steps of the shortest way to BUG");
    expect(caption).toContain(
      "3 orders, 1 of them in every way to BUG: reader's unlock (step 3) before kswapd's isolate (step 9).",
    );
    const text = toTerminal(beforeGraph(before), { columns: 80, rows: 24, color: false });
    expect(text).toContain("⇐ after 3 reader, NECESSARY: page 0 flags");
    expect(text).toContain("← after 9 kswapd: a …");
    expect(text).toContain("‹ after 4 reader: a");
    expect(text.replace(/\s+/g, " ")).toContain(
      "⇐ in every way to the fault; ← another way is without it; ‹ not known: the search was cut short",
    );
    expect(text).toContain("BUG in in_die: die");
  });

  it("a fault that needs no order is still there", () => {
    const { layout, caption } = beforeGraph({ ...before, orderings: [] });
    expect(layout.shapes.filter(({ type }) => type === "rect")).toHaveLength(1);
    expect(caption).toContain("0 orders, 0 of them in every way to BUG.");
  });
});
