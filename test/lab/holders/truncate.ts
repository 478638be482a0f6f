/** The paths of mm/zap.ts, mm/truncate.ts and mm/migrate.ts that hold references in locals. */
import type { Holder } from "./holder.js";

export const truncate: Readonly<Record<string, Holder>> = {
  // The PTE's reference, from the cleared PTE to the flushed TLB.
  zap_pte_range: ({ step, calling, local }) =>
    calling !== "" || step === "tlb_flush_mmu" ? [local("page")] : [],
};
