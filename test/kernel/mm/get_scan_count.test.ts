/** get_scan_count with swap, and who writes anonymous pages where there are watermarks. */
import { describe, expect, it } from "vitest";
import { old_anonymous } from "../../../src/kernel/boot.js";
import { call, path, step } from "../../../src/kernel/language.js";
import { scan_count } from "../../../src/kernel/mm/get_scan_count.js";
import {
  age_pressure,
  mod_isolated,
  recent_rotated,
  recent_scanned,
  zone_reclaimable_pages,
} from "../../../src/kernel/mm/mmzone.js";
import { alloc_page } from "../../../src/kernel/mm/page_alloc.js";
import { memory_hog } from "../../../src/kernel/mm/pressure.js";
import { KSWAPD, sc } from "../../../src/kernel/mm/scan_control.js";
import { lru_add_drain, mark_page_accessed } from "../../../src/kernel/mm/swap.js";
import { get_nr_swap_pages, swap_map } from "../../../src/kernel/mm/swapfile.js";
import { is_swap_entry } from "../../../src/kernel/mm/swapops.js";
import { direct } from "../../../src/kernel/mm/vmscan.js";
import { LRU, VM_WRITE } from "../../../src/kernel/structs.js";
import { disk, load, reclaim } from "../actors.js";
import { type Actor, Hand, type Small, small } from "../harness.js";

const machine = (
  geometry: Small["geometry"] = {},
  actors: Record<string, Actor> = { disk },
  pages = 64,
  written = 0,
) =>
  new Hand(
    small(
      {
        cached: false,
        prepare: (k) => {
          for (let at = 12 - written; at < 12; at++) old_anonymous(k, at);
        },
        geometry: {
          pages,
          files: [],
          vmas: [{ pages: 12, flags: VM_WRITE }],
          min_free_pages: 4,
          config: ["watermarks", "direct_reclaim", "swap"],
          ...geometry,
        },
      },
      actors,
    ),
  );

/** What of [inactive_anon, active_anon, inactive_file, active_file] a pass of kswapd scans. */
const counts = (h: Hand, priority: number, sizes: readonly [number, number, number, number]): number[] => {
  sc(h.k).priority[KSWAPD] = priority;
  return sizes.map((size, lru) => {
    sizes.forEach((each, at) => {
      h.k.lruvec.size[at] = each;
    });
    expect(h.k.lruvec.size[lru]).toBe(size);
    return scan_count(h.k, lru, KSWAPD);
  });
};

describe("which lists a pass scans (6.2, F62)", () => {
  it("enough inactive pages of files: files only, at this priority", () => {
    expect(counts(machine(), 2, [40, 40, 40, 40])).toEqual([0, 0, 10, 10]);
  });

  it("few inactive pages of files: shared by swappiness, 60 to 140, and rounded up", () => {
    expect(counts(machine(), 0 + 1, [40, 40, 10, 40])).toEqual([6, 6, 4, 14]);
    // The list is long enough, but at this priority nothing of it would be scanned.
    expect(counts(machine(), 6, [640, 640, 20, 10])).toEqual([3, 3, 0, 0]);
  });

  it("swappiness 100: the same for both; 0: files only", () => {
    expect(counts(machine({ swappiness: 100 }), 1, [40, 40, 10, 40])).toEqual([10, 10, 3, 10]);
    expect(counts(machine({ swappiness: 0 }), 1, [40, 40, 10, 40])).toEqual([0, 0, 5, 20]);
  });

  it("close to OOM (priority 0): all of both, unless swappiness is 0", () => {
    expect(counts(machine(), 0, [40, 30, 20, 10])).toEqual([40, 30, 20, 10]);
    expect(counts(machine({ swappiness: 0 }), 0, [40, 30, 20, 10])).toEqual([0, 0, 20, 10]);
  });

  it("files and free memory together below the high watermark: anonymous pages only, if enough of them are inactive", () => {
    const short = () => {
      const h = machine();
      for (let taken = 0; taken < 62; taken++) alloc_page(h.k);
      return h;
    };
    expect(counts(short(), 1, [40, 30, 2, 0])).toEqual([20, 15, 0, 0]);
    expect(counts(short(), 1, [20, 30, 2, 0])).toEqual([0, 0, 1, 0]);
  });

  it("no place in swap is free: files only, and anonymous pages do not count as reclaimable", () => {
    const h = machine({ swap: { pages: 1 } });
    expect([counts(h, 0, [40, 30, 20, 10]), zone_reclaimable_pages(h.k)]).toEqual([[40, 30, 20, 10], 100]);
    swap_map(h.k)[1] = 1;
    expect([counts(h, 0, [40, 30, 20, 10]), zone_reclaimable_pages(h.k)]).toEqual([[0, 0, 20, 10], 30]);
  });

  it("pages that were in use when they were looked at count against their lists; what is long ago counts half", () => {
    const h = machine({ swappiness: 100 });
    recent_scanned(h.k, false, 20);
    recent_rotated(h.k, false, 20);
    recent_scanned(h.k, true, 20);
    expect(counts(h, 1, [40, 40, 10, 40])).toEqual([1, 1, 5, 20]);
    age_pressure(h.k);
    // 100 * 21 / 21 to 100 * 11 / 1: only the files' figure was more than a quarter of its lists.
    expect(counts(h, 1, [40, 40, 10, 40])).toEqual([2, 2, 5, 19]);
  });
});

const hog: Actor = { path: memory_hog, args: [0, 2], ends: true };

describe("direct reclaim and swap", () => {
  it("trap 3 is about files: an allocation writes its own process's pages to swap", () => {
    const h = machine({ swap: { pages: 16 } }, { hog, disk }, 12, 8);
    for (let steps = 0; !h.finished("hog"); steps++) {
      if (steps > 50_000) throw new Error("the hog never ends");
      h.step("hog");
      h.go("disk");
    }
    expect(h.k.vmstat.pswpout[0]).toBeGreaterThan(0);
    expect(h.k.vmstat.pgsteal_direct[0]).toBeGreaterThan(0);
    expect([h.k.vmstat.oom_kill[0], h.faults()]).toEqual([0, []]);
    expect(get_nr_swap_pages(h.k)).toBeLessThan(16);
  });

  it("what it has swapped out comes back through the same allocator", () => {
    const h = machine({ swap: { pages: 16 } }, { hog, disk, load: load(4) }, 12, 8);
    for (let steps = 0; !h.finished("hog") && steps < 50_000; steps++) h.step("hog").go("disk");
    expect(is_swap_entry(h.k.pte.entry[4])).toBe(true);
    for (let steps = 0; !h.finished("load") && steps < 50_000; steps++) h.go("load").go("disk");
    expect([h.finished("load"), h.pte(4), h.k.vmstat.pgmajfault[0]]).toEqual([true, "ry", 1]);
  });

  it("without watermarks a pass looks at every list: also at active pages of files", () => {
    const h = new Hand(
      small(
        {
          geometry: { vmas: [{ pages: 1, flags: VM_WRITE }], config: ["swap"] },
          prepare: (k) => {
            mark_page_accessed(k, 0);
            mark_page_accessed(k, 0);
            lru_add_drain(k);
          },
        },
        { out: reclaim(1) },
      ),
    );
    expect(h.lru(0)).toBe("active");
    expect(scan_count(h.k, LRU.active_file, KSWAPD)).toBe(1);
    old_anonymous(h.k, 0);
    h.go("out");
    expect(h.lru(0)).toBe("inactive");
  });

  it("a write that has ended before reclaim looks again: the page goes at once (PAGE_SUCCESS)", () => {
    const h = machine({ swap: { pages: 16 } }, { hog, disk }, 12, 8)
      .until("hog", "submit_bio")
      .step("hog");
    h.go("disk");
    const steps = h.trace("hog", () => h.until("hog", (k) => k.vmstat.pgsteal_direct[0] > 0));
    const known = ["PageWriteback", "PageDirty", "trylock_page"];
    expect(steps.filter((each) => known.includes(each)).slice(0, 4)).toEqual([...known, "PageDirty"]);
  });

  it("F78 of the anonymous lists: it sleeps once while more is isolated than an eighth, and leaves", () => {
    const scan = path("scan", { source: "a test" }, [
      step("begin", (k) => {
        sc(k).owner[1] = k.task + 1;
      }),
      call(() => direct.shrink_inactive_anon, {
        nr_to_scan: 1,
        nr_writeback: 0,
        nr_taken: 0,
        nr_unqueued_dirty: 0,
      }),
    ]);
    const h = machine({}, { scan: { path: scan, ends: true } });
    mod_isolated(h.k, false, 1);
    h.k.lruvec.size[LRU.inactive_anon] = 7;
    expect(h.trace("scan", () => h.go("scan"))).toEqual(["begin", "too_many_isolated", "too_many_isolated"]);
  });
});
