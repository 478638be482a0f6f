import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { wilson } from "../../src/explore/lot.js";
import { STRATEGIES, type Strategy, walk } from "../../src/explore/walk.js";
import { run } from "../../src/lab/run.js";
import { walks } from "../../src/lab/walks.js";
import { Random } from "../../src/machine/random.js";
import { counters } from "./counters.js";

const strategies = Object.keys(STRATEGIES) as Strategy[];
const order = { walks: 50, seed: 1, depth: 3, maxSteps: 100, progress: () => true };

describe.each(strategies)("%s", (strategy) => {
  it("meets what every order leads to in each walk, in its last step", () => {
    const { walks: made, steps, cut, meetings } = walk(counters(5), { ...order, strategy });
    expect({ made, steps, cut }).toEqual({ made: 50, steps: 500, cut: 0 });
    expect(meetings).toMatchObject([{ kind: "BUG", walks: 50, first: 1 }]);
    expect(meetings[0].schedule).toHaveLength(10);
    expect([...meetings[0].schedule].sort()).toEqual([0, 0, 0, 0, 0, 1, 1, 1, 1, 1]);
  });

  it("gives up a walk that does not end, and says so", () => {
    expect(walk(counters(400), { ...order, strategy })).toMatchObject({ cut: 50, steps: 5000, meetings: [] });
  });

  it("does the same again with the same seed, and something else with another", () => {
    const report = (seed: number) => JSON.stringify(walks("kara-2018", { strategy, walks: 200, seed }));
    expect(report(7)).toBe(report(7));
    expect(report(7)).not.toBe(report(8));
  });
});

describe("walks", () => {
  it("sticky meets the crash of kara-2018, and its replay line leads there", () => {
    const made = walks("kara-2018", { strategy: "sticky", walks: 200 });
    expect(made.faulty).toBe(true);
    const [{ meetings }] = made.strategies;
    const crash = meetings.find(({ kind }) => kind === "BUG");
    expect(crash?.walks).toBeGreaterThan(10);
    const replayed = run(crash?.replay ?? "");
    expect(replayed.steps).toBe(crash?.steps);
    expect(replayed.faults.at(-1)).toMatchObject({ kind: "BUG", tick: crash?.steps });
    expect(String(made)).toContain(`replay: ${crash?.replay}`);
  });

  it("meets nothing that the search says cannot happen, and says what that is worth", () => {
    const made = walks("kara-2018-quiet", { walks: 300 });
    expect(made.strategies.map(({ meetings }) => meetings)).toEqual([[], [], []]);
    expect(String(made)).toContain("fewer than 1 % of such walks");
    expect(made.faulty).toBe(false);
  });

  it("what was counted before an interruption is told, and that it was interrupted", () => {
    const made = walks("kara-2018-quiet", { walks: 10_000, progress: ({ walks: done }) => done < 256 });
    expect(made.complete).toBe(false);
    expect(made.strategies).toMatchObject([{ strategy: "pct", walks: 256 }]);
    expect(String(made)).toContain("interrupted");
  });

  it("bad input is one sentence", () => {
    expect(() => walks("kara-2018", { strategy: "lucky" as Strategy })).toThrow(
      'there is no strategy "lucky"; there are pct, sticky, uniform',
    );
    expect(() => walks("kara-2018", { walks: 0 })).toThrow("walks is a whole number from 1 on, not 0");
  });
});

describe("wilson", () => {
  it("lies within 0 and 1, around the share, and is narrower with more trials", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1000 }), fc.integer({ min: 0, max: 1000 }), (trials, n) => {
        const hits = Math.min(n, trials);
        const [low, high] = wilson(hits, trials);
        const [lower, higher] = wilson(hits * 10, trials * 10);
        expect(low).toBeGreaterThanOrEqual(0);
        expect(high).toBeLessThanOrEqual(1);
        expect(low).toBeLessThanOrEqual(hits / trials + 1e-12);
        expect(high).toBeGreaterThanOrEqual(hits / trials - 1e-12);
        expect(higher - lower).toBeLessThan(high - low);
      }),
    );
  });

  it("covers the truth about as often as it says, also where hits are few", () => {
    const random = new Random(1);
    for (const share of [0.01, 0.1, 0.5]) {
      let covered = 0;
      for (let at = 0; at < 1000; at++) {
        let hits = 0;
        for (let trial = 0; trial < 300; trial++) if (random.unit() < share) hits++;
        const [low, high] = wilson(hits, 300);
        if (low <= share && share <= high) covered++;
      }
      expect(covered / 1000).toBeGreaterThan(0.92);
      expect(covered / 1000).toBeLessThan(0.99);
    }
  });
});
