/**
 * ZONE_DEVICE: struct pages for memory that the page allocator does not own, here the blocks of persistent memory.
 *
 * Source: kernel/memremap.c, include/linux/mm.h in v4.20. Such a page is never on an LRU list and never free: word 1 of
 * its struct page is pgmap and word 2 hmm_data, where other pages have their list links, and its reference count is 1
 * when nobody uses it. A put that leaves 1 wakes who waits for that (wake_up_var): a wait on the count here.
 *
 * Device pages are the last page frames of a machine, so that no column is needed to say what they are.
 *
 * Left out: device private and device public memory (HMM), the percpu reference of the pgmap (nobody here takes the
 * device away), CONFIG_FS_DAX_LIMITED.
 */
import type { Kernel } from "../kernel.js";
import type { Pfn } from "../types.js";
import { ClearPageActive, page_count, page_ref_add } from "./page.js";

/** References of a device page that nobody uses. */
export const DEVICE_PAGE_IDLE = 1;

/** Whether a page is device memory: is_zone_device_page, and here also page_is_devmap_managed. */
export const is_zone_device_page = (k: Kernel, page: Pfn): boolean =>
  page >= k.device_start && page < k.geometry.pages;

/** The page frames of device memory begin their life with the one reference that is never dropped. */
export function memremap_pages(k: Kernel): void {
  for (let page = k.device_start; page < k.geometry.pages; page++) k.page._refcount[page] = DEVICE_PAGE_IDLE;
}

/**
 * put_devmap_managed_page: drop a reference of a device page. The last user's put leaves the idle count: PG_active may
 * be a leftover of mark_page_accessed, and whoever waits in wait_var_event finds the count at 1.
 */
export function put_devmap_managed_page(k: Kernel, page: Pfn): void {
  if (page_count(k, page) <= DEVICE_PAGE_IDLE)
    throw new Error(`put_devmap_managed_page: page ${page} has no user`);
  page_ref_add(k, page, -1);
  if (page_count(k, page) === DEVICE_PAGE_IDLE) ClearPageActive(k, page);
}
