/**
 * VFIO: memory of a virtual machine that a passed-through device reads and writes.
 *
 * Source: drivers/vfio/vfio_iommu_type1.c in v4.20.
 * Acquire: vfio_dma_do_map, get_user_pages_longterm of one page at a time, mmap_sem given back in between.
 * Dirty: at unmap, put_pfn: SetPageDirty, the bit and nothing else. No tag, no accounting, no inode: reclaim sees a dirty page, the
 * flusher never finds it (a third kind of dirty).
 * Release: put_page, in put_pfn.
 *
 * RLIMIT_MEMLOCK is compared after the page has been taken; the page that is too much is put by put_pfn, and so dirtied
 * too. The counter is mm->locked_vm, of which RDMA's knows nothing.
 *
 * Left out: runs of consecutive page frames (disable_hugepages is set: each page is a run), PFN mappings, pages that mdev
 * drivers pin themselves, memory of another process.
 */
import type { FrameOf } from "../../machine/path.js";
import { ERRNO } from "../errno.js";
import {
  call,
  down_read,
  down_write,
  given,
  goto,
  label,
  leave,
  local,
  path,
  repeat,
  step,
  up_read,
  up_write,
} from "../language.js";
import { mmap_sem } from "../locks.js";
import { get_user_pages_longterm } from "../mm/gup.js";
import { mm_of } from "../mm/memory.js";
import { SetPageDirty } from "../mm/page.js";
import { account, counted, over_memlock } from "../mm/rlimit.js";
import { put_pages } from "../mm/user_pages.js";
import { int, NONE, pages_nr, pfn, vpn } from "../types.js";
import { dma_map, dma_unmap } from "./device.js";

const UNPIN = {
  source: "drivers/vfio/vfio_iommu_type1.c v4.20",
  args: { write: int, pages: pages_nr },
  locals: { at: int, page: pfn },
} as const;

/** put_pfn for every page: the dirty bit, if the device could write. */
const vfio_unpin_pages_remote = path("vfio_unpin_pages_remote", UNPIN, [
  ...put_pages<FrameOf<typeof UNPIN>>([
    given((_, f) => f.write === 1, [step("SetPageDirty", (k, f) => SetPageDirty(k, f.page))]),
  ]),
]);

/** Let the device have `nr` pages from a virtual address on. Gives 0, or -ENOMEM, or what gup says. */
export const vfio_dma_do_map = path(
  "vfio_dma_do_map",
  {
    source: "drivers/vfio/vfio_iommu_type1.c v4.20",
    args: { start: vpn, nr: int, write: int, pages: pages_nr },
    locals: { at: vpn, taken: int, locked: int },
    returns: int,
  },
  [
    repeat(
      (_, f) => f.taken < f.nr,
      [
        local((_, f) => {
          f.at = f.start + f.taken;
        }),
        down_read(mmap_sem, (k, f) => mm_of(k, f.at)),
        call(() => get_user_pages_longterm, { start: "at", nr: 1, flags: "write", pages: "pages" }, "ret"),
        up_read(mmap_sem, (k, f) => mm_of(k, f.at)),
        given((_, f) => f.ret !== 1, [goto("unpin_out")]),
        local((_, f) => {
          f.ret = 0;
        }),
        step("locked_vm", (k, f) => {
          if (over_memlock(k, counted(k, "mm->locked_vm", mm_of(k, f.at)) + 1)) f.ret = -ERRNO.ENOMEM;
        }),
        given((_, f) => f.ret !== 0, [goto("unpin_out")]),
        // vfio_lock_acct compares again, under mmap_sem.
        down_write(mmap_sem, (k, f) => mm_of(k, f.at)),
        step("vfio_lock_acct", (k, f) => {
          const mm = mm_of(k, f.at);
          if (over_memlock(k, counted(k, "mm->locked_vm", mm) + 1)) f.ret = -ERRNO.ENOMEM;
          else {
            account(k, "mm->locked_vm", mm, 1);
            f.locked++;
          }
        }),
        up_write(mmap_sem, (k, f) => mm_of(k, f.at)),
        given((_, f) => f.ret !== 0, [goto("unpin_out")]),
        local((_, f) => {
          f.taken++;
        }),
      ],
    ),
    step("iommu_map", (k, f) => dma_map(k, f.pages, f.write === 1)),
    leave(),
    label("unpin_out"),
    call(() => vfio_unpin_pages_remote, { write: "write", pages: "pages" }),
    down_write(mmap_sem, (k, f) => mm_of(k, f.start)),
    step("vfio_lock_acct", (k, f) => {
      account(k, "mm->locked_vm", mm_of(k, f.start), -f.locked);
      k.refused("VFIO_IOMMU_MAP_DMA", f.ret, NONE);
    }),
    up_write(mmap_sem, (k, f) => mm_of(k, f.start)),
  ],
);

/** Take the pages away from the device again. */
export const vfio_dma_do_unmap = path(
  "vfio_dma_do_unmap",
  {
    source: "drivers/vfio/vfio_iommu_type1.c v4.20",
    args: { start: vpn, nr: int, write: int, pages: pages_nr },
  },
  [
    step("iommu_unmap", (k, f) => dma_unmap(k, f.pages)),
    call(() => vfio_unpin_pages_remote, { write: "write", pages: "pages" }),
    down_write(mmap_sem, (k, f) => mm_of(k, f.start)),
    step("vfio_lock_acct", (k, f) => account(k, "mm->locked_vm", mm_of(k, f.start), -f.nr)),
    up_write(mmap_sem, (k, f) => mm_of(k, f.start)),
  ],
);
