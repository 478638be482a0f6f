/**
 * Who holds references to pages, as far as memory tells.
 *
 * No code of Linux corresponds to this file: struct page has a count and no list of holders, which is why nobody can say whose a
 * reference is. All holders but tasks in the middle of a path leave a trace elsewhere: a slot of a mapping, buffers, a PTE, a batch,
 * an array that get_user_pages filled.
 */
import { btrfs_fixup } from "../fs/btrfs.js";
import { type Kernel, PTE } from "../kernel.js";
import type { Pfn } from "../types.js";
import { compound_head, PageTail } from "./compound.js";
import { is_zero_pfn, pte_pfn } from "./memory.js";
import { device_page_idle, device_pte_counts, is_zone_device_page } from "./memremap.js";
import { PagePrivate } from "./page.js";
import { pagevec_pages } from "./pagevec.js";

/** The references that each page has from holders that memory knows, tails' with their heads'. A task's own come on top. */
export function references_held(k: Kernel): number[] {
  const { pages } = k.geometry;
  const refs = new Array<number>(pages).fill(0);
  // A DAX entry holds no reference; whether a PTE of device memory does, and what the idle count is, says its dev_pagemap.
  const device = (page: Pfn): boolean => is_zone_device_page(k, page);
  const counted = (page: Pfn): boolean => !device(page) || device_pte_counts(k);
  for (const page of k.xa_slot.page) if (page !== 0 && !device(page - 1)) refs[page - 1]++;
  for (let page = 0; page < pages; page++)
    refs[page] +=
      (PagePrivate(k, page) && !PageTail(k, page) ? 1 : 0) +
      k.page.pins[page] +
      (device(page) ? device_page_idle(k) : 0);
  for (const entry of k.pte.entry) {
    const page = pte_pfn(entry);
    if ((entry & PTE.present) !== 0 && !is_zero_pfn(k, page) && counted(page) && !PageTail(k, page))
      refs[page]++;
  }
  k.of(btrfs_fixup).queued.forEach((queued, page) => {
    refs[page] += queued;
  });
  for (let batch = 0; batch < k.pagevec.nr.length; batch++)
    for (let at = 0; at < k.pagevec.nr[batch]; at++)
      refs[k.pagevec_page.page[batch * k.pagevecSize + at] - 1]++;
  for (const page of pagevec_pages(k)) refs[page]++;
  for (const insert of k.inserts.references_held) insert(k, refs);
  for (let page = 0; page < pages; page++) {
    if (!PageTail(k, page)) continue;
    refs[compound_head(k, page)] += refs[page];
    refs[page] = 0;
  }
  return refs;
}
