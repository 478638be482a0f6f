/** Kernels that are the same machine for a scenario. */
import { expect, it } from "vitest";
import { patchesFor } from "../../src/lab/alike.js";
import { explore } from "../../src/lab/explore.js";
import { kernelOf } from "../../src/lab/own_patches.js";
import { open } from "../../src/lab/world.js";
import { kernels } from "../../src/patches/kernels.js";

it("kernels with the same patches that matter have as many states and transitions, and the same faults", () => {
  for (const scenario of ["W6", "W7", "W8", "W11", "W14"]) {
    const world = open(scenario, { record: false });
    const first = new Map<string, { readonly kernel: string; readonly said: readonly unknown[] }>();
    let alike = 0;
    for (const { name } of kernels) {
      const key = patchesFor(world, kernelOf(name))
        .map((patch) => patch.name)
        .join();
      const { states, transitions, outcomes } = explore(scenario, { kernel: name });
      const said = [states, transitions, ...outcomes];
      const before = first.get(key);
      if (before === undefined) first.set(key, { kernel: name, said });
      else {
        alike++;
        expect([scenario, name, ...said]).toEqual([scenario, name, ...before.said]);
      }
    }
    expect(alike).toBeGreaterThan(0);
  }
}, 120_000);

it("a patch that puts another path in a path's place matters to whoever calls that one", () => {
  const names = (scenario: string) =>
    patchesFor(open(scenario, { record: false }), kernelOf("v5.5")).map((patch) => patch.name);
  expect(names("W9")).toContain("longterm-flag");
  expect(names("W3")).not.toContain("longterm-flag");
});
