/**
 * tmpfs: a filesystem in memory. No buffers, no writeback, no page_mkwrite: nobody else owns the dirty bit.
 *
 * Source: mm/shmem.c, mm/page-writeback.c (__set_page_dirty_no_writeback) in v4.20. The article's "non-RAM-based
 * filesystem" is every filesystem but this kind. Left out: swap, seals, huge pages.
 */
import { ERRNO } from "../errno.js";
import { call, config, held, leave, path, step } from "../language.js";
import { PageDirty, SetPageUptodate, TestSetPageDirty, unlock, unlock_page } from "../mm/page.js";
import { set_page_dirty } from "../mm/page_writeback.js";
import { put_page } from "../mm/swap.js";
import { inode, int, NONE, type Pfn, pfn } from "../types.js";
import { find_or_create_page } from "./read_write.js";

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

const WRITE = { mapping: inode, index: int, from: int, to: int, page: pfn } as const;

/**
 * A page that is about to be written. shmem_getpage with SGP_WRITE marks the page used and does not clear a new one: where nothing
 * is swapped it does what find_or_create_page does.
 */
export const shmem_write_begin = path(
  "shmem_write_begin",
  { source: "mm/shmem.c v4.20", args: WRITE, returns: int },
  [
    call(() => find_or_create_page, { mapping: "mapping", index: "index" }, "page"),
    leave((_, f) => (f.page === NONE ? -ERRNO.ENOMEM : 0)),
  ],
);

/** The page has been written: uptodate, what was not written is zeroes, and dirty by its flag. */
export const shmem_write_end = path(
  "shmem_write_end",
  { source: "mm/shmem.c v4.20", args: WRITE, returns: int },
  [
    config("truncate", [
      step("i_size_write", (k, f) => {
        const end = f.index * k.geometry.parts + f.to;
        if (end > k.inode.i_size[f.mapping]) k.inode.i_size[f.mapping] = end;
      }),
    ]),
    held(step("SetPageUptodate", (k, f) => SetPageUptodate(k, f.page))),
    call(() => set_page_dirty, { page: "page" }),
    unlock(),
    step("put_page", (k, f) => put_page(k, f.page)),
    leave((_, f) => f.to - f.from),
  ],
);
