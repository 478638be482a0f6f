/** The flusher's lists and clock (7.2), and the dirty thresholds (7.1). */
import { describe, expect, it } from "vitest";
import {
  bdi,
  begin_work,
  DWORK,
  dirty_expire_interval,
  dirty_writeback_interval,
  EXPIRED,
  IO_LIST,
  inode_io_list_del,
  inode_list_dirty,
  io_list,
  queue_io,
  redirty_tail,
  requeue_io,
  tick,
  WB_REASON,
} from "../../../src/kernel/mm/backing_dev.js";
import {
  dirty_background_ratio,
  dirty_freerun_ceiling,
  domain_dirty_limits,
  global_dirtyable_memory,
  vm_dirty_ratio,
} from "../../../src/kernel/mm/balance_dirty_pages.js";
import { store } from "../actors.js";
import { Hand, small } from "../harness.js";

const three = () =>
  new Hand(
    small(
      {
        pages: 4,
        cached: false,
        geometry: { files: [{ pages: 1 }, { pages: 1 }, { pages: 1 }], config: ["kupdate"] },
      },
      { store: store() },
    ),
  ).k;

const { b_dirty, b_io, b_more_io } = IO_LIST;

describe("F60, F61 thresholds", () => {
  it("F60 background 10 %, dirty 20 %, expire 3000 cs, interval 500 cs", () => {
    expect([
      dirty_background_ratio,
      vm_dirty_ratio,
      dirty_expire_interval,
      dirty_writeback_interval,
      EXPIRED,
    ]).toEqual([10, 20, 3000, 500, 6]);
  });

  it("are shares of dirtyable memory, with the ratios kept per page as the kernel does", () => {
    // 10 % of 4096 is 409: a little less than a tenth.
    expect(domain_dirty_limits(1_000_000)).toEqual({ thresh: 199951, bg_thresh: 99853 });
    expect(domain_dirty_limits(100)).toEqual({ thresh: 19, bg_thresh: 9 });
    expect(domain_dirty_limits(5)).toEqual({ thresh: 0, bg_thresh: 0 });
  });

  it("F61 the freerun ceiling is the mean of both", () => {
    expect(dirty_freerun_ceiling(20, 10)).toBe(15);
    expect(dirty_freerun_ceiling(19, 9)).toBe(14);
  });

  it("dirtyable are free pages and the page cache, never 0", () => {
    const h = new Hand(
      small({ filePages: 3, pages: 8, geometry: { config: ["throttle"] } }, { store: store() }),
    );
    // Three pages are on the inactive list, five are free.
    expect(global_dirtyable_memory(h.k)).toBe(9);
  });
});

describe("the lists of a bdi_writeback", () => {
  it("a clean inode that gets dirty goes to the end of b_dirty that is taken last, and starts the timer", () => {
    const k = three();
    for (const inode of [2, 1, 3]) inode_list_dirty(k, inode);
    expect(io_list(k, 0, b_dirty)).toEqual([2, 1, 3]);
    expect(bdi(k).dwork[0]).toBe(DWORK.delayed);
    inode_io_list_del(k, 1);
    expect(io_list(k, 0, b_dirty)).toEqual([2, 3]);
  });

  it("queue_io takes b_more_io first, then what is old enough, oldest first", () => {
    const k = three();
    inode_list_dirty(k, 3);
    for (let interval = 0; interval < EXPIRED; interval++) tick(k, 0);
    inode_list_dirty(k, 1);
    inode_list_dirty(k, 2);
    requeue_io(k, 2);
    queue_io(k, 0, WB_REASON.periodic);
    expect([io_list(k, 0, b_io), io_list(k, 0, b_dirty), io_list(k, 0, b_more_io)]).toEqual([
      [2, 3],
      [1],
      [],
    ]);
  });

  it("a periodic flush leaves an inode alone until it is dirty_expire_interval old", () => {
    const k = three();
    inode_list_dirty(k, 1);
    for (let interval = 1; interval < EXPIRED; interval++) {
      tick(k, 0);
      queue_io(k, 0, WB_REASON.periodic);
      expect(io_list(k, 0, b_io)).toEqual([]);
    }
    tick(k, 0);
    queue_io(k, 0, WB_REASON.periodic);
    expect(io_list(k, 0, b_io)).toEqual([1]);
  });

  it("a sync leaves out what is dirtied after it began: no livelock", () => {
    const k = three();
    inode_list_dirty(k, 1);
    begin_work(k, 0);
    inode_list_dirty(k, 2);
    queue_io(k, 0, WB_REASON.sync);
    expect([io_list(k, 0, b_io), io_list(k, 0, b_dirty)]).toEqual([[1], [2]]);
  });

  it("redirty_tail counts an inode as dirtied now when the list would lose its order of time otherwise", () => {
    const k = three();
    inode_list_dirty(k, 1);
    tick(k, 0);
    requeue_io(k, 1);
    inode_list_dirty(k, 2);
    redirty_tail(k, 1);
    expect(io_list(k, 0, b_dirty)).toEqual([2, 1]);
    for (let interval = 1; interval < EXPIRED; interval++) tick(k, 0);
    queue_io(k, 0, WB_REASON.periodic);
    expect(io_list(k, 0, b_io)).toEqual([]);
  });
});
