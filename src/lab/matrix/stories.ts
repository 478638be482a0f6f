/**
 * What a proposal changes, from its row of the matrix beside that of the kernel without it: its best case and its worst.
 */

import { isFault, SEVERITY } from "../outcomes.js";
import { kernelOf } from "../own_patches.js";
import { fill } from "../text.js";
import type { Cell, CellOutcome } from "./cell.js";
import type { Matrix } from "./matrix.js";

/** A workload with and without a proposal. */
export interface CellChange {
  readonly workload: string;
  readonly scenario: string;
  readonly without: readonly CellOutcome["kind"][];
  readonly with: readonly CellOutcome["kind"][];
  /** Whether every interleaving of both was seen. */
  readonly complete: boolean;
  /** The worst outcome with it. */
  readonly replay: string;
}

export interface Story {
  readonly name: string;
  readonly kernel: string;
  /** The workload that gains most by it; null when none does. */
  readonly best: CellChange | null;
  /** The workload that loses most; null when none does. */
  readonly worst: CellChange | null;
  /** What goes wrong with it all the same, in the order of the workloads. */
  readonly left: readonly CellChange[];
}

const kinds = ({ outcomes }: Cell) => outcomes.map(({ kind }) => kind);

/** How bad a cell is: 0 when nothing goes wrong; a refusal is better than any fault. */
function badness(cell: Cell): number {
  const [worst] = kinds(cell);
  if (worst === undefined || worst === "OK" || worst === "SLOW") return 0;
  // Refused in some orders only is what can happen to any call.
  if (worst === "REFUSED") return kinds(cell).includes("OK") ? 0 : 1;
  return SEVERITY.length - SEVERITY.indexOf(worst) + 1;
}

function changeOf(before: Cell, after: Cell): CellChange {
  return {
    workload: after.workload,
    scenario: after.scenario,
    without: kinds(before),
    with: kinds(after),
    complete: before.complete && after.complete,
    replay: after.outcomes[0]?.replay ?? "",
  };
}

/** The stories of the proposals whose rows have cells, in the order of the matrix. */
export function storiesOf({ rows }: Matrix): Story[] {
  const rowOf = new Map(rows.map((row) => [row.kernel, row.cells]));
  return rows
    .filter(({ group, cells }) => group === "proposals" && Object.keys(cells).length > 0)
    .map(({ name, kernel, cells }) => {
      const base = rowOf.get(kernelOf(kernel.split("+")[0]).name) ?? {};
      const pairs = Object.values(cells).flatMap((after) => {
        const before = base[after.workload];
        if (before === undefined) return [];
        return [
          { gain: badness(before) - badness(after), change: changeOf(before, after), bad: badness(after) },
        ];
      });
      const sorted = [...pairs].sort((a, b) => b.gain - a.gain);
      const [first, last] = [sorted[0], sorted.at(-1)];
      const faulty = ({ change }: (typeof pairs)[number]) =>
        change.with.some((kind) => kind !== "OK" && isFault(kind));
      return {
        name,
        kernel,
        best: first !== undefined && first.gain > 0 ? first.change : null,
        worst: last !== undefined && last.gain < 0 ? last.change : null,
        left: pairs.filter((pair) => faulty(pair) && pair.gain >= 0).map(({ change }) => change),
      };
    });
}

const short = (change: CellChange): string =>
  `${change.workload} ${change.without.join(" ")} -> ${change.with.join(" ") || "nothing met"}${change.complete ? "" : " (incomplete)"}`;

/** A story as lines. */
export function storyText({ name, best, worst, left }: Story): string {
  return [
    name,
    `  best:  ${best === null ? "no workload gains by it" : short(best)}`,
    `  worst: ${worst === null ? "no workload loses by it" : `${short(worst)}\n         ${worst.replay}`}`,
    ...(left.length === 0
      ? ["  left:  nothing"]
      : fill(
          left
            .map(
              ({ workload, with: found }) => `${workload} ${found.filter((kind) => kind !== "OK").join("+")}`,
            )
            .join(", "),
          88,
        ).map((line, at) => `${at === 0 ? "  left:  " : "         "}${line}`)),
  ].join("\n");
}
