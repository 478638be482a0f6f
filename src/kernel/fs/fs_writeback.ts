/**
 * The flusher: walks the dirty inodes and writes their tagged pages, whoever holds references to them. And fsync.
 *
 * Source: fs/fs-writeback.c, mm/filemap.c, fs/ext4/fsync.c in v4.20. It never looks at the LRU: a page that was taken
 * off the LRU is found all the same.
 *
 * Left out: thresholds and ages (every wake-up writes what is dirty), b_io and b_more_io, the journal commit of fsync.
 */

import {
  call,
  dispatch,
  given,
  goto,
  held,
  label,
  leave,
  local,
  path,
  pause,
  repeat,
  step,
  when,
} from "../language.js";
import { find_get_page_tag, mapping_tagged } from "../mm/filemap.js";
import { wait_on_page_writeback } from "../mm/page.js";
import { put_page } from "../mm/swap.js";
import { a_ops, fs_of_inode } from "../operations.js";
import { I_DIRTY_PAGES, I_SYNC } from "../structs.js";
import { inode, int, NONE, pfn } from "../types.js";

export const __writeback_single_inode = path(
  "__writeback_single_inode",
  { source: "fs/fs-writeback.c v4.20", args: { mapping: inode } },
  [
    held(
      step("I_SYNC", (k, f) => {
        k.inode.i_state[f.mapping] |= I_SYNC;
      }),
    ),
    dispatch(a_ops, "writepages", (k, f) => fs_of_inode(k, f.mapping), { mapping: "mapping", sync: 0 }),
    step("inode->i_state &= ~dirty", (k, f) => {
      k.inode.i_state[f.mapping] &= ~(I_DIRTY_PAGES | I_SYNC);
      if (mapping_tagged(k, f.mapping, "dirty")) k.inode.i_state[f.mapping] |= I_DIRTY_PAGES;
    }),
  ],
);

/** The flusher thread of all disks. */
export const wb_workfn = path(
  "wb_workfn",
  { source: "fs/fs-writeback.c v4.20", locals: { mapping: inode, nr: int } },
  [
    repeat(
      () => true,
      [
        pause("wb_workfn"),
        local((k, f) => {
          f.mapping = 1;
          f.nr = k.inode.i_state.length - 1;
        }),
        repeat(
          (_, f) => f.mapping <= f.nr,
          [
            when("b_dirty", (k, f) => (k.inode.i_state[f.mapping] & I_DIRTY_PAGES) !== 0, [
              call(() => __writeback_single_inode, { mapping: "mapping" }),
            ]),
            local((_, f) => {
              f.mapping++;
            }),
          ],
        ),
        local((_, f) => {
          f.mapping = 0;
          f.nr = 0;
        }),
      ],
    ),
  ],
);

/** Write what is dirty now and wait for it. */
export const file_write_and_wait_range = path(
  "file_write_and_wait_range",
  { source: "mm/filemap.c v4.20", args: { mapping: inode }, locals: { index: int, page: pfn } },
  [
    dispatch(a_ops, "writepages", (k, f) => fs_of_inode(k, f.mapping), { mapping: "mapping", sync: 1 }),
    label("next"),
    step("pagevec_lookup_range_tag", (k, f) => {
      f.page = find_get_page_tag(k, f.mapping, f.index, "writeback");
    }),
    given((_, f) => f.page === NONE, [leave()]),
    local((k, f) => {
      f.index = k.page.index[f.page] + 1;
    }),
    wait_on_page_writeback(),
    step("pagevec_release", (k, f) => {
      put_page(k, f.page);
      f.page = NONE;
    }),
    goto("next"),
  ],
);

export const fsync = path("fsync", { source: "fs/sync.c, fs/ext4/fsync.c v4.20", args: { mapping: inode } }, [
  call(() => file_write_and_wait_range, { mapping: "mapping" }),
]);
