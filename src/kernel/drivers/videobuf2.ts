/**
 * Video capture into a program's own memory (V4L2_MEMORY_USERPTR).
 *
 * Source: drivers/media/common/videobuf2/videobuf2-memops.c and videobuf2-dma-contig.c, mm/frame_vector.c in v4.20.
 * Acquire: get_vaddr_frames with FOLL_FORCE, and FOLL_WRITE for a buffer that the device writes; fsdax is refused before anything
 * is taken. All or nothing: fewer pages give -EFAULT (videobuf2-dma-sg.c makes -ENOMEM of every error).
 * Dirty: when the buffer is given back, every page, set_page_dirty_lock (dma-sg: the last first).
 * Release: put_vaddr_frames, put_page of each, once all are dirty.
 *
 * A camera may go on for days: the buffer is held from the first QBUF until the queue is freed, and the camera writes
 * frame after frame. A program that never frees it never lets go.
 *
 * Left out: buffers that are only shown (FOLL_FORCE alone, never dirtied), that the frames must be contiguous for the device, PFN mappings (VM_IO, VM_PFNMAP), which have no pages; pages taken from another user pointer at the same place.
 */
import type { FrameOf } from "../../machine/path.js";
import { ERRNO } from "../errno.js";
import { call, down_read, given, leave, local, path, step, up_read } from "../language.js";
import { mmap_sem } from "../locks.js";
import { FOLL, get_user_pages_locked } from "../mm/gup.js";
import { find_vma, mm_of } from "../mm/memory.js";
import { vma_is_fsdax } from "../mm/memremap.js";
import { set_page_dirty_lock } from "../mm/page_writeback.js";
import { for_each_page, put_pages } from "../mm/user_pages.js";
import { VM_IO, VM_PFNMAP } from "../structs.js";
import { int, NONE, pages_nr, pfn, vpn } from "../types.js";
import { dma_map, dma_unmap } from "./device.js";

/** Pages of a buffer, or an error: -EFAULT, -EOPNOTSUPP. */
export const get_vaddr_frames = path(
  "get_vaddr_frames",
  { source: "mm/frame_vector.c v4.20", args: { start: vpn, nr: int, pages: pages_nr }, returns: int },
  [
    given((_, f) => f.nr === 0, [leave()]),
    down_read(mmap_sem, (k, f) => mm_of(k, f.start)),
    local((k, f) => {
      const vma = find_vma(k, f.start);
      if (vma === NONE) f.ret = -ERRNO.EFAULT;
      else if (vma_is_fsdax(k, vma)) f.ret = -ERRNO.EOPNOTSUPP;
      else if ((k.vma.vm_flags[vma] & (VM_IO | VM_PFNMAP)) !== 0) f.ret = -ERRNO.EFAULT;
    }),
    given((_, f) => f.ret !== 0, [up_read(mmap_sem, (k, f) => mm_of(k, f.start)), leave()]),
    call(
      () => get_user_pages_locked,
      { start: "start", nr: "nr", flags: FOLL.FORCE | FOLL.WRITE, pages: "pages" },
      "ret",
    ),
    given((_, f) => f.ret === 0, [leave(() => -ERRNO.EFAULT)]),
  ],
);

const put_vaddr_frames = path(
  "put_vaddr_frames",
  { source: "mm/frame_vector.c v4.20", args: { pages: pages_nr }, locals: { at: int, page: pfn } },
  [...put_pages([])],
);

/** QBUF of a user pointer: take its pages and let the camera write into them. Gives 0, or an error. */
export const vb2_get_userptr = path(
  "vb2_get_userptr",
  {
    source: "drivers/media/common/videobuf2/videobuf2-memops.c v4.20",
    args: { start: vpn, nr: int, pages: pages_nr },
    returns: int,
  },
  [
    call(() => get_vaddr_frames, { start: "start", nr: "nr", pages: "pages" }, "ret"),
    given(
      (_, f) => f.ret === f.nr,
      [
        step("vb2_create_framevec", (k, f) => {
          dma_map(k, f.pages, true);
          f.ret = 0;
        }),
        leave(),
      ],
    ),
    given(
      (_, f) => f.ret >= 0,
      [
        local((_, f) => {
          f.ret = -ERRNO.EFAULT;
        }),
        call(() => put_vaddr_frames, { pages: "pages" }),
      ],
    ),
    leave((k, f) => k.refused("VIDIOC_QBUF", f.ret, NONE)),
  ],
);

const PUT = {
  source: "drivers/media/common/videobuf2/videobuf2-dma-contig.c v4.20",
  args: { pages: pages_nr },
  locals: { at: int, page: pfn },
} as const;

/** The buffer is given back. */
export const vb2_put_userptr = path("vb2_put_userptr", PUT, [
  step("dma_unmap_sg", (k, f) => dma_unmap(k, f.pages)),
  ...for_each_page<FrameOf<typeof PUT>>([call(() => set_page_dirty_lock, { page: "page" })]),
  call(() => put_vaddr_frames, { pages: "pages" }),
]);
