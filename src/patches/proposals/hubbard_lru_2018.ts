/**
 * Pins are counted in the two words of page->lru: a pinned page needs them for no list.
 *
 * Matthew Wilcox's idea, John Hubbard's patches: July 2018 (v2 5/6 of "mm/fs: gup: don't unmap or drop filesystem buffers"), 12 October 2018 (6/6), 10 November 2018
 * (RFC v2 6/6). A flag and a count, dma_pinned_flags and dma_pinned_count, are a union with lru.next and lru.prev: struct page does not grow. At the END of get_user_pages and
 * get_user_pages_fast pin_page_for_dma() takes each page off its LRU list, counts 1 and sets the flag; put_user_page counts down. Nobody asks yet.
 *
 * Here as in those mails, with what follows from them:
 * - The reference is taken in the walk, the note after all pages of a call: in between nobody knows.
 * - isolate_lru_page fails for a page that is on no list: in a batch (each new page), in reclaim's hands, a huge page, device memory. In October such a page is not
 *   noted, and put_user_page counts down all the same; in November it is noted all the same. Both write into words that may be somebody
 *   else's. Neither waits for the page to come to its list.
 * - In October nothing puts a page back on its list; in November put_user_page does, if the page was on one: a page that was in a batch comes on no list ever.
 * - put_user_page counts down without a lock, so that it does so too where nobody has counted up.
 *
 * What a list's owner finds that way is said where he takes the page off his list: "list_del corruption", which CONFIG_DEBUG_LIST says; without that option it is
 * memory that is overwritten. Of device memory pgmap has a flag in it while the page is pinned, and hmm_data is 0 for ever after: put_page of another reference
 * reads the type of the device at a wrong place, and wakes nobody.
 *
 * Two of the family are not noted, here as in the series:
 * - __get_user_pages_fast, which the series leaves alone. i915 takes its pages by it and puts them by put_user_page: counted down, and never up.
 * - get_dump_page, which calls __get_user_pages and none of the functions that note. A core dump puts its page by put_page: neither up nor down.
 *
 * Left out: lock_page_lru of memory control groups, lru_add_page_tail, the bits' numbers (the patch gives masks to test_bit).
 *
 * hubbard-lru-2018 is that of November.
 */

import type { Kernel } from "../../kernel/kernel.js";
import { call, given, local, step, under } from "../../kernel/language.js";
import { lru_lock } from "../../kernel/locks.js";
import { compound_head } from "../../kernel/mm/compound.js";
import { ClearPageActive, ClearPageUnevictable, PageLRU, page_count } from "../../kernel/mm/page.js";
import { put_page, putback_lru_page } from "../../kernel/mm/swap.js";
import { int, type Pfn, pfn } from "../../kernel/types.js";
import { type AnyPath, after, before, type Edit, locals } from "../../machine/patch.js";
import {
  type Call,
  dec_and_test,
  forget_noted,
  has,
  INSERTS,
  KEEPS_REFERENCE,
  type Noting,
  notes_rest,
  PageDmaPinned,
  pin_page_for_dma,
  vm_bug_on,
  WORDS,
  write_words,
  zone_gup_lock,
} from "./lru_words.js";
import { notes_refused } from "./noted.js";
import type { Proposal } from "./proposal.js";
import { converted, put_user_page, ref_user_page } from "./put_user_page.js";
import { PAGE_DMA_PINNED, PAGE_DMA_PINNED_WAS_LRU, page_lru_words } from "./tracking.js";

/** One of October and one of November. */
interface Version extends Noting {
  /** The count is 0, and is so still under the lock. */
  readonly last: (k: Kernel, page: Pfn) => void;
}

const OCTOBER: Version = {
  isolated: (k, page, yes) => {
    if (!yes) return;
    ClearPageActive(k, page);
    ClearPageUnevictable(k, page);
    // The isolation's reference goes at once.
    put_page(k, page);
    write_words(k, page, true);
    k.of(page_lru_words).dma_pinned_flags[page] = PAGE_DMA_PINNED;
  },
  last: (k, page) => {
    k.of(page_lru_words).dma_pinned_flags[page] = 0;
  },
};

const NOVEMBER: Version = {
  isolated: write_words,
  last: (k, page) => {
    const was_lru = has(k, page, PAGE_DMA_PINNED_WAS_LRU);
    k.of(page_lru_words).dma_pinned_flags[page] = 0;
    // With the reference that isolate_lru_page has taken.
    if (was_lru) putback_lru_page(k, page);
  },
};

interface Put {
  readonly page: Pfn;
  last: number;
}

/** put_user_page, but for put_page. */
const counts_down = ({ last }: Version): readonly Edit[] => [
  locals(put_user_page, { last: int }),
  before<Put>(put_user_page, "put_page", [
    step("atomic_dec_and_test", (k, f) => {
      f.last = dec_and_test(k, compound_head(k, f.page)) ? 1 : 0;
    }),
    given(
      (_, f) => f.last === 1,
      [
        under(zone_gup_lock, [
          under(lru_lock, [
            step("ClearPageDmaPinned", (k, f) => {
              const page = compound_head(k, f.page);
              if (vm_bug_on(k, PageLRU(k, page), "put_user_page: VM_BUG_ON_PAGE(PageLRU(page))", page))
                return;
              // Somebody may have counted up since.
              if (k.of(page_lru_words).dma_pinned_count[page] === 0) last(k, page);
            }),
          ]),
        ]),
        local((_, f) => {
          f.last = 0;
        }),
      ],
    ),
  ]),
  ...notes_refused((k, tail) => {
    const page = compound_head(k, tail);
    if (dec_and_test(k, page)) last(k, page);
  }),
];

interface Walk extends Call {
  readonly nr: number;
  got: number;
}

/** At the end of each function of get_user_pages; of the fast one, also of what the walk without a lock has found. */
function at_end(pin: AnyPath): readonly Edit[] {
  const rest = notes_rest<Walk>(pin);
  return [
    ...["get_user_pages_fast", "get_user_pages", "get_user_pages_locked"].map((name) =>
      locals(name, { noted: int, pinned: pfn }),
    ),
    after<Walk>("get_user_pages_fast", "local_irq_enable:", [
      rest,
      given<Walk>((_, f) => f.ret === f.nr, [forget_noted]),
    ]),
    ...["get_user_pages_fast", "get_user_pages_locked"].map((name) =>
      before<Walk>(name, "up_read(mm->mmap_sem)", [rest, forget_noted]),
    ),
    // Proposed a month later (provenance.ts): another reference is noted as one of get_user_pages is.
    after<{ readonly page: Pfn }>(ref_user_page, "get_page", [call(() => pin, { page: "page" } as never)]),
    // The caller keeps mmap_sem. The last page of the call has been taken, or one that cannot be had has been met.
    after<Walk>("get_user_pages", "__get_user_pages", [
      given(
        (_, f) => f.got !== 1 || f.ret + 1 === f.nr,
        [
          local((_, f) => {
            if (f.got === 1) f.ret++;
          }),
          rest,
          local((_, f) => {
            f.noted = 0;
            if (f.got === 1) f.ret--;
          }),
        ],
      ),
    ]),
  ];
}

const common = {
  ideas: ["A6", "A9"],
  author: "John Hubbard",
  commit: null,
  needs_one: converted,
  ...WORDS,
} satisfies Partial<Proposal>;

const october = pin_page_for_dma("mm/gup.c, 2018", OCTOBER);
const november = pin_page_for_dma("mm/gup.c, 2018", NOVEMBER);

export const hubbard_lru_v1_2018: Proposal = {
  ...common,
  name: "hubbard-lru-v1-2018",
  title: "mm: track gup pages with page->dma_pinned_* fields",
  date: "2018-10",
  source: "20181012060014.10242-7",
  help: "get_user_pages takes each page off its LRU list for good and counts in page->lru; a page that is on no list is not noted",
  remarks: [
    {
      who: "Dave Chinner",
      date: "2018-10",
      says: "a page that is taken off the LRU list and not put back is lost for reclaim",
      source: "reply to 20181012060014.10242-5, 13 October 2018",
    },
    {
      who: "John Hubbard",
      date: "2018-10",
      says: "the LRU handling is not all there: the flags should say which list a page was taken from",
      source: "af901585-3f9a-da35-81a4-50ea341844c4",
    },
  ],
  inserts: INSERTS,
  edits: [...at_end(october), ...counts_down(OCTOBER)],
};

export const hubbard_lru_2018: Proposal = {
  ...common,
  name: "hubbard-lru-2018",
  title: "mm: track gup pages with page->dma_pinned_* fields",
  date: "2018-11",
  source: "20181110085041.10071-7",
  help: "get_user_pages takes each page off its LRU list and counts in page->lru; the last put_user_page puts it back",
  remarks: [
    {
      who: "Jan Kara",
      date: "2018-11",
      says: "zone_gup_lock must be safe in interrupts: put_user_page is called there",
      source: "20181112135811.GF7175",
    },
    {
      who: "Dan Williams",
      date: "2018-12",
      says: "device pages use these words already",
      source: "CAPcyv4iNtamDAY9raab=iXhSZByecedBpnGybjLM+PuDMwq7SQ",
    },
    {
      who: "John Hubbard",
      date: "2018-12",
      says: "with device memory it goes very badly: pgmap and hmm_data are both corrupted",
      source: "3c91d335-921c-4704-d159-2975ff3a5f20",
    },
    {
      who: "Matthew Wilcox",
      date: "2018-12",
      says: "writeback never finds pages that are off the LRU, so that the crash cannot occur",
      source: "DMA and get_user_pages(), LWN, 12 December 2018",
    },
    {
      who: "Jan Kara",
      date: "2023-02",
      says: "writeback for data integrity has nothing to do with the LRU; pages off it cost about a fifth of the throughput",
      source: "20230210112954.3yzlyi4hjgci36yn",
    },
    {
      who: "John Hubbard",
      date: "2018-11",
      says: "9.2 us of system time an I/O, and a sixth of the I/Os, with the debugging options of the first runs",
      source: "f5ad7210-05e0-3dc4-02df-01ce5346e198",
    },
  ],
  costs: [
    {
      step: "pin_page_for_dma/pin_page_for_dma",
      ns: 187,
      source:
        "system time an I/O of one page, off the list and back, without debugging options: 2.306 us became 2.493 (0f093af1-dee9-51b6-0795-2c073a951fed)",
    },
  ],
  inserts: [
    ...INSERTS,
    {
      into: "put_page",
      help: "with CONFIG_DEBUG_VM: dies of a page that has more pins than references",
      run: (k, page) => {
        const { dma_pinned_count } = k.of(page_lru_words);
        const over = PageDmaPinned(k, page) && page_count(k, page) < dma_pinned_count[page];
        vm_bug_on(k, over, "put_page: VM_BUG_ON_PAGE(page_ref_count(page) < dma_pinned_count)", page);
      },
    },
    KEEPS_REFERENCE,
  ],
  edits: [...at_end(november), ...counts_down(NOVEMBER)],
};
