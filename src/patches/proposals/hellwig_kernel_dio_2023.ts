/**
 * Writeback leaves pinned pages alone altogether, and fsync writes them by direct I/O of its own, without cleaning them.
 *
 * Christoph Hellwig, 19 and 27 February 2023, in the thread of "Writeback handling of pinned pages": in-kernel O_DIRECT on fsync for pages that are pinned for long. Jan Kara, 27 February: writeback could ignore them then, and
 * filemap_fdatawrite() have this; he would copy them first (kara-kernel-dio-2023). Hellwig: no copy is needed (hellwig-kernel-dio-2023).
 *
 * What it inserts: the walks of write_cache_pages, ext4 and btrfs skip pinned pages whoever asks; behind ->writepages of a WB_SYNC_ALL call come the pages of its range that it has left dirty, one after the other: a block for each as
 * an O_DIRECT write would get it, the transfer, its end. PG_dirty, tags and buffers stay as they are: the page is dirty until the pin ends, and what its filesystem has promised it stays promised. A write to a file of btrfs takes a block
 * beside that promise, and fsync gives -ENOSPC where there is none.
 *
 * Whether such a page is pinned still is not asked again: a pin that ends between the walk and this would leave the page to nobody, and fsync would break its promise (half-page).
 *
 * What it leaves: without the copy the device may write while the page is read, so that sums break. Invalidation and truncation strip as before.
 *
 * What the copy breaks, which nobody said: no page lock and no PG_writeback keeps other writers away. The pin ends while fsync has its copy, the flusher writes newer bytes and cleans the page, and the older copy is written over them (W1 with
 * strip=diowrite). Without a copy the disk fetches what is in memory when it writes; a disk that fetches early and writes late would do the same.
 *
 * What both break: a commit of data=ordered calls no filemap_fdatawrite(): pinned pages of its inodes are written by nobody before it.
 *
 * Left out: that only long-term pins are meant (nothing in v4.20 tells them from others: here all pins are; hellwig-short-pins-2023 tells them apart), one wait for all transfers, errors of the disk, and two calls of fsync at once, which share a page's sums here.
 */
import { ERRNO } from "../../kernel/errno.js";
import {
  allocate,
  block_nr,
  convert_unwritten,
  cow_fork,
  EXTENT,
  extent_state,
  is_shared,
  reserve_delayed,
  write_block_at,
} from "../../kernel/fs/blocks.js";
import { btrfs_delalloc_reserve_space } from "../../kernel/fs/btrfs.js";
import { COW, cow_allocate, cow_end, cow_reserve, cow_state } from "../../kernel/fs/cow.js";
import { ext4_map_blocks } from "../../kernel/fs/ext4/get_block.js";
import { mpage_prepare_extent_to_map } from "../../kernel/fs/ext4/writepages.js";
import { mpage_prepare_extent_to_map as mpage_prepare_extent_to_map_whole } from "../../kernel/fs/ext4.js";
import { ext4_journal_start, ext4_journal_stop } from "../../kernel/fs/jbd2.js";
import type { Kernel, Table } from "../../kernel/kernel.js";
import {
  awaits,
  call,
  given,
  goto,
  held,
  label,
  leave,
  local,
  path,
  repeat,
  step,
  under,
  wait,
  when,
} from "../../kernel/language.js";
import { lru_lock, PG_writeback } from "../../kernel/locks.js";
import {
  lock_page,
  PageDirty,
  settledUnlessWriteback,
  unlock,
  wait_on_page_writeback,
} from "../../kernel/mm/page.js";
import { pagevec_lookup_range_tag, pagevec_next, pagevec_release } from "../../kernel/mm/pagevec.js";
import { FS } from "../../kernel/operations.js";
import { type InodeNr, inode, int, NONE, type Pfn, pfn } from "../../kernel/types.js";
import { struct, u16 } from "../../machine/memory.js";
import { type AnyPath, after, before, type Edit, locals } from "../../machine/patch.js";
import type { Proposal } from "./proposal.js";
import { type Question, type Scratch, skip } from "./skip_pinned.js";
import { trackings } from "./trackings.js";

const kernel_dio = struct("kernel_dio", {
  version: u16("of a part of a page when it was submitted, plus one: of its sum, or of its copy"),
});
export const kernel_dio_tables: readonly Table[] = [{ struct: kernel_dio, rows: (g) => g.pages * g.parts }];

interface Write {
  readonly mapping: InodeNr;
  readonly page: Pfn;
  /** The block's number plus one. */
  sector: number;
  part: number;
  /** 1 when the page had a promise of its own in the COW fork, which it gets back. */
  promised: number;
  ret: number;
}

const slot_of = (k: Kernel, f: Write): number => k.slotOf(f.mapping, k.page.index[f.page]);

/** A block in the COW fork, beside what the page has been promised there. Gives 0 or -ENOSPC. */
function cow_block(k: Kernel, f: Write): number {
  const slot = slot_of(k, f);
  const { state, block } = k.of(cow_fork);
  f.promised = state[slot] === COW.delayed ? 1 : 0;
  const error = btrfs_delalloc_reserve_space(k, f.mapping);
  if (error < 0) return error;
  state[slot] = COW.delayed;
  cow_allocate(k, f.mapping, k.page.index[f.page]);
  f.sector = block[slot];
  return 0;
}

/** iomap_begin of an O_DIRECT write of one page. Gives 0 or -ENOSPC. */
function iomap_begin(k: Kernel, f: Write): number {
  if (!k.has("blocks")) return 0;
  const { mapping } = f;
  const index = k.page.index[f.page];
  const fs = k.inode.fs[mapping];
  if (fs === FS.btrfs) return cow_block(k, f);
  if (fs === FS.xfs && (is_shared(k, mapping, index) || cow_state(k, mapping, index) !== COW.none)) {
    const error = cow_reserve(k, mapping, index);
    if (error < 0) return error;
    cow_allocate(k, mapping, index);
    f.sector = k.of(cow_fork).block[slot_of(k, f)];
    return 0;
  }
  let error = extent_state(k, mapping, index) === EXTENT.hole ? reserve_delayed(k, mapping, index) : 0;
  if (error === 0 && fs === FS.ext4) error = ext4_map_blocks(k, mapping, index, 0);
  else if (error === 0 && extent_state(k, mapping, index) === EXTENT.delayed)
    error = allocate(k, mapping, index, EXTENT.mapped);
  else if (error === 0) convert_unwritten(k, mapping, index);
  f.sector = block_nr(k, mapping, index) + 1;
  return error;
}

/** The write is over: the file has the block, and the page its promise again. */
function iomap_end(k: Kernel, f: Write): void {
  if (f.sector === 0) return;
  const index = k.page.index[f.page];
  if (k.of(cow_fork).state.length > 0 && cow_state(k, f.mapping, index) === COW.real) {
    cow_end(k, f.mapping, index);
    if (f.promised === 1) k.of(cow_fork).state[slot_of(k, f)] = COW.delayed;
  }
}

/** The disk fetches a part of the page, or of its copy. */
function transfer(k: Kernel, f: Write, copied: boolean): void {
  const { version } = k.of(kernel_dio);
  const at = f.page * k.geometry.parts + f.part;
  const now = k.content.version[at];
  if (copied) k.content.version[at] = version[at] - 1;
  else if (k.has("checksum"))
    k.fault_on(
      version[at] !== now + 1,
      "TORN",
      "kernel direct I/O: the sum made at submission does not match what was fetched",
      f.page,
    );
  write_block_at(k, f.page, f.part, f.sector - 1);
  k.content.version[at] = now;
  version[at] = 0;
  f.part++;
}

const remember = (k: Kernel, page: Pfn, part: number): void => {
  const at = page * k.geometry.parts + part;
  k.of(kernel_dio).version[at] = k.content.version[at] + 1;
};

/** A direct write of one page of the cache to its file. Gives 0 or -ENOSPC. */
const kernel_direct_write = (copied: boolean) =>
  path(
    "kernel_direct_write",
    {
      source: "mm/filemap.c, February 2023",
      args: { mapping: inode, page: pfn },
      locals: { sector: int, part: int, promised: int },
      returns: int,
    },
    [
      ext4_journal_start(),
      awaits(
        PG_writeback,
        wait(
          "iomap_begin",
          (k, f) =>
            k.of(cow_fork).state.length === 0 || cow_state(k, f.mapping, k.page.index[f.page]) !== COW.real,
          (k, f) => {
            f.ret = iomap_begin(k, f);
          },
        ),
      ),
      ext4_journal_stop(),
      given((_, f) => f.ret < 0, [leave()]),
      ...(copied
        ? [
            repeat<Write>(
              (k, f) => f.part < k.geometry.parts,
              [
                step<Write>("memcpy", (k, f) => {
                  remember(k, f.page, f.part);
                  f.part++;
                }),
              ],
            ),
            local<Write>((_, f) => {
              f.part = 0;
            }),
          ]
        : []),
      step("submit_bio", (k, f) => {
        if (copied) return;
        for (let part = 0; part < k.geometry.parts; part++) remember(k, f.page, part);
      }),
      repeat((k, f) => f.part < k.geometry.parts, [step("transfer", (k, f) => transfer(k, f, copied))]),
      step("iomap_dio_complete", (k, f) => iomap_end(k, f)),
    ],
  );

/** Write what the walk has left dirty in a range. Gives 0 or -ENOSPC. */
const filemap_write_pinned = (copied: boolean) => {
  const write = kernel_direct_write(copied);
  return path(
    "filemap_write_pinned",
    {
      source: "mm/filemap.c, February 2023",
      args: { mapping: inode, range_start: int, range_end: int },
      locals: { index: int, page: pfn, error: int },
      returns: int,
    },
    [
      local((_, f) => {
        f.index = f.range_start;
      }),
      label("lookup"),
      given((_, f) => f.index > f.range_end, [leave()]),
      step("pagevec_lookup_range_tag", (k, f) => pagevec_lookup_range_tag(k, f, f.range_end, "dirty")),
      given((_, f) => f.page === NONE, [leave()]),
      label("page"),
      lock_page(),
      held(
        when("!PageDirty", (k, f) => k.page.mapping[f.page] !== f.mapping || !PageDirty(k, f.page), [
          unlock(),
          goto("next"),
        ]),
      ),
      settledUnlessWriteback(wait_on_page_writeback()),
      unlock(),
      call(() => write, { mapping: "mapping", page: "page" }, "error"),
      local((_, f) => {
        if (f.error < 0) f.ret = -ERRNO.ENOSPC;
        f.error = 0;
      }),
      label("next"),
      pagevec_next("page"),
      under(lru_lock, [step("pagevec_release", (k, f) => pagevec_release(k, f))]),
      goto("lookup"),
    ],
  );
};

/** Behind the locked page of ext4's walk. */
const ignores_in_ext4 = (walk: AnyPath, cleaned: Scratch, pinned?: Question): Edit =>
  after(walk, "wait_on_page_writeback", [skip(cleaned, () => true, "release", pinned)]);

interface Range {
  readonly mapping: InodeNr;
  readonly range_start: number;
  readonly range_end: number;
  readonly sync: number;
  ret: number;
  written: number;
}

/**
 * Writeback leaves pages alone, and fsync writes them.
 *
 * @param copied whether it writes a copy
 * @param pinned which pages are meant; default those that are pinned
 */
export const writes_pinned = (copied: boolean, pinned?: Question): readonly Edit[] => {
  const write = filemap_write_pinned(copied);
  return [
    before("write_cache_pages", "clear_page_dirty_for_io", [
      skip("ret", () => true, "continue_unlock", pinned),
    ]),
    before("extent_write_cache_pages", "clear_page_dirty_for_io", [
      skip("ret", () => true, "continue_unlock", pinned),
    ]),
    ignores_in_ext4(mpage_prepare_extent_to_map, "blocks", pinned),
    locals(mpage_prepare_extent_to_map_whole, { cleaned: int }),
    ignores_in_ext4(mpage_prepare_extent_to_map_whole, "cleaned", pinned),
    locals("__filemap_fdatawrite_range", { written: int }),
    after<Range>("__filemap_fdatawrite_range", "writepages", [
      given(
        (_, f) => f.sync === 1 && f.ret === 0,
        [
          call(
            () => write,
            { mapping: "mapping", range_start: "range_start", range_end: "range_end" },
            "written",
          ),
          local((_, f) => {
            f.ret = f.written;
            f.written = 0;
          }),
        ],
      ),
    ]),
  ];
};

const thread = {
  ideas: ["A12"],
  title: "Re: [PATCH 4/5] block: Add support for bouncing pinned pages",
  date: "2023-02",
  commit: null,
  needs_one: trackings,
  tables: kernel_dio_tables,
} as const;

export const hellwig_kernel_dio_2023: Proposal = {
  ...thread,
  name: "hellwig-kernel-dio-2023",
  author: "Christoph Hellwig",
  source: "Y/MRqLbA2g7I0xgp@infradead.org, Y/yxxCwGJcPSuA+6@infradead.org",
  help: "writeback ignores pinned pages; fsync writes them by direct I/O of the kernel's own, and leaves them dirty",
  remarks: [
    {
      who: "Christoph Hellwig",
      date: "2023-02",
      says: "no copy is needed; what is hard is to have the direct write not invalidate and write out the cache",
      source: "Y/yxxCwGJcPSuA+6@infradead.org",
    },
  ],
  edits: writes_pinned(false),
};

export const kara_kernel_dio_2023: Proposal = {
  ...thread,
  name: "kara-kernel-dio-2023",
  author: "Jan Kara",
  source: "20230227113926.jr7wuhmiul7346as@quack3",
  help: "the same, and what fsync writes is a copy",
  remarks: [
    {
      who: "Jan Kara",
      date: "2023-02",
      says: "sensible: writeback ignores pages that are pinned for long, and filemap_fdatawrite copies and writes them",
      source: "20230227113926.jr7wuhmiul7346as@quack3",
    },
  ],
  costs: [
    {
      step: "kernel_direct_write/memcpy",
      ns: 779,
      source:
        "Christoph Hellwig, 26 January 2026: O_DIRECT writes of 4 KiB, 882 MiB/s without and 750 MiB/s with a copy (reads: 645 ns)",
    },
  ],
  edits: writes_pinned(true),
};
