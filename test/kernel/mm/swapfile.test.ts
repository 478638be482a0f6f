/** Anonymous pages on their way to the swap area and back: mm/swapfile.c, mm/swap_state.c, mm/page_io.c, do_swap_page. */
import { describe, expect, it } from "vitest";
import { old_anonymous } from "../../../src/kernel/boot.js";
import { PFN_SHIFT } from "../../../src/kernel/kernel.js";
import { MADV } from "../../../src/kernel/mm/madvise.js";
import {
  get_nr_swap_pages,
  page_private,
  SWAP_HAS_CACHE,
  swap_map,
} from "../../../src/kernel/mm/swapfile.js";
import { is_swap_entry } from "../../../src/kernel/mm/swapops.js";
import { VM_LOCKED } from "../../../src/kernel/structs.js";
import { Invariants } from "../../lab/invariants.js";
import { disk, dma, load, read, reclaim, store } from "../actors.js";
import { Hand, type Small, small } from "../harness.js";
import { migrateOne } from "../movers.js";
import { anonymous, childs, exit, fork, madvise } from "../processes.js";

/** Two pages of anonymous memory, of which the first was written and is old, and a child for fork to make. */
const machine = (geometry: Small["geometry"] = {}) =>
  new Hand(
    small(
      {
        ...anonymous(2, { pages: 6, dios: 2, ...geometry, config: ["swap", ...(geometry.config ?? [])] }),
        prepare: (k) => {
          old_anonymous(k, 0);
        },
      },
      {
        store: store(0),
        read: read(1),
        load: load(0),
        late: load(0),
        other: store(1),
        out: reclaim(1),
        gone: reclaim(1),
        again: reclaim(1),
        fork: fork(),
        child: childs(2, 1),
        exits: exit(1),
        ends: exit(0),
        drop: madvise(0, 1, MADV.DONTNEED),
        disk,
        dma: dma(1),
      },
    ),
  );

/** Every step keeps what must hold. */
const go = (h: Hand, ...tasks: readonly string[]): Hand => {
  const invariants = new Invariants(h.world);
  for (const task of tasks)
    while (h.enabled(task)) {
      h.step(task);
      expect(invariants.violated()).toBeNull();
      if (task === "disk" && h.k.gendisk.head[0] === 0 && h.next("disk") === "blk_peek_request") break;
    }
  return h;
};

const pageAt = (h: Hand, at: number) => h.k.pte.entry[at] >>> PFN_SHIFT;

describe("a page goes to swap and comes back", () => {
  it("it gets a place, is unmapped and dirty, is written, and goes when it is met again", () => {
    const h = machine();
    const steps = h.trace("out", () => go(h, "out"));
    const known = ["add_to_swap_cache", "ptep_clear_flush", "TestClearPageDirty", "set_page_writeback"];
    expect(steps.filter((step) => known.includes(step))).toEqual(known);
    expect([is_swap_entry(h.k.pte.entry[0]), h.has("writeback"), h.has("dirty"), h.has("checked")]).toEqual([
      true,
      true,
      false,
      true,
    ]);
    expect([swap_map(h.k)[1], page_private(h.k, 0), h.refs(0)]).toEqual([SWAP_HAS_CACHE | 1, 1, 1]);
    go(h, "disk");
    // PG_reclaim: it is next.
    expect([h.has("writeback"), h.has("reclaim"), h.k.block.version[1]]).toEqual([false, false, 1]);
    go(h, "gone");
    expect([h.refs(0), swap_map(h.k)[1]]).toEqual([0, 1]);
    go(h, "load");
    expect([h.next("load"), h.has("locked", pageAt(h, 0))]).toEqual(["wait_on_page_locked", false]);
    go(h, "disk", "load");
    expect([h.pte(0), h.k.content.version[pageAt(h, 0)], h.k.vmstat.pgmajfault[0]]).toEqual(["ry", 1, 1]);
    // The place is kept: a page that is not written need not be written again.
    expect([swap_map(h.k)[1], h.faults()]).toEqual([SWAP_HAS_CACHE, []]);
  });

  it("a write takes it out of the swap cache, dirty: what the disk has is of the past (reuse_swap_page)", () => {
    const h = go(machine(), "out", "disk", "store");
    expect([h.pte(0), h.has("dirty"), h.has("checked"), get_nr_swap_pages(h.k)]).toEqual([
      "rwdy",
      true,
      false,
      4,
    ]);
  });

  it("a write to a page that is being written leaves it there, unless the device needs stable pages: then it is copied", () => {
    const h = go(machine(), "out", "store");
    expect([pageAt(h, 0), h.has("writeback"), h.pte(0), swap_map(h.k)[1]]).toEqual([
      0,
      true,
      "rwdy",
      SWAP_HAS_CACHE,
    ]);
    const stable = go(machine({ swap: { stable_writes: true } }), "out", "store");
    expect([pageAt(stable, 0), stable.has("writeback", 0), stable.k.page.mapcount[0]]).not.toEqual([
      0,
      true,
      1,
    ]);
    expect(stable.pte(0)).toBe("rwdy");
    go(stable, "disk");
  });

  it("a page without a place is kept when the area is full, and reclaim looks at files only", () => {
    const h = machine({ swap: { pages: 1 } });
    old_anonymous(h.k, 1);
    go(h, "out");
    expect([h.pte(0), h.pte(1), h.lru(1)]).toEqual(["none", "rwd", "active"]);
    expect(get_nr_swap_pages(h.k)).toBe(0);
    expect(h.trace("gone", () => go(h, "gone"))).not.toContain("isolate_lru_pages");
  });

  it("more than half of the area used: who brings a page back gives its place up (vm_swap_full)", () => {
    const h = go(machine({ swap: { pages: 1 } }), "out", "disk", "load");
    expect([h.pte(0), h.has("dirty"), h.has("checked"), get_nr_swap_pages(h.k)]).toEqual([
      "ry",
      true,
      false,
      1,
    ]);
  });

  it("a VMA that keeps its pages in memory needs no place for them", () => {
    const h = go(machine(), "out", "disk");
    h.k.vma.vm_flags[0] |= VM_LOCKED;
    go(h, "load");
    expect([h.has("checked"), get_nr_swap_pages(h.k)]).toEqual([false, 4]);
  });
});

describe("two who want it", () => {
  it("who waits for a read that another began finds the page mapped by him, and goes back (pte_same)", () => {
    const h = go(machine(), "out", "disk", "gone");
    h.until("load", "find_get_page").until("late", "find_get_page").step("late");
    go(h, "load");
    go(h, "late", "disk", "load", "late");
    expect([h.finished("load"), h.finished("late"), h.pte(0), h.k.vmstat.pswpin[0]]).toEqual([
      true,
      true,
      "ry",
      1,
    ]);
  });

  it("between the look into the cache and the claim somebody else has brought it: swapcache_prepare says -EEXIST", () => {
    const h = go(machine(), "out", "disk", "gone").until("load", "swapcache_prepare");
    h.past("late", "swapcache_prepare");
    const steps = h.trace("load", () => h.step("load").step("load"));
    expect(steps).toEqual(["swapcache_prepare", "find_get_page"]);
    go(h, "late", "load", "disk", "load", "late", "load");
    expect([h.finished("load"), h.finished("late"), h.pte(0)]).toEqual([true, true, "ry"]);
  });

  it("or brought it and given up its place: -ENOENT, and the fault finds the PTE changed", () => {
    const h = go(machine(), "out", "disk", "gone").until("load", "swapcache_prepare");
    go(h, "store", "disk", "store");
    expect(h.pte(0)).toBe("rwdy");
    const steps = h.trace("load", () => go(h, "load"));
    expect(steps.slice(0, 3)).toEqual(["swapcache_prepare", "put_page", "pte_same"]);
    expect(h.finished("load")).toBe(true);
  });

  it("nobody holds the entry any more before a page is asked for (__swp_swapcount)", () => {
    const h = go(machine(), "out", "disk", "gone").until("load", "!__swp_swapcount");
    go(h, "store", "disk", "store");
    expect(h.trace("load", () => go(h, "load")).slice(0, 2)).toEqual(["!__swp_swapcount", "pte_same"]);
  });

  it("the page has left the swap cache while its lock was waited for: the fault is tried again", () => {
    const h = go(machine(), "out", "disk").past("load", "lookup_swap_cache");
    go(h, "store", "load");
    expect([h.finished("load"), h.pte(0), h.refs(0)]).toEqual([true, "rwdy", 3]);
  });
});

describe("fork and swap (copy_one_pte)", () => {
  it("parent and child hold one entry; who writes first gets a copy, the other keeps the page", () => {
    const h = go(machine(), "out", "disk", "gone", "fork");
    expect([swap_map(h.k)[1], h.k.pte.entry[0]]).toEqual([2, h.k.pte.entry[2]]);
    go(h, "store", "disk", "store");
    expect([h.pte(0), swap_map(h.k)[1], h.k.content.version[pageAt(h, 0)]]).toEqual([
      "rwdy",
      SWAP_HAS_CACHE | 1,
      2,
    ]);
    go(h, "child");
    expect([h.pte(2), pageAt(h, 2) === pageAt(h, 0), h.faults()]).toEqual(["rwdy", false, []]);
    expect(get_nr_swap_pages(h.k)).toBe(4);
  });

  it("exit gives the entry up, and the place when nobody else has it (free_swap_and_cache)", () => {
    const h = go(machine(), "out", "disk", "gone", "fork", "exits");
    expect(swap_map(h.k)[1]).toBe(1);
    go(h, "ends");
    expect([swap_map(h.k)[1], h.refs(0)]).toEqual([0, 0]);
  });
});

describe("memory that is given up", () => {
  it("a page in the swap cache goes with the entry that MADV_DONTNEED takes", () => {
    const h = go(machine(), "out", "disk", "drop");
    expect([h.k.pte.entry[0], h.refs(0), get_nr_swap_pages(h.k)]).toEqual([0, 0, 4]);
  });

  it("one that is mapped again goes with its PTE (free_pages_and_swap_cache)", () => {
    const h = go(machine(), "out", "disk", "load", "drop");
    expect([h.k.pte.entry[0], get_nr_swap_pages(h.k)]).toEqual([0, 4]);
  });

  it("one that is being written stays until reclaim meets it: swap_writepage finds that nobody wants it", () => {
    const h = go(machine(), "out", "drop");
    expect([h.has("checked"), swap_map(h.k)[1]]).toEqual([true, SWAP_HAS_CACHE]);
    h.set(["dirty"]);
    go(h, "disk");
    const steps = h.trace("gone", () => go(h, "gone"));
    expect(steps).toContain("try_to_free_swap");
    expect(steps).not.toContain("submit_bio");
    expect([h.refs(0), get_nr_swap_pages(h.k)]).toEqual([0, 4]);
  });
});

describe("a page of the swap cache moves (migrate_page_move_mapping)", () => {
  const moving = (prepare: (h: Hand) => void) => {
    const h = new Hand(
      small(
        {
          ...anonymous(1, { pages: 3, config: ["swap", "migration"] }),
          prepare: (k) => {
            old_anonymous(k, 0);
          },
        },
        { out: reclaim(1), load: load(0), move: migrateOne(0), disk },
      ),
    );
    prepare(go(h, "out", "disk"));
    return go(h, "move");
  };

  it("its entry goes with it: a fault finds the new page", () => {
    const h = moving(() => {});
    const page = h.k.xa_slot.page[1] - 1;
    expect([page, h.has("checked", page), page_private(h.k, page)]).not.toEqual([0, true, 1]);
    go(h, "load");
    expect([pageAt(h, 0), h.k.content.version[page], h.faults()]).toEqual([page, 1, []]);
  });

  it("and so it does when it is mapped", () => {
    const h = moving((before) => go(before, "load"));
    const page = h.k.xa_slot.page[1] - 1;
    expect([page !== 0, pageAt(h, 0) === page, h.pte(0)]).toEqual([true, true, "r"]);
  });
});

describe("a device holds the page", () => {
  it("it gets a place and loses its PTEs, and pageout finds the reference: it is never written", () => {
    const h = machine().until("read", "dio_await_completion");
    h.k.pte.entry[0] &= ~4;
    go(h, "out");
    expect([h.has("checked"), h.has("dirty"), h.has("writeback"), h.k.page.mapcount[0]]).toEqual([
      true,
      true,
      false,
      0,
    ]);
    go(h, "load");
    expect([pageAt(h, 0), h.pte(0)]).toEqual([0, "ry"]);
  });

  it("a device that nobody knows of, and a page that is clean: its bytes go with the page (LOST)", () => {
    const h = go(machine(), "out", "disk");
    h.k.content.version[0]++;
    go(h, "gone");
    expect(h.faults()).toEqual([
      "LOST __remove_mapping: a page is freed with bytes that are not in its place in swap",
    ]);
  });
});
