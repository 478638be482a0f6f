/** Bytes that are not where they should be: asked of every state of a search, so that nothing is made while nothing is wrong. */
import { journal_head } from "../kernel/fs/jbd2/journal_head.js";
import { is_newer_than_disk } from "../kernel/fs/newer.js";
import { type Kernel, PTE } from "../kernel/kernel.js";
import { page_mapping, xa_get_mark } from "../kernel/mm/filemap.js";
import { orphan_verdict } from "../kernel/mm/orphan.js";
import { PageDirty, PageLocked, PageWriteback } from "../kernel/mm/page.js";
import { mapping_cap_account_dirty } from "../kernel/operations.js";
import { BH } from "../kernel/structs.js";
import type { Pfn } from "../kernel/types.js";

/**
 * What is wrong with the bytes of a page.
 *
 * LOST: it is a page of a file and its newest bytes are in memory only while nothing says so, or it left its file with such bytes
 * (mm/orphan.ts): they will never be written. What is behind the end of a file is nobody's.
 *
 * STALE: it was truncated and written to afterwards, where the file shows another page by now (mm/orphan.ts).
 *
 * @param settled says whether all is at rest
 */
export function misplaced(k: Kernel, page: Pfn, settled: () => boolean): "LOST" | "STALE" | null {
  const orphan = k.has("truncate") ? orphan_verdict(k, page) : null;
  if (orphan !== null) return orphan;
  const mapping = page_mapping(k, page);
  if (mapping === 0 || !mapping_cap_account_dirty(k, mapping)) return null;
  if (PageWriteback(k, page) || PageLocked(k, page)) return null;
  // The journal has it: in the running transaction, or on the way there.
  if ((k.page.b_state[page] & BH.jbddirty) !== 0 || (k.of(journal_head).b_count[page] ?? 0) > 0) return null;
  // Dirty by its flag alone, when all is at rest: no flusher will find it (drivers/vfio.ts).
  if (PageDirty(k, page) && (xa_get_mark(k, page, "dirty") || !settled())) return null;
  if (k.page.pins[page] > 0 || (k.pteWord(page) & PTE.dirty) !== 0) return null;
  return is_newer_than_disk(k, page, mapping) ? "LOST" : null;
}

const pagesWith = (k: Kernel, settled: () => boolean, wanted: "LOST" | "STALE"): readonly Pfn[] =>
  Array.from({ length: k.geometry.pages }, (_, page) => page as Pfn).filter(
    (page) => misplaced(k, page, settled) === wanted,
  );

/** Pages with bytes that will never be on the disk. */
export const lostWrites = (k: Kernel, settled: () => boolean): readonly Pfn[] =>
  pagesWith(k, settled, "LOST");

/** Pages with bytes that their file does not show. */
export const staleWrites = (k: Kernel, settled: () => boolean): readonly Pfn[] =>
  pagesWith(k, settled, "STALE");
