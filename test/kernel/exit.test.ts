import { describe, expect, it } from "vitest";
import { wait4 } from "../../src/kernel/exit.js";
import { MM_GONE, mm_struct } from "../../src/kernel/mm/mmap.js";
import { FS } from "../../src/kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../src/kernel/structs.js";
import { lockReportText } from "../../src/machine/lockdep.js";
import { disk, dma, flusher, load, read, store } from "./actors.js";
import { Hand, type Small, small } from "./harness.js";
import { anonymous, child_exits, exit, fork } from "./processes.js";

const shared = (fs: number = FS.ext4): Small => ({
  fs,
  filePages: 2,
  geometry: {
    pages: 4,
    vmas: [
      { pages: 2, file: 1, flags: VM_SHARED | VM_WRITE },
      { pages: 1, flags: VM_WRITE },
    ],
    dioPages: 2,
    config: ["mmap"],
  },
});

describe("exit (exit_mmap)", () => {
  it("gives back every PTE and every VMA; pages of files stay, dirty if their PTE was", () => {
    const h = new Hand(
      small(shared(FS.tmpfs), { load: load(0), a: store(0), b: load(1), c: store(2), exit: exit(0) }),
    );
    h.go("load").go("a").go("b").go("c");
    const free = h.k.pgdat.free[0];
    h.go("exit");
    expect([h.pte(0), h.pte(1), h.pte(2)]).toEqual(["none", "none", "none"]);
    expect([...h.k.vma.vm_pages]).toEqual([0, 0]);
    expect([h.has("dirty", 0), h.has("dirty", 1)]).toEqual([true, false]);
    expect(h.k.pgdat.free[0]).not.toBe(free);
    expect(h.k.of(mm_struct).life[0]).toBe(MM_GONE);
  });

  it("holds no mmap_sem: nobody else can use the mm any more", () => {
    const h = new Hand(small(shared(), { a: store(0), exit: exit(0) })).go("a");
    const steps = h.trace("exit", () => h.go("exit"));
    expect(steps.filter((step) => step.includes("mmap_sem"))).toEqual([]);
    expect(steps).toContain("exit_notify");
  });

  it("trap 36 a device writes on: the page of the file has been told what its PTE knew, not what comes after", () => {
    const h = new Hand(small(shared(), { read: read(0), dma: dma(0), exit: exit(0), flusher, disk }));
    h.go("read").go("exit");
    const page = h.k.xa_slot.page[0] - 1;
    expect([h.pte(), h.k.page.mapcount[page], h.k.page.pins[page], h.has("dirty", page)]).toEqual([
      "none",
      0,
      1,
      true,
    ]);
    h.go("flusher").go("disk");
    expect(h.has("dirty", page)).toBe(false);
    h.past("dma", "DMA");
    expect([h.k.page.device[page], h.has("dirty", page)]).toEqual([1, false]);
  });

  it("trap 36 an anonymous page lives by the device's reference alone, and is freed with it", () => {
    const h = new Hand(small(anonymous(), { read: read(0), dma: dma(0), exit: exit(0) }));
    h.go("read").go("exit");
    expect([h.k.page.mapcount[0], h.refs()]).toEqual([0, 1]);
    h.go("dma").go("read");
    expect([h.finished("read"), h.refs()]).toEqual([true, 0]);
  });

  it("wait4 sleeps until the child's memory is gone", () => {
    const h = new Hand(
      small(anonymous(), {
        fork: fork(),
        wait: { path: wait4, args: [1], ends: true },
        child: child_exits(),
      }),
    );
    h.go("fork").go("wait");
    expect([h.enabled("wait"), h.finished("wait")]).toEqual([false, false]);
    h.until("child", "exit_notify");
    expect(h.enabled("wait")).toBe(false);
    h.go("child").go("wait");
    expect(h.finished("wait")).toBe(true);
  });

  it("lockdep has nothing to say", () => {
    const world = small(shared(), { a: store(0), exit: exit(0), read: read(0), flusher, disk });
    expect(world.lockdep.reports.map(lockReportText)).toEqual([]);
  });
});
