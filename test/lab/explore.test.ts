/** What a verdict says of a search that was cut short. */
import { describe, expect, it } from "vitest";
import { explore } from "../../src/lab/explore.js";
import { run } from "../../src/lab/run.js";
import { open } from "../../src/lab/world.js";

describe("a search that its bound cut short", () => {
  const verdict = explore("kara-2018", { maxStates: 10_000 });

  it("came to no fault; random walks, made then, meet the crash, and nobody says that it is the shortest", () => {
    expect(verdict.complete).toBe(false);
    expect(verdict.shortest).toEqual([]);
    expect(verdict.verdict).toBe("fault");
    expect(verdict.met?.map(({ kind }) => kind)).toEqual(["BUG", "HANG", "WARN"]);
    const text = String(verdict);
    expect(text).toMatch(
      /not every interleaving: \d+ states, \d+ of them not expanded, every way of up to \d+ steps seen, stopped by the bound of 10000 states/,
    );
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

  it("makes no walks when somebody interrupted it, and says so", () => {
    const cut = explore("kara-2018", { progress: ({ states }) => states < 5000 });
    expect(cut.met).toBeUndefined();
    expect(cut.cutShort?.by).toBe("interruption");
    expect(String(cut)).toMatch(/ steps seen, interrupted/);
  });

  it("makes no walks either when somebody interrupts what comes after it", () => {
    let again = 0;
    const options = { maxStates: 100_000, simplest: true };
    const cut = explore("kara-2018", {
      ...options,
      progress: (seen) => seen.again === undefined || ++again === 0,
    });
    expect(again).toBeGreaterThan(0);
    expect([cut.cutShort?.by, cut.simplest, cut.met]).toEqual(["states", null, undefined]);
    expect(explore("kara-2018", options).met?.[0].kind).toBe("BUG");
  });

  it("has bounds on memory and time as well", () => {
    const small = explore("kara-2018", { maxBytes: 2 ** 20 });
    expect([small.cutShort?.by, small.met?.[0].kind]).toEqual(["memory", "BUG"]);
    expect(String(small)).toContain("stopped by the bound of 1 MiB");
    let asked = 0;
    const short = explore("kara-2018", { overdue: () => ++asked > 3 });
    expect([short.cutShort?.by, short.met?.[0].kind]).toEqual(["time", "BUG"]);
    expect(short.states).toBeLessThan(3 * 4096 * 3);
    expect(explore("kara-2018-quiet", { maxBytes: 2 ** 30, overdue: () => false }).cutShort).toBeUndefined();
  });

  it("has seen every way of as many steps as it says: no fault is reached in fewer", () => {
    const far = explore("kara-2018", { maxStates: 400_000 });
    expect(far.shortest.map(({ kind }) => kind)).toContain("BUG");
    for (const maxStates of [20_000, 100_000, 250_000]) {
      const near = explore("kara-2018", { maxStates });
      const { steps, left } = near.cutShort ?? { steps: -1, left: -1 };
      expect(steps).toBeGreaterThan(10);
      expect(left).toBeGreaterThan(0);
      const within = far.shortest.filter((each) => each.steps <= steps);
      expect(near.shortest).toEqual(expect.arrayContaining(within));
      for (const { kind, steps: count } of near.shortest)
        expect(far.shortest.find((each) => each.kind === kind)?.steps).toBe(count);
    }
  });
});

describe("the figures of a verdict", () => {
  it("are those of its witness, of a search that was cut short too", () => {
    const verdict = explore("dio-write-race");
    expect(verdict.plot.lanes().replay).toBe(verdict.witness?.replay);
    expect(verdict.plot.page({ tick: 1 }).kind).toBe("page");
    expect(verdict.plot).toBe(verdict.plot);
    const met = explore("kara-2018", { maxStates: 10_000 });
    expect(met.plot.life().replay).toBe(met.witness?.replay);
  });

  it("are refused in one sentence where nothing goes wrong, or nothing was found; such a verdict can be copied all the same", () => {
    const safe = explore("kara-2018-private");
    expect(() => safe.plot).toThrow(
      "kara-2018-private on v4.20 is safe: there is no way to a fault that a figure could show",
    );
    expect({ ...safe }.verdict).toBe("safe");
    expect(() => explore("kara-2018-touch", { maxStates: 1000 }).plot).toThrow(
      /^kara-2018-touch on v4.20: no way to a fault was found in \d+ states that a figure could show$/,
    );
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

describe("tasks that can be exchanged", () => {
  const SHARED = "trunc-cache,drivers=2,buffer=shared";

  it("are, and the verdict says which and what its states stand for", () => {
    const verdict = explore(SHARED);
    const plain = explore(SHARED, { symmetry: false });
    expect(verdict.symmetry).toEqual({
      exchanged: [
        ["rdma1", "rdma2"],
        ["device1", "device2"],
      ],
      states: plain.states,
      transitions: plain.transitions,
    });
    expect(String(verdict)).toContain(
      `\nbound: 1 page, 2 drivers, every interleaving: ${verdict.states} states, ${verdict.transitions} transitions, ` +
        `up to the exchange of rdma1 and rdma2 (${plain.states} and ${plain.transitions} without it)\n`,
    );
    expect(plain).not.toHaveProperty("symmetry");
    expect(String(plain)).not.toContain("exchange");
    expect(verdict.outcomes).toEqual(plain.outcomes);
    expect(verdict.shortest.map(({ kind, steps }) => [kind, steps])).toEqual(
      plain.shortest.map(({ kind, steps }) => [kind, steps]),
    );
  });

  it("lead to a fault by a line that replays as it stands", () => {
    const { witness } = explore(SHARED);
    expect(run(witness?.replay ?? "").outcomes).toContain("STALE");
  });

  it("are not where somebody tells them apart, and the verdict says who", () => {
    const verdict = explore(`${SHARED},holder=aio`);
    expect(verdict).not.toHaveProperty("symmetry");
    expect(verdict.asymmetry).toBe(
      "kworker does something else in bio_dirty_fn: bio_dirty_work when aio1, aio2, device1 and device2 change places",
    );
    expect(String(verdict)).toContain(`\nno symmetry: ${verdict.asymmetry}\n`);
  });

  it("are not where switches are counted, and where there are none nobody speaks of it", () => {
    const simplest = explore(SHARED, { simplest: true, maxStates: 5000 });
    expect(simplest).not.toHaveProperty("symmetry");
    expect(simplest.asymmetry).toBe("ways with few switches are looked for state by state");
    const alone = explore("W7");
    expect(alone).not.toHaveProperty("symmetry");
    expect(alone).not.toHaveProperty("asymmetry");
  });
});

describe("drivers with one buffer", () => {
  it("hold one page twice, which is one page of the bound", () => {
    const shared = open("kara-2018,drivers=2,buffer=shared", { record: false });
    expect(shared.k.geometry.pages).toBe(1);
    let most = 0;
    shared.explore({
      maxStates: 20_000,
      progress: () => true,
      visit: (_, { packing, current }) => {
        packing.unpack(current);
        most = Math.max(most, shared.k.page.pins[0]);
      },
    });
    expect(most).toBe(2);
    expect(explore("kara-2018-tmpfs,pages=2,drivers=2,buffer=shared", { maxStates: 5000 }).pages).toBe(2);
    expect(explore("kara-2018-tmpfs,pages=2,drivers=2", { maxStates: 5000 }).pages).toBe(4);
  });
});
