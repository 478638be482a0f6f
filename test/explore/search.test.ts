import { describe, expect, it } from "vitest";
import type { Faces } from "../../src/explore/engine.js";
import { type SearchOptions, search } from "../../src/explore/search.js";
import { explore } from "../../src/lab/explore.js";
import { open } from "../../src/lab/world.js";
import type { FaultKind } from "../../src/trace/recording.js";
import { Invariants } from "../lab/invariants.js";
import { counters } from "./counters.js";
import { naiveSearch } from "./naive.js";

const everything: SearchOptions = { maxStates: 1e9, progress: () => true };

describe("a machine whose states can be counted by hand", () => {
  it("has (n + 1)^2 states and 2n(n + 1) transitions, and all are visited", () => {
    for (const top of [1, 2, 7, 30]) {
      const result = search(counters(top), everything);
      expect(result).toMatchObject({
        complete: true,
        states: (top + 1) ** 2,
        transitions: 2 * top * (top + 1),
        depth: 2 * top,
      });
    }
  });

  it("more states than one chunk and one table hold are all told apart", () => {
    expect(search(counters(400), everything).states).toBe(401 * 401);
  });

  for (const where of ["step", "state"] as const) {
    it(`the witness of a fault of a ${where} has as few steps as there can be`, () => {
      const [witness] = search(counters(5, where), everything).witnesses;
      expect(witness.kind).toBe("BUG");
      expect(witness.schedule).toHaveLength(10);
      const replayed = counters(5, where)(null);
      let last: readonly (FaultKind | null)[] = [];
      for (const task of witness.schedule)
        last = [...replayed.step(task), ...replayed.questions.map((question) => question())];
      expect(last.filter((kind) => kind !== null)).toEqual(["BUG"]);
    });
  }

  it("a fault of the first state needs no step", () => {
    const lost: Faces = (watch) => ({ ...counters(0)(watch), questions: [() => "LOST"] });
    const [witness] = search(lost, everything).witnesses;
    expect(witness).toEqual({ kind: "LOST", schedule: [] });
  });

  it("stops at maxStates and says that it is not complete", () => {
    const result = search(counters(400), { ...everything, maxStates: 10_000 });
    expect(result.complete).toBe(false);
    expect(result.states).toBeGreaterThan(10_000);
    expect(result.states).toBeLessThan(10_000 + 2 * 4096);
  });

  it("stops when progress says so, having told what it had seen", () => {
    const seen: number[] = [];
    const result = search(counters(400), {
      ...everything,
      progress: ({ states, frontier, depth, transitions }) => {
        expect(frontier).toBeLessThanOrEqual(states);
        expect(depth).toBeLessThanOrEqual(states);
        expect(transitions).toBeGreaterThanOrEqual(states - 1);
        seen.push(states);
        return seen.length < 3;
      },
    });
    expect(result.complete).toBe(false);
    expect(seen).toHaveLength(3);
    expect(seen[0]).toBe(1);
  });
});

describe("the controls", () => {
  for (const scenario of ["kara-2018-quiet", "kara-2018-tmpfs", "kara-2018-private"]) {
    it(`${scenario} is safe, with as many states as a naive search over strings finds`, () => {
      const verdict = explore(scenario);
      expect(verdict.verdict).toBe("safe");
      expect(verdict.outcomes).toEqual(["OK"]);
      expect(verdict.witness).toBeNull();
      const naive = naiveSearch(open(scenario, { record: false }));
      expect({ states: verdict.states, transitions: verdict.transitions }).toEqual({
        states: naive.states,
        transitions: naive.transitions,
      });
      expect([...naive.faults]).toEqual([]);
    });

    it(`${scenario}: the invariants hold in every state that can be reached`, () => {
      const world = open(scenario, { record: false });
      const invariants = new Invariants(world, true);
      const violated = new Set<string>();
      naiveSearch(world, undefined, () => {
        const violation = invariants.violated();
        if (violation !== null) violated.add(violation);
      });
      expect([...violated]).toEqual([]);
    });
  }

  it("the same search twice gives the same report, byte for byte", () => {
    const report = () => JSON.stringify(explore("kara-2018-quiet"));
    expect(report()).toBe(report());
  });

  it("a verdict of an interrupted search is incomplete, and says so in words", () => {
    const verdict = explore("kara-2018", { progress: ({ states }) => states < 2 });
    expect(verdict.verdict).toBe("incomplete");
    expect(verdict.witness).toBeNull();
    expect(String(verdict)).toContain("not every interleaving");
    expect(explore("kara-2018-touch", { maxStates: 5000 }).verdict).toBe("incomplete");
  });
});
