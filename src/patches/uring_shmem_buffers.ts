/**
 * io_uring registers buffers of shared memory.
 *
 * Source: fs/io_uring.c (io_sqe_buffer_register), commit 40dad765c045 (v5.14). Until then every VMA of a file was refused that is not of hugetlbfs. Memory of
 * tmpfs, which memfd_create gives, is no page cache that anybody writes back. Other files are refused as before, private mappings of them, too, with
 * -EOPNOTSUPP, after all pages have been pinned.
 *
 * A buffer of several files is refused from v6.3 to v6.4 (uring-one-file).
 */
import { any_file, type Register, unsupported } from "../kernel/drivers/io_uring.js";
import { held, when } from "../kernel/language.js";
import { FS } from "../kernel/operations.js";
import { replace } from "../machine/patch.js";
import type { Patch } from "./patch.js";

export const uring_shmem_buffers: Patch = {
  name: "uring-shmem-buffers",
  title: "io_uring: enable shmem/memfd memory registration",
  author: "Pavel Begunkov",
  date: "2021-06",
  commit: "40dad765c045",
  help: "io_uring registers buffers of tmpfs and memfd",
  edits: [
    replace<Register>("io_sqe_buffer_register", "is_file_hugepages", [
      held(
        when("vma_is_shmem", (k, f) => any_file(k, f.start, f.nr, [FS.hugetlbfs, FS.tmpfs]), [unsupported]),
      ),
    ]),
  ],
};
