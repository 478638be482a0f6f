import { describe, expect, it } from "vitest";
import type { GeometryOptions } from "../../../src/kernel/geometry.js";
import { call, path, step } from "../../../src/kernel/language.js";
import { allow_direct_reclaim } from "../../../src/kernel/mm/direct_reclaim.js";
import { kswapd } from "../../../src/kernel/mm/kswapd.js";
import {
  free_pages,
  init_per_zone_wmark_min,
  MAX_RECLAIM_RETRIES,
  node,
  setup_per_zone_wmarks,
} from "../../../src/kernel/mm/mmzone.js";
import { may_become_enough } from "../../../src/kernel/mm/page_alloc.js";
import { cache_hog, memory_hog } from "../../../src/kernel/mm/pressure.js";
import { DEF_PRIORITY, sc } from "../../../src/kernel/mm/scan_control.js";
import { isolate_lru_pages } from "../../../src/kernel/mm/swap.js";
import { direct, SWAP_CLUSTER_MAX } from "../../../src/kernel/mm/vmscan.js";
import { VM_FAULT } from "../../../src/kernel/operations.js";
import {
  LRU,
  PGDAT_CONGESTED,
  PGDAT_DIRTY,
  PGDAT_WRITEBACK,
  VM_SHARED,
  VM_WRITE,
} from "../../../src/kernel/structs.js";
import { disk, flusher, load, store } from "../actors.js";
import { type Actor, FILE, Hand, small } from "../harness.js";

const KSWAPD: Actor = { path: kswapd };
const hog = (pages: number, start = 0): Actor => ({ path: memory_hog, args: [start, pages], ends: true });

/** Eight clean cached pages of a file; the rest is free: `pages` in all, min 4, low 5, high 6. Eight pages of anonymous memory. */
const machine = (pages: number, actors: Record<string, Actor>, geometry: Partial<GeometryOptions> = {}) =>
  new Hand(
    small(
      {
        filePages: 8,
        pages,
        geometry: {
          min_free_pages: 4,
          vmas: [
            { pages: 8, flags: VM_WRITE },
            { pages: 8, file: FILE, flags: VM_SHARED | VM_WRITE },
          ],
          config: ["watermarks"],
          ...geometry,
        },
      },
      actors,
    ),
  );

const counters = (h: Hand, ...names: (keyof typeof h.k.vmstat)[]): number[] =>
  names.map((name) => h.k.vmstat[name][0]);

describe("watermarks (F63, 6.1)", () => {
  // Pages of the machine, min, low, high.
  const table: readonly (readonly [string, number, number, number, number])[] = [
    ["512 KiB: at least 128 kB are kept free", 128, 32, 40, 48],
    ["64 MiB: a quarter of min is the gap", 16384, 256, 320, 384],
    ["1 GiB: a thousandth of the zone is more than a quarter of min", 262144, 1024, 1286, 1548],
    ["16 GiB", 4194304, 4096, 8290, 12484],
    ["1 TiB: at most 64 MiB are kept free", 268435456, 16384, 284819, 553254],
  ];
  for (const [name, managed, min, low, high] of table) {
    it(name, () => {
      expect(init_per_zone_wmark_min(managed)).toBe(min);
      expect(setup_per_zone_wmarks(managed, min)).toEqual({ min, low, high });
    });
  }
});

describe("an allocation and kswapd", () => {
  it("F62 the numbers: priority 12, 16 rounds without progress, 32 pages", () => {
    expect([DEF_PRIORITY, MAX_RECLAIM_RETRIES, SWAP_CLUSTER_MAX]).toEqual([12, 16, 32]);
  });

  it("kswapd sleeps until an allocation finds no more than the low watermark free, and then frees to above the high one", () => {
    const h = machine(15, { kswapd: KSWAPD, hog: hog(3) }).go("kswapd");
    expect([h.next("kswapd"), h.enabled("kswapd"), free_pages(h.k)]).toEqual(["schedule", false, 7]);
    h.until("hog", () => free_pages(h.k) === 5);
    expect(h.enabled("kswapd")).toBe(false);
    // 5 free is not more than low: the third page comes from below it, and still above min.
    h.go("hog");
    expect([h.finished("hog"), free_pages(h.k), h.enabled("kswapd")]).toEqual([true, 4, true]);
    h.go("kswapd");
    expect(free_pages(h.k)).toBeGreaterThan(h.k.geometry.watermarks.high);
    expect([h.next("kswapd"), h.enabled("kswapd")]).toEqual(["schedule", false]);
    expect(counters(h, "pageoutrun", "pgscan_direct", "allocstall_movable")).toEqual([1, 0, 0]);
    expect(h.k.vmstat.pgsteal_kswapd[0]).toBe(free_pages(h.k) - 4);
  });

  it("a pass scans size >> priority: of eight pages none before priority 3, and then one", () => {
    const h = machine(14, { kswapd: KSWAPD });
    const looked: number[] = [];
    h.until("kswapd", () => {
      if (h.next("kswapd") === "pgdat_balanced") looked.push(sc(h.k).priority[0]);
      return h.k.vmstat.pgscan_kswapd[0] > 0;
    });
    expect(new Set(looked)).toEqual(new Set([12, 11, 10, 9, 8, 7, 6, 5, 4, 3]));
    expect(h.k.vmstat.pgscan_kswapd[0]).toBe(1);
  });

  it("a pass that has taken no page flags the node dirty (0 == 0), and a balanced node forgets its flags", () => {
    const h = machine(14, { kswapd: KSWAPD }).until("kswapd", (k) => k.pgdat.flags[0] !== 0);
    expect(h.k.pgdat.flags[0]).toBe(PGDAT_DIRTY);
    h.k.pgdat.flags[0] |= PGDAT_WRITEBACK | PGDAT_CONGESTED;
    h.go("kswapd");
    expect([h.next("kswapd"), h.k.pgdat.flags[0]]).toEqual(["schedule", 0]);
  });

  it("kswapd gives up after 16 runs that freed nothing; an allocation does not wake it then, and a freed page does not either", () => {
    const h = machine(8, { kswapd: KSWAPD, hog: hog(1) });
    // Nothing can be taken: each page has one reference more.
    for (let page = 0; page < 8; page++) h.k.page._refcount[page]++;
    h.go("kswapd");
    expect([h.next("kswapd"), node(h.k).kswapd_failures[0]]).toEqual(["schedule", MAX_RECLAIM_RETRIES]);
    expect(h.k.vmstat.pageoutrun[0]).toBe(16);
    h.go("hog");
    expect([h.next("hog"), h.enabled("hog"), h.enabled("kswapd")]).toEqual([
      "get_page_from_freelist",
      false,
      false,
    ]);
  });

  it("without direct reclaim an allocation sleeps until more than min is free", () => {
    const h = machine(12, { kswapd: KSWAPD, hog: hog(1) }).go("hog");
    expect([h.next("hog"), free_pages(h.k)]).toEqual(["get_page_from_freelist", 4]);
    h.go("kswapd").go("hog");
    expect(h.finished("hog")).toBe(true);
  });

  it("a waking during kswapd's nap is not lost", () => {
    const h = machine(15, { kswapd: KSWAPD, hog: hog(3) })
      .until("kswapd", "finish_wait")
      .go("hog");
    h.go("kswapd");
    expect(counters(h, "kswapd_low_wmark_hit_quickly", "pageoutrun")).toEqual([1, 1]);
    expect(free_pages(h.k)).toBeGreaterThan(6);
  });
});

const DIRECT: Partial<GeometryOptions> = { config: ["watermarks", "direct_reclaim"] };

describe("direct reclaim", () => {
  it("an allocation below min reclaims itself, mmap_sem held: scans and steals count as its own", () => {
    const h = machine(12, { hog: hog(1) }, DIRECT).go("hog");
    expect(h.finished("hog")).toBe(true);
    expect(
      counters(h, "allocstall_movable", "pgscan_kswapd", "pgsteal_kswapd", "pgscan_direct_throttle"),
    ).toEqual([1, 0, 0, 0]);
    const stolen = h.k.vmstat.pgsteal_direct[0];
    expect(h.k.vmstat.pgscan_direct[0]).toBe(stolen);
    expect(free_pages(h.k)).toBe(4 + stolen - 1);
    expect([...sc(h.k).owner]).toEqual([0, 0, 0, 0, 0]);
  });

  it("trap 3, R12: it never writes a dirty page, marked or not, node flagged or not; kswapd would", () => {
    const h = machine(12, { store: store(8), hog: hog(1), flusher, disk }, DIRECT);
    h.go("store").clear(["referenced"]).set(["reclaim"]);
    // Neither used nor dirty: unmapping it does not call set_page_dirty, which would take the mark.
    h.k.pte.entry[8] &= 1 | ~0xf;
    h.k.pgdat.flags[0] |= PGDAT_DIRTY;
    h.until("hog", () => h.has("active"));
    expect(h.k.vmstat.nr_vmscan_immediate_reclaim[0]).toBe(1);
    h.go("hog");
    expect([h.finished("hog"), h.has("dirty"), h.pte(8)]).toEqual([true, true, "none"]);
    expect(h.k.vmstat.nr_vmscan_write[0]).toBe(0);
  });

  it("trap 41, R16: it strips a page that a driver holds just as kswapd does, and backs out", () => {
    const h = machine(12, { store: store(8), flusher, disk, hog: hog(8) }, DIRECT);
    h.go("store").go("flusher").go("disk").clear(["referenced"]);
    h.k.pte.entry[8] &= ~0xe;
    h.k.page._refcount[0]++;
    h.go("hog");
    expect([h.has("private"), h.pte(8), h.k.xa_slot.page[0]]).toEqual([false, "none", 1]);
  });

  it("R6 case 2 for it, marked or not: only kswapd counts nr_immediate", () => {
    const h = machine(12, { store: store(8), flusher, disk, hog: hog(1) }, DIRECT);
    h.go("store").go("flusher").set(["reclaim"]);
    h.k.pgdat.flags[0] |= PGDAT_WRITEBACK;
    h.until("hog", () => h.has("active"));
    expect(h.has("writeback")).toBe(true);
    h.go("hog");
    expect(h.finished("hog")).toBe(true);
  });

  it("OOM: nothing can be reclaimed, the store fails with VM_FAULT_OOM and the refusal is recorded", () => {
    let ended = -1;
    const victim = path("victim", { source: "a test", locals: { ret: { kind: "int", none: 0 } } }, [
      call(() => memory_hog, { start: 0, nr: 1 }, "ret"),
      step("ended", (_, f) => {
        ended = f.ret;
      }),
    ]);
    const h = machine(12, { hog: { path: victim, ends: true } }, DIRECT);
    for (let page = 0; page < 8; page++) h.k.page._refcount[page]++;
    h.go("hog");
    expect([h.finished("hog"), ended]).toEqual([true, VM_FAULT.OOM]);
    expect(h.faults()).toEqual(["REFUSED out_of_memory: -ENOMEM"]);
    // Seventeen times through all priorities without progress, and once more to see that it is too often.
    expect(counters(h, "allocstall_movable", "oom_kill", "pgsteal_direct")).toEqual([17, 1, 0]);
    expect(free_pages(h.k)).toBe(4);
  });

  it("it waits while half of min is gone, until kswapd has freed more or has given up", () => {
    const h = machine(10, { kswapd: KSWAPD, hog: hog(1) }, DIRECT).go("hog");
    expect([free_pages(h.k), allow_direct_reclaim(h.k)]).toEqual([2, false]);
    expect([h.next("hog"), h.enabled("hog"), h.k.vmstat.pgscan_direct_throttle[0]]).toEqual([
      "pfmemalloc_wait",
      false,
      1,
    ]);
    h.go("kswapd").go("hog");
    expect(h.finished("hog")).toBe(true);
  });

  it("a second look: reclaimable and free pages together must be more than min", () => {
    const h = machine(12, { hog: hog(1) }, DIRECT);
    expect(may_become_enough(h.k)).toBe(true);
    isolate_lru_pages(h.k, LRU.inactive_file, 8);
    expect(may_become_enough(h.k)).toBe(false);
  });
});

const scan = path("scan", { source: "a test" }, [
  step("begin", (k) => {
    sc(k).owner[1] = k.task + 1;
  }),
  call(() => direct.shrink_inactive_list, {
    nr_to_scan: 1,
    nr_writeback: 0,
    nr_taken: 0,
    nr_unqueued_dirty: 0,
  }),
]);

describe("too_many_isolated (F78)", () => {
  it("a direct reclaimer sleeps once while more is isolated than an eighth of the list, and leaves; kswapd does not ask", () => {
    const h = machine(12, { scan: { path: scan, ends: true } }, DIRECT);
    node(h.k).nr_isolated_file[0] = 2;
    const steps = h.trace("scan", () => h.go("scan"));
    expect(steps).toEqual(["begin", "too_many_isolated", "too_many_isolated"]);
    const free = machine(12, { scan: { path: scan, ends: true } }, DIRECT);
    node(free.k).nr_isolated_file[0] = 1;
    free.go("scan");
    expect(free.k.vmstat.pgsteal_direct[0]).toBe(1);

    const k = machine(12, { kswapd: KSWAPD }, DIRECT);
    node(k.k).nr_isolated_file[0] = 100;
    expect(k.trace("kswapd", () => k.until("kswapd", () => k.k.vmstat.pgsteal_kswapd[0] > 0))).not.toContain(
      "too_many_isolated",
    );
  });
});

describe("memory hogs (W10)", () => {
  it("one that fills memory takes the page cache's pages, and not its own", () => {
    const h = machine(14, { hog: hog(8) }, DIRECT).go("hog");
    expect(h.finished("hog")).toBe(true);
    expect(h.k.vmstat.oom_kill[0]).toBe(0);
    expect(h.k.lruvec.size[LRU.inactive_file] + h.k.lruvec.size[LRU.active_file]).toBeLessThan(4);
  });

  it("one that reads a large file recycles the pages of that file", () => {
    const read: Actor = { path: cache_hog, args: [FILE, 40, 2], ends: true };
    const h = new Hand(
      small(
        {
          filePages: 40,
          pages: 40,
          cached: false,
          geometry: { min_free_pages: 4, config: ["watermarks", "direct_reclaim"], vmas: [] },
        },
        { read, disk },
      ),
    );
    for (let turn = 0; turn < 100 && !h.finished("read"); turn++) h.go("read").go("disk");
    expect(h.finished("read")).toBe(true);
    expect(h.k.vmstat.pgsteal_direct[0]).toBeGreaterThanOrEqual(40);
    expect(h.k.vmstat.nr_file_pages[0]).toBeLessThanOrEqual(36);
    expect(h.faults()).toEqual([]);
  });

  it("lockdep finds nothing wrong with reclaim under mmap_sem", () => {
    const h = machine(12, { kswapd: KSWAPD, hog: hog(1), load: load(8), flusher, disk }, DIRECT);
    expect(h.world.lockdep.reports).toEqual([]);
  });
});
