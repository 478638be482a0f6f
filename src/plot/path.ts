/** Paths of shapes: the few commands of SVG that plotly draws in the units of the axes too. */

export type Point = readonly [x: number, y: number];

/** One command: "M" and "L" go to a point, "C" takes two control points and goes to the third, "Z" goes back. */
export interface Segment {
  readonly command: "M" | "L" | "C" | "Z";
  readonly points: readonly Point[];
}

const POINTS: Readonly<Record<string, number>> = { M: 1, L: 1, C: 3, Z: 0 };

/**
 * The commands of a path.
 *
 * @throws Error for a command other than M, L, C and Z, or with another number of points than it takes
 * @example segmentsOf("M0 0L2 1Z").map(({ command }) => command) // ["M", "L", "Z"]
 */
export function segmentsOf(path: string): Segment[] {
  return (path.match(/[A-Za-df-z][^A-Za-df-z]*/g) ?? []).map((piece) => {
    const command = piece[0];
    const numbers = piece.slice(1).match(/[^\s,]+/g) ?? [];
    const values = numbers.map(Number);
    if (POINTS[command] === undefined || values.length !== 2 * POINTS[command] || values.some(Number.isNaN))
      throw new Error(
        `A shape's path is made of M x y, L x y, C x y x y x y and Z; this is not: "${piece.trim()}".`,
      );
    const points = Array.from(
      { length: values.length / 2 },
      (_, i): Point => [values[2 * i], values[2 * i + 1]],
    );
    return { command: command as Segment["command"], points };
  });
}

const shortest = (value: number): string => String(Number(value.toPrecision(6)));

/** Commands as a path, six digits a number. */
export const pathOf = (segments: readonly Segment[]): string =>
  segments
    .map(
      ({ command, points }) => `${command}${points.map((point) => point.map(shortest).join(" ")).join(" ")}`,
    )
    .join("");

/** A curve that leaves and arrives level, half way in between at its steepest: one edge of a band. */
export function levelCurve([x0, y0]: Point, [x1, y1]: Point): Segment {
  const middle = (x0 + x1) / 2;
  return {
    command: "C",
    points: [
      [middle, y0],
      [middle, y1],
      [x1, y1],
    ],
  };
}

/** Corners of a path whose curves are cut into so many straight pieces, one list for each M. */
export function polylines(path: string, pieces = 16): Point[][] {
  const lines: Point[][] = [];
  for (const { command, points } of segmentsOf(path)) {
    if (command === "M") {
      lines.push([points[0]]);
      continue;
    }
    const line = lines.at(-1);
    if (line === undefined) throw new Error("A shape's path begins with M.");
    if (command === "Z") line.push(line[0]);
    if (command === "L") line.push(points[0]);
    if (command === "C") {
      const from = line[line.length - 1];
      for (let i = 1; i <= pieces; i++) line.push(onCurve(from, points, i / pieces));
    }
  }
  return lines;
}

/** The point of a cubic curve at t from 0 to 1. */
function onCurve(from: Point, [a, b, to]: readonly Point[], t: number): Point {
  const u = 1 - t;
  const at = (i: 0 | 1): number =>
    u * u * u * from[i] + 3 * u * u * t * a[i] + 3 * u * t * t * b[i] + t * t * t * to[i];
  return [at(0), at(1)];
}
