/**
 * get_user_pages makes the copy of a private mapping before it takes a page, for reading too.
 *
 * Source: mm/gup.c (should_force_cow_break), commit 17839856fd58 (v5.8): a private mapping is asked for a page as if
 * for writing, and the fast walk takes pages of writable PTEs only. Removed by a308c71bf1e6 (v5.9), when do_wp_page
 * had begun to count references (copy-if-referenced): userfaultfd and others had not expected writes.
 *
 * What it mends: who takes a page that is shared gets one of its process's own, and no other process writes it later
 * (CVE-2020-29374). It leaves the page that was taken before a fork: the child, last mapper of it, still writes it in
 * place.
 */
import type { Kernel } from "../kernel/kernel.js";
import { given, leave, local } from "../kernel/language.js";
import { FOLL } from "../kernel/mm/gup.js";
import { find_vma, is_cow_mapping, pte_write } from "../kernel/mm/memory.js";
import { NONE, type Vpn } from "../kernel/types.js";
import { after, before } from "../machine/patch.js";
import type { Patch } from "./patch.js";

/** should_force_cow_break: every caller here takes references. */
function should_force_cow_break(k: Kernel, at: Vpn): boolean {
  const vma = find_vma(k, at);
  return vma !== NONE && is_cow_mapping(k.vma.vm_flags[vma]);
}

export const force_cow_break: Patch = {
  name: "force-cow-break",
  title: "gup: document and work around 'COW can break either way' issue",
  author: "Linus Torvalds",
  date: "2020-06",
  commit: "17839856fd58",
  help: "a reference to a page of a private mapping is had for writing, whatever its user asked for",
  edits: [
    before<{ readonly at: Vpn; ret: number }>("__get_user_pages", "retry:", [
      local((k, f) => {
        // FOLL_FORCE: a copy whose PTE is dirty and read-only will do (can_follow_write_pte), as the mapping may be read-only.
        if (should_force_cow_break(k, f.at)) f.ret |= FOLL.WRITE | FOLL.FORCE;
      }),
    ]),
    after<{ pte: number }>("gup_pte_range", "pte_read", [given((_, f) => !pte_write(f.pte), [leave()])]),
  ],
};
