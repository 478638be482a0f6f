/**
 * iomap: page-cache operations without buffer_heads, which xfs uses for its data since v4.19.
 *
 * Source: fs/iomap.c in v4.20. Blocks are as large as pages here, and then iomap keeps nothing on a page: no PG_private, no
 * reference, nothing for reclaim to strip. What is left is the page lock, the dirty bit and the filesystem's block map.
 *
 * A write, or a range that is zeroed, goes page by page: each asks the filesystem for a mapping of its own (an iomap spans one page), so
 * that what is promised for a write never is more than for its next page.
 *
 * Left out: iomap_page (blocks smaller than a page), IOMAP_F_BUFFER_HEAD, inline data, short copies.
 */
import type { FrameOf, Node } from "../../machine/path.js";
import { queue_page } from "../block/disk.js";
import { ERRNO } from "../errno.js";
import type { Kernel } from "../kernel.js";
import {
  call,
  config,
  given,
  goto,
  held,
  heldIf,
  label,
  leave,
  local,
  path,
  repeat,
  step,
  under,
  wait,
  when,
} from "../language.js";
import { i_lock, xa_lock } from "../locks.js";
import { balance_dirty_pages_ratelimited } from "../mm/balance_dirty_pages.js";
import { i_size_pages } from "../mm/filemap.js";
import {
  end_sync_read,
  lock_page,
  lock_page_for_sync_read,
  PageDirty,
  PageUptodate,
  PageWriteback,
  SetPageUptodate,
  sync_read_is_done,
  TestSetPageDirty,
  unlock,
} from "../mm/page.js";
import {
  __mark_inode_dirty,
  __set_page_dirty,
  set_page_dirty,
  wait_for_stable_page,
} from "../mm/page_writeback.js";
import { mark_page_accessed, put_page } from "../mm/swap.js";
import { VM_FAULT } from "../operations.js";
import { type InodeNr, inode, int, NONE, pfn } from "../types.js";
import { EXTENT, extent_state } from "./blocks.js";
import { grab_cache_page_write_begin, iov_iter_copy_from_user_atomic } from "./read_write.js";

/** Bit of the WARN_ON_ONCE site. */
const WARN_not_uptodate = 23;

const MKWRITE = {
  source: "fs/iomap.c v4.20",
  args: { page: pfn, mapping: inode },
  locals: { error: int },
  returns: int,
} as const;

/** What block_page_mkwrite_return makes of an error. */
const fault_of = (error: number): number =>
  error === -ERRNO.EFAULT || error === -ERRNO.EAGAIN ? VM_FAULT.NOPAGE : VM_FAULT.SIGBUS;

/**
 * Prepare a page for its first write. `begin` are the filesystem's nodes, ops->iomap_begin with IOMAP_WRITE and IOMAP_FAULT: they
 * reserve what the page needs and leave 0 or an error in `error`.
 */
export const iomap_page_mkwrite = (begin: readonly Node<Kernel, FrameOf<typeof MKWRITE>>[]) =>
  path("iomap_page_mkwrite", MKWRITE, [
    lock_page(),
    // page_offset(page) > size: a page that begins at the end of the file passes.
    held(
      when(
        "page->mapping != inode->i_mapping",
        (k, f) =>
          k.page.mapping[f.page] !== f.mapping ||
          k.page.index[f.page] * k.geometry.parts > k.inode.i_size[f.mapping],
        [
          held(
            step("-EFAULT", (_, f) => {
              f.error = -ERRNO.EFAULT;
            }),
          ),
          goto("out_unlock"),
        ],
      ),
    ),
    // A page of which nothing is inside the file needs nothing.
    given(
      (k, f) => k.page.index[f.page] < i_size_pages(k, f.mapping),
      [
        ...begin,
        given((_, f) => f.error < 0, [goto("out_unlock")]),
        held(
          step("iomap_page_mkwrite_actor", (k, f) => {
            k.WARN_ON_ONCE(
              !PageUptodate(k, f.page),
              WARN_not_uptodate,
              "iomap_page_mkwrite_actor: WARN_ON_ONCE(!PageUptodate(page))",
              f.page,
            );
          }),
        ),
        call(() => set_page_dirty, { page: "page" }),
      ],
    ),
    wait_for_stable_page(),
    leave(() => VM_FAULT.LOCKED),
    label("out_unlock"),
    unlock(),
    leave((_, f) => fault_of(f.error)),
  ]);

/** Mark a page dirty: the bit, the tag, the inode. Nothing is asked of the filesystem. Gives 1 when it was clean. */
export const iomap_set_page_dirty = path(
  "iomap_set_page_dirty",
  { source: "fs/iomap.c v4.20", args: { page: pfn }, returns: int },
  [
    heldIf(
      (k, f) => PageDirty(k, f.page),
      step("TestSetPageDirty", (k, f) => {
        f.ret = TestSetPageDirty(k, f.page) ? 0 : 1;
      }),
    ),
    given(
      (_, f) => f.ret === 1,
      [
        under(xa_lock, [step("__set_page_dirty", (k, f) => __set_page_dirty(k, f.page, false))]),
        under(i_lock, [step("__mark_inode_dirty", (k, f) => __mark_inode_dirty(k, f.page))]),
      ],
    ),
  ],
);

/** May the page lose what iomap keeps on it? Not while it is dirty or under writeback. */
export const iomap_releasepage = path(
  "iomap_releasepage",
  { source: "fs/iomap.c v4.20", args: { page: pfn }, returns: int },
  [
    step("iomap_releasepage", (k, f) => {
      f.ret = PageDirty(k, f.page) || PageWriteback(k, f.page) ? 0 : 1;
    }),
  ],
);

/** What a filesystem's iomap_begin says of a page that will be written: it has what it needs, got a reservation, or is a hole. */
export const IOMAP = { OLD: 0, NEW: 1, HOLE: 2 } as const;

/** iomap_read_page_sync: whether the bytes round a partial write are on the disk. They are zeroes where not. */
const is_read = (k: Kernel, { mapping, index }: { mapping: InodeNr; index: number }): boolean =>
  extent_state(k, mapping, index) === EXTENT.mapped && index < i_size_pages(k, mapping);

/** The page that is about to be written, locked, with a reference, and with the bytes that will not be overwritten; or NONE. */
export const iomap_write_begin = path(
  "iomap_write_begin",
  {
    source: "fs/iomap.c v4.20",
    args: { mapping: inode, index: int, from: int, to: int },
    locals: { page: pfn },
    returns: pfn,
  },
  [
    call(() => grab_cache_page_write_begin, { mapping: "mapping", index: "index" }, "page"),
    given((_, f) => f.page === NONE, [leave(() => NONE)]),
    held(when("PageUptodate", (k, f) => PageUptodate(k, f.page), [goto("out")])),
    given((k, f) => f.from === 0 && f.to === k.geometry.parts, [goto("out")]),
    when(
      "iomap_read_page_sync",
      (k, f) => is_read(k, f),
      [
        step("submit_bio", (k, f) => {
          lock_page_for_sync_read(k, f.page);
          queue_page(k, f.page);
        }),
        wait(
          "submit_bio_wait",
          (k, f) => sync_read_is_done(k, f.page),
          (k, f) => end_sync_read(k, f.page),
        ),
      ],
      [
        held(
          step("zero_user_segments", (k, f) => {
            const { parts } = k.geometry;
            k.content.version.fill(0, f.page * parts, f.page * parts + f.from);
            k.content.version.fill(0, f.page * parts + f.to, (f.page + 1) * parts);
          }),
        ),
      ],
    ),
    label("out"),
    leave((_, f) => f.page),
  ],
);

/** The page has been written: uptodate, dirty, inside the file; and let go. */
export const iomap_write_end = path(
  "iomap_write_end",
  {
    source: "fs/iomap.c v4.20",
    args: { mapping: inode, index: int, to: int, page: pfn },
    locals: { dirtied: int },
  },
  [
    held(step("iomap_set_range_uptodate", (k, f) => SetPageUptodate(k, f.page))),
    call(() => iomap_set_page_dirty, { page: "page" }, "dirtied"),
    config("truncate", [
      step("i_size_write", (k, f) => {
        const end = f.index * k.geometry.parts + f.to;
        if (end > k.inode.i_size[f.mapping]) k.inode.i_size[f.mapping] = end;
      }),
    ]),
    unlock(),
    step("put_page", (k, f) => put_page(k, f.page)),
  ],
);

const BUFFERED_WRITE = {
  source: "fs/iomap.c v4.20",
  args: { mapping: inode, pos: int, count: int },
  locals: { index: int, from: int, to: int, page: pfn, error: int },
  returns: int,
} as const;

/**
 * The copy loop of write(2). `begin` is ops->iomap_begin with IOMAP_WRITE of page `index`, which leaves IOMAP_* or a negative error in `error`;
 * `end` is what ops->iomap_end does after a write that came to nothing. Gives how many parts were written, or a negative error.
 */
export const iomap_file_buffered_write = (
  begin: readonly Node<Kernel, FrameOf<typeof BUFFERED_WRITE>>[],
  end: readonly Node<Kernel, FrameOf<typeof BUFFERED_WRITE>>[],
) =>
  path("iomap_file_buffered_write", BUFFERED_WRITE, [
    repeat(
      (_, f) => f.ret < f.count,
      [
        local((k, f) => {
          const { parts } = k.geometry;
          f.index = Math.floor((f.pos + f.ret) / parts);
          f.from = (f.pos + f.ret) % parts;
          f.to = Math.min(parts, f.from + f.count - f.ret);
        }),
        ...begin,
        given((_, f) => f.error < 0, [goto("out")]),
        call(() => iomap_write_begin, { mapping: "mapping", index: "index", from: "from", to: "to" }, "page"),
        given(
          (_, f) => f.page === NONE,
          [
            ...end,
            local((_, f) => {
              f.error = -ERRNO.ENOMEM;
            }),
            goto("out"),
          ],
        ),
        step("iov_iter_copy_from_user_atomic", (k, f) =>
          iov_iter_copy_from_user_atomic(k, f.page, f.from, f.to),
        ),
        call(() => iomap_write_end, { mapping: "mapping", index: "index", to: "to", page: "page" }),
        local((_, f) => {
          f.ret += f.to - f.from;
          f.page = NONE;
          f.error = 0;
        }),
        call(() => balance_dirty_pages_ratelimited, { mapping: "mapping" }),
      ],
    ),
    label("out"),
    given((_, f) => f.ret === 0, [leave((_, f) => f.error)]),
  ]);

const ZERO_RANGE = {
  source: "fs/iomap.c v4.20",
  args: { mapping: inode, pos: int, end: int },
  locals: { at: int, index: int, from: int, to: int, page: pfn, error: int },
  returns: int,
} as const;

/**
 * Zero parts `pos` to before `end` of a file through the page cache. `begin` is ops->iomap_begin with IOMAP_ZERO of page `index`. Gives 1
 * when something was written, 0 when all was zero, or a negative error.
 */
export const iomap_zero_range = (begin: readonly Node<Kernel, FrameOf<typeof ZERO_RANGE>>[]) =>
  path("iomap_zero_range", ZERO_RANGE, [
    local((_, f) => {
      f.at = f.pos;
    }),
    repeat(
      (_, f) => f.at < f.end,
      [
        local((k, f) => {
          const { parts } = k.geometry;
          f.index = Math.floor(f.at / parts);
          f.from = f.at % parts;
          f.to = Math.min(parts, f.from + f.end - f.at);
        }),
        ...begin,
        given((_, f) => f.error < 0, [leave((_, f) => f.error)]),
        given(
          (_, f) => f.error !== IOMAP.HOLE,
          [
            call(
              () => iomap_write_begin,
              { mapping: "mapping", index: "index", from: "from", to: "to" },
              "page",
            ),
            given((_, f) => f.page === NONE, [leave(() => -ERRNO.ENOMEM)]),
            step("zero_user", (k, f) => {
              iov_iter_copy_from_user_atomic(k, f.page, f.from, f.to);
              mark_page_accessed(k, f.page);
            }),
            call(() => iomap_write_end, { mapping: "mapping", index: "index", to: "to", page: "page" }),
            local((_, f) => {
              f.ret = 1;
              f.page = NONE;
            }),
          ],
        ),
        local((_, f) => {
          f.at += f.to - f.from;
          f.error = 0;
        }),
      ],
    ),
  ]);
