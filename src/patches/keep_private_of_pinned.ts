/**
 * Reclaim leaves a pinned page alone once it is unmapped, with its buffers.
 *
 * Source: mm/vmscan.c, commit d824ec2a1546 (v6.4, and stable kernels from 5.15 on). The question comes after the page has been unmapped: it cannot be newly
 * pinned from then on, and a page that is mapped by many is not taken for a pinned one. It loses its PTEs at each meeting, and is active after it.
 *
 * What it leaves: plain references, invalidation by O_DIRECT writes, and writeback, which cleans a pinned page as before.
 */
import { goto, when } from "../kernel/language.js";
import type { Pfn } from "../kernel/types.js";
import { before } from "../machine/patch.js";
import type { Patch } from "./patch.js";
import { page_maybe_dma_pinned, track_foll_pin } from "./track_foll_pin.js";

export const keep_private_of_pinned: Patch = {
  name: "keep-private-of-pinned",
  title: "mm: do not reclaim private data from pinned page",
  author: "Jan Kara",
  date: "2023-04",
  commit: "d824ec2a1546",
  help: "reclaim unmaps a pinned page and goes no further: it keeps its buffers, and is activated",
  needs: [track_foll_pin],
  edits: [
    before<{ readonly page: Pfn }>("shrink_page_list", "PageDirty#1", [
      when("page_maybe_dma_pinned", (k, f) => page_maybe_dma_pinned(k, f.page), [goto("activate_locked")]),
    ]),
  ],
};
