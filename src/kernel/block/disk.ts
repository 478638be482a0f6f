/**
 * Disks: one task per disk takes pages from its queue, moves them part by part, and completes them.
 *
 * A page in the queue is under writeback (the disk reads memory) or locked for a read (the disk writes memory). The
 * parts of a page are moved one after the other and others run in between: a device that writes into the page
 * meanwhile leaves a torn block on the disk.
 *
 * Left out: merging, ordering by sector, errors, the disk's own cache.
 */

import { clear_bi_sector, read_block, set_bi_sector, write_block } from "../fs/blocks.js";
import type { Kernel } from "../kernel.js";
import { dispatch, given, local, path, pause, repeat, step, under, wait } from "../language.js";
import { irq } from "../locks.js";
import { PageWriteback, SetPageUptodate, unlock_page } from "../mm/page.js";
import { bio_ops, fs_of_page } from "../operations.js";
import { type DiskNr, disk, int, NONE, type Pfn, pfn } from "../types.js";

/** submit_bio: append a page to its disk's queue. */
export function queue_page(k: Kernel, page: Pfn): void {
  const nr = k.inode.disk[k.page.mapping[page]];
  const { head, tail } = k.gendisk;
  set_bi_sector(k, page);
  k.page.io_next[page] = 0;
  if (tail[nr] !== 0) k.page.io_next[tail[nr] - 1] = page + 1;
  else head[nr] = page + 1;
  tail[nr] = page + 1;
}

function take_page(k: Kernel, nr: DiskNr): Pfn {
  const { head, tail } = k.gendisk;
  const page = head[nr] - 1;
  head[nr] = k.page.io_next[page];
  if (head[nr] === 0) tail[nr] = 0;
  k.page.io_next[page] = 0;
  return page;
}

/** Move one part of a page to the disk, or from it. */
function transfer(k: Kernel, page: Pfn, part: number, write: boolean): void {
  const memory = page * k.geometry.parts + part;
  if (write) write_block(k, page, part);
  else k.content.version[memory] = read_block(k, page, part);
}

/** A disk and its interrupt handler. */
export const disk_daemon = path(
  "disk",
  {
    source: "block/blk-core.c, fs/ext4/page-io.c, fs/mpage.c v4.20",
    args: { disk },
    locals: { page: pfn, part: int, write: int },
  },
  [
    repeat(
      () => true,
      [
        pause("disk latency"),
        wait(
          "blk_peek_request",
          (k, f) => k.gendisk.head[f.disk] !== 0,
          (k, f) => {
            f.page = take_page(k, f.disk);
            f.write = PageWriteback(k, f.page) ? 1 : 0;
          },
        ),
        repeat(
          (k, f) => f.part < k.geometry.parts,
          [
            step("transfer", (k, f) => {
              transfer(k, f.page, f.part, f.write === 1);
              f.part++;
            }),
          ],
        ),
        given(
          (_, f) => f.write === 1,
          [
            local((k) => k.count("pgpgout", 4)),
            under(irq, [dispatch(bio_ops, "bi_end_io", (k, f) => fs_of_page(k, f.page), { page: "page" })]),
          ],
          [
            step("mpage_end_io", (k, f) => {
              k.count("pgpgin", 4);
              SetPageUptodate(k, f.page);
              unlock_page(k, f.page);
            }),
          ],
        ),
        local((k, f) => {
          clear_bi_sector(k, f.page);
          f.page = NONE;
          f.part = 0;
          f.write = 0;
        }),
      ],
    ),
  ],
);
