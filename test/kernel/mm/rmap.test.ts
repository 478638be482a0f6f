import { describe, expect, it } from "vitest";
import { call, path, step } from "../../../src/kernel/language.js";
import {
  page_referenced,
  referenced_ptes,
  referenced_vm_flags,
  try_to_unmap,
} from "../../../src/kernel/mm/rmap.js";
import { MMU_NOTIFIER } from "../../../src/kernel/operations.js";
import { VM_EXEC, VM_LOCKED, VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { int, pfn } from "../../../src/kernel/types.js";
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

describe("F24 page_mkclean acts on PTEs that are dirty or writable", () => {
  const cleaned = (bits: number): string => {
    const h = two(0).go("store").set(["dirty"]);
    h.k.pte.entry[0] = (h.k.pte.entry[0] & ~(PTE_BIT.dirty | PTE_BIT.write)) | bits;
    h.until("flusher", "TestClearPageDirty");
    return h.pte(0);
  };

  it("dirty, writable, or both: write-protected and clean", () => {
    expect(cleaned(PTE_BIT.dirty)).toBe("ry");
    expect(cleaned(PTE_BIT.write)).toBe("ry");
    expect(cleaned(PTE_BIT.dirty | PTE_BIT.write)).toBe("ry");
  });

  it("neither: it is left alone", () => {
    const h = two(0).go("load").go("store2");
    h.k.pte.entry[0] |= PTE_BIT.young;
    const before = h.k.pte.entry[0];
    h.set(["dirty"]).go("flusher");
    expect(h.k.pte.entry[0]).toBe(before);
  });
});

describe("what page_referenced says of VMAs", () => {
  const asks = path("asks", { source: "a test", args: { page: pfn, is_locked: int }, locals: { got: int } }, [
    call(() => page_referenced, { page: "page", is_locked: "is_locked" }, "got"),
    step("tells", (k, f) => {
      k.page.pins[f.page] = referenced_ptes(f.got);
      k.page.index[f.page] = referenced_vm_flags(f.got);
    }),
  ]);
  const answers = (flags: number, also = SHARED) => {
    const h = new Hand(
      small(
        { pages: 3, vmas: [SHARED | flags, also] },
        { load: load(0), load2: load(1), asks: { path: asks, args: [0, 0], ends: true } },
      ),
    );
    h.go("load").go("load2").go("asks");
    return { ptes: h.k.page.pins[0], flags: h.k.page.index[0], second: h.pte(1) };
  };

  it("how many PTEs were used, and nothing else of plain VMAs", () => {
    expect(answers(0)).toEqual({ ptes: 2, flags: 0, second: "r" });
  });

  it("VM_EXEC of a VMA through which the page was used", () => {
    expect(answers(VM_EXEC)).toEqual({ ptes: 2, flags: VM_EXEC, second: "r" });
  });

  it("VM_LOCKED ends the walk: the PTEs behind it keep their young bits", () => {
    expect(answers(VM_LOCKED)).toEqual({ ptes: 0, flags: VM_LOCKED, second: "ry" });
  });

  it("a locked VMA behind a used one does not forget it", () => {
    expect(answers(0, SHARED | VM_LOCKED)).toEqual({ ptes: 1, flags: VM_LOCKED, second: "ry" });
  });

  it("an anonymous page needs no page lock", () => {
    const h = new Hand(
      small(
        { cached: false, geometry: { pages: 2, files: [], vmas: [{ pages: 1, flags: VM_WRITE }] } },
        { store: store(0), asks: { path: asks, args: [0, 0], ends: true } },
      ),
    );
    h.go("store").set(["locked"]);
    const steps = h.trace("asks", () => h.go("asks"));
    expect(steps).not.toContain("trylock_page");
    expect([h.k.page.pins[0], h.pte(0)]).toEqual([1, "rwd"]);
  });
});

describe("try_to_unmap of pages that stay", () => {
  const unmaps = path("unmaps", { source: "a test", args: { page: pfn }, locals: { got: int } }, [
    call(() => try_to_unmap, { page: "page" }, "got"),
  ]);

  it("a locked VMA keeps the PTE, and the page is marked", () => {
    const h = new Hand(
      small(
        {
          geometry: { pages: 2, vmas: [{ pages: 1, file: 1, flags: SHARED | VM_LOCKED }], config: ["mlock"] },
        },
        { load: load(0), unmaps: { path: unmaps, args: [0], ends: true } },
      ),
    );
    h.go("load");
    old(h);
    h.set(["locked"]).go("unmaps");
    expect([h.pte(), h.has("mlocked"), h.k.page.mapcount[0]]).toEqual(["r", true, 1]);
  });

  it("every VMA that the walk meets is told before it is looked at, those after the last PTE are not met", () => {
    const told = (mapped: number, notified: number): number => {
      const h = new Hand(
        small(
          {
            pages: 3,
            vmas: [SHARED, SHARED],
            geometry: {
              dios: 1,
              dioPages: 1,
              notifiers: [{ driver: MMU_NOTIFIER.ib_umem, start: notified, nr: 1, pages: 0 }],
              config: ["notifier"],
            },
          },
          { load: load(mapped), unmaps: { path: unmaps, args: [0], ends: true } },
        ),
      );
      h.go("load");
      old(h, mapped);
      h.set(["locked"]);
      const steps = h.trace("unmaps", () => h.go("unmaps"));
      expect(h.k.page.mapcount[0]).toBe(0);
      return steps.filter((step) => step === "ib_umem_notifier_start_account").length;
    };
    expect([told(0, 0), told(1, 0), told(1, 1), told(0, 1)]).toEqual([1, 1, 1, 0]);
  });

  it("an anonymous page stays mapped: there is no swap", () => {
    const h = new Hand(
      small(
        { cached: false, geometry: { pages: 2, files: [], vmas: [{ pages: 1, flags: VM_WRITE }] } },
        { store: store(0), unmaps: { path: unmaps, args: [0], ends: true } },
      ),
    );
    h.go("store");
    old(h);
    h.set(["locked"]).go("unmaps");
    expect([h.pte(), h.k.page.mapcount[0]]).toEqual(["rwd", 1]);
  });
});
