/**
 * The words of page->lru as flags and a count: what every version of the idea does with them (hubbard_lru_2018.ts, hubbard_lru_longterm_2023.ts).
 *
 * A page that is noted is off its list, if it was on one; whoever has the links of one that was not finds something else in them.
 */
import type { Insert } from "../../kernel/inserts.js";
import type { Kernel } from "../../kernel/kernel.js";
import { call, local, path, repeat, step, under } from "../../kernel/language.js";
import { lru_lock } from "../../kernel/locks.js";
import { compound_head } from "../../kernel/mm/compound.js";
import { is_zone_device_page } from "../../kernel/mm/memremap.js";
import { PageLRU } from "../../kernel/mm/page.js";
import { isolate_lru_page } from "../../kernel/mm/swap.js";
import { page_of } from "../../kernel/mm/user_pages.js";
import { NONE, type PagesNr, type Pfn, pfn } from "../../kernel/types.js";
import { lockClass } from "../../machine/lock.js";
import type { AnyPath } from "../../machine/patch.js";
import type { Proposal } from "./proposal.js";
import { PAGE_DMA_PINNED, PAGE_DMA_PINNED_WAS_LRU, page_lru_words } from "./tracking.js";

/** zone->zone_gup_lock: the flag, and who sets and clears it; the count has no lock. */
export const zone_gup_lock = lockClass("zone->zone_gup_lock", "spin");

export const has = (k: Kernel, page: Pfn, flag: number): boolean =>
  (k.of(page_lru_words).dma_pinned_flags[page] & flag) !== 0;
export const PageDmaPinned = (k: Kernel, page: Pfn): boolean => has(k, page, PAGE_DMA_PINNED);

/** VM_BUG_ON_PAGE, with CONFIG_DEBUG_VM. */
export const vm_bug_on = (k: Kernel, condition: boolean, where: string, page: Pfn): boolean =>
  k.has("debug_vm") && k.BUG_ON(condition, `${where}`, page);

/** Whether the two words of a page are nobody's: the page has just been taken off its list. If not, what stood there is lost. */
export function write_words(k: Kernel, page: Pfn, mine: boolean): void {
  const words = k.of(page_lru_words);
  words.dma_pinned_count[page] = 1;
  words.dma_pinned_flags[page] |= PAGE_DMA_PINNED | (mine ? PAGE_DMA_PINNED_WAS_LRU : 0);
  words.lost[page] = mine ? 0 : 1;
}

/** What one version does where another does something else. */
export interface Noting {
  /** isolate_lru_page has said no, or yes. */
  readonly isolated: (k: Kernel, page: Pfn, yes: boolean) => void;
  /** The page has been counted once more, and was pinned before. */
  readonly again?: (k: Kernel, page: Pfn) => void;
}

/** Note a page: off its list, a count, a flag. */
export const pin_page_for_dma = (source: string, { isolated, again = () => {} }: Noting) =>
  path("pin_page_for_dma", { source, args: { page: pfn } }, [
    under(zone_gup_lock, [
      under(lru_lock, [
        step("pin_page_for_dma", (k, f) => {
          const page = compound_head(k, f.page);
          if (!PageDmaPinned(k, page)) {
            isolated(k, page, isolate_lru_page(k, page));
            return;
          }
          if (vm_bug_on(k, PageLRU(k, page), "pin_page_for_dma: VM_BUG_ON_PAGE(PageLRU(page))", page)) return;
          k.of(page_lru_words).dma_pinned_count[page]++;
          again(k, f.page);
        }),
      ]),
    ]),
  ]);

/** atomic_dec_and_test of what stands where the count is. */
export function dec_and_test(k: Kernel, page: Pfn): boolean {
  const words = k.of(page_lru_words);
  if (PageDmaPinned(k, page)) return --words.dma_pinned_count[page] === 0;
  // A list's pointer, one less.
  words.lost[page] = 1;
  return false;
}

/** A call of get_user_pages that notes its pages. */
export interface Call {
  readonly pages: PagesNr;
  ret: number;
  /** Pages of this call that have been noted, and the page that is. */
  noted: number;
  pinned: Pfn;
}

/** Note the pages of a call that have been taken and not noted, if they are `asked` to be; default they are. */
export const notes_rest = <F extends Call>(pin: AnyPath, asked: (k: Kernel, f: F) => boolean = () => true) =>
  repeat<F>(
    (k, f) => f.noted < f.ret && asked(k, f),
    [
      local((k, f) => {
        f.pinned = page_of(k, f.pages, k.user_pages.nr[f.pages] - f.ret + f.noted);
      }),
      call(() => pin, { page: "pinned" } as never),
      local((_, f) => {
        f.noted++;
        f.pinned = NONE;
      }),
    ],
  );
export const forget_noted = local<Call>((_, f) => {
  f.noted = 0;
});

/** What all versions do in functions without steps. */
export const INSERTS: readonly Insert[] = [
  {
    into: "__pagevec_lru_add_fn",
    help: "a page that is pinned goes on no list",
    run: (k, page) => {
      if (PageDmaPinned(k, page)) return true;
      // Both words are written.
      k.of(page_lru_words).lost[page] = 0;
      return false;
    },
  },
  {
    into: "list_del",
    help: "whoever takes a page off his list finds what was written into its links, and dies",
    run: (k, page) => {
      const { lost } = k.of(page_lru_words);
      const message = "list_del corruption: page->lru has been dma_pinned_flags and dma_pinned_count";
      if (k.BUG_ON(lost[page] === 1, message, page)) lost[page] = 0;
    },
  },
  {
    into: "free_pages_check",
    help: "the allocator's list takes both words",
    run: (k, page) => {
      const words = k.of(page_lru_words);
      words.dma_pinned_flags[page] = 0;
      words.dma_pinned_count[page] = 0;
      words.lost[page] = 0;
    },
  },
  {
    into: "put_page",
    help: "reads the type of a device page's pgmap, where dma_pinned_flags may be",
    run: (k, page) => {
      if (!is_zone_device_page(k, page) || !PageDmaPinned(k, page)) return;
      const message = "put_devmap_managed_page: page->pgmap is dma_pinned_flags";
      if (!k.faults.some((fault) => fault.message === message)) k.fault("WARN", message, page);
    },
  },
];

/** Of versions that keep isolate_lru_page's reference. */
export const KEEPS_REFERENCE: Insert = {
  into: "references_held",
  help: "whoever took a page off its list has a reference until it is back",
  run: (k, refs) => {
    for (let page = 0; page < refs.length; page++) if (has(k, page, PAGE_DMA_PINNED_WAS_LRU)) refs[page]++;
  },
};

/** The columns, and where they are. */
export const WORDS = {
  tables: [{ struct: page_lru_words, rows: (g) => g.pages + (g.zeroPage ? 1 : 0) }],
  page_words: [{ struct: page_lru_words, instead_of: "lru" }],
} satisfies Partial<Proposal>;
