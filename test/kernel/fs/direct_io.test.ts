import { describe, expect, it } from "vitest";
import { DIO_PAGES } from "../../../src/kernel/fs/direct_io.js";
import { FS } from "../../../src/kernel/operations.js";
import { disk, dma, flusher, fsync, read } from "../actors.js";
import { Hand, small } from "../harness.js";

const one = (fs: number = FS.ext4, parts = 1) =>
  new Hand(
    small(
      { pages: 1, fs, parts },
      { read: read(0), second: read(1), dma: dma(0), dma2: dma(1), flusher, fsync, disk },
    ),
  );

describe("a synchronous O_DIRECT read (4.1)", () => {
  it("F45 takes up to 64 pages at a time", () => expect(DIO_PAGES).toBe(64));

  it("F42 dirties nothing between the fault and the completion", () => {
    const h = one().past("read", "submit_bio").go("flusher").go("disk");
    h.past("dma", "DMA").past("dma", "dio_bio_end_io");
    expect([h.has("dirty"), h.tags()]).toEqual([false, ""]);
  });

  it("F42 the reader itself dirties at completion, under the page lock, and drops the reference after that", () => {
    const h = one().past("read", "submit_bio").go("flusher").go("disk").go("dma");
    const order = ["dio_await_completion", "lock_page", "TestSetPageDirty", "unlock_page", "put_page"];
    expect(h.trace("read", () => h.go("read")).filter((step) => order.includes(step))).toEqual(order);
    expect([h.finished("read"), h.has("dirty"), h.bufferDirty(), h.k.page.pins[0]]).toEqual([
      true,
      true,
      true,
      0,
    ]);
  });

  it("trap 8 the device changes memory, and no flag, PTE or lock", () => {
    const h = one().past("read", "submit_bio").go("flusher").go("disk").set(["locked"]);
    const words = () => [h.k.page.flags[0], h.k.pte.entry[0], h.refs(), h.tags()];
    const before = words();
    const version = h.k.content.version[0];
    h.past("dma", "DMA");
    expect(words()).toEqual(before);
    expect(h.k.content.version[0]).toBe(version + 1);
  });

  it("trap 38 one of two readers dirties, and the page may be cleaned while the other still writes into it", () => {
    const h = one().past("read", "submit_bio").past("second", "submit_bio");
    h.go("dma").go("read").go("flusher").go("disk");
    expect([h.k.page.pins[0], h.has("dirty")]).toEqual([1, false]);
    h.past("dma2", "DMA");
    expect(h.k.page.device[0]).toBe(1);
  });
});

describe("contents", () => {
  it("a page that the device writes while it is written to disk is torn there", () => {
    const h = one(FS.ext4, 2).past("read", "submit_bio").go("flusher");
    h.past("disk", "transfer").past("dma", "DMA").past("dma", "DMA").go("disk");
    const [first, second] = [h.k.block.version[0], h.k.block.version[1]];
    expect([first, second]).toEqual([0, 1]);
    expect([...h.k.content.version.subarray(0, 2)]).toEqual([1, 1]);
  });

  it("the completion's dirtying mends it: the next writeback writes both parts (trap 10)", () => {
    const h = one(FS.ext4, 2).past("read", "submit_bio").go("flusher");
    h.past("disk", "transfer").go("dma").go("disk").go("read").go("fsync").go("disk").go("fsync");
    expect([h.finished("fsync"), ...h.k.block.version.subarray(0, 2)]).toEqual([true, 1, 1]);
    expect(h.world.lostWrites()).toEqual([]);
  });

  it("fsync does not wait for bytes that are still to come (7.9)", () => {
    const h = one().past("read", "submit_bio").go("fsync").go("disk").go("fsync");
    expect(h.finished("fsync")).toBe(true);
    h.past("dma", "DMA");
    expect(h.k.block.version[0]).toBeLessThan(h.k.content.version[0]);
  });
});

describe("a page in memory only (trap 34)", () => {
  it("tmpfs: the same read dirties the flag, and nobody minds", () => {
    const h = one(FS.tmpfs).past("read", "submit_bio").go("dma").go("read").go("flusher");
    expect([h.has("dirty"), h.tags(), ...h.faults()]).toEqual([true, ""]);
  });
});
