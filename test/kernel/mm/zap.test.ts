import { describe, expect, it } from "vitest";
import { call, path } from "../../../src/kernel/language.js";
import { unmap_mapping_pages, unmap_vmas, zap_page_range } from "../../../src/kernel/mm/zap.js";
import { FS } from "../../../src/kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { int } from "../../../src/kernel/types.js";
import { pg } from "../../../src/trace/words.js";
import { Invariants } from "../../lab/invariants.js";
import { disk, fsync, reclaim, store } from "../actors.js";
import { type Actor, FILE, Hand, type Small, small } from "../harness.js";

const range = path("range", { source: "a test", args: { vma: int, start: int, end: int } }, [
  call(() => zap_page_range, { vma: "vma", start: "start", end: "end" }),
]);

/** unmap_mapping_pages(mapping, start, nr, even_cows) */
const unmap = (start: number, nr: number, even_cows: 0 | 1): Actor => ({
  path: unmap_mapping_pages,
  args: [FILE, start, nr, even_cows],
  ends: true,
});

const both = [VM_SHARED | VM_WRITE, VM_WRITE];

/** A file of two pages mapped shared (0, 1) and private (2, 3), each page written through each. */
function written(options: Partial<Small>, actors: Readonly<Record<string, Actor>>): Hand {
  const h = new Hand(
    small(
      { filePages: 2, pages: 6, vmas: both, ...options },
      { s0: store(0), s1: store(1), s2: store(2), s3: store(3), ...actors },
    ),
  );
  for (const task of ["s0", "s1", "s2", "s3"]) h.go(task);
  return h;
}

const ptes = (h: Hand) => [0, 1, 2, 3].map((at) => h.pte(at)).join(" ");

describe("unmap_mapping_pages: which PTEs go", () => {
  it("even_cows 1 takes shared and private PTEs of the range, 0 leaves private copies", () => {
    const h = written({}, { file: unmap(1, 1, 0), cows: unmap(0, 2, 1) });
    expect(ptes(h)).toBe("rwdy rwdy rwdy rwdy");
    h.go("file");
    expect(ptes(h)).toBe("rwdy none rwdy rwdy");
    h.go("cows");
    expect(ptes(h)).toBe("none none none none");
    expect(h.world.lockdep.reports).toEqual([]);
  });

  it("a private mapping that shows the file's own page loses it either way", () => {
    const h = new Hand(
      small({ vmas: [VM_WRITE] }, { load: { ...store(0), args: [0, 0] }, unmap: unmap(0, 1, 0) }),
    );
    h.go("load");
    expect(h.pte()).not.toBe("none");
    h.go("unmap");
    expect(h.pte()).toBe("none");
  });

  it("VMAs that show other pages of the file are left alone", () => {
    const geometry = {
      vmas: [{ pages: 1, file: FILE, flags: VM_SHARED | VM_WRITE, pgoff: 1 }],
    };
    const h = new Hand(
      small(
        { filePages: 2, pages: 2, geometry },
        { s: store(0), first: unmap(0, 1, 1), second: unmap(1, 1, 1) },
      ),
    );
    h.go("s").go("first");
    expect(h.pte()).toBe("rwdy");
    h.go("second");
    expect(h.pte()).toBe("none");
  });

  it("leaves swap and migration entries, munmap takes them (zap_details)", () => {
    const h = new Hand(
      small({}, { file: unmap(0, 1, 1), munmap: { path: unmap_vmas, args: [0, 0, 1], ends: true } }),
    );
    h.k.pte.entry[0] = 8;
    h.go("file");
    expect(h.k.pte.entry[0]).toBe(8);
    h.go("munmap");
    expect(h.k.pte.entry[0]).toBe(0);
  });
});

describe("zap_pte_range: what a PTE knew goes to its page, in the kernel's order (trap 36)", () => {
  it("clear, set_page_dirty, mark_page_accessed, page_remove_rmap in one ptl section; then flush and put", () => {
    const h = written({}, { zap: { path: range, args: [0, 0, 2], ends: true } });
    expect(h.trace("zap", () => h.until("zap", "ptep_get_and_clear_full").step("zap"))).toEqual([
      "lru_add_drain",
      "ptep_get_and_clear_full",
      "ext4_set_page_dirty",
      "TestSetPageDirty",
      "page_remove_rmap",
    ]);
    expect(h.next("zap")).toBe("tlb_flush_mmu");
    // The PTE is gone and its reference is not.
    expect([h.pte(), h.k.page.mapcount[0], h.refs()]).toEqual(["none", 0, 3]);
    h.step("zap");
    expect(h.refs()).toBe(2);
  });

  it("a dirty PTE's filesystem is told, without the page lock and without a warning", () => {
    const h = written({}, { zap: { path: range, args: [0, 0, 2], ends: true } });
    h.clear(["dirty"]);
    h.k.page.b_state[0] = 0;
    h.k.vmstat.nr_dirty[0]--;
    h.go("zap");
    expect([h.has("dirty"), h.bufferDirty(), h.has("locked")]).toEqual([true, true, false]);
    // Only a page that was clean under a dirty PTE, which cannot be, makes ext4 warn.
    expect(h.faults()[0]).toMatch(/WARN ext4_set_page_dirty: WARN_ON_ONCE\(!PageLocked/);
  });

  it("a young PTE marks the page accessed; an old one does not", () => {
    const h = written({}, { zap: { path: range, args: [0, 0, 2], ends: true } });
    h.clear(["referenced"]).clear(["referenced"], 1);
    h.k.pte.entry[1] &= ~8;
    h.go("zap");
    expect([h.has("referenced"), h.has("referenced", 1)]).toEqual([true, false]);
  });

  it("an anonymous page's dirt goes nowhere, and its last PTE frees it", () => {
    const h = written({}, { zap: { path: range, args: [1, 2, 4], ends: true } });
    const copy = h.k.pte.entry[2] >>> 4;
    h.go("zap");
    expect([h.refs(copy), h.flags(copy)]).toEqual([0, []]);
    expect(h.faults()).toEqual([]);
  });

  it("PG_reclaim goes with the PTE, so that nothing comes between the PTE and PG_dirty", () => {
    const h = written({}, { zap: { path: range, args: [0, 0, 1], ends: true } });
    h.k.page.flags[0] |= pg("reclaim");
    h.past("zap", "ptep_get_and_clear_full");
    expect([h.has("reclaim"), h.next("zap")]).toEqual([false, "tlb_flush_mmu"]);
  });
});

describe("between the cleared PTE and the put, the page has a holder too many", () => {
  it("reclaim strips the buffers of such a page and backs out: no device, no gup", () => {
    const h = new Hand(
      small(
        {},
        {
          s: store(0),
          sync: fsync,
          disk,
          zap: { path: range, args: [0, 0, 1], ends: true },
          reclaim: reclaim(1),
        },
      ),
    );
    h.go("s");
    while (h.enabled("sync") || h.enabled("disk")) h.step(h.enabled("sync") ? "sync" : "disk");
    h.past("zap", "ptep_get_and_clear_full").clear(["referenced"]);
    h.go("reclaim");
    expect([h.has("private"), h.has("uptodate"), h.refs()]).toEqual([false, true, 2]);
    h.go("zap");
    expect(h.refs()).toBe(1);
  });
});

describe("invariants", () => {
  for (const fs of [FS.ext4, FS.tmpfs])
    it(`references and mapcounts are exact at every step of any order (fs ${fs})`, () => {
      for (let seed = 0; seed < 60; seed++) {
        const world = small(
          { filePages: 2, pages: 6, vmas: both, fs },
          {
            s0: store(0),
            s1: store(1),
            s2: store(2),
            zap: { path: range, args: [0, 0, 2], ends: true },
            copies: { path: range, args: [1, 2, 4], ends: true },
            unmap: unmap(0, 2, 1),
            again: unmap(0, 2, 0),
            sync: fsync,
            reclaim: reclaim(3),
            disk,
          },
        );
        const invariants = new Invariants(world);
        const scheduler = world.scheduler(seed);
        for (let steps = 0; steps < 600; steps++) {
          const task = scheduler.next();
          if (task < 0) break;
          world.step(task);
          const violated = invariants.violated();
          if (violated !== null) throw new Error(`${violated}\nreplay: ${world.replay}`);
        }
        expect(world.k.faults).toEqual([]);
        expect(world.lockdep.reports).toEqual([]);
      }
    });
});
