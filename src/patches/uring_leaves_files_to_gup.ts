/**
 * io_uring asks no longer what its buffers' memory is: get_user_pages decides.
 *
 * Source: io_uring/rsrc.c (io_pin_pages), commit 34ed8d0dcd69 (v6.5). A long-term pin for writing of a shared file that tracks dirty pages gets -EFAULT there, before
 * anything is pinned (refuse-longterm-file-write). A buffer may be of several files again (uring-one-file). Private mappings of files can be registered: their pages are anonymous by then.
 */
import { remove } from "../machine/patch.js";
import type { Patch } from "./patch.js";
import { uring_shmem_buffers } from "./uring_shmem_buffers.js";

export const uring_leaves_files_to_gup: Patch = {
  name: "uring-leaves-files-to-gup",
  title: "io_uring: rsrc: delegate VMA file-backed check to GUP",
  author: "Lorenzo Stoakes",
  date: "2023-05",
  commit: "34ed8d0dcd69",
  help: "io_uring registers what get_user_pages gives: private mappings of files, and no shared ones that track dirty pages",
  needs: [uring_shmem_buffers],
  edits: [remove("io_sqe_buffer_register", "vma_is_shmem")],
};
