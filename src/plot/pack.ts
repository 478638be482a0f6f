/**
 * Long columns of numbers as short text, for the scripts of HTML figures; the script that unpacks them is in
 * figure_script.ts. Whole numbers are written as source maps write theirs: a sign, then five bits a character.
 */
import { ofBuckets } from "./downsample.js";
import type { Fine, FineCells, FineLine, Heatmap } from "./figure.js";

/** In the order of their values; the last 32 say that the number goes on. None of them needs escaping in a script. */
export const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** Most characters that the details of one figure take, for readers who zoom: what is finer is thinned until it fits. */
export const DETAIL_SIZE = 600_000;

/** Whole numbers, one after the other. @throws RangeError for a number that is not whole, or of more than 30 bits */
export function packWhole(values: Iterable<number>): string {
  let out = "";
  for (const value of values) {
    if (!Number.isInteger(value) || Math.abs(value) >= 2 ** 30)
      throw new RangeError(`packWhole: ${value} is not a whole number of at most 30 bits`);
    let rest = value < 0 ? (-value << 1) | 1 : value << 1;
    do {
      const digit = rest & 31;
      rest >>>= 5;
      out += DIGITS[rest > 0 ? digit | 32 : digit];
    } while (rest > 0);
  }
  return out;
}

/** A column: its numbers are `from` plus the sum of the differences so far, times `step`. */
export interface PackedColumn {
  readonly from: number;
  readonly step: number;
  readonly differences: string;
}

/** Numbers that are not whole are cut to so many parts of their range. */
const PARTS = 2 ** 24;

/** A column as differences. */
export function packColumn(values: Float64Array): PackedColumn {
  const whole = values.every((value) => Number.isInteger(value)) && spanOf(values) < 2 ** 29;
  const from = values.length > 0 ? values[0] : 0;
  const step = whole ? 1 : spanOf(values) / PARTS || 1;
  let before = 0;
  return {
    from,
    step,
    differences: packWhole(
      Array.from(values, (value) => {
        const place = Math.round((value - from) / step);
        const difference = place - before;
        before = place;
        return difference;
      }),
    ),
  };
}

function spanOf(values: Float64Array): number {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return high - low;
}

/** Cells as pairs: a cell's number plus one (0 is none), and how many there are of it. */
export function packRuns(cells: ArrayLike<number | null>, none: number | null): string {
  const pairs: number[] = [];
  for (let from = 0; from < cells.length; ) {
    let to = from + 1;
    while (to < cells.length && cells[to] === cells[from]) to++;
    pairs.push(cells[from] === none ? 0 : cells[from]! + 1, to - from);
    from = to;
  }
  return packWhole(pairs);
}

/** The cells of a heat map. */
export const packCells = ({ z }: Heatmap): string => packRuns(z.flat(), null);

/** What the script gets of a figure's details: lines that share their x, in groups, and the levels of heat maps. */
export interface PackedDetails {
  readonly lines: readonly {
    readonly x: PackedColumn;
    readonly of: readonly {
      readonly trace: number;
      readonly y: PackedColumn;
      readonly shown?: PackedColumn;
    }[];
  }[];
  readonly cells: readonly {
    readonly trace: number;
    readonly x: PackedColumn;
    readonly z: string;
    readonly columns?: { readonly names: readonly string[]; readonly of: string };
  }[];
}

const isCells = (fine: Fine): fine is readonly FineCells[] => Array.isArray(fine);

/** Details by trace, as fine as DETAIL_SIZE allows; null where there are none. */
export function packDetails(fine: readonly (Fine | undefined)[]): PackedDetails | null {
  const cells: { trace: number; levels: readonly FineCells[] }[] = [];
  const groups = new Map<Float64Array, { trace: number; line: FineLine }[]>();
  fine.forEach((each, trace) => {
    if (each === undefined) return;
    if (isCells(each)) cells.push({ trace, levels: each });
    else groups.set(each.x, [...(groups.get(each.x) ?? []), { trace, line: each }]);
  });
  if (cells.length === 0 && groups.size === 0) return null;
  // What is kept of the details: less with each try, by as much as the last one was too long.
  for (let part = 1; ; ) {
    const levels = Math.ceil(-Math.log2(part) / 2);
    const packed: PackedDetails = {
      lines: [...groups.values()].map((group) => packGroup(group, part)),
      cells: cells.flatMap(({ trace, levels: all }) =>
        all.slice(0, Math.max(0, all.length - levels)).map(({ x, z, columns }) => ({
          trace,
          x: packColumn(x),
          z: packRuns(z, NONE),
          ...(columns === undefined ? {} : { columns: { names: columns.names, of: packWhole(columns.of) } }),
        })),
      ),
    };
    const size = JSON.stringify(packed).length;
    if (size <= DETAIL_SIZE || part < 0.01) return packed;
    part *= (0.9 * DETAIL_SIZE) / size;
  }
}

/** No cell, in the cells of details. */
const NONE = 255;

/** @param part of the points that are kept, more or less */
function packGroup(group: readonly { trace: number; line: FineLine }[], part: number) {
  const { x } = group[0].line;
  const lines = group.map(({ line }) => line.y);
  const kept = Int32Array.from(part === 1 ? x.keys() : ofBuckets(x, lines, Math.ceil((part * x.length) / 3)));
  const pick = (column: Float64Array): PackedColumn => packColumn(Float64Array.from(kept, (i) => column[i]));
  return {
    x: pick(x),
    of: group.map(({ trace, line: { y, shown } }) => ({
      trace,
      y: pick(y),
      ...(shown === undefined ? {} : { shown: pick(shown) }),
    })),
  };
}
