/**
 * Invariants 14.1 at every step of random runs: reference counts exact, flags, tags, lists and gauges consistent.
 * A failure prints fast-check's seed and the replay line.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { disk_daemon } from "../../src/kernel/block/disk.js";
import { dma_engine, do_blockdev_direct_IO } from "../../src/kernel/fs/direct_io.js";
import { wb_workfn } from "../../src/kernel/fs/fs_writeback.js";
import { fsync } from "../../src/kernel/fs/sync.js";
import { type Kernel, PTE } from "../../src/kernel/kernel.js";
import { call, local, path, pause, repeat, step } from "../../src/kernel/language.js";
import { kswapd } from "../../src/kernel/mm/kswapd.js";
import { get_page } from "../../src/kernel/mm/page.js";
import { set_page_dirty } from "../../src/kernel/mm/page_writeback.js";
import { lru_add_drain } from "../../src/kernel/mm/swap.js";
import { store_page } from "../../src/kernel/mm/user_pages.js";
import { FS } from "../../src/kernel/operations.js";
import { BH, VM_SHARED, VM_WRITE } from "../../src/kernel/structs.js";
import { dio_nr, inode, int, pfn, vpn } from "../../src/kernel/types.js";
import { cpu_access } from "../../src/kernel/user.js";
import { open, type World } from "../../src/lab/world.js";
import { pg } from "../../src/trace/words.js";
import { store } from "../kernel/actors.js";
import { FILE, Hand, small } from "../kernel/harness.js";
import { resize } from "../kernel/movers.js";
import { Invariants } from "./invariants.js";

/** Run a seed's schedule and check before it and after each step; whatever faults it meets. */
function check(world: World, seed: number, steps: number): void {
  const invariants = new Invariants(world);
  const scheduler = world.scheduler(seed);
  expect(invariants.violated()).toBeNull();
  for (let made = 0; made < steps; made++) {
    const task = scheduler.next();
    if (task < 0) break;
    world.step(task);
    const violated = invariants.violated();
    if (violated !== null) throw new Error(`${violated}\nreplay: ${world.replay}`);
  }
}

describe("random runs of the scenarios", () => {
  const sizes = fc.record({
    pages: fc.integer({ min: 1, max: 4 }),
    drivers: fc.integer({ min: 1, max: 3 }),
    parts: fc.integer({ min: 1, max: 4 }),
    seed: fc.nat(),
  });
  for (const scenario of ["kara-2018", "kara-2018-quiet", "kara-2018-tmpfs", "kara-2018-private"]) {
    it(`${scenario}: references, flags, tags, lists and gauges agree at every step`, () => {
      fc.assert(
        fc.property(sizes, ({ pages, drivers, parts, seed }) => {
          check(open(scenario, { parameters: { pages, drivers, parts }, record: false }), seed, 1500);
        }),
        { numRuns: 25 },
      );
    });
  }

  it("kara-2018-touch: the same", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4 }), fc.nat(), (parts, seed) => {
        check(open("kara-2018-touch", { parameters: { parts }, record: false }), seed, 1500);
      }),
      { numRuns: 25 },
    );
  });
});

const process = path(
  "process",
  { source: "a test", args: { start: vpn, pages: int, write: int }, locals: { at: vpn, step: int } },
  [
    repeat(
      () => true,
      [
        local((_, f) => {
          f.at = f.start + f.step;
          f.step = (f.step + 1) % f.pages;
        }),
        pause("thinks"),
        call(() => cpu_access, { at: "at", write: "write" }),
      ],
    ),
  ],
);

const driver = path("driver", { source: "a test", args: { at: vpn, nr: int, dio: dio_nr } }, [
  repeat(
    () => true,
    [pause("thinks"), call(() => do_blockdev_direct_IO, { at: "at", nr: "nr", dio: "dio" })],
  ),
]);

const syncer = path("syncer", { source: "a test", args: { mapping: inode } }, [
  // A filesystem in memory has nothing to do: its noop_fsync makes no step.
  repeat(() => true, [pause("thinks"), step("fsync", () => {}), call(() => fsync, { mapping: "mapping" })]),
]);

/** Everything at once: two drivers on the same pages, loads and stores through a shared and a private mapping, fsync. */
function busy(fs: number, pages: number, parts: number, stableWrites: boolean): World {
  const shared = 0;
  const copy = pages;
  return small(
    {
      fs,
      parts,
      filePages: pages,
      pages: 2 * pages + 1,
      vmas: [VM_SHARED | VM_WRITE, VM_WRITE],
      stableWrites,
      cached: fs === FS.tmpfs,
      // The flags of a page that is freed are looked at, too.
      geometry: { config: ["debug_vm"] },
    },
    {
      store: { path: process, args: [shared, pages, 1] },
      load: { path: process, args: [shared, pages, 0] },
      copyload: { path: process, args: [copy, pages, 0] },
      copystore: { path: process, args: [copy, pages, 1] },
      driver1: { path: driver, args: [shared, pages, 0] },
      driver2: { path: driver, args: [shared, pages, 1] },
      dma1: { path: dma_engine, args: [0] },
      dma2: { path: dma_engine, args: [1] },
      sync: { path: syncer, args: [FILE] },
      kswapd: { path: kswapd },
      flusher: { path: wb_workfn },
      disk: { path: disk_daemon, args: [0] },
    },
  );
}

describe("a busy machine", () => {
  for (const [name, fs] of [
    ["ext4", FS.ext4],
    ["tmpfs", FS.tmpfs],
  ] as const) {
    it(`${name}: references, flags, tags, lists and gauges agree at every step`, () => {
      fc.assert(
        fc.property(
          fc.integer({ min: 1, max: 4 }),
          fc.integer({ min: 1, max: 2 }),
          fc.boolean(),
          fc.nat(),
          (pages, parts, stable, seed) => check(busy(fs, pages, parts, stable), seed, 1500),
        ),
        { numRuns: 30 },
      );
    });
  }
});

/** Let a task go, with the invariants asked after each of its steps. */
function keeping(h: Hand, invariants: Invariants, task: string, until = ""): Hand {
  while (h.enabled(task) && h.next(task) !== until) {
    h.step(task);
    expect(invariants.violated()).toBeNull();
  }
  return h;
}

/** A driver that breaks the rule: it dirties a page that it has not locked. */
const dirties_unlocked = path("dirties_unlocked", { source: "a test", args: { page: pfn } }, [
  call(() => set_page_dirty, { page: "page" }),
]);

describe.each(["v4.20", "v6.11"])(
  "set_page_dirty without the page lock, against truncation (%s)",
  (kernel) => {
    const machine = () => {
      const h = new Hand(
        small(
          { kernel, pages: 1, geometry: { config: ["truncate", "unlocked_dirty"] } },
          { store: store(), driver: { path: dirties_unlocked, args: [0], ends: true }, truncate: resize(0) },
        ),
      );
      // A clean page with buffers that a driver holds.
      h.go("store").clear(["dirty"]);
      h.k.xa_mark.dirty[0] = 0;
      h.k.vmstat.nr_dirty[0] = 0;
      h.k.page.b_state[0] &= ~BH.dirty;
      h.k.pte.entry[0] &= ~(PTE.write | PTE.dirty);
      get_page(h.k, 0);
      store_page(h.k, 0, 0);
      return { h, invariants: new Invariants(h.world) };
    };

    it("a page that has left its file when PG_dirty is set is not counted", () => {
      const { h, invariants } = machine();
      keeping(h, invariants, "driver", "TestSetPageDirty");
      keeping(h, invariants, "truncate");
      keeping(h, invariants, "driver");
      expect([h.has("dirty"), h.k.page.mapping[0], h.k.vmstat.nr_dirty[0]]).toEqual([true, 0, 0]);
    });

    it("one that leaves it before PG_dirty is counted leaves nr_dirty one too low, for ever", () => {
      const { h, invariants } = machine();
      keeping(h, invariants, "driver", "__set_page_dirty");
      expect([h.has("dirty"), h.k.vmstat.nr_dirty[0]]).toEqual([true, 0]);
      keeping(h, invariants, "truncate");
      keeping(h, invariants, "driver");
      expect([h.has("dirty"), h.k.page.mapping[0], h.k.vmstat.nr_dirty[0]]).toEqual([false, 0, -1]);
    });
  },
);

/** What each invariant of 14.1 would say of a state that breaks it: a page of an ext4 file, written, dirty and mapped. */
const BREACHES: readonly (readonly [invariant: string, breach: (k: Kernel) => void])[] = [
  [
    "I1",
    (k) => {
      k.page._refcount[0]++;
    },
  ],
  [
    "I1",
    (k) => {
      k.page.mapcount[0]++;
    },
  ],
  ["I2", stripped],
  [
    "I3",
    (k) => {
      k.page.flags[0] ^= pg("lru");
    },
  ],
  [
    "I4",
    (k) => {
      stripped(k);
      k.page.b_state[0] = 0;
    },
  ],
  [
    "I5",
    (k) => {
      k.xa_mark.dirty[0] = 0;
    },
  ],
  [
    "I6",
    (k) => {
      k.page.flags[0] |= pg("writeback");
      k.vmstat.nr_writeback[0]++;
    },
  ],
  [
    "I7",
    (k) => {
      k.page.flags[0] &= ~pg("dirty");
      k.vmstat.nr_dirty[0]--;
    },
  ],
  [
    "I9",
    (k) => {
      k.pte.entry[0] = 0;
      k.page.mapcount[0] = 0;
      k.xa_slot.page[0] = 0;
      stripped(k);
      k.page.b_state[0] = 0;
      k.page._refcount[0] = 0;
      k.page.flags[0] &= ~pg("dirty");
    },
  ],
  [
    "I11",
    (k) => {
      k.vmstat.nr_dirty[0]++;
    },
  ],
  [
    "I14",
    (k) => {
      k.block.version[0] = k.content.version[0] + 1;
    },
  ],
];

/** The buffers are gone, and what is said of them is not. */
function stripped(k: Kernel): void {
  k.page.flags[0] &= ~pg("private");
  k.page._refcount[0]--;
}

/** Invariants that another test checks, or that v4.20 has nothing for. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  I8: "the same state as I7's, said of the PTE: the sentence of one names both",
  I10: "acquired and released pins are counted from v5.7 on",
  I12: "test/kernel/lockdep.test.ts, for every scenario",
  I13: "test/kernel/lockdep.test.ts, for every scenario",
  I15: "shrink_folio_list asks for pins from v6.4 on",
  I16: "writable long-term pins of files are refused from v6.5 on",
};

describe("the invariants of 14.1", () => {
  it("all sixteen are checked here or elsewhere, or are of later kernels", () => {
    const known = new Set([...BREACHES.map(([name]) => name), ...Object.keys(ELSEWHERE)]);
    expect([...known].sort()).toEqual(Array.from({ length: 16 }, (_, at) => `I${at + 1}`).sort());
  });

  for (const [nr, [name, breach]] of BREACHES.entries())
    it(`${name} is found broken (${nr})`, () => {
      const h = new Hand(small({ pages: 1 }, { store: store() })).go("store");
      lru_add_drain(h.k);
      const invariants = new Invariants(h.world);
      expect(invariants.violated()).toBeNull();
      breach(h.k);
      expect(invariants.violated()).toMatch(new RegExp(`^${name}\\b`));
    });
});
