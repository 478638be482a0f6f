/** `guplab matrix`: computes cells on all cores, keeps them, and shows them as a table, as JSON or as a page. */
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { CELL_STATES, type Cell } from "../lab/matrix/cell.js";
import { matrixOf, placesOf } from "../lab/matrix/matrix.js";
import { type CellPlace, placeOf } from "../lab/matrix/plan.js";
import { cellText, matrixText } from "../lab/matrix/text.js";
import { isFault } from "../lab/outcomes.js";
import { makeFolder } from "../notebook/format.js";
import { CellCache, cacheFolder } from "./cell-cache.js";
import type { CellOrder, CellSaid } from "./cell-worker.js";
import { NodeHost } from "./host.js";

interface MatrixFlags {
  readonly cell?: readonly string[];
  readonly rows?: readonly string[];
  readonly columns?: readonly string[];
  readonly maxStates?: number;
  readonly jobs?: number;
  readonly plan?: string | true;
  readonly merge?: string;
  readonly result?: string;
  readonly html?: string;
  readonly svg?: string;
  readonly png?: string;
  readonly cache?: string;
  readonly fresh?: true;
  readonly json?: true;
}

/** Compute and print. @throws Error with one sentence */
export async function matrixCommand(flags: MatrixFlags): Promise<void> {
  const maxStates = flags.maxStates ?? CELL_STATES;
  if (flags.plan !== undefined) {
    printPlan(placesOf(flags), flags.plan === true ? "cells" : flags.plan, flags.maxStates);
    return;
  }
  const cache = new CellCache(flags.cache ?? cacheFolder());
  if (flags.merge !== undefined) {
    const { cells, others } = cache.collect(flags.merge);
    if (others > 0)
      process.stderr.write(
        `guplab: ${others} results in ${flags.merge} are of another version, and are left out\n`,
      );
    await show(cells, flags);
    return;
  }
  if (flags.cell !== undefined) {
    if (flags.cell.length !== 2)
      throw new Error("--cell takes a row and a column: guplab matrix --cell hubbard-ttu-2018 W1");
    const [cell] = await compute([placeOf(flags.cell[0], flags.cell[1])], { ...flags, maxStates }, cache);
    if (cell === undefined) return;
    if (flags.result !== undefined) {
      folder(dirname(flags.result));
      cache.write(cell, flags.result);
    }
    process.stdout.write(flags.json ? `${JSON.stringify(cell, null, 2)}\n` : `${cellText(cell)}\n`);
    process.exitCode = faulty([cell]) ? 3 : 0;
    return;
  }
  await show(await compute(placesOf(flags), { ...flags, maxStates }, cache), flags);
}

const faulty = (cells: readonly Cell[]): boolean =>
  cells.some(({ outcomes }) => outcomes.some(({ kind }) => kind !== "OK" && isFault(kind)));

/** Make a folder, and those that it lies in. */
function folder(path: string): void {
  try {
    makeFolder(path);
  } catch {
    throw new Error(`${path} cannot be made a folder for results`);
  }
}

/** Commands that compute each cell into a file of its own. */
function printPlan(all: readonly CellPlace[], into: string, maxStates: number | undefined): void {
  const bound = maxStates === undefined ? "" : ` --max-states ${maxStates}`;
  for (const { kernel, workload } of all)
    process.stdout.write(
      `guplab matrix --cell ${kernel} ${workload}${bound} --result ${join(into, `${kernel}-${workload}.json`)}\n`,
    );
}

async function show(cells: readonly Cell[], flags: MatrixFlags): Promise<void> {
  const matrix = matrixOf(cells);
  const host = new NodeHost();
  if (flags.html !== undefined) {
    const { matrixPage } = await import("../lab/matrix/page.js");
    const { readFileSync } = await import("node:fs");
    const client = readFileSync(new URL("./matrix-page.js", import.meta.url), "utf8");
    host.write(flags.html, matrixPage(matrix, client));
  }
  if (flags.svg !== undefined || flags.png !== undefined) {
    const [{ matrixFigure }, { toSvg }] = await Promise.all([
      import("../lab/matrix/figure.js"),
      import("../plot/index.js"),
    ]);
    const svg = toSvg(matrixFigure(matrix));
    if (flags.png !== undefined) host.write(flags.png, await host.png(svg));
    if (flags.svg !== undefined) host.write(flags.svg, svg);
  }
  process.stdout.write(
    flags.json
      ? `${JSON.stringify(matrix, null, 2)}\n`
      : `${matrixText(matrix, Math.max(80, host.columns))}\n`,
  );
  process.exitCode = faulty(cells) ? 3 : 0;
}

interface Bounds extends MatrixFlags {
  readonly maxStates: number;
}

/** Compute cells on as many threads as there are processors. Ctrl-C ends it, and gives what there is; what was computed is kept. */
async function compute(all: readonly CellPlace[], flags: Bounds, cache: CellCache): Promise<readonly Cell[]> {
  folder(cache.folder);
  const cells = new Map<CellPlace, Cell>();
  if (!flags.fresh)
    for (const place of all) {
      const kept = cache.read(place, flags.maxStates);
      if (kept !== null) cells.set(place, kept);
    }
  const todo = all.filter((place) => !cells.has(place));
  const before = cells.size;
  if (todo.length === 0) return all.map((place) => cells.get(place) as Cell);
  const { Worker } = await import("node:worker_threads");
  const { isTTY } = process.stderr;
  const start = performance.now();
  const doing = new Map<number, string>();
  const tell = (): void => {
    if (!isTTY) return;
    const made = cells.size - before;
    const left = made === 0 ? 0 : ((performance.now() - start) / made) * (todo.length - made);
    const outlook = made === 0 ? "" : `, about ${Math.ceil(left / 60_000)} min left`;
    const line = `${cells.size} of ${all.length} cells${outlook}; ${[...doing.values()].join("; ")}`;
    process.stderr.write(`\r\x1b[K${line.slice(0, Math.max(20, (process.stderr.columns ?? 80) - 1))}`);
  };
  let next = 0;
  let stopped = false;
  const jobs = Math.min(flags.jobs ?? availableParallelism(), todo.length);
  // One promise for all: whoever is asked to end, or fails, ends the others too.
  let end = (): void => {};
  const stop = new Promise<null>((resolve) => {
    end = () => resolve(null);
  });
  process.once("SIGINT", end);
  const work = async (nr: number): Promise<void> => {
    const worker = new Worker(new URL("./cell-worker.js", import.meta.url));
    try {
      while (next < todo.length && !stopped) {
        const place = todo[next++];
        const name = `${place.kernel} ${place.workload}`;
        doing.set(nr, name);
        tell();
        const made = new Promise<Cell>((resolve, reject) => {
          worker.removeAllListeners();
          worker.on("error", reject);
          worker.on("message", (said: CellSaid) => {
            if ("cell" in said) resolve(said.cell);
            else if ("failed" in said) reject(new Error(said.failed));
            else {
              doing.set(nr, `${name}: ${said.states} states`);
              tell();
            }
          });
        });
        worker.postMessage({ place, maxStates: flags.maxStates } satisfies CellOrder);
        const cell = await Promise.race([made, stop]);
        if (cell === null) {
          stopped = true;
          break;
        }
        cells.set(place, cell);
        cache.write(cell);
      }
    } catch (error) {
      end();
      throw error;
    } finally {
      doing.delete(nr);
      await worker.terminate();
    }
  };
  try {
    await Promise.all(Array.from({ length: jobs }, (_, nr) => work(nr)));
  } finally {
    process.removeListener("SIGINT", end);
    if (isTTY) process.stderr.write("\r\x1b[K");
  }
  if (stopped)
    process.stderr.write(
      `guplab: ended after ${cells.size} of ${all.length} cells; the same command goes on from there\n`,
    );
  return all.flatMap((place) => cells.get(place) ?? []);
}
