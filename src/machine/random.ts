/**
 * The only source of chance: a seeded generator, the same on every machine.
 *
 * xoshiro128** (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021), its state filled from
 * the seed by splitmix32.
 */
export class Random {
  private readonly s = new Uint32Array(4);

  /** @param seed any integer; only its low 32 bits count */
  constructor(seed: number) {
    let x = seed >>> 0;
    for (let i = 0; i < 4; i++) {
      x = (x + 0x9e3779b9) >>> 0;
      let z = x;
      z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
      z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
      this.s[i] = z ^ (z >>> 16);
    }
  }

  /** 32 random bits. */
  bits(): number {
    const s = this.s;
    const product = Math.imul(s[1], 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    const t = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = (s[3] << 11) | (s[3] >>> 21);
    return result;
  }

  /** A number in [0, 1). */
  unit(): number {
    return this.bits() / 0x1_0000_0000;
  }

  /** An integer in [0, n). */
  below(n: number): number {
    return Math.floor(this.unit() * n);
  }

  /** An exponentially distributed waiting time, rounded up to at least one tick. */
  exponential(mean: number): number {
    return Math.max(1, Math.ceil(-Math.log(1 - this.unit()) * mean));
  }
}
