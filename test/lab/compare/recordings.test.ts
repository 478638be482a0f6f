/**
 * Recordings of real kernels (notebooks/data) against guplab: the same workload on the same kernel has the same outcome, the same error numbers, moves the same
 * counters and does the same to each page, in the same order.
 */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { readFolder } from "../../../src/cli/compare.js";
import { compare, kernelFor } from "../../../src/lab/compare/compare.js";
import { lifeOf } from "../../../src/lab/compare/life.js";
import { type Recorded, readRecorded } from "../../../src/lab/compare/recorded.js";
import { CUTS, HOLDERS, STRIPS, WORKLOADS } from "../../../src/lab/compare/workloads.js";

const folder = (name: string): string => new URL(`../../../notebooks/data/${name}`, import.meta.url).pathname;
const recorded = (name: string): Recorded => readFolder(folder(name));
/** A recording that says only what was done. */
const saying = (workload: string, more: Readonly<Record<string, unknown>> = {}): Recorded =>
  readRecorded(
    JSON.stringify({ run: "a test", kernel_release: "6.1.192", workload: `gupw ${workload}`, ...more }),
    null,
  );

describe("guplab agrees with the recording", () => {
  it.each([
    ["a-mmapwrite-6.1", "v6.1.192", 17 + 1],
    ["a-mmapwrite-6.12", "v6.12", 17 + 1],
    // Nine outcomes, 25 counters; the first page has the warning, the others have not.
    ["b-dio-pageout-6.1", "v6.1.192", 9 + 25 + 2],
    ["b-dio-pageout-6.12", "v6.12", 9 + 25 + 1],
    ["b-dio-pageout-xfs-6.1", "v6.1.192", 9 + 25 + 1],
    ["c-pvmw-pageout-6.1", "v6.1.192", 9 + 25 + 1],
    ["d-vmsplice-6.1", "v6.1.192", 6 + 13 + 1],
    ["e-matrix-6.1", "v6.1.192", 36 + 9],
    ["f-dio-truncate-6.1", "v6.1.192", 8 + 21 + 1],
  ])("%s, on %s, in %i things", (name, kernel, things) => {
    const { compared, agree, kernel: ran } = compare(recorded(name));
    expect(compared.filter((each) => !each.agree)).toEqual([]);
    expect([ran, agree, compared.length]).toEqual([kernel, true, things]);
  });

  it("the lives of all pages of the file are compared", () => {
    const { compared } = compare(recorded("b-dio-pageout-6.1"));
    const lives = compared.filter(({ about }) => about === "page");
    expect(lives.map(({ pages }) => pages)).toEqual([1, 63]);
    expect(lives[1].guplab).toBe(
      "dirty, tagged dirty, mapped, taken, clean, writeback begins, no dirty tag, writeback ends, unmapped, loses its buffers, stripped by reclaim, reclaim backs out, dirty, tagged dirty, let go, ext4 warns: no buffers, clean",
    );
  });
});

describe("it disagrees where another kernel ran, and says in what", () => {
  const different = (name: string, kernel: string): string[] =>
    compare(recorded(name), kernel)
      .compared.filter(({ agree }) => !agree)
      .map(({ what }) => what);

  it("the recorded loss does not happen on v6.4", () => {
    const what = different("b-dio-pageout-6.1", "v6.4");
    expect(what).toEqual(
      expect.arrayContaining([
        "buffers_stripped_while_pinned",
        "warn",
        "holder_data_on_disk",
        'nr_foll_pin_acquired at "pinned"',
        'nr_dirty at "end"',
      ]),
    );
    expect(what.some((each) => each.includes("pages"))).toBe(true);
  });

  it("v6.1 as released strips the page that process_vm_writev has pinned: 6.1.192 has the backport", () => {
    expect(different("c-pvmw-pageout-6.1", "v6.1")).toEqual(
      expect.arrayContaining(["buffers_stripped_while_pinned", "holder_data_on_disk"]),
    );
  });

  it("v6.12 refuses long-term pins of files: the matrix differs in what needs them", () => {
    const what = different("e-matrix-6.1", "v6.12").filter((each) => each.includes(" of "));
    expect(what).toContain("io_uring_register_buffers of ext4-shared-rw");
    expect(what).toContain("af_xdp_umem of xfs-shared-rw");
    expect(what).not.toContain("vmsplice of ext4-shared-rw");
  });

  it("a counter that was wrong by one is not waved through as metadata", () => {
    const real = recorded("c-pvmw-pageout-6.1");
    const delta = { ...real.delta, nr_foll_pin_released: 15 };
    const { compared } = compare({ ...real, delta });
    expect(compared.filter(({ agree }) => !agree).map(({ what }) => what)).toEqual([
      "nr_foll_pin_released in all",
    ]);
  });
});

describe("a recording nobody has tried", () => {
  const HOW = [
    ...Object.keys(STRIPS).map((how) => ["strip", how]),
    ...Object.keys(CUTS).map((how) => ["trunc", how]),
  ];
  const words = Object.keys(HOLDERS).flatMap((holder) => [
    ...HOW.map(([word, how]) => `${word} ${holder} ${how} /mnt/ext4/f 4 /mnt/slow/f`),
    `race ${holder} pageout /mnt/ext4/f 2`,
    `reflink ${holder} /mnt/xfs/f 4`,
    `fork ${holder} 4`,
  ]);

  it.each(words)("%s gives a verdict on every outcome that it says", (workload) => {
    const outcome = { pin_errno: 0, warn: 0, something_new: 3 };
    const { compared, notCompared } = compare(saying(workload, { outcome }));
    expect(compared.map(({ what }) => what)).toContain("warn");
    expect(notCompared).toContain("outcome something_new (3): guplab's script does not find it out");
  });

  it("a race's outcome is one of those that can come out", () => {
    const race = (warn: number) =>
      compare(saying("race dio pageout /mnt/ext4/f 4", { outcome: { warn } })).compared[0];
    expect([race(0).agree, race(1).agree, race(7).agree]).toEqual([true, true, false]);
  });

  it("of a release whose flags are not known, everything but the lives of pages is compared", () => {
    const text = readFileSync(`${folder("b-dio-pageout-6.1")}/outcome.json`, "utf8");
    const other = readRecorded(
      text.replace("6.1.0-56-amd64", "5.19.0").replace("6.1.192-2", "5.19.11-1"),
      "# tracer: nop\n",
    );
    const { kernel, notCompared, compared } = compare(other);
    expect(kernel).not.toBe("v6.1.192");
    expect(compared.length).toBeGreaterThan(20);
    expect(notCompared[0]).toMatch(/^lives of pages: /);
  });

  it.each([
    ["6.1.192", "v6.1.192"],
    ["6.1.200", "v6.1.192"],
    ["6.1.50", "v6.1"],
    ["6.2.3", "v6.2"],
    ["6.12.117", "v6.12"],
    ["4.20", "v4.20"],
    ["5.10.3", "v5.9"],
  ])("Linux %s is done again on %s", (version, kernel) => {
    expect(kernelFor(version)).toBe(kernel);
  });
});

describe("a recording of another form is refused in one sentence", () => {
  it.each([
    ["no JSON", "{", "outcome.json is no JSON"],
    ["a list", "[]", "outcome.json is no object"],
    ["no release", '{"run": "x"}', 'it needs "kernel_release"'],
    ["no workload", '{"run": "x", "kernel_release": "6.1", "workload": "gupw"}', "has no words"],
    [
      "no number",
      '{"run": "x", "kernel_release": "next", "workload": "gupw strip"}',
      '"next" is no release of Linux',
    ],
  ])("%s", (_, text, sentence) => {
    expect(() => readRecorded(text, null)).toThrow(sentence);
  });

  it.each([
    ["dance", 'there is no workload "dance"; known: strip'],
    ["strip", "the workload names no way to take buffers away; known: pageout, reclaim, hog, dropcaches"],
    ["strip glue pageout /mnt/ext4/f 4", '"glue" is no way to hold pages; known: dio, pvmw'],
    ["strip dio pageout /mnt/ext4/f lots", '"lots" is no number of pages'],
    ["strip dio pageout /mnt/ext4/f 6400", "a sandbox has 64 at most"],
    ["strip dio pageout /mnt/nfs/f 4", '"/mnt/nfs/f" does not say what it lies on'],
    ["matrix /mnt/ext4/g1", 'a matrix without tries: outcome.json needs "tries"'],
  ])("%s", (workload, sentence) => {
    expect(() => compare(saying(workload))).toThrow(sentence);
  });

  it("a kernel that is older than all, and a folder that is none", () => {
    expect(() => kernelFor("3.10")).toThrow("there is no kernel for Linux 3.10; known: v4.20");
    expect(() => readFolder("/nowhere")).toThrow("/nowhere is no folder");
  });
});

it("every workload of the list has a script, and a life ends where a page leaves its file", () => {
  expect(Object.keys(WORKLOADS).sort()).toEqual(
    ["fork", "matrix", "mmapwrite", "race", "reflink", "strip", "trunc", "vmsplice"].sort(),
  );
  const { trace } = recorded("a-mmapwrite-6.1");
  if (typeof trace === "string") throw new Error(trace);
  const page = trace.pfn.find((pfn) => pfn >= 0) ?? 0;
  expect(lifeOf(trace, page, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY).at(-1)).toBe(
    "leaves its file",
  );
});
