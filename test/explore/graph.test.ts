/** The graph of a search: its rows, read both ways, what is wrong where, and its strongly connected components. */
import { describe, expect, it } from "vitest";
import type { Faces } from "../../src/explore/engine.js";
import {
  backward,
  components,
  edgeOf,
  exploreGraph,
  faultsOf,
  isWhole,
  NOWHERE,
  replayGraph,
  shortestTo,
  sourceOf,
} from "../../src/explore/graph.js";
import type { SearchOptions } from "../../src/explore/search.js";
import { open } from "../../src/lab/world.js";
import { counters } from "./counters.js";
import { toy } from "./toys.js";

const everything: SearchOptions = { maxStates: 1e9, progress: () => true };

describe("the rows of a graph", () => {
  it("have every transition once, from both ends", () => {
    const { result, graph } = exploreGraph(counters(7), everything);
    expect(graph).toMatchObject({ states: 64, expanded: 64, edges: result.transitions, tasks: 2 });
    const back = backward(graph);
    const forwards: string[] = [];
    const backwards: string[] = [];
    for (let state = 0; state < graph.states; state++) {
      for (let edge = graph.first[state]; edge < graph.first[state + 1]; edge++) {
        expect(sourceOf(graph, edge)).toBe(state);
        expect(edgeOf(graph, state, graph.task[edge])).toBe(edge);
        forwards.push(`${edge}: ${state} ${graph.to[edge]}`);
      }
      for (let at = back.first[state]; at < back.first[state + 1]; at++)
        backwards.push(`${back.edge[at]}: ${back.from[at]} ${state}`);
    }
    expect(backwards.sort()).toEqual(forwards.sort());
    expect(edgeOf(graph, graph.states - 1, 0)).toBe(NOWHERE);
  });

  it("the way to a state has as few steps as there can be", () => {
    const { graph } = exploreGraph(counters(5), everything);
    expect(shortestTo(graph, graph.states - 1)).toHaveLength(10);
    expect(shortestTo(graph, 0)).toEqual([]);
  });

  it("of a world: replayed, every state is met once, as the search met it", () => {
    const world = open("kara-2018-quiet", { record: false });
    const machine = world.faces;
    const { result, graph } = exploreGraph(machine, everything);
    expect(graph.states).toBe(result.states);
    const seen = new Set<string>();
    let steps = 0;
    let count = 1;
    const key = (): string => world.k.memory.state.join();
    seen.add(key());
    replayGraph(graph, machine, {
      step: () => steps++,
      state: () => {
        count++;
        seen.add(key());
      },
    });
    expect([seen.size, count, steps]).toEqual([result.states, result.states, result.transitions]);
  });
});

describe("a graph that ends early says so", () => {
  it("because its search does", () => {
    const { graph } = exploreGraph(counters(400), { ...everything, maxStates: 10_000 });
    expect(isWhole(graph)).toBe(false);
    expect(graph.expanded).toBeLessThan(graph.states);
    expect(graph.first).toHaveLength(graph.states + 1);
  });

  it("because it has no room: the states before the cut have all their edges", () => {
    const { result, graph } = exploreGraph(counters(30), { ...everything, maxGraphBytes: 500 });
    expect(result.complete).toBe(true);
    expect(isWhole(graph)).toBe(false);
    const whole = exploreGraph(counters(30), everything).graph;
    expect(graph.expanded).toBeGreaterThan(40);
    expect([...graph.to]).toEqual([...whole.to.subarray(0, graph.edges)]);
    expect([...graph.first.subarray(0, graph.expanded + 1)]).toEqual([
      ...whole.first.subarray(0, graph.expanded + 1),
    ]);
  });
});

describe("where the faults are", () => {
  it("a fault of a step is on its edges, one of a state in its states", () => {
    for (const where of ["step", "state"] as const) {
      const machine = counters(4, where);
      const explored = exploreGraph(machine, everything);
      const places = faultsOf(explored, machine).get("BUG");
      const last = explored.graph.states - 1;
      expect(places?.states).toEqual(Uint32Array.from(where === "state" ? [last] : []));
      expect([...(places?.edges ?? [])].map((edge) => explored.graph.to[edge])).toEqual(
        where === "step" ? [last, last] : [],
      );
    }
  });

  it("what is wrong before the first step is so in the first state", () => {
    const machine: Faces = (watch) => ({ ...counters(0)(watch), before: ["LOST"] });
    const explored = exploreGraph(machine, everything);
    expect([...(faultsOf(explored, machine).get("LOST")?.states ?? [])]).toEqual([0]);
  });
});

describe("strongly connected components", () => {
  it("of a graph with a ring, a way out of it, and an end", () => {
    // 0 -> 1 -> 2 -> 0, 2 -> 3
    const { graph } = exploreGraph(toy([[1], [2], [0, 3], []]), everything);
    const { count, of } = components(graph);
    expect(count).toBe(2);
    expect([of[0], of[1], of[2]]).toEqual([1, 1, 1]);
    expect(of[3]).toBe(0);
  });

  it("without the task that closes the ring there is none", () => {
    const { graph } = exploreGraph(toy([[1], [2], [NOWHERE, 0]]), everything);
    expect(components(graph).count).toBe(1);
    expect(components(graph, (task) => task !== 1).count).toBe(3);
  });

  it("two states are in one exactly when each leads to the other, in graphs of every shape", () => {
    let seed = 1;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return (seed >>> 16) % below;
    };
    for (let round = 0; round < 200; round++) {
      const size = 2 + random(9);
      const edges = Array.from({ length: size }, () =>
        Array.from({ length: 3 }, () => (random(3) === 0 ? NOWHERE : random(size))),
      );
      const { graph } = exploreGraph(toy(edges), everything);
      const reach = Array.from({ length: graph.states }, (_, from) => {
        const seen = new Set([from]);
        for (const state of seen)
          for (let edge = graph.first[state]; edge < graph.first[state + 1]; edge++) seen.add(graph.to[edge]);
        return seen;
      });
      const { of } = components(graph);
      for (let a = 0; a < graph.states; a++)
        for (let b = 0; b < graph.states; b++) {
          expect(of[a] === of[b]).toBe(reach[a].has(b) && reach[b].has(a));
          if (reach[a].has(b)) expect(of[a]).toBeGreaterThanOrEqual(of[b]);
        }
    }
  });
});
