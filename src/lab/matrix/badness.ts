/** How bad a cell of the matrix is: its colour on every page and picture. */
import { isFault } from "../outcomes.js";
import type { Cell, CellOutcome } from "./cell.js";

export type Badness = "crash" | "data" | "stuck" | "refused" | "fine" | "open";

/** From the worst to the best, and what is not known. Pale, as a word stands in each cell. */
export const BADNESS: readonly {
  readonly id: Badness;
  readonly says: string;
  readonly color: string;
  /** In a terminal without colours. */
  readonly glyph: string;
}[] = [
  { id: "crash", says: "the kernel dies, or memory is used that was freed", color: "#f3b6ae", glyph: "X" },
  { id: "data", says: "bytes are lost, torn or stale", color: "#f9d59b", glyph: "D" },
  { id: "stuck", says: "hangs, deadlocks, leaks, warnings, late ENOSPC", color: "#f4ecb0", glyph: "H" },
  { id: "refused", says: "somebody is refused in every order", color: "#d4dfee", glyph: "R" },
  { id: "fine", says: "nothing goes wrong", color: "#c7e5cb", glyph: "." },
  { id: "open", says: "nothing was met, and not every interleaving was seen", color: "#e4e4e4", glyph: "?" },
];

/** How bad a cell is; null where it was not computed. */
export function badnessOf(cell: Cell | undefined): Badness | null {
  if (cell === undefined) return null;
  const kinds = cell.outcomes.map(({ kind }) => kind);
  const has = (...wanted: readonly CellOutcome["kind"][]) => kinds.some((kind) => wanted.includes(kind));
  if (has("BUG", "UAF", "INFOLEAK")) return "crash";
  if (has("LOST", "TORN", "STALE")) return "data";
  if (kinds.some((kind) => kind !== "OK" && isFault(kind))) return "stuck";
  if (!cell.complete) return "open";
  return has("OK") ? "fine" : "refused";
}
