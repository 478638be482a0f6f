/** Files in memory and swap: a dirty page goes to the swap area unless somebody holds it, and comes back with its bytes. */
import { describe, expect, it } from "vitest";
import { device } from "../../../src/kernel/drivers/device.js";
import { release_udmabuf, udmabuf_create } from "../../../src/kernel/drivers/udmabuf.js";
import { generic_file_write_iter } from "../../../src/kernel/fs/read_write.js";
import { shmem_swap_entry } from "../../../src/kernel/fs/shmem_swap.js";
import { shmem_punch_hole, shmem_setattr } from "../../../src/kernel/fs/shmem_truncate.js";
import { shmem_file_read_iter } from "../../../src/kernel/fs/tmpfs.js";
import { F_SEAL, memfd_add_seals } from "../../../src/kernel/mm/memfd.js";
import { lru_add_drain } from "../../../src/kernel/mm/swap.js";
import { get_nr_swap_pages, swap_map } from "../../../src/kernel/mm/swapfile.js";
import { FS } from "../../../src/kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { Invariants } from "../../lab/invariants.js";
import { disk, load, reclaim, store } from "../actors.js";
import { ask } from "../drivers/ask.js";
import { FILE, Hand, small } from "../harness.js";

/** A file of a page that a process has mapped, and a swap area of `slots` pages. Every step keeps what must hold. */
function open(kernel = "v4.20", slots = 2) {
  const answers: number[] = [];
  const h = new Hand(
    small(
      {
        kernel,
        fs: FS.tmpfs,
        pages: 4,
        cached: false,
        vmas: [VM_SHARED | VM_WRITE],
        geometry: { swap: { pages: slots }, config: ["swap", "memfd", "truncate"] },
      },
      {
        store: store(0),
        again: store(0),
        load: load(0),
        out: reclaim(2),
        gone: reclaim(2),
        late: reclaim(2),
        disk,
        read: ask(shmem_file_read_iter, [FILE, 0], answers),
        write: ask(generic_file_write_iter, [FILE, 0, 1], answers),
        truncate: ask(shmem_setattr, [FILE, 0], answers),
        punch: ask(shmem_punch_hole, [FILE, 0, 1], answers),
        shrink: ask(memfd_add_seals, [FILE, F_SEAL.SHRINK]),
        create: ask(udmabuf_create, [FILE, 0, 1, 0], answers),
        release: ask(release_udmabuf, [0]),
        card: { path: device, args: [0, 1] },
      },
    ),
  );
  const invariants = new Invariants(h.world);
  const go = (...tasks: readonly string[]) => {
    for (const task of tasks) {
      lru_add_drain(h.k);
      for (let steps = 0; h.enabled(task); steps++) {
        h.step(task);
        expect([task, invariants.violated()]).toEqual([task, null]);
        if (task === "disk" && h.k.gendisk.head[0] === 0 && h.next("disk") === "blk_peek_request") break;
        if (steps > 500) throw new Error(`${task} never ends`);
      }
    }
    lru_add_drain(h.k);
    return h;
  };
  const old = () => {
    for (let at = 0; at < h.k.pte.entry.length; at++) h.k.pte.entry[at] &= ~8;
  };
  const page = () => h.k.xa_slot.page[h.k.slotOf(FILE, 0)] - 1;
  const entry = () => shmem_swap_entry(h.k, FILE, 0);
  return { h, go, old, page, entry, answers };
}

/** The page is in the swap area, and nowhere else. */
function swapped(kernel?: string) {
  const machine = open(kernel);
  machine.go("store");
  machine.old();
  machine.go("out", "disk", "gone");
  return machine;
}

describe("a dirty page of a file in memory", () => {
  it.each(["v4.20", "v6.12"])("%s: is written to swap and freed; the file knows where it is", (kernel) => {
    const { h, page, entry } = swapped(kernel);
    expect([page(), entry(), h.pte(), h.faults()]).toEqual([-1, 1, "none", []]);
    expect([...h.k.page._refcount].every((refs) => refs === 0)).toBe(true);
    expect([swap_map(h.k)[1], h.k.vmstat.pswpout[0]]).toEqual([1, 1]);
  });

  it.each(["load", "again", "read", "write"])(
    "comes back by %s: dirty, with its bytes, and its place is free",
    (how) => {
      const { h, go, page, entry, answers } = swapped();
      go(how, "disk", how);
      const stores = how === "again" || how === "write" ? 2 : 1;
      expect([h.k.content.version[page()], h.has("dirty", page()), entry(), get_nr_swap_pages(h.k)]).toEqual([
        stores,
        true,
        0,
        2,
      ]);
      expect([h.finished(how), answers.every((answer) => answer === 1), h.faults()]).toEqual([
        true,
        true,
        [],
      ]);
    },
  );

  it("comes back from the swap cache while it is being written", () => {
    const { h, go, old, page } = open();
    go("store");
    old();
    go("out", "load");
    expect(h.next("load")).toBe("wait_on_page_writeback");
    go("disk", "load");
    expect([h.k.content.version[page()], h.has("dirty", page()), h.faults()]).toEqual([1, true, []]);
  });

  it("comes back once where two ask for it: the second finds that the page is its file's again", () => {
    const { h, go, page } = swapped();
    h.until("load", "swap_readpage").step("load").until("again", "lock_page");
    go("disk", "load");
    const steps = h.trace("again", () => go("again"));
    expect(steps.slice(0, 5)).toEqual([
      "lock_page",
      "shmem_confirm_swap",
      "unlock_page",
      "put_page",
      "find_get_entry",
    ]);
    expect([h.k.content.version[page()], h.refs(page()), h.faults()]).toEqual([2, 2, []]);
  });

  it("is looked for again where its entry is gone by the time that the swap cache is asked", () => {
    const { h, go, page } = swapped();
    h.past("again", "find_get_entry").until("again", "find_get_page");
    go("load", "disk", "load");
    const steps = h.trace("again", () => go("again"));
    expect(steps.slice(0, 4)).toEqual([
      "find_get_page",
      "!__swp_swapcount",
      "shmem_confirm_swap",
      "find_get_entry",
    ]);
    expect([h.k.content.version[page()], h.faults()]).toEqual([2, []]);
  });

  it.each(["truncate", "punch"])("%s frees its place", (how) => {
    const { h, go, page, entry, answers } = swapped();
    go(how);
    expect([answers, page(), entry(), get_nr_swap_pages(h.k), h.faults()]).toEqual([[0], -1, 0, 2, []]);
  });

  it("stays where the swap area is full by then: dirty again, and activated", () => {
    const { h, old, page } = open("v4.20", 1);
    h.go("store");
    lru_add_drain(h.k);
    old();
    h.until("out", "shmem_delete_from_page_cache");
    // Somebody else has taken the only place.
    swap_map(h.k)[1] = 1;
    const steps = h.trace("out", () => h.go("out"));
    expect(steps).toEqual(expect.arrayContaining(["TestSetPageDirty", "ClearPageReclaim", "SetPageActive"]));
    expect([page() >= 0, h.has("dirty", page()), h.has("locked", page())]).toEqual([true, true, false]);
  });
});

describe("a page that a device has by udmabuf", () => {
  it.each(["v4.20", "v6.5", "v6.12"])(
    "%s: is unmapped and stays, dirty: pageout asks for references first",
    (kernel) => {
      const { h, go, old, page, entry } = open(kernel);
      go("store", "shrink", "create");
      old();
      go("out", "disk", "gone");
      expect([page() >= 0, h.has("dirty", page()), entry(), h.k.vmstat.pswpout[0]]).toEqual([
        true,
        true,
        0,
        0,
      ]);
      // The device goes on, the process faults the same page in again.
      go("card", "load");
      expect([h.k.content.version[page()], h.faults()]).toEqual([2, []]);
    },
  );

  it.each(["v4.20", "v6.5", "v6.12"])(
    "%s: is swapped out with the device's bytes once it is released",
    (kernel) => {
      const { h, go, old, page, entry } = open(kernel);
      go("store", "shrink", "create", "card", "release");
      old();
      go("out", "disk", "gone");
      expect([page(), entry()]).toEqual([-1, 1]);
      go("load", "disk", "load");
      expect([h.k.content.version[page()], h.faults()]).toEqual([2, []]);
    },
  );

  it.each(["v4.20", "v6.5", "v6.12"])(
    "%s: is lost once it is released, where nobody but the device has written it: it was never dirty",
    (kernel) => {
      const { h, go, page } = open(kernel);
      go("shrink", "create", "card", "out");
      expect([page() >= 0, h.faults()]).toEqual([true, []]);
      go("release", "gone");
      expect([page(), h.faults()]).toEqual([
        -1,
        ["LOST __remove_mapping: a page of a file in memory is freed with bytes that are nowhere else"],
      ]);
    },
  );

  it.each(["v4.20", "v6.12"])("%s: a page that is in swap is brought back", (kernel) => {
    const { h, go, page, answers } = swapped(kernel);
    go("shrink", "create", "disk", "create", "card");
    expect([answers, h.k.content.version[page()], h.has("dirty", page()), h.faults()]).toEqual([
      [0],
      2,
      true,
      [],
    ]);
  });
});
