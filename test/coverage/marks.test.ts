import { describe, expect, it } from "vitest";
import { runToEnd } from "../../src/lab/run.js";
import { open } from "../../src/lab/world.js";
import { lockClass } from "../../src/machine/lock.js";
import { Machine, machineTables, type Running } from "../../src/machine/machine.js";
import { Memory } from "../../src/machine/memory.js";
import { kind, type Path, pathLanguage } from "../../src/machine/path.js";
import { type Image, type Implementations, link } from "../../src/machine/program.js";
import { Catalogue } from "./catalogue.js";
import { kernelSteps } from "./kernel.js";
import { linkMarked } from "./marks.js";
import { reached } from "./reached.js";

class Toy implements Running {
  task = 0;
  at = 0;
  dying = false;
  open = false;
  readonly locks: Int16Array[] = [];
}

const {
  path,
  step,
  wait,
  held,
  when,
  loop,
  check,
  choose,
  label,
  call,
  dispatch,
  config,
  down_write,
  up_write,
} = pathLanguage<Toy>();

const source = "a test";
const noTables = { file: "tables.ts", operations: {} };
const act = (name: string) => step<object>(name, () => {});

/** A machine with one task for each root, linked with marks. */
function start(roots: readonly Path<Toy>[], image: Image): { k: Toy; machine: Machine<Toy> } {
  const tasks = roots.map((_, program) => ({
    name: `task${program}`,
    letter: String.fromCharCode(97 + program),
    program,
    args: [],
    daemon: false,
  }));
  const k = new Toy();
  return { k, machine: new Machine(k, image, new Memory(machineTables(image, tasks, false)), tasks) };
}

const finish = (machine: Machine<Toy>, task = 0): void => {
  for (let steps = 0; !machine.finished(task) && steps < 100; steps++) machine.step(task);
};

const shortOf = (catalogue: Catalogue, marks: Set<string>): string[] =>
  [...marks].map((key) => {
    const known = catalogue.steps.get(key);
    return known === undefined ? key : `${known.path} ${known.step} ${known.nth}`;
  });

/** The steps that are marked when one task has run a path of the catalogue to its end. */
function marksOf(root: Path<Toy>, implementations: Implementations = {}, options = {}): string[] {
  const catalogue = new Catalogue({ "a.ts": { root } }, { ...noTables, operations: implementations });
  const marks = new Set<string>();
  const { machine } = start([root], linkMarked(catalogue, marks, [root], implementations, options));
  finish(machine);
  return shortOf(catalogue, marks);
}

describe("a step is marked when it runs", () => {
  it("and one on a way not taken is not", () => {
    const root = path("p", { source }, [
      act("step"),
      held(act("held")),
      when("when", () => false, [act("then")], [act("otherwise")]),
      loop("loop", () => false, [act("body")]),
      check("check", () => false, "out"),
      act("skipped"),
      label("out"),
      choose("choose", () => 1, ["first", "second"]),
      label("first"),
      act("first"),
      label("second"),
      act("second"),
    ]);
    expect(marksOf(root)).toEqual(
      ["step", "held", "when", "otherwise", "loop", "check", "choose", "second"].map((name) => `p ${name} 1`),
    );
  });

  it("a wait not when it is asked, but when it runs", () => {
    const root = path("p", { source }, [wait("wait", (k) => k.open)]);
    const catalogue = new Catalogue({ "a.ts": { root } }, noTables);
    const marks = new Set<string>();
    const { k, machine } = start([root], linkMarked(catalogue, marks, [root]));
    expect([machine.enabled(0), marks.size]).toEqual([false, 0]);
    k.open = true;
    machine.step(0);
    expect(shortOf(catalogue, marks)).toEqual(["p wait 1"]);
  });

  it("taking and giving back a lock too, also where nobody can be waited for", () => {
    const sem = lockClass("sem", "sleeping");
    const root = path("p", { source }, [down_write(sem, () => 0), up_write(sem, () => 0)]);
    expect(marksOf(root)).toEqual(["p down_write(sem) 1", "p up_write(sem) 1"]);
    const catalogue = new Catalogue({ "a.ts": { root } }, noTables);
    const marks = new Set<string>();
    const { k, machine } = start([root], linkMarked(catalogue, marks, [root], {}, { tasks: [2] }));
    k.locks[sem.id] = new Int16Array([1]);
    expect([machine.enabled(0), marks.size]).toEqual([false, 0]);
    k.locks[sem.id][0] = 0;
    finish(machine);
    expect(shortOf(catalogue, marks)).toEqual(["p down_write(sem) 1", "p up_write(sem) 1"]);
  });

  it("the second of a name is the second, whatever the configuration leaves out before it", () => {
    const root = path("p", { source }, [config("option", [act("x")]), act("x")]);
    expect(marksOf(root)).toEqual(["p x 2"]);
    expect(marksOf(root, {}, { config: new Set(["option"]) })).toEqual(["p x 1", "p x 2"]);
  });

  it("in whichever place a path is called, by name or through a table", () => {
    const inner = path("inner", { source }, [act("x")]);
    const table = { name: "ops", operations: ["run"] };
    const operations: Implementations = { ops: { 0: { run: inner as Path<never> } } };
    const byName = path("p", { source }, [call(() => inner, {}), call(() => inner, {})]);
    const byTable = path("p", { source }, [dispatch(table, "run", () => 0, {})]);
    expect(marksOf(byName)).toEqual(["inner x 1"]);
    expect(marksOf(byTable, operations)).toEqual(["inner x 1"]);
  });

  it("a path that is in no module of the catalogue leaves no marks, but what it calls does", () => {
    const known = path("known", { source }, [act("x")]);
    const unknown = path("unknown", { source }, [act("y"), call(() => known, {})]);
    const catalogue = new Catalogue({ "a.ts": { known } }, noTables);
    const marks = new Set<string>();
    const { machine } = start([unknown], linkMarked(catalogue, marks, [unknown]));
    finish(machine);
    expect(shortOf(catalogue, marks)).toEqual(["known x 1"]);
  });
});

describe("an image with marks", () => {
  const int = kind<number>("int");
  const inner = path("inner", { source, args: { n: int }, returns: int }, [
    when("n", (_, f: { n: number }) => f.n > 1, [act("x")], [act("x")]),
  ]);
  const root = path("p", { source, locals: { n: int, m: int } }, [
    step("set", (_, f) => {
      f.n = 2;
    }),
    call(() => inner, { n: "n" }, "m"),
    call(() => inner, { n: 1 }),
  ]);
  const catalogue = new Catalogue({ "a.ts": { root } }, noTables);
  const plain = ({ code, programs }: Image) => ({
    code: code.map(({ run: _run, frame, ...rest }) => ({ ...rest, slots: frame.slots })),
    programs,
  });

  it("is otherwise the one without: same instructions, names and words", () => {
    expect(plain(linkMarked(catalogue, new Set(), [root]))).toEqual(plain(link([root])));
  });

  it("has its own functions back when they have run, and from the start where all is marked", () => {
    const marks = new Set<string>();
    const functions = ({ code }: Image) => code.filter(({ step }) => step !== "").map(({ run }) => run);
    const image = linkMarked(catalogue, marks, [root]);
    const unmarked = functions(link([root]));
    expect(functions(image).filter((run) => unmarked.includes(run))).toEqual([]);
    finish(start([root], image).machine);
    expect(shortOf(catalogue, marks)).toEqual(["p set 1", "inner n 1", "inner x 1", "inner x 2"]);
    expect(functions(linkMarked(catalogue, marks, [root]))).toEqual(unmarked);
    // Of each copy of `inner` one way was not taken: two of the seven functions have not run.
    expect(functions(image).filter((run) => !unmarked.includes(run)).length).toBe(2);
  });
});

describe("the worlds that tests open", () => {
  it("leave marks of the steps that their machines run, and of no others", () => {
    reached.clear();
    const world = open("kara-2018", { record: false });
    const seen = new Set<string>();
    world.machine.watch = (_, at) => {
      const { path, step } = world.machine.code[at];
      seen.add(`${path} ${step}`);
    };
    expect(runToEnd(world, 1, 10_000)).toBe(true);
    const marked = new Set(
      [...reached].map((key) => {
        const known = kernelSteps.steps.get(key);
        return `${known?.path} ${known?.step}`;
      }),
    );
    const paths = new Set([...kernelSteps.steps.values()].map(({ path }) => path));
    const kernels = [...seen].filter((name) => paths.has(name.split(" ")[0]));
    expect([...marked].sort()).toEqual(kernels.sort());
    expect(marked.size).toBeGreaterThan(40);
  });
});
