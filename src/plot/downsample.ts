/**
 * Thinning of long step lines without a visible difference: of each column of the picture the first, last, smallest
 * and largest value are kept (M4; Jugel et al., "M4: A Visualization-Oriented Time Series Data Aggregation", VLDB 2014).
 *
 * Lines are thinned twice. A Sampler keeps FINE times as many points as a picture can show, however many there were,
 * and those are what a reader who zooms in gets; the picture itself takes the few that m4 leaves of them.
 */
import type { FineLine } from "./figure.js";

/** Most points that a trace may have. */
export const MAX_POINTS = 4000;

/** How many times finer than the picture a line is kept. */
export const FINE = 16;

/** Values of several lines over one x, as columns. */
export interface Points {
  readonly x: Float64Array;
  readonly y: readonly Float64Array[];
}

/**
 * Indexes to keep of several series over one x, so that they stay aligned (stacked areas): for each bucket of equal
 * width in x, first and last, and each series' smallest and largest.
 *
 * @param x ascending; ties allowed
 * @param series each as long as x
 * @param range where the buckets begin and end; default: the first and the last x
 * @returns ascending indexes, at most `limit`; all of them when x is no longer than that
 * @throws Error when `limit` is too small for a bucket
 * @example m4([0, 1, 2], [[5, 9, 5]]) // [0, 1, 2]
 */
export function m4(
  x: ArrayLike<number>,
  series: readonly ArrayLike<number>[],
  limit = MAX_POINTS,
  range: readonly [number, number] = [x[0], x[x.length - 1]],
): number[] {
  return x.length <= limit
    ? Array.from(x, (_, i) => i)
    : ofBuckets(x, series, bucketsFor(limit, series.length), range);
}

/** The same for so many buckets, however many points there are. */
export function ofBuckets(
  x: ArrayLike<number>,
  series: readonly ArrayLike<number>[],
  buckets: number,
  range: readonly [number, number] = [x[0], x[x.length - 1]],
): number[] {
  const n = x.length;
  const width = (range[1] - range[0]) / buckets || 1;
  const bucketOf = (i: number): number => Math.min(buckets - 1, Math.floor((x[i] - range[0]) / width));
  const kept: number[] = [];
  for (let start = 0; start < n; ) {
    const bucket = bucketOf(start);
    let end = start;
    while (end + 1 < n && bucketOf(end + 1) === bucket) end++;
    kept.push(...extremes(series, start, end));
    start = end + 1;
  }
  return kept;
}

function bucketsFor(limit: number, series: number): number {
  const buckets = Math.floor(limit / (2 + 2 * series));
  if (buckets < 1) throw new Error(`m4: ${limit} points are too few for ${series} series.`);
  return buckets;
}

function extremes(series: readonly ArrayLike<number>[], start: number, end: number): number[] {
  if (end - start < 2) return start === end ? [start] : [start, end];
  const found = new Set([start, end]);
  for (const y of series) {
    let low = start;
    let high = start;
    for (let i = start; i <= end; i++) {
      if (y[i] < y[low]) low = i;
      if (y[i] > y[high]) high = i;
    }
    found.add(low).add(high);
  }
  return [...found].sort((a, b) => a - b);
}

/**
 * Takes the points of step lines as they come, and keeps no more than FINE times MAX_POINTS of them: where more come, it
 * thins what it has. Of points with the same x the last counts, and a point at which no line turns is none.
 *
 * @example
 * const line = new Sampler([0, 10], 1);
 * for (const [x, y] of [[0, 1], [3, 1], [4, 2]]) line.add(x, [y]);
 * [...line.end(10).x] // [0, 4, 10]
 */
export class Sampler {
  private readonly limit: number;
  private readonly x: Float64Array;
  private readonly y: readonly Float64Array[];
  private n = 0;

  /** @param series how many lines there are */
  constructor(
    private readonly range: readonly [number, number],
    series: number,
  ) {
    // A multiple of the picture's buckets, so that each of them is made of whole ones.
    this.limit = FINE * bucketsFor(MAX_POINTS, series) * (2 + 2 * series);
    this.x = new Float64Array(2 * this.limit);
    this.y = Array.from({ length: series }, () => new Float64Array(2 * this.limit));
  }

  /** @param x not less than before */
  add(x: number, values: ArrayLike<number>): void {
    const { y } = this;
    const last = this.n - 1;
    if (last >= 0 && this.x[last] === x) {
      for (let s = 0; s < y.length; s++) y[s][last] = values[s];
      return;
    }
    if (last >= 0 && y.every((line, s) => line[last] === values[s])) return;
    if (this.n === this.x.length) this.thin();
    this.x[this.n] = x;
    for (let s = 0; s < y.length; s++) y[s][this.n] = values[s];
    this.n++;
  }

  /** The lines, up to an x at which they still have their last values. */
  end(x: number): Points {
    const last = this.n - 1;
    if (last >= 0 && this.x[last] < x) {
      if (this.n === this.x.length) this.thin();
      this.x[this.n] = x;
      for (const line of this.y) line[this.n] = line[this.n - 1];
      this.n++;
    }
    if (this.n > this.limit) this.thin();
    return { x: this.x.slice(0, this.n), y: this.y.map((line) => line.slice(0, this.n)) };
  }

  private thin(): void {
    const lines = this.y.map((line) => line.subarray(0, this.n));
    const kept = m4(this.x.subarray(0, this.n), lines, this.limit, this.range);
    for (const column of [this.x, ...this.y])
      for (let i = 0; i < kept.length; i++) column[i] = column[kept[i]];
    this.n = kept.length;
  }
}

/**
 * The points that a picture shows of lines, and for each line those that a reader gets who zooms in.
 *
 * @example drawn({ x: Float64Array.of(0, 1), y: [Float64Array.of(5, 5)] }).lines[0].y // [5, 5]
 */
export function drawn({ x, y }: Points): {
  x: number[];
  lines: { y: number[]; fine: FineLine | undefined }[];
} {
  const kept = m4(x, y);
  return {
    x: kept.map((i) => x[i]),
    lines: y.map((line) => ({
      y: kept.map((i) => line[i]),
      fine: kept.length === x.length ? undefined : { x, y: line },
    })),
  };
}
