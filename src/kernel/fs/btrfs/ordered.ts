/**
 * btrfs's ordered extents: writes whose block is chosen, and which are not yet entered in the file. Whoever wants to dirty such a page, to
 * truncate it or to tell fsync's caller that all is well waits for them.
 *
 * Source: fs/btrfs/ordered-data.c in v4.20. An ordered extent is one page here: its place in the COW fork that has a block (fs/cow.ts).
 *
 * Left out: errors of the disk as an extent keeps them (BTRFS_ORDERED_IOERR: the mapping remembers them), the second write of compressed
 * ranges.
 */
import type { Kernel } from "../../kernel.js";
import { awaits, call, config, given, goto, label, leave, local, path, step, wait } from "../../language.js";
import { PG_writeback } from "../../locks.js";
import { __filemap_fdatawait_range, __filemap_fdatawrite_range } from "../../mm/filemap_writeback.js";
import { filemap_check_errors } from "../../mm/mapping_error.js";
import { type InodeNr, inode, int, NONE } from "../../types.js";
import { COW, cow_state } from "../cow.js";

/** btrfs_lookup_ordered_range of a page: a write of it is under way, or not yet entered in the file. */
export const is_ordered = (k: Kernel, mapping: InodeNr, index: number): boolean =>
  cow_state(k, mapping, index) === COW.real;

/** btrfs_lookup_first_ordered_extent: the last page from `start` to `end` included that has an ordered extent, or NONE. */
export function last_ordered(k: Kernel, mapping: InodeNr, start: number, end: number): number {
  for (let index = Math.min(end, k.inode.i_pages[mapping] - 1); index >= start; index--)
    if (is_ordered(k, mapping, index)) return index;
  return NONE;
}

/** Start what is dirty of an ordered extent's page, and wait until the extent is entered in the file. */
export const btrfs_start_ordered_extent = path(
  "btrfs_start_ordered_extent",
  { source: "fs/btrfs/ordered-data.c v4.20", args: { mapping: inode, index: int }, locals: { error: int } },
  [
    call(
      () => __filemap_fdatawrite_range,
      { mapping: "mapping", range_start: "index", range_end: "index", sync: 1 },
      "error",
    ),
    local((_, f) => {
      f.error = 0;
    }),
    awaits(
      PG_writeback,
      wait("btrfs_start_ordered_extent", (k, f) => !is_ordered(k, f.mapping, f.index)),
    ),
  ],
);

/** Write a range of pages, both ends included, and wait until all of it is entered in the file. Gives 0 or a negative error. */
export const btrfs_wait_ordered_range = path(
  "btrfs_wait_ordered_range",
  {
    source: "fs/btrfs/ordered-data.c v4.20",
    args: { mapping: inode, range_start: int, range_end: int },
    locals: { end: int, index: int },
    returns: int,
  },
  [
    call(
      () => __filemap_fdatawrite_range,
      { mapping: "mapping", range_start: "range_start", range_end: "range_end", sync: 1 },
      "ret",
    ),
    given((_, f) => f.ret !== 0, [leave()]),
    call(() => __filemap_fdatawait_range, {
      mapping: "mapping",
      range_start: "range_start",
      range_end: "range_end",
    }),
    config("io_errors", [
      step("filemap_check_errors", (k, f) => {
        f.ret = filemap_check_errors(k, f.mapping);
      }),
    ]),
    local((_, f) => {
      f.end = f.range_end;
    }),
    label("next"),
    step("btrfs_lookup_first_ordered_extent", (k, f) => {
      f.index = last_ordered(k, f.mapping, f.range_start, f.end);
    }),
    given((_, f) => f.index === NONE, [goto("out")]),
    call(() => btrfs_start_ordered_extent, { mapping: "mapping", index: "index" }),
    local((_, f) => {
      f.end = f.index - 1;
    }),
    given((_, f) => f.index > f.range_start, [goto("next")]),
    label("out"),
    local((_, f) => {
      f.end = 0;
      f.index = 0;
    }),
  ],
);
