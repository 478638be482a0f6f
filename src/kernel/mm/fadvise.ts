/**
 * posix_fadvise(POSIX_FADV_DONTNEED): what a backup program does after it has read a file.
 *
 * Source: mm/fadvise.c in v4.20. It starts writing what is dirty and drops what is clean, unmapped and unheld, by invalidate_mapping_pages; if
 * fewer pages went than the range has (always, where it has no end), once more after every batch is drained. No privilege is needed: it strips the pages of any file
 * that one may open. Left out: the other advices, congestion.
 */
import { call, given, leave, local, path, step, under } from "../language.js";
import { lru_lock } from "../locks.js";
import { mapping_cap_account_dirty } from "../operations.js";
import { inode, int } from "../types.js";
import { __filemap_fdatawrite_range } from "./filemap_writeback.js";
import { RANGE_END } from "./page_writeback.js";
import { lru_add_drain, lru_add_drain_all } from "./swap.js";
import { invalidate_mapping_pages } from "./truncate.js";

/** POSIX_FADV_DONTNEED for `len` parts of a file from `offset` on; 0 means to the end. Only whole pages go. Gives 0. */
export const fadvise_dontneed = path(
  "generic_fadvise",
  {
    source: "mm/fadvise.c v4.20",
    args: { mapping: inode, offset: int, len: int },
    locals: { start: int, end: int, error: int, count: int },
    returns: int,
  },
  [
    // Files that live in memory have noop_backing_dev_info: the advice is ignored.
    given((k, f) => !mapping_cap_account_dirty(k, f.mapping), [leave(() => 0)]),
    local((k, f) => {
      const { parts } = k.geometry;
      const size = k.inode.i_size[f.mapping];
      const endbyte = f.offset + f.len;
      f.start = Math.floor(f.offset / parts);
      f.end = f.len === 0 ? RANGE_END : Math.ceil(endbyte / parts) - 1;
      // A partial last page stays, unless the file ends in it.
      f.count = f.len === 0 || endbyte % parts === 0 || endbyte === size ? 0 : 1;
    }),
    call(
      () => __filemap_fdatawrite_range,
      { mapping: "mapping", range_start: "start", range_end: "end", sync: 0 },
      "error",
    ),
    local((k, f) => {
      f.start = Math.ceil(f.offset / k.geometry.parts);
      f.end -= f.count;
      f.count = 0;
      f.error = 0;
    }),
    given((_, f) => f.end < f.start, [leave(() => 0)]),
    under(lru_lock, [step("lru_add_drain", (k) => lru_add_drain(k))]),
    call(() => invalidate_mapping_pages, { mapping: "mapping", start: "start", end: "end" }, "count"),
    given(
      (_, f) => f.count < f.end - f.start + 1,
      [
        under(lru_lock, [step("lru_add_drain_all", (k) => lru_add_drain_all(k))]),
        call(() => invalidate_mapping_pages, { mapping: "mapping", start: "start", end: "end" }, "count"),
      ],
    ),
    leave(() => 0),
  ],
);
