/**
 * io_uring registers no buffer whose pages come from several files, or from a file and from anonymous memory.
 *
 * Source: io_uring/rsrc.c (io_pin_pages), commit edd478269640 (v6.3; v6.1.192 has it, too). The VMAs are looked at page by page once all are pinned: one of another file than the
 * first page's gives -EINVAL, a file that is neither tmpfs nor hugetlbfs -EOPNOTSUPP, whichever comes first. The log gives no reason but that such
 * buffers are more likely to go wrong. v6.5 took the look at the VMAs away, and this with it (uring-leaves-files-to-gup).
 */
import type { Register } from "../kernel/drivers/io_uring.js";
import { ERRNO } from "../kernel/errno.js";
import type { Kernel } from "../kernel/kernel.js";
import { held, step } from "../kernel/language.js";
import { find_vma } from "../kernel/mm/memory.js";
import { FS, fs_of_inode } from "../kernel/operations.js";
import type { Vpn } from "../kernel/types.js";
import { replace } from "../machine/patch.js";
import type { Patch } from "./patch.js";
import { uring_shmem_buffers } from "./uring_shmem_buffers.js";

/** What the VMAs of `nr` pages from an address on say: 0, -EINVAL or -EOPNOTSUPP. */
function look_at_vmas(k: Kernel, start: Vpn, nr: number): number {
  const file = k.vma.vm_file[find_vma(k, start)];
  for (let at = start; at < start + nr; at++) {
    const vm_file = k.vma.vm_file[find_vma(k, at)];
    if (vm_file !== file) return -ERRNO.EINVAL;
    const fs = fs_of_inode(k, vm_file);
    if (vm_file !== 0 && fs !== FS.tmpfs && fs !== FS.hugetlbfs) return -ERRNO.EOPNOTSUPP;
  }
  return 0;
}

export const uring_one_file: Patch = {
  name: "uring-one-file",
  title: "io_uring/rsrc: disallow multi-source reg buffers",
  author: "Pavel Begunkov",
  date: "2023-02",
  commit: "edd478269640",
  needs: [uring_shmem_buffers],
  help: "io_uring refuses a buffer that spans several files, or a file and anonymous memory",
  edits: [
    replace<Register>("io_sqe_buffer_register", "vma_is_shmem", [
      held(
        step("vma_is_shmem", (k, f) => {
          f.ret = look_at_vmas(k, f.start, f.nr);
        }),
      ),
    ]),
  ],
};
