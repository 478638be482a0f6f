import { describe, expect, it } from "vitest";
import { drop_caches } from "../../../src/kernel/fs/drop_caches.js";
import { generic_file_buffered_read } from "../../../src/kernel/fs/read_write.js";
import { shmem_punch_hole, shmem_setattr } from "../../../src/kernel/fs/shmem_truncate.js";
import { generic_file_write_direct } from "../../../src/kernel/mm/direct_write.js";
import { fadvise_dontneed } from "../../../src/kernel/mm/fadvise.js";
import { lru_add_drain } from "../../../src/kernel/mm/swap.js";
import { FS } from "../../../src/kernel/operations.js";
import { disk, dma, fsync, load, read, store } from "../actors.js";
import { type Actor, FILE, Hand, type Small, small } from "../harness.js";

const drop: Actor = { path: drop_caches, ends: true };
/** read(2): its page stays in a batch for a while. */
const fetch: Actor = { path: generic_file_buffered_read, args: [FILE, 0], ends: true };
const dontneed = (offset: number, len: number): Actor => ({
  path: fadvise_dontneed,
  args: [FILE, offset, len],
  ends: true,
});
const write: Actor = { path: generic_file_write_direct, args: [FILE, 0, 0], ends: true };

const open = (options: Partial<Small>, actors: Readonly<Record<string, Actor>>): Hand =>
  new Hand(small({ ...options, geometry: { config: ["truncate"], ...options.geometry } }, actors));

function sync(h: Hand, task: string): void {
  while (!h.finished(task)) h.step(h.enabled(task) ? task : "disk");
}

describe("drop_caches", () => {
  it("drops every file's clean pages; dirty ones stay", () => {
    const files = [{ pages: 1 }, { pages: 2 }];
    const h = open({ pages: 4, geometry: { files, config: ["truncate"] } }, { s: store(0), drop });
    h.go("s").go("drop");
    expect([h.refs(0) > 0, h.has("dirty"), h.lru()]).toEqual([true, true, "inactive"]);
    const clean = open({ filePages: 3, pages: 3 }, { drop });
    clean.go("drop");
    expect([0, 1, 2].map((page) => clean.refs(page))).toEqual([0, 0, 0]);
  });

  it("a page in a batch stays: nothing is drained first in v4.20, only afterwards", () => {
    const h = open({ cached: false, pages: 2 }, { fetch, disk, drop });
    sync(h, "fetch");
    expect([h.lru(), h.refs()]).toEqual(["isolated", 2]);
    h.go("drop");
    expect([h.refs(), h.lru()]).toEqual([1, "inactive"]);
  });
});

describe("POSIX_FADV_DONTNEED", () => {
  it("writes what is dirty, drops whole pages only; a partial one only at the end of the file", () => {
    const kept = (size: number, offset: number, len: number) => {
      const files = [{ pages: 3, size }];
      const h = open(
        { filePages: 3, pages: 3, parts: 2, geometry: { files, config: ["truncate"] } },
        {
          act: dontneed(offset, len),
        },
      );
      h.go("act");
      return [0, 1, 2].map((page) => h.refs(page));
    };
    expect(kept(6, 0, 0)).toEqual([0, 0, 0]);
    expect(kept(6, 1, 4)).toEqual([1, 0, 1]);
    expect(kept(5, 2, 3)).toEqual([1, 0, 0]);
    expect(kept(6, 0, 1)).toEqual([1, 1, 1]);
  });

  it("drains the batches when a page would not go, and asks again", () => {
    const h = open({ cached: false, pages: 2 }, { fetch, disk, act: dontneed(0, 0) });
    sync(h, "fetch");
    expect(h.refs()).toBe(2);
    h.go("act");
    expect(h.refs()).toBe(0);
  });

  it("is ignored for tmpfs", () => {
    const h = open({ fs: FS.tmpfs }, { act: dontneed(0, 0) });
    expect(h.trace("act", () => h.go("act"))).toEqual([]);
    expect(h.refs()).toBe(1);
  });
});

describe("an O_DIRECT write and the cache of its file", () => {
  it("writes and drops the pages of its range, mapped ones too", () => {
    const h = open({ pages: 2 }, { s: store(0), disk, write });
    h.go("s");
    sync(h, "write");
    expect([h.refs(0), h.pte(), h.k.block.version[0], h.faults()]).toEqual([0, "none", 1, []]);
  });

  it("falls back to the cache when a page is dirty again, then strips the page that somebody holds", () => {
    const h = open({ pages: 3 }, { read: read(0), dma: dma(0), disk, write, sync: fsync });
    h.until("read", "dio_await_completion");
    // After the write-out and before the invalidation has the page lock, the driver says that it has written.
    while (h.path("write") !== "invalidate_inode_pages2_range") h.step(h.enabled("write") ? "write" : "disk");
    h.go("dma").until("read", "put_page");
    expect([h.has("dirty"), h.refs() > 2]).toEqual([true, true]);
    sync(h, "write");
    lru_add_drain(h.k);
    expect([h.has("private"), h.k.page.mapping[0], h.k.page.pins[0], h.has("dirty")]).toEqual([
      false,
      FILE,
      1,
      false,
    ]);
  });
});

describe("tmpfs", () => {
  it("ftruncate gives a new size; what is beyond it is gone, private copies too", () => {
    const h = open(
      { fs: FS.tmpfs, filePages: 2, pages: 3 },
      { s: store(1), act: { path: shmem_setattr, args: [FILE, 1], ends: true }, again: store(1) },
    );
    h.go("s").go("act");
    expect([h.refs(1), h.pte(1), h.refs(0), h.k.inode.i_size[FILE]]).toEqual([0, "none", 1, 1]);
    h.go("again");
    expect([h.finished("again"), h.pte(1)]).toEqual([true, "none"]);
  });

  it("a hole keeps the size, and reads as zeroes", () => {
    const h = open(
      { fs: FS.tmpfs, pages: 3 },
      { s: store(0), act: { path: shmem_punch_hole, args: [FILE, 0, 1], ends: true }, l: load(0) },
    );
    h.go("s").go("act").go("l");
    expect([h.k.inode.i_size[FILE], h.pte(), h.k.content.version[h.k.xa_slot.page[0] - 1]]).toEqual([
      1,
      "rwy",
      0,
    ]);
    expect(h.world.lockdep.reports).toEqual([]);
  });
});
