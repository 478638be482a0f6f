/**
 * Held steps hide nothing (held.ts): each world on the base, on the newest kernel, and on one of those between.
 * `npm run soak` takes all of them.
 */
import { describe, expect, it } from "vitest";
import { kernelsFor, missed, worlds } from "./held.js";

const all = Object.entries(worlds).map(([name, make]) => ({ name, make, kernels: kernelsFor(make) }));
const differ = new Set(all.flatMap(({ kernels }) => kernels));
const turns = new Map<string, number>();
/** How many turns a kernel has had, and in how many worlds it could have one. */
const had = (kernel: string): number => turns.get(kernel) ?? 0;
const chances = (kernel: string): number => all.filter(({ kernels }) => kernels.includes(kernel)).length;

/** The first, the last, and of those between the one that had the fewest turns. */
function some(kernels: readonly string[]): string[] {
  const between = kernels.slice(1, -1).sort((a, b) => had(a) - had(b) || chances(a) - chances(b));
  const chosen = [...new Set([kernels[0], ...between.slice(0, 1), ...kernels.slice(-1)])];
  for (const kernel of chosen) turns.set(kernel, had(kernel) + 1);
  return chosen;
}

describe("held steps hide nothing", () => {
  for (const { name, make, kernels } of all) {
    it.each(some(kernels))(`${name}, on %s`, (kernel) => {
      const { missed: none, of } = missed(make, kernel);
      expect({ missed: none, enough: of > 10 }).toEqual({ missed: 0, enough: true });
    });
  }

  it("every kernel that differs from those before it has its turn", () => {
    expect([...differ].filter((kernel) => had(kernel) === 0)).toEqual([]);
  });
});
