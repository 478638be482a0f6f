/** Two searches that share no line of searching agree: on how many states there are, on which, and on what can happen. */
import { describe, expect, it } from "vitest";
import type { Faces } from "../../src/explore/engine.js";
import { type Confirmed, recheck } from "../../src/explore/recheck.js";
import { search } from "../../src/explore/search.js";
import { open } from "../../src/lab/world.js";
import { counters } from "./counters.js";

/** What the main search says, as the other one says it. */
function claimed(faces: Faces): Confirmed {
  const { states, transitions, depth, fingerprint, witnesses, complete } = search(faces, {
    maxStates: 1e6,
    progress: () => true,
    fingerprint: true,
  });
  expect(complete).toBe(true);
  const faults = Object.fromEntries(witnesses.map(({ kind, schedule }) => [kind, schedule.length]));
  return { states, transitions, depth, fingerprint: fingerprint as string, faults };
}

describe("the second search confirms the first", () => {
  it.each([
    ["kara-2018-quiet", "v4.20"],
    ["kara-2018-quiet", "v6.4"],
    ["kara-2018-tmpfs", "v4.20"],
    ["kara-2018-private", "v5.19"],
    ["dio-write-race", "v4.20"],
    ["dio-write-race,fs=xfs", "2026"],
    ["cve-2020-29374", "v4.20"],
    ["cve-2020-29374", "v5.8"],
    ["W5", "v4.20"],
    ["W6", "v4.20"],
    ["W6", "v6.12"],
    ["W7", "v4.20"],
    ["W8", "v4.20"],
    ["W8,fs=xfs_dax", "v6.15"],
    ["W9", "v4.20"],
    ["W11", "v4.20"],
    ["W11", "v5.9"],
    ["W12", "v6.2"],
    ["W14", "v4.20"],
    ["W16", "v4.20"],
    ["W16", "v5.13"],
    ["W17", "v4.20"],
    ["W18", "v4.20"],
  ])("%s on %s", (scenario, kernel) => {
    const world = open(scenario, { kernel, record: false });
    expect(recheck(world.faces(null))).toEqual(claimed(world.faces));
  });

  it("a machine that is counted by hand", () => {
    expect(recheck(counters(7)(null))).toMatchObject({
      states: 64,
      transitions: 112,
      depth: 14,
      faults: { BUG: 14 },
    });
    expect(recheck(counters(7)(null))).toEqual(claimed(counters(7)));
  });
});

describe("a fingerprint", () => {
  it("differs where states differ, also where there are as many", () => {
    const { fingerprint } = claimed(counters(7));
    const bytes = new Uint32Array(2);
    const other: Faces = (watch) => ({
      ...counters(7)(watch),
      state: bytes,
      cells: [0, 1].map((row) => ({ column: bytes, row })),
      enabled: (task) => bytes[task] < 14,
      step: (task) => {
        bytes[task] += 2;
        return [];
      },
      questions: [],
    });
    const twice = recheck(other(null));
    expect(twice?.states).toBe(64);
    expect(twice?.fingerprint).not.toBe(fingerprint);
  });
});
