/**
 * udmabuf on each side of v6.11: what it takes, and what truncation, reclaim, migration and seals do with a page that a device has by it.
 */
import { describe, expect, it } from "vitest";
import { device } from "../../../src/kernel/drivers/device.js";
import { release_udmabuf, udmabuf_create } from "../../../src/kernel/drivers/udmabuf.js";
import { ERRNO } from "../../../src/kernel/errno.js";
import { drop_caches } from "../../../src/kernel/fs/drop_caches.js";
import { shmem_punch_hole, shmem_setattr } from "../../../src/kernel/fs/shmem_truncate.js";
import { vmsplice_to_pipe } from "../../../src/kernel/fs/splice.js";
import { alloc_contig_range, offline_pages } from "../../../src/kernel/mm/compaction.js";
import { F_SEAL, memfd_add_seals } from "../../../src/kernel/mm/memfd.js";
import { lru_add_drain } from "../../../src/kernel/mm/swap.js";
import { FS } from "../../../src/kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { countersOf } from "../../../src/lab/run.js";
import { refs_maybe_dma_pinned } from "../../../src/trace/words.js";
import { dma, load, read, store } from "../actors.js";
import { FILE, Hand, type Small, small } from "../harness.js";
import { ask } from "./ask.js";

const OLD = ["v4.20", "v5.13", "v6.5"] as const;
const NEW = ["v6.11", "v6.12", "v6.15"] as const;
const ALL = [...OLD, ...NEW];

/** ZONE_MOVABLE: the last two page frames. Pages that can be moved are of it while it has room. */
const movable = { first: 4, pages: 2 };
const END = movable.first + movable.pages;

/** A memfd of one page, mapped at virtual page 0, with F_SEAL_SHRINK; what calls give is in `answers`. */
function open(kernel: string, more: Partial<Small> = {}, geometry: Small["geometry"] = {}) {
  const answers: number[] = [];
  const h = new Hand(
    small(
      {
        kernel,
        fs: FS.tmpfs,
        pages: END,
        vmas: [VM_SHARED | VM_WRITE],
        cached: false,
        ...more,
        geometry: { config: ["memfd", "truncate", "migration"], ...geometry },
      },
      {
        shrink: ask(memfd_add_seals, [FILE, F_SEAL.SHRINK]),
        create: ask(udmabuf_create, [FILE, 0, 1, 0], answers),
        release: ask(release_udmabuf, [0]),
        card: { path: device, args: [0, 1] },
        store: store(0),
        load: load(0),
        truncate: ask(shmem_setattr, [FILE, 0], answers),
        punch: ask(shmem_punch_hole, [FILE, 0, 1], answers),
        drop: ask(drop_caches, []),
        offline: ask(offline_pages, [movable.first, END, 3], answers),
        cma: ask(alloc_contig_range, [movable.first, END], answers),
        vmsplice: ask(vmsplice_to_pipe, [0, 1, 12, 13]),
        read: read(14),
        dma: dma(14),
        write_seal: ask(memfd_add_seals, [FILE, F_SEAL.WRITE], answers),
      },
    ),
  );
  const page = () => h.k.xa_slot.page[h.k.slotOf(FILE, 0)] - 1;
  const pinned = () => h.k.page.pins.reduce((sum, nr) => sum + nr, 0);
  return { h, answers, page, pinned };
}

describe("UDMABUF_CREATE", () => {
  it.each(ALL)("%s: -EINVAL without F_SEAL_SHRINK and with F_SEAL_WRITE, and nothing is taken", (kernel) => {
    const bare = open(kernel);
    bare.h.go("create");
    const sealed = open(kernel, {}, { vmas: [] });
    sealed.h.go("shrink").go("write_seal").go("create");
    expect([bare.answers, sealed.answers, bare.pinned()]).toEqual([[-ERRNO.EINVAL], [0, -ERRNO.EINVAL], 0]);
    expect(bare.h.faults()).toEqual(["REFUSED UDMABUF_CREATE: -EINVAL"]);
  });

  it.each(ALL)("%s: -EBADFD for a file on a disk", (kernel) => {
    const { h, answers } = open(kernel, { fs: FS.ext4 });
    h.go("create");
    expect(answers[0]).toBe(-ERRNO.EBADFD);
  });

  it.each(ALL)("%s: -EINVAL behind the end of the file", (kernel) => {
    const { h, answers, pinned } = open(kernel, {}, { files: [{ pages: 1, fs: FS.tmpfs, size: 0 }] });
    h.go("shrink").go("create");
    expect([answers, pinned()]).toEqual([[-ERRNO.EINVAL], 0]);
  });

  it.each(ALL)("%s: what it has taken of a range that ends behind the file it gives back", (kernel) => {
    const answers: number[] = [];
    const h = new Hand(
      small(
        {
          kernel,
          fs: FS.tmpfs,
          filePages: 2,
          pages: 4,
          geometry: {
            files: [{ pages: 2, size: 1, fs: FS.tmpfs }],
            config: ["memfd", "truncate"],
          },
        },
        {
          shrink: ask(memfd_add_seals, [FILE, F_SEAL.SHRINK]),
          create: ask(udmabuf_create, [FILE, 0, 2, 0], answers),
        },
      ),
    );
    h.go("shrink").go("create");
    expect([answers, h.refs(0), h.k.page.pins[0], h.k.user_pages.nr[0]]).toEqual([[-ERRNO.EINVAL], 1, 0, 0]);
  });

  it("a hole gets a page, clean and zeroed; a device's bytes reach the process that has it mapped", () => {
    for (const kernel of ALL) {
      const { h, page, answers } = open(kernel);
      h.go("shrink").go("create").go("card").go("load");
      expect([answers, h.has("dirty", page()), h.k.content.version[page()], h.pte()]).toEqual([
        [0],
        false,
        1,
        "rwy",
      ]);
    }
  });

  it.each(OLD)("%s: a reference, and nothing that tells that a device has it", (kernel) => {
    const { h, page } = open(kernel);
    h.go("shrink").go("create");
    lru_add_drain(h.k);
    expect([h.refs(page()), refs_maybe_dma_pinned(h.refs(page()))]).toEqual([2, false]);
    expect(countersOf(h.world).nr_foll_pin_acquired ?? 0).toBe(0);
  });

  it.each(NEW)("%s: a pin, counted, and dropped again by unpin_folio", (kernel) => {
    const { h, page, pinned } = open(kernel);
    h.go("shrink").go("create");
    lru_add_drain(h.k);
    const counts = () => {
      const { nr_foll_pin_acquired, nr_foll_pin_released } = countersOf(h.world);
      return [nr_foll_pin_acquired, nr_foll_pin_released];
    };
    expect([h.refs(page()), refs_maybe_dma_pinned(h.refs(page())), counts()]).toEqual([1025, true, [1, 0]]);
    h.go("release");
    expect([h.refs(page()), pinned(), counts(), h.faults()]).toEqual([1, 0, [1, 1], []]);
  });
});

describe("hugetlbfs", () => {
  const huge = (kernel: string, actors: readonly string[]) => {
    const answers: number[] = [];
    const h = new Hand(
      small(
        {
          kernel,
          fs: FS.hugetlbfs,
          filePages: 4,
          cached: false,
          pages: 2,
          geometry: { hugePages: 2, hugeOrder: 1, config: ["memfd", "compound"] },
        },
        {
          store: store(0),
          shrink: ask(memfd_add_seals, [FILE, F_SEAL.SHRINK]),
          // The second half of the first huge page.
          create: ask(udmabuf_create, [FILE, 1, 1, 0], answers),
          beyond: ask(udmabuf_create, [FILE, 1, 2, 0], answers),
          release: ask(release_udmabuf, [0]),
        },
      ),
    );
    for (const actor of actors) h.go(actor);
    return { h, answers };
  };

  it("is refused up to v6.10: -EBADFD", () => {
    for (const kernel of OLD)
      expect(huge(kernel, ["store", "shrink", "create"]).answers[0]).toBe(-ERRNO.EBADFD);
  });

  it("v6.11 pins the huge page once, whatever part of it is asked for", () => {
    const { h, answers } = huge("v6.11", ["store", "shrink", "create"]);
    expect([answers, h.refs(0), h.k.user_pages.nr[0], countersOf(h.world).nr_foll_pin_acquired]).toEqual([
      [0],
      3,
      1,
      1,
    ]);
    h.go("release");
    expect([h.refs(0), countersOf(h.world).nr_foll_pin_released]).toEqual([2, 1]);
  });

  it("a huge page that is not there yet is left out: -ENOMEM, and the first one is unpinned", () => {
    const { h, answers } = huge("v6.11", ["store", "shrink", "beyond"]);
    expect([answers, h.refs(0), h.k.user_pages.nr[0]]).toEqual([[-ERRNO.ENOMEM], 2, 0]);
  });
});

describe("truncation of a page that a device has", () => {
  it.each(ALL)("%s: ftruncate is refused by the seal, and the page stays", (kernel) => {
    const { h, answers, page } = open(kernel);
    h.go("shrink").go("create").go("truncate").go("card");
    expect([answers, page() >= 0, h.k.inode.i_size[FILE]]).toEqual([[0, -ERRNO.EPERM], true, 1]);
  });

  it.each(ALL)(
    "%s: a hole is punched all the same: the device goes on with a page of no file (STALE)",
    (kernel) => {
      const { h, answers, page } = open(kernel);
      h.go("shrink").go("create").go("punch");
      expect([answers, page()]).toEqual([[0, 0], -1]);
      h.go("card").go("load");
      expect(h.k.content.version[page()]).toBe(0);
      h.go("release");
      expect(h.faults()).toEqual([
        "STALE free_page: a page that was truncated is freed with bytes that its file does not show",
      ]);
    },
  );
});

describe("a page that the device alone has written", () => {
  it.each(ALL)(
    "%s: is clean; it stays while it is held, and is dropped with its bytes after that (LOST)",
    (kernel) => {
      const { h, page } = open(kernel);
      h.go("shrink").go("create");
      lru_add_drain(h.k);
      h.go("card").go("drop");
      expect([page() >= 0, h.has("dirty", page()), h.faults()]).toEqual([true, false, []]);
      h.go("release");
      const again = open(kernel);
      again.h.go("shrink").go("create");
      lru_add_drain(again.h.k);
      again.h.go("card").go("release").go("drop");
      expect([again.page(), again.h.faults()]).toEqual([
        -1,
        ["LOST __remove_mapping: a page of a file in memory is freed with bytes that are nowhere else"],
      ]);
      again.h.go("load");
      expect(again.h.k.content.version[again.page()]).toBe(0);
    },
  );

  it.each(ALL)(
    "%s: nothing is lost of one that a process wrote before: it is dirty, and stays so",
    (kernel) => {
      const { h, page } = open(kernel);
      h.go("store").go("shrink").go("create");
      lru_add_drain(h.k);
      h.go("card").go("release").go("drop");
      expect([page() >= 0, h.has("dirty", page()), h.k.content.version[page()], h.faults()]).toEqual([
        true,
        true,
        2,
        [],
      ]);
    },
  );
});

describe("migration of a page that a device has", () => {
  const inside = (page: number): boolean => page >= movable.first && page < END;

  it.each(OLD)(
    "%s: the page is of ZONE_MOVABLE and stays there: the memory does not go offline",
    (kernel) => {
      const { h, answers, page } = open(kernel, {}, { movable });
      h.go("store").go("shrink").go("create");
      lru_add_drain(h.k);
      h.go("cma").go("offline");
      expect([answers, inside(page())]).toEqual([[0, -ERRNO.EBUSY, -ERRNO.EINTR], true]);
    },
  );

  it.each(NEW)("%s: it has moved before it was pinned, and the memory goes", (kernel) => {
    const { h, answers, page } = open(kernel, {}, { movable });
    h.go("store");
    const before = page();
    expect(inside(before)).toBe(true);
    h.go("shrink").go("create");
    expect([answers, inside(page()), h.k.content.version[page()], h.refs(before)]).toEqual([
      [0],
      false,
      1,
      0,
    ]);
    h.go("card").go("offline").go("load");
    expect([answers, h.k.content.version[page()], h.k.pte.entry[0] >>> 4]).toEqual([[0, 0], 2, page()]);
    h.go("release");
    expect([h.faults(), h.world.lockdep.reports]).toEqual([[], []]);
  });

  it.each(NEW)(
    "%s: a page that cannot move, as a pipe has it, is not pinned: -ENOMEM, and all is as before",
    (kernel) => {
      const { h, answers, page, pinned } = open(kernel, {}, { movable });
      h.go("store").go("vmsplice");
      lru_add_drain(h.k);
      const before = [page(), h.refs(page()), pinned()];
      h.go("shrink").go("create");
      lru_add_drain(h.k);
      expect([answers, [page(), h.refs(page()), pinned()]]).toEqual([[-ERRNO.ENOMEM], before]);
    },
  );

  it("up to v6.10 nobody minds the pipe", () => {
    const { h, answers } = open("v6.5", {}, { movable });
    h.go("store").go("vmsplice").go("shrink").go("create");
    expect(answers).toEqual([0]);
  });
});
