/**
 * Truncation of a btrfs file, and pages of which a part is zeroed.
 *
 * Source: fs/btrfs/inode.c in v4.20 (btrfs_setsize, btrfs_truncate, btrfs_truncate_block, btrfs_cont_expand). The pages behind the new end
 * leave the file, whoever holds them; then btrfs waits for the ordered extents, and only then are the blocks free. A file that grows
 * has the end of its last page zeroed first: a write like any other, which needs space.
 *
 * A truncation whose wait gives an error stops: the pages are gone, the blocks stay, and the size goes back to what it was. That error may be
 * of a page that the fixup worker could not prepare.
 *
 * Left out: transactions, the extents of holes (maybe_insert_hole), btrfs's own notion of the size on the disk (disk_i_size: it is i_size before
 * the call here), inode_dio_wait (no direct I/O is made on these files).
 */
import { ERRNO } from "../../errno.js";
import {
  call,
  down_write,
  given,
  gives,
  goto,
  held,
  label,
  leave,
  local,
  path,
  step,
  up_write,
  when,
} from "../../language.js";
import { i_rwsem, PG_locked } from "../../locks.js";
import {
  ClearPageChecked,
  lock_page,
  lock_page_for_read,
  PageUptodate,
  settledUnlessWriteback,
  unlock,
  wait_on_page_writeback,
} from "../../mm/page.js";
import { RANGE_END, set_page_dirty } from "../../mm/page_writeback.js";
import { put_page } from "../../mm/swap.js";
import { truncate_setsize } from "../../mm/truncate.js";
import { inode, int, NONE, pfn } from "../../types.js";
import { free_extent } from "../blocks.js";
import {
  btrfs_delalloc_release_space,
  btrfs_delalloc_reserve_space,
  btrfs_readpage,
  btrfs_set_extent_delalloc,
  set_page_extent_mapped,
} from "../btrfs.js";
import { find_or_create_page, iov_iter_copy_from_user_atomic } from "../read_write.js";
import { btrfs_start_ordered_extent, btrfs_wait_ordered_range, is_ordered } from "./ordered.js";

/** A locked page of which a part will be written: read it if it must be. Gives 0 with the page locked, or -EAGAIN when it is gone, put. */
export const prepare_uptodate_page = path(
  "prepare_uptodate_page",
  { source: "fs/btrfs/file.c v4.20", args: { mapping: inode, page: pfn }, returns: int },
  [
    held(when("PageUptodate", (k, f) => PageUptodate(k, f.page), [leave(() => 0)])),
    // The read has the page lock now, and unlocks it.
    gives(
      PG_locked,
      step("btrfs_readpage", (k, f) => lock_page_for_read(k, f.page)),
    ),
    call(() => btrfs_readpage, { page: "page" }),
    lock_page(),
    held(
      when("page->mapping != inode->i_mapping", (k, f) => k.page.mapping[f.page] !== f.mapping, [
        unlock(),
        step("put_page", (k, f) => put_page(k, f.page)),
        leave(() => -ERRNO.EAGAIN),
      ]),
    ),
    leave(() => 0),
  ],
);

/** Zero parts `from` to before `to` of a file, which are in one page. Gives 0 or a negative error. */
export const btrfs_truncate_block = path(
  "btrfs_truncate_block",
  {
    source: "fs/btrfs/inode.c v4.20",
    args: { mapping: inode, from: int, to: int },
    locals: { index: int, page: pfn, ordered: int },
    returns: int,
  },
  [
    local((k, f) => {
      f.index = Math.floor(f.from / k.geometry.parts);
    }),
    step("btrfs_delalloc_reserve_space", (k, f) => {
      f.ret = btrfs_delalloc_reserve_space(k, f.mapping);
    }),
    given((_, f) => f.ret < 0, [leave()]),
    label("again"),
    call(() => find_or_create_page, { mapping: "mapping", index: "index" }, "page"),
    given(
      (_, f) => f.page === NONE,
      [
        step("btrfs_delalloc_release_space", (k, f) => btrfs_delalloc_release_space(k, f.mapping)),
        leave(() => -ERRNO.ENOMEM),
      ],
    ),
    call(() => prepare_uptodate_page, { mapping: "mapping", page: "page" }, "ret"),
    given((_, f) => f.ret === -ERRNO.EAGAIN, [goto("again")]),
    settledUnlessWriteback(wait_on_page_writeback()),
    held(step("set_page_extent_mapped", (k, f) => set_page_extent_mapped(k, f.page))),
    step("btrfs_lookup_ordered_extent", (k, f) => {
      f.ordered = is_ordered(k, f.mapping, f.index) ? 1 : 0;
    }),
    given(
      (_, f) => f.ordered === 1,
      [
        unlock(),
        step("put_page", (k, f) => {
          put_page(k, f.page);
          f.page = NONE;
          f.ordered = 0;
        }),
        call(() => btrfs_start_ordered_extent, { mapping: "mapping", index: "index" }),
        goto("again"),
      ],
    ),
    held(step("btrfs_set_extent_delalloc", (k, f) => btrfs_set_extent_delalloc(k, f.mapping, f.index))),
    step("memset", (k, f) => {
      const first = f.index * k.geometry.parts;
      iov_iter_copy_from_user_atomic(k, f.page, f.from - first, f.to - first);
    }),
    held(step("ClearPageChecked", (k, f) => ClearPageChecked(k, f.page))),
    call(() => set_page_dirty, { page: "page" }),
    unlock(),
    step("put_page", (k, f) => put_page(k, f.page)),
    leave(() => 0),
  ],
);

/**
 * A file will grow from `oldsize` to `size` parts: the rest of its last page is zeroed. Whoever made it shorter has waited for the ordered
 * extents of what is behind.
 */
export const btrfs_cont_expand = path(
  "btrfs_cont_expand",
  {
    source: "fs/btrfs/inode.c v4.20",
    args: { mapping: inode, oldsize: int },
    locals: { end: int },
    returns: int,
  },
  [
    local((k, f) => {
      f.end = Math.ceil(f.oldsize / k.geometry.parts) * k.geometry.parts;
    }),
    given(
      (_, f) => f.oldsize < f.end,
      [call(() => btrfs_truncate_block, { mapping: "mapping", from: "oldsize", to: "end" }, "ret")],
    ),
  ],
);

/** ftruncate(2) to `size` parts. Gives 0 or a negative error. */
export const btrfs_setsize = path(
  "btrfs_setsize",
  {
    source: "fs/btrfs/inode.c v4.20, do_truncate of fs/open.c",
    args: { mapping: inode, size: int },
    locals: { oldsize: int, start: int },
    returns: int,
  },
  [
    down_write(i_rwsem, (_, f) => f.mapping),
    local((k, f) => {
      f.oldsize = k.inode.i_size[f.mapping];
    }),
    given(
      (_, f) => f.size > f.oldsize,
      [
        call(() => btrfs_cont_expand, { mapping: "mapping", oldsize: "oldsize" }, "ret"),
        given(
          (_, f) => f.ret === 0,
          [
            step("i_size_write", (k, f) => {
              k.inode.i_size[f.mapping] = f.size;
            }),
          ],
        ),
      ],
      [
        call(() => truncate_setsize, { mapping: "mapping", newsize: "size" }),
        // btrfs_truncate: from the page in which the file ends now.
        given(
          (_, f) => f.size < f.oldsize,
          [
            local((k, f) => {
              f.start = Math.floor(f.size / k.geometry.parts);
            }),
            call(
              () => btrfs_wait_ordered_range,
              { mapping: "mapping", range_start: "start", range_end: RANGE_END },
              "ret",
            ),
          ],
        ),
        given(
          (_, f) => f.ret === 0,
          [
            step("btrfs_truncate_inode_items", (k, f) => {
              const { parts } = k.geometry;
              for (let index = Math.ceil(f.size / parts); index < k.inode.i_pages[f.mapping]; index++)
                free_extent(k, f.mapping, index);
            }),
          ],
          [
            step("i_size_write", (k, f) => {
              k.inode.i_size[f.mapping] = f.oldsize;
            }),
          ],
        ),
      ],
    ),
    local((_, f) => {
      f.oldsize = 0;
      f.start = 0;
    }),
    up_write(i_rwsem, (_, f) => f.mapping),
  ],
);
