/**
 * Invalidation looks at the references before it frees the buffers.
 *
 * Source: mm/truncate.c, commit e41c81d0d30e (v5.18). invalidate_inode_page() asked whether the page is mapped; now it asks whether
 * anybody but the page cache, the buffers and the caller holds it, which a mapping does, and a driver too. It tells plain references as well as pins.
 *
 * What it leaves: invalidate_inode_pages2 of an O_DIRECT write frees the buffers of a held page still, on purpose.
 */
import { leave, when } from "../kernel/language.js";
import { page_count, page_has_private } from "../kernel/mm/page.js";
import type { Pfn } from "../kernel/types.js";
import { replace } from "../machine/patch.js";
import type { Patch } from "./patch.js";

export const invalidate_unused_only: Patch = {
  name: "invalidate-unused-only",
  title: "mm/truncate: Replace page_mapped() call in invalidate_inode_page()",
  author: "Matthew Wilcox",
  date: "2022-02",
  commit: "e41c81d0d30e",
  help: "invalidation leaves a page that somebody holds alone, with its buffers",
  edits: [
    replace<{ readonly page: Pfn }>("invalidate_inode_page", "page_mapped", [
      when(
        "page_ref_count",
        (k, f) => page_count(k, f.page) > 1 + (page_has_private(k, f.page) ? 1 : 0) + 1,
        [leave()],
      ),
    ]),
  ],
};
