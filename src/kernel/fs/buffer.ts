/**
 * buffer_heads: what a block filesystem hangs on a page, and what goes missing in the article's crash.
 *
 * Source: fs/buffer.c, include/linux/buffer_head.h in v4.20. Blocks are as large as pages, so a page has one
 * buffer_head; its bits live in struct page here (b_state). Attaching buffers takes a page reference. What protects
 * them is the page lock and PG_writeback, never a reference: somebody's get_page keeps the page, not its buffers.
 *
 * private_lock sections are single steps. Left out: blocks smaller than a page, the buffer lock.
 */
import type { Node } from "../../machine/path.js";
import { WORD } from "../../trace/words.js";
import { ERRNO } from "../errno.js";
import type { Kernel } from "../kernel.js";
import {
  call,
  check,
  config,
  given,
  goto,
  held,
  heldIf,
  label,
  leave,
  local,
  path,
  step,
  under,
  when,
} from "../language.js";
import { i_lock, private_lock, xa_lock } from "../locks.js";
import { page_mapping } from "../mm/filemap.js";
import {
  ClearPagePrivate,
  get_page,
  lock_page,
  PageDirty,
  PagePrivate,
  PageUptodate,
  PageWriteback,
  SetPagePrivate,
  SetPageUptodate,
  settledUnlessWriteback,
  TestSetPageDirty,
  unlock,
  wait_on_page_writeback,
} from "../mm/page.js";
import {
  __mark_inode_dirty,
  __set_page_dirty,
  cancel_dirty_page,
  set_page_dirty,
} from "../mm/page_writeback.js";
import { put_page } from "../mm/swap.js";
import { VM_FAULT } from "../operations.js";
import { BH } from "../structs.js";
import { type InodeNr, inode, int, type Pfn, pfn } from "../types.js";
import { journal_head, should_journal_data } from "./jbd2/journal_head.js";

export const page_has_buffers = PagePrivate;

export const buffer_dirty = (k: Kernel, page: Pfn): boolean => (k.page.b_state[page] & BH.dirty) !== 0;
export const buffer_mapped = (k: Kernel, page: Pfn): boolean => (k.page.b_state[page] & BH.mapped) !== 0;
export const buffer_async_write = (k: Kernel, page: Pfn): boolean =>
  (k.page.b_state[page] & BH.async_write) !== 0;

export const buffer_delay = (k: Kernel, page: Pfn): boolean => (k.page.b_state[page] & BH.delay) !== 0;
/** Whether the page has to have a block chosen, or its extent changed, before it can be written. */
export const delay_or_unwritten = (k: Kernel, page: Pfn): boolean =>
  (k.page.b_state[page] & (BH.delay | BH.unwritten)) !== 0;

/** Set or clear bits of the page's buffer. */
export function write_buffer(k: Kernel, page: Pfn, set: number, clear = 0): void {
  k.page.b_state[page] = (k.page.b_state[page] | set) & ~clear;
  if (k.recorder !== null) k.note(WORD.buffers, page, k.buffersWord(page));
}

/**
 * page_buffers(): the macro asserts that there are any. Gives true when the caller died of it.
 * Source: include/linux/buffer_head.h, BUG_ON(!PagePrivate(page)).
 */
export const page_buffers_BUG_ON = (k: Kernel, page: Pfn): boolean =>
  k.BUG_ON(!PagePrivate(k, page), "page_buffers: BUG_ON(!PagePrivate(page))", page);

/** create_empty_buffers and attach_page_buffers: one more reference; the buffers of a dirty page start dirty. */
export function create_empty_buffers(k: Kernel, page: Pfn): void {
  get_page(k, page);
  SetPagePrivate(k, page);
  write_buffer(k, page, (PageUptodate(k, page) ? BH.uptodate : 0) | (PageDirty(k, page) ? BH.dirty : 0));
}

/** buffer_busy: dirty, or somebody has a reference: its journal_head, a writepage of data=journal. */
const buffer_busy = (k: Kernel, page: Pfn): boolean =>
  (k.page.b_state[page] & (BH.dirty | BH.jbd)) !== 0 ||
  (should_journal_data(k) && k.of(journal_head).b_count[page] > 0);

/**
 * Free the buffers of a locked page unless one is busy or the page is under writeback. A dirty page whose buffers
 * were all clean becomes clean. One private_lock section; gives whether they are gone.
 */
export function try_to_free_buffers(k: Kernel, page: Pfn): boolean {
  if (PageWriteback(k, page)) return false;
  if (!page_has_buffers(k, page) || buffer_busy(k, page)) return false;
  const orphan = page_mapping(k, page) === 0;
  ClearPagePrivate(k, page);
  write_buffer(k, page, 0, 0xff);
  put_page(k, page);
  if (!orphan) cancel_dirty_page(k, page);
  return true;
}

/** Dirty all buffers of the page, then the page. Missing buffers are tolerated. Gives 1 when the page was clean. */
export const __set_page_dirty_buffers = path(
  "__set_page_dirty_buffers",
  { source: "fs/buffer.c v4.20", args: { page: pfn }, returns: int },
  [
    // private_lock is held from the walk over the buffers to PG_dirty: try_to_free_buffers sees all or nothing.
    under(private_lock, [
      heldIf(
        (k, f) => PageDirty(k, f.page),
        step("TestSetPageDirty", (k, f) => {
          if (page_has_buffers(k, f.page)) write_buffer(k, f.page, BH.dirty);
          f.ret = TestSetPageDirty(k, f.page) ? 0 : 1;
        }),
      ),
    ]),
    given(
      (_, f) => f.ret === 1,
      [
        under(xa_lock, [step("__set_page_dirty", (k, f) => __set_page_dirty(k, f.page, true))]),
        under(i_lock, [step("__mark_inode_dirty", (k, f) => __mark_inode_dirty(k, f.page))]),
      ],
    ),
  ],
);

/** A buffer becomes dirty, and its page with it. */
export const mark_buffer_dirty = path(
  "mark_buffer_dirty",
  { source: "fs/buffer.c v4.20", args: { page: pfn }, locals: { newly: int } },
  [
    held(when("buffer_dirty", (k, f) => buffer_dirty(k, f.page), [leave()])),
    held(step("test_set_buffer_dirty", (k, f) => write_buffer(k, f.page, BH.dirty))),
    heldIf(
      (k, f) => PageDirty(k, f.page),
      step("TestSetPageDirty", (k, f) => {
        f.newly = TestSetPageDirty(k, f.page) ? 0 : 1;
      }),
    ),
    given(
      (_, f) => f.newly === 1,
      [
        under(xa_lock, [step("__set_page_dirty", (k, f) => __set_page_dirty(k, f.page, false))]),
        under(i_lock, [step("__mark_inode_dirty", (k, f) => __mark_inode_dirty(k, f.page))]),
      ],
    ),
  ],
);

/** i_size_read(inode) into `size`; the size changes without the page lock. Whoever shrinks it comes for the page later. */
export const i_size_read = <F extends { readonly page: Pfn; size: number }>(): Node<Kernel, F> => {
  const read = (k: Kernel, f: F): void => {
    f.size = k.inode.i_size[k.page.mapping[f.page]];
  };
  return config<F>("truncate", [step<F>("i_size_read", read)], [local<F>(read)]);
};

/** Whether the page has left the file, or begins behind its end, which was at `size`. */
export const is_truncated = (
  k: Kernel,
  { page, mapping }: { readonly page: Pfn; readonly mapping: InodeNr },
  size: number,
): boolean => k.page.mapping[page] !== mapping || k.page.index[page] * k.geometry.parts > size;

const MKWRITE = {
  source: "fs/buffer.c v4.20",
  args: { page: pfn, mapping: inode },
  locals: { size: int },
  returns: int,
} as const;
/** What get_block's nodes see: they map the page's buffer and leave 0 or a negative error in `ret`. */
export interface GetBlock {
  readonly page: Pfn;
  readonly mapping: InodeNr;
  ret: number;
}

/** Attach buffers to a locked page that has none. */
export const create_page_buffers = <F extends { readonly page: Pfn }>(): Node<Kernel, F> =>
  held(
    step<F>("create_empty_buffers", (k, f) => {
      if (!page_has_buffers(k, f.page)) create_empty_buffers(k, f.page);
    }),
  );

/** Attach buffers to a locked page that has none, and map them if they are not: nodes that leave an error or 0 in `ret`. */
export const __block_write_begin = (
  get_block: readonly Node<Kernel, GetBlock>[],
): Node<Kernel, GetBlock>[] => [
  create_page_buffers<GetBlock>(),
  config<GetBlock>(
    "blocks",
    [
      held(when<GetBlock>("!buffer_mapped", (k, f) => !buffer_mapped(k, f.page), get_block)),
      held(
        step<GetBlock>("set_buffer_uptodate", (k, f) => {
          if (f.ret === 0 && PageUptodate(k, f.page)) write_buffer(k, f.page, BH.uptodate);
        }),
      ),
    ],
    [
      held(
        step<GetBlock>("get_block", (k, f) => {
          if (!buffer_mapped(k, f.page)) write_buffer(k, f.page, BH.mapped);
          if (PageUptodate(k, f.page)) write_buffer(k, f.page, BH.uptodate);
        }),
      ),
    ],
  ),
];

/**
 * Prepare a page for its first write: buffers, blocks, dirty. Gives 0 with the page locked; -EFAULT when it is not in the
 * file any more, or get_block's error, with the page unlocked. On machines without "blocks" all blocks are allocated,
 * and get_block only maps the buffer.
 */
export const block_page_mkwrite = (get_block: readonly Node<Kernel, GetBlock>[]) =>
  path("block_page_mkwrite", MKWRITE, [
    lock_page(),
    i_size_read(),
    held(check("page->mapping == mapping", (k, f) => !is_truncated(k, f, f.size), "truncated")),
    given(
      (k, f) => k.page.index[f.page] * k.geometry.parts < f.size,
      [
        ...__block_write_begin(get_block),
        config("blocks", [given((_, f) => f.ret < 0, [goto("out_unlock")])]),
        call(() => mark_buffer_dirty, { page: "page" }),
        held(step("SetPageUptodate", (k, f) => SetPageUptodate(k, f.page))),
      ],
      // A page that begins where the file ends by now: nothing of it is to be written.
      [create_page_buffers()],
    ),
    call(() => set_page_dirty, { page: "page" }),
    given(
      (k, f) => k.inode.stable_writes[f.mapping] === 1,
      [settledUnlessWriteback(wait_on_page_writeback())],
    ),
    leave(() => 0),
    label("truncated"),
    unlock(),
    leave(() => -ERRNO.EFAULT),
    config("blocks", [label("out_unlock"), unlock()]),
  ]);

/** The VM_FAULT_* that a page_mkwrite gives for an error. */
export function block_page_mkwrite_return(error: number): number {
  if (error === 0) return VM_FAULT.LOCKED;
  if (error === -ERRNO.EFAULT || error === -ERRNO.EAGAIN) return VM_FAULT.NOPAGE;
  return error === -ERRNO.ENOMEM ? VM_FAULT.OOM : VM_FAULT.SIGBUS;
}
