import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Random } from "../../src/machine/random.js";

const MASK = 0xffff_ffffn;
const rotl = (x: bigint, by: bigint): bigint => ((x << by) | (x >> (32n - by))) & MASK;

/** xoshiro128** over big integers, written from its description: nothing here can overflow. */
function* reference(seed: number): Generator<number> {
  let x = BigInt(seed >>> 0);
  const s: bigint[] = [];
  for (let word = 0; word < 4; word++) {
    x = (x + 0x9e3779b9n) & MASK;
    let z = x;
    z = ((z ^ (z >> 16n)) * 0x85ebca6bn) & MASK;
    z = ((z ^ (z >> 13n)) * 0xc2b2ae35n) & MASK;
    s.push(z ^ (z >> 16n));
  }
  for (;;) {
    yield Number((rotl((s[1] * 5n) & MASK, 7n) * 9n) & MASK);
    const t = (s[1] << 9n) & MASK;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 11n);
  }
}

describe("Random", () => {
  it("is xoshiro128**, for any seed", () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const random = new Random(seed);
        const numbers = reference(seed);
        for (let i = 0; i < 50; i++) expect(random.bits()).toBe(numbers.next().value);
      }),
    );
  });

  it("seed 1 gives the same first numbers for ever", () => {
    const random = new Random(1);
    expect(Array.from({ length: 4 }, () => random.bits())).toEqual([
      2442144158, 3238099751, 3819917871, 2104621829,
    ]);
  });

  it("unit is in [0, 1), below in [0, n), waiting times are whole and at least 1", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 1000 }), (seed, n) => {
        const random = new Random(seed);
        for (let i = 0; i < 20; i++) {
          const unit = random.unit();
          expect(unit >= 0 && unit < 1).toBe(true);
          const below = random.below(n);
          expect(Number.isInteger(below) && below >= 0 && below < n).toBe(true);
          const wait = random.exponential(n);
          expect(Number.isInteger(wait) && wait >= 1).toBe(true);
        }
      }),
    );
  });

  it("waiting times have the mean that was asked for, within two per cent over 100000 of them", () => {
    const random = new Random(7);
    let sum = 0;
    for (let i = 0; i < 100_000; i++) sum += random.exponential(500);
    // Rounding up adds half a tick.
    expect(Math.abs(sum / 100_000 - 500.5)).toBeLessThan(10);
  });
});
