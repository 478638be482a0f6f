/**
 * /proc/<pid>/mem and ptrace: a debugger's access to a process's memory, page by page.
 *
 * Source: fs/proc/base.c (mem_rw), mm/memory.c (__access_remote_vm) in v4.20.
 * Acquire: get_user_pages_remote of one page, always with FOLL_FORCE, FOLL_WRITE for a write. mmap_sem stays held over the copy.
 * Dirty: set_page_dirty_lock after the copy.
 * Release: put_page at once.
 *
 * FOLL_FORCE writes where the process itself may not, but only to a copy: a write to a read-only private mapping copies the
 * page first, and a read-only shared one is refused. v4.20 does so by FOLL_COW and the PTE's dirty bit (the end of Dirty COW).
 *
 * Left out: VM_IO mappings with an access operation, the buffer page between, signals. A page is copied part by part.
 */
import { ERRNO } from "../errno.js";
import { call, down_read, given, leave, local, path, repeat, step, up_read } from "../language.js";
import { mmap_sem } from "../locks.js";
import { FOLL, get_user_pages } from "../mm/gup.js";
import { mm_of } from "../mm/memory.js";
import { set_page_dirty_lock } from "../mm/page_writeback.js";
import { dma_write, page_of, put_pages } from "../mm/user_pages.js";
import { int, NONE, pages_nr, pfn, vpn } from "../types.js";

/** Read or write one page. Gives 1, or 0 when it cannot be had. */
const __access_remote_vm = path(
  "__access_remote_vm",
  {
    source: "mm/memory.c v4.20",
    args: { vaddr: vpn, write: int, pages: pages_nr },
    locals: { flags: int, part: int, at: int, page: pfn },
    returns: int,
  },
  [
    local((_, f) => {
      f.flags = FOLL.FORCE | FOLL.REMOTE | (f.write === 1 ? FOLL.WRITE : 0);
    }),
    down_read(mmap_sem, (k, f) => mm_of(k, f.vaddr)),
    call(() => get_user_pages, { start: "vaddr", nr: 1, flags: "flags", pages: "pages" }, "ret"),
    given(
      (_, f) => f.ret === 1,
      [
        local((k, f) => {
          f.page = page_of(k, f.pages, 0);
        }),
        given(
          (_, f) => f.write === 1,
          [
            repeat(
              (k, f) => f.part < k.geometry.parts,
              [
                step("copy_to_user_page", (k, f) => {
                  dma_write(k, f.pages, 0, f.part);
                  f.part++;
                }),
              ],
            ),
            call(() => set_page_dirty_lock, { page: "page" }),
          ],
          [step("copy_from_user_page", () => {})],
        ),
        ...put_pages([]),
      ],
      [
        local((_, f) => {
          f.ret = 0;
        }),
      ],
    ),
    up_read(mmap_sem, (k, f) => mm_of(k, f.vaddr)),
  ],
);

/** pread or pwrite of /proc/<pid>/mem: `nr` pages at a virtual address. Gives how many, or -EIO. */
export const mem_rw = path(
  "mem_rw",
  {
    source: "fs/proc/base.c v4.20",
    args: { start: vpn, nr: int, write: int, pages: pages_nr },
    locals: { at: vpn, got: int },
    returns: int,
  },
  [
    repeat(
      (_, f) => f.ret < f.nr,
      [
        local((_, f) => {
          f.at = f.start + f.ret;
        }),
        call(() => __access_remote_vm, { vaddr: "at", write: "write", pages: "pages" }, "got"),
        given(
          (_, f) => f.got === 0,
          [leave((k, f) => (f.ret === 0 ? k.refused("mem_rw", -ERRNO.EIO, NONE) : f.ret))],
        ),
        local((_, f) => {
          f.got = 0;
          f.ret++;
        }),
      ],
    ),
  ],
);
