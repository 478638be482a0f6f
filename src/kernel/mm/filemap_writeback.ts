/**
 * Writing a range of a mapping and waiting for it: what fsync, msync, O_DIRECT and sync_file_range are made of.
 *
 * Source: mm/filemap.c in v4.20 (do_writepages: mm/page-writeback.c). Ranges are in pages, both ends included. Left out:
 * the retry of do_writepages after -ENOMEM, PG_error, mapping_needs_writeback (a mapping without pages has no tags either).
 */
import { ERRNO } from "../errno.js";
import { call, config, dispatch, given, goto, label, leave, local, path, step, under } from "../language.js";
import { lru_lock } from "../locks.js";
import { a_ops, fs_of_inode, mapping_cap_account_dirty } from "../operations.js";
import { inode, int, NONE, pfn } from "../types.js";
import { file_check_and_advance_wb_err, filemap_check_errors } from "./mapping_error.js";
import { wait_on_page_writeback } from "./page.js";
import { LONG_MAX } from "./page_writeback.js";
import { pagevec_lookup_range_tag, pagevec_next, pagevec_release } from "./pagevec.js";

const RANGE = { mapping: inode, range_start: int, range_end: int } as const;

/** Write the dirty pages of a range: sync 1 (WB_SYNC_ALL) all that are dirty now. Gives the filesystem's error or 0. */
export const __filemap_fdatawrite_range = path(
  "__filemap_fdatawrite_range",
  { source: "mm/filemap.c v4.20", args: { ...RANGE, sync: int }, returns: int },
  [
    given((k, f) => !mapping_cap_account_dirty(k, f.mapping), [leave(() => 0)]),
    dispatch(
      a_ops,
      "writepages",
      (k, f) => fs_of_inode(k, f.mapping),
      {
        mapping: "mapping",
        sync: "sync",
        tagged: 0,
        nr_to_write: LONG_MAX,
        range_start: "range_start",
        range_end: "range_end",
      },
      "ret",
    ),
  ],
);

/** Wait for the writeback of a range's pages that are under it. */
export const __filemap_fdatawait_range = path(
  "__filemap_fdatawait_range",
  { source: "mm/filemap.c v4.20", args: RANGE, locals: { index: int, page: pfn } },
  [
    local((_, f) => {
      f.index = f.range_start;
    }),
    label("lookup"),
    given((_, f) => f.index > f.range_end, [leave()]),
    step("pagevec_lookup_range_tag", (k, f) => pagevec_lookup_range_tag(k, f, f.range_end, "writeback")),
    given((_, f) => f.page === NONE, [leave()]),
    label("page"),
    wait_on_page_writeback(),
    pagevec_next("page"),
    under(lru_lock, [step("pagevec_release", (k, f) => pagevec_release(k, f))]),
    goto("lookup"),
  ],
);

const WRITE_AND_WAIT = { source: "mm/filemap.c v4.20", locals: { error: int }, returns: int } as const;

/**
 * Write a range and wait for it; gives the error of this write, or the one that the mapping's flags hold, which one
 * caller is told. What O_DIRECT calls on the file that it reads or writes.
 */
export const filemap_write_and_wait_range = path(
  "filemap_write_and_wait_range",
  { ...WRITE_AND_WAIT, args: RANGE },
  [
    call(
      () => __filemap_fdatawrite_range,
      { mapping: "mapping", range_start: "range_start", range_end: "range_end", sync: 1 },
      "ret",
    ),
    // After -EIO the worst may have happened: it does not wait. The flags are cleared all the same.
    given(
      (_, f) => f.ret !== -ERRNO.EIO,
      [
        call(() => __filemap_fdatawait_range, {
          mapping: "mapping",
          range_start: "range_start",
          range_end: "range_end",
        }),
      ],
    ),
    config("io_errors", [
      step("filemap_check_errors", (k, f) => {
        f.error = filemap_check_errors(k, f.mapping);
        if (f.ret === 0) f.ret = f.error;
      }),
    ]),
  ],
);

/** The same for fsync: gives the error of this write, or what went wrong since this file was last told. */
export const file_write_and_wait_range = path(
  "file_write_and_wait_range",
  { ...WRITE_AND_WAIT, args: { ...RANGE, file: int } },
  [
    call(
      () => __filemap_fdatawrite_range,
      { mapping: "mapping", range_start: "range_start", range_end: "range_end", sync: 1 },
      "ret",
    ),
    given(
      (_, f) => f.ret !== -ERRNO.EIO,
      [
        call(() => __filemap_fdatawait_range, {
          mapping: "mapping",
          range_start: "range_start",
          range_end: "range_end",
        }),
      ],
    ),
    config("io_errors", [
      step("file_check_and_advance_wb_err", (k, f) => {
        f.error = file_check_and_advance_wb_err(k, f.mapping, f.file);
        if (f.ret === 0) f.ret = f.error;
      }),
    ]),
  ],
);

/** Wait for a range; gives what went wrong since this file was last told. */
export const file_fdatawait_range = path(
  "file_fdatawait_range",
  { source: "mm/filemap.c v4.20", args: { ...RANGE, file: int }, returns: int },
  [
    call(() => __filemap_fdatawait_range, {
      mapping: "mapping",
      range_start: "range_start",
      range_end: "range_end",
    }),
    config("io_errors", [
      step("file_check_and_advance_wb_err", (k, f) => {
        f.ret = file_check_and_advance_wb_err(k, f.mapping, f.file);
      }),
    ]),
  ],
);
