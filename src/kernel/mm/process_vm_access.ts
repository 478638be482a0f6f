/**
 * process_vm_readv and process_vm_writev: one process copies from or to another's memory.
 *
 * Source: mm/process_vm_access.c in v4.20.
 * Acquire: get_user_pages_remote in chunks of two pages full of page pointers, FOLL_WRITE for a write; mmap_sem is given back before the copy.
 * Dirty: set_page_dirty_lock of each page after its copy; a write only.
 * Release: put_page, the last page of a chunk first.
 *
 * No DMA: the CPU writes, through the kernel's own mapping. Between gup and the copy nothing holds the page still, so that it crashes ext4
 * as a device does: this is the call that syzkaller found it with.
 *
 * Left out: iovecs of several parts, offsets in pages, the check of permissions, faults of the caller's own buffer. A page is
 * copied part by part.
 */
import { ERRNO } from "../errno.js";
import { call, down_read, given, leave, local, path, repeat, step } from "../language.js";
import { mmap_sem } from "../locks.js";
import { int, NONE, pages_nr, pfn, vpn } from "../types.js";
import { FOLL, get_user_pages_locked } from "./gup.js";
import { mm_of } from "./memory.js";
import { set_page_dirty_lock } from "./page_writeback.js";
import { dma_write, PAGES, page_of, put_user_page } from "./user_pages.js";

/** PVM_MAX_KMALLOC_PAGES * PAGE_SIZE / sizeof(struct page *): pages that are taken at a time. */
export const PVM_MAX_PAGES = 1024;

/** Copy the pages that were taken: from the caller's buffer if `write`, to it if not. */
const process_vm_rw_pages = path(
  "process_vm_rw_pages",
  {
    source: "mm/process_vm_access.c v4.20",
    args: { write: int, pages: pages_nr },
    locals: { at: int, part: int, page: pfn },
  },
  [
    repeat(
      (k, f) => f.at < k.user_pages.nr[f.pages],
      [
        local((k, f) => {
          f.page = page_of(k, f.pages, f.at);
        }),
        given(
          (_, f) => f.write === 1,
          [
            repeat(
              (k, f) => f.part < k.geometry.parts,
              [
                step("copy_page_from_iter", (k, f) => {
                  dma_write(k, f.pages, f.at, f.part);
                  f.part++;
                }),
              ],
            ),
            call(() => set_page_dirty_lock, { page: "page" }),
          ],
          [step("copy_page_to_iter", () => {})],
        ),
        local((_, f) => {
          f.part = 0;
          f.at++;
        }),
      ],
    ),
  ],
);

/** Copy `nr` pages from or to a virtual address of any process. Gives 0, or -EFAULT after what was copied. */
export const process_vm_rw = path(
  "process_vm_rw_single_vec",
  {
    source: "mm/process_vm_access.c v4.20",
    args: { start: vpn, nr: int, write: int, pages: pages_nr },
    locals: { at: vpn, chunk: int, done: int, flags: int, got: int, page: pfn },
    returns: int,
  },
  [
    repeat(
      (_, f) => f.done < f.nr,
      [
        local((k, f) => {
          f.at = f.start + f.done;
          f.chunk = Math.min(PVM_MAX_PAGES, k.geometry.dioPages, f.nr - f.done);
          f.flags = FOLL.REMOTE | (f.write === 1 ? FOLL.WRITE : 0);
          k.user_pages.state[f.pages] = PAGES.copying;
        }),
        down_read(mmap_sem, (k, f) => mm_of(k, f.at)),
        call(
          () => get_user_pages_locked,
          { start: "at", nr: "chunk", flags: "flags", pages: "pages" },
          "got",
        ),
        local((_, f) => {
          f.chunk = f.got;
          f.got = 0;
        }),
        local((k, f) => {
          if (f.chunk <= 0) k.user_pages.state[f.pages] = PAGES.idle;
        }),
        given((_, f) => f.chunk <= 0, [leave((k) => k.refused("process_vm_rw", -ERRNO.EFAULT, NONE))]),
        call(() => process_vm_rw_pages, { write: "write", pages: "pages" }),
        local((_, f) => {
          f.done += f.chunk;
        }),
        repeat(
          (_, f) => f.chunk > 0,
          [
            local((k, f) => {
              f.page = page_of(k, f.pages, f.chunk - 1);
            }),
            step("put_page", (k, f) => {
              f.chunk--;
              put_user_page(k, f.pages, f.chunk);
              f.page = NONE;
            }),
          ],
        ),
        local((k, f) => {
          k.user_pages.nr[f.pages] = 0;
          k.user_pages.state[f.pages] = PAGES.idle;
        }),
      ],
    ),
  ],
);
