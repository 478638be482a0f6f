/** ext4_writepages: which pages it writes, in which order, and where it stops. */
import { describe, expect, it } from "vitest";
import type { Config } from "../../../src/kernel/config.js";
import { disk_block, EXTENT, extent_state, PENDING } from "../../../src/kernel/fs/blocks.js";
import { ext4_writepages } from "../../../src/kernel/fs/ext4/writepages.js";
import { ext4_inode_info, journal, kjournald2 } from "../../../src/kernel/fs/jbd2.js";
import { sync_file_range } from "../../../src/kernel/fs/sync.js";
import type { FileSpec, GeometryOptions } from "../../../src/kernel/geometry.js";
import { address_space } from "../../../src/kernel/mm/filemap.js";
import { LONG_MAX, RANGE_CYCLIC, RANGE_END } from "../../../src/kernel/mm/page_writeback.js";
import { VM_SHARED, VM_WRITE } from "../../../src/kernel/structs.js";
import { disk, flusher, store } from "../actors.js";
import { type Actor, FILE, Hand, small } from "../harness.js";

const writepages = (wbc: Partial<Record<"sync" | "tagged" | "nr" | "start" | "end", number>>): Actor => ({
  path: ext4_writepages,
  args: [FILE, wbc.sync ?? 0, wbc.tagged ?? 0, wbc.nr ?? LONG_MAX, wbc.start ?? 0, wbc.end ?? RANGE_END],
  ends: true,
});
const jbd2: Actor = { path: kjournald2, args: [0] };

/** A file of three pages, all of them dirty. */
function three(
  actors: Readonly<Record<string, Actor>>,
  config: readonly Config[] = ["kupdate"],
  file: Partial<FileSpec> = {},
  more: Partial<GeometryOptions> = {},
): Hand {
  const h = new Hand(
    small(
      {
        filePages: 3,
        geometry: {
          files: [{ pages: 3, ...file }],
          vmas: [{ pages: 3, file: FILE, flags: VM_SHARED | VM_WRITE }],
          config,
          ...more,
        },
      },
      { store0: store(0), store1: store(1), store2: store(2), again: store(0), disk, ...actors },
    ),
  );
  return h.go("store0").go("store1").go("store2");
}

/** By page of the file: w under writeback, d dirty, - clean. */
const states = (h: Hand): string =>
  [0, 1, 2]
    .map((index) => h.k.xa_slot.page[index] - 1)
    .map((page) => (h.has("writeback", page) ? "w" : h.has("dirty", page) ? "d" : "-"))
    .join("");
const lookups = (steps: readonly string[]): number =>
  steps.filter((step) => step === "pagevec_lookup_range_tag").length;

describe("writeback_control", () => {
  it("a range: pages outside of it stay dirty", () => {
    expect(states(three({ w: writepages({ sync: 1, start: 1, end: 1 }) }).go("w"))).toBe("dwd");
    expect(states(three({ w: writepages({ start: 1 }) }).go("w"))).toBe("dww");
  });

  it("sync_file_range writes its range", () => {
    const h = three({ sync: { path: sync_file_range, args: [FILE, 2, 2, 2], ends: true } }, ["truncate"]);
    expect(states(h.go("sync"))).toBe("ddw");
  });

  it("nr_to_write: WB_SYNC_NONE stops when it is used up, before it locks the next page", () => {
    const h = three({ w: writepages({ nr: 2 }) });
    const steps = h.trace("w", () => h.go("w"));
    expect(states(h)).toBe("wwd");
    expect(steps.filter((step) => step === "lock_page")).toHaveLength(2);
  });

  it("WB_SYNC_ALL goes on to the last page that it tagged", () => {
    expect(states(three({ w: writepages({ sync: 1, nr: 1 }) }).go("w"))).toBe("www");
  });

  it("range_cyclic goes on where the last one stopped, and round to the page before", () => {
    const h = three({
      w: writepages({ nr: 1, start: RANGE_CYCLIC }),
      rest: writepages({ start: RANGE_CYCLIC }),
    });
    const { writeback_index } = h.k.of(address_space);
    h.go("w");
    expect([states(h), writeback_index[FILE]]).toEqual(["wdd", 1]);
    h.go("disk").go("again");
    expect(states(h)).toBe("ddd");
    const pages: number[] = [];
    while (!h.finished("rest")) {
      const before = states(h);
      h.step("rest");
      const after = states(h);
      for (const index of [0, 1, 2]) if (before[index] !== "w" && after[index] === "w") pages.push(index);
    }
    expect(pages).toEqual([1, 2, 0]);
    expect(writeback_index[FILE]).toBe(1);
  });

  it("the whole file without a limit also sets writeback_index; a range does not", () => {
    const index = (wbc: Parameters<typeof writepages>[0]) =>
      three({ w: writepages(wbc) })
        .go("w")
        .k.of(address_space).writeback_index[FILE];
    expect([index({}), index({ end: 1 }), index({ nr: 1 })]).toEqual([3, 0, 0]);
  });

  it("tagged_writepages does not meet what is dirtied after it has tagged", () => {
    const h = three({ w: writepages({ tagged: 1 }) }).until("w", "lock_page");
    for (const index of [1, 2]) h.k.xa_mark.towrite[0] &= ~(1 << index);
    expect(states(h.go("w"))).toBe("wdd");
  });
});

describe("the two walks", () => {
  it("the second begins where the first one stopped: what is dirtied behind it is left to the next caller", () => {
    for (const config of [[], ["kupdate"]] as const) {
      const h = three({ flusher, next: flusher }, config);
      h.until(
        "flusher",
        (k) => h.next("flusher") === "pagevec_release" && h.has("writeback", k.xa_slot.page[0] - 1),
      );
      h.go("disk").go("again").go("flusher");
      expect([h.finished("flusher"), states(h)], config.join()).toEqual([true, "dww"]);
      expect(states(h.go("next"))).toBe("www");
    }
  });

  it("the first ends with the last page of the file; the second has one look and one handle", () => {
    const h = three({ flusher });
    expect(lookups(h.trace("flusher", () => h.go("flusher")))).toBe(4);
  });

  it("the second is not made when the first has come to the end of the range", () => {
    const h = three({ w: writepages({ sync: 1, end: 2 }) });
    expect(lookups(h.trace("w", () => h.go("w")))).toBe(3);
  });
});

describe("pages without blocks", () => {
  const holes = { extents: ["mapped", "hole", "unwritten"] } as const;

  it("the first walk stops at the first page that needs a block, and gives it back; the second has a handle", () => {
    const h = three({ flusher, jbd2 }, ["blocks", "journal"], holes);
    h.until("flusher", "jbd2_journal_start");
    expect([states(h), h.has("locked", h.k.xa_slot.page[1] - 1)]).toEqual(["wdd", false]);
    h.go("flusher");
    expect(states(h)).toBe("www");
    expect([1, 2].map((index) => extent_state(h.k, FILE, index))).toEqual([EXTENT.mapped, EXTENT.mapped]);
  });

  it("a handle for each extent; the size on the disk grows with them, at most to i_size", () => {
    const h = three({ flusher, jbd2 }, ["blocks", "journal"], { extents: ["hole", "hole", "hole"] });
    const { i_disksize } = h.k.of(ext4_inode_info);
    i_disksize[FILE] = 0;
    const sizes: number[] = [];
    for (let page = 0; page < 3; page++) {
      h.until("flusher", "jbd2_journal_stop", true);
      sizes.push(i_disksize[FILE]);
    }
    expect(sizes).toEqual([1, 2, 3]);
    h.go("flusher");
    expect([h.finished("flusher"), h.k.of(journal).t_updates[0]]).toEqual([true, 0]);
  });

  it("no block is free before a commit: the handle is closed, the page let go, and the commit waited for", () => {
    const h = three({ flusher, jbd2 }, ["blocks", "journal"], { extents: ["hole", "mapped", "mapped"] });
    // All that is free waits for a commit.
    h.k.of(journal).j_running_transaction[0] = 1;
    h.k.of(disk_block).pending.fill(PENDING.running);
    h.go("flusher");
    const page = h.k.xa_slot.page[0] - 1;
    expect([h.next("flusher"), h.k.of(journal).t_updates[0], h.has("locked", page), states(h)]).toEqual([
      "jbd2_log_wait_commit",
      0,
      false,
      "ddd",
    ]);
    h.go("jbd2").go("flusher");
    expect(states(h)).toBe("www");
  });
});
