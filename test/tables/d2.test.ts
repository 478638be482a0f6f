/**
 * D2 of the proposals' reference: the argument rules of get_user_pages and what each wrapper adds. The V-rules are of v5.6 and
 * later; the VMA checks are v4.20's check_vma_flags, and every one is asked here.
 */
import { describe, expect, it } from "vitest";
import { ERRNO } from "../../src/kernel/errno.js";
import { call, path, step } from "../../src/kernel/language.js";
import { FOLL, get_user_pages } from "../../src/kernel/mm/gup.js";
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
import { disk } from "../kernel/actors.js";
import { FILE, Hand, small } from "../kernel/harness.js";

const LATER: readonly (readonly [rule: string, reason: string])[] = [
  ["V1 internal flags passed by the caller", "is_valid_gup_args came with v6.3; v4.20 trusts its callers"],
  ["V2 *locked must be 1", "the same"],
  ["V3 PIN and GET together", "FOLL_PIN came with v5.6"],
  ["V4 LONGTERM without PIN", "the same; in v4.20 longterm is a function"],
  ["V5 GET or PIN without an array", "v6.3; v4.20 sets FOLL_GET when there is an array"],
  ["V6 LONGTERM with PCI_P2PDMA", "v6.2"],
  ["V7 UNLOCKABLE added where locked is given", "v6.3"],
  ["secretmem gives -EFAULT", "secret memory came with v5.14"],
  ["WRITE, PIN and LONGTERM of a file that tracks dirty pages gives -EFAULT", "v6.5"],
];

const asks = (answers: number[]) =>
  path("asks", { source: "a test", args: { at: vpn, flags: int, pages: pages_nr }, locals: { ret: int } }, [
    call(() => get_user_pages, { start: "at", nr: 1, flags: "flags", pages: "pages" }, "ret"),
    step("answers", (_, f) => {
      answers.push(f.ret);
      f.ret = 0;
    }),
  ]);

/** What get_user_pages says of a VMA with these flags, and without some that every mapping gets. */
function gup(flags: number, vm_flags: number, without = 0, file: number = FILE): number {
  const answers: number[] = [];
  const world = small(
    {
      pages: 3,
      geometry: { vmas: [{ pages: 1, file, flags: vm_flags, without }] },
    },
    { asks: { path: asks(answers), args: [0, flags, 0], ends: true }, disk },
  );
  new Hand(world).go("asks").go("disk").go("asks");
  return answers[0];
}

const { WRITE, FORCE, ANON } = FOLL;
const EFAULT = -ERRNO.EFAULT;

const ROWS: readonly (readonly [what: string, answer: () => number, expected: number])[] = [
  ["VM_IO", () => gup(0, VM_SHARED | VM_WRITE | VM_IO), EFAULT],
  ["VM_PFNMAP", () => gup(0, VM_SHARED | VM_WRITE | VM_PFNMAP), EFAULT],
  ["FOLL_ANON of a file", () => gup(ANON, VM_SHARED | VM_WRITE), EFAULT],
  ["FOLL_ANON of anonymous memory", () => gup(ANON, VM_WRITE, 0, 0), 1],
  ["WRITE without VM_WRITE", () => gup(WRITE, VM_SHARED), EFAULT],
  ["WRITE and FORCE without VM_WRITE, shared", () => gup(WRITE | FORCE, VM_SHARED), EFAULT],
  ["WRITE and FORCE without VM_WRITE, a COW mapping", () => gup(WRITE | FORCE, 0), 1],
  ["WRITE and FORCE without VM_MAYWRITE", () => gup(WRITE | FORCE, 0, VM_MAYWRITE), EFAULT],
  ["a read without VM_READ", () => gup(0, VM_SHARED, VM_READ), EFAULT],
  ["a read with FORCE, VM_MAYREAD but not VM_READ", () => gup(FORCE, VM_SHARED, VM_READ), 1],
  ["a read with FORCE, neither", () => gup(FORCE, VM_SHARED, VM_READ | VM_MAYREAD), EFAULT],
  ["a read of a readable VMA", () => gup(0, VM_SHARED), 1],
  ["a write of a writable VMA", () => gup(WRITE, VM_SHARED | VM_WRITE), 1],
];

describe("D2: VMA checks (check_vma_flags)", () => {
  for (const [what, answer, expected] of ROWS)
    it(`${what}: ${expected === 1 ? "one page" : "-EFAULT"}`, () => {
      expect(answer()).toBe(expected);
    });
});

it("D2: every V-rule has a row, and a reason why v4.20 does not have it", () => {
  const rules = LATER.filter(([rule]) => /^V\d /.test(rule)).map(([rule]) => rule.slice(0, 2));
  expect(rules).toEqual(["V1", "V2", "V3", "V4", "V5", "V6", "V7"]);
  expect(LATER.every(([, reason]) => reason !== "")).toBe(true);
});
