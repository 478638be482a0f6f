import { describe, expect, it } from "vitest";
import { compound_head, PageHead, PageTail, prep_compound_page } from "../../src/kernel/mm/compound.js";
import { PageLRU } from "../../src/kernel/mm/page.js";
import { lru_add_drain } from "../../src/kernel/mm/swap.js";
import { FS } from "../../src/kernel/operations.js";
import { VM_WRITE } from "../../src/kernel/structs.js";
import {
  clashes,
  clashText,
  HUBBARD_2018,
  pageLayoutText,
  pageType,
  pageWords,
  pageWordsText,
} from "../../src/lab/page_layout.js";
import {
  changesIn,
  GUP_TYPES,
  LAYOUT_CHANGES,
  layoutIn,
  PAGE_WORDS,
  type PageType,
  V4_20,
} from "../../src/lab/struct_page.js";
import { kernels } from "../../src/patches/kernels.js";
import { load, reclaim, store } from "../kernel/actors.js";
import { Hand, small } from "../kernel/harness.js";

const types = Object.keys(V4_20) as PageType[];
const word = (type: PageType, at: number) => V4_20[type][at];

describe("the table (kernel-semantics 1.1)", () => {
  it("a struct page has eight words in every type", () => {
    for (const type of types) expect([type, V4_20[type].length]).toEqual([type, PAGE_WORDS]);
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
    const text = pageLayoutText(V4_20, ["page cache", "ZONE_DEVICE"]);
    expect(text.split("\n")).toHaveLength(PAGE_WORDS + 1);
    expect(text).toContain("1     (lru.next)");
    expect(text).toContain("pgmap");
  });
});

describe("what later releases made of it", () => {
  const names = kernels.map(({ name }) => name);
  const holderOfPins = (kernel: string) =>
    types.flatMap((type) =>
      layoutIn(kernel)[type].flatMap(({ field }, at) =>
        /pin(count|ned)/.test(field) ? [[type, at, field]] : [],
      ),
    );

  it("is said by kernels of this lab, the oldest first, and changes something each time", () => {
    const releases = LAYOUT_CHANGES.map(({ release }) => release);
    for (const release of releases.filter((name) => name !== "v5.9")) expect(names).toContain(release);
    expect([...releases].sort((a, b) => changesIn(a).length - changesIn(b).length)).toEqual(releases);
    LAYOUT_CHANGES.forEach(({ words, release }, nr) => {
      const before = nr === 0 ? V4_20 : layoutIn(LAYOUT_CHANGES[nr - 1].release);
      for (const [type, uses] of Object.entries(words))
        for (const [at, use] of Object.entries(uses))
          expect([release, type, at, before[type as PageType][Number(at)]]).not.toEqual([
            release,
            type,
            at,
            use,
          ]);
    });
  });

  it("leaves eight words in every type, a compound_head in word 1 of every tail, and counts in word 6", () => {
    for (const name of names)
      for (const type of types) {
        const words = layoutIn(name)[type];
        expect([name, type, words.length]).toEqual([name, type, PAGE_WORDS]);
        if (type.endsWith("tail")) expect(words[1].field).toBe("compound_head");
        expect(words[6].field).toContain("_refcount");
      }
  });

  it("pins of a whole page are counted nowhere up to v5.6, then in the second tail, since v5.18 in the first", () => {
    expect(holderOfPins("v5.6")).toEqual([]);
    expect(holderOfPins("v5.14")).toEqual([["second tail", 2, "hpage_pinned_refcount"]]);
    expect(holderOfPins("v5.18")).toEqual([["first tail", 3, "compound_pincount, compound_nr"]]);
    expect(holderOfPins("v6.12")).toEqual([["first tail", 3, "_nr_pages_mapped, _pincount"]]);
    expect(holderOfPins("2026")).toEqual([["first tail", 3, "_entire_mapcount, _pincount"]]);
  });

  it("a stable kernel and one with patches have their base's", () => {
    expect(layoutIn("v6.1.192")).toBe(layoutIn("v6.1"));
    expect(layoutIn("v4.20+hubbard-lru-2018")).toBe(V4_20);
    expect(layoutIn("v5.11")["page cache"][7].field).toBe("memcg_data");
    expect(layoutIn("v5.9")["page cache"][7].field).toBe("mem_cgroup");
  });

  it("Hubbard's two words are as taken in 2026 as they were", () => {
    const taken = clashes(HUBBARD_2018, layoutIn("2026")).filter(({ owner }) => owner.tenure === "always");
    expect(taken.map(({ word, type, owner }) => [word, type, owner.field])).toEqual([
      [1, "ZONE_DEVICE", "pgmap"],
      [2, "ZONE_DEVICE", "zone_device_data"],
    ]);
  });
});

describe("A9: Hubbard's two words", () => {
  it("are for ever taken in ZONE_DEVICE pages and in no other page that counts references", () => {
    const taken = clashes(HUBBARD_2018, V4_20).filter(({ owner }) => owner.tenure === "always");
    expect(taken.map(({ word, type, owner }) => [word, type, owner.field])).toEqual([
      [1, "ZONE_DEVICE", "pgmap"],
      [2, "ZONE_DEVICE", "hmm_data"],
    ]);
  });

  it("are free in cached and anonymous pages once these are off the LRU", () => {
    const off = clashes(HUBBARD_2018, V4_20).filter(({ owner }) => owner.tenure === "sometimes");
    expect(new Set(off.map(({ type }) => type))).toEqual(
      new Set(["page cache", "anonymous", "compound head"]),
    );
    for (const { owner } of off) expect(owner.holds).toContain("while PG_lru is set");
  });

  it("1.1 fact 5: a design of one word, the second, still meets hmm_data", () => {
    const one = clashes([{ word: 2, field: "count" }], V4_20).filter(
      ({ owner }) => owner.tenure === "always",
    );
    expect(one.map(({ type }) => type)).toEqual(["ZONE_DEVICE"]);
  });

  it("in a tail meet compound_head, whose bit 0 the proposal would have to leave alone", () => {
    const tails = clashes(HUBBARD_2018, V4_20, false).filter(({ type }) => type.endsWith("tail"));
    expect(tails.filter(({ word }) => word === 1)).toHaveLength(3);
  });

  it("prints the clash", () => {
    expect(clashText(HUBBARD_2018, V4_20)).toMatch(/1 +dma_pinned_flags +ZONE_DEVICE +pgmap +for ever/);
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
  const words = (h: Hand, page = 0) => pageWords(h.k, page, "v4.20");

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
      expect([page, pageWords(k, page, "v4.20")[1].bit0]).toEqual([page, PageTail(k, page)]);
      expect([page, PageTail(k, page)]).toEqual([page, page > 0 && page < 4]);
    }
    expect([1, 2, 3].map((page) => pageType(k, page))).toEqual(["first tail", "second tail", "other tail"]);
    expect(pageWords(k, 1, "v4.20")[2].value).toBe("order 2, mapcount 0");
    expect(pageWords(k, 3, "v4.20")[1].value).toBe("page 0 + bit 0");
    expect([compound_head(k, 3), compound_head(k, 4), PageHead(k, 0)]).toEqual([0, 4, true]);
  });

  it("a tail says what its kernel keeps there of the whole page: its order, its size, its pins", () => {
    const said = (kernel: string, page: number, at: number) => {
      const geometry = { config: ["compound"] } as const;
      const { k } = new Hand(small({ pages: 8, cached: false, geometry, kernel }, { load: load() }));
      k.page._refcount[0] = 1;
      prep_compound_page(k, 0, 2);
      return pageWords(k, page, kernel)[at].value;
    };
    expect(said("v5.7", 1, 2)).toBe("order 2, mapcount 0");
    expect([said("v5.7", 2, 2), said("v5.6", 2, 2)]).toEqual(["0 pins", ""]);
    expect(said("v5.18", 1, 3)).toBe("0 pins, 4 pages");
    expect([said("v6.12", 1, 0), said("v6.12", 1, 3), said("v6.12", 1, 4)]).toEqual([
      "none; order 2",
      "0 pins",
      "4 pages",
    ]);
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
    const live = pageWords(k, 2, "v4.20");
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
    const text = pageWordsText(one().go("store").k, 0, "v4.20").split("\n");
    expect(text[0]).toBe("page 0: page cache");
    expect(text).toHaveLength(PAGE_WORDS + 2);
  });
});
