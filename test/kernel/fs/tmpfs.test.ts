/** tmpfs: dirty by a flag alone, and nobody writes it back (5.4, trap 34). */
import { describe, expect, it } from "vitest";
import { fsync } from "../../../src/kernel/fs/sync.js";
import { FS } from "../../../src/kernel/operations.js";
import { dma, flusher, load, read, reclaim, store } from "../actors.js";
import { FILE, Hand, small } from "../harness.js";

const hand = () =>
  new Hand(
    small(
      { filePages: 1, pages: 1, fs: FS.tmpfs, cached: false },
      {
        load: load(),
        store: store(),
        flusher,
        fsync: { path: fsync, args: [FILE], ends: true },
        read: read(4),
        dma: dma(4),
        reclaim: reclaim(2),
      },
    ),
  );

describe("tmpfs", () => {
  it("a page that was never written is zeroes, and is there at once", () => {
    const h = hand().go("load");
    expect([h.finished("load"), h.has("uptodate"), [...h.k.content.version]]).toEqual([true, true, [0]]);
  });

  it("a store dirties the flag: no tag, no account, no buffers; the flusher and fsync have nothing to do", () => {
    const h = hand().go("store").go("flusher").go("fsync");
    expect([h.has("dirty"), h.has("private"), h.tags(), h.finished("fsync")]).toEqual([
      true,
      false,
      "",
      true,
    ]);
    expect([h.k.vmstat.nr_dirty[0], h.k.inode.i_state[FILE]]).toEqual([0, 0]);
  });

  it("trap 34 a device's write is dirtied by its driver and stays in the page", () => {
    const h = hand().go("read").go("dma").go("read").go("reclaim");
    expect([h.finished("read"), h.has("dirty"), h.faults(), [...h.k.content.version]]).toEqual([
      true,
      true,
      [],
      [1],
    ]);
  });
});
