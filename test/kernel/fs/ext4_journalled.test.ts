/** data=journal: what is dirtied is pending, what is written goes through the journal, and what that keeps from being released. */
import { describe, expect, it } from "vitest";
import type { Config } from "../../../src/kernel/config.js";
import { block_owner, DELETED, disk_version, EXTENT, extent_state } from "../../../src/kernel/fs/blocks.js";
import { ext4_punch_hole, ext4_setattr } from "../../../src/kernel/fs/ext4/truncate.js";
import { ext4_page_mkwrite } from "../../../src/kernel/fs/ext4.js";
import { BJ, frozen_data, journal_data, journal_head } from "../../../src/kernel/fs/jbd2/journal_head.js";
import { buffer_jbd } from "../../../src/kernel/fs/jbd2/transaction.js";
import { journal, kjournald2 } from "../../../src/kernel/fs/jbd2.js";
import {
  recovered_size,
  recovered_version,
  stale_after_power_cut,
} from "../../../src/kernel/fs/power_cut.js";
import { generic_file_write_iter } from "../../../src/kernel/fs/read_write.js";
import { completeGeometry, type FileSpec, type GeometryOptions } from "../../../src/kernel/geometry.js";
import { BH, VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { lockReportText } from "../../../src/machine/lockdep.js";
import { naiveSearch } from "../../explore/naive.js";
import { disk, dma, flusher, fsync, load, old, read, reclaim, store } from "../actors.js";
import { type Actor, FILE, Hand, type Small, small } from "../harness.js";
import { punch as pages_go } from "../movers.js";

const jbd2: Actor = { path: kjournald2, args: [0] };
const write = (pos: number, count: number): Actor => ({
  path: generic_file_write_iter,
  args: [FILE, pos, count],
  ends: true,
});
const truncate = (size: number): Actor => ({ path: ext4_setattr, args: [FILE, size], ends: true });
const punch = (start: number, end: number): Actor => ({
  path: ext4_punch_hole,
  args: [FILE, start, end],
  ends: true,
});
const JOURNAL: readonly Config[] = ["blocks", "journal", "truncate"];

const world = (
  actors: Readonly<Record<string, Actor>> = {},
  spec: Partial<FileSpec> = {},
  more: Partial<GeometryOptions> = {},
  options: Partial<Small> = {},
) => {
  const pages = spec.pages ?? 1;
  return small(
    {
      pages: 2 * pages,
      parts: more.parts ?? 1,
      ...options,
      geometry: {
        files: [{ pages, ...spec }],
        vmas: [{ pages, file: FILE, flags: VM_SHARED | VM_WRITE }],
        config: JOURNAL,
        mount: { data: "journal" },
        dios: 16,
        ...more,
      },
    },
    { store: store(), again: store(), load: load(), flusher, next: flusher, fsync, jbd2, disk, ...actors },
  );
};
const file = (...given: Parameters<typeof world>): Hand => new Hand(world(...given));
const jh = (h: Hand, page = 0) => {
  const { b_transaction, b_next_transaction, b_cp_transaction, b_jlist } = h.k.of(journal_head);
  return [b_transaction[page], b_next_transaction[page], b_cp_transaction[page], b_jlist[page]];
};
const jbddirty = (h: Hand, page = 0) => (h.k.page.b_state[page] & BH.jbddirty) !== 0;
/** A store has been through the journal, and from there to its place. */
const checkpointed = (h: Hand): Hand => h.go("store").go("flusher").go("jbd2").go("next").go("disk");

describe("the mount", () => {
  it("needs a journal and blocks, and disables delayed allocation", () => {
    expect(completeGeometry({ pages: 1, config: JOURNAL, mount: { data: "journal" } }).mount).toEqual({
      data: "journal",
      delalloc: false,
    });
    expect(() => completeGeometry({ pages: 1, config: ["journal"], mount: { data: "journal" } })).toThrow(
      'data=journal needs config "blocks" and "journal"',
    );
  });
});

describe("a store", () => {
  it("F10 marks the page pending; page_mkwrite has given the buffer to the running transaction", () => {
    const h = file({}, { extents: ["hole"] }).go("store");
    expect([h.has("dirty"), h.has("checked"), h.bufferDirty(), jbddirty(h)]).toEqual([
      true,
      true,
      false,
      true,
    ]);
    expect([jh(h), extent_state(h.k, FILE, 0)]).toEqual([[1, 0, 0, BJ.Metadata], EXTENT.mapped]);
    expect(h.k.of(journal).t_updates[0]).toBe(0);
  });

  it("writepage drops the page lock for a handle, and gives the buffer to the transaction that runs then", () => {
    const h = file().go("store").go("jbd2");
    const order = [
      "page_buffers",
      "ClearPageChecked",
      "bget_one",
      "get_page",
      "unlock_page",
      "jbd2_journal_start",
      "lock_page",
    ];
    const steps = h.trace("flusher", () => h.go("flusher"));
    expect(steps.slice(steps.indexOf("page_buffers")).filter((step) => order.includes(step))).toEqual([
      ...order,
      "unlock_page",
    ]);
    expect([h.has("dirty"), h.has("checked"), h.has("writeback"), jbddirty(h)]).toEqual([
      false,
      false,
      false,
      true,
    ]);
    expect(h.refs()).toBe(3);
  });

  it("a commit brings its bytes to the journal, and makes the page dirty; ordinary writeback brings them to their place", () => {
    const h = file().go("store").go("flusher");
    expect([recovered_version(h.k, FILE, 0, 0), disk_version(h.k, FILE, 0, 0)]).toEqual([0, 0]);
    h.go("jbd2");
    expect([recovered_version(h.k, FILE, 0, 0), disk_version(h.k, FILE, 0, 0)]).toEqual([1, 0]);
    expect([jh(h), h.has("dirty"), h.bufferDirty(), h.tags()]).toEqual([
      [0, 0, 1, BJ.None],
      true,
      true,
      "dirty",
    ]);
    expect(h.trace("next", () => h.go("next"))).toContain("ext4_io_submit");
    h.go("disk");
    expect([disk_version(h.k, FILE, 0, 0), h.has("dirty"), h.faults()]).toEqual([1, false, []]);
  });

  it("F50, F70 data is nobody's list: the commit writes no page", () => {
    const h = file().go("store");
    expect(h.trace("jbd2", () => h.go("jbd2"))).not.toContain("page_buffers");
  });

  it("fsync forces the commit, and returns before the page is written to its place", () => {
    const h = file().go("store").go("fsync");
    expect(h.next("fsync")).toBe("jbd2_log_wait_commit");
    h.go("jbd2").go("fsync");
    expect([h.finished("fsync"), recovered_version(h.k, FILE, 0, 0), disk_version(h.k, FILE, 0, 0)]).toEqual([
      true,
      1,
      0,
    ]);
  });

  it("fsync of a file with nothing in a transaction waits for nobody", () => {
    expect(file().go("fsync").finished("fsync")).toBe(true);
  });
});

describe("write(2)", () => {
  it("does not dirty the page: its commit does", () => {
    const h = file({ write: write(0, 1) }).go("write");
    expect([h.has("dirty"), h.has("uptodate"), jbddirty(h), jh(h)]).toEqual([
      false,
      true,
      true,
      [1, 0, 0, BJ.Metadata],
    ]);
    h.go("jbd2");
    expect([h.has("dirty"), h.bufferDirty(), recovered_version(h.k, FILE, 0, 0)]).toEqual([true, true, 1]);
  });

  it("extends the file, and its size is in the same transaction", () => {
    const h = file({ write: write(1, 1) }, { pages: 2, size: 1, extents: ["mapped", "hole"] }).go("write");
    expect([h.k.inode.i_size[FILE], recovered_size(h.k, FILE)]).toEqual([2, 1]);
    h.go("jbd2");
    expect([recovered_size(h.k, FILE), recovered_version(h.k, FILE, 1, 0)]).toEqual([2, 1]);
  });
});

describe("one buffer, two transactions", () => {
  it("what write(2) changes before the commit has the buffer is frozen for it; a store through a mapping is not", () => {
    const h = file({ write: write(0, 1), more: write(0, 1) }).go("write");
    h.until("jbd2", "jbd2_journal_write_metadata_buffer").go("more");
    expect([h.k.of(frozen_data).version[0], jh(h)]).toEqual([2, [1, 2, 0, BJ.Metadata]]);
    h.until("jbd2", "j_commit_sequence");
    expect(recovered_version(h.k, FILE, 0, 0)).toBe(1);
    h.go("jbd2");
    expect([recovered_version(h.k, FILE, 0, 0), h.k.of(frozen_data).version[0]]).toEqual([2, 0]);
    const mapped = file().go("store");
    mapped.until("jbd2", "jbd2_journal_write_metadata_buffer").go("again").go("jbd2");
    expect(recovered_version(mapped.k, FILE, 0, 0)).toBe(2);
  });

  it("while the commit writes it to the journal nobody gets it; then the next transaction has it after the first", () => {
    const h = file({ write: write(0, 1), more: write(0, 1) }).go("write");
    h.until("jbd2", "wait_on_buffer").go("more");
    expect([h.next("more"), h.enabled("more"), jh(h)]).toEqual([
      "jbd2_journal_get_write_access",
      false,
      [1, 0, 0, BJ.Shadow],
    ]);
    h.step("jbd2").go("more");
    expect([h.finished("more"), jh(h)]).toEqual([true, [1, 2, 0, BJ.Forget]]);
    // On the first one's checkpoint list, and the second one's to write: not dirty for others.
    h.until("jbd2", "j_commit_sequence");
    expect([jh(h), h.bufferDirty(), jbddirty(h)]).toEqual([[2, 0, 1, BJ.Metadata], false, true]);
    h.go("jbd2").go("jbd2");
    expect([jh(h), recovered_version(h.k, FILE, 0, 0)]).toEqual([[0, 0, 2, BJ.None], 2]);
  });

  it("a buffer that is frozen already, or is the transaction's own, is had at once", () => {
    const h = file({ write: write(0, 1), more: write(0, 1), last: write(0, 1) }).go("write");
    h.until("jbd2", "jbd2_journal_write_metadata_buffer").go("more");
    h.until("jbd2", "wait_on_buffer").go("last");
    expect([h.finished("last"), jh(h)]).toEqual([true, [1, 2, 0, BJ.Shadow]]);
    h.go("jbd2").go("jbd2");
    expect(recovered_version(h.k, FILE, 0, 0)).toBe(3);
  });

  it("write access that nobody used goes with the commit", () => {
    const h = file({ mkwrite: { path: ext4_page_mkwrite, args: [0, FILE], ends: true } });
    h.go("mkwrite").go("jbd2");
    expect([buffer_jbd(h.k, 0), jh(h)]).toEqual([true, [0, 0, 1, BJ.None]]);
    // A writepage that has write access and no new bytes: reserved.
    h.k.of(journal_head).b_transaction[0] = 2;
    h.k.of(journal_head).b_jlist[0] = BJ.Reserved;
    h.k.of(journal).j_running_transaction[0] = 2;
    h.k.of(journal).j_commit_sequence[0] = 1;
    h.go("jbd2");
    expect(jh(h)[0]).toBe(0);
  });
});

describe("F10, D12, D13 what keeps buffers from being released", () => {
  const released = (h: Hand) => {
    old(h);
    h.clear(["referenced"]).go("reclaim");
    return !h.has("private");
  };
  const again = { reclaim: reclaim(3) };

  it("PG_checked, until the page is journalled", () => {
    const h = file(again).go("store").go("flusher").go("jbd2").go("next").go("disk").set(["checked"]);
    expect([released(h), h.has("private")]).toEqual([false, true]);
  });

  it("a transaction, running or committing", () => {
    for (const stop of ["jbd2_journal_write_metadata_buffer", "t_forget"]) {
      const h = file(again).go("store").go("flusher");
      h.until("jbd2", stop);
      expect([released(h), buffer_jbd(h.k, 0)], stop).toEqual([false, true]);
    }
  });

  it("a checkpoint that is not written; once it is, nothing keeps them", () => {
    const h = checkpointed(file(again));
    expect([jh(h), buffer_jbd(h.k, 0)]).toEqual([[0, 0, 1, BJ.None], true]);
    expect([released(h), buffer_jbd(h.k, 0), h.lru()]).toEqual([true, false, "none"]);
  });

  it("the next commit takes what has been written off the checkpoint lists", () => {
    const h = checkpointed(file({ write: write(1, 1) }, { pages: 2 }));
    h.go("write").go("jbd2");
    expect(jh(h)).toEqual([0, 0, 0, BJ.None]);
  });

  it("the references of a writepage that waits for a handle", () => {
    const h = file(again).go("store").go("jbd2");
    h.until("flusher", "jbd2_journal_start");
    // Not pending, in no transaction, clean: only the reference is left.
    h.k.of(journal_head).b_cp_transaction[0] = 0;
    h.k.page.b_state[0] &= ~(BH.jbd | BH.dirty);
    expect([h.has("checked"), released(h)]).toEqual([false, false]);
  });
});

describe("trap 18: the crash goes through ext4_writepage, called by write_cache_pages", () => {
  const stripped = (): Hand => {
    const h = file({ read: read(8), dma: dma(8), reclaim: reclaim(3) });
    h.past("read", "submit_bio").go("flusher").go("jbd2").go("next").go("disk");
    old(h);
    return h.clear(["referenced"]).go("reclaim");
  };

  it("a page loses its buffers while a device holds it, once it is journalled, committed and written", () => {
    const h = stripped();
    expect([h.has("private"), h.refs() > 1, h.faults()]).toEqual([false, true, []]);
    h.go("dma").go("read");
    // Nobody has warned: a pending page need not have buffers.
    expect([h.has("dirty"), h.has("checked"), h.faults()]).toEqual([true, true, []]);
    h.go("fsync");
    const [bug] = h.k.faults;
    expect(bug).toMatchObject({ kind: "BUG", path: "ext4_writepage", step: "page_buffers", task: "fsync" });
    const { machine } = h.world;
    const dead = machine.tasks.findIndex(({ name }) => name === "fsync");
    expect(machine.at(dead).stack.slice(-4)).toEqual([
      "ext4_writepages",
      "generic_writepages",
      "write_cache_pages",
      "ext4_writepage",
    ]);
  });

  it("the commit thread is not the one that dies: it has no data to write", () => {
    const h = stripped().go("dma").go("read").go("jbd2");
    expect(h.faults()).toEqual([]);
  });
});

describe("truncation", () => {
  it("a buffer of the running transaction goes with the page", () => {
    const h = file({ truncate: truncate(0) })
      .go("store")
      .go("truncate");
    expect([h.finished("truncate"), h.has("private"), h.refs(), h.has("checked")]).toEqual([
      true,
      false,
      0,
      false,
    ]);
    h.go("jbd2");
    expect([recovered_size(h.k, FILE), h.faults()]).toEqual([0, []]);
  });

  it("a buffer of the committing one stays until that is done; the page is in no file meanwhile", () => {
    const h = file({ truncate: truncate(0) }).go("store");
    h.until("jbd2", "wait_on_buffer").go("truncate");
    expect([h.finished("truncate"), h.k.page.mapping[0], h.has("private"), h.refs()]).toEqual([
      true,
      0,
      true,
      1,
    ]);
    // The next transaction, which says that the file is shorter, has it after the first.
    h.until("jbd2", "j_commit_sequence");
    expect(jh(h)).toEqual([2, 0, 1, BJ.Forget]);
    expect([recovered_size(h.k, FILE), recovered_version(h.k, FILE, 0, 0)]).toEqual([1, 1]);
    h.go("jbd2").go("jbd2");
    expect([h.has("private"), h.refs(), buffer_jbd(h.k, 0)]).toEqual([false, 0, false]);
    expect([recovered_size(h.k, FILE), h.k.of(journal_data).logged[0]]).toEqual([0, 0]);
  });

  it("what is logged and not yet written waits for the transaction that frees it, or goes at once when none runs", () => {
    const h = file({ pages_go: pages_go(0, 1) })
      .go("store")
      .go("flusher")
      .go("jbd2")
      .go("pages_go");
    expect([h.k.of(journal).j_running_transaction[0], jh(h), h.refs()]).toEqual([0, [0, 0, 0, BJ.None], 0]);
    const written = file({ punch: punch(0, 1) })
      .go("store")
      .go("flusher")
      .go("jbd2")
      .go("punch");
    written.go("disk").go("punch");
    expect([written.finished("punch"), jh(written), written.refs()]).toEqual([true, [0, 0, 0, BJ.None], 0]);
    const running = file({ truncate: truncate(0) })
      .go("store")
      .go("flusher")
      .go("jbd2");
    running.until("truncate", "journal_unmap_buffer").step("truncate");
    expect([running.bufferDirty(), jh(running)]).toEqual([false, [2, 0, 1, BJ.Forget]]);
    running.go("truncate").go("jbd2");
    expect([running.finished("truncate"), running.refs(), jh(running)]).toEqual([
      true,
      0,
      [0, 0, 0, BJ.None],
    ]);
  });

  it("ext4_wait_for_tail_page_commit takes the buffers of the first page behind the end, and waits for no direct I/O", () => {
    const h = file({ truncate: truncate(1) }, { pages: 2 });
    const steps = h.trace("truncate", () => h.go("truncate"));
    expect(steps).toContain("find_lock_page");
    expect(steps).not.toContain("inode_dio_wait");
    expect(h.finished("truncate")).toBe(true);
    const none = file({ truncate: truncate(1) }, { pages: 2 }, {}, { cached: false }).go("truncate");
    expect(none.finished("truncate")).toBe(true);
  });

  it("the end of a partial page is zeroed in the transaction", () => {
    const h = file({ truncate: truncate(1) }, {}, { parts: 2 }).go("truncate");
    expect([h.has("dirty"), jbddirty(h), jh(h)[0]]).toEqual([false, true, 1]);
  });

  it("a page that is truncated while its writepage waits for a handle keeps its buffers for ever", () => {
    const h = file({ truncate: truncate(0), reclaim: reclaim(4) })
      .go("store")
      .go("jbd2");
    h.until("flusher", "jbd2_journal_start").go("truncate").go("flusher").go("jbd2").go("jbd2").go("reclaim");
    expect([h.finished("flusher"), h.k.page.mapping[0], h.has("locked")]).toEqual([true, 0, false]);
    expect([h.has("private"), h.refs(), h.k.of(journal_head).b_count[0]]).toEqual([true, 1, 1]);
  });
});

describe("power cut", () => {
  it("a hole is punched into data that only the running transaction has: a commit in between shows a deleted page's bytes", () => {
    const h = file({ write: write(0, 1), punch: punch(0, 1) }, { extents: ["hole"] });
    h.k.block.version[0] = 9;
    h.k.of(block_owner).slot.fill(DELETED | 0x7000);
    // Invalidation throws the data out of the transaction that has the block; the hole is another transaction's.
    h.go("write").until("punch", "jbd2_journal_start").go("jbd2");
    expect([recovered_size(h.k, FILE), stale_after_power_cut(h.k)]).toEqual([
      1,
      [{ mapping: FILE, index: 0, part: 0 }],
    ]);
    h.go("punch").go("jbd2");
    expect(stale_after_power_cut(h.k)).toEqual([]);
  });

  it("data=journal shows nobody's bytes at any moment of any interleaving", () => {
    const w = small(
      {
        pages: 1,
        geometry: {
          files: [{ pages: 1, extents: ["hole"] }],
          config: ["blocks", "journal"],
          mount: { data: "journal" },
        },
      },
      { store: store(), jbd2, disk },
    );
    w.k.block.version[0] = 9;
    w.k.of(block_owner).slot.fill(DELETED | 0x7000);
    let worst = 0;
    let states = 0;
    naiveSearch(w, undefined, () => {
      states++;
      worst = Math.max(worst, stale_after_power_cut(w.k).length);
    });
    expect([worst, states > 50]).toEqual([0, true]);
  });
});

it("lockdep has nothing to say", () => {
  const { reports } = world({
    write: write(0, 1),
    truncate: truncate(0),
    punch: punch(0, 1),
    reclaim: reclaim(),
  }).lockdep;
  expect(reports.map(lockReportText)).toEqual([]);
});
