/**
 * What write(2) asks of ext4 before and after it copies bytes into a page: write_begin and write_end.
 *
 * Source: fs/ext4/inode.c, fs/buffer.c (__block_write_begin, block_write_end) in v4.20. The page is looked up first, as that can
 * take long, then unlocked for the handle, which comes before the page lock, then locked again: it may be in the file no more. The
 * handle stays open, and the page locked, while the bytes are copied, until write_end has them dirty.
 *
 * Left out: inline data, ext4_nonda_switch (as in fs/ext4.ts), the orphan list, short copies, and the disk's share in reading the rest
 * of a page that is written in part: that is one step, as the kernel waits for it with the page locked.
 */
import type { Node } from "../../../machine/path.js";
import { ERRNO } from "../../errno.js";
import type { Kernel } from "../../kernel.js";
import {
  call,
  config,
  down_write,
  given,
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
import { i_mmap_sem } from "../../locks.js";
import { lock_page, PageUptodate, SetPageUptodate, unlock } from "../../mm/page.js";
import { wait_for_stable_page } from "../../mm/page_writeback.js";
import { put_page } from "../../mm/swap.js";
import { truncate_inode_pages } from "../../mm/truncate.js";
import { BH } from "../../structs.js";
import { type InodeNr, inode, int, NONE, pfn } from "../../types.js";
import { EXTENT, extent_state, read_block } from "../blocks.js";
import {
  __block_write_begin,
  buffer_mapped,
  delay_or_unwritten,
  type GetBlock,
  mark_buffer_dirty,
  write_buffer,
} from "../buffer.js";
import { do_journal_get_write_access } from "../jbd2/transaction.js";
import { ext4_inode_info, ext4_journal_start, ext4_journal_stop, ext4_mark_inode_dirty } from "../jbd2.js";
import { grab_cache_page_write_begin } from "../read_write.js";
import { da_get_block, ext4_should_retry_alloc, get_block } from "./get_block.js";
import { ext4_truncate } from "./truncate.js";

const WRITE = { mapping: inode, index: int, from: int, to: int, page: pfn } as const;

interface Write extends GetBlock {
  readonly index: number;
  readonly from: number;
  readonly to: number;
  /** 1 for a page whose block has nothing of the file yet: BH_New, or delayed, or unwritten. */
  fresh: number;
}

const put = <F extends { readonly page: number }>() => step<F>("put_page", (k, f) => put_page(k, f.page));

/** Where a write ends, in parts of the file. */
const end_of = (k: Kernel, f: { readonly index: number; readonly to: number }): number =>
  f.index * k.geometry.parts + f.to;

/** Parts of a page that is not uptodate and that the write leaves alone. */
function rest(k: Kernel, { from, to }: Write, visit: (part: number) => void): void {
  for (let part = 0; part < k.geometry.parts; part++) if (part < from || part >= to) visit(part);
}

/** The rest of __block_write_begin: what a write leaves of a page that is not uptodate is read, or is zeroes. */
const read_the_rest = (): Node<Kernel, Write>[] => [
  held(
    when<Write>("!PageUptodate", (k, f) => !PageUptodate(k, f.page), [
      given<Write>(
        (k, f) => f.to - f.from < k.geometry.parts,
        [
          given<Write>(
            (_, f) => f.fresh === 1,
            [
              step<Write>("zero_user_segments", (k, f) =>
                rest(k, f, (part) => {
                  k.content.version[f.page * k.geometry.parts + part] = 0;
                }),
              ),
            ],
            [
              step<Write>("ll_rw_block", (k, f) =>
                rest(k, f, (part) => {
                  k.content.version[f.page * k.geometry.parts + part] = read_block(k, f.page, part);
                }),
              ),
            ],
          ),
        ],
      ),
    ]),
  ),
];

/** Take a page that is new behind the end of the file, and its blocks, away again. The caller has i_rwsem. */
const ext4_truncate_failed_write = path(
  "ext4_truncate_failed_write",
  { source: "fs/ext4/truncate.h v4.20", args: { mapping: inode }, locals: { lstart: int } },
  [
    down_write(i_mmap_sem, (_, f) => f.mapping),
    local((k, f) => {
      f.lstart = k.inode.i_size[f.mapping];
    }),
    call(() => truncate_inode_pages, { mapping: "mapping", lstart: "lstart" }),
    call(() => ext4_truncate, { mapping: "mapping" }),
    up_write(i_mmap_sem, (_, f) => f.mapping),
  ],
);

/**
 * A page of a file is about to be written from part to part: gives it locked, with buffers and a promise or a block, in the argument
 * `page`, with a handle open; or -ENOMEM or -ENOSPC with neither.
 */
const write_begin = (
  name: string,
  map: readonly Node<Kernel, GetBlock>[],
  access: readonly Node<Kernel, GetBlock>[] = [],
) =>
  path(
    name,
    { source: "fs/ext4/inode.c v4.20", args: WRITE, locals: { retries: int, fresh: int }, returns: int },
    [
      label("retry_grab"),
      call(() => grab_cache_page_write_begin, { mapping: "mapping", index: "index" }, "page"),
      given((_, f) => f.page === NONE, [leave(() => -ERRNO.ENOMEM)]),
      unlock(),
      label("retry_journal"),
      ext4_journal_start(),
      lock_page(),
      held(
        when("page->mapping != mapping", (k, f) => k.page.mapping[f.page] !== f.mapping, [
          unlock(),
          put(),
          local((_, f) => {
            f.page = NONE;
          }),
          ext4_journal_stop(),
          goto("retry_grab"),
        ]),
      ),
      // Writeback may have begun while the page was unlocked.
      wait_for_stable_page(),
      local((k, f) => {
        f.fresh = extent_state(k, f.mapping, f.index) === EXTENT.mapped ? 0 : 1;
      }),
      ...__block_write_begin(map),
      config("blocks", [
        given(
          (_, f) => f.ret < 0,
          [
            unlock(),
            ext4_journal_stop(),
            config("truncate", [
              given(
                (k, f) => end_of(k, f) > k.inode.i_size[f.mapping],
                [call(() => ext4_truncate_failed_write, { mapping: "mapping" })],
              ),
            ]),
            call(() => ext4_should_retry_alloc, { mapping: "mapping", retries: "retries" }, "ret"),
            given((_, f) => f.ret === 1, [goto("retry_journal")]),
            put(),
            local((_, f) => {
              f.page = NONE;
            }),
            leave(() => -ERRNO.ENOSPC),
          ],
        ),
      ]),
      ...read_the_rest(),
      ...access,
      leave(() => 0),
    ],
  );

export const ext4_write_begin = write_begin("ext4_write_begin", get_block());
/** With data=journal: the running transaction gets the buffers before the bytes. */
export const ext4_journalled_write_begin = write_begin("ext4_write_begin", get_block(), [
  do_journal_get_write_access(),
]);
export const ext4_da_write_begin = write_begin("ext4_da_write_begin", da_get_block());

interface Written {
  readonly mapping: InodeNr;
  readonly index: number;
  readonly from: number;
  readonly to: number;
  readonly page: number;
  ret: number;
  /** 1 when the inode has a new size. */
  changed: number;
}

/** block_write_end: the bytes are there; the buffer and the page are uptodate and dirty. */
const block_write_end = (): Node<Kernel, Written>[] => [
  held(step<Written>("set_buffer_uptodate", (k, f) => write_buffer(k, f.page, BH.uptodate))),
  call<Written, { page: typeof pfn }>(() => mark_buffer_dirty, { page: "page" }),
  held(step<Written>("SetPageUptodate", (k, f) => SetPageUptodate(k, f.page))),
];

/** The size grows to the end of the write; not on machines on which files have one size for good. */
function i_size_write(k: Kernel, f: Written): void {
  if (!k.has("truncate") || end_of(k, f) <= k.inode.i_size[f.mapping]) return;
  k.inode.i_size[f.mapping] = end_of(k, f);
  f.changed = 1;
}

/** ext4_update_inode_size: the size, and the one on the disk. */
export function update_inode_size(k: Kernel, f: Written): void {
  i_size_write(k, f);
  const { i_disksize } = k.of(ext4_inode_info);
  if (i_disksize.length === 0 || end_of(k, f) <= i_disksize[f.mapping]) return;
  i_disksize[f.mapping] = end_of(k, f);
  f.changed = 1;
}

/** The page is let go of, the handle closed. */
const let_go = (): Node<Kernel, Written>[] => [
  unlock<Written>(),
  put<Written>(),
  config<Written>("journal", [
    given<Written>(
      (_, f) => f.changed === 1,
      [step<Written>("ext4_mark_inode_dirty", (k, f) => ext4_mark_inode_dirty(k, f.mapping))],
    ),
  ]),
  ext4_journal_stop<Written>(),
  leave<Written>((_, f) => f.to - f.from),
];

/** The end of a write without delayed allocation. The size changes with the page locked, or writepage would zero what is behind it. */
export const ext4_write_end = path(
  "ext4_write_end",
  { source: "fs/ext4/inode.c v4.20", args: WRITE, locals: { changed: int }, returns: int },
  [...block_write_end(), step("ext4_update_inode_size", update_inode_size), ...let_go()],
);

/** The end of a write with delayed allocation: the size on the disk grows now only if the page has its block already. */
export const ext4_da_write_end = path(
  "ext4_da_write_end",
  { source: "fs/ext4/inode.c v4.20", args: WRITE, locals: { changed: int }, returns: int },
  [
    config("journal", [
      step("ext4_da_should_update_i_disksize", (k, f) => {
        const { i_disksize } = k.of(ext4_inode_info);
        if (end_of(k, f) <= i_disksize[f.mapping]) return;
        if (!buffer_mapped(k, f.page) || delay_or_unwritten(k, f.page)) return;
        i_disksize[f.mapping] = end_of(k, f);
        ext4_mark_inode_dirty(k, f.mapping);
      }),
    ]),
    ...block_write_end(),
    step("i_size_write", i_size_write),
    ...let_go(),
  ],
);
