/**
 * D2 of the proposals' reference: the argument rules of get_user_pages and what each wrapper adds. The V-rules are of
 * v6.3, where one function has them; the VMA checks are v4.20's check_vma_flags. Every one is asked here.
 */
import { describe, expect, it } from "vitest";
import { io_sqe_buffer_register } from "../../src/kernel/drivers/io_uring.js";
import { vfio_dma_do_map } from "../../src/kernel/drivers/vfio.js";
import { ERRNO } from "../../src/kernel/errno.js";
import { dax_allocate_file } from "../../src/kernel/fs/dax.js";
import type { Kernel } from "../../src/kernel/kernel.js";
import { call, path, step } from "../../src/kernel/language.js";
import {
  __get_user_pages_fast,
  FOLL,
  get_user_pages,
  get_user_pages_fast,
  get_user_pages_longterm,
  get_user_pages_unlocked,
} from "../../src/kernel/mm/gup.js";
import { lru_add_drain } from "../../src/kernel/mm/swap.js";
import { FS } from "../../src/kernel/operations.js";
import {
  VM_IO,
  VM_MAYREAD,
  VM_MAYWRITE,
  VM_PFNMAP,
  VM_READ,
  VM_SHARED,
  VM_WRITE,
} from "../../src/kernel/structs.js";
import { int, pages_nr, vpn } from "../../src/kernel/types.js";
import { countersOf, run } from "../../src/lab/run.js";
import type { Path } from "../../src/machine/path.js";
import { FOLL_LONGTERM } from "../../src/patches/longterm_flag.js";
import { FOLL_PIN, pin_user_pages_fast } from "../../src/patches/pin_user_pages.js";
import {
  FOLL_FAST_ONLY,
  FOLL_GET,
  FOLL_PCI_P2PDMA,
  FOLL_TOUCH,
  FOLL_UNLOCKABLE,
  is_valid_gup_args,
  LOCKED_NULL,
} from "../../src/patches/valid_gup_args.js";
import { disk, store } from "../kernel/actors.js";
import { ask } from "../kernel/drivers/ask.js";
import { FILE, Hand, small } from "../kernel/harness.js";
import { type Listed, whole } from "./rows.js";

const LISTED: Listed = {
  pin_user_pages_unlocked: "nobody who is modelled calls it",
  EXCLUSIVE: "a proposal, in no kernel",
  "secretmem: EFAULT": "secret memory (memfd_secret, v5.14) is left out",
};

const asks = (answers: number[]) =>
  path("asks", { source: "a test", args: { at: vpn, flags: int, pages: pages_nr }, locals: { ret: int } }, [
    call(() => get_user_pages, { start: "at", nr: 1, flags: "flags", pages: "pages" }, "ret"),
    step("answers", (_, f) => {
      answers.push(f.ret);
      f.ret = 0;
    }),
  ]);

/** A VMA with these flags, and without some that every mapping gets; what get_user_pages says of it, and its steps. */
function asked(flags: number, vm_flags: number, without = 0, file: number = FILE) {
  const answers: number[] = [];
  const world = small(
    {
      pages: 3,
      geometry: { vmas: [{ pages: 1, file, flags: vm_flags, without }] },
    },
    { asks: { path: asks(answers), args: [0, flags, 0], ends: true }, disk },
  );
  const h = new Hand(world);
  const steps = h.trace("asks", () => h.go("asks").go("disk").go("asks"));
  return { answer: answers[0], steps };
}

const gup = (...args: Parameters<typeof asked>): number => asked(...args).answer;

const { WRITE, FORCE, ANON } = FOLL;
const EFAULT = -ERRNO.EFAULT;

/** The reference's rows, and the questions that each is about. */
const ROWS: readonly (readonly [row: string, what: string, answer: () => number, expected: number])[] = [
  ["VM_IO or VM_PFNMAP: EFAULT", "VM_IO", () => gup(0, VM_SHARED | VM_WRITE | VM_IO), EFAULT],
  ["VM_IO or VM_PFNMAP: EFAULT", "VM_PFNMAP", () => gup(0, VM_SHARED | VM_WRITE | VM_PFNMAP), EFAULT],
  ["ANON of a file: EFAULT", "FOLL_ANON of a file", () => gup(ANON, VM_SHARED | VM_WRITE), EFAULT],
  ["ANON of a file: EFAULT", "FOLL_ANON of anonymous memory", () => gup(ANON, VM_WRITE, 0, 0), 1],
  ["WRITE without VM_WRITE", "without FORCE", () => gup(WRITE, VM_SHARED), EFAULT],
  ["WRITE without VM_WRITE", "with FORCE, shared", () => gup(WRITE | FORCE, VM_SHARED), EFAULT],
  ["WRITE without VM_WRITE", "with FORCE, a COW mapping", () => gup(WRITE | FORCE, 0), 1],
  ["WRITE without VM_WRITE", "with FORCE, VM_MAYWRITE", () => gup(WRITE | FORCE, 0, VM_MAYWRITE), EFAULT],
  ["WRITE without VM_WRITE", "a writable VMA", () => gup(WRITE, VM_SHARED | VM_WRITE), 1],
  ["read without VM_READ", "without FORCE", () => gup(0, VM_SHARED, VM_READ), EFAULT],
  ["read without VM_READ", "with FORCE, VM_MAYREAD", () => gup(FORCE, VM_SHARED, VM_READ), 1],
  ["read without VM_READ", "with FORCE, neither", () => gup(FORCE, VM_SHARED, VM_READ | VM_MAYREAD), EFAULT],
  ["read without VM_READ", "a readable VMA", () => gup(0, VM_SHARED), 1],
];

describe("D2: VMA checks (check_vma_flags)", () => {
  for (const [row, what, answer, expected] of ROWS)
    it(`${row}; ${what}: ${expected === 1 ? "one page" : "-EFAULT"}`, () => {
      expect(answer()).toBe(expected);
    });

  it("F35 LONGTERM of fsdax: -EOPNOTSUPP", () => {
    const answers: number[] = [];
    const h = new Hand(
      small(
        {
          cached: false,
          pages: 2,
          geometry: { files: [{ pages: 1, fs: FS.ext4_dax }], config: ["dax"] },
          prepare: (k) => dax_allocate_file(k, FILE),
        },
        { get: ask(get_user_pages_longterm, [0, 1, WRITE, 0], answers) },
      ),
    ).go("get");
    expect([answers, h.k.user_pages.nr[0]]).toEqual([[-ERRNO.EOPNOTSUPP], 0]);
  });

  it("VMA rules before the fault: who is refused has not faulted", () => {
    expect(asked(WRITE, VM_SHARED).steps).toEqual(["answers"]);
    expect(asked(WRITE, VM_SHARED | VM_WRITE).steps).toContain("handle_pte_fault");
  });
});

describe("D2: what the functions of v4.20 add", () => {
  /** A page that has been stored to is taken twice, for the same array: what the second look leaves behind. */
  function twice(target: Path<Kernel>, args: (at: number) => readonly number[], at = 0) {
    const answers: number[] = [];
    const vmas = [
      { pages: 1, file: FILE, flags: VM_SHARED | VM_WRITE },
      { pages: 1, file: FILE, flags: VM_SHARED | VM_WRITE, mm: 1 },
    ];
    const h = new Hand(
      small(
        { pages: 1, geometry: { vmas, mms: 2, dios: 2 } },
        {
          store: store(at),
          first: ask(target, [...args(at), 0], answers),
          second: ask(target, [...args(at), 1], answers),
        },
      ),
    ).go("store");
    lru_add_drain(h.k);
    h.clear(["referenced"]);
    const before = h.refs();
    h.go("first").go("second");
    lru_add_drain(h.k);
    return {
      answers,
      taken: h.refs() - before,
      flags: ["referenced", "active"].filter((flag) => h.has(flag as "active")),
    };
  }
  const slow = (at: number) => [at, 1, WRITE];

  it("get_user_pages: FOLL_TOUCH, so that a page taken twice is active", () => {
    expect(twice(get_user_pages, slow)).toEqual({ answers: [1, 1], taken: 2, flags: ["active"] });
  });

  it("get_user_pages_remote: the same for another process; FOLL_REMOTE is for protection keys, which are left out", () => {
    expect(twice(get_user_pages, slow, 1)).toEqual({ answers: [1, 1], taken: 2, flags: ["active"] });
  });

  it("get_user_pages_unlocked: FOLL_TOUCH", () => {
    expect(twice(get_user_pages_unlocked, slow)).toEqual({ answers: [1, 1], taken: 2, flags: ["active"] });
  });

  it("get_user_pages_fast: FOLL_GET, and PG_referenced at most", () => {
    expect(twice(get_user_pages_fast, slow)).toEqual({ answers: [1, 1], taken: 2, flags: ["referenced"] });
  });

  it("__get_user_pages_fast, the later _fast_only: the same, and no fault where there is no PTE", () => {
    expect(twice(__get_user_pages_fast, slow)).toEqual({ answers: [1, 1], taken: 2, flags: ["referenced"] });
    const answers: number[] = [];
    const h = new Hand(small({ pages: 1 }, { get: ask(__get_user_pages_fast, [0, 1, WRITE, 0], answers) }));
    expect([h.trace("get", () => h.go("get")), answers]).toEqual([["pte_read"], [0]]);
  });

  it("GET is set by gup itself where there is an array: every function took its two references", () => {
    for (const target of [get_user_pages, get_user_pages_unlocked, get_user_pages_fast])
      expect(twice(target, (at) => [at, 1, 0]).taken).toBe(2);
  });
});

/** The check itself: flags of the caller, of the function, the array, *locked. */
function judged(flags: number, to_set: number, pages = 0, locked = LOCKED_NULL) {
  const answers: number[] = [];
  const judge = ask(is_valid_gup_args, [flags, to_set, pages, locked], answers);
  const h = new Hand(small({ pages: 1, kernel: "v6.3" }, { judge })).go("judge");
  return { answer: answers[0], faults: h.faults() };
}

const EINVAL = -ERRNO.EINVAL;
const INTERNAL = {
  FOLL_TOUCH,
  FOLL_TRIED: FOLL.TRIED,
  FOLL_PIN,
  FOLL_REMOTE: FOLL.REMOTE,
  FOLL_FAST_ONLY,
  FOLL_UNLOCKABLE,
};

/** Rule, what is asked, and what the warning says. */
const V_ROWS: readonly (readonly [string, string, Readonly<Parameters<typeof judged>>, string])[] = [
  ...Object.entries(INTERNAL).map(
    ([name, flag]) =>
      [
        "V1 internal flags passed by the caller",
        name,
        [flag, FOLL_GET],
        "gup_flags & INTERNAL_GUP_FLAGS",
      ] as const,
  ),
  ["V2 *locked must be 1", "0", [0, FOLL_TOUCH, 0, 0], "*locked != 1"],
  ["V3 PIN and GET together", "", [FOLL_GET, FOLL_PIN], "FOLL_PIN and FOLL_GET"],
  ["V4 LONGTERM without PIN", "", [FOLL_LONGTERM, FOLL_GET], "FOLL_LONGTERM without FOLL_PIN"],
  ["V5 GET or PIN without an array", "GET", [0, FOLL_GET, -1], "FOLL_GET or FOLL_PIN, and !pages"],
  ["V5 GET or PIN without an array", "PIN", [WRITE, FOLL_PIN, -1], "FOLL_GET or FOLL_PIN, and !pages"],
  [
    "V6 LONGTERM with PCI_P2PDMA",
    "",
    [FOLL_LONGTERM | FOLL_PCI_P2PDMA, FOLL_PIN],
    "FOLL_LONGTERM and FOLL_PCI_P2PDMA",
  ],
];

describe("D2: the V-rules (is_valid_gup_args, d64e2dbc33a1, v6.3)", () => {
  it.each(V_ROWS)("%s %s: WARN, -EINVAL", (_, __, args, rule) => {
    expect(judged(...args)).toEqual({
      answer: EINVAL,
      faults: [`WARN is_valid_gup_args: WARN_ON_ONCE(${rule})`],
    });
  });

  it("V7 UNLOCKABLE is added where locked is given, and the function's own flags", () => {
    expect(judged(WRITE, FOLL_TOUCH, 0, 1)).toEqual({
      answer: WRITE | FOLL_TOUCH | FOLL_UNLOCKABLE,
      faults: [],
    });
    expect(judged(WRITE, FOLL_PIN).answer).toBe(WRITE | FOLL_PIN);
  });

  it("no array is well where no page is asked for", () => {
    expect(judged(WRITE, FOLL_TOUCH, -1).answer).toBe(WRITE | FOLL_TOUCH);
  });

  /** pin_user_pages_fast of a page of an ordinary VMA, or of one with these flags. */
  function pins(kernel: string, flags: number, vm_flags = VM_SHARED | VM_WRITE) {
    const answers: number[] = [];
    const vmas = [{ pages: 1, file: FILE, flags: vm_flags }];
    const h = new Hand(
      small(
        { pages: 2, kernel, geometry: { vmas } },
        { pin: ask(pin_user_pages_fast, [0, 1, flags, 0], answers) },
      ),
    ).go("pin");
    return { answer: answers[0], refs: h.refs(), warned: h.faults().length };
  }

  it("F34 pin_user_pages_fast adds PIN: with GET it is refused, and nothing is taken", () => {
    expect(pins("v6.3", WRITE | FOLL_GET)).toMatchObject({ answer: EINVAL, warned: 1 });
    expect(pins("v6.3", WRITE).answer).toBe(1);
    expect(pins("v6.3", WRITE).refs).toBeGreaterThanOrEqual(1024);
    // Up to v6.1 this function did not ask (a rule of its own said so elsewhere).
    expect(pins("v6.1", WRITE | FOLL_GET).answer).toBe(1);
  });

  it("V-rules before VMA rules: a VMA of a device is not even looked at", () => {
    expect(pins("v6.3", WRITE, VM_SHARED | VM_WRITE | VM_IO).answer).toBe(EFAULT);
    expect(pins("v6.3", WRITE | FOLL_PIN, VM_SHARED | VM_WRITE | VM_IO).answer).toBe(EINVAL);
  });

  it("pin_user_pages and pin_user_pages_remote add PIN: their callers pass none, and get pages that count 1024", () => {
    const held = (target: Path<Kernel>, args: readonly number[], until: string) => {
      const answers: number[] = [];
      const geometry = { vmas: [{ pages: 1, flags: VM_WRITE }], files: [], dios: 2 };
      const machine = { pages: 4, cached: false, kernel: "v6.3", geometry };
      const h = new Hand(small(machine, { user: ask(target, args, answers) }));
      h.until("user", until);
      return [Math.max(...h.k.page._refcount) >= 1024, h.faults()];
    };
    expect(held(vfio_dma_do_map, [0, 1, 1, 0], "locked_vm")).toEqual([true, []]);
    expect(held(io_sqe_buffer_register, [0, 1, 0], "io_sqe_buffer")).toEqual([true, []]);
    const remote = countersOf(run("W1,holder=pvmw", { kernel: "v6.3", steps: 3000 }).world);
    expect(remote.nr_foll_pin_acquired).toBeGreaterThan(0);
  });

  it("WRITE, PIN and LONGTERM of a file that tracks dirty pages: -EFAULT from v6.5 on", () => {
    expect(pins("v6.4", WRITE | FOLL_LONGTERM).answer).toBe(1);
    expect(pins("v6.5", WRITE | FOLL_LONGTERM).answer).toBe(EFAULT);
    expect(pins("v6.5", WRITE).answer).toBe(1);
  });

  it("nobody who is modelled breaks one: no WARN of the check in any scenario of the holders", () => {
    for (const holder of ["rdma", "vfio", "xdp", "pvmw", "video", "iomap"])
      expect(
        run(`W1,holder=${holder}`, { kernel: "v6.3", steps: 3000 })
          .faults.map(({ message }) => message)
          .join(),
      ).not.toContain("is_valid_gup_args");
  });
});

const RUN = [
  "get_user_pages",
  "get_user_pages_remote",
  "get_user_pages_unlocked",
  "get_user_pages_fast",
  "get_user_pages_fast_only",
  "GET is set by gup itself",
  "LONGTERM of fsdax: EOPNOTSUPP",
  "VMA rules before the fault",
  ...V_ROWS.map(([row]) => row),
  "V7 UNLOCKABLE added where locked is given",
  "pin_user_pages",
  "pin_user_pages_fast",
  "pin_user_pages_remote",
  "WRITE, PIN and LONGTERM of a file that tracks dirty pages: EFAULT",
  "V-rules before VMA rules",
];

whole(
  "D2",
  [
    "V1 internal flags passed by the caller",
    "V2 *locked must be 1",
    "V3 PIN and GET together",
    "V4 LONGTERM without PIN",
    "V5 GET or PIN without an array",
    "V6 LONGTERM with PCI_P2PDMA",
    "V7 UNLOCKABLE added where locked is given",
    "get_user_pages",
    "get_user_pages_remote",
    "get_user_pages_unlocked",
    "get_user_pages_fast",
    "get_user_pages_fast_only",
    "pin_user_pages",
    "pin_user_pages_fast",
    "pin_user_pages_remote",
    "pin_user_pages_unlocked",
    "GET is set by gup itself",
    "EXCLUSIVE",
    "VM_IO or VM_PFNMAP: EFAULT",
    "ANON of a file: EFAULT",
    "LONGTERM of fsdax: EOPNOTSUPP",
    "secretmem: EFAULT",
    "WRITE without VM_WRITE",
    "read without VM_READ",
    "WRITE, PIN and LONGTERM of a file that tracks dirty pages: EFAULT",
    "V-rules before VMA rules",
    "VMA rules before the fault",
  ],
  [...ROWS.map(([row]) => row), ...RUN],
  LISTED,
);
