/**
 * Intel graphics with a program's own memory (I915_GEM_USERPTR).
 *
 * Source: drivers/gpu/drm/i915/i915_gem_userptr.c in v4.20.
 * Acquire: __get_user_pages_fast of all pages; where that is not enough, -EAGAIN and a kworker that calls get_user_pages_remote
 * until it has all. References are kept.
 * Dirty: put_pages, set_page_dirty without the page lock, then mark_page_accessed: when a notifier says that PTEs change, or the object goes.
 * Release: put_page, in put_pages.
 *
 * The notifier waits until the GPU has finished, and gives the pages up. So reclaim and writeback, which notify before they touch a
 * PTE, make the driver let go; the next job takes the pages again. A kworker that is still collecting pages loses its object and
 * puts them itself.
 *
 * There is no release operation: a process that exits takes the notifier away without a word, and the object keeps its pages until it is
 * closed.
 *
 * A fast walk that does not get all pages puts those that it has before the kworker is asked for them, in v4.20 after it: the walk's array is
 * the object's here.
 *
 * Left out: read-only objects, several objects in one mm, the workqueue of the notifier (flush_workqueue waits for its work: the notifier's
 * own thread does it), struct_mutex, obj->mm.lock.
 */

import { struct, u8 } from "../../machine/memory.js";
import type { FrameOf } from "../../machine/path.js";
import { ERRNO } from "../errno.js";
import type { Kernel, Table } from "../kernel.js";
import {
  call,
  down_read,
  given,
  goto,
  label,
  leave,
  local,
  path,
  pause,
  repeat,
  step,
  up_read,
  wait,
} from "../language.js";
import { mmap_sem } from "../locks.js";
import { __get_user_pages_fast, FOLL, get_user_pages } from "../mm/gup.js";
import { mm_of } from "../mm/memory.js";
import { mmget_not_zero, mmput, pages_of_notifier } from "../mm/mmu_notifier.js";
import { set_page_dirty } from "../mm/page_writeback.js";
import { mark_page_accessed } from "../mm/swap.js";
import { dma_write, PAGES, put_pages } from "../mm/user_pages.js";
import { int, type PagesNr, pages_nr, pfn, vpn } from "../types.js";

const userptr = struct("i915_gem_userptr", {
  work: u8("0 none, 1 a kworker collects pages, 2 it failed"),
  active: u8("1 while the object is in the notifier's interval tree"),
});
export const i915_userptr_table: Table = { struct: userptr, rows: (g) => g.notifiers.length };

const WORK = { none: 0, pending: 1, failed: 2 } as const;

/** Whether the GPU works on an object's pages. */
const is_busy = (k: Kernel, pages: PagesNr): boolean => k.user_pages.state[pages] === PAGES.mapped;

const PUT = {
  source: "drivers/gpu/drm/i915/i915_gem_userptr.c v4.20",
  args: { notifier: int, pages: pages_nr },
  locals: { at: int, page: pfn },
} as const;

/** Give the pages up: what the GPU wrote is dirtied, without the page lock. */
const i915_gem_userptr_put_pages = path("i915_gem_userptr_put_pages", PUT, [
  step("__i915_gem_userptr_set_active", (k, f) => {
    k.of(userptr).active[f.notifier] = 0;
  }),
  ...put_pages<FrameOf<typeof PUT>>([
    call(() => set_page_dirty, { page: "page" }),
    step("mark_page_accessed", (k, f) => mark_page_accessed(k, f.page)),
  ]),
]);

/** i915_gem_userptr_mn_invalidate_range_start with its cancel_userptr. */
export const i915_gem_userptr_mn_invalidate_range_start = path(
  "i915_gem_userptr_mn_invalidate_range_start",
  {
    source: "drivers/gpu/drm/i915/i915_gem_userptr.c v4.20",
    args: { notifier: int },
    locals: { pages: pages_nr, cancelled: int },
  },
  [
    step("del_object", (k, f) => {
      const { active, work } = k.of(userptr);
      if (active[f.notifier] === 0) {
        f.cancelled = 1;
        return;
      }
      active[f.notifier] = 0;
      // A kworker that collects pages finds that they are not wanted any more.
      if (work[f.notifier] !== WORK.none) {
        work[f.notifier] = WORK.none;
        f.cancelled = 1;
      }
      f.pages = pages_of_notifier(k, f.notifier);
    }),
    given((_, f) => f.cancelled === 1, [leave()]),
    wait("i915_gem_object_wait", (k, f) => !is_busy(k, f.pages)),
    call(() => i915_gem_userptr_put_pages, { notifier: "notifier", pages: "pages" }),
  ],
);

const GET = {
  source: "drivers/gpu/drm/i915/i915_gem_userptr.c v4.20",
  args: { notifier: int, pages: pages_nr },
  locals: { start: vpn, nr: int, at: int, page: pfn },
  returns: int,
} as const;

/** Pages of the object, without a fault: 0, or -EAGAIN when a kworker must fetch them. */
const i915_gem_userptr_get_pages = path("i915_gem_userptr_get_pages", GET, [
  local((k, f) => {
    f.start = k.geometry.notifiers[f.notifier].start;
    f.nr = k.geometry.notifiers[f.notifier].nr;
  }),
  call(() => __get_user_pages_fast, { start: "start", nr: "nr", write: 1, pages: "pages" }, "ret"),
  given(
    (_, f) => f.ret === f.nr,
    [
      step("__i915_gem_userptr_set_active", (k, f) => {
        k.of(userptr).active[f.notifier] = 1;
        k.user_pages.state[f.pages] = PAGES.done;
        f.ret = 0;
      }),
      leave(),
    ],
  ),
  ...put_pages<FrameOf<typeof GET>>([]),
  step("__i915_gem_userptr_get_pages_schedule", (k, f) => {
    k.of(userptr).work[f.notifier] = WORK.pending;
    k.of(userptr).active[f.notifier] = 1;
  }),
  leave(() => -ERRNO.EAGAIN),
]);

const WORKER = {
  source: "drivers/gpu/drm/i915/i915_gem_userptr.c v4.20",
  args: { notifier: int, spare: pages_nr },
  locals: { pages: pages_nr, start: vpn, nr: int, pinned: int, got: int, at: int, page: pfn },
} as const;

/** The kworker that fetches pages with faults. `spare` is its own list until all are there. */
export const __i915_gem_userptr_get_pages_worker = path("__i915_gem_userptr_get_pages_worker", WORKER, [
  repeat(
    () => true,
    [
      wait(
        "process_one_work",
        (k, f) => k.of(userptr).work[f.notifier] === WORK.pending,
        (k, f) => {
          f.start = k.geometry.notifiers[f.notifier].start;
          f.nr = k.geometry.notifiers[f.notifier].nr;
          f.pages = f.spare;
        },
      ),
      step("mmget_not_zero", (k, f) => {
        if (!mmget_not_zero(k, f.notifier)) f.got = -ERRNO.EFAULT;
      }),
      given(
        (_, f) => f.got === 0,
        [
          down_read(mmap_sem, (k, f) => mm_of(k, f.start)),
          call(
            () => get_user_pages,
            { start: "start", nr: "nr", flags: FOLL.WRITE | FOLL.REMOTE, pages: "spare" },
            "got",
          ),
          up_read(mmap_sem, (k, f) => mm_of(k, f.start)),
          step("mmput", (k, f) => mmput(k, f.notifier)),
        ],
      ),
      step("__i915_gem_userptr_alloc_pages", (k, f) => {
        const { work, active } = k.of(userptr);
        if (work[f.notifier] !== WORK.pending) return;
        if (f.got !== f.nr) {
          work[f.notifier] = WORK.failed;
          active[f.notifier] = 0;
          return;
        }
        work[f.notifier] = WORK.none;
        adopt(k, f.spare, pages_of_notifier(k, f.notifier));
      }),
      ...put_pages<FrameOf<typeof WORKER>>([]),
      local((_, f) => {
        f.start = 0;
        f.nr = 0;
        f.got = 0;
        f.pages = 0;
      }),
    ],
  ),
]);

/** The object gets the kworker's pages, with their references. */
function adopt(k: Kernel, from: PagesNr, to: PagesNr): void {
  const { nr, state } = k.user_pages;
  const size = k.geometry.dioPages;
  for (let at = 0; at < nr[from]; at++) {
    k.user_page.page[to * size + at] = k.user_page.page[from * size + at];
    k.user_page.page[from * size + at] = 0;
  }
  nr[to] = nr[from];
  nr[from] = 0;
  state[to] = PAGES.done;
}

/** One job: get the pages, however often they are taken away again, and start the GPU. Gives 0, or an error. */
export const i915_gem_execbuffer = path(
  "i915_gem_execbuffer",
  {
    source: "drivers/gpu/drm/i915/i915_gem_execbuffer.c v4.20",
    args: { notifier: int },
    locals: { pages: pages_nr, ready: int },
    returns: int,
  },
  [
    local((k, f) => {
      f.pages = pages_of_notifier(k, f.notifier);
    }),
    label("again"),
    // Pages that the object has are used; struct_mutex keeps the notifier away meanwhile.
    step("i915_gem_object_pin_pages", (k, f) => {
      f.ready = k.user_pages.state[f.pages] === PAGES.done ? 1 : 0;
      if (f.ready === 1) k.user_pages.state[f.pages] = PAGES.mapped;
    }),
    given((_, f) => f.ready === 1, [leave(() => 0)]),
    call(() => i915_gem_userptr_get_pages, { notifier: "notifier", pages: "pages" }, "ret"),
    given(
      (_, f) => f.ret === -ERRNO.EAGAIN,
      [
        wait("wait_for_userptr", (k, f) => k.of(userptr).work[f.notifier] !== WORK.pending),
        given(
          (k, f) => k.of(userptr).work[f.notifier] === WORK.failed,
          [
            local((k, f) => {
              k.of(userptr).work[f.notifier] = WORK.none;
            }),
            leave(() => -ERRNO.EFAULT),
          ],
        ),
      ],
    ),
    local((_, f) => {
      f.ret = 0;
    }),
    goto("again"),
  ],
);

/** The GPU: writes every part of every page of a job, and retires it. */
export const gpu_engine = path(
  "gpu_engine",
  { source: "a device", args: { pages: pages_nr }, locals: { at: int, part: int } },
  [
    repeat(
      () => true,
      [
        pause("GPU latency"),
        wait("i915_request_execute", (k, f) => is_busy(k, f.pages)),
        repeat(
          (k, f) => f.at < k.user_pages.nr[f.pages],
          [
            step("DMA", (k, f) => {
              dma_write(k, f.pages, f.at, f.part);
              f.part = (f.part + 1) % k.geometry.parts;
              if (f.part === 0) f.at++;
            }),
          ],
        ),
        step("i915_request_retire", (k, f) => {
          k.user_pages.state[f.pages] = PAGES.done;
          f.at = 0;
        }),
      ],
    ),
  ],
);

/** The object is closed: when the GPU has finished with it, its pages are given up. */
export const i915_gem_free_object = path(
  "i915_gem_free_object",
  {
    source: "drivers/gpu/drm/i915/i915_gem.c v4.20",
    args: { notifier: int },
    locals: { pages: pages_nr },
  },
  [
    local((k, f) => {
      f.pages = pages_of_notifier(k, f.notifier);
    }),
    // Requests and the kworker hold references to the object: it is freed after them.
    wait(
      "i915_gem_object_put",
      (k, f) => !is_busy(k, f.pages) && k.of(userptr).work[f.notifier] !== WORK.pending,
    ),
    call(() => i915_gem_userptr_put_pages, { notifier: "notifier", pages: "pages" }),
  ],
);
