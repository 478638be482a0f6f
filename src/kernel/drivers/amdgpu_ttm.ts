/**
 * AMD graphics with a program's own memory (AMDGPU_GEM_USERPTR).
 *
 * Source: drivers/gpu/drm/amd/amdgpu/amdgpu_ttm.c, amdgpu_mn.c in v4.20.
 * Acquire: get_user_pages under mmap_sem until all are there. AMDGPU_GEM_USERPTR_ANONONLY refuses a VMA of a file with -EPERM, "to prevent
 * problems with writeback": the driver knew.
 * Dirty: amdgpu_ttm_tt_mark_user_pages, set_page_dirty without the page lock and mark_page_accessed: when a notifier says that
 * PTEs change, after the GPU has finished, and at unpin.
 * Release: put_page, when the object gets new pages or goes. The notifier does not release: the references stay.
 *
 * Left out: several objects, the reservation object's fences (the GPU's own state says whether it works), the compute driver's eviction,
 * and submission's second look under the notifier's lock: here a job may start on pages that were invalidated since get_user_pages.
 */
import type { FrameOf } from "../../machine/path.js";
import { ERRNO } from "../errno.js";
import type { Kernel } from "../kernel.js";
import {
  call,
  down_read,
  given,
  goto,
  label,
  leave,
  local,
  path,
  repeat,
  step,
  up_read,
  wait,
} from "../language.js";
import { mmap_sem } from "../locks.js";
import { FOLL, get_user_pages } from "../mm/gup.js";
import { find_vma, mm_of } from "../mm/memory.js";
import { pages_of_notifier } from "../mm/mmu_notifier.js";
import { set_page_dirty } from "../mm/page_writeback.js";
import { mark_page_accessed } from "../mm/swap.js";
import { for_each_page, PAGES, put_pages } from "../mm/user_pages.js";
import { int, NONE, pages_nr, pfn, type Vpn, vpn } from "../types.js";

const MARK = {
  source: "drivers/gpu/drm/amd/amdgpu/amdgpu_ttm.c v4.20",
  args: { pages: pages_nr },
  locals: { at: int, page: pfn },
} as const;

/** What the GPU wrote is dirtied, without the page lock. */
export const amdgpu_ttm_tt_mark_user_pages = path("amdgpu_ttm_tt_mark_user_pages", MARK, [
  ...for_each_page<FrameOf<typeof MARK>>([
    call(() => set_page_dirty, { page: "page" }),
    step("mark_page_accessed", (k, f) => mark_page_accessed(k, f.page)),
  ]),
]);

const release_pages = path(
  "release_pages",
  { source: "mm/swap.c v4.20", args: { pages: pages_nr }, locals: { at: int, page: pfn } },
  [...put_pages([])],
);

/** AMDGPU_GEM_USERPTR_ANONONLY: one VMA, of no file, that holds the whole range. */
function anonymous_only(k: Kernel, start: Vpn, nr: number): boolean {
  const vma = find_vma(k, start);
  if (vma === NONE || k.vma.vm_file[vma] !== 0) return false;
  return start + nr <= k.vma.vm_start[vma] + k.vma.vm_pages[vma];
}

/** Take an object's pages and start a job. Gives 0, or -EPERM, or what gup says. */
export const amdgpu_ttm_tt_get_user_pages = path(
  "amdgpu_ttm_tt_get_user_pages",
  {
    source: "drivers/gpu/drm/amd/amdgpu/amdgpu_ttm.c v4.20",
    args: { start: vpn, nr: int, anononly: int, pages: pages_nr },
    locals: { pinned: int, at: vpn, left: int, got: int },
    returns: int,
  },
  [
    down_read(mmap_sem, (k, f) => mm_of(k, f.start)),
    local((k, f) => {
      if (f.anononly === 1 && !anonymous_only(k, f.start, f.nr)) f.ret = -ERRNO.EPERM;
    }),
    given((_, f) => f.ret !== 0, [goto("up_read")]),
    repeat(
      (_, f) => f.pinned < f.nr && f.got >= 0,
      [
        local((_, f) => {
          f.at = f.start + f.pinned;
          f.left = f.nr - f.pinned;
        }),
        call(() => get_user_pages, { start: "at", nr: "left", flags: FOLL.WRITE, pages: "pages" }, "got"),
        local((_, f) => {
          if (f.got > 0) f.pinned += f.got;
        }),
      ],
    ),
    local((_, f) => {
      if (f.got < 0) f.ret = f.got;
      f.pinned = 0;
      f.at = 0;
      f.left = 0;
      f.got = 0;
    }),
    given((_, f) => f.ret < 0, [call(() => release_pages, { pages: "pages" })]),
    label("up_read"),
    up_read(mmap_sem, (k, f) => mm_of(k, f.start)),
    given((_, f) => f.ret < 0, [leave((k, f) => k.refused("AMDGPU_GEM_USERPTR", f.ret, NONE))]),
    step("amdgpu_job_submit", (k, f) => {
      k.user_pages.state[f.pages] = PAGES.mapped;
    }),
  ],
);

/** amdgpu_mn_invalidate_range_start_gfx: wait for the GPU, then dirty. The references stay. */
export const amdgpu_mn_invalidate_range_start_gfx = path(
  "amdgpu_mn_invalidate_range_start_gfx",
  {
    source: "drivers/gpu/drm/amd/amdgpu/amdgpu_mn.c v4.20",
    args: { notifier: int },
    locals: { pages: pages_nr },
  },
  [
    local((k, f) => {
      f.pages = pages_of_notifier(k, f.notifier);
    }),
    wait("reservation_object_wait_timeout_rcu", (k, f) => k.user_pages.state[f.pages] !== PAGES.mapped),
    call(() => amdgpu_ttm_tt_mark_user_pages, { pages: "pages" }),
  ],
);

/** The object goes, after its last job: dirty, then release. */
export const amdgpu_ttm_tt_unpin_userptr = path(
  "amdgpu_ttm_tt_unpin_userptr",
  { source: "drivers/gpu/drm/amd/amdgpu/amdgpu_ttm.c v4.20", args: { pages: pages_nr } },
  [
    wait("reservation_object_wait_timeout_rcu", (k, f) => k.user_pages.state[f.pages] !== PAGES.mapped),
    call(() => amdgpu_ttm_tt_mark_user_pages, { pages: "pages" }),
    call(() => release_pages, { pages: "pages" }),
  ],
);
