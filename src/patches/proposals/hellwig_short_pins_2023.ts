/**
 * Writeback waits for short pins, and leaves alone what is pinned for long; fsync writes that by direct I/O of its own.
 *
 * Christoph Hellwig, 13 February 2023, in the thread of "Writeback handling of pinned pages": short pins and long ones have to be told apart; for a short one, such as that of O_DIRECT, nothing is done but that writeback
 * waits for it. On 19 and 27 February, with Jan Kara: writeback could ignore what is pinned for long, and fsync write it by direct I/O from inside the kernel (hellwig-kernel-dio-2023, which treats all pins so, as no count tells them apart
 * in v4.20). Here both halves together, on what tells them apart: hubbard-lru-longterm-2023. O_DIRECT pins since v6.3.
 *
 * What it inserts: the walks of write_cache_pages, ext4 and btrfs have the page locked; they write-protect it, so that nobody can pin it for writing any more, and wait for who has. A page that is pinned for long is
 * left alone, as it is when that comes while somebody waits. Nobody said where the wait is. Two ways:
 *
 * hellwig-short-pins-2023: where these walks wait for writeback, under the page lock. O_DIRECT wants that lock to mark its pages dirty (bio_set_pages_dirty), with its pins taken: a circle of two.
 *
 * hellwig-short-pins-unlocked-2023, named by this project and in no mail: the lock is given back for the wait, and the page looked at anew.
 *
 * What both break: on ext4 who waits has a handle, and an O_DIRECT write with its pins taken may want one, which a commit keeps from it that waits for ext4_writepages: Kara's circle of 2018
 * (hubbard-mkclean-2018). For a "short" pin of a device that does not answer, writeback and fsync wait for ever.
 *
 * What both leave: a reference through which somebody writes (vmsplice) is no pin. A pin that is not yet counted is not waited for.
 */

import type { Kernel } from "../../kernel/kernel.js";
import { goto, wait, when } from "../../kernel/language.js";
import { unlock } from "../../kernel/mm/page.js";
import type { Pfn } from "../../kernel/types.js";
import type { Node } from "../../machine/path.js";
import { iomap_dio_pins } from "../dio_pins.js";
import { kernel_dio_tables, writes_pinned } from "./hellwig_kernel_dio_2023.js";
import { hubbard_lru_longterm_2023, page_longterm_pinned } from "./hubbard_lru_longterm_2023.js";
import type { Proposal } from "./proposal.js";
import type { Question, Walk } from "./skip_pinned.js";
import { page_dma_pinned } from "./tracking.js";

/** A page that is pinned for long has one pin of all of those, and perhaps short ones beside it. */
const pinned_short = (k: Kernel, page: Pfn): boolean =>
  page_dma_pinned(k, page) && !page_longterm_pinned(k, page);

const waits = (): Node<Kernel, Walk> =>
  wait<Walk>(
    "wait_for_short_pins",
    (k, f) => !pinned_short(k, f.page),
    () => {},
  );

/** Writeback leaves pages alone that are pinned for long; what it does first about those that are pinned for a short time. */
const long_pins = (first: readonly Node<Kernel, Walk>[]): Question => ({
  name: "folio_longterm_pinned",
  asks: page_longterm_pinned,
  first,
});

const common = {
  ideas: ["A12", "A17"],
  title: "Re: [PATCH 1/5] mm: Do not reclaim private data from pinned page",
  author: "Christoph Hellwig",
  date: "2023-02",
  commit: null,
  source: "Y+oI+AYsADUZsB7m@infradead.org, Y/MRqLbA2g7I0xgp@infradead.org",
  since: "v6.3",
  uncertain:
    "where writeback waits, which nobody said; and Kara's reply of 14 February, whose text could not be read",
  needs: [hubbard_lru_longterm_2023, iomap_dio_pins],
  tables: kernel_dio_tables,
  remarks: [
    {
      who: "Jan Kara",
      date: "2023-02",
      says: "to tell the two apart would be good, as each can be treated in its own way then; what lacks is room in struct page",
      source: "reply to Christoph Hellwig, linux-mm, 14 February 2023",
    },
    {
      who: "Jan Kara",
      date: "2018-07",
      says: "waiting for the pin deadlocks with an O_DIRECT write that needs a transaction",
      source: "20180709160806.xjt2l2pbmyiutbyi@quack2.suse.cz",
    },
    {
      who: "Jan Kara",
      date: "2023-02",
      says: "sensible: writeback ignores pages that are pinned for long, and filemap_fdatawrite copies and writes them",
      source: "20230227113926.jr7wuhmiul7346as@quack3",
    },
  ],
} satisfies Partial<Proposal>;

export const hellwig_short_pins_2023: Proposal = {
  ...common,
  name: "hellwig-short-pins-2023",
  help: "writeback waits for short pins, under the page lock, and ignores what is pinned for long; fsync writes that by direct I/O of the kernel's own",
  edits: writes_pinned(false, long_pins([waits()])),
};

export const hellwig_short_pins_unlocked_2023: Proposal = {
  ...common,
  name: "hellwig-short-pins-unlocked-2023",
  help: "the same, and the page lock is given back for the wait (in no mail)",
  edits: writes_pinned(
    false,
    long_pins([
      when<Walk>("folio_maybe_dma_pinned", (k, f) => pinned_short(k, f.page), [
        unlock<Walk>(),
        waits(),
        goto<Walk>("page"),
      ]),
    ]),
  ),
};
