/** Computes cells of the matrix, one after the other, in a thread of its own. */
import { parentPort } from "node:worker_threads";
import { type Cell, computeCell } from "../lab/matrix/cell.js";
import type { CellPlace } from "../lab/matrix/plan.js";

/** What it is told to compute. */
export interface CellOrder {
  readonly place: CellPlace;
  readonly maxStates: number;
}

/** What it says: how many states it has seen, what came out, or why it could not. */
export type CellSaid = { readonly states: number } | { readonly cell: Cell } | { readonly failed: string };

const say = (said: CellSaid): void => parentPort?.postMessage(said);

parentPort?.on("message", ({ place, maxStates }: CellOrder) => {
  try {
    const progress = ({ states }: { states: number }): boolean => {
      say({ states });
      return true;
    };
    say({ cell: computeCell(place, { maxStates, progress }) });
  } catch (error) {
    if (!(error instanceof Error) || error.name !== "Error") throw error;
    say({ failed: error.message });
  }
});
