import { describe, expect, it } from "vitest";
import {
  advance_pending,
  allocate,
  block_nr,
  block_owner,
  convert_unwritten,
  DELETED,
  disk_block,
  disk_version,
  EXTENT,
  extent_state,
  FOREIGN,
  free_blocks,
  free_extent,
  is_shared,
  PENDING,
  put_block,
  release_delayed,
  reserve_delayed,
  share_extent,
  unmap_extent,
} from "../../../src/kernel/fs/blocks.js";
import type { GeometryOptions } from "../../../src/kernel/geometry.js";
import { VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { disk, flusher, load, store } from "../actors.js";
import { Hand, small } from "../harness.js";

const ENOSPC = -28;

/** Two files of two pages on a disk of four blocks; `extents` is the first one's. */
const two = (first: Partial<NonNullable<GeometryOptions["files"]>[number]> = {}, blocks = 4): Hand =>
  new Hand(
    small(
      {
        cached: false,
        geometry: {
          pages: 4,
          files: [
            { pages: 2, ...first },
            { pages: 2, extents: ["hole", "hole"] },
          ],
          vmas: [
            { pages: 2, file: 1, flags: VM_SHARED | VM_WRITE },
            { pages: 2, file: 2, flags: VM_SHARED | VM_WRITE },
          ],
          config: ["blocks"],
          blocks,
        },
      },
      { load1: load(0), load2: load(2), store: store(0), flusher, disk },
    ),
  );

describe("what a file's pages have on the disk", () => {
  it("without the option every page is mapped, and the disk has a block for each slot", () => {
    const h = new Hand(small({ filePages: 2 }, { disk }));
    expect([h.k.block.version.length, h.k.of(disk_block).refs.length]).toEqual([2, 0]);
    expect([extent_state(h.k, 1, 0), disk_version(h.k, 1, 1, 0)]).toEqual([EXTENT.mapped, 0]);
  });

  it("starts as the scenario says; the rest is free", () => {
    const { k } = two({ extents: ["mapped", "unwritten"] });
    expect([extent_state(k, 1, 0), extent_state(k, 1, 1), extent_state(k, 2, 0)]).toEqual([
      EXTENT.mapped,
      EXTENT.unwritten,
      EXTENT.hole,
    ]);
    expect([block_nr(k, 1, 0), block_nr(k, 1, 1), block_nr(k, 2, 0)]).toEqual([0, 1, -1]);
    expect(free_blocks(k, 0)).toBe(2);
  });

  it("a delayed page has a promise and no block; the promise is kept when space runs out", () => {
    const { k } = two({}, 3);
    expect(reserve_delayed(k, 2, 0)).toBe(0);
    expect([extent_state(k, 2, 0), free_blocks(k, 0)]).toEqual([EXTENT.delayed, 0]);
    expect(reserve_delayed(k, 2, 1)).toBe(ENOSPC);
    expect(allocate(k, 2, 1, EXTENT.mapped)).toBe(ENOSPC);
    expect(allocate(k, 2, 0, EXTENT.mapped)).toBe(0);
    expect([extent_state(k, 2, 0), block_nr(k, 2, 0), free_blocks(k, 0)]).toEqual([EXTENT.mapped, 2, 0]);
  });

  it("a promise can be given back", () => {
    const { k } = two({}, 3);
    reserve_delayed(k, 2, 0);
    release_delayed(k, 2, 0);
    expect([extent_state(k, 2, 0), free_blocks(k, 0)]).toEqual([EXTENT.hole, 1]);
    release_delayed(k, 2, 0);
    expect(free_blocks(k, 0)).toBe(1);
  });

  it("an unwritten page reads as zeroes until it is converted", () => {
    const { k } = two({ extents: ["unwritten", "mapped"] });
    k.block.version[block_nr(k, 1, 0)] = 7;
    expect(disk_version(k, 1, 0, 0)).toBe(0);
    expect([convert_unwritten(k, 1, 0), convert_unwritten(k, 1, 0)]).toEqual([true, false]);
    expect(disk_version(k, 1, 0, 0)).toBe(7);
  });
});

describe("blocks that change hands", () => {
  it("a freed block is the next that is given out, with the bytes that it had", () => {
    const { k } = two();
    k.block.version[0] = 7;
    free_extent(k, 1, 0);
    expect(k.of(block_owner).slot[0]).toBe(DELETED | 1);
    expect(allocate(k, 2, 0, EXTENT.mapped)).toBe(0);
    expect([block_nr(k, 2, 0), disk_version(k, 2, 0, 0)]).toEqual([0, FOREIGN]);
  });

  it("also the same file's page must not see what was deleted there", () => {
    const { k } = two({}, 2);
    k.block.version[0] = 7;
    free_extent(k, 1, 0);
    allocate(k, 1, 0, EXTENT.mapped);
    expect([block_nr(k, 1, 0), disk_version(k, 1, 0, 0)]).toEqual([0, FOREIGN]);
  });

  it("a read of a block with another file's bytes is an INFOLEAK; of a hole it gives zeroes", () => {
    const h = two();
    h.k.block.version[0] = 7;
    h.go("load2").go("disk").go("load2");
    expect([h.faults(), h.k.content.version[0]]).toEqual([[], 0]);
    const leak = two();
    leak.k.block.version[0] = 7;
    free_extent(leak.k, 1, 0);
    allocate(leak.k, 2, 0, EXTENT.mapped);
    leak.go("load2").go("disk");
    expect(leak.k.faults.map(({ kind }) => kind)).toEqual(["INFOLEAK"]);
  });

  it("a block freed in a transaction is nobody's until the transaction is on the disk", () => {
    const { k } = two({}, 2);
    free_extent(k, 1, 0, PENDING.running);
    // It counts as free at once, so that space can be promised.
    expect([free_blocks(k, 0), allocate(k, 2, 0, EXTENT.mapped)]).toEqual([1, ENOSPC]);
    expect([reserve_delayed(k, 2, 0), allocate(k, 2, 0, EXTENT.mapped)]).toEqual([0, ENOSPC]);
    advance_pending(k, 0, PENDING.running, PENDING.committing);
    expect(allocate(k, 2, 0, EXTENT.mapped)).toBe(ENOSPC);
    advance_pending(k, 0, PENDING.committing, PENDING.none);
    expect([allocate(k, 2, 0, EXTENT.mapped), free_blocks(k, 0)]).toEqual([0, 0]);
  });

  it("put_block says when a free block is freed again", () => {
    const { k } = two();
    expect(() => put_block(k, 3)).toThrow("put_block: block 3 is free");
  });
});

describe("shared blocks", () => {
  const shared = (): Hand => {
    const h = two();
    h.k.block.version[0] = 7;
    share_extent(h.k, 1, 0, 2, 0);
    return h;
  };

  it("both files read the same bytes; the block goes with the last of them", () => {
    const { k } = shared();
    expect([is_shared(k, 1, 0), is_shared(k, 2, 0), is_shared(k, 1, 1)]).toEqual([true, true, false]);
    expect([disk_version(k, 1, 0, 0), disk_version(k, 2, 0, 0), free_blocks(k, 0)]).toEqual([7, 7, 2]);
    free_extent(k, 1, 0);
    expect([is_shared(k, 2, 0), disk_version(k, 2, 0, 0), free_blocks(k, 0)]).toEqual([false, 7, 2]);
    free_extent(k, 2, 0);
    expect(free_blocks(k, 0)).toBe(3);
  });

  it("a geometry's reflink shares all of a file", () => {
    const h = new Hand(
      small(
        {
          geometry: {
            files: [{ pages: 2 }, { pages: 2, reflink: 1 }],
            config: ["blocks"],
            blocks: 3,
          },
        },
        { disk },
      ),
    );
    expect([is_shared(h.k, 2, 0), is_shared(h.k, 2, 1), free_blocks(h.k, 0)]).toEqual([true, true, 1]);
  });

  it("writing a page over a shared block is UAF: the other file's bytes are gone", () => {
    const h = two().go("load1").go("disk").go("load1");
    share_extent(h.k, 1, 0, 2, 0);
    h.go("store").go("flusher").go("disk");
    expect(h.k.faults.map(({ kind }) => kind)).toEqual(["UAF"]);
    expect(disk_version(h.k, 2, 0, 0)).toBe(1);
  });
});

describe("a write in flight", () => {
  it("goes to the block that the file had when it was submitted, free or another's by now: UAF", () => {
    const h = two().go("load1").go("disk").go("load1").go("store").go("flusher");
    put_block(h.k, unmap_extent(h.k, 1, 0));
    allocate(h.k, 2, 0, EXTENT.mapped);
    expect(block_nr(h.k, 2, 0)).toBe(0);
    h.go("disk");
    expect(h.faults()).toEqual(["UAF disk: a block is written that is another file's"]);
    expect(disk_version(h.k, 2, 0, 0)).toBe(FOREIGN);
  });
});
