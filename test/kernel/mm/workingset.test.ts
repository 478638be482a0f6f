/** Refaults: what evicted pages leave in their slots, and what comes of it when they are read again (mm/workingset.c). */
import { describe, expect, it } from "vitest";
import { old_anonymous } from "../../../src/kernel/boot.js";
import { btrfs_punch_hole } from "../../../src/kernel/fs/btrfs/file.js";
import { drop_caches } from "../../../src/kernel/fs/drop_caches.js";
import { generic_file_buffered_read, vfs_write } from "../../../src/kernel/fs/read_write.js";
import { try_to_free_pages } from "../../../src/kernel/mm/direct_reclaim.js";
import { generic_file_direct_write } from "../../../src/kernel/mm/direct_write.js";
import { __delete_from_page_cache, add_to_page_cache_lru } from "../../../src/kernel/mm/filemap.js";
import { balance_pgdat, kswapd } from "../../../src/kernel/mm/kswapd.js";
import { SetPageSwapBacked } from "../../../src/kernel/mm/page.js";
import { alloc_page } from "../../../src/kernel/mm/page_alloc.js";
import { inactive_list_is_low, lru_add_drain, mark_page_accessed } from "../../../src/kernel/mm/swap.js";
import { __remove_mapping } from "../../../src/kernel/mm/vmscan.js";
import {
  EVICTION_MASK,
  lruvec,
  pack_shadow,
  refaults_observed,
  shadows,
  snapshot_refaults,
  unpack_shadow,
  workingset_eviction,
  workingset_refault,
} from "../../../src/kernel/mm/workingset.js";
import { FS } from "../../../src/kernel/operations.js";
import { LRU } from "../../../src/kernel/structs.js";
import { Invariants } from "../../lab/invariants.js";
import { deactivate, disk, flusher, load, old, read, reclaim, store } from "../actors.js";
import { ask } from "../drivers/ask.js";
import { type Actor, FILE, Hand, type Small, small } from "../harness.js";
import { drop, invalidate2, migrateOne, punch, resize } from "../movers.js";
import { anonymous } from "../processes.js";

/** read(2) of one page of the file. */
const fetch = (index: number): Actor => ask(generic_file_buffered_read, [FILE, index]);
const write = (pos: number, count = 1): Actor => ({ path: vfs_write, args: [FILE, pos, count], ends: true });

/** Use pages twice: they are active. */
const activate =
  (...pages: readonly number[]) =>
  (k: Hand["k"]): void => {
    for (const page of [...pages, ...pages]) mark_page_accessed(k, page);
    lru_add_drain(k);
  };

interface Machine extends Partial<Small> {
  /** Pages that are active at the start. */
  readonly active?: readonly number[];
}

/** Eight cached pages of a file, 0 the next victim; a pass of reclaim looks at one page of each list. */
const open = ({ active = [], geometry = {}, ...options }: Machine, actors: Record<string, Actor>): Hand =>
  new Hand(
    small(
      {
        filePages: 8,
        pages: 16,
        prepare: activate(...active),
        ...options,
        geometry: { priority: 12, ...geometry, config: ["workingset", ...(geometry.config ?? [])] },
      },
      { ...actors, disk },
    ),
  );

/** Let a task and the disk work until the task is done, with every invariant held at every step. */
function finish(h: Hand, ...tasks: readonly string[]): Hand {
  const invariants = new Invariants(h.world);
  for (const task of tasks)
    while (!h.finished(task)) {
      h.step(h.enabled(task) ? task : "disk");
      expect(invariants.violated()).toBeNull();
    }
  lru_add_drain(h.k);
  return h;
}

const cached = (h: Hand, index: number): number => h.k.xa_slot.page[index] - 1;
/** Slots with a shadow entry. */
const left = (h: Hand): number[] => [...shadows(h.k)].flatMap((entry, slot) => (entry === 0 ? [] : [slot]));
const age = (h: Hand): number => lruvec(h.k).inactive_age[0];
/** WORKINGSET_REFAULT, WORKINGSET_ACTIVATE, WORKINGSET_RESTORE. */
const counted = ({ k: { vmstat } }: Hand): number[] => [
  vmstat.workingset_refault[0],
  vmstat.workingset_activate[0],
  vmstat.workingset_restore[0],
];

describe("a shadow entry", () => {
  it("has the counter and PG_workingset, and is never nothing", () => {
    for (const eviction of [0, 1, EVICTION_MASK])
      for (const workingset of [false, true]) {
        const shadow = pack_shadow(eviction, workingset);
        expect([shadow & 1, unpack_shadow(shadow)]).toEqual([1, { eviction, workingset }]);
      }
    expect(unpack_shadow(pack_shadow(EVICTION_MASK + 3, true)).eviction).toBe(2);
  });

  it("is what reclaim leaves of a file's page: inactive_age, after it has counted the eviction", () => {
    const h = finish(open({}, { out: reclaim(3) }), "out");
    expect([cached(h, 0), left(h), age(h)]).toEqual([-1, [0, 1, 2], 3]);
    expect([0, 1, 2].map((slot) => unpack_shadow(shadows(h.k)[slot]).eviction)).toEqual([1, 2, 3]);
  });

  it("is left by no other machine, which has neither columns nor steps for it", () => {
    const world = small(
      { filePages: 8, geometry: { priority: 12 } },
      { out: reclaim(3), kswapd: { path: kswapd } },
    );
    const h = new Hand(world).go("out");
    expect([cached(h, 0), shadows(h.k).length, lruvec(h.k).inactive_age.length]).toEqual([-1, 0, 0]);
    expect(world.machine.code.some(({ step }) => step === "snapshot_refaults")).toBe(false);
    expect([refaults_observed(h.k), workingset_eviction(h.k, 5)]).toEqual([false, 0]);
  });

  it("says whether the page had been active, once, however long ago", () => {
    const h = finish(open({ active: [0] }, { age: deactivate(1), out: reclaim(8) }), "age");
    expect([h.has("workingset", 0), h.lru(0), h.has("workingset", 1)]).toEqual([true, "inactive", false]);
    finish(h, "out");
    expect(left(h)).toHaveLength(8);
    expect([...shadows(h.k)].map((entry) => unpack_shadow(entry).workingset)).toEqual([
      true,
      ...new Array<boolean>(7).fill(false),
    ]);
  });

  it("is not left where the page could not be taken: somebody holds it, or it is dirty", () => {
    const h = open({}, {});
    h.k.page._refcount[0] = 3;
    expect(__remove_mapping(h.k, 0, true)).toBe(false);
    h.set(["dirty"]).k.page._refcount[0] = 2;
    expect([__remove_mapping(h.k, 0, true), left(h), age(h)]).toEqual([false, [], 0]);
  });

  it("is not left by remove_mapping, nor of pages of memory (page_is_file_cache)", () => {
    const h = open({}, {});
    h.k.page._refcount[0] = 2;
    h.k.page._refcount[1] = 2;
    SetPageSwapBacked(h.k, 1);
    expect([__remove_mapping(h.k, 0, false), __remove_mapping(h.k, 1, true)]).toEqual([true, true]);
    expect([left(h), age(h)]).toEqual([[], 0]);
  });
});

describe("a refault", () => {
  /** Evict so many pages, then read the first one again; two pages are active. */
  const refault = (evicted: number): Hand =>
    finish(open({ active: [6, 7] }, { out: reclaim(evicted), load: load(0) }), "out", "load");

  it("at a distance of as many pages as are active is activated", () => {
    const h = refault(3);
    expect([h.k.lruvec.size[LRU.active_file], h.lru(cached(h, 0)), counted(h)]).toEqual([
      3,
      "active",
      [1, 1, 0],
    ]);
  });

  it("at one more is counted, and is a new page like any other", () => {
    const h = refault(4);
    expect([h.k.lruvec.size[LRU.active_file], h.lru(cached(h, 0)), counted(h)]).toEqual([
      2,
      "inactive",
      [1, 0, 0],
    ]);
    expect(left(h)).toEqual([1, 2, 3]);
  });

  it("of the page that went last is at distance 0: it is activated although no page is active", () => {
    const h = open({}, { out: reclaim(1), load: load(0) });
    finish(h, "out");
    expect(h.k.lruvec.size[LRU.active_file]).toBe(0);
    finish(h, "load");
    expect([h.lru(cached(h, 0)), counted(h), left(h)]).toEqual(["active", [1, 1, 0], []]);
  });

  it("is decided when the page enters the cache, locked, before it has been read", () => {
    const h = finish(open({}, { out: reclaim(1), load: load(0) }), "out");
    h.past("load", "add_to_page_cache_lru");
    const page = cached(h, 0);
    expect([
      h.has("active", page),
      h.has("locked", page),
      h.has("uptodate", page),
      h.has("lru", page),
    ]).toEqual([true, true, false, false]);
  });

  it("of read(2) is one, too", () => {
    const h = finish(open({}, { out: reclaim(1), fetch: fetch(0) }), "out", "fetch");
    expect([h.lru(cached(h, 0)), counted(h)]).toEqual(["active", [1, 1, 0]]);
  });

  it("that activates is an activation: what was evicted before is one further away", () => {
    const h = finish(open({}, { out: reclaim(1), load: load(0) }), "out");
    expect(age(h)).toBe(1);
    expect(age(finish(h, "load"))).toBe(2);
    expect(age(refault(4))).toBe(2 + 4);
  });

  it("of a page that had been active is a restore, and the page has PG_workingset again", () => {
    const h = open({ active: [0] }, { age: deactivate(1), out: reclaim(8), load: load(0), other: load(7) });
    finish(h, "age", "out", "load");
    const page = cached(h, 0);
    expect([h.has("workingset", page), h.lru(page), counted(h)]).toEqual([true, "active", [1, 1, 1]]);
    finish(h, "other");
    expect([h.has("workingset", cached(h, 7)), counted(h)]).toEqual([false, [2, 1, 1]]);
  });

  it("too far away restores nothing: that the page was active is forgotten", () => {
    const h = open({}, {});
    lruvec(h.k).inactive_age[0] = 9;
    workingset_refault(h.k, 0, pack_shadow(8, true));
    expect([h.flags(0).includes("workingset"), counted(h)]).toEqual([false, [1, 0, 0]]);
  });

  it("is measured across the counter's end", () => {
    const h = open({ active: [7] }, {});
    lruvec(h.k).inactive_age[0] = 0xffffffff;
    const before = pack_shadow(0xffffffff, false);
    const shadow = workingset_eviction(h.k, 0);
    expect([age(h), unpack_shadow(shadow).eviction]).toEqual([0, 0]);
    workingset_refault(h.k, 0, before);
    expect(counted(h)).toEqual([1, 1, 0]);
    workingset_refault(h.k, 0, pack_shadow(0xffffffff - 5, false));
    expect(counted(h)).toEqual([2, 1, 0]);
  });
});

describe("activations that are counted (workingset_activation)", () => {
  it("are mark_page_accessed's, at the second call, of pages of files", () => {
    const h = open({}, {});
    mark_page_accessed(h.k, 0);
    expect(age(h)).toBe(0);
    mark_page_accessed(h.k, 0);
    expect(age(h)).toBe(1);
    SetPageSwapBacked(h.k, 1);
    mark_page_accessed(h.k, 1);
    mark_page_accessed(h.k, 1);
    expect(age(h)).toBe(1);
  });

  it("include one that comes to nothing: the page is on no list and in no batch", () => {
    const h = open({}, { out: reclaim(1) }).past("out", "isolate_lru_pages");
    mark_page_accessed(h.k, 0);
    mark_page_accessed(h.k, 0);
    expect([h.has("active", 0), age(h)]).toEqual([false, 1]);
  });

  it("are not reclaim's own", () => {
    const h = open({ filePages: 1 }, { store: store(0), out: reclaim(1) }).go("store");
    old(h);
    h.clear(["referenced"]).go("out");
    expect([h.lru(0), age(h)]).toEqual(["active", 0]);
  });
});

describe("refaults make the inactive list low (inactive_list_is_low, snapshot_refaults)", () => {
  it("for who shrinks it, if a page is active, whatever the lengths; not for get_scan_count, nor for anonymous lists", () => {
    const h = open({ active: [7] }, {});
    const low = (actual: boolean, lru: number = LRU.inactive_file) => inactive_list_is_low(h.k, lru, actual);
    expect(low(true)).toBe(false);
    workingset_refault(h.k, 0, pack_shadow(0, false));
    expect([low(true), low(false)]).toEqual([true, false]);
    h.k.lruvec.size[LRU.active_anon] = 2;
    h.k.lruvec.size[LRU.inactive_anon] = 2;
    expect(low(true, LRU.inactive_anon)).toBe(false);
    h.k.lruvec.size[LRU.active_file] = 0;
    expect(low(true)).toBe(false);
    h.k.lruvec.size[LRU.active_file] = 1;
    snapshot_refaults(h.k);
    expect(low(true)).toBe(false);
  });

  it("a refault that activates nothing changes nothing", () => {
    const h = open({}, {});
    lruvec(h.k).inactive_age[0] = 5;
    workingset_refault(h.k, 0, pack_shadow(1, false));
    expect([refaults_observed(h.k), counted(h)]).toEqual([false, [1, 0, 0]]);
  });

  it("one page that comes back costs an established one its place, though most pages are inactive", () => {
    const passes = (refaults: boolean): string => {
      const h = open({ active: [7] }, { out: reclaim(1), load: load(0), more: reclaim(1) });
      finish(h, "out", ...(refaults ? ["load"] : []), "more");
      return h.lru(7);
    };
    expect([passes(false), passes(true)]).toEqual(["active", "inactive"]);
  });

  it("until a reclaimer is done: kswapd, with watermarks and without, and direct reclaim", () => {
    const watermarks = { priority: 12, min_free_pages: 0, config: ["watermarks", "direct_reclaim"] } as const;
    const reclaimers: readonly (readonly [Actor, Small["geometry"]])[] = [
      [{ path: kswapd }, {}],
      [{ path: balance_pgdat, ends: true }, watermarks],
      [{ path: try_to_free_pages, ends: true }, watermarks],
    ];
    for (const [reclaimer, geometry] of reclaimers) {
      const h = open({ active: [6, 7], geometry }, { reclaimer });
      workingset_refault(h.k, 0, pack_shadow(2, false));
      h.until("reclaimer", "snapshot_refaults");
      expect(refaults_observed(h.k)).toBe(true);
      h.step("reclaimer");
      expect(refaults_observed(h.k)).toBe(false);
    }
  });
});

describe("who does not profit, and loses the entry (__GFP_WRITE)", () => {
  it("write(2) of ext4, xfs and btrfs: the new page is inactive, and no refault is counted", () => {
    for (const fs of [FS.ext4, FS.xfs, FS.btrfs]) {
      const h = open(
        { geometry: { files: [{ pages: 8, fs }], config: ["truncate"] } },
        { out: reclaim(1), write: write(0) },
      );
      finish(h, "out");
      expect(left(h)).toEqual([0]);
      finish(h, "write");
      expect([h.lru(cached(h, 0)), counted(h), left(h)]).toEqual(["inactive", [0, 0, 0], []]);
    }
  });

  it("but a hole in btrfs does that begins within a page: the page is read to be zeroed in part", () => {
    const cut = ask(btrfs_punch_hole, [FILE, 1, 2]);
    const h = open(
      { parts: 2, geometry: { files: [{ pages: 8, fs: FS.btrfs }], config: ["truncate"] } },
      { out: reclaim(1), cut },
    );
    finish(h, "out", "cut");
    expect([h.lru(cached(h, 0)), counted(h)]).toEqual(["active", [1, 1, 0]]);
  });

  it("a store is a read fault first, and does", () => {
    const h = finish(open({}, { out: reclaim(1), store: store(0) }), "out", "store");
    expect([h.has("dirty", cached(h, 0)), h.lru(cached(h, 0)), counted(h)]).toEqual([
      true,
      "active",
      [1, 1, 0],
    ]);
  });

  it("add_to_page_cache_lru: by the flag alone; a slot that has a page keeps nothing and gives nothing", () => {
    const h = finish(open({}, { out: reclaim(2) }), "out");
    const [first, second, third] = [alloc_page(h.k), alloc_page(h.k), alloc_page(h.k)];
    expect(add_to_page_cache_lru(h.k, first, FILE, 0, true)).toBe(true);
    expect(add_to_page_cache_lru(h.k, second, FILE, 1, false)).toBe(true);
    expect(add_to_page_cache_lru(h.k, third, FILE, 1, false)).toBe(false);
    expect([first, second, third].map((page) => h.has("active", page))).toEqual([false, true, false]);
    expect([counted(h), left(h)]).toEqual([[1, 1, 0], []]);
  });
});

describe("pages that leave otherwise leave nothing, and what was there goes", () => {
  const truncate = { geometry: { config: ["truncate"] as const } };
  /** Pages 0 to 3 are evicted; the others are cached. */
  const half = (actors: Record<string, Actor>, more: Machine = truncate): Hand =>
    finish(open(more, { out: reclaim(4), ...actors }), "out");

  it("a file that gets shorter keeps the entries of what it still has", () => {
    const h = finish(half({ act: resize(2) }), "act");
    expect([left(h), cached(h, 5), age(h)]).toEqual([[0, 1], -1, 4]);
  });

  it("a hole takes those in it", () => {
    const h = finish(half({ act: punch(1, 3) }), "act");
    expect(left(h)).toEqual([0, 3]);
    expect(left(finish(half({ act: punch(3, 6) }), "act"))).toEqual([0, 1, 2]);
  });

  it("invalidation takes those of its range, both kinds", () => {
    for (const act of [drop(2, 5), invalidate2(2, 5)]) {
      const h = finish(half({ act }), "act");
      expect([left(h), cached(h, 3), cached(h, 5), cached(h, 6) >= 0]).toEqual([[0, 1], -1, -1, true]);
    }
  });

  it("the page of a truncated slot comes back as a new one", () => {
    const h = finish(half({ act: punch(0, 1), load: load(0) }), "act", "load");
    expect([h.lru(cached(h, 0)), counted(h)]).toEqual(["inactive", [0, 0, 0]]);
  });

  it("what is evicted behind a truncation's back is gone when it ends", () => {
    const h = half({ act: resize(0), more: reclaim(2) }).past("act", "clear_shadow_entry");
    expect(left(h)).toEqual([]);
    // Truncation holds page 4.
    expect(left(finish(h, "more"))).toEqual([5]);
    expect(left(finish(h, "act"))).toEqual([]);
  });

  it("so is that of a page which the first sweep found locked, and passed by", () => {
    const h = half({ act: resize(0), more: reclaim(1) }).set(["locked"], 4);
    h.until("act", (k) => k.xa_slot.page[5] === 0).until("act", "pagevec_lookup_entries");
    h.clear(["locked"], 4).go("more");
    expect(left(h)).toEqual([4]);
    expect(left(finish(h, "act"))).toEqual([]);
  });

  it("a page that is read between the lookup and the clearing takes its entry with it, and is seen by truncation only", () => {
    for (const [act, stays] of [
      [drop(0, 7), true],
      [punch(0, 8), false],
    ] as const) {
      const h = half({ act, load: load(3) }).until("act", "clear_shadow_entry");
      finish(h, "load");
      expect(counted(h)).toEqual([1, 1, 0]);
      // Nobody has it mapped.
      finish(h, "act");
      expect([left(h), cached(h, 3) >= 0]).toEqual([[], stays]);
    }
  });

  it("drop_caches passes by a file of which nothing but entries is left", () => {
    const dropping: Actor = { path: drop_caches, ends: true };
    const all = open(truncate, { out: reclaim(8), dropping });
    finish(all, "out", "dropping");
    expect(left(all)).toHaveLength(8);
    expect(left(finish(half({ dropping }), "dropping"))).toEqual([]);
  });

  it("so does the second look of an O_DIRECT write, not the first", () => {
    const direct: Actor = { path: generic_file_direct_write, args: [FILE, 0, 7], ends: true };
    const h = half({ direct, one: load(0), two: load(1), more: reclaim(9) }).past("direct", "direct_IO");
    expect(left(h)).toEqual([]);
    finish(h, "one");
    old(h);
    h.clear(["referenced"], cached(h, 0));
    finish(h, "more", "direct");
    expect([left(h), cached(h, 0)]).toEqual([[0], -1]);
    const other = half({ direct, one: load(0), two: load(1), more: reclaim(1) }).past("direct", "direct_IO");
    finish(other, "one", "two", "direct");
    expect([left(other), cached(other, 0)]).toEqual([[], -1]);
  });

  it("migration puts another page into the slot, and PG_workingset moves with the page", () => {
    const h = open({ geometry: { config: ["migration"] } }, { move: migrateOne(0) }).set(["workingset"], 0);
    finish(h, "move");
    expect([left(h), cached(h, 0) !== 0, h.has("workingset", cached(h, 0)), h.flags(0)]).toEqual([
      [],
      true,
      true,
      [],
    ]);
  });

  it("__delete_from_page_cache leaves what it is given", () => {
    const h = open({}, {});
    __delete_from_page_cache(h.k, 2);
    __delete_from_page_cache(h.k, 3, pack_shadow(7, false));
    expect(left(h)).toEqual([3]);
  });
});

describe("the swap cache has no entries in v4.20", () => {
  it("a page goes to swap without one; what comes back counts as one that was active", () => {
    const h = new Hand(
      small(
        {
          ...anonymous(1, { pages: 4, config: ["swap", "workingset"] }),
          prepare: (k) => {
            old_anonymous(k, 0);
          },
        },
        { out: reclaim(1), gone: reclaim(1), load: load(0), disk },
      ),
    );
    finish(h, "out").go("disk");
    finish(h, "gone");
    expect([h.refs(0), left(h), age(h)]).toEqual([0, [], 0]);
    finish(h, "load");
    const page = h.k.pte.entry[0] >>> 4;
    expect([h.has("workingset", page), counted(h)]).toEqual([true, [0, 0, 0]]);
  });
});

describe("a page that a driver holds", () => {
  it("is never evicted: it loses PTE and buffers, leaves no entry and counts nothing; its next fault is no refault", () => {
    const h = open(
      { filePages: 2, pages: 4 },
      { read: read(0), flusher, tries: reclaim(3), load: load(0), other: load(1) },
    );
    h.past("read", "submit_bio").go("flusher").go("disk");
    old(h);
    h.clear(["referenced"]).go("tries");
    expect([h.k.page.pins[0], h.pte(), h.has("private"), cached(h, 0)]).toEqual([1, "none", false, 0]);
    // The one beside it is gone.
    expect([left(h), age(h)]).toEqual([[1], 1]);
    h.go("load");
    expect([h.pte(), counted(h)]).toEqual(["ry", [0, 0, 0]]);
    finish(h, "other");
    expect([h.lru(cached(h, 1)), counted(h)]).toEqual(["active", [1, 1, 0]]);
  });
});
