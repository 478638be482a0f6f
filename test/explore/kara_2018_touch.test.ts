import { expect, it } from "vitest";
import { explore } from "../../src/lab/explore.js";

it("kara-2018-touch is safe under every interleaving: a CPU store after the strip heals the page (trap 16)", () => {
  const verdict = explore("kara-2018-touch");
  expect(verdict.verdict).toBe("safe");
  expect(verdict.outcomes).toEqual(["OK"]);
  expect(verdict.states).toBeGreaterThan(100_000);
});
