/**
 * D4 of the proposals' reference: the arithmetic of grabbing and putting, on every kernel. v4.20 has GET and put_page, and no more; FOLL_PIN came with v5.6, its
 * counts with v5.7. Each row is counted on every kernel that has what it speaks of; the others are listed.
 */
import { describe, expect, it } from "vitest";
import { ib_umem_get, ib_umem_release } from "../../src/kernel/drivers/infiniband.js";
import { ERRNO } from "../../src/kernel/errno.js";
import { call, down_read, path } from "../../src/kernel/language.js";
import { mmap_sem } from "../../src/kernel/locks.js";
import { FOLL, get_user_pages, get_user_pages_fast, get_user_pages_locked } from "../../src/kernel/mm/gup.js";
import { mm_of } from "../../src/kernel/mm/memory.js";
import { get_page, page_count } from "../../src/kernel/mm/page.js";
import { process_vm_rw } from "../../src/kernel/mm/process_vm_access.js";
import { put_page } from "../../src/kernel/mm/swap.js";
import { FS } from "../../src/kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../src/kernel/structs.js";
import { int, pages_nr, vpn } from "../../src/kernel/types.js";
import { explore } from "../../src/lab/explore.js";
import { countersOf } from "../../src/lab/run.js";
import { findKernel, kernels } from "../../src/patches/kernels.js";
import { FOLL_PIN, unpin_user_page } from "../../src/patches/pin_user_pages.js";
import { compound_pincount } from "../../src/patches/track_foll_pin.js";
import { refs_maybe_dma_pinned } from "../../src/trace/words.js";
import { disk, dma, flusher, load, read, reclaim, store } from "../kernel/actors.js";
import { ask } from "../kernel/drivers/ask.js";
import { type Actor, Hand, small } from "../kernel/harness.js";
import { anonymous } from "../kernel/processes.js";
import { type Listed, whole } from "./rows.js";

const LISTED: Listed = {
  "P2PDMA without its flag: grab":
    "-EREMOTEIO came with FOLL_PCI_P2PDMA (v6.2): there is no such memory here",
  "small: folio_add_pin":
    "v6.5: who pins a page that it has pinned already is fs/direct-io.c, for two bios; an O_DIRECT here is one bio",
  "large: folio_add_pin": "the same",
  "IS_ERR npages to unpin":
    "pages are unpinned one by one here: there is no function that could be given an error for their number",
  "NULL entries skipped": "the same; v4.20's gup_benchmark stops at the first, see D9",
};

const names = kernels.map(({ name }) => name);
const has = (kernel: string, patch: string): boolean =>
  findKernel(kernel).patches.some(({ name }) => name === patch);
const having = (patch: string): string[] => names.filter((kernel) => has(kernel, patch));
const lacking = (patch: string): string[] => names.filter((kernel) => !has(kernel, patch));

/** pin_user_pages for reading, which VFIO's read-only maps and an O_DIRECT write ask for. */
const pinning_read = path(
  "pinning_read",
  { source: "a test", args: { start: vpn, nr: int, pages: pages_nr }, returns: int },
  [
    down_read(mmap_sem, (k, f) => mm_of(k, f.start)),
    call(() => get_user_pages_locked, { start: "start", nr: "nr", flags: FOLL_PIN, pages: "pages" }, "ret"),
  ],
);

/** The counts of pins: acquired and released. */
const vmstat = ({ world }: Hand): number[] => {
  const { nr_foll_pin_acquired, nr_foll_pin_released } = countersOf(world);
  return [nr_foll_pin_acquired, nr_foll_pin_released];
};

/** Regions that RDMA registers, one for each of `n` mappings of a small page of tmpfs, whose long-term pins nobody refuses. */
function small_page(kernel: string, n: number): { h: Hand; answers: number[] } {
  const vmas = Array.from({ length: n }, () => ({ pages: 1, file: 1, flags: VM_SHARED | VM_WRITE }));
  const answers: number[] = [];
  const actors: Record<string, Actor> = {};
  for (let at = 0; at < n; at++) {
    actors[`store${at}`] = store(at);
    actors[`pin${at}`] = ask(ib_umem_get, [at, 1, 1, at], answers);
    actors[`unpin${at}`] = ask(ib_umem_release, [at, 1, 1, at]);
    actors[`get${at}`] = ask(get_user_pages_fast, [at, 1, 1, at], answers);
  }
  const h = new Hand(small({ kernel, pages: 1, fs: FS.tmpfs, geometry: { vmas, dios: n } }, actors));
  for (let at = 0; at < n; at++) h.go(`store${at}`);
  return { h, answers };
}

/** A region of a whole compound page of 2^order page frames. */
function large_page(kernel: string, order: number): Hand {
  const filePages = 1 << order;
  const geometry = { hugePages: 1, hugeOrder: order, config: ["compound"], dioPages: filePages } as const;
  return new Hand(
    small(
      { kernel, cached: false, pages: filePages, fs: FS.hugetlbfs, filePages, geometry },
      {
        store: store(0),
        pin: ask(ib_umem_get, [0, filePages, 1, 0]),
        unpin: ask(ib_umem_release, [0, filePages, 1, 0]),
      },
    ),
  ).go("store");
}

const pincount = ({ world: { k } }: Hand): number => Number(k.of(compound_pincount).compound_pincount[0]);

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
    expect([h.refs(), refs_maybe_dma_pinned(h.refs())]).toEqual([4, false]);
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
});

describe("D4 on every kernel", () => {
  it.each(names)("any: GET n on %s is n references more", (kernel) => {
    for (const n of [1, 3]) {
      const { h, answers } = small_page(kernel, n);
      const before = h.refs();
      for (let at = 0; at < n; at++) h.go(`get${at}`);
      expect([answers, h.refs() - before]).toEqual([new Array(n).fill(1), n]);
    }
  });

  it.each(names)("small: PIN n on %s is 1024 n from v5.7 on, n before; unpin n gives them back", (kernel) => {
    const each = has(kernel, "track-foll-pin") ? 1024 : 1;
    for (const n of [1, 3]) {
      const { h } = small_page(kernel, n);
      const before = h.refs();
      // A page that is seen twice goes to the active list, by way of a batch that holds a reference.
      for (let at = 0; at < n; at++) h.clear(["referenced"]).go(`pin${at}`);
      expect(h.refs() - before).toBe(n * each);
      for (let at = 0; at < n; at++) h.go(`unpin${at}`);
      expect(h.refs()).toBe(before);
    }
  });

  it.each(having("track-foll-pin"))("large: PIN n on %s is n references and n pins of the head", (kernel) => {
    const h = large_page(kernel, 2);
    const before = h.refs();
    h.go("pin");
    expect([h.refs() - before, pincount(h), h.refs(1)]).toEqual([4, 4, 0]);
    h.go("unpin");
    expect([h.refs(), pincount(h)]).toEqual([before, 0]);
  });

  it.each(having("track-foll-pin"))(
    "a compound page of two page frames on %s: exact from v5.18 on (5232c63f46fd), biased before",
    (kernel) => {
      const h = large_page(kernel, 1);
      const before = h.refs();
      h.go("pin");
      const exact = has(kernel, "exact-pincount");
      expect([h.refs() - before, pincount(h)]).toEqual(exact ? [2, 2] : [2048, 0]);
      h.go("unpin");
      expect([h.refs(), pincount(h)]).toEqual([before, 0]);
    },
  );

  it.each(having("track-foll-pin"))(
    "counters on %s: a pin of n pages is n acquired, its drop n released",
    (kernel) => {
      const { h } = small_page(kernel, 2);
      h.go("get0").go("pin1");
      expect(vmstat(h)).toEqual([1, 0]);
      h.go("unpin1");
      expect(vmstat(h)).toEqual([1, 1]);
      const large = large_page(kernel, 2).go("pin");
      expect(vmstat(large)).toEqual([4, 0]);
      expect(vmstat(large.go("unpin"))).toEqual([4, 4]);
    },
  );

  it.each(having("track-foll-pin"))(
    "any, r <= 0: %s warns, and takes neither a reference nor a pin",
    (kernel) => {
      for (const [kind, count] of [
        ["pin", 0],
        ["pin", -5],
        ["get", -5],
      ] as const) {
        const { h, answers } = small_page(kernel, 1);
        h.k.page._refcount[0] = count;
        h.go(`${kind}0`);
        expect([answers, h.refs(), vmstat(h)]).toEqual([[-ERRNO.ENOMEM], count, [0, 0]]);
        expect(h.faults()[0]).toBe("WARN try_grab_page: WARN_ON_ONCE(page_ref_count(page) <= 0)");
      }
    },
  );

  /** A process that reads memory of its own that it has never written, and a register that only reads. */
  const zero = (kernel: string): { h: Hand; page: number } => {
    const h = new Hand(
      small(
        { ...anonymous(1, { dios: 3 }), kernel },
        { load: load(0), pin: ask(pinning_read, [0, 1, 0]), unpin: ask(unpin_user_page, [4]) },
      ),
    ).go("load");
    return { h, page: h.k.geometry.pages };
  };

  // On v5.8 nobody can have the zero page: a reference to a private mapping is had for writing.
  const gives_zero_page = (kernel: string): boolean => !has(kernel, "force-cow-break");

  it.each(having("track-foll-pin").filter(gives_zero_page))(
    "zero page: PIN and unpin on %s change nothing from v6.5 on",
    (kernel) => {
      const { h, page } = zero(kernel);
      expect(page).toBe(4);
      const before = h.refs(page);
      h.go("pin");
      const counted = has(kernel, "zero-page-not-pinned") || has(kernel, "zero-page-unpinned") ? 0 : 1;
      expect([h.refs(page) - before, vmstat(h)]).toEqual([1024 * counted, [counted, 0]]);
      h.go("unpin");
      expect([h.refs(page), vmstat(h)]).toEqual([before, [counted, counted]]);
    },
  );

  it("a plain reference of the zero page counts on every kernel", () => {
    for (const kernel of names.filter(gives_zero_page)) {
      const actors = { load: load(0), get: ask(get_user_pages_fast, [0, 1, 0, 0]) };
      const h = new Hand(small({ ...anonymous(), kernel }, actors)).go("load");
      const before = h.refs(4);
      expect([kernel, h.go("get").refs(4) - before]).toEqual([kernel, 1]);
    }
  });

  describe("dirty at release: clean pages are dirtied by who unpins them, which is harmless while they have their buffers", () => {
    /** process_vm_writev has its page; the page is cleaned, and reclaim may come before it is unpinned. */
    const outcomes = (kernel: string, passes: number): string[] => {
      const h = new Hand(
        small(
          { kernel, pages: 2 },
          {
            writev: { path: process_vm_rw, args: [0, 1, 1, 0], ends: true },
            flusher,
            disk,
            ...(passes > 0 ? { reclaim: reclaim(passes) } : {}),
            again: flusher,
          },
        ),
      ).until("writev", (k) => k.user_pages.nr[0] === 1);
      h.go("flusher").go("disk");
      const { complete, witnesses } = h.world.explore({ maxStates: 100_000, progress: () => true });
      expect(complete).toBe(true);
      return witnesses.map(({ kind }) => kind).sort();
    };

    it.each(names)("on %s", (kernel) => {
      expect(outcomes(kernel, 0)).toEqual([]);
      const after_reclaim = has(kernel, "keep-private-of-pinned")
        ? []
        : has(kernel, "ext4-page-without-buffers")
          ? ["LOST", "WARN"]
          : ["BUG", "WARN"];
      expect(outcomes(kernel, 3)).toEqual(after_reclaim);
    });
  });

  it("says for each row on which kernels it was counted", () => {
    expect(lacking("track-foll-pin")).toEqual(["v4.20", "v5.2", "v5.5", "v5.6"]);
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
    [
      "any, r <= 0: grab",
      "any: GET n",
      "zero page: PIN n, unpin",
      "small: PIN n",
      "large: PIN n",
      "small: unpin n",
      "large: unpin n",
      "counters acquired and released",
      "dirty at release",
    ],
    LISTED,
  );
});
