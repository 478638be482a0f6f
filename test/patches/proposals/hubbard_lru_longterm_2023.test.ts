/** Long pins off the LRU (Hellwig, Kara and Hubbard, 13 and 14 February 2023): what is counted where, who sees such a page, and what reclaim had in its hands before. */
import { describe, expect, it } from "vitest";
import { page_behind } from "../../../src/kernel/mm/memory.js";
import { lru_add_drain } from "../../../src/kernel/mm/swap.js";
import { sandboxOf } from "../../../src/lab/box.js";
import { explore } from "../../../src/lab/explore.js";
import { baseOf } from "../../../src/lab/matrix/plan.js";
import { pageWords } from "../../../src/lab/page_layout.js";
import { countersOf, run } from "../../../src/lab/run.js";
import {
  PAGE_DMA_PINNED,
  PAGE_DMA_PINNED_WAS_LRU,
  page_dma_pinned,
  page_lru_words,
} from "../../../src/patches/proposals/tracking.js";
import { LRU_PLACE } from "../../../src/trace/words.js";
import { outcomes } from "./asked.js";

const LONG = "v6.2+hubbard-lru-longterm-2023";
const WAITS = `${LONG}+lru-waits-isolation`;

/** A sandbox whose pages are on their lists. */
function box(kernel = LONG, fs?: "hugetlbfs") {
  const made = sandboxOf({ pages: fs === undefined ? 1 : 2, kernel, ...(fs === undefined ? {} : { fs }) });
  lru_add_drain(made.world.k);
  return made;
}
type Box = ReturnType<typeof box>;
const words = ({ world: { k } }: Box, page = 0) => {
  const { dma_pinned_flags, dma_pinned_count, lost } = k.of(page_lru_words);
  return [dma_pinned_flags[page], dma_pinned_count[page], lost[page]];
};
const onList = ({ world: { k } }: Box) =>
  [LRU_PLACE.active, LRU_PLACE.inactive].includes(k.lruWord(0) as never);
const pins = ({ world }: Box) => {
  const { nr_foll_pin_acquired, nr_foll_pin_released } = countersOf(world);
  return nr_foll_pin_acquired - nr_foll_pin_released;
};
const PINNED = PAGE_DMA_PINNED | PAGE_DMA_PINNED_WAS_LRU;

it("is thought of for the kernel of its thread, v6.2: the matrix has it there", () => {
  expect(baseOf("hubbard-lru-longterm-2023")).toBe("v6.2");
});

describe("a page that is pinned for long (Hellwig: it should be off the LRU)", () => {
  it.each([
    ["RDMA", (b: Box) => b.rdma_reg(0, 1), (b: Box) => b.rdma_dereg()],
    ["VFIO", (b: Box) => b.vfio_map(0, 1), (b: Box) => b.vfio_unmap()],
    ["video capture", (b: Box) => b.video_qbuf(0, 1), (b: Box) => b.video_free()],
    ["AF_XDP", (b: Box) => b.xdp_reg(0, 1), (b: Box) => b.xdp_free()],
  ])("%s: leaves its list with the pin, and comes back with its end", (_, begins, ends) => {
    const made = box();
    const refs = made.world.k.page._refcount[0];
    begins(made);
    expect([words(made), onList(made), page_dma_pinned(made.world.k, 0)]).toEqual([
      [PINNED, 1, 0],
      false,
      true,
    ]);
    ends(made);
    lru_add_drain(made.world.k);
    // Each kind of pin's user has faulted the page in, and made buffers.
    expect([words(made), onList(made), pins(made)]).toEqual([[0, 0, 0], true, 0]);
    expect(made.world.k.page._refcount[0] - refs).toBe(2);
  });

  it("io_uring: a buffer of private memory leaves its list too", () => {
    const made = sandboxOf({ pages: 1, kernel: LONG });
    const { k } = made.world;
    const anonymous = k.vma.vm_start[1];
    made.store(anonymous);
    lru_add_drain(k);
    made.uring_reg(anonymous, 1);
    const page = page_behind(k, anonymous);
    expect(words(made, page)).toEqual([PINNED, 1, 0]);
    made.uring_unreg();
    expect(words(made, page)).toEqual([0, 0, 0]);
  });

  it("a short pin is left alone: O_DIRECT's page stays on its list", () => {
    const made = box("v6.3+hubbard-lru-longterm-2023");
    made.pread(0, 1);
    expect([words(made), onList(made), pins(made)]).toEqual([[0, 0, 0], true, 1]);
  });

  it("Hubbard, as with mm_users and mm_count: all long pins are one in the general count", () => {
    const made = box();
    const { k } = made.world;
    made.rdma_reg(0, 1, "write", 3);
    const one = k.page._refcount[0];
    made.vfio_map(0, 1, "write", 4);
    expect([words(made)[1], k.page._refcount[0], pins(made)]).toEqual([2, one, 1]);
    made.rdma_dereg(3);
    expect([words(made), onList(made), page_dma_pinned(k, 0), pins(made)]).toEqual([
      [PINNED, 1, 0],
      false,
      true,
      1,
    ]);
    made.vfio_unmap(4);
    expect([words(made)[0], page_dma_pinned(k, 0), pins(made)]).toEqual([0, false, 0]);
  });
});

describe("Kara: this has nothing to do with writeback", () => {
  it("reclaim does not find the page, and the flusher cleans it under the pin", () => {
    const made = box();
    const { k } = made.world;
    made.rdma_reg(0, 1);
    for (let pass = 0; pass < 4; pass++) made.reclaim();
    expect([k.page.mapcount[0], k.tagsWord(0) & 1]).toEqual([1, 1]);
    made.writeback();
    made.step("disk", 20);
    expect([page_dma_pinned(k, 0), k.tagsWord(0)]).toEqual([true, 0]);
  });

  it("so fsync tells a lie, sums break, and truncation takes the page as on v6.2: W5, W6, W7", () => {
    for (const workload of ["W5", "W6", "W7"])
      expect([workload, outcomes(workload, LONG)]).toEqual([workload, outcomes(workload, "v6.2")]);
  });
});

describe("who had the page before", () => {
  it("as in 2018: a list of isolated pages is overwritten, in 21 steps of W4 and 15 of W16", () => {
    for (const [workload, steps] of [
      ["W4", 21],
      ["W16", 15],
    ] as const) {
      const { shortest } = explore(workload, { kernel: LONG, maxStates: 300_000 });
      const bug = shortest.find(({ kind }) => kind === "BUG");
      expect([workload, bug?.steps]).toEqual([workload, steps]);
      expect(run(bug?.replay ?? "").faults.map(({ message }) => message)).toEqual([
        "list_del corruption: page->lru has been dma_pinned_flags and dma_pinned_count",
      ]);
    }
    expect(explore("W16", { kernel: "v6.2" }).verdict).toBe("safe");
  });

  it("lru-waits-isolation ends that: W16 is safe, every interleaving", () => {
    expect(outcomes("W16", WAITS)).toBe("OK");
  });

  it("but what reclaim strips before it gives the page back is stripped: W4 loses data with either", () => {
    for (const replay of [
      `rdma-long@${LONG}:p14k6p1k6p2f13d2m1p2d2k7p5f8`,
      `rdma-long@${WAITS}:p14k6p1k3p1k3f13d4k8p2m1p7f8`,
    ]) {
      const { outcomes: found, faults } = run(replay);
      expect([replay, found[0], faults.some(({ message }) => message.startsWith("list_del"))]).toEqual([
        replay,
        "LOST",
        false,
      ]);
    }
  });

  it("a huge page's words are its owner's list, which is lost", () => {
    const made = box(LONG, "hugetlbfs");
    made.uring_reg(0, 1);
    expect(
      pageWords(made.world.k, 0, LONG)
        .map(({ lost }) => lost)
        .slice(1, 3),
    ).toEqual(["lru.next", "lru.prev"]);
  });
});
