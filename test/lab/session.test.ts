import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Session } from "../../src/lab/session.js";
import { applySchedule, open } from "../../src/lab/world.js";
import { formatSchedule } from "../../src/machine/schedule.js";

const memory = (session: Session) => Buffer.from(session.world.k.memory.snapshot());

const whole = (session: Session) => ({
  memory: memory(session).toString("latin1"),
  tick: session.tick,
  replay: session.world.replay,
  faults: [...session.world.k.faults],
  events: session.world.k.recorder?.length,
});

describe("time travel", () => {
  it("any tick of the past is what stepping there anew gives: memory, faults, schedule and events", () => {
    fc.assert(
      fc.property(fc.nat(500), fc.integer({ min: 1, max: 400 }), fc.nat(), (seed, steps, where) => {
        const session = new Session("kara-2018", { seed });
        session.run(steps);
        const tick = where % (session.tick + 1);
        const schedule = session.world.schedule.slice(0, tick);
        session.goTo(tick);
        const anew = open("kara-2018");
        applySchedule(anew, formatSchedule(schedule, anew.letters));
        expect(memory(session).equals(Buffer.from(anew.k.memory.snapshot()))).toBe(true);
        expect(session.tick).toBe(tick);
        expect(session.world.replay).toBe(anew.replay);
        expect(session.world.k.faults).toEqual(anew.k.faults);
        expect(session.world.k.recorder?.length).toBe(anew.k.recorder?.length);
      }),
      { numRuns: 60 },
    );
  });

  it("back and the same steps again end where they began", () => {
    const session = new Session("kara-2018");
    session.run(1000);
    const end = whole(session);
    const schedule = [...session.world.schedule];
    for (const steps of [1, 63, 64, 65, 100]) {
      session.back(steps);
      expect(session.tick).toBe(end.tick - steps);
      for (const task of schedule.slice(session.tick)) session.step(task);
      expect(whole(session)).toEqual(end);
    }
  });

  it("goes back over a BUG: the dead task lives again, and dies again", () => {
    const session = new Session("kara-2018");
    session.run(1000, (world) => world.k.faults.some(({ kind }) => kind === "BUG"));
    const flusher = session.world.machine.tasks.findIndex(({ name }) => name === "flusher");
    expect(session.world.machine.isDead(flusher)).toBe(true);
    session.back(1);
    expect(session.world.machine.isDead(flusher)).toBe(false);
    session.step(flusher);
    expect(session.world.machine.isDead(flusher)).toBe(true);
    expect(session.world.k.faults.filter(({ kind }) => kind === "BUG")).toHaveLength(1);
  });

  it("refuses a tick that is not in the past, and steps that are too many, and stays", () => {
    const session = new Session("kara-2018");
    session.run(10);
    const before = whole(session);
    expect(() => session.goTo(11)).toThrow("tick 11 is not in this session's past, which goes from 0 to 10");
    expect(() => session.goTo(-1)).toThrow(/^tick -1 is not/);
    expect(() => session.goTo(1.5)).toThrow(/^tick 1.5 is not/);
    expect(() => session.back(11)).toThrow("there are 10 steps to go back, not 11");
    expect(whole(session)).toEqual(before);
  });
});

describe("stepping", () => {
  it("a task that cannot move says why, and nothing changes", () => {
    const session = new Session("kara-2018");
    const disk = session.world.machine.tasks.findIndex(({ name }) => name === "disk");
    const before = whole(session);
    expect(() => session.step(disk)).toThrow("disk cannot move: it waits in disk, step blk_peek_request");
    expect(whole(session)).toEqual(before);
  });

  it("names the cells that a step changed", () => {
    const session = new Session("kara-2018");
    session.run(5);
    const tick = session.tick;
    session.run(30);
    const before = whole(session);
    const changes = session.changesSince(tick);
    expect(changes.length).toBeGreaterThan(0);
    expect(changes.every(({ before: from, after }) => from !== after)).toBe(true);
    expect(changes.map(({ struct, field }) => `${struct}.${field}`)).toContain("task_struct.pc");
    expect(whole(session)).toEqual(before);
    expect(session.changesSince(session.tick)).toEqual([]);
  });

  it("runs until something holds", () => {
    const session = new Session("kara-2018");
    const made = session.run(1000, ({ k }) => k.page.pins[0] === 1);
    expect(session.world.k.page.pins[0]).toBe(1);
    expect(made).toBe(session.tick);
  });
});

describe("a replay line", () => {
  it("is a session at its end, with its past", () => {
    const first = new Session("kara-2018,parts=2");
    first.run(200);
    const session = new Session(first.world.replay);
    expect(whole(session)).toEqual(whole(first));
    session.goTo(10);
    first.goTo(10);
    expect(whole(session)).toEqual(whole(first));
  });
});

describe("after a BUG", () => {
  it("whoever waits for a page lock that the dead task holds is reported to hang, once each (trap 32)", () => {
    const session = new Session("kara-2018");
    session.run(5000);
    const hangs = session.world.k.faults.filter(({ kind }) => kind === "HANG");
    expect(hangs.length).toBeGreaterThan(0);
    expect(new Set(hangs.map(({ task }) => task)).size).toBe(hangs.length);
    for (const { task, step, message } of hangs) {
      expect(step).toBe("lock_page");
      expect(message).toMatch(/waits for ever for the page lock that flusher took to its death$/);
      const number = session.world.machine.tasks.findIndex(({ name }) => name === task);
      expect([session.world.enabled(number), session.world.gone(number)]).toEqual([false, true]);
    }
    expect(session.world.settled()).toBe(true);
  });
});
