/**
 * The fast walk leaves long-term pins for writing to the slow path, unless the page is anonymous, shared memory or a huge page.
 *
 * Source: mm/gup.c (folio_fast_pin_allowed, gup_fast_folio_allowed since v6.10), commit a6e79df92e4a (v6.5). The slow path refuses them where the VMA is a shared mapping of a file
 * that tracks dirty pages (refuse-longterm-file-write), and the fast walk has no VMA: it would pin such a page through a PTE that is writable already. So it looks at the page,
 * holding its reference, after the second look at the PTE, and gives it back where it is not sure: a page that has been truncated since then has no mapping.
 *
 * Left out: slab pages, secret memory (memfd_secret), pages of movable drivers: user mappings here have none of them.
 */
import type { Kernel } from "../kernel/kernel.js";
import { check, given } from "../kernel/language.js";
import { PageCompound } from "../kernel/mm/compound.js";
import { FOLL } from "../kernel/mm/gup.js";
import { FS, fs_of_page } from "../kernel/operations.js";
import { isAnon } from "../kernel/structs.js";
import type { Pfn } from "../kernel/types.js";
import { after } from "../machine/patch.js";
import { FOLL_LONGTERM } from "./longterm_flag.js";
import type { Patch } from "./patch.js";
import { FOLL_PIN, pin_user_pages_api } from "./pin_user_pages.js";

const ALL = FOLL_PIN | FOLL_LONGTERM | FOLL.WRITE;

/** folio_fast_pin_allowed, of a pin that a file may have to be refused for. */
function folio_fast_pin_allowed(k: Kernel, page: Pfn): boolean {
  // folio_test_hugetlb: no other page is a compound one.
  if (PageCompound(k, page)) return true;
  const mapping = k.page.mapping[page];
  if (mapping === 0) return false;
  return isAnon(mapping) || fs_of_page(k, page) === FS.tmpfs;
}

export const longterm_fast_gate: Patch = {
  name: "longterm-fast-gate",
  title: "mm/gup: disallow FOLL_LONGTERM GUP-fast writing to file-backed mappings",
  author: "Lorenzo Stoakes",
  date: "2023-05",
  commit: "a6e79df92e4a",
  help: "the fast walk takes long-term pins for writing of anonymous, shared and huge pages only",
  needs: [pin_user_pages_api],
  edits: [
    after<{ readonly page: Pfn; readonly write: number }>("gup_pte_range", "pte_val(pte) == pte_val(*ptep)", [
      given(
        (_, f) => (f.write & ALL) === ALL,
        [check("folio_fast_pin_allowed", (k, f) => folio_fast_pin_allowed(k, f.page), "put")],
      ),
    ]),
  ],
};
