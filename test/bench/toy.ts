/** A machine whose tasks only count: what stepping itself costs. */
import { Machine, machineTables, type Running } from "../../src/machine/machine.js";
import { i32, Memory, struct } from "../../src/machine/memory.js";
import { pathLanguage } from "../../src/machine/path.js";
import { link } from "../../src/machine/program.js";
import { SeededScheduler } from "../../src/machine/schedule.js";

const counter = struct("counter", { value: i32("steps of each task") });

class Toy implements Running {
  task = 0;
  at = 0;
  dying = false;
  readonly locks = [];
  value: Int32Array = new Int32Array(0);
}

const { path, step, repeat } = pathLanguage<Toy>();

const count = path("count", { source: "a benchmark" }, [
  repeat(
    () => true,
    [
      step("add", (k) => {
        k.value[k.task]++;
      }),
      step("subtract", (k) => {
        k.value[k.task]--;
      }),
    ],
  ),
]);

/** This many tasks that can always move; each function makes so many steps. */
export function toy(tasks: number): { inTurn: (steps: number) => void; seeded: (steps: number) => void } {
  const image = link([count]);
  const specs = Array.from({ length: tasks }, (_, nr) => ({
    name: `task${nr}`,
    letter: `t${nr}`,
    program: 0,
    args: [],
    daemon: true,
  }));
  const memory = new Memory([...machineTables(image, specs, false), [counter, tasks]]);
  const k = new Toy();
  k.value = memory.of(counter).value;
  const machine = new Machine(k, image, memory, specs);
  const scheduler = new SeededScheduler(machine, 1, {});
  return {
    inTurn: (steps) => {
      for (let made = 0, task = 0; made < steps; made++) {
        machine.step(task);
        if (++task === tasks) task = 0;
      }
    },
    seeded: (steps) => {
      for (let made = 0; made < steps; made++) machine.step(scheduler.next());
    },
  };
}
