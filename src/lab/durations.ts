/** Times as people write them: "10us", "1ms", "5s", "2min", "3h", "4d". */
import { threeDigits } from "./text.js";

const UNITS: readonly (readonly [name: string, seconds: number])[] = [
  ["ns", 1e-9],
  ["us", 1e-6],
  ["ms", 1e-3],
  ["s", 1],
  ["min", 60],
  ["h", 3600],
  ["d", 86_400],
];

/** The seconds in a year. */
export const YEAR_S = 365.25 * 86_400;

/**
 * Read a time.
 *
 * @returns seconds
 * @throws Error with one sentence when it is none, or not longer than nothing
 * @example readDuration("10ms") // 0.01
 */
export function readDuration(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?|\.\d+)\s*([a-z]+)$/.exec(text.trim().replace("µ", "u")) ?? [];
  const known = UNITS.find(([name]) => name === unit);
  const seconds = Number(number) * (known?.[1] ?? Number.NaN);
  if (!(seconds > 0 && seconds < 1e12))
    throw new Error(`"${text}" is no time: write a number and ns, us, ms, s, min, h or d, such as 10ms`);
  // Digits that are the unit's, and not the product's: 0.001 and not 0.0010000000000000002.
  return Number(seconds.toPrecision(15));
}

/**
 * Write a time so that readDuration reads it: in the largest unit of which there is at least one.
 *
 * @param seconds more than 0
 * @example formatDuration(0.01) === "10ms"
 */
export function formatDuration(seconds: number): string {
  const fits = [...UNITS].reverse().find(([, size]) => seconds >= size * (1 - 1e-9)) ?? UNITS[0];
  return `${Number((seconds / fits[1]).toPrecision(6))}${fits[0]}`;
}

/**
 * A long time in words: "3.2 days", "14 years".
 *
 * @param seconds more than 0; Infinity is "for ever"
 * @example spelledTime(864_000) === "10 days"
 */
export function spelledTime(seconds: number): string {
  if (seconds === Infinity) return "for ever";
  const [name, size] = (
    [
      ["year", YEAR_S],
      ["day", 86_400],
      ["hour", 3600],
      ["minute", 60],
      ["second", 1],
    ] as const
  ).find(([, each]) => seconds >= each) ?? ["", 0];
  if (size === 0) return formatDuration(Number(seconds.toPrecision(3)));
  const count = seconds / size;
  if (count >= 1e6) return `${threeDigits(count)} ${name}s`;
  const shown = count >= 100 ? Math.round(Number(count.toPrecision(3))) : Number(count.toPrecision(3));
  return `${shown} ${name}${shown === 1 ? "" : "s"}`;
}
