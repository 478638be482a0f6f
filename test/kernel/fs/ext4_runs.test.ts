/**
 * Invariants 14.1 at every step of random runs of an ext4 file with blocks and a journal, in each of its modes: stores, write(2),
 * fsync, truncation and extension, holes, the flusher, commits, reclaim, and O_DIRECT reads into the mapping.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { disk_daemon } from "../../../src/kernel/block/disk.js";
import { dma_engine } from "../../../src/kernel/fs/direct_io.js";
import { ext4_punch_hole, ext4_setattr } from "../../../src/kernel/fs/ext4/truncate.js";
import { wb_workfn } from "../../../src/kernel/fs/fs_writeback.js";
import { kjournald2 } from "../../../src/kernel/fs/jbd2.js";
import { stale_after_power_cut } from "../../../src/kernel/fs/power_cut.js";
import { generic_file_buffered_read, generic_file_write_iter } from "../../../src/kernel/fs/read_write.js";
import { fsync } from "../../../src/kernel/fs/sync.js";
import type { Mount } from "../../../src/kernel/geometry.js";
import { call, local, path, pause, repeat } from "../../../src/kernel/language.js";
import { kswapd } from "../../../src/kernel/mm/kswapd.js";
import { VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { inode, int, vpn } from "../../../src/kernel/types.js";
import { cpu_access } from "../../../src/kernel/user.js";
import type { World } from "../../../src/lab/world.js";
import { lockReportText } from "../../../src/machine/lockdep.js";
import { Invariants } from "../../lab/invariants.js";
import { read } from "../actors.js";
import { FILE, small } from "../harness.js";

const stores = path("stores", { source: "a test", args: { pages: int }, locals: { at: vpn } }, [
  repeat(
    () => true,
    [
      pause("thinks"),
      call(() => cpu_access, { at: "at", write: 1 }),
      local((_, f) => {
        f.at = (f.at + 1) % f.pages;
      }),
    ],
  ),
]);
const writes = path("writes", { source: "a test", args: { pos: int, count: int } }, [
  repeat(
    () => true,
    [
      pause("thinks"),
      call(() => generic_file_write_iter, { mapping: FILE, pos: "pos", count: "count" }),
      call(() => generic_file_buffered_read, { mapping: FILE, index: 0 }),
    ],
  ),
]);
const syncs = path("syncs", { source: "a test", args: { mapping: inode } }, [
  repeat(() => true, [pause("thinks"), call(() => fsync, { mapping: "mapping" })]),
]);
/** Shorter, longer again, and a hole. */
const cuts = path("cuts", { source: "a test", args: { size: int, pages: int } }, [
  repeat(
    () => true,
    [
      pause("thinks"),
      call(() => ext4_setattr, { mapping: FILE, size: 1 }),
      call(() => ext4_setattr, { mapping: FILE, size: "size" }),
      pause("thinks"),
      call(() => ext4_punch_hole, { mapping: FILE, start: 0, end: "pages" }),
    ],
  ),
]);

const MODES: readonly (readonly [string, Mount])[] = [
  ["ordered, delayed allocation", { data: "ordered", delalloc: true }],
  ["ordered, nodelalloc", { data: "ordered", delalloc: false }],
  ["journal", { data: "journal", delalloc: false }],
];

/** The cutter takes pages away from under the device, so that it is one or the other. */
function busy(mount: Mount, pages: number, parts: number, cut: boolean): World {
  return small(
    {
      pages: pages + 2,
      parts,
      geometry: {
        files: [{ pages, extents: ["mapped", "hole", "unwritten"] }],
        vmas: [{ pages, file: FILE, flags: VM_SHARED | VM_WRITE }],
        config: ["blocks", "journal", "truncate"],
        blocks: pages + 1,
        dios: 12,
        mount,
      },
    },
    {
      ...(cut
        ? { cut: { path: cuts, args: [pages * parts, pages] } }
        : { store: { path: stores, args: [pages] }, driver: read(9), dma: { path: dma_engine, args: [9] } }),
      write: { path: writes, args: [parts - 1, (pages - 1) * parts + 1] },
      sync: { path: syncs, args: [FILE] },
      flusher: { path: wb_workfn },
      kswapd: { path: kswapd },
      jbd2: { path: kjournald2, args: [0] },
      disk: { path: disk_daemon, args: [0] },
    },
  );
}

/**
 * Runs until a crash, if there is one: what a dead task holds, it holds for ever. At every moment a power cut shows nobody else's
 * bytes, unless the machine is known to do so: without delayed allocation, while a hole is punched (ext4_truncate.test.ts).
 */
function check(world: World, seed: number, steps: number, exposes: boolean): void {
  const invariants = new Invariants(world);
  const scheduler = world.scheduler(seed);
  for (let made = 0; made < steps; made++) {
    const task = scheduler.next();
    if (task < 0) break;
    world.step(task);
    const violated = invariants.violated();
    if (violated !== null) throw new Error(`${violated}\nreplay: ${world.replay}`);
    if (world.k.faults.some(({ kind }) => kind === "BUG")) break;
    if (exposes) continue;
    const stale = stale_after_power_cut(world.k);
    if (stale.length > 0)
      throw new Error(`a power cut shows ${JSON.stringify(stale)}\nreplay: ${world.replay}`);
  }
  const kinds = new Set(world.k.faults.map(({ kind }) => kind));
  for (const kind of ["UAF", "INFOLEAK"] as const) expect(kinds).not.toContain(kind);
}

describe("an ext4 file with blocks and a journal", () => {
  for (const [name, mount] of MODES)
    for (const cut of [false, true])
      it(`${name}, ${cut ? "truncated and punched" : "stored to by CPUs and a device"}: every invariant at every step`, () => {
        fc.assert(
          fc.property(
            fc.integer({ min: 2, max: 3 }),
            fc.integer({ min: 1, max: 2 }),
            fc.nat(),
            (pages, parts, seed) => check(busy(mount, pages, parts, cut), seed, 1500, cut && !mount.delalloc),
          ),
          { numRuns: 10, seed: 4 },
        );
      });

  for (const [name, mount] of MODES)
    it(`${name}: lockdep has nothing to say`, () => {
      for (const cut of [false, true])
        expect(busy(mount, 2, 1, cut).lockdep.reports.map(lockReportText)).toEqual([]);
    });
});
