/**
 * io_uring's fixed buffers: pages that are taken once and used by many reads and writes.
 *
 * Source: fs/io_uring.c in v5.1, where io_uring began: v4.20 does not have it. It is here because it never dirties a page: neither
 * at unregistration nor after a read, as the bio of a fixed buffer is not a user's iovec.
 * Acquire: io_sqe_buffer_register, get_user_pages_longterm(FOLL_WRITE); then every VMA of a file that is not hugetlbfs is refused with
 * -EOPNOTSUPP, tmpfs too, and fewer pages than asked with -EFAULT.
 * Dirty: never.
 * Release: put_page.
 *
 * RLIMIT_MEMLOCK: user->locked_vm, compared before it grows, -ENOMEM. Who may ignore the limit (CAP_IPC_LOCK) is not counted.
 *
 * Left out: rings, several buffers in one call, the file reads and writes themselves (the device writes as it likes).
 */
import { ERRNO } from "../errno.js";
import type { Kernel } from "../kernel.js";
import { call, down_read, given, held, leave, local, path, step, up_read, when } from "../language.js";
import { mmap_sem } from "../locks.js";
import { FOLL, get_user_pages_longterm } from "../mm/gup.js";
import { find_vma, mm_of } from "../mm/memory.js";
import { account, capable_ipc_lock, counted, over_memlock } from "../mm/rlimit.js";
import { put_pages } from "../mm/user_pages.js";
import { FS, fs_of_inode } from "../operations.js";
import { int, NONE, pages_nr, pfn, type Vpn, vpn } from "../types.js";
import { dma_map, dma_unmap } from "./device.js";

/** Filesystems of which a buffer may be. */
const MAY_BE_REGISTERED: readonly number[] = [FS.hugetlbfs];

/** Whether one of `nr` pages from an address on belongs to a file of another filesystem than these. */
export function any_file(k: Kernel, start: Vpn, nr: number, but: readonly number[]): boolean {
  for (let at = start; at < start + nr; at++) {
    const file = k.vma.vm_file[find_vma(k, at)];
    if (file !== 0 && !but.includes(fs_of_inode(k, file))) return true;
  }
  return false;
}

export interface Register {
  readonly start: Vpn;
  readonly nr: number;
  ret: number;
}

/** What such a buffer gets. */
export const unsupported = local<Register>((_, f) => {
  f.ret = -ERRNO.EOPNOTSUPP;
});

/** io_unaccount_mem of pages that were counted. */
function unaccount(k: Kernel, nr: number): void {
  if (!capable_ipc_lock(k)) account(k, "user->locked_vm", 0, -nr);
}

const io_release_buffer = path(
  "io_release_buffer",
  { source: "fs/io_uring.c v5.1", args: { pages: pages_nr }, locals: { at: int, page: pfn } },
  [...put_pages([])],
);

/** Register a buffer of `nr` pages. Gives 0, or -ENOMEM, -EOPNOTSUPP, -EFAULT, or what gup says. */
export const io_sqe_buffer_register = path(
  "io_sqe_buffer_register",
  {
    source: "fs/io_uring.c v5.1",
    args: { start: vpn, nr: int, pages: pages_nr },
    returns: int,
  },
  [
    step("io_account_mem", (k, f) => {
      if (capable_ipc_lock(k)) return;
      if (over_memlock(k, counted(k, "user->locked_vm", 0) + f.nr)) f.ret = -ERRNO.ENOMEM;
      else account(k, "user->locked_vm", 0, f.nr);
    }),
    given((_, f) => f.ret !== 0, [leave((k, f) => k.refused("IORING_REGISTER_BUFFERS", f.ret, NONE))]),
    down_read(mmap_sem, (k, f) => mm_of(k, f.start)),
    call(
      () => get_user_pages_longterm,
      { start: "start", nr: "nr", flags: FOLL.WRITE, pages: "pages" },
      "ret",
    ),
    given(
      (_, f) => f.ret === f.nr,
      [
        local((_, f) => {
          f.ret = 0;
        }),
        // "don't support file backed memory": the pages have been taken by now.
        held(
          when("is_file_hugepages", (k, f) => any_file(k, f.start, f.nr, MAY_BE_REGISTERED), [unsupported]),
        ),
      ],
      [
        local((_, f) => {
          if (f.ret >= 0) f.ret = -ERRNO.EFAULT;
        }),
      ],
    ),
    up_read(mmap_sem, (k, f) => mm_of(k, f.start)),
    given((_, f) => f.ret === 0, [step("io_sqe_buffer", (k, f) => dma_map(k, f.pages, true)), leave()]),
    call(() => io_release_buffer, { pages: "pages" }),
    step("io_unaccount_mem", (k, f) => {
      unaccount(k, f.nr);
      k.refused("IORING_REGISTER_BUFFERS", f.ret, NONE);
    }),
  ],
);

/** Unregister it: nothing is marked dirty. */
export const io_sqe_buffer_unregister = path(
  "io_sqe_buffer_unregister",
  { source: "fs/io_uring.c v5.1", args: { nr: int, pages: pages_nr } },
  [
    step("io_sqe_buffer", (k, f) => dma_unmap(k, f.pages)),
    call(() => io_release_buffer, { pages: "pages" }),
    step("io_unaccount_mem", (k, f) => unaccount(k, f.nr)),
  ],
);
