/**
 * Chains with rates: against closed forms, against other ways to solve them, and the three ways to an answer
 * against each other.
 */
import { describe, expect, it } from "vitest";
import { type Chain, chainOf, meanTimeToFault, type Rates } from "../../src/explore/chain.js";
import { faultsOf, replayGraph, type StateGraph } from "../../src/explore/graph.js";
import { bruteForce, distances, importanceSampling, likeliest } from "../../src/explore/lot.js";
import { sensitivities, solve } from "../../src/explore/rates.js";
import { exploreTimed } from "../../src/explore/timed.js";
import { open } from "../../src/lab/world.js";
import { Random } from "../../src/machine/random.js";

/** A graph from its transitions: each is [from, to, kind], in the order of their states. */
function graphOf(transitions: readonly (readonly [number, number, number])[]): {
  graph: StateGraph;
  kind: Uint8Array;
} {
  const states = Math.max(...transitions.map(([from, to]) => Math.max(from, to))) + 1;
  const sorted = [...transitions].sort((a, b) => a[0] - b[0]);
  const first = new Uint32Array(states + 1);
  for (const [from] of sorted) first[from + 1]++;
  for (let state = 0; state < states; state++) first[state + 1] += first[state];
  const graph = {
    states,
    expanded: states,
    edges: sorted.length,
    tasks: sorted.length,
    first,
    to: Uint32Array.from(sorted, ([, to]) => to),
    task: Uint8Array.from(sorted, (_, at) => at),
    tree: new Uint32Array(states),
  };
  return { graph, kind: Uint8Array.from(sorted, ([, , kind]) => kind) };
}

function chain(
  transitions: readonly (readonly [number, number, number])[],
  fault: readonly number[],
  rest: readonly number[],
): Chain {
  const { graph, kind } = graphOf(transitions);
  const over = new Uint8Array(graph.states);
  for (const state of rest) over[state] = 1;
  return chainOf(graph, kind, {
    fault: { edges: new Uint32Array(), states: Uint32Array.from(fault) },
    rest: over,
  });
}

const UP = 0;
const DOWN = 1;
const END = 2;

/** Births and deaths: from level 1, up to `top`, which is the fault, or down to 0, which is rest. */
function birthDeath(top: number): Chain {
  // State 0 is level 1.
  const stateOf = (level: number): number => (level === 1 ? 0 : level === 0 ? 1 : level);
  const transitions: (readonly [number, number, number])[] = [];
  for (let level = 1; level < top; level++) {
    transitions.push([stateOf(level), stateOf(level + 1), UP]);
    transitions.push([stateOf(level), stateOf(level - 1), DOWN]);
  }
  return chain(transitions, [stateOf(top)], [stateOf(0)]);
}

/** Gambler's ruin: probability of the top before 0 from level 1, and the mean number of steps. */
function ruin(top: number, up: number, down: number): { probability: number; length_s: number } {
  const odds = down / up;
  // (odds - 1) / (odds^top - 1) as a sum, which loses nothing.
  let sum = 0;
  for (let level = 0; level < top; level++) sum += odds ** level;
  const probability = 1 / sum;
  return { probability, length_s: (1 - top * probability) / (down - up) };
}

/** A real scenario as a chain with its kinds: an ordinary step, or what a task sleeps for. */
function worldChain(name: string, fault: "TORN" | "BUG" | "STALE"): { chain: Chain; kinds: string[] } {
  const world = open(name, { record: false });
  const kinds = ["step"];
  const timed = exploreTimed(world.faces, { maxStates: 1e9, progress: () => true }, (task) => {
    const { pause } = world.machine.at(task);
    if (pause !== null && !kinds.includes(pause)) kinds.push(pause);
    return pause === null ? 0 : kinds.indexOf(pause);
  });
  const places = timed.faults.get(fault);
  if (!places) throw new Error(`no ${fault}`);
  return { chain: chainOf(timed.graph, timed.kind, { fault: places, rest: timed.rest }), kinds };
}

describe("the equations of a chain", () => {
  it.each([2, 3, 10, 40])("births and deaths up to %d have a closed form", (top) => {
    for (const [up, down] of [
      [1, 2],
      [1, 1000],
      [3, 2],
    ] as const) {
      const expected = ruin(top, up, down);
      for (const mostCuts of [256, 0]) {
        const solved = solve(birthDeath(top), Float64Array.of(up, down), { mostCuts });
        expect(solved.exact).toBe(mostCuts > 0 || top === 2);
        const digits = solved.exact ? 1e-13 : 1e-10;
        expect(Math.abs(solved.probability / expected.probability - 1)).toBeLessThan(digits);
        expect(Math.abs(solved.length_s / expected.length_s - 1)).toBeLessThan(digits);
      }
    }
  });

  it("a probability of 1e-117 keeps its digits", () => {
    const solved = solve(birthDeath(40), Float64Array.of(1, 1000));
    expect(solved.probability).toBeLessThan(1e-116);
    expect(solved.probability / ruin(40, 1, 1000).probability).toBeCloseTo(1, 12);
  });

  it("random chains, against the plain solution of their equations", () => {
    const random = new Random(5);
    for (let each = 0; each < 40; each++) {
      const size = 3 + random.below(20);
      const transitions: (readonly [number, number, number])[] = [];
      for (let from = 0; from < size; from++)
        for (let edge = 0; edge < 3; edge++)
          transitions.push([from, random.below(size + 2), random.below(3)] as const);
      // So that every cycle ends, and both ends are there.
      for (let from = 0; from < size; from++) transitions.push([from, size + (from % 2), END]);
      const made = chain(transitions, [size], [size + 1]);
      const rates = Float64Array.from([1, 2, 3], (by) => by * (0.01 + random.unit()));
      const plain = gauss(made, rates);
      const solved = solve(made, rates);
      expect(solved.exact).toBe(true);
      expect(solved.probability / plain.probability).toBeCloseTo(1, 10);
      expect(solved.length_s / plain.length_s).toBeCloseTo(1, 10);
      const swept = solve(made, rates, { mostCuts: 0 });
      expect(swept.probability / plain.probability).toBeCloseTo(1, 10);
    }
  });

  it("what is swept comes from below, however early it ends", () => {
    const exact = solve(birthDeath(12), Float64Array.of(1, 1.5));
    let last = 0;
    for (const mostSweeps of [1, 3, 10, 30, 100]) {
      const swept = solve(birthDeath(12), Float64Array.of(1, 1.5), { mostCuts: 0, mostSweeps });
      expect(swept.exact).toBe(false);
      expect(swept.swept).toBe(11);
      expect(swept.probability).toBeGreaterThanOrEqual(last);
      expect(swept.probability).toBeLessThanOrEqual(exact.probability);
      expect(swept.length_s).toBeLessThanOrEqual(exact.length_s);
      last = swept.probability;
    }
  });

  it("a step back to the same state takes no time of its own", () => {
    const plain = chain(
      [
        [0, 1, UP],
        [0, 2, DOWN],
      ],
      [1],
      [2],
    );
    const turning = chain(
      [
        [0, 0, UP],
        [0, 1, UP],
        [0, 2, DOWN],
      ],
      [1],
      [2],
    );
    expect(solve(turning, Float64Array.of(1, 3))).toEqual(solve(plain, Float64Array.of(1, 3)));
  });
});

/** Gauss's elimination with pivots, which knows nothing of chains. */
function gauss(
  { states, start, first, to, kind }: Chain,
  rates: Rates,
): { probability: number; length_s: number } {
  const rows = Array.from({ length: states }, (_, state) => {
    const row = new Float64Array(states + 2);
    for (let edge = first[state]; edge < first[state + 1]; edge++) {
      const rate = rates[kind[edge]];
      row[state] += rate;
      if (to[edge] < states) row[to[edge]] -= rate;
      else if (to[edge] === 0xffffffff) row[states] += rate;
    }
    row[states + 1] = 1;
    return row;
  });
  for (let at = 0; at < states; at++) {
    let best = at;
    for (let row = at; row < states; row++)
      if (Math.abs(rows[row][at]) > Math.abs(rows[best][at])) best = row;
    [rows[at], rows[best]] = [rows[best], rows[at]];
    for (let row = 0; row < states; row++) {
      const weight = row === at ? 0 : rows[row][at] / rows[at][at];
      if (weight !== 0)
        for (let each = at; each < states + 2; each++) rows[row][each] -= weight * rows[at][each];
    }
  }
  const row = rows[start];
  return { probability: row[states] / row[start], length_s: row[states + 1] / row[start] };
}

describe("cycles that never end", () => {
  // 2 and 3 lead to each other only.
  const made = chain(
    [
      [0, 1, UP],
      [0, 2, DOWN],
      [0, 4, DOWN],
      [2, 3, UP],
      [3, 2, UP],
    ],
    [1],
    [4],
  );
  const rates = Float64Array.of(1, 3);

  it("make the mean length infinite, and leave the probability as it is", () => {
    const solved = solve(made, rates);
    expect(solved).toMatchObject({ probability: 1 / 7, length_s: Infinity, exact: true });
    expect(meanTimeToFault(solved, { restart_s: 1 })).toBe(Infinity);
    expect(made.stuck).toBe(2);
  });

  it("so does a state in which nobody can move", () => {
    const dead = chain(
      [
        [0, 1, UP],
        [0, 2, DOWN],
        [0, 3, DOWN],
      ],
      [1],
      [3],
    );
    expect(solve(dead, rates)).toMatchObject({ probability: 1 / 7, length_s: Infinity });
    expect(dead.stuck).toBe(2);
  });

  it("also from within a circle", () => {
    const circle = chain(
      [
        [0, 2, UP],
        [2, 0, UP],
        [2, 1, UP],
        [2, 3, DOWN],
        [2, 4, DOWN],
        [3, 3, UP],
      ],
      [1],
      [4],
    );
    const solved = solve(circle, rates);
    expect(solved.length_s).toBe(Infinity);
    expect(solved.probability).toBeCloseTo(1 / 7, 14);
  });

  it("are not made by lot", () => {
    const options = { cycles: 1, seed: 1, clock: { restart_s: 0 } };
    expect(() => bruteForce(made, rates, options)).toThrow("cycles that never end cannot be made by lot");
    expect(() => importanceSampling(made, rates, options)).toThrow(/never end/);
  });

  it("a fault that is never met has no mean time", () => {
    expect(meanTimeToFault({ probability: 0, length_s: 1, pinned_s: 1 }, { restart_s: 1 })).toBe(Infinity);
  });
});

describe("the distance from the fault", () => {
  it("is -log of the likeliest way", () => {
    const made = birthDeath(4);
    const distance = distances(made, Float64Array.of(1, 3));
    expect(distance[made.start]).toBeCloseTo(3 * Math.log(4), 12);
    expect(likeliest(made, Float64Array.of(1, 3))).toMatchObject({
      kinds: [UP, UP, UP],
      probability: expect.closeTo(1 / 64, 12),
    });
  });
});

describe("estimates by lot", () => {
  const rates = Float64Array.of(1, 4);
  const made = birthDeath(5);
  const truth = meanTimeToFault(solve(made, rates), { restart_s: 0.5 });

  /** How many of 200 intervals hold the true value. */
  const held = (estimate: (seed: number) => { low_s: number; high_s: number }): number => {
    let hits = 0;
    for (let seed = 1; seed <= 200; seed++) {
      const { low_s, high_s } = estimate(seed);
      if (low_s <= truth && truth <= high_s) hits++;
    }
    return hits;
  };

  // 190 of 200 are expected, with a standard deviation of 3.
  it("brute force: 95 % of the intervals hold the true value", () => {
    expect(
      Math.abs(
        held((seed) => bruteForce(made, rates, { cycles: 4000, seed, clock: { restart_s: 0.5 } })) - 190,
      ),
    ).toBeLessThan(10);
  });

  it.each([0.5, 0.8])("importance sampling with bias %d: so do its intervals", (bias) => {
    const estimate = (seed: number) =>
      importanceSampling(made, rates, {
        cycles: 500,
        seed,
        clock: { restart_s: 0.5 },
        bias,
        plainCycles: 500,
      });
    expect(Math.abs(held(estimate) - 190)).toBeLessThan(10);
  });

  it("no fault in n cycles: fewer than 3 in n, and no mean time is told", () => {
    const rare = birthDeath(30);
    const made = bruteForce(rare, rates, { cycles: 3000, seed: 1, clock: { restart_s: 2 } });
    expect(made).toMatchObject({ faults: 0, meanTime_s: null, high_s: Infinity, cycles: 3000 });
    const { length_s } = solve(rare, rates);
    expect(made.low_s / (1000 * (length_s + 2))).toBeCloseTo(1, 1);
  });

  it("the same seed gives the same, and progress can end it", () => {
    const options = { cycles: 5000, seed: 3, clock: { restart_s: 0 } };
    expect(bruteForce(made, rates, options)).toEqual(bruteForce(made, rates, options));
    const cut = bruteForce(made, rates, { ...options, progress: (cycles) => cycles < 2000 });
    expect(cut.cycles).toBe(2048);
    expect(importanceSampling(made, rates, { ...options, progress: () => false }).cycles).toBe(0);
  });
});

describe("real scenarios", () => {
  it("while it searches, it learns what a replay would tell: kinds of steps, rest, faults", () => {
    const world = open("dio-write-race", { record: false });
    const { machine } = world;
    const kindOf = (task: number): number => (machine.paused(task) ? 1 + task : 0);
    const pins = world.k.page.pins;
    const cells = machine.memory
      .cells()
      .flatMap(({ struct, field }, cell) => (struct.name === "page" && field === "pins" ? [cell] : []));
    const timed = exploreTimed(world.faces, { maxStates: 1e9, progress: () => true }, kindOf, cells);
    const { graph } = timed;
    let checked = 0;
    replayGraph(graph, world.faces, {
      before: (edge) => {
        expect(timed.kind[edge]).toBe(kindOf(graph.task[edge]));
        checked++;
      },
      state: (state) => {
        expect(timed.rest[state]).toBe(world.settled() ? 1 : 0);
        expect(timed.counted[state]).toBe(pins.filter((count) => count > 0).length);
      },
    });
    expect(checked).toBe(graph.edges);
    expect(timed.faults).toEqual(faultsOf(timed, world.faces));
    expect(Math.max(...timed.counted)).toBeGreaterThan(0);
  });

  it("dio-write-race, one cycle in a thousand: the three ways agree", () => {
    const { chain: made, kinds } = worldChain("dio-write-race", "TORN");
    const rates = Float64Array.from(kinds, (kind) =>
      kind === "step" ? 1e6 : kind === "DMA latency" ? 1e5 : 1e2,
    );
    const solved = solve(made, rates);
    expect(solved.exact).toBe(true);
    expect(solved.probability).toBeGreaterThan(3e-4);
    expect(solved.probability).toBeLessThan(3e-3);
    const truth = meanTimeToFault(solved, { restart_s: 0.01 });
    const options = { seed: 7, clock: { restart_s: 0.01 } };
    for (const estimate of [
      bruteForce(made, rates, { ...options, cycles: 200_000 }),
      importanceSampling(made, rates, { ...options, cycles: 20_000 }),
    ]) {
      expect(estimate.low_s).toBeLessThan(truth);
      expect(estimate.high_s).toBeGreaterThan(truth);
      expect(estimate.high_s / estimate.low_s).toBeLessThan(1.5);
    }
  });
});

describe("sensitivities", () => {
  it("add up to 1: time has no scale of its own", () => {
    const { chain: made, kinds } = worldChain("dio-write-race", "TORN");
    const rates = Float64Array.from(kinds, (kind) => (kind === "step" ? 1e6 : 1e3));
    const tie = [...kinds.keys()];
    const by = sensitivities(
      made,
      rates,
      { restart_s: 1 },
      { tie: [...tie, tie.length], restart: tie.length },
    );
    const sum = by.reduce((a, b) => a + b, 0);
    expect(by).toHaveLength(kinds.length + 1);
    expect(sum).toBeCloseTo(1, 7);
  });

  it("of births and deaths are those of the closed form", () => {
    const [up, down, top] = [1, 100, 6];
    const [byUp] = sensitivities(birthDeath(top), Float64Array.of(up, down), { restart_s: 0 });
    // The mean time goes with up^-5: five births in a row, against deaths.
    expect(byUp).toBeGreaterThan(4.9);
    expect(byUp).toBeLessThan(5.1);
  });

  it("what was not asked any more is not a number", () => {
    const by = sensitivities(
      birthDeath(3),
      Float64Array.of(1, 2),
      { restart_s: 0 },
      { progress: () => false },
    );
    expect([...by]).toEqual([Number.NaN, Number.NaN]);
  });
});

describe("what does not fit is refused", () => {
  it("rates that are none, a graph that ends early, a first state that is an end", () => {
    expect(() => solve(birthDeath(3), Float64Array.of(1, 0))).toThrow("rates: 0 is no rate");
    expect(() => solve(birthDeath(3), Float64Array.of(1))).toThrow("rates: there is none for kind 1");
    expect(() => chain([[0, 1, 0]], [0], [1])).toThrow(/ends every cycle/);
    const { graph, kind } = graphOf([[0, 1, 0]]);
    const ends = { fault: { edges: new Uint32Array(), states: new Uint32Array() }, rest: new Uint8Array(2) };
    expect(() => chainOf({ ...graph, expanded: 1 }, kind, ends)).toThrow(/not whole/);
  });
});
