/**
 * D9 of the proposals' reference: the modes and options of the selftest that measures get_user_pages. gup_test is of v5.11; v4.20 has its
 * ancestor, tools/testing/selftests/vm/gup_benchmark.c, over mm/gup_benchmark.c. Each option that this one has is run as the program
 * does it: map, write the first byte of each page, then the ioctls.
 */
import { describe, expect, it } from "vitest";
import { cache_file } from "../../src/kernel/boot.js";
import type { Config } from "../../src/kernel/config.js";
import { dax_allocate_file, dax_block, ext4_dax_setattr } from "../../src/kernel/fs/dax.js";
import { call, local, path, repeat } from "../../src/kernel/language.js";
import { GUP_BENCHMARK, gup_benchmark_ioctl } from "../../src/kernel/mm/gup_benchmark.js";
import { page_behind } from "../../src/kernel/mm/memory.js";
import { FS, is_dax_fs } from "../../src/kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../src/kernel/structs.js";
import { int } from "../../src/kernel/types.js";
import { cpu_access } from "../../src/kernel/user.js";
import { disk, dma, flusher, read } from "../kernel/actors.js";
import { type Actor, FILE, Hand, small } from "../kernel/harness.js";
import { type Listed, whole } from "./rows.js";

const { FAST, LONGTERM, SLOW } = GUP_BENCHMARK;

/** What the program is started with. Its option string has no "w": the bit that -w would set is the ioctl's all the same. */
interface Options {
  readonly m: number;
  readonly r: number;
  readonly n: number;
  readonly cmd: number;
  readonly w: 0 | 1;
  /** The filesystem of the file; without one /dev/zero, which is anonymous memory for a private mapping. */
  readonly f: number | null;
  readonly S: boolean;
  /** Pages of the range that are mapped; default all. */
  readonly mapped: number;
}

const standard: Omit<Options, "mapped"> = { m: 2, r: 1, n: 1, cmd: FAST, w: 0, f: null, S: false };

interface Frame {
  at: number;
  made: number;
  size: number;
}

/** What the ioctls wrote back. */
type Sizes = number[];

/** The program: p[0] = 0 of each page, and the ioctls in a task of their own, so that something can come between. */
const program = ({ m, n, r, cmd, w, mapped }: Options, sizes: Sizes): { touch: Actor; bench: Actor } => ({
  touch: {
    path: path("touch", { source: "a test", locals: { at: int } }, [
      repeat(
        (_, f) => f.at < Math.min(m, mapped),
        [
          call(() => cpu_access, { at: "at", write: 1 }),
          local((_, f) => {
            f.at++;
          }),
        ],
      ),
    ]),
    ends: true,
  },
  bench: {
    path: path("bench", { source: "a test", locals: { at: int, made: int, size: int } }, [
      repeat<Frame>(
        (_, f) => f.made < r,
        [
          call(
            () => gup_benchmark_ioctl,
            { start: "at", size: m, per_call: n, cmd, write: w, pages: 0 },
            "size",
          ),
          local<Frame>((_, f) => {
            sizes.push(f.size);
            f.size = 0;
            f.made++;
          }),
        ],
      ),
    ]),
    ends: true,
  },
});

const CONFIG: Readonly<Partial<Record<number, Config>>> = {
  [FS.hugetlbfs]: "compound",
  [FS.ext4_dax]: "dax",
};

/** The machine after the program has touched its memory. */
function touched(
  options: Partial<Options>,
  sizes: Sizes,
  actors: Readonly<Record<string, Actor>> = {},
): Hand {
  const all = { ...standard, ...options };
  const said: Options = { mapped: all.m, ...all };
  const { f: fs, S: shared, m: pages, mapped } = said;
  const option = fs === null ? undefined : CONFIG[fs];
  const area = { file: fs === null ? 0 : FILE, flags: VM_WRITE | (shared ? VM_SHARED : 0) };
  const world = small(
    {
      cached: false,
      pages: fs !== null && is_dax_fs(fs) ? 2 : 2 * pages + 1,
      geometry: {
        files: fs === null ? [] : [{ pages, fs }],
        vmas: [
          { ...area, pages: mapped },
          ...(mapped < pages ? [{ pages: pages - mapped, flags: 0, mapped: false }] : []),
        ],
        dios: 4,
        dioPages: 2 * pages,
        config: option === undefined ? [] : [option],
        ...(fs === FS.hugetlbfs ? { hugePages: 1, hugeOrder: Math.log2(pages) } : {}),
      },
      prepare: (k) => {
        if (fs === null || fs === FS.hugetlbfs) return;
        if (is_dax_fs(fs)) dax_allocate_file(k, FILE);
        else cache_file(k, FILE);
      },
    },
    { ...program(said, sizes), ...actors },
  );
  return new Hand(world).go("touch");
}

/** Run the ioctls, and note which functions of gup they call and what they hold before they put the first page. */
function bench(options: Partial<Options>, then: (h: Hand) => void = () => {}) {
  const sizes: Sizes = [];
  const h = touched(options, sizes, { flusher, disk });
  then(h);
  const before = h.k.page._refcount.join(" ");
  const functions = new Set<string>();
  const held: (readonly [behind: number, nr: number])[] = [];
  const steps: string[] = [];
  h.world.machine.watch = (_, at) => {
    const { stack, step } = h.world.machine.code[at];
    steps.push(step);
    const found = stack.find((name) => /get_user_pages/.test(name) && name !== "__get_user_pages");
    if (found !== undefined) functions.add(found);
    // The PTE's own page, and how many of the array's references are to it.
    if (step === "put_page" && held.length === 0)
      held.push([page_behind(h.k, 0), h.k.page.pins[page_behind(h.k, 0)]]);
  };
  h.go("bench");
  h.world.machine.watch = null;
  return {
    h,
    sizes,
    steps,
    functions: [...functions],
    held,
    same: h.k.page._refcount.join(" ") === before,
  };
}

const puts = (steps: readonly string[]): number => steps.filter((step) => step === "put_page").length;

/** Options of gup_test, and what else the table says, that v4.20 or guplab does not have. */
const LISTED: Listed = {
  "-a": "PIN_FAST_BENCHMARK came with FOLL_PIN, v5.6",
  "-b": "PIN_BASIC_TEST came with FOLL_PIN, v5.6",
  "-c": "DUMP_USER_PAGES_TEST is of gup_test, v5.11",
  "-p": "the same test with pins, v5.11",
  "-F": "flags other than FOLL_WRITE reach no function from v4.20's ioctl: it passes flags & 1",
  "-j": "threads: of a later gup_test; more than one task can run the ioctl here as there",
  "-t/-T": "transparent huge pages are left out",
  "get and put time in us": "a step has no duration; the ioctl's two times are left out",
  "the suite's runs": "they are -u, -a and -ct with flags: the first is run, the others are listed",
  "at most 8 dump indices": "of DUMP_USER_PAGES_TEST, v5.11",
};

const RUN: Readonly<Record<string, () => void>> = {
  "-u": () => {
    const { functions, sizes, steps, same } = bench({});
    expect([functions, sizes, puts(steps), same]).toEqual([["get_user_pages_fast"], [2], 2, true]);
    // Every page has a PTE by now: mmap_sem is not needed.
    expect(steps.some((step) => step.startsWith("down_read"))).toBe(false);
  },
  "-U": () => {
    const { functions, sizes, steps, same } = bench({ cmd: SLOW });
    expect([functions, sizes, puts(steps), same]).toEqual([["get_user_pages"], [2], 2, true]);
    // v4.20 forgets mmap_sem.
    expect(steps.filter((step) => step.includes("mmap_sem"))).toEqual([]);
  },
  "-L": () => {
    const { functions, sizes, steps, same } = bench({ cmd: LONGTERM });
    expect([functions, sizes, puts(steps), same]).toEqual([["get_user_pages_longterm"], [2], 2, true]);
    expect(steps.filter((step) => step.includes("mmap_sem"))).toEqual([]);
  },
  "-m": () => {
    expect([1, 2, 3, 5].map((m) => bench({ m }).sizes)).toEqual([[1], [2], [3], [5]]);
  },
  "-r": () => {
    const { sizes, steps, same } = bench({ r: 3 });
    expect([sizes, puts(steps), same]).toEqual([[2, 2, 2], 6, true]);
  },
  "-n": () => {
    // The last call of a range is for what is left; a call for nothing gets nothing, and ends it.
    expect([1, 2, 3, 4, 9, 0].map((n) => bench({ m: 4, n }).sizes)).toEqual([[4], [4], [4], [4], [4], [0]]);
    expect([1, 3, 0].map((n) => puts(bench({ m: 4, n }).steps))).toEqual([4, 4, 0]);
  },
  "-w/-W": () => {
    const clean = (h: Hand) => h.go("flusher").go("disk").go("flusher");
    const file = { m: 1, f: FS.ext4, S: true } as const;
    const reading = bench(file, clean);
    expect([reading.h.has("dirty"), reading.steps.includes("pte_read"), reading.sizes]).toEqual([
      false,
      true,
      [1],
    ]);
    expect(reading.steps.some((step) => step.startsWith("down_read"))).toBe(false);
    // The page was cleaned, its PTE is read-only: for writing the slow path faults, which dirties it.
    const writing = bench({ ...file, w: 1 }, clean);
    expect([writing.h.has("dirty"), writing.h.pte(), writing.sizes]).toEqual([true, "rwdy", [1]]);
    expect(writing.steps.some((step) => step.startsWith("down_read"))).toBe(true);
  },
  "-f": () => {
    for (const f of [FS.ext4, FS.xfs, FS.btrfs, FS.tmpfs, FS.ext4_dax]) {
      const { sizes, same } = bench({ f, S: true });
      expect([f, sizes, same]).toEqual([f, [2], true]);
    }
  },
  "-S": () => {
    const shared = bench({ f: FS.tmpfs, S: true });
    const [page] = shared.held[0];
    expect([shared.held, shared.h.k.page.mapping[page]]).toEqual([[[page, 1]], FILE]);
    // A private mapping has been written: what is taken is the process's own copy.
    const copied = bench({ f: FS.tmpfs });
    const [copy] = copied.held[0];
    expect([copied.held[0][1], copied.h.k.page.mapping[copy] === FILE]).toEqual([1, false]);
  },
  "-H": () => {
    for (const cmd of [FAST, LONGTERM, SLOW]) {
      const { sizes, same, h, held } = bench({ f: FS.hugetlbfs, S: true, cmd });
      expect([sizes, same, h.refs(0)]).toEqual([[2], true, 2]);
      // One array entry a base page.
      expect(held[0][1]).toBe(1);
    }
  },
  truncated: () => {
    for (const cmd of [FAST, LONGTERM, SLOW]) {
      expect(bench({ m: 4, mapped: 3, cmd }).sizes).toEqual([3]);
      // A call that was short counts as a whole one: four pages are said, three were taken.
      const short = bench({ m: 4, mapped: 3, n: 2, cmd });
      expect([short.sizes, puts(short.steps), short.same]).toEqual([[4], 3, true]);
    }
  },
  "timing only for the three benchmarks": () => {
    const { sizes, steps, h } = bench({ cmd: 4 });
    expect([sizes, steps, h.faults()]).toEqual([[-22], [], ["REFUSED GUP_BENCHMARK 4: -EINVAL"]]);
  },
};

describe("D9: gup_test's modes, with v4.20's gup_benchmark", () => {
  for (const [row, check] of Object.entries(RUN)) it(row, check);

  whole(
    "D9",
    [
      ..."abLuUcpFjmrnfSH".split("").map((letter) => `-${letter}`),
      "-t/-T",
      "-w/-W",
      "get and put time in us",
      "truncated",
      "timing only for the three benchmarks",
      "the suite's runs",
      "at most 8 dump indices",
    ],
    Object.keys(RUN),
    LISTED,
  );
});

describe("gup_benchmark -L of a file on fsdax", () => {
  const dax = { m: 1, f: FS.ext4_dax, S: true, cmd: LONGTERM } as const;

  it("get_user_pages_longterm puts what it took, and the benchmark puts it again: the idle reference is gone", () => {
    const { sizes, steps, h, same } = bench(dax);
    expect([sizes, puts(steps), same, h.refs(dax_block(h.k, FILE, 0))]).toEqual([[0], 2, false, 0]);
  });

  it("who holds the page afterwards is not seen: truncation does not wait, and the device writes into a freed block", () => {
    const outcomes = (options: Partial<Options>): string[] => {
      const h = touched({ ...dax, ...options }, [], {
        read: read(2),
        dma: dma(2),
        truncate: { path: ext4_dax_setattr, args: [FILE, 0, 0], ends: true },
      });
      h.go("bench").until("read", "dio_await_completion");
      const { complete, witnesses } = h.world.explore({ maxStates: 200_000, progress: () => true });
      expect(complete).toBe(true);
      return witnesses.map(({ kind }) => kind);
    };
    expect(outcomes({ cmd: FAST })).toEqual([]);
    expect(outcomes({})).toEqual(["UAF"]);
  });
});
