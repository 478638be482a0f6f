/**
 * D2 of the proposals' reference: the argument rules of get_user_pages and what each wrapper adds. The V-rules are of v5.6 and
 * later; the VMA checks are v4.20's check_vma_flags, and every one is asked here.
 */
import { describe, expect, it } from "vitest";
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
import type { Path } from "../../src/machine/path.js";
import { disk, store } from "../kernel/actors.js";
import { ask } from "../kernel/drivers/ask.js";
import { FILE, Hand, small } from "../kernel/harness.js";
import { type Listed, whole } from "./rows.js";

const LISTED: Listed = {
  "V1 internal flags passed by the caller": "is_valid_gup_args came with v6.3; v4.20 trusts its callers",
  "V2 *locked must be 1": "the same",
  "V3 PIN and GET together": "FOLL_PIN came with v5.6",
  "V4 LONGTERM without PIN": "the same; in v4.20 longterm is a function",
  "V5 GET or PIN without an array": "v6.3; v4.20 sets FOLL_GET when there is an array",
  "V6 LONGTERM with PCI_P2PDMA": "v6.2",
  "V7 UNLOCKABLE added where locked is given": "v6.3",
  pin_user_pages: "FOLL_PIN came with v5.6",
  pin_user_pages_fast: "the same",
  pin_user_pages_remote: "the same",
  pin_user_pages_unlocked: "the same",
  EXCLUSIVE: "a proposal, in no kernel",
  "secretmem: EFAULT": "secret memory came with v5.14",
  "WRITE, PIN and LONGTERM of a file that tracks dirty pages: EFAULT": "v6.5",
  "V-rules before VMA rules": "v4.20 has no V-rules",
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

const RUN = [
  "get_user_pages",
  "get_user_pages_remote",
  "get_user_pages_unlocked",
  "get_user_pages_fast",
  "get_user_pages_fast_only",
  "GET is set by gup itself",
  "LONGTERM of fsdax: EOPNOTSUPP",
  "VMA rules before the fault",
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
