/** What a machine holds before its first step. */
import type { Kernel } from "./kernel.js";
import { add_to_page_cache_lru, i_size_pages } from "./mm/filemap.js";
import { SetPageSwapBacked, SetPageUptodate } from "./mm/page.js";
import { alloc_page } from "./mm/page_alloc.js";
import { lru_add_drain, put_page } from "./mm/swap.js";
import { FS } from "./operations.js";
import type { InodeNr } from "./types.js";

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
