/**
 * RDMA memory regions: pages that a network card reads and writes for as long as a program likes.
 *
 * Source: drivers/infiniband/core/umem.c in v4.20.
 * Acquire: ib_umem_get, get_user_pages_longterm in chunks of 512, always with FOLL_WRITE; a region that the card may not write
 * adds FOLL_FORCE, so that a private mapping is copied and a read-only shared one refused.
 * Dirty: at deregistration, if the page is not dirty then, the region writable and nothing had failed: an unlocked look at
 * PG_dirty, then set_page_dirty_lock.
 * Release: put_page.
 *
 * RLIMIT_MEMLOCK: mm->pinned_vm, compared before it grows, all under mmap_sem; it shrinks again when the registration fails.
 *
 * mmap_sem is given back after each chunk: a region may be registered while its VMAs change.
 *
 * Left out: hugetlb regions' page shift, the overflow of address and size, the deregistration from a process's last munmap (its
 * accounting is deferred).
 */
import type { FrameOf } from "../../machine/path.js";
import { ERRNO } from "../errno.js";
import {
  call,
  down_read,
  down_write,
  given,
  label,
  leave,
  local,
  path,
  repeat,
  step,
  up_read,
  up_write,
  when,
} from "../language.js";
import { mmap_sem } from "../locks.js";
import { FOLL, get_user_pages_longterm } from "../mm/gup.js";
import { mm_of } from "../mm/memory.js";
import { PageDirty } from "../mm/page.js";
import { set_page_dirty_lock } from "../mm/page_writeback.js";
import { account, can_do_mlock, counted, over_memlock } from "../mm/rlimit.js";
import { put_pages } from "../mm/user_pages.js";
import { int, NONE, pages_nr, pfn, vpn } from "../types.js";
import { dma_map, dma_unmap } from "./device.js";

/** PAGE_SIZE / sizeof(struct page *): pages that are taken at a time. */
export const UMEM_CHUNK = 512;

const RELEASE = {
  source: "drivers/infiniband/core/umem.c v4.20",
  args: { pages: pages_nr, writable: int, dirty: int },
  locals: { at: int, page: pfn },
} as const;

/** Stop the card and let go of a region's pages. Those of a registration that failed (`dirty` 0) are not dirtied. */
export const __ib_umem_release = path("__ib_umem_release", RELEASE, [
  step("ib_dma_unmap_sg", (k, f) => dma_unmap(k, f.pages)),
  ...put_pages<FrameOf<typeof RELEASE>>([
    when("PageDirty", (k, f) => !PageDirty(k, f.page) && f.writable === 1 && f.dirty === 1, [
      call(() => set_page_dirty_lock, { page: "page" }),
    ]),
  ]),
]);

/** Register `nr` pages from a virtual address on. Gives 0, or -EPERM, -ENOMEM, -EINVAL, or what gup says. */
export const ib_umem_get = path(
  "ib_umem_get",
  {
    source: "drivers/infiniband/core/umem.c v4.20",
    args: { start: vpn, nr: int, writable: int, pages: pages_nr },
    locals: { flags: int, at: vpn, chunk: int, taken: int, got: int },
    returns: int,
  },
  [
    given((k) => !can_do_mlock(k), [leave((k) => k.refused("ib_umem_get", -ERRNO.EPERM, NONE))]),
    given((_, f) => f.nr === 0, [leave((k) => k.refused("ib_umem_get", -ERRNO.EINVAL, NONE))]),
    down_write(mmap_sem, (k, f) => mm_of(k, f.start)),
    step("pinned_vm", (k, f) => {
      const mm = mm_of(k, f.start);
      if (over_memlock(k, counted(k, "mm->pinned_vm", mm) + f.nr)) f.ret = -ERRNO.ENOMEM;
      else account(k, "mm->pinned_vm", mm, f.nr);
    }),
    up_write(mmap_sem, (k, f) => mm_of(k, f.start)),
    given((_, f) => f.ret !== 0, [leave((k, f) => k.refused("ib_umem_get", f.ret, NONE))]),
    local((_, f) => {
      f.flags = FOLL.WRITE | (f.writable === 1 ? 0 : FOLL.FORCE);
    }),
    label("sg_alloc_table"),
    repeat(
      (_, f) => f.taken < f.nr && f.got >= 0,
      [
        local((_, f) => {
          f.at = f.start + f.taken;
          f.chunk = Math.min(UMEM_CHUNK, f.nr - f.taken);
        }),
        down_read(mmap_sem, (k, f) => mm_of(k, f.start)),
        call(
          () => get_user_pages_longterm,
          { start: "at", nr: "chunk", flags: "flags", pages: "pages" },
          "got",
        ),
        up_read(mmap_sem, (k, f) => mm_of(k, f.start)),
        local((_, f) => {
          if (f.got > 0) f.taken += f.got;
        }),
      ],
    ),
    local((_, f) => {
      if (f.got < 0) f.ret = f.got;
      f.at = 0;
      f.chunk = 0;
      f.taken = 0;
      f.got = 0;
      f.flags = 0;
    }),
    given(
      (_, f) => f.ret === 0,
      [step("ib_dma_map_sg", (k, f) => dma_map(k, f.pages, f.writable === 1)), leave()],
    ),
    call(() => __ib_umem_release, { pages: "pages", writable: "writable", dirty: 0 }),
    down_write(mmap_sem, (k, f) => mm_of(k, f.start)),
    step("pinned_vm", (k, f) => {
      account(k, "mm->pinned_vm", mm_of(k, f.start), -f.nr);
      k.refused("ib_umem_get", f.ret, NONE);
    }),
    up_write(mmap_sem, (k, f) => mm_of(k, f.start)),
  ],
);

/** Deregister a region. */
export const ib_umem_release = path(
  "ib_umem_release",
  {
    source: "drivers/infiniband/core/umem.c v4.20",
    args: { start: vpn, nr: int, writable: int, pages: pages_nr },
  },
  [
    call(() => __ib_umem_release, { pages: "pages", writable: "writable", dirty: 1 }),
    down_write(mmap_sem, (k, f) => mm_of(k, f.start)),
    step("pinned_vm", (k, f) => account(k, "mm->pinned_vm", mm_of(k, f.start), -f.nr)),
    up_write(mmap_sem, (k, f) => mm_of(k, f.start)),
  ],
);
