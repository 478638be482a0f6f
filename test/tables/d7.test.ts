/**
 * D7 of the proposals' reference: the cases of the selftest cow.c, one page each, on every kernel. Nothing is stated
 * but between which kernels a case goes wrong; each case is run on all of them.
 *
 * What differs from the reference's words, by the source of each release:
 * - rows 3, 4 and 6 of a page that was in swap leak up to v5.17, not up to v5.7: do_swap_page asks reuse_swap_page
 *   until c145e0b47c77 (reuse-by-references);
 * - rows 11 to 14, for which it names no failure, are stale from v5.9 to v5.18, as row 7 is: do_wp_page counts the
 *   pin as somebody else's reference;
 * - rows 9 and 10 (anonymous memory) end with v5.19, v6.2 is about pages of files and the zero page: the
 *   non-anonymous cases;
 * - v5.8 is alone: it makes the copy before it takes a reference, whatever that is for (force-cow-break), and v5.9
 *   took it back. Rows 5 and 8, where the page was taken before the fork, are as before; all others are right there,
 *   those that v5.9 has wrong again, too;
 * - row 8 ends with v5.9: a fixed buffer is pinned by the slow path, which write_protect_seq (v5.11) is not about.
 */
import { describe, expect, it } from "vitest";
import type { Kernel } from "../../src/kernel/kernel.js";
import { FOLL } from "../../src/kernel/mm/gup.js";
import { NONE } from "../../src/kernel/types.js";
import { kernels } from "../../src/patches/kernels.js";
import { FOLL_LONGTERM } from "../../src/patches/longterm_flag.js";
import { FOLL_PIN } from "../../src/patches/pin_user_pages.js";
import { type Backing, Cow } from "./cow.js";
import { type Listed, whole } from "./rows.js";

/** What a case asks: whether one process sees the other's write, or whether a pin is of the page that its process sees. */
type Outcome = "no leak" | "leak" | "reliable" | "stale";

const leaks = (leak: boolean): Outcome => (leak ? "leak" : "no leak");
const MPROTECT = ["protect", "unprotect"] as const;

/** Whether the child sees, in its memory, what its parent writes after the fork. */
function cow_in_parent(c: Cow, ...first: readonly string[]): Outcome {
  c.does("fork", "child_reads");
  const old = c.child;
  return leaks(c.does(...first, "write", "child_reads").child !== old);
}
/** Whether the pipe shows it, which has the page that the child has unmapped. */
function vmsplice_in_child(c: Cow, ...first: readonly string[]): Outcome {
  c.does("fork", "child_splices", "child_unmaps");
  const old = c.pipe;
  return leaks(c.does(...first, "write").pipe !== old);
}
/** The other way round. */
function vmsplice_in_parent(c: Cow, ...order: readonly string[]): Outcome {
  c.does(...order, "unmap");
  const old = c.pipe;
  return leaks(c.does("child_writes").pipe !== old);
}
/** Whether a pin is of the page that the process sees once it has written. */
const then_written = (c: Cow, ...order: readonly string[]): Outcome =>
  c.does(...order, "write").reliable ? "reliable" : "stale";

/** The kernels, from the first to the last of which it goes wrong. */
type Wrong = readonly [first: string, last: string] | null;

const COUNTS_PINS: Wrong = ["v5.9", "v5.18"];
const ANON: readonly (readonly [
  row: number,
  what: string,
  base: Wrong,
  swapped: Wrong,
  run: (c: Cow) => Outcome,
])[] = [
  [1, "fork, the parent writes", null, null, (c) => cow_in_parent(c)],
  [2, "fork, mprotect, the parent writes", null, null, (c) => cow_in_parent(c, ...MPROTECT)],
  [
    3,
    "CVE-2020-29374: the child gives its page to a pipe and unmaps it, the parent writes",
    ["v4.20", "v5.7"],
    // Not COUNTS_PINS' last: v5.18 counts references at swap-in.
    ["v4.20", "v5.17"],
    (c) => vmsplice_in_child(c),
  ],
  [
    4,
    "the same with mprotect",
    ["v4.20", "v5.7"],
    ["v4.20", "v5.17"],
    (c) => vmsplice_in_child(c, ...MPROTECT),
  ],
  [
    5,
    "the parent gives its page to a pipe, forks, unmaps it, the child writes",
    ["v4.20", "v5.7"],
    // It is in memory by the time of the fork.
    ["v4.20", "v5.7"],
    (c) => vmsplice_in_parent(c, "splice", "fork"),
  ],
  [
    6,
    "the same after the fork",
    ["v4.20", "v5.7"],
    ["v4.20", "v5.17"],
    (c) => vmsplice_in_parent(c, "fork", "splice"),
  ],
  [
    7,
    "a fixed buffer, mprotect, the process writes",
    COUNTS_PINS,
    COUNTS_PINS,
    (c) => then_written(c, "register", ...MPROTECT),
  ],
  [
    8,
    "a fixed buffer, fork, the parent writes (F73)",
    ["v4.20", "v5.7"],
    ["v4.20", "v5.7"],
    (c) => then_written(c, "register", "fork"),
  ],
  [
    9,
    "a pin for reading of a page that a child has, too",
    ["v4.20", "v5.18"],
    ["v4.20", "v5.18"],
    (c) => then_written(c, "fork", "pin"),
  ],
  [
    10,
    "by the fast path",
    ["v4.20", "v5.18"],
    ["v4.20", "v5.18"],
    (c) => then_written(c, "fork", "pin_fast"),
  ],
  [
    11,
    "a pin for reading of a page that a child had",
    COUNTS_PINS,
    COUNTS_PINS,
    (c) => then_written(c, "fork", "child_exits", "pin"),
  ],
  [
    12,
    "by the fast path",
    COUNTS_PINS,
    COUNTS_PINS,
    (c) => then_written(c, "fork", "child_exits", "pin_fast"),
  ],
  [
    13,
    "a pin for reading of a page of one process that is mapped read-only",
    COUNTS_PINS,
    COUNTS_PINS,
    (c) => then_written(c, ...MPROTECT, "pin"),
  ],
  [14, "by the fast path", COUNTS_PINS, COUNTS_PINS, (c) => then_written(c, ...MPROTECT, "pin_fast")],
];

/** A release as a number: v6.1.192 comes behind v6.1, a year behind all. */
function order(name: string): number {
  const [major, minor = 0, stable = 0] = name.replace("v", "").split(".").map(Number);
  return major * 1_000_000 + minor * 1000 + stable;
}

/** v5.8 makes copies first: only a page that was taken before the fork can go wrong. */
const WRONG_ON_5_8 = [5, 8];

/** Whether a case goes wrong on a kernel; a stable kernel is as the release whose name it has. */
const goes_wrong = (name: string, wrong: Wrong, row: number): boolean =>
  name === "v5.8"
    ? WRONG_ON_5_8.includes(row)
    : wrong !== null && order(name) >= order(wrong[0]) && order(name) <= order(wrong[1]) + 999;

const WRONG: readonly Outcome[] = ["leak", "stale"];

/** Run a case on every kernel. */
function everywhere(backing: Backing, wrong: Wrong, run: (c: Cow) => Outcome, row = 0): void {
  const found = kernels.map(({ name }) => [name, WRONG.includes(run(new Cow(name, backing)))]);
  expect(found).toEqual(kernels.map(({ name }) => [name, goes_wrong(name, wrong, row)]));
}

const when = (wrong: Wrong): string =>
  wrong === null ? "never wrong" : `wrong from ${wrong[0]} to ${wrong[1]}`;

describe("D7: anonymous memory", () => {
  for (const [row, what, base, swapped, run] of ANON) {
    it(`${row} ${what}; ${when(base)}`, () => everywhere("base page", base, run, row));
    it(`${row} of a page that was in swap; ${when(swapped)}`, () =>
      everywhere("swapped-out base page", swapped, run, row));
  }
});

const FILES = ["zeropage", "memfd", "tmpfile"] as const;

/** The page that the process saw before it wrote. */
const shown = ({ k }: { k: Kernel }): number => (k.pte.entry[0] === 0 ? NONE : k.pte.entry[0] >>> 4);

describe("D7: private mappings of files, and the zero page", () => {
  for (const backing of FILES) {
    it(`a write does not reach the page of ${backing}; never wrong`, () =>
      everywhere(backing, null, (c) => {
        const page = shown(c.h);
        const old = c.h.k.content.version[page];
        c.does("write");
        expect(shown(c.h)).not.toBe(page);
        return leaks(c.h.k.content.version[page] !== old);
      }));
    for (const pin of ["pin", "pin_fast"])
      it(`${backing}: a long-term pin for reading (${pin}); wrong from v4.20 to v6.1`, () =>
        everywhere(backing, ["v4.20", "v6.1"], (c) => then_written(c, pin)));
  }
});

/** gup_must_unshare: what a pin of a page in a read-only PTE comes to. */
const VECTORS: readonly (readonly [
  what: string,
  backing: Backing,
  flags: number,
  first: readonly string[],
  unshares: boolean,
])[] = [
  ["FOLL_WRITE: no", "base page", FOLL_PIN | FOLL_LONGTERM | FOLL.WRITE, ["fork"], false],
  ["FOLL_GET only: no", "base page", 0, ["fork"], false],
  ["FOLL_PIN, anonymous, exclusive: no", "base page", FOLL_PIN, MPROTECT, false],
  ["FOLL_PIN, anonymous, not exclusive: yes", "base page", FOLL_PIN, ["fork"], true],
  ["FOLL_PIN, not anonymous, FOLL_LONGTERM, COW mapping: yes", "memfd", FOLL_PIN | FOLL_LONGTERM, [], true],
  ["FOLL_PIN, not anonymous, short: no", "memfd", FOLL_PIN, [], false],
];

describe("D7: gup_must_unshare (v6.2)", () => {
  for (const [what, backing, flags, first, unshares] of VECTORS)
    for (const pin of ["pin", "pin_fast"])
      it(`${what} (${pin})`, () => {
        const c = new Cow("v6.2", backing, flags).does(...first);
        expect(c.paths(pin).has("do_wp_page_unshare")).toBe(unshares);
      });
});

const collapse = (how: string): string => `THP: fork, parent writes, collapse ${how}`;
const COLLAPSE = ["before fork", "after fork, fully shared", "lower half shared", "upper half shared"].map(
  collapse,
);
const rows = (backing: string): string[] => ANON.map(([row]) => `${row} ${backing}`);
const files = (backing: string): string[] =>
  ["write", "R/O pin", "R/O pin fast"].map((what) => `${what}, ${backing}`);
const because = (names: readonly string[], reason: string): Listed =>
  Object.fromEntries(names.map((name) => [name, reason]));

whole(
  "D7",
  [
    ...["base page", "swapped-out base page", "THP", "hugetlb"].flatMap(rows),
    ...COLLAPSE,
    ...[...FILES, "huge zeropage", "memfd hugetlb"].flatMap(files),
    ...VECTORS.map(([what]) => what),
  ],
  [
    ...["base page", "swapped-out base page"].flatMap(rows),
    ...FILES.flatMap(files),
    ...VECTORS.map(([what]) => what),
  ],
  {
    ...because(
      [...rows("THP"), ...COLLAPSE, ...files("huge zeropage")],
      "there are no transparent huge pages here",
    ),
    ...because(
      [...rows("hugetlb"), ...files("memfd hugetlb")],
      "private mappings of hugetlbfs are not modelled (hugetlb_wp): a huge page is its file's",
    ),
  },
);
