/**
 * Writing a file: ext4_writepages. Which pages, in which order, and what is done for those that have no block yet.
 *
 * Source: fs/ext4/inode.c in v4.20. First, without a handle, the pages that need no block, up to the first that does. Then, for
 * one extent after the other: a handle, the pages up to the end of the extent, its blocks, its pages. The handle comes before
 * the page lock. The second walk begins where the first one stopped, so that a page which is dirtied again behind it is left to the
 * next caller; and the walk ends with the last page of the file.
 *
 * Left out: extents of more than one page (each page that needs a block is an extent; the kernel looks at the pages behind
 * it, too, with their locks held), stopping the handle before the bio is submitted, reserved credits, giving up a page when
 * its blocks cannot be had (what is promised is there, after a commit at the latest).
 */
import type { Node } from "../../../machine/path.js";
import type { Kernel } from "../../kernel.js";
import {
  call,
  check,
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
  step,
  under,
  when,
} from "../../language.js";
import { lru_lock, PG_locked, xa_lock } from "../../locks.js";
import { address_space, i_size_pages, mapping_tagged, page_mapping } from "../../mm/filemap.js";
import {
  get_page,
  lock_page,
  PageDirty,
  PageWriteback,
  settledUnlessWriteback,
  unlock,
  wait_on_page_writeback,
} from "../../mm/page.js";
import {
  clear_page_dirty_for_io,
  LONG_MAX,
  RANGE_CYCLIC,
  RANGE_END,
  tag_pages_for_writeback,
} from "../../mm/page_writeback.js";
import { pagevec_lookup_range_tag, pagevec_next, pagevec_release } from "../../mm/pagevec.js";
import { BH } from "../../structs.js";
import { type InodeNr, inode, int, NONE, type Pfn, pfn } from "../../types.js";
import {
  buffer_dirty,
  buffer_mapped,
  delay_or_unwritten,
  i_size_read,
  page_buffers_BUG_ON,
  write_buffer,
} from "../buffer.js";
import {
  ext4_inode_info,
  ext4_journal_start,
  ext4_journal_stop,
  ext4_mark_inode_dirty,
  JI,
  jbd2_journal_force_commit,
} from "../jbd2.js";
import { ext4_map_blocks } from "./get_block.js";
import { ext4_bio_write_page } from "./page_io.js";

/** What the walk of mpage_prepare_extent_to_map needs. */
interface Walk {
  readonly mapping: InodeNr;
  readonly sync: number;
  /** mpd->first_page: the next page to be written; the caller's own. */
  first_page: number;
  page: Pfn;
}

/** The page of the walk, locked, not under writeback, with buffers; what is not to be written goes to the label "release". */
export const mpage_lock_page = <F extends Walk>(): Node<Kernel, F>[] => [
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
  local<F>((k, f) => {
    f.first_page = k.page.index[f.page];
  }),
  held<F>(
    step<F>("page_buffers", (k, f) => {
      page_buffers_BUG_ON(k, f.page);
    }),
  ),
];

/** The walk's pages, unlocked by now, are put. */
export const mpage_release_page = <F extends Walk>(): Node<Kernel, F> =>
  under<F>(lru_lock, [step("pagevec_release", (k, f) => pagevec_release(k, f))]);

/** A locked page of a mapping that needs no block is cleaned and written. `nr_to_write` and `first_page` are the caller's own. */
export const mpage_submit_page = path(
  "mpage_submit_page",
  {
    source: "fs/ext4/inode.c v4.20",
    args: { page: pfn, nr_to_write: int, first_page: int },
    locals: { size: int },
  },
  [
    call(() => clear_page_dirty_for_io, { page: "page" }),
    // The size may be sampled only now that the page is write-protected.
    i_size_read(),
    call(() => ext4_bio_write_page, { page: "page", size: "size" }),
    local((_, f) => {
      if (f.nr_to_write !== LONG_MAX) f.nr_to_write--;
      f.first_page++;
    }),
  ],
);

const WBC = {
  mapping: inode,
  sync: int,
  tagged: int,
  nr_to_write: int,
  range_start: int,
  range_end: int,
} as const;

/** wbc->sync_mode == WB_SYNC_ALL || wbc->tagged_writepages */
const tags = (f: { readonly sync: number; readonly tagged: number }): boolean =>
  f.sync === 1 || f.tagged === 1;

/** mpage_add_bh_to_extent: whether the page's buffer needs a block, or its extent to become written. */
const needs_mapping = (k: Kernel, page: Pfn): boolean =>
  buffer_dirty(k, page) && buffer_mapped(k, page) && delay_or_unwritten(k, page);

/**
 * Write the dirty pages of a mapping from `first_page` to `range_end`, up to the first that needs a block; without a handle (do_map 0)
 * also not one behind the end of the file. That one is given locked, which keeps it, or NONE when there is no more.
 */
export const mpage_prepare_extent_to_map = path(
  "mpage_prepare_extent_to_map",
  {
    source: "fs/ext4/inode.c v4.20",
    args: {
      mapping: inode,
      sync: int,
      tagged: int,
      nr_to_write: int,
      first_page: int,
      range_end: int,
      do_map: int,
    },
    locals: { index: int, page: pfn, left: int, blocks: int },
    returns: pfn,
  },
  [
    local((_, f) => {
      f.index = f.first_page;
      f.left = f.nr_to_write;
    }),
    label("next"),
    given((_, f) => f.index > f.range_end, [leave(() => NONE)]),
    step("pagevec_lookup_range_tag", (k, f) =>
      pagevec_lookup_range_tag(k, f, f.range_end, tags(f) ? "towrite" : "dirty"),
    ),
    given((_, f) => f.page === NONE, [leave(() => NONE)]),
    label("page"),
    // Enough? Who asks for integrity goes on to the last page that it tagged.
    given((_, f) => f.sync === 0 && f.left <= 0, [mpage_release_page(), leave(() => NONE)]),
    ...mpage_lock_page(),
    config(
      "truncate",
      [
        step("mpage_process_page_bufs", (k, f) => {
          f.blocks = i_size_pages(k, f.mapping);
        }),
      ],
      [
        local((k, f) => {
          f.blocks = i_size_pages(k, f.mapping);
        }),
      ],
    ),
    given(
      (k, f) => k.page.index[f.page] >= f.blocks,
      [given((_, f) => f.do_map === 0, [goto("unused")])],
      // A preemption point where i_size is one: a page that is unmapped by now belongs to a size that is not read any more.
      [
        config(
          "truncate",
          [when("mpage_add_bh_to_extent", (k, f) => needs_mapping(k, f.page), [goto("unused")])],
          [held(when("mpage_add_bh_to_extent", (k, f) => needs_mapping(k, f.page), [goto("unused")]))],
        ),
      ],
    ),
    call(() => mpage_submit_page, { page: "page", nr_to_write: "nr_to_write", first_page: "first_page" }),
    // The last page of the file is the last of the walk.
    given((k, f) => k.page.index[f.page] + 1 >= f.blocks, [mpage_release_page(), leave(() => NONE)]),
    local((_, f) => {
      f.blocks = 0;
      if (f.left !== LONG_MAX) f.left--;
    }),
    label("release"),
    pagevec_next("page"),
    mpage_release_page(),
    goto("next"),
    label("unused"),
    under(lru_lock, [
      step("pagevec_release", (k, f) => {
        f.ret = f.page;
        pagevec_release(k, f);
      }),
    ]),
  ],
);

/** A page that was locked and not written. */
const mpage_release_unused_pages = path(
  "mpage_release_unused_pages",
  { source: "fs/ext4/inode.c v4.20", args: { page: pfn } },
  [
    held(step("pagevec_lookup_range", (k, f) => get_page(k, f.page))),
    unlock(),
    under(lru_lock, [step("pagevec_release", (k, f) => pagevec_release(k, f))]),
  ],
);

/** The inode's size on the disk grows to what has blocks, at most to i_size. */
function update_disksize(k: Kernel, mapping: InodeNr, first_page: number): void {
  const { i_disksize } = k.of(ext4_inode_info);
  const disksize = Math.min(first_page * k.geometry.parts, k.inode.i_size[mapping]);
  if (disksize <= i_disksize[mapping]) return;
  i_disksize[mapping] = disksize;
  ext4_mark_inode_dirty(k, mapping);
}

/** Choose the block of a locked page and write the page. The caller has a handle. Gives 0 or -ENOSPC. */
const mpage_map_and_submit_extent = path(
  "mpage_map_and_submit_extent",
  {
    source: "fs/ext4/inode.c v4.20",
    args: { mapping: inode, page: pfn, nr_to_write: int, first_page: int },
    returns: int,
  },
  [
    step("ext4_map_blocks", (k, f) => {
      // The pages are submitted before the handle is closed: the commit needs only wait for them.
      f.ret = ext4_map_blocks(k, f.mapping, k.page.index[f.page], JI.WAIT_DATA);
    }),
    given((_, f) => f.ret < 0, [leave()]),
    held(
      step("mpage_map_and_submit_buffers", (k, f) => {
        get_page(k, f.page);
        write_buffer(k, f.page, 0, BH.delay | BH.unwritten);
      }),
    ),
    call(() => mpage_submit_page, { page: "page", nr_to_write: "nr_to_write", first_page: "first_page" }),
    under(lru_lock, [step("pagevec_release", (k, f) => pagevec_release(k, f))]),
    config("journal", [step("update_disksize", (k, f) => update_disksize(k, f.mapping, f.first_page))]),
  ],
);

/** Write a file's dirty pages as a writeback_control says. Gives 0 or a negative error. */
export const ext4_writepages = path(
  "ext4_writepages",
  {
    source: "fs/ext4/inode.c v4.20",
    args: WBC,
    locals: { first_page: int, cycled: int, writeback_index: int, page: pfn, error: int },
    returns: int,
  },
  [
    check("mapping_tagged", (k, f) => mapping_tagged(k, f.mapping, "dirty"), "out_writepages"),
    given(
      (_, f) => f.range_start === RANGE_CYCLIC,
      [
        config("kupdate", [
          step("mapping->writeback_index", (k, f) => {
            f.writeback_index = k.of(address_space).writeback_index[f.mapping];
          }),
        ]),
        local((_, f) => {
          f.first_page = f.writeback_index;
          f.cycled = f.writeback_index === 0 ? 1 : 0;
        }),
      ],
      [
        local((_, f) => {
          f.first_page = f.range_start;
          f.cycled = 1;
        }),
      ],
    ),
    label("retry"),
    given(
      (_, f) => tags(f),
      [
        under(xa_lock, [
          step("tag_pages_for_writeback", (k, f) =>
            tag_pages_for_writeback(k, f.mapping, f.first_page, f.range_end),
          ),
        ]),
      ],
    ),
    call(
      () => mpage_prepare_extent_to_map,
      {
        mapping: "mapping",
        sync: "sync",
        tagged: "tagged",
        nr_to_write: "nr_to_write",
        first_page: "first_page",
        range_end: "range_end",
        do_map: 0,
      },
      "page",
    ),
    given(
      (_, f) => f.page !== NONE,
      [
        // Without a handle no block can be chosen.
        lockdep_assert_held(PG_locked),
        call(() => mpage_release_unused_pages, { page: "page" }),
        local((_, f) => {
          f.page = NONE;
        }),
      ],
      [lockdep_assert_not_held(PG_locked)],
    ),
    label("extent"),
    given((_, f) => f.first_page > f.range_end, [goto("unplug")]),
    ext4_journal_start(),
    call(
      () => mpage_prepare_extent_to_map,
      {
        mapping: "mapping",
        sync: "sync",
        tagged: "tagged",
        nr_to_write: "nr_to_write",
        first_page: "first_page",
        range_end: "range_end",
        do_map: 1,
      },
      "page",
    ),
    given(
      (_, f) => f.page === NONE,
      [lockdep_assert_not_held(PG_locked), ext4_journal_stop(), goto("unplug")],
    ),
    config("blocks", [
      lockdep_assert_held(PG_locked),
      call(
        () => mpage_map_and_submit_extent,
        { mapping: "mapping", page: "page", nr_to_write: "nr_to_write", first_page: "first_page" },
        "error",
      ),
      ext4_journal_stop(),
      config("journal", [
        given(
          (_, f) => f.error < 0,
          [
            lockdep_assert_held(PG_locked),
            call(() => mpage_release_unused_pages, { page: "page" }),
            // It frees what is missing.
            call(() => jbd2_journal_force_commit, { mapping: "mapping" }),
          ],
          [lockdep_assert_not_held(PG_locked)],
        ),
      ]),
      local((_, f) => {
        f.page = NONE;
        f.error = 0;
      }),
      goto("extent"),
    ]),
    label("unplug"),
    given(
      (_, f) => f.cycled === 0 && f.nr_to_write > 0,
      [
        local((_, f) => {
          f.cycled = 1;
          f.first_page = 0;
          f.range_end = f.writeback_index - 1;
        }),
        goto("retry"),
      ],
    ),
    config("kupdate", [
      given(
        (_, f) =>
          f.range_start === RANGE_CYCLIC ||
          (f.range_start === 0 && f.range_end === RANGE_END && f.nr_to_write > 0),
        [
          step("mapping->writeback_index = first_page", (k, f) => {
            k.of(address_space).writeback_index[f.mapping] = f.first_page;
          }),
        ],
      ),
    ]),
    label("out_writepages"),
  ],
);
