/** The lock order of section 10 of the reference: what lockdep finds in the paths agrees with the list in mm/rmap.c and mm/filemap.c. */
import { describe, expect, it } from "vitest";
import * as locks from "../../src/kernel/locks.js";
import { scenarios } from "../../src/lab/scenarios.js";
import { open } from "../../src/lab/world.js";
import type { LockClass } from "../../src/machine/lock.js";
import { lockReportText } from "../../src/machine/lockdep.js";

/** Outermost first; classes of one line have no order between them. */
const LEVELS: readonly (readonly LockClass[])[] = [
  [locks.i_rwsem],
  // Not in the list of mm/filemap.c: vmsplice takes pages under it.
  [locks.pipe_mutex],
  [locks.mmap_sem],
  [locks.i_mmap_sem],
  [locks.jbd2_handle],
  [locks.dax_entry_lock, locks.hugetlb_fault_mutex],
  [locks.PG_locked],
  [locks.PG_writeback],
  [locks.i_mmap_rwsem],
  [locks.anon_vma_rwsem],
  [locks.ptl],
  [locks.lru_lock],
  [locks.private_lock],
  [locks.irq],
  [locks.xa_lock],
  [locks.i_lock],
];

const level = (lock: LockClass): number => LEVELS.findIndex((classes) => classes.includes(lock));

describe("every scenario's lock orders (I12, I13)", () => {
  for (const { name } of scenarios)
    it(`${name}: no report, and each order goes down the list`, () => {
      const { edges, reports } = open(name, { record: false }).lockdep;
      expect(reports.map(lockReportText)).toEqual([]);
      const upwards = edges.filter(
        ({ held, taken }) => level(held) < 0 || level(taken) < 0 || level(held) >= level(taken),
      );
      expect(upwards.map(({ held, taken }) => `${held.name} -> ${taken.name}`)).toEqual([]);
      expect(edges.length).toBeGreaterThan(0);
    });
});
