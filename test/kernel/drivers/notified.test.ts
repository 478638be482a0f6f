/** Drivers with MMU notifiers: told before PTEs change, they stop their device, and dirty without the page lock (section 4). */
import { describe, expect, it } from "vitest";
import {
  amdgpu_ttm_tt_get_user_pages,
  amdgpu_ttm_tt_unpin_userptr,
} from "../../../src/kernel/drivers/amdgpu_ttm.js";
import {
  __i915_gem_userptr_get_pages_worker,
  gpu_engine,
  i915_gem_execbuffer,
} from "../../../src/kernel/drivers/i915_userptr.js";
import { odp_device } from "../../../src/kernel/drivers/infiniband_odp.js";
import { ERRNO } from "../../../src/kernel/errno.js";
import { zap_page_range } from "../../../src/kernel/mm/zap.js";
import { MMU_NOTIFIER } from "../../../src/kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { disk, flusher, reclaim, store } from "../actors.js";
import { type Actor, FILE, Hand, small } from "../harness.js";
import { ask } from "./ask.js";

/** A shared mapping of a file's page and a page of anonymous memory; a notifier on the first. Array 0 is its object's, 1 a kworker's. */
function world(driver: number, actors: (answers: number[]) => Record<string, Actor>) {
  const answers: number[] = [];
  const geometry = {
    vmas: [
      { pages: 1, file: FILE, flags: VM_SHARED | VM_WRITE },
      { pages: 1, flags: VM_WRITE },
    ],
    dios: 2,
    dioPages: 1,
    notifiers: [{ driver, start: 0, nr: 1, pages: 0 }],
    config: ["notifier"] as const,
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
    world(MMU_NOTIFIER.amdgpu, (a) => ({
      store: store(1),
      get: ask(amdgpu_ttm_tt_get_user_pages, [start, 1, anononly, 0], a),
      put: ask(amdgpu_ttm_tt_unpin_userptr, [0], a),
      gpu: { path: gpu_engine, args: [0] },
      flusher,
      disk,
    }));

  it("AMDGPU_GEM_USERPTR_ANONONLY refuses a page of a file: -EPERM; anonymous memory is welcome", () => {
    const file = amdgpu(1);
    file.h.go("get");
    expect([file.answers, file.h.faults(), pins(file.h)]).toEqual([
      [-ERRNO.EPERM],
      ["REFUSED AMDGPU_GEM_USERPTR: -EPERM"],
      0,
    ]);
    const anonymous = amdgpu(1, 1);
    anonymous.h.go("store").go("get");
    expect([anonymous.answers, pins(anonymous.h)]).toEqual([[0], 1]);
  });

  it("the notifier waits for the GPU and dirties; the reference stays", () => {
    const { h } = amdgpu();
    h.go("get").go("flusher");
    expect(h.next("flusher")).toBe("reservation_object_wait_timeout_rcu");
    h.go("gpu").go("flusher");
    expect(pins(h)).toBe(1);
  });

  it("unpin: set_page_dirty without the lock, mark_page_accessed, then put_page", () => {
    const { h } = amdgpu();
    h.go("get").go("gpu").go("flusher").go("disk");
    const steps = h.trace("put", () => h.go("put"));
    expect(steps).not.toContain("lock_page");
    expect([
      steps.indexOf("mark_page_accessed") < steps.lastIndexOf("put_page"),
      pins(h),
      h.has("dirty"),
    ]).toEqual([true, 0, true]);
  });

  it("set_page_dirty without the page lock on a clean page: ext4 warns of that, too (F9)", () => {
    const { h } = amdgpu();
    h.go("get").go("gpu").go("flusher").go("disk").go("put");
    expect(h.faults()).toEqual([
      "WARN ext4_set_page_dirty: WARN_ON_ONCE(!PageLocked(page) && !PageDirty(page))",
    ]);
  });
});
