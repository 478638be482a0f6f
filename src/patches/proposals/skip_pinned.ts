/**
 * Background writeback leaves pinned pages alone: it cannot make them clean for good, and reclaim cannot have them.
 *
 * kara-skip-2018: the plan of July 2018, of Jan Kara and John Hubbard (20180710082100.mkdwngdv5kkrcz6n): writeback that only wants memory clean (WB_SYNC_NONE) skips a pinned page, in every filesystem. Here with Kara's
 * advice of 2 July: the page is write-protected first and the question comes then, as nobody can pin it any more while it is locked. It stays dirty, with its tags.
 *
 * kara-skip-2023: patch 3/5 of "Writeback handling of pinned pages", Jan Kara, 9 February 2023. clear_page_dirty_for_io() is told the writeback_control; it write-protects, asks, and gives false. A caller that passes none is
 * thought to have pages that nobody pins, and is warned of (WARN_ON_ONCE).
 *
 * As posted: ext4's mpage_submit_page() passes none, whoever asks. So on ext4 nothing is skipped; what is new is the warning. pageout() passes none, too, for which patch 1/5 was to be there (keep-private-of-pinned); a
 * pin that comes after that one's question is warned of.
 *
 * What the plan does, and nobody claimed of it: a page that is dirty when it is pinned for writing stays so until somebody asks for integrity. So reclaim does not strip it, fsync finds what a device wrote although nobody has said so yet, and
 * btrfs keeps its reservation: alone it ends W1 (but for an O_DIRECT write of the file), W2, W4, W5 and W6.
 *
 * What both leave: integrity (fsync) writes a pinned page as before, so that sums break still; reclaim, invalidation and truncation strip as before. The page is looked at by each wake-up of the flusher for as
 * long as it is pinned.
 *
 * Left out: nr_to_write and b_more_io after a skipped page.
 */

import { mpage_prepare_extent_to_map } from "../../kernel/fs/ext4/writepages.js";
import { mpage_prepare_extent_to_map as mpage_prepare_extent_to_map_whole } from "../../kernel/fs/ext4.js";
import type { Kernel } from "../../kernel/kernel.js";
import { call, given, goto, leave, local, path, step, when } from "../../kernel/language.js";
import { page_mapping } from "../../kernel/mm/filemap.js";
import { TestClearPageDirty, unlock } from "../../kernel/mm/page.js";
import { account_page_cleaned, set_page_dirty } from "../../kernel/mm/page_writeback.js";
import { page_mkclean } from "../../kernel/mm/rmap.js";
import { mapping_cap_account_dirty } from "../../kernel/operations.js";
import { int, type Pfn, pfn } from "../../kernel/types.js";
import { type AnyPath, after, before, type Edit, locals } from "../../machine/patch.js";
import type { Node } from "../../machine/path.js";
import type { Proposal } from "./proposal.js";
import { tells_sync_mode, WB_SYNC } from "./sync_mode.js";
import { page_dma_pinned } from "./tracking.js";
import { trackings } from "./trackings.js";

/** A local of the walk that is 0 where the question is put. */
export type Scratch = "ret" | "blocks" | "cleaned";
export type Walk = { readonly sync: number; page: Pfn } & { [N in Scratch]: number };

/** How a walk asks whether a page is pinned: the test's name, what it asks, and what comes before it. */
export interface Question {
  readonly name: string;
  readonly asks: (k: Kernel, page: Pfn) => boolean;
  readonly first: readonly Node<Kernel, Walk>[];
}
const ANY_PIN: Question = { name: "PageDmaPinned", asks: page_dma_pinned, first: [] };

/**
 * A walk has its page locked: for whom `asks` is true it is write-protected, and left if it is pinned then. Goes on at the label `then`, which for
 * "release" is behind the unlocking.
 */
export const skip = (
  cleaned: Scratch,
  asks: (f: Walk) => boolean,
  then: "continue_unlock" | "release",
  pinned: Question = ANY_PIN,
): Node<Kernel, Walk> =>
  given<Walk>(
    (_, f) => asks(f),
    [
      call(() => page_mkclean, { page: "page" }, cleaned),
      given<Walk>(
        (_, f) => f[cleaned] > 0,
        [
          local<Walk>((_, f) => {
            f[cleaned] = 0;
          }),
          call(() => set_page_dirty, { page: "page" }),
        ],
      ),
      ...pinned.first,
      when<Walk>(pinned.name, (k, f) => pinned.asks(k, f.page), [
        ...(then === "release" ? [unlock<Walk>()] : []),
        goto<Walk>(then),
      ]),
    ],
  );

/** Those who only want memory clean. */
const background = (f: Walk): boolean => f.sync === WB_SYNC.NONE;

/** Behind the locked page of ext4's walk. */
const skips_in_ext4 = (path: AnyPath, cleaned: Scratch): Edit =>
  after(path, "wait_on_page_writeback", [skip(cleaned, background, "release")]);

export const kara_skip_2018: Proposal = {
  name: "kara-skip-2018",
  ideas: ["A12", "A11"],
  title: "mm/fs: put_user_page() proposal",
  author: "Jan Kara",
  date: "2018-07",
  commit: null,
  source: "20180710082100.mkdwngdv5kkrcz6n@quack2.suse.cz",
  help: "background writeback skips pinned pages; integrity writes them",
  needs_one: trackings,
  remarks: [
    {
      who: "Matthew Wilcox",
      date: "2018-07",
      says: "why write a page that is pinned: its holder is taken to dirty it all the time, and it cannot be evicted",
      source: "20180709171651.GE2662@bombadil.infradead.org",
    },
    {
      who: "Jan Kara",
      date: "2018-07",
      says: "for cleaning memory skipping is right; fsync that skips would lie",
      source: "20180710082100.mkdwngdv5kkrcz6n@quack2.suse.cz",
    },
  ],
  edits: [
    before("write_cache_pages", "clear_page_dirty_for_io", [skip("ret", background, "continue_unlock")]),
    before("extent_write_cache_pages", "clear_page_dirty_for_io", [
      skip("ret", background, "continue_unlock"),
    ]),
    skips_in_ext4(mpage_prepare_extent_to_map, "blocks"),
    locals(mpage_prepare_extent_to_map_whole, { cleaned: int }),
    skips_in_ext4(mpage_prepare_extent_to_map_whole, "cleaned"),
  ],
};

/** Bit of the WARN_ON_ONCE site. */
const WARN_pinned_without_wbc = 27;

/** folio_clear_dirty_for_io of the series. Gives 1 when the page was dirty and is to be written. */
const clear_page_dirty_for_io = path(
  "clear_page_dirty_for_io",
  {
    source: "mm/page-writeback.c, February 2023",
    args: { page: pfn, sync_mode: int },
    locals: { cleaned: int },
    returns: int,
  },
  [
    given(
      (k, f) => mapping_cap_account_dirty(k, page_mapping(k, f.page)),
      [
        call(() => page_mkclean, { page: "page" }, "cleaned"),
        given((_, f) => f.cleaned > 0, [call(() => set_page_dirty, { page: "page" })]),
        given(
          (_, f) => f.sync_mode === WB_SYNC.NONE,
          [when("folio_maybe_dma_pinned", (k, f) => page_dma_pinned(k, f.page), [leave(() => 0)])],
        ),
        given(
          (_, f) => f.sync_mode === WB_SYNC.no_wbc,
          [
            step("WARN_ON_ONCE", (k, f) => {
              k.WARN_ON_ONCE(
                page_dma_pinned(k, f.page),
                WARN_pinned_without_wbc,
                "folio_clear_dirty_for_io: WARN_ON_ONCE(!wbc && folio_maybe_dma_pinned(folio))",
                f.page,
              );
            }),
          ],
        ),
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

export const kara_skip_2023: Proposal = {
  name: "kara-skip-2023",
  ideas: ["A12"],
  title: "mm: Do not try to write pinned folio during memory cleaning writeback",
  author: "Jan Kara",
  date: "2023-02",
  commit: null,
  source: "20230209123206.3548-3-jack@suse.cz",
  help: "background writeback skips pinned pages where it says that it is that; on ext4 it does not, and a warning is all that is new",
  needs_one: trackings,
  remarks: [
    {
      who: "Jan Kara",
      date: "2023-02",
      says: "the page cannot be reclaimed while it is pinned, nobody can be sure that it is clean, and its write can break sums: so do not bother",
      source: "20230209123206.3548-3-jack@suse.cz",
    },
    {
      who: "John Hubbard",
      date: "2023-02",
      says: "one more caller has to say for whom it writes, in i915's shmem",
      source: "reply to 20230209123206.3548-3-jack@suse.cz, 10 February 2023",
    },
  ],
  edits: tells_sync_mode(clear_page_dirty_for_io, { ext4: WB_SYNC.no_wbc, pageout: WB_SYNC.no_wbc }),
};
