import { describe, expect, it } from "vitest";
import { PAGEVEC_SIZE } from "../../../src/kernel/kernel.js";
import { alloc_page } from "../../../src/kernel/mm/page_alloc.js";
import {
  inactive_list_is_low,
  isolate_lru_pages,
  lru_add_drain,
  lru_cache_add,
  mark_page_accessed,
  put_page,
  putback_inactive_page,
  rotate_reclaimable_page,
} from "../../../src/kernel/mm/swap.js";
import { LRU, PVEC } from "../../../src/kernel/structs.js";
import { PTE_BIT } from "../../../src/trace/words.js";
import { disk, flusher, reclaim, store } from "../actors.js";
import { Hand, small } from "../harness.js";

/** Eight cached pages, 0 the oldest, on the inactive file list. */
const eight = () => new Hand(small({ filePages: 8, pages: 24 }, { reclaim: reclaim() }));

/** A list's pages, the next victim first. */
function list(h: Hand, lru: number): number[] {
  const pages: number[] = [];
  for (let at = h.k.lruvec.tail[lru]; at !== 0; at = h.k.page.lru_prev[at - 1]) pages.push(at - 1);
  return pages;
}

describe("batches", () => {
  it("F64 PAGEVEC_SIZE is 15", () => expect(PAGEVEC_SIZE).toBe(15));

  it("F64 a page in a batch has one more reference and is on no list; the fifteenth drains it", () => {
    const h = eight();
    const pages = Array.from({ length: 15 }, () => alloc_page(h.k));
    pages.slice(0, 14).forEach((page) => {
      lru_cache_add(h.k, page);
    });
    expect(pages.slice(0, 14).map((page) => [h.refs(page), h.has("lru", page)])).toEqual(
      Array.from({ length: 14 }, () => [2, false]),
    );
    lru_cache_add(h.k, pages[14]);
    expect(pages.map((page) => [h.refs(page), h.has("lru", page)])).toEqual(
      Array.from({ length: 15 }, () => [1, true]),
    );
    expect(h.k.pagevec.nr[PVEC.lru_add]).toBe(0);
  });

  it("trap 40 a batch's reference keeps a page from being freed", () => {
    const h = eight();
    const page = alloc_page(h.k);
    lru_cache_add(h.k, page);
    put_page(h.k, page);
    expect(h.refs(page)).toBe(1);
    lru_add_drain(h.k);
    expect(h.refs(page)).toBe(0);
    expect(h.k.pgdat.free[0]).toBe(page + 1);
  });
});

describe("rotation at the end of writeback (F26, 7.8)", () => {
  it("a clean unlocked page goes to the tail of the inactive list, and is not active any more", () => {
    const h = eight();
    isolate_lru_pages(h.k, LRU.inactive_file, 1);
    h.set(["active"], 0);
    putback_inactive_page(h.k, 0);
    expect(list(h, LRU.active_file)).toEqual([0]);
    rotate_reclaimable_page(h.k, 0);
    expect(list(h, LRU.active_file)).toEqual([0]);
    lru_add_drain(h.k);
    expect(list(h, LRU.inactive_file)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect([h.has("active", 0), h.k.vmstat.pgrotated[0], h.refs(0)]).toEqual([false, 1, 1]);
  });

  for (const flag of ["locked", "dirty", "unevictable"] as const) {
    it(`a page that is ${flag} stays where it is`, () => {
      const h = eight().set([flag], 3);
      rotate_reclaimable_page(h.k, 3);
      expect([h.refs(3), h.k.pagevec.nr[PVEC.lru_rotate]]).toEqual([1, 0]);
    });
  }

  it("a page that was isolated meanwhile loses only the batch's reference", () => {
    const h = eight();
    rotate_reclaimable_page(h.k, 0);
    isolate_lru_pages(h.k, LRU.inactive_file, 1);
    expect(h.refs(0)).toBe(3);
    lru_add_drain(h.k);
    expect([h.refs(0), h.lru(0)]).toEqual([2, "isolated"]);
  });

  it("is what the end of a marked page's writeback does, after it took the mark and before PG_writeback goes", () => {
    const h = new Hand(small({ pages: 1 }, { store: store(), flusher, disk })).go("store");
    h.k.pte.entry[0] &= ~(PTE_BIT.write | PTE_BIT.dirty);
    h.go("flusher").set(["reclaim"]).past("disk", "rotate_reclaimable_page");
    expect([h.has("reclaim"), h.has("writeback"), h.k.pagevec.nr[PVEC.lru_rotate]]).toEqual([false, true, 1]);
    h.go("disk");
    expect(h.has("writeback")).toBe(false);
  });
});

describe("isolation (6.3)", () => {
  it("takes from the tail, with a reference each, off the list, in the order of looking", () => {
    const h = eight();
    let first = isolate_lru_pages(h.k, LRU.inactive_file, 3);
    const chain: number[] = [];
    for (; first !== 0; first = h.k.page.lru_next[first - 1]) chain.push(first - 1);
    expect(chain).toEqual([0, 1, 2]);
    expect(chain.map((page) => [h.refs(page), h.lru(page)])).toEqual([
      [2, "isolated"],
      [2, "isolated"],
      [2, "isolated"],
    ]);
    expect(list(h, LRU.inactive_file)).toEqual([3, 4, 5, 6, 7]);
  });
});

describe("second chance", () => {
  it("the first access references a page, the second one activates it", () => {
    const h = eight();
    mark_page_accessed(h.k, 2);
    expect([h.has("referenced", 2), h.lru(2)]).toEqual([true, "inactive"]);
    mark_page_accessed(h.k, 2);
    expect([h.has("referenced", 2), h.refs(2)]).toEqual([false, 2]);
    lru_add_drain(h.k);
    expect([h.lru(2), h.refs(2), h.k.vmstat.pgactivate[0]]).toEqual(["active", 1, 1]);
  });

  it("a page that is still in the lru_add batch is activated there", () => {
    const h = eight();
    const page = alloc_page(h.k);
    lru_cache_add(h.k, page);
    mark_page_accessed(h.k, page);
    mark_page_accessed(h.k, page);
    lru_add_drain(h.k);
    expect(h.lru(page)).toBe("active");
  });
});

describe("inactive_list_is_low (6.2)", () => {
  const cases: readonly (readonly [number, number, boolean])[] = [
    [4, 4, false],
    [4, 5, true],
    [0, 1, true],
    [0, 0, false],
    // One GiB of both: the ratio is int_sqrt(10) = 3.
    [65536, 3 * 65536, false],
    [65535, 3 * 65536 + 1, true],
  ];
  for (const [inactive, active, low] of cases) {
    it(`${inactive} inactive, ${active} active: ${low ? "low" : "not low"}`, () => {
      const h = eight();
      h.k.lruvec.size[LRU.inactive_file] = inactive;
      h.k.lruvec.size[LRU.active_file] = active;
      expect(inactive_list_is_low(h.k, LRU.inactive_file)).toBe(low);
    });
  }
});
