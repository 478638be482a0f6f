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

const NOWHERE: readonly Pfn[] = [];

/**
 * Pages of files whose newest bytes are in memory only while nothing says so, and pages that left their file with such bytes
 * (mm/orphan.ts): they will never be written. What is behind the end of a file is nobody's. `settled` says whether all is at rest.
 */
export function lostWrites(k: Kernel, settled: () => boolean): readonly Pfn[] {
  let lost = NOWHERE;
  const orphans = k.has("truncate");
  for (let page = 0; page < k.geometry.pages; page++) {
    if (orphans && orphan_verdict(k, page) === "LOST") lost = [...lost, page];
    const mapping = page_mapping(k, page);
    if (mapping === 0 || !mapping_cap_account_dirty(k, mapping)) continue;
    if (PageWriteback(k, page) || PageLocked(k, page)) continue;
    // The journal has it: in the running transaction, or on the way there.
    if ((k.page.b_state[page] & BH.jbddirty) !== 0 || (k.of(journal_head).b_count[page] ?? 0) > 0) continue;
    // Dirty by its flag alone, when all is at rest: no flusher will find it (drivers/vfio.ts).
    if (PageDirty(k, page) && (xa_get_mark(k, page, "dirty") || !settled())) continue;
    if (k.page.pins[page] > 0 || (k.pteWord(page) & PTE.dirty) !== 0) continue;
    if (is_newer_than_disk(k, page, mapping)) lost = [...lost, page];
  }
  return lost;
}

/** Pages that were truncated, and written to afterwards, where the file shows another page by now (mm/orphan.ts). */
export function staleWrites(k: Kernel): readonly Pfn[] {
  if (!k.has("truncate")) return NOWHERE;
  let stale = NOWHERE;
  for (let page = 0; page < k.geometry.pages; page++)
    if (orphan_verdict(k, page) === "STALE") stale = [...stale, page];
  return stale;
}
