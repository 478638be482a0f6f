import { describe, expect, test } from "vitest";
import { redrawn } from "../../../src/lab/player/redraw.js";
import { run } from "../../../src/lab/run.js";
import type { Figure, Part } from "../../../src/plot/index.js";

const recorded = run("kara-2018@v4.20:r13k6r2k6f12d4k7m3r6f4");
const other = run("kara-2018", { kernel: "v6.4", seed: 4 });

/** The figure of the other run. */
function figureOf(kind: string, part: Part = {}, of = other): Figure {
  const drawn = redrawn(of, kind, part);
  if ("says" in drawn) throw new Error(drawn.says);
  return drawn;
}

describe("another run has", () => {
  test.each(["pins", "dirty", "reclaim", "heat", "flow", "lanes"])(
    "a figure of the whole of it: %s",
    (kind) => {
      expect(figureOf(kind)).toMatchObject({ kind, replay: other.replay });
    },
  );

  test("the life of the same page", () => {
    expect(figureOf("life", { pfn: 0 })).toMatchObject({ kind: "life", part: { pfn: 0 } });
  });

  test.each(["owners", "page", "waits"] as const)("the same moment: %s", (kind) => {
    const was = recorded.plot[kind]({ tick: 30 });
    const { part, layout } = figureOf(kind, was.part);
    expect(part).toEqual({ ...was.part, run: other.replay });
    expect(JSON.stringify(layout)).toContain("30");
  });

  test("its end, where it ends before that moment; and compares with what is earlier only", () => {
    expect(recorded.plot.owners().part).toEqual({ run: recorded.replay, pfn: 0, tick: undefined });
    expect(figureOf("owners", { pfn: 0, tick: 100_000 }).part?.tick).toBeUndefined();
    const { part } = figureOf("page", { pfn: 0, tick: 60, since: 40 }, run("kara-2018@v4.20:r13k6"));
    expect(part?.since).toBeUndefined();
  });

  test("the reasons of the same cell, or no step that changed it", () => {
    const cell = "page 0 PG_private";
    expect(figureOf("why", { cell }).kind).toBe("why");
    expect(redrawn(run("kara-2018@v4.20:r1"), "why", { cell })).toEqual({
      says: `No step of this run changes ${cell}.`,
      search: false,
    });
  });
});

describe("in one sentence it is said", () => {
  test("what takes a search, with the command that makes it", () => {
    expect(redrawn(other, "danger", {})).toEqual({
      says: `This figure takes a search of every interleaving: guplab danger '${other.replay}'`,
      search: true,
    });
    expect(redrawn(other, "before", {})).toEqual({
      says: "This figure takes a search of every interleaving: guplab orderings 'kara-2018' -k v6.4",
      search: true,
    });
  });

  test("that there is no such page", () => {
    expect(redrawn(other, "owners", { pfn: 77 })).toMatchObject({
      says: expect.stringMatching(/77/),
      search: false,
    });
  });
});
