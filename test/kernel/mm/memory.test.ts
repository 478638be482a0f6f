import { describe, expect, it } from "vitest";
import { PFN_SHIFT } from "../../../src/kernel/kernel.js";
import { handle_mm_fault } from "../../../src/kernel/mm/memory.js";
import { FAULT_FLAG, FS, VM_FAULT } from "../../../src/kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { PTE_BIT } from "../../../src/trace/words.js";
import { disk, flusher, load, reclaim, store } from "../actors.js";
import { ask } from "../drivers/ask.js";
import { Hand, small } from "../harness.js";

const one = (vma = VM_SHARED | VM_WRITE, fs: number = FS.ext4) =>
  new Hand(
    small(
      { pages: 2, vmas: [vma], fs },
      { store: store(), other: store(), load: load(), flusher, disk, reclaim: reclaim() },
    ),
  );

describe("the first write to a page of a shared mapping (2.1)", () => {
  it("the page lock is held from inside page_mkwrite through the installed PTE to the second dirtying", () => {
    const h = one().past("store", "unlock_page");
    expect([h.path("store"), h.has("locked")]).toEqual(["block_page_mkwrite", false]);
    h.step("store");
    while (h.path("store") !== "cpu_access" && h.next("store") !== "unlock_page") {
      expect(h.has("locked")).toBe(true);
      h.step("store");
    }
    expect(h.pte()).toBe("rwdy");
    h.step("store");
    expect(h.has("locked")).toBe(false);
  });

  it("W4 between the read fault and page_mkwrite anybody may have the page: here kswapd", () => {
    const h = one().past("store", "unlock_page").set(["referenced"]).go("reclaim");
    expect(h.k.vmstat.pgscan_kswapd[0]).toBe(1);
    h.go("store");
    expect([h.finished("store"), h.has("private"), h.has("dirty")]).toEqual([true, true, true]);
  });

  it("W8 somebody installed the PTE first: the loser gives page and lock back, and finds the PTE", () => {
    const h = one().until("store", "alloc_set_pte");
    h.k.pte.entry[0] = PTE_BIT.present;
    h.step("store");
    expect(h.next("store")).toBe("unlock_page");
    h.step("store");
    expect(h.next("store")).toBe("put_page");
    expect(h.k.page.mapcount[0]).toBe(0);
  });

  it("the caller's reference becomes the PTE's: cache, buffers, PTE", () => {
    expect(one().go("store").refs()).toBe(3);
  });
});

describe("reads, and who is told of the first write (2.3)", () => {
  it("ext4 wants to hear of it: a read maps the page read-only, and the write comes through page_mkwrite", () => {
    const h = one().go("load");
    expect([h.pte(), h.has("dirty"), h.has("private")]).toEqual(["ry", false, false]);
    const steps = h.trace("store", () => h.go("store"));
    expect(steps).toContain("create_empty_buffers");
    expect(steps).toContain("finish_mkwrite_fault");
    expect(h.pte()).toBe("rwdy");
  });

  it("tmpfs does not: a read maps the page writable, and the store is the CPU's business", () => {
    const h = one(VM_SHARED | VM_WRITE, FS.tmpfs).go("load");
    expect(h.pte()).toBe("rwy");
    const steps = h.trace("store", () => h.go("store"));
    expect(steps).toEqual(["access"]);
    expect([h.pte(), h.has("dirty")]).toEqual(["rwdy", false]);
  });

  it("a mapping without VM_WRITE cannot be written", () => {
    const h = one(VM_SHARED).go("store");
    expect([h.finished("store"), h.pte(), h.has("dirty")]).toEqual([true, "none", false]);
  });

  it("trap 24 a page that lost its PTE costs a minor fault, not a read", () => {
    const h = one().go("store");
    h.k.pte.entry[0] &= ~PTE_BIT.young;
    h.go("reclaim").go("load");
    expect([h.finished("load"), h.k.vmstat.pgmajfault[0]]).toEqual([true, 0]);
  });

  it("fault-around keeps away from a page with PG_reclaim, which is PG_readahead too", () => {
    const h = one().set(["reclaim"]);
    const steps = h.trace("load", () => h.go("load"));
    expect(steps).toContain("find_get_page");
    expect(h.has("reclaim")).toBe(false);
  });
});

describe("a write that finds the PTE read-only (wp_page_shared)", () => {
  it("the PTE changed during page_mkwrite: the fault is given up and tried again", () => {
    const h = one().go("load").until("store", "finish_mkwrite_fault");
    h.k.pte.entry[0] &= ~PTE_BIT.young;
    h.step("store");
    expect(h.pte()).toBe("r");
    h.go("store");
    expect([h.finished("store"), h.pte(), h.refs()]).toEqual([true, "rwdy", 3]);
  });
});

describe("a private mapping (trap 33)", () => {
  it("a write gives the process a copy; the file's page is neither dirty nor mapped", () => {
    const h = one(VM_WRITE).go("store");
    const file = h.k.xa_slot.page[0] - 1;
    expect([h.refs(file), h.has("dirty", file), h.k.page.mapcount[file]]).toEqual([1, false, 0]);
    expect(h.flags(1 - file)).toEqual(expect.arrayContaining(["swapbacked", "uptodate"]));
  });

  it("a write after a read replaces the file's page in the PTE by a copy with its bytes", () => {
    const h = one(VM_WRITE).go("load");
    const file = h.k.xa_slot.page[0] - 1;
    h.k.content.version[file] = 7;
    expect([h.refs(file), h.k.page.mapcount[file]]).toEqual([2, 1]);
    h.go("store");
    expect([h.refs(file), h.k.page.mapcount[file], h.k.page.mapcount[1 - file]]).toEqual([1, 0, 1]);
    expect([h.k.content.version[file], h.k.content.version[1 - file]]).toEqual([7, 8]);
  });
});

describe("VM_FAULT_WRITE, which only a VMA without VM_WRITE shows (FOLL_FORCE)", () => {
  const world = (answers: number[]) =>
    new Hand(
      small(
        { pages: 3, vmas: [0], geometry: { config: ["notifier"] } },
        {
          load: load(0),
          write: ask(handle_mm_fault, [0, FAULT_FLAG.WRITE], answers),
          again: ask(handle_mm_fault, [0, FAULT_FLAG.WRITE], answers),
        },
      ),
    );

  it("a copy was made, or a page reused", () => {
    const answers: number[] = [];
    world(answers).go("load").go("write").go("again");
    expect(answers).toEqual([VM_FAULT.WRITE, VM_FAULT.WRITE]);
  });

  it("not when the PTE had changed before the copy could take its place: the copy goes back at once, under the ptl", () => {
    const answers: number[] = [];
    const h = world(answers).go("load").until("write", "ptep_clear_flush_notify");
    h.k.pte.entry[0] &= ~PTE_BIT.young;
    const copy = h.k.page._refcount.lastIndexOf(1);
    h.step("write");
    expect(h.k.page._refcount[copy]).toBe(0);
    h.go("write");
    expect([answers, h.pte()]).toEqual([[0], "r"]);
  });

  it("nor when it changed while the page lock was waited for, or before the ptl was taken", () => {
    const answers: number[] = [];
    const h = world(answers).go("load").go("write");
    const page = h.k.pte.entry[0] >>> PFN_SHIFT;
    h.set(["locked"], page).until("again", "lock_page");
    h.k.pte.entry[0] &= ~PTE_BIT.young;
    h.clear(["locked"], page).go("again");
    expect(answers).toEqual([VM_FAULT.WRITE, 0]);
    const early = world(answers).go("load").until("write", "do_wp_page");
    early.k.pte.entry[0] &= ~PTE_BIT.young;
    early.go("write");
    expect(answers).toEqual([VM_FAULT.WRITE, 0, 0]);
  });
});

describe("anonymous memory (do_anonymous_page)", () => {
  const hand = (pages = 4) =>
    new Hand(
      small(
        { cached: false, geometry: { pages, files: [], vmas: [{ pages: 2, flags: VM_WRITE }] } },
        { load: load(0), store: store(0), other: store(0), next: load(1) },
      ),
    );
  const zero = (h: Hand) => h.k.geometry.pages;

  it("a read shows the zero page, which nobody counts", () => {
    const h = hand().go("load").go("next");
    expect([h.pte(0), h.pte(1), h.k.pte.entry[0] >>> 4]).toEqual(["ry", "ry", zero(h)]);
    expect([h.refs(zero(h)), h.k.page.mapcount[zero(h)]]).toEqual([1, 0]);
    expect(h.k.pgdat.free[0]).toBe(1);
  });

  it("a write after it gets a page of zeroes; nothing is copied", () => {
    const h = hand().go("load");
    const steps = h.trace("store", () => h.go("store"));
    expect(steps).toContain("do_wp_page");
    expect(steps).not.toContain("cow_user_page");
    expect([h.pte(0), h.k.page.mapcount[0], h.refs(0), h.k.content.version[0]]).toEqual(["rwdy", 1, 2, 1]);
    expect([h.refs(zero(h)), h.k.content.version[zero(h)]]).toEqual([1, 0]);
  });

  it("a write at once gets its page without the zero page, active and swap-backed", () => {
    const h = hand().go("store");
    expect([h.pte(0), h.flags(0)]).toEqual([
      "rwdy",
      expect.arrayContaining(["active", "swapbacked", "uptodate"]),
    ]);
  });

  it("of two writers one installs its page, the other gives its own back", () => {
    const h = hand().until("store", "set_pte_at").until("other", "set_pte_at").go("store").go("other");
    expect([h.k.page.mapcount[0], h.refs(0), h.refs(1), h.k.content.version[0]]).toEqual([1, 2, 0, 2]);
  });

  it("without a free page it waits for one", () => {
    const h = hand(0);
    h.until("store", "alloc_zeroed_user_highpage_movable");
    expect(h.enabled("store")).toBe(false);
  });

  it("a machine without anonymous memory has no zero page", () => {
    expect(one().k.geometry.zeroPage).toBe(false);
    expect(one().k.page.flags.length).toBe(2);
  });
});

describe("fault-around (do_fault_around)", () => {
  const hand = (config: readonly "fault_around"[]) =>
    new Hand(
      small(
        {
          filePages: 3,
          geometry: { pages: 3, vmas: [{ pages: 3, file: 1, flags: VM_SHARED | VM_WRITE }], config },
        },
        { load: load(1) },
      ),
    );

  it("maps what is in the cache round the fault, and no page that is locked or to be reclaimed", () => {
    const h = hand(["fault_around"]).set(["locked"], 2).go("load");
    expect([h.pte(0), h.pte(1), h.pte(2)]).toEqual(["ry", "ry", "none"]);
    expect(h.k.vmstat.pgfault[0]).toBe(1);
  });

  it("without the option the page alone", () => {
    const h = hand([]).go("load");
    expect([h.pte(0), h.pte(1), h.pte(2)]).toEqual(["none", "ry", "none"]);
  });
});

describe("a write to a read-only shared PTE of a filesystem that asks for nothing", () => {
  it("makes the PTE writable first and marks the page dirty under its lock (wp_page_shared)", () => {
    const h = one(VM_SHARED | VM_WRITE, FS.tmpfs).go("load");
    h.k.pte.entry[0] &= ~PTE_BIT.write;
    const steps = h.trace("store", () => h.go("store"));
    expect(steps).toContain("lock_page");
    expect([h.pte(), h.has("dirty"), h.has("locked")]).toEqual(["rwdy", true, false]);
  });
});

describe("a private mapping without memory for the copy: VM_FAULT_OOM, and nothing is held", () => {
  /** As many free pages as min says, and nothing that could be reclaimed: the file's page is held by somebody. */
  const short = () => {
    const h = new Hand(
      small(
        {
          pages: 5,
          vmas: [VM_WRITE],
          geometry: { min_free_pages: 4, config: ["watermarks", "direct_reclaim"] },
        },
        { load: load(), store: store() },
      ),
    );
    h.k.page._refcount[0]++;
    return h;
  };

  it("first write (do_cow_fault)", () => {
    const h = short().go("store");
    expect([h.finished("store"), h.pte(), h.refs()]).toEqual([true, "none", 2]);
    expect(h.faults()).toEqual(["REFUSED out_of_memory: -ENOMEM"]);
  });

  it("a write to a page that is mapped for reading (wp_page_copy); its own reclaim has taken the PTE meanwhile", () => {
    const h = short().go("load");
    expect([h.pte(), h.refs()]).toEqual(["ry", 3]);
    const steps = h.trace("store", () => h.go("store"));
    expect(steps).toContain("do_wp_page");
    expect([h.finished("store"), h.pte(), h.refs()]).toEqual([true, "none", 2]);
    expect(h.faults()).toEqual(["REFUSED out_of_memory: -ENOMEM"]);
  });
});
