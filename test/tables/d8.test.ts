/**
 * proposals.md D8: syzbot d59332e2, process_vm_writev into a shared mapping of a file that others write with O_DIRECT.
 *
 * The calls are data (Jones, 2022-02-16); those that touch a page that is mapped and written with O_DIRECT are run, on v4.20, in every
 * interleaving. A1b's question is how the buffers go: Ts'o says process_vm_writev needs no stripper, as no page_mkwrite is called; Jones's log says that
 * the cache could not be invalidated. Computed here: one process_vm_writev and one O_DIRECT write do not crash, because what invalidation
 * drops is dropped with its mapping. Two of the first (syzkaller runs each call on its own thread) and one of the second do: the first
 * one's set_page_dirty_lock makes the invalidation fail, the write falls back to the cache, and invalidate_mapping_pages strips the page
 * that the second one still holds. Reclaim has no part in it.
 */
import { describe, expect, it } from "vitest";
import { call, local, path } from "../../src/kernel/language.js";
import { generic_file_write_direct } from "../../src/kernel/mm/direct_write.js";
import { process_vm_rw } from "../../src/kernel/mm/process_vm_access.js";
import { FS } from "../../src/kernel/operations.js";
import { inode, int } from "../../src/kernel/types.js";
import { disk } from "../kernel/actors.js";
import { type Actor, FILE, Hand, small } from "../kernel/harness.js";

/** The report's calls. `runs`: what is modelled of it. */
const D8 = [
  { nr: 0, call: 'open("./bus", 0x14d842)', meaning: "O_DIRECT descriptor r0", runs: "" },
  { nr: 1, call: 'openat(cwd, "/proc/self/exe", RDONLY)', meaning: "source of sendfile, r1", runs: "" },
  { nr: 2, call: 'open("./bus", 0x143042)', meaning: "second descriptor r2", runs: "" },
  { nr: 3, call: "ftruncate(r2, 0x2008002)", meaning: "32 MiB and an odd tail, sparse", runs: "" },
  { nr: 4, call: 'open("./bus", 0x14103e)', meaning: "third descriptor r3", runs: "" },
  {
    nr: 5,
    call: "mmap(0x20000000, 6 MiB, SHARED|FIXED, r3, 0)",
    meaning: "maps the file shared",
    runs: "vma",
  },
  { nr: 6, call: "sendfile(r0, r1, NULL, 0x80000005)", meaning: "O_DIRECT write", runs: "direct" },
  { nr: 7, call: "gettid()", meaning: "", runs: "" },
  { nr: 8, call: "process_vm_writev(self, ...)", meaning: "pins file pages for writing", runs: "writev" },
  { nr: 9, call: "sendfile(r0, r1, NULL, 0x80000005)", meaning: "its write-out crashes", runs: "direct" },
] as const;

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

/** Calls 6 and 9 beside some of call 8, from the moment at which each has taken its page. */
function world(writevs: number, fs: number): Hand {
  const actors: Record<string, Actor> = {};
  for (let nr = 0; nr < writevs; nr++) actors[`writev${nr}`] = writev(nr);
  const h = new Hand(
    small(
      { pages: 2, fs, geometry: { config: ["truncate"] } },
      { ...actors, direct: { path: two_writes, args: [FILE], ends: true }, disk },
    ),
  );
  for (let nr = 0; nr < writevs; nr++) h.until(`writev${nr}`, (k) => k.user_pages.nr[nr] === 1);
  return h;
}

function outcomes(h: Hand): string[] {
  const { complete, witnesses } = h.world.explore({ maxStates: 2_000_000, progress: () => true });
  expect(complete).toBe(true);
  return witnesses.map(({ kind }) => kind).sort();
}

describe("D8", () => {
  it("has ten calls, of which three kinds touch a mapped page", () => {
    expect(D8.map(({ nr }) => nr)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect([...new Set(D8.map(({ runs }) => runs).filter(Boolean))]).toEqual(["vma", "direct", "writev"]);
  });

  it("one process_vm_writev beside the O_DIRECT writes: its bytes can be lost, nothing crashes", () => {
    expect(outcomes(world(1, FS.ext4))).toEqual(["LOST"]);
  });

  it("two of them: WARN in ext4_set_page_dirty, then BUG in the write-out, without reclaim", () => {
    expect(outcomes(world(2, FS.ext4))).toEqual(["BUG", "LOST", "WARN"]);
  });

  it("the shortest way to the crash strips in invalidate_mapping_pages, after the write has fallen back", () => {
    const found = world(2, FS.ext4).world.explore({ maxStates: 2_000_000, progress: () => true });
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

  it("tmpfs has nothing to strip, and no O_DIRECT: the calls of process_vm_writev are safe", () => {
    const h = new Hand(small({ pages: 2, fs: FS.tmpfs }, { writev0: writev(0), writev1: writev(1) }));
    expect(outcomes(h)).toEqual([]);
  });
});
