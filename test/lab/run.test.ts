import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { outcomesOf, run } from "../../src/lab/run.js";
import { findScenario, scenarios } from "../../src/lab/scenarios.js";
import { applySchedule, open, parseReplay } from "../../src/lab/world.js";
import type { Recording } from "../../src/trace/recording.js";
import { WORD } from "../../src/trace/words.js";

/** A recording with nothing but its bytes. */
const bytes = ({ info, time, task, step, pfn, word, value }: Recording) =>
  JSON.stringify([info, ...[time, task, step, pfn, word, value].map((column) => [...column])]);

const someRun = fc.record({
  scenario: fc.constantFrom(...scenarios.map(({ name }) => name)),
  seed: fc.integer({ min: 0, max: 1000 }),
  parts: fc.integer({ min: 1, max: 3 }),
});

/** As many parts as wanted, where the scenario can have them. */
const partsOf = (scenario: string, parts: number): Record<string, number> =>
  "parts" in findScenario(scenario).parameters ? { parts } : {};

describe("a run is a function of kernel, scenario and seed (D5)", () => {
  it("the same run twice gives the same JSON and the same recording, byte for byte", () => {
    fc.assert(
      fc.property(someRun, ({ scenario, seed, parts }) => {
        const once = () => run(scenario, { seed, parameters: partsOf(scenario, parts) });
        const [one, two] = [once(), once()];
        expect(JSON.stringify(one)).toBe(JSON.stringify(two));
        expect(bytes(one.recording)).toBe(bytes(two.recording));
      }),
      { numRuns: 30 },
    );
  });

  it("its replay line gives the same faults, counters and recording, and itself", () => {
    fc.assert(
      fc.property(someRun, ({ scenario, seed, parts }) => {
        const first = run(scenario, { seed, parameters: partsOf(scenario, parts) });
        const again = run(first.replay);
        expect(JSON.stringify(again)).toBe(JSON.stringify(first));
        expect(bytes(again.recording)).toBe(bytes(first.recording));
        expect(again.replay).toBe(first.replay);
      }),
      { numRuns: 30 },
    );
  });

  it("a recording changes nothing: the same seed without one ends in the same memory", () => {
    fc.assert(
      fc.property(someRun, ({ scenario, seed, parts }) => {
        const world = (record: boolean) => {
          const made = open(scenario, { parameters: partsOf(scenario, parts), record });
          const scheduler = made.scheduler(seed);
          for (let steps = 0; steps < 400 && !made.settled(); steps++) made.step(scheduler.next());
          return Buffer.from(made.k.memory.snapshot()).toString("latin1");
        };
        expect(world(true) === world(false)).toBe(true);
      }),
      { numRuns: 15 },
    );
  });
});

describe("what comes of the scenarios under chance", () => {
  it("kara-2018 with its own seed crashes: WARN, then BUG, then HANG, with where, who and when", () => {
    const crash = run("kara-2018");
    expect(crash.outcomes).toEqual(["BUG", "HANG", "WARN"]);
    expect(crash.faults.map(({ kind }) => kind)).toEqual(["WARN", "BUG", "HANG"]);
    const [warn, bug, hang] = crash.faults;
    expect(warn).toMatchObject({ task: "reader", path: "ext4_set_page_dirty", pfn: 0 });
    expect(bug).toMatchObject({
      task: "flusher",
      path: "mpage_prepare_extent_to_map",
      step: "page_buffers",
      pfn: 0,
    });
    expect(hang).toMatchObject({ task: "reader", step: "lock_page", pfn: 0 });
    expect(bug.tick).toBeGreaterThan(warn.tick);
    expect(crash.finished).toBe(true);
  });

  it("each fault's event names the path and the step that the fault names", () => {
    const { recording, faults } = run("kara-2018");
    const places = faults.map((_, index) => {
      const at = recording.word.findIndex((word, i) => word === WORD.fault && recording.value[i] === index);
      return recording.info.steps[recording.step[at]];
    });
    expect(places).toEqual(faults.map(({ path, step }) => ({ path, step })));
  });

  for (const scenario of ["kara-2018-quiet", "kara-2018-tmpfs", "kara-2018-private", "kara-2018-touch"]) {
    it(`${scenario}: 50 seeds, no fault`, () => {
      for (let seed = 0; seed < 50; seed++) {
        const result = run(scenario, { seed });
        expect(result.outcomes, result.replay).toEqual(["OK"]);
      }
    });
  }

  it("kara-2018 is lost by chance, not always: of 50 seeds some crash and some do not", () => {
    const crashed = Array.from({ length: 50 }, (_, seed) =>
      run("kara-2018", { seed }).outcomes.includes("BUG"),
    );
    expect(crashed).toContain(true);
    expect(crashed).toContain(false);
  });

  it("nothing is lost where nothing crashed: when all is written, disk and memory agree", () => {
    for (let seed = 0; seed < 50; seed++) {
      const result = run("kara-2018,pages=2,drivers=2,parts=2", { seed });
      if (!result.outcomes.includes("BUG")) expect(result.world.lostWrites(), result.replay).toEqual([]);
    }
  });

  it("a bound on steps ends a run, and the report says so", () => {
    const bounded = run("kara-2018", { steps: 20 });
    expect([bounded.finished, bounded.steps]).toEqual([false, 20]);
    expect(String(bounded)).toContain("stopped at the bound of 20 steps");
  });
});

describe("outcomes", () => {
  it("are kinds of fault, worst first, each once; OK when there is none", () => {
    expect(outcomesOf(["WARN", "HANG", "BUG", "WARN"])).toEqual(["BUG", "HANG", "WARN"]);
    expect(outcomesOf([])).toEqual(["OK"]);
  });
});

describe("bad input is one sentence, and changes nothing", () => {
  const cases: readonly (readonly [string, () => unknown, RegExp])[] = [
    ["unknown scenario", () => open("kara-2019"), /^there is no scenario "kara-2019"; known: kara-2018, /],
    ["unknown kernel", () => open("kara-2018", { kernel: "v9" }), /^there is no kernel "v9"; known: v4\.20/],
    [
      "unknown parameter",
      () => open("kara-2018,page=2"),
      /no parameter "page"; it has pages, drivers, buffer, parts$/,
    ],
    [
      "parameter without a number",
      () => open("kara-2018,pages=two"),
      /^pages of scenario kara-2018 is a whole number from 1 to 64, not two$/,
    ],
    [
      "parameter out of range",
      () => open("kara-2018,pages=65"),
      /^pages of scenario kara-2018 is a whole number from 1 to 64, not 65$/,
    ],
    [
      "no replay line",
      () => parseReplay("kara-2018"),
      /^"kara-2018" is no replay line: it reads scenario@kernel:schedule/,
    ],
    ["a replay of another kernel", () => run("kara-2018@v1:r1"), /^there is no kernel "v1"/],
    [
      "a schedule with a foreign task",
      () => run("kara-2018@v4.20:z1"),
      /^the schedule names task z; the tasks here are r, k, f, d, m$/,
    ],
    [
      "a schedule that does not fit",
      () => run("kara-2018@v4.20:r1d5"),
      /^the schedule does not fit kara-2018 on v4\.20: at step 2, disk cannot move: it waits in disk, step blk_peek_request$/,
    ],
  ];
  for (const [name, act, message] of cases) it(name, () => expect(act).toThrow(message));

  it("a schedule that does not fit leaves the world as it was", () => {
    const world = open("kara-2018");
    applySchedule(world, "r3");
    const memory = Buffer.from(world.k.memory.snapshot());
    const before = [world.replay, world.k.tick, world.k.recorder?.length];
    expect(() => applySchedule(world, "r2k5d9")).toThrow(/at step 8/);
    expect(Buffer.from(world.k.memory.snapshot()).equals(memory)).toBe(true);
    expect([world.replay, world.k.tick, world.k.recorder?.length]).toEqual(before);
  });
});
