import { describe, expect, test } from "vitest";
import { explore } from "../../../src/lab/explore.js";
import { type Outlook, outlook, outlookText } from "../../../src/lab/player/outlook.js";

const CRASH = "kara-2018@v4.20:r13k6r2k6f12d4k7m3r6f4";
/** kswapd has just freed the buffers of the pinned page. */
const STRIPPED = "kara-2018@v4.20:r15f12d4k20f1k8";

describe("whether it can still crash", () => {
  test("from where the buffers are gone it can, and no way is shorter than the one found", () => {
    const { ahead, complete, happened } = outlook(STRIPPED, "BUG");
    expect(happened).toBe(false);
    expect(ahead[0]).toEqual({ kind: "BUG", steps: 15, shortest: true });
    expect(complete).toBe(true);
  });

  test("after each step of the shortest way the next is one nearer", () => {
    for (const [line, steps] of [
      ["kara-2018@v4.20:r13k6r2k6f12d4k7m3r6f1", 3],
      ["kara-2018@v4.20:r13k6r2k6f12d4k7m3r6f3", 1],
    ] as const)
      expect(outlook(line, "BUG").ahead[0]).toEqual({ kind: "BUG", steps, shortest: true });
  });

  test("from the start a walk knows it at once, before any state is searched", () => {
    const told: Outlook[] = [];
    const end = outlook("kara-2018@v4.20:", "BUG", {
      told: (soFar) => {
        told.push(soFar);
        return false;
      },
    });
    expect(told[0].states).toBe(0);
    expect(told[0].ahead[0].kind).toBe("BUG");
    expect(told[0].ahead[0].shortest).toBe(false);
    expect(end.searching).toBe(false);
  });

  test("where no way leads to it, every interleaving was seen: as many states as a search from there has", () => {
    const { ahead, complete, states } = outlook("dio-write-race@v4.20:w10", "BUG");
    expect(complete).toBe(true);
    expect(ahead.map(({ kind }) => kind)).not.toContain("BUG");
    expect(states).toBeLessThan(explore("dio-write-race").states);
  });

  test("a bound that is too small leaves it open", () => {
    const said = outlook("kara-2018@v6.4:", "BUG", { maxStates: 5000 });
    expect(said.complete).toBe(false);
    expect(outlookText(said)).toMatch(
      /^Not known: no crash in 64 random ways from here, nor in the first \d[\d ]* states of a search of every interleaving, which ended there\.$/,
    );
  });

  test("what has happened is no more ahead", () => {
    const { happened, ahead } = outlook(CRASH, "BUG");
    expect(happened).toBe(true);
    expect(ahead.map(({ kind }) => kind)).toEqual(["HANG"]);
  });

  test("a scenario that waits for orders has no answer", () => {
    expect(() => outlook("sandbox@v4.20:", "BUG")).toThrow(/takes orders/);
  });
});

describe("its sentence", () => {
  const said: Outlook = {
    wanted: "BUG",
    happened: false,
    ahead: [],
    complete: true,
    walks: 64,
    states: 2585,
    searching: false,
  };
  test.each([
    [said, "No way to a crash from here: every interleaving seen, 2 585 states."],
    [{ ...said, states: 1 }, "No way to a crash from here: every interleaving seen, 1 state."],
    [
      { ...said, ahead: [{ kind: "LOST", steps: 4, shortest: true }] },
      "No way to a crash from here: every interleaving seen, 2 585 states. Still possible: LOST in 4 steps.",
    ],
    [
      {
        ...said,
        ahead: [
          { kind: "BUG", steps: 1, shortest: true },
          { kind: "HANG", steps: 21, shortest: false },
        ],
      },
      "A crash can still happen: in one step. Also possible: HANG in 21 steps or fewer.",
    ],
    [
      { ...said, wanted: "LOST", complete: false, searching: true },
      "Not known yet: no LOST in 64 random ways from here, nor in the first 2 585 states of a search of every interleaving, which goes on.",
    ],
    [
      { ...said, happened: true },
      "It has crashed. Nothing else can go wrong: every interleaving seen, 2 585 states.",
    ],
    [{ ...said, wanted: "TORN", happened: true, complete: false }, "TORN has happened."],
  ] as readonly (readonly [Outlook, string])[])("%o", (outlookSaid, text) =>
    expect(outlookText(outlookSaid)).toBe(text),
  );

  test("that of an earlier moment says of which", () => {
    expect(outlookText(said, 12)).toBe(
      "No way to a crash from here: every interleaving from step 12 on seen, 2 585 states.",
    );
    expect(outlookText({ ...said, complete: false }, 12)).toContain(
      "no crash in 64 random ways from step 12",
    );
  });
});
