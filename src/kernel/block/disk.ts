/**
 * Disks: one task per disk takes pages from its queue, moves them part by part, and completes them.
 *
 * A page in the queue is under writeback (the disk reads memory) or locked for a read (the disk writes memory). The
 * parts of a page are moved one after the other and others run in between: a device that writes into the page
 * meanwhile leaves a torn block on the disk.
 *
 * With config "io_errors" a scenario can say of a block that writes of it fail: the completion sets -EIO on the mapping,
 * as every filesystem's does. With config "checksum" a sum is made of a page when it is submitted for writing, and the
 * disk compares it with what it fetches (T10 protection information, or a filesystem that checks what it writes): bytes
 * that changed in between are refused where the disk can fail, and else written beside a sum that does not match.
 *
 * Left out: merging, ordering by sector, reads that fail, writes to swap that fail, the disk's own cache.
 */
import { struct, u8, u16 } from "../../machine/memory.js";
import { ERRNO } from "../errno.js";
import { clear_bi_sector, disk_version, read_block, set_bi_sector, write_block } from "../fs/blocks.js";
import { type Kernel, PTE, type Table } from "../kernel.js";
import { config, dispatch, given, local, path, pause, repeat, step, under, wait } from "../language.js";
import { irq } from "../locks.js";
import { page_index, page_mapping } from "../mm/filemap.js";
import { mapping_set_error } from "../mm/mapping_error.js";
import { complete_sync_read, PageDirty, PageWriteback, SetPageUptodate, unlock_page } from "../mm/page.js";
import { bio_ops, FS, fs_of_page } from "../operations.js";
import { type DiskNr, disk, int, NONE, type Pfn, pfn } from "../types.js";

/** Blocks that cannot be written. A scenario sets `left` of a file's slot. */
export const bad_block = struct("bad_block", {
  left: u8("writes of the block that will fail; FOR_EVER does not go down"),
});
/** bad_block.left of a block that never becomes good. */
export const FOR_EVER = 255;

const integrity = struct("bio_integrity", {
  guard: u16("version of a part of a page when it was submitted for writing, plus one"),
});

/** The structs of this file. */
export const diskTables: readonly Table[] = [
  {
    struct: bad_block,
    rows: (g) => (g.config.has("io_errors") ? g.files.reduce((sum, { pages }) => sum + pages, 0) : 0),
  },
  { struct: integrity, rows: (g) => (g.config.has("checksum") ? g.pages * g.parts : 0) },
];

/** What the disk does with the page that it has taken from its queue. */
const DIRECTION = { read: 0, write: 1, failed: 2 } as const;

/** The sum that goes with a page that is submitted for writing. */
function make_guard(k: Kernel, page: Pfn): void {
  const { guard } = k.of(integrity);
  if (guard.length === 0) return;
  const first = page * k.geometry.parts;
  for (let at = first; at < first + k.geometry.parts; at++) guard[at] = k.content.version[at] + 1;
}

/** Whether the sum of a part matches what is in memory now. Forgets it. */
function check_guard(k: Kernel, page: Pfn, part: number): boolean {
  const { guard } = k.of(integrity);
  const at = page * k.geometry.parts + part;
  if (guard.length === 0) return true;
  const right = guard[at] === k.content.version[at] + 1;
  guard[at] = 0;
  k.fault_on(!right, "TORN", "disk: the sum made at submission does not match what was fetched", page);
  return right;
}

/** Whether this write of a page's block fails. */
function write_fails(k: Kernel, page: Pfn): boolean {
  const { left } = k.of(bad_block);
  if (left.length === 0) return false;
  if (fs_of_page(k, page) === FS.swap) return false;
  const slot = k.slotOf(k.page.mapping[page], k.page.index[page]);
  if (left[slot] === 0) return false;
  if (left[slot] !== FOR_EVER) left[slot]--;
  return true;
}

/** submit_bio: append a page to its disk's queue. */
export function queue_page(k: Kernel, page: Pfn): void {
  if (PageWriteback(k, page)) make_guard(k, page);
  const nr = k.inode.disk[page_mapping(k, page)];
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

/** What the disk has of a part of a page that is in a file. */
export const version_on_disk = (k: Kernel, page: Pfn, part: number): number =>
  disk_version(k, page_mapping(k, page), page_index(k, page), part);

/** Move one part of a page to the disk, or from it. Gives what the disk does with the rest. */
function transfer(k: Kernel, page: Pfn, part: number, direction: number): number {
  const memory = page * k.geometry.parts + part;
  if (direction === DIRECTION.read) {
    k.content.version[memory] = read_block(k, page, part);
    return direction;
  }
  const failed = !check_guard(k, page, part) && k.of(bad_block).left.length > 0;
  if (failed && fs_of_page(k, page) !== FS.swap) return DIRECTION.failed;
  if (direction === DIRECTION.write) write_block(k, page, part);
  return direction;
}

/**
 * Pages of files whose blocks are torn for good: an earlier part holds older bytes than a later one, and nothing says
 * that the page will be written again. Whoever writes a page writes its parts in order, so no moment of the page looked so;
 * two overlapping writes can leave a blend that this does not see.
 */
export function torn_blocks(k: Kernel): Pfn[] {
  const torn: Pfn[] = [];
  for (let page = 0; page < k.geometry.pages; page++) {
    const slot = k.xa_slot.page.indexOf(page + 1);
    if (slot < 0 || PageDirty(k, page) || PageWriteback(k, page)) continue;
    if ((k.pteWord(page) & PTE.dirty) !== 0) continue;
    for (let part = 1; part < k.geometry.parts; part++) {
      if (version_on_disk(k, page, part) <= version_on_disk(k, page, part - 1)) continue;
      torn.push(page);
      break;
    }
  }
  return torn;
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
            f.write = !PageWriteback(k, f.page)
              ? DIRECTION.read
              : write_fails(k, f.page)
                ? DIRECTION.failed
                : DIRECTION.write;
          },
        ),
        repeat(
          (k, f) => f.part < k.geometry.parts,
          [
            step("transfer", (k, f) => {
              f.write = transfer(k, f.page, f.part, f.write);
              f.part++;
            }),
          ],
        ),
        given(
          (_, f) => f.write !== DIRECTION.read,
          [
            local((k) => k.count("pgpgout", 4)),
            under(irq, [
              config("io_errors", [
                given(
                  (_, f) => f.write === DIRECTION.failed,
                  [
                    step("mapping_set_error", (k, f) =>
                      mapping_set_error(k, k.page.mapping[f.page], -ERRNO.EIO),
                    ),
                  ],
                ),
              ]),
              dispatch(bio_ops, "bi_end_io", (k, f) => fs_of_page(k, f.page), { page: "page" }),
            ]),
          ],
          [
            step("mpage_end_io", (k, f) => {
              k.count("pgpgin", 4);
              if (complete_sync_read(k, f.page)) return;
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
