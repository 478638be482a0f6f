/**
 * What the filesystem keeps on a pinned page is freed at the last put, and not before.
 *
 * Dan Williams, 3 January 2018, as a question to Jan Kara: need page_mkclean() be blocked, or could buffers be reclaimed at the last put of the page? The put would call back into the filesystem, by a new address_space operation. Kara, 4 January: buffers are not the
 * matter so much; filesystems do not expect that a page is dirtied after page_mkclean().
 *
 * What it inserts: try_to_release_page() of a pinned page notes it and says no, whoever asks: reclaim, invalidation, migration. When the last pin is put and the page is so marked, ->releasepage is called then, if the page lock can be had at once (the put may come
 * from an interrupt) and the page is neither dirty nor under writeback. If it cannot be had the page is as any other: the next who wants its buffers gets them. (The put of v4.20's put_user_page(); a kernel with FOLL_PIN has no call there,
 * and the mark means nothing.)
 *
 * Close to what v6.4 does in reclaim alone (keep-private-of-pinned), which needs no call at the put.
 *
 * What nobody claimed: whoever strips calls this one function, so that an O_DIRECT write of the file does no harm either (W1 with strip=diowrite, W3); the patches of 2018 and v6.4 look at reclaim. And a pin for writing does not come between the question and the freed
 * buffers: a page that is clean is write-protected, and a fault wants the page lock.
 *
 * What it leaves: the page is cleaned while it is pinned, and then dirtied without page_mkwrite: sums (W6), fsync (W5), reservations (btrfs).
 */
import type { Kernel } from "../../kernel/kernel.js";
import { call, check, goto, held, label, leave, local, step, tries, when } from "../../kernel/language.js";
import { PG_locked } from "../../kernel/locks.js";
import { page_mapping } from "../../kernel/mm/filemap.js";
import { PageDirty, PageWriteback, page_has_private, trylock_page, unlock } from "../../kernel/mm/page.js";
import { try_to_release_page } from "../../kernel/mm/vmscan.js";
import { int, type Pfn } from "../../kernel/types.js";
import { struct, u8 } from "../../machine/memory.js";
import { before, locals } from "../../machine/patch.js";
import type { Proposal } from "./proposal.js";
import { page_dma_pinned } from "./tracking.js";
import { trackings } from "./trackings.js";

const deferred_release = struct("deferred_release", {
  deferred: u8("1 while somebody has wanted what the filesystem keeps on the page, and it is pinned"),
});

interface HasPage {
  readonly page: Pfn;
}
interface Put extends HasPage {
  released: number;
}

/** What can be freed of a locked page. */
const releasable = (k: Kernel, page: Pfn): boolean =>
  page_mapping(k, page) !== 0 && page_has_private(k, page) && !PageDirty(k, page) && !PageWriteback(k, page);

export const williams_defer_release_2018: Proposal = {
  name: "williams-defer-release-2018",
  ideas: ["A27"],
  title: "Re: Filesystem crashes due to pages without buffers",
  author: "Dan Williams",
  date: "2018-01",
  commit: null,
  source: "CAPcyv4grBxGs0cnFVyRx29t0xhG5EBTy_nP=qhsVh5=8nusNsw@mail.gmail.com",
  help: "nobody frees the buffers of a pinned page: who wanted to has it done at the last put, if the page is clean then",
  needs_one: trackings,
  remarks: [
    {
      who: "Jan Kara",
      date: "2018-01",
      says: "the buffers are not the problem so much: filesystems do not expect that a page is dirtied once page_mkclean has ended",
      source: "20180104113301.GE29010@quack2.suse.cz",
    },
    {
      who: "Jan Kara",
      date: "2018-01",
      says: "references are of no use for it: those of get_user_pages must be told from others",
      source: "20180104113301.GE29010@quack2.suse.cz",
    },
  ],
  tables: [{ struct: deferred_release, rows: (g) => g.pages + (g.zeroPage ? 1 : 0) }],
  edits: [
    before<HasPage>("try_to_release_page", "PageWriteback", [
      when("PageDmaPinned", (k, f) => page_dma_pinned(k, f.page), [
        step("defer", (k, f) => {
          k.of(deferred_release).deferred[f.page] = 1;
        }),
        leave(() => 0),
      ]),
    ]),
    locals("put_user_page", { released: int }),
    // The reference is there still.
    before<Put>("put_user_page", "put_page", [
      when(
        "a_ops->page_unpinned",
        (k, f) => k.of(deferred_release).deferred[f.page] === 1 && !page_dma_pinned(k, f.page),
        [
          held(
            step("undefer", (k, f) => {
              k.of(deferred_release).deferred[f.page] = 0;
            }),
          ),
          tries(
            PG_locked,
            check("trylock_page", (k, f) => trylock_page(k, f.page), "busy"),
          ),
          when("PageDirty", (k, f) => !releasable(k, f.page), [unlock(), goto("busy")]),
          call(() => try_to_release_page, { page: "page" }, "released"),
          local((_, f) => {
            f.released = 0;
          }),
          unlock(),
          label("busy"),
        ],
      ),
    ]),
  ],
};
