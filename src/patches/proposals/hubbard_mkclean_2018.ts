/**
 * Writeback and pinned pages, July 2018: pages that are pinned are not cleaned for those who only want memory clean; who wants integrity waits for the pin.
 *
 * hubbard-mkclean-2018: John Hubbard, 1 July 2018, patches 4/6 and 6/6 of "mm/fs: gup: don't unmap or drop filesystem buffers", after a plan of Jan Kara's that 4/6 quotes. clear_page_dirty_for_io() gets a sync_mode and
 * passes page_mkclean() whether to skip pinned pages (anything but WB_SYNC_ALL). page_mkclean_one() skips, or waits, in the rmap walk: under the page lock and i_mmap_rwsem.
 *
 * As posted, and not as planned:
 * - ext4's mpage_submit_page(), xfs_start_page_writeback() and pageout() pass WB_SYNC_ALL whoever asks: on ext4 the flusher waits for pins too.
 * - A skip skips the write protection only. PG_dirty is cleared behind it, and the page is written: the PTEs stay dirty and writable.
 * - In the other branch, too, it waits for a pin that comes after the question.
 *
 * What it breaks: whoever marks his pages dirty before he lets go takes the page lock for that (set_page_dirty_lock), and the lock is held by who waits for him: a circle of two. Kara found one with a transaction
 * in it (9 July): ext4_writepages holds a handle and waits for the pin of an O_DIRECT write, which waits for a handle, which a commit keeps from it that waits for ext4_writepages.
 *
 * kara-keep-mapped-2018: Jan Kara, 3 January 2018, the second of his first two ideas: the page stays mapped for writing until its user lets go. page_mkclean() waits for the pin, whoever cleans, and
 * try_to_unmap() fails. He saw at once that long pins are impossible with it.
 *
 * Left out: zone_gup_lock (its sections are single steps), truncation's and memory failure's page_mkclean, that the wait was a loop around schedule().
 */

import { type Kernel, PTE } from "../../kernel/kernel.js";
import {
  call,
  config,
  given,
  goto,
  held,
  label,
  leave,
  local,
  path,
  repeat,
  step,
  wait,
  when,
} from "../../kernel/language.js";
import { page_mapping } from "../../kernel/mm/filemap.js";
import { invalidate_page_end, invalidate_page_start } from "../../kernel/mm/mmu_notifier.js";
import { page_mapped, TestClearPageDirty } from "../../kernel/mm/page.js";
import { account_page_cleaned, set_page_dirty } from "../../kernel/mm/page_writeback.js";
import { set_pte } from "../../kernel/mm/rmap.js";
import { next_vma, rmap_walk_file } from "../../kernel/mm/rmap_walk.js";
import { mapping_cap_account_dirty } from "../../kernel/operations.js";
import { int, type Pfn, pfn } from "../../kernel/types.js";
import { replace } from "../../machine/patch.js";
import type { FrameOf } from "../../machine/path.js";
import { hubbard_ttu_serialised_2018 } from "./hubbard_ttu_2018.js";
import type { Proposal } from "./proposal.js";
import { tells_sync_mode, WB_SYNC } from "./sync_mode.js";
import { page_dma_pinned } from "./tracking.js";
import { trackings } from "./trackings.js";

const MKCLEAN = {
  source: "mm/rmap.c, July 2018",
  args: { page: pfn, skip_pinned_pages: int },
  locals: { vma: int, skipped: int },
  returns: int,
} as const;

/** Clean and write-protect one PTE. Gives whether it was dirty or writable. */
function clean_pte(k: Kernel, page: Pfn, vma: number): boolean {
  const at = k.pteAt(vma - 1, page);
  if (at < 0) return false;
  const entry = k.pte.entry[at];
  if ((entry & (PTE.dirty | PTE.write)) === 0) return false;
  set_pte(k, at, entry & ~(PTE.dirty | PTE.write), page);
  return true;
}

/** page_mkclean that skips a pinned page, or waits for it. Gives 1 when PTEs were cleaned and none was skipped. */
const page_mkclean = path("page_mkclean", MKCLEAN, [
  held(when("page_mapped", (k, f) => !page_mapped(k, f.page), [leave()])),
  ...rmap_walk_file<FrameOf<typeof MKCLEAN>>([
    local((k, f) => {
      f.vma = next_vma(k, f.page, 0, true);
    }),
    repeat(
      (_, f) => f.vma !== 0,
      [
        given(
          (_, f) => f.skip_pinned_pages === 1,
          [
            when("PageDmaPinned", (k, f) => page_dma_pinned(k, f.page), [
              local((_, f) => {
                f.skipped = 1;
              }),
              goto("out"),
            ]),
          ],
        ),
        config("notifier", [call(() => invalidate_page_start, { page: "page", vma: "vma" })]),
        // From here to the end of the walk over this VMA's PTEs nobody can pin the page.
        wait(
          "wait_for_dma_pinned_to_clear",
          (k, f) => !page_dma_pinned(k, f.page),
          (k, f) => {
            if (clean_pte(k, f.page, f.vma)) f.ret = 1;
          },
        ),
        config("notifier", [call(() => invalidate_page_end, { page: "page", vma: "vma" })]),
        local((k, f) => {
          f.vma = next_vma(k, f.page, f.vma, true);
        }),
      ],
    ),
    label("out"),
  ]),
  given((_, f) => f.skipped === 1, [leave(() => 0)]),
]);

/** clear_page_dirty_for_io that is told for whom. Gives 1 when the page was dirty. */
const clear_page_dirty_for_io = path(
  "clear_page_dirty_for_io",
  {
    source: "mm/page-writeback.c, July 2018",
    args: { page: pfn, sync_mode: int },
    locals: { skip_pinned_pages: int, cleaned: int },
    returns: int,
  },
  [
    given(
      (k, f) => mapping_cap_account_dirty(k, page_mapping(k, f.page)),
      [
        local((_, f) => {
          f.skip_pinned_pages = f.sync_mode === WB_SYNC.ALL ? 0 : 1;
        }),
        call(() => page_mkclean, { page: "page", skip_pinned_pages: "skip_pinned_pages" }, "cleaned"),
        given((_, f) => f.cleaned > 0, [call(() => set_page_dirty, { page: "page" })]),
        step("TestClearPageDirty", (k, f) => {
          f.ret = TestClearPageDirty(k, f.page) ? 1 : 0;
          if (f.ret === 1) account_page_cleaned(k, page_mapping(k, f.page));
        }),
        leave(),
      ],
    ),
    step("TestClearPageDirty", (k, f) => {
      f.ret = TestClearPageDirty(k, f.page) ? 1 : 0;
    }),
  ],
);

export const hubbard_mkclean_2018: Proposal = {
  name: "hubbard-mkclean-2018",
  ideas: ["A11"],
  title:
    "mm/fs: add a sync_mode param for clear_page_dirty_for_io(); mm: page_mkclean, ttu: handle pinned pages",
  author: "John Hubbard",
  date: "2018-07",
  commit: null,
  source: "20180702005654.20369-5, 20180702005654.20369-7",
  help: "page_mkclean skips a pinned page for background writeback, and waits for the pin for integrity; on ext4 and xfs it always waits",
  needs_one: trackings,
  remarks: [
    {
      who: "Nicholas Piggin",
      date: "2018-07",
      says: "a filesystem that blocks there holds page locks and more: with long references there are hangs and deadlocks everywhere",
      source: "20180709184937.7a70c3aa@roar.ozlabs.ibm.com",
    },
    {
      who: "Jan Kara",
      date: "2018-07",
      says: "waiting for the pin deadlocks with an O_DIRECT write that needs a transaction",
      source: "20180709160806.xjt2l2pbmyiutbyi@quack2.suse.cz",
    },
    {
      who: "Matthew Wilcox",
      date: "2018-07",
      says: "it should not block, it should fail",
      source: "20180709171651.GE2662@bombadil.infradead.org",
    },
    {
      who: "Jan Kara",
      date: "2018-07",
      says: "fsync cannot skip pages, as that would lie, and not only about what came by DMA; and no program expects it to fail",
      source: "20180709194740.rymbt2fzohbdmpye@quack2.suse.cz",
    },
  ],
  edits: tells_sync_mode(clear_page_dirty_for_io, {
    ext4: WB_SYNC.ALL,
    xfs: WB_SYNC.ALL,
    pageout: WB_SYNC.ALL,
  }),
};

interface Mkclean {
  readonly page: Pfn;
  vma: number;
  ret: number;
}

export const kara_keep_mapped_2018: Proposal = {
  name: "kara-keep-mapped-2018",
  ideas: ["A26"],
  title: "Filesystem crashes due to pages without buffers",
  author: "Jan Kara",
  date: "2018-01",
  commit: null,
  source: "20180103100430.GE4911@quack2.suse.cz",
  help: "a pinned page stays mapped for writing: who cleans it waits for the pin, and reclaim does not unmap it",
  needs_one: trackings,
  remarks: [
    {
      who: "Jan Kara",
      date: "2018-01",
      says: "cleaner than to fault the page in again, but it needs a count of its own, and page_mkclean cannot be blocked for as long as RDMA or video capture pin",
      source: "20180103100430.GE4911@quack2.suse.cz",
    },
  ],
  edits: [
    replace<Mkclean>("page_mkclean", "under ptl", [
      wait(
        "wait_for_dma_pinned_to_clear",
        (k, f) => !page_dma_pinned(k, f.page),
        (k, f) => {
          if (clean_pte(k, f.page, f.vma)) f.ret++;
        },
      ),
    ]),
    ...hubbard_ttu_serialised_2018.edits,
  ],
};
