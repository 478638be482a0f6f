/**
 * What struct page looks like, release by release: whose each of its eight words of 64 bits is, in each type of page.
 *
 * v4.20 has struct page as Matthew Wilcox arranged it in v4.18 (include/linux/mm_types.h): flags, a union of five words, a word of two
 * counts, and the memory cgroup. The union is why the article's developers fought over two words: what one type of page needs for a
 * moment, another one owns for ever. Since v5.16 a struct folio lies over the first of these structs, and over its tails, with the
 * same words at the same places; what follows has the folio's names where struct page has none of its own any more.
 *
 * V4_20 is that table as data, LAYOUT_CHANGES says what each later release made of it, with the sources that were read and what of it is
 * uncertain. 64 bits, with CONFIG_MEMCG.
 *
 * Left out: the slab allocators' own differences, page pools of the network, words that only 32-bit kernels, other processors or KMSAN
 * use; the backport of _private_1 in the first tail of v6.1.192.
 */
import { isSince } from "../patches/names.js";

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
export type PageLayout = Readonly<Record<PageType, readonly WordUse[]>>;

/** Source: include/linux/mm_types.h and mm/page_alloc.c (prep_compound_page) of v4.20. */
export const V4_20: PageLayout = {
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

type Words = Readonly<Record<number, WordUse>>;

/** What a release made of the layout of the one before it. */
export interface LayoutChange {
  /** The first kernel of this lab that has it. */
  readonly release: string;
  /** What is new, in a sentence. */
  readonly title: string;
  /** What was read. */
  readonly source: string;
  /** What was not. */
  readonly uncertain?: string;
  readonly words: Readonly<Partial<Record<PageType, Words>>>;
}

const DATA = always("memcg_data", "who is charged for the page; its low bits say in which form");
const NO_DATA = never("memcg_data");
const FLAGS_V6_11 = always(
  "flags",
  "PG_* bits, numbered anew: PG_writeback is bit 1, PG_slab is none; section, node and zone above them",
);
const FLAGS_2026 = always("flags.f", FLAGS_V6_11.holds);
const DEFERRED = "while a transparent huge page waits to be split";
const BUDDY = "the buddy allocator's free list";
const ANY_TAIL = ["first tail", "second tail", "other tail"] as const;
const ANY_FOLIO = ["page cache", "anonymous", "compound head"] as const;
const ALL: readonly PageType[] = [
  ...ANY_FOLIO,
  ...ANY_TAIL,
  "ZONE_DEVICE",
  "slab",
  "page table",
  "free",
  "kernel",
];

/** The same words in several types. */
const inEach = (types: readonly PageType[], words: Words): Partial<Record<PageType, Words>> =>
  Object.fromEntries(types.map((type) => [type, words]));

/** The oldest first. */
export const LAYOUT_CHANGES: readonly LayoutChange[] = [
  {
    release: "v5.5",
    title:
      "a ZONE_DEVICE page's hmm_data is its driver's zone_device_data; three words are for the page it stands for",
    source: "include/linux/mm_types.h of 5.10",
    uncertain: "the release: commit 8a164fef9c4c of v5.3 was not read",
    words: {
      ZONE_DEVICE: {
        2: always("zone_device_data", "its driver's word; null where nobody has one"),
        3: sometimes(
          "mapping",
          "while a DAX entry of a file has it, or a migrated page is in device memory: that page's",
        ),
        4: sometimes(
          "index",
          "while a DAX entry of a file has it, or a migrated page is in device memory: that page's",
        ),
        5: sometimes("private", "while a migrated page is in device memory: that page's"),
      },
    },
  },
  {
    release: "v5.7",
    title: "the second tail counts FOLL_PIN pins of the whole page",
    source: "commit 47e29d32afba",
    words: { "second tail": { 2: always("hpage_pinned_refcount", "pins of the whole page, exactly") } },
  },
  {
    release: "v5.9",
    title: "the first tail has the number of pages; slab pages have a cgroup for each object",
    source: "include/linux/mm_types.h of 5.10; for obj_cgroups the posted patch",
    uncertain: "the release of compound_nr",
    words: {
      "first tail": { 3: always("compound_nr", "how many pages there are") },
      slab: { 7: always("obj_cgroups", "who is charged for each object") },
    },
  },
  {
    release: "v5.11",
    title: "mem_cgroup is memcg_data, a pointer with flags in it",
    source: "the posted patch (commit bcfe06bf2622), which takes the union out of 5.10's struct page",
    words: {
      ...inEach(["page cache", "anonymous", "compound head", "slab", "page table"], { 7: DATA }),
      ...inEach([...ANY_TAIL, "free", "kernel"], { 7: NO_DATA }),
      ZONE_DEVICE: { 7: sometimes("memcg_data", "while device private memory is charged") },
    },
  },
  {
    release: "v5.13",
    title: "hugetlbfs has flags of its own in private, and its subpool in the first tail",
    source: "include/linux/hugetlb.h of 6.1",
    uncertain: "the release: commit d6995da31122 of v5.12 was not read",
    words: {
      "compound head": {
        5: sometimes("private", "while PG_private is set: of the file; of hugetlbfs: HPG_* flags"),
      },
      "first tail": { 5: sometimes("private", "of hugetlbfs: its subpool") },
    },
  },
  {
    release: "v5.18",
    title:
      "the first tail counts pins, of pages of two page frames too; unevictable pages count mlocks in their list link",
    source: "include/linux/mm_types.h of 5.19-rc and 6.1; the posted patch of compound_pincount",
    words: {
      ...inEach(ANY_FOLIO, {
        2: sometimes(
          "lru.prev",
          "while PG_lru is set, or a list of its owner's has it; of unevictable pages mlock_count",
        ),
      }),
      "first tail": {
        3: always("compound_pincount, compound_nr", "pins of the whole, exactly; how many pages"),
      },
      "second tail": { 2: never("_compound_pad_2") },
    },
  },
  {
    release: "v5.19",
    title: "PG_anon_exclusive is the bit of PG_mappedtodisk",
    source: "include/linux/page-flags.h of 6.1",
    words: {
      anonymous: {
        0: always(
          "flags",
          "PG_* bits (PG_anon_exclusive is PG_mappedtodisk), and section, node and zone above them",
        ),
      },
    },
  },
  {
    release: "v6.1",
    title: "free pages and slabs have their links by names of their own; a shared DAX page counts its files",
    source: "include/linux/mm_types.h, include/linux/page-flags.h and mm/slab.h of 6.1",
    words: {
      free: { 1: always("buddy_list.next", BUDDY), 2: always("buddy_list.prev", BUDDY) },
      slab: {
        2: always("slab_list.prev, slabs", "partial lists"),
        5: always("counters", "objects in use"),
        6: always("_refcount", "references"),
      },
      ZONE_DEVICE: {
        4: sometimes(
          "index",
          "while a DAX entry of a file has it: offset in the file; of a reflinked block how many have it",
        ),
      },
    },
  },
  {
    release: "v6.2",
    title: "the first tail counts pages that are mapped; hugetlbfs has the second tail",
    source: "types of a distribution's 6.2 kernel",
    words: {
      "first tail": {
        2: always("_folio_dtor, _folio_order, _compound_mapcount", "how to free it; its size; huge mappings"),
        3: always("_subpages_mapcount, _pincount", "mappings of its pages; pins of the whole, exactly"),
        4: always("_folio_nr_pages", "how many pages there are"),
        5: never("private"),
      },
      "second tail": {
        2: sometimes("_hugetlb_subpool", "of hugetlbfs: its subpool"),
        3: sometimes("deferred_list.next", `${DEFERRED}; of hugetlbfs _hugetlb_cgroup`),
        4: sometimes("deferred_list.prev", `${DEFERRED}; of hugetlbfs _hugetlb_cgroup_rsvd`),
        5: sometimes("_hugetlb_hwpoison", "of hugetlbfs: its broken pages"),
      },
    },
  },
  {
    release: "v6.3",
    title: "the second tail's list begins a word earlier",
    source: "types of a distribution's 6.5 kernel",
    uncertain: "whether it came with v6.3, v6.4 or v6.5",
    words: {
      "first tail": {
        2: always("_folio_dtor, _folio_order, _entire_mapcount", "how to free it; its size; huge mappings"),
        3: always("_nr_pages_mapped, _pincount", "pages that are mapped; pins of the whole, exactly"),
      },
      "second tail": {
        2: sometimes("_deferred_list.next", `${DEFERRED}; of hugetlbfs _hugetlb_subpool`),
        3: sometimes("_deferred_list.prev", `${DEFERRED}; of hugetlbfs _hugetlb_cgroup`),
        4: sometimes("_hugetlb_cgroup_rsvd", "of hugetlbfs"),
      },
    },
  },
  {
    release: "v6.11",
    title:
      "a page's type is one of a list, slab among them; a folio's order is in its second flags; hugetlbfs has the third tail",
    source: "include/linux/mm_types.h, page-flags.h, mm.h and mm/slab.h of 6.12",
    uncertain: "which of it v6.11 has, and which came with v6.12",
    words: {
      ...inEach(
        ALL.filter((type) => type !== "first tail"),
        { 0: FLAGS_V6_11 },
      ),
      "first tail": {
        0: always("_flags_1", "PG_* bits of the whole; its order in the low byte"),
        2: always("_large_mapcount, _entire_mapcount", "mappings of its pages; huge mappings"),
      },
      "second tail": {
        0: FLAGS_V6_11,
        2: sometimes("_deferred_list.next", DEFERRED),
        3: sometimes("_deferred_list.prev", DEFERRED),
        4: never("index"),
        5: never("private"),
      },
      "other tail": {
        0: FLAGS_V6_11,
        2: sometimes("_hugetlb_subpool", "of hugetlbfs, in the third tail"),
        3: always("mapping", "TAIL_MAPPING, a poison; of hugetlbfs, in the third tail, _hugetlb_cgroup"),
        4: sometimes("_hugetlb_cgroup_rsvd", "of hugetlbfs, in the third tail"),
        5: sometimes("_hugetlb_hwpoison", "of hugetlbfs, in the third tail"),
      },
      slab: {
        0: FLAGS_V6_11,
        1: always("slab_cache", "its kmem_cache"),
        2: always("slab_list.next, next", "partial lists"),
        3: always("slab_list.prev, slabs", "partial lists"),
        6: TYPE_AND_COUNT,
        7: always("obj_exts", "who is charged for each object"),
      },
      "page table": {
        0: FLAGS_V6_11,
        1: sometimes("pt_list.next", "of a pgd on x86"),
        2: sometimes(
          "pt_list.prev, pmd_huge_pte",
          "of a pgd on x86; while a deposited page table waits here",
        ),
        7: always("pt_memcg_data", "who is charged for the page"),
      },
    },
  },
  {
    release: "v6.15",
    title:
      "ZONE_DEVICE pages can have tails, so that pgmap is their folio's; a folio knows two processes that map it",
    source: "a later include/linux/mm_types.h that still says index; the posted patch of pgmap",
    uncertain: "what v6.15 itself says, and not a release beside it",
    words: {
      ZONE_DEVICE: { 1: always("pgmap", "the dev_pagemap that hosts it, of the folio: never a list link") },
      "first tail": {
        2: always("_large_mapcount, _nr_pages_mapped", "mappings of its pages; pages that are mapped"),
        3: always("_entire_mapcount, _pincount", "huge mappings; pins of the whole, exactly"),
        4: always("_mm_id_mapcount", "mappings by each of two processes"),
        5: always("_mm_ids", "the two processes"),
        7: always("_nr_pages", "how many pages there are"),
      },
    },
  },
  {
    release: "2026",
    title: "flags are a struct of their own, and page->index has a name that says whose it is",
    source: "types of later kernels, and code that asks for v6.16 and v6.18",
    uncertain: "compound_head may be called compound_info by now: a patch that says so was posted",
    words: {
      ...inEach(
        ALL.filter((type) => type !== "first tail"),
        { 0: FLAGS_2026 },
      ),
      "page cache": { 0: FLAGS_2026, 4: always("__folio_index", "offset in the file, in pages") },
      anonymous: { 0: FLAGS_2026, 4: always("__folio_index", "offset in the VMA's numbering, in pages") },
      "compound head": { 0: FLAGS_2026, 4: always("__folio_index", "offset in pages") },
    },
  },
];

const known = new Map<string, PageLayout>();

/**
 * The layout that a kernel has, by its name; a kernel with patches has its base's.
 *
 * @example layoutIn("v4.20")["second tail"][2].tenure // "never"
 * @example layoutIn("v5.7+keep-private-of-pinned")["second tail"][2].field // "hpage_pinned_refcount"
 */
export function layoutIn(kernel: string): PageLayout {
  const changes = changesIn(kernel);
  const key = String(changes.length);
  const layout = known.get(key) ?? changes.reduce(changed, V4_20);
  known.set(key, layout);
  return layout;
}

/** What has changed since v4.20 in a kernel, the oldest first. */
export const changesIn = (kernel: string): readonly LayoutChange[] =>
  LAYOUT_CHANGES.filter(({ release }) => isSince(kernel, release));

function changed(layout: PageLayout, { words }: LayoutChange): PageLayout {
  const types = Object.entries(words) as [PageType, Words][];
  const made = types.map(
    ([type, uses]) => [type, layout[type].map((use, word) => uses[word] ?? use)] as const,
  );
  return { ...layout, ...Object.fromEntries(made) };
}
