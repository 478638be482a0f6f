/**
 * The standard workloads on v4.20: what a search over every interleaving of one page says. Each expectation is what a mail, the
 * article or the kernel's source says of this kernel; a verdict that differs is a finding.
 */
import { describe, expect, it } from "vitest";
import { explore } from "../../src/lab/explore.js";
import { run } from "../../src/lab/run.js";
import type { Scenario } from "../../src/lab/scenario.js";
import { findScenario, scenarios } from "../../src/lab/scenarios.js";
import { workloads } from "../../src/lab/workloads/index.js";
import { open } from "../../src/lab/world.js";
import { lockReportText } from "../../src/machine/lockdep.js";

/** What can happen, by the workload and its parameters, and why it is expected. */
const VERDICTS: readonly (readonly [scenario: string, outcomes: readonly string[], why: string])[] = [
  ["W2", ["OK"], "writeback alone leaves the buffers where they are (Kara's second race: no assertion)"],
  ["W2,holder=vfio", ["LOST"], "SetPageDirty alone: no tag, so no flusher finds the page (trap 42)"],
  [
    "W2,holder=amdgpu",
    ["WARN", "REFUSED"],
    "set_page_dirty without the page lock (F9); -EDEADLK where writeback takes the pages away ten times",
  ],
  [
    "W3",
    ["BUG", "LOST", "WARN"],
    "the O_DIRECT write drops the held page, or its buffered fallback takes the buffers (syzbot's crash)",
  ],
  ["W3,fs=xfs", ["LOST"], "no buffers, no crash: the write is lost in silence"],
  ["W1,strip=diowrite", ["BUG", "LOST", "WARN"], "the same for a device"],
  ["W1,strip=drop", ["OK"], "the page is mapped all the time: invalidate_inode_page leaves it alone"],
  ["W5", ["LOST"], "nobody has marked what the device wrote when fsync looks (D14)"],
  ["W5,holder=dio", ["OK"], "a read that has not returned has promised nothing"],
  ["W6", ["TORN"], "the device does not know of stable pages"],
  ["W7", ["STALE", "REFUSED"], "truncation and extension: two pages for one offset (trap 37)"],
  ["W7,cut=punch", ["STALE"], "the same for a hole"],
  [
    "W8",
    ["REFUSED"],
    "break_layouts waits for the reference count to be 1; a read that comes after it has no memory to read into",
  ],
  ["W8,fs=xfs_dax", ["REFUSED"], "the same in xfs"],
  ["W9", ["REFUSED"], "get_user_pages_longterm refuses DAX"],
  ["W9,holder=video", ["REFUSED"], "so does get_vaddr_frames"],
  [
    "W10,holder=vmsplice,free=1",
    ["OK"],
    "the other process gets the one free page again and again; a holder that never dirties leaves no trace",
  ],
  ["W11", ["STALE"], "v4.20 copies for who writes first, and the device keeps the old page"],
  ["W11,advice=dontfork", ["OK"], "what keeps RDMA programs alive"],
  ["W12", ["OK"], "FOLL_WRITE and FOLL_FORCE copy the page before the device gets it"],
  ["W13", ["REFUSED"], "page_mkwrite reserves; who comes too late gets SIGBUS, and gup -EFAULT"],
  ["W13,what=delalloc", ["OK"], "a promise is kept on ext4 as well"],
  ["W13,fs=xfs", ["REFUSED"], "the same without buffers"],
  [
    "W13,fs=xfs,what=shared",
    ["REFUSED"],
    "the COW fork is reserved at the fault, and the file has the block after the write",
  ],
  ["W13,fs=xfs,what=delalloc", ["OK"], "a promise is kept"],
  [
    "W13,fs=btrfs",
    ["LOST", "REFUSED"],
    "every write needs a block: a page dirtied without page_mkwrite goes to the fixup worker, which drops it",
  ],
  [
    "W13,fs=btrfs,holder=aio",
    ["LOST", "ENOSPC", "REFUSED"],
    "refused at its fault, or dirtied at submission and at completion: the worker finds it dirty, reserves, and is too late",
  ],
  [
    "W13,fs=btrfs,what=delalloc",
    ["LOST", "REFUSED"],
    "the promise is for one write: what a device makes dirty after it needs another block",
  ],
  ["W13,fs=btrfs,what=shared", ["LOST", "REFUSED"], "every write goes to a new block, shared or not"],
  ["W14,how=put", ["OK"], "v4.20 has one way to let go, and this is it"],
  ["W14", ["LEAK"], "a reference that nobody puts"],
  ["W14,how=partial", ["LEAK"], "what a short get_user_pages gave is the caller's"],
  ["W14,how=death", ["OK"], "exit does not touch a device's references; the file's release puts them"],
  ["W14,how=twice", ["LEAK", "WARN"], "the PTE's reference goes: a page freed while it is mapped is bad"],
  ["W14,how=late", ["LEAK", "WARN"], "below zero, found at the next allocation; or the next owner's"],
  ["W14,how=never", ["LEAK", "WARN"], "the same as a put too many"],
  ["W14,how=early", ["UAF", "INFOLEAK"], "the page is the next process's while the device writes"],
  ["W14,how=early,memory=tmpfs", ["OK"], "the page cache's reference keeps the page"],
  ["W14,how=twice,memory=tmpfs", ["LEAK", "WARN"], "the cache's reference goes: non-NULL mapping"],
  ["W14,how=late,debug=yes", ["BUG", "LEAK", "WARN"], "VM_BUG_ON_PAGE in put_page_testzero"],
  ["W15", ["OK"], "1024 references are no pins in v4.20, and nobody asks"],
  ["W15,references=millions", ["OK"], "nor are millions"],
  ["W15,references=sign", ["OK"], "a negative count: get_page does not look before v5.1"],
  ["W15,references=wrap", ["UAF", "WARN"], "the count is what it was; emptying the pipes frees the page"],
  ["W15,references=sign,debug=yes", ["BUG", "LEAK"], "VM_BUG_ON_PAGE in get_page"],
  ["W15,references=sign,memory=huge", ["OK"], "all base pages count in the head"],
  ["W16", ["OK"], "CMA gives up"],
  ["W16,who=offline", ["HANG"], "offlining goes on for ever"],
  ["W17", ["OK"], "one waits for the command's end, whatever its timer does meanwhile"],
  ["W17,device=abortable", ["OK"], "Abort ends the command, and it is sent again"],
  [
    "W17,device=stuck",
    ["OK"],
    "the controller is reset; after five more tries the read fails and puts the pages",
  ],
  ["W17,device=dead", ["OK"], "bus mastering is taken away before the read fails"],
  ["W17,device=endless", ["HANG"], "nothing ends it where there is no reset"],
  ["cve-2020-29374", ["INFOLEAK"], "who is mapped last writes in place; the pipe's reference is no mapping"],
  ["cve-2020-29374,spy=before", ["INFOLEAK"], "the same when the parent listens to its child"],
  ["cve-2020-29374,spy=after", ["INFOLEAK"], "the same when it splices after the fork"],
  ["cve-2020-29374,unmap=no", ["OK"], "two mappings: who writes gets a copy"],
  ["cve-2020-29374,advice=dontfork", ["REFUSED"], "the child has no such page: its vmsplice gets -EFAULT"],
  ["cve-2020-29374,advice=wipeonfork", ["OK"], "the child has an empty page of its own"],
  ["cve-2020-29374,spy=before,advice=dontfork", ["OK"], "the child has nothing to write"],
  ["cve-2020-29374,spy=after,advice=dontfork", ["OK"], "the same"],
  ["W18", ["OK"], "no filesystem tracks dirty pages"],
  ["W18,holder=rdma", ["OK"], "the same"],
  ["W18,memory=anon", ["OK"], "the same"],
  [
    "half-page,holder=dio",
    ["OK"],
    "v4.20 writes a pinned page as any other: what the CPU has stored is there",
  ],
  ["half-page,holder=pvmw", ["OK"], "the same"],
  ["half-page,holder=pvmw,fs=xfs", ["OK"], "the same"],
];

describe("verdicts, every interleaving", () => {
  for (const [scenario, outcomes, why] of VERDICTS)
    it(`${scenario}: ${outcomes.join(", ")} (${why})`, () => {
      const verdict = explore(scenario, { maxStates: 1_000_000 });
      expect(verdict.outcomes).toEqual(outcomes);
    });
});

/** What some of a few runs meet, where the machine is too big for a search over every interleaving. */
const met = (scenario: string, seeds: number): { outcomes: string[]; victims: string[] } => {
  const outcomes = new Set<string>();
  const victims = new Set<string>();
  for (let seed = 1; seed <= seeds; seed++)
    for (const { kind, path } of run(scenario, { seed }).faults) {
      outcomes.add(kind);
      if (kind === "BUG") victims.add(path);
    }
  return { outcomes: [...outcomes].sort(), victims: [...victims].sort() };
};

describe("W1 and W2 on ext4 with a journal, in some runs", () => {
  const { ext4_writepage, mpage } = {
    ext4_writepage: "ext4_writepage",
    mpage: "mpage_prepare_extent_to_map",
  };
  const TABLE: readonly (readonly [
    scenario: string,
    outcomes: readonly string[],
    victims: readonly string[],
    why: string,
  ])[] = [
    ["W1,fs=ext4-delalloc", ["BUG", "HANG", "WARN"], [ext4_writepage, mpage], "as without a journal"],
    ["W1,fs=ext4-nodelalloc", ["BUG", "HANG", "WARN"], [ext4_writepage, mpage], "the same"],
    [
      "W1,fs=ext4-journal",
      ["BUG", "HANG"],
      [ext4_writepage],
      "nobody warns, and every way is writepage (trap 18)",
    ],
    [
      "W4,fs=ext4-journal",
      ["BUG", "HANG"],
      [ext4_writepage],
      "the same for a region that is registered for long",
    ],
    ["W2,fs=ext4-delalloc", [], [], "the buffers stay"],
    ["W2,fs=ext4-nodelalloc", [], [], "the same"],
    ["W2,fs=ext4-journal", [], [], "the same"],
  ];
  for (const [scenario, outcomes, victims, why] of TABLE)
    it(`${scenario}: ${outcomes.join(", ") || "OK"} (${why})`, () => {
      expect(met(scenario, 40)).toEqual({ outcomes, victims });
    });
});

describe("W10, in some runs", () => {
  const TABLE: readonly (readonly [scenario: string, outcomes: readonly string[], why: string])[] = [
    ["W10", ["BUG", "HANG", "WARN"], "reclaim for somebody else strips the pinned page, and the crash comes"],
    [
      "W10,holder=dio,pages=4",
      ["BUG", "HANG", "WARN"],
      "the same for four pages that are pinned for one read",
    ],
    ["W10,holder=uring", ["REFUSED"], "buffers of a file are not registered: nothing is pinned"],
  ];
  for (const [scenario, outcomes, why] of TABLE)
    it(`${scenario}: ${outcomes.join(", ")} (${why})`, () => {
      expect(met(scenario, 40).outcomes).toEqual(outcomes);
    });
});

describe("W5: after fsync and a power cut", () => {
  for (const fs of ["ext4-delalloc", "ext4-nodelalloc", "ext4-journal"])
    it(`fs=${fs}: what the device had written is gone (D14); a read that has not returned has promised nothing`, () => {
      expect(explore(`W5,fs=${fs}`, { maxStates: 100_000 }).outcomes).toEqual(["LOST"]);
      expect(met(`W5,fs=${fs},holder=dio`, 1).outcomes).toEqual([]);
    });
});

describe("a run", () => {
  it("says what a search says: STALE of a page that was written after its file had let go of it", () => {
    const outcomes = new Set<string>();
    for (let seed = 1; seed <= 40; seed++)
      for (const outcome of run("W7", { seed }).outcomes) outcomes.add(outcome);
    expect(outcomes).toContain("STALE");
  });
});

describe("cve-2020-29374", () => {
  it("a run overhears, and the shortest way ends with the parent's store in place, after the child's munmap", () => {
    expect(run("cve-2020-29374").outcomes).toEqual(["INFOLEAK"]);
    const { steps } = explore("cve-2020-29374");
    expect(steps.slice(-3).map(({ task, path, step }) => `${task}: ${path}, ${step}`)).toEqual([
      "child: zap_pte_range, ptep_get_and_clear_full",
      "parent: do_wp_page, do_wp_page",
      "parent: cpu_access, access",
    ]);
  });
});

describe("W13", () => {
  it("ext4 shares no blocks: refused with a sentence that says what is possible", () => {
    expect(() => explore("W13,what=shared")).toThrow("hole-full: what=shared is for fs=xfs or fs=btrfs");
  });
});

/** A scenario with each value of each of its choices, the others as they are. */
const variants = ({ name, parameters }: Scenario): string[] => [
  name,
  ...Object.entries(parameters).flatMap(([parameter, each]) =>
    "choices" in each ? Object.keys(each.choices).map((value) => `${name},${parameter}=${value}`) : [],
  ),
];

describe("every workload", () => {
  for (const { name, aliases } of workloads)
    it(`${[...aliases, name].join(", ")}: has a number`, () => {
      expect(aliases).toEqual([expect.stringMatching(/^W\d+$/)]);
      expect(findScenario(aliases[0]).name).toBe(name);
    });
});

describe("every scenario", () => {
  for (const scenario of scenarios)
    it(`${scenario.name}: no lock report, whatever is chosen`, () => {
      // It does not go with another choice's default, and says so (above).
      for (const variant of variants(scenario))
        if (variant !== "hole-full,what=shared")
          expect(open(variant, { record: false }).lockdep.reports.map(lockReportText), variant).toEqual([]);
    });
});
