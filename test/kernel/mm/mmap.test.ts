import { describe, expect, it } from "vitest";
import { mm_struct } from "../../../src/kernel/mm/mmap.js";
import { FS } from "../../../src/kernel/operations.js";
import { VM_MAYWRITE, VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { lockReportText } from "../../../src/machine/lockdep.js";
import { disk, dma, flusher, load, old, read, reclaim, store } from "../actors.js";
import { Hand, type Small, small } from "../harness.js";
import { anonymous, mmap, mprotect, munmap } from "../processes.js";

const shared = (pages = 1, spare = 0): Small => ({
  filePages: pages,
  geometry: {
    pages: 2 * pages,
    vmas: [
      { pages, file: 1, flags: VM_SHARED | VM_WRITE },
      ...Array.from({ length: spare }, () => ({ pages: 0, flags: 0 })),
    ],
    dioPages: pages,
    config: ["mmap"],
  },
});

describe("munmap", () => {
  it("takes mmap_sem for writing, drains the batches, then PTE by PTE, then the VMA", () => {
    const h = new Hand(small(shared(), { store: store(), munmap: munmap(0) })).go("store");
    const steps = h.trace("munmap", () => h.go("munmap"));
    // What set_page_dirty does of a page that is dirty already is its own affair.
    const dirtying = ["page_mapping", "ClearPageReclaim", "ext4_set_page_dirty", "TestSetPageDirty"];
    expect(steps.filter((step) => !dirtying.includes(step))).toEqual([
      "down_write(mm->mmap_sem)",
      "detach_vmas_to_be_unmapped",
      "downgrade_write(mm->mmap_sem)",
      "lru_add_drain",
      "ptep_get_and_clear_full",
      "page_remove_rmap",
      "tlb_flush_mmu",
      "down_write(mapping->i_mmap_rwsem)",
      "unlink_file_vma",
      "up_write(mapping->i_mmap_rwsem)",
      "up_read(mm->mmap_sem)",
    ]);
    expect([h.pte(), h.k.page.mapcount[0], h.k.vma.vm_pages[0], h.has("dirty")]).toEqual([
      "none",
      0,
      0,
      true,
    ]);
  });

  it("5.7 a PTE's dirty bit goes to the page without the page lock", () => {
    const h = new Hand(
      small({ ...shared(), fs: FS.tmpfs }, { load: load(), store: store(), munmap: munmap(0) }),
    );
    h.go("load").go("store");
    expect([h.pte(), h.has("dirty")]).toEqual(["rwdy", false]);
    h.set(["locked"]).go("munmap");
    expect([h.finished("munmap"), h.has("dirty"), h.pte()]).toEqual([true, true, "none"]);
  });

  it("trap 36 a page that a device writes loses its PTE and stays, by the device's reference alone", () => {
    const h = new Hand(
      small(anonymous(1), { read: read(0), dma: dma(0), munmap: munmap(0), store: store() }),
    );
    h.go("read").go("munmap");
    expect([h.pte(), h.k.page.mapcount[0], h.refs()]).toEqual(["none", 0, 1]);
    h.go("dma").go("read");
    expect([h.finished("read"), h.refs()]).toEqual([true, 0]);
  });

  it("afterwards an access gets SIGSEGV, and mmap makes the place whole again", () => {
    const h = new Hand(small(shared(), { munmap: munmap(0), load: load(), mmap: mmap(0), store: store() }));
    h.go("munmap").go("load");
    expect([h.finished("load"), h.pte()]).toEqual([true, "none"]);
    h.go("mmap").go("store");
    expect([h.pte(), h.k.vma.vm_flags[0] & VM_SHARED]).toEqual(["rwdy", VM_SHARED]);
  });

  it("of the middle cuts the mapping in three: the ends stay, each at its place in the file", () => {
    const h = new Hand(
      small(shared(3, 2), { a: store(0), b: store(1), c: store(2), munmap: munmap(1), again: load(2) }),
    );
    h.go("a").go("b").go("c").go("munmap");
    expect([h.pte(0), h.pte(1), h.pte(2)]).toEqual(["rwdy", "none", "rwdy"]);
    const parts = [0, 1, 2]
      .filter((vma) => h.k.vma.vm_pages[vma] > 0)
      .map((vma) => [h.k.vma.vm_start[vma], h.k.vma.vm_pages[vma], h.k.vma.vm_pgoff[vma]]);
    expect(parts).toEqual([
      [0, 1, 0],
      [2, 1, 2],
    ]);
    expect(h.k.pteAt(0, h.k.xa_slot.page[2] - 1)).toBe(-1);
  });

  it("without room for a VMA more it is refused, and nothing changes (max_map_count)", () => {
    const h = new Hand(small(shared(3), { b: store(1), munmap: munmap(1) })).go("b").go("munmap");
    expect([h.finished("munmap"), h.pte(1), h.k.vma.vm_pages[0]]).toEqual([true, "rwdy", 3]);
  });

  it("two processes that cut at the same time get a row each", () => {
    const h = new Hand(
      small(
        {
          geometry: {
            pages: 4,
            vmas: [
              { pages: 3, flags: VM_WRITE },
              { pages: 3, flags: VM_WRITE, mm: 1 },
              ...Array.from({ length: 4 }, () => ({ pages: 0, flags: 0 })),
            ],
            mms: 2,
            config: ["mmap"],
          },
        },
        { a: munmap(1), b: munmap(4) },
      ),
    );
    h.until("a", "__vma_adjust").until("b", "__vma_adjust").step("a").step("b").go("a").go("b");
    const alive = h.k.vma.vm_pages.reduce((pages, each) => pages + each, 0);
    expect([h.finished("a"), h.finished("b"), alive]).toEqual([true, true, 4]);
    const starts = [...h.k.vma.vm_start].filter((_, vma) => h.k.vma.vm_pages[vma] > 0);
    expect(starts.sort()).toEqual([0, 2, 3, 5]);
  });

  it("of nothing is no error", () => {
    const h = new Hand(small(shared(), { first: munmap(0), munmap: munmap(0) })).go("first").go("munmap");
    expect(h.finished("munmap")).toBe(true);
  });

  it("a VMA that is on its way out is still found by rmap walks: reclaim may take the PTE first", () => {
    const h = new Hand(
      small(shared(), { store: store(), munmap: munmap(0), flusher, disk, reclaim: reclaim() }),
    );
    h.go("store").go("flusher").go("disk").clear(["referenced"]);
    old(h);
    h.until("munmap", "ptep_get_and_clear_full").go("reclaim");
    expect([h.pte(), h.k.page.mapcount[0]]).toEqual(["none", 0]);
    h.go("munmap");
    expect([h.finished("munmap"), h.k.vma.vm_pages[0]]).toEqual([true, 0]);
  });

  it("a fault waits while the VMAs are detached, and no longer: then it finds none (downgrade_write)", () => {
    const h = new Hand(small(shared(2, 2), { munmap: munmap(0), store: store(), other: store(1) })).go(
      "other",
    );
    h.until("munmap", "__vma_adjust");
    expect(h.next("store")).toBe("access");
    h.step("store");
    expect([h.next("store"), h.enabled("store")]).toEqual(["down_read(mm->mmap_sem)", false]);
    h.until("munmap", "lru_add_drain").go("store");
    expect([h.finished("store"), h.finished("munmap"), h.pte()]).toEqual([true, false, "none"]);
    h.go("munmap");
    expect([
      h.pte(1),
      h.k.locks.every((words) => words === undefined || words.every((word) => word === 0)),
    ]).toEqual(["rwdy", true]);
  });

  it("until its PTE goes a page can still be touched by who needs no fault", () => {
    const h = new Hand(small(shared(), { store: store(), munmap: munmap(0), again: store() })).go("store");
    h.until("munmap", "ptep_get_and_clear_full").go("again");
    expect([h.finished("again"), h.k.content.version[0]]).toEqual([true, 2]);
    h.go("munmap");
    expect([h.pte(), h.has("dirty")]).toEqual(["none", true]);
  });
});

describe("mprotect", () => {
  it("a dirty PTE of a shared mapping is writable again at once, a clean one faults (dirty_accountable)", () => {
    const h = new Hand(
      small(shared(2), {
        a: store(0),
        b: load(1),
        ro: mprotect(0, 2, 0),
        rw: mprotect(0, 2, 1),
        c: store(1),
      }),
    );
    h.go("a").go("b").go("ro");
    expect([h.pte(0), h.pte(1)]).toEqual(["rdy", "ry"]);
    h.go("rw");
    expect([h.pte(0), h.pte(1)]).toEqual(["rwdy", "ry"]);
    expect(h.trace("c", () => h.go("c"))).toContain("finish_mkwrite_fault");
  });

  it("a private PTE faults, and the only mapper keeps its page (F72)", () => {
    const h = new Hand(
      small(anonymous(), {
        a: store(),
        ro: mprotect(0, 1, 0),
        rw: mprotect(0, 1, 1),
        b: store(),
        no: store(),
      }),
    );
    h.go("a").go("ro");
    expect([h.pte(), h.trace("no", () => h.go("no")).includes("handle_pte_fault")]).toEqual(["rdy", false]);
    h.go("rw");
    expect(h.pte()).toBe("rdy");
    const steps = h.trace("b", () => h.go("b"));
    expect([steps.includes("cow_user_page"), h.pte(), h.k.content.version[0]]).toEqual([false, "rwdy", 2]);
  });

  it("cuts a VMA where the range begins and ends", () => {
    const h = new Hand(small(shared(3, 2), { ro: mprotect(1, 1, 0), a: store(0), b: store(1), c: store(2) }));
    h.go("ro").go("a").go("b").go("c");
    expect([h.pte(0), h.pte(1), h.pte(2)]).toEqual(["rwdy", "none", "rwdy"]);
  });

  it("a shared mapping of a file that is open for reading cannot become writable: -EACCES", () => {
    const h = new Hand(
      small(
        {
          geometry: {
            pages: 2,
            vmas: [{ pages: 1, file: 1, flags: VM_SHARED, without: VM_MAYWRITE }],
            config: ["mmap"],
          },
        },
        { rw: mprotect(0, 1, 1), store: store() },
      ),
    );
    h.go("rw").go("store");
    expect([h.finished("rw"), h.k.vma.vm_flags[0] & VM_WRITE, h.pte()]).toEqual([true, 0, "none"]);
  });
});

describe("a machine whose VMAs stay", () => {
  it("has neither words for them nor for mmap_sem", () => {
    const still = small({}, { store: store(), load: load() });
    expect(still.machine.image.locks).toEqual([]);
    expect(still.k.of(mm_struct).life.length).toBe(0);
    const moving = small(shared(), { store: store(), munmap: munmap(0) });
    expect(moving.machine.image.locks.map(({ name }) => name)).toContain("mm->mmap_sem");
  });
});

it("lockdep has nothing to say", () => {
  const world = small(shared(3, 2), {
    a: store(),
    munmap: munmap(1),
    mmap: mmap(0),
    ro: mprotect(0, 2, 0),
    flusher,
    disk,
    reclaim: reclaim(),
    read: read(0),
  });
  expect(world.lockdep.reports.map(lockReportText)).toEqual([]);
});
