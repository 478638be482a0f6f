/** Replay lines: the schedule where a person can read it, and else the seed that chose it; either gives the run again. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { run } from "../../src/lab/run.js";
import { scenarios } from "../../src/lab/scenarios.js";
import { Session } from "../../src/lab/session.js";
import { applySchedule, open, parseReplay, type World } from "../../src/lab/world.js";
import { formatSchedule, formatSeeded, parseSeeded } from "../../src/machine/schedule.js";

const stateOf = (world: World): Uint8Array => new Uint8Array(world.k.memory.snapshot());

/** The world that a line leads to. */
function replayed(line: string): World {
  const { scenario, kernel, schedule } = parseReplay(line);
  const world = open(scenario, { kernel, record: false });
  applySchedule(world, schedule);
  return world;
}

describe("the choices of a seed as text", () => {
  it("read back as what was printed", () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(10_000_000), (seed, steps) => {
        expect(parseSeeded(formatSeeded({ seed, steps }))).toEqual({ seed, steps });
      }),
    );
  });

  it("are told from a schedule, and are not too many", () => {
    for (const text of ["", "r2k1", "seed=,steps=1", "seed=1", "seed=-1,steps=3"])
      expect(parseSeeded(text)).toBeNull();
    expect(() => parseSeeded("seed=1,steps=99999999")).toThrow(
      /^the schedule has 99999999 steps; at most 10000000 are possible$/,
    );
  });
});

describe("a run's replay line", () => {
  it("is the seed's where the schedule is too long to be read, and gives the run again, as the schedule does", () => {
    const names = scenarios.map(({ name }) => name);
    fc.assert(
      fc.property(
        fc.constantFrom(...names),
        fc.nat(1000),
        fc.integer({ min: 0, max: 3000 }),
        (name, seed, steps) => {
          const { world } = run(name, { seed, steps });
          const schedule = formatSchedule(world.schedule, world.letters, world.inputs);
          const whole = `${world.name}@${world.kernel.name}:${schedule}`;
          expect(world.replay.length).toBeLessThanOrEqual(1100);
          const seeded = world.replay.includes(":seed=");
          expect(seeded).toBe(schedule.length > 1000);
          if (!seeded) expect(world.replay).toBe(whole);
          for (const line of [
            whole,
            world.replay,
            `${world.name}@v4.20:seed=${seed},steps=${world.schedule.length}`,
          ]) {
            const again = replayed(line);
            expect(again.schedule).toEqual(world.schedule);
            expect(stateOf(again)).toEqual(stateOf(world));
            expect(again.k.faults).toEqual(world.k.faults);
          }
        },
      ),
      { numRuns: 40, seed: 1 },
    );
  });

  it("is short where a run was stopped at its bound, in JSON as well, and can be given back", () => {
    const stopped = run("kara-2018,pages=16", { seed: 3, steps: 5000 });
    if (!stopped.finished) expect(stopped.replay).toBe("kara-2018,pages=16@v4.20:seed=3,steps=5000");
    expect(run(stopped.replay).outcomes).toEqual(stopped.outcomes);
    expect(stopped.toJSON().replay).toBe(stopped.replay);
  });

  it("of a session follows what was chosen by hand, taken back and chosen again", () => {
    const session = new Session("kara-2018,pages=16,drivers=4", { seed: 3 });
    session.run(20_000);
    const { length } = session.world.schedule;
    expect(length).toBeGreaterThan(12_000);
    expect(session.world.replay).toMatch(new RegExp(`:seed=3,steps=${length}$`));
    session.goTo(11_995);
    expect(session.world.replay).toMatch(/:seed=3,steps=11995$/);
    expect(stateOf(replayed(session.world.replay))).toEqual(stateOf(session.world));
    // Another choice: no seed is known to have made it.
    const task = session.world.letters.findIndex((_, each) => session.world.enabled(each));
    session.step(task);
    expect(session.world.replay).not.toContain("seed=");
    expect(stateOf(replayed(session.world.replay))).toEqual(stateOf(session.world));
  });

  it("that asks for more than there is does not fit", () => {
    const world = open("kara-2018", { record: false });
    expect(() => applySchedule(world, "seed=1,steps=9999999")).toThrow(
      /^the schedule does not fit kara-2018 on v4\.20: after \d+ steps nobody can move$/,
    );
    expect(world.schedule).toEqual([]);
  });
});
