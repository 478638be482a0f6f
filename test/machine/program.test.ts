/** The path language, the linker and the machine, on a kernel of four numbers. */
import { describe, expect, it } from "vitest";
import { Machine, machineTables, type Running } from "../../src/machine/machine.js";
import { i32, Memory, struct } from "../../src/machine/memory.js";
import { kind, type Path, pathLanguage } from "../../src/machine/path.js";
import { type Implementations, link } from "../../src/machine/program.js";

const cells = struct("cells", { value: i32("a shared number") });

class Toy implements Running {
  task = 0;
  at = 0;
  dying = false;
  readonly locks = [];
  readonly log: string[] = [];
  value: Int32Array = new Int32Array(0);
}

const int = kind<number>("int");
const {
  path,
  step,
  wait,
  pause,
  held,
  heldIf,
  local,
  when,
  given,
  check,
  loop,
  repeat,
  choose,
  branch,
  label,
  goto,
  leave,
  call,
  dispatch,
} = pathLanguage<Toy>();

interface Run {
  readonly k: Toy;
  readonly machine: Machine<Toy>;
  readonly memory: Memory;
}

/** A machine with one task for each path. */
function start(
  paths: readonly Path<Toy>[],
  args: readonly number[] = [],
  implementations: Implementations = {},
): Run {
  const image = link(paths, implementations);
  const tasks = paths.map((_, program) => ({
    name: `task${program}`,
    letter: String.fromCharCode(97 + program),
    program,
    args: program === 0 ? args : [],
    daemon: false,
  }));
  const memory = new Memory([...machineTables(image, tasks, false), [cells, 4]]);
  const k = new Toy();
  k.value = memory.of(cells).value;
  return { k, memory, machine: new Machine(k, image, memory, tasks) };
}

const say = (text: string) =>
  step<object>(text, (k) => {
    k.log.push(text);
  });

/** Run one task to its end; gives the names of its preemption points in order. */
function run({ machine }: Run, task = 0): string[] {
  const steps: string[] = [];
  while (!machine.finished(task) && steps.length < 1000) {
    steps.push(machine.at(task).step);
    machine.step(task);
  }
  return steps;
}

const none = { source: "a test" };

describe("steps and tests", () => {
  it("a step is a preemption point; bookkeeping runs at once with the step before it", () => {
    const world = start([
      path("p", { ...none, locals: { n: int } }, [
        say("one"),
        local((k, f) => {
          f.n = 7;
          k.value[0] = f.n;
        }),
        step("two", (k, f) => {
          k.value[1] = f.n;
        }),
      ]),
    ]);
    world.machine.step(0);
    expect(world.k.value[0]).toBe(7);
    expect(world.machine.at(0).step).toBe("two");
    world.machine.step(0);
    expect([world.k.value[1], world.machine.finished(0)]).toEqual([7, true]);
  });

  it("when and given take one arm or the other", () => {
    for (const answer of [0, 1]) {
      const world = start([
        path("p", none, [
          when("test", (k) => k.value[0] === 1, [say("yes")], [say("no")]),
          given(() => answer === 1, [say("given")], [say("not given")]),
          when("alone", (k) => k.value[0] === 1, [say("alone yes")]),
          say("end"),
        ]),
      ]);
      world.k.value[0] = answer;
      expect(run(world)).toEqual(
        answer === 1
          ? ["test", "yes", "given", "alone", "alone yes", "end"]
          : ["test", "no", "not given", "alone", "end"],
      );
    }
  });

  it("check goes on when it holds and to its label when it does not", () => {
    for (const [answer, steps] of [
      [1, ["check", "on", "out"]],
      [0, ["check", "out"]],
    ] as const) {
      const world = start([
        path("p", none, [
          check("check", (k) => k.value[0] === 1, "out"),
          say("on"),
          label("out"),
          say("out"),
        ]),
      ]);
      world.k.value[0] = answer;
      expect(run(world)).toEqual(steps);
    }
  });

  it("loop tests before each round, repeat too, and its test is no preemption point", () => {
    const world = start([
      path("p", { ...none, locals: { n: int } }, [
        loop("more", (k) => k.value[0] < 2, [
          step("add", (k) => {
            k.value[0]++;
          }),
        ]),
        repeat(
          (_, f) => f.n < 2,
          [
            step("count", (_, f) => {
              f.n++;
            }),
          ],
        ),
      ]),
    ]);
    expect(run(world)).toEqual(["more", "add", "more", "add", "more", "count", "count"]);
  });

  it("choose and branch go to the label with the number, goto to its label, leave to the end", () => {
    for (const [first, second, steps] of [
      [0, 1, ["choose", "a", "d"]],
      [1, 0, ["choose", "b", "c"]],
    ] as const) {
      const world = start([
        path("p", none, [
          choose("choose", () => first, ["a", "b"]),
          label("a"),
          say("a"),
          goto("then"),
          label("b"),
          say("b"),
          label("then"),
          branch(() => second, ["c", "d"]),
          label("c"),
          say("c"),
          leave(),
          label("d"),
          say("d"),
        ]),
      ]);
      expect(run(world)).toEqual(steps);
    }
  });

  it("a wait is enabled only while its condition holds, and runs as one step with it", () => {
    const world = start([
      path("p", none, [
        wait(
          "lock",
          (k) => k.value[0] === 0,
          (k) => {
            k.value[0] = 1;
          },
        ),
      ]),
    ]);
    world.k.value[0] = 1;
    expect([world.machine.enabled(0), world.machine.waiting(0)]).toEqual([false, true]);
    world.k.value[0] = 0;
    expect([world.machine.enabled(0), world.machine.waiting(0)]).toEqual([true, false]);
    world.machine.step(0);
    expect([world.k.value[0], world.machine.finished(0)]).toEqual([1, true]);
  });

  it("a pause belongs to the next step", () => {
    const world = start([path("p", none, [say("one"), pause("sleep"), local(() => {}), say("two")])]);
    expect(world.machine.paused(0)).toBe(false);
    world.machine.step(0);
    expect([world.machine.at(0).step, world.machine.paused(0)]).toEqual(["two", true]);
  });

  it("held steps run at once with the step before them, and are seen by whoever watches", () => {
    const world = start([
      path("p", none, [
        say("one"),
        held(say("two")),
        heldIf((k) => k.value[0] === 1, say("three")),
        held(when("four", () => true, [say("five")])),
      ]),
    ]);
    const seen: string[] = [];
    world.machine.watch = (_, at) => {
      seen.push(world.machine.code[at].step);
    };
    world.machine.step(0);
    expect(world.machine.at(0).step).toBe("three");
    world.machine.step(0);
    expect(world.machine.at(0).step).toBe("five");
    world.k.value[0] = 1;
    run(world);
    expect(seen).toEqual(["one", "two", "three", "four", "five"]);
    expect(seen.filter((name) => name !== "four")).toEqual(world.k.log);
  });

  it("a held wait whose condition does not hold is a preemption point after all", () => {
    const world = start([
      path("p", none, [
        say("one"),
        heldIf(
          () => true,
          wait("ready", (k) => k.value[0] === 1),
        ),
        say("two"),
      ]),
    ]);
    world.machine.step(0);
    expect([world.machine.at(0).step, world.machine.enabled(0)]).toEqual(["ready", false]);
  });

  it("a step in which the task dies is its last", () => {
    for (const mark of [<F>(node: ReturnType<typeof step<F>>) => node, held]) {
      const world = start([
        path("p", none, [
          say("one"),
          mark(
            step("bug", (k) => {
              k.dying = true;
            }),
          ),
          say("never"),
        ]),
      ]);
      while (world.machine.enabled(0)) world.machine.step(0);
      expect([world.machine.isDead(0), world.machine.at(0).step, world.k.log]).toEqual([
        true,
        "bug",
        ["one"],
      ]);
      expect(world.k.dying).toBe(false);
    }
  });
});

describe("calls", () => {
  const double = path(
    "double",
    { source: "a test", args: { n: int }, locals: { twice: int }, returns: int },
    [
      step("double", (_, f) => {
        f.twice = 2 * f.n;
      }),
      leave((_, f) => f.twice),
    ],
  );

  it("pass arguments by name or as constants, and return a value", () => {
    const world = start(
      [
        path("p", { ...none, args: { n: int }, locals: { a: int, b: int } }, [
          call(() => double, { n: "n" }, "a"),
          call(() => double, { n: 21 }, "b"),
          step("store", (k, f) => {
            k.value.set([f.a, f.b]);
          }),
        ]),
      ],
      [5],
    );
    expect(run(world)).toEqual(["double", "double", "store"]);
    expect([world.k.value[0], world.k.value[1]]).toEqual([10, 42]);
  });

  it("share the caller's local: what the callee writes to an argument the caller sees", () => {
    const raise = path("raise", { source: "a test", args: { n: int } }, [
      step("raise", (_, f) => {
        f.n++;
      }),
    ]);
    const world = start([
      path("p", { ...none, locals: { n: int } }, [
        call(() => raise, { n: "n" }),
        call(() => raise, { n: "n" }),
        step("store", (k, f) => {
          k.value[0] = f.n;
        }),
      ]),
    ]);
    run(world);
    expect(world.k.value[0]).toBe(2);
  });

  it("start with fresh locals each time, and leave none behind: dead locals make no different states", () => {
    const noisy = path("noisy", { source: "a test", args: { n: int }, locals: { scratch: int } }, [
      step("look", (k, f) => {
        k.log.push(`scratch ${f.scratch}`);
        f.scratch = f.n;
      }),
      step("rest", () => {}),
    ]);
    const body = path("p", { ...none, locals: { at: int } }, [
      repeat(() => true, [say("top"), call(() => noisy, { n: 9 }), call(() => noisy, { n: "at" })]),
    ]);
    const world = start([body]);
    const top = world.memory.state.slice();
    for (let round = 0; round < 3; round++) {
      do world.machine.step(0);
      while (world.machine.at(0).step !== "top");
      expect([...world.memory.state]).toEqual([...top]);
    }
    expect(new Set(world.k.log.filter((line) => line.startsWith("scratch")))).toEqual(new Set(["scratch 0"]));
  });

  it("an instruction alone says where a task is: the names of all paths that lead there", () => {
    const inner = path("inner", none, [say("deep")]);
    const middle = path("middle", none, [call(() => inner, {})]);
    const world = start([path("outer", none, [call(() => middle, {})])]);
    expect(world.machine.at(0)).toMatchObject({
      path: "inner",
      step: "deep",
      stack: ["outer", "middle", "inner"],
    });
  });

  it("dispatch calls the implementation of the number; an operation that is missing gives 0", () => {
    const table = { name: "ops", operations: ["read", "write"] };
    const one = path("one", { source: "a test", args: { n: int }, returns: int }, [
      say("one"),
      leave((_, f) => f.n + 1),
    ]);
    const two = path("two", { source: "a test", args: { n: int }, returns: int }, [
      say("two"),
      leave((_, f) => f.n + 2),
    ]);
    const caller = path("p", { ...none, args: { row: int }, locals: { result: int } }, [
      local((_, f) => {
        f.result = 99;
      }),
      dispatch(table, "read", (_, f) => f.row, { n: 10 }, "result"),
      step("store", (k, f) => {
        k.value[0] = f.result;
      }),
    ]);
    const results = [0, 1, 2].map((row) => {
      const world = start([caller], [row], {
        ops: { 1: { read: one }, 2: { read: two, write: one } },
      } as Implementations);
      run(world);
      return world.k.value[0];
    });
    expect(results.slice(1)).toEqual([11, 12]);
    expect(results[0]).toBe(0);
  });
});

describe("faults of whoever writes paths", () => {
  const faults: readonly (readonly [string, () => unknown, string])[] = [
    ["a label that is missing", () => start([path("p", none, [goto("x")])]), "p: no label x"],
    [
      "a label that stands twice",
      () => start([path("p", none, [label("x"), say("a"), label("x")])]),
      "p: label x stands twice",
    ],
    [
      "a loop without a step",
      () => start([path("p", none, [label("x"), goto("x")])]),
      "link: p loops without a step",
    ],
    [
      "a path that calls itself",
      () => {
        const p: Path<Toy> = path("p", none, [call(() => p, {})]);
        return start([p]);
      },
      "p: p calls itself",
    ],
    [
      "an operation that the table does not have",
      () => start([path("p", none, [dispatch({ name: "ops", operations: ["read"] }, "write", () => 0, {})])]),
      "p: ops has no write",
    ],
    [
      "arguments that do not fit the program",
      () => start([path("p", { ...none, args: { a: int } }, [say("x")])], [1, 2]),
      "Machine: p takes 1 arguments, task0 gives 2",
    ],
  ];
  for (const [name, make, message] of faults) it(name, () => expect(make).toThrow(message));
});
