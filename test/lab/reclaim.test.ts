/**
 * Invariants 14.1 at every step of random runs of machines that are short of memory: kswapd that sleeps, direct reclaim in every
 * fault, batches per CPU, buffers stripped from active pages.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { disk_daemon } from "../../src/kernel/block/disk.js";
import type { Config } from "../../src/kernel/config.js";
import { dma_engine, do_blockdev_direct_IO } from "../../src/kernel/fs/direct_io.js";
import { wb_workfn } from "../../src/kernel/fs/fs_writeback.js";
import { call, path, pause, repeat } from "../../src/kernel/language.js";
import { kswapd } from "../../src/kernel/mm/kswapd.js";
import { free_pages } from "../../src/kernel/mm/mmzone.js";
import { cache_hog, memory_hog } from "../../src/kernel/mm/pressure.js";
import { sc } from "../../src/kernel/mm/scan_control.js";
import { VM_EXEC, VM_SHARED, VM_WRITE } from "../../src/kernel/structs.js";
import { dio_nr, int, vpn } from "../../src/kernel/types.js";
import { cpu_access } from "../../src/kernel/user.js";
import type { World } from "../../src/lab/world.js";
import { FILE, small } from "../kernel/harness.js";
import { Invariants } from "./invariants.js";

/** Touch a virtual page again and again. */
const toucher = path("toucher", { source: "a test", args: { at: vpn, write: int } }, [
  repeat(() => true, [pause("thinks"), call(() => cpu_access, { at: "at", write: "write" })]),
]);

const driver = path("driver", { source: "a test", args: { at: vpn, nr: int, dio: dio_nr } }, [
  repeat(
    () => true,
    [pause("thinks"), call(() => do_blockdev_direct_IO, { at: "at", nr: "nr", dio: "dio" })],
  ),
]);

/** A file of so many pages, three of anonymous memory; drivers, stores, loads and both hogs compete for too little memory. */
function crowded(filePages: number, spare: number, config: readonly Config[]): World {
  return small(
    {
      filePages,
      cached: false,
      geometry: {
        pages: filePages + spare,
        min_free_pages: 2,
        reclaimers: 8,
        config,
        vmas: [
          { pages: filePages, file: FILE, flags: VM_SHARED | VM_WRITE },
          { pages: filePages, file: FILE, flags: VM_EXEC },
          { pages: 3, flags: VM_WRITE },
        ],
      },
    },
    {
      store: { path: toucher, args: [0, 1] },
      run: { path: toucher, args: [filePages + (filePages > 1 ? 1 : 0), 0] },
      driver: { path: driver, args: [0, Math.min(2, filePages), 0] },
      dma: { path: dma_engine, args: [0] },
      hog: { path: memory_hog, args: [2 * filePages, 3] },
      reader: { path: cache_hog, args: [FILE, filePages, 1000] },
      kswapd: { path: kswapd },
      flusher: { path: wb_workfn },
      disk: { path: disk_daemon, args: [0] },
    },
  );
}

function check(world: World, seed: number, steps: number): void {
  const invariants = new Invariants(world);
  const scheduler = world.scheduler(seed);
  const { k } = world;
  for (let made = 0; made < steps; made++) {
    const task = scheduler.next();
    if (task < 0) break;
    world.step(task);
    let violated = invariants.violated();
    const allocated = k.page._refcount.reduce((sum, references) => sum + (references > 0 ? 1 : 0), 0);
    if (k.has("watermarks") && violated === null) {
      // A page frozen by __remove_mapping has no references and is not free yet.
      const frozen = k.geometry.pages + 1 - allocated - free_pages(k);
      if (frozen < 0)
        violated = `free pages: the zone counts ${free_pages(k)}, ${allocated} pages have references`;
      const owners = [...sc(k).owner].filter((owner) => owner !== 0);
      if (new Set(owners).size !== owners.length) violated = "scan_control: a task has two rows";
    }
    if (violated !== null) throw new Error(`${violated}\nreplay: ${world.replay}`);
  }
}

describe("random runs of machines short of memory", () => {
  const machines: readonly (readonly Config[])[] = [
    ["watermarks"],
    ["watermarks", "direct_reclaim"],
    ["percpu"],
    ["buffer_heads_limit"],
    ["workingset"],
    ["watermarks", "direct_reclaim", "percpu", "buffer_heads_limit", "mlock", "kupdate", "workingset"],
  ];
  for (const config of machines) {
    it(`${config.join(", ")}: references, flags, tags, lists and gauges agree at every step`, () => {
      fc.assert(
        fc.property(
          fc.integer({ min: 1, max: 6 }),
          fc.integer({ min: 4, max: 8 }),
          fc.nat(),
          (filePages, spare, seed) => check(crowded(filePages, spare, config), seed, 1500),
        ),
        { numRuns: 15 },
      );
    });
  }

  it("both kinds of reclaimer get to work in them, and lockdep finds nothing", () => {
    const world = crowded(40, -10, ["watermarks", "direct_reclaim"]);
    check(world, 1, 20_000);
    const { pgsteal_kswapd, pgsteal_direct, allocstall_movable } = world.k.vmstat;
    expect([pgsteal_kswapd[0] > 0, pgsteal_direct[0] > 0, allocstall_movable[0] > 0]).toEqual([
      true,
      true,
      true,
    ]);
    expect(world.lockdep.reports).toEqual([]);
  });
});
