/**
 * How far a search is, as one line: how many states it has seen and sees a second, how deep it is, and how many there may be.
 *
 * Breadth first, the levels of a search (states that take one step more) first grow and then shrink. Once they shrink, the rest is
 * estimated as if they went on shrinking at the rate of the last few: a geometric series. Before that nothing is known of
 * the end, and the line says that the levels are growing.
 */

export interface Seen {
  readonly states: number;
  /** States that are not expanded yet. */
  readonly frontier: number;
  readonly depth: number;
}

/** Over so many levels at least the shrinking is measured ... */
const LEVELS = 8;
/** ... and it counts as such from here on. */
const SHRINKING = 0.98;

export class Meter {
  private start: number | null = null;
  private depth = -1;
  /** What was seen at the first look into each of the last levels; not every level is looked into. */
  private readonly levels: Seen[] = [];

  /** @param now tells the time in milliseconds */
  constructor(private readonly now: () => number) {}

  /** By how much a level is smaller than the one before it, on average over the last ones; null when too few are known. */
  private shrinking(): number | null {
    const [first] = this.levels;
    const last = this.levels[this.levels.length - 1];
    const levels = last.depth - first.depth;
    return levels < LEVELS ? null : (last.frontier / first.frontier) ** (1 / levels);
  }

  /** Take note. Gives how many states there may be in all; null when nothing is known of it. */
  note(seen: Seen): number | null {
    const { states, frontier, depth } = seen;
    // Not as deep as before: another search has begun.
    if (depth < this.depth) {
      this.levels.length = 0;
      this.start = null;
    }
    this.start ??= this.now();
    if (depth !== this.depth) this.levels.push(seen);
    while (this.levels.length > 2 && depth - this.levels[1].depth >= LEVELS) this.levels.shift();
    this.depth = depth;
    const ratio = this.shrinking();
    return ratio !== null && ratio < SHRINKING ? Math.round(states + (frontier * ratio) / (1 - ratio)) : null;
  }

  /** The line. */
  line(seen: Seen): string {
    const inAll = this.note(seen);
    const seconds = (this.now() - (this.start ?? 0)) / 1000;
    const rate = seconds > 0.5 ? `, ${Math.round(seen.states / seconds)} a second` : "";
    const outlook = inAll === null ? "" : `, about ${Number(inAll.toPrecision(2))} in all`;
    return `${seen.states} states${rate}, ${seen.frontier} to expand, ${seen.depth} steps deep${outlook}`;
  }
}
