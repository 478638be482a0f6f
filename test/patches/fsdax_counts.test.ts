/** Pages of DAX files that are counted from 1 (v6.12) and from 0 (v6.15): the counts, and W8. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  dax_allocate_file,
  dax_block,
  dax_truncate_pagecache,
  ext4_dax_setattr,
} from "../../src/kernel/fs/dax.js";
import { xfs_dax_setattr } from "../../src/kernel/fs/xfs_dax.js";
import { FS } from "../../src/kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../src/kernel/structs.js";
import { awaited } from "../../src/lab/awaited.js";
import { isFault } from "../../src/lab/outcomes.js";
import { pageWords, pageWordsText } from "../../src/lab/page_layout.js";
import type { World } from "../../src/lab/world.js";
import { dma, load, read, store } from "../kernel/actors.js";
import { type Actor, FILE, Hand, small } from "../kernel/harness.js";
import { Invariants } from "../lab/invariants.js";

const BEFORE = "v6.12";
const SINCE = "v6.15";
const SETATTR = { [FS.ext4_dax]: ext4_dax_setattr, [FS.xfs_dax]: xfs_dax_setattr } as const;
type Dax = keyof typeof SETATTR;
const both: readonly (readonly [string, Dax])[] = [
  ["ext4", FS.ext4_dax],
  ["xfs", FS.xfs_dax],
];

const truncate = (fs: Dax): Actor => ({ path: SETATTR[fs], args: [FILE, 0, 0], ends: true });

/** File 1 of one page with its block, mapped twice; file 2, a hole, mapped once. */
const machine = (kernel: string, actors: Readonly<Record<string, Actor>>, fs: Dax = FS.ext4_dax): World =>
  small(
    {
      kernel,
      cached: false,
      pages: 1,
      geometry: {
        files: [
          { pages: 1, fs },
          { pages: 1, fs },
        ],
        vmas: [
          { pages: 1, file: FILE, flags: VM_SHARED | VM_WRITE },
          { pages: 1, file: 2, flags: VM_SHARED | VM_WRITE },
          { pages: 1, file: FILE, flags: VM_SHARED | VM_WRITE },
        ],
        devicePages: 1,
        dioPages: 1,
        config: ["dax", "truncate"],
      },
      prepare: (k) => dax_allocate_file(k, FILE),
    },
    actors,
  );

const kinds = (world: World) =>
  world
    .explore({ maxStates: 2_000_000, progress: () => true })
    .witnesses.map(({ kind }) => kind)
    // A read whose buffer is behind the end of the file by then is refused.
    .filter(isFault)
    .sort();

describe("the counts of a DAX page", () => {
  /** References and mapcount: idle, mapped, mapped twice, held as well, unmapped and held, idle again. */
  const counts = (kernel: string, fs: Dax) => {
    const h = new Hand(
      machine(
        kernel,
        { load: load(0), again: load(2), read: read(0), dma: dma(0), truncate: truncate(fs) },
        fs,
      ),
    );
    const page = dax_block(h.k, FILE, 0);
    const seen: (readonly [number, number])[] = [];
    const look = () => seen.push([h.refs(page), h.k.page.mapcount[page]]);
    look();
    h.go("load");
    look();
    h.go("again");
    look();
    h.past("read", "submit_bio");
    look();
    h.go("truncate");
    look();
    const task = h.world.machine.tasks.findIndex(({ name }) => name === "truncate");
    expect(awaited(h.world, task)).toBe(`everybody to let go of page ${page}`);
    // The page is not dirty, as storage has its bytes at once: bio_check_pages_dirty leaves it to a worker.
    h.go("dma").go("read").go("kworker").go("truncate");
    look();
    expect([h.finished("truncate"), h.faults()]).toEqual([true, []]);
    return seen;
  };

  for (const [name, fs] of both)
    it(`${name}: a reference for each PTE and none when idle, where it was 1 and nothing for PTEs`, () => {
      const before = counts(BEFORE, fs);
      const since = counts(SINCE, fs);
      const held = before[3][0] - 1;
      expect(before.map(([refs]) => refs)).toEqual([1, 1, 1, 1 + held, 1 + held, 1]);
      expect(before.every(([, mapcount]) => mapcount === 0)).toBe(true);
      expect(since).toEqual([
        [0, 0],
        [1, 1],
        [2, 2],
        [2 + held, 2],
        [held, 0],
        [0, 0],
      ]);
    });
});

describe("what is said of a DAX page", () => {
  it.each([
    [BEFORE, "-1, 1", /DAX maps without counting; references, 1 when idle/],
    [SINCE, "-1, 0", /references, one a PTE, 0 when idle/],
  ])("%s: its struct page's counts are %s when it is idle", (kernel, counts, text) => {
    const { k } = machine(kernel, {});
    const page = dax_block(k, FILE, 0);
    expect(pageWords(k, page, kernel)[6].value).toBe(counts);
    expect(pageWordsText(k, page, kernel)).toMatch(text);
  });

  it.each([
    [BEFORE, ["WARN dax_disassociate_entry: WARN_ON_ONCE(trunc && page_ref_count(page) > 1)"]],
    [SINCE, []],
  ])("%s: who frees a page that is held, without having waited: %j", (kernel, said) => {
    const frees = { path: dax_truncate_pagecache, args: [FILE, 0], ends: true };
    const h = new Hand(machine(kernel, { load: load(0), read: read(1), frees }));
    h.go("load").past("read", "submit_bio").go("frees");
    expect(h.faults()).toEqual(said);
  });
});

describe("W8 on both sides of the change", () => {
  for (const kernel of [BEFORE, SINCE])
    for (const [name, fs] of both) {
      it(`${name} of ${kernel}: truncation waits for the pin; every interleaving is free of faults`, () => {
        const actors = { read: read(0), dma: dma(0), truncate: truncate(fs), store: store(1) };
        expect(kinds(machine(kernel, actors, fs))).toEqual([]);
      });

      it(`${name} of ${kernel}: a pin that is never let go blocks truncation for ever`, () => {
        expect(kinds(machine(kernel, { read: read(0), truncate: truncate(fs) }, fs))).toEqual(["HANG"]);
      });

      it(`${name} of ${kernel}: counts are exact at every step`, () => {
        fc.assert(
          fc.property(fc.nat(), (seed) => {
            const world = machine(
              kernel,
              {
                read: read(0),
                dma: dma(0),
                truncate: truncate(fs),
                load: load(0),
                store: store(2),
              },
              fs,
            );
            const invariants = new Invariants(world);
            const scheduler = world.scheduler(seed);
            for (let made = 0; made < 300; made++) {
              const task = scheduler.next();
              if (task < 0) break;
              world.step(task);
              const violated = invariants.violated();
              if (violated !== null) throw new Error(`${violated}\nreplay: ${world.replay}`);
            }
            expect(world.k.faults.filter(({ kind }) => kind !== "HANG" && isFault(kind))).toEqual([]);
          }),
          { numRuns: 40 },
        );
      });
    }

  it("a process of xfs that maps the page again while truncation sleeps keeps it asleep since v6.15", () => {
    const found = (kernel: string) =>
      kinds(
        machine(
          kernel,
          { read: read(0), dma: dma(0), truncate: truncate(FS.xfs_dax), load: load(2) },
          FS.xfs_dax,
        ),
      );
    expect([found(BEFORE), found(SINCE)]).toEqual([[], ["HANG"]]);
  });
});
