import { describe, expect, it } from "vitest";
import { fork as fork_path } from "../../src/kernel/fork.js";
import { MADV } from "../../src/kernel/mm/madvise.js";
import { get_page } from "../../src/kernel/mm/page.js";
import { put_page } from "../../src/kernel/mm/swap.js";
import { FS } from "../../src/kernel/operations.js";
import { VM_LOCKED, VM_MAYWRITE, VM_SHARED, VM_WRITE } from "../../src/kernel/structs.js";
import { lockReportText } from "../../src/machine/lockdep.js";
import { PTE_BIT } from "../../src/trace/words.js";
import { disk, flusher, load, store } from "./actors.js";
import { Hand, small } from "./harness.js";
import { anonymous, child_exits, childs, fork, madvise, mprotect, munmap, parent } from "./processes.js";

const page_at = (h: Hand, at: number): number => h.k.pte.entry[at] >>> 4;

/** One anonymous page at 0, and at 1 where the child has it. */
const one = () =>
  new Hand(
    small(anonymous(), {
      store: store(0),
      again: store(0),
      load: load(0),
      fork: fork(),
      child: childs(1, 1),
      look: childs(1, 0),
      exit: child_exits(),
      gone: munmap(1),
      dontfork: madvise(0, 1, MADV.DONTFORK),
      wipe: madvise(0, 1, MADV.WIPEONFORK),
    }),
  );

describe("fork of anonymous memory (9.1, v4.19 row)", () => {
  it("write-protects both PTEs, the child's is old: one page more mapped, one reference more", () => {
    const h = one().go("store");
    expect([h.pte(0), h.refs(), h.k.page.mapcount[0]]).toEqual(["rwdy", 2, 1]);
    h.go("fork");
    expect([h.pte(0), h.pte(1)]).toEqual(["rdy", "rd"]);
    expect([page_at(h, 0), page_at(h, 1)]).toEqual([0, 0]);
    expect([h.refs(), h.k.page.mapcount[0]]).toEqual([3, 2]);
    expect(h.k.vma.vm_pages[1]).toBe(1);
  });

  it("both mmap_sems are held for writing from the first VMA to the last (lock order 2)", () => {
    const h = one().go("store");
    const steps = h.trace("fork", () => h.go("fork"));
    expect(steps).toEqual([
      "down_write(mm->mmap_sem)",
      "down_write(mm->mmap_sem)",
      "down_write(anon_vma->rwsem)",
      "vm_area_dup",
      "up_write(anon_vma->rwsem)",
      "copy_one_pte",
      "up_write(mm->mmap_sem)",
      "up_write(mm->mmap_sem)",
      "wake_up_new_task",
    ]);
  });

  it("who writes first gets the copy, and the bytes that were there", () => {
    const h = one().go("store").go("fork").go("child");
    expect([page_at(h, 0), page_at(h, 1)]).toEqual([0, 1]);
    expect([h.k.content.version[0], h.k.content.version[1]]).toEqual([1, 2]);
    expect([h.k.page.mapcount[0], h.k.page.mapcount[1]]).toEqual([1, 1]);
  });

  it("F72 the last one mapped keeps the page, whatever other references it has", () => {
    const h = one().go("store").go("fork").go("gone");
    get_page(h.k, 0);
    const steps = h.trace("again", () => h.go("again"));
    expect(steps).not.toContain("cow_user_page");
    expect([page_at(h, 0), h.pte(0), h.k.content.version[0]]).toEqual([0, "rwdy", 2]);
    put_page(h.k, 0);
  });

  it("F72 a page that two map is copied, and the other one then keeps it", () => {
    const h = one().go("store").go("fork").go("again");
    expect([page_at(h, 0), page_at(h, 1)]).toEqual([1, 0]);
    const steps = h.trace("child", () => h.go("child"));
    expect(steps).not.toContain("cow_user_page");
    expect(h.pte(1)).toBe("rwdy");
  });

  it("a locked page is waited for without the ptl, and the PTE is looked at again", () => {
    const h = one().go("store").go("fork").go("gone").set(["locked"]);
    h.until("again", "lock_page");
    expect([h.enabled("again"), h.refs()]).toEqual([false, 2]);
    h.clear(["locked"]).step("again");
    h.k.pte.entry[0] |= PTE_BIT.young;
    expect(h.next("again")).toBe("pte_same");
    h.go("again");
    expect([h.finished("again"), h.pte(0), h.refs(), h.has("locked")]).toEqual([true, "rwdy", 1, false]);
  });

  it("MADV_DONTFORK keeps the VMA out of the child, and the parent keeps its write bit", () => {
    const h = one().go("store").go("dontfork").go("fork").go("child");
    expect([h.pte(0), h.pte(1), h.k.vma.vm_pages[1], h.finished("child")]).toEqual(["rwdy", "none", 0, true]);
  });

  it("MADV_WIPEONFORK gives the child the VMA without its pages", () => {
    const h = one().go("store").go("wipe").go("fork").go("look");
    expect([h.pte(0), h.pte(1), page_at(h, 1)]).toEqual(["rwdy", "ry", h.k.geometry.pages]);
  });

  it("the child's exit gives everything back", () => {
    const h = one().go("store").go("fork").go("exit");
    expect([h.pte(1), h.k.vma.vm_pages[1], h.k.page.mapcount[0], h.refs()]).toEqual(["none", 0, 1, 1]);
  });
});

const shared = (fs: number = FS.ext4) =>
  new Hand(
    small(
      {
        fs,
        geometry: {
          pages: 3,
          vmas: [
            { pages: 1, file: 1, flags: VM_SHARED | VM_WRITE },
            { pages: 1, flags: 0, mm: 1, forked: 0 },
          ],
          mms: 2,
          config: ["mmap"],
        },
      },
      { store: store(0), fork: fork(), child: childs(1, 1), look: childs(1, 0), flusher, disk },
    ),
  );

describe("fork of a shared mapping", () => {
  it("its PTEs are not copied (no anon_vma): the parent's stays as it is, the child's first access faults", () => {
    const h = shared().go("store");
    const steps = h.trace("fork", () => h.go("fork"));
    expect(steps).not.toContain("copy_one_pte");
    expect([h.pte(0), h.pte(1), h.k.page.mapcount[0]]).toEqual(["rwdy", "none", 1]);
    h.go("look");
    expect([h.pte(1), h.k.page.mapcount[0]]).toEqual(["ry", 2]);
  });

  it("the child's first write goes through page_mkwrite like everybody's", () => {
    const h = shared().go("store").go("fork");
    const steps = h.trace("child", () => h.go("child"));
    expect(steps).toContain("alloc_set_pte");
    expect([h.pte(0), h.pte(1)]).toEqual(["rwdy", "rwdy"]);
  });
});

describe("fork of a private mapping of a file", () => {
  const file = () =>
    new Hand(
      small(
        {
          filePages: 2,
          geometry: {
            pages: 6,
            vmas: [
              { pages: 2, file: 1, flags: VM_WRITE },
              { pages: 2, flags: 0, mm: 1, forked: 0 },
            ],
            mms: 2,
            config: ["mmap"],
          },
        },
        { load: load(1), store: store(0), fork: fork(), child: childs(2, 1) },
      ),
    );

  it("is copied from its first anonymous page on, pages of the file too", () => {
    const h = file().go("load").go("fork");
    expect(h.pte(3)).toBe("none");
    const other = file().go("load").go("store").go("fork");
    expect([other.pte(2), other.pte(3)]).toEqual(["rd", "r"]);
    expect([page_at(other, 2), page_at(other, 3)]).toEqual([page_at(other, 0), page_at(other, 1)]);
  });
});

describe("a fork that has no room", () => {
  it("a VMA in two parts needs a row for the second one in the child: -ENOMEM otherwise", () => {
    const h = new Hand(
      small(
        anonymous(2, {
          vmas: [
            { pages: 2, flags: VM_WRITE },
            { pages: 2, flags: 0, mm: 1, forked: 0 },
            { pages: 0, flags: 0 },
          ],
        }),
        { store: store(1), part: mprotect(0, 1, 0), fork: fork(), child: childs(2, 0) },
      ),
    );
    h.go("store").go("part").go("fork");
    expect([h.finished("fork"), h.finished("child")]).toEqual([true, false]);
    // What had been copied by then is given back (mmput): no VMA, no PTE, no reference of the child's is left.
    expect([h.k.vma.vm_pages[1], h.pte(2), h.pte(3), h.k.page.mapcount[page_at(h, 1)]]).toEqual([
      0,
      "none",
      "none",
      1,
    ]);
  });

  it("with room the child has both parts, at the same places", () => {
    const h = new Hand(
      small(
        anonymous(2, {
          vmas: [
            { pages: 2, flags: VM_WRITE },
            { pages: 2, flags: 0, mm: 1, forked: 0 },
            { pages: 0, flags: 0 },
            { pages: 0, flags: 0 },
          ],
        }),
        { store: store(1), part: mprotect(0, 1, 0), fork: fork(), child: childs(3, 1), no: childs(2, 1) },
      ),
    );
    h.go("store").go("part").go("fork").go("child").go("no");
    expect([h.pte(1), h.pte(3), h.pte(2)]).toEqual(["rdy", "rwdy", "none"]);
    expect([...h.k.vma.vm_mm]).toEqual([0, 1, 0, 1]);
  });
});

describe("orders and flags", () => {
  it("lockdep has nothing to say", () => {
    const world = small(anonymous(), { parent: parent(), child: childs(1, 1), exit: child_exits() });
    expect(world.lockdep.reports.map(lockReportText)).toEqual([]);
    expect(shared().world.lockdep.reports.map(lockReportText)).toEqual([]);
  });

  it("the child's VMAs are not locked in memory", () => {
    const h = one().go("store");
    h.k.vma.vm_flags[0] |= VM_LOCKED;
    h.go("fork");
    expect(h.k.vma.vm_flags[1] & VM_LOCKED).toBe(0);
    expect(h.k.vma.vm_flags[1] & VM_MAYWRITE).not.toBe(0);
  });

  it("fork is where Linux has it", () => {
    expect(fork_path.source).toBe("kernel/fork.c v4.20");
  });
});
