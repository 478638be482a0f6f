/**
 * Reclaim writes no pages of files any more: it marks them for reclaim at the end of their writeback, and activates them.
 *
 * Source: mm/vmscan.c of 2026 (the release that changed it is not certain: between v6.12, which still writes, and 2026). The dirty pages of files are the
 * flusher's alone; pageout is for swap and tmpfs.
 *
 * This closes a window that keep-private-of-pinned leaves: pageout gives the page lock away, the page can be mapped, pinned and cleaned meanwhile, and
 * nobody asks again before its buffers are freed.
 */
import type { Kernel } from "../kernel/kernel.js";
import { goto, held, step, when } from "../kernel/language.js";
import { page_is_file_cache, SetPageReclaim } from "../kernel/mm/page.js";
import { shrink_page_list } from "../kernel/mm/vmscan.js";
import type { Pfn } from "../kernel/types.js";
import { replace } from "../machine/patch.js";
import type { Patch } from "./patch.js";

interface HasPage {
  readonly page: Pfn;
}

export const reclaim_writes_no_files: Patch = {
  name: "reclaim-writes-no-files",
  title: "mm: vmscan: pageout() writes no folios of filesystems",
  author: "several",
  date: "2025-06",
  commit: null,
  help: "kswapd leaves dirty pages of files to the flusher",
  edits: [
    // A task that reclaims for itself has left them alone all along.
    replace<HasPage>(shrink_page_list, "!PGDAT_DIRTY", [
      held(
        when<HasPage>("page_is_file_cache", (k, f) => page_is_file_cache(k, f.page), [
          step<HasPage>("SetPageReclaim", (k: Kernel, f) => {
            k.count("nr_vmscan_immediate_reclaim");
            SetPageReclaim(k, f.page);
          }),
          goto("activate_locked"),
        ]),
      ),
    ]),
  ],
};
