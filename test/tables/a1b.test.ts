/**
 * proposals.md A1b: who strips a page that a device holds? Each way in which v4.20 takes pages from a file, or their buffers from pages, beside
 * a driver that holds the page, every interleaving from the moment at which the driver has it.
 *
 * The page is one of an ext4 file, mapped shared. The driver is an O_DIRECT read; the file is fsynced twice, so that the page can be
 * clean in between. The kinds of faults are computed, none is assumed.
 */
import { describe, expect, it } from "vitest";
import { drop_caches } from "../../src/kernel/fs/drop_caches.js";
import { fsync } from "../../src/kernel/fs/sync.js";
import { call, local, path } from "../../src/kernel/language.js";
import { alloc_contig_range, compact_zone } from "../../src/kernel/mm/compaction.js";
import { generic_file_write_direct } from "../../src/kernel/mm/direct_write.js";
import { MIGRATE } from "../../src/kernel/mm/migrate.js";
import { truncate_setsize } from "../../src/kernel/mm/truncate.js";
import { inode, int } from "../../src/kernel/types.js";
import type { FaultKind } from "../../src/trace/recording.js";
import { disk, dma, read, reclaim } from "../kernel/actors.js";
import { type Actor, FILE, Hand, small } from "../kernel/harness.js";
import { invalidate2, punch, resize, unmap } from "../kernel/movers.js";

const twice = path("fsync_twice", { source: "a test", args: { mapping: inode }, locals: { error: int } }, [
  call(() => fsync, { mapping: "mapping" }, "error"),
  call(() => fsync, { mapping: "mapping" }, "error"),
  local((_, f) => {
    f.error = 0;
  }),
]);

const shrink_and_grow = path("shrink_and_grow", { source: "a test", args: { mapping: inode } }, [
  call(() => truncate_setsize, { mapping: "mapping", newsize: 0 }),
  call(() => truncate_setsize, { mapping: "mapping", newsize: 1 }),
]);

const drop: Actor = { path: drop_caches, ends: true };

/** What can come of it, worst first; the driver has the page, and nothing else has happened. */
function outcomes(strippers: Readonly<Record<string, Actor>>): FaultKind[] {
  const h = new Hand(
    small(
      { pages: 2, geometry: { config: ["truncate", "migration"] } },
      { read: read(0), dma: dma(0), sync: { path: twice, args: [FILE], ends: true }, disk, ...strippers },
    ),
  );
  h.until("read", "dio_await_completion");
  const { complete, witnesses } = h.world.explore({ maxStates: 1_500_000, progress: () => true });
  expect(complete).toBe(true);
  return witnesses.map(({ kind }) => kind).sort();
}

const TABLE: readonly (readonly [string, Readonly<Record<string, Actor>>, readonly FaultKind[]])[] = [
  ["nobody", {}, []],
  ["reclaim (kswapd)", { reclaim: reclaim(3) }, ["BUG", "WARN"]],
  ["drop_caches, the page mapped", { drop }, []],
  ["drop_caches, the page unmapped by its process", { drop, unmap: unmap() }, ["BUG", "WARN"]],
  ["invalidate_inode_pages2_range", { invalidate: invalidate2() }, ["LOST"]],
  [
    "an O_DIRECT write",
    { write: { path: generic_file_write_direct, args: [FILE, 0, 0], ends: true } },
    ["LOST"],
  ],
  ["a hole", { punch: punch(0, 1) }, ["STALE"]],
  ["truncation", { truncate: resize(0) }, []],
  ["truncation and extension", { resize: { path: shrink_and_grow, args: [FILE], ends: true } }, ["STALE"]],
  ["compaction", { compact: { path: compact_zone, args: [MIGRATE.ASYNC], ends: true } }, []],
  [
    "a contiguous allocation",
    { cma: { path: alloc_contig_range, args: [0, 1], ends: true } },
    ["BUG", "HANG", "WARN"],
  ],
];

describe("A1b: strippers and a page that a device holds", () => {
  for (const [name, strippers, expected] of TABLE)
    it(`${name}: ${expected.length === 0 ? "OK" : expected.join(", ")}`, () => {
      expect(outcomes(strippers)).toEqual(expected);
    });
});
