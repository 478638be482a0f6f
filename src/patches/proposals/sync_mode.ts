/**
 * clear_page_dirty_for_io() is told for whom it cleans: what the series of July 2018 and of February 2023 have in common. v4.20's function is told the page alone.
 *
 * A caller passes its writeback_control's sync_mode, or what the author of the series wrote in its place; the two series differ in that most of all: nobody asked
 * ext4's mpage_submit_page() and xfs for whom they write.
 */

import { mpage_submit_page } from "../../kernel/fs/ext4/writepages.js";
import { mpage_prepare_extent_to_map } from "../../kernel/fs/ext4.js";
import type { Kernel } from "../../kernel/kernel.js";
import { call } from "../../kernel/language.js";
import type { int, Pfn, pfn } from "../../kernel/types.js";
import { type Edit, replace } from "../../machine/patch.js";
import type { Path } from "../../machine/path.js";

/** enum writeback_sync_modes; and a caller that has no writeback_control. */
export const WB_SYNC = { NONE: 0, ALL: 1, no_wbc: 2 } as const;

/** clear_page_dirty_for_io of a kernel that tells it. */
export type ClearsForIo = Path<Kernel, { page: typeof pfn; sync_mode: typeof int }>;

/** What the callers pass that do not know for whom they write. */
export interface Passed {
  /** ext4's mpage_submit_page. */
  readonly ext4: number;
  /** xfs_start_page_writeback, behind write_cache_pages; default it calls the function that asks nobody (iomap, since, calls none). */
  readonly xfs?: number;
  /** pageout() of reclaim. */
  readonly pageout: number;
}

interface Caller {
  readonly page: Pfn;
  ret: number;
  dirty: number;
  cleared: number;
  readonly sync: number;
}

/** Every caller calls `callee`, and tells it. */
export const tells_sync_mode = (callee: ClearsForIo, { ext4, xfs, pageout }: Passed): readonly Edit[] => {
  const clears = (
    path: Edit["path"],
    sync_mode: "sync" | number,
    into: "ret" | "dirty" | "cleared" | null,
  ): Edit =>
    replace<Caller>(path, "clear_page_dirty_for_io", [call(() => callee, { page: "page", sync_mode }, into)]);
  return [
    clears("write_cache_pages", "sync", "ret"),
    clears("extent_write_cache_pages", "sync", "ret"),
    clears(mpage_submit_page, ext4, null),
    clears(mpage_prepare_extent_to_map, ext4, null),
    ...(xfs === undefined ? [] : [clears("xfs_do_writepage", xfs, null)]),
    clears("pageout", pageout, "dirty"),
    // Its writeback_control says WB_SYNC_NONE.
    clears("fallback_migrate_page", WB_SYNC.NONE, "cleared"),
  ];
};
