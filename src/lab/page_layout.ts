/**
 * struct page of one live page, word by word: whose each word is (struct_page.ts, by the kernel's release), what it holds now, and on a
 * kernel with hubbard-lru-2018 what that has written over it; clashes says where a proposal's words are taken.
 */
import type { Kernel } from "../kernel/kernel.js";
import { compound_order, PageHead, PageTail, tail_of } from "../kernel/mm/compound.js";
import { device_pte_counts, is_zone_device_page } from "../kernel/mm/memremap.js";
import { PageLRU, PagePrivate, PageSwapCache } from "../kernel/mm/page.js";
import { page_private } from "../kernel/mm/swapfile.js";
import { isAnon } from "../kernel/structs.js";
import type { Pfn } from "../kernel/types.js";
import { PAGE_DMA_PINNED, PAGE_DMA_PINNED_WAS_LRU, page_lru_words } from "../patches/proposals/tracking.js";
import { compound_pincount, has_pincount } from "../patches/track_foll_pin.js";
import { decodePageFlags } from "../trace/words.js";
import {
  changesIn,
  GUP_TYPES,
  layoutIn,
  PAGE_WORDS,
  type PageLayout,
  type PageType,
  V4_20,
  type WordUse,
} from "./struct_page.js";
import { columns } from "./text.js";

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
 * @param layout default: v4.20's, which the proposals of 2018 were for
 * @example
 * clashes(HUBBARD_2018).filter(({ owner }) => owner.tenure === "always").map(({ type }) => type)[0] // "ZONE_DEVICE"
 */
export function clashes(claims: readonly WordClaim[], layout: PageLayout = V4_20, heads = true): Clash[] {
  return GUP_TYPES.filter((type) => !heads || !type.endsWith("tail")).flatMap((type) =>
    claims.flatMap((claim) => {
      const owner = layout[type][claim.word];
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

/** What the first tail keeps of the whole page, by the field; a field that is not here is not modelled. */
const OF_THE_WHOLE: Readonly<Record<string, (k: Kernel, head: Pfn) => string>> = {
  compound_order: (k, head) => `order ${compound_order(k, head)}`,
  _folio_order: (k, head) => `order ${compound_order(k, head)}`,
  _flags_1: (k, head) => `order ${compound_order(k, head)}`,
  compound_mapcount: (k, head) => `mapcount ${k.page.mapcount[head]}`,
  _compound_mapcount: (k, head) => `mapcount ${k.page.mapcount[head]}`,
  _entire_mapcount: (k, head) => `mapcount ${k.page.mapcount[head]}`,
  compound_nr: (k, head) => `${1 << compound_order(k, head)} pages`,
  _folio_nr_pages: (k, head) => `${1 << compound_order(k, head)} pages`,
  _nr_pages: (k, head) => `${1 << compound_order(k, head)} pages`,
  hpage_pinned_refcount: pinsOfTheWhole,
  compound_pincount: pinsOfTheWhole,
  _pincount: pinsOfTheWhole,
};

function pinsOfTheWhole(k: Kernel, head: Pfn): string {
  if (!k.knows(compound_pincount) || !has_pincount(k, head)) return "";
  const pins = k.of(compound_pincount).compound_pincount[head];
  return `${pins} ${pins === 1 ? "pin" : "pins"}`;
}

/** What a word of a tail holds, or null where nobody says. */
function tailValue(k: Kernel, page: Pfn, { field }: WordUse): string | null {
  const head = (page - tail_of(k, page)) as Pfn;
  if (field === "compound_head") return `page ${head} + bit 0`;
  if (field === "mapping") return "TAIL_MAPPING";
  const parts = field.split(", ").flatMap((part) => OF_THE_WHOLE[part]?.(k, head) ?? []);
  const said = parts.filter((part) => part !== "").join(", ");
  return said === "" ? null : said;
}

/** What words 1 to 5 of a page that is no tail hold, or null where nobody has the word. */
function unionValues(
  k: Kernel,
  page: Pfn,
  type: PageType,
  uses: readonly WordUse[],
): readonly (string | null)[] {
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
      return ["pgmap", uses[2].field === "hmm_data" ? "poison" : "null", owner, where, null];
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

/** What the counts of a device page hold where its kernel counts PTEs (dev_pagemap), whatever its release. */
const DEVICE_COUNTS: WordUse = {
  field: "_mapcount, _refcount",
  tenure: "always",
  holds: "PTEs minus one; references, one a PTE, 0 when idle",
};
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

/**
 * The eight words of a live page.
 *
 * @param kernel name of the kernel that it is a page of: its release says how struct page looks
 */
export function pageWords(k: Kernel, page: Pfn, kernel: string): LiveWord[] {
  const proposed = hubbardWords(k, page);
  return ownWords(k, page, kernel).map((own) => {
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
function ownWords(k: Kernel, page: Pfn, kernel: string): LiveWord[] {
  const type = pageType(k, page);
  const uses = layoutIn(kernel)[type];
  const flags = decodePageFlags(k.page.flags[page]).join(" ");
  const counts = `${k.page.mapcount[page] - 1}, ${k.page._refcount[page]}`;
  const union = PageTail(k, page) ? null : unionValues(k, page, type, uses);
  return uses.map((use, word) => {
    const counted = type === "ZONE_DEVICE" && word === COUNTS_WORD && device_pte_counts(k);
    const told = union === null ? tailValue(k, page, use) : (union[word - 1] ?? null);
    const value =
      word === 0
        ? [flags === "" ? "none" : flags, told ?? ""].filter((part) => part !== "").join("; ")
        : word === COUNTS_WORD
          ? counts
          : told;
    return {
      ...(counted ? DEVICE_COUNTS : use),
      word,
      // What this simulator does not have is owned where the type always owns it.
      owned: use.tenure === "always" || (use.tenure === "sometimes" && value !== null),
      value: value ?? "",
      bit0: value?.endsWith("+ bit 0") ?? false,
    };
  });
}

/** A live page's words as a table for a terminal. */
export function pageWordsText(k: Kernel, page: Pfn, kernel: string): string {
  const rows = pageWords(k, page, kernel).map(({ word, field, owned, value, holds, tenure }) => [
    String(word),
    field,
    owned ? (value === "" ? "not modelled" : value) : tenure === "never" ? "nobody's" : "free now",
    holds,
  ]);
  return `page ${page}: ${pageType(k, page)}\n${columns([["word", "field", "now", "holds"], ...rows])}`;
}

/** The whole table for a terminal: a column a type; in brackets what a type owns only sometimes, "-" nobody's. */
export function pageLayoutText(layout: PageLayout, types: readonly PageType[] = GUP_TYPES): string {
  const cell = ({ field, tenure }: WordUse): string =>
    tenure === "never" ? "-" : tenure === "sometimes" ? `(${field})` : field;
  const rows = Array.from({ length: PAGE_WORDS }, (_, word) => [
    String(word),
    ...types.map((type) => cell(layout[type][word])),
  ]);
  return columns([["word", ...types], ...rows]);
}

/** What has changed in struct page since v4.20, with what was read and what is uncertain, for a terminal; empty where nothing has. */
export const layoutChangesText = (kernel: string): string =>
  changesIn(kernel)
    .flatMap(({ release, title, source, uncertain }) => [
      `${release}: ${title}`,
      `  read: ${source}`,
      ...(uncertain === undefined ? [] : [`  uncertain: ${uncertain}`]),
    ])
    .join("\n");

/** What a proposal's words run into, for a terminal. */
export function clashText(claims: readonly WordClaim[], layout: PageLayout): string {
  const rows = clashes(claims, layout).map(({ word, field, type, owner }) => [
    String(word),
    field,
    type,
    owner.field,
    owner.tenure === "always" ? "for ever" : owner.holds,
  ]);
  return columns([["word", "wanted for", "in a page of type", "belongs to", "how long"], ...rows]);
}
