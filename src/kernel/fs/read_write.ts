/**
 * read(2) and write(2) through the page cache.
 *
 * Source: mm/filemap.c, fs/read_write.c in v4.20 (generic_file_buffered_read, generic_perform_write and what stands around them). A write
 * asks the filesystem before it touches the page (write_begin: buffers, blocks, stable pages) and tells it afterwards
 * (write_end: dirty), with the page locked in between: what a device that writes through a gup reference does not do.
 *
 * Filesystems with a write of their own (xfs: fs/iomap.ts, btrfs: fs/btrfs/file.ts) are reached through
 * file_operations.write_iter, which every write(2) goes through.
 *
 * Positions and lengths are in parts of a page. Left out: the user's buffer (its bytes come from nowhere, so that nothing has to be
 * faulted in and no copy is short), O_SYNC, signals, times and privileges, read errors. Readahead reads one page.
 */
import type { FrameOf, Node } from "../../machine/path.js";
import { ERRNO } from "../errno.js";
import type { Kernel } from "../kernel.js";
import {
  awaits,
  call,
  check,
  config,
  dispatch,
  down_write,
  given,
  gives,
  goto,
  held,
  label,
  leave,
  local,
  lockdep_assert_held,
  lockdep_assert_not_held,
  path,
  repeat,
  step,
  tries,
  up_write,
  wait,
  when,
} from "../language.js";
import { i_rwsem, jbd2_handle, PG_locked } from "../locks.js";
import { balance_dirty_pages_ratelimited } from "../mm/balance_dirty_pages.js";
import { add_to_page_cache_lru, find_get_page, page_cache_read } from "../mm/filemap.js";
import {
  ClearPageReclaim,
  lock_page,
  lock_page_for_read,
  PageDirty,
  PageLocked,
  PageReclaim,
  PageUptodate,
  PageWriteback,
  SetPageReferenced,
  trylock_page,
  unlock,
  unlock_page,
} from "../mm/page.js";
import { alloc_pages } from "../mm/page_alloc.js";
import { wait_for_stable_page } from "../mm/page_writeback.js";
import { mark_page_accessed, put_page } from "../mm/swap.js";
import { mark_written } from "../mm/written.js";
import { a_ops, f_ops, fs_of_inode } from "../operations.js";
import { inode, int, NONE, type Pfn, pfn } from "../types.js";
import { disk_version } from "./blocks.js";

const GET_PAGE = {
  source: "mm/filemap.c v4.20",
  args: { mapping: inode, index: int },
  locals: { page: pfn },
  returns: pfn,
} as const;

/** What pagecache_get_page is asked for beside FGP_LOCK and FGP_CREAT. */
interface Fgp {
  /** FGP_ACCESSED: the page counts as used. */
  readonly accessed: boolean;
  /** __GFP_WRITE, by FGP_WRITE or by the caller's mask: the page is to be written. */
  readonly gfp_write: boolean;
}

/** Add a new page to the cache, locked by the caller; false, and the page is free again, when somebody was faster. */
function add_locked(k: Kernel, page: Pfn, mapping: number, index: number, fgp: Fgp): boolean {
  trylock_page(k, page);
  if (fgp.accessed) SetPageReferenced(k, page);
  if (add_to_page_cache_lru(k, page, mapping, index, fgp.gfp_write)) return true;
  k.page.flags[page] = 0;
  k.page.locked_by[page] = 0;
  put_page(k, page);
  return false;
}

/**
 * pagecache_get_page with FGP_LOCK and FGP_CREAT: the page of a file, locked, with a reference, made if it is missing. NONE when there is
 * no memory for it. `then` are the caller's last nodes.
 */
const pagecache_get_page = (
  name: string,
  fgp: Fgp,
  then: readonly Node<Kernel, FrameOf<typeof GET_PAGE>>[],
) =>
  path(name, GET_PAGE, [
    label("repeat"),
    step("find_get_entry", (k, f) => {
      f.page = find_get_page(k, f.mapping, f.index);
    }),
    given((_, f) => f.page === NONE, [goto("no_page")]),
    lock_page(),
    held(
      when("page->mapping != mapping", (k, f) => k.page.mapping[f.page] !== f.mapping, [
        unlock(),
        step("put_page", (k, f) => put_page(k, f.page)),
        goto("repeat"),
      ]),
    ),
    ...(fgp.accessed
      ? [step<FrameOf<typeof GET_PAGE>>("mark_page_accessed", (k, f) => mark_page_accessed(k, f.page))]
      : []),
    goto("found"),
    label("no_page"),
    alloc_pages("__page_cache_alloc", "page", () => {}, [leave()]),
    tries(
      PG_locked,
      check("add_to_page_cache_lru", (k, f) => add_locked(k, f.page, f.mapping, f.index, fgp), "repeat"),
    ),
    label("found"),
    ...then,
    leave((_, f) => f.page),
  ]);

/** The page of a file that is about to be written: stable, if it must be. */
export const grab_cache_page_write_begin = pagecache_get_page(
  "grab_cache_page_write_begin",
  { accessed: false, gfp_write: true },
  [wait_for_stable_page()],
);

/** The same of whoever looks after stable pages himself; the page counts as used. */
export const find_or_create_page = pagecache_get_page(
  "find_or_create_page",
  { accessed: true, gfp_write: false },
  [],
);
/** With __GFP_WRITE: btrfs's write(2). */
export const find_or_create_page_write = pagecache_get_page(
  "find_or_create_page",
  { accessed: true, gfp_write: true },
  [],
);

/**
 * Copy bytes from the user into parts of a locked page: each part has new bytes. Of a page that was not read they are newer than
 * the disk's all the same.
 */
export function iov_iter_copy_from_user_atomic(k: Kernel, page: Pfn, from: number, to: number): void {
  const { parts } = k.geometry;
  const unread = !PageUptodate(k, page);
  for (let part = from; part < to; part++) {
    const at = page * parts + part;
    const before = unread
      ? Math.max(0, disk_version(k, k.page.mapping[page], k.page.index[page], part))
      : k.content.version[at];
    k.content.version[at] = before + 1;
  }
  // A page that is dirty already is not marked again: from here on these bytes will be written with it.
  if (PageDirty(k, page)) mark_written(k, page);
}

/** The copy loop of write(2), page by page. Gives how many parts were written, or a negative error when none was. */
export const generic_perform_write = path(
  "generic_perform_write",
  {
    source: "mm/filemap.c v4.20",
    args: { mapping: inode, pos: int, count: int },
    locals: { index: int, from: int, to: int, page: pfn, status: int },
    returns: int,
  },
  [
    repeat(
      (_, f) => f.ret < f.count,
      [
        local((k, f) => {
          const { parts } = k.geometry;
          f.index = Math.floor((f.pos + f.ret) / parts);
          f.from = (f.pos + f.ret) % parts;
          f.to = Math.min(parts, f.from + f.count - f.ret);
        }),
        dispatch(
          a_ops,
          "write_begin",
          (k, f) => fs_of_inode(k, f.mapping),
          { mapping: "mapping", index: "index", from: "from", to: "to", page: "page" },
          "status",
        ),
        given((_, f) => f.status < 0, [goto("out")]),
        lockdep_assert_held(PG_locked),
        // The page is locked: a CPU that has it mapped and a device see the new bytes at once.
        step("iov_iter_copy_from_user_atomic", (k, f) =>
          iov_iter_copy_from_user_atomic(k, f.page, f.from, f.to),
        ),
        dispatch(
          a_ops,
          "write_end",
          (k, f) => fs_of_inode(k, f.mapping),
          { mapping: "mapping", index: "index", from: "from", to: "to", page: "page" },
          "status",
        ),
        lockdep_assert_not_held(PG_locked),
        lockdep_assert_not_held(jbd2_handle),
        given((_, f) => f.status < 0, [goto("out")]),
        local((_, f) => {
          f.ret += f.status;
          f.status = 0;
          f.page = NONE;
        }),
        call(() => balance_dirty_pages_ratelimited, { mapping: "mapping" }),
      ],
    ),
    label("out"),
    // write_begin gives no error with a lock, nor write_end.
    lockdep_assert_not_held(PG_locked),
    lockdep_assert_not_held(jbd2_handle),
    given((_, f) => f.ret === 0 && f.status < 0, [leave((_, f) => f.status)]),
  ],
);

/** write_iter of filesystems that have write_begin and write_end: one writer of a file at a time. */
export const generic_file_write_iter = path(
  "generic_file_write_iter",
  { source: "mm/filemap.c v4.20", args: { mapping: inode, pos: int, count: int }, returns: int },
  [
    down_write(i_rwsem, (_, f) => f.mapping),
    call(() => generic_perform_write, { mapping: "mapping", pos: "pos", count: "count" }, "ret"),
    up_write(i_rwsem, (_, f) => f.mapping),
  ],
);

/** write(2): what the file's filesystem does with it. `pos` and `count` are in parts; gives how many were written, or an error. */
export const vfs_write = path(
  "vfs_write",
  { source: "fs/read_write.c v4.20", args: { mapping: inode, pos: int, count: int }, returns: int },
  [
    dispatch(
      f_ops,
      "write_iter",
      (k, f) => fs_of_inode(k, f.mapping),
      { mapping: "mapping", pos: "pos", count: "count" },
      "ret",
    ),
  ],
);

/** Add a new page to the cache that a read will fill and unlock; false, and the page is free again, when somebody was faster. */
function add_for_read(k: Kernel, page: Pfn, mapping: number, index: number): boolean {
  lock_page_for_read(k, page);
  if (add_to_page_cache_lru(k, page, mapping, index)) return true;
  unlock_page(k, page);
  put_page(k, page);
  return false;
}

/**
 * read(2) of a file's page at an index. Gives 1, 0 beyond the end of the file, or -ENOMEM. The size is asked for when there is a page: one
 * behind the end is read, and stays. tmpfs has a read of its own (fs/tmpfs.ts).
 */
export const generic_file_buffered_read = path(
  "generic_file_buffered_read",
  {
    source: "mm/filemap.c v4.20",
    args: { mapping: inode, index: int },
    locals: { page: pfn },
    returns: int,
  },
  [
    label("find_page"),
    step("find_get_page", (k, f) => {
      f.page = find_get_page(k, f.mapping, f.index);
    }),
    given(
      (_, f) => f.page === NONE,
      [
        // page_cache_sync_readahead: that it fails is seen when the page is looked for again.
        call(() => page_cache_read, { mapping: "mapping", index: "index" }, "page"),
        step("find_get_page", (k, f) => {
          f.page = find_get_page(k, f.mapping, f.index);
        }),
        given((_, f) => f.page === NONE, [goto("no_cached_page")]),
      ],
    ),
    when("PageReadahead", (k, f) => PageReclaim(k, f.page) && !PageWriteback(k, f.page), [
      step("page_cache_async_readahead", (k, f) => ClearPageReclaim(k, f.page)),
    ]),
    when("PageUptodate", (k, f) => PageUptodate(k, f.page), [goto("page_ok")]),
    awaits(
      PG_locked,
      wait("wait_on_page_locked_killable", (k, f) => !PageLocked(k, f.page)),
    ),
    when("PageUptodate", (k, f) => PageUptodate(k, f.page), [goto("page_ok")]),
    // Blocks are as large as pages: whether the part that is asked for is uptodate by itself is no question.
    lock_page(),
    held(
      when("!page->mapping", (k, f) => k.page.mapping[f.page] === 0, [
        unlock(),
        step("put_page", (k, f) => put_page(k, f.page)),
        goto("find_page"),
      ]),
    ),
    // Somebody else has filled it, or it is one that a write has made and not filled.
    held(when("PageUptodate", (k, f) => PageUptodate(k, f.page), [unlock(), goto("page_ok")])),
    // The read has the page lock now, and unlocks it.
    held(
      gives(
        PG_locked,
        step("readpage", (k, f) => lock_page_for_read(k, f.page)),
      ),
    ),
    label("readpage"),
    dispatch(a_ops, "readpage", (k, f) => fs_of_inode(k, f.mapping), { page: "page" }),
    when("PageUptodate", (k, f) => PageUptodate(k, f.page), [goto("page_ok")]),
    lock_page(),
    // No read fails here: whoever waited for one finds the page uptodate.
    unlock(),
    label("page_ok"),
    config("truncate", [
      when("i_size_read", (k, f) => f.index * k.geometry.parts >= k.inode.i_size[f.mapping], [
        step("put_page", (k, f) => put_page(k, f.page)),
        leave(() => 0),
      ]),
    ]),
    step("mark_page_accessed", (k, f) => mark_page_accessed(k, f.page)),
    step("copy_page_to_iter", () => {}),
    step("put_page", (k, f) => put_page(k, f.page)),
    leave(() => 1),
    label("no_cached_page"),
    alloc_pages("page_cache_alloc", "page", () => {}, [leave(() => -ERRNO.ENOMEM)]),
    check("add_to_page_cache_lru", (k, f) => add_for_read(k, f.page, f.mapping, f.index), "find_page"),
    goto("readpage"),
  ],
);
