import { describe, expect, it } from "vitest";
import {
  compound_head,
  compound_order,
  PageCompound,
  PageHead,
  PageTail,
  tail_of,
} from "../../../src/kernel/mm/compound.js";
import {
  get_page,
  get_page_unless_zero,
  PageDirty,
  PageLocked,
  SetPageDirty,
  trylock_page,
  unlock_page,
} from "../../../src/kernel/mm/page.js";
import { put_page } from "../../../src/kernel/mm/swap.js";
import { FS } from "../../../src/kernel/operations.js";
import { pageType } from "../../../src/lab/page_layout.js";
import { load, store } from "../actors.js";
import { Hand, small } from "../harness.js";

/** A huge page of four pages in the pool, mapped by a store: pages 0 to 3. Two pages of RAM behind. */
const one = () =>
  new Hand(
    small(
      {
        cached: false,
        pages: 2,
        fs: FS.hugetlbfs,
        filePages: 4,
        geometry: { hugePages: 1, hugeOrder: 2, config: ["compound"] },
      },
      { store: store(1), load: load(3) },
    ),
  );

describe("compound pages", () => {
  it("F75 a tail knows its head, and no other page takes itself for a tail", () => {
    const { k } = one();
    const pages = [0, 1, 2, 3, 4, 5];
    expect(pages.map((page) => PageTail(k, page))).toEqual([false, true, true, true, false, false]);
    expect(pages.map((page) => PageHead(k, page))).toEqual([true, false, false, false, false, false]);
    expect(pages.map((page) => compound_head(k, page))).toEqual([0, 0, 0, 0, 4, 5]);
    expect(pages.map((page) => tail_of(k, page))).toEqual([0, 1, 2, 3, 0, 0]);
    expect([compound_order(k, 0), compound_order(k, 4), PageCompound(k, 2), PageCompound(k, 5)]).toEqual([
      2,
      0,
      true,
      false,
    ]);
    expect([0, 1, 2, 3].map((page) => pageType(k, page))).toEqual([
      "compound head",
      "first tail",
      "second tail",
      "other tail",
    ]);
  });

  it("get_page and put_page of a tail count in the head", () => {
    const h = one().go("store");
    expect([h.refs(0), h.refs(2)]).toEqual([2, 0]);
    get_page(h.k, 2);
    expect([h.refs(0), h.refs(2)]).toEqual([3, 0]);
    expect(get_page_unless_zero(h.k, 3)).toBe(true);
    put_page(h.k, 3);
    put_page(h.k, 2);
    expect(h.refs(0)).toBe(2);
  });

  it("a tail of a page in the pool cannot be taken: its head has no reference", () => {
    const { k } = one();
    expect(get_page_unless_zero(k, 3)).toBe(false);
  });

  it("PF_HEAD, PF_NO_TAIL: flags and the page lock of a tail are its head's", () => {
    const h = one().go("store");
    SetPageDirty(h.k, 3);
    expect([PageDirty(h.k, 0), PageDirty(h.k, 1), h.k.page.flags[3]]).toEqual([true, true, 0]);
    expect([trylock_page(h.k, 1), trylock_page(h.k, 2), PageLocked(h.k, 0)]).toEqual([true, false, true]);
    unlock_page(h.k, 3);
    expect(PageLocked(h.k, 0)).toBe(false);
  });

  it("are not the page allocator's", () => {
    const { k } = one();
    const free: number[] = [];
    for (let at = k.pgdat.free[0]; at !== 0; at = k.page.lru_next[at - 1]) free.push(at - 1);
    expect(free).toEqual([4, 5]);
  });
});
