/** What is said of the steps that tests reach, and of those that none reaches. */
import type { Step } from "./catalogue.js";

export interface StepCoverage extends Step {
  readonly reached: boolean;
}

/**
 * Which steps are among the marks.
 *
 * @throws Error when a mark is of no step: a path changed while the tests ran
 */
export function merge(steps: ReadonlyMap<string, Step>, marks: Iterable<string>): StepCoverage[] {
  const reached = new Set(marks);
  for (const key of reached)
    if (!steps.has(key)) throw new Error(`merge: a test reached "${key}", which is no step now`);
  return [...steps].map(([key, step]) => ({ ...step, reached: reached.has(key) }));
}

/** Rows of words as columns, two spaces apart. */
function columns(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((word, at) => {
      widths[at] = Math.max(widths[at] ?? 0, word.length);
    });
  return rows.map((row) => `  ${row.map((word, at) => word.padEnd(widths[at])).join("  ")}`.trimEnd());
}

const count = (steps: readonly StepCoverage[]): string =>
  `${steps.filter(({ reached }) => reached).length} of ${steps.length}`;

const which = ({ step, nth }: Step): string => (nth === 1 ? step : `${step} (#${nth})`);

/** The first line: "steps: 412 of 430 reached". */
export const summary = (steps: readonly StepCoverage[]): string => `steps: ${count(steps)} reached`;

/** The summary, and a table of the steps that are not reached: path, step, where the real one is. */
export function unreached(steps: readonly StepCoverage[]): string {
  const rows = steps.filter(({ reached }) => !reached).map((step) => [step.path, which(step), step.source]);
  return [summary(steps), ...columns(rows)].join("\n");
}

/** For each file and each of its paths how many steps are reached, with the names of those that are not. */
export function byFile(steps: readonly StepCoverage[]): string {
  const lines: string[] = [];
  for (const file of [...new Set(steps.map((step) => step.file))].sort()) {
    const inFile = steps.filter((step) => step.file === file);
    lines.push(`${file}: ${count(inFile)}`);
    const rows = [...new Set(inFile.map(({ path }) => path))].map((path) => {
      const inPath = inFile.filter((step) => step.path === path);
      const missed = inPath.filter(({ reached }) => !reached).map(which);
      return [path, count(inPath), missed.length > 0 ? `not ${missed.join(", ")}` : ""];
    });
    lines.push(...columns(rows));
  }
  return lines.join("\n");
}
