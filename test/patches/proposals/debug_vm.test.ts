/** What CONFIG_DEBUG_VM says of the trackings: each assertion that a posted patch brings, and whether it can fail. */
import { describe, expect, it } from "vitest";
import { call, path, pause, step } from "../../../src/kernel/language.js";
import { get_user_pages_fast } from "../../../src/kernel/mm/gup.js";
import { PageLRU } from "../../../src/kernel/mm/page.js";
import { lru_add_drain } from "../../../src/kernel/mm/swap.js";
import { put_pages } from "../../../src/kernel/mm/user_pages.js";
import { int, pages_nr, pfn, vpn } from "../../../src/kernel/types.js";
import { explore } from "../../../src/lab/explore.js";
import { run } from "../../../src/lab/run.js";
import type { Oracle } from "../../../src/lab/scenario.js";
import type { FrameOf } from "../../../src/machine/path.js";
import { page_dma_pinned, page_lru_words } from "../../../src/patches/proposals/tracking.js";
import { reclaim } from "../../kernel/actors.js";
import { type Actor, Hand, small } from "../../kernel/harness.js";

const OCTOBER = "v4.20+hubbard-lru-v1-2018";
const NOVEMBER = "v4.20+hubbard-lru-2018";
const BOUNDS = { maxStates: 500_000, progress: () => true };

const DRIVER = {
  source: "a driver",
  args: { start: vpn, nr: int, pages: pages_nr },
  locals: { at: int, page: pfn, ret: int },
} as const;
/** A driver; one by the name of W15's is converted to put_user_page. */
const driver = (name: "counter" | "missed") =>
  path(name, DRIVER, [
    call(() => get_user_pages_fast, { start: "start", nr: "nr", write: 0, pages: "pages" }, "ret"),
    pause("uses the page"),
    ...put_pages<FrameOf<typeof DRIVER>>([]),
  ]);
const converted = driver("counter");
const missed = driver("missed");
const drains = path("drains", { source: "a test" }, [step("lru_add_drain", (k) => lru_add_drain(k))]);

/** A page on its list, and these tasks. */
const machine = (kernel: string, actors: Readonly<Record<string, Actor>>, oracles: readonly Oracle[] = []) =>
  small({ kernel, oracles, geometry: { config: ["debug_vm"] }, prepare: (k) => lru_add_drain(k) }, actors);

const TWO: Readonly<Record<string, Actor>> = {
  one: { path: converted, args: [0, 1, 0], ends: true },
  two: { path: converted, args: [0, 1, 1], ends: true },
  drains: { path: drains, ends: true },
};

describe("put_user_page of November: VM_BUG_ON_PAGE(PageLRU(page))", () => {
  it("dies of two users of one page: the one has counted down to 0, and the other puts the page back on its list first", () => {
    const world = machine(NOVEMBER, TWO);
    const { complete, witnesses } = world.explore(BOUNDS);
    expect([complete, witnesses.map(({ kind, schedule }) => [kind, schedule.length])]).toEqual([
      true,
      [["BUG", 14]],
    ]);
    for (const task of witnesses[0].schedule) world.step(task);
    expect(world.k.faults.map(({ path, message }) => [path, message])).toEqual([
      ["put_user_page", "put_user_page: VM_BUG_ON_PAGE(PageLRU(page))"],
    ]);
  });

  it("October's has no such end, as nothing puts a page back", () => {
    const { complete, witnesses } = machine(OCTOBER, TWO).explore(BOUNDS);
    expect([complete, witnesses]).toEqual([true, []]);
  });
});

describe("pin_page_for_dma: VM_BUG_ON_PAGE(PageLRU(page))", () => {
  const listed: Oracle = {
    kind: "STALE",
    help: "a page that is noted as pinned is on a list",
    when: "always",
    check: ({ k }) =>
      page_dma_pinned(k, 0) && PageLRU(k, 0) ? { page: 0, message: "noted, and listed" } : null,
  };
  const { one, two } = TWO;
  const RECLAIM = { one, two, reclaim: reclaim() };
  const found = (kernel: string, actors: Readonly<Record<string, Actor>>): Hand | null => {
    const world = machine(kernel, actors, [listed]);
    const { complete, witnesses } = world.explore(BOUNDS);
    expect(complete).toBe(true);
    const stale = witnesses.find(({ kind }) => kind === "STALE");
    if (stale === undefined) return null;
    for (const task of stale.schedule) world.step(task);
    return new Hand(world);
  };

  it.each([OCTOBER, NOVEMBER])("%s: holds in every order of two users", (kernel) => {
    expect(found(kernel, TWO)).toBe(null);
  });

  it("October: with reclaim, too", () => {
    expect(found(OCTOBER, RECLAIM)).toBe(null);
  });

  it("November: with reclaim what it asserts ends with kswapd's death, which leaves the page on a list", () => {
    const h = found(NOVEMBER, RECLAIM);
    expect([h?.dead("reclaim"), h?.faults()[0]]).toEqual([
      true,
      "BUG list_del corruption: page->lru has been dma_pinned_flags and dma_pinned_count",
    ]);
  });

  it("November: fails once kswapd has died of the page that it had isolated, and has left it on a list", () => {
    const h = new Hand(machine(NOVEMBER, RECLAIM));
    h.past("reclaim", "isolate_lru_pages").past("one", "pin_page_for_dma").go("reclaim");
    expect([h.dead("reclaim"), page_dma_pinned(h.k, 0), PageLRU(h.k, 0)]).toEqual([true, true, true]);
    h.go("two");
    expect(h.faults()).toEqual([
      "BUG list_del corruption: page->lru has been dma_pinned_flags and dma_pinned_count",
      "BUG pin_page_for_dma: VM_BUG_ON_PAGE(PageLRU(page))",
    ]);
  });
});

describe("put_page of November: VM_BUG_ON_PAGE(page_ref_count(page) < dma_pinned_count)", () => {
  /** A user that was not converted, so many times. */
  const used = (times: number): Hand => {
    const names = Array.from({ length: times }, (_, at) => `user${at}`);
    const tasks = names.map((name, at) => [name, { path: missed, args: [0, 1, at], ends: true }] as const);
    const h = new Hand(machine(NOVEMBER, Object.fromEntries(tasks)));
    for (const name of names) h.go(name);
    return h;
  };

  it("finds a call site that was missed, but only when its uses outnumber the page's references: the fifth", () => {
    expect([used(4).faults(), used(4).k.of(page_lru_words).dma_pinned_count[0]]).toEqual([[], 4]);
    expect(used(5).faults()).toEqual([
      "BUG put_page: VM_BUG_ON_PAGE(page_ref_count(page) < dma_pinned_count)",
    ]);
  });
});

describe("put_user_page of February 2019: VM_BUG_ON_PAGE(page_ref_count(page) < BIAS)", () => {
  it("finds the driver that puts what it has never pinned, of which else a leak is all that is seen: W14, how=never", () => {
    const kernel = "v4.20+hubbard-bias-rfc-2019";
    expect(explore("W14,how=never", { kernel }).outcomes).toEqual(["LEAK"]);
    const { outcomes, shortest } = explore("W14,how=never,debug=yes", { kernel });
    expect(outcomes).toEqual(["BUG"]);
    expect(run(shortest[0].replay).faults.map(({ message }) => message)).toEqual([
      "put_user_page: VM_BUG_ON_PAGE(page_ref_count(page) < BIAS)",
    ]);
  });
});
