/** The paths of mm/zap.ts, mm/truncate.ts and mm/migrate.ts that hold references in locals. */
import { ERRNO } from "../../../src/kernel/errno.js";
import type { Holder } from "./holder.js";

const { EAGAIN } = ERRNO;

export const truncate: Readonly<Record<string, Holder>> = {
  // The PTE's reference, from the cleared PTE to the flushed TLB.
  zap_pte_range: ({ step, calling, local }) =>
    calling !== "" || step === "tlb_flush_mmu" ? [local("page")] : [],
  // What pagevec_lookup_entries found is held until pagevec_release.
  truncate_inode_pages_range: ({ step, calling, local }) =>
    step === "pagevec_lookup_entries" || calling === "truncate_partial_page" ? [] : [local("page")],
  truncate_partial_page: ({ step, local }) => (step === "find_lock_page" ? [] : [local("page")]),
  invalidate_mapping_pages: ({ step, local }) => (step === "pagevec_lookup_entries" ? [] : [local("page")]),
  invalidate_inode_pages2_range: ({ step, local }) =>
    step === "pagevec_lookup_entries" ? [] : [local("page")],
  migration_entry_wait: ({ step, local }) => (step === "get_page_unless_zero" ? [] : [local("page")]),
  // The chains are in no list; the page that is looked at is in neither chain.
  migrate_pages: ({ local }, chain) => [...chain(local("from")), ...chain(local("again"))],
  // The isolated page until it is put back or freed, the new one until the LRU or the allocator has it.
  unmap_and_move: ({ step, nth, calling, local }) => {
    const { page, newpage, ret } = { page: local("page"), newpage: local("newpage"), ret: local("ret") };
    if (step === "get_new_page" || step === "put_page") return [page];
    if (step === "put_new_page" && nth === 1 && ret !== -EAGAIN) return [newpage];
    return step === "" && calling === "" ? [] : [page, newpage];
  },
  compact_zone: ({ step, local }, chain) =>
    step === "putback_movable_pages" ? chain(local("migratepages")) : [],
  alloc_contig_range: ({ step, calling, local }, chain) =>
    step === "putback_movable_pages" ||
    step === "reclaim_clean_pages_from_list" ||
    calling === "shrink_page_list"
      ? chain(local("migratepages"))
      : [],
  offline_pages: ({ step, local }, chain) => (step === "putback_movable_pages" ? chain(local("source")) : []),
};
