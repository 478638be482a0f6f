/** The power goes at any step: what fsync had promised is there, and what is not the file's is not. */
import { describe, expect, it } from "vitest";
import { bad_block, FOR_EVER } from "../../../src/kernel/block/disk.js";
import { acknowledged_version } from "../../../src/kernel/fs/acknowledged.js";
import { EXTENT } from "../../../src/kernel/fs/blocks.js";
import { journal_extent, kjournald2 } from "../../../src/kernel/fs/jbd2.js";
import { recovered_version } from "../../../src/kernel/fs/power_cut.js";
import { power_failure, power_is_off } from "../../../src/kernel/fs/power_failure.js";
import { fsync as fsync_path } from "../../../src/kernel/fs/sync.js";
import type { Mount } from "../../../src/kernel/geometry.js";
import { VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { disk, flusher, fsync, store } from "../actors.js";
import { type Actor, FILE, Hand, type Small, small } from "../harness.js";

const jbd2: Actor = { path: kjournald2, args: [0] };
const power: Actor = { path: power_failure, args: [] };

/** A file without a block, whose only block on the disk was another file's. */
const mounted = (mount: Mount): Small => ({
  pages: 1,
  geometry: {
    files: [{ pages: 1, extents: ["hole"] }],
    vmas: [{ pages: 1, file: FILE, flags: VM_SHARED | VM_WRITE }],
    config: ["blocks", "journal", "fsync_oracle", "power_cut"],
    mount,
  },
  prepare: (k) => {
    // Somebody's deleted bytes.
    const owner = k.memory.cells().filter(({ struct }) => struct.name === "block_owner");
    for (const { column, row } of owner) column[row] = 0x8000 | 1;
  },
});

function found(options: Small, actors: Readonly<Record<string, Actor>>): string[] {
  const { complete, witnesses, states } = small(options, actors).explore({
    maxStates: 2_000_000,
    progress: () => true,
  });
  expect(complete).toBe(true);
  expect(states).toBeGreaterThan(10);
  return witnesses.map(({ kind }) => kind).sort();
}

describe("a power cut at every step", () => {
  const MOUNTS: readonly (readonly [string, Mount])[] = [
    ["ordered, delayed allocation", { data: "ordered", delalloc: true }],
    ["ordered, nodelalloc", { data: "ordered", delalloc: false }],
    ["journal", { data: "journal", delalloc: false }],
  ];
  for (const [name, mount] of MOUNTS)
    it(`ext4, ${name}: what fsync promised is there, and nobody's deleted bytes are shown`, () => {
      expect(found(mounted(mount), { store: store(), fsync, jbd2, disk, power })).toEqual([]);
    });

  it("ext4, data=writeback: the journal says where the bytes are before they are there, and another's are shown", () => {
    const writeback = mounted({ data: "writeback", delalloc: false });
    expect(found(writeback, { store: store(), jbd2, disk, power })).toEqual(["INFOLEAK"]);
    // While the power holds nobody sees it.
    expect(found(writeback, { store: store(), jbd2, disk })).toEqual([]);
  });

  it("a block that every page has for good: what fsync promised is there", () => {
    const plain: Small = { pages: 1, parts: 2, geometry: { config: ["fsync_oracle", "power_cut"] } };
    expect(found(plain, { store: store(), fsync, flusher, disk, power })).toEqual([]);
  });
});

describe("what is left", () => {
  const ordered = mounted({ data: "ordered", delalloc: true });

  it("the disk and what was promised of it: memory is gone, and nobody moves", () => {
    const h = new Hand(small(ordered, { store: store(), fsync, jbd2, disk, power }));
    h.go("store").go("fsync").go("disk").go("fsync").go("jbd2").go("fsync");
    expect([h.finished("fsync"), acknowledged_version(h.k, 0, 0)]).toEqual([true, 1]);
    h.go("power");
    expect(h.faults()).toEqual([]);
    expect(power_is_off(h.k)).toBe(true);
    expect([recovered_version(h.k, FILE, 0, 0), h.k.content.version[0], h.k.page._refcount[0]]).toEqual([
      1, 0, 0,
    ]);
    expect(["store", "fsync", "jbd2", "disk", "power"].map((name) => h.enabled(name))).toEqual(
      new Array(5).fill(false),
    );
  });

  it("before fsync has returned nothing is promised; after it, a commit that was not on the disk is a loss", () => {
    const h = new Hand(small(ordered, { store: store(), fsync, jbd2, disk, power }));
    h.go("store").go("fsync");
    expect(acknowledged_version(h.k, 0, 0)).toBe(0);
    h.go("disk").go("fsync").go("jbd2").go("fsync");
    // As a disk would that keeps the commit record in a cache of its own.
    h.k.of(journal_extent).state[0] = EXTENT.hole;
    h.go("power");
    expect(h.faults()).toEqual([
      "LOST power_cut: fsync had returned 0, and after recovery the bytes are not there",
    ]);
  });

  it("an fsync that fails promises nothing; the next one returns 0, and promises what is not there", () => {
    const h = new Hand(
      small(
        { pages: 1, geometry: { config: ["io_errors", "fsync_oracle", "power_cut"] } },
        { store: store(), fsync, again: { path: fsync_path, args: [FILE], ends: true }, disk, power },
      ),
    );
    h.k.of(bad_block).left[0] = FOR_EVER;
    h.go("store").go("fsync").go("disk").go("fsync");
    expect([h.finished("fsync"), acknowledged_version(h.k, 0, 0)]).toEqual([true, 0]);
    h.go("again");
    expect([h.finished("again"), acknowledged_version(h.k, 0, 0)]).toEqual([true, 1]);
    h.go("power");
    expect(h.faults().filter((line) => line.startsWith("LOST power_cut"))).toHaveLength(1);
  });
});
