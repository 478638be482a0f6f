/**
 * The matrix: every kernel and every proposal against the standard workloads. Which rows and columns it has, and which cells that makes.
 *
 * A row is a kernel: one that was released; a proposal on v4.20, or on the oldest kernel to which it applies; or a proposal on today's, where it
 * applies there. One that does not is left out with the reason, and nothing is written in its stead.
 */
import { kernels, proposed } from "../../patches/kernels.js";
import { proposals } from "../../patches/proposals/index.js";
import { reachable } from "../kernels.js";
import { kernelOf } from "../own_patches.js";
import { workloads } from "../workloads/index.js";

/** What a row is of. */
export type RowGroup = "kernels" | "proposals" | "today" | "asked";

export interface MatrixRow {
  readonly group: RowGroup;
  /** Its kernel's name: "v4.20+hubbard-ttu-2018". */
  readonly kernel: string;
  /** The proposal's name; the kernel's where it is none. */
  readonly name: string;
  readonly help: string;
}

/** What there is no row for, and why. */
export interface LeftOut {
  readonly kernel: string;
  readonly why: string;
}

/** Numbers of the standard workloads, in order: the columns. */
export const COLUMNS: readonly string[] = workloads.map(({ aliases }) => aliases[0]);

/** The kernel of the article, and the newest. */
export const [ARTICLE, TODAY] = [kernels[0].name, kernels[kernels.length - 1].name];

/** Why a kernel's patches do not apply to some path that a scenario can reach, or null. */
function refusal(kernel: string): string | null {
  try {
    reachable(kernelOf(kernel).patched);
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

const bases = new Map<string, string | null>();

/** The oldest kernel to which a proposal applies, of those that it was thought of for; null when it applies to none. */
export function baseOf(proposal: string): string | null {
  const known = bases.get(proposal);
  if (known !== undefined) return known;
  const since = proposed.get(proposal)?.since ?? ARTICLE;
  const meant = kernels.slice(kernels.findIndex(({ name }) => name === since));
  const found = meant.find(({ name }) => refusal(`${name}+${proposal}`) === null)?.name ?? null;
  bases.set(proposal, found);
  return found;
}

/** Every row that can be computed, kernels first, and what is left out. */
export function matrixRows(): { readonly rows: readonly MatrixRow[]; readonly left_out: readonly LeftOut[] } {
  const rows: MatrixRow[] = kernels.map(({ name, help }) => ({ group: "kernels", kernel: name, name, help }));
  const left_out: LeftOut[] = [];
  for (const { name, help } of proposals) {
    const base = baseOf(name);
    if (base !== null) rows.push({ group: "proposals", kernel: `${base}+${name}`, name, help });
  }
  for (const { name, help } of proposals) {
    const kernel = `${TODAY}+${name}`;
    const why = refusal(kernel);
    if (why !== null) left_out.push({ kernel, why });
    else if (baseOf(name) !== TODAY) rows.push({ group: "today", kernel, name, help });
  }
  return { rows, left_out };
}

/** Where a cell is. */
export interface CellPlace {
  readonly kernel: string;
  /** W1 to W18. */
  readonly workload: string;
}

/** The name of a row's kernel as somebody may say it: a proposal's own name means it on the oldest kernel to which it applies. */
export const kernelOfRow = (name: string): string =>
  proposals.some((proposal) => proposal.name === name) ? `${baseOf(name) ?? ARTICLE}+${name}` : name;

/**
 * The place of a cell.
 *
 * @throws Error with one sentence when there is no such kernel, proposal or workload
 */
export function placeOf(row: string, workload: string): CellPlace {
  const kernel = kernelOf(kernelOfRow(row)).name;
  if (!COLUMNS.includes(workload))
    throw new Error(`there is no column "${workload}"; the matrix has ${COLUMNS[0]} to ${COLUMNS.at(-1)}`);
  return { kernel, workload };
}
