/**
 * proposals.md D8: syzbot d59332e2, process_vm_writev into a shared mapping of a file that others write with O_DIRECT, on every kernel.
 *
 * The calls are data (Jones, 2022-02-16); those that touch a page that is mapped and written with O_DIRECT are run in every
 * interleaving. A1b's question is how the buffers go: Ts'o says process_vm_writev needs no stripper, as no page_mkwrite is called; Jones's log says that
 * the cache could not be invalidated. Computed here: one process_vm_writev and one O_DIRECT write do not crash, because what invalidation
 * drops is dropped with its mapping. Two of the first (syzkaller runs each call on its own thread) and one of the second do: the first
 * one's set_page_dirty_lock makes the invalidation fail, the write falls back to the cache, and invalidate_mapping_pages strips the page
 * that the second one still holds. Reclaim has no part in it.
 *
 * What became of it. v5.18 brought two changes at once: ext4 warns instead of dying, and invalidation counts references before it frees buffers.
 * Either alone would show another picture; with both, these calls never come to ext4's warning: the second stripper is gone, and what is lost is lost in silence. The
 * reference's "warning, page cleaned" is what a kernel with ext4's patch alone does (the stable 5.10 and 5.15 until they took the other one, too), and
 * what v5.18 does still when reclaim comes between: it strips the page that process_vm_writev has pinned, until it asks (v6.4).
 */
import { describe, expect, it } from "vitest";
import { call, local, path } from "../../src/kernel/language.js";
import { generic_file_write_direct } from "../../src/kernel/mm/direct_write.js";
import { process_vm_rw } from "../../src/kernel/mm/process_vm_access.js";
import { FS } from "../../src/kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../src/kernel/structs.js";
import { inode, int } from "../../src/kernel/types.js";
import { findKernel, kernels } from "../../src/patches/kernels.js";
import { disk, reclaim } from "../kernel/actors.js";
import { type Actor, FILE, Hand, small } from "../kernel/harness.js";
import { type Listed, whole } from "./rows.js";

/** The report's calls, and what each is here: a path that is run, the machine's own state, or nothing. */
const CALLS: readonly (readonly [
  call: string,
  meaning: string,
  here: "path" | "state" | "nothing",
  why: string,
])[] = [
  [
    '0 open("./bus", 0x14d842)',
    "O_DIRECT descriptor r0",
    "state",
    "which path call 6 takes: there are no descriptors",
  ],
  ['1 openat(cwd, "/proc/self/exe", RDONLY)', "r1", "nothing", "the bytes of call 6 come from no file"],
  ['2 open("./bus", 0x143042)', "second descriptor r2", "nothing", "only call 3 uses it"],
  [
    "3 ftruncate(r2, 0x2008002)",
    "sparse, odd tail",
    "state",
    "the file has its size; its one page is mapped whole",
  ],
  ['4 open("./bus", 0x14103e)', "third descriptor r3", "state", "which file call 5 maps"],
  ["5 mmap(0x20000000, 6 MiB, SHARED|FIXED, r3, 0)", "maps the file shared", "state", "the machine's VMA"],
  ["6 sendfile(r0, r1, NULL, 0x80000005)", "O_DIRECT write", "path", "generic_file_write_direct"],
  ["7 gettid()", "", "nothing", "touches no page"],
  ["8 process_vm_writev(self, ...)", "pins file pages for writing", "path", "process_vm_rw"],
  ["9 sendfile again", "its write-out crashes", "path", "generic_file_write_direct"],
];

/** Calls that are no step of any run. */
const LISTED: Listed = Object.fromEntries(
  CALLS.filter(([, , here]) => here === "nothing").map(([call, , , why]) => [call, why]),
);

const two_writes = path(
  "two_direct_writes",
  { source: "a test", args: { mapping: inode }, locals: { ret: int } },
  [
    call(() => generic_file_write_direct, { mapping: "mapping", start: 0, end: 0 }, "ret"),
    call(() => generic_file_write_direct, { mapping: "mapping", start: 0, end: 0 }, "ret"),
    local((_, f) => {
      f.ret = 0;
    }),
  ],
);

const writev = (pages: number): Actor => ({ path: process_vm_rw, args: [0, 1, 1, pages], ends: true });

/** Calls 6 and 9 beside some of call 8, from the moment at which each has taken its page; and passes of kswapd. */
function world(writevs: number, fs: number, kernel = "v4.20", passes = 0): Hand {
  const actors: Record<string, Actor> = {};
  for (let nr = 0; nr < writevs; nr++) actors[`writev${nr}`] = writev(nr);
  if (passes > 0) actors.reclaim = reclaim(passes);
  const h = new Hand(
    small(
      { kernel, pages: 2, fs, geometry: { config: ["truncate"] } },
      { ...actors, direct: { path: two_writes, args: [FILE], ends: true }, disk },
    ),
  );
  for (let nr = 0; nr < writevs; nr++) h.until(`writev${nr}`, (k) => k.user_pages.nr[nr] === 1);
  return h;
}

/** The faults of every interleaving: the search must come to its end within its bound. */
function outcomes(h: Hand): string[] {
  const { complete, states, witnesses } = h.world.explore({ maxStates: BOUND, progress: () => true });
  expect(complete, `${states} states, and the bound is ${BOUND}`).toBe(true);
  return witnesses.map(({ kind }) => kind).sort();
}

const BOUND = 250_000;

const has = (kernel: string, patch: string): boolean =>
  findKernel(kernel).patches.some(({ name }) => name === patch);
const names = kernels.map(({ name }) => name);

/** What two process_vm_writev and the O_DIRECT writes come to: the reference's row, and what the second change of v5.18 made of it. */
const stripped = (kernel: string): string[] => {
  if (has(kernel, "invalidate-unused-only")) return ["LOST"];
  return has(kernel, "ext4-page-without-buffers") ? ["LOST", "WARN"] : ["BUG", "LOST", "WARN"];
};

describe("D8", () => {
  it("what the calls made is there: a shared writable VMA of one file, and its page of that size", () => {
    const { k } = world(1, FS.ext4);
    expect([k.vma.vm_file[0], k.vma.vm_flags[0] & (VM_SHARED | VM_WRITE), k.inode.i_size[FILE]]).toEqual([
      FILE,
      VM_SHARED | VM_WRITE,
      1,
    ]);
  });

  it.each(names)(
    "one process_vm_writev beside the O_DIRECT writes on %s: its bytes can be lost, nothing crashes",
    (kernel) => {
      expect(outcomes(world(1, FS.ext4, kernel))).toEqual(["LOST"]);
    },
  );

  it.each(names.map((kernel) => [kernel, stripped(kernel)]))(
    "two of them, without reclaim, on %s: %s",
    (kernel, expected) => {
      expect(outcomes(world(2, FS.ext4, kernel as string))).toEqual(expected);
    },
  );

  it("before v5.18 that is the WARN in ext4_set_page_dirty and the BUG in the write-out; from v5.18 on a silent loss", () => {
    expect(names.slice(0, names.indexOf("v5.18")).every((kernel) => stripped(kernel).includes("BUG"))).toBe(
      true,
    );
    expect(names.slice(names.indexOf("v5.18")).every((kernel) => stripped(kernel).join() === "LOST")).toBe(
      true,
    );
  });

  it.each([
    // The stable kernels took ext4's patch first: the reference's row.
    ["v5.11+ext4-page-without-buffers", ["LOST", "WARN"]],
    ["v5.11+invalidate-unused-only", ["LOST"]],
  ])("one of v5.18's two changes alone, %s: %s", (kernel, expected) => {
    expect(outcomes(world(2, FS.ext4, kernel))).toEqual(expected);
  });

  it.each([
    ["v4.20", ["BUG", "LOST", "WARN"]],
    ["v5.18", ["LOST", "WARN"]],
    ["v6.1.192", ["LOST"]],
    ["v6.3", ["LOST", "WARN"]],
    ["v6.4", ["LOST"]],
  ])("with three passes of kswapd beside one of them, on %s: %s", (kernel, expected) => {
    expect(outcomes(world(1, FS.ext4, kernel, 3))).toEqual(expected);
  });

  it("the shortest way to the crash strips in invalidate_mapping_pages, after the write has fallen back", () => {
    const found = world(2, FS.ext4).world.explore({ maxStates: BOUND, progress: () => true });
    const { schedule } = found.witnesses.find(({ kind }) => kind === "BUG") ?? { schedule: [] };
    const h = world(2, FS.ext4);
    const strippers: string[] = [];
    const { machine } = h.world;
    machine.watch = (_, at) => {
      const { stack, step } = machine.code[at];
      if (step === "try_to_free_buffers")
        strippers.push(stack.find((name) => name.startsWith("invalidate_")) ?? "");
    };
    for (const task of schedule) h.world.step(task);
    expect(h.faults().some((fault) => fault.startsWith("BUG"))).toBe(true);
    expect(strippers.at(-1)).toBe("invalidate_mapping_pages");
  });

  it.each(names)("xfs has no buffers: on %s nothing crashes, and the write is lost in silence", (kernel) => {
    expect(outcomes(world(2, FS.xfs, kernel))).toEqual(["LOST"]);
  });

  it.each(names)("tmpfs has nothing to strip, and no O_DIRECT: on %s process_vm_writev is safe", (kernel) => {
    const h = new Hand(small({ kernel, pages: 2, fs: FS.tmpfs }, { writev0: writev(0), writev1: writev(1) }));
    expect(outcomes(h)).toEqual([]);
  });

  whole(
    "D8",
    [
      ...CALLS.map(([call]) => call),
      "v5.17 and earlier: WARN, then BUG",
      "v5.18 and later: warning, page cleaned",
      "xfs: lost in silence",
      "tmpfs: OK",
    ],
    [
      ...CALLS.filter(([, , here]) => here !== "nothing").map(([call]) => call),
      "v5.17 and earlier: WARN, then BUG",
      "v5.18 and later: warning, page cleaned",
      "xfs: lost in silence",
      "tmpfs: OK",
    ],
    LISTED,
  );
});
