/**
 * A pinned anonymous page gets no place in swap.
 *
 * Source: mm/vmscan.c, commit feb889fb40fa (v5.11). Reclaim asks before add_to_swap, and keeps the page: it would be unmapped, and the next access of its
 * process would be to another page than the device's.
 */
import { goto, when } from "../kernel/language.js";
import type { Pfn } from "../kernel/types.js";
import { before } from "../machine/patch.js";
import type { Patch } from "./patch.js";
import { page_maybe_dma_pinned, track_foll_pin } from "./track_foll_pin.js";

export const swap_unpinned_only: Patch = {
  name: "swap-unpinned-only",
  title: "mm: don't put pinned pages into the swap cache",
  author: "Linus Torvalds",
  date: "2021-01",
  commit: "feb889fb40fa",
  help: "reclaim keeps a pinned anonymous page out of swap",
  needs: [track_foll_pin],
  edits: [
    before<{ readonly page: Pfn }>("shrink_page_list", "add_to_swap", [
      when("page_maybe_dma_pinned", (k, f) => page_maybe_dma_pinned(k, f.page), [goto("keep_locked")]),
    ]),
  ],
};
