/**
 * Invariants at every step of random runs in which several processes map, store, fork, unmap, protect, lock and exit, while a
 * device writes into their memory and reclaim and writeback go on. A failure prints fast-check's seed and the replay line.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { disk_daemon } from "../../src/kernel/block/disk.js";
import type { Config } from "../../src/kernel/config.js";
import { do_exit } from "../../src/kernel/exit.js";
import { fork, ret_from_fork } from "../../src/kernel/fork.js";
import { dma_engine, do_blockdev_direct_IO } from "../../src/kernel/fs/direct_io.js";
import { wb_workfn } from "../../src/kernel/fs/fs_writeback.js";
import { type Kernel, PTE } from "../../src/kernel/kernel.js";
import { call, local, path, pause, repeat } from "../../src/kernel/language.js";
import { compact_zone } from "../../src/kernel/mm/compaction.js";
import { kswapd } from "../../src/kernel/mm/kswapd.js";
import { MADV, madvise } from "../../src/kernel/mm/madvise.js";
import { vm_normal_page } from "../../src/kernel/mm/memory.js";
import { MIGRATE } from "../../src/kernel/mm/migrate.js";
import { mlock, munlock } from "../../src/kernel/mm/mlock.js";
import { mmap, munmap } from "../../src/kernel/mm/mmap.js";
import { mprotect } from "../../src/kernel/mm/mprotect.js";
import { PageActive, PageUnevictable } from "../../src/kernel/mm/page.js";
import { FS } from "../../src/kernel/operations.js";
import { isAnon, LRU, VM_SHARED, VM_WRITE } from "../../src/kernel/structs.js";
import { dio_nr, int, NONE, vpn } from "../../src/kernel/types.js";
import { cpu_access } from "../../src/kernel/user.js";
import type { World } from "../../src/lab/world.js";
import { lockReportText } from "../../src/machine/lockdep.js";
import { type Actor, small } from "../kernel/harness.js";
import { Invariants } from "./invariants.js";

/** What holds of PTEs and VMAs beyond the counts; null when it does. */
function astray(k: Kernel): string | null {
  for (let at = 0; at < k.pte.entry.length; at++) {
    const entry = k.pte.entry[at];
    if ((entry & PTE.present) === 0) continue;
    const { vm_start, vm_pages, vm_flags, vm_file, vm_pgoff } = k.vma;
    const vma = vm_start.findIndex((start, nr) => at >= start && at < start + vm_pages[nr]);
    if (vma < 0) return `virtual page ${at} has a PTE and no VMA`;
    const page = vm_normal_page(k, entry);
    const where = `virtual page ${at}, page ${page}`;
    if (page === NONE) {
      if ((entry & (PTE.write | PTE.dirty)) !== 0) return `${where}: the zero page can be written`;
      continue;
    }
    const write = (entry & PTE.write) !== 0;
    if (write && (vm_flags[vma] & VM_WRITE) === 0) return `${where}: writable in a VMA that is not`;
    if (k.page.index[page] !== at - vm_start[vma] + vm_pgoff[vma] && k.page.mapping[page] !== 0)
      return `${where}: the page is of another place`;
    if (isAnon(k.page.mapping[page])) {
      if ((vm_flags[vma] & VM_SHARED) !== 0) return `${where}: anonymous in a shared mapping`;
      // Copy on write: nobody writes what somebody else sees.
      if (write && k.page.mapcount[page] > 1) return `${where}: writable and mapped more than once`;
    } else {
      if (k.page.mapping[page] !== vm_file[vma]) return `${where}: a page of another file`;
      if (write && (vm_flags[vma] & VM_SHARED) === 0) return `${where}: a file's page writable in private`;
    }
  }
  if (k.has("mlock"))
    for (let at = k.lruvec.head[LRU.unevictable]; at !== 0; at = k.page.lru_next[at - 1])
      if (!PageUnevictable(k, at - 1) || PageActive(k, at - 1))
        return `page ${at - 1} is on the unevictable list and does not know`;
  return null;
}

function check(world: World, seed: number, steps: number): void {
  const invariants = new Invariants(world);
  const scheduler = world.scheduler(seed);
  expect(invariants.violated()).toBeNull();
  for (let made = 0; made < steps; made++) {
    const task = scheduler.next();
    if (task < 0) break;
    world.step(task);
    const violated = invariants.violated() ?? astray(world.k);
    if (violated !== null) throw new Error(`${violated}\nreplay: ${world.replay}`);
  }
}

const accesses = path(
  "accesses",
  { source: "a test", args: { mm: int, start: vpn, pages: int, write: int }, locals: { at: vpn, step: int } },
  [
    repeat(
      () => true,
      [
        local((_, f) => {
          f.at = f.start + f.step;
          f.step = (f.step + 1) % f.pages;
        }),
        pause("thinks"),
        call(() => cpu_access, { at: "at", write: "write" }),
      ],
    ),
  ],
);

const child = path("child", { source: "a test", args: { mm: int, at: vpn }, locals: { stores: int } }, [
  call(() => ret_from_fork, { mm: "mm" }),
  repeat(
    (_, f) => f.stores < 3,
    [
      pause("thinks"),
      call(() => cpu_access, { at: "at", write: 1 }),
      local((_, f) => {
        f.stores++;
      }),
    ],
  ),
  call(() => munmap, { start: "at", nr: 1 }),
  call(() => do_exit, { mm: "mm" }),
]);

const forker = path("forker", { source: "a test", args: { mm: int, child: int } }, [
  pause("thinks"),
  call(() => fork, { mm: "mm", child: "child" }),
]);

const remapper = path("remapper", { source: "a test", args: { area: int, at: vpn, nr: int } }, [
  repeat(
    () => true,
    [
      pause("thinks"),
      call(() => munmap, { start: "at", nr: "nr" }),
      pause("thinks"),
      call(() => mmap, { area: "area" }),
    ],
  ),
]);

const protector = path("protector", { source: "a test", args: { at: vpn, nr: int } }, [
  repeat(
    () => true,
    [
      pause("thinks"),
      call(() => mprotect, { start: "at", nr: "nr", write: 0 }),
      pause("thinks"),
      call(() => mprotect, { start: "at", nr: "nr", write: 1 }),
    ],
  ),
]);

const forgetter = path("forgetter", { source: "a test", args: { at: vpn, nr: int } }, [
  repeat(
    () => true,
    [pause("thinks"), call(() => madvise, { start: "at", nr: "nr", behavior: MADV.DONTNEED })],
  ),
]);

const locker = path("locker", { source: "a test", args: { at: vpn, nr: int } }, [
  repeat(
    () => true,
    [
      pause("thinks"),
      call(() => mlock, { start: "at", nr: "nr" }),
      pause("thinks"),
      call(() => munlock, { start: "at", nr: "nr" }),
    ],
  ),
]);

const mover = path("mover", { source: "a test" }, [
  repeat(() => true, [pause("thinks"), call(() => compact_zone, { mode: MIGRATE.SYNC })]),
]);

const driver = path("driver", { source: "a test", args: { at: vpn, nr: int, dio: dio_nr } }, [
  repeat(
    () => true,
    [pause("thinks"), call(() => do_blockdev_direct_IO, { at: "at", nr: "nr", dio: "dio" })],
  ),
]);

/**
 * Process 0 has the file shared, private, and anonymous memory, `pages` of each; process 1 is its child. Rows 6 and 7 are room for
 * splits.
 */
function family(fs: number, pages: number, config: readonly Config[]): World {
  const [shared, copy, anon, child_copy] = [0, pages, 2 * pages, 4 * pages];
  const actor = (of: Actor["path"], ...args: number[]): Actor => ({ path: of, args });
  return small(
    {
      fs,
      filePages: pages,
      cached: fs === FS.tmpfs,
      geometry: {
        pages: 8 * pages,
        vmas: [
          { pages, file: 1, flags: VM_SHARED | VM_WRITE },
          { pages, file: 1, flags: VM_WRITE },
          { pages, flags: VM_WRITE },
          { pages, flags: 0, mm: 1, forked: 0 },
          { pages, flags: 0, mm: 1, forked: 1 },
          { pages, flags: 0, mm: 1, forked: 2 },
          { pages: 0, flags: 0 },
          { pages: 0, flags: 0 },
          { pages: 0, flags: 0 },
          { pages: 0, flags: 0 },
        ],
        mms: 2,
        dios: 2,
        dioPages: pages,
        config: ["mmap", ...config],
      },
    },
    {
      store: actor(accesses, 0, shared, pages, 1),
      load: actor(accesses, 0, shared, pages, 0),
      copy: actor(accesses, 0, copy, 2 * pages, 1),
      look: actor(accesses, 0, copy, 2 * pages, 0),
      forker: { path: forker, args: [0, 1], ends: true },
      child: { path: child, args: [1, child_copy], ends: true },
      remapper: actor(remapper, 0, shared + pages - 1, 1),
      protector: actor(protector, copy, pages),
      forgetter: actor(forgetter, copy, 2 * pages),
      ...(config.includes("mlock") ? { locker: actor(locker, shared, 2 * pages) } : {}),
      ...(config.includes("migration") ? { mover: actor(mover) } : {}),
      driver1: actor(driver, anon, 1, 0),
      driver2: actor(driver, shared, 1, 1),
      dma1: actor(dma_engine, 0),
      dma2: actor(dma_engine, 1),
      kswapd: { path: kswapd },
      flusher: { path: wb_workfn },
      disk: { path: disk_daemon, args: [0] },
    },
  );
}

describe("a family of processes", () => {
  for (const [name, fs] of [
    ["ext4", FS.ext4],
    ["tmpfs", FS.tmpfs],
  ] as const) {
    for (const config of [[], ["mlock"], ["fault_around"], ["mlock", "rlimit"], ["migration"]] as const) {
      it(`${name}, ${["mmap", ...config].join(" ")}: references, PTEs, lists and gauges agree at every step`, () => {
        fc.assert(
          fc.property(fc.integer({ min: 1, max: 3 }), fc.nat(), (pages, seed) =>
            check(family(fs, pages, config), seed, 2500),
          ),
          { numRuns: 6 },
        );
      });
    }
  }

  it("lockdep has nothing to say", () => {
    expect(family(FS.ext4, 2, ["mlock"]).lockdep.reports.map(lockReportText)).toEqual([]);
  });
});
