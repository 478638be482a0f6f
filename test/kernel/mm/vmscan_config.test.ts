import { describe, expect, it } from "vitest";
import { alloc_page } from "../../../src/kernel/mm/page_alloc.js";
import { buffer_heads_over_limit } from "../../../src/kernel/mm/shrink_active_list.js";
import {
  isolate_lru_pages,
  lru_add_drain,
  lru_add_drain_all,
  lru_cache_add,
  putback_inactive_page,
} from "../../../src/kernel/mm/swap.js";
import { LRU } from "../../../src/kernel/structs.js";
import { deactivate, disk, flusher, reclaim, store } from "../actors.js";
import { Hand, small } from "../harness.js";

describe("F71, trap 43: buffer_heads_over_limit", () => {
  for (const over of [true, false]) {
    it(`a clean, mapped, active page ${over ? "loses" : "keeps"} its buffers; nobody unmaps it`, () => {
      const h = new Hand(
        small(
          { pages: 2, geometry: { config: over ? ["buffer_heads_limit"] : [] } },
          { store: store(), flusher, disk, age: deactivate() },
        ),
      );
      h.go("store").go("flusher").go("disk");
      isolate_lru_pages(h.k, LRU.inactive_file, 1);
      h.set(["active"]);
      putback_inactive_page(h.k, 0);
      h.k.page._refcount[0]++;
      expect(buffer_heads_over_limit(h.k)).toBe(true);
      h.go("age");
      expect([h.has("private"), h.k.page.mapcount[0], h.has("locked")]).toEqual([!over, 1, false]);
    });
  }
});

describe("trap 40: batches of several CPUs", () => {
  it("a CPU drains its own; what another one has parked keeps its reference until all drain", () => {
    const h = new Hand(small({ pages: 4, geometry: { config: ["percpu"] } }, { a: reclaim(), b: reclaim() }));
    const page = alloc_page(h.k);
    h.k.task = 1;
    lru_cache_add(h.k, page);
    h.k.task = 0;
    lru_add_drain(h.k);
    expect([h.refs(page), h.has("lru", page)]).toEqual([2, false]);
    lru_add_drain_all(h.k);
    expect([h.refs(page), h.has("lru", page)]).toEqual([1, true]);
  });
});
