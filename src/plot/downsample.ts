/**
 * Thinning of long step lines without a visible difference: of each column of the picture the first, last, smallest
 * and largest value are kept (M4; Jugel et al., "M4: A Visualization-Oriented Time Series Data Aggregation", VLDB 2014).
 */

/** Most points that a trace may have. */
export const MAX_POINTS = 4000;

/**
 * A step line without the points at which it does not turn; its last point stays.
 *
 * @example turns([0, 1, 2, 3], [5, 5, 7, 7]) // { x: [0, 2, 3], y: [5, 7, 7] }
 */
export function turns(x: readonly number[], y: readonly number[]): { x: number[]; y: number[] } {
  const kept = x.map((_, i) => i).filter((i) => i === 0 || i === x.length - 1 || y[i] !== y[i - 1]);
  return { x: kept.map((i) => x[i]), y: kept.map((i) => y[i]) };
}

/**
 * Indexes to keep of several series over one x, so that they stay aligned (stacked areas): for each bucket of equal
 * width in x, first and last, and each series' smallest and largest.
 *
 * @param x ascending; ties allowed
 * @param series each as long as x
 * @returns ascending indexes, at most `limit`; all of them when x is no longer than that
 * @example m4([0, 1, 2], [[5, 9, 5]]) // [0, 1, 2]
 */
export function m4(
  x: readonly number[],
  series: readonly (readonly number[])[],
  limit = MAX_POINTS,
): number[] {
  const n = x.length;
  if (n <= limit) return x.map((_, i) => i);
  const buckets = Math.floor(limit / (2 + 2 * series.length));
  if (buckets < 1) throw new Error(`m4: ${limit} points are too few for ${series.length} series.`);
  const width = (x[n - 1] - x[0]) / buckets || 1;
  const bucketOf = (i: number): number => Math.min(buckets - 1, Math.floor((x[i] - x[0]) / width));
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

function extremes(series: readonly (readonly number[])[], start: number, end: number): number[] {
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
