/**
 * Writing a file of which pages may have no block yet: the body of ext4_writepages with delayed allocation.
 *
 * Source: fs/ext4/inode.c in v4.20. First, without a handle, the pages that need no block, up to the first that does. Then, for
 * one extent after the other: a handle, the pages up to the end of the extent, its blocks, its pages. The handle comes before
 * the page lock.
 *
 * Left out: extents of more than one page (each page that needs a block is an extent; the kernel looks at the pages behind
 * it, too, with their locks held), stopping the handle before the bio is submitted, reserved credits, giving up a page when
 * its blocks cannot be had (what is promised is there, after a commit at the latest).
 */
import type { Node } from "../../../machine/path.js";
import type { Kernel } from "../../kernel.js";
import {
  call,
  config,
  given,
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
  when,
} from "../../language.js";
import { PG_locked } from "../../locks.js";
import { find_get_page_tag, page_mapping } from "../../mm/filemap.js";
import {
  lock_page,
  PageDirty,
  PageWriteback,
  settledUnlessWriteback,
  unlock,
  wait_on_page_writeback,
} from "../../mm/page.js";
import { clear_page_dirty_for_io } from "../../mm/page_writeback.js";
import { put_page } from "../../mm/swap.js";
import { BH } from "../../structs.js";
import { type InodeNr, inode, int, NONE, type Pfn, pfn } from "../../types.js";
import {
  buffer_dirty,
  buffer_mapped,
  delay_or_unwritten,
  page_buffers_BUG_ON,
  write_buffer,
} from "../buffer.js";
import {
  ext4_inode_info,
  ext4_journal_start,
  ext4_journal_stop,
  ext4_mark_inode_dirty,
  JI,
} from "../jbd2.js";
import { ext4_map_blocks, ext4_should_retry_alloc } from "./get_block.js";
import { ext4_bio_write_page } from "./page_io.js";

/** What the walk of mpage_prepare_extent_to_map needs. */
interface Walk {
  readonly mapping: InodeNr;
  readonly sync: number;
  index: number;
  page: Pfn;
}

/**
 * The next dirty page of the walk, locked, not under writeback, with buffers, in `page`; `end` runs when there is none. Between this
 * and mpage_release_page the page is written, or not.
 */
export const mpage_next_page = <F extends Walk>(end: readonly Node<Kernel, F>[]): Node<Kernel, F>[] => [
  label<F>("next"),
  step<F>("pagevec_lookup_range_tag", (k, f) => {
    f.page = find_get_page_tag(k, f.mapping, f.index, f.sync === 1 ? "towrite" : "dirty");
  }),
  given<F>((_, f) => f.page === NONE, end),
  local<F>((k, f) => {
    f.index = k.page.index[f.page] + 1;
  }),
  lock_page<F>(),
  settledUnlessWriteback<F>(
    when<F>(
      "!PageDirty",
      (k, f) =>
        !PageDirty(k, f.page) ||
        (PageWriteback(k, f.page) && f.sync === 0) ||
        page_mapping(k, f.page) !== f.mapping,
      [unlock<F>(), goto<F>("release")],
    ),
  ),
  settledUnlessWriteback<F>(wait_on_page_writeback<F>()),
  held<F>(
    step<F>("page_buffers", (k, f) => {
      page_buffers_BUG_ON(k, f.page);
    }),
  ),
];

/** The end of the walk's round: its page, unlocked by now, is put. */
export const mpage_release_page = <F extends Walk>(): Node<Kernel, F>[] => [
  label<F>("release"),
  step<F>("pagevec_release", (k, f) => {
    put_page(k, f.page);
    f.page = NONE;
  }),
  goto<F>("next"),
];

/** mpage_add_bh_to_extent: whether the page's buffer needs a block, or its extent to become written. */
const needs_mapping = (k: Kernel, page: Pfn): boolean =>
  buffer_dirty(k, page) && buffer_mapped(k, page) && delay_or_unwritten(k, page);

/**
 * Write the dirty pages of a mapping, from `index` on, up to the first that needs a block. That one is given locked and with a
 * reference, or NONE when there is no more.
 */
const mpage_prepare_extent_to_map = path(
  "mpage_prepare_extent_to_map",
  {
    source: "fs/ext4/inode.c v4.20",
    args: { mapping: inode, sync: int, first_page: int },
    locals: { index: int, page: pfn },
    returns: pfn,
  },
  [
    local((_, f) => {
      f.index = f.first_page;
    }),
    ...mpage_next_page([leave(() => NONE)]),
    held(when("mpage_process_page_bufs", (k, f) => needs_mapping(k, f.page), [leave((_, f) => f.page)])),
    call(() => clear_page_dirty_for_io, { page: "page" }),
    call(() => ext4_bio_write_page, { page: "page" }),
    ...mpage_release_page(),
  ],
);

/** The inode's size on the disk grows to what has blocks, at most to i_size. */
function update_disksize(k: Kernel, mapping: InodeNr, page: Pfn): void {
  const { i_disksize } = k.of(ext4_inode_info);
  const disksize = Math.min((k.page.index[page] + 1) * k.geometry.parts, k.inode.i_size[mapping]);
  if (i_disksize.length === 0 || disksize <= i_disksize[mapping]) return;
  i_disksize[mapping] = disksize;
  ext4_mark_inode_dirty(k, mapping);
}

/** The body of ext4_writepages. Needs config "blocks". */
export const ext4_da_writepages = path(
  "ext4_da_writepages",
  {
    source: "fs/ext4/inode.c v4.20, ext4_writepages",
    args: { mapping: inode, sync: int },
    locals: { first_page: int, page: pfn, error: int },
  },
  [
    call(() => mpage_prepare_extent_to_map, { mapping: "mapping", sync: "sync", first_page: 0 }, "page"),
    given(
      (_, f) => f.page === NONE,
      [
        lockdep_assert_not_held(PG_locked),
        local((_, f) => {
          f.first_page = 0;
        }),
        goto("map"),
      ],
    ),
    lockdep_assert_held(PG_locked),
    // mpage_release_unused_pages: without a handle no block can be chosen.
    local((k, f) => {
      f.first_page = k.page.index[f.page];
    }),
    unlock(),
    step("pagevec_release", (k, f) => {
      put_page(k, f.page);
      f.page = NONE;
    }),
    label("map"),
    repeat(
      () => true,
      [
        ext4_journal_start(),
        call(
          () => mpage_prepare_extent_to_map,
          { mapping: "mapping", sync: "sync", first_page: "first_page" },
          "page",
        ),
        given((_, f) => f.page === NONE, [lockdep_assert_not_held(PG_locked), ext4_journal_stop(), leave()]),
        lockdep_assert_held(PG_locked),
        local((k, f) => {
          f.first_page = k.page.index[f.page];
        }),
        step("ext4_map_blocks", (k, f) => {
          // The pages are submitted before the handle is closed: the commit needs only wait for them.
          f.error = ext4_map_blocks(k, f.mapping, k.page.index[f.page], JI.WAIT_DATA);
        }),
        given(
          (_, f) => f.error === 0,
          [
            held(step("clear_buffer_delay", (k, f) => write_buffer(k, f.page, 0, BH.delay | BH.unwritten))),
            call(() => clear_page_dirty_for_io, { page: "page" }),
            call(() => ext4_bio_write_page, { page: "page" }),
            config("journal", [
              step("ext4_mark_inode_dirty", (k, f) => update_disksize(k, f.mapping, f.page)),
            ]),
            ext4_journal_stop(),
          ],
          // Nothing but a commit is missing.
          [ext4_journal_stop(), unlock()],
        ),
        step("pagevec_release", (k, f) => {
          put_page(k, f.page);
          f.page = NONE;
        }),
        given(
          (_, f) => f.error < 0,
          [call(() => ext4_should_retry_alloc, { mapping: "mapping" }, "error")],
          [
            local((_, f) => {
              f.first_page++;
            }),
          ],
        ),
        local((_, f) => {
          f.error = 0;
        }),
      ],
    ),
  ],
);
