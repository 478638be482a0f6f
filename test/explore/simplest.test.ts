/** The simplest way to a fault: as few switches as a naive search finds, and of those as few steps. */
import { describe, expect, it } from "vitest";
import { wrongWith } from "../../src/explore/engine.js";
import { exploreGraph, faultsOf, NOWHERE } from "../../src/explore/graph.js";
import type { SearchOptions } from "../../src/explore/search.js";
import { fewestSwitches, switchesOf } from "../../src/explore/simplest.js";
import { explore } from "../../src/lab/explore.js";
import { run } from "../../src/lab/run.js";
import { open, type World } from "../../src/lab/world.js";
import type { FaultKind } from "../../src/trace/recording.js";
import { counters } from "./counters.js";
import { toy } from "./toys.js";

const everything: SearchOptions = { maxStates: 1e9, progress: () => true };

/** A search written to be obviously right: Bellman and Ford over (state, last task), costs compared as (switches, steps). */
function naive(targets: readonly (readonly number[])[], fault: number): readonly [number, number] {
  const far: readonly [number, number] = [NOWHERE, NOWHERE];
  const tasks = 3;
  const less = (a: readonly number[], b: readonly number[]) => a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]);
  const cost = new Map<string, readonly [number, number]>([[`0 ${tasks}`, [0, 0]]]);
  for (let round = 0; round < targets.length * 4; round++) {
    for (const [key, [switches, steps]] of [...cost]) {
      const [state, last] = key.split(" ").map(Number);
      targets[state].forEach((to, task) => {
        if (to === NOWHERE) return;
        const next = `${to} ${task}`;
        const reached = [switches + (last === tasks || last === task ? 0 : 1), steps + 1] as const;
        if (less(reached, cost.get(next) ?? far)) cost.set(next, reached);
      });
    }
  }
  let best = far;
  for (const [key, reached] of cost)
    if (Number(key.split(" ")[0]) === fault && less(reached, best)) best = reached;
  return best;
}

describe("the fewest switches, then the fewest steps", () => {
  it("two counters need one switch", () => {
    const machine = counters(5);
    const explored = exploreGraph(machine, everything);
    const [simplest] = fewestSwitches(explored.graph, faultsOf(explored, machine)) ?? [];
    expect(simplest).toMatchObject({ kind: "BUG", switches: 1, proven: true });
    expect(simplest.schedule).toHaveLength(10);
  });

  it("in graphs of every shape they are what a naive search finds", () => {
    let seed = 7;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return (seed >>> 16) % below;
    };
    let reached = 0;
    for (let round = 0; round < 400; round++) {
      const size = 2 + random(14);
      const targets = Array.from({ length: size }, () =>
        Array.from({ length: 3 }, () => (random(2) === 0 ? NOWHERE : random(size))),
      );
      const fault = random(size);
      const machine = toy(targets, { [fault]: "BUG" });
      const explored = exploreGraph(machine, everything);
      const found = fewestSwitches(explored.graph, faultsOf(explored, machine)) ?? [];
      const [switches, steps] = naive(targets, fault);
      if (switches === NOWHERE) {
        expect(found).toEqual([]);
        continue;
      }
      reached++;
      const [{ schedule }] = found;
      expect([found[0].switches, schedule.length]).toEqual([switches, steps]);
      expect(switchesOf(schedule)).toBe(switches);
      let state = 0;
      for (const task of schedule) state = targets[state][task];
      expect(state).toBe(fault);
    }
    expect(reached).toBeGreaterThan(200);
  });

  it("where the nodes have no room, nothing is claimed", () => {
    const machine = counters(5);
    const explored = exploreGraph(machine, everything);
    expect(fewestSwitches(explored.graph, faultsOf(explored, machine), 100)).toBeNull();
  });

  it("what a graph that ends early has is not proven", () => {
    const machine = counters(100);
    const explored = exploreGraph(machine, { ...everything, maxGraphBytes: 20_000 });
    const early = { ...explored, graph: explored.graph };
    const faults = new Map([["BUG" as FaultKind, { edges: new Uint32Array(), states: Uint32Array.of(5) }]]);
    expect(fewestSwitches(early.graph, faults)).toMatchObject([{ proven: false }]);
  });
});

/** Bellman and Ford is too slow for worlds: breadth first over strings, for the fewest switches alone. */
function fewest(world: World, kind: FaultKind): number {
  const machine = world.faces(null);
  const { memory } = world.k;
  const key = (last: number): string => `${last} ${memory.state.join()}`;
  const seen = new Set<string>();
  let now: { last: number; state: ArrayBuffer }[] = [{ last: -1, state: memory.snapshot() }];
  for (let switches = 0; now.length > 0; switches++) {
    const later: typeof now = [];
    let reached = false;
    // Those that have cost no more switches are looked at first.
    for (const { last, state } of now) {
      for (let task = 0; task < machine.tasks; task++) {
        memory.restore(state);
        if (!machine.enabled(task)) continue;
        const found = [...machine.step(task), ...wrongWith(machine)].includes(kind);
        const free = last === -1 || last === task;
        if (found && free) return switches;
        reached ||= found;
        const at = key(task);
        if (seen.has(at)) continue;
        if (free) {
          seen.add(at);
          now.push({ last: task, state: memory.snapshot() });
        } else {
          later.push({ last: task, state: memory.snapshot() });
        }
      }
    }
    if (reached) return switches + 1;
    now = later.filter(({ last, state }) => {
      memory.restore(state);
      const at = key(last);
      if (seen.has(at)) return false;
      seen.add(at);
      return true;
    });
  }
  return NOWHERE;
}

describe("of scenarios", () => {
  it.each([
    ["dio-write-race", "TORN"],
    ["fork-write", "STALE"],
    ["cve-2020-29374", "INFOLEAK"],
    ["misuse", "LEAK"],
    ["trunc-cache", "STALE"],
    ["fsync-pinned", "LOST"],
  ] as const)(
    "%s: %s by the fewest steps and by the fewest switches, each as its replay line says",
    (scenario, kind) => {
      const verdict = explore(scenario, { simplest: true });
      const shortest = verdict.shortest.find((way) => way.kind === kind);
      const simplest = verdict.simplest?.find((way) => way.kind === kind);
      expect(simplest?.proven).toBe(true);
      expect(simplest?.switches).toBeLessThanOrEqual(shortest?.switches ?? -1);
      expect(simplest?.steps).toBeGreaterThanOrEqual(shortest?.steps ?? NOWHERE);
      const { outcomes, steps } = run(simplest?.replay ?? "");
      expect(outcomes).toContain(kind);
      expect(steps).toBe(simplest?.steps);
      const both = simplest?.steps === shortest?.steps && simplest?.switches === shortest?.switches;
      expect(String(verdict)).toContain(`replay: ${(both ? shortest : simplest)?.replay}`);
      expect(verdict.simplestSteps).toHaveLength(simplest?.steps ?? -1);
      expect(JSON.stringify(verdict.lanes("switches"))).toContain(verdict.steps[0].task);
    },
  );

  it.each([
    ["dio-write-race", "TORN"],
    ["fork-write", "STALE"],
    ["cve-2020-29374", "INFOLEAK"],
    ["reg-dax", "REFUSED"],
    ["trunc-cache", "STALE"],
    ["fsync-pinned", "LOST"],
  ] as const)("%s: a naive search finds no way to %s with fewer switches", (scenario, kind) => {
    const { simplest } = explore(scenario, { simplest: true });
    const switches = simplest?.find((way) => way.kind === kind)?.switches;
    expect(switches).toBe(fewest(open(scenario, { record: false }), kind));
  });
});
