import { describe, expect, it } from "vitest";
import type { Config } from "../../../src/kernel/config.js";
import {
  get_page,
  get_page_unless_zero,
  page_ref_freeze,
  page_ref_unfreeze,
  trylock_page,
  unlock_page,
} from "../../../src/kernel/mm/page.js";
import { alloc_page, free_page, has_free_page } from "../../../src/kernel/mm/page_alloc.js";
import { put_page } from "../../../src/kernel/mm/swap.js";
import { NONE } from "../../../src/kernel/types.js";
import { reclaim } from "../actors.js";
import { Hand, small } from "../harness.js";

const two = (config: readonly Config[] = []) =>
  new Hand(small({ pages: 3, geometry: { config } }, { reclaim: reclaim() }));

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

  it("put_page of a page without one: the count falls below zero, and nobody says so", () => {
    const h = two();
    put_page(h.k, 2);
    expect([h.refs(2), h.faults()]).toEqual([-1, []]);
    get_page(h.k, 2);
    expect([h.refs(2), h.faults()]).toEqual([0, []]);
  });

  it("with CONFIG_DEBUG_VM both are a BUG", () => {
    const h = two(["debug_vm"]);
    put_page(h.k, 2);
    get_page(h.k, 2);
    expect(h.faults()).toEqual([
      "BUG put_page_testzero: VM_BUG_ON_PAGE(page_ref_count(page) == 0)",
      "BUG get_page: VM_BUG_ON_PAGE(page_ref_count(page) <= 0)",
    ]);
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

  for (const flag of [
    "lru",
    "locked",
    "private",
    "private_2",
    "writeback",
    "reserved",
    "slab",
    "active",
    "unevictable",
    "mlocked",
  ] as const) {
    it(`F69 but not with PG_${flag}: a bad page, and nobody's any more (CONFIG_DEBUG_VM)`, () => {
      const h = two(["debug_vm"]);
      const page = alloc_page(h.k);
      h.k.page._refcount[page] = 0;
      h.set([flag], page);
      free_page(h.k, page);
      expect(h.faults()).toEqual([
        "WARN bad_page: BUG: Bad page state: PAGE_FLAGS_CHECK_AT_FREE flag(s) set",
      ]);
      expect([h.flags(page), alloc_page(h.k), alloc_page(h.k)]).toEqual([[flag], 3 - page, NONE]);
    });
  }

  it("without CONFIG_DEBUG_VM the flags have been cleared before anybody looks", () => {
    const h = two();
    const page = alloc_page(h.k);
    h.k.page._refcount[page] = 0;
    h.set(["locked"], page);
    free_page(h.k, page);
    expect([h.faults(), h.flags(page)]).toEqual([[], []]);
  });

  for (const [column, reason] of [
    ["mapcount", "nonzero mapcount"],
    ["mapping", "non-NULL mapping"],
    ["_refcount", "nonzero _refcount"],
  ] as const)
    it(`a page is not freed with a ${reason}: it is reported, and its mapcount reset`, () => {
      const h = two();
      const page = alloc_page(h.k);
      h.k.page._refcount[page] = 0;
      h.k.page[column][page] = 1;
      free_page(h.k, page);
      expect(h.faults()).toEqual([`WARN bad_page: BUG: Bad page state: ${reason}`]);
      expect([h.k.page.mapcount[page], alloc_page(h.k), alloc_page(h.k)]).toEqual([0, 3 - page, NONE]);
    });

  it("a page that was put while it was free is found when it would be allocated, and never is", () => {
    const h = two();
    put_page(h.k, 1);
    expect(h.faults()).toEqual([]);
    expect([alloc_page(h.k), alloc_page(h.k), has_free_page(h.k)]).toEqual([2, NONE, false]);
    expect(h.faults()).toEqual(["WARN bad_page: BUG: Bad page state: nonzero _count"]);
  });

  it("a page in use is freed under its users by one put too many, whose own put goes below zero then", () => {
    const h = two();
    const page = alloc_page(h.k);
    get_page(h.k, page);
    for (let put = 0; put < 3; put++) put_page(h.k, page);
    expect([h.refs(page), h.faults()]).toEqual([-1, []]);
  });
});
