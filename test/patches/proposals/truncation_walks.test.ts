/** The proposals about truncation where the fast walk meets a writable PTE, and what a close and a last put set free. */
import { describe, expect, it } from "vitest";
import { ERRNO } from "../../../src/kernel/errno.js";
import { FOLL, get_user_pages_fast } from "../../../src/kernel/mm/gup.js";
import { open } from "../../../src/lab/world.js";
import { FOLL_LONGTERM } from "../../../src/patches/longterm_flag.js";
import { range_lock } from "../../../src/patches/proposals/harrosh_range_lock_2018.js";
import { file_lease, filp_close } from "../../../src/patches/proposals/layout_leases.js";
import { dax_statfs } from "../../../src/patches/proposals/nybble41_defer_free_2018.js";
import { store } from "../../kernel/actors.js";
import { ask } from "../../kernel/drivers/ask.js";
import { FILE, Hand, small } from "../../kernel/harness.js";

const LONGTERM = FOLL.WRITE | FOLL_LONGTERM;

/** A page that somebody has just stored into, and a fast walk that wants it. */
function walk(kernel: string, flags: number) {
  const answers: number[] = [];
  const get = ask(get_user_pages_fast, [0, 1, flags, 0], answers);
  const h = new Hand(small({ kernel }, { store: store(), get }));
  h.go("store");
  expect(h.pte()).toContain("w");
  return { h, answers };
}

describe("the fast walk", () => {
  it("lameter-refuse-longterm-2019: gives the page back, and the slow walk refuses", () => {
    const { h, answers } = walk("v6.1+lameter-refuse-longterm-2019", LONGTERM);
    expect(h.trace("get", () => h.go("get"))).toContain("fast_write_allowed");
    expect([answers, h.k.page.pins[0]]).toEqual([[-ERRNO.EOPNOTSUPP], 0]);
  });

  it("chinner-exclusive-lease-2019: the same without a lease, and takes the page with one", () => {
    const kernel = "v6.1+chinner-exclusive-lease-2019";
    const { h, answers } = walk(kernel, LONGTERM);
    expect(h.trace("get", () => h.go("get"))).toContain("mapping_inode_has_layout");
    expect([answers, h.k.page.pins[0]]).toEqual([[-ERRNO.EPERM], 0]);
    const leased = walk(kernel, LONGTERM);
    leased.h.k.of(file_lease).file[0] = FILE;
    leased.h.go("get");
    expect([leased.answers, leased.h.k.page.pins[0]]).toEqual([[1], 1]);
  });

  it.each(["chinner-lease-early-2019", "weiny-zombie-lease-2019", "lease-released-2019"])(
    "%s: asks for a lease on every file",
    (name) => {
      const { h, answers } = walk(`v6.1+${name}`, LONGTERM);
      expect(h.trace("get", () => h.go("get"))).toContain("mapping_inode_has_layout");
      expect([answers, h.k.page.pins[0]]).toEqual([[-ERRNO.EPERM], 0]);
    },
  );

  it.each(["weiny-leases-2019", "williams-lease-acts-2018"])(
    "%s: asks, and a page of the cache needs no lease",
    (name) => {
      const { h, answers } = walk(`v6.1+${name}`, LONGTERM);
      expect(h.trace("get", () => h.go("get"))).toContain("mapping_inode_has_layout");
      expect([answers, h.k.page.pins[0]]).toEqual([[1], 1]);
    },
  );

  it("harrosh-range-lock-2018: takes the lock if nobody has it, and leaves the page to who can sleep", () => {
    const kernel = "v4.20+harrosh-range-lock-2018";
    const { h, answers } = walk(kernel, FOLL.WRITE);
    expect(h.trace("get", () => h.go("get"))).toContain("trylock_range");
    expect([answers, h.k.of(range_lock).users[0]]).toEqual([[1], 1]);
    const locked = walk(kernel, FOLL.WRITE);
    locked.h.k.of(range_lock).writer[0] = 1;
    locked.h.go("get");
    expect([locked.h.next("get"), locked.h.k.page.pins[0]]).toEqual(["lock_range", 0]);
    locked.h.k.of(range_lock).writer[0] = 0;
    locked.h.go("get");
    expect([locked.answers, locked.h.k.of(range_lock).users[0]]).toEqual([[1], 1]);
  });
});

it("chinner-exclusive-lease-2019: a file whose pins are gone is closed at once, and its lease with it", () => {
  const kernel = "v4.20+chinner-exclusive-lease-2019";
  const close = { path: filp_close, args: [0], ends: true };
  const h = new Hand(small({ kernel }, { close }));
  h.k.of(file_lease).file[0] = FILE;
  h.go("close");
  expect([h.finished("close"), h.k.of(file_lease).file[0]]).toEqual([true, 0]);
});

it("kara-defer-disk-2018: a worker frees on the disk what the last put has set free", () => {
  const h = new Hand(open("W8,holder=rdma", { kernel: "v4.20+kara-defer-disk-2018", record: false }));
  h.past("rdma", "ib_dma_map_sg").go("truncator");
  expect([dax_statfs(h.k), h.enabled("defer")]).toEqual([{ used: 0, free: 0, parked: 1 }, false]);
  h.go("rdma");
  expect([dax_statfs(h.k).parked, h.enabled("defer")]).toEqual([1, true]);
  h.step("defer");
  expect(dax_statfs(h.k)).toEqual({ used: 0, free: 1, parked: 0 });
});
