import { describe, expect, it } from "vitest";
import { MADV } from "../../../src/kernel/mm/madvise.js";
import { FS } from "../../../src/kernel/operations.js";
import { VM_DONTCOPY, VM_LOCKED, VM_SHARED, VM_WIPEONFORK, VM_WRITE } from "../../../src/kernel/structs.js";
import { lockReportText } from "../../../src/machine/lockdep.js";
import { dma, load, read, store } from "../actors.js";
import { Hand, small } from "../harness.js";
import { anonymous, madvise, munmap } from "../processes.js";

describe("MADV_DONTNEED", () => {
  it("takes the PTEs with mmap_sem held for reading: anonymous memory reads as zeroes afterwards", () => {
    const h = new Hand(
      small(anonymous(), { store: store(), forget: madvise(0, 1, MADV.DONTNEED), load: load() }),
    );
    h.go("store");
    const steps = h.trace("forget", () => h.go("forget"));
    expect(steps[0]).toBe("down_read(mm->mmap_sem)");
    h.go("load");
    expect([h.pte(), h.k.pte.entry[0] >>> 4, h.refs()]).toEqual(["ry", h.k.geometry.pages, 0]);
  });

  it("W11's cousin: a device writes on into the page that the process has forgotten", () => {
    const h = new Hand(
      small(anonymous(), {
        read: read(0),
        dma: dma(0),
        forget: madvise(0, 1, MADV.DONTNEED),
        store: store(),
      }),
    );
    h.go("read").go("forget").go("store");
    const mine = h.k.pte.entry[0] >>> 4;
    expect([mine, h.k.page.pins[0], h.k.page.pins[mine]]).toEqual([1, 1, 0]);
    h.go("dma").go("read");
    expect([h.refs(0), h.k.content.version[mine]]).toEqual([0, 1]);
  });

  it("dirt of a shared mapping goes to the page", () => {
    const h = new Hand(
      small(
        {
          fs: FS.tmpfs,
          geometry: {
            pages: 2,
            vmas: [{ pages: 1, file: 1, flags: VM_SHARED | VM_WRITE }],
            config: ["mmap"],
          },
        },
        { load: load(), store: store(), forget: madvise(0, 1, MADV.DONTNEED) },
      ),
    );
    h.go("load").go("store").go("forget");
    expect([h.has("dirty"), h.pte(), h.k.vma.vm_pages[0]]).toEqual([true, "none", 1]);
  });

  it("a locked VMA keeps its pages: -EINVAL", () => {
    const h = new Hand(small(anonymous(), { store: store(), forget: madvise(0, 1, MADV.DONTNEED) }));
    h.go("store");
    h.k.vma.vm_flags[0] |= VM_LOCKED;
    h.go("forget");
    expect([h.finished("forget"), h.pte()]).toEqual([true, "rwdy"]);
  });
});

describe("advice about fork", () => {
  it("sets and clears the VMA's flags, with mmap_sem held for writing", () => {
    const h = new Hand(
      small(anonymous(), {
        dont: madvise(0, 1, MADV.DONTFORK),
        again: madvise(0, 1, MADV.DOFORK),
        wipe: madvise(0, 1, MADV.WIPEONFORK),
        keep: madvise(0, 1, MADV.KEEPONFORK),
      }),
    );
    const flags = () => h.k.vma.vm_flags[0] & (VM_DONTCOPY | VM_WIPEONFORK);
    expect(h.trace("dont", () => h.go("dont"))[0]).toBe("down_write(mm->mmap_sem)");
    expect(flags()).toBe(VM_DONTCOPY);
    h.go("again").go("wipe");
    expect(flags()).toBe(VM_WIPEONFORK);
    h.go("keep");
    expect(flags()).toBe(0);
  });

  it("about a part of a VMA cuts it", () => {
    const h = new Hand(
      small(
        anonymous(3, {
          vmas: [
            { pages: 3, flags: VM_WRITE },
            { pages: 0, flags: 0 },
            { pages: 0, flags: 0 },
          ],
        }),
        { dont: madvise(1, 1, MADV.DONTFORK) },
      ),
    );
    h.go("dont");
    const parts = [0, 1, 2].map((vma) => [h.k.vma.vm_start[vma], h.k.vma.vm_flags[vma] & VM_DONTCOPY]);
    expect(parts.sort()).toEqual([
      [0, 0],
      [1, VM_DONTCOPY],
      [2, 0],
    ]);
  });

  it("passes over holes and takes what is behind them", () => {
    const h = new Hand(
      small(
        anonymous(1, {
          vmas: [
            { pages: 1, flags: VM_WRITE },
            { pages: 1, flags: VM_WRITE },
          ],
        }),
        { gone: munmap(0), dont: madvise(0, 2, MADV.DONTFORK) },
      ),
    );
    h.go("gone").go("dont");
    expect([h.finished("dont"), h.k.vma.vm_flags[1] & VM_DONTCOPY]).toEqual([true, VM_DONTCOPY]);
  });
});

it("lockdep has nothing to say", () => {
  const world = small(anonymous(2), {
    a: store(),
    d: madvise(0, 2, MADV.DONTNEED),
    f: madvise(0, 1, MADV.DONTFORK),
  });
  expect(world.lockdep.reports.map(lockReportText)).toEqual([]);
});
