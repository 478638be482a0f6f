/**
 * VFIO: memory of a virtual machine that a passed-through device reads and writes.
 *
 * Source: drivers/vfio/vfio_iommu_type1.c in v4.20.
 * Acquire: vfio_dma_do_map, get_user_pages_longterm of one page at a time, mmap_sem given back in between. Pages whose frames
 * follow each other are a run, which is counted and mapped at once; the page that ends it is put and taken again.
 * Dirty: at unmap, put_pfn: SetPageDirty, the bit and nothing else. No tag, no accounting, no inode: reclaim sees a dirty page, the
 * flusher never finds it (a third kind of dirty). Every page that is put is dirtied so, even one that no device has seen.
 * Release: put_page, in put_pfn.
 *
 * RLIMIT_MEMLOCK is compared after the page has been taken, and once more when the run is counted; the page that is too much is put by
 * put_pfn. The counter is mm->locked_vm, of which RDMA's knows nothing.
 *
 * Left out: PFN mappings, pages that mdev drivers pin themselves, memory of another process, a process that has exited. The device gets all runs at once.
 */
import type { FrameOf } from "../../machine/path.js";
import { ERRNO } from "../errno.js";
import type { Kernel } from "../kernel.js";
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
import { page_of, put_pages, put_user_page } from "../mm/user_pages.js";
import { int, NONE, type PagesNr, type Pfn, pages_nr, pfn, type Vpn, vpn } from "../types.js";
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

/** Take the page at `at`, in the process that has `start`, to the end of the array. Gives 0, or what gup says. */
const vaddr_get_pfn = path(
  "vaddr_get_pfn",
  {
    source: "drivers/vfio/vfio_iommu_type1.c v4.20",
    args: { start: vpn, at: vpn, write: int, pages: pages_nr },
    returns: int,
  },
  [
    down_read(mmap_sem, (k, f) => mm_of(k, f.start)),
    call(() => get_user_pages_longterm, { start: "at", nr: 1, flags: "write", pages: "pages" }, "ret"),
    up_read(mmap_sem, (k, f) => mm_of(k, f.start)),
    local((_, f) => {
      if (f.ret === 1) f.ret = 0;
    }),
  ],
);

/** put_pfn of the last `nr` pages of an array, in their order. */
const put_last = path(
  "put_pfn",
  {
    source: "drivers/vfio/vfio_iommu_type1.c v4.20",
    args: { write: int, nr: int, pages: pages_nr },
    locals: { at: int, first: int, page: pfn },
  },
  [
    local((k, f) => {
      f.first = k.user_pages.nr[f.pages] - f.nr;
      f.at = f.first;
    }),
    repeat(
      (k, f) => f.at < k.user_pages.nr[f.pages],
      [
        local((k, f) => {
          f.page = page_of(k, f.pages, f.at);
        }),
        given((_, f) => f.write === 1, [step("SetPageDirty", (k, f) => SetPageDirty(k, f.page))]),
        step("put_page", (k, f) => {
          put_user_page(k, f.pages, f.at);
          f.at++;
          f.page = NONE;
        }),
      ],
    ),
    local((k, f) => {
      k.user_pages.nr[f.pages] = f.first;
    }),
  ],
);

/** The page that was taken last. */
const last_page = (k: Kernel, pages: PagesNr): Pfn => page_of(k, pages, k.user_pages.nr[pages] - 1);

/** mm->locked_vm, of whoever owns a virtual page. */
const locked_vm = (k: Kernel, at: Vpn): number => counted(k, "mm->locked_vm", mm_of(k, at));

/** Take a page and those that follow it in memory, at most `npage`. Gives how many, or -ENOMEM, or what gup says of the first. */
const vfio_pin_pages_remote = path(
  "vfio_pin_pages_remote",
  {
    source: "drivers/vfio/vfio_iommu_type1.c v4.20",
    args: { start: vpn, npage: int, write: int, pages: pages_nr },
    locals: { at: vpn, base: pfn, pinned: int, got: int, over: int },
    returns: int,
  },
  [
    call(() => vaddr_get_pfn, { start: "start", at: "start", write: "write", pages: "pages" }, "ret"),
    given((_, f) => f.ret !== 0, [leave()]),
    local((k, f) => {
      f.base = last_page(k, f.pages);
      f.pinned = 1;
    }),
    step("locked_vm", (k, f) => {
      if (over_memlock(k, locked_vm(k, f.start) + 1)) f.ret = -ERRNO.ENOMEM;
    }),
    given((_, f) => f.ret !== 0, [goto("unpin_out")]),
    repeat(
      (_, f) => f.pinned < f.npage && f.over === 0,
      [
        local((_, f) => {
          f.at = f.start + f.pinned;
        }),
        call(() => vaddr_get_pfn, { start: "start", at: "at", write: "write", pages: "pages" }, "got"),
        // One that cannot be had is for the next run to find.
        given(
          (_, f) => f.got !== 0,
          [
            local((_, f) => {
              f.over = 1;
            }),
          ],
          [
            given(
              (k, f) => last_page(k, f.pages) !== f.base + f.pinned,
              [
                local((_, f) => {
                  f.over = 1;
                }),
                call(() => put_last, { write: "write", nr: 1, pages: "pages" }),
              ],
              [
                step("locked_vm", (k, f) => {
                  if (over_memlock(k, locked_vm(k, f.start) + f.pinned + 1)) f.ret = -ERRNO.ENOMEM;
                }),
                given(
                  (_, f) => f.ret !== 0,
                  [call(() => put_last, { write: "write", nr: 1, pages: "pages" }), goto("unpin_out")],
                ),
                local((_, f) => {
                  f.pinned++;
                }),
              ],
            ),
          ],
        ),
        local((_, f) => {
          f.got = 0;
        }),
      ],
    ),
    down_write(mmap_sem, (k, f) => mm_of(k, f.start)),
    step("vfio_lock_acct", (k, f) => {
      if (over_memlock(k, locked_vm(k, f.start) + f.pinned)) f.ret = -ERRNO.ENOMEM;
      else account(k, "mm->locked_vm", mm_of(k, f.start), f.pinned);
    }),
    up_write(mmap_sem, (k, f) => mm_of(k, f.start)),
    label("unpin_out"),
    given(
      (_, f) => f.ret !== 0,
      [call(() => put_last, { write: "write", nr: "pinned", pages: "pages" }), leave()],
    ),
    leave((_, f) => f.pinned),
  ],
);

/** Let the device have `nr` pages from a virtual address on. Gives 0, or -ENOMEM, or what gup says. */
export const vfio_dma_do_map = path(
  "vfio_dma_do_map",
  {
    source: "drivers/vfio/vfio_iommu_type1.c v4.20",
    args: { start: vpn, nr: int, write: int, pages: pages_nr },
    locals: { at: vpn, left: int, taken: int, got: int },
    returns: int,
  },
  [
    // vfio_pin_map_dma
    repeat(
      (_, f) => f.taken < f.nr && f.ret === 0,
      [
        local((_, f) => {
          f.at = f.start + f.taken;
          f.left = f.nr - f.taken;
        }),
        call(
          () => vfio_pin_pages_remote,
          { start: "at", npage: "left", write: "write", pages: "pages" },
          "got",
        ),
        local((_, f) => {
          if (f.got > 0) f.taken += f.got;
          else f.ret = f.got;
          f.got = 0;
        }),
      ],
    ),
    local((_, f) => {
      f.at = 0;
      f.left = 0;
    }),
    given(
      (_, f) => f.ret === 0,
      [
        step("iommu_map", (k, f) => dma_map(k, f.pages, f.write === 1)),
        local((_, f) => {
          f.taken = 0;
        }),
        leave(),
      ],
    ),
    // vfio_remove_dma
    given(
      (_, f) => f.taken > 0,
      [call(() => vfio_dma_do_unmap, { start: "start", nr: "taken", write: "write", pages: "pages" })],
    ),
    leave((k, f) => k.refused("VFIO_IOMMU_MAP_DMA", f.ret, NONE)),
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
