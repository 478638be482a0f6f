import { describe, expect, it } from "vitest";
import { FS } from "../../../src/kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { PTE_BIT } from "../../../src/trace/words.js";
import { disk, flusher, load, read, reclaim, store } from "../actors.js";
import { FILE, Hand, small } from "../harness.js";

const one = (fs: number = FS.ext4) =>
  new Hand(
    small(
      { pages: 1, fs },
      {
        store: store(),
        load: load(),
        read: read(2),
        again: read(3),
        flusher,
        disk,
        reclaim: reclaim(),
      },
    ),
  );

const SUBMITTED = "submit_bio";

describe("the fast path (3.3)", () => {
  it("F38, trap 7 a writable PTE: no fault, no page_mkwrite, no dirtying; PG_referenced", () => {
    const h = one().go("store").clear(["referenced"]);
    h.clear(["dirty"]);
    const steps = h.trace("read", () => h.until("read", SUBMITTED));
    expect(steps).toEqual([
      "pte_read",
      "page_cache_get_speculative",
      "pte_val(pte) == pte_val(*ptep)",
      "SetPageReferenced",
    ]);
    expect([h.has("referenced"), h.has("dirty"), h.k.page.pins[0], h.refs()]).toEqual([true, false, 1, 4]);
  });

  it("F39 reads the PTE again after it has the reference: changed, so it gives the reference back", () => {
    const h = one().go("store");
    h.until("read", "pte_val(pte) == pte_val(*ptep)");
    expect(h.refs()).toBe(4);
    h.k.pte.entry[0] &= ~PTE_BIT.young;
    h.step("read");
    expect(h.next("read")).toBe("put_page");
    h.step("read");
    expect([h.refs(), h.k.page.pins[0]]).toEqual([3, 0]);
    h.until("read", SUBMITTED);
    expect(h.k.page.pins[0]).toBe(1);
  });

  it("F39 protected again meanwhile: the slow path, through page_mkwrite", () => {
    const h = one().go("store").past("read", "pte_read").go("flusher").go("disk");
    const steps = h.trace("read", () => h.until("read", SUBMITTED));
    expect(steps).toContain("put_page");
    expect(steps).toContain("get_block");
    expect(h.pte()).toBe("rwdy");
  });

  it("its reference makes an unpinned page look busy for a moment: a freeze fails (3.3, trap 40)", () => {
    const h = one().go("store").go("flusher").go("disk").clear(["referenced"]);
    h.k.pte.entry[0] = (h.k.pte.entry[0] | PTE_BIT.write) & ~PTE_BIT.young;
    h.past("read", "page_cache_get_speculative").go("reclaim");
    expect([h.k.page.pins[0], h.has("private"), h.k.xa_slot.page[0]]).toEqual([0, false, 1]);
  });

  it("a page that is being freed cannot be had", () => {
    const h = one().go("store").past("read", "pte_read");
    h.k.page._refcount[0] = 0;
    h.step("read");
    expect(h.k.page._refcount[0]).toBe(0);
  });
});

describe("the slow path (3.2)", () => {
  it("goes through page_mkwrite where the PTE is not writable: buffers, dirty, a writable PTE, then the reference", () => {
    const h = one();
    const steps = h.trace("read", () => h.until("read", SUBMITTED));
    const order = ["follow_page_pte", "create_empty_buffers", "alloc_set_pte"];
    expect(order.map((step) => steps.indexOf(step))).toEqual(
      [...order.map((step) => steps.indexOf(step))].sort((a, b) => a - b),
    );
    expect(steps.lastIndexOf("follow_page_pte")).toBeGreaterThan(steps.indexOf("alloc_set_pte"));
    expect(h.refs()).toBe(4);
  });

  it("G4 and G9 are separate: write-protected after the fault, it faults again", () => {
    const h = one().past("read", "alloc_set_pte").until("read", "follow_page_pte");
    h.go("flusher").go("disk");
    const steps = h.trace("read", () => h.until("read", SUBMITTED));
    expect(steps.filter((step) => step === "handle_pte_fault")).toHaveLength(1);
    expect(steps.filter((step) => step === "follow_page_pte")).toHaveLength(2);
    expect(h.pte()).toBe("rwdy");
  });

  it("one instant after the reference the PTE may be protected: gup cannot keep it writable", () => {
    const h = one().until("read", SUBMITTED).go("flusher");
    expect([h.pte(), h.k.page.pins[0], h.has("writeback")]).toEqual(["ry", 1, true]);
  });

  it("F41 dirties only when neither PTE nor page is dirty, as the filesystem dirties: tmpfs, the flag alone", () => {
    const h = one(FS.tmpfs).go("load");
    expect(h.pte()).toBe("rwy");
    h.k.pte.entry[0] &= ~PTE_BIT.write;
    h.past("read", "pte_read");
    h.k.pte.entry[0] |= PTE_BIT.write;
    h.until("read", SUBMITTED);
    expect([h.has("dirty"), h.tags(), h.k.inode.i_state[FILE]]).toEqual([true, "", 0]);
  });

  it("F41 a dirty PTE or a dirty page: it dirties nothing", () => {
    const h = one().go("store");
    h.k.pte.entry[0] &= ~PTE_BIT.write;
    h.past("read", "pte_read");
    h.k.pte.entry[0] |= PTE_BIT.write;
    h.clear(["dirty"]);
    h.until("read", SUBMITTED);
    expect([h.k.page.pins[0], h.has("dirty")]).toEqual([1, false]);
  });

  it("marks the page accessed: referenced, then active", () => {
    const h = one().until("read", SUBMITTED);
    expect(h.has("referenced")).toBe(true);
  });
});

describe("several pages", () => {
  it("takes what it can by the fast path, and the rest by the slow one", () => {
    const h = new Hand(
      small(
        { filePages: 3, pages: 3, vmas: [VM_SHARED | VM_WRITE] },
        { store: store(0), read: read(1, 0, 3) },
      ),
    ).go("store");
    const steps = h.trace("read", () => h.until("read", SUBMITTED));
    expect(steps.filter((step) => step === "SetPageReferenced")).toHaveLength(1);
    expect(steps.filter((step) => step === "handle_pte_fault")).toHaveLength(2);
    expect([...h.k.page.pins]).toEqual([1, 1, 1]);
  });

  it("a page that may not be written is not taken; the caller gets none and submits nothing", () => {
    const h = new Hand(small({ pages: 1, vmas: [VM_SHARED] }, { read: read(0) })).go("read");
    expect(h.finished("read")).toBe(true);
    expect(h.k.page.pins[0]).toBe(0);
  });
});

describe("a private mapping (trap 33)", () => {
  it("the device gets a copy: the file's page has no pin and stays clean", () => {
    const h = new Hand(small({ pages: 2, vmas: [VM_WRITE] }, { read: read(0) })).until("read", SUBMITTED);
    const file = h.k.xa_slot.page[0] - 1;
    const copy = 1 - file;
    expect([h.k.page.pins[file], h.k.page.pins[copy]]).toEqual([0, 1]);
    expect(h.has("dirty", file)).toBe(false);
    expect(h.has("swapbacked", copy)).toBe(true);
    expect(h.k.page.mapcount[file]).toBe(0);
  });
});
