/**
 * Page frames that nobody may allocate while somebody wants them all: MIGRATE_ISOLATE.
 *
 * Source: mm/page_isolation.c in v4.20. One range at a time, page by page: Linux isolates pageblocks. Free pages of the range stay where they
 * are, and the allocator passes them by.
 */
import { struct, u16 } from "../../machine/memory.js";
import { ERRNO } from "../errno.js";
import type { Kernel, Table } from "../kernel.js";
import type { Pfn } from "../types.js";

export const isolation = struct("isolated_range", {
  start: u16("first page frame of the isolated range"),
  end: u16("the page frame behind it; 0 when nothing is isolated"),
});

export const isolationTable: Table = {
  struct: isolation,
  rows: (g) => (g.config.has("migration") ? 1 : 0),
};

/** start_isolate_page_range: gives 0, or -EBUSY when a range is isolated already. */
export function start_isolate_page_range(k: Kernel, start: Pfn, end: Pfn): number {
  const range = k.of(isolation);
  if (range.end.length === 0)
    throw new Error('start_isolate_page_range: this machine lacks config "migration"');
  if (range.end[0] !== 0) return -ERRNO.EBUSY;
  range.start[0] = start;
  range.end[0] = end;
  return 0;
}

export function undo_isolate_page_range(k: Kernel): void {
  const range = k.of(isolation);
  range.start[0] = 0;
  range.end[0] = 0;
}

/** Whether a free page may not be allocated. */
export function is_migrate_isolate(k: Kernel, page: Pfn): boolean {
  const { start, end } = k.of(isolation);
  return end.length !== 0 && page >= start[0] && page < end[0];
}

/** test_pages_isolated: whether every page of the range is free. */
export function test_pages_isolated(k: Kernel, start: Pfn, end: Pfn): boolean {
  for (let page = start; page < end; page++) if (k.page._refcount[page] !== 0) return false;
  return true;
}
