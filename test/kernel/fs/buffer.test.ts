import { describe, expect, it } from "vitest";
import {
  create_empty_buffers,
  page_buffers_BUG_ON,
  try_to_free_buffers,
  write_buffer,
} from "../../../src/kernel/fs/buffer.js";
import { BH } from "../../../src/kernel/structs.js";
import { decodePageFlags } from "../../../src/trace/words.js";
import { disk, flusher, reclaim, store } from "../actors.js";
import { Hand, small } from "../harness.js";

const one = () =>
  new Hand(small({ pages: 1 }, { store: store(), again: store(), flusher, disk, reclaim: reclaim() }));

describe("attaching buffers", () => {
  it("F2 takes one page reference and sets PG_private", () => {
    const h = one();
    expect(h.refs()).toBe(1);
    create_empty_buffers(h.k, 0);
    expect(h.refs()).toBe(2);
    expect(h.has("private")).toBe(true);
    expect(h.k.page.b_state[0]).toBe(BH.uptodate);
  });

  it("the buffers of a dirty page start dirty: that is how a store heals", () => {
    const h = one().set(["dirty"]);
    create_empty_buffers(h.k, 0);
    expect(h.bufferDirty()).toBe(true);
  });
});

describe("freeing buffers", () => {
  const attached = () => {
    const h = one();
    create_empty_buffers(h.k, 0);
    return h;
  };

  it("drops the reference and PG_private", () => {
    const h = attached();
    expect(try_to_free_buffers(h.k, 0)).toBe(true);
    expect([h.refs(), h.has("private"), h.k.page.b_state[0]]).toEqual([1, false, 0]);
  });

  it("F3 refuses while a buffer is dirty", () => {
    const h = attached();
    write_buffer(h.k, 0, BH.dirty);
    expect(try_to_free_buffers(h.k, 0)).toBe(false);
    expect(h.has("private")).toBe(true);
  });

  it("F4 refuses a page under writeback, although its buffers are clean (trap 30)", () => {
    const h = one().go("store").go("flusher");
    expect([h.has("writeback"), h.bufferDirty()]).toEqual([true, false]);
    expect(try_to_free_buffers(h.k, 0)).toBe(false);
    h.go("disk");
    expect(try_to_free_buffers(h.k, 0)).toBe(true);
  });

  it("F5 a dirty page with clean buffers becomes clean, and is no longer counted", () => {
    const h = one().go("store");
    write_buffer(h.k, 0, 0, BH.dirty);
    expect(h.k.vmstat.nr_dirty[0]).toBe(1);
    expect(try_to_free_buffers(h.k, 0)).toBe(true);
    expect([h.has("dirty"), h.k.vmstat.nr_dirty[0]]).toEqual([false, 0]);
  });

  it("trap 31 freeing buffers leaves `count - has_private` as it was", () => {
    const h = attached();
    const difference = () => h.refs() - (h.has("private") ? 1 : 0);
    const before = difference();
    try_to_free_buffers(h.k, 0);
    expect(difference()).toBe(before);
  });
});

describe("__set_page_dirty_buffers", () => {
  it("F6, F7 dirties the buffer and the page in one step", () => {
    const h = one().go("store").go("flusher").go("disk");
    expect([h.bufferDirty(), h.has("dirty")]).toEqual([false, false]);
    h.go("again");
    expect([h.bufferDirty(), h.has("dirty")]).toEqual([true, true]);
  });
});

describe("page_buffers()", () => {
  it("F1 is a BUG on a page without PG_private", () => {
    const h = one();
    expect(page_buffers_BUG_ON(h.k, 0)).toBe(true);
    expect(h.faults()).toEqual(["BUG page_buffers: BUG_ON(!PagePrivate(page))"]);
    h.k.dying = false;
    h.set(["private"]);
    expect(page_buffers_BUG_ON(h.k, 0)).toBe(false);
    expect(h.k.dying).toBe(false);
  });
});

describe("block_page_mkwrite (2.2)", () => {
  it("buffers, block, dirty buffer, dirty page, in this order, and returns with the page locked", () => {
    const h = one();
    const steps = h.trace("store", () => h.until("store", "alloc_set_pte"));
    const order = [
      "page->mapping == mapping",
      "create_empty_buffers",
      "get_block",
      "test_set_buffer_dirty",
      "SetPageUptodate",
      "ext4_set_page_dirty",
    ];
    expect(steps.filter((step) => order.includes(step))).toEqual(order);
    expect(decodePageFlags(h.k.page.flags[0])).toEqual(
      expect.arrayContaining(["locked", "dirty", "private"]),
    );
  });

  it("a page that has left the file meanwhile: NOPAGE, unlocked, and the fault is tried again", () => {
    const h = one().until("store", "unlock_page").step("store");
    h.k.page.mapping[0] = 0;
    h.k.xa_slot.page[0] = 0;
    h.until("store", "unlock_page").step("store");
    expect(h.has("locked")).toBe(false);
    expect(h.next("store")).toBe("put_page");
  });
});
