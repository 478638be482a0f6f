/**
 * What an O_DIRECT write does to the page cache of its file: the other stripper.
 *
 * Source: mm/filemap.c in v4.20 (generic_file_direct_write, the IOCB_DIRECT half of __generic_file_write_iter), what ext4 uses. Dirty
 * pages of the range are written, then all are dropped, held or not. If one cannot be dropped, because somebody has dirtied it again
 * meanwhile, the write goes through the cache instead, and afterwards asks once more: this time with invalidate_mapping_pages, which
 * frees the buffers of a page before it asks who holds it. The pages are unmapped by then: the first attempt has seen to that.
 *
 * So a process that holds pages of a file, and another one that writes the file with O_DIRECT, need no reclaim for the article's crash. The
 * syzbot report d59332e2 (process_vm_writev and an O_DIRECT sendfile on one file) has the warning "page cache invalidation
 * failure" before its crash, and was bisected to the commit that made iomap fall back in the same way.
 *
 * Left out: the bytes that are written, to the disk or through the cache: only what happens to the pages of the range. i_rwsem is the
 * caller's.
 */
import { ERRNO } from "../errno.js";
import { call, config, given, leave, local, path, step, when } from "../language.js";
import { inode, int } from "../types.js";
import { nrpages } from "./filemap.js";
import { filemap_write_and_wait_range } from "./filemap_writeback.js";
import { invalidate_inode_pages2_range, invalidate_mapping_pages } from "./truncate.js";

/** Write pages `start` to `end` (included) round the cache. Gives 1 when they were written, 0 when the cache is in the way. */
export const generic_file_direct_write = path(
  "generic_file_direct_write",
  {
    source: "mm/filemap.c v4.20",
    args: { mapping: inode, start: int, end: int },
    locals: { error: int },
    returns: int,
  },
  [
    call(
      () => filemap_write_and_wait_range,
      { mapping: "mapping", range_start: "start", range_end: "end" },
      "error",
    ),
    given((_, f) => f.error !== 0, [leave((_, f) => f.error)]),
    call(() => invalidate_inode_pages2_range, { mapping: "mapping", start: "start", end: "end" }, "error"),
    given((_, f) => f.error === -ERRNO.EBUSY, [leave(() => 0)]),
    step("direct_IO", () => {}),
    // A file without pages keeps what evicted ones have left.
    config("workingset", [when("!mapping->nrpages", (k, f) => !nrpages(k, f.mapping), [leave(() => 1)])]),
    // Pages that came back meanwhile. If this fails, the write has worked all the same.
    call(() => invalidate_inode_pages2_range, { mapping: "mapping", start: "start", end: "end" }, "error"),
    leave(() => 1),
  ],
);

/** write(2) to a file that was opened with O_DIRECT. Gives 0 or a negative error. */
export const generic_file_write_direct = path(
  "__generic_file_write_iter",
  {
    source: "mm/filemap.c v4.20",
    args: { mapping: inode, start: int, end: int },
    locals: { written: int, dropped: int },
    returns: int,
  },
  [
    call(() => generic_file_direct_write, { mapping: "mapping", start: "start", end: "end" }, "written"),
    given((_, f) => f.written < 0, [leave((_, f) => f.written)]),
    given(
      (_, f) => f.written === 0,
      [
        step("generic_perform_write", () => {}),
        call(
          () => filemap_write_and_wait_range,
          { mapping: "mapping", range_start: "start", range_end: "end" },
          "ret",
        ),
        given(
          (_, f) => f.ret === 0,
          [
            call(
              () => invalidate_mapping_pages,
              { mapping: "mapping", start: "start", end: "end" },
              "dropped",
            ),
          ],
        ),
      ],
    ),
    local((_, f) => {
      f.written = 0;
      f.dropped = 0;
    }),
  ],
);
