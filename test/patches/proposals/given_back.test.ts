/**
 * What get_user_pages takes and gives nobody: the fast walk's page whose PTE has changed, and a long-term pin's pages of fsdax. No user puts those, and no sweep of call sites
 * finds them: whoever notes pins has to take his note back there himself.
 */
import { describe, expect, it } from "vitest";
import { GUP_BENCHMARK, gup_benchmark_ioctl } from "../../../src/kernel/mm/gup_benchmark.js";
import { page_count } from "../../../src/kernel/mm/page.js";
import { FS } from "../../../src/kernel/operations.js";
import { VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { explore } from "../../../src/lab/explore.js";
import { open } from "../../../src/lab/world.js";
import { page_dma_pinned } from "../../../src/patches/proposals/tracking.js";
import { trackings } from "../../../src/patches/proposals/trackings.js";
import { track_foll_pin } from "../../../src/patches/track_foll_pin.js";
import { PTE_BIT } from "../../../src/trace/words.js";
import { read, store } from "../../kernel/actors.js";
import { FILE, Hand, small } from "../../kernel/harness.js";

const NAMES = trackings.filter((each) => each !== track_foll_pin).map(({ name }) => name);
/** Its bit is cleared by nothing but the page's end. */
const STICKY = "wilcox-bit-sticky-2018";

/** What is said of the page, and its references, when it has been put once more than it was taken. */
const put_again = (name: string) => ({
  refs: name.includes("bias") ? 1 - 1024 : 0,
  pinned: [
    "kara-count-2018",
    STICKY,
    "hubbard-page-aux-2018",
    "williams-proxy-2018",
    "glisse-kara-bias-2019",
    "hubbard-bias-rfc-2019",
  ].includes(name),
});

describe.each([...NAMES, "morton-assertion-2018"])("%s", (name) => {
  const kernel = `v4.20+${name}`;

  it("F39: the fast walk gives a page back whose PTE has changed, with its note", () => {
    const h = new Hand(small({ kernel }, { store: store(), read: read(1) })).go("store");
    const before = h.refs();
    h.past("read", "page_cache_get_speculative");
    expect([h.path("read"), h.refs() > before]).toEqual(["gup_pte_range", true]);
    h.k.pte.entry[0] &= ~PTE_BIT.young;
    h.step("read");
    expect([h.path("read"), ["put_page", "put_user_page"].includes(h.next("read"))]).toEqual([
      "gup_pte_range",
      true,
    ]);
    h.step("read");
    expect([h.refs(), page_dma_pinned(h.k, 0), h.faults()]).toEqual([before, name === STICKY, []]);
  });

  it("W9: a long-term pin of fsdax is refused, and its page is as it was", () => {
    const h = new Hand(open("W9", { kernel, record: false }));
    const page = h.k.device_start;
    const idle = page_count(h.k, page);
    const steps = h.trace("rdma", () => h.go("rdma"));
    expect(steps).toContain(name.startsWith("wilcox-bit") ? "put_page" : "put_user_page");
    expect([h.faults(), page_count(h.k, page), page_dma_pinned(h.k, page)]).toEqual([
      ["REFUSED ib_umem_get: -EOPNOTSUPP"],
      idle,
      name === STICKY,
    ]);
    expect(explore("W9", { kernel }).outcomes).toEqual(["REFUSED"]);
  });

  it("gup_benchmark -L of fsdax: the pages stand in its array still, and their note is taken back all the same", () => {
    const bench = {
      path: gup_benchmark_ioctl,
      args: [0, 1, 1, GUP_BENCHMARK.LONGTERM, 1, 0],
      ends: true,
    };
    const h = new Hand(
      small(
        {
          kernel,
          cached: false,
          geometry: {
            files: [{ pages: 1, fs: FS.ext4_dax }],
            vmas: [{ pages: 1, file: FILE, flags: VM_SHARED | VM_WRITE }],
            devicePages: 1,
            config: ["dax"],
          },
        },
        { store: store(), bench },
      ),
    ).go("store");
    const page = h.k.device_start;
    const idle = page_count(h.k, page);
    h.past("bench", name.startsWith("wilcox-bit") ? "put_page" : "put_user_page");
    expect([page_count(h.k, page), page_dma_pinned(h.k, page)]).toEqual([idle, name === STICKY]);
    // It takes what stands there for its own, and puts it again: a count of pins is below zero then, and that is a large number.
    h.go("bench");
    const { refs, pinned } = put_again(name);
    expect([page_count(h.k, page), page_dma_pinned(h.k, page)]).toEqual([refs, pinned]);
  });
});
