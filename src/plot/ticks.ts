/** Round numbers for an axis. */

/**
 * About `count` round values (1, 2 or 5 times a power of ten apart) within a range.
 *
 * @example niceTicks(0, 10, 5) // [0, 2, 4, 6, 8, 10]
 */
export function niceTicks(from: number, to: number, count: number): number[] {
  const rough = (to - from) / Math.max(1, count);
  if (!(rough > 0)) return [from];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999)!;
  const ticks: number[] = [];
  for (let k = Math.ceil(from / step - 1e-9); k * step <= to + step * 1e-9; k++)
    ticks.push(Number((k * step).toPrecision(12)));
  return ticks;
}

/** A tick's label: no exponent, no noise. */
export const tickLabel = (value: number): string => String(Number(value.toPrecision(10)));
