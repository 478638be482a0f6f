/** Locks with words: who waits for whom, and that locks for which nobody waits cost no step. */
import { describe, expect, it } from "vitest";
import { lockClass } from "../../src/machine/lock.js";
import { Machine, machineTables, type Running } from "../../src/machine/machine.js";
import { Memory } from "../../src/machine/memory.js";
import { type Path, pathLanguage } from "../../src/machine/path.js";
import { link } from "../../src/machine/program.js";

const sem = lockClass("sem", "sleeping");

class Toy implements Running {
  task = 0;
  at = 0;
  dying = false;
  locks: Int16Array[] = [];
  readonly log: string[] = [];
}

const { path, step, pause, down_read, up_read, down_write, up_write } = pathLanguage<Toy>();

const says = (what: string) => step<object>(what, (k) => void k.log.push(`${k.task}:${what}`));

const reader = path("reader", { source: "a test" }, [
  says("begin"),
  down_read(sem, () => 0),
  says("reads"),
  up_read(sem, () => 0),
  says("end"),
]);

const writer = path("writer", { source: "a test" }, [
  says("begin"),
  down_write(sem, () => 0),
  says("writes"),
  up_write(sem, () => 0),
  says("end"),
]);

function machine(roots: readonly Path<Toy>[], programs: readonly number[]) {
  const k = new Toy();
  const count = roots.map((_, root) => programs.filter((program) => program === root).length);
  const image = link(roots, {}, { tasks: count });
  const tasks = programs.map((program, at) => ({
    name: String(at),
    letter: String.fromCharCode(97 + at),
    program,
    args: [],
    daemon: false,
  }));
  const memory = new Memory([
    ...machineTables(image, tasks, true),
    ...image.locks.map((lock) => [lock.struct, 1] as const),
  ]);
  for (const lock of image.locks) k.locks[lock.id] = memory.of(lock.struct).count;
  return { k, image, memory, machine: new Machine(k, image, memory, tasks) };
}

describe("a read-write semaphore", () => {
  it("readers share it, a writer waits for them, and they for the writer", () => {
    const { machine: m } = machine([reader, writer], [0, 0, 1]);
    for (const task of [0, 1, 2]) m.step(task);
    expect(m.at(0).step).toBe("down_read(sem)");
    m.step(0);
    expect(m.enabled(1)).toBe(true);
    m.step(1);
    expect(m.enabled(2)).toBe(false);
    expect(m.waiting(2)).toBe(true);
    expect(m.lockWord(2)).toBe(2);
    m.step(0);
    expect(m.enabled(2)).toBe(false);
    m.step(1);
    expect(m.enabled(2)).toBe(true);
  });

  it("a writer's lock word says who it is", () => {
    const { machine: m } = machine([reader, writer], [0, 1]);
    m.step(0);
    m.step(1);
    m.step(1);
    expect(m.enabled(0)).toBe(false);
    expect(m.lockWord(0)).toBe(-2);
    m.step(1);
    expect(m.enabled(0)).toBe(true);
  });

  it("has no words and no steps where nobody takes it for writing", () => {
    const { k, image, machine: m } = machine([reader], [0, 0]);
    expect(image.locks).toEqual([]);
    m.step(0);
    expect(m.at(0).step).toBe("reads");
    for (const task of [0, 1, 1, 1]) m.step(task);
    expect(k.log).toEqual(["0:begin", "0:reads", "1:begin", "1:reads", "1:end"]);
  });

  it("nor where only one task takes it", () => {
    expect(machine([writer], [0]).image.locks).toEqual([]);
    expect(machine([writer], [0, 0]).image.locks).toEqual([sem]);
  });

  it("a task that sleeps before it sleeps all the same", () => {
    const sleeper = path("sleeper", { source: "a test" }, [
      says("begin"),
      pause("sleeps"),
      down_write(sem, () => 0),
      says("writes"),
      up_write(sem, () => 0),
    ]);
    const { k, machine: m } = machine([sleeper], [0]);
    m.step(0);
    expect([m.at(0).step, m.paused(0), m.enabled(0)]).toEqual(["down_write(sem)", true, true]);
    m.step(0);
    m.step(0);
    expect(k.log).toEqual(["0:begin", "0:writes"]);
  });

  it("releasing what nobody holds is a fault of guplab", () => {
    const wrong = path("wrong", { source: "a test" }, [says("begin"), up_write(sem, () => 0)]);
    const { machine: m } = machine([wrong, writer], [0, 1, 1]);
    expect(() => m.step(0)).toThrow("sem: lock number 0 is released and nobody holds it");
  });
});
