/**
 * D4 of the proposals' reference: the arithmetic of grabbing and putting. FOLL_PIN and its counts are of v5.6 and later; v4.20 has GET
 * and put_page, and no more: these rows are counted here, the others are listed with the kernel that brought them.
 */
import { describe, expect, it } from "vitest";
import { ib_umem_get, ib_umem_release } from "../../src/kernel/drivers/infiniband.js";
import { FOLL, get_user_pages, get_user_pages_fast } from "../../src/kernel/mm/gup.js";
import { get_page, page_count } from "../../src/kernel/mm/page.js";
import { put_page } from "../../src/kernel/mm/swap.js";
import { FS } from "../../src/kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../src/kernel/structs.js";
import { explore } from "../../src/lab/explore.js";
import { page_maybe_dma_pinned } from "../../src/trace/words.js";
import { disk, dma, flusher, read, reclaim, store } from "../kernel/actors.js";
import { ask } from "../kernel/drivers/ask.js";
import { type Actor, Hand, small } from "../kernel/harness.js";
import { type Listed, whole } from "./rows.js";

const LISTED: Listed = {
  "any, r <= 0: grab": "-ENOMEM is try_get_page's, v5.1: v4.20's get_page takes it all the same, see below",
  "P2PDMA without its flag: grab": "-EREMOTEIO came with FOLL_PCI_P2PDMA, v6.2",
  "zero page: PIN n, unpin": "v6.5",
  "small: PIN n": "GUP_PIN_COUNTING_BIAS came with v5.7",
  "large: PIN n": "the count of pins came with v5.7",
  "small: unpin n": "v5.7",
  "large: unpin n": "v5.7",
  "small: folio_add_pin": "v6.5",
  "large: folio_add_pin": "v6.5",
  "counters acquired and released": "nr_foll_pin_acquired and nr_foll_pin_released came with v5.7",
  "IS_ERR npages to unpin":
    "a driver of v4.20 puts its pages itself: there is no function that could be given an error",
  "NULL entries skipped": "the same; v4.20's gup_benchmark stops at the first, see D9",
};

describe("D4 on v4.20", () => {
  const rw = VM_SHARED | VM_WRITE;

  it("any: GET n is n references more, and n times put_page gives them back", () => {
    for (const n of [1, 2, 5]) {
      const vmas = Array.from({ length: n }, () => ({ pages: 1, file: 1, flags: rw }));
      const answers: number[] = [];
      const gets = Array.from({ length: n }, (_, at): [string, Actor] => [
        `get${at}`,
        ask(get_user_pages_fast, [at, 1, 1, at], answers),
      ]);
      const touch = Array.from({ length: n }, (_, at): [string, Actor] => [`store${at}`, store(at)]);
      const h = new Hand(
        small({ pages: 1, geometry: { vmas, dios: n } }, Object.fromEntries([...touch, ...gets])),
      );
      for (const [name] of touch) h.go(name);
      const before = page_count(h.k, 0);
      for (const [name] of gets) h.go(name);
      expect([answers, page_count(h.k, 0) - before]).toEqual([new Array(n).fill(1), n]);
      for (let at = 0; at < n; at++) put_page(h.k, 0);
      expect(page_count(h.k, 0)).toBe(before);
    }
  });

  it("any: of a huge page the head counts, once for each base page", () => {
    const geometry = { hugePages: 1, hugeOrder: 2, config: ["compound"], dioPages: 4 } as const;
    const answers: number[] = [];
    const h = new Hand(
      small(
        { cached: false, pages: 2, fs: FS.hugetlbfs, filePages: 4, geometry },
        { store: store(1), get: ask(get_user_pages, [0, 4, FOLL.WRITE, 0], answers) },
      ),
    ).go("store");
    const before = h.refs(0);
    h.go("get");
    expect([answers, [0, 1, 2, 3].map((page) => h.refs(page))]).toEqual([[4], [before + 4, 0, 0, 0]]);
    for (const page of [0, 1, 2, 3]) put_page(h.k, page);
    expect(h.refs(0)).toBe(before);
  });

  it("any, r <= 0: v4.20 counts on from below; only CONFIG_DEBUG_VM says so, and that is a BUG", () => {
    const below = (debug: boolean) => {
      const h = new Hand(
        small({ pages: 2, geometry: { config: debug ? ["debug_vm"] : [] } }, { store: store() }),
      );
      h.k.page._refcount[0] = -5;
      get_page(h.k, 0);
      return [h.refs(), ...h.faults()];
    };
    expect(below(false)).toEqual([-4]);
    expect(below(true)[1]).toBe("BUG get_page: VM_BUG_ON_PAGE(page_ref_count(page) <= 0)");
  });

  it("a driver's reference is one like any other: nothing of it is in the count", () => {
    const h = new Hand(small({ pages: 1 }, { read: read(0), dma: dma(0), disk }));
    h.past("read", "submit_bio");
    // cache, buffers, PTE, gup
    expect([h.refs(), page_maybe_dma_pinned(h.refs())]).toEqual([4, false]);
    expect(Object.keys(FOLL)).not.toContain("PIN");
  });

  describe("dirty at release: RDMA of v4.20 looks without the lock, and dirties under it only what is clean", () => {
    /** The region is registered, and its page cleaned where that is said; the release and whoever else may come, in every order. */
    const outcomes = (cleaned: boolean, more: Readonly<Record<string, Actor>>): string[] => {
      const h = new Hand(
        small(
          { pages: 2 },
          {
            get: ask(ib_umem_get, [0, 1, 1, 0]),
            release: ask(ib_umem_release, [0, 1, 1, 0]),
            flusher,
            disk,
            ...more,
          },
        ),
      ).go("get");
      if (cleaned) h.go("flusher").go("disk");
      const { complete, witnesses } = h.world.explore({ maxStates: 500_000, progress: () => true });
      expect(complete).toBe(true);
      return witnesses.map(({ kind }) => kind).sort();
    };

    it("both answers of the look are harmless while the page has its buffers", () => {
      expect(outcomes(false, {})).toEqual([]);
      expect(explore("W2,holder=rdma", { maxStates: 500_000 }).outcomes).toEqual(["OK"]);
    });

    it("and only then: where reclaim has taken them, the release warns and the write-out dies", () => {
      expect(outcomes(true, { reclaim: reclaim(3), again: flusher })).toEqual(["BUG", "WARN"]);
    });
  });

  whole(
    "D4",
    [
      "any, r <= 0: grab",
      "P2PDMA without its flag: grab",
      "any: GET n",
      "zero page: PIN n, unpin",
      "small: PIN n",
      "large: PIN n",
      "small: unpin n",
      "large: unpin n",
      "small: folio_add_pin",
      "large: folio_add_pin",
      "counters acquired and released",
      "dirty at release",
      "IS_ERR npages to unpin",
      "NULL entries skipped",
    ],
    ["any: GET n", "dirty at release"],
    LISTED,
  );
});
