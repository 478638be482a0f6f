import { describe, expect, it } from "vitest";
import { dax_allocate_file, dax_block, dax_free_blocks } from "../../../src/kernel/fs/dax.js";
import { dax_owner, is_zone_device_page } from "../../../src/kernel/mm/memremap.js";
import { get_page, SetPageActive } from "../../../src/kernel/mm/page.js";
import { put_page } from "../../../src/kernel/mm/swap.js";
import { FS } from "../../../src/kernel/operations.js";
import { load, store } from "../actors.js";
import { FILE, Hand, small } from "../harness.js";

const machine = () =>
  new Hand(
    small(
      {
        cached: false,
        pages: 2,
        geometry: { files: [{ pages: 2, fs: FS.ext4_dax }], config: ["dax"] },
        prepare: (k) => dax_allocate_file(k, FILE),
      },
      { load: load(), store: store() },
    ),
  );

describe("ZONE_DEVICE pages", () => {
  it("are the last page frames: not the allocator's, not RAM", () => {
    const { k } = machine();
    expect([0, 1, 2, 3].map((page) => is_zone_device_page(k, page))).toEqual([false, false, true, true]);
    let free = 0;
    for (let at = k.pgdat.free[0]; at !== 0; at = k.page.lru_next[at - 1]) free++;
    expect(free).toBe(2);
  });

  it("a zero page behind them is none of them", () => {
    const world = small(
      {
        cached: false,
        pages: 1,
        geometry: {
          files: [{ pages: 1, fs: FS.ext4_dax }],
          vmas: [{ pages: 1, flags: 2 }],
          config: ["dax"],
        },
      },
      { load: load() },
    );
    expect(world.k.geometry.pages).toBe(2);
    expect(is_zone_device_page(world.k, 2)).toBe(false);
  });

  it("F56 are idle at 1; the put that leaves 1 takes PG_active off and frees nothing", () => {
    const h = machine();
    expect(h.refs(3)).toBe(1);
    get_page(h.k, 3);
    SetPageActive(h.k, 3);
    put_page(h.k, 3);
    expect([h.refs(3), h.flags(3), h.k.pgdat.free[0]]).toEqual([1, [], 1]);
  });

  it("trap 21 a put too many takes the idle reference: the next user's page looks idle", () => {
    const h = machine();
    put_page(h.k, 2);
    get_page(h.k, 2);
    expect([h.refs(2), h.faults()]).toEqual([1, []]);
  });

  it("a block has one owner, and none when it is freed", () => {
    const { k } = machine();
    const block = dax_block(k, FILE, 1);
    expect(dax_owner(k, block)).toBe(k.slotOf(FILE, 1));
    dax_free_blocks(k, FILE, 1);
    expect([dax_owner(k, block), dax_block(k, FILE, 1), dax_block(k, FILE, 0) >= 0]).toEqual([-1, -1, true]);
  });
});
