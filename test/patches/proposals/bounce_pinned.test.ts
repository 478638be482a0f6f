/** Writeback that writes copies of pinned pages: what fsync's disk sees, whether the page stays dirty, and what that is on a filesystem that copies on write. */
import { describe, expect, it } from "vitest";
import { FS } from "../../../src/kernel/operations.js";
import { explore } from "../../../src/lab/explore.js";
import type { World } from "../../../src/lab/world.js";
import { findKernel } from "../../../src/patches/kernels.js";
import { checksumMachine, cowMachine, stripMachine } from "./pinned_writeback.js";

const BOUNDS = { maxStates: 1_500_000, progress: () => true };

/** The kinds of fault of a machine, by name; the search is complete. */
function kinds(world: World): string[] {
  const { complete, witnesses } = world.explore(BOUNDS);
  expect(complete).toBe(true);
  return witnesses.map(({ kind }) => kind).sort();
}

const SKIP = "v4.20+kara-skip-2018";
const BOUNCE = "v4.20+kara-bounce-2018";
const DIRTY = "v4.20+kara-bounce-dirty-2018";
const RESERVE = "v4.20+hellwig-bounce-reserve-2023";

describe("kara-bounce-2018: fsync writes a copy (20180710082100.mkdwngdv5kkrcz6n@quack2.suse.cz)", () => {
  it.each([
    ["ext4", FS.ext4, 1],
    ["xfs", FS.xfs, 1],
    ["ext4, in two parts", FS.ext4, 2],
  ] as const)(
    "%s: the sum of what fsync writes fits, which it does not where pages are skipped only",
    (_, fs, parts) => {
      expect(kinds(checksumMachine(SKIP, fs, parts))).toEqual(["TORN"]);
      expect(kinds(checksumMachine(BOUNCE, fs, parts))).toEqual([]);
    },
  );

  it("btrfs: the sum fits as well; what is lost there without a reservation is lost still", () => {
    expect(kinds(checksumMachine(SKIP, FS.btrfs))).toContain("TORN");
    expect(kinds(checksumMachine(BOUNCE, FS.btrfs))).not.toContain("TORN");
  });

  it("fsync's promise for what a program stores beside the device is kept (half-page)", () => {
    for (const kernel of [SKIP, BOUNCE, DIRTY])
      expect(explore("half-page", { kernel, maxStates: 2_000_000 }).outcomes).toEqual(["OK"]);
  });

  it("the page is clean then, and pinned: reclaim strips it, and the next fsync crashes", () => {
    expect(kinds(stripMachine(BOUNCE))).toEqual(["BUG", "WARN"]);
  });
});

describe("kara-bounce-dirty-2018: and the page stays dirty (the same message)", () => {
  it("is what keeps reclaim from the buffers, as Kara said", () => {
    expect(kinds(stripMachine(DIRTY))).toEqual([]);
    expect(kinds(checksumMachine(DIRTY, FS.xfs))).toEqual([]);
  });

  it("and an O_DIRECT write of the file as well: the only one of these that ends W1 with strip=diowrite", () => {
    const found = [SKIP, BOUNCE, DIRTY].map((kernel) => explore("W1,strip=diowrite", { kernel }).outcomes);
    expect(found.map((each) => each.includes("BUG"))).toEqual([true, true, false]);
    expect(found[2]).toEqual(["OK"]);
  });

  it("on btrfs it loses bytes, although there is room: nobody reserved what the page is to be written to (20230215045952.GF2825702)", () => {
    expect(kinds(cowMachine(DIRTY, false))).toEqual(["LOST"]);
  });
});

describe("hellwig-bounce-reserve-2023: dirty again with a reservation (Y+x6oQkLex8PbfgL@infradead.org)", () => {
  it("loses nothing on btrfs while there is room", () => {
    expect(kinds(cowMachine(RESERVE, false))).toEqual([]);
  });

  it("on a full one the reservation fails behind everybody's back: a late ENOSPC, which somebody is told, but no device", () => {
    const { witnesses } = cowMachine(RESERVE, true).explore(BOUNDS);
    expect(witnesses.map(({ kind }) => kind)).toContain("ENOSPC");
  });

  it("is kara-bounce-dirty-2018 where a page keeps its block", () => {
    expect(kinds(stripMachine(RESERVE))).toEqual([]);
    expect(kinds(checksumMachine(RESERVE, FS.xfs))).toEqual([]);
  });
});

describe("kara-bounce-2023 (20230209123206.3548-4-jack@suse.cz, -5)", () => {
  it("xfs: the sum fits; ext4 does not write through iomap: it does not", () => {
    expect(kinds(checksumMachine("v4.20+kara-bounce-2023", FS.xfs))).toEqual([]);
    expect(kinds(checksumMachine("v4.20+kara-bounce-2023", FS.ext4))).toEqual(["TORN", "WARN"]);
  });

  it("leaves the page clean: what Hellwig held against it", () => {
    expect(kinds(stripMachine("v4.20+kara-bounce-2023"))).toEqual(["BUG", "WARN"]);
  });

  it.each(["v4.20", "v6.3", "2026"])("applies on %s", (base) => {
    const { patches } = findKernel(`${base}+kara-bounce-2023`);
    expect(patches.map(({ name }) => name)).toContain("kara-skip-2023");
    expect(explore("W6,fs=xfs", { kernel: `${base}+kara-bounce-2023` }).outcomes).not.toContain("TORN");
  });
});
