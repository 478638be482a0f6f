/** Measurements in processes that have done nothing else, in seconds of processor time of all their threads: compilers and collectors included. */
import { execFileSync } from "node:child_process";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import type { FaultKind } from "../../src/trace/recording.js";

export interface Order {
  readonly scenario: string;
  readonly kernel?: string;
  /** Write the model for Spin there, instead of searching alone. */
  readonly promela?: string;
  /** Sticky walks with the default seed, instead of a search. */
  readonly walks?: number;
  /** Stop when a way to this is found. */
  readonly until?: FaultKind;
  /** Stop when so much was used. */
  readonly maxCpuSeconds?: number;
}

export interface Measured {
  /** From the scenario's name to the answer. */
  readonly cpuSeconds: number;
  /** With the start of Node. */
  readonly processCpuSeconds: number;
  /** The most memory that the process had, in bytes. */
  readonly rss: number;
  readonly complete: boolean;
  readonly states: number;
  readonly transitions: number;
  readonly depth: number;
  /** What the states take. */
  readonly bytes: number;
  /** States that were not expanded. */
  readonly left: number;
  /** Of the shortest way to BUG that was found. */
  readonly steps?: number;
  readonly walks?: number;
  /** The first walk that met BUG. */
  readonly first?: number;
}

/** Do an order in a process of its own. */
export function fresh(order: Order): Measured {
  const search = fileURLToPath(new URL("./search.mjs", import.meta.url));
  const printed = execFileSync(process.execPath, [search, JSON.stringify(order)], {
    encoding: "utf8",
    maxBuffer: 1 << 24,
  });
  return JSON.parse(printed) as Measured;
}

/** "Node v20.20.2, 2 x AMD EPYC". */
export const machine = (): string =>
  `Node ${process.version}, ${cpus().length} x ${cpus()[0]?.model.trim() ?? "an unknown processor"}`;

/** Columns of text, the last one as it is; the first row is a head. */
export function table(rows: readonly (readonly string[])[], right: readonly number[] = []): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) =>
        right.includes(column) ? cell.padStart(widths[column]) : cell.padEnd(widths[column]),
      )
      .join("  ")
      .trimEnd();
  return [
    line(rows[0]),
    widths.map((width) => "-".repeat(width)).join("  "),
    ...rows.slice(1).map(line),
  ].join("\n");
}

export const seconds = (value: number): string => `${value.toFixed(2)} s`;
export const thousands = (value: number): string => Math.round(value).toLocaleString("en-US");
