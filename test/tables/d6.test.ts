/**
 * D6 of the proposals' reference: the selftest gup_longterm.c, its ten tests on each backing, kernel by kernel. A page is faulted in first; a test that
 * only reads does so through a mapping without VM_WRITE. The pin is PIN_LONGTERM_TEST_START's: pin_user_pages or pin_user_pages_fast with
 * FOLL_LONGTERM, and FOLL_WRITE for tests 1, 2, 5 and 6.
 *
 * Before v5.6 nobody pins: a long-term reference is asked for instead, which is a function of its own before v5.2, and is not known to the fast walk there.
 * io_uring began in v5.1; v4.20 is asked all the same.
 *
 * The transcript of the reference is of v6.5. Older kernels let what is refused there succeed (tests 1 and 2), or refuse more (9 and 10).
 */
import { describe, expect, it } from "vitest";
import { io_sqe_buffer_register } from "../../src/kernel/drivers/io_uring.js";
import { ERRNO } from "../../src/kernel/errno.js";
import type { Kernel } from "../../src/kernel/kernel.js";
import { call, local, path } from "../../src/kernel/language.js";
import { FOLL, get_user_pages_fast, get_user_pages_longterm } from "../../src/kernel/mm/gup.js";
import { FS } from "../../src/kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../src/kernel/structs.js";
import { int, pages_nr, vpn } from "../../src/kernel/types.js";
import { FOLL_LONGTERM } from "../../src/patches/longterm_flag.js";
import { FOLL_PIN, pin_user_pages_fast } from "../../src/patches/pin_user_pages.js";
import { disk, load, store } from "../kernel/actors.js";
import { ask } from "../kernel/drivers/ask.js";
import { FILE, Hand, type Small, small } from "../kernel/harness.js";
import { type Listed, whole } from "./rows.js";

/** pin_user_pages, of which the selftest asks FOLL_LONGTERM. */
const pin_slow = path(
  "pin_longterm_test_start",
  {
    source: "mm/gup_test.c v6.5",
    args: { start: vpn, nr: int, flags: int, pages: pages_nr },
    locals: { gup_flags: int },
    returns: int,
  },
  [
    local((_, f) => {
      f.gup_flags = f.flags | FOLL_PIN;
    }),
    call(
      () => get_user_pages_longterm,
      { start: "start", nr: "nr", flags: "gup_flags", pages: "pages" },
      "ret",
    ),
    local((_, f) => {
      f.gup_flags = 0;
    }),
  ],
);

type Way = "slow" | "fast" | "io_uring";
/** The tests by their numbers. */
const TESTS: readonly (readonly [number: number, shared: boolean, write: boolean, way: Way])[] = [
  [1, true, true, "slow"],
  [2, true, true, "fast"],
  [3, true, false, "slow"],
  [4, true, false, "fast"],
  [5, false, true, "slow"],
  [6, false, true, "fast"],
  [7, false, false, "slow"],
  [8, false, false, "fast"],
  [9, true, true, "io_uring"],
  [10, false, true, "io_uring"],
];

const BACKINGS = ["memfd", "tmpfile on tmpfs", "ext4", "xfs", "btrfs", "memfd hugetlb"] as const;
type Backing = (typeof BACKINGS)[number];
/** memfd_create and a file on tmpfs are the same to gup: pages of shmem. */
const FS_OF: Readonly<Record<Backing, number>> = {
  memfd: FS.tmpfs,
  "tmpfile on tmpfs": FS.tmpfs,
  ext4: FS.ext4,
  xfs: FS.xfs,
  btrfs: FS.btrfs,
  "memfd hugetlb": FS.hugetlbfs,
};
const on_disk = (backing: Backing): boolean => ["ext4", "xfs", "btrfs"].includes(backing);
/** hugetlb_cow is left out: a private mapping of hugetlbfs cannot be faulted in. */
const expressible = (backing: Backing, shared: boolean): boolean => shared || backing !== "memfd hugetlb";

function machine(backing: Backing, shared: boolean, write: boolean, kernel: string): Small {
  const fs = FS_OF[backing];
  const flags = (shared ? VM_SHARED : 0) | (write ? VM_WRITE : 0);
  const pages = backing === "memfd hugetlb" ? 2 : 1;
  return {
    kernel,
    fs,
    filePages: pages,
    pages: 4,
    cached: pages === 1,
    geometry: {
      files: [{ pages, fs }],
      vmas: [{ pages, file: FILE, flags }],
      ...(pages === 2 ? { hugePages: 1, hugeOrder: 1, config: ["compound"] } : {}),
    },
  };
}

/** One test: what the pin gives (0: it works), and the references that are left when it fails. */
function asked(kernel: string, backing: Backing, [, shared, write, way]: (typeof TESTS)[number]) {
  const answers: number[] = [];
  const flags = write ? FOLL.WRITE : 0;
  const target = (() => {
    if (way === "io_uring") return ask(io_sqe_buffer_register, [0, 1, 0], answers);
    const longterm = from(kernel, "v5.2") ? flags | FOLL_LONGTERM : flags;
    if (from(kernel, "v5.6"))
      return ask(way === "slow" ? pin_slow : pin_user_pages_fast, [0, 1, longterm, 0], answers);
    return way === "slow"
      ? ask(get_user_pages_longterm, [0, 1, flags, 0], answers)
      : ask(get_user_pages_fast, [0, 1, longterm, 0], answers);
  })();
  const fault = write ? store() : load();
  const h = new Hand(small(machine(backing, shared, write, kernel), { fault, pin: target, disk })).go(
    "fault",
  );
  h.go("disk").go("fault");
  const before = references(h.k);
  h.go("pin").go("disk").go("pin");
  const works = way === "io_uring" ? answers[0] === 0 : answers[0] === 1;
  const outstanding = h.k.page.pins.reduce((sum, count) => sum + count, 0);
  return { errno: works ? 0 : -answers[0], left: references(h.k) - before, outstanding };
}

const references = (k: Kernel): number => k.page._refcount.reduce((sum, count) => sum + count, 0);

const KERNELS = [
  "v4.20",
  "v5.2",
  "v5.5",
  "v5.6",
  "v5.7",
  "v5.8",
  "v5.9",
  "v5.11",
  "v5.13",
  "v5.14",
  "v5.18",
  "v6.1.192",
  "v6.4",
  "v6.5",
  "v6.12",
];
const from = (kernel: string, since: string): boolean => KERNELS.indexOf(kernel) >= KERNELS.indexOf(since);

/** What a test should give: the selftest's rule (!shared || !rw || fs in memory) and, before v6.5, what was different. */
function expected(kernel: string, backing: Backing, [number, shared, write]: (typeof TESTS)[number]): number {
  if (number < 9) return on_disk(backing) && shared && write && from(kernel, "v6.5") ? ERRNO.EFAULT : 0;
  if (backing === "memfd hugetlb") return 0;
  if (!on_disk(backing)) return from(kernel, "v5.14") ? 0 : ERRNO.EOPNOTSUPP;
  if (!from(kernel, "v6.5")) return ERRNO.EOPNOTSUPP;
  return shared ? ERRNO.EFAULT : 0;
}

describe.each(KERNELS)("D6: gup_longterm on %s", (kernel) => {
  for (const backing of BACKINGS)
    for (const test of TESTS) {
      const [number, shared, write, way] = test;
      if (!expressible(backing, shared)) continue;
      const errno = expected(kernel, backing, test);
      const what = `${shared ? "SHARED" : "PRIVATE"} ${write ? "RW" : "RO"} ${way}`;
      it(`${number} ${what}, ${backing}: ${errno === 0 ? "works" : `errno ${errno}`}`, () => {
        const { errno: found, left, outstanding } = asked(kernel, backing, test);
        expect([found, errno === 0 || left === 0, outstanding]).toEqual([errno, true, errno === 0 ? 1 : 0]);
      });
    }
});

describe("D6 on v6.5: the transcript", () => {
  const failing = (kernel: string) =>
    TESTS.filter((test) => asked(kernel, "ext4", test).errno !== 0).map(([number]) => number);

  it("three tests fail on a disk's file, 1, 2 and 9; before v6.5 these were 9 and 10", () => {
    expect(failing("v6.5")).toEqual([1, 2, 9]);
    expect(failing("v6.4")).toEqual([9, 10]);
  });

  it("F36, I16 after v6.5 no page of a file that tracks dirty pages has a long-term pin for writing", () => {
    for (const backing of ["ext4", "xfs", "btrfs"] as const)
      for (const test of TESTS)
        if (test[1] && test[2]) expect(asked("v6.12", backing, test).outstanding).toBe(0);
  });
});

const COLUMNS = BACKINGS.map((backing) => backing as string);
const rows = TESTS.flatMap(([number]) =>
  [...COLUMNS, "tmpfile on another filesystem"].map((column) => `${number} ${column}`),
);
const LISTED: Listed = Object.fromEntries([
  ...TESTS.map(([number]) => [
    `${number} tmpfile on another filesystem`,
    "the selftest skips it: it does not know whether the filesystem tracks dirty pages",
  ]),
  ...TESTS.filter(([, shared]) => !shared).map(([number]) => [
    `${number} memfd hugetlb`,
    "private mappings of hugetlbfs are left out (hugetlb_cow)",
  ]),
]);
whole(
  "D6",
  rows,
  TESTS.flatMap(([number, shared]) =>
    BACKINGS.filter((backing) => expressible(backing, shared)).map((backing) => `${number} ${backing}`),
  ),
  LISTED,
);
