import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Machine, machineTables, type Running } from "../../src/machine/machine.js";
import { i32, Memory, struct } from "../../src/machine/memory.js";
import { pathLanguage } from "../../src/machine/path.js";
import { link } from "../../src/machine/program.js";
import { formatSchedule, type Pace, parseSchedule, SeededScheduler } from "../../src/machine/schedule.js";

const LETTERS = ["r", "k", "f", "ra", "rb"];

describe("a schedule as text", () => {
  it("is runs of one task each", () => {
    expect(formatSchedule([0, 0, 1, 0], LETTERS)).toBe("r2k1r1");
    expect(formatSchedule([], LETTERS)).toBe("");
    expect(parseSchedule("r2k1r1", LETTERS)).toEqual([0, 0, 1, 0]);
    expect(parseSchedule("ra2rb1", LETTERS)).toEqual([3, 3, 4]);
    expect(parseSchedule("", LETTERS)).toEqual([]);
  });

  it("reads back as what was printed, whatever it is", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(LETTERS.length - 1), { maxLength: 300 }), (schedule) => {
        expect(parseSchedule(formatSchedule(schedule, LETTERS), LETTERS)).toEqual(schedule);
      }),
    );
  });

  it("says in one sentence what is wrong, and what would be right", () => {
    const cases: readonly (readonly [string, RegExp])[] = [
      ["r", /^"r" is not a schedule: write letters and counts, for example r3k1$/],
      ["3r", /is not a schedule/],
      ["r2,k1", /is not a schedule/],
      ["r-1", /is not a schedule/],
      ["x3", /^the schedule names task x; the tasks here are r, k, f, ra, rb$/],
      ["r99999999", /^the schedule has a run of 99999999 steps; at most 10000000 are possible$/],
    ];
    for (const [text, message] of cases) expect(() => parseSchedule(text, LETTERS)).toThrow(message);
  });

  it("never answers anything but a schedule or an Error of one line", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 20 }), (text) => {
        try {
          expect(parseSchedule(text, LETTERS).every((task) => task >= 0 && task < LETTERS.length)).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
        }
      }),
    );
  });
});

const cells = struct("cells", { made: i32("steps of each task"), open: i32("whether who waits may go") });

class Toy implements Running {
  task = 0;
  at = 0;
  dying = false;
  readonly locks = [];
  made: Int32Array = new Int32Array(0);
  open: Int32Array = new Int32Array(0);
}

const { path, step, wait, pause, repeat } = pathLanguage<Toy>();

const add = step<object>("add", (k) => {
  k.made[k.task]++;
});
const source = "a test";
const runner = path("runner", { source }, [repeat(() => true, [add])]);
const sleeper = path("sleeper", { source }, [repeat(() => true, [pause("sleep"), add])]);
const waiter = path("waiter", { source }, [
  repeat(
    () => true,
    [
      wait(
        "wait",
        (k) => k.open[0] !== 0,
        (k) => {
          k.made[k.task]++;
        },
      ),
    ],
  ),
]);
const once = path("once", { source }, [add]);

const PATHS = { runner, sleeper, waiter, once };

function start(kinds: readonly (keyof typeof PATHS)[]) {
  const image = link(Object.values(PATHS));
  const tasks = kinds.map((kind, at) => ({
    name: `${kind}${at}`,
    letter: String.fromCharCode(97 + at),
    program: Object.keys(PATHS).indexOf(kind),
    args: [],
    daemon: false,
  }));
  const memory = new Memory([...machineTables(image, tasks, true), [cells, kinds.length]]);
  const k = new Toy();
  ({ made: k.made, open: k.open } = memory.of(cells));
  return { k, machine: new Machine(k, image, memory, tasks) };
}

function drive(kinds: readonly (keyof typeof PATHS)[], seed: number, steps: number, pace: Pace = {}) {
  const { k, machine } = start(kinds);
  const scheduler = new SeededScheduler(machine, seed, pace);
  const schedule: number[] = [];
  for (let made = 0; made < steps; made++) {
    const task = scheduler.next();
    if (task < 0) break;
    if (!machine.enabled(task)) throw new Error(`task ${task} was chosen and cannot move`);
    machine.step(task);
    schedule.push(task);
  }
  return { k, machine, schedule, scheduler };
}

describe("the seeded scheduler", () => {
  it("makes the same choices for the same seed, others for another", () => {
    const kinds = ["runner", "sleeper", "runner", "waiter"] as const;
    const run = (seed: number) => drive(kinds, seed, 500, { sleeper1: 20 }).schedule;
    expect(run(3)).toEqual(run(3));
    expect(run(3)).not.toEqual(run(4));
  });

  it("is fair: tasks that can always move get equal shares, within a tenth over 100000 steps", () => {
    const { k } = drive(["runner", "runner", "runner", "runner"], 5, 100_000);
    for (const made of k.made) expect(Math.abs(made - 25_000)).toBeLessThan(2_500);
  });

  it("gives time slices of ten steps on average", () => {
    const { schedule } = drive(["runner", "runner", "runner", "runner"], 5, 100_000);
    const slices = schedule.filter((task, at) => task !== schedule[at - 1]).length;
    // A slice that ends may be followed by one of the same task.
    expect(schedule.length / slices).toBeGreaterThan(11);
    expect(schedule.length / slices).toBeLessThan(16);
  });

  it("lets who sleeps sleep around its pace", () => {
    const { k } = drive(["runner", "sleeper"], 1, 100_000, { sleeper1: 1000 });
    expect(k.made[1]).toBeGreaterThan(60);
    expect(k.made[1]).toBeLessThan(140);
  });

  it("when all sleep, the clock jumps: nobody is lost", () => {
    const { k, schedule } = drive(["sleeper", "sleeper"], 1, 1000, { sleeper0: 1e6, sleeper1: 1e6 });
    expect(schedule).toHaveLength(1000);
    expect(Math.min(...k.made)).toBeGreaterThan(300);
  });

  it("never chooses who waits, and does when the condition holds", () => {
    const { k, machine, scheduler } = drive(["runner", "waiter"], 1, 1000);
    expect(k.made[1]).toBe(0);
    k.open[0] = 1;
    for (let made = 0; made < 1000; made++) machine.step(scheduler.next());
    expect(k.made[1]).toBeGreaterThan(100);
  });

  it("answers -1 when nobody will ever move: finished, dead, or waiting for nothing", () => {
    expect(drive(["once", "once", "waiter"], 1, 100).schedule.sort()).toEqual([0, 1]);
  });

  it("does not move a task that the caller keeps away", () => {
    const { machine } = start(["runner", "runner"]);
    const scheduler = new SeededScheduler(machine, 1, {}, (task) => task !== 0 && machine.enabled(task));
    for (let made = 0; made < 200; made++) expect(scheduler.next()).toBe(1);
  });

  it("chooses among a thousand tasks, all of them", () => {
    const { k } = drive(new Array(1000).fill("runner"), 1, 200_000);
    expect(Math.min(...k.made)).toBeGreaterThan(0);
  });
});
