/** The users of get_user_pages that hold pages for as long as they like (section 4): acquire, dirty, release. */
import { describe, expect, it } from "vitest";
import { device, dma_mapped } from "../../../src/kernel/drivers/device.js";
import { ib_umem_get, ib_umem_release, UMEM_CHUNK } from "../../../src/kernel/drivers/infiniband.js";
import { io_sqe_buffer_register, io_sqe_buffer_unregister } from "../../../src/kernel/drivers/io_uring.js";
import { vfio_dma_do_map, vfio_dma_do_unmap } from "../../../src/kernel/drivers/vfio.js";
import { vb2_get_userptr, vb2_put_userptr } from "../../../src/kernel/drivers/videobuf2.js";
import { xdp_umem_reg, xdp_umem_release } from "../../../src/kernel/drivers/xdp_umem.js";
import { ERRNO } from "../../../src/kernel/errno.js";
import { do_exit } from "../../../src/kernel/exit.js";
import type { GeometryOptions } from "../../../src/kernel/geometry.js";
import { mm_rlimit, user_struct } from "../../../src/kernel/mm/rlimit.js";
import { VM_READ, VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { disk, flusher, fsync, reclaim, store } from "../actors.js";
import { type Actor, FILE, Hand, small } from "../harness.js";
import { ask } from "./ask.js";

/** A file of two pages, shared; the same read-only; a page of anonymous memory. Array 0 is the driver's. */
function world(actors: (answers: number[]) => Record<string, Actor>, more: Partial<GeometryOptions> = {}) {
  const answers: number[] = [];
  const geometry = {
    vmas: [
      { pages: 2, file: FILE, flags: VM_SHARED | VM_WRITE },
      { pages: 2, file: FILE, flags: VM_SHARED },
      { pages: 2, file: FILE, flags: VM_READ },
      { pages: 2, flags: VM_WRITE },
    ],
    dios: 2,
    dioPages: 2,
    ...more,
  };
  return { h: new Hand(small({ filePages: 2, pages: 6, geometry }, actors(answers))), answers };
}

const limit = (pages: number, cap_ipc_lock = false): Partial<GeometryOptions> => ({
  config: ["rlimit"],
  memlock: { pages, cap_ipc_lock },
});
const pinned_vm = (h: Hand): number => h.k.of(mm_rlimit).pinned_vm[0];
const locked_vm = (h: Hand): number => h.k.of(mm_rlimit).locked_vm[0];
const user_locked_vm = (h: Hand): number => h.k.of(user_struct).locked_vm[0];
const pins = (h: Hand): number => h.k.page.pins.reduce((sum, nr) => sum + nr, 0);

const region = (answers: number[] = [], start = 0, nr = 1, writable = 1): Record<string, Actor> => ({
  get: ask(ib_umem_get, [start, nr, writable, 0], answers),
  release: ask(ib_umem_release, [start, nr, writable, 0], answers),
  card: { path: device, args: [0, 2] },
  flusher,
  disk,
});

describe("RDMA memory regions", () => {
  it("takes 512 pages at a time: what fits one page of pointers", () => expect(UMEM_CHUNK).toBe(512));

  it("F46 deregistration dirties a page that is clean, and only then", () => {
    const { h } = world((a) => region(a));
    h.go("get").go("flusher").go("disk").go("card");
    expect([h.has("dirty"), h.k.page.device[0]]).toEqual([false, 1]);
    const steps = h.trace("release", () => h.go("release"));
    expect(steps).toContain("lock_page");
    expect([h.has("dirty"), h.bufferDirty(), pins(h)]).toEqual([true, true, 0]);
  });

  it("F46 a dirty page is not even locked", () => {
    const { h } = world((a) => region(a));
    h.go("get");
    expect(h.has("dirty")).toBe(true);
    expect(h.trace("release", () => h.go("release"))).not.toContain("lock_page");
  });

  it("F46 a region that the card may not write dirties nothing, and the card does not write it", () => {
    const { h } = world((a) => region(a, 0, 1, 0));
    h.go("get").go("flusher").go("disk").go("card").go("release");
    expect([h.has("dirty"), h.k.content.version[0]]).toEqual([false, 0]);
  });

  it("F47 FOLL_WRITE always: a region that is only read makes its page writable and dirty at registration", () => {
    const { h } = world((a) => region(a, 0, 1, 0));
    h.go("get");
    expect([h.has("dirty"), h.pte()]).toEqual([true, "rwdy"]);
  });

  it("F47 FOLL_FORCE for a read-only region: a private read-only mapping is copied, a shared one refused", () => {
    const copied = world((a) => region(a, 4, 1, 0));
    copied.h.go("get");
    expect([copied.answers, copied.h.k.page.pins[0], pins(copied.h)]).toEqual([[0], 0, 1]);
    const refused = world((a) => region(a, 2, 1, 0));
    refused.h.go("get");
    expect([refused.answers, pins(refused.h)]).toEqual([[-ERRNO.EFAULT], 0]);
    expect(refused.h.faults()).toEqual(["REFUSED ib_umem_get: -EFAULT"]);
  });

  it("the card writes at any time until deregistration, and never after it", () => {
    const { h } = world((a) => region(a));
    expect(h.enabled("card")).toBe(false);
    h.go("get").step("card").past("release", "ib_dma_unmap_sg");
    expect([h.k.content.version[0], h.enabled("card"), dma_mapped(h.k, 0)]).toEqual([1, false, false]);
  });

  it("an idle region is the victim: reclaim takes its buffers while the card may still write (trap 41)", () => {
    const { h } = world((a) => ({ ...region(a), reclaim: reclaim(3) }));
    h.go("get").go("flusher").go("disk");
    h.clear(["referenced"]);
    h.k.pte.entry[0] &= ~8;
    for (let pass = 0; pass < 3; pass++) h.go("reclaim");
    h.go("card").go("release");
    expect(h.faults()).toEqual(["WARN ext4_set_page_dirty: WARN_ON_ONCE(!page_has_buffers(page))"]);
  });

  it("9.4 pinned_vm is compared before it grows: -ENOMEM, and nothing is taken", () => {
    const { h, answers } = world((a) => region(a, 0, 2), limit(1));
    const steps = h.trace("get", () => h.go("get"));
    expect(steps.filter((step) => !step.includes("mmap_sem"))).toEqual(["pinned_vm"]);
    expect([answers, pinned_vm(h), pins(h)]).toEqual([[-ERRNO.ENOMEM], 0, 0]);
  });

  it("9.4 and when gup fails: what it had taken is given back, not dirtied", () => {
    const { h, answers } = world((a) => region(a, 1, 2), limit(16));
    h.go("get");
    expect([answers, pinned_vm(h), pins(h)]).toEqual([[-ERRNO.EFAULT], 0, 0]);
  });

  it("9.4 no limit at all: -EPERM; CAP_IPC_LOCK: as much as one likes", () => {
    const none = world((a) => region(a), limit(0));
    none.h.go("get");
    const root = world((a) => region(a, 0, 2), limit(0, true));
    root.h.go("get");
    expect([none.answers, root.answers, pinned_vm(root.h)]).toEqual([[-ERRNO.EPERM], [0], 2]);
  });

  it("9.4 a page in two regions counts twice", () => {
    const { h, answers } = world(
      (a) => ({ one: ask(ib_umem_get, [0, 1, 1, 0], a), two: ask(ib_umem_get, [0, 1, 1, 1], a) }),
      limit(2),
    );
    h.go("one").go("two");
    expect([answers, pinned_vm(h), h.k.page.pins[0]]).toEqual([[0, 0], 2, 2]);
  });

  it("no pages: -EINVAL, before anything is counted", () => {
    const { h, answers } = world((a) => region(a, 0, 0), limit(1));
    expect(h.trace("get", () => h.go("get"))).toEqual([]);
    expect(answers).toEqual([-ERRNO.EINVAL]);
  });
});

describe("VFIO type1", () => {
  const map = (answers: number[] = [], nr = 2, write = 1): Record<string, Actor> => ({
    map: ask(vfio_dma_do_map, [0, nr, write, 0], answers),
    unmap: ask(vfio_dma_do_unmap, [0, nr, write, 0], answers),
    card: { path: device, args: [0, 2] },
    flusher,
    fsync,
    disk,
  });

  it("takes one page at a time, and counts a run of consecutive page frames when it is over", () => {
    const { h } = world((a) => map(a), limit(16));
    h.until("map", (k) => k.user_pages.nr[0] === 1);
    expect(pins(h)).toBe(1);
    h.until("map", "vfio_lock_acct");
    expect([pins(h), locked_vm(h)]).toEqual([2, 0]);
    h.go("map");
    expect(locked_vm(h)).toBe(2);
  });

  it("a page that does not continue the run is put by put_pfn, and so dirtied, and then taken again", () => {
    // The file's second page, then its first: page frames 1 and 0.
    const { h } = world((a) => map(a), {
      ...limit(16),
      vmas: [
        { pages: 1, file: FILE, flags: VM_SHARED | VM_WRITE, pgoff: 1 },
        { pages: 1, file: FILE, flags: VM_SHARED | VM_WRITE },
      ],
    });
    const steps = h.trace("map", () => h.go("map"));
    const order = ["SetPageDirty", "put_page", "vfio_lock_acct"];
    expect(steps.filter((step) => order.includes(step))).toEqual([...order, "vfio_lock_acct"]);
    expect([pins(h), locked_vm(h)]).toEqual([2, 2]);
  });

  it("a page that cannot be had ends the run; the next one fails with it, and what was mapped is dirtied and put", () => {
    const { h, answers } = world((a) => map(a), {
      ...limit(16),
      vmas: [
        { pages: 1, file: FILE, flags: VM_SHARED | VM_WRITE },
        { pages: 1, flags: 0, mapped: false },
      ],
    });
    const steps = h.trace("map", () => h.go("map"));
    expect(steps.filter((step) => step === "vfio_lock_acct")).toHaveLength(2);
    expect([answers, pins(h), locked_vm(h), steps.includes("SetPageDirty")]).toEqual([
      [-ERRNO.EFAULT],
      0,
      0,
      true,
    ]);
  });

  it("F76, trap 42: put_pfn sets the bit, and nothing else: no tag, no accounting, no dirty buffer", () => {
    const { h } = world((a) => map(a));
    h.go("map").go("flusher").go("disk").go("card").go("unmap");
    expect([h.has("dirty"), h.tags(), h.bufferDirty(), h.k.vmstat.nr_dirty[0]]).toEqual([true, "", false, 0]);
  });

  it("trap 42 the flusher never finds it: fsync returns, and the device's bytes are not on the disk", () => {
    const { h } = world((a) => map(a, 1));
    h.go("map").go("flusher").go("disk").go("card").go("unmap").go("fsync").go("disk").go("fsync");
    expect(h.finished("fsync")).toBe(true);
    expect(h.k.block.version[0]).toBeLessThan(h.k.content.version[0]);
  });

  it("a mapping that the device only reads is not dirtied", () => {
    const { h } = world((a) => map(a, 1, 0));
    h.go("map").go("unmap");
    expect(h.has("dirty")).toBe(false);
  });

  it("9.4 the limit is compared when the page has been taken: put_pfn dirties what is too much", () => {
    const { h, answers } = world((a) => map(a, 2), limit(1));
    h.go("map");
    expect([answers, locked_vm(h), pins(h), h.has("dirty", 1)]).toEqual([[-ERRNO.ENOMEM], 0, 0, true]);
  });

  it("9.4 its counter is locked_vm, of which RDMA's knows nothing: the limit twice over", () => {
    const { h, answers } = world(
      (a) => ({ rdma: ask(ib_umem_get, [0, 2, 1, 0], a), vfio: ask(vfio_dma_do_map, [0, 2, 1, 1], a) }),
      limit(2),
    );
    h.go("rdma").go("vfio");
    expect([answers, pinned_vm(h), locked_vm(h), pins(h)]).toEqual([[0, 0], 2, 2, 4]);
  });
});

describe("AF_XDP", () => {
  it("dirties every page at release, whether it is dirty or not", () => {
    const { h } = world((a) => ({
      reg: ask(xdp_umem_reg, [0, 2, 0], a),
      release: ask(xdp_umem_release, [0, 2, 0], a),
      flusher,
      disk,
    }));
    h.go("reg").go("flusher").go("disk").go("flusher");
    const steps = h.trace("release", () => h.go("release"));
    expect(steps.filter((step) => step === "lock_page")).toHaveLength(2);
    expect([h.has("dirty", 0), h.has("dirty", 1), pins(h)]).toEqual([true, true, 0]);
  });

  it("fewer pages than asked: -ENOMEM, and those that were had are dirtied", () => {
    const { h, answers } = world((a) => ({ reg: ask(xdp_umem_reg, [1, 2, 0], a), flusher, disk }));
    const steps = h.trace("reg", () => h.go("reg"));
    expect([answers, pins(h), steps.includes("TestSetPageDirty")]).toEqual([[-ERRNO.ENOMEM], 0, true]);
  });

  it("none at all: gup's error, nothing to dirty", () => {
    const { h, answers } = world((a) => ({ reg: ask(xdp_umem_reg, [2, 1, 0], a) }));
    h.go("reg");
    expect(answers).toEqual([-ERRNO.EFAULT]);
  });

  it("a registration that got too few pages takes off the few: the rest stays counted", () => {
    const { h, answers } = world((a) => ({ reg: ask(xdp_umem_reg, [1, 2, 0], a) }), limit(4));
    h.go("reg");
    expect([answers, pins(h), user_locked_vm(h)]).toEqual([[-ERRNO.ENOMEM], 0, 1]);
  });

  it("released after its process has exited: nothing is taken off", () => {
    const { h } = world(
      (a) => ({
        reg: ask(xdp_umem_reg, [0, 2, 0], a),
        exit: ask(do_exit, [0]),
        release: ask(xdp_umem_release, [0, 2, 0], a),
      }),
      { ...limit(4), config: ["rlimit", "mmap"] },
    );
    h.go("reg").go("exit").go("release");
    expect([pins(h), user_locked_vm(h)]).toEqual([0, 2]);
  });

  it("CAP_IPC_LOCK: nothing is counted", () => {
    const { h, answers } = world(
      (a) => ({ reg: ask(xdp_umem_reg, [0, 2, 0], a), release: ask(xdp_umem_release, [0, 2, 0]) }),
      limit(1, true),
    );
    h.go("reg");
    expect([answers, user_locked_vm(h), pins(h)]).toEqual([[0], 0, 2]);
    h.go("release");
    expect([user_locked_vm(h), pins(h)]).toEqual([0, 0]);
  });

  it("9.4 over user->locked_vm: -ENOBUFS, before anything is taken", () => {
    const { h, answers } = world((a) => ({ reg: ask(xdp_umem_reg, [0, 2, 0], a) }), limit(1));
    const steps = h.trace("reg", () => h.go("reg"));
    expect([answers, user_locked_vm(h), steps]).toEqual([[-ERRNO.ENOBUFS], 0, ["xdp_umem_account_pages"]]);
  });
});

describe("io_uring's fixed buffers (v5.1)", () => {
  it("anonymous memory: taken, written by the device, and never dirtied", () => {
    const { h, answers } = world((a) => ({
      store: store(6),
      reg: ask(io_sqe_buffer_register, [6, 1, 0], a),
      card: { path: device, args: [0, 1] },
      unreg: ask(io_sqe_buffer_unregister, [1, 0], a),
    }));
    h.go("reg");
    const page = h.k.user_page.page[0] - 1;
    const steps = h.go("card").trace("unreg", () => h.go("unreg"));
    expect([answers, pins(h), h.has("dirty", page)]).toEqual([[0, 0], 0, false]);
    expect(steps).toEqual(["io_sqe_buffer", "put_page", "io_unaccount_mem"]);
  });

  it("a file's pages are refused with -EOPNOTSUPP after they were taken: for a moment they were busy", () => {
    const { h, answers } = world((a) => ({ reg: ask(io_sqe_buffer_register, [0, 1, 0], a) }));
    h.until("reg", (k) => k.user_pages.nr[0] === 1);
    expect(pins(h)).toBe(1);
    h.go("reg");
    expect([answers, pins(h)]).toEqual([[-ERRNO.EOPNOTSUPP], 0]);
  });

  it("fewer pages than asked: -EFAULT; over user->locked_vm: -ENOMEM", () => {
    const few = world((a) => ({ reg: ask(io_sqe_buffer_register, [1, 2, 0], a) }));
    few.h.go("reg");
    const many = world((a) => ({ reg: ask(io_sqe_buffer_register, [6, 2, 0], a) }), limit(1));
    many.h.go("reg");
    expect([few.answers, many.answers, pins(few.h), user_locked_vm(many.h)]).toEqual([
      [-ERRNO.EFAULT],
      [-ERRNO.ENOMEM],
      0,
      0,
    ]);
  });
});

describe("io_uring with CAP_IPC_LOCK", () => {
  it("counts nothing, neither at registration nor after it", () => {
    const { h, answers } = world(
      (a) => ({
        reg: ask(io_sqe_buffer_register, [6, 2, 0], a),
        unreg: ask(io_sqe_buffer_unregister, [2, 0]),
      }),
      limit(1, true),
    );
    h.go("reg");
    expect([answers, user_locked_vm(h), pins(h)]).toEqual([[0], 0, 2]);
    h.go("unreg");
    expect([user_locked_vm(h), pins(h)]).toEqual([0, 0]);
  });
});

describe("video capture that never lets go", () => {
  const camera = (answers: number[], start = 0, nr = 1): Record<string, Actor> => ({
    qbuf: ask(vb2_get_userptr, [start, nr, 0], answers),
    free: ask(vb2_put_userptr, [0], answers),
    camera: { path: device, args: [0, 0] },
    flusher,
    disk,
  });

  it("writes frame after frame into a page that is written to disk meanwhile, and nobody dirties it", () => {
    const { h } = world((a) => camera(a));
    h.go("qbuf").step("camera").go("flusher").go("disk");
    for (let frame = 0; frame < 5; frame++) h.step("camera");
    expect([h.has("dirty"), h.k.page.device[0], pins(h), h.enabled("camera")]).toEqual([false, 1, 1, true]);
    expect(h.k.content.version[0] - h.k.block.version[0]).toBe(5);
  });

  it("dirties under the page lock when the buffer is given back", () => {
    const { h } = world((a) => camera(a));
    h.go("qbuf").go("flusher").go("disk").step("camera");
    expect(h.trace("free", () => h.go("free")).filter((step) => step === "lock_page")).toHaveLength(1);
    expect([h.has("dirty"), pins(h), h.enabled("camera")]).toEqual([true, 0, false]);
  });

  it("all or nothing: fewer pages than asked give -EFAULT and are put", () => {
    const { h, answers } = world((a) => camera(a, 1, 2));
    h.go("qbuf");
    expect([answers, pins(h)]).toEqual([[-ERRNO.EFAULT], 0]);
  });

  it("FOLL_FORCE: a buffer in a read-only private mapping is a copy", () => {
    const { h, answers } = world((a) => camera(a, 4, 1));
    h.go("qbuf").step("camera");
    expect([answers, h.k.page.pins[0], h.k.content.version[0]]).toEqual([[0], 0, 0]);
  });
});
