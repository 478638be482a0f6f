/** Long-term pins and memory that may be switched off: before v5.13 they keep it, from then on their pages move out of it first. */
import { describe, expect, it } from "vitest";
import { ib_umem_get, ib_umem_release } from "../../src/kernel/drivers/infiniband.js";
import { ERRNO } from "../../src/kernel/errno.js";
import { vmsplice_to_pipe } from "../../src/kernel/fs/splice.js";
import { alloc_contig_range, offline_pages } from "../../src/kernel/mm/compaction.js";
import { get_page } from "../../src/kernel/mm/page.js";
import { lru_add_drain, put_page } from "../../src/kernel/mm/swap.js";
import { FS } from "../../src/kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../src/kernel/structs.js";
import { vmstat_foll_pin } from "../../src/patches/track_foll_pin.js";
import { dma, read, store } from "../kernel/actors.js";
import { ask } from "../kernel/drivers/ask.js";
import { Hand, type Small, small } from "../kernel/harness.js";

/** ZONE_MOVABLE of the machines here: its last two page frames. */
const movable = { first: 4, pages: 2 };
const END = movable.first + movable.pages;
const MEMORY: Readonly<Record<string, Partial<Small>>> = {
  "ext4, shared": { fs: FS.ext4, vmas: [VM_SHARED | VM_WRITE] },
  "tmpfs, shared": { fs: FS.tmpfs, vmas: [VM_SHARED | VM_WRITE] },
  anonymous: { cached: false, geometry: { files: [], vmas: [{ pages: 1, flags: VM_WRITE }] } },
};

/** A process has written to its page; what calls give is in the hand's `answers`. */
function open(kernel: string, memory: Partial<Small> = MEMORY["ext4, shared"], zone = movable) {
  const answers: number[] = [];
  const answered: number[] = [];
  const world = small(
    {
      pages: END,
      kernel,
      ...memory,
      geometry: { config: ["migration"], movable: zone, ...memory.geometry },
    },
    {
      store: store(0),
      register: ask(ib_umem_get, [0, 1, 1, 1], answers),
      release: ask(ib_umem_release, [0, 1, 1, 1]),
      vmsplice: ask(vmsplice_to_pipe, [0, 1, 2, 3]),
      offline: ask(offline_pages, [movable.first, END, 3], answered),
      cma: ask(alloc_contig_range, [movable.first, END], answered),
      read: read(6),
      dma: dma(6),
    },
  );
  const h = new Hand(world);
  h.go("store");
  lru_add_drain(h.k);
  const page = () => h.k.pte.entry[0] >>> 4;
  const pins = () => {
    const { nr_foll_pin_acquired, nr_foll_pin_released } = h.k.of(vmstat_foll_pin);
    return nr_foll_pin_acquired[0] - nr_foll_pin_released[0];
  };
  return { h, answers, answered, page, pins };
}

const inside = (page: number): boolean => page >= movable.first && page < END;

describe.each(Object.keys(MEMORY))("a long-term pin of memory that may be switched off: %s", (name) => {
  it.each(["v4.20", "v5.7", "v5.11"])("%s: the memory stays for as long as the pin lasts", (kernel) => {
    const { h, answers, answered, page } = open(kernel, MEMORY[name]);
    h.go("register");
    expect([answers, inside(page())]).toEqual([[0], true]);
    h.go("cma");
    h.go("offline");
    // CMA gives up; offlining would go on until a signal comes.
    expect(answered).toEqual([-ERRNO.EBUSY, -ERRNO.EINTR]);
    expect(inside(page())).toBe(true);
  });

  // From v6.5 on a file of ext4 is refused for another reason.
  const last = name.startsWith("ext4") ? "v6.4" : "v6.12";
  it.each(["v5.13", "v6.1", last])("%s: the page has moved, and the memory goes", (kernel) => {
    const { h, answers, answered, page, pins } = open(kernel, MEMORY[name]);
    const before = page();
    expect([inside(before), h.k.content.version[before]]).toEqual([true, 1]);
    h.go("register");
    expect([answers, inside(page()), h.refs(before), h.k.content.version[page()], pins()]).toEqual([
      [0],
      false,
      0,
      1,
      1,
    ]);
    h.go("offline");
    expect([answered, h.faults()]).toEqual([[0], []]);
    h.go("release");
    expect([pins(), h.faults(), h.world.lockdep.reports]).toEqual([0, [], []]);
  });
});

describe("F59: a page that cannot be moved", () => {
  it.each([
    ["v5.13", "ext4, shared"],
    ["v6.1", "ext4, shared"],
    ["v6.4", "ext4, shared"],
    ["v6.12", "tmpfs, shared"],
  ])("is not pinned on %s (%s): -ENOMEM, and everything is as before", (kernel, name) => {
    const { h, answers, page, pins } = open(kernel, MEMORY[name]);
    h.go("vmsplice");
    const before = [page(), h.refs(page()), pins(), h.k.user_pages.nr[1]];
    h.go("register");
    lru_add_drain(h.k);
    expect(answers).toEqual([-ERRNO.ENOMEM]);
    expect([page(), h.refs(page()), pins(), h.k.user_pages.nr[1]]).toEqual(before);
    expect([h.has("lru", page()), h.k.content.version[page()]]).toEqual([true, 1]);
    expect(h.k.vmstat.nr_isolated_file[0]).toBe(0);
    // Nobody's page is missing: all but the file's are free.
    expect([...h.k.page._refcount].filter((refs) => refs !== 0)).toHaveLength(1);
  });

  it("is pinned where it is on v5.11", () => {
    const { h, answers, page } = open("v5.11");
    h.go("vmsplice").go("register");
    expect([answers, inside(page())]).toEqual([[0], true]);
  });

  it("there is nowhere to go: -ENOMEM as well, and the page is mapped and listed as before", () => {
    const { h, answers, page, pins } = open("v5.13", MEMORY["ext4, shared"], { first: 0, pages: END });
    const [before, refs] = [page(), h.refs(page())];
    h.go("register");
    lru_add_drain(h.k);
    expect([answers, page(), h.refs(before), h.lru(before), pins()]).toEqual([
      [-ERRNO.ENOMEM],
      before,
      refs,
      "inactive",
      0,
    ]);
  });

  it("is looked at again when it is on no list for a moment: nothing is refused", () => {
    const { h, answers, page } = open("v5.13");
    const held = page();
    // Somebody has isolated it.
    get_page(h.k, held);
    h.clear(["lru"], held);
    h.until("register", "unpin_user_pages").until("register", "unpin_user_pages", true);
    h.set(["lru"], held);
    put_page(h.k, held);
    h.go("register");
    expect([answers, inside(page())]).toEqual([[0], false]);
  });
});

describe("what does not move a page", () => {
  it("a short pin: O_DIRECT", () => {
    const { h, page, pins } = open("v6.5");
    h.go("read");
    expect([inside(page()), pins()]).toEqual([true, 1]);
  });

  it("a machine without the zone: the fast walk is enough", () => {
    const steps = (zone: typeof movable) => {
      const { h } = open("v5.13", MEMORY["ext4, shared"], zone);
      return h.trace("register", () => h.go("register"));
    };
    expect(steps({ first: 0, pages: 0 })).not.toContain("follow_page_pte");
    // Left to the slow path, which pins, moves and pins again.
    const slow = steps(movable);
    expect(slow.filter((step) => step === "follow_page_pte")).toHaveLength(2);
    expect(slow).not.toContain("try_grab_compound_head");
  });
});
