import { describe, expect, it } from "vitest";
import { ERRNO } from "../../../src/kernel/errno.js";
import type { GeometryOptions } from "../../../src/kernel/geometry.js";
import type { Kernel } from "../../../src/kernel/kernel.js";
import { call, path, step } from "../../../src/kernel/language.js";
import { mlock as mlock_path, mlock_vma_page } from "../../../src/kernel/mm/mlock.js";
import { trylock_page, unlock_page } from "../../../src/kernel/mm/page.js";
import {
  account,
  can_do_mlock,
  counted,
  mlock_allowed,
  over_memlock,
} from "../../../src/kernel/mm/rlimit.js";
import { isolate_lru_page, lru_add_drain, put_page } from "../../../src/kernel/mm/swap.js";
import { FS, MMU_NOTIFIER } from "../../../src/kernel/operations.js";
import { LRU, VM_LOCKED, VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { int, vpn } from "../../../src/kernel/types.js";
import type { World } from "../../../src/lab/world.js";
import { lockReportText } from "../../../src/machine/lockdep.js";
import type { Path } from "../../../src/machine/path.js";
import { disk, dma, flusher, load, old, read, reclaim, store } from "../actors.js";
import { type Actor, Hand, type Small, small } from "../harness.js";
import { anonymous, exit, fork, mlock, munlock, munmap } from "../processes.js";

const SHARED = VM_SHARED | VM_WRITE;

/** The file mapped twice, at 0 and at 1. */
const twice = (geometry: Partial<GeometryOptions> = {}): Small => ({
  geometry: {
    pages: 2,
    vmas: [
      { pages: 1, file: 1, flags: SHARED },
      { pages: 1, file: 1, flags: SHARED },
    ],
    ...geometry,
    config: ["mmap", "mlock", ...(geometry.config ?? [])],
  },
});

const one = (geometry: Partial<GeometryOptions> = {}) =>
  new Hand(
    small(twice(geometry), {
      load: load(0),
      store: store(0),
      load2: load(1),
      mlock: mlock(0),
      mlock2: mlock(1),
      munlock: munlock(0),
      munmap: munmap(0),
      exit: exit(0),
      flusher,
      disk,
      reclaim: reclaim(),
    }),
  );

/** A task that makes a call and keeps its error. */
const failing = (of: Path<Kernel>, start: number, nr: number): Actor => ({
  path: path("failing", { source: "a test", args: { start: vpn, nr: int }, locals: { got: int } }, [
    call(() => of, { start: "start", nr: "nr" }, "got"),
    step("done", () => {}),
  ]),
  args: [start, nr],
  ends: true,
});
const errorOf = (h: Hand, task: string): number => {
  h.until(task, "done");
  const number = h.world.machine.tasks.findIndex(({ name }) => name === task);
  return h.world.machine.local(number, "got") as number;
};

/** Let the batches reach their lists. */
const drained = (h: Hand): Hand => {
  lru_add_drain(h.k);
  return h;
};

const unevictable = (h: Hand): number => h.k.lruvec.size[LRU.unevictable];

describe("mlock", () => {
  it("sets VM_LOCKED under mmap_sem, then faults the pages in: shared ones for reading, marked and off the lists of reclaim", () => {
    const h = one().go("mlock");
    expect([h.k.vma.vm_flags[0] & VM_LOCKED, h.pte(), h.has("mlocked"), h.has("dirty")]).toEqual([
      VM_LOCKED,
      "ry",
      true,
      false,
    ]);
    // Once the batch is drained the page is where reclaim does not look.
    drained(h);
    expect([unevictable(h), h.has("unevictable"), h.k.vmstat.nr_mlock[0]]).toEqual([1, true, 1]);
  });

  it("a private mapping is populated by copies", () => {
    const h = new Hand(
      small({ ...anonymous(1, { config: ["mlock"] }) }, { mlock: mlock(0), store: store() }),
    );
    h.go("mlock");
    expect([h.pte(), h.has("mlocked"), h.has("active")]).toEqual(["rwdy", true, false]);
  });

  it("keeps the page in memory, not in its place or clean: writeback goes on (9.3)", () => {
    const h = one().go("mlock").go("store").go("flusher").go("disk");
    expect([h.pte(), h.has("dirty"), h.k.block.version[0]]).toEqual(["ry", false, 1]);
  });

  it("a page that somebody has locked is not marked now; reclaim does it when it meets the VMA", () => {
    const h = one().go("load").set(["locked"]).go("mlock");
    expect([h.finished("mlock"), h.has("mlocked")]).toEqual([true, false]);
    h.clear(["locked"]);
    old(h);
    const steps = h.trace("reclaim", () => h.go("reclaim"));
    expect(steps).toContain("page_referenced_one");
    expect(steps).toContain("ptep_clear_flush");
    expect([h.pte(), h.has("mlocked"), h.has("private")]).toEqual(["r", true, false]);
    expect(unevictable(drained(h))).toBe(1);
  });

  it("a hole in the range is -ENOMEM, and the VMAs before it are locked", () => {
    const h = new Hand(small(twice(), { munmap: munmap(1), mlock: mlock(0, 2) })).go("munmap").go("mlock");
    expect([h.finished("mlock"), h.k.vma.vm_flags[0] & VM_LOCKED]).toEqual([true, VM_LOCKED]);
    expect(h.has("mlocked")).toBe(false);
  });
});

describe("mlock's populating (__mm_populate)", () => {
  it("holds mmap_sem from page to page, and takes it anew only after a fault that gave it back", () => {
    const h = new Hand(small(twice(), { mlock: mlock(0, 2), load: load(0) }));
    const steps = h.trace("mlock", () => h.go("mlock"));
    expect(steps.filter((step) => step === "down_read(mm->mmap_sem)")).toHaveLength(1);
    expect([h.pte(0), h.pte(1)]).toEqual(["ry", "ry"]);
  });

  it("a fault that waits for a page gives mmap_sem back each time, not only the first", () => {
    const h = one().set(["locked"]).until("mlock", "wait_on_page_locked").clear(["locked"]);
    h.past("mlock", "wait_on_page_locked").set(["locked"]).until("mlock", "wait_on_page_locked", true);
    expect(h.has("locked")).toBe(true);
    h.clear(["locked"]).go("mlock");
    expect([h.finished("mlock"), h.has("mlocked")]).toEqual([true, true]);
  });

  it("passes by what somebody unmaps before it gets there", () => {
    const h = new Hand(small(twice(), { mlock: failing(mlock_path, 0, 1), munmap: munmap(0) }));
    h.past("mlock", "vma->vm_flags |= VM_LOCKED").go("munmap");
    expect(errorOf(h, "mlock")).toBe(0);
  });

  it("beyond the end of the file it is -ENOMEM, and without memory -EAGAIN (__mlock_posix_error_return)", () => {
    const beyond = new Hand(
      small(
        {
          geometry: {
            ...{ pages: 2, files: [{ pages: 2, size: 1 }] },
            vmas: [{ pages: 2, file: 1, flags: SHARED }],
            config: ["mmap", "mlock", "truncate"],
          },
        },
        { mlock: failing(mlock_path, 1, 1) },
      ),
    );
    expect(errorOf(beyond, "mlock")).toBe(-ERRNO.ENOMEM);
    const short = new Hand(
      small(
        {
          ...anonymous(1, { min_free_pages: 4, config: ["mlock", "watermarks", "direct_reclaim"] }),
        },
        { mlock: failing(mlock_path, 0, 1) },
      ),
    );
    expect(errorOf(short, "mlock")).toBe(-ERRNO.EAGAIN);
  });

  it("device memory is not locked: VMAs of DAX files are left alone", () => {
    const h = new Hand(
      small(
        {
          fs: FS.ext4_dax,
          cached: false,
          geometry: { pages: 1, config: ["mmap", "mlock", "dax", "blocks"] },
        },
        { store: store(), mlock: mlock(0) },
      ),
    )
      .go("store")
      .go("mlock");
    expect([h.finished("mlock"), h.k.vma.vm_flags[0] & VM_LOCKED]).toEqual([true, 0]);
  });
});

describe("munlock", () => {
  it("takes mark and list place without the page lock, and asks for the lock afterwards (__munlock_pagevec)", () => {
    const h = drained(one().go("mlock")).set(["locked"]);
    h.go("munlock");
    expect([h.next("munlock"), h.has("mlocked"), h.lru(), unevictable(h)]).toEqual([
      "lock_page",
      false,
      "isolated",
      0,
    ]);
    h.clear(["locked"]).go("munlock");
    // Nobody else maps it: to its list at once, by no batch.
    expect([h.lru(), h.has("unevictable"), h.k.vmstat.unevictable_pgs_rescued[0]]).toEqual([
      "inactive",
      false,
      1,
    ]);
  });

  it("an anonymous page that a child maps, too, is asked for in every locked VMA of its anon_vma; there is none", () => {
    const h = new Hand(
      small(anonymous(1, { config: ["mlock"] }), { mlock: mlock(0), fork: fork(), munlock: munlock(0) }),
    );
    h.go("mlock").go("fork");
    lru_add_drain(h.k);
    expect([h.k.page.mapcount[0], unevictable(h)]).toEqual([2, 1]);
    const steps = h.trace("munlock", () => h.go("munlock"));
    expect(steps).toEqual(expect.arrayContaining(["down_read(anon_vma->rwsem)", "up_read(anon_vma->rwsem)"]));
    expect([drained(h).has("mlocked"), unevictable(h), h.lru()]).toEqual([false, 0, "inactive"]);
  });

  it("a page that somebody else has isolated is stranded where it was going", () => {
    const h = drained(one().go("mlock"));
    expect(isolate_lru_page(h.k, 0)).toBe(true);
    h.go("munlock");
    expect([h.finished("munlock"), h.has("mlocked"), h.k.vmstat.unevictable_pgs_stranded[0]]).toEqual([
      true,
      false,
      1,
    ]);
  });

  it("puts the page back where reclaim finds it", () => {
    const h = drained(drained(one().go("mlock")).go("munlock"));
    expect([h.has("mlocked"), h.has("unevictable"), unevictable(h)]).toEqual([false, false, 0]);
    expect([h.k.vmstat.nr_mlock[0], h.k.vmstat.unevictable_pgs_rescued[0]]).toEqual([0, 1]);
  });

  it("a page that another locked VMA maps keeps its mark (try_to_munlock)", () => {
    const h = drained(one().go("mlock").go("mlock2"));
    const steps = h.trace("munlock", () => h.go("munlock"));
    expect(steps).toContain("try_to_unmap_one");
    expect([h.has("mlocked"), h.k.vma.vm_flags[0] & VM_LOCKED]).toEqual([true, 0]);
  });

  it("try_to_munlock tells the notifiers of the locked VMA that it looks at, although it unmaps nothing", () => {
    const h = one({
      config: ["notifier"],
      dios: 1,
      dioPages: 1,
      notifiers: [{ driver: MMU_NOTIFIER.ib_umem, start: 1, nr: 1, pages: 0 }],
    });
    h.go("mlock").go("mlock2");
    const steps = h.trace("munlock", () => h.go("munlock"));
    const order = ["ib_umem_notifier_start_account", "try_to_unmap_one", "ib_umem_notifier_end_account"];
    expect(steps.filter((step) => order.includes(step))).toEqual(order);
    expect([h.pte(0), h.pte(1), h.has("mlocked")]).toEqual(["ry", "ry", true]);
  });

  it("the last reference of a page takes it off the unevictable list too, and the flag with it (page_off_lru)", () => {
    const h = drained(one().go("mlock")).clear(["mlocked"]);
    expect([unevictable(h), h.has("unevictable")]).toEqual([1, true]);
    h.k.xa_slot.page[0] = 0;
    h.k.pte.entry[0] = 0;
    h.k.page.mapcount[0] = 0;
    h.k.page.mapping[0] = 0;
    h.k.page._refcount[0] = 1;
    put_page(h.k, 0);
    expect([unevictable(h), h.refs(), h.flags()]).toEqual([0, 0, []]);
  });

  it("munmap and exit munlock first", () => {
    for (const who of ["munmap", "exit"]) {
      const h = drained(drained(one().go("mlock")).go(who));
      expect([h.finished(who), h.has("mlocked"), unevictable(h), h.pte()]).toEqual([true, false, 0, "none"]);
    }
  });

  it("the last PTE takes the mark away, even if nobody has munlocked (clear_page_mlock)", () => {
    const h = drained(one().go("mlock"));
    h.k.vma.vm_flags[0] &= ~VM_LOCKED;
    h.go("munmap");
    expect([h.has("mlocked"), h.k.vmstat.unevictable_pgs_cleared[0]]).toEqual([false, 1]);
  });
});

describe("a copy on write in a locked VMA (munlock_vma_page)", () => {
  it("the page that is left to the child loses its mark, and goes back where reclaim finds it", () => {
    const machine = anonymous(1, { config: ["mlock"] });
    const actors = { store: store(0), mlock: mlock(0), fork: fork(), again: store(0) };
    const h = new Hand(small(machine, actors)).go("store").go("mlock").go("fork");
    lru_add_drain(h.k);
    expect([h.has("mlocked"), h.has("unevictable")]).toEqual([true, true]);
    const steps = h.trace("again", () => h.go("again"));
    const munlocked = steps.slice(steps.indexOf("TestClearPageMlocked"));
    expect(munlocked.slice(0, 3)).toEqual(["TestClearPageMlocked", "page_mapcount", "putback_lru_page"]);
    // It waits in a batch, unevictable until that is drained.
    lru_add_drain(h.k);
    expect([h.has("mlocked"), h.has("unevictable"), h.k.page.mapcount[0]]).toEqual([false, false, 1]);
  });
});

describe("RLIMIT_MEMLOCK (9.4)", () => {
  const limited = (pages: number, cap_ipc_lock = false) =>
    one({ config: ["rlimit"], memlock: { pages, cap_ipc_lock } });

  it("counts what is locked, and munlock and munmap take it off again", () => {
    for (const who of ["munlock", "munmap", "exit"]) {
      const h = limited(4).go("mlock");
      expect(counted(h.k, "mm->locked_vm", 0)).toBe(1);
      h.go(who);
      expect(counted(h.k, "mm->locked_vm", 0)).toBe(0);
    }
  });

  it("too much is -ENOMEM; none allowed is -EPERM; CAP_IPC_LOCK may", () => {
    const h = limited(1).go("mlock").go("mlock2");
    expect(h.faults()).toEqual(["REFUSED mlock: -ENOMEM"]);
    expect(h.k.vma.vm_flags[1] & VM_LOCKED).toBe(0);
    expect(limited(0).go("mlock").faults()).toEqual(["REFUSED mlock: -EPERM"]);
    expect(limited(0, true).go("mlock").go("mlock2").faults()).toEqual([]);
  });

  it("what is locked already does not count twice", () => {
    const { k } = limited(1);
    account(k, "mm->locked_vm", 0, 1);
    expect(mlock_allowed(k, 0, 1, 0)).toBe(-ERRNO.ENOMEM);
    expect(mlock_allowed(k, 0, 1, 1)).toBe(0);
  });

  it("three counters know nothing of each other: three times the limit", () => {
    const { k } = limited(2);
    for (const counter of ["mm->locked_vm", "mm->pinned_vm", "user->locked_vm"] as const) {
      expect(over_memlock(k, counted(k, counter, 0) + 2)).toBe(false);
      account(k, counter, 0, 2);
      expect(over_memlock(k, counted(k, counter, 0) + 1)).toBe(true);
    }
    expect(() => account(k, "mm->pinned_vm", 0, -3)).toThrow("account: mm->pinned_vm");
  });

  it("without the option nothing is counted and nothing refused", () => {
    const { k } = one();
    account(k, "mm->pinned_vm", 0, 1000);
    expect([counted(k, "mm->pinned_vm", 0), over_memlock(k, 1000), can_do_mlock(k)]).toEqual([
      0,
      false,
      true,
    ]);
  });
});

it("lockdep has nothing to say", () => {
  expect(one().world.lockdep.reports.map(lockReportText)).toEqual([]);
});

describe("trap 35: mlock hides the crash", () => {
  const world = (flags: number): World =>
    small(
      {
        geometry: {
          pages: 1,
          vmas: [{ pages: 1, file: 1, flags: SHARED | flags }],
          config: ["mlock"],
        },
        // Its first pages were read through the locked mapping: mlock has marked them.
        prepare: (k) => {
          if (flags === 0) return;
          trylock_page(k, 0);
          mlock_vma_page(k, 0);
          unlock_page(k, 0);
          lru_add_drain(k);
        },
      },
      { read: read(0), dma: dma(0), reclaim: reclaim(2), flusher, disk },
    );
  const explored = (flags: number) => {
    const { complete, witnesses } = world(flags).explore({ maxStates: 3_000_000, progress: () => true });
    return { complete, kinds: witnesses.map(({ kind }) => kind).sort() };
  };

  it("without it ext4 warns: the page is dirtied without buffers", () => {
    expect(explored(0)).toEqual({ complete: true, kinds: expect.arrayContaining(["WARN"]) });
  });

  it("with it no order of steps goes wrong", () => {
    expect(explored(VM_LOCKED)).toEqual({ complete: true, kinds: [] });
  });

  it("nor where mlock was late and reclaim meets the VMA before the mark", () => {
    const late = small(
      {
        geometry: {
          pages: 1,
          vmas: [{ pages: 1, file: 1, flags: SHARED | VM_LOCKED }],
          config: ["mlock"],
        },
      },
      { read: read(0), dma: dma(0), reclaim: reclaim(2), flusher, disk },
    );
    const { complete, witnesses } = late.explore({ maxStates: 3_000_000, progress: () => true });
    expect([complete, witnesses.map(({ kind }) => kind)]).toEqual([true, []]);
  });
});
