import { describe, expect, it } from "vitest";
import { bad_block, torn_blocks } from "../../../src/kernel/block/disk.js";
import type { Config } from "../../../src/kernel/config.js";
import { filemap_check_errors } from "../../../src/kernel/mm/mapping_error.js";
import { disk, dma, flusher, load, read, store } from "../actors.js";
import { Hand, small } from "../harness.js";

describe("a disk", () => {
  it("moves a page part by part: what is stored meanwhile reaches the parts that have not gone", () => {
    const h = new Hand(small({ pages: 1, parts: 4 }, { store: store(), again: store(), flusher, disk }));
    h.go("store").go("flusher").past("disk", "transfer").step("disk").go("again").go("disk");
    expect([...h.k.block.version]).toEqual([1, 1, 2, 2]);
    expect([h.has("dirty"), h.world.lostWrites()]).toEqual([true, []]);
  });

  it("serves its queue in order, and counts kilobytes", () => {
    const h = new Hand(small({ filePages: 3, pages: 3 }, { a: store(2), b: store(0), flusher, disk }));
    h.go("a").go("b").go("flusher").until("disk", "transfer");
    expect(h.k.page.io_next[0]).toBe(0);
    h.go("disk");
    expect([h.k.vmstat.pgpgout[0], h.k.vmstat.nr_written[0]]).toEqual([8, 2]);
  });

  it("a read brings the bytes that are on the disk", () => {
    const h = new Hand(small({ pages: 1, parts: 2, cached: false }, { load: load(), disk }));
    h.k.block.version.set([5, 6]);
    h.go("load").go("disk").go("load");
    expect([...h.k.content.version]).toEqual([5, 6]);
    expect(h.k.vmstat.pgpgin[0]).toBe(4);
  });
});

describe("stable pages and what a device does to them (7.7, W6)", () => {
  const sums = (config: readonly Config[], parts = 2) =>
    new Hand(
      small(
        { pages: 1, parts, stableWrites: true, geometry: { config } },
        { store: store(), again: store(), flusher, read: read(4), dma: dma(4), disk },
      ),
    );

  it("a CPU store waits for the writeback of a stable page: what is fetched is what the sum was made of", () => {
    const h = sums(["checksum"]).go("store").go("flusher").go("again");
    expect(h.next("again")).toBe("wait_on_page_writeback");
    h.go("disk").go("again");
    expect([h.finished("again"), h.faults()]).toEqual([true, []]);
  });

  it("a device that holds the page does not wait: the sum does not match", () => {
    const h = sums(["checksum"]).past("read", "submit_bio").go("flusher").past("dma", "DMA").go("disk");
    expect(h.faults()).toEqual(["TORN disk: the sum made at submission does not match what was fetched"]);
  });

  it("a disk that can fail refuses the write, and the mapping remembers", () => {
    const h = sums(["checksum", "io_errors"]).past("read", "submit_bio").go("flusher").past("dma", "DMA");
    h.go("disk");
    expect([...h.k.block.version]).toEqual([0, 0]);
    expect(filemap_check_errors(h.k, 1)).toBe(-5);
    expect(filemap_check_errors(h.k, 1)).toBe(0);
  });

  it("bytes that arrive before the submission are fetched and match", () => {
    const h = sums(["checksum"]).past("read", "submit_bio").go("dma").go("flusher").go("disk");
    expect([h.faults(), [...h.k.block.version]]).toEqual([[], [1, 1]]);
  });
});

describe("torn blocks", () => {
  const pinned = () =>
    new Hand(small({ pages: 1, parts: 3 }, { read: read(3), flusher, disk, dma: dma(3) }))
      .past("read", "submit_bio")
      .go("flusher");

  it("a device that writes while the disk reads leaves newer bytes behind older ones: no moment of the page", () => {
    // The disk fetches part 0, the device writes all, the disk fetches the rest.
    const h = pinned().past("disk", "transfer").go("dma").go("disk");
    expect([[...h.k.block.version], torn_blocks(h.k)]).toEqual([[0, 1, 1], [0]]);
  });

  it("older bytes behind newer ones are a moment of the page: half of the device's write", () => {
    const h = pinned().past("dma", "DMA").go("disk");
    expect([[...h.k.block.version], torn_blocks(h.k)]).toEqual([[1, 0, 0], []]);
  });

  it("a page that is dirty will be written again, and is not torn for good", () => {
    const h = pinned().past("disk", "transfer").go("dma").go("disk").go("read");
    expect([h.has("dirty"), torn_blocks(h.k)]).toEqual([true, []]);
  });
});

describe("a block that cannot be written", () => {
  it("keeps its bytes, its page ends its writeback, and the write fails as often as it was said", () => {
    const h = new Hand(
      small(
        {
          pages: 1,
          geometry: { config: ["io_errors"] },
          prepare: (k) => {
            k.of(bad_block).left[0] = 1;
          },
        },
        { store: store(), again: store(), flusher, second: flusher, disk },
      ),
    );
    h.go("store").go("flusher").go("disk");
    expect([h.k.block.version[0], h.has("writeback"), h.has("dirty")]).toEqual([0, false, false]);
    h.go("again").go("second").go("disk");
    expect(h.k.block.version[0]).toBe(2);
  });
});
