/** read(2) and write(2) through the page cache, on tmpfs and on xfs. */
import { describe, expect, it } from "vitest";
import { ERRNO } from "../../../src/kernel/errno.js";
import { generic_file_buffered_read, generic_file_write_iter } from "../../../src/kernel/fs/read_write.js";
import { shmem_file_read_iter } from "../../../src/kernel/fs/tmpfs.js";
import { lru_add_drain } from "../../../src/kernel/mm/swap.js";
import { FS } from "../../../src/kernel/operations.js";
import { disk, load, store } from "../actors.js";
import { ask } from "../drivers/ask.js";
import { type Actor, FILE, Hand, small } from "../harness.js";
import { drop, resize } from "../movers.js";

const write = (pos: number, count: number): Actor => ({
  path: generic_file_write_iter,
  args: [FILE, pos, count],
  ends: true,
});
const read = (index: number): Actor => ({
  path: generic_file_buffered_read,
  args: [FILE, index],
  ends: true,
});

const look = (index: number): Actor => ({ path: shmem_file_read_iter, args: [FILE, index], ends: true });

const tmpfs = (actors: Readonly<Record<string, Actor>>, cached = true) =>
  new Hand(small({ filePages: 2, pages: 3, parts: 4, fs: FS.tmpfs, cached }, { disk, ...actors }));

describe("write(2) on tmpfs", () => {
  it("changes the parts that it names, page by page, and dirties the flag alone (5.4)", () => {
    const h = tmpfs({ write: write(2, 4) }).go("write");
    expect([...h.k.content.version].slice(0, 8)).toEqual([0, 0, 1, 1, 1, 1, 0, 0]);
    expect([h.has("dirty", 0), h.has("dirty", 1), h.tags(0), h.k.vmstat.nr_dirty[0]]).toEqual([
      true,
      true,
      "",
      0,
    ]);
    expect([h.has("locked", 0), h.refs(0)]).toEqual([false, 1]);
  });

  it("makes a page that is not there: swap-backed, uptodate when it has been written", () => {
    const h = tmpfs({ write: write(0, 1) }, false);
    h.until("write", "iov_iter_copy_from_user_atomic");
    expect([h.has("uptodate", 0), h.has("locked", 0)]).toEqual([false, true]);
    h.go("write");
    expect([h.has("uptodate", 0), h.has("swapbacked", 0), h.faults()]).toEqual([true, true, []]);
  });

  it("behind the end the file grows to where the write ends, not before the bytes are there; inside it does not", () => {
    const h = new Hand(
      small(
        { filePages: 2, pages: 3, parts: 4, fs: FS.tmpfs, geometry: { config: ["truncate"] } },
        { inside: write(0, 2), behind: write(3, 3) },
      ),
    );
    h.k.inode.i_size[FILE] = 4;
    h.go("inside");
    expect(h.k.inode.i_size[FILE]).toBe(4);
    h.past("behind", "iov_iter_copy_from_user_atomic");
    h.past("behind", "iov_iter_copy_from_user_atomic");
    expect([h.next("behind"), h.k.inode.i_size[FILE]]).toEqual(["i_size_write", 4]);
    h.go("behind");
    expect([h.finished("behind"), h.k.inode.i_size[FILE]]).toEqual([true, 6]);
  });

  it("two writers that miss the same page: one makes it, the other finds it", () => {
    const h = tmpfs({ one: write(0, 4), two: write(0, 4) }, false);
    h.until("one", "shmem_add_to_page_cache").until("two", "down_write(inode->i_rwsem)");
    h.go("two");
    // The semaphore lets in one writer of a file at a time.
    expect(h.finished("two")).toBe(false);
    h.go("one").go("two");
    expect([...h.k.content.version].slice(0, 4)).toEqual([2, 2, 2, 2]);
  });

  it("waits for the page lock", () => {
    const h = tmpfs({ write: write(0, 4) })
      .set(["locked"])
      .go("write");
    expect([h.next("write"), h.enabled("write")]).toEqual(["lock_page", false]);
  });
});

describe("read(2)", () => {
  it("marks the page accessed, the second time as one to keep, and leaves no reference", () => {
    const h = tmpfs({ one: look(0), two: look(0) });
    h.go("one");
    expect([h.has("referenced"), h.lru()]).toEqual([true, "inactive"]);
    h.go("two");
    expect(h.has("referenced")).toBe(false);
    expect(h.k.pagevec.nr[2]).toBe(1);
    expect(h.refs()).toBe(2);
  });

  it("reads a page that is not there from the disk, and waits for it", () => {
    const h = new Hand(
      small({ filePages: 1, pages: 1, cached: false }, { read: read(0), load: load(), disk }),
    );
    h.go("read");
    expect(h.finished("read")).toBe(false);
    h.go("disk").go("read");
    expect([h.finished("read"), h.has("uptodate"), h.k.vmstat.pgpgin[0]]).toEqual([true, true, 4]);
  });

  it("a page that is being read by somebody else is waited for without its lock", () => {
    const h = new Hand(
      small({ filePages: 1, pages: 1, cached: false }, { read: read(0), load: load(), disk }),
    );
    h.go("load").go("read");
    expect(h.next("read")).toBe("wait_on_page_locked_killable");
    h.go("disk").go("read");
    expect(h.finished("read")).toBe(true);
  });

  const behindTheEnd = (fs: number) => {
    const h = new Hand(
      small(
        { filePages: 2, pages: 2, cached: false, fs, geometry: { config: ["truncate"] } },
        { read: fs === FS.tmpfs ? look(1) : read(1), store: store(), disk },
      ),
    );
    h.k.inode.i_size[FILE] = 1;
    h.go("read").go("disk").go("read");
    return [h.finished("read"), h.k.xa_slot.page[1], h.refs()];
  };

  it("gives nothing beyond the end of the file, and makes no page for it in tmpfs", () =>
    expect(behindTheEnd(FS.tmpfs)).toEqual([true, 0, 0]));

  it("on a disk v4.20 asks for the size when it has the page: it is read, gives nothing, and stays", () =>
    expect(behindTheEnd(FS.ext4)).toEqual([true, 1, 2]));

  it("a page that was truncated while it was read is looked up again", () => {
    const h = new Hand(
      small(
        { cached: false, geometry: { config: ["truncate"] } },
        { read: read(0), load: load(), resize: resize(0), disk },
      ),
    );
    h.go("load").until("read", "wait_on_page_locked_killable").go("disk");
    // The read has failed, as no disk here lets it: the page is unlocked and not uptodate.
    h.clear(["uptodate"]).until("read", "lock_page").go("resize").go("read");
    h.go("disk").go("read");
    expect([h.finished("read"), h.k.vmstat.pgpgin[0]]).toEqual([true, 8]);
  });
});

describe("read(2) of a page that a write has made and not filled (ext4_write_begin unlocks it for its handle)", () => {
  const DISK = 7;
  const unfilled = (actors: Readonly<Record<string, Actor>>, config: "truncate"[] = []) => {
    const h = new Hand(
      small({ parts: 2, cached: false, geometry: { config } }, { write: write(0, 1), disk, ...actors }),
    );
    h.k.block.version.fill(DISK);
    return h.until("write", "lock_page");
  };
  const bytes = ({ k }: Hand) => [...k.content.version].slice(0, 2);

  it("reads it itself, under the page lock, and gives nothing before the disk has", () => {
    const h = unfilled({ read: read(0) });
    expect([h.has("uptodate"), h.has("locked"), bytes(h)]).toEqual([false, false, [0, 0]]);
    h.go("read");
    expect([h.finished("read"), h.has("locked"), h.enabled("write")]).toEqual([false, true, false]);
    h.go("disk").go("read");
    expect([h.finished("read"), h.has("uptodate"), bytes(h)]).toEqual([true, true, [DISK, DISK]]);
    h.go("write");
    expect([bytes(h), h.refs(), h.faults()]).toEqual([[DISK + 1, DISK], 3, []]);
  });

  it("of two readers that found it so, the second takes what the first has read", () => {
    const h = unfilled({ one: read(0), two: read(0) });
    h.until("one", "lock_page").until("two", "lock_page");
    h.go("one").go("disk").go("one").go("two");
    expect([h.finished("two"), h.has("locked"), h.k.vmstat.pgpgin[0]]).toEqual([true, false, 4]);
  });

  it("a fault reads it too, and looks it up again", () => {
    const h = unfilled({ load: load() });
    h.go("load");
    expect([h.finished("load"), h.pte(), h.enabled("write")]).toEqual([false, "none", false]);
    h.go("disk").go("load");
    expect([h.finished("load"), h.pte(), bytes(h)]).toEqual([true, "ry", [DISK, DISK]]);
    expect(h.k.vmstat.pgmajfault[0]).toBe(0);
  });
});

describe("read(2) of a page that is gone when its read is over", () => {
  const gone = (actors: Readonly<Record<string, Actor>>) => {
    const h = new Hand(
      small(
        { pages: 3, cached: false, geometry: { config: ["truncate"] } },
        { read: read(0), drop: drop(), disk, ...actors },
      ),
    );
    h.past("read", "find_get_page").until("read", "find_get_page").go("disk");
    // Off the batch that leads to the LRU, which holds it as well.
    lru_add_drain(h.k);
    h.go("drop").step("read");
    expect([h.k.xa_slot.page[0], h.next("read")]).toEqual([0, "page_cache_alloc"]);
    return h;
  };

  it("makes another page and keeps it while it is read (no_cached_page)", () => {
    const h = gone({}).go("read");
    expect([h.finished("read"), h.refs(h.k.xa_slot.page[0] - 1)]).toEqual([false, 3]);
    h.go("disk").go("read");
    expect([h.finished("read"), h.k.vmstat.pgpgin[0]]).toEqual([true, 8]);
  });

  it("looks again when somebody else was faster, and gives its own page back", () => {
    const h = gone({ other: read(0) }).step("read");
    h.go("other").go("disk").go("other").go("read");
    expect([h.finished("read"), h.k.vmstat.pgpgin[0], h.faults()]).toEqual([true, 8, []]);
    expect([...h.k.page._refcount].filter((count) => count > 0)).toHaveLength(1);
  });
});

describe("read(2) without memory for the page", () => {
  it("looks for it after readahead has failed, tries once more itself, and gives -ENOMEM", () => {
    const given: number[] = [];
    const h = new Hand(
      small(
        {
          cached: false,
          geometry: { pages: 1, min_free_pages: 1, config: ["watermarks", "direct_reclaim"] },
        },
        { read: ask(generic_file_buffered_read, [FILE, 0], given) },
      ),
    );
    const steps = h.trace("read", () => h.go("read"));
    const order = ["find_get_page", "__alloc_pages_nodemask", "page_cache_alloc"];
    expect(steps.filter((step) => order.includes(step))).toEqual([
      "find_get_page",
      "__alloc_pages_nodemask",
      "find_get_page",
      "page_cache_alloc",
    ]);
    expect([given, h.k.xa_slot.page[0]]).toEqual([[-ERRNO.ENOMEM], 0]);
  });
});

describe("locks", () => {
  it("lockdep has nothing to say of reads, writes and faults together", () => {
    const h = tmpfs({ write: write(0, 4), other: write(0, 4), read: look(0), store: store() });
    expect(h.world.lockdep.reports).toEqual([]);
  });
});
