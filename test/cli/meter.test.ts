/** What the line of a long search says. */
import { describe, expect, it } from "vitest";
import { Meter, type Seen } from "../../src/cli/meter.js";
import { open } from "../../src/lab/world.js";

const frozen = (): Meter => new Meter(() => 0);

describe("the estimate of a search", () => {
  it("of a real one, when nine tenths are seen, is near what comes out; while levels grow there is none", () => {
    const looks: Seen[] = [];
    const { states } = open("W13", { record: false }).explore({
      maxStates: 1e9,
      progress: (seen) => looks.push(seen) > 0,
    });
    const meter = frozen();
    const guesses = looks.map((seen) => ({ seen: seen.states, guess: meter.note(seen) }));
    const early = guesses.filter(({ seen }) => seen < states / 4);
    expect(early.length).toBeGreaterThan(3);
    expect(early.every(({ guess }) => guess === null)).toBe(true);
    const late = guesses.filter(({ seen }) => seen > 0.9 * states);
    expect(late.length).toBeGreaterThan(1);
    for (const { guess } of late) expect(Math.abs(Number(guess) / states - 1)).toBeLessThan(0.2);
  });

  it("of levels that halve is the sum of their series, and begins anew with the next search", () => {
    const meter = frozen();
    let states = 0;
    let guess: number | null = null;
    for (let depth = 0; depth < 12; depth++) {
      const frontier = 2 ** (20 - depth);
      states += frontier;
      guess = meter.note({ states, frontier, depth });
    }
    expect(guess).toBe(2 ** 21);
    expect(meter.note({ states: 1, frontier: 1, depth: 0 })).toBeNull();
  });

  it("says states a second once there is a second to speak of", () => {
    let ms = 0;
    const meter = new Meter(() => ms);
    expect(meter.line({ states: 1, frontier: 1, depth: 0 })).toBe("1 states, 1 to expand, 0 steps deep");
    ms = 2000;
    expect(meter.line({ states: 5000, frontier: 70, depth: 1 })).toBe(
      "5000 states, 2500 a second, 70 to expand, 1 steps deep",
    );
  });
});
