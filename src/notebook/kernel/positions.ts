/**
 * Where in which cell a frame of a stack is. A cell is compiled in two steps, of which each has a map, and runs under a
 * name of its own, so that functions of earlier cells are found in their cells.
 */
import { SourceMap, type SourceMapPayload } from "node:module";
import type { StepMaps } from "./compiler.js";

export interface Position {
  readonly cell: string;
  /** Counted from 1. */
  readonly line: number;
  /** Counted from 1. */
  readonly column: number;
}

/** Cells whose text and maps are kept, the latest; one that is older keeps its compiled lines in stacks. */
const CELLS_MAX = 2000;

interface Kept {
  readonly source: string;
  readonly maps: StepMaps | undefined;
  read?: readonly [SourceMap, SourceMap];
}

export class Positions {
  private readonly cells = new Map<string, Kept>();

  add(cell: string, source: string, maps: StepMaps | undefined): void {
    this.cells.delete(cell);
    this.cells.set(cell, { source, maps });
    const [oldest] = this.cells.keys();
    if (this.cells.size > CELLS_MAX) this.cells.delete(oldest);
  }

  /** The lines of a cell; undefined for what is no cell. */
  source(cell: string): readonly string[] | undefined {
    return this.cells.get(cell)?.source.split("\n");
  }

  /** From a position in what ran, counted from 1; undefined where nobody wrote anything. */
  find(cell: string, line: number, column: number): Position | undefined {
    const kept = this.cells.get(cell);
    if (!kept?.maps) return undefined;
    kept.read ??= [kept.maps.toModule, kept.maps.toCell].map(
      (map) => new SourceMap(JSON.parse(map) as SourceMapPayload),
    ) as [SourceMap, SourceMap];
    const [second, first] = kept.read;
    const between = second.findEntry(line - 1, column - 1);
    if (!("originalLine" in between)) return undefined;
    const origin = first.findEntry(between.originalLine, between.originalColumn);
    // tslab puts one line before a cell: what is counted from 0 there is counted from 1 in the cell.
    if (!("originalLine" in origin) || origin.originalLine < 1) return undefined;
    return { cell, line: origin.originalLine, column: origin.originalColumn + 1 };
  }

  /** From now on stacks of this process speak of cells' lines, and end where a cell was called. */
  inStacks(): void {
    Error.stackTraceLimit = 50;
    Error.prepareStackTrace = (error, frames) => {
      const lines = this.ofCells(frames).map((frame) => {
        const at = this.find(
          frame.getFileName() ?? "",
          frame.getLineNumber() ?? 0,
          frame.getColumnNumber() ?? 0,
        );
        const text = String(frame);
        if (!at) return text;
        const compiled = `${frame.getFileName()}:${frame.getLineNumber()}:${frame.getColumnNumber()}`;
        // A cell calls what earlier ones declared as members of a proxy, tslab's exports.
        return text
          .replace(compiled, `${at.cell}:${at.line}:${at.column}`)
          .replace(/^(async )?Proxy\./, "$1");
      });
      return [headOf(error), ...lines.map((line) => `    at ${line}`)].join("\n");
    };
  }

  /** The frames without those by which a cell came to be called: tslab's, Node's and ours. */
  private ofCells(frames: readonly NodeJS.CallSite[]): readonly NodeJS.CallSite[] {
    let end = frames.findIndex((frame) => /\btslab\/dist\/executor\.js$/.test(frame.getFileName() ?? ""));
    if (end < 0) return frames;
    while (end > 0 && !this.cells.has(frames[end - 1].getFileName() ?? "")) end--;
    // What Node's vm runs calls the function that a cell is wrapped into; after an await it is called by nobody.
    return frames.slice(0, frames[end].getFileName() === "node:vm" ? Math.max(0, end - 1) : end);
  }
}

function headOf(error: Error): string {
  try {
    return Error.prototype.toString.call(error);
  } catch {
    return "Error";
  }
}
