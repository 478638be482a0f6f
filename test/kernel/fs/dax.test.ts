import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ERRNO } from "../../../src/kernel/errno.js";
import {
  dax_allocate_file,
  dax_block,
  dax_free_blocks,
  dax_layout_busy_page,
  dax_truncate_pagecache,
  ext4_dax_setattr,
  send_sig,
} from "../../../src/kernel/fs/dax.js";
import {
  grant_layout,
  layout_recalled,
  return_layout,
  xfs_dax_setattr,
} from "../../../src/kernel/fs/xfs_dax.js";
import type { Kernel } from "../../../src/kernel/kernel.js";
import {
  call,
  down_write,
  local,
  path,
  pause,
  repeat,
  step,
  up_write,
} from "../../../src/kernel/language.js";
import { i_mmap_sem, i_rwsem } from "../../../src/kernel/locks.js";
import { dax_owner, vma_is_fsdax } from "../../../src/kernel/mm/memremap.js";
import { PageLRU } from "../../../src/kernel/mm/page.js";
import { unmap_mapping_pages } from "../../../src/kernel/mm/zap.js";
import { FS } from "../../../src/kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { inode, int, vpn } from "../../../src/kernel/types.js";
import { cpu_access } from "../../../src/kernel/user.js";
import { isFault } from "../../../src/lab/outcomes.js";
import type { World } from "../../../src/lab/world.js";
import { Invariants } from "../../lab/invariants.js";
import { dma, load, read, store } from "../actors.js";
import { type Actor, FILE, Hand, small } from "../harness.js";

const OTHER = 2;
const NO_PROCESS_SIGNALS = 0;
const DAX = { [FS.ext4_dax]: ext4_dax_setattr, [FS.xfs_dax]: xfs_dax_setattr } as const;
type Dax = keyof typeof DAX;
const both: readonly (readonly [string, Dax])[] = [
  ["ext4", FS.ext4_dax],
  ["xfs", FS.xfs_dax],
];

const truncate = (fs: Dax = FS.ext4_dax, size = 0): Actor => ({
  path: DAX[fs],
  args: [FILE, size, NO_PROCESS_SIGNALS],
  ends: true,
});

/** A truncate that does not ask for busy pages: any kernel before v4.18. */
const careless: Actor = {
  path: path("setattr_v4_17", { source: "a test", args: { mapping: inode } }, [
    down_write(i_rwsem, (_, f) => f.mapping),
    down_write(i_mmap_sem, (_, f) => f.mapping),
    step("i_size_write", (k, f) => {
      k.inode.i_size[f.mapping] = 0;
    }),
    call(() => dax_truncate_pagecache, { mapping: "mapping", from: 0 }),
    step("ext4_truncate", (k, f) => dax_free_blocks(k, f.mapping, 0)),
    up_write(i_mmap_sem, (_, f) => f.mapping),
    up_write(i_rwsem, (_, f) => f.mapping),
  ]),
  args: [FILE],
  ends: true,
};

/** Looks for busy pages first and unmaps then: trap 22. */
const backwards: Actor = {
  path: path("setattr_count_first", { source: "a test", args: { mapping: inode }, locals: { busy: int } }, [
    down_write(i_mmap_sem, (_, f) => f.mapping),
    step("dax_busy_page", (k, f) => {
      f.busy = k.page._refcount[dax_block(k, f.mapping, 0)] > 1 ? 1 : 0;
    }),
    call(() => unmap_mapping_pages, { mapping: "mapping", start: 0, nr: 1, even_cows: 1 }),
    step("ext4_truncate", (k, f) => {
      if (f.busy === 0) dax_free_blocks(k, f.mapping, 0);
    }),
    up_write(i_mmap_sem, (_, f) => f.mapping),
  ]),
  args: [FILE],
  ends: true,
};

/** A read whose device never answers: the page is held for ever. */
const hoard = (dio: number): Actor => read(dio);

const kill: Actor = {
  path: path("kill", { source: "a test" }, [step("send_sig", (k) => send_sig(k, NO_PROCESS_SIGNALS))]),
  ends: true,
};

/** File 1 of one page with its block; file 2 of one page, a hole; both mapped shared; one page of RAM. */
const machine = (actors: Readonly<Record<string, Actor>>, fs: Dax = FS.ext4_dax, pages = 1): World =>
  small(
    {
      cached: false,
      pages: 1,
      geometry: {
        files: [
          { pages, fs },
          { pages: 1, fs },
        ],
        vmas: [
          { pages, file: FILE, flags: VM_SHARED | VM_WRITE },
          { pages: 1, file: OTHER, flags: VM_SHARED | VM_WRITE },
        ],
        devicePages: pages,
        dioPages: pages,
        config: ["dax", "truncate"],
      },
      prepare: (k) => dax_allocate_file(k, FILE),
    },
    actors,
  );

const block = (k: Kernel, index = 0) => dax_block(k, FILE, index);
const kinds = (world: World) =>
  world
    .explore({ maxStates: 2_000_000, progress: () => true })
    .witnesses.map(({ kind }) => kind)
    // A read whose buffer is behind the end of the file by then is refused.
    .filter(isFault)
    .sort();

describe("DAX faults", () => {
  it("map the block itself: no copy, no reference, no mapcount, no list (8.3)", () => {
    const h = new Hand(machine({ load: load() })).go("load");
    const page = block(h.k);
    expect([h.pte(), h.k.pte.entry[0] >>> 4]).toEqual(["ry", page]);
    expect([h.refs(page), h.k.page.mapcount[page], PageLRU(h.k, page)]).toEqual([1, 0, false]);
    expect([h.k.page.mapping[page], h.k.page.index[page]]).toEqual([FILE, 0]);
    expect(h.k.pgdat.free[0]).toBe(1);
  });

  it("a store through a read-only PTE asks again, pfn_mkwrite, and nobody marks a page dirty", () => {
    const h = new Hand(machine({ load: load(), store: store() })).go("load").go("store");
    const page = block(h.k);
    expect([h.pte(), h.has("dirty", page), h.k.content.version[page]]).toEqual(["rwdy", false, 1]);
    expect(h.k.inode.i_state[FILE]).toBe(0);
    expect(h.faults()).toEqual([]);
  });

  it("a write fault in a hole allocates a zeroed block, or is SIGBUS when none is free", () => {
    const h = new Hand(machine({ store: store(1) })).go("store");
    expect([dax_block(h.k, OTHER, 0), h.pte(1)]).toEqual([-1, "none"]);
    const free = machine({ store: store(1) });
    free.k.content.version[1] = 7;
    dax_free_blocks(free.k, FILE, 0);
    const other = new Hand(free).go("store");
    expect([dax_block(other.k, OTHER, 0), other.pte(1), other.k.content.version[1]]).toEqual([1, "rwdy", 1]);
  });

  it("behind the end of the file are SIGBUS", () => {
    const world = machine({ load: load() });
    world.k.inode.i_size[FILE] = 0;
    const h = new Hand(world).go("load");
    expect([h.finished("load"), h.pte()]).toEqual([true, "none"]);
  });

  it("two faults on one page: the entry lock lets one in", () => {
    const h = new Hand(machine({ store: store(), load: load() })).past("store", "grab_mapping_entry");
    h.go("load");
    expect([h.finished("load"), h.next("load")]).toEqual([false, "grab_mapping_entry"]);
    h.go("store").go("load");
    expect([h.finished("load"), h.pte(), h.faults()]).toEqual([true, "rwdy", []]);
  });

  it("F35 a VMA of a DAX file says so to whoever wants to keep pages for long", () => {
    const { k } = machine({ load: load() });
    expect([vma_is_fsdax(k, 0), vma_is_fsdax(small({}, { load: load() }).k, 0)]).toEqual([true, false]);
  });
});

describe("gup of DAX pages", () => {
  it("F56, trap 21: the idle count is 1, a pin makes 2, the last put leaves 1", () => {
    const h = new Hand(machine({ read: read(0), dma: dma(0) }));
    const page = block(h.k);
    expect(h.refs(page)).toBe(1);
    h.past("read", "submit_bio");
    expect([h.refs(page), h.k.page.pins[page]]).toEqual([2, 1]);
    h.go("dma").go("read");
    expect([h.finished("read"), h.refs(page), h.k.page.pins[page], h.has("dirty", page)]).toEqual([
      true,
      1,
      0,
      false,
    ]);
    expect(h.faults()).toEqual([]);
  });

  it("W18: what the device wrote is on the storage at once", () => {
    const h = new Hand(machine({ read: read(0), dma: dma(0) })).past("read", "submit_bio").go("dma");
    expect(h.k.content.version[block(h.k)]).toBe(1);
  });
});

describe("dax_layout_busy_page", () => {
  it("trap 22 unmaps first, then looks", () => {
    const h = new Hand(machine({ read: read(0), dma: dma(0), truncate: truncate() })).past(
      "read",
      "submit_bio",
    );
    const steps = h.trace("truncate", () => h.go("truncate"));
    expect(steps.indexOf("ptep_get_and_clear_full")).toBeGreaterThan(-1);
    expect(steps.indexOf("ptep_get_and_clear_full")).toBeLessThan(steps.indexOf("dax_busy_page"));
    expect([h.pte(), h.next("truncate")]).toEqual(["none", "schedule"]);
  });

  it("a file that nobody has mapped is not looked at", () => {
    const ask: Actor = { path: dax_layout_busy_page, args: [FILE], ends: true };
    const h = new Hand(machine({ read: read(0), ask })).past("read", "submit_bio");
    h.k.vma.vm_file[0] = OTHER;
    const steps = h.trace("ask", () => h.go("ask"));
    expect(steps.filter(Boolean)).toEqual(["mapping_mapped"]);
  });
});

describe("W8: a DAX file is truncated while a device writes into it", () => {
  for (const [name, fs] of both) {
    it(`${name}: truncation waits for the pin; every interleaving is free of faults`, () => {
      const world = machine({ read: read(0), dma: dma(0), truncate: truncate(fs), store: store(1) }, fs);
      expect(kinds(world)).toEqual([]);
    });

    it(`${name}: the lock orders are sound`, () => {
      const world = machine({ read: read(0), dma: dma(0), truncate: truncate(fs), store: store(1) }, fs);
      expect(world.lockdep.reports).toEqual([]);
    });
  }

  it("before v4.18 nothing waited: the device writes a free block, or one of another file", () => {
    const world = machine({ read: read(0), dma: dma(0), careless, store: store(1) });
    expect(kinds(world)).toEqual(["UAF", "WARN"]);
  });

  it("the block is free, then it is another file's, then it is the other file that the device hits", () => {
    const h = new Hand(machine({ read: read(0), dma: dma(0), careless, store: store(1) }));
    const page = block(h.k);
    h.past("read", "submit_bio").go("careless");
    expect([dax_owner(h.k, page), h.refs(page)]).toEqual([-1, 2]);
    h.go("store");
    expect([dax_block(h.k, OTHER, 0), h.k.content.version[page]]).toEqual([page, 1]);
    h.go("dma").go("read");
    expect([h.k.content.version[page], h.finished("read")]).toEqual([2, true]);
    expect(h.faults()).toEqual([
      "WARN dax_disassociate_entry: WARN_ON_ONCE(trunc && page_ref_count(page) > 1)",
      "UAF DMA: the device writes into a block that was freed under it and belongs to file 2",
    ]);
  });

  it("trap 22 counting before unmapping loses against get_user_pages_fast", () => {
    const world = machine({ read: read(0), dma: dma(0), backwards });
    expect(kinds(world)).toContain("UAF");
  });

  for (const [name, fs] of both) {
    it(`${name}: a pin that is never let go blocks truncation for ever`, () => {
      expect(kinds(machine({ hoard: hoard(0), truncate: truncate(fs) }, fs))).toEqual(["HANG"]);
    });

    it(`${name}: a signal ends the wait, and the truncate fails with -ERESTARTSYS`, () => {
      const h = new Hand(machine({ hoard: hoard(0), truncate: truncate(fs), kill, load: load() }, fs));
      h.go("hoard").go("truncate").go("kill").go("truncate");
      expect([h.finished("truncate"), ERRNO.ERESTARTSYS, dax_owner(h.k, 1)]).toEqual([true, 512, 0]);
      // ext4 of v4.20 has written i_size by then, xfs has not.
      expect(h.k.inode.i_size[FILE]).toBe(fs === FS.ext4_dax ? 0 : 1);
      expect(h.k.page.pins[1]).toBe(1);
    });

    it(`${name}: F57 i_mmap_sem is free while it sleeps: the process can fault its page in again`, () => {
      const h = new Hand(machine({ hoard: hoard(0), truncate: truncate(fs), load: load() }, fs));
      h.go("hoard").go("truncate");
      expect([h.next("truncate"), h.pte()]).toEqual(["schedule", "none"]);
      h.go("load");
      expect(h.finished("load")).toBe(true);
      expect(h.pte()).toBe(fs === FS.ext4_dax ? "none" : "ry");
    });
  }
});

describe("xfs_break_layouts", () => {
  const client: Actor = {
    path: path("pnfs", { source: "a test" }, [
      step("LAYOUTGET", (k) => grant_layout(k, FILE)),
      step("CB_LAYOUTRECALL", (k) => {
        if (layout_recalled(k, FILE)) return_layout(k, FILE);
      }),
    ]),
    ends: true,
  };

  it("A22 BREAK_UNMAP waits for pages, then for leases, and looks at the pages again", () => {
    const h = new Hand(machine({ client, truncate: truncate(FS.xfs_dax) }, FS.xfs_dax));
    h.step("client");
    const steps = h.trace("truncate", () => h.go("truncate").go("client").go("truncate"));
    expect(h.finished("truncate")).toBe(true);
    expect(
      steps.filter((name) => ["mapping_mapped", "break_layout", "truncate_setsize"].includes(name)),
    ).toEqual([
      "mapping_mapped",
      "break_layout",
      "break_layout",
      "mapping_mapped",
      "break_layout",
      "truncate_setsize",
    ]);
  });

  it("a client that does not give its layout back is waited for", () => {
    const h = new Hand(machine({ client, truncate: truncate(FS.xfs_dax) }, FS.xfs_dax)).step("client");
    h.go("truncate");
    expect([h.next("truncate"), h.k.inode.i_size[FILE]]).toEqual(["break_layout", 1]);
  });
});

describe("random runs", () => {
  const process: Actor["path"] = path(
    "process",
    { source: "a test", args: { at: vpn, write: int }, locals: { result: int } },
    [
      repeat(
        () => true,
        [
          pause("thinks"),
          call(() => cpu_access, { at: "at", write: "write" }, "result"),
          local((_, f) => {
            f.result = 0;
          }),
        ],
      ),
    ],
  );

  for (const [name, fs] of both) {
    it(`${name}: counts are exact at every step, and a PTE shows its file's block`, () => {
      fc.assert(
        fc.property(fc.nat(), (seed) => {
          const world = machine(
            {
              read: read(0),
              read2: read(1),
              dma: dma(0),
              dma2: dma(1),
              truncate: truncate(fs),
              load: { path: process, args: [0, 0] },
              store: { path: process, args: [0, 1] },
            },
            fs,
          );
          const invariants = new Invariants(world);
          const scheduler = world.scheduler(seed);
          for (let made = 0; made < 400; made++) {
            const task = scheduler.next();
            if (task < 0) break;
            world.step(task);
            const violated = invariants.violated();
            if (violated !== null) throw new Error(`${violated}\nreplay: ${world.replay}`);
          }
          expect(world.k.faults.filter(({ kind }) => isFault(kind))).toEqual([]);
        }),
        { numRuns: 40 },
      );
    });
  }
});
