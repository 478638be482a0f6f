/**
 * AMD graphics with a program's own memory (AMDGPU_GEM_USERPTR).
 *
 * Source: drivers/gpu/drm/amd/amdgpu/amdgpu_ttm.c, amdgpu_mn.c, amdgpu_cs.c, amdgpu_gem.c in v4.20.
 * Acquire: get_user_pages under mmap_sem until all are there: when the object is made (AMDGPU_GEM_USERPTR_VALIDATE), and when a job finds
 * that they were invalidated since. AMDGPU_GEM_USERPTR_ANONONLY refuses a VMA of a file with -EPERM, "to prevent
 * problems with writeback": the driver knew.
 * Dirty: amdgpu_ttm_tt_mark_user_pages, set_page_dirty without the page lock and mark_page_accessed: when a notifier says that
 * PTEs change, after the GPU has finished, and when the object is unbound.
 * Release: put_page, when the object gets new pages or goes. The notifier does not release: the references stay.
 *
 * From invalidate_range_start to invalidate_range_end the notifier's lock is held for reading. A submission takes it for writing, looks once
 * more whether the pages are still those of the process, and starts the job inside: so no job starts while PTEs change, and none on
 * pages that were taken away. -ERESTARTSYS sends whoever submits back to the beginning; ten rounds without pages give -EDEADLK.
 *
 * What the counters mmu_invalidations, last_set_pages and user_invalidated say is kept as two bits: pages are needed, and
 * somebody has invalidated them since the submission looked. Left out: several objects in a job, read-only objects, the reservation object's locks and
 * fences (the GPU's own state says whether it works), that a put page's name stands in its place until the new one does (a notifier that
 * has read it before meets a page that may be free all the same), the compute driver's eviction; the lock is one for all notifiers.
 */
import { lockClass } from "../../machine/lock.js";
import { struct, taskPlusOne, u8 } from "../../machine/memory.js";
import type { FrameOf } from "../../machine/path.js";
import { ERRNO } from "../errno.js";
import type { Kernel, Table } from "../kernel.js";
import {
  call,
  down_read,
  down_read_non_owner,
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
  up_read_non_owner,
  up_write,
  wait,
  when,
} from "../language.js";
import { mmap_sem } from "../locks.js";
import { FOLL, get_user_pages } from "../mm/gup.js";
import { find_vma, mm_of } from "../mm/memory.js";
import { pages_of_notifier } from "../mm/mmu_notifier.js";
import { set_page_dirty } from "../mm/page_writeback.js";
import { mark_page_accessed } from "../mm/swap.js";
import { for_each_page, move_user_page, PAGES, put_pages } from "../mm/user_pages.js";
import { int, NONE, type PagesNr, pages_nr, pfn, type Vpn, vpn } from "../types.js";
import { dma_unmap } from "./device.js";

const amdgpu_ttm_tt = struct("amdgpu_ttm_tt", {
  registered: u8("1 while the object is in the notifier's interval tree"),
  needs_pages: u8(
    "1 when its pages were invalidated since it got them (mmu_invalidations != last_set_pages)",
  ),
  invalidated: u8("1 when they were since the submission looked (mmu_invalidations != user_invalidated)"),
  guptask: taskPlusOne("the task that fetches its pages, plus one: it does not invalidate them itself"),
});
export const amdgpu_ttm_tt_table: Table = { struct: amdgpu_ttm_tt, rows: (g) => g.notifiers.length };

/** amn->lock: submissions against invalidations. */
const amdgpu_mn_lock = lockClass("amdgpu_mn.lock", "sleeping");

const is_busy = (k: Kernel, pages: PagesNr): boolean => k.user_pages.state[pages] === PAGES.mapped;

const MARK = {
  source: "drivers/gpu/drm/amd/amdgpu/amdgpu_ttm.c v4.20",
  args: { pages: pages_nr },
  locals: { at: int, page: pfn },
} as const;

/** What the GPU wrote is dirtied, without the page lock. */
const amdgpu_ttm_tt_mark_user_pages = path("amdgpu_ttm_tt_mark_user_pages", MARK, [
  ...for_each_page<FrameOf<typeof MARK>>([
    given(
      (_, f) => f.page !== NONE,
      [
        call(() => set_page_dirty, { page: "page" }),
        step("mark_page_accessed", (k, f) => mark_page_accessed(k, f.page)),
      ],
    ),
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

/** Take all pages of an object into an array. Gives 0, or -EPERM, or what gup says. */
const amdgpu_ttm_tt_get_user_pages = path(
  "amdgpu_ttm_tt_get_user_pages",
  {
    source: "drivers/gpu/drm/amd/amdgpu/amdgpu_ttm.c v4.20",
    args: { notifier: int, anononly: int, pages: pages_nr },
    locals: { start: vpn, nr: int, pinned: int, at: vpn, left: int, got: int },
    returns: int,
  },
  [
    local((k, f) => {
      ({ start: f.start, nr: f.nr } = k.geometry.notifiers[f.notifier]);
    }),
    down_read(mmap_sem, (k, f) => mm_of(k, f.start)),
    local((k, f) => {
      if (f.anononly === 1 && !anonymous_only(k, f.start, f.nr)) f.ret = -ERRNO.EPERM;
    }),
    given((_, f) => f.ret !== 0, [goto("up_read")]),
    repeat(
      (_, f) => f.pinned < f.nr && f.got >= 0,
      [
        step("list_add(guptask)", (k, f) => {
          k.of(amdgpu_ttm_tt).guptask[f.notifier] = k.task + 1;
          f.at = f.start + f.pinned;
          f.left = f.nr - f.pinned;
        }),
        call(() => get_user_pages, { start: "at", nr: "left", flags: FOLL.WRITE, pages: "pages" }, "got"),
        step("list_del(guptask)", (k, f) => {
          k.of(amdgpu_ttm_tt).guptask[f.notifier] = 0;
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
  ],
);

/** amdgpu_mn_invalidate_range_start_gfx: keep submissions out, wait for the GPU, then dirty. The references stay. */
export const amdgpu_mn_invalidate_range_start_gfx = path(
  "amdgpu_mn_invalidate_range_start_gfx",
  {
    source: "drivers/gpu/drm/amd/amdgpu/amdgpu_mn.c v4.20",
    args: { notifier: int },
    locals: { pages: pages_nr, affected: int },
  },
  [
    down_read_non_owner(amdgpu_mn_lock, () => 0),
    step("amdgpu_ttm_tt_affect_userptr", (k, f) => {
      const { registered, guptask, needs_pages, invalidated } = k.of(amdgpu_ttm_tt);
      if (registered[f.notifier] === 0 || guptask[f.notifier] === k.task + 1) return;
      needs_pages[f.notifier] = 1;
      invalidated[f.notifier] = 1;
      f.affected = 1;
      f.pages = pages_of_notifier(k, f.notifier);
    }),
    given(
      (_, f) => f.affected === 1,
      [
        wait("reservation_object_wait_timeout_rcu", (k, f) => !is_busy(k, f.pages)),
        call(() => amdgpu_ttm_tt_mark_user_pages, { pages: "pages" }),
      ],
    ),
  ],
);

/** amdgpu_mn_invalidate_range_end: submissions may go on. */
export const amdgpu_mn_invalidate_range_end = path(
  "amdgpu_mn_invalidate_range_end",
  { source: "drivers/gpu/drm/amd/amdgpu/amdgpu_mn.c v4.20", args: { notifier: int } },
  [up_read_non_owner(amdgpu_mn_lock, () => 0)],
);

/** Unbind an object from the GPU, which has finished with it: dirty what it wrote. */
const amdgpu_ttm_tt_unpin_userptr = path(
  "amdgpu_ttm_tt_unpin_userptr",
  { source: "drivers/gpu/drm/amd/amdgpu/amdgpu_ttm.c v4.20", args: { pages: pages_nr } },
  [
    wait("ttm_bo_wait", (k, f) => !is_busy(k, f.pages)),
    step("dma_unmap_sg", (k, f) => dma_unmap(k, f.pages)),
    call(() => amdgpu_ttm_tt_mark_user_pages, { pages: "pages" }),
  ],
);

/** The object gets the pages of another array, with their references; its own have been put. */
function adopt(k: Kernel, from: PagesNr, to: PagesNr): void {
  const { nr, state } = k.user_pages;
  for (let at = 0; at < nr[from]; at++) move_user_page(k, from, at, to);
  nr[from] = 0;
  state[to] = PAGES.done;
}

const CS = {
  source: "drivers/gpu/drm/amd/amdgpu/amdgpu_cs.c v4.20",
  args: { notifier: int, anononly: int, user_pages: pages_nr },
  locals: { pages: pages_nr, tries: int, drop: int },
  returns: int,
} as const;

/**
 * Get a job's pages. `user_pages` is an array that the submission collects them in. Gives 0 with the object bound, or -EDEADLK,
 * or what get_user_pages says.
 */
const amdgpu_cs_parser_bos = path("amdgpu_cs_parser_bos", CS, [
  local((k, f) => {
    f.pages = pages_of_notifier(k, f.notifier);
    f.tries = 10;
  }),
  label("again"),
  step("amdgpu_ttm_tt_userptr_invalidated", (k, f) => {
    const { invalidated } = k.of(amdgpu_ttm_tt);
    f.drop = invalidated[f.notifier] === 1 && k.user_pages.nr[f.user_pages] > 0 ? 1 : 0;
    invalidated[f.notifier] = 0;
  }),
  given((_, f) => f.drop === 1, [call(() => release_pages, { pages: "user_pages" })]),
  when(
    "amdgpu_ttm_tt_userptr_needs_pages",
    (k, f) => k.of(amdgpu_ttm_tt).needs_pages[f.notifier] === 1 && k.user_pages.nr[f.user_pages] === 0,
    [
      local((_, f) => {
        f.tries--;
        if (f.tries === 0) f.ret = -ERRNO.EDEADLK;
      }),
      given((_, f) => f.ret !== 0, [leave()]),
      call(
        () => amdgpu_ttm_tt_get_user_pages,
        { notifier: "notifier", anononly: "anononly", pages: "user_pages" },
        "ret",
      ),
      given((_, f) => f.ret !== 0, [leave()]),
      goto("again"),
    ],
  ),
  // amdgpu_cs_list_validate: into the CPU's domain, where the object is unbound, and back with the new pages.
  given(
    (k, f) => k.user_pages.nr[f.user_pages] > 0,
    [
      call(() => amdgpu_ttm_tt_unpin_userptr, { pages: "pages" }),
      call(() => release_pages, { pages: "pages" }),
      step("amdgpu_ttm_tt_set_user_pages", (k, f) => {
        k.of(amdgpu_ttm_tt).needs_pages[f.notifier] = 0;
        adopt(k, f.user_pages, f.pages);
      }),
    ],
  ),
]);

/**
 * Submit a job that writes into an object. `user_pages` is an array of the submission's own. Gives 0, -ERESTARTSYS when the pages
 * were invalidated at the last moment, -EDEADLK, or what get_user_pages says.
 */
export const amdgpu_cs_ioctl = path("amdgpu_cs_ioctl", CS, [
  local((k, f) => {
    f.pages = pages_of_notifier(k, f.notifier);
  }),
  call(
    () => amdgpu_cs_parser_bos,
    { notifier: "notifier", anononly: "anononly", user_pages: "user_pages" },
    "ret",
  ),
  given((_, f) => f.ret !== 0, [leave((k, f) => k.refused("DRM_IOCTL_AMDGPU_CS", f.ret, NONE))]),
  // amdgpu_cs_submit
  down_write(amdgpu_mn_lock, () => 0),
  step("drm_sched_entity_push_job", (k, f) => {
    if (k.of(amdgpu_ttm_tt).needs_pages[f.notifier] === 1) f.ret = -ERRNO.ERESTARTSYS;
    else k.user_pages.state[f.pages] = PAGES.mapped;
  }),
  up_write(amdgpu_mn_lock, () => 0),
]);

/** The same until it is not told to start again. Gives 0, or an error. */
export const amdgpu_submit = path(
  "drmIoctl",
  {
    source: "libdrm",
    args: { notifier: int, anononly: int, user_pages: pages_nr },
    returns: int,
  },
  [
    label("again"),
    call(
      () => amdgpu_cs_ioctl,
      { notifier: "notifier", anononly: "anononly", user_pages: "user_pages" },
      "ret",
    ),
    given(
      (_, f) => f.ret === -ERRNO.ERESTARTSYS,
      [
        local((_, f) => {
          f.ret = 0;
        }),
        goto("again"),
      ],
    ),
  ],
);

/** Make an object of a program's memory, with its pages. Gives 0, or -EPERM, or what gup says. */
export const amdgpu_gem_userptr_ioctl = path(
  "amdgpu_gem_userptr_ioctl",
  {
    source: "drivers/gpu/drm/amd/amdgpu/amdgpu_gem.c v4.20",
    args: { notifier: int, anononly: int },
    locals: { pages: pages_nr },
    returns: int,
  },
  [
    local((k, f) => {
      f.pages = pages_of_notifier(k, f.notifier);
    }),
    down_write(amdgpu_mn_lock, () => 0),
    step("amdgpu_mn_register", (k, f) => {
      const { registered, needs_pages, invalidated } = k.of(amdgpu_ttm_tt);
      registered[f.notifier] = 1;
      needs_pages[f.notifier] = 0;
      invalidated[f.notifier] = 0;
    }),
    up_write(amdgpu_mn_lock, () => 0),
    call(
      () => amdgpu_ttm_tt_get_user_pages,
      { notifier: "notifier", anononly: "anononly", pages: "pages" },
      "ret",
    ),
    given(
      (_, f) => f.ret === 0,
      [
        step("ttm_bo_validate", (k, f) => {
          k.user_pages.state[f.pages] = PAGES.done;
        }),
        leave(),
      ],
    ),
    down_write(amdgpu_mn_lock, () => 0),
    step("amdgpu_mn_unregister", (k, f) => {
      k.of(amdgpu_ttm_tt).registered[f.notifier] = 0;
    }),
    up_write(amdgpu_mn_lock, () => 0),
    leave((k, f) => k.refused("AMDGPU_GEM_USERPTR", f.ret, NONE)),
  ],
);

/** The object goes: no notifier reaches it any more; after its last job it is unbound, and its pages are put. */
export const amdgpu_gem_object_free = path(
  "amdgpu_gem_object_free",
  {
    source: "drivers/gpu/drm/amd/amdgpu/amdgpu_gem.c v4.20",
    args: { notifier: int },
    locals: { pages: pages_nr },
  },
  [
    local((k, f) => {
      f.pages = pages_of_notifier(k, f.notifier);
    }),
    down_write(amdgpu_mn_lock, () => 0),
    step("amdgpu_mn_unregister", (k, f) => {
      k.of(amdgpu_ttm_tt).registered[f.notifier] = 0;
    }),
    up_write(amdgpu_mn_lock, () => 0),
    call(() => amdgpu_ttm_tt_unpin_userptr, { pages: "pages" }),
    // amdgpu_ttm_tt_unpopulate
    call(() => release_pages, { pages: "pages" }),
  ],
);
