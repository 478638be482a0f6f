/**
 * Invariants 14.1 at every step of random runs in which files shrink and grow, lose pages to holes, to drop_caches and to
 * O_DIRECT writes, and pages move, while everybody else goes on.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Config } from "../../src/kernel/config.js";
import type { Kernel } from "../../src/kernel/kernel.js";
import { call, local, path, pause, repeat } from "../../src/kernel/language.js";
import { alloc_contig_range, compact_zone } from "../../src/kernel/mm/compaction.js";
import { kswapd } from "../../src/kernel/mm/kswapd.js";
import { MIGRATE } from "../../src/kernel/mm/migrate.js";
import {
  invalidate_inode_pages2_range,
  invalidate_mapping_pages,
  truncate_pagecache_range,
  truncate_setsize,
} from "../../src/kernel/mm/truncate.js";
import { unmap_mapping_pages } from "../../src/kernel/mm/zap.js";
import { FS } from "../../src/kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../src/kernel/structs.js";
import { inode, int, pfn } from "../../src/kernel/types.js";
import type { World } from "../../src/lab/world.js";
import type { Path } from "../../src/machine/path.js";
import { disk, dma, flusher, fsync, load, read, store } from "../kernel/actors.js";
import { type Actor, FILE, small } from "../kernel/harness.js";
import { Invariants } from "./invariants.js";

/** Again and again. */
// biome-ignore lint/suspicious/noExplicitAny: a path of any frame
const forever = (name: string, what: Path<any>, args: Record<string, number>): Path<Kernel> =>
  path(name, { source: "a test", locals: { ret: int } }, [
    repeat(
      () => true,
      [
        pause("thinks"),
        call(() => what, args),
        local((_, f) => {
          f.ret = 0;
        }),
      ],
    ),
  ]);

/** A file that shrinks to nothing, or to a part of a page, and grows again. */
const resizer = path("resizer", { source: "a test", args: { mapping: inode, full: int, part: int } }, [
  repeat(
    () => true,
    [
      pause("thinks"),
      call(() => truncate_setsize, { mapping: "mapping", newsize: "part" }),
      pause("thinks"),
      call(() => truncate_setsize, { mapping: "mapping", newsize: "full" }),
    ],
  ),
]);

const cma = path("cma", { source: "a test", args: { start: pfn, end: pfn }, locals: { got: int } }, [
  repeat(
    () => true,
    [
      pause("thinks"),
      call(() => alloc_contig_range, { start: "start", end: "end" }, "got"),
      local((_, f) => {
        f.got = 0;
      }),
    ],
  ),
]);

const OPTIONS: readonly Config[] = ["truncate", "migration", "pagevec"];

function busy(fs: number, pages: number, parts: number, part: number): World {
  const end = pages - 1;
  const tasks: Record<string, Actor> = {
    store: store(0),
    store2: store(end),
    load: load(end),
    copy: store(pages),
    read: read(4, 0, 1),
    dma: dma(4),
    resizer: { path: resizer, args: [FILE, pages * parts, part] },
    punch: { path: forever("punch", truncate_pagecache_range, { mapping: FILE, lstart: 0, lend: parts }) },
    drop: { path: forever("drop", invalidate_mapping_pages, { mapping: FILE, start: 0, end }) },
    invalidate: {
      path: forever("invalidate", invalidate_inode_pages2_range, { mapping: FILE, start: 0, end }),
    },
    unmap: {
      path: forever("unmap", unmap_mapping_pages, { mapping: FILE, start: 0, nr: pages, even_cows: 0 }),
    },
    compact: { path: forever("compact", compact_zone, { mode: MIGRATE.SYNC }) },
    cma: { path: cma, args: [0, 2] },
    kswapd: { path: kswapd },
    disk,
  };
  if (fs === FS.ext4) {
    tasks.flusher = flusher;
    tasks.fsync = fsync;
  }
  return small(
    {
      fs,
      parts,
      filePages: pages,
      pages: 3 * pages + 2,
      vmas: [VM_SHARED | VM_WRITE, VM_WRITE],
      geometry: { config: OPTIONS, walkers: 12 },
    },
    tasks,
  );
}

function check(world: World, seed: number, steps: number): void {
  const invariants = new Invariants(world);
  const scheduler = world.scheduler(seed);
  for (let made = 0; made < steps; made++) {
    const task = scheduler.next();
    if (task < 0) break;
    world.step(task);
    const violated = invariants.violated();
    if (violated !== null)
      throw new Error(`${violated}\nseed ${seed}, step ${made}: ${world.machine.at(task).step}`);
  }
}

describe("a busy machine whose files and pages change", () => {
  for (const [name, fs] of [
    ["ext4", FS.ext4],
    ["tmpfs", FS.tmpfs],
  ] as const) {
    it(`${name}: references, flags, tags, lists and gauges agree at every step`, () => {
      fc.assert(
        fc.property(
          fc.integer({ min: 1, max: 3 }),
          fc.integer({ min: 1, max: 2 }),
          fc.integer({ min: 0, max: 1 }),
          fc.nat(),
          (pages, parts, part, seed) => check(busy(fs, pages, parts, Math.min(part, parts - 1)), seed, 1200),
        ),
        { numRuns: 20 },
      );
    });
  }

  it("nobody can wait for each other for ever: lockdep has nothing to report", () => {
    expect(busy(FS.ext4, 2, 2, 1).lockdep.reports).toEqual([]);
    expect(busy(FS.tmpfs, 2, 2, 1).lockdep.reports).toEqual([]);
  });
});
