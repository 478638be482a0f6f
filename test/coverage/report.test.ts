import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { TestProject } from "vitest/node";
import type { Step } from "./catalogue.js";
import { isWhole, judge, marksIn } from "./global.js";
import { byFile, merge, summary, unreached } from "./report.js";

const made = (file: string, path: string, step: string, nth = 1): [string, Step] => [
  `${file} ${path} ${step} ${nth}`,
  { file, path, step, nth, source: `${file.replace(".ts", ".c")} v4.20` },
];

const steps = new Map([
  made("mm/b.ts", "shrink", "PageDirty"),
  made("mm/b.ts", "shrink", "PageDirty", 2),
  made("mm/b.ts", "pageout", "writepage"),
  made("fs/a.ts", "fsync", "wait_on_page_writeback"),
]);
const some = merge(steps, ["mm/b.ts shrink PageDirty 1", "mm/b.ts pageout writepage 1"]);
const all = merge(steps, steps.keys());

describe("what is reached", () => {
  it("is what any worker marked", () => {
    const folder = mkdtempSync(join(tmpdir(), "guplab-report-"));
    writeFileSync(join(folder, "1.json"), JSON.stringify(["mm/b.ts shrink PageDirty 2"]));
    writeFileSync(join(folder, "2.json"), JSON.stringify(["fs/a.ts fsync wait_on_page_writeback 1"]));
    const merged = merge(steps, marksIn(folder));
    expect(readdirSync(folder).length).toBe(2);
    rmSync(folder, { recursive: true });
    expect(merged.map(({ reached }) => reached)).toEqual([false, true, false, true]);
    expect(merged[1]).toEqual({
      file: "mm/b.ts",
      path: "shrink",
      step: "PageDirty",
      nth: 2,
      source: "mm/b.c v4.20",
      reached: true,
    });
  });

  it("a mark of no step is a fault", () => {
    expect(() => merge(steps, ["mm/b.ts shrink gone 1"])).toThrow(
      'merge: a test reached "mm/b.ts shrink gone 1", which is no step now',
    );
  });
});

describe("the tables", () => {
  it("name path, step and source of what no test reaches", () => {
    expect(unreached(some).split("\n")).toEqual([
      "steps: 2 of 4 reached",
      "  shrink  PageDirty (#2)          mm/b.c v4.20",
      "  fsync   wait_on_page_writeback  fs/a.c v4.20",
    ]);
    expect(unreached(all)).toBe("steps: 4 of 4 reached");
  });

  it("count by file and path", () => {
    expect(byFile(some).split("\n")).toEqual([
      "fs/a.ts: 0 of 1",
      "  fsync  0 of 1  not wait_on_page_writeback",
      "mm/b.ts: 2 of 3",
      "  shrink   1 of 2  not PageDirty (#2)",
      "  pageout  1 of 1",
    ]);
  });
});

describe("a run fails", () => {
  const whole = { whole: true, byFile: false, reportOnly: false };

  it("when all tests ran and a step was not reached", () => {
    expect(judge(some, whole)).toEqual({
      text: `${unreached(some)}\n\nThe run fails: every step must be reached by some test.`,
      fails: true,
    });
    expect(judge(all, whole)).toEqual({ text: summary(all), fails: false });
  });

  it("not when it is only to report, or only some tests ran, of which nothing is said unless asked", () => {
    expect(judge(some, { ...whole, reportOnly: true })).toEqual({ text: unreached(some), fails: false });
    expect(judge(some, { ...whole, whole: false })).toEqual({ text: "", fails: false });
    expect(judge(some, { ...whole, byFile: true }).text).toContain(`${byFile(some)}\n\n${unreached(some)}`);
    expect(judge(some, { ...whole, whole: false, byFile: true })).toEqual({
      text: `${byFile(some)}\n\nsteps: 2 of 4 reached`,
      fails: false,
    });
  });
});

describe("all tests ran", () => {
  /** A vitest project with two files of tests, after a run of some of them with so many skipped tests in each. */
  const project = (ran: Readonly<Record<string, number>>, cliExclude?: string[]) =>
    ({
      globTestFiles: async () => ({ testFiles: ["a.test.ts", "b.test.ts"], typecheckTestFiles: [] }),
      vitest: {
        config: { cliExclude },
        state: {
          getTestModules: () =>
            Object.entries(ran).map(([moduleId, skipped]) => ({
              moduleId,
              children: { allTests: () => Array(skipped).values() },
            })),
        },
      },
    }) as unknown as TestProject;

  it("when each file ran and no test was skipped", async () => {
    expect(await isWhole(project({ "a.test.ts": 0, "b.test.ts": 0 }))).toBe(true);
  });

  it("not when a file was not asked for, or is excluded, or a test was skipped as its name was not asked for", async () => {
    expect(await isWhole(project({ "a.test.ts": 0 }))).toBe(false);
    expect(await isWhole(project({ "a.test.ts": 0, "b.test.ts": 0 }, ["c.test.ts"]))).toBe(false);
    expect(await isWhole(project({ "a.test.ts": 0, "b.test.ts": 3 }))).toBe(false);
  });
});
