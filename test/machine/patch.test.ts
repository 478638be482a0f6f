/** Edits of paths: what they make, and how they say that they do not apply. */
import { describe, expect, it } from "vitest";
import {
  anchorsOf,
  around,
  becomes,
  before,
  after as behind,
  type Edit,
  edited,
  locals,
  patcher,
  recall,
  remove,
  replace,
} from "../../src/machine/patch.js";
import { kind, pathLanguage } from "../../src/machine/path.js";
import { link } from "../../src/machine/program.js";

const { path, step, when, label, goto, call, check } = pathLanguage<{ said: string[] }>();
const source = "a test";
const say = (word: string) =>
  step<object>(word, (k) => {
    k.said.push(word);
  });

const inner = path("inner", { source }, [say("in")]);
const other = path("other", { source }, [say("other")]);
const base = path("base", { source, locals: { n: kind("int") } }, [
  say("one"),
  when("two", () => true, [say("three"), goto("end")]),
  call(() => inner, {}),
  say("one"),
  label("end"),
]);

const after_edit = (edit: Edit) => anchorsOf(edited(base, edit));

describe("a patch whose nodes go to a label", () => {
  const goes = { name: "goes", edits: [before<object>(base, "two", [goto("nowhere")])] };

  it("does not apply to a path that has no such label", () => {
    expect(() => patcher([goes])(base)).toThrow(
      'patch goes does not apply: base has no label "nowhere"; it has end:',
    );
  });

  it("applies when a later patch takes away what went to it", () => {
    const anchored = {
      name: "goes",
      edits: [behind<object>(base, "two", [when("four", () => true, [goto("nowhere")])])],
    };
    const takes = { name: "takes", edits: [remove(base, "four")] };
    expect(() => patcher([anchored])(base)).toThrow('no label "nowhere"');
    expect(anchorsOf(patcher([anchored, takes])(base))).not.toContain("four");
  });

  it("applies when another edit brings the label", () => {
    const brings = { name: "brings", edits: [behind<object>(base, "end:", [label("nowhere")])] };
    expect(anchorsOf(patcher([goes, brings])(base))).toContain("nowhere:");
  });
});

describe("an edit", () => {
  it("names a step, a test, a callee or a label, wherever it stands", () => {
    expect(anchorsOf(base)).toEqual(["one", "two", "three", "inner", "one", "end:"]);
  });

  it("puts nodes before and behind its anchor, and behind all of a test", () => {
    expect(after_edit(before("base", "three", [say("x")]))).toEqual([
      "one",
      "two",
      "x",
      "three",
      "inner",
      "one",
      "end:",
    ]);
    expect(after_edit(behind("base", "two", [say("x")]))).toEqual([
      "one",
      "two",
      "three",
      "x",
      "inner",
      "one",
      "end:",
    ]);
  });

  it("replaces a node with all that is in it, or removes it", () => {
    expect(after_edit(replace("base", "two", [say("x")]))).toEqual(["one", "x", "inner", "one", "end:"]);
    expect(after_edit(remove("base", "inner"))).toEqual(["one", "two", "three", "one", "end:"]);
  });

  it("calls another path in the place of one", () => {
    expect(after_edit(recall("base", "inner", () => other))).toContain("other");
  });

  it("does something around a step, the last edit outermost, and says what", () => {
    const wrap = (word: string) =>
      around("base", "three", word, (act) => (k, f) => {
        k.said.push(word);
        act(k, f);
      });
    const made = edited(edited(base, wrap("x")), wrap("y"));
    expect(anchorsOf(made)).toEqual(anchorsOf(base));
    const two = made.body[1];
    const three = two.op === "when" ? two.then[0] : two;
    const k = { said: [] as string[] };
    if (three.op === "step") three.run(k, {});
    expect([k.said, three.around]).toEqual([
      ["y", "x", "three"],
      ["x", "y"],
    ]);
    expect(() =>
      edited(
        base,
        around("base", "two", "x", (act) => act),
      ),
    ).toThrow('does not apply: "two" in base is no step');
  });

  it("names the second of its name by #2", () => {
    expect(after_edit(replace("base", "one#2", [say("x")]))).toEqual([
      "one",
      "two",
      "three",
      "inner",
      "x",
      "end:",
    ]);
  });

  it("leaves the path that it was made from as it was", () => {
    edited(base, remove("base", "inner"));
    expect(anchorsOf(base)).toContain("inner");
  });

  it.each<[Edit, RegExp]>([
    [
      remove("base", "four"),
      /^does not apply: base has no step "four"; it has one, two, three, inner, end:$/,
    ],
    [remove("base", "one"), /^does not apply: base has 2 steps "one"; one#1 names the first of them$/],
    [remove("base", "one#3"), /^does not apply: base has 2 steps "one", and no number 3$/],
    [recall("base", "one#1", () => other), /^does not apply: "one" in base is no call$/],
    [locals("base", { n: kind("int") }), /^does not apply: base has a local n already$/],
  ])("that has no place says so: %#", (edit, sentence) => {
    expect(() => edited(base, edit)).toThrow(sentence);
  });
});

describe("a list of patches", () => {
  it("is applied in its order: a later one finds what an earlier one has put there", () => {
    const patched = patcher([
      { name: "first", edits: [behind("base", "inner", [say("x")])] },
      { name: "second", edits: [replace("base", "x", [say("y")])] },
    ]);
    expect(anchorsOf(patched(base))).toEqual(["one", "two", "three", "inner", "y", "one", "end:"]);
    expect(patched(base)).toBe(patched(base));
    expect(patched(patched(base))).toBe(patched(base));
  });

  it("says which patch does not apply", () => {
    const patched = patcher([{ name: "mine", edits: [remove("base", "four")] }]);
    expect(() => patched(base)).toThrow(/^patch mine does not apply: base has no step "four"/);
  });

  it("another path runs in a path's place, and later patches find it by its own name", () => {
    const patched = patcher([
      { name: "first", edits: [becomes(inner, other)] },
      { name: "second", edits: [behind("other", "other", [say("x")]), remove("inner", "in")] },
    ]);
    expect(anchorsOf(patched(inner))).toEqual(["other", "x"]);
    const needy = path("needy", { source, args: { a: kind("int") } }, []);
    expect(() => edited(inner, becomes(inner, needy))).toThrow("needy needs a, which inner is not told");
  });

  it("leaves paths that it does not name as they are", () => {
    expect(patcher([{ name: "mine", edits: [remove("base", "inner")] }])(inner)).toBe(inner);
  });

  it("reaches every path that the linker meets: roots and callees", () => {
    const root = path("root", { source }, [
      check("go", () => true, "end"),
      call(() => base, {}),
      label("end"),
    ]);
    const patched = patcher([{ name: "mine", edits: [replace("inner", "in", [say("patched")])] }]);
    const steps = (options: Parameters<typeof link>[2]) =>
      link([root], {}, options).code.map(({ step: name }) => name);
    expect(steps({ patched })).toContain("patched");
    expect(steps({ patched })).not.toContain("in");
    expect(steps({})).toContain("in");
  });
});
