/**
 * struct page, word by word: eight words of 64 bits, and who owns them in which type of page.
 *
 * Source: include/linux/mm_types.h in v4.20 (struct page as Matthew Wilcox arranged it in v4.18): flags, a union of five
 * words, a word of two counts, and the memory cgroup. The union is why the article's developers fought over two words:
 * what one type of page needs for a moment, another one owns for ever. PAGE_LAYOUT is that table as data; pageWords is
 * the same for one live page, with what its words hold now, and on a kernel with hubbard-lru-2018 what that has written over them; clashes says where a proposal's words are taken.
 *
 * Left out: the slab allocators' own differences, words that only 32-bit kernels or other processors use.
 */
import type { Kernel } from "../kernel/kernel.js";
import { compound_order, PageHead, PageTail, tail_of } from "../kernel/mm/compound.js";
import { device_pte_counts, is_zone_device_page } from "../kernel/mm/memremap.js";
import { PageLRU, PagePrivate, PageSwapCache } from "../kernel/mm/page.js";
import { page_private } from "../kernel/mm/swapfile.js";
import { isAnon } from "../kernel/structs.js";
import type { Pfn } from "../kernel/types.js";
import { PAGE_DMA_PINNED, PAGE_DMA_PINNED_WAS_LRU, page_lru_words } from "../patches/proposals/tracking.js";
import { decodePageFlags } from "../trace/words.js";
import { columns } from "./text.js";

/** Words of a struct page. */
export const PAGE_WORDS = 8;

/** What a page is, as far as its struct page is concerned. */
export type PageType =
  | "page cache"
  | "anonymous"
  | "compound head"
  | "first tail"
  | "second tail"
  | "other tail"
  | "ZONE_DEVICE"
  | "slab"
  | "page table"
  | "free"
  | "kernel";

/** How long a type of page owns a word: as long as it is of that type, while something holds, or never. */
export type Tenure = "always" | "sometimes" | "never";

/** One word in one type of page. */
export interface WordUse {
  /** The field's name in struct page. */
  readonly field: string;
  readonly tenure: Tenure;
  /** Sometimes: while what. Always: what it holds. Never: empty. */
  readonly holds: string;
}

const always = (field: string, holds: string): WordUse => ({ field, tenure: "always", holds });
const sometimes = (field: string, holds: string): WordUse => ({ field, tenure: "sometimes", holds });
const never = (field: string): WordUse => ({ field, tenure: "never", holds: "" });

const FLAGS = always("flags", "PG_* bits, and section, node and zone above them");
const COUNTS = always("_mapcount, _refcount", "PTEs minus one; references");
const CGROUP = always("mem_cgroup", "who is charged for the page");
const NO_CGROUP = never("mem_cgroup");
const LRU_NEXT = sometimes("lru.next", "while PG_lru is set, or a list of its owner's has it");
const LRU_PREV = sometimes("lru.prev", "while PG_lru is set, or a list of its owner's has it");
const TYPE_AND_COUNT = always("page_type, _refcount", "what kind of page it is; references");
const TAIL_MAPPING = always("mapping", "TAIL_MAPPING, a poison");
const TAIL_HEAD = always("compound_head", "the head's address with bit 0 set: PageTail");
const TAIL_COUNTS = always("_mapcount, _refcount", "PTEs of this subpage minus one; 0, as the head counts");

/** Who owns which word, by type of page: words 0 to 7. */
export const PAGE_LAYOUT: Readonly<Record<PageType, readonly WordUse[]>> = {
  "page cache": [
    FLAGS,
    LRU_NEXT,
    LRU_PREV,
    always("mapping", "the file's address_space; bits 0 and 1 clear"),
    always("index", "offset in the file, in pages"),
    sometimes("private", "while PG_private is set: the first buffer_head, or the iomap_page"),
    COUNTS,
    CGROUP,
  ],
  anonymous: [
    FLAGS,
    LRU_NEXT,
    LRU_PREV,
    always("mapping", "the anon_vma, with bit 0 set: PageAnon"),
    always("index", "offset in the VMA's numbering, in pages"),
    sometimes("private", "while PG_swapcache is set: the swp_entry_t"),
    COUNTS,
    CGROUP,
  ],
  "compound head": [
    FLAGS,
    sometimes("lru.next", "while PG_lru is set, or the hugetlb pool's list has it"),
    sometimes("lru.prev", "while PG_lru is set, or the hugetlb pool's list has it"),
    always("mapping", "the file's address_space, or the anon_vma with bit 0 set"),
    always("index", "offset, for hugetlbfs in huge pages"),
    sometimes("private", "while PG_private is set: hugetlb's reservation, or the subpool"),
    COUNTS,
    CGROUP,
  ],
  "first tail": [
    FLAGS,
    TAIL_HEAD,
    always("compound_dtor, compound_order, compound_mapcount", "how to free it; its size; huge mappings"),
    TAIL_MAPPING,
    never("index"),
    never("private"),
    TAIL_COUNTS,
    NO_CGROUP,
  ],
  "second tail": [
    FLAGS,
    TAIL_HEAD,
    never("_compound_pad_2"),
    sometimes("deferred_list.next", "while a transparent huge page waits to be split"),
    sometimes("deferred_list.prev", "while a transparent huge page waits to be split"),
    sometimes("private", "while a page of hugetlbfs is charged: its hugetlb_cgroup"),
    TAIL_COUNTS,
    NO_CGROUP,
  ],
  "other tail": [
    FLAGS,
    TAIL_HEAD,
    never("lru.prev"),
    TAIL_MAPPING,
    never("index"),
    never("private"),
    TAIL_COUNTS,
    NO_CGROUP,
  ],
  ZONE_DEVICE: [
    FLAGS,
    always("pgmap", "the dev_pagemap that hosts it: never a list link"),
    always("hmm_data", "its driver's word; a poison where nobody has one, so that list_add traps"),
    sometimes("mapping", "while a DAX entry of a file has it: the address_space (_zd_pad_1)"),
    sometimes("index", "while a DAX entry of a file has it: offset in the file, in pages"),
    never("private"),
    always("_mapcount, _refcount", "DAX maps without counting; references, 1 when idle"),
    sometimes("mem_cgroup", "while device private memory is charged"),
  ],
  slab: [
    FLAGS,
    always("slab_list.next, next", "partial lists"),
    always("slab_list.prev, pages, pobjects", "partial lists"),
    always("slab_cache", "its kmem_cache"),
    always("freelist", "the first free object"),
    always("s_mem, counters", "objects in use"),
    always("active, _refcount", "SLAB's next free index; references"),
    CGROUP,
  ],
  "page table": [
    FLAGS,
    never("_pt_pad_1"),
    sometimes("pmd_huge_pte", "while a deposited page table waits here"),
    never("_pt_pad_2"),
    sometimes("pt_mm", "of a pgd on x86: its mm"),
    always("ptl", "the page table lock"),
    TYPE_AND_COUNT,
    CGROUP,
  ],
  free: [
    FLAGS,
    always("lru.next", "the buddy allocator's free list"),
    always("lru.prev", "the buddy allocator's free list"),
    never("mapping"),
    never("index"),
    always("private", "its order, on the first page of a free block"),
    TYPE_AND_COUNT,
    NO_CGROUP,
  ],
  kernel: [
    FLAGS,
    sometimes("lru.next", "while a list of its owner's has it"),
    sometimes("lru.prev", "while a list of its owner's has it"),
    sometimes("mapping", "while its owner has set it; bit 1 for movable pages"),
    sometimes("index", "while its owner uses it"),
    sometimes("private", "while its owner uses it"),
    COUNTS,
    NO_CGROUP,
  ],
};

/** Types that a process can map, so that get_user_pages can meet them. */
export const GUP_TYPES: readonly PageType[] = [
  "page cache",
  "anonymous",
  "compound head",
  "first tail",
  "second tail",
  "other tail",
  "ZONE_DEVICE",
];

/** A word that a proposal wants for itself. */
export interface WordClaim {
  readonly word: number;
  readonly field: string;
}

/** Hubbard's RFC of 2018: take the page off the LRU at gup time, and use its two list links. */
export const HUBBARD_2018: readonly WordClaim[] = [
  { word: 1, field: "dma_pinned_flags" },
  { word: 2, field: "dma_pinned_count" },
];

/** A claimed word that a type of page owns. */
export interface Clash extends WordClaim {
  readonly type: PageType;
  /** What owns it, and how long: "always" leaves the proposal nothing, "sometimes" only while it does not hold. */
  readonly owner: WordUse;
}

/**
 * Where a proposal's words are taken in pages that get_user_pages can meet. Tails are left out when `heads` is true: a pin
 * of a tail is counted in its head.
 *
 * @example clashes(HUBBARD_2018).filter(({ owner }) => owner.tenure === "always").map(({ type }) => type)[0] === "ZONE_DEVICE"
 */
export function clashes(claims: readonly WordClaim[], heads = true): Clash[] {
  return GUP_TYPES.filter((type) => !heads || !type.endsWith("tail")).flatMap((type) =>
    claims.flatMap((claim) => {
      const owner = PAGE_LAYOUT[type][claim.word];
      return owner.tenure === "never" ? [] : [{ ...claim, type, owner }];
    }),
  );
}

/** One word of one page now. */
export interface LiveWord extends WordUse {
  readonly word: number;
  /** Whether somebody has it now: a "sometimes" decided. */
  readonly owned: boolean;
  /** What it holds, in words; empty when nobody has it. */
  readonly value: string;
  /** Bit 0 of the word: in word 1 it means PageTail, in word 3 PageAnon. */
  readonly bit0: boolean;
  /** The field of the page's own that a proposal's has overwritten; only where one has. */
  readonly lost?: string;
}

/** What type of page a live page is. */
export function pageType(k: Kernel, page: Pfn): PageType {
  if (is_zone_device_page(k, page)) return "ZONE_DEVICE";
  if (PageTail(k, page)) {
    const nth = tail_of(k, page);
    return nth === 1 ? "first tail" : nth === 2 ? "second tail" : "other tail";
  }
  if (PageHead(k, page)) return "compound head";
  const mapping = k.page.mapping[page];
  if (isAnon(mapping)) return "anonymous";
  if (mapping !== 0) return "page cache";
  return k.page._refcount[page] === 0 ? "free" : "kernel";
}

const link = (entry: number): string => (entry === 0 ? "list head" : `page ${entry - 1}`);

/** What words 1 to 5 hold, or null where nobody has the word. */
function unionValues(k: Kernel, page: Pfn, type: PageType): readonly (string | null)[] {
  const { mapping, index, lru_next, lru_prev } = k.page;
  const linked = PageLRU(k, page);
  const links = linked ? [link(lru_next[page]), link(lru_prev[page])] : [null, null];
  const owner = isAnon(mapping[page])
    ? `anon_vma ${mapping[page] & 0x7fff} + bit 0`
    : mapping[page] === 0
      ? null
      : `inode ${mapping[page]}`;
  const where = mapping[page] === 0 ? null : String(index[page]);
  switch (type) {
    case "ZONE_DEVICE":
      return ["pgmap", "poison", owner, where, null];
    case "first tail": {
      const head = page - 1;
      const huge = `order ${compound_order(k, head)}, mapcount ${k.page.mapcount[head]}`;
      return [`page ${head} + bit 0`, huge, "TAIL_MAPPING", null, null];
    }
    case "second tail":
      return [`page ${page - 2} + bit 0`, null, null, null, null];
    case "other tail":
      return [`page ${page - tail_of(k, page)} + bit 0`, null, "TAIL_MAPPING", null, null];
    case "free":
      return [link(lru_next[page]), link(0), null, null, "order 0"];
    default: {
      const data = PageSwapCache(k, page)
        ? `swap entry ${page_private(k, page)}`
        : PagePrivate(k, page)
          ? "buffer_head"
          : null;
      return [...links, owner, where, data];
    }
  }
}

/** What the counts of a device page hold where its kernel counts PTEs (dev_pagemap): PAGE_LAYOUT has v4.20's. */
const DEVICE_COUNTS = always("_mapcount, _refcount", "PTEs minus one; references, one a PTE, 0 when idle");
const COUNTS_WORD = 6;

/** What Hubbard's two words of 2018 hold, in a kernel that has them, of a page that has been pinned; null where they are list links still. */
function hubbardWords(k: Kernel, page: Pfn): readonly string[] | null {
  if (!k.knows(page_lru_words)) return null;
  const { dma_pinned_flags, dma_pinned_count, lost } = k.of(page_lru_words);
  if (dma_pinned_flags[page] === 0 && lost[page] === 0) return null;
  const flags = dma_pinned_flags[page];
  const names = [
    (flags & PAGE_DMA_PINNED) !== 0 ? "pinned" : "",
    (flags & PAGE_DMA_PINNED_WAS_LRU) !== 0 ? "was on an LRU list" : "",
  ].filter((name) => name !== "");
  return [names.join(", "), String(dma_pinned_count[page])];
}

/** The eight words of a live page. */
export function pageWords(k: Kernel, page: Pfn): LiveWord[] {
  const proposed = hubbardWords(k, page);
  return ownWords(k, page).map((own) => {
    const claim = HUBBARD_2018.find(({ word }) => word === own.word);
    if (proposed === null || claim === undefined) return own;
    const lost = k.of(page_lru_words).lost[page] === 1;
    return {
      ...own,
      field: claim.field,
      holds: lost ? `where ${own.field} was` : "while get_user_pages has the page",
      owned: true,
      value: proposed[HUBBARD_2018.indexOf(claim)],
      bit0: false,
      ...(lost ? { lost: own.field } : {}),
    };
  });
}

/** The same without what a proposal does to them. */
function ownWords(k: Kernel, page: Pfn): LiveWord[] {
  const type = pageType(k, page);
  const flags = decodePageFlags(k.page.flags[page]).join(" ");
  const counts = `${k.page.mapcount[page] - 1}, ${k.page._refcount[page]}`;
  const values = [flags === "" ? "none" : flags, ...unionValues(k, page, type), counts, ""];
  return PAGE_LAYOUT[type].map((v4_20, word) => {
    const counted = type === "ZONE_DEVICE" && word === COUNTS_WORD && device_pte_counts(k);
    const use = counted ? DEVICE_COUNTS : v4_20;
    const value = values[word];
    // The cgroup and what this simulator does not have are owned where the type always owns them.
    const owned = word >= 1 && word <= 5 ? value !== null : use.tenure === "always";
    return {
      ...use,
      word,
      owned,
      value: value ?? "",
      bit0: value?.endsWith("+ bit 0") ?? false,
    };
  });
}

/** A live page's words as a table for a terminal. */
export function pageWordsText(k: Kernel, page: Pfn): string {
  const rows = pageWords(k, page).map(({ word, field, owned, value, holds, tenure }) => [
    String(word),
    field,
    owned ? value : tenure === "never" ? "nobody's" : "free now",
    holds,
  ]);
  return `page ${page}: ${pageType(k, page)}\n${columns([["word", "field", "now", "holds"], ...rows])}`;
}

/** The whole table for a terminal: a column a type; in brackets what a type owns only sometimes, "-" nobody's. */
export function pageLayoutText(types: readonly PageType[] = GUP_TYPES): string {
  const cell = ({ field, tenure }: WordUse): string =>
    tenure === "never" ? "-" : tenure === "sometimes" ? `(${field})` : field;
  const rows = Array.from({ length: PAGE_WORDS }, (_, word) => [
    String(word),
    ...types.map((type) => cell(PAGE_LAYOUT[type][word])),
  ]);
  return columns([["word", ...types], ...rows]);
}

/** What a proposal's words run into, for a terminal. */
export function clashText(claims: readonly WordClaim[]): string {
  const rows = clashes(claims).map(({ word, field, type, owner }) => [
    String(word),
    field,
    type,
    owner.field,
    owner.tenure === "always" ? "for ever" : owner.holds,
  ]);
  return columns([["word", "wanted for", "in a page of type", "belongs to", "how long"], ...rows]);
}
