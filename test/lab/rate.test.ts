/** Mean times to a fault of real scenarios: what they say, beside what they were made of, and what they refuse to say. */
import { describe, expect, it } from "vitest";
import { formatDuration, readDuration, spelledTime } from "../../src/lab/durations.js";
import { rate, rateModel, TIMES } from "../../src/lab/rate.js";
import { run } from "../../src/lab/run.js";
import { toSvg } from "../../src/plot/index.js";

describe("times as people write them", () => {
  it.each([
    ["1us", 1e-6],
    ["10 ms", 0.01],
    [".5s", 0.5],
    ["2min", 120],
    ["3h", 10_800],
    ["4d", 345_600],
    ["5µs", 5e-6],
    ["7ns", 7e-9],
  ])("%s", (text, seconds) => {
    expect(readDuration(text)).toBe(seconds);
    expect(readDuration(formatDuration(seconds))).toBe(seconds);
  });

  it.each(["", "1", "ms", "-1s", "0s", "1 month", "1e3s", "9999999999999d"])("%s is none", (text) => {
    expect(() => readDuration(text)).toThrow(/is no time: write a number and ns, us, ms, s, min, h or d/);
  });

  it("long ones are told in the unit that fits", () => {
    expect([1e-3, 1, 90, 86_400, 3e7, 3.2e9, 1e15, Infinity].map(spelledTime)).toEqual([
      "1ms",
      "1 second",
      "1.5 minutes",
      "1 day",
      "347 days",
      "101 years",
      "3.17e+7 years",
      "for ever",
    ]);
  });
});

/** Its lines, each with what goes on below it. */
const unwrapped = (told: unknown): string[] =>
  String(told)
    .replace(/\n {4,}/g, " ")
    .split("\n");

describe("every rate that is printed is synthetic, and stands beside what it was made of", () => {
  const TAG =
    /synthetic: step=1us dma=10ms disk=1ms think=1s (one run after the other|pinned=3); exponential times, independent runs/;
  /** What looks like a rate, a time or a probability that came out. */
  const RATE = /mean time to|with probability|runs begin|confidence|power of it/;

  it.each([undefined, 3])("pinned: %s", (pinned) => {
    const told = String(
      rate("dio-write-race", { times: { dma: "10ms", think: 1 }, pinned, method: "all", cycles: 2000 }),
    );
    const lines = unwrapped(told).filter((line) => RATE.test(line));
    expect(lines.length).toBeGreaterThan(5);
    for (const line of lines) expect(line).toMatch(TAG);
  });

  it("also where it never happens, and where no run was made", () => {
    expect(unwrapped(rate("kara-2018-quiet")).join("\n")).toMatch(/never: .*synthetic: /);
    let asked = 0;
    const none = rate("dio-write-race", { method: "brute", doing: () => ++asked > 1 });
    expect(unwrapped(none).join("\n")).toMatch(/brute force: no run was made \[synthetic: /);
  });
});

describe("what comes out", () => {
  it("dio-write-race: the store must come while the device reads, which is dma against think", () => {
    const { exact, sensitivities, way, verdict } = rate("dio-write-race", {
      times: { dma: "1ms", think: "1s" },
    });
    expect(verdict).toBe("rate");
    expect(exact?.exact).toBe(true);
    expect(exact?.probability).toBeCloseTo(1e-3 / (1 + 1e-3), 5);
    expect(exact?.meanTime_s).toBeCloseTo(
      (exact?.run_s ?? 0) / (exact?.probability ?? 1) + (1 / (exact?.probability ?? 1) - 1),
      4,
    );
    const by = Object.fromEntries((sensitivities ?? []).map(({ time, exponent }) => [time, exponent]));
    expect(by.dma).toBeCloseTo(-1, 1);
    expect(by.think).toBeCloseTo(2, 1);
    expect(way?.waits).toEqual({ think: 1, dma: 1 });
    expect(run(way?.replay ?? "").outcomes).toContain("TORN");
  });

  it("the three ways agree", () => {
    const { exact, bruteForce, sampling } = rate("dio-write-race", {
      times: { dma: "1ms", think: "100ms" },
      pinned: 10,
      method: "all",
      cycles: 50_000,
    });
    const truth = exact?.meanTime_s ?? 0;
    for (const made of [bruteForce, sampling]) {
      expect(made?.low_s).toBeLessThan(truth);
      expect(made?.high_s).toBeGreaterThan(truth);
    }
  });

  it("twice as many pages pinned, half the time; and their time pinned is the device's", () => {
    const model = rateModel("dio-write-race");
    const [one, two] = [7, 14].map((pinned) => model.rate({ pinned, explain: false }).exact);
    expect((one?.meanTime_s ?? 0) / (two?.meanTime_s ?? 1)).toBeCloseTo(2, 12);
    expect(one?.pinned_s).toBeCloseTo(1e-3, 4);
    expect((one?.runsPerSecond ?? 0) * (one?.pinned_s ?? 0)).toBeCloseTo(7, 10);
  });

  it("trunc-cache: no fault of the lot by chance, and the rule of three", () => {
    const told = rate("W6", { method: "brute", cycles: 300 });
    expect(told.bruteForce).toMatchObject({ faults: 0, meanTime_s: null, high_s: null, cycles: 300 });
    expect(unwrapped(told).join("\n")).toMatch(
      /no TORN in 300 runs; with 95 % confidence the mean time is more than .* \(rule of three\)/,
    );
  });

  it("fsync-pinned: some runs wait for ever, so one after the other has no mean time; side by side has", () => {
    const model = rateModel("fsync-pinned");
    const told = model.rate();
    expect(told).toMatchObject({ verdict: "endless", sensitivities: null });
    expect(told.exact).toMatchObject({ meanTime_s: null, run_s: null, runsPerSecond: 0 });
    expect(unwrapped(told).join("\n")).toContain(
      `goes on for ever, and meets neither LOST nor its end: ${told.endless}`,
    );
    expect(model.rate({ pinned: 1 }).verdict).toBe("rate");
    expect(() => model.rate({ method: "brute" })).toThrow(/never end, so they cannot be made by lot/);
  });

  it("a scenario without a fault: never", () => {
    expect(rate("kara-2018-quiet").toJSON()).toMatchObject({ kind: null, verdict: "never", exact: null });
  });

  it("JSON has no number that is none", () => {
    for (const told of [rate("fsync-pinned"), rate("W6", { method: "brute", cycles: 10 })])
      expect(JSON.parse(JSON.stringify(told))).toEqual(told.toJSON());
  });
});

describe("what does not fit is one sentence", () => {
  it.each([
    [{ times: { dma: "soon" } }, /"soon" is no time/],
    [{ times: { dam: "1s" } as never }, /there is no time "dam"; there are step, dma, /],
    [
      { times: { kswapd: "1s" } },
      'dio-write-race has no time "kswapd": what it waits for is step, dma, disk, think',
    ],
    [{ times: { dma: -1 } }, /the time dma is longer than nothing, in seconds, not -1/],
    [{ pinned: 0 }, /pinned is a whole number from 1/],
    [{ kind: "nonsense" }, /there is no kind of fault "nonsense"/],
    [{ kind: "BUG" }, "no BUG was found here; found: TORN"],
    [{ method: "guess" as never }, /there is no method "guess"; there are exact, brute, sampling, all/],
    [{ cycles: 0 }, /cycles is a whole number from 1/],
    [{ maxStates: 1, kernel: "v4.20", doing: () => false }, /was not waited for/],
  ])("%o", (options, why) => {
    expect(() => rate("dio-write-race", options)).toThrow(why);
  });

  it("scenarios that take orders, and searches that were cut short", () => {
    expect(() => rate("sandbox")).toThrow(/takes orders/);
    expect(() => rate("kara-2018-quiet", { progress: () => false })).toThrow(
      /rates need every state, and the search/,
    );
  });

  it("every kind of sleep that a path has belongs to one time", () => {
    const all = Object.values(TIMES).flatMap(({ pauses }) => [...pauses]);
    expect(new Set(all).size).toBe(all.length);
  });
});

describe("figures", () => {
  const model = rateModel("dio-write-race");

  it("curves: logarithmic, with lines at a day, a week, a month and a year where they are near", () => {
    const figure = model.curves({
      x: "think",
      values: ["1s", "10s", "100s", "1000s"],
      curves: "dma",
      of: ["1ms", "10us"],
    });
    expect(figure.data.map(({ name }) => name)).toEqual(["dma 1ms", "dma 10us"]);
    expect(figure.layout.xaxis.ticktext).toEqual(["1s", "10s", "1.66667min", "16.6667min"]);
    expect(figure.layout.yaxis.ticktext).toEqual(expect.arrayContaining(["day", "week", "month", "year"]));
    expect(figure.caption).toContain("synthetic: step=1us disk=1ms one run after the other");
    const [first, , , last] = figure.data[0].y as number[];
    expect(last - first).toBeCloseTo(6, 1);
  });

  it("a map: each place is one minus exp(-within / mean time) of the rate with its times, and is said to be synthetic", () => {
    const figure = model.chances({
      x: "dma",
      xs: ["1ms", "10ms", "100ms"],
      y: "think",
      ys: ["1s", "1h"],
      within: "1h",
      regions: [{ label: "somebody's", x: [1e-3, 1e-2], y: [1, 10] }],
    });
    const texts = figure.data.flatMap((trace) => (trace.type === "scatter" ? (trace.text ?? []) : []));
    expect(texts.length).toBe(6);
    const { meanTime_s } = model.rate({ times: { dma: "10ms", think: "1h" }, explain: false }).exact!;
    expect(texts).toContain(`10ms, 1h: ${(1 - Math.exp(-3600 / (meanTime_s as number))).toExponential(2)}`);
    expect(figure.layout.shapes.length).toBe(7);
    expect(figure.layout.title.subtitle.text).toContain("synthetic");
    expect(toSvg(figure)).toContain("somebody&apos;s".replace("&apos;", "'"));
  });

  it("a map needs two values on each axis, and ends when it is not waited for", () => {
    const axes = { x: "dma", xs: ["1ms", "1s"], y: "think", ys: ["1s", "1h"], within: "1h" } as const;
    expect(() => model.chances({ ...axes, ys: ["1s"] })).toThrow(
      "a map needs two values or more on each axis",
    );
    expect(() => model.chances({ ...axes, doing: () => false })).toThrow(
      "no map was made: it was not waited for",
    );
  });

  it("curves over the pages pinned need one solution", () => {
    const figure = model.curves({ x: "pinned", values: [1, 10, 100], times: { dma: "1ms" } });
    const [a, b, c] = figure.data[0].y as number[];
    expect([b - a, c - b].map((each) => Number(each.toFixed(9)))).toEqual([-1, -1]);
  });

  it("a tornado has a bar for each time, the longest on top", () => {
    const figure = model.rate({ times: { think: "1s" } }).tornado();
    expect(figure.kind).toBe("tornado");
    expect(figure.data[0].name).toBe("think 1s");
    expect(figure.caption).toContain("synthetic: ");
    expect(() => model.rate({ method: "brute", cycles: 10 }).tornado()).toThrow(/no tornado without/);
  });

  it("what cannot be drawn is said", () => {
    expect(() => model.curves({ x: "dma", values: ["1ms"] })).toThrow("a curve needs two values or more");
    expect(() => rateModel("kara-2018-quiet").curves({ x: "dma", values: ["1ms", "1s"] })).toThrow(
      /nothing goes wrong/,
    );
  });
});
