/** write_protect_seq (57efa1fe5957): a fast pin and a fork of the same process, in every order. */
import { describe, expect, it } from "vitest";
import type { Kernel } from "../../src/kernel/kernel.js";
import { call, path } from "../../src/kernel/language.js";
import { __get_user_pages_fast, FOLL, get_user_pages_fast } from "../../src/kernel/mm/gup.js";
import { page_behind } from "../../src/kernel/mm/memory.js";
import { page_of } from "../../src/kernel/mm/user_pages.js";
import { NONE, pages_nr, vpn } from "../../src/kernel/types.js";
import { FOLL_PIN } from "../../src/patches/pin_user_pages.js";
import { naiveSearch } from "../explore/naive.js";
import { store } from "../kernel/actors.js";
import { type Actor, Hand, small } from "../kernel/harness.js";
import { anonymous, childs, fork } from "../kernel/processes.js";

const pins = path("pins", { source: "a test", args: { at: vpn, pages: pages_nr } }, [
  call(() => get_user_pages_fast, { start: "at", nr: 1, write: FOLL.WRITE | FOLL_PIN, pages: "pages" }),
]);
const pin = (at: number): Actor => ({ path: pins, args: [at, 0], ends: true });

/** A parent whose page is there and writable; a thread pins it by the fast path, another one forks. */
const world = (kernel: string, more: Readonly<Record<string, Actor>> = {}) =>
  new Hand(
    small(
      { ...anonymous(1, { pages: 4 }), kernel },
      { store: store(0), pin: pin(0), fork: fork(), again: store(0), ...more },
    ),
  ).go("store");

/** The pinned page, and whether its process sees another one. */
const pinned = (k: Kernel): number => page_of(k, 0, 0);
const stale = (k: Kernel): boolean => pinned(k) !== NONE && page_behind(k, 0) !== pinned(k);
/** The child's PTE shows the page that a device may write. */
const shared = (k: Kernel): boolean => pinned(k) !== NONE && page_behind(k, 1) === pinned(k);

/**
 * Whether something holds in any state that can be reached in which the pin is its taker's: what the walk has not
 * handed out it may still drop.
 */
function reachable(h: Hand, holds: (k: Kernel) => boolean): boolean {
  let found = false;
  naiveSearch(h.world, undefined, ({ k }) => {
    found ||= h.finished("pin") && holds(k);
  });
  return found;
}

describe("a fast pin while its process forks", () => {
  it("v5.9: the walk pins between fork's question and its write protection; the next write leaves the device behind", () => {
    expect(reachable(world("v5.9"), shared)).toBe(true);
    expect(reachable(world("v5.9"), stale)).toBe(true);
  });

  it("v5.9+write-protect-seq and v5.11: in no order", () => {
    for (const kernel of ["v5.9+write-protect-seq", "v5.11"]) {
      expect(reachable(world(kernel), shared), kernel).toBe(false);
      expect(reachable(world(kernel), stale), kernel).toBe(false);
    }
  });

  it("the window by hand: the PTE is read, fork has found it not pinned, the walk pins it and sees the same PTE", () => {
    const h = world("v5.9").past("pin", "pte_read").past("fork", "page_maybe_dma_pinned");
    h.past("pin", "pte_val(pte) == pte_val(*ptep)").go("fork").go("pin");
    expect([shared(h.k), h.pte(0)]).toEqual([true, "rdy"]);
    h.go("again");
    expect([shared(h.k), stale(h.k)]).toEqual([true, true]);
  });
});

describe("lockless_pages_from_mm with write_protect_seq (F40; 3.3 Q2, Q9)", () => {
  it("does not walk while the number is odd", () => {
    const h = world("v5.11").past("fork", "raw_write_seqcount_begin");
    const steps = h.trace("pin", () => h.go("pin"));
    expect(steps).toContain("raw_read_seqcount");
    expect(steps).not.toContain("pte_read");
    // It sleeps for mmap_sem, and goes on once there is a child.
    h.go("fork");
    expect(h.k.user_pages.nr[0]).toBe(0);
    h.go("pin");
    // As the page is shared, the process has a copy of it.
    expect([pinned(h.k), stale(h.k), shared(h.k)]).toEqual([1, false, false]);
  });

  it("gives back what it has pinned when the number has changed, and takes it by the slow path", () => {
    const h = world("v5.11").past("pin", "SetPageReferenced");
    const refs = h.refs();
    h.past("fork", "raw_write_seqcount_begin");
    const steps = h.trace("pin", () => h.until("pin", "down_read(mm->mmap_sem)"));
    expect(steps).toEqual(["read_seqcount_retry", "put_compound_head"]);
    expect([h.refs(), h.k.user_pages.nr[0], h.k.page.pins[0]]).toEqual([refs - 1024, 0, 0]);
    h.go("fork").go("pin");
    expect([stale(h.k), shared(h.k)]).toEqual([false, false]);
  });

  it("a fork that is over by then costs the walk its pins, too", () => {
    const h = world("v5.11").past("pin", "pte_read").go("fork");
    h.go("pin");
    expect([stale(h.k), shared(h.k)]).toEqual([false, false]);
  });

  it("a plain reference does not ask", () => {
    const plain = path("plain", { source: "a test", args: { at: vpn, pages: pages_nr } }, [
      call(() => get_user_pages_fast, { start: "at", nr: 1, write: FOLL.WRITE, pages: "pages" }),
    ]);
    const h = world("v5.11", { plain: { path: plain, args: [0, 0], ends: true } });
    h.past("fork", "raw_write_seqcount_begin");
    expect(h.trace("plain", () => h.go("plain"))[0]).toBe("pte_read");
  });

  it("a walk that may not sleep gives up: pin_user_pages_fast_only", () => {
    const only = path("only", { source: "a test", args: { at: vpn, pages: pages_nr } }, [
      call(() => __get_user_pages_fast, {
        start: "at",
        nr: 1,
        write: FOLL.WRITE | FOLL_PIN,
        pages: "pages",
      }),
    ]);
    const open = () => world("v5.11", { only: { path: only, args: [0, 0], ends: true } });
    expect(pinned(open().go("only").k)).toBe(0);
    const odd = open().past("fork", "raw_write_seqcount_begin").go("only");
    const changed = open().past("only", "SetPageReferenced").go("fork").go("only");
    for (const h of [odd, changed]) expect([h.k.user_pages.nr[0], h.finished("only")]).toEqual([0, true]);
  });

  it("fork of a process that has only ever pinned by the fast path copies, too", () => {
    const h = world("v5.9", { child: childs(1, 0) })
      .go("pin")
      .go("fork");
    expect([shared(h.k), h.pte(0)]).toEqual([false, "rwdy"]);
  });
});
