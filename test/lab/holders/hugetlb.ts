/** The paths of mm/hugetlb.ts that hold references in locals. */
import type { Holder } from "./holder.js";

export const hugetlb: Readonly<Record<string, Holder>> = {
  // From the pool or the cache until the reference is the PTE's.
  hugetlb_no_page: ({ step, local }) =>
    ["find_lock_page", "idx >= size", "alloc_huge_page", "unlock_page"].includes(step) ? [] : [local("page")],
};
