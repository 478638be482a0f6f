/**
 * udmabuf: a file in memory as a dma-buf, by which devices read and write it. No virtual address is involved, and so no get_user_pages.
 *
 * Source: drivers/dma-buf/udmabuf.c, which came with v4.20.
 * Acquire: UDMABUF_CREATE names a range of a memfd. The file must have F_SEAL_SHRINK, so that ftruncate(2) cannot take its pages away, and must not have
 * F_SEAL_WRITE, as the device writes. Each page is found or made by shmem_read_mapping_page and referenced: nothing tells that a device has it.
 * Dirty: never, neither when the device lets go nor at the end. A page that a process has written is dirty already and stays so; one that was made here,
 * for a hole, is clean, and is the device's bytes' only place.
 * Release: put_page of each, when the last user of the dma-buf is gone.
 *
 * The seals are asked and the pages are taken one after the other, without a lock: F_SEAL_WRITE can be set in between.
 *
 * The seal does not keep a page in its file: FALLOC_FL_PUNCH_HOLE takes it out, and the device goes on with a page of no file.
 *
 * Left out: several ranges in one call (UDMABUF_CREATE_LIST), the limit of 64 MiB, mmap of the dma-buf itself; attachments and their devices' own wait for each other: the
 * importer has stopped its device when the buffer is released (v4.20 does not call dma_unmap_sg then, so that an IOMMU still knows the pages).
 * hugetlbfs is refused here; v5.15 took it, v6.5 did not any more, v6.11 does again (memfd-pin-folios).
 */
import type { FrameOf } from "../../machine/path.js";
import { ERRNO } from "../errno.js";
import { shmem_read_mapping_page } from "../fs/tmpfs.js";
import type { Kernel } from "../kernel.js";
import { call, given, goto, label, leave, local, path, repeat, step } from "../language.js";
import { F_SEAL, memfd_get_seals } from "../mm/memfd.js";
import { put_pages, store_page } from "../mm/user_pages.js";
import { FS, fs_of_inode } from "../operations.js";
import { type InodeNr, inode, int, NONE, pages_nr, pfn } from "../types.js";
import { dma_map, dma_unmap } from "./device.js";

const SEALS_WANTED = F_SEAL.SHRINK;
const SEALS_DENIED = F_SEAL.WRITE;

/** What the seals of a file say: 0, or -EINVAL. */
export function check_seals(k: Kernel, mapping: InodeNr): number {
  const seals = memfd_get_seals(k, mapping);
  return (seals & SEALS_WANTED) !== SEALS_WANTED || (seals & SEALS_DENIED) !== 0 ? -ERRNO.EINVAL : 0;
}

export const UDMABUF_CREATE = { mapping: inode, index: int, nr: int, pages: pages_nr } as const;

const PUT = {
  source: "drivers/dma-buf/udmabuf.c v4.20",
  args: { pages: pages_nr },
  locals: { at: int, page: pfn },
} as const;

const CREATE = {
  source: "drivers/dma-buf/udmabuf.c v4.20",
  args: UDMABUF_CREATE,
  locals: { at: int, index_at: int, page: pfn },
  returns: int,
} as const;

/** UDMABUF_CREATE of `nr` pages of a file from an index on. Gives 0, -EBADFD, -EINVAL, or what shmem says. */
export const udmabuf_create = path("udmabuf_create", CREATE, [
  given(
    (k, f) => fs_of_inode(k, f.mapping) !== FS.tmpfs,
    [leave((k) => k.refused("UDMABUF_CREATE", -ERRNO.EBADFD, NONE))],
  ),
  step("memfd_fcntl", (k, f) => {
    f.ret = check_seals(k, f.mapping);
  }),
  given((_, f) => f.ret !== 0, [goto("err")]),
  repeat(
    (_, f) => f.at < f.nr,
    [
      local((_, f) => {
        f.index_at = f.index + f.at;
      }),
      call(() => shmem_read_mapping_page, { mapping: "mapping", index: "index_at", page: "page" }, "ret"),
      given((_, f) => f.ret !== 0, [goto("err")]),
      local((k, f) => {
        store_page(k, f.pages, f.page);
        f.page = NONE;
        f.at++;
      }),
    ],
  ),
  // A device is attached.
  step("map_udmabuf", (k, f) => {
    dma_map(k, f.pages, true);
    f.at = 0;
    f.index_at = 0;
  }),
  leave(() => 0),
  label("err"),
  local((_, f) => {
    f.at = 0;
    f.index_at = 0;
  }),
  ...put_pages<FrameOf<typeof CREATE>>([]),
  leave((k, f) => k.refused("UDMABUF_CREATE", f.ret, NONE)),
]);

/** The last user of the dma-buf is gone: nothing is marked dirty. */
export const release_udmabuf = path("release_udmabuf", PUT, [
  step("unmap_udmabuf", (k, f) => dma_unmap(k, f.pages)),
  ...put_pages<FrameOf<typeof PUT>>([]),
]);
