/**
 * Filesystems without ->writepage: reclaim cannot write their pages any more, and leaves them to the flusher.
 *
 * Source: the address_space_operations of xfs (commit 21b4ee7029c9, v5.15), btrfs (f3e90c1ca93d, v6.0) and ext4 (dae999602eeb, v6.2), and
 * pageout() in mm/vmscan.c, which activates a page whose filesystem has no writepage. v6.16 took the operation out of the kernel (84798514db50,
 * 6b0dfabb3555); the last filesystem modelled here had lost it by then. activate-dirty-files is what shrink_folio_list became of it: it asks for
 * no PGDAT_DIRTY, does not come to pageout with a page of a file, and marks each dirty one to be freed when it has been written.
 *
 * What it mends: pageout gives the page lock away, the page can be mapped, pinned and cleaned meanwhile, and nobody asks again whether it is pinned
 * before its buffers are freed (a window of kernels that have keep-private-of-pinned and a writepage: the stable ones).
 *
 * Left out: jbd2's commit of ordered data, which called ext4's writepage, calls a function of ext4's own since (v6.2); it does the same here.
 */
import type { Kernel } from "../kernel/kernel.js";
import { goto, held, leave, step, when } from "../kernel/language.js";
import { page_is_file_cache, SetPageReclaim } from "../kernel/mm/page.js";
import { PAGE, shrink_page_list } from "../kernel/mm/vmscan.js";
import { FS, fs_of_page } from "../kernel/operations.js";
import type { Pfn } from "../kernel/types.js";
import { before, type Edit, replace } from "../machine/patch.js";
import type { Patch } from "./patch.js";

interface HasPage {
  readonly page: Pfn;
}

/** pageout() of a filesystem's page: a_ops->writepage is NULL. */
const no_writepage = (fs: number): Edit =>
  before<HasPage>("pageout", "clear_page_dirty_for_io", [
    held(
      when("a_ops->writepage == NULL", (k, f) => fs_of_page(k, f.page) === fs, [leave(() => PAGE.ACTIVATE)]),
    ),
  ]);

export const xfs_no_writepage: Patch = {
  name: "xfs-no-writepage",
  title: "xfs: drop ->writepage completely",
  author: "Dave Chinner",
  date: "2021-08",
  commit: "21b4ee7029c9",
  uncertain: "the month: it was posted in 2018 first, and merged in August 2021",
  help: "kswapd writes no page of an xfs file: it activates it",
  edits: [no_writepage(FS.xfs)],
};

export const btrfs_no_writepage: Patch = {
  name: "btrfs-no-writepage",
  title: "btrfs: remove extent writepage address space operation",
  author: "Christoph Hellwig",
  date: "2022-06",
  commit: "f3e90c1ca93d",
  help: "kswapd offers btrfs no page to write, which it refused to do anyway: it activates it",
  edits: [no_writepage(FS.btrfs)],
};

export const ext4_no_writepage: Patch = {
  name: "ext4-no-writepage",
  title: "ext4: stop providing .writepage hook",
  author: "Jan Kara",
  date: "2022-12",
  commit: "dae999602eeb",
  help: "kswapd writes no page of an ext4 file: it activates it",
  edits: [no_writepage(FS.ext4)],
};

export const activate_dirty_files: Patch = {
  name: "activate-dirty-files",
  title: "mm: vmscan: simplify the logic for activating dirty file folios",
  author: "Baolin Wang",
  date: "2025-10",
  commit: null,
  uncertain: "its commit, and whether v6.19 was the first release that had it",
  help: "kswapd marks a dirty page of a file to be freed when it has been written, and activates it, however many are dirty",
  edits: [
    // A task that reclaims for itself has left them alone all along.
    replace<HasPage>(shrink_page_list, "!PGDAT_DIRTY", [
      held(
        when<HasPage>("page_is_file_cache", (k, f) => page_is_file_cache(k, f.page), [
          step<HasPage>("SetPageReclaim", (k: Kernel, f) => {
            k.count("nr_vmscan_immediate_reclaim");
            SetPageReclaim(k, f.page);
          }),
          goto("activate_locked"),
        ]),
      ),
    ]),
  ],
};
