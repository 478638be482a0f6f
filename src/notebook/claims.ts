/** Claims of a notebook: the assertions in its code. */
import type { CodeCell } from "./format.js";

const SILENT = /\/\/[^\n]*|\/\*[\s\S]*?\*\/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`/g;

/**
 * How many assertion statements a cell has: calls of `assert` and of its methods, those in texts and comments left out. One in a loop
 * or in a function counts once, however often it runs.
 *
 * @example assertionsIn('assert.equal(1, 1); // assert(false)') // 1
 */
export const assertionsIn = (source: string): number =>
  source.replace(SILENT, '""').match(/(?<![.\w])assert(?:\.\w+)*\s*\(/g)?.length ?? 0;

/** Whether a cell has run, and to its end. */
export const ranWell = ({ execution_count, outputs }: CodeCell): boolean =>
  execution_count !== null && !outputs.some(({ output_type }) => output_type === "error");
