/**
 * The count in page->lru (John Hubbard, 12 October and 10 November 2018): what it does to lists, and whether the article's last sentence is right, that writeback
 * never finds pages that are off the LRU, so that the crash cannot occur.
 */
import { describe, expect, it } from "vitest";
import { page_behind } from "../../../src/kernel/mm/memory.js";
import { isolate_lru_page, lru_add_drain } from "../../../src/kernel/mm/swap.js";
import { awaited } from "../../../src/lab/awaited.js";
import { type BoxOptions, sandboxOf } from "../../../src/lab/box.js";
import { explore } from "../../../src/lab/explore.js";
import { pageWords } from "../../../src/lab/page_layout.js";
import { run } from "../../../src/lab/run.js";
import {
  PAGE_DMA_PINNED,
  PAGE_DMA_PINNED_WAS_LRU,
  page_dma_pinned,
  page_lru_words,
} from "../../../src/patches/proposals/tracking.js";
import { LRU_PLACE } from "../../../src/trace/words.js";
import { Invariants } from "../../lab/invariants.js";
import { outcomes } from "./asked.js";

const OCTOBER = "v4.20+hubbard-lru-v1-2018";
const NOVEMBER = "v4.20+hubbard-lru-2018";
const WAITS = "v4.20+lru-waits-isolation";

/** A sandbox whose pages are on their lists, or in the batch in which they came. */
function box(kernel: string, drained: boolean, options: BoxOptions = {}) {
  const made = sandboxOf({ pages: 1, kernel, ...options });
  if (drained) lru_add_drain(made.world.k);
  return made;
}
type Box = ReturnType<typeof box>;
const messages = ({ world }: Box) => world.k.faults.map(({ message }) => message);
const words = ({ world: { k } }: Box, page = 0) => {
  const { dma_pinned_flags, dma_pinned_count, lost } = k.of(page_lru_words);
  return [dma_pinned_flags[page], dma_pinned_count[page], lost[page]];
};
const onList = ({ world: { k } }: Box, page = 0) =>
  [LRU_PLACE.active, LRU_PLACE.inactive].includes(k.lruWord(page) as never);

describe("a page that is on a list", () => {
  it("November: leaves it with the pin, and is back with the last put_user_page", () => {
    const made = box(NOVEMBER, true);
    made.gup(0, 1, "write", 0);
    expect([words(made), onList(made)]).toEqual([[PAGE_DMA_PINNED | PAGE_DMA_PINNED_WAS_LRU, 1, 0], false]);
    made.gup(0, 1, "write", 1);
    expect(words(made)[1]).toBe(2);
    made.unpin(0);
    expect([page_dma_pinned(made.world.k, 0), onList(made)]).toEqual([true, false]);
    made.unpin(1);
    expect([page_dma_pinned(made.world.k, 0), messages(made)]).toEqual([false, []]);
    // putback_lru_page goes through a batch.
    lru_add_drain(made.world.k);
    expect(onList(made)).toBe(true);
    expect(new Invariants(made.world, true).violated()).toBeNull();
  });

  it("October: never comes back (Chinner: it is dumped on the ground)", () => {
    const made = box(OCTOBER, true);
    made.gup(0, 1);
    made.unpin();
    lru_add_drain(made.world.k);
    for (let times = 0; times < 5; times++) made.reclaim();
    expect([
      page_dma_pinned(made.world.k, 0),
      onList(made),
      made.world.k.page.mapping[0],
      messages(made),
    ]).toEqual([false, false, 1, []]);
  });
});

describe("a page that is on no list: isolate_lru_page says no, and nobody waits", () => {
  /** A process has just written a private page: its copy is in a batch. */
  function fresh(kernel: string): readonly [Box, number] {
    const made = box(kernel, true, { map: "private" });
    made.store(0);
    return [made, page_behind(made.world.k, 0)];
  }

  it("November, a page in a batch: is noted all the same, and comes on no list ever", () => {
    const [made, page] = fresh(NOVEMBER);
    made.gup(0, 1);
    expect(words(made, page)).toEqual([PAGE_DMA_PINNED, 1, 1]);
    lru_add_drain(made.world.k);
    made.unpin();
    lru_add_drain(made.world.k);
    expect([onList(made, page), made.world.k.page.mapcount[page], messages(made)]).toEqual([false, 1, []]);
  });

  it("November: unless it is put before the batch is drained", () => {
    const [made, page] = fresh(NOVEMBER);
    made.gup(0, 1);
    made.unpin();
    lru_add_drain(made.world.k);
    expect([onList(made, page), words(made, page)]).toEqual([true, [0, 0, 0]]);
  });

  it("October, a page in a batch: is not noted; put_user_page counts down a pointer, and who owns the list dies", () => {
    const [made, page] = fresh(OCTOBER);
    made.gup(0, 1);
    expect([page_dma_pinned(made.world.k, page), words(made, page)]).toEqual([false, [0, 0, 0]]);
    lru_add_drain(made.world.k);
    made.unpin();
    expect(words(made, page)).toEqual([0, 0, 1]);
    expect(isolate_lru_page(made.world.k, page)).toBe(true);
    expect(messages(made)[0]).toMatch(/^list_del corruption/);
  });

  it("put_user_page of a page that nobody has pinned does the same, in both: W14, how=never", () => {
    for (const kernel of [OCTOBER, NOVEMBER])
      expect([kernel, explore("W14,how=never,memory=tmpfs", { kernel }).outcomes[0]]).toEqual([
        kernel,
        "BUG",
      ]);
  });
});

describe("reclaim has the page", () => {
  it("November: its list of isolated pages is overwritten, in 20 steps of W1: shorter than any way to ext4's BUG", () => {
    const { shortest } = explore("W1", { kernel: NOVEMBER, maxStates: 300_000 });
    const bug = shortest.find(({ kind }) => kind === "BUG");
    expect(bug?.steps).toBe(20);
    const { faults } = run(bug?.replay ?? "");
    expect(faults.map(({ task, path, message }) => [task, path, message])).toEqual([
      [
        "kswapd",
        "shrink_inactive_list",
        "list_del corruption: page->lru has been dma_pinned_flags and dma_pinned_count",
      ],
    ]);
    const plain = explore("W1", { kernel: "v4.20", maxStates: 300_000 });
    expect(plain.shortest.find(({ kind }) => kind === "BUG")?.steps).toBeGreaterThan(20);
  });

  it("memory that is to be emptied dies of it as well, where v4.20 has nothing to complain of: W16", () => {
    expect(explore("W16", { kernel: NOVEMBER }).outcomes).toEqual(["BUG"]);
    expect(explore("W16", { kernel: "v4.20" }).verdict).toBe("safe");
  });
});

describe("lru-waits-isolation: get_user_pages waits until the page is back", () => {
  it("a page in a batch is drained, taken off its list, and comes back", () => {
    const made = box(WAITS, true, { map: "private" });
    made.store(0);
    const page = page_behind(made.world.k, 0);
    made.gup(0, 1);
    expect(words(made, page)).toEqual([PAGE_DMA_PINNED | PAGE_DMA_PINNED_WAS_LRU, 1, 0]);
    made.unpin();
    lru_add_drain(made.world.k);
    expect([onList(made, page), messages(made)]).toEqual([true, []]);
  });

  it("nobody's links are written over: W16 has no fault in any interleaving, and W1 none as early as 20 steps", () => {
    expect(outcomes("W16", WAITS)).toBe("OK");
    const { shortest } = explore("W1", { kernel: WAITS, maxStates: 300_000 });
    expect(shortest.filter(({ kind, steps }) => kind === "BUG" && steps <= 20)).toEqual([]);
  });

  it("but the page that it waits for is stripped meanwhile, under its reference: the article's crash, by the old way", () => {
    const made = run(`dio-reclaim@${WAITS}:p13k6p1k3p1k3f12d4k8p2m3p6f4`);
    expect(made.outcomes[0]).toBe("BUG");
    expect(made.faults.map(({ message }) => message)).toEqual([
      "ext4_set_page_dirty: WARN_ON_ONCE(!page_has_buffers(page))",
      "page_buffers: BUG_ON(!PagePrivate(page))",
    ]);
  });

  it("who waits can say for what, and a page that is never on a list is not waited for", () => {
    const { world } = run(`dio-reclaim@${WAITS}:p13k6p3`);
    const dio = world.machine.tasks.findIndex(({ name }) => name === "dio");
    expect(awaited(world, dio)).toBe("page 0 to be back on its LRU list");
    const huge = box(WAITS, true, { fs: "hugetlbfs", pages: 2 });
    huge.uring_reg(0, 1);
    expect(words(huge)[2]).toBe(1);
  });
});

describe("who is not noted, here as in the series", () => {
  it("i915's pages are counted down and were never counted up (__get_user_pages_fast)", () => {
    const made = box(NOVEMBER, true, { driver: "i915" });
    made.store(0);
    made.i915_exec();
    made.step("gpu", 20);
    expect(words(made)).toEqual([0, 0, 0]);
    made.i915_free();
    expect(words(made)).toEqual([0, 0, 1]);
  });
});

describe("A9: pages whose words are somebody's for ever", () => {
  it("a huge page: its owner's list is lost, and whoever frees it dies", () => {
    const made = box(NOVEMBER, true, { fs: "hugetlbfs", pages: 2 });
    made.uring_reg(0, 1);
    const { k } = made.world;
    const [next, prev] = pageWords(k, 0, NOVEMBER).slice(1, 3);
    expect([next.field, next.lost, prev.field, prev.value, prev.lost]).toEqual([
      "dma_pinned_flags",
      "lru.next",
      "dma_pinned_count",
      "1",
      "lru.prev",
    ]);
    made.uring_unreg();
    expect(words(made)).toEqual([0, 0, 1]);
  });

  it("a page of a device: pgmap is lost while it is pinned, hmm_data for ever; another put reads a wrong type", () => {
    const made = box(NOVEMBER, true, { fs: "ext4-dax" });
    const { k } = made.world;
    const page = k.device_start;
    made.gup(0, 1);
    expect(pageWords(k, page, NOVEMBER).map(({ lost }) => lost)[1]).toBe("pgmap");
    expect(pageWords(k, page, NOVEMBER).map(({ lost }) => lost)[2]).toBe("hmm_data");
    expect(messages(made)).toEqual([]);
    made.vmsplice(0, 1);
    made.pipe_read();
    expect(messages(made)).toEqual(["put_devmap_managed_page: page->pgmap is dma_pinned_flags"]);
    made.unpin();
    expect(pageWords(k, page, NOVEMBER)[2]).toMatchObject({ field: "dma_pinned_count", lost: "hmm_data" });
  });
});

describe("A7: off the LRU, so writeback never finds them, so the crash cannot occur", () => {
  it("the flusher finds a page off the LRU, by the mapping's tag, and cleans it under the pin", () => {
    const made = box(NOVEMBER, true);
    made.gup(0, 1);
    made.dma(0);
    const { k } = made.world;
    expect([onList(made), k.tagsWord(0) & 1]).toEqual([false, 1]);
    made.writeback();
    made.step("disk", 20);
    expect([onList(made), page_dma_pinned(k, 0), k.tagsWord(0)]).toEqual([false, true, 0]);
  });

  it("where reclaim is nobody's business the crash occurs as before: an O_DIRECT write strips the page, every order seen", () => {
    const { complete, shortest } = explore("W1,strip=diowrite", { kernel: NOVEMBER });
    const bug = shortest.find(({ kind }) => kind === "BUG");
    expect([complete, bug?.steps]).toEqual([true, 77]);
    expect(run(bug?.replay ?? "").faults.map(({ message }) => message)).toEqual([
      "ext4_set_page_dirty: WARN_ON_ONCE(!page_has_buffers(page))",
      "page_buffers: BUG_ON(!PagePrivate(page))",
    ]);
  });

  it("reclaim itself strips a page that it had isolated before the pin: W1 warns", () => {
    const { shortest } = explore("W1", { kernel: NOVEMBER, maxStates: 1_000_000 });
    const warn = shortest.find(({ kind }) => kind === "WARN");
    expect(run(warn?.replay ?? "").faults.map(({ message }) => message)).toEqual([
      "ext4_set_page_dirty: WARN_ON_ONCE(!page_has_buffers(page))",
    ]);
  });
});
