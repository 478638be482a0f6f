/**
 * Pages that are pinned for long leave their LRU list, and are counted in its two words; short pins are left alone.
 *
 * February 2023, in the thread of "Writeback handling of pinned pages". Matthew Wilcox, 9 February: why are pinned pages not taken off the LRU, if all that reclaim does with them is to pass them by?
 * Jan Kara: that would be right, and was too slow in 2018, when every O_DIRECT took its pages off. Christoph Hellwig, 13 February: tell short pins from long ones; short ones need nothing done, and writeback waits for
 * them (hellwig-short-pins-2023); long ones should be off the LRU. Kara: the words of page->lru are free then, for a count of long pins; let John Hubbard revive his patches of 2018 (hubbard-lru-2018). Hubbard liked
 * it, and would have it as with mm_users and mm_count: long pins are counted there, and all of them together are one pin in the count that there is already. Nobody posted a patch.
 *
 * So here: November's patch of 2018, for pins with FOLL_PIN and FOLL_LONGTERM alone.
 * - At the end of pin_user_pages and of pin_user_pages_fast. pin_page_for_dma() takes each page off its list, counts 1 and sets the flag; that page's pin stays, and is that of all that follow: they are counted
 *   up, and give theirs back.
 * - A pin does not tell when it ends whether it was a long one. The users that pin for long call unpin_user_page_longterm: RDMA, VFIO, io_uring, AF_XDP, video capture. It counts down; the last puts the page back
 *   on its list and drops the one pin. Count and flag are under one lock here: the last user is known before anybody else can come.
 * - page_maybe_dma_pinned() answers as before, and reclaim does not see such a page at all.
 *
 * What it leaves: the flusher, fsync and everybody else who comes by the mapping (Kara said so). Pages of huge pages' pools have owners' lists in these words. A page that reclaim has isolated, or that is in a batch, is
 * noted all the same, into words that are somebody else's: as in 2018. lru-waits-isolation waits instead.
 *
 * Left out: udmabuf (memfd_pin_folios, v6.11, which pins for long without pin_user_pages).
 */

import type { Kernel } from "../../kernel/kernel.js";
import { call, given, path, step, under } from "../../kernel/language.js";
import { lru_lock } from "../../kernel/locks.js";
import { compound_head } from "../../kernel/mm/compound.js";
import { PageLRU } from "../../kernel/mm/page.js";
import { putback_lru_page } from "../../kernel/mm/swap.js";
import { int, NONE, type Pfn, pfn } from "../../kernel/types.js";
import { type AnyPath, after, type Edit, locals, recall } from "../../machine/patch.js";
import { frame_vector_longterm } from "../frame_vector_longterm.js";
import { FOLL_LONGTERM } from "../longterm_flag.js";
import { pin_user_pages, pin_user_pages_fast, unpin_user_page } from "../pin_user_pages.js";
import { track_foll_pin, unpin } from "../track_foll_pin.js";
import {
  type Call,
  dec_and_test,
  forget_noted,
  has,
  INSERTS,
  KEEPS_REFERENCE,
  notes_rest,
  PageDmaPinned,
  pin_page_for_dma,
  vm_bug_on,
  WORDS,
  write_words,
  zone_gup_lock,
} from "./lru_words.js";
import type { Proposal } from "./proposal.js";
import { PAGE_DMA_PINNED_WAS_LRU, page_lru_words } from "./tracking.js";

const note = pin_page_for_dma("mm/gup.c, February 2023", {
  isolated: write_words,
  // One pin in the general count is that of all.
  again: unpin,
});

interface Pins extends Call {
  readonly flags: number;
}

const notes = (pins: AnyPath, anchor: string, longterm: (f: Pins) => boolean): readonly Edit[] => [
  locals(pins, { noted: int, pinned: pfn }),
  after<Pins>(pins, anchor, [notes_rest<Pins>(note, (_, f) => longterm(f)), forget_noted]),
];

/** The end of a long pin. */
const unpin_user_page_longterm = path(
  "unpin_user_page_longterm",
  { source: "mm/gup.c, February 2023", args: { page: pfn } },
  [
    under(zone_gup_lock, [
      under(lru_lock, [
        step("atomic_dec_and_test", (k, f) => {
          const page = compound_head(k, f.page);
          const pinned = PageDmaPinned(k, page);
          if (vm_bug_on(k, PageLRU(k, page), "unpin_user_page_longterm: VM_BUG_ON_PAGE(PageLRU(page))", page))
            return;
          if (!dec_and_test(k, page)) {
            // Somebody else's pin is the one that is counted.
            if (pinned) f.page = NONE;
            return;
          }
          const was_lru = has(k, page, PAGE_DMA_PINNED_WAS_LRU);
          k.of(page_lru_words).dma_pinned_flags[page] = 0;
          if (was_lru) putback_lru_page(k, page);
        }),
      ]),
    ]),
    given((_, f) => f.page !== NONE, [call(() => unpin_user_page, { page: "page" })]),
  ],
);

/** Who pins for long, where he lets go. */
const LONGTERM = [
  "__ib_umem_release",
  "io_release_buffer",
  "xdp_umem_unpin_pages",
  "put_pfn",
  "vfio_unpin_pages_remote",
  "put_vaddr_frames",
];

/** Whether a kernel that tells long pins from short ones says that a page has a long one. */
export const page_longterm_pinned = (k: Kernel, page: Pfn): boolean =>
  PageDmaPinned(k, compound_head(k, page));

export const hubbard_lru_longterm_2023: Proposal = {
  name: "hubbard-lru-longterm-2023",
  ideas: ["A6", "A17"],
  title: "Re: [PATCH 1/5] mm: Do not reclaim private data from pinned page",
  author: "John Hubbard",
  date: "2023-02",
  commit: null,
  source: "replies to 20230209123206.3548-1-jack@suse.cz, 9 to 14 February 2023; no patch was posted",
  since: "v6.2",
  uncertain:
    "how a long pin ends, of which no mail was found; and the replies of 14 February, whose text could not be read",
  help: "pages that are pinned for long leave their LRU list, and are counted in page->lru; the last such pin puts them back",
  needs: [track_foll_pin, frame_vector_longterm],
  ...WORDS,
  remarks: [
    {
      who: "Matthew Wilcox",
      date: "2023-02",
      says: "if reclaim is to pass pinned pages by, why are they not off the LRU?",
      source: "Y+Ucq8A+WMT0ZUnd@casper.infradead.org",
    },
    {
      who: "Jan Kara",
      date: "2023-02",
      says: "pinned pages have to be written for fsync, which has nothing to do with the LRU; off it they would be right, and for O_DIRECT that was about a fifth slower in 2018",
      source: "20230210112954.3yzlyi4hjgci36yn",
    },
    {
      who: "Christoph Hellwig",
      date: "2023-02",
      says: "short pins need nothing done, and writeback waits for them; pages that are pinned for long should be off the LRU",
      source: "Y+oI+AYsADUZsB7m@infradead.org",
    },
    {
      who: "Jan Kara",
      date: "2023-02",
      says: "off the LRU the words of the list can have a count of long pins, as in the patches of 2018",
      source: "reply to Christoph Hellwig, linux-mm, 14 February 2023",
    },
    {
      who: "John Hubbard",
      date: "2023-02",
      says: "long and short pins were told apart nowhere but where they are taken; a count of the long ones that stands for one pin in the general count does it",
      source: "reply to Jan Kara, linux-mm, 14 February 2023",
    },
  ],
  inserts: [
    ...INSERTS,
    KEEPS_REFERENCE,
    {
      into: "references_held",
      help: "all long pins of a page are one",
      run: (k, refs) => {
        const { dma_pinned_count } = k.of(page_lru_words);
        for (let page = 0; page < refs.length; page++)
          if (PageDmaPinned(k, page)) refs[page] -= dma_pinned_count[page] - 1;
      },
    },
  ],
  edits: [
    ...notes(pin_user_pages, "get_user_pages_longterm", () => true),
    ...notes(pin_user_pages_fast, "get_user_pages_fast", (f) => (f.flags & FOLL_LONGTERM) !== 0),
    ...LONGTERM.map((walk) => recall(walk, "unpin_user_page", () => unpin_user_page_longterm)),
  ],
};
