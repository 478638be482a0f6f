/**
 * A write to an anonymous page that anybody else refers to makes a copy.
 *
 * Source: mm/memory.c (do_wp_page), commit 09854ba94c6a (v5.9). The page is the writer's own only if it has one mapping and one reference; it was asked how many
 * map it before (reuse_swap_page). A page whose lock cannot be had at once is copied, too.
 *
 * What it mends: a child that keeps a reference to an inherited page reads no longer what its parent writes later (CVE-2020-29374). What it breaks:
 * a parent whose page is pinned by itself loses it at its next write after a fork, or after any other write protection.
 */
import type { Kernel } from "../kernel/kernel.js";
import { step } from "../kernel/language.js";
import { vm_normal_page, WP, wp_page_reuse } from "../kernel/mm/memory.js";
import { get_page, PageLocked, page_count } from "../kernel/mm/page.js";
import { isAnon } from "../kernel/structs.js";
import { NONE, type Pfn, type Vpn } from "../kernel/types.js";
import { replace } from "../machine/patch.js";
import type { Patch } from "./patch.js";

interface Wp {
  readonly at: Vpn;
  readonly vma: number;
  readonly orig_pte: number;
  page: Pfn;
  wp: number;
}

/** Nobody but the writer's PTE has the page. */
const is_exclusive = (k: Kernel, page: Pfn): boolean =>
  page_count(k, page) === 1 && !PageLocked(k, page) && k.page.mapcount[page] === 1;

export const copy_if_referenced: Patch = {
  name: "copy-if-referenced",
  title: "mm: do_wp_page() simplification",
  author: "Linus Torvalds",
  date: "2020-08",
  commit: "09854ba94c6a",
  help: "a write to an anonymous page that somebody else refers to makes a copy",
  edits: [
    replace<Wp>("do_wp_page", "do_wp_page", [
      step("do_wp_page", (k, f) => {
        if (k.pte.entry[f.at] !== f.orig_pte) return;
        f.page = vm_normal_page(k, f.orig_pte);
        f.wp = WP.copy;
        if (f.page === NONE) return;
        if (isAnon(k.page.mapping[f.page]) && is_exclusive(k, f.page)) {
          wp_page_reuse(k, f.at, f.vma, f.page);
          f.wp = WP.done;
        } else get_page(k, f.page);
      }),
    ]),
  ],
};
