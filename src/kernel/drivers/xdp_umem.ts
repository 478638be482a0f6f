/**
 * AF_XDP: packet buffers in a program's memory.
 *
 * Source: net/xdp/xdp_umem.c in v4.20 (AF_XDP came with v4.18).
 * Acquire: xdp_umem_reg, get_user_pages(FOLL_WRITE), not the longterm one, with mmap_sem held for writing. All or nothing: fewer
 * pages than asked give -ENOMEM.
 * Dirty: at release, every page, set_page_dirty_lock without a look at PG_dirty; also after a registration that got too few.
 * Release: put_page after each.
 *
 * RLIMIT_MEMLOCK: user->locked_vm, compared before it grows; over the limit is -ENOBUFS. Who may ignore the limit (CAP_IPC_LOCK) is not counted.
 * v4.20 takes off less than it has added in two places: a registration that got too few pages takes off those that it got, and one
 * whose process has exited takes off nothing, so that the user can lock less and less.
 *
 * Left out: chunk sizes, rings, zero copy, the kworker that does the release.
 */
import type { FrameOf } from "../../machine/path.js";
import { ERRNO } from "../errno.js";
import { call, down_write, given, goto, label, leave, local, path, step, up_write } from "../language.js";
import { mmap_sem } from "../locks.js";
import { FOLL, get_user_pages } from "../mm/gup.js";
import { mm_of } from "../mm/memory.js";
import { MM_GONE, mm_struct } from "../mm/mmap.js";
import { set_page_dirty_lock } from "../mm/page_writeback.js";
import { account, capable_ipc_lock, counted, over_memlock } from "../mm/rlimit.js";
import { put_pages } from "../mm/user_pages.js";
import { int, NONE, pages_nr, pfn, vpn } from "../types.js";
import { dma_map, dma_unmap } from "./device.js";

const UNPIN = {
  source: "net/xdp/xdp_umem.c v4.20",
  args: { pages: pages_nr },
  locals: { at: int, page: pfn },
} as const;

const xdp_umem_unpin_pages = path("xdp_umem_unpin_pages", UNPIN, [
  ...put_pages<FrameOf<typeof UNPIN>>([call(() => set_page_dirty_lock, { page: "page" })]),
]);

/** Register `nr` pages from a virtual address on. Gives 0, or -ENOBUFS, -ENOMEM, or what gup says. */
export const xdp_umem_reg = path(
  "xdp_umem_reg",
  {
    source: "net/xdp/xdp_umem.c v4.20",
    args: { start: vpn, nr: int, pages: pages_nr },
    locals: { npgs: int },
    returns: int,
  },
  [
    step("xdp_umem_account_pages", (k, f) => {
      if (capable_ipc_lock(k)) return;
      if (over_memlock(k, counted(k, "user->locked_vm", 0) + f.nr)) f.ret = -ERRNO.ENOBUFS;
      else account(k, "user->locked_vm", 0, f.nr);
      f.npgs = f.nr;
    }),
    given((_, f) => f.ret !== 0, [leave((k, f) => k.refused("XDP_UMEM_REG", f.ret, NONE))]),
    down_write(mmap_sem, (k, f) => mm_of(k, f.start)),
    call(() => get_user_pages, { start: "start", nr: "nr", flags: FOLL.WRITE, pages: "pages" }, "ret"),
    up_write(mmap_sem, (k, f) => mm_of(k, f.start)),
    given((_, f) => f.ret < 0, [goto("out_account")]),
    given(
      (_, f) => f.ret !== f.nr,
      [
        local((_, f) => {
          f.npgs = f.ret;
          f.ret = -ERRNO.ENOMEM;
        }),
        call(() => xdp_umem_unpin_pages, { pages: "pages" }),
        goto("out_account"),
      ],
    ),
    step("xdp_umem_assign_dev", (k, f) => {
      dma_map(k, f.pages, true);
      f.npgs = 0;
      f.ret = 0;
    }),
    leave(),
    label("out_account"),
    step("xdp_umem_unaccount_pages", (k, f) => {
      if (!capable_ipc_lock(k)) account(k, "user->locked_vm", 0, -f.npgs);
      k.refused("XDP_UMEM_REG", f.ret, NONE);
    }),
  ],
);

/** The last user of the region is gone. */
export const xdp_umem_release = path(
  "xdp_umem_release",
  { source: "net/xdp/xdp_umem.c v4.20", args: { start: vpn, nr: int, pages: pages_nr } },
  [
    step("xdp_umem_clear_dev", (k, f) => dma_unmap(k, f.pages)),
    call(() => xdp_umem_unpin_pages, { pages: "pages" }),
    step("xdp_umem_unaccount_pages", (k, f) => {
      // get_task_mm
      if (k.has("mmap") && k.of(mm_struct).life[mm_of(k, f.start)] === MM_GONE) return;
      if (!capable_ipc_lock(k)) account(k, "user->locked_vm", 0, -f.nr);
    }),
  ],
);
