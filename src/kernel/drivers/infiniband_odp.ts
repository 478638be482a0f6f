/**
 * RDMA on demand: a region whose pages the network card faults in, and gives up when it is told to.
 *
 * Source: drivers/infiniband/core/umem_odp.c, drivers/infiniband/hw/mlx5/odp.c in v4.20.
 * Acquire: when the card misses a translation, get_user_pages_remote, then the page is entered in dma_list and its reference put at once
 * (ib_umem_odp_map_dma_single_page; mlx5 has invalidate_range).
 * Dirty: in invalidate_range_start, for each entry that the card could write: set_page_dirty without the page lock, as some callers have
 * it and some do not.
 * Release: there is no reference to release.
 *
 * An invalidation takes the card's own translations of the range away first (mlx5_ib_invalidate_range), then unmaps and dirties page by
 * page. One that comes between the fault and the entry makes the fault start again (ib_umem_mmu_notifier_retry): the count
 * of invalidations under way, and a sequence number, here the bit that one has ended since the fault began.
 *
 * When the process exits, the region dies: all of it is invalidated, no fault succeeds any more. A card that tries nevertheless finds that
 * there is no memory to fault in, and v4.20 warns of it.
 *
 * Left out: regions without invalidate_range (they keep references), read-only regions, implicit regions, prefetch, the kworker that serves
 * the card's faults (the card's task does it), several pages a fault, a page that is not the one of the entry (the entry is
 * overwritten), umem_rwsem.
 */

import { lockClass } from "../../machine/lock.js";
import { struct, u8 } from "../../machine/memory.js";
import { ERRNO } from "../errno.js";
import type { Kernel, Table } from "../kernel.js";
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
  pause,
  repeat,
  step,
  up_read,
  up_write,
  wait,
} from "../language.js";
import { mmap_sem } from "../locks.js";
import { FOLL, get_user_pages } from "../mm/gup.js";
import { mm_of } from "../mm/memory.js";
import { mmget_not_zero, mmput, notifier_released, pages_of_notifier } from "../mm/mmu_notifier.js";
import { set_page_dirty } from "../mm/page_writeback.js";
import { page_of, put_user_page, write_part } from "../mm/user_pages.js";
import { int, NONE, type Pfn, pages_nr, pfn, type Vpn, vpn } from "../types.js";

const umem_odp = struct("ib_umem_odp", {
  notifiers_count: u8("invalidations under way"),
  moved: u8("1 when one has ended since the card's fault began"),
});
export const umem_odp_table: Table = { struct: umem_odp, rows: (g) => g.notifiers.length };

/** The card's own table of translations: a row a place of a notifier's region. */
const mlx5_mtt = struct("mlx5_mtt", { present: u8("1 when the card may use the page of dma_list") });
export const mlx5_mtt_table: Table = {
  struct: mlx5_mtt,
  rows: (g) => g.notifiers.length * g.dioPages,
};

/** odp_data->umem_mutex: dma_list, of all regions. */
const umem_mutex = lockClass("umem_mutex", "sleeping");

const mtt = (k: Kernel, notifier: number, at: number): number => notifier * k.geometry.dioPages + at;

/** The page at a place of a region's dma_list, or NONE. The list is the notifier's array; its entries hold no references. */
const dma_entry = (k: Kernel, notifier: number, at: number): Pfn =>
  page_of(k, pages_of_notifier(k, notifier), at);

function set_dma_entry(k: Kernel, notifier: number, at: number, page: Pfn): void {
  k.user_page.page[pages_of_notifier(k, notifier) * k.geometry.dioPages + at] = page + 1;
}

/** Whether no invalidation is under way, or the region dies (then the card's queue pair is killed). */
const completed = (k: Kernel, notifier: number): boolean =>
  k.of(umem_odp).notifiers_count[notifier] === 0 || notifier_released(k, notifier);

/** ib_umem_mmu_notifier_retry */
const must_retry = (k: Kernel, notifier: number): boolean =>
  k.of(umem_odp).notifiers_count[notifier] > 0 || k.of(umem_odp).moved[notifier] === 1;

const start_account = step<{ notifier: number }>("ib_umem_notifier_start_account", (k, f) => {
  k.of(umem_odp).notifiers_count[f.notifier]++;
});

/** The part of a region that lies in a range, as places of its list: first, and one behind the last. */
function clamp(k: Kernel, notifier: number, start: Vpn, end: Vpn): readonly [number, number] {
  const { start: first, nr } = k.geometry.notifiers[notifier];
  return [Math.max(start - first, 0), Math.min(end - first, nr)];
}

/** The card loses its translations of a range, all of them first; then what it wrote is dirtied. */
const mlx5_ib_invalidate_range = path(
  "mlx5_ib_invalidate_range",
  {
    source: "drivers/infiniband/hw/mlx5/odp.c v4.20",
    args: { notifier: int, start: vpn, end: vpn },
    locals: { at: int, last: int, page: pfn },
  },
  [
    step("mlx5_ib_update_xlt", (k, f) => {
      [f.at, f.last] = clamp(k, f.notifier, f.start, f.end);
      k.of(mlx5_mtt).present.fill(0, mtt(k, f.notifier, f.at), mtt(k, f.notifier, f.last));
    }),
    down_write(umem_mutex, () => 0),
    repeat(
      (_, f) => f.at < f.last,
      [
        given(
          (k, f) => dma_entry(k, f.notifier, f.at) !== NONE,
          [
            step("ib_dma_unmap_page", (k, f) => {
              f.page = dma_entry(k, f.notifier, f.at);
              set_dma_entry(k, f.notifier, f.at, NONE);
            }),
            call(() => set_page_dirty, { page: "page" }),
          ],
        ),
        local((_, f) => {
          f.page = NONE;
          f.at++;
        }),
      ],
    ),
    up_write(umem_mutex, () => 0),
  ],
);

/** The process exits: the region is dying, its count of invalidations stays above zero. */
export const ib_umem_notifier_release = path(
  "ib_umem_notifier_release",
  {
    source: "drivers/infiniband/core/umem_odp.c v4.20",
    args: { notifier: int },
    locals: { start: vpn, end: vpn },
  },
  [
    down_write(umem_mutex, () => 0),
    start_account,
    up_write(umem_mutex, () => 0),
    local((k, f) => {
      f.start = k.geometry.notifiers[f.notifier].start;
      f.end = f.start + k.geometry.notifiers[f.notifier].nr;
    }),
    call(() => mlx5_ib_invalidate_range, { notifier: "notifier", start: "start", end: "end" }),
  ],
);

/** ib_umem_notifier_invalidate_range_start: the card loses the range's translations, and what it wrote there is dirtied. */
export const ib_umem_notifier_invalidate_range_start = path(
  "ib_umem_notifier_invalidate_range_start",
  {
    source: "drivers/infiniband/core/umem_odp.c v4.20",
    args: { notifier: int, start: vpn, end: vpn },
  },
  [
    down_write(umem_mutex, () => 0),
    start_account,
    up_write(umem_mutex, () => 0),
    call(() => mlx5_ib_invalidate_range, { notifier: "notifier", start: "start", end: "end" }),
  ],
);

/** ib_umem_notifier_invalidate_range_end: faults may go on, those that began before must start again. */
export const ib_umem_notifier_invalidate_range_end = path(
  "ib_umem_notifier_invalidate_range_end",
  { source: "drivers/infiniband/core/umem_odp.c v4.20", args: { notifier: int } },
  [
    down_write(umem_mutex, () => 0),
    step("ib_umem_notifier_end_account", (k, f) => {
      const columns = k.of(umem_odp);
      columns.moved[f.notifier] = 1;
      columns.notifiers_count[f.notifier]--;
    }),
    up_write(umem_mutex, () => 0),
  ],
);

/**
 * Fault in page `idx` of a region and let the card have it. `pages` is the list on the stack. Gives 1, -EAGAIN when an invalidation came
 * between, -EINVAL of a process that has exited, or what gup says.
 */
export const pagefault_mr = path(
  "pagefault_mr",
  {
    source: "drivers/infiniband/hw/mlx5/odp.c v4.20",
    args: { notifier: int, idx: int, pages: pages_nr },
    locals: { at: vpn, got: int },
    returns: int,
  },
  [
    step("notifiers_seq", (k, f) => {
      k.of(umem_odp).moved[f.notifier] = 0;
      f.at = k.geometry.notifiers[f.notifier].start + f.idx;
    }),
    // From here on ib_umem_odp_map_dma_pages.
    step("mmget_not_zero", (k, f) => {
      const message = "ib_umem_odp_map_dma_pages: WARN_ON(!mmget_not_zero(umem_odp->umem.owning_mm))";
      if (k.fault_on(!mmget_not_zero(k, f.notifier), "WARN", message, NONE)) f.ret = -ERRNO.EINVAL;
    }),
    given((_, f) => f.ret !== 0, [leave()]),
    down_read(mmap_sem, (k, f) => mm_of(k, f.at)),
    call(
      () => get_user_pages,
      { start: "at", nr: 1, flags: FOLL.WRITE | FOLL.REMOTE, pages: "pages" },
      "got",
    ),
    up_read(mmap_sem, (k, f) => mm_of(k, f.at)),
    given(
      (_, f) => f.got === 1,
      [
        down_write(umem_mutex, () => 0),
        step("ib_umem_odp_map_dma_single_page", (k, f) => {
          if (must_retry(k, f.notifier)) f.ret = -ERRNO.EAGAIN;
          else set_dma_entry(k, f.notifier, f.idx, page_of(k, f.pages, 0));
        }),
        step("put_page", (k, f) => {
          put_user_page(k, f.pages, 0);
          k.user_pages.nr[f.pages] = 0;
        }),
        up_write(umem_mutex, () => 0),
      ],
      [
        local((_, f) => {
          f.ret = f.got;
        }),
      ],
    ),
    step("mmput", (k, f) => mmput(k, f.notifier)),
    given((_, f) => f.ret !== 0, [leave()]),
    down_write(umem_mutex, () => 0),
    step("mlx5_ib_update_xlt", (k, f) => {
      if (must_retry(k, f.notifier)) f.ret = -ERRNO.EAGAIN;
      else {
        k.of(mlx5_mtt).present[mtt(k, f.notifier, f.idx)] = 1;
        f.ret = 1;
      }
    }),
    up_write(umem_mutex, () => 0),
  ],
);

/** One access of the card: it writes a part of page `at` of a region, and faults until it may. Gives 0, or an error. */
export const odp_write = path(
  "odp_write",
  {
    source: "drivers/infiniband/hw/mlx5/odp.c v4.20",
    args: { notifier: int, at: int, part: int, pages: pages_nr },
    locals: { stored: int },
    returns: int,
  },
  [
    label("again"),
    // Translation and store are one: an invalidation waits for accesses that are under way.
    step("DMA", (k, f) => {
      f.stored = k.of(mlx5_mtt).present[mtt(k, f.notifier, f.at)];
      if (f.stored === 1) write_part(k, dma_entry(k, f.notifier, f.at), f.part);
    }),
    given((_, f) => f.stored === 1, [leave()]),
    call(() => pagefault_mr, { notifier: "notifier", idx: "at", pages: "pages" }, "ret"),
    given(
      (_, f) => f.ret === -ERRNO.EAGAIN,
      [
        wait("notifier_completion", (k, f) => completed(k, f.notifier)),
        // The region is dying: so is the queue pair.
        given((k, f) => notifier_released(k, f.notifier), [leave(() => -ERRNO.EFAULT)]),
      ],
      [given((_, f) => f.ret < 0, [leave()])],
    ),
    local((_, f) => {
      f.ret = 0;
    }),
    goto("again"),
  ],
);

/** The card: writes the region's pages in turn, a part at a time. `stores` in all, 0 without end; an error ends it. */
export const odp_device = path(
  "odp_device",
  {
    source: "a device",
    args: { notifier: int, pages: pages_nr, stores: int },
    locals: { at: int, part: int, made: int, got: int },
  },
  [
    repeat(
      (_, f) => f.stores === 0 || f.made < f.stores,
      [
        pause("DMA latency"),
        call(() => odp_write, { notifier: "notifier", at: "at", part: "part", pages: "pages" }, "got"),
        given((_, f) => f.got < 0, [leave()]),
        local((k, f) => {
          f.part = (f.part + 1) % k.geometry.parts;
          if (f.part === 0) f.at = (f.at + 1) % k.geometry.notifiers[f.notifier].nr;
          if (f.stores !== 0) f.made++;
        }),
      ],
    ),
  ],
);
