/**
 * Every interleaving of small machines: what stable pages, sums and fsync do for CPU stores, and do not do for a device that
 * holds a page (7.7, 7.9; proposals W5, W6).
 */
import { describe, expect, it } from "vitest";
import type { Config } from "../../src/kernel/config.js";
import { disk_version } from "../../src/kernel/fs/blocks.js";
import { bdi_flusher } from "../../src/kernel/fs/fs_writeback.js";
import { kjournald2 } from "../../src/kernel/fs/jbd2.js";
import { recovered_version } from "../../src/kernel/fs/power_cut.js";
import { generic_file_write_iter } from "../../src/kernel/fs/read_write.js";
import { sync } from "../../src/kernel/fs/sync.js";
import type { Mount } from "../../src/kernel/geometry.js";
import { VM_SHARED, VM_WRITE } from "../../src/kernel/structs.js";
import { disk, dma, flusher, fsync, read, reclaim, store } from "../kernel/actors.js";
import { type Actor, FILE, Hand, type Small, small } from "../kernel/harness.js";

/** The kinds of fault that some interleaving meets. */
function found(options: Small, actors: Readonly<Record<string, Actor>>): string[] {
  const { complete, witnesses } = small(options, actors).explore({
    maxStates: 2_000_000,
    progress: () => true,
  });
  expect(complete).toBe(true);
  return witnesses.map(({ kind }) => kind).sort();
}

const machine = (config: readonly Config[], options: Partial<Small> = {}): Small => ({
  pages: 1,
  parts: 2,
  ...options,
  geometry: { config },
});

describe("W6 a disk that checks what it fetches", () => {
  it("with stable pages no CPU store is ever refused", () => {
    const actors = { store: store(), again: store(), flusher, disk };
    expect(found(machine(["checksum"], { stableWrites: true }), actors)).toEqual([]);
  });

  it("without them a store during writeback is", () => {
    const actors = { store: store(), again: store(), flusher, disk };
    expect(found(machine(["checksum"]), actors)).toEqual(["TORN"]);
  });

  it("a device that holds the page is refused with stable pages too: it waits for nobody", () => {
    const actors = { read: read(0), dma: dma(0), flusher, disk };
    expect(found(machine(["checksum"], { stableWrites: true }), actors)).toEqual(["TORN"]);
  });
});

describe("W5 what fsync promises", () => {
  it("is kept for CPU stores, whatever the flusher, another store and reclaim do meanwhile", () => {
    const actors = { store: store(), again: store(), fsync, flusher, disk };
    expect(found(machine(["fsync_oracle"], { parts: 1 }), actors)).toEqual([]);
    const pressed = { store: store(), fsync, reclaim: reclaim(1), disk };
    expect(found(machine(["fsync_oracle"], { parts: 1 }), pressed)).toEqual([]);
  });

  it("is kept for a device's bytes once they were marked; before that it does not cover them", () => {
    const actors = { read: read(0), dma: dma(0), fsync, flusher, disk };
    expect(found(machine(["fsync_oracle"], { parts: 1 }), actors)).toEqual([]);
  });
});

describe("W5 what fsync promises, and a power cut", () => {
  const MOUNTS: readonly (readonly [string, Mount])[] = [
    ["ordered, delayed allocation", { data: "ordered", delalloc: true }],
    ["ordered, nodelalloc", { data: "ordered", delalloc: false }],
    ["journal", { data: "journal", delalloc: false }],
  ];
  const mounted = (mount: Mount): Small => ({
    pages: 1,
    geometry: {
      files: [{ pages: 1, extents: ["hole"] }],
      vmas: [{ pages: 1, file: FILE, flags: VM_SHARED | VM_WRITE }],
      config: ["blocks", "journal", "fsync_oracle"],
      mount,
    },
  });
  const jbd2: Actor = { path: kjournald2, args: [0] };
  for (const [name, mount] of MOUNTS)
    it(`ext4, ${name}: is there after recovery, for CPU stores and write(2)`, () => {
      expect(found(mounted(mount), { store: store(), fsync, jbd2, disk })).toEqual([]);
      const write: Actor = { path: generic_file_write_iter, args: [FILE, 0, 1], ends: true };
      expect(found(mounted(mount), { write, fsync, jbd2, disk })).toEqual([]);
    });

  it("without a commit it would not be: the bytes are on the disk, and nothing says where", () => {
    const h = new Hand(small(mounted(MOUNTS[0][1]), { store: store(), flusher, jbd2, disk }));
    h.go("store").go("flusher").go("disk");
    expect([disk_version(h.k, FILE, 0, 0), recovered_version(h.k, FILE, 0, 0)]).toEqual([1, 0]);
  });
});

describe("sync with the flusher's works", () => {
  it("ends in every interleaving with stores and the flusher's timer", () => {
    const actors = {
      store: store(),
      sync: { path: sync, ends: true },
      flusher: { path: bdi_flusher, args: [0] },
      disk,
    };
    expect(found(machine(["kupdate"], { parts: 1 }), actors)).toEqual([]);
  });
});
