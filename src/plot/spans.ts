/** Stretches of the x axis on which something holds: rows of bits, waits. */
import { MAX_POINTS } from "./downsample.js";

export type Span = [from: number, to: number];

/**
 * Takes openings and closings as they come; of a great many spans those become one that nearly touch.
 *
 * @example
 * const spans = new Spans([0, 10]);
 * spans.open(2);
 * spans.close(5);
 * spans.list() // [[2, 5]]
 */
export class Spans {
  private spans: Span[] = [];
  private from: number | null = null;

  constructor(private readonly range: readonly [number, number]) {}

  /** It holds from x on, if it did not hold already. */
  open(x: number): void {
    this.from ??= x;
  }

  /** It holds no longer. */
  close(x: number): void {
    const { from, spans } = this;
    this.from = null;
    if (from === null || x <= from) return;
    const last = spans.at(-1);
    if (last !== undefined && last[1] === from) last[1] = x;
    else spans.push([from, x]);
    if (spans.length > 2 * MAX_POINTS) this.spans = this.list(MAX_POINTS);
  }

  /** At most so many of them. */
  list(most = MAX_POINTS): Span[] {
    if (this.spans.length <= most) return this.spans;
    const gap = (this.range[1] - this.range[0]) / most;
    const kept: Span[] = [];
    for (const [from, to] of this.spans) {
      const last = kept.at(-1);
      if (last !== undefined && from - last[1] < gap) last[1] = to;
      else kept.push([from, to]);
    }
    return kept;
  }
}

/** Spans of rows as one line that is cut between them, of no more points than a trace may have. */
export function spanLine(rows: readonly { readonly spans: Spans; readonly y: number }[]): {
  x: (number | null)[];
  y: (number | null)[];
} {
  const most = Math.floor(MAX_POINTS / 3 / Math.max(1, rows.length));
  const drawn = rows.flatMap(({ spans, y }) => spans.list(most).map((span) => ({ span, y })));
  return {
    x: drawn.flatMap(({ span: [from, to] }) => [from, to, null]),
    y: drawn.flatMap(({ y }) => [y, y, null]),
  };
}
