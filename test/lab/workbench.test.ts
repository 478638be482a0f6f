/**
 * The workbench. Two fixes that are known from the record are written by hand and tried: what v6.4 did, and what anybody would try first; and
 * each mistake that somebody can make in a patch has its sentence.
 */
import { describe, expect, it } from "vitest";
import {
  after,
  before as ahead,
  call,
  check,
  type Edit,
  explore,
  goto,
  int,
  type Kernel,
  kernelOf,
  lab,
  label,
  local,
  locals,
  makeKernel,
  type OwnPatch,
  type Pfn,
  page_count,
  page_dma_pinned,
  page_has_private,
  page_mapped,
  path,
  pfn,
  recall,
  remove,
  repeat,
  replace,
  replayWith,
  step,
  struct,
  trackings,
  u8,
  type WorkbenchOptions,
  when,
  workbench,
} from "../../src/index.js";
import { DISPLAY } from "../../src/plot/index.js";

const fixes = import.meta.glob<{ readonly default: OwnPatch }>("../fixes/*.mjs", { eager: true });
const fixOf = (name: string): OwnPatch => fixes[`../fixes/${name}.mjs`].default;
const ask_after_unmap = fixOf("ask-after-unmap");
const skip_referenced = fixOf("skip-referenced");

interface OnPage {
  readonly page: Pfn;
}

const SHRINK = "shrink_page_list";
/** Small: a pressed machine that comes to the end of shrink_page_list, cut short. */
const QUICK: WorkbenchOptions = { workloads: ["W1"], maxStates: 60_000 };

const patch = (edits: readonly Edit[], more: Partial<OwnPatch> = {}): OwnPatch => ({
  name: "mine",
  help: "a test",
  edits,
  ...more,
});

/** An edit at a place that reclaim comes to. */
const here = (...nodes: Parameters<typeof ahead<OnPage>>[2]): Edit =>
  ahead<OnPage>(SHRINK, "PageDirty#1", nodes);

describe("the fix of v6.4, written by hand against v6.3", () => {
  const made = workbench(ask_after_unmap, {
    kernel: "v6.3",
    workloads: ["W1,strip=drop", "W1", "W7"],
  });

  it("keeps W1 from losing the write, as v6.4 does: every interleaving", () => {
    const w1 = made.verdicts[1];
    expect([w1.change, w1.gone, w1.with.complete]).toEqual(["fixed", ["LOST", "WARN"], true]);
    expect(w1.with.states).toBe(explore("W1", { kernel: "v6.4" }).states);
  });

  it("leaves alone what does not reclaim, and says so", () => {
    expect(made.verdicts[2].change).toBe("untouched");
    expect(made.notes.join("\n")).toContain("W7 run no path that it edits");
  });

  it("differs from v6.3 by the step of the merged patch", () => {
    const added = (diff: string) => diff.split("\n").filter((line) => /^[+-] /.test(line));
    expect(added(made.diff)).toEqual(added(lab.kernelDiff("v6.3", "v6.4")));
  });
});

describe("the naive fix: look at the references before try_to_unmap", () => {
  const made = workbench(skip_referenced, { workloads: ["W1"] });
  const [w1] = made.verdicts;

  it("does not do: the page can be pinned between the look and the unmapping, and is not looked at when it is unmapped", () => {
    expect([w1.change, w1.with.outcomes, w1.reached]).toEqual(["same", ["BUG", "HANG", "WARN"], true]);
    const steps = w1.with.steps.map(({ task, step: name }) => `${task} ${name}`);
    const looked = steps.lastIndexOf("kswapd page_count");
    const pinned = steps.indexOf("dio follow_page_pte", looked);
    const unmapped = steps.indexOf("kswapd ptep_clear_flush", pinned);
    const stripped = steps.indexOf("kswapd try_to_free_buffers", unmapped);
    expect([looked, pinned, unmapped, stripped].map((at) => at + 1)).toEqual([29, 30, 36, 62]);
  });

  it("needs ten steps more than v4.20 alone", () => {
    const steps = ({ shortest }: typeof w1.with) => shortest.find(({ kind }) => kind === "BUG")?.steps;
    expect([steps(w1.without), steps(w1.with)]).toEqual([63, 73]);
  });

  it("gives lines that can be replayed in this session, by run, explore and whoever takes a kernel's name", () => {
    const line = w1.with.witness?.replay as string;
    expect(lab.run(line).outcomes).toContain("BUG");
    expect(
      lab.run("kara-2018", { kernel: made.kernel }).world.kernel.patches.map(({ name }) => name),
    ).toEqual(["skip-referenced"]);
    expect(kernelOf(`${made.kernel}+hubbard-ttu-2018`).patches.at(-1)?.name).toBe("hubbard-ttu-2018");
    expect(lab.kernelDiff("v4.20", made.kernel, SHRINK)).toBe(made.diff);
    expect(replayWith(skip_referenced, line).outcomes).toContain("BUG");
    expect(() => replayWith(skip_referenced, "W1@v4.20:p1")).toThrow(
      "the replay line is of kernel v4.20, which does not end in +skip-referenced",
    );
  });

  it("reads as a table, with the shortest way to each fault", () => {
    expect(`${made}`).toMatch(/^W1 +BUG, HANG, WARN +BUG, HANG, WARN +same +\d+ states, \d+ states$/m);
    expect(`${made}`).toContain(
      "W1 BUG: reached in 73 steps, no way is shorter\n  replay: dio-reclaim@v4.20+skip-referenced:",
    );
    expect((made as unknown as { [DISPLAY](): object })[DISPLAY]()).toEqual({ "text/plain": `${made}` });
    const report = JSON.parse(JSON.stringify(made));
    expect(report).toMatchObject({
      patch: "skip-referenced",
      kernel: made.kernel,
      without: "v4.20",
      finished: true,
    });
    expect(report.verdicts[0].with.ways[0]).toMatchObject({ kind: "BUG", steps: 73, shortest: true });
  });
});

describe("a patch", () => {
  it("asks page_dma_pinned with a tracking that it brings along; asking once is too little while pageout() gives the lock away", () => {
    const spare = patch(
      [
        here(
          when("page_dma_pinned", (k: Kernel, f) => page_dma_pinned(k, f.page), [goto("activate_locked")]),
        ),
      ],
      { needs_one: trackings },
    );
    const made = workbench(spare, { workloads: ["W1"] });
    expect(made.brought.slice(-2)).toEqual(["hubbard-put-user-page-2018", "kara-count-2018"]);
    expect(`${made}`).toMatch(
      /^brings hubbard-put-user-page-2018 and kara-count-2018, with \d+ patches that these need$/m,
    );
    expect(made.verdicts[0].change).toBe("same");
  });

  it("has columns of its own, steps in the place of others, calls of its own paths, and locals", () => {
    const seen = struct("seen", { seen: u8("1 when reclaim has met the page") });
    const note = path("note", { source: "none", args: { page: pfn } }, [
      step("note", (k, f) => {
        k.of(seen).seen[f.page] = 1;
      }),
    ]);
    const edits = [
      locals(SHRINK, { noted: int }),
      here(
        call(() => note, { page: "page" }),
        local((k, f) => {
          (f as unknown as { noted: number }).noted = k.of(seen).seen[f.page];
        }),
        local((_, f) => {
          (f as unknown as { noted: number }).noted = 0;
        }),
      ),
      replace<OnPage>(SHRINK, "page_has_private", [
        check("page_has_private", (k, f) => page_has_private(k, f.page), "mine"),
        label("mine"),
      ]),
    ];
    const made = workbench(patch(edits, { tables: [{ struct: seen, rows: (g) => g.pages }] }), QUICK);
    const diff = made.diff.split("\n").filter((line) => /^[+-] /.test(line));
    expect(diff.slice(0, 2)).toEqual(["+    call note", expect.stringContaining("page_has_private")]);
    expect(made.verdicts[0].reached).toBe(true);
    expect(lab.open("W1", { kernel: made.kernel }).k.of(seen).seen).toHaveLength(1);
  });

  it("can take a step away, or have another path called", () => {
    const idle = path("idle", { source: "none", args: { page: pfn }, returns: int }, [
      step("idle", () => {}),
    ]);
    const made = workbench(
      patch([remove(SHRINK, "SetPageReclaim#1"), recall(SHRINK, "pageout", () => idle)]),
      QUICK,
    );
    expect(made.diff).toContain("-      call pageout");
    expect(made.diff).toContain("+      call idle");
  });

  it("that nobody comes to is told from one that changes nothing", () => {
    const made = workbench(patch([here(step("idle", () => {}))], { name: "idle" }), {
      workloads: ["W18", "W2"],
    });
    expect(made.notes).toEqual([
      "W2 runs no path that it edits: it changes nothing there",
      "W18 never came to what it adds",
    ]);
    expect(made.verdicts.map(({ change }) => change)).toEqual(["same", "untouched"]);
  });

  it("may be named like an earlier one of this session, and says what that means", () => {
    const first = workbench(patch([here(step("one", () => {}))], { name: "twice" }), { workloads: ["W2"] });
    const second = workbench(patch([here(step("two", () => {}))], { name: "twice" }), { workloads: ["W2"] });
    expect(first.notes.join()).not.toContain("takes the place");
    expect(second.notes[0]).toBe(
      "takes the place of another patch twice, whose replay lines are good no more",
    );
    expect(lab.kernelDiff("v4.20", "v4.20+twice")).toContain("+    two");
  });

  it("leaves a search that is interrupted with what there is", () => {
    let asked = 0;
    const made = workbench(patch([here(step("idle", () => {}))]), {
      workloads: ["W2", "W1", "W7"],
      progress: ({ workload }) => workload === "W2" || ++asked < 1,
    });
    expect([made.finished, made.verdicts.length]).toEqual([false, 1]);
    expect(made.notes.at(-1)).toBe("interrupted before W1 and W7 had a verdict");
  });
});

describe("a mistake has its sentence", () => {
  const wrong = (given: OwnPatch, options: WorkbenchOptions = QUICK) => {
    try {
      workbench(given, options);
    } catch (error) {
      expect((error as Error).name).toBe("Error");
      return (error as Error).message;
    }
    return "nothing is wrong";
  };
  const AT = 'patch mine, edit 1 (before "PageDirty#1" of shrink_page_list)';
  const page = struct("wrong_rows", { seen: u8("a column") });
  const counting = here(
    step("count", (k, f) => {
      k.of(page).seen[f.page]++;
    }),
  );

  const sentences: readonly (readonly [string, OwnPatch, string | RegExp])[] = [
    [
      "no such path",
      patch([ahead("shrink_pagelist", "PageDirty#1", [])]),
      'patch mine, edit 1 (before "PageDirty#1" of shrink_pagelist): does not apply: v4.20 has no path "shrink_pagelist"; did you mean shrink_page_list?',
    ],
    [
      "no such step",
      patch([ahead(SHRINK, "PageDrty", [])]),
      /^patch mine, edit 1 \(before "PageDrty" of shrink_page_list\): does not apply: shrink_page_list has no step "PageDrty"; did you mean PageDirty\? It has trylock_page#1, /,
    ],
    [
      "ambiguous step",
      patch([remove(SHRINK, "try_to_unmap")]),
      'patch mine, edit 1 (replace "try_to_unmap" of shrink_page_list): does not apply: shrink_page_list has 2 steps "try_to_unmap": write try_to_unmap#1 (after page_mapped) or try_to_unmap#2 (after page_mapped)',
    ],
    [
      "a number that no step has",
      patch([remove(SHRINK, "try_to_unmap#3")]),
      /does not apply: shrink_page_list has 2 steps "try_to_unmap", and no number 3$/,
    ],
    [
      "a call that is none",
      patch([recall(SHRINK, "page_has_private", () => path("p", { source: "none" }, []))]),
      /does not apply: "page_has_private" in shrink_page_list is no call$/,
    ],
    [
      "a label that is none",
      patch([here(goto("keep_lockd"))]),
      `${AT}: leaves shrink_page_list without the label "keep_lockd", to which it goes; it has unmap, written, clean, activate_locked, keep_locked, unlock, keep and next`,
    ],
    [
      "a label that others go to",
      patch([remove(SHRINK, "keep_locked:")]),
      /leaves shrink_page_list without the label "keep_locked", to which it goes/,
    ],
    [
      "a label that is there already",
      patch([here(label("keep_locked"))]),
      `${AT}: would give shrink_page_list a second label "keep_locked"`,
    ],
    [
      "a step that throws",
      patch([
        here(
          step("boom", (): void => {
            throw new TypeError("not so");
          }),
        ),
      ]),
      "patch mine: shrink_page_list/boom throws: TypeError: not so",
    ],
    [
      "a local that is none",
      patch([here(when("page_mapped", (k, f) => page_mapped(k, (f as unknown as { pgae: Pfn }).pgae), []))]),
      "patch mine: shrink_page_list/page_mapped throws: its path has no local pgae",
    ],
    [
      "a test that answers with a number",
      patch([here(when("page_count", ((k: Kernel, f: OnPage) => page_count(k, f.page)) as never, []))]),
      /^patch mine: shrink_page_list\/page_count answers \d+ where true or false is needed$/,
    ],
    [
      "a step of the kernel's that a patch breaks",
      patch([
        here(
          step("put_page", (k, f) => {
            k.page._refcount[f.page]--;
          }),
        ),
      ]),
      /^patch mine on W1: .*\/\w+ cannot go on: unlock_page: page 0 is not locked; without the patch it can: the patch breaks what this step relies on, or guplab has a fault$/,
    ],
    [
      "a loop without a step",
      patch([here(repeat(() => true, [local(() => {})]))]),
      /^patch mine on W1: shrink_page_list loops without a step, behind shrink_page_list\/\w+: nobody else could ever run; a loop needs a step in it$/,
    ],
    [
      "a goto in a circle",
      patch([here(label("again"), goto("again"))]),
      /^patch mine on dio-reclaim: link: shrink_page_list loops without a step$/,
    ],
    [
      "a table of zero rows",
      patch([counting], { tables: [{ struct: page, rows: () => 0 }] }),
      "patch mine: its struct wrong_rows has no rows on any machine here; rows is a function of the machine, such as (g) => g.pages for a row a page",
    ],
    [
      "a table of no whole number of rows",
      patch([counting], { tables: [{ struct: page, rows: () => Number.NaN }] }),
      "patch mine: its struct wrong_rows has NaN rows on dio-reclaim; rows is a function of the machine, such as (g) => g.pages",
    ],
    [
      "a table that is forgotten",
      patch([counting]),
      "patch mine: shrink_page_list/count asks for struct wrong_rows, which the machine lacks: tables: [{ struct: wrong_rows, rows: (g) => g.pages }] gives it one",
    ],
    [
      "a patch's name that exists",
      patch([here()], { name: "keep-private-of-pinned" }),
      "there is a patch keep-private-of-pinned already; choose another name",
    ],
    [
      "a kernel's name",
      patch([here()], { name: "v6.4" }),
      "there is a kernel v6.4 already; choose another name",
    ],
    [
      "a name that no replay line could have",
      patch([here()], { name: "my fix" }),
      'a patch\'s name is a word of letters, digits, dots and dashes, such as "my-fix", not "my fix"',
    ],
    ["no help", patch([here()], { help: "" }), "patch mine lacks help: one sentence that says what it does"],
    ["no edits", patch([]), "patch mine has no edits: it changes nothing"],
    [
      "an edit that is none",
      patch([{} as Edit]),
      "patch mine: edit 1 is none: before(...), after(...), replace(...) and the like make one",
    ],
    [
      "a need that is none",
      patch([here()], { needs: ["my-other-fix"] }),
      'patch mine needs "my-other-fix", and there is no such patch',
    ],
    ["no patch at all", "five" as unknown as OwnPatch, /^a patch is an object: \{ name, help, edits: /],
  ];

  it.each(sentences)("%s", (_, given, sentence) => {
    if (typeof sentence === "string") expect(wrong(given)).toBe(sentence);
    else expect(wrong(given)).toMatch(sentence);
  });

  it("a patch that cannot run is not known afterwards", () => {
    wrong(patch([counting], { name: "gone" }));
    expect(() => kernelOf("v4.20+gone")).toThrow('there is no patch "gone"');
  });

  it("by the names that the kernel has", () => {
    const given = patch([ahead("shrink_folio_list", "folio_test_drty", [])]);
    expect(wrong(given, { kernel: "v6.3", workloads: ["W2"] })).toContain(
      'does not apply: shrink_folio_list has no step "folio_test_drty"; did you mean folio_test_dirty?',
    );
  });

  it("workloads and kernels that are none", () => {
    const given = patch([here()]);
    expect(wrong(given, { workloads: ["W77"] })).toMatch(/^there is no scenario "W77"/);
    expect(wrong(given, { workloads: ["sandbox"] })).toMatch(/^sandbox takes orders/);
    expect(wrong(given, { workloads: [] })).toBe(
      "the workbench needs a workload: W1 to W18 are the standard ones",
    );
    expect(wrong(given, { kernel: "v4.20+mine2" })).toMatch(/^there is no patch "mine2"/);
    makeKernel(patch([here()]), "v4.20");
    expect(wrong(given, { kernel: "v4.20+mine" })).toBe("v4.20+mine has a patch mine already");
  });

  it("`after` stands behind a whole test: the rest of the path goes on there", () => {
    const made = makeKernel(patch([after<OnPage>(SHRINK, "page_mapped#1", [step("idle", () => {})])]));
    expect(lab.kernelDiff("v4.20", made)).toContain("+      idle");
  });
});
