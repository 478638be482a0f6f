/** The danger of states and runs, on graphs that can be drawn on a sheet of paper, and against a naive reading of random ones. */
import { describe, expect, it } from "vitest";
import { dangerAlong, dangerOf } from "../../src/explore/danger.js";
import { backward, exploreGraph, faultsOf, NOWHERE } from "../../src/explore/graph.js";
import type { SearchOptions } from "../../src/explore/search.js";
import { counters } from "./counters.js";
import { toy } from "./toys.js";

const everything: SearchOptions = { maxStates: 1e9, progress: () => true };
const X = NOWHERE;

function dangers(targets: readonly (readonly number[])[], fault: number, bounds = {}) {
  const machine = toy(targets, { [fault]: "BUG" });
  const explored = exploreGraph(machine, { ...everything, ...bounds });
  const places = faultsOf(explored, machine).get("BUG");
  if (!places) throw new Error("no fault");
  const danger = dangerOf(explored.graph, backward(explored.graph), places);
  return { graph: explored.graph, places, danger };
}

describe("the danger of a run", () => {
  // 0 can go to 1 or to the harmless 4; 1 to 2 or 4; 2 only to 3, the fault.
  const targets = [
    [1, 4],
    [2, 4],
    [3, X],
    [X, X],
    [X, X],
  ];

  it("is certain from the first moment on from which every way meets the fault", () => {
    const { graph, places, danger } = dangers(targets, 3);
    expect(dangerAlong(graph, places, danger, [0, 0, 0])).toEqual({
      moments: [
        { status: "possible", steps: 3 },
        { status: "possible", steps: 2 },
        { status: "certain", steps: 1 },
        { status: "happened", steps: 0 },
      ],
      certainFrom: 2,
      impossibleFrom: null,
      happenedAt: 3,
    });
  });

  it("is over once no way leads to the fault any more", () => {
    const { graph, places, danger } = dangers(targets, 3);
    expect(dangerAlong(graph, places, danger, [0, 1])).toMatchObject({
      moments: [{ status: "possible" }, { status: "possible" }, { status: "impossible", steps: null }],
      certainFrom: null,
      impossibleFrom: 2,
    });
  });

  it("a circle that can be left only into the fault does not avoid it", () => {
    const { danger } = dangers(
      [
        [1, 2],
        [0, X],
        [X, X],
      ],
      2,
    );
    expect(danger.status(0)).toBe("certain");
  });

  it("a task that cannot move is said to be so", () => {
    const { graph, places, danger } = dangers(targets, 3);
    expect(() => dangerAlong(graph, places, danger, [0, 0, 1])).toThrow(/step 3 cannot move/);
  });

  it("in a graph that ends early nothing is certain or impossible that is not so in the whole", () => {
    const line = [
      [1, 2],
      [3, X],
      [4, X],
      [X, X],
      [5, X],
      [X, X],
    ];
    const whole = dangers(line, 3);
    expect(["possible", "certain", "impossible"]).toEqual([0, 1, 2].map((at) => whole.danger.status(at)));
    const { graph, danger } = dangers(line, 3, { maxGraphBytes: 15 });
    expect([graph.expanded, graph.states]).toEqual([2, 4]);
    expect([0, 1, 2].map((at) => danger.status(at))).toEqual(["possible", "certain", "unknown"]);
  });

  it("counters: both at the top is certain from the start, as they only rise", () => {
    const machine = counters(6);
    const explored = exploreGraph(machine, everything);
    const places = faultsOf(explored, machine).get("BUG");
    if (!places) throw new Error("no fault");
    const danger = dangerOf(explored.graph, backward(explored.graph), places);
    expect([danger.status(0), danger.steps[0]]).toEqual(["certain", 12]);
  });

  it("agrees with a naive reading of graphs of every shape", () => {
    let seed = 3;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return (seed >>> 16) % below;
    };
    const seen = new Set<string>();
    for (let round = 0; round < 300; round++) {
      const size = 3 + random(8);
      const edges = Array.from({ length: size }, () =>
        Array.from({ length: 2 }, () => (random(3) === 0 ? X : random(size))),
      );
      const machine = toy(edges, { [size - 1]: "BUG" });
      const explored = exploreGraph(machine, everything);
      const { graph } = explored;
      const places = faultsOf(explored, machine).get("BUG");
      if (!places) continue;
      const danger = dangerOf(graph, backward(graph), places);
      const bad = new Set(places.states);
      const reach = (from: number, stop: ReadonlySet<number>): Set<number> => {
        const met = new Set([from]);
        for (const state of met) {
          if (stop.has(state)) continue;
          for (let edge = graph.first[state]; edge < graph.first[state + 1]; edge++) met.add(graph.to[edge]);
        }
        return met;
      };
      const can = (state: number): boolean => [...reach(state, new Set())].some((each) => bad.has(each));
      for (let state = 0; state < graph.states; state++) {
        const avoidable = [...reach(state, bad)].some((each) => !can(each));
        const status = bad.has(state)
          ? "happened"
          : !can(state)
            ? "impossible"
            : avoidable
              ? "possible"
              : "certain";
        seen.add(status);
        expect(danger.status(state)).toBe(status);
      }
    }
    expect(seen.size).toBe(4);
  });
});
