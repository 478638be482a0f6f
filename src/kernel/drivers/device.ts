/**
 * A device that has been told where pages are: it writes into them when it likes, until its driver stops it.
 *
 * Not a Linux file: the other side of dma_map_sg(). A network card with a registered region, a passed-through device, a
 * capture card. Each store of a part of a page is one step, with no lock, PTE or flag. It asks nobody whether the pages still
 * belong to a file.
 *
 * Stopping is at once: after dma_unmap_sg the IOMMU lets no store through. A disk that must be made to stop is drivers/nvme.ts; one that
 * nobody can stop is endless_device.
 */
import type { Kernel } from "../kernel.js";
import { path, pause, repeat, step, wait } from "../language.js";
import { dma_write, PAGES } from "../mm/user_pages.js";
import { int, type PagesNr, pages_nr } from "../types.js";

/** dma_map_sg: from now on the device may read the pages, and write into them if `write`. */
export function dma_map(k: Kernel, pages: PagesNr, write: boolean): void {
  k.user_pages.state[pages] = write ? PAGES.mapped : PAGES.mapped_read;
}

/** dma_unmap_sg: from now on it may not. */
export function dma_unmap(k: Kernel, pages: PagesNr): void {
  k.user_pages.state[pages] = PAGES.idle;
}

/** Whether the device may write into an array's pages now. */
export const dma_mapped = (k: Kernel, pages: PagesNr): boolean => k.user_pages.state[pages] === PAGES.mapped;

/** A device that writes part after part, page after page, round and round; `stores` times in all, 0 without end. */
export const device = path(
  "device",
  { source: "a device", args: { pages: pages_nr, stores: int }, locals: { at: int, part: int, made: int } },
  [
    repeat(
      (_, f) => f.stores === 0 || f.made < f.stores,
      [
        pause("DMA latency"),
        wait(
          "DMA",
          (k, f) => dma_mapped(k, f.pages) && k.user_pages.nr[f.pages] > 0,
          (k, f) => {
            if (f.at >= k.user_pages.nr[f.pages]) f.at = 0;
            dma_write(k, f.pages, f.at, f.part);
            f.part = (f.part + 1) % k.geometry.parts;
            if (f.part === 0) f.at = (f.at + 1) % k.user_pages.nr[f.pages];
            if (f.stores !== 0) f.made++;
          },
        ),
      ],
    ),
  ],
);

/** A device that is given one transfer, moves its bytes and never says so; its driver has neither a timeout nor a reset. */
export const endless_device = path(
  "endless_device",
  { source: "a device", args: { pages: pages_nr }, locals: { at: int, part: int } },
  [
    pause("DMA latency"),
    wait("doorbell", (k, f) => k.user_pages.state[f.pages] === PAGES.submitted),
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
  ],
);
