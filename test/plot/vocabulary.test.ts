/** Heat maps and paths: the two parts of the vocabulary that plotly, the SVG writer and the terminal draw each in its own way. */
import { describe, expect, it } from "vitest";
import { compose, type Panel } from "../../src/plot/compose.js";
import type { Figure, Heatmap } from "../../src/plot/figure.js";
import { COLOR } from "../../src/plot/figure.js";
import { heatmap, inkOn } from "../../src/plot/heatmap.js";
import { toSvg, toTerminal } from "../../src/plot/index.js";
import { levelCurve, pathOf, polylines, segmentsOf } from "../../src/plot/path.js";
import { infoOf } from "../../src/plot/rates.js";
import { axisOf } from "../../src/plot/timeline.js";

const STATES = [
  { name: "clean", color: COLOR.grey, glyph: "·" },
  { name: "dirty", color: COLOR.orange, glyph: "▒" },
  { name: "lost", color: COLOR.vermillion, glyph: "X" },
];

const map = (more: Partial<Parameters<typeof heatmap>[0]> = {}) =>
  heatmap({
    name: "pages",
    states: STATES,
    x: [0, 10, 20, 40],
    y: [0, 1, 2],
    z: [
      [0, 0, 1],
      [0, 1, null],
    ],
    ...more,
  });

const figureOf = (panel: Partial<Panel>, more: Partial<Parameters<typeof compose>[0]> = {}): Figure =>
  compose({
    kind: "test",
    title: "A title",
    info: infoOf("a subtitle"),
    timeline: axisOf(0, 40, "x"),
    caption: "A caption.",
    panels: [
      {
        title: "",
        height: 200,
        range: [0, 2],
        ticks: { values: [0.5, 1.5], labels: ["low", "high"] },
        traces: [],
        ...panel,
      },
    ],
    ...more,
  });

const terminal = (figure: Figure, columns = 60, rows = 14): string =>
  toTerminal(figure, { columns, rows, color: false });

describe("a heat map", () => {
  it("has a step of the colour scale for each state, and each state's number in the middle of its step", () => {
    const [trace] = map() as [Heatmap];
    expect(trace.colorscale).toEqual([
      [0, COLOR.grey],
      [1 / 3, COLOR.grey],
      [1 / 3, COLOR.orange],
      [2 / 3, COLOR.orange],
      [2 / 3, COLOR.vermillion],
      [1, COLOR.vermillion],
    ]);
    for (const state of STATES.keys()) {
      const at = (state - trace.zmin) / (trace.zmax - trace.zmin);
      expect(at).toBeCloseTo((trace.colorscale[2 * state][0] + trace.colorscale[2 * state + 1][0]) / 2);
    }
  });

  it("names the states that occur in the legend, and no other", () => {
    expect(map().map(({ name }) => name)).toEqual(["pages", "clean", "dirty"]);
    expect(map({ named: STATES }).map(({ name }) => name)).toEqual(["pages", "clean", "dirty", "lost"]);
  });

  it("is refused with as many edges as cells", () => {
    const sentence = "A heat map has one more edge than cells, in x and in y.";
    expect(() => map({ x: [0, 10, 20] })).toThrow(sentence);
    expect(() => map({ y: [0, 1] })).toThrow(sentence);
  });

  it("SVG: one path a state, one rectangle a stretch of equal cells, nothing where there is no state", () => {
    const svg = toSvg(figureOf({ traces: map() }));
    const cells = (color: string): number =>
      (new RegExp(`<path d="([^"]*)" fill="${color}" `).exec(svg)![1].match(/M/g) ?? []).length;
    expect(cells(COLOR.grey)).toBe(2);
    expect(cells(COLOR.orange)).toBe(2);
    expect(svg).toContain(">dirty</text>");
    expect(svg).not.toContain(">lost</text>");
  });

  it("SVG: words in the cells, in the ink that can be read on their colour", () => {
    const text = [
      ["ok", "ok", "BUG"],
      ["", "ok", "none"],
    ];
    const svg = toSvg(figureOf({ traces: map({ text, written: true }) }));
    expect(svg.match(/>ok<\/text>/g)).toHaveLength(3);
    expect(svg).toContain(">BUG</text>");
    expect(svg).not.toContain(">none</text>");
    expect(inkOn(COLOR.yellow)).toBe("#000000");
    expect(inkOn(COLOR.blue)).toBe("#FFFFFF");
  });

  it("terminal: each character is what most of its part is, without colour too, and rows have their labels", () => {
    const lines = terminal(figureOf({ traces: map() })).split("\n");
    const high = lines.find((line) => line.includes("high┤"))!;
    const low = lines.find((line) => line.includes("low┤"))!;
    expect(high).toMatch(/┤·+▒+$/);
    expect(low).toMatch(/┤·+▒+$/);
    const count = (line: string, glyph: string): number => [...line].filter((each) => each === glyph).length;
    expect(Math.abs(count(low, "·") - count(low, "▒"))).toBeLessThanOrEqual(1);
    expect(Math.abs(count(high, "·") - count(high, "▒"))).toBeLessThanOrEqual(1);
    expect(lines.at(-1)).toContain("·· clean  ▒▒ dirty");
  });

  it("terminal: more rows than lines are brought together, and of two equal parts the later state is seen", () => {
    const z = Array.from({ length: 100 }, (_, r) => [r % 2 === 0 ? 0 : 2]);
    const y = Array.from({ length: 101 }, (_, r) => r);
    const text = terminal(figureOf({ range: [0, 100], traces: map({ x: [0, 40], y, z }), ticks: undefined }));
    expect(text).toMatch(/X{20}/);
  });

  it("terminal: a line over a map leaves the map to be seen between", () => {
    const pinned = {
      name: "pinned",
      mode: "lines" as const,
      x: [10, 40],
      y: [0.5, 0.5],
      line: { color: COLOR.black, width: 1 },
      showlegend: false,
    };
    expect(terminal(figureOf({ traces: [...map(), pinned] }))).toMatch(/low┤·+(━·)+.*(━▒)+/);
  });
});

describe("a path", () => {
  it("is made of M, L, C and Z", () => {
    const path = "M0 0L2 1C2.5 1 3,2 4 2Z";
    expect(segmentsOf(path).map(({ command }) => command)).toEqual(["M", "L", "C", "Z"]);
    expect(pathOf(segmentsOf(path))).toBe("M0 0L2 1C2.5 1 3 2 4 2Z");
    expect(segmentsOf("M1e-7 2").at(0)!.points).toEqual([[1e-7, 2]]);
    for (const wrong of ["M0 0H3", "M0", "M0 0L1 x", "m0 0"])
      expect(() => segmentsOf(wrong)).toThrow(
        "A shape's path is made of M x y, L x y, C x y x y x y and Z; this is not:",
      );
  });

  it("in straight pieces begins and ends where the curve does, and leaves and arrives level", () => {
    const [line] = polylines(pathOf([{ command: "M", points: [[0, 0]] }, levelCurve([0, 0], [10, 4])]));
    expect(line[0]).toEqual([0, 0]);
    expect(line.at(-1)).toEqual([10, 4]);
    expect(line[8]).toEqual([5, 2]);
    const slope = ([x0, y0]: readonly number[], [x1, y1]: readonly number[]): number => (y1 - y0) / (x1 - x0);
    expect(slope(line[0], line[1])).toBeLessThan(slope(line[7], line[8]));
    expect(() => polylines("L1 1")).toThrow("A shape's path begins with M.");
  });

  const shape = {
    type: "path" as const,
    xref: "x" as const,
    path: "M0 0C20 0 20 2 40 2L40 1Z",
    line: { color: COLOR.blue, width: 1 },
    fillcolor: COLOR.sky,
    layer: "below" as const,
  };

  it("SVG: lies where the axes' units say", () => {
    const figure = figureOf({ shapes: [shape] });
    const { l, r, t, b } = figure.layout.margin;
    const [bottom, top] = [figure.layout.height - b, t];
    const middle = (l + 960 - r) / 2;
    expect(toSvg(figure)).toContain(
      `<path d="M${l} ${bottom}C${middle} ${bottom} ${middle} ${top} ${960 - r} ${top}L${960 - r} ${(top + bottom) / 2}Z" fill="${COLOR.sky}" stroke="${COLOR.blue}" stroke-width="1"/>`,
    );
  });

  it("terminal: boxes, dotted curves, and the words over them", () => {
    const boxed = { ...shape, type: "rect" as const, x0: 0, x1: 12, y0: 1.2, y1: 2 };
    const note = {
      text: "a box",
      x: 6,
      y: 1.6,
      xref: "x" as const,
      xanchor: "center" as const,
      yanchor: "middle" as const,
      xshift: 0,
      yshift: 0,
      showarrow: false as const,
      align: "center" as const,
      font: { size: 11, color: COLOR.ink },
    };
    const none = { values: [], labels: [] };
    const text = terminal(
      figureOf({ ticks: none, shapes: [shape, boxed], annotations: [note] }, { bare: true }),
    );
    expect(text).toMatch(/┌─+┐/);
    expect(text).toContain("a box");
    expect(text).toContain("·");
    expect(text).not.toContain("┬");
  });
});

describe("a figure that says itself in lines", () => {
  const lines = Array.from({ length: 20 }, (_, i) => `line ${i} ${"x".repeat(80)}`);

  it("shows them in a terminal, cut to its size, and says how many there are more", () => {
    const text = terminal(figureOf({}, { lines, bare: true })).split("\n");
    expect(text.length).toBeLessThanOrEqual(14);
    expect(Math.max(...text.map((line) => line.length))).toBe(60);
    expect(text[2]).toMatch(/^line 0 x+…$/);
    expect(text.at(-1)).toBe("(and 9 more lines)");
  });

  it("without axes has no line and no number of them in the picture", () => {
    const svg = toSvg(figureOf({ ticks: { values: [], labels: [] } }, { bare: true }));
    expect(svg.match(/<text/g)).toHaveLength(3);
    expect(svg).not.toContain("<line");
  });
});
