import { describe, expect, it } from "vitest";
import { disk, flusher, load, store } from "../actors.js";
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
