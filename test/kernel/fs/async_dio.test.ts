/** Reads whose pages are dirtied before they are submitted: AIO, iomap (4, F42, F43). */
import { describe, expect, it } from "vitest";
import { bio_dirty_fn } from "../../../src/kernel/block/bio.js";
import {
  direct_write,
  dma_engine,
  dma_engine_aio,
  dma_engine_iomap,
  io_submit_read,
} from "../../../src/kernel/fs/direct_io.js";
import { iomap_dio_rw, iomap_dio_write } from "../../../src/kernel/fs/iomap_dio.js";
import { PAGES } from "../../../src/kernel/mm/user_pages.js";
import { VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { disk, flusher } from "../actors.js";
import { ask } from "../drivers/ask.js";
import { Hand, small } from "../harness.js";

const aio = (nr = 1) =>
  new Hand(
    small(
      { filePages: nr, pages: nr },
      {
        submit: ask(io_submit_read, [0, nr, 0]),
        dma: { path: dma_engine_aio, args: [0] },
        kworker: { path: bio_dirty_fn },
        flusher,
        disk,
      },
    ),
  );

describe("AIO", () => {
  it("F42 dirties at submission, under the page lock, before the device writes; io_submit does not wait", () => {
    const h = aio();
    const steps = h.trace("submit", () => h.go("submit"));
    expect(steps.indexOf("lock_page")).toBeLessThan(steps.indexOf("submit_bio"));
    expect([h.finished("submit"), h.has("dirty"), h.k.page.pins[0], h.k.content.version[0]]).toEqual([
      true,
      true,
      1,
      0,
    ]);
  });

  it("F43 all pages dirty still: the interrupt puts them, and nobody dirties again", () => {
    const h = aio(2);
    h.go("submit").go("dma");
    expect([[...h.k.page.pins], h.k.user_pages.state[0], h.enabled("kworker")]).toEqual([
      [0, 0],
      PAGES.idle,
      false,
    ]);
  });

  it("F43 one page cleaned meanwhile: all wait for a kworker, which dirties and then puts them (trap 13)", () => {
    const h = aio(2);
    h.go("submit").go("flusher").go("disk").go("dma");
    expect([[...h.k.page.pins], h.k.user_pages.state[0]]).toEqual([[1, 1], PAGES.dirty_work]);
    h.go("kworker");
    expect([[...h.k.page.pins], h.has("dirty", 0), h.has("dirty", 1), h.bufferDirty(0)]).toEqual([
      [0, 0],
      true,
      true,
      true,
    ]);
  });

  it("the interrupt sleeps nowhere: it takes no page lock", () => {
    const h = aio();
    h.go("submit").go("flusher").go("disk").set(["locked"]);
    h.go("dma");
    expect(h.k.user_pages.state[0]).toBe(PAGES.dirty_work);
  });

  it("bytes that arrive after the cleaning and before the kworker are not on the disk until then", () => {
    const h = aio();
    h.go("submit").go("flusher").go("disk").go("dma");
    expect([h.k.content.version[0] - h.k.block.version[0], h.has("dirty")]).toEqual([1, false]);
  });
});

describe("iomap (xfs) and block devices", () => {
  const iomap = () =>
    new Hand(
      small(
        { pages: 1 },
        {
          read: ask(iomap_dio_rw, [0, 1, 0]),
          dma: { path: dma_engine_iomap, args: [0] },
          kworker: { path: bio_dirty_fn },
          flusher,
          disk,
        },
      ),
    );

  it("a synchronous read dirties before it submits", () => {
    const h = iomap().past("read", "submit_bio");
    expect([h.has("dirty"), h.enabled("read")]).toEqual([true, false]);
  });

  it("the reader is woken before the interrupt looks: it returns while the page is still held and clean", () => {
    const h = iomap().past("read", "submit_bio").go("flusher").go("disk");
    h.past("dma", "iomap_dio_bio_end_io").go("read");
    expect([h.finished("read"), h.k.page.pins[0], h.has("dirty")]).toEqual([true, 1, false]);
    h.go("dma").go("kworker");
    expect([h.k.page.pins[0], h.has("dirty")]).toEqual([0, true]);
  });
});

describe("an O_DIRECT write", () => {
  const write = (flags = VM_SHARED | VM_WRITE) =>
    new Hand(
      small(
        { pages: 1, vmas: [flags] },
        { write: ask(direct_write, [0, 1, 0]), dma: { path: dma_engine, args: [0] } },
      ),
    );

  it("takes the page for reading, changes nothing in it, and dirties nothing", () => {
    const h = write().past("write", "submit_bio");
    expect([h.pte(), h.k.page.pins[0]]).toEqual(["ry", 1]);
    h.go("dma").go("write");
    expect([h.finished("write"), h.has("dirty"), h.k.content.version[0], h.k.page.pins[0]]).toEqual([
      true,
      false,
      0,
      0,
    ]);
  });

  it.each([
    ["iomap_dio_bio_end_io", dma_engine_iomap],
    ["dio_bio_end_aio", dma_engine_aio],
  ])("%s: the interrupt lets go of the page, which the writer does not wait for", (end_io, engine) => {
    const actors = { write: ask(iomap_dio_write, [0, 1, 0]), dma: { path: engine, args: [0] } };
    const h = new Hand(small({ pages: 1 }, actors)).past("write", "submit_bio");
    h.past("dma", end_io).go("write");
    expect([h.finished("write"), h.k.page.pins[0]]).toEqual([true, 1]);
    h.go("dma");
    expect([h.k.page.pins[0], h.has("dirty"), h.k.content.version[0]]).toEqual([0, false, 0]);
  });

  it("a mapping that may not be written is good enough", () => {
    const h = write(VM_SHARED).past("write", "submit_bio");
    expect(h.k.page.pins[0]).toBe(1);
  });
});
