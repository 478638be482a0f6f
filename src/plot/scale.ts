/**
 * A y axis for reference counts, on which 3 and 1027 can both be read.
 *
 * FOLL_PIN adds 1024 to a page's count where any other reference adds 1. Drawn to scale, the small counts that decide
 * whether a page can be freed would be one flat line. So the axis is cut below each multiple of 1024: what
 * is left of the count after taking the multiples off is drawn to scale above the cut.
 */
import { GUP_PIN_COUNTING_BIAS } from "../trace/words.js";

export interface CountScale {
  /** y of a count. */
  readonly y: (count: number) => number;
  readonly range: readonly [number, number];
  readonly ticks: { readonly values: readonly number[]; readonly labels: readonly string[] };
  /** y of the cut below 1024: above it page_maybe_dma_pinned says yes. */
  readonly threshold: number;
}

/** An axis with room for these counts, which always reaches past 1024. */
export function countScale(counts: Iterable<number>): CountScale {
  let small = 3;
  let multiples = 1;
  let top = 1;
  for (const count of counts) {
    small = Math.max(small, count % GUP_PIN_COUNTING_BIAS);
    const m = Math.floor(count / GUP_PIN_COUNTING_BIAS);
    if (m > multiples) top = 1;
    multiples = Math.max(multiples, m);
    if (m === multiples) top = Math.max(top, count % GUP_PIN_COUNTING_BIAS);
  }
  const band = small + 2;
  const step = Math.max(1, Math.ceil(small / 6));
  const values: number[] = [];
  const labels: string[] = [];
  for (let m = 0; m <= multiples; m++) {
    for (let rest = 0; rest <= (m === multiples ? top : small); rest += step) {
      values.push(m * band + rest);
      labels.push(String(m * GUP_PIN_COUNTING_BIAS + rest));
    }
  }
  return {
    y: (count) => Math.floor(count / GUP_PIN_COUNTING_BIAS) * band + (count % GUP_PIN_COUNTING_BIAS),
    range: [-0.3, multiples * band + top + 0.3],
    ticks: { values, labels },
    threshold: band - 1,
  };
}
