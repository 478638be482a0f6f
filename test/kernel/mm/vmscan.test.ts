import { describe, expect, it } from "vitest";
import type { Config } from "../../../src/kernel/config.js";
import { bdi_flusher } from "../../../src/kernel/fs/fs_writeback.js";
import { bdi, DWORK } from "../../../src/kernel/mm/backing_dev.js";
import { try_to_free_pages } from "../../../src/kernel/mm/direct_reclaim.js";
import { lru_add_drain, mark_page_accessed } from "../../../src/kernel/mm/swap.js";
import { __remove_mapping, is_page_cache_freeable, SWAP_CLUSTER_MAX } from "../../../src/kernel/mm/vmscan.js";
import { BH, LRU, PGDAT_DIRTY, PGDAT_WRITEBACK, VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { PTE_BIT } from "../../../src/trace/words.js";
import { deactivate, disk, flusher, load, old, read, reclaim, store } from "../actors.js";
import { type Actor, Hand, small } from "../harness.js";

const BOTH = [VM_SHARED | VM_WRITE, VM_SHARED | VM_WRITE];

/** One page that a CPU has just stored into: dirty, buffers, mapped by one PTE (rwdy), on the inactive list. */
const dirty = (vmas = [VM_SHARED | VM_WRITE]): Hand =>
  new Hand(
    small(
      { pages: 2, vmas },
      {
        store: store(),
        load: load(1),
        flusher,
        disk,
        reclaim: reclaim(),
        again: reclaim(),
        touch: load(0),
      },
    ),
  ).go("store");

/** The same, cleaned and written; the PTE is there, read-only. */
const clean = (vmas?: number[]): Hand => dirty(vmas).go("flusher").go("disk").clear(["referenced"]);

/** The PTE is neither used nor dirty: unmapping it does not call set_page_dirty, which would take the mark (F25). */
function cleanPte(h: Hand): void {
  h.k.pte.entry[0] &= ~(PTE_BIT.young | PTE_BIT.dirty | PTE_BIT.write);
}

interface Case {
  readonly name: string;
  readonly make: () => Hand;
  readonly prepare: (h: Hand) => void;
  readonly during?: (h: Hand) => void;
  readonly lands: "active" | "inactive" | "none";
  readonly facts?: (h: Hand) => void;
}

const cases: readonly Case[] = [
  {
    name: "R1 trylock fails: kept, inactive, not unlocked",
    make: clean,
    prepare: (h) => h.set(["locked"]),
    lands: "inactive",
    facts: (h) => expect(h.has("locked")).toBe(true),
  },
  {
    name: "R6 case 2, under writeback: marked, active",
    make: () => dirty().go("flusher"),
    prepare: () => {},
    lands: "active",
    facts: (h) => expect(h.has("reclaim")).toBe(true),
  },
  {
    name: "R6 case 1, marked already and the node full of writeback: active",
    make: () => dirty().go("flusher"),
    prepare: (h) => {
      h.set(["reclaim"]);
      h.k.pgdat.flags[0] |= PGDAT_WRITEBACK;
    },
    lands: "active",
  },
  {
    name: "R7 two PTEs used: active",
    make: () => clean(BOTH).go("load"),
    prepare: (h) => expect([h.pte(0), h.pte(1)]).toEqual(["ry", "ry"]),
    lands: "active",
    facts: (h) => expect([h.pte(0), h.pte(1)]).toEqual(["r", "r"]),
  },
  {
    name: "R7 one PTE used and PG_referenced: active",
    make: clean,
    prepare: (h) => h.set(["referenced"]),
    lands: "active",
  },
  {
    name: "R7 KEEP, F21 first sighting of a page used once: inactive, PG_referenced, still mapped",
    make: clean,
    prepare: () => {},
    lands: "inactive",
    facts: (h) => {
      expect(h.has("referenced")).toBe(true);
      expect(h.pte()).toBe("r");
    },
  },
  {
    name: "R10 a CPU uses the page between the test and the unmapping: active, still mapped",
    make: clean,
    prepare: (h) => old(h),
    during: (h) => h.until("reclaim", "ptep_clear_flush").go("touch"),
    lands: "active",
    facts: (h) => expect(h.k.page.mapcount[0]).toBe(1),
  },
  {
    name: "R12 F16 dirty: unmapped all the same (F15), marked, active",
    make: dirty,
    prepare: (h) => old(h),
    lands: "active",
    facts: (h) => {
      expect(h.pte()).toBe("none");
      expect(h.flags()).toEqual(expect.arrayContaining(["dirty", "reclaim", "private"]));
      expect(h.k.vmstat.nr_vmscan_immediate_reclaim[0]).toBe(1);
    },
  },
  {
    name: "R12 F16 dirty and marked, the node not flagged dirty: the same",
    make: dirty,
    prepare: (h) => {
      old(h);
      h.set(["reclaim"]);
    },
    lands: "active",
    facts: (h) => expect(h.k.vmstat.nr_vmscan_write[0]).toBe(0),
  },
  {
    name: "F25 a dirty PTE is moved to the page by set_page_dirty, which takes the mark: marked anew, active",
    make: dirty,
    prepare: (h) => {
      old(h);
      h.set(["reclaim"]);
      h.k.pgdat.flags[0] |= PGDAT_DIRTY;
    },
    lands: "active",
    facts: (h) => expect(h.k.vmstat.nr_vmscan_immediate_reclaim[0]).toBe(1),
  },
  {
    name: "R13 F20 dirty and RECLAIM_CLEAN (PG_referenced, no PTE used): kept, inactive",
    make: dirty,
    prepare: (h) => {
      cleanPte(h);
      h.set(["reclaim", "referenced"]);
      h.k.pgdat.flags[0] |= PGDAT_DIRTY;
    },
    lands: "inactive",
    facts: (h) => expect(h.has("dirty")).toBe(true),
  },
  {
    name: "R14 F12 pageout of a page that somebody holds: PAGE_KEEP, inactive, not cleaned",
    make: dirty,
    prepare: (h) => {
      cleanPte(h);
      h.set(["reclaim"]);
      h.k.pgdat.flags[0] |= PGDAT_DIRTY;
      h.k.page._refcount[0]++;
    },
    lands: "inactive",
    facts: (h) => {
      expect(h.has("dirty")).toBe(true);
      expect(h.k.vmstat.nr_vmscan_write[0]).toBe(0);
    },
  },
  {
    name: "R14 pageout of a page that nobody holds: under writeback, unlocked, inactive",
    make: dirty,
    prepare: (h) => {
      cleanPte(h);
      h.set(["reclaim"]);
      h.k.pgdat.flags[0] |= PGDAT_DIRTY;
    },
    lands: "inactive",
    facts: (h) => {
      expect(h.flags()).toEqual(expect.arrayContaining(["writeback", "reclaim", "private"]));
      expect(h.has("locked")).toBe(false);
      expect(h.k.vmstat.nr_vmscan_write[0]).toBe(1);
    },
  },
  {
    name: "R15 buffers are busy: active, buffers stay",
    make: clean,
    prepare: (h) => {
      old(h);
      h.k.page.b_state[0] |= BH.dirty;
    },
    lands: "active",
    facts: (h) => expect(h.has("private")).toBe(true),
  },
  {
    name: "R16 one reference too many: backs out, inactive, and the buffers are gone (traps 4, 5)",
    make: clean,
    prepare: (h) => {
      old(h);
      h.k.page._refcount[0]++;
    },
    lands: "inactive",
    facts: (h) => {
      expect(h.has("private")).toBe(false);
      expect(h.pte()).toBe("none");
      expect(h.k.xa_slot.page[0]).toBe(1);
      expect(h.has("dirty")).toBe(false);
      expect(h.k.vmstat.pgsteal_kswapd[0]).toBe(0);
    },
  },
  {
    name: "R17 nobody holds it: freed",
    make: clean,
    prepare: (h) => old(h),
    lands: "none",
    facts: (h) => {
      expect(h.refs()).toBe(0);
      expect(h.k.xa_slot.page[0]).toBe(0);
      expect(h.k.vmstat.pgsteal_kswapd[0]).toBe(1);
      expect(h.flags()).toEqual([]);
    },
  },
];

describe("shrink_page_list: where a page ends (6.4)", () => {
  for (const { name, make, prepare, during, lands, facts } of cases) {
    it(name, () => {
      const h = make();
      prepare(h);
      during?.(h);
      h.go("reclaim");
      expect(h.finished("reclaim")).toBe(true);
      expect(h.lru()).toBe(lands);
      expect(h.k.vmstat.nr_isolated_file[0]).toBe(0);
      facts?.(h);
    });
  }
});

describe("the order of the tests", () => {
  it("F15, F14, trap 4: unmap, then the dirty test, then the buffers, then the freeze", () => {
    const h = clean();
    old(h);
    const steps = h.trace("reclaim", () => h.go("reclaim"));
    const order = [
      "PageWriteback",
      "page_referenced_one",
      "TestClearPageReferenced",
      "ptep_clear_flush",
      "PageDirty",
    ];
    const wanted = [...order, "page_has_private", "try_to_free_buffers", "__remove_mapping"];
    expect(
      steps.filter((step) => wanted.includes(step)).filter((step, at, all) => all.indexOf(step) === at),
    ).toEqual(wanted);
  });

  it("F18 nobody asks whether the page is pinned", () => {
    const h = new Hand(small({ pages: 1 }, { read: read(0), flusher, disk, reclaim: reclaim(3) }));
    h.past("read", "submit_bio").go("flusher").go("disk");
    old(h);
    h.clear(["referenced"]).go("reclaim");
    expect(h.k.page.pins[0]).toBe(1);
    expect(h.has("private")).toBe(false);
  });
});

describe("is_page_cache_freeable and __remove_mapping", () => {
  const bare = () => new Hand(small({ pages: 1 }, { reclaim: reclaim() }));

  it("F11 counts all references but the buffers' one against two", () => {
    const h = bare();
    for (const [refs, buffers, freeable] of [
      [1, false, false],
      [2, false, true],
      [3, false, false],
      [3, true, true],
      [4, true, false],
    ] as const) {
      h.k.page._refcount[0] = refs;
      if (buffers) h.set(["private"]);
      expect(is_page_cache_freeable(h.k, 0)).toBe(freeable);
      h.clear(["private"]);
    }
  });

  it("F14 freezes at exactly two", () => {
    for (const refs of [1, 3, 4]) {
      const h = bare();
      h.k.page._refcount[0] = refs;
      expect(__remove_mapping(h.k, 0, true)).toBe(false);
      expect(h.refs()).toBe(refs);
    }
  });

  it("F14 tests PG_dirty after the freeze, and gives the references back", () => {
    const h = bare();
    h.k.page._refcount[0] = 2;
    h.set(["dirty"]);
    expect(__remove_mapping(h.k, 0, true)).toBe(false);
    expect(h.refs()).toBe(2);
    expect(h.k.xa_slot.page[0]).toBe(1);
    h.clear(["dirty"]);
    expect(__remove_mapping(h.k, 0, true)).toBe(true);
    expect(h.refs()).toBe(0);
    expect(h.k.xa_slot.page[0]).toBe(0);
  });
});

describe("how many scans it takes (6.9)", () => {
  it("a clean mapped page that was used once goes at the second scan", () => {
    const h = clean();
    h.go("reclaim");
    expect(h.lru()).toBe("inactive");
    h.go("again");
    expect(h.refs()).toBe(0);
  });

  it("dirty at the second encounter, node flagged: kswapd writes it, if nobody holds it", () => {
    const h = dirty();
    old(h);
    h.go("reclaim");
    expect(h.lru()).toBe("active");
    expect(h.k.pgdat.flags[0] & PGDAT_DIRTY).toBe(PGDAT_DIRTY);
    h.go("again");
    expect(h.k.vmstat.pgdeactivate[0]).toBe(1);
    expect(h.k.vmstat.nr_vmscan_write[0]).toBe(0);
  });
});

describe("shrink_active_list", () => {
  it("deactivates a page whose PTE was used, and takes the young bit", () => {
    const h = new Hand(small({ pages: 1 }, { store: store(), reclaim: reclaim(), age: deactivate() }));
    h.go("store").set(["referenced"]).go("reclaim");
    expect(h.lru()).toBe("active");
    h.k.pte.entry[0] |= PTE_BIT.young;
    h.go("age");
    expect(h.lru()).toBe("inactive");
    expect(h.k.pte.entry[0] & PTE_BIT.young).toBe(0);
  });
});

describe("shrink_active_list and pages that are mlocked meanwhile", () => {
  const active = () => {
    const geometry = { config: ["mlock"] as const };
    const h = new Hand(
      small({ pages: 1, geometry }, { store: store(), reclaim: reclaim(), age: deactivate() }),
    );
    h.go("store").set(["referenced"]).go("reclaim");
    expect(h.lru()).toBe("active");
    return h;
  };

  it("one that is so already goes through the batch at once, as active as it was", () => {
    const h = active().set(["mlocked"]);
    h.past("age", "putback_lru_page");
    expect([h.next("age"), h.has("lru"), h.k.vmstat.nr_isolated_file[0]]).toEqual([
      "move_active_pages_to_lru",
      false,
      1,
    ]);
    h.go("age");
    lru_add_drain(h.k);
    expect([h.has("unevictable"), h.has("active"), h.k.lruvec.size[LRU.unevictable]]).toEqual([
      true,
      false,
      1,
    ]);
    expect([h.k.vmstat.pgdeactivate[0], h.k.vmstat.nr_isolated_file[0]]).toEqual([0, 0]);
  });

  it("one that becomes so after the test lands on the inactive list, and waits for reclaim there", () => {
    const h = active();
    h.past("age", "ClearPageActive").set(["mlocked"]).go("age");
    lru_add_drain(h.k);
    expect([h.has("unevictable"), h.lru(), h.k.lruvec.size[LRU.inactive_file]]).toEqual([
      false,
      "inactive",
      1,
    ]);
    expect(h.k.vmstat.pgdeactivate[0]).toBe(1);
  });
});

describe("pageout of a page that left its file with its buffers, and was dirtied afterwards", () => {
  /** Dirty, marked, with clean buffers and no mapping; `holders` have a reference besides. The node is full of dirty pages. */
  const orphan = (holders: number): Hand => {
    const h = new Hand(
      small(
        { pages: 2, geometry: { config: ["truncate"] } },
        { store: store(), flusher, disk, reclaim: reclaim(3), later: reclaim(3) },
      ),
    );
    h.go("store").go("flusher").go("disk").clear(["referenced"]);
    h.k.pte.entry[0] = 0;
    h.k.page.mapcount[0] = 0;
    h.k.xa_slot.page[0] = 0;
    h.k.page.mapping[0] = 0;
    h.k.page._refcount[0] = 1 + holders;
    h.k.pgdat.flags[0] |= PGDAT_DIRTY;
    return h.set(["dirty", "reclaim"]);
  };

  it("held by one more: it looks freeable, loses its buffers and PG_dirty, and stays", () => {
    const h = orphan(1);
    expect(h.trace("reclaim", () => h.go("reclaim"))).toContain("ClearPageDirty");
    expect([h.has("dirty"), h.has("private"), h.refs(), h.lru()]).toEqual([false, false, 1, "inactive"]);
  });

  it("its buffers are busy: kept, dirty", () => {
    const h = orphan(1);
    h.k.page.b_state[0] |= BH.dirty;
    h.go("reclaim");
    expect([h.has("dirty"), h.has("private"), h.refs(), h.lru()]).toEqual([true, true, 2, "inactive"]);
  });

  it("held by nobody: pageout keeps it at every meeting, and nobody will ever free it", () => {
    const h = orphan(0).go("reclaim").go("later");
    expect([h.has("dirty"), h.has("private"), h.refs(), h.lru()]).toEqual([true, true, 1, "inactive"]);
  });
});

describe("numbers", () => {
  it("F62 SWAP_CLUSTER_MAX is 32", () => expect(SWAP_CLUSTER_MAX).toBe(32));
});

describe("a page that left its file with its buffers on (R13)", () => {
  const direct: Actor = { path: try_to_free_pages, ends: true };
  const orphan = (reclaimer: Actor, ...config: readonly Config[]) => {
    const h = new Hand(
      small(
        { pages: 2, geometry: { min_free_pages: 0, config: ["truncate", ...config] } },
        { store: store(), reclaimer },
      ),
    ).go("store");
    // As truncation leaves a page whose buffers a commit holds: in no file, of no process, its buffers' reference left.
    h.clear(["dirty", "referenced"]);
    h.k.xa_mark.dirty[0] = 0;
    h.k.pte.entry[0] = 0;
    h.k.page.mapcount[0] = 0;
    h.k.xa_slot.page[0] = 0;
    h.k.page.mapping[0] = 0;
    h.k.page.b_state[0] = 0;
    lru_add_drain(h.k);
    h.k.page._refcount[0] = 1;
    return h;
  };

  it("is freed with them, by kswapd and by direct reclaim: its last reference is the isolator's", () => {
    for (const h of [orphan(reclaim()), orphan(direct, "watermarks", "direct_reclaim")]) {
      const steps = h.trace("reclaimer", () => h.go("reclaimer"));
      expect(steps).toContain("put_page_testzero");
      expect([h.refs(), h.flags(), h.faults()]).toEqual([0, [], []]);
    }
  });
});

describe("direct reclaim and kswapd on other machines", () => {
  it("direct reclaim unmaps where files change their size, too", () => {
    const h = new Hand(
      small(
        { pages: 2, geometry: { min_free_pages: 0, config: ["watermarks", "direct_reclaim", "truncate"] } },
        { load: load(), direct: { path: try_to_free_pages, ends: true } },
      ),
    ).go("load");
    lru_add_drain(h.k);
    old(h);
    h.clear(["referenced"]).go("direct");
    expect([h.pte(), h.refs(), h.k.vmstat.pgsteal_direct[0]]).toEqual(["none", 0, 1]);
  });

  it("direct reclaim does not write a file's dirty page where it could swap, either (trap 3, F16); active pages follow", () => {
    const config = ["watermarks", "direct_reclaim", "swap"] as const;
    const h = new Hand(
      small(
        {
          filePages: 2,
          pages: 3,
          geometry: { min_free_pages: 0, swap: { pages: 4 }, config },
          prepare: (k) => {
            mark_page_accessed(k, 1);
            mark_page_accessed(k, 1);
          },
        },
        { store: store(), disk, direct: { path: try_to_free_pages, ends: true } },
      ),
    ).go("store");
    lru_add_drain(h.k);
    old(h);
    h.clear(["referenced"]);
    expect([h.lru(0), h.lru(1)]).toEqual(["inactive", "active"]);
    h.go("direct");
    expect([h.flags(0), h.k.gendisk.head[0]]).toEqual([expect.arrayContaining(["dirty", "reclaim"]), 0]);
    expect([h.lru(1), h.k.vmstat.nr_vmscan_immediate_reclaim[0] > 0]).toEqual(["inactive", true]);
  });

  it("kswapd that met marked pages under writeback, on a node full of writeback, waits for the disks (R6)", () => {
    const h = new Hand(
      small(
        { pages: 2, geometry: { min_free_pages: 0, config: ["watermarks"] } },
        { store: store(), flusher, disk, reclaim: reclaim() },
      ),
    );
    h.go("store").go("flusher").set(["reclaim"]);
    lru_add_drain(h.k);
    h.k.pgdat.flags[0] |= PGDAT_WRITEBACK;
    const steps = h.trace("reclaim", () => h.go("reclaim"));
    expect(steps).toContain("congestion_wait");
    expect(h.has("writeback")).toBe(true);
  });
});

describe("shrink_inactive_list, config kupdate", () => {
  const direct: Actor = { path: try_to_free_pages, ends: true };
  const reclaimed = (by: Actor, ...stored: string[]) => {
    const h = new Hand(
      small(
        {
          filePages: 2,
          pages: 40,
          geometry: { min_free_pages: 0, config: ["kupdate", "watermarks", "direct_reclaim"] },
        },
        { one: store(0), two: store(1), flusher: { path: bdi_flusher, args: [0] }, reclaim: by, disk },
      ),
    );
    for (const task of stored) h.go(task);
    // Below the background threshold, and young.
    expect(bdi(h.k).dwork[0]).toBe(DWORK.delayed);
    return h.past("reclaim", "putback_inactive_pages");
  };

  it("kswapd and direct reclaim wake the flushers when all that they took is dirty and in no queue", () => {
    for (const by of [reclaim(), direct]) {
      const h = reclaimed(by, "one", "two").step("reclaim");
      expect(bdi(h.k).dwork[0]).toBe(DWORK.now);
      h.round("flusher");
      expect([h.has("writeback", 0), h.has("writeback", 1)]).toEqual([true, true]);
    }
  });

  it("they let them sleep when a page that they took is clean", () => {
    for (const by of [reclaim(), direct])
      expect(reclaimed(by, "two").next("reclaim")).not.toBe("wakeup_flusher_threads");
  });
});
