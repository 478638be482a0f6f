import { describe, expect, it } from "vitest";
import { VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { PTE_BIT } from "../../../src/trace/words.js";
import { deactivate, disk, dma, flusher, load, old, read, reclaim, store } from "../actors.js";
import { Hand, small } from "../harness.js";

const SHARED = VM_SHARED | VM_WRITE;

const two = (second = SHARED) =>
  new Hand(
    small(
      { pages: 3, vmas: [SHARED, second] },
      {
        store: store(0),
        store2: store(1),
        load: load(0),
        load2: load(1),
        flusher,
        disk,
        reclaim: reclaim(),
        again: reclaim(),
        age: deactivate(),
      },
    ),
  );

describe("mapcount and nr_mapped", () => {
  it("counts PTEs; the gauge counts file pages that are mapped at all", () => {
    const h = two().go("load").go("load2");
    expect([h.k.page.mapcount[0], h.refs(), h.k.vmstat.nr_mapped[0]]).toEqual([2, 3, 1]);
  });

  it("anonymous pages are no file pages", () => {
    const h = two(VM_WRITE).go("store2");
    expect(h.k.vmstat.nr_mapped[0]).toBe(0);
  });
});

describe("try_to_unmap", () => {
  it("takes every PTE with its reference", () => {
    const h = two().go("store").go("store2").go("flusher").go("disk").clear(["referenced"]);
    old(h, 0);
    old(h, 1);
    h.until("reclaim", "try_to_free_buffers");
    expect([h.pte(0), h.pte(1), h.k.page.mapcount[0]]).toEqual(["none", "none", 0]);
    expect(h.refs()).toBe(3);
  });

  it("stops at a PTE that was used meanwhile, takes its young bit, and leaves it", () => {
    const h = two().go("store").go("store2").go("flusher").go("disk").clear(["referenced"]);
    old(h, 0);
    old(h, 1);
    h.until("reclaim", "ptep_clear_flush").step("reclaim").go("load2").go("reclaim");
    expect([h.pte(0), h.pte(1), h.k.page.mapcount[0], h.lru()]).toEqual(["none", "r", 1, "active"]);
  });
});

describe("page_referenced", () => {
  it("without the page lock it answers 1, rather than wait (shrink_active_list)", () => {
    const h = two().go("load").set(["referenced"]).go("reclaim").set(["locked"]);
    expect(h.lru()).toBe("active");
    h.k.pte.entry[0] |= PTE_BIT.young;
    const steps = h.trace("age", () => h.go("age"));
    expect(steps).toContain("trylock_page");
    expect(steps).not.toContain("page_referenced_one");
    expect([h.pte(0), h.lru()]).toEqual(["ry", "inactive"]);
  });

  it("a device that writes into a page does not make it look used (6.9, trap 8)", () => {
    const h = new Hand(
      small({ pages: 1 }, { read: read(0), dma: dma(0), flusher, disk, reclaim: reclaim() }),
    );
    h.past("read", "submit_bio").go("flusher").go("disk").clear(["referenced"]);
    old(h);
    h.past("dma", "DMA");
    expect([h.pte(), h.has("referenced")]).toEqual(["r", false]);
    h.go("reclaim");
    expect(h.has("private")).toBe(false);
  });
});

describe("page_mkclean", () => {
  it("leaves private mappings alone", () => {
    const h = two(VM_WRITE).go("store").go("load2");
    h.k.pte.entry[1] |= PTE_BIT.dirty;
    h.until("flusher", "TestClearPageDirty");
    expect([h.pte(0), h.pte(1)]).toEqual(["ry", "rdy"]);
  });
});
