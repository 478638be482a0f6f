/**
 * Cells of the matrix in files: those that were computed before are read, as long as what they depend on has not changed.
 *
 * A cell depends on its kernel, its workload, its bound, and on the program: all code that the thread loads that computes cells.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Cell } from "../lab/matrix/cell.js";
import type { CellPlace } from "../lab/matrix/plan.js";
import { NodeHost } from "./host.js";

/** The files of a program, from the one that is started on. */
function filesOf(start: string, found = new Set<string>()): Set<string> {
  if (found.has(start)) return found;
  found.add(start);
  const folder = join(start, "..");
  for (const [, name] of readFileSync(start, "utf8").matchAll(/(?:from|import)\s*"(\.\.?\/[^"]+\.js)"/g))
    filesOf(join(folder, name), found);
  return found;
}

/** A name for the program that computes cells: another one when any of its code is another. */
export function programHash(): string {
  const hash = createHash("sha256");
  const worker = fileURLToPath(new URL("./cell-worker.js", import.meta.url));
  for (const file of [...filesOf(worker)].sort()) hash.update(readFileSync(file));
  return hash.digest("hex").slice(0, 24);
}

/** Where cells are kept, if nobody says otherwise. */
export const cacheFolder = (): string =>
  join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "guplab", "matrix");

/** What a file has: a cell, and the program that computed it. */
interface Kept {
  readonly program: string;
  readonly cell: Cell;
}

/** A kept cell, from the text of a file. @throws Error with one sentence when it is none */
function keptFrom(file: string, text: string): Kept {
  try {
    const kept = JSON.parse(text) as Kept;
    if (kept.cell.guplab === "cell" && typeof kept.program === "string") return kept;
  } catch {
    // Said below.
  }
  throw new Error(
    `${file} is no cell of a matrix: guplab matrix --cell PROPOSAL W1 --result FILE writes one`,
  );
}

export class CellCache {
  private readonly host = new NodeHost();

  constructor(
    readonly folder: string,
    readonly program = programHash(),
  ) {}

  /** The file of a cell. */
  private fileOf({ kernel, workload }: CellPlace, maxStates: number): string {
    const key = [this.program, kernel, workload, maxStates].join("\n");
    return join(this.folder, `${createHash("sha256").update(key).digest("hex").slice(0, 32)}.json`);
  }

  /** What was computed before, or null. A file that cannot be read is as good as none. */
  read(place: CellPlace, maxStates: number): Cell | null {
    const file = this.fileOf(place, maxStates);
    try {
      return keptFrom(file, readFileSync(file, "utf8")).cell;
    } catch {
      return null;
    }
  }

  /** Keep a cell, in the cache's folder or in a file. */
  write(cell: Cell, file = this.fileOf(cell, cell.bounds.max_states)): void {
    this.host.write(file, `${JSON.stringify({ program: this.program, cell } satisfies Kept)}\n`);
  }

  /**
   * The cells of a folder that this program computed, and how many another one did.
   *
   * @throws Error with one sentence when there is no such folder, or a file in it is no cell
   */
  collect(folder: string): { readonly cells: readonly Cell[]; readonly others: number } {
    let names: readonly string[];
    try {
      names = readdirSync(folder)
        .filter((name) => name.endsWith(".json"))
        .sort();
    } catch {
      throw new Error(`${folder} is no folder that can be read`);
    }
    if (names.length === 0)
      throw new Error(`${folder} has no results: guplab matrix --plan prints what makes them`);
    const kept = names.map((name) => keptFrom(name, this.host.read(join(folder, name))));
    const cells = kept.filter(({ program }) => program === this.program).map(({ cell }) => cell);
    return { cells, others: kept.length - cells.length };
  }
}
