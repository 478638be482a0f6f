/**
 * proposals.md D11, on every kernel, and the workloads W11, W12, W18 on v4.20: what becomes of a page that somebody holds by reference when fork, or
 * a private mapping, makes a copy. Every interleaving of small machines; nothing here is stated, all of it is computed.
 */
import { describe, expect, it } from "vitest";
import { ret_from_fork } from "../../src/kernel/fork.js";
import { mem_rw } from "../../src/kernel/fs/proc_mem.js";
import { vmsplice_to_pipe } from "../../src/kernel/fs/splice.js";
import type { Kernel } from "../../src/kernel/kernel.js";
import {
  call,
  down_read,
  given,
  goto,
  label,
  leave,
  local,
  path,
  step,
  up_read,
} from "../../src/kernel/language.js";
import { mmap_sem } from "../../src/kernel/locks.js";
import { MADV } from "../../src/kernel/mm/madvise.js";
import {
  handle_mm_fault,
  mm_of,
  page_behind,
  pte_present,
  pte_write,
  vm_normal_page,
} from "../../src/kernel/mm/memory.js";
import { munmap } from "../../src/kernel/mm/mmap.js";
import { get_page } from "../../src/kernel/mm/page.js";
import { put_page } from "../../src/kernel/mm/swap.js";
import { page_of, store_page } from "../../src/kernel/mm/user_pages.js";
import { FS, VM_FAULT } from "../../src/kernel/operations.js";
import { VM_DONTCOPY, VM_WRITE } from "../../src/kernel/structs.js";
import { int, NONE, pages_nr, pfn, vpn } from "../../src/kernel/types.js";
import { cpu_access } from "../../src/kernel/user.js";
import { explore } from "../../src/lab/explore.js";
import type { World } from "../../src/lab/world.js";
import { findKernel, kernels } from "../../src/patches/kernels.js";
import { PTE_BIT } from "../../src/trace/words.js";
import { naiveSearch } from "../explore/naive.js";
import { disk, dma, flusher, read, reclaim, store } from "../kernel/actors.js";
import { type Actor, small } from "../kernel/harness.js";
import { anonymous, child_exits, fork as forks, madvise, parent } from "../kernel/processes.js";
import { whole } from "./rows.js";

/** What holds in some state that can be reached, and what in some state in which every task that ends has ended. */
function reachable(
  world: World,
  holds: (k: Kernel) => boolean,
): { some: boolean; atEnd: boolean; always: boolean } {
  const { machine } = world;
  const ended = () => machine.tasks.every((_, task) => machine.finished(task) || !world.enabled(task));
  let some = false;
  let atEnd = false;
  let always = true;
  naiveSearch(world, undefined, () => {
    const now = holds(world.k);
    some ||= now;
    if (!ended()) return;
    atEnd ||= now;
    always &&= now;
  });
  return { some, atEnd, always };
}

const names = kernels.map(({ name }) => name);
/** The kernels that have a patch. */
const having = (patch: string): string[] =>
  names.filter((name) => findKernel(name).patches.some((each) => each.name === patch));

const ends = (of: Actor["path"], ...args: number[]): Actor => ({ path: of, args, ends: true });

/** A child that gives its inherited page to a pipe and unmaps it. */
const splicer = path("splicer", { source: "a test", args: { at: vpn, pages: pages_nr, pipe: pages_nr } }, [
  call(() => ret_from_fork, { mm: 1 }),
  call(() => vmsplice_to_pipe, { start: "at", nr: 1, pages: "pages", pipe: "pipe" }),
  call(() => munmap, { start: "at", nr: 1 }),
]);

describe("CVE-2020-29374 (D11 row 2, D7 row 3)", () => {
  const world = (kernel = "v4.20"): World =>
    small({ ...anonymous(1, { dios: 2 }), kernel }, { parent: parent(0), child: ends(splicer, 1, 0, 1) });
  /** The pipe of the child has what the parent stored after the fork. */
  const leaks = (k: Kernel): boolean => {
    const page = page_of(k, 1, 0);
    return page !== NONE && k.content.version[page] > 1;
  };

  it("v4.20 leaks: once the child has unmapped the page, the parent is the only mapper and writes in place", () => {
    expect(reachable(world(), leaks)).toMatchObject({ some: true, atEnd: true });
  });

  it("leaks up to v5.7, and from v5.9 on, where a write copies what others refer to, no more", () => {
    const leaking = names.filter((kernel) => reachable(world(kernel), leaks).some);
    // v5.8 had a mend of its own: a reference to a private mapping was had for writing.
    const mended = [...having("copy-if-referenced"), ...having("force-cow-break")];
    expect(leaking).toEqual(names.filter((name) => !mended.includes(name)));
    expect(leaking.at(-1)).toBe("v5.7");
  });

  it("only then: a parent that writes while the child maps the page gets a copy", () => {
    expect(reachable(world(), leaks).always).toBe(false);
  });

  it("without a reference that outlives the mapping nothing leaks", () => {
    const quiet = small(anonymous(1, { dios: 2 }), { parent: parent(0), child: child_exits() });
    expect(reachable(quiet, leaks).some).toBe(false);
  });
});

describe("W11: a device writes into anonymous memory of a process that forks (9.1)", () => {
  const actors = (advice: Readonly<Record<string, Actor>> = {}) => ({
    read: read(0, 0),
    dma: dma(0),
    fork: forks(),
    store: store(0),
    ...advice,
  });
  /** The device's page is not the one that its process sees. */
  const stale = (k: Kernel): boolean => {
    const page = page_of(k, 0, 0);
    return page !== NONE && k.page.pins[page] > 0 && page_behind(k, 0) !== page;
  };

  it("the parent's next write makes a copy for the parent: its DMA is lost, as long as the child lives", () => {
    expect(reachable(small(anonymous(), actors()), stale).some).toBe(true);
  });

  it("VM_DONTCOPY is the way round: MADV_DONTFORK before the fork", () => {
    const world = small(anonymous(), actors());
    world.k.vma.vm_flags[0] |= VM_DONTCOPY;
    expect(reachable(world, stale).some).toBe(false);
  });

  it("without a fork the process keeps its page", () => {
    const { fork: _, ...rest } = actors();
    expect(reachable(small(anonymous(), rest), stale).some).toBe(false);
  });

  it("MADV_DONTNEED does the same without a fork", () => {
    const { fork: _, ...rest } = actors({ forget: madvise(0, 1, MADV.DONTNEED) });
    expect(reachable(small(anonymous(), rest), stale).some).toBe(true);
  });
});

/** A reader that pins what its process shows at a virtual page, and keeps it: FOLL_GET for reading, for long. */
const pins = path("pins", { source: "a test", args: { at: vpn, pages: pages_nr } }, [
  call(() => cpu_access, { at: "at", write: 0 }),
  step("get_user_pages", (k, f) => {
    const entry = k.pte.entry[f.at];
    const page = pte_present(entry) ? vm_normal_page(k, entry) : NONE;
    if (page === NONE) return;
    get_page(k, page);
    store_page(k, f.pages, page);
  }),
]);

describe("W12: a read-only pin of a private mapping, then the process writes", () => {
  it("the pin stays with the file's page (v4.20 does not unshare): STALE in every order", () => {
    const world = small(
      { fs: FS.tmpfs, pages: 3, vmas: [VM_WRITE] },
      { pins: ends(pins, 0, 0), store: store(0) },
    );
    const stale = (k: Kernel): boolean => page_of(k, 0, 0) !== NONE && page_behind(k, 0) !== page_of(k, 0, 0);
    expect(reachable(world, stale)).toMatchObject({ some: true, atEnd: true });
  });
});

describe("W18: the same pins where no filesystem keeps track of dirt", () => {
  it("anonymous memory: no fault in any order", () => {
    const world = small(anonymous(), {
      read: read(0),
      dma: dma(0),
      reclaim: reclaim(),
      store: store(0),
      flusher,
      disk,
    });
    const result = world.explore({ maxStates: 1_000_000, progress: () => true });
    expect([result.complete, result.witnesses.map(({ kind }) => kind)]).toEqual([true, []]);
  });
});

/**
 * A debugger's write as before v4.9: when the fault says that it has made the copy, the write bit is dropped, and the next look
 * takes what it finds.
 */
const old_mem_write = path(
  "old_mem_write",
  {
    source: "mm/gup.c v4.8",
    args: { at: vpn, pages: pages_nr },
    locals: { write: int, done: int, fault: int, page: pfn },
  },
  [
    local((_, f) => {
      f.write = 1;
    }),
    down_read(mmap_sem, (k, f) => mm_of(k, f.at)),
    label("retry"),
    step("follow_page_pte", (k, f) => {
      const entry = k.pte.entry[f.at];
      if (!pte_present(entry) || (f.write === 1 && !pte_write(entry))) return;
      f.page = vm_normal_page(k, entry);
      get_page(k, f.page);
      f.done = 1;
    }),
    given((_, f) => f.done === 1, [goto("copy")]),
    // cond_resched: mmap_sem is held for reading, which keeps no MADV_DONTNEED away.
    call(() => handle_mm_fault, { at: "at", flags: "write" }, "fault"),
    given((_, f) => (f.fault & VM_FAULT.ERROR) !== 0, [up_read(mmap_sem, (k, f) => mm_of(k, f.at)), leave()]),
    local((_, f) => {
      if ((f.fault & VM_FAULT.WRITE) !== 0) f.write = 0;
      f.fault = 0;
    }),
    goto("retry"),
    label("copy"),
    step("copy_to_user_page", (k, f) => {
      k.content.version[f.page]++;
      put_page(k, f.page);
    }),
    up_read(mmap_sem, (k, f) => mm_of(k, f.at)),
  ],
);

describe("CVE-2016-5195, Dirty COW (D11 row 1)", () => {
  const world = (writer: Actor, kernel = "v4.20"): World =>
    small(
      {
        kernel,
        fs: FS.tmpfs,
        geometry: { pages: 4, vmas: [{ pages: 1, file: 1, flags: 0 }], dios: 1, config: ["mmap"] },
      },
      { writer, forget: madvise(0, 1, MADV.DONTNEED) },
    );
  /** The file's own page has been written through a private, read-only mapping. */
  const written = (k: Kernel): boolean => {
    const page = k.xa_slot.page[0] - 1;
    return page !== NONE && k.content.version[page] > 0;
  };

  it.each(names)("%s does not have it: FOLL_COW wants the copy to be there still", (kernel) => {
    expect(reachable(world(ends(mem_rw, 0, 1, 1, 0), kernel), written).some).toBe(false);
  });

  it("v4.8 had it: the write bit was dropped for good, and MADV_DONTNEED took the copy away in between", () => {
    expect(reachable(world(ends(old_mem_write, 0, 0)), written).some).toBe(true);
  });

  it("without MADV_DONTNEED even the old rule wrote the copy only", () => {
    const alone = small(
      {
        fs: FS.tmpfs,
        geometry: { pages: 4, vmas: [{ pages: 1, file: 1, flags: 0 }], dios: 1, config: ["mmap"] },
      },
      { writer: ends(old_mem_write, 0, 0) },
    );
    expect(reachable(alone, written).some).toBe(false);
    expect(alone.k.pte.entry[0] & PTE_BIT.write).toBe(0);
  });
});

describe("no id (D11 row 5): an unprivileged process_vm_writev kills ext4", () => {
  it("is D8, W3 in the scenarios", () => {
    expect(explore("W3", { maxStates: 1_000_000 }).outcomes).toEqual(["BUG", "LOST", "WARN"]);
  });

  // Bounds are said where a search is cut short: the small machines of D8 are searched to their end.
  it.each([
    ["v5.11", ["BUG", "LOST", "WARN"]],
    ["v5.18", ["LOST"]],
  ])("kills ext4 up to v5.11, as far as 200,000 states show; on %s: %s", (kernel, expected) => {
    expect(explore("W3", { kernel, maxStates: 200_000 }).outcomes).toEqual(expected);
  });
});

whole(
  "D11",
  ["CVE-2016-5195", "CVE-2020-29374", "CVE-2022-0847", "CVE-2023-2598", "no id: process_vm_writev"],
  ["CVE-2016-5195", "CVE-2020-29374", "no id: process_vm_writev"],
  {
    "CVE-2022-0847":
      "PIPE_BUF_FLAG_CAN_MERGE is of v5.8 to v5.16: a pipe here holds references, and nobody writes into a pipe's pages",
    "CVE-2023-2598":
      "io_uring takes runs of one folio from v6.3 on: the fault is in a length, and a registered buffer here is its pages, one by one",
  },
);
