/** What may go on for ever, on graphs that can be drawn on a sheet of paper. */
import { describe, expect, it } from "vitest";
import { exploreGraph, NOWHERE } from "../../src/explore/graph.js";
import { liveness } from "../../src/explore/liveness.js";
import type { SearchOptions } from "../../src/explore/search.js";
import { toy } from "./toys.js";

const everything: SearchOptions = { maxStates: 1e9, progress: () => true };
const X = NOWHERE;

/** Task 0 is a process, task 1 a daemon. */
const endlessOf = (targets: readonly (readonly number[])[], unfinished: readonly number[] = [0]) =>
  liveness(exploreGraph(toy(targets), everything).graph, [0], (task) => unfinished.includes(task)).endless;

describe("what may go on for ever", () => {
  it("a daemon that loops when the process is done is as it should be", () => {
    expect(
      endlessOf(
        [
          [1, X],
          [X, 2],
          [X, 1],
        ],
        [],
      ),
    ).toEqual([]);
  });

  it("a process that goes round in a circle without a way out is in a livelock, for certain", () => {
    // The process goes 0 -> 1 -> 2 -> 1.
    expect(endlessOf([[1], [2], [1]])).toEqual([
      { what: "livelock", task: 0, certain: true, movers: [0], states: 2, schedule: [0], round: [0, 0] },
    ]);
  });

  it("with a way out that only a daemon takes, which can always move, no fair scheduler keeps it there", () => {
    expect(
      endlessOf([
        [1, X],
        [0, 2],
        [X, X],
      ]),
    ).toEqual([
      { what: "livelock", task: 0, certain: false, movers: [0], states: 2, schedule: [], round: [0, 0] },
    ]);
    expect(
      endlessOf([
        [1, 2],
        [0, 2],
        [X, X],
      ]),
    ).toEqual([]);
  });

  it("a process that nobody ever wakes while a daemon goes on waits for ever", () => {
    expect(
      endlessOf([
        [1, X],
        [X, 2],
        [X, 1],
      ]),
    ).toEqual([
      { what: "waits", task: 0, certain: true, movers: [1], states: 2, schedule: [0], round: [1, 1] },
    ]);
  });

  it("a process that can move now and then, while a daemon is always first, is starved", () => {
    // The daemon takes and gives back: 0 <-> 1; the process can move when it is free.
    expect(
      endlessOf(
        [
          [2, 1],
          [X, 0],
          [X, X],
        ],
        [],
      ),
    ).toEqual([
      { what: "starvation", task: 0, certain: false, movers: [1], states: 2, schedule: [], round: [1, 1] },
    ]);
  });

  it("a process that can always move is not: it is the scheduler that would be unfair", () => {
    expect(
      endlessOf([
        [2, 1],
        [2, 0],
        [X, X],
      ]),
    ).toEqual([]);
  });

  it("of a graph that ends early nothing is said of what has not been expanded", () => {
    const { graph } = exploreGraph(toy([[1], [2], [1]]), { ...everything, maxGraphBytes: 9 });
    expect(liveness(graph, [0], () => true)).toEqual({ endless: [], complete: false });
  });
});
