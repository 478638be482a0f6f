import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { call, local, path, repeat } from "../../../src/kernel/language.js";
import { free_huge_pages } from "../../../src/kernel/mm/hugetlb.js";
import { PageLRU } from "../../../src/kernel/mm/page.js";
import { unmap_mapping_pages } from "../../../src/kernel/mm/zap.js";
import { FS } from "../../../src/kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { int, vpn } from "../../../src/kernel/types.js";
import { cpu_access } from "../../../src/kernel/user.js";
import type { World } from "../../../src/lab/world.js";
import { Invariants } from "../../lab/invariants.js";
import { disk, dma, flusher, load, read, reclaim, store } from "../actors.js";
import { type Actor, FILE, Hand, small } from "../harness.js";

const rw = VM_SHARED | VM_WRITE;
const HUGE = 4;

/** A hugetlbfs file of `nr` huge pages of four pages each, mapped `vmas` times; `pool` of them are there. */
const machine = (
  actors: Readonly<Record<string, Actor>>,
  { nr = 1, pool = nr, vmas = [rw] }: { nr?: number; pool?: number; vmas?: number[] } = {},
): World =>
  small(
    {
      cached: false,
      pages: 2,
      fs: FS.hugetlbfs,
      filePages: nr * HUGE,
      vmas,
      geometry: { hugePages: pool, hugeOrder: 2, config: ["compound"] },
    },
    actors,
  );

const unmap: Actor = { path: unmap_mapping_pages, args: [FILE, 0, HUGE, 1], ends: true };
const kinds = (world: World) => {
  const found = world.explore({ maxStates: 2_000_000, progress: () => true });
  expect(found.complete).toBe(true);
  return found.witnesses.map(({ kind }) => kind).sort();
};

describe("a huge page fault", () => {
  it("takes a page from the pool, enters it in the file, maps all of it with one reference", () => {
    const h = new Hand(machine({ store: store(2) }));
    expect(free_huge_pages(h.k)).toBe(1);
    h.go("store");
    expect([0, 1, 2, 3].map((at) => h.pte(at))).toEqual(["rwdy", "rwdy", "rwdy", "rwdy"]);
    expect([0, 1, 2, 3].map((at) => h.k.pte.entry[at] >>> 4)).toEqual([0, 1, 2, 3]);
    expect([free_huge_pages(h.k), h.refs(0), h.k.page.mapcount[0], h.k.page.mapcount[2]]).toEqual([
      0, 2, 1, 0,
    ]);
    expect([h.k.content.version[2], PageLRU(h.k, 0), h.has("locked"), h.has("dirty")]).toEqual([
      1,
      false,
      false,
      false,
    ]);
  });

  it("of another mapping finds the page in the file", () => {
    const h = new Hand(machine({ store: store(), load: load(HUGE + 1) }, { vmas: [rw, rw] }))
      .go("store")
      .go("load");
    expect([h.pte(HUGE), h.k.pte.entry[HUGE + 1] >>> 4]).toEqual(["rwdy", 1]);
    expect([h.refs(0), h.k.page.mapcount[0], free_huge_pages(h.k)]).toEqual([3, 2, 0]);
  });

  it("with an empty pool is SIGBUS", () => {
    const h = new Hand(machine({ store: store(), other: store(HUGE) }, { nr: 2, pool: 1 }))
      .go("store")
      .go("other");
    expect([h.finished("other"), h.pte(HUGE), h.faults()]).toEqual([true, "none", []]);
  });

  it("two at once: the mutex keeps one from taking a second page", () => {
    const world = machine({ store: store(), load: load(3) }, { nr: 1, pool: 1 });
    expect(kinds(world)).toEqual([]);
    const h = new Hand(machine({ store: store(), load: load(3) }))
      .past("store", "alloc_huge_page")
      .go("load");
    expect([h.finished("load"), h.next("load")]).toEqual([false, "down_write(hugetlb_fault_mutex)"]);
  });

  it("zap takes one huge PTE away: all its virtual pages, one reference", () => {
    const h = new Hand(machine({ store: store(), unmap })).go("store").go("unmap");
    expect([0, 1, 2, 3].map((at) => h.pte(at))).toEqual(["none", "none", "none", "none"]);
    expect([h.refs(0), h.k.page.mapcount[0], h.has("dirty")]).toEqual([1, 0, true]);
  });
});

describe("gup of huge pages", () => {
  it("a reference on one 4 KiB piece is one on the whole", () => {
    const h = new Hand(machine({ read: read(0, 2), dma: dma(0) })).past("read", "submit_bio");
    expect([h.refs(0), h.refs(2), h.k.page.pins[2]]).toEqual([3, 0, 1]);
    h.go("dma");
    expect(h.k.content.version[2]).toBe(1);
  });

  it("F44 direct I/O does not dirty compound pages when it completes", () => {
    const h = new Hand(machine({ read: read(0, 1), dma: dma(0) })).past("read", "submit_bio").go("dma");
    const steps = h.trace("read", () => h.go("read"));
    expect(steps).not.toContain("SetPageDirty");
    expect([h.finished("read"), h.has("dirty"), h.refs(0), h.faults()]).toEqual([true, false, 2, []]);
  });
});

describe("W18, trap 34: a control without writeback", () => {
  it("hugetlbfs is safe in every interleaving of the article's machine", () => {
    const world = machine({ read: read(0, 1), dma: dma(0), flusher, reclaim: reclaim(2), disk });
    expect(kinds(world)).toEqual([]);
    expect(world.lockdep.reports).toEqual([]);
  });

  it("nobody ever writes or reclaims the page", () => {
    const h = new Hand(machine({ store: store(), flusher, reclaim: reclaim(4), disk, unmap }));
    h.go("store").go("unmap").go("flusher").go("reclaim");
    expect([h.refs(0), h.tags(), h.k.gendisk.head[0], h.has("dirty")]).toEqual([1, "", 0, true]);
  });
});

describe("random runs", () => {
  const process = path(
    "process",
    { source: "a test", args: { at: vpn, write: int }, locals: { nr: int, result: int } },
    [
      repeat(
        (_, f) => f.nr < 6,
        [
          call(() => cpu_access, { at: "at", write: "write" }, "result"),
          local((_, f) => {
            f.result = 0;
            f.nr++;
          }),
        ],
      ),
    ],
  );

  it("a tail has no count of its own at any step, and the head's is exact", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 }), fc.nat(), (nr, seed) => {
        const world = machine(
          {
            read: read(0, 1),
            read2: read(1, HUGE + 2),
            dma: dma(0),
            dma2: dma(1),
            store: { path: process, args: [3, 1], ends: true },
            load: { path: process, args: [nr * HUGE, 0], ends: true },
            unmap,
            reclaim: reclaim(2),
          },
          { nr: 2, vmas: [rw, rw] },
        );
        const invariants = new Invariants(world);
        const scheduler = world.scheduler(seed);
        for (let made = 0; made < 400; made++) {
          const task = scheduler.next();
          if (task < 0) break;
          world.step(task);
          const violated = invariants.violated();
          if (violated !== null) throw new Error(`${violated}\nreplay: ${world.replay}`);
        }
        expect(world.k.faults).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });
});
