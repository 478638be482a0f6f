/**
 * iomap: page-cache operations without buffer_heads, which xfs uses for its data since v4.19.
 *
 * Source: fs/iomap.c in v4.20. Blocks are as large as pages here, and then iomap keeps nothing on a page: no PG_private, no
 * reference, nothing for reclaim to strip. What is left is the page lock, the dirty bit and the filesystem's block map.
 *
 * Left out: iomap_page (blocks smaller than a page), IOMAP_F_BUFFER_HEAD, write(2).
 */
import type { FrameOf, Node } from "../../machine/path.js";
import { ERRNO } from "../errno.js";
import type { Kernel } from "../kernel.js";
import { call, given, goto, held, heldIf, label, leave, path, step, under, when } from "../language.js";
import { i_lock, xa_lock } from "../locks.js";
import { i_size_pages } from "../mm/filemap.js";
import { lock_page, PageDirty, PageUptodate, PageWriteback, TestSetPageDirty, unlock } from "../mm/page.js";
import {
  __mark_inode_dirty,
  __set_page_dirty,
  set_page_dirty,
  wait_for_stable_page,
} from "../mm/page_writeback.js";
import { VM_FAULT } from "../operations.js";
import { inode, int, pfn } from "../types.js";

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
