/**
 * Pages that left their file while somebody held them, and what becomes of the bytes that reach them.
 *
 * No code of Linux corresponds to this file: truncation and invalidation empty page->mapping and forget the page, whoever holds
 * it (mm/truncate.c). These columns remember what the kernel forgets, so that guplab can say what was lost; no step of a
 * kernel path reads them. They are state because verdicts depend on them.
 *
 * The definition, part by part, of a page that is in no file any more:
 *
 * LOST: the file kept the range (invalidate_inode_pages2_range dropped the page because it seemed to be a copy of the disk), and the page
 * holds bytes that are newer than the disk's were when it was dropped. set_page_dirty sets a bit of the page and no more, so nobody
 * will ever write them (trap 20).
 *
 * STALE: the range was thrown away (truncated, punched) and belongs to the file again, because it was extended or was a hole in the
 * middle, and somebody wrote into the old page after it had left: whoever looks at the file sees another page (trap 37). What the page
 * held when its range was thrown away is not lost: it was meant to go. While the range is beyond the end of the file nothing is
 * missed.
 */
import { struct, u8, u16 } from "../../machine/memory.js";
import type { Kernel, Table } from "../kernel.js";
import type { InodeNr, Pfn } from "../types.js";

export const orphan = struct("orphan", {
  from: u16("inode that the page was removed from; 0 while it is in a file, or free"),
  kept: u8("1 when the file kept the range"),
});

export const orphan_content = struct("orphan_content", {
  version: u16(
    "content generation of one part of an orphan that is not missed: what was thrown away, or what is on disk",
  ),
});

export const orphanTables: readonly Table[] = [
  { struct: orphan, rows: (g) => (g.config.has("truncate") ? g.pages : 0) },
  { struct: orphan_content, rows: (g) => (g.config.has("truncate") ? g.pages * g.parts : 0) },
];

/**
 * A page is about to leave its mapping, whoever holds it.
 *
 * @param saved content generation of a part that the disk has, where the file keeps the range; null where it is thrown away
 * @throws Error on a machine without config "truncate", where nobody expects that
 */
export function remember_orphan(k: Kernel, page: Pfn, saved: ((part: number) => number) | null): void {
  const { from, kept } = k.of(orphan);
  if (from.length === 0) throw new Error('remember_orphan: this machine lacks config "truncate"');
  const { version } = k.of(orphan_content);
  const { parts } = k.geometry;
  from[page] = k.page.mapping[page];
  kept[page] = saved === null ? 0 : 1;
  for (let part = 0; part < parts; part++)
    version[page * parts + part] = saved === null ? k.content.version[page * parts + part] : saved(part);
}

/** The file that an orphan was in; 0 for every other page. */
export const orphan_of = (k: Kernel, page: Pfn): InodeNr => k.of(orphan).from[page] ?? 0;

/** What is wrong with the bytes of a page that is in no file any more; null when nothing is, or it is no orphan. */
export function orphan_verdict(k: Kernel, page: Pfn): "LOST" | "STALE" | null {
  const mapping = orphan_of(k, page);
  if (mapping === 0) return null;
  const { parts } = k.geometry;
  const { version } = k.of(orphan_content);
  const first = k.page.index[page] * parts;
  for (let part = 0; part < parts && first + part < k.inode.i_size[mapping]; part++)
    if (k.content.version[page * parts + part] !== version[page * parts + part])
      return k.of(orphan).kept[page] === 1 ? "LOST" : "STALE";
  return null;
}

const MESSAGES = {
  LOST: "a page that was dropped from its file is freed with bytes that are nowhere else",
  STALE: "a page that was truncated is freed with bytes that its file does not show",
} as const;

/** The last reference to a page is gone. */
export function forget_orphan(k: Kernel, page: Pfn): void {
  const { from, kept } = k.of(orphan);
  if ((from[page] ?? 0) === 0) return;
  const verdict = orphan_verdict(k, page);
  for (const kind of ["LOST", "STALE"] as const)
    k.fault_on(verdict === kind, kind, `free_page: ${MESSAGES[kind]}`, page);
  from[page] = 0;
  kept[page] = 0;
  const { parts } = k.geometry;
  k.of(orphan_content).version.fill(0, page * parts, (page + 1) * parts);
}
