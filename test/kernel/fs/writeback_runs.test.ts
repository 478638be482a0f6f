/**
 * Invariants 14.1 at every step of random runs with all that writes pages back at once: stores, write(2), two flushers' worth of
 * works, fsync, sync, disks that fail, reclaim, and a driver of pins.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bad_block, disk_daemon } from "../../../src/kernel/block/disk.js";
import type { Config } from "../../../src/kernel/config.js";
import { dma_engine } from "../../../src/kernel/fs/direct_io.js";
import { bdi_flusher } from "../../../src/kernel/fs/fs_writeback.js";
import { generic_file_buffered_read, generic_file_write_iter } from "../../../src/kernel/fs/read_write.js";
import { fsync, sync, sync_file_range } from "../../../src/kernel/fs/sync.js";
import { call, local, path, pause, repeat } from "../../../src/kernel/language.js";
import { kswapd } from "../../../src/kernel/mm/kswapd.js";
import {
  generic_writepages,
  LONG_MAX,
  RANGE_CYCLIC,
  RANGE_END,
} from "../../../src/kernel/mm/page_writeback.js";
import { FS } from "../../../src/kernel/operations.js";
import { inode, int, vpn } from "../../../src/kernel/types.js";
import { cpu_access } from "../../../src/kernel/user.js";
import type { World } from "../../../src/lab/world.js";
import { Invariants } from "../../lab/invariants.js";
import { read } from "../actors.js";
import { type Actor, FILE, small } from "../harness.js";

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
const writes = path("writes", { source: "a test", args: { count: int } }, [
  repeat(
    () => true,
    [
      pause("thinks"),
      call(() => generic_file_write_iter, { mapping: FILE, pos: 0, count: "count" }),
      call(() => generic_file_buffered_read, { mapping: FILE, index: 0 }),
    ],
  ),
]);
const syncs = path("syncs", { source: "a test", args: { mapping: inode } }, [
  repeat(
    () => true,
    [
      pause("thinks"),
      call(() => fsync, { mapping: "mapping" }),
      call(() => sync, {}),
      call(() => sync_file_range, { mapping: "mapping", range_start: 0, range_end: 1, flags: 7 }),
    ],
  ),
]);
const walks = path("walks", { source: "a test", args: { mapping: inode } }, [
  repeat(
    () => true,
    [
      pause("thinks"),
      call(() => generic_writepages, {
        mapping: "mapping",
        sync: 0,
        tagged: 0,
        nr_to_write: 2,
        range_start: RANGE_CYCLIC,
        range_end: RANGE_END,
      }),
      call(() => generic_writepages, {
        mapping: "mapping",
        sync: 1,
        tagged: 0,
        nr_to_write: LONG_MAX,
        range_start: 0,
        range_end: RANGE_END,
      }),
    ],
  ),
]);

function check(world: World, seed: number, steps: number): void {
  const invariants = new Invariants(world);
  const scheduler = world.scheduler(seed);
  for (let made = 0; made < steps; made++) {
    const task = scheduler.next();
    if (task < 0) break;
    world.step(task);
    const violated = invariants.violated();
    if (violated !== null) throw new Error(`${violated}\nreplay: ${world.replay}`);
  }
}

const CONFIGS: readonly Config[] = ["kupdate", "throttle", "io_errors", "checksum", "pagevec"];

function busy(fs: number, pages: number, config: readonly Config[]): World {
  const actors: Record<string, Actor> = {
    store: { path: stores, args: [pages] },
    sync: { path: syncs, args: [FILE] },
    flusher: { path: bdi_flusher, args: [0] },
    kswapd: { path: kswapd },
    disk: { path: disk_daemon, args: [0] },
    driver: read(5),
    dma: { path: dma_engine, args: [5] },
  };
  if (fs !== FS.xfs) actors.write = { path: writes, args: [pages] };
  if (fs !== FS.tmpfs) actors.walk = { path: walks, args: [FILE] };
  return small(
    {
      fs,
      filePages: pages,
      pages: pages + 2,
      cached: fs === FS.tmpfs,
      geometry: { config: [...new Set<Config>(["kupdate", ...config])], writebackChunk: 1 },
      prepare: (k) => {
        if (config.includes("io_errors")) k.of(bad_block).left[0] = 3;
      },
    },
    actors,
  );
}

describe("everything that writes back at once", () => {
  for (const [name, fs] of [
    ["ext4", FS.ext4],
    ["tmpfs", FS.tmpfs],
    ["xfs", FS.xfs],
  ] as const) {
    it(`${name}: references, flags, tags, lists and gauges agree at every step`, () => {
      fc.assert(
        fc.property(
          fc.integer({ min: 1, max: 3 }),
          fc.subarray([...CONFIGS]),
          fc.nat(),
          (pages, config, seed) => check(busy(fs, pages, config), seed, 1500),
        ),
        { numRuns: 25 },
      );
    });

    it(`${name}: lockdep has nothing to say`, () => {
      expect(busy(fs, 2, CONFIGS).lockdep.reports).toEqual([]);
    });
  }
});
