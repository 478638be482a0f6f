/**
 * tmpfs: a filesystem in memory. No buffers, no writeback, no page_mkwrite: nobody else owns the dirty bit.
 *
 * Source: mm/shmem.c, mm/page-writeback.c (__set_page_dirty_no_writeback) in v4.20. The article's "non-RAM-based
 * filesystem" is every filesystem but this kind. Left out: swap.
 */
import { config, held, path, step } from "../language.js";
import { PageDirty, SetPageUptodate, TestSetPageDirty, unlock_page } from "../mm/page.js";
import { int, type Pfn, pfn } from "../types.js";

const set_dirty = step<{ readonly page: Pfn; ret: number }>("TestSetPageDirty", (k, f) => {
  f.ret = PageDirty(k, f.page) || TestSetPageDirty(k, f.page) ? 0 : 1;
});

export const __set_page_dirty_no_writeback = path(
  "__set_page_dirty_no_writeback",
  { source: "mm/page-writeback.c v4.20", args: { page: pfn }, returns: int },
  // Where PTEs are zapped without the page lock: a dirty PTE and PG_dirty change in one ptl section (mm/zap.ts).
  [config("truncate", [held(set_dirty)], [config("mmap", [held(set_dirty)], [set_dirty])])],
);

/** A page that was never written is zeroes. */
export const shmem_getpage = path("shmem_getpage", { source: "mm/shmem.c v4.20", args: { page: pfn } }, [
  step("clear_highpage", (k, f) => {
    SetPageUptodate(k, f.page);
    unlock_page(k, f.page);
  }),
]);
