import { describe, expect, it } from "vitest";
import { compound_head, PageHead, PageTail, prep_compound_page } from "../../src/kernel/mm/compound.js";
import { PageLRU } from "../../src/kernel/mm/page.js";
import { lru_add_drain } from "../../src/kernel/mm/swap.js";
import { FS } from "../../src/kernel/operations.js";
import { VM_WRITE } from "../../src/kernel/structs.js";
import {
  clashes,
  clashText,
  GUP_TYPES,
  HUBBARD_2018,
  PAGE_LAYOUT,
  PAGE_WORDS,
  type PageType,
  pageLayoutText,
  pageType,
  pageWords,
  pageWordsText,
} from "../../src/lab/page_layout.js";
import { load, reclaim, store } from "../kernel/actors.js";
import { Hand, small } from "../kernel/harness.js";

const types = Object.keys(PAGE_LAYOUT) as PageType[];
const word = (type: PageType, at: number) => PAGE_LAYOUT[type][at];

describe("the table (kernel-semantics 1.1)", () => {
  it("a struct page has eight words in every type", () => {
    for (const type of types) expect([type, PAGE_LAYOUT[type].length]).toEqual([type, PAGE_WORDS]);
  });

  it("F74 a ZONE_DEVICE page owns word 1, pgmap, and word 2, hmm_data, for ever", () => {
    expect(word("ZONE_DEVICE", 1)).toMatchObject({ field: "pgmap", tenure: "always" });
    expect(word("ZONE_DEVICE", 2)).toMatchObject({ field: "hmm_data", tenure: "always" });
  });

  it("F75 word 1 of every tail is compound_head, whose bit 0 says so", () => {
    for (const type of types.filter((name) => name.endsWith("tail")))
      expect(word(type, 1)).toMatchObject({ field: "compound_head", tenure: "always" });
    expect(types.filter((type) => word(type, 1).field === "compound_head")).toHaveLength(3);
  });

  it("1.1 fact 2: the links of a cached page are its own only while PG_lru is set", () => {
    for (const type of ["page cache", "anonymous"] as const)
      for (const at of [1, 2]) expect(word(type, at)).toMatchObject({ tenure: "sometimes" });
  });

  it("the first tail keeps how to free the page in word 2, which other tails leave empty", () => {
    expect(word("first tail", 2).tenure).toBe("always");
    expect(word("second tail", 2).tenure).toBe("never");
    expect(word("other tail", 2).tenure).toBe("never");
  });

  it("prints with brackets round what is owned only sometimes", () => {
    const text = pageLayoutText(["page cache", "ZONE_DEVICE"]);
    expect(text.split("\n")).toHaveLength(PAGE_WORDS + 1);
    expect(text).toContain("1     (lru.next)");
    expect(text).toContain("pgmap");
  });
});

describe("A9: Hubbard's two words", () => {
  it("are for ever taken in ZONE_DEVICE pages and in no other page that counts references", () => {
    const taken = clashes(HUBBARD_2018).filter(({ owner }) => owner.tenure === "always");
    expect(taken.map(({ word, type, owner }) => [word, type, owner.field])).toEqual([
      [1, "ZONE_DEVICE", "pgmap"],
      [2, "ZONE_DEVICE", "hmm_data"],
    ]);
  });

  it("are free in cached and anonymous pages once these are off the LRU", () => {
    const off = clashes(HUBBARD_2018).filter(({ owner }) => owner.tenure === "sometimes");
    expect(new Set(off.map(({ type }) => type))).toEqual(
      new Set(["page cache", "anonymous", "compound head"]),
    );
    for (const { owner } of off) expect(owner.holds).toContain("while PG_lru is set");
  });

  it("1.1 fact 5: a design of one word, the second, still meets hmm_data", () => {
    const one = clashes([{ word: 2, field: "count" }]).filter(({ owner }) => owner.tenure === "always");
    expect(one.map(({ type }) => type)).toEqual(["ZONE_DEVICE"]);
  });

  it("in a tail meet compound_head, whose bit 0 the proposal would have to leave alone", () => {
    const tails = clashes(HUBBARD_2018, false).filter(({ type }) => type.endsWith("tail"));
    expect(tails.filter(({ word }) => word === 1)).toHaveLength(3);
  });

  it("prints the clash", () => {
    expect(clashText(HUBBARD_2018)).toMatch(/1 +dma_pinned_flags +ZONE_DEVICE +pgmap +for ever/);
  });

  it("gup can meet every type of the list and no slab, page table or free page", () => {
    expect(types.filter((type) => !GUP_TYPES.includes(type))).toEqual([
      "slab",
      "page table",
      "free",
      "kernel",
    ]);
  });
});

describe("live pages", () => {
  const one = () => new Hand(small({ pages: 2 }, { store: store(), load: load(), reclaim: reclaim() }));
  const words = (h: Hand, page = 0) => pageWords(h.k, page);

  it("a cached page: on the LRU its links are owned, isolated they are not", () => {
    const h = one();
    lru_add_drain(h.k);
    expect([pageType(h.k, 0), PageLRU(h.k, 0)]).toEqual(["page cache", true]);
    expect(words(h)[1]).toMatchObject({ field: "lru.next", owned: true, value: "list head" });
    h.past("reclaim", "isolate_lru_pages");
    expect(PageLRU(h.k, 0)).toBe(false);
    expect(words(h)[1]).toMatchObject({ owned: false, value: "" });
  });

  it("a written page has its buffers in private, and loses them with PG_private", () => {
    const h = one();
    expect(words(h)[5].owned).toBe(false);
    h.go("store");
    expect(words(h)[5]).toMatchObject({ field: "private", owned: true, value: "buffer_head" });
    expect(words(h)[6].value).toBe(`0, ${h.refs()}`);
  });

  it("an anonymous page has bit 0 of mapping set, a cached one has not", () => {
    const h = new Hand(small({ pages: 3, vmas: [VM_WRITE] }, { store: store() })).go("store");
    const page = h.k.pte.entry[0] >>> 4;
    expect([pageType(h.k, page), words(h, page)[3].bit0]).toEqual(["anonymous", true]);
    expect(words(h, 0)[3]).toMatchObject({ value: "inode 1", bit0: false });
  });

  it("a free page, and only a page without references, is the allocator's", () => {
    const h = one();
    expect([pageType(h.k, 1), words(h, 1)[1].owned]).toEqual(["free", true]);
    expect(words(h, 1)[4].owned).toBe(false);
  });

  it("F75 PageTail is bit 0 of word 1, of tails and of no other page", () => {
    const { k } = new Hand(
      small({ pages: 8, cached: false, geometry: { config: ["compound"] } }, { load: load() }),
    );
    k.page._refcount[0] = 1;
    prep_compound_page(k, 0, 2);
    expect(pageType(k, 0)).toBe("compound head");
    for (let page = 0; page < 8; page++) {
      expect([page, pageWords(k, page)[1].bit0]).toEqual([page, PageTail(k, page)]);
      expect([page, PageTail(k, page)]).toEqual([page, page > 0 && page < 4]);
    }
    expect([1, 2, 3].map((page) => pageType(k, page))).toEqual(["first tail", "second tail", "other tail"]);
    expect(pageWords(k, 1)[2].value).toBe("order 2, mapcount 0");
    expect(pageWords(k, 3)[1].value).toBe("page 0 + bit 0");
    expect([compound_head(k, 3), compound_head(k, 4), PageHead(k, 0)]).toEqual([0, 4, true]);
  });

  it("F74, F56 a page of persistent memory: pgmap and hmm_data are owned, the idle count is 1", () => {
    const { k } = small(
      { pages: 2, cached: false, geometry: { files: [{ pages: 2, fs: FS.ext4_dax }], config: ["dax"] } },
      { load: load() },
    );
    expect([0, 1, 2, 3].map((page) => pageType(k, page))).toEqual([
      "free",
      "free",
      "ZONE_DEVICE",
      "ZONE_DEVICE",
    ]);
    const live = pageWords(k, 2);
    expect([live[1].owned, live[1].value, live[2].owned, live[2].value]).toEqual([
      true,
      "pgmap",
      true,
      "poison",
    ]);
    expect(live[6].value).toBe("-1, 1");
    expect([live[3].owned, live[4].owned]).toEqual([false, false]);
  });

  it("prints a page for a terminal", () => {
    const text = pageWordsText(one().go("store").k, 0).split("\n");
    expect(text[0]).toBe("page 0: page cache");
    expect(text).toHaveLength(PAGE_WORDS + 2);
  });
});
