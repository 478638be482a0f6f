import { describe, expect, it } from "vitest";
import {
  get_page,
  get_page_unless_zero,
  page_ref_freeze,
  page_ref_unfreeze,
  trylock_page,
  unlock_page,
} from "../../../src/kernel/mm/page.js";
import { alloc_page, free_page } from "../../../src/kernel/mm/page_alloc.js";
import { put_page } from "../../../src/kernel/mm/swap.js";
import { NONE } from "../../../src/kernel/types.js";
import { reclaim } from "../actors.js";
import { Hand, small } from "../harness.js";

const two = () => new Hand(small({ pages: 3 }, { reclaim: reclaim() }));

describe("references", () => {
  it("freeze goes from exactly the count to none, or not at all", () => {
    const { k } = two();
    expect(page_ref_freeze(k, 0, 2)).toBe(false);
    expect(page_ref_freeze(k, 0, 1)).toBe(true);
    expect(get_page_unless_zero(k, 0)).toBe(false);
    page_ref_unfreeze(k, 0, 1);
    expect(get_page_unless_zero(k, 0)).toBe(true);
    expect(k.page._refcount[0]).toBe(2);
  });

  it("a reference to a page that has none is guplab's own fault, and throws", () => {
    const { k } = two();
    expect(() => get_page(k, 2)).toThrow("get_page: page 2 has no reference");
    expect(() => put_page(k, 2)).toThrow("put_page: page 2 has no reference");
  });
});

describe("the page lock", () => {
  it("remembers who holds it", () => {
    const { k } = two();
    k.task = 4;
    expect(trylock_page(k, 0)).toBe(true);
    expect(k.page.locked_by[0]).toBe(5);
    expect(trylock_page(k, 0)).toBe(false);
    unlock_page(k, 0);
    expect(k.page.locked_by[0]).toBe(0);
    expect(() => unlock_page(k, 0)).toThrow("unlock_page: page 0 is not locked");
  });
});

describe("free pages", () => {
  it("allocation takes them one by one, each with one reference and no flags, until there is none", () => {
    const h = two();
    const pages = [alloc_page(h.k), alloc_page(h.k)];
    expect(pages.sort()).toEqual([1, 2]);
    expect(pages.map((page) => [h.refs(page), ...h.flags(page)])).toEqual([[1], [1]]);
    expect(alloc_page(h.k)).toBe(NONE);
  });

  it("F69 a page may be freed dirty, and loses its contents", () => {
    const h = two();
    const page = alloc_page(h.k);
    h.set(["dirty"], page);
    h.k.content.version[page] = 3;
    put_page(h.k, page);
    expect([...h.flags(page), h.k.content.version[page]]).toEqual([0]);
  });

  for (const flag of ["lru", "locked", "private", "writeback", "active", "unevictable"] as const) {
    it(`F69 but not with PG_${flag}`, () => {
      const h = two();
      const page = alloc_page(h.k);
      h.k.page._refcount[page] = 0;
      h.set([flag], page);
      expect(() => free_page(h.k, page)).toThrow(/^free_page: page \d is freed with flags/);
    });
  }
});
