import { describe, expect, it } from "vitest";
import { lockClass } from "../../src/machine/lock.js";
import { after, becomes, before, type Edit, recall } from "../../src/machine/patch.js";
import { type Path, pathLanguage } from "../../src/machine/path.js";
import { Catalogue, type Step } from "./catalogue.js";
import { kernelSteps } from "./kernel.js";

const language = pathLanguage<object>();
const { path, step, wait, pause, held, local, when, given, check, loop, repeat, choose, branch } = language;
const { config, under, label, goto, leave, call, down_read, up_read, down_write, up_write } = language;

const source = "a test";
const noTables = { file: "tables.ts", operations: {} };
const yes = () => true;
const act = (name: string) => step<object>(name, () => {});

const namesOf = ({ steps }: Catalogue): string[] => [...steps.values()].map((each) => each.step);

/** The steps of one path that a file exports. */
const stepsOf = (body: Path<object>["body"]): string[] =>
  namesOf(new Catalogue({ "a.ts": { p: path("p", { source }, body) } }, noTables));

describe("the steps of a path", () => {
  it("are its named nodes, held ones too, in the order in which they are written", () => {
    const body = [
      act("step"),
      wait("wait", yes),
      held(act("held")),
      when("when", yes, [act("then")], [act("otherwise")]),
      loop("loop", yes, [act("body")]),
      check("check", yes, "out"),
      choose("choose", () => 0, ["out"]),
      label("out"),
    ];
    expect(stepsOf(body)).toEqual([
      ...["step", "wait", "held", "when", "then", "otherwise", "loop", "body", "check", "choose"],
    ]);
  });

  it("are not what has no name, nor a pause, a label, a goto or a return", () => {
    const body = [
      local(() => {}),
      given(yes, [act("then")], [act("otherwise")]),
      repeat(() => false, [act("body")]),
      branch(() => 0, ["out"]),
      pause("pause"),
      goto("out"),
      label("out"),
      leave(),
    ];
    expect(stepsOf(body)).toEqual(["then", "otherwise", "body"]);
  });

  it("are also what a configuration leaves out, what runs under a lock, and taking and giving back locks", () => {
    const sem = lockClass("sem", "sleeping");
    const spin = lockClass("spin", "spin");
    const body = [
      config("option", [act("with")], [act("without")]),
      under(spin, [act("inside")]),
      down_read(sem, () => 0),
      up_read(sem, () => 0),
      down_write(sem, () => 0),
      up_write(sem, () => 0),
    ];
    const locks = ["down_read(sem)", "up_read(sem)", "down_write(sem)", "up_write(sem)"];
    expect(stepsOf(body)).toEqual(["with", "without", "inside", ...locks]);
  });

  it("of one name are told apart by their order", () => {
    const { steps } = new Catalogue(
      {
        "mm/a.ts": {
          p: path("p", { source: "mm/a.c v4.20" }, [act("x"), when("y", yes, [act("x")]), act("x")]),
        },
      },
      noTables,
    );
    const where = { path: "p", source: "mm/a.c v4.20", file: "mm/a.ts" };
    expect([...steps.values()]).toEqual([
      { ...where, step: "x", nth: 1 },
      { ...where, step: "y", nth: 1 },
      { ...where, step: "x", nth: 2 },
      { ...where, step: "x", nth: 3 },
    ]);
  });

  it("a node of a kind that it does not know is refused", () => {
    const strange = { op: "teleport", name: "x" } as unknown as Path<object>["body"][number];
    expect(() => stepsOf([given(yes, [strange])])).toThrow('copyNode: a node "teleport" is not known here');
  });
});

describe("the paths of the modules", () => {
  const filesOf = ({ steps }: Catalogue) => [...steps.values()].map(({ file, path }: Step) => [file, path]);

  it("are those exported, and the private ones that they call, which belong to the caller's file", () => {
    const inner = path("inner", { source }, [act("x")]);
    const middle = path("middle", { source }, [act("x"), call(() => inner, {})]);
    const outer = path("outer", { source }, [given(yes, [call(() => middle, {})])]);
    const other = path("other", { source }, [call(() => outer, {}), act("x")]);
    expect(filesOf(new Catalogue({ "a.ts": { other }, "b.ts": { outer, width: 4 } }, noTables))).toEqual([
      ["a.ts", "other"],
      ["b.ts", "middle"],
      ["b.ts", "inner"],
    ]);
  });

  it("are also those in tables of operations", () => {
    const exported = path("exported", { source }, [act("x")]);
    const inner = path("inner", { source }, [act("x")]);
    const hidden = path("hidden", { source }, [act("x"), call(() => inner, {})]);
    const tables = { file: "tables.ts", operations: { ops: { 1: { run: exported }, 2: { run: hidden } } } };
    expect(filesOf(new Catalogue({ "a.ts": { exported } }, tables as never))).toEqual([
      ["a.ts", "exported"],
      ["tables.ts", "hidden"],
      ["tables.ts", "inner"],
    ]);
  });

  it("a path that calls itself where no machine does so is no endless one", () => {
    const self: Path<object> = path("self", { source }, [act("x"), config("never", [call(() => self, {})])]);
    expect(filesOf(new Catalogue({ "a.ts": { self } }, noTables))).toEqual([["a.ts", "self"]]);
  });

  it("a path that is made anew for each call is one path", () => {
    const made = () => path("made", { source }, [act("x"), act("x")]);
    const outer = path("outer", { source }, [call(made, {}), call(made, {})]);
    expect(filesOf(new Catalogue({ "a.ts": { outer } }, noTables))).toEqual([
      ["a.ts", "made"],
      ["a.ts", "made"],
    ]);
  });
});

describe("the steps of a patch", () => {
  const inner = path("inner", { source }, [act("x")]);
  const other = path("other", { source }, [act("x"), call(() => inner, {})]);
  const base = path("base", { source }, [act("a"), call(() => inner, {}), act("b")]);
  const stepsOfPatch = (...edits: Edit[]): string[] =>
    [...new Catalogue({ "a.ts": { base } }, noTables, [{ name: "mine", edits }]).steps.values()]
      .filter(({ file }) => file === "patch mine")
      .map(({ path, step, nth }) => `${path} ${step} ${nth}`);

  const puts = (first: Path<object>["body"], last: Path<object>["body"]) => [
    before(base, "a", first),
    after(base, "b", last),
  ];

  it("are those that it puts into paths, and of the paths that they call or that run in the place of others", () => {
    expect(stepsOfPatch(...puts([act("y"), call(() => other, {})], []))).toEqual(["base y 1", "other x 1"]);
    expect(stepsOfPatch(recall(base, "inner", () => other))).toEqual(["other x 1"]);
    expect(stepsOfPatch(becomes(base, other))).toEqual(["other x 1"]);
  });

  it("and of the tasks that it brings", () => {
    const catalogue = new Catalogue({}, noTables, [{ name: "mine", edits: [], daemons: [{ path: other }] }]);
    expect(namesOf(catalogue)).toEqual(["x", "x"]);
  });

  it("two of one name in one path are two, in whichever edit they stand; one that stands in two edits is one", () => {
    expect(stepsOfPatch(...puts([act("y")], [act("y")]))).toEqual(["base y 1", "base y 2"]);
    const same = act("y");
    expect(stepsOfPatch(...puts([same], [same]))).toEqual(["base y 1"]);
  });
});

describe("the kernel's catalogue", () => {
  const has = (path: string, step: string, file: string) =>
    [...kernelSteps.steps.values()].some(
      (each) => each.path === path && each.step === step && each.file === file,
    );

  it("has steps of exported paths, of private ones, and of filesystems' operations", () => {
    expect(has("shrink_page_list", "__remove_mapping", "src/kernel/mm/vmscan.ts")).toBe(true);
    expect(has("try_to_release_page", "PageWriteback", "src/kernel/mm/vmscan.ts")).toBe(true);
    expect(has("ext4_finish_bio", "clear_buffer_async_write", "src/kernel/fs/ext4/page_io.ts")).toBe(true);
  });

  it("has the steps of merged patches and of proposals, each proposal's once", () => {
    expect(has("memfd_pin_folios", "try_grab_folio", "patch memfd-pin-folios")).toBe(true);
    expect(has("pin_page_for_dma", "pin_page_for_dma", "patch hubbard-lru-2018")).toBe(true);
    expect(has("try_to_release_page", "defer", "patch williams-defer-release-2018")).toBe(true);
    // What two proposals share is the first one's.
    expect(has("ext4_break_layouts", "up_write(inode->i_mmap_sem)", "patch wilcox-revoke-reset-2018")).toBe(
      false,
    );
  });

  it("names a source for every step", () => {
    expect([...kernelSteps.steps.values()].filter((each) => each.source === "")).toEqual([]);
  });
});
