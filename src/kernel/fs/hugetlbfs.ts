/**
 * hugetlbfs: files made of huge pages. Nothing is behind them: no disk, no buffers, no writeback, no page_mkwrite.
 *
 * Source: fs/hugetlbfs/inode.c in v4.20. Its dirty bit says nothing to anybody, which is why it is a control beside tmpfs and
 * anonymous memory: whatever a device does to such a page, nobody else owns its dirtiness. Faults are in mm/hugetlb.ts.
 */
import { path, step } from "../language.js";
import { compound_head } from "../mm/compound.js";
import { TestSetPageDirty } from "../mm/page.js";
import { int, pfn } from "../types.js";

/** The bit of the head, and nothing else. */
export const hugetlbfs_set_page_dirty = path(
  "hugetlbfs_set_page_dirty",
  { source: "fs/hugetlbfs/inode.c v4.20", args: { page: pfn }, returns: int },
  [
    step("SetPageDirty", (k, f) => {
      TestSetPageDirty(k, compound_head(k, f.page));
    }),
  ],
);
