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
 * An invalidation that comes between the fault and the entry makes the fault start again (ib_umem_mmu_notifier_retry): the count
 * of invalidations under way, and a sequence number, here the bit that one has ended since the fault began.
 *
 * Left out: the card's own table (dma_list stands for it), the range of an invalidation (all of a region goes), regions without invalidate_range (they keep references), read-only regions, prefetch, the kworker that serves the
 * card's faults (the card's task does it), several pages a fault.
 */

import { lockClass } from "../../machine/lock.js";
import { struct, u8 } from "../../machine/memory.js";
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
} from "../language.js";
import { mmap_sem } from "../locks.js";
import { FOLL, get_user_pages } from "../mm/gup.js";
import { mm_of } from "../mm/memory.js";
import { pages_of_notifier } from "../mm/mmu_notifier.js";
import { set_page_dirty } from "../mm/page_writeback.js";
import { page_of, put_user_page, write_part } from "../mm/user_pages.js";
import { int, NONE, type Pfn, pages_nr, pfn, vpn } from "../types.js";

const umem_odp = struct("ib_umem_odp", {
  notifiers_count: u8("invalidations under way"),
  moved: u8("1 when one has ended since the card's fault began"),
});
export const umem_odp_table: Table = { struct: umem_odp, rows: (g) => g.notifiers.length };

/** odp_data->umem_mutex: dma_list, of all regions. */
const umem_mutex = lockClass("umem_mutex", "sleeping");

/** The page at a place of a region's dma_list, or NONE. The list is the notifier's array; its entries hold no references. */
const dma_entry = (k: Kernel, notifier: number, at: number): Pfn =>
  page_of(k, pages_of_notifier(k, notifier), at);

function set_dma_entry(k: Kernel, notifier: number, at: number, page: Pfn): void {
  k.user_page.page[pages_of_notifier(k, notifier) * k.geometry.dioPages + at] = page + 1;
}

/** ib_umem_mmu_notifier_retry */
const must_retry = (k: Kernel, notifier: number): boolean =>
  k.of(umem_odp).notifiers_count[notifier] > 0 || k.of(umem_odp).moved[notifier] === 1;

/** ib_umem_notifier_invalidate_range_start: the card loses the region's translations, and what it wrote is dirtied. */
export const ib_umem_notifier_invalidate_range_start = path(
  "ib_umem_notifier_invalidate_range_start",
  {
    source: "drivers/infiniband/core/umem_odp.c v4.20",
    args: { notifier: int },
    locals: { at: int, page: pfn },
  },
  [
    down_write(umem_mutex, () => 0),
    step("ib_umem_notifier_start_account", (k, f) => {
      k.of(umem_odp).notifiers_count[f.notifier]++;
    }),
    up_write(umem_mutex, () => 0),
    down_write(umem_mutex, () => 0),
    repeat(
      (k, f) => f.at < k.geometry.notifiers[f.notifier].nr,
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

/** Fault in page `idx` of a region. `pages` is the list on the stack. Gives 1, 0 to try again, or what gup says. */
export const ib_umem_odp_map_dma_pages = path(
  "ib_umem_odp_map_dma_pages",
  {
    source: "drivers/infiniband/core/umem_odp.c v4.20",
    args: { notifier: int, idx: int, pages: pages_nr },
    locals: { at: vpn, got: int },
    returns: int,
  },
  [
    step("notifiers_seq", (k, f) => {
      k.of(umem_odp).moved[f.notifier] = 0;
      f.at = k.geometry.notifiers[f.notifier].start + f.idx;
    }),
    down_read(mmap_sem, (k, f) => mm_of(k, f.at)),
    call(
      () => get_user_pages,
      { start: "at", nr: 1, flags: FOLL.WRITE | FOLL.REMOTE, pages: "pages" },
      "got",
    ),
    up_read(mmap_sem, (k, f) => mm_of(k, f.at)),
    given((_, f) => f.got !== 1, [leave((_, f) => f.got)]),
    down_write(umem_mutex, () => 0),
    step("ib_umem_odp_map_dma_single_page", (k, f) => {
      if (must_retry(k, f.notifier)) return;
      set_dma_entry(k, f.notifier, f.idx, page_of(k, f.pages, 0));
      f.ret = 1;
    }),
    step("put_page", (k, f) => {
      put_user_page(k, f.pages, 0);
      k.user_pages.nr[f.pages] = 0;
    }),
    up_write(umem_mutex, () => 0),
  ],
);

/** The card: writes the region's pages in turn, a part at a time, and faults where it has no translation. `stores` in all, 0 without end. */
export const odp_device = path(
  "odp_device",
  {
    source: "drivers/infiniband/hw/mlx5/odp.c v4.20",
    args: { notifier: int, pages: pages_nr, stores: int },
    locals: { at: int, part: int, made: int, stored: int, got: int },
  },
  [
    repeat(
      (_, f) => f.stores === 0 || f.made < f.stores,
      [
        pause("DMA latency"),
        label("again"),
        // Translation and store are one: an invalidation waits for accesses that are under way.
        step("DMA", (k, f) => {
          const page = dma_entry(k, f.notifier, f.at);
          f.stored = page === NONE ? 0 : 1;
          if (page !== NONE) write_part(k, page, f.part);
        }),
        given(
          (_, f) => f.stored === 0,
          [
            call(() => ib_umem_odp_map_dma_pages, { notifier: "notifier", idx: "at", pages: "pages" }, "got"),
            given((_, f) => f.got < 0, [leave()]),
            local((_, f) => {
              f.got = 0;
            }),
            goto("again"),
          ],
        ),
        local((k, f) => {
          f.stored = 0;
          f.part = (f.part + 1) % k.geometry.parts;
          if (f.part === 0) f.at = (f.at + 1) % k.geometry.notifiers[f.notifier].nr;
          if (f.stores !== 0) f.made++;
        }),
      ],
    ),
  ],
);
