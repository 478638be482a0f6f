/**
 * Pages on their way to the swap area. (Their way back is in mm/swap_state.ts, read_swap_cache_async.)
 *
 * Source: mm/page_io.c in v4.20. Only reclaim writes here (pageout), and only pages that nobody but the swap cache and itself holds.
 * Whoever has found such a page in the cache by then gets it while it is being written: the process may map it, and a device
 * write into it.
 *
 * Left out: swap files that go through their filesystem (SWP_FS), frontswap, errors, devices that write synchronously.
 */
import { queue_page } from "../block/disk.js";
import { call, leave, path, step, when } from "../language.js";
import { pfn } from "../types.js";
import { end_page_writeback } from "./filemap.js";
import { unlock } from "./page.js";
import { set_page_writeback } from "./page_writeback.js";
import { try_to_free_swap } from "./swapfile.js";

/** swap_aops.writepage: write a locked, clean page of the swap cache to its place, unless nobody wants it back. Unlocks it. */
export const swap_writepage = path("swap_writepage", { source: "mm/page_io.c v4.20", args: { page: pfn } }, [
  when("try_to_free_swap", (k, f) => try_to_free_swap(k, f.page), [unlock(), leave()]),
  step("set_page_writeback", (k, f) => {
    k.count("pswpout");
    set_page_writeback(k, f.page);
  }),
  unlock(),
  step("submit_bio", (k, f) => queue_page(k, f.page)),
]);

/** The completion of such a write. */
export const end_swap_bio_write = path(
  "end_swap_bio_write",
  { source: "mm/page_io.c v4.20", args: { page: pfn } },
  [call(() => end_page_writeback, { page: "page" })],
);
