/** The paths of mm/zap.ts, mm/truncate.ts and mm/migrate.ts that hold references in locals. */
import type { Holder } from "./holder.js";

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
};
