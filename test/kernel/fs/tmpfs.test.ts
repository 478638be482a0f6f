/** tmpfs: dirty by a flag alone, and nobody writes it back (5.4, trap 34). */
import { describe, expect, it } from "vitest";
import { ERRNO } from "../../../src/kernel/errno.js";
import { vfs_write } from "../../../src/kernel/fs/read_write.js";
import { shmem_punch_hole, shmem_setattr } from "../../../src/kernel/fs/shmem_truncate.js";
import { fsync } from "../../../src/kernel/fs/sync.js";
import { shmem_file_read_iter } from "../../../src/kernel/fs/tmpfs.js";
import { munmap } from "../../../src/kernel/mm/mmap.js";
import { lru_add_drain } from "../../../src/kernel/mm/swap.js";
import { FS, VM_FAULT } from "../../../src/kernel/operations.js";
import { LRU } from "../../../src/kernel/structs.js";
import { dma, flusher, load, read, reclaim, store } from "../actors.js";
import { ask } from "../drivers/ask.js";
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

describe("shmem_getpage_gfp", () => {
  const file = (cached = false) => {
    const given: number[] = [];
    const h = new Hand(
      small(
        { filePages: 2, pages: 4, fs: FS.tmpfs, cached, geometry: { config: ["truncate"] } },
        {
          load: load(1),
          store: store(1),
          read: ask(shmem_file_read_iter, [FILE, 1], given),
          shrink: ask(shmem_setattr, [FILE, 1], []),
          empty: ask(shmem_setattr, [FILE, 0], []),
          punch: ask(shmem_punch_hole, [FILE, 1, 2], []),
        },
      ),
    );
    return { h, given };
  };
  const slot = ({ k }: Hand) => k.xa_slot.page[1];

  it("read(2) of a hole gives zeroes and makes no page (SGP_READ); a fault makes one", () => {
    const { h, given } = file();
    h.go("read");
    expect([given, slot(h), h.refs(0)]).toEqual([[1], 0, 0]);
    h.go("load");
    lru_add_drain(h.k);
    const page = slot(h) - 1;
    expect([h.finished("load"), h.refs(page), h.has("swapbacked", page)]).toEqual([true, 2, true]);
    // With anonymous memory: its only way out would be swap.
    expect([h.k.lruvec.size[LRU.inactive_anon], h.k.lruvec.size[LRU.inactive_file]]).toEqual([1, 0]);
  });

  it("two faults that miss the same page: one makes it, the other finds it and puts its own", () => {
    const { h } = file();
    h.until("load", "shmem_add_to_page_cache").until("store", "shmem_add_to_page_cache");
    h.go("load").go("store");
    expect([h.finished("store"), h.refs(slot(h) - 1), h.k.vmstat.nr_file_pages[0]]).toEqual([true, 3, 1]);
    expect([...h.k.page._refcount].filter((count) => count > 0)).toEqual([3]);
  });

  it("a page that a fault has made behind the new end of the file is taken out again: SIGBUS", () => {
    const { h } = file();
    h.past("load", "shmem_add_to_page_cache").past("shrink", "i_size_write").go("load");
    lru_add_drain(h.k);
    expect([h.finished("load"), slot(h), h.refs(0), h.pte(1)]).toEqual([true, 0, 0, "none"]);
    expect(h.world.machine.local(0, "ret")).toBe(VM_FAULT.SIGBUS);
    h.go("shrink");
    expect(h.finished("shrink")).toBe(true);
  });

  it("one that is found there is left for truncation", () => {
    const { h } = file(true);
    h.past("store", "lock_page").past("shrink", "i_size_write").go("store");
    expect([h.finished("store"), h.pte(1), slot(h), h.refs(1)]).toEqual([true, "none", 2, 1]);
    h.go("shrink");
    expect([slot(h), h.has("locked", 1)]).toEqual([0, false]);
  });

  it("a page that left the file while its lock was waited for is looked up again", () => {
    const { h } = file(true);
    h.k.content.version[1] = 7;
    h.until("store", "lock_page").go("punch").go("store");
    lru_add_drain(h.k);
    const page = slot(h) - 1;
    expect([h.finished("store"), h.k.content.version[page], h.refs(page), h.has("dirty", page)]).toEqual([
      true,
      1,
      2,
      true,
    ]);
  });

  it("the second look of read(2) sees an end right before its page, and none that is further down", () => {
    for (const [actor, answer] of [
      ["shrink", 0],
      ["empty", 1],
    ] as const) {
      const { h, given } = file(true);
      h.until("read", "index == end_index").go(actor).go("read");
      expect([actor, given, slot(h), h.refs(1)]).toEqual([actor, [answer], 0, 0]);
    }
  });

  it("a fault sleeps for the page lock with mmap_sem, as it has no lock_page_or_retry", () => {
    const h = new Hand(
      small(
        { fs: FS.tmpfs, pages: 2, geometry: { config: ["mmap"] } },
        { load: load(), unmap: ask(munmap, [0, 1], []) },
      ),
    ).set(["locked"]);
    h.go("load").go("unmap");
    expect([h.next("load"), h.next("unmap")]).toEqual(["lock_page", "down_write(mm->mmap_sem)"]);
  });
});

describe("without memory for a page of tmpfs", () => {
  const poor = () => {
    const given: number[] = [];
    const h = new Hand(
      small(
        {
          fs: FS.tmpfs,
          cached: false,
          geometry: { pages: 1, min_free_pages: 1, config: ["watermarks", "direct_reclaim"] },
        },
        {
          store: store(),
          write: ask(vfs_write, [FILE, 0, 1], given),
          read: ask(shmem_file_read_iter, [FILE, 0], given),
        },
      ),
    );
    return { h, given };
  };

  it("a fault fails with VM_FAULT_OOM, write(2) with -ENOMEM; read(2) of the hole needs none", () => {
    const { h, given } = poor();
    h.go("store").go("write").go("read");
    expect([h.world.machine.local(0, "ret"), given]).toEqual([VM_FAULT.OOM, [-ERRNO.ENOMEM, 1]]);
    expect([h.k.xa_slot.page[0], h.pte(), h.refs()]).toEqual([0, "none", 0]);
  });
});
