/**
 * The other ways to note a pin that were thought of from 2018 to 2019, each held against what its critics said (LWN, 12 December 2018; linux-mm, December 2018 and
 * February 2019).
 */
import { describe, expect, it } from "vitest";
import { call, path, pause, step } from "../../../src/kernel/language.js";
import { get_user_pages_fast } from "../../../src/kernel/mm/gup.js";
import { get_page, page_count } from "../../../src/kernel/mm/page.js";
import { put_page } from "../../../src/kernel/mm/swap.js";
import { put_pages } from "../../../src/kernel/mm/user_pages.js";
import { int, pages_nr, pfn, vpn } from "../../../src/kernel/types.js";
import { type BoxOptions, sandboxOf } from "../../../src/lab/box.js";
import { explore } from "../../../src/lab/explore.js";
import { run } from "../../../src/lab/run.js";
import type { Oracle } from "../../../src/lab/scenario.js";
import type { FrameOf } from "../../../src/machine/path.js";
import {
  dma_pinned_count,
  mapping_pins,
  page_dma_pinned,
  page_lru_words,
  page_objects,
} from "../../../src/patches/proposals/tracking.js";
import { small } from "../../kernel/harness.js";

const DRIVER = {
  source: "a driver",
  args: { start: vpn, nr: int, pages: pages_nr },
  locals: { at: int, page: pfn, ret: int },
} as const;
/** Has the name of W15's driver, which is converted. */
const driver = path("counter", DRIVER, [
  call(() => get_user_pages_fast, { start: "start", nr: "nr", write: 0, pages: "pages" }, "ret"),
  pause("uses the page"),
  ...put_pages<FrameOf<typeof DRIVER>>([]),
]);
/** Somebody who looks at the page for a moment: a lookup in the cache. */
const looker = path("looker", { source: "a test" }, [
  step("get_page", (k) => get_page(k, 0)),
  step("put_page", (k) => put_page(k, 0)),
]);

/** What the kernel says of page 0, and what is so. */
const MISSED: Oracle = {
  kind: "STALE",
  help: "a page is pinned, and the kernel says that it is not",
  when: "always",
  check: ({ k }) => (k.page.pins[0] > 0 && !page_dma_pinned(k, 0) ? { page: 0, message: "missed" } : null),
};
const STUCK: Oracle = {
  kind: "LEAK",
  help: "nobody has the page any more, and the kernel says that it is pinned",
  when: "end",
  check: ({ k, resting }) =>
    resting() && k.page.pins[0] === 0 && page_dma_pinned(k, 0) ? { page: 0, message: "stuck" } : null,
};

/** Every order of a driver and somebody else, on a kernel; the faults with the number of steps. */
function searched(name: string): readonly string[] {
  const world = small(
    { kernel: `v4.20+${name}`, pages: 2, oracles: [MISSED, STUCK], record: false },
    { driver: { path: driver, args: [0, 1, 0], ends: true }, looker: { path: looker, ends: true } },
  );
  const { witnesses, complete } = world.explore({ maxStates: 100_000, progress: () => true });
  expect(complete).toBe(true);
  return witnesses.map(({ kind, schedule }) => `${kind} ${schedule.length}`);
}

const box = (kernel: string, options: BoxOptions = {}) =>
  sandboxOf({ kernel: `v4.20+${kernel}`, ...options });
const messages = (made: ReturnType<typeof box>) => made.world.k.faults.map(({ message }) => message);

describe("A14: one bit, with a page that somebody else looks at meanwhile", () => {
  it("any put clears it: a pinned page is missed", () => {
    expect(searched("wilcox-bit-2018")[0]).toMatch(/^STALE/);
  });
  it("no put clears it: a page that is not pinned any more looks pinned", () => {
    expect(searched("wilcox-bit-sticky-2018")).toEqual([expect.stringMatching(/^LEAK/)]);
  });
  it("so that whoever asks is told nothing: with the bit W1 dies as it does where nobody asks, in the same 63 steps", () => {
    const order = "p13k6p2m3p1k6f12d4k7p5f4";
    const dies = (kernel: string) => run(`dio-reclaim@${kernel}:${order}`).outcomes.includes("BUG");
    const asks = "hubbard-ttu-serialised-2018";
    expect([
      dies("v4.20"),
      dies(`v4.20+wilcox-bit-2018+${asks}`),
      dies(`v4.20+kara-count-2018+${asks}`),
    ]).toEqual([true, true, false]);
  });
  it("a count is right in every order", () => {
    expect(searched("kara-count-2018")).toEqual([]);
  });
});

describe("A30: 1,024 references a pin", () => {
  const BOTH = ["glisse-kara-bias-2019", "hubbard-bias-rfc-2019"];

  it.each(BOTH)("%s: the count is what it was, once the page is put", (name) => {
    const made = box(name);
    const { k } = made.world;
    made.store(0);
    const before = page_count(k, 0);
    made.gup(0, 1);
    expect([page_count(k, 0) - before, page_dma_pinned(k, 0)]).toEqual([1024, true]);
    made.unpin();
    expect([page_count(k, 0), page_dma_pinned(k, 0)]).toEqual([before, false]);
  });

  it("the question is fuzzy on one side and was posted one off: 1,024 plain references are none, 1,025 are a pin, a pin alone is none", () => {
    const { k } = box(BOTH[0]).world;
    const says = [1, 1023, 1024, 1025, -5].map((count) => {
      k.page._refcount[0] = count;
      return page_dma_pinned(k, 0);
    });
    expect(says).toEqual([false, false, false, true, true]);
  });

  it("as posted, put_user_page does not look whether that was all: a process that dies first leaks its page (W14, W15)", () => {
    for (const workload of ["W14,how=death", "W15"]) {
      const posted = explore(workload, { kernel: `v4.20+${BOTH[1]}` });
      expect([workload, posted.outcomes]).toEqual([workload, ["LEAK"]]);
      expect(explore(workload, { kernel: `v4.20+${BOTH[0]}` }).outcomes).toEqual(["OK"]);
    }
  });

  it("put_page of a pin leaves 1,023 references for ever: W14, how=put, right in v4.20", () => {
    expect(explore("W14,how=put", { kernel: `v4.20+${BOTH[0]}` }).outcomes).toEqual(["LEAK"]);
    expect(explore("W14,how=put", { kernel: "v4.20" }).outcomes).toEqual(["OK"]);
  });
});

describe("A29: more mapcounts than PTEs", () => {
  const NAME = "glisse-mapcount-2018";

  it("says so of a page of a file, and not of an anonymous one", () => {
    const file = box(NAME);
    file.gup(0, 1);
    expect(page_dma_pinned(file.world.k, 0)).toBe(true);
    file.unpin();
    expect(page_dma_pinned(file.world.k, 0)).toBe(false);
    const anon = box(NAME, { map: "private" });
    anon.gup(0, 1);
    expect(
      [...anon.world.k.page.pins].map((pins, page) => pins > 0 && page_dma_pinned(anon.world.k, page)),
    ).not.toContain(true);
  });

  it("does something by itself: reclaim cannot unmap the page, and keeps its buffers", () => {
    const stripped = (kernel: string) => {
      const made = box(kernel);
      made.gup(0, 1);
      made.writeback();
      made.step("disk", 50);
      for (let times = 0; times < 5; times++) made.reclaim();
      return made.world.k.buffersWord(0) === 0;
    };
    expect([stripped("kara-count-2018"), stripped(NAME)]).toEqual([true, false]);
  });

  it("does as much as an exact count that try_to_unmap asks, and no more: one order kills both (each is the shortest of W1's 2.8 and 2.6 million states)", () => {
    const order = "p13k16p2k17p2k2p1k2p10m3p1k2f3d4k1f3k1f2k1f4d4k4p5f4";
    for (const kernel of [NAME, "kara-count-2018+hubbard-ttu-serialised-2018"])
      expect(run(`dio-reclaim@v4.20+${kernel}:${order}`).outcomes).toContain("BUG");
  });

  it("truncation takes a page out of the cache that looks mapped, and complains: W7", () => {
    const { shortest } = explore("W7", { kernel: `v4.20+${NAME}` });
    const warn = shortest.find(({ kind }) => kind === "WARN");
    expect(run(warn?.replay ?? "").faults.map(({ message }) => message)).toEqual([
      "unaccount_page_cache_page: BUG: Bad page cache: the page is mapped",
    ]);
  });
});

describe("A29: the file counts", () => {
  const NAME = "hubbard-mapping-count-2018";
  const counts = ({ world: { k } }: ReturnType<typeof box>) =>
    [...k.of(mapping_pins).dma_pinned_count].slice(0, k.inode.i_pages[1]);

  it("is right where nobody truncates", () => {
    const made = box(NAME, { pages: 2 });
    made.gup(0, 2);
    expect([counts(made), page_dma_pinned(made.world.k, 1)]).toEqual([[1, 1], true]);
    made.unpin();
    expect(counts(made)).toEqual([0, 0]);
  });

  it("of a page that was truncated under its pin put_user_page finds no file: the next page there looks pinned for good", () => {
    const made = box(NAME, { pages: 1 });
    made.gup(0, 1);
    made.truncate(0);
    expect(page_dma_pinned(made.world.k, 0)).toBe(false);
    made.unpin();
    expect(counts(made)).toEqual([1]);
    made.truncate(1);
    made.load(0);
    const { k } = made.world;
    const next = k.xa_slot.page[0] - 1;
    expect([next >= 0, k.page.pins[next], page_dma_pinned(k, next)]).toEqual([true, 0, true]);
  });

  it("Williams's race: the fast walk reads page->mapping, the page leaves its file, and the file counts a page that it has not", () => {
    const made = box(NAME, { pages: 1 });
    made.load(0);
    const { machine, k } = made.world;
    const thread = machine.tasks.findIndex(({ name }) => name === "A");
    made.gup({ at: 0, nr: 1, mode: "read", array: 0, by: "A", hold: true } as never);
    for (let steps = 0; machine.at(thread).step !== "dma_pinned_count"; steps++) {
      expect(steps).toBeLessThan(20);
      made.step("A", 1);
    }
    made.truncate({ size: 0, by: "B" } as never);
    made.step("A", 50);
    expect([k.page.pins[0], page_dma_pinned(k, 0), counts(made)]).toEqual([1, false, [1]]);
  });
});

describe("A29: an object for each", () => {
  it.each(["hubbard-page-aux-2018", "williams-proxy-2018"])(
    "%s: get_user_pages fails where there is no memory",
    (name) => {
      const asked = explore("W18,holder=rdma,pages=2", { kernel: `v4.20+${name}` });
      const refused = asked.shortest.find(({ kind }) => kind === "REFUSED");
      expect([asked.complete, run(refused?.replay ?? "").faults.map(({ message }) => message)]).toEqual([
        true,
        ["ib_umem_get: -ENOMEM"],
      ]);
      expect(explore("W18,holder=rdma,pages=2", { kernel: "v4.20+kara-count-2018" }).outcomes).toEqual([
        "OK",
      ]);
    },
  );

  it("page_aux: one for a page; proxies: one for a pin", () => {
    for (const [name, slab] of [
      ["hubbard-page-aux-2018", 0],
      ["williams-proxy-2018", 1],
    ] as const) {
      const made = box(name, { pages: 1 });
      const { k } = made.world;
      const free = () => [...k.page._refcount].filter((count) => count === 0).length;
      const before = free();
      made.gup(0, 1, "write", 0);
      made.gup(0, 1, "write", 1);
      expect([name, before - free(), k.of(page_objects).pins[0]]).toEqual([name, slab, 2]);
      made.unpin(0);
      made.unpin(1);
      expect([free(), page_dma_pinned(k, 0)]).toEqual([before, false]);
    }
  });
});

describe("A15: who does not know where a page came from", () => {
  const COUNT = "kara-count-2018";
  const count = ({ world: { k } }: ReturnType<typeof box>) =>
    // Below zero it is a large number.
    (k.of(dma_pinned_count).dma_pinned_count[0] << 16) >> 16;
  const piped = (kernel: string, tee: boolean) => {
    const made = box(kernel);
    made.vmsplice(0, 1);
    if (tee) made.tee();
    made.pipe_read();
    if (tee) made.pipe_read(6);
    return made;
  };

  it("a pipe that puts by put_page leaves the page counted for ever", () => {
    expect(count(piped(COUNT, false))).toBe(1);
  });

  it("one that puts by put_user_page counts right, but for what tee made: one too low", () => {
    const kernel = `put-user-page-of-pipe+${COUNT}`;
    expect([count(piped(kernel, false)), count(piped(kernel, true))]).toEqual([0, -1]);
  });

  it("with ref_user_page in tee it is right", () => {
    const kernel = `williams-ref-user-page-2018+${COUNT}`;
    expect([count(piped(kernel, false)), count(piped(kernel, true))]).toEqual([0, 0]);
  });

  it.each([
    "wilcox-bit-2018",
    "glisse-mapcount-2018",
    "hubbard-mapping-count-2018",
    "hubbard-page-aux-2018",
    "glisse-kara-bias-2019",
    "hubbard-bias-rfc-2019",
  ])("and so it is for %s", (name) => {
    const fresh = box(name);
    fresh.load(0);
    const { k } = piped(`williams-ref-user-page-2018+${name}`, true).world;
    expect([k.page.pins[0], page_count(k, 0), page_dma_pinned(k, 0)]).toEqual([
      0,
      page_count(fresh.world.k, 0),
      false,
    ]);
  });

  it.each(["hubbard-lru-v1-2018", "hubbard-lru-2018"])(
    "%s: without it the second put writes over links of a list, with it the words are nobody's again",
    (name) => {
      const words = (kernel: string) => {
        const { dma_pinned_flags, dma_pinned_count, lost } = piped(kernel, true).world.k.of(page_lru_words);
        return [dma_pinned_flags[0], dma_pinned_count[0], lost[0]];
      };
      expect(words(`put-user-page-of-pipe+${name}`)).toEqual([0, 0, 1]);
      expect(words(`williams-ref-user-page-2018+${name}`)).toEqual([0, 0, 0]);
    },
  );

  it("ref_user_page sets the assertion's bit again, and nothing is said of a pipe", () => {
    expect(messages(piped("williams-ref-user-page-2018+morton-assertion-2018", true))).toEqual([]);
    expect(messages(piped("morton-assertion-2018", true))).toHaveLength(1);
  });

  it("a bias loses 1,023 references each time: the page is nobody's to free", () => {
    const made = piped("glisse-kara-bias-2019", false);
    expect([made.world.k.page.pins[0], page_count(made.world.k, 0) > 1023]).toEqual([0, true]);
  });

  it("one bit makes no difference between them: it is cleared by whoever comes first", () => {
    const made = box("wilcox-bit-2018");
    made.vmsplice(0, 1);
    made.gup(0, 1);
    made.pipe_read();
    expect([made.world.k.page.pins[0], page_dma_pinned(made.world.k, 0)]).toEqual([1, false]);
  });

  it("a proxy is recognised by whoever puts it, and catches tee's get_page", () => {
    const plain = piped("williams-proxy-2018", false);
    expect([plain.world.k.of(page_objects).pins[0], messages(plain)]).toEqual([0, []]);
    const teed = piped("williams-proxy-2018", true);
    expect([teed.world.k.of(page_objects).pins[0], messages(teed)]).toEqual([
      0,
      ["get_page: WARN_ON(page is a proxy): ref_user_page should have been called"],
    ]);
  });
});
