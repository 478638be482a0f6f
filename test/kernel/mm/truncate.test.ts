import { describe, expect, it } from "vitest";
import { call, path } from "../../../src/kernel/language.js";
import { orphan_of, orphan_verdict } from "../../../src/kernel/mm/orphan.js";
import { lru_add_drain } from "../../../src/kernel/mm/swap.js";
import { invalidate_inode_pages2_range, truncate_inode_pages } from "../../../src/kernel/mm/truncate.js";
import { FS, VM_FAULT } from "../../../src/kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { int } from "../../../src/kernel/types.js";
import { cpu_access } from "../../../src/kernel/user.js";
import { disk, dma, flusher, fsync, load, read, store } from "../actors.js";
import { type Actor, FILE, Hand, type Small, small } from "../harness.js";
import { drop, invalidate2, punch, resize, unmap } from "../movers.js";

const truncating: Partial<Small> = { geometry: { config: ["truncate"] } };

const open = (options: Partial<Small>, actors: Readonly<Record<string, Actor>>): Hand =>
  new Hand(small({ ...truncating, ...options }, actors));

/** Move a task and the disk until the task has finished. */
function sync(h: Hand, task = "sync"): void {
  while (!h.finished(task)) h.step(h.enabled(task) ? task : "disk");
}

describe("truncate_cleanup_page (F55): unmap, invalidate private data, cancel dirty; in this order", () => {
  it("a dirty mapped page leaves without being written", () => {
    const h = open({}, { s: store(0), truncate: resize(0) });
    h.go("s");
    expect([h.pte(), h.has("dirty"), h.bufferDirty(), h.refs()]).toEqual(["rwdy", true, true, 3]);
    const steps = h.trace("truncate", () => {
      h.until("truncate", "trylock_page").past("truncate", "delete_from_page_cache");
    });
    const order = [
      "trylock_page",
      "PageWriteback",
      "page_mapped",
      "page_has_private",
      "discard_buffer",
      "PageWriteback",
      "try_to_free_buffers",
      "cancel_dirty_page",
      "delete_from_page_cache",
    ];
    expect(steps.filter((name) => order.includes(name))).toEqual(order);
    h.go("truncate");
    expect([h.refs(), h.flags(), h.faults()]).toEqual([0, [], []]);
    expect([h.k.vmstat.nr_dirty[0], h.k.vmstat.nr_file_pages[0], h.k.inode.i_size[FILE]]).toEqual([0, 0, 0]);
  });

  it("unmapping moves a PTE's dirt to the page, and it is cancelled with the rest", () => {
    const h = open(
      {},
      { s: store(0), truncate: { path: truncate_inode_pages, args: [FILE, 0], ends: true } },
    );
    h.go("s");
    const steps = h.trace("truncate", () => h.go("truncate"));
    expect(steps.indexOf("ptep_get_and_clear_full")).toBeLessThan(steps.indexOf("discard_buffer"));
    expect(steps.indexOf("discard_buffer")).toBeLessThan(steps.indexOf("cancel_dirty_page"));
    expect([h.pte(), h.refs()]).toEqual(["none", 0]);
  });
});

describe("the two sweeps of truncate_inode_pages_range", () => {
  it("the first passes by what is locked or under writeback, the second waits for both", () => {
    const h = open({ filePages: 2, pages: 2 }, { s: store(0), flusher, disk, truncate: resize(0) });
    h.go("s").go("flusher");
    expect(h.has("writeback")).toBe(true);
    h.go("truncate");
    expect([h.path("truncate"), h.next("truncate"), h.refs(1)]).toEqual([
      "truncate_inode_pages_range",
      "wait_on_page_writeback",
      0,
    ]);
    expect(h.has("locked")).toBe(true);
    h.go("disk").go("truncate");
    expect([h.finished("truncate"), h.refs(0)]).toEqual([true, 0]);
  });

  it("a partial page stays and is zeroed from the new end on", () => {
    const h = open({ filePages: 2, pages: 2, parts: 4 }, { s: store(1), truncate: resize(6) });
    h.go("s").go("truncate");
    expect([...h.k.content.version]).toEqual([0, 0, 0, 0, 1, 1, 2, 2]);
    expect([h.refs(1) > 0, h.has("dirty", 1), h.pte(1)]).toEqual([true, true, "rwdy"]);
  });

  it("a partial page that another truncation has taken away is not zeroed: find_lock_page looks at page->mapping again", () => {
    const h = open({ pages: 1, parts: 2 }, { cut: resize(1), all: resize(0) });
    h.until("cut", "lock_page").go("all").go("cut");
    expect([h.finished("all"), h.finished("cut"), h.refs(), h.faults()]).toEqual([true, true, 0, []]);
  });

  it("a hole within a page zeroes its middle; a hole over pages both edges and what is between", () => {
    const inner = open({ pages: 1, parts: 4 }, { punch: punch(1, 3) });
    inner.go("punch");
    expect([...inner.k.content.version]).toEqual([0, 1, 1, 0]);
    const outer = open({ filePages: 3, pages: 3, parts: 2 }, { punch: punch(1, 5) });
    outer.go("punch");
    expect([outer.refs(0), outer.refs(1), outer.refs(2)]).toEqual([1, 0, 1]);
    expect([0, 1, 4, 5].map((part) => outer.k.content.version[part])).toEqual([0, 1, 1, 0]);
  });
});

describe("punching keeps private copies, truncation does not (even_cows)", () => {
  const vmas = [VM_SHARED | VM_WRITE, VM_WRITE];
  for (const [name, act, copy] of [
    ["punch", punch(0, 1), "rwdy"],
    ["truncate", resize(0), "none"],
  ] as const)
    it(name, () => {
      const h = open({ vmas, pages: 3 }, { s: store(0), c: store(1), act });
      h.go("s").go("c").go("act");
      expect([h.pte(0), h.pte(1)]).toEqual(["none", copy]);
    });
});

describe("a page that a device holds is truncated like any other (trap 20, W7)", () => {
  const held = (act: Actor, more: Readonly<Record<string, Actor>> = {}) => {
    const h = open({ pages: 3 }, { read: read(0), dma: dma(0), act, ...more });
    h.until("read", "dio_await_completion");
    lru_add_drain(h.k);
    h.go("act");
    lru_add_drain(h.k);
    return h;
  };

  it("it is an orphan: mapping NULL, index kept, the driver's reference alone", () => {
    const h = held(resize(0));
    expect([h.k.page.mapping[0], h.k.page.index[0], h.refs(), h.k.page.pins[0]]).toEqual([0, 0, 1, 1]);
    expect([h.has("dirty"), h.has("private"), orphan_of(h.k, 0)]).toEqual([false, false, FILE]);
  });

  it("set_page_dirty on it sets the bit: no tag, no inode, no accounting, no filesystem", () => {
    const h = held(resize(0));
    h.k.inode.i_state[FILE] = 0;
    h.go("dma").until("read", "unlock_page").step("read");
    expect([h.has("dirty"), h.k.vmstat.nr_dirty[0], h.k.inode.i_state[FILE], h.faults()]).toEqual([
      true,
      0,
      0,
      [],
    ]);
  });

  it("the last put frees it with PG_dirty set: the flag is not checked there (F69)", () => {
    const h = held(resize(0));
    h.go("dma").go("read");
    expect([h.finished("read"), h.refs(), h.flags()]).toEqual([true, 0, []]);
  });

  it("truncated away: what arrives afterwards is missed by nobody", () => {
    const h = held(resize(0));
    h.go("dma");
    expect(orphan_verdict(h.k, 0)).toBeNull();
    h.go("read");
    expect(h.faults()).toEqual([]);
  });

  it("truncated and extended again: process and device see different pages, STALE (trap 37)", () => {
    const h = held(resize(0), { extend: resize(1), load: load(0) });
    h.go("extend").go("dma");
    expect(orphan_verdict(h.k, 0)).toBe("STALE");
    h.go("read");
    expect(h.faults()).toEqual([
      "STALE free_page: a page that was truncated is freed with bytes that its file does not show",
    ]);
  });

  it("punched: what it held is meant to go, what arrives afterwards is STALE", () => {
    const before = held(punch(0, 1));
    expect(orphan_verdict(before.k, 0)).toBeNull();
    before.go("dma");
    expect(orphan_verdict(before.k, 0)).toBe("STALE");
    const early = open({ pages: 3 }, { read: read(0), dma: dma(0), act: punch(0, 1) });
    early.until("read", "dio_await_completion").go("dma").go("act");
    expect(orphan_verdict(early.k, 0)).toBeNull();
    early.go("read");
    expect(early.faults()).toEqual([]);
  });
});

describe("invalidate_mapping_pages: drop_caches and POSIX_FADV_DONTNEED", () => {
  it("drops a clean, unmapped, unheld page; counts it", () => {
    const h = open({}, { drop: drop() });
    h.go("drop");
    expect(h.refs()).toBe(0);
  });

  it("leaves dirty pages, pages under writeback, mapped and locked ones, each for its own reason", () => {
    const page = (prepare: (h: Hand) => void) => {
      const h = open({}, { s: store(0), drop: drop() });
      prepare(h);
      const steps = h.trace("drop", () => h.go("drop"));
      return [h.refs() > 0, steps.includes("remove_mapping"), h.has("private")];
    };
    expect(page((h) => h.go("s"))).toEqual([true, false, true]);
    expect(page((h) => h.set(["writeback"]))).toEqual([true, false, false]);
    expect(page((h) => h.set(["locked"]))).toEqual([true, false, false]);
  });

  it("F54: strips the buffers of a page that a driver holds, and only then finds the reference", () => {
    const h = open(
      { pages: 3 },
      { read: read(0), dma: dma(0), sync: fsync, disk, munmap: unmap(), drop: drop(), again: fsync },
    );
    h.until("read", "dio_await_completion");
    sync(h);
    h.go("munmap");
    lru_add_drain(h.k);
    expect([h.has("dirty"), h.has("private"), h.refs()]).toEqual([false, true, 3]);
    const steps = h.trace("drop", () => h.go("drop"));
    expect(steps.filter((name) => name === "try_to_free_buffers" || name === "remove_mapping")).toEqual([
      "try_to_free_buffers",
      "remove_mapping",
    ]);
    expect([h.has("private"), h.k.page.mapping[0], h.refs()]).toEqual([false, FILE, 2]);
    // The article's crash, and kswapd had no part in it.
    h.go("dma").go("read").go("again");
    expect(h.faults()).toEqual([
      "WARN ext4_set_page_dirty: WARN_ON_ONCE(!page_has_buffers(page))",
      "BUG page_buffers: BUG_ON(!PagePrivate(page))",
    ]);
  });

  it("a page that stays becomes the next victim, on the inactive list", () => {
    const h = open({ filePages: 2, pages: 2 }, { drop: drop(1, 1) });
    h.k.page._refcount[1]++;
    h.k.page.pins[1]++;
    expect(h.k.lruvec.tail[2] - 1).toBe(0);
    h.go("drop");
    expect([h.refs(1), h.k.lruvec.tail[2] - 1]).toEqual([2, 1]);
  });
});

describe("invalidate_inode_pages2_range: what O_DIRECT writes do to the cache (F53)", () => {
  it("takes a clean page out of the file without looking at its references", () => {
    const h = open(
      { pages: 3 },
      { read: read(0), dma: dma(0), sync: fsync, disk, act: invalidate2(), load: load(0) },
    );
    h.until("read", "dio_await_completion");
    sync(h);
    h.go("act");
    lru_add_drain(h.k);
    expect([h.finished("act"), h.k.page.mapping[0], h.refs(), h.pte()]).toEqual([true, 0, 1, "none"]);
    // The file keeps the range: what arrives now is lost, whatever the driver says.
    expect(orphan_verdict(h.k, 0)).toBeNull();
    h.go("dma");
    expect([orphan_verdict(h.k, 0), h.world.lostWrites()]).toEqual(["LOST", [0]]);
    h.go("read");
    expect(h.faults()).toEqual([
      "LOST free_page: a page that was dropped from its file is freed with bytes that are nowhere else",
    ]);
  });

  it("bytes that arrived before, of which nobody has spoken yet, are lost with it", () => {
    const h = open({ pages: 3 }, { read: read(0), dma: dma(0), sync: fsync, disk, act: invalidate2() });
    h.until("read", "dio_await_completion");
    sync(h);
    h.go("dma").go("act");
    expect(orphan_verdict(h.k, 0)).toBe("LOST");
  });

  it("a dirty page stays, with -EBUSY; its PTE does not", () => {
    const wrapped = path("wrapped", { source: "a test", locals: { got: int } }, [
      call(() => invalidate_inode_pages2_range, { mapping: FILE, start: 0, end: 0 }, "got"),
    ]);
    const h = open({}, { s: store(0), act: { path: wrapped, ends: true } });
    h.go("s").until("act", "pagevec_release");
    expect([h.has("dirty"), h.pte(), h.world.machine.local(1, "ret")]).toEqual([true, "none", -16]);
  });

  it("unmaps the rest of the range at the first mapped page, later ones by themselves", () => {
    const h = open({ filePages: 2, pages: 3 }, { a: load(0), b: load(1), act: invalidate2(0, 1) });
    h.go("a").go("b");
    const steps = h.trace("act", () => h.go("act"));
    expect(steps.filter((name) => name === "ptep_get_and_clear_full").length).toBe(2);
    expect([h.pte(0), h.pte(1), h.refs(0), h.refs(1)]).toEqual(["none", "none", 0, 0]);
  });
});

describe("delete_from_page_cache (F77)", () => {
  it("a page that is dirty when it leaves warns once; the gauge goes down, PG_dirty stays", () => {
    const h = open({ pages: 3 }, { s: store(0), act: resize(0) });
    h.k.page._refcount[0]++;
    h.k.page.pins[0]++;
    h.until("act", "delete_from_page_cache");
    h.set(["dirty"]);
    h.k.vmstat.nr_dirty[0]++;
    h.go("act");
    expect(h.faults()).toEqual(["WARN unaccount_page_cache_page: WARN_ON_ONCE(PageDirty(page))"]);
    expect([h.has("dirty"), h.k.vmstat.nr_dirty[0]]).toEqual([true, 0]);
  });
});

describe("a fault beyond the end of the file is VM_FAULT_SIGBUS", () => {
  const access = (write: 0 | 1, at = 1): Actor => ({ path: cpu_access, args: [at, write], ends: true });

  it("before anything is looked up", () => {
    for (const write of [0, 1] as const) {
      const h = open(
        { filePages: 2, pages: 3, vmas: [VM_SHARED | VM_WRITE] },
        { act: resize(1), a: access(write) },
      );
      h.go("act");
      const steps = h.trace("a", () => h.go("a"));
      expect([h.world.machine.local(1, "ret"), steps.includes("find_get_page"), h.pte(1)]).toEqual([
        VM_FAULT.SIGBUS,
        false,
        "none",
      ]);
    }
  });

  it("and once more under the page lock: the file was truncated since", () => {
    const h = open({ filePages: 2, pages: 3 }, { act: resize(1), a: access(1) });
    h.until("a", "lock_page").past("act", "i_size_write").go("a");
    expect([h.world.machine.local(1, "ret"), h.finished("a"), h.refs(1)]).toEqual([VM_FAULT.SIGBUS, true, 1]);
    h.go("act");
    lru_add_drain(h.k);
    expect([h.refs(1), h.faults()]).toEqual([0, []]);
  });

  it("a page that loses its mapping between the fault and page_mkwrite is looked for again", () => {
    const h = open({ pages: 3 }, { act: punch(0, 1), a: access(1, 0), disk });
    h.until("a", () => h.path("a") === "block_page_mkwrite").go("act");
    sync(h, "a");
    expect([h.finished("a"), h.pte(0), h.k.vmstat.pgmajfault[0], h.faults()]).toEqual([true, "rwdy", 1, []]);
  });

  it("a private mapping's copy is given back", () => {
    const h = open({ filePages: 2, pages: 4, vmas: [VM_WRITE] }, { act: resize(1), a: access(1) });
    h.go("act").go("a");
    expect([h.world.machine.local(1, "ret"), h.k.page._refcount.filter((refs) => refs > 0).length]).toEqual([
      VM_FAULT.SIGBUS,
      1,
    ]);
  });
});

describe("tmpfs", () => {
  it("a truncated page takes its data with it: nothing else has it", () => {
    const h = open({ fs: FS.tmpfs }, { s: store(0), act: resize(0) });
    h.go("s").go("act");
    expect([h.refs(), h.pte(), h.faults()]).toEqual([0, "none", []]);
  });
});

describe("config pagevec: what is found together is held together", () => {
  it("truncation that sleeps on the lock of one page holds the pages behind it, too", () => {
    const h = open(
      { filePages: 3, pages: 3, geometry: { config: ["truncate", "pagevec"] } },
      { truncate: resize(0) },
    );
    lru_add_drain(h.k);
    h.set(["locked"], 0).set(["locked"], 1).go("truncate");
    expect([h.next("truncate"), h.refs(0), h.refs(1), h.refs(2)]).toEqual(["lock_page", 2, 2, 0]);
    h.clear(["locked"], 0).clear(["locked"], 1).go("truncate");
    expect([h.finished("truncate"), h.refs(0), h.refs(1)]).toEqual([true, 0, 0]);
  });

  it("invalidation counts no page of the batch as held, drops each, and then lets all go", () => {
    const h = open(
      { filePages: 3, pages: 3, geometry: { config: ["truncate", "pagevec"] } },
      { drop: drop(0, 2), invalidate: invalidate2(0, 2) },
    );
    lru_add_drain(h.k);
    h.go("drop");
    expect([h.finished("drop"), h.refs(0), h.refs(1), h.refs(2)]).toEqual([true, 0, 0, 0]);
    h.go("invalidate");
    expect([h.finished("invalidate"), h.faults()]).toEqual([true, []]);
  });
});
