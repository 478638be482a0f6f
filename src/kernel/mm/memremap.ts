/**
 * ZONE_DEVICE: struct pages for memory that the page allocator does not own, here the blocks of persistent memory.
 *
 * Source: kernel/memremap.c, include/linux/mm.h, include/linux/fs.h in v4.20. Such a page is never on an LRU list and never
 * free: word 1 of its struct page is pgmap and word 2 hmm_data, where other pages have their list links, and its
 * reference count is 1 when nobody uses it. A put that leaves 1 wakes who waits for that (wake_up_var): a wait on the
 * count here. How the pages of a device are counted is a matter of its driver: here dev_pagemap says it.
 *
 * Device pages are the last page frames of a machine, so that no column is needed to say what they are.
 *
 * Left out: device private and device public memory (HMM), the percpu reference of the pgmap (nobody here takes the
 * device away), CONFIG_FS_DAX_LIMITED.
 */
import { fixed, i32, struct, u8 } from "../../machine/memory.js";
import type { Geometry } from "../geometry.js";
import type { Kernel, Table } from "../kernel.js";
import { is_dax_fs } from "../operations.js";
import type { Rule } from "../rule.js";
import { type InodeNr, NONE, type Pfn, type Slot } from "../types.js";
import { ClearPageActive, page_count, page_ref_add } from "./page.js";

/** What is known of a device page beyond its struct page. */
export const device_page = struct("device_page", {
  freed_pins: u8("gup references that were held when its block was freed; 0 once it was idle"),
});

/** Which block each page of a DAX file has: the filesystem's extents, and the entries' lock bits. */
export const dax_extent = struct("dax_extent", {
  block: i32("the block of this page of a DAX file: its page frame + 1; 0 is a hole"),
  locked: u8("1 while a fault has the entry in i_pages locked"),
});

/** How the pages of the device are counted: an idle page has a reference, and a PTE has none. */
export const dev_pagemap = struct("dev_pagemap", {
  idle: fixed("references of a device page that nobody uses"),
  pte: fixed("references, and mapcounts, of each PTE"),
});

/** The same as a rule: v4.20's answers, and who asks. */
export const device_page_rule: Rule<typeof dev_pagemap.fields> = {
  name: "dev_pagemap",
  help: "how many references a page of a DAX device has",
  struct: dev_pagemap,
  values: { idle: 1, pte: 0 },
  asked: [
    "vmf_insert_mixed",
    "dax_delete_mapping_entry",
    "dax_busy_page",
    "wait_dax_page/prepare_to_wait_event",
    "wait_dax_page/schedule",
    "ptep_get_and_clear_full",
  ],
  asked_by: "each put of such a page (put_devmap_managed_page)",
};

const slots = (g: Geometry): number =>
  g.config.has("dax") ? g.files.reduce((sum, { pages }) => sum + pages, 0) : 0;

/** A row a device page, and a row a page of a file on machines with DAX. */
export const deviceTables: readonly Table[] = [
  { struct: device_page, rows: (g) => g.devicePages },
  { struct: dax_extent, rows: slots },
  { struct: dev_pagemap, rows: (g) => (g.devicePages > 0 ? 1 : 0) },
];

/** References of a device page that nobody uses. */
export const device_page_idle = (k: Kernel): number => k.of(dev_pagemap).idle[0];

/** Whether a PTE of a device page has a reference and a mapcount. */
export const device_pte_counts = (k: Kernel): boolean => k.of(dev_pagemap).pte[0] !== 0;

/** memmap_init_zone_device: before the first step, nobody uses a page of the device. */
export function memmap_init_zone_device(k: Kernel): void {
  for (let page = k.device_start; page < k.geometry.pages; page++)
    k.page._refcount[page] = device_page_idle(k);
}

/** Whether a page is device memory: is_zone_device_page, and here also page_is_devmap_managed. */
export const is_zone_device_page = (k: Kernel, page: Pfn): boolean =>
  page >= k.device_start && page < k.geometry.pages;

/** Whether a VMA shows a DAX file: what get_user_pages_longterm asks. */
export const vma_is_fsdax = (k: Kernel, vma: number): boolean =>
  k.vma.vm_file[vma] !== 0 && is_dax_fs(k.inode.fs[k.vma.vm_file[vma]]);

/**
 * put_devmap_managed_page: drop a reference of a device page. The last user's put leaves the idle count: PG_active may
 * be a leftover of mark_page_accessed, and whoever waits in wait_var_event finds the idle count. A put too many takes the
 * idle reference, and nobody says so: from then on a page with one user looks idle.
 */
export function put_devmap_managed_page(k: Kernel, page: Pfn): void {
  page_ref_add(k, page, -1);
  if (page_count(k, page) !== device_page_idle(k)) return;
  ClearPageActive(k, page);
  k.of(device_page).freed_pins[page - k.device_start] = 0;
}

/** The slot of the file that owns a block now, or NONE when it is free. */
export const dax_owner = (k: Kernel, page: Pfn): Slot => k.of(dax_extent).block.indexOf(page + 1);

/** The inode of a slot. */
function inode_of(k: Kernel, at: Slot): InodeNr {
  let found = 0;
  for (let nr = 1; nr < k.inode.i_pages.length; nr++) if (k.inode.first_slot[nr] <= at) found = nr;
  return found;
}

/**
 * A device stores into a page: where that page is a block which was freed while somebody held it, the store hits what is
 * not the file's any more.
 */
export function device_stores(k: Kernel, page: Pfn): void {
  if (!is_zone_device_page(k, page)) return;
  const freed = k.of(device_page).freed_pins[page - k.device_start] !== 0;
  if (!k.tested(freed, "DMA: the device writes into a block that was freed under it", page)) return;
  const owner = dax_owner(k, page);
  const whose = owner === NONE ? "is free" : `belongs to file ${inode_of(k, owner)}`;
  const message = `DMA: the device writes into a block that was freed under it and ${whose}`;
  if (!k.faults.some((fault) => fault.message === message)) k.fault("UAF", message, page);
}
