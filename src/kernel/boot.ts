/** What a machine holds before its first step. */
import { type Kernel, PFN_SHIFT, PTE } from "./kernel.js";
import { add_to_page_cache_lru, i_size_pages } from "./mm/filemap.js";
import { find_vma } from "./mm/memory.js";
import { SetPageSwapBacked, SetPageUptodate } from "./mm/page.js";
import { alloc_page } from "./mm/page_alloc.js";
import { page_add_rmap, set_pte } from "./mm/rmap.js";
import { lru_add_drain, lru_cache_add, put_page } from "./mm/swap.js";
import { FS } from "./operations.js";
import { PAGE_MAPPING_ANON } from "./structs.js";
import type { InodeNr, Pfn, Vpn } from "./types.js";

/** Read a file into the page cache: its pages are uptodate, clean, unmapped, and on the inactive list. */
export function cache_file(k: Kernel, inode: InodeNr): void {
  for (let index = 0; index < i_size_pages(k, inode); index++) {
    const page = alloc_page(k);
    SetPageUptodate(k, page);
    if (k.inode.fs[inode] === FS.tmpfs) SetPageSwapBacked(k, page);
    add_to_page_cache_lru(k, page, inode, index);
    lru_add_drain(k);
    put_page(k, page);
  }
}

/**
 * A process has written to a page of anonymous memory, some time ago: it is mapped, dirty, not used since, and on the inactive list.
 */
export function old_anonymous(k: Kernel, at: Vpn): Pfn {
  const vma = find_vma(k, at);
  const page = alloc_page(k);
  SetPageUptodate(k, page);
  SetPageSwapBacked(k, page);
  k.page.mapping[page] = PAGE_MAPPING_ANON;
  k.page.index[page] = at - k.vma.vm_start[vma] + k.vma.vm_pgoff[vma];
  k.vma.anon_vma[vma] = 1;
  page_add_rmap(k, page);
  set_pte(k, at, (page << PFN_SHIFT) | PTE.present | PTE.write | PTE.dirty, page);
  k.content.version.fill(1, page * k.geometry.parts, (page + 1) * k.geometry.parts);
  lru_cache_add(k, page);
  lru_add_drain(k);
  return page;
}
