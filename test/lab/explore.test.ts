/** What a verdict says of a search that was cut short. */
import { describe, expect, it } from "vitest";
import { explore } from "../../src/lab/explore.js";
import { run } from "../../src/lab/run.js";

describe("a search that its bound cut short", () => {
  const verdict = explore("kara-2018", { maxStates: 10_000 });

  it("came to no fault; random walks, made then, meet the crash, and nobody says that it is the shortest", () => {
    expect(verdict.complete).toBe(false);
    expect(verdict.shortest).toEqual([]);
    expect(verdict.verdict).toBe("fault");
    expect(verdict.met?.map(({ kind }) => kind)).toEqual(["BUG", "HANG", "WARN"]);
    const text = String(verdict);
    expect(text).toMatch(/stopped at \d+ states, with states left to expand/);
    expect(text).toMatch(/BUG: met in \d+ steps by random walk \d+ of 256, a shorter way is not ruled out/);
    expect(text).not.toContain("no way is shorter");
  });

  it("the lines of what was met lead there", () => {
    for (const { kind, steps, replay } of verdict.met ?? []) {
      const result = run(replay);
      expect(result.steps).toBe(steps);
      expect(result.faults.at(-1)).toMatchObject({ kind, tick: steps });
    }
  });

  it("is incomplete where walks meet nothing either: not safe", () => {
    const safe = explore("kara-2018-touch", { maxStates: 1000 });
    expect([safe.complete, safe.verdict, safe.outcomes, safe.met]).toEqual([
      false,
      "incomplete",
      [],
      undefined,
    ]);
  });

  it("makes no walks when somebody interrupted it", () => {
    expect(explore("kara-2018", { progress: ({ states }) => states < 5000 }).met).toBeUndefined();
  });
});

describe("a safe verdict", () => {
  it("says where it is vacuous: W5 on today's kernel is refused its pin; and nowhere else", () => {
    const refused = explore("W5", { kernel: "2026" });
    expect([refused.verdict, refused.vacuous]).toEqual(["safe", "no page is pinned in any state"]);
    expect(String(refused)).toContain("\nvacuous: no page is pinned in any state\n");
    const held = explore("kara-2018-private");
    expect([held.verdict, held.vacuous]).toEqual(["safe", undefined]);
    expect(String(held)).not.toContain("vacuous");
  });
});

describe("a kernel", () => {
  it("is named in one word, or as a list of a base and patches", () => {
    const asList = explore("W2", { kernel: ["v4.20", "kara-count-2018"] });
    expect(asList.kernel).toBe("v4.20+kara-count-2018");
    expect(asList.states).toBe(explore("W2", { kernel: "v4.20+kara-count-2018" }).states);
    expect(run("W2", { kernel: ["v4.20", "kara-count-2018"], seed: 1 }).world.kernel.name).toBe(
      asList.kernel,
    );
  });
});
