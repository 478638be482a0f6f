/** Drivers with MMU notifiers: told before PTEs change, they stop their device, and dirty without the page lock (section 4). */
import { describe, expect, it } from "vitest";
import type { Config } from "../../../src/kernel/config.js";
import {
  amdgpu_cs_ioctl,
  amdgpu_gem_object_free,
  amdgpu_gem_userptr_ioctl,
  amdgpu_submit,
} from "../../../src/kernel/drivers/amdgpu_ttm.js";
import {
  __i915_gem_userptr_get_pages_worker,
  gpu_engine,
  i915_gem_execbuffer,
} from "../../../src/kernel/drivers/i915_userptr.js";
import { odp_device } from "../../../src/kernel/drivers/infiniband_odp.js";
import { ERRNO } from "../../../src/kernel/errno.js";
import { do_exit } from "../../../src/kernel/exit.js";
import { zap_page_range } from "../../../src/kernel/mm/zap.js";
import { MMU_NOTIFIER } from "../../../src/kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { disk, flusher, reclaim, store } from "../actors.js";
import { type Actor, FILE, Hand, small } from "../harness.js";
import { punch } from "../movers.js";
import { ask } from "./ask.js";

/** A shared mapping of a file's page and a page of anonymous memory; a notifier on the first, or `start`. Array 0 is its object's, 1 a kworker's. */
function world(
  driver: number,
  actors: (answers: number[]) => Record<string, Actor>,
  start = 0,
  config: readonly Config[] = [],
) {
  const answers: number[] = [];
  const geometry = {
    vmas: [
      { pages: 1, file: FILE, flags: VM_SHARED | VM_WRITE },
      { pages: 1, flags: VM_WRITE },
    ],
    dios: 2,
    dioPages: 1,
    notifiers: [{ driver, start, nr: 1, pages: 0 }],
    config: ["notifier", ...config] as const,
  };
  return { h: new Hand(small({ pages: 3, geometry }, actors(answers))), answers };
}
const pins = (h: Hand): number => h.k.page.pins.reduce((sum, nr) => sum + nr, 0);

describe("RDMA on demand", () => {
  const odp = () =>
    world(MMU_NOTIFIER.ib_umem, () => ({
      card: { path: odp_device, args: [0, 1, 0] },
      flusher,
      disk,
      reclaim: reclaim(1),
      zap: ask(zap_page_range, [0, 0, 1]),
    }));

  it("faults a page in, and keeps no reference to it", () => {
    const { h } = odp();
    h.until("card", (k) => k.content.version[0] === 1);
    expect([pins(h), h.refs(), h.pte()]).toEqual([0, 3, "rwdy"]);
  });

  it("writeback takes its translation away and dirties the page before it cleans the PTE", () => {
    const { h } = odp();
    h.until("card", (k) => k.content.version[0] === 1);
    const steps = h.trace("flusher", () => h.go("flusher"));
    const order = [
      "ib_umem_notifier_start_account",
      "ib_dma_unmap_page",
      "page_mkclean_one",
      "ib_umem_notifier_end_account",
    ];
    expect(steps.filter((step) => order.includes(step))).toEqual(order);
    expect(h.k.user_page.page[0]).toBe(0);
  });

  it("the next access faults again, through page_mkwrite: the page is dirty when the card writes", () => {
    const { h } = odp();
    h.until("card", (k) => k.content.version[0] === 1)
      .go("flusher")
      .go("disk");
    expect(h.has("dirty")).toBe(false);
    h.until("card", (k) => k.content.version[0] === 2);
    expect([h.has("dirty"), h.pte()]).toEqual([true, "rwdy"]);
  });

  it("an invalidation between the fault and the entry: the fault starts again (ib_umem_mmu_notifier_retry)", () => {
    const { h } = odp();
    h.until("card", "down_write(umem_mutex)").go("flusher");
    h.until("card", "put_page");
    expect([h.k.user_page.page[0], pins(h)]).toEqual([0, 1]);
    h.until("card", (k) => k.content.version[0] === 1);
    expect(pins(h)).toBe(0);
  });

  it("and while one is under way the card cannot enter anything", () => {
    const { h } = odp();
    h.until("card", "down_write(umem_mutex)").until("flusher", "page_mkclean_one");
    h.until("card", "put_page");
    expect(h.k.user_page.page[0]).toBe(0);
  });

  it("after a zap the page belongs to the cache alone: the card no longer reaches it", () => {
    const { h } = odp();
    h.until("card", (k) => k.content.version[0] === 1).go("zap");
    expect([h.pte(), pins(h), h.k.user_page.page[0], h.has("dirty")]).toEqual(["none", 0, 0, true]);
  });
});

describe("an invalidation of a part of an ODP region", () => {
  const two = () => {
    const geometry = {
      vmas: [{ pages: 2, file: FILE, flags: VM_SHARED | VM_WRITE }],
      dios: 2,
      dioPages: 2,
      notifiers: [{ driver: MMU_NOTIFIER.ib_umem, start: 0, nr: 2, pages: 0 }],
      config: ["notifier"] as const,
    };
    const actors = {
      card: { path: odp_device, args: [0, 1, 0] },
      zap: ask(zap_page_range, [0, 1, 2]),
      all: ask(zap_page_range, [0, 0, 2]),
      flusher,
    };
    const h = new Hand(small({ filePages: 2, pages: 4, geometry }, actors));
    return h.until("card", (k) => k.content.version[0] === 1 && k.content.version[1] === 1);
  };

  it("takes that part's translations only: the card goes on with the others", () => {
    const h = two().go("zap");
    expect([...h.k.user_page.page].slice(0, 2)).toEqual([1, 0]);
    const steps = h.trace("card", () => h.until("card", (k) => k.content.version[0] === 2));
    expect(steps).not.toContain("notifiers_seq");
  });

  it("takes all translations away before it dirties the first page (mlx5_ib_invalidate_range)", () => {
    const h = two().past("all", "mlx5_ib_update_xlt");
    expect([...h.k.user_page.page].slice(0, 2)).toEqual([1, 2]);
    h.step("card");
    expect([h.next("card"), h.k.content.version[0]]).toEqual(["notifiers_seq", 1]);
  });
});

describe("i915 userptr", () => {
  const i915 = () =>
    world(MMU_NOTIFIER.i915, (a) => ({
      store: store(0),
      exec: ask(i915_gem_execbuffer, [0], a),
      again: ask(i915_gem_execbuffer, [0], a),
      worker: { path: __i915_gem_userptr_get_pages_worker, args: [0, 1] },
      gpu: { path: gpu_engine, args: [0] },
      flusher,
      disk,
    }));

  it("takes pages that are mapped writable without a fault", () => {
    const { h, answers } = i915();
    h.go("store").go("exec");
    expect([answers, pins(h), h.enabled("worker")]).toEqual([[0], 1, false]);
  });

  it("leaves the others to a kworker, and the job waits for it", () => {
    const { h, answers } = i915();
    h.go("exec");
    expect([h.next("exec"), h.enabled("exec")]).toEqual(["wait_for_userptr", false]);
    h.go("worker").go("exec");
    expect([answers, pins(h), h.pte()]).toEqual([[0], 1, "rwdy"]);
  });

  it("writeback waits until the GPU has finished; the driver dirties without the page lock and puts the page", () => {
    const { h } = i915();
    h.go("store").go("exec").go("flusher");
    expect([h.next("flusher"), h.has("locked")]).toEqual(["i915_gem_object_wait", true]);
    h.go("gpu");
    const steps = h.trace("flusher", () => h.go("flusher"));
    expect(steps.slice(0, steps.indexOf("put_page"))).not.toContain("lock_page");
    expect([pins(h), h.k.user_pages.nr[0]]).toEqual([0, 0]);
  });

  it("nothing is torn: what the GPU wrote before is on the disk, and the next job takes the page anew", () => {
    const { h } = i915();
    h.go("store").go("exec").go("gpu").go("flusher").go("disk");
    expect(h.k.block.version[0]).toBe(h.k.content.version[0]);
    h.go("again").go("worker").go("again");
    expect([pins(h), h.has("dirty"), h.pte()]).toEqual([1, true, "rwdy"]);
  });

  it("a kworker whose object was cancelled puts what it has collected", () => {
    const { h } = i915();
    h.go("exec").until("worker", "__i915_gem_userptr_alloc_pages").go("flusher");
    expect(pins(h)).toBe(1);
    h.go("worker");
    expect(pins(h)).toBe(0);
  });
});

describe("amdgpu userptr", () => {
  const amdgpu = (anononly = 0, start = 0) =>
    world(
      MMU_NOTIFIER.amdgpu,
      (a) => ({
        store: store(1),
        make: ask(amdgpu_gem_userptr_ioctl, [0, anononly], a),
        cs: ask(amdgpu_cs_ioctl, [0, anononly, 1], a),
        again: ask(amdgpu_submit, [0, anononly, 1], a),
        free: ask(amdgpu_gem_object_free, [0]),
        gpu: { path: gpu_engine, args: [0] },
        zap: ask(zap_page_range, [0, 0, 1]),
        flusher,
        disk,
      }),
      start,
    );

  it("AMDGPU_GEM_USERPTR_ANONONLY refuses a page of a file: -EPERM; anonymous memory is welcome", () => {
    const file = amdgpu(1);
    file.h.go("make");
    expect([file.answers, file.h.faults(), pins(file.h)]).toEqual([
      [-ERRNO.EPERM],
      ["REFUSED AMDGPU_GEM_USERPTR: -EPERM"],
      0,
    ]);
    const anonymous = amdgpu(1, 1);
    anonymous.h.go("store").go("make");
    expect([anonymous.answers, pins(anonymous.h)]).toEqual([[0], 1]);
  });

  it("the notifier waits for the GPU and dirties; the reference stays", () => {
    const { h } = amdgpu();
    h.go("make").go("cs").go("flusher");
    expect(h.next("flusher")).toBe("reservation_object_wait_timeout_rcu");
    h.go("gpu").go("flusher");
    expect(pins(h)).toBe(1);
  });

  it("a job on pages that were invalidated gets them anew: the old ones are dirtied and put, the new ones bound", () => {
    const { h, answers } = amdgpu();
    h.go("make").go("zap");
    expect([h.pte(), pins(h)]).toEqual(["none", 1]);
    const order = [
      "amdgpu_ttm_tt_userptr_needs_pages",
      "dma_unmap_sg",
      "put_page",
      "amdgpu_ttm_tt_set_user_pages",
    ];
    const steps = h.trace("cs", () => h.go("cs")).filter((step) => order.includes(step));
    expect(steps).toEqual(["amdgpu_ttm_tt_userptr_needs_pages", ...order]);
    expect([answers, h.pte(), pins(h)]).toEqual([[0, 0], "rwdy", 1]);
  });

  it("a submission puts the old pages while an invalidation goes over them: a page that is free becomes dirty, and is bad for the next who gets it", () => {
    const { h } = world(
      MMU_NOTIFIER.amdgpu,
      (a) => ({
        make: ask(amdgpu_gem_userptr_ioctl, [0, 0], a),
        cs: ask(amdgpu_cs_ioctl, [0, 0, 1], a),
        punch: punch(0, 1),
        zap: ask(zap_page_range, [0, 0, 1]),
        store: store(1),
        disk,
      }),
      0,
      ["truncate", "unlocked_dirty"],
    );
    h.go("make").go("punch");
    // In no file any more: the object's reference is the last one.
    expect([h.k.page.mapping[0], h.refs()]).toEqual([0, 1]);
    h.go("cs").go("disk").until("cs", "put_page");
    h.until("zap", "TestSetPageDirty").go("cs");
    expect([h.refs(), h.flags()]).toEqual([0, []]);
    h.go("zap");
    expect([h.refs(), h.flags()]).toEqual([0, ["referenced", "dirty"]]);
    h.go("store");
    expect(h.faults()).toContainEqual(expect.stringContaining("Bad page state: PAGE_FLAGS_CHECK_AT_PREP"));
  });

  it("an invalidation while the pages are fetched: they are released, and fetched again", () => {
    const { h } = amdgpu();
    h.go("make").go("zap");
    h.past("cs", "list_del(guptask)").go("flusher").go("disk");
    const steps = h.trace("cs", () => h.go("cs"));
    expect(steps.filter((step) => step === "list_add(guptask)")).toHaveLength(1);
    expect(pins(h)).toBe(1);
  });

  it("no job starts between invalidate_range_start and invalidate_range_end (amdgpu_mn_lock)", () => {
    const { h } = amdgpu();
    h.go("make").until("flusher", "page_mkclean_one").go("cs");
    expect([h.next("cs"), h.enabled("cs")]).toEqual(["down_write(amdgpu_mn.lock)", false]);
  });

  it("an invalidation after the last look: amdgpu_cs_submit looks once more, and gives -ERESTARTSYS", () => {
    const { h, answers } = amdgpu();
    h.go("make").until("cs", "down_write(amdgpu_mn.lock)").go("flusher").go("cs");
    expect([answers, h.enabled("gpu")]).toEqual([[0, -ERRNO.ERESTARTSYS], false]);
    h.go("again");
    expect([answers, h.enabled("gpu"), h.pte()]).toEqual([[0, -ERRNO.ERESTARTSYS, 0], true, "rwdy"]);
  });

  it("one that comes between the look at user_invalidated and last_set_pages is not seen: the job starts on a page that has just been cleaned", () => {
    const { h, answers } = amdgpu();
    h.go("make").go("zap").until("cs", "amdgpu_ttm_tt_set_user_pages").go("flusher").go("disk");
    h.go("cs").go("gpu");
    expect([answers, h.pte(), h.has("dirty"), h.k.page.device[0]]).toEqual([[0, 0], "ry", false, 1]);
  });

  it("ten rounds in which somebody invalidates: -EDEADLK", () => {
    const { h, answers } = world(MMU_NOTIFIER.amdgpu, (a) => ({
      make: ask(amdgpu_gem_userptr_ioctl, [0, 0], a),
      cs: ask(amdgpu_cs_ioctl, [0, 0, 1], a),
      ...Object.fromEntries(
        Array.from({ length: 11 }, (_, round) => [`zap${round}`, ask(zap_page_range, [0, 0, 1])]),
      ),
    }));
    h.go("make").go("zap0");
    for (let round = 1; round < 10; round++) h.past("cs", "list_del(guptask)").go(`zap${round}`);
    h.go("cs");
    expect([answers, pins(h), h.faults()]).toEqual([
      [0, -ERRNO.EDEADLK],
      1,
      ["REFUSED DRM_IOCTL_AMDGPU_CS: -EDEADLK"],
    ]);
  });

  it("the object goes: set_page_dirty without the lock, mark_page_accessed, then put_page; no notifier reaches it any more", () => {
    const { h } = amdgpu();
    h.go("make").go("cs").go("gpu").go("flusher").go("disk");
    const steps = h.trace("free", () => h.go("free"));
    expect(steps).not.toContain("lock_page");
    expect([
      steps.indexOf("amdgpu_mn_unregister") < steps.indexOf("mark_page_accessed"),
      steps.indexOf("mark_page_accessed") < steps.lastIndexOf("put_page"),
      pins(h),
      h.has("dirty"),
    ]).toEqual([true, true, 0, true]);
  });

  it("set_page_dirty without the page lock on a clean page: ext4 warns of that, too (F9)", () => {
    const { h } = amdgpu();
    h.go("make").go("cs").go("gpu").go("flusher").go("disk").go("free");
    expect(h.faults()).toEqual([
      "WARN ext4_set_page_dirty: WARN_ON_ONCE(!PageLocked(page) && !PageDirty(page))",
    ]);
  });
});

describe("exit (mmu_notifier_release)", () => {
  const exiting = (driver: number, actors: Record<string, Actor>) =>
    world(driver, () => ({ ...actors, exit: ask(do_exit, [0]), flusher, disk }), 0, ["mmap"]).h;

  it("i915 has no release operation: nobody tells it, and it keeps its pages", () => {
    const h = exiting(MMU_NOTIFIER.i915, {
      store: store(0),
      exec: ask(i915_gem_execbuffer, [0]),
      gpu: { path: gpu_engine, args: [0] },
    });
    h.go("store").go("exec");
    const steps = h.trace("exit", () => h.go("exit"));
    expect([h.finished("exit"), steps.includes("del_object"), pins(h), h.pte()]).toEqual([
      true,
      false,
      1,
      "none",
    ]);
  });

  it("ODP regions die before the first PTE goes: what the card wrote is dirtied, and it gets nothing any more", () => {
    const h = exiting(MMU_NOTIFIER.ib_umem, { card: { path: odp_device, args: [0, 1, 0] } });
    h.until("card", (k) => k.content.version[0] === 1);
    const steps = h.trace("exit", () => h.go("exit"));
    const order = ["ib_dma_unmap_page", "hlist_del_init_rcu", "ptep_get_and_clear_full"];
    expect(steps.filter((step) => order.includes(step))).toEqual(expect.arrayContaining(order));
    expect(steps.indexOf(order[0]) < steps.indexOf(order[1])).toBe(true);
    expect(steps.indexOf(order[1]) < steps.indexOf(order[2])).toBe(true);
    expect(steps).not.toContain("ib_umem_notifier_end_account");
    h.go("card");
    expect([h.k.content.version[0], h.finished("card")]).toEqual([1, true]);
    expect(h.faults()).toEqual([
      "WARN ib_umem_odp_map_dma_pages: WARN_ON(!mmget_not_zero(umem_odp->umem.owning_mm))",
    ]);
  });

  it("a driver that faults a page in keeps the memory until it has it (mmget)", () => {
    const h = exiting(MMU_NOTIFIER.ib_umem, { card: { path: odp_device, args: [0, 1, 0] } });
    h.past("card", "mmget_not_zero").go("exit");
    expect([h.next("exit"), h.enabled("exit")]).toEqual(["exit_mm", false]);
    h.past("card", "mmput");
    expect(h.enabled("exit")).toBe(true);
  });
});

describe("several notifiers", () => {
  it("the one that was registered last is told first (hlist_add_head)", () => {
    const both = { start: 0, nr: 1, driver: MMU_NOTIFIER.ib_umem };
    const h = new Hand(
      small(
        {
          pages: 2,
          geometry: {
            dios: 4,
            dioPages: 1,
            notifiers: [
              { ...both, pages: 0 },
              { ...both, pages: 2 },
            ],
            config: ["notifier"],
          },
        },
        {
          first: { path: odp_device, args: [0, 1, 0] },
          last: { path: odp_device, args: [1, 3, 0] },
          flusher,
        },
      ),
    );
    h.until("first", (k) => k.content.version[0] === 1).until("last", (k) => k.content.version[0] === 2);
    h.past("flusher", "ib_dma_unmap_page");
    expect([h.k.user_page.page[0], h.k.user_page.page[2]]).toEqual([1, 0]);
  });
});
