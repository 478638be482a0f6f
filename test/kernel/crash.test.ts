/** The article's crash, row by row: reference counts (kernel-semantics 1.4) and states (T-KARA-1). */
import { describe, expect, it } from "vitest";
import { buffer_dirty } from "../../src/kernel/fs/buffer.js";
import { PagePrivate } from "../../src/kernel/mm/page.js";
import { Hand } from "./harness.js";

const CRASH = "page_buffers: BUG_ON(!PagePrivate(page))";

/** Passes of kswapd until one is about to make this step. */
const pressure = (h: Hand, step: string) => h.until("kswapd", step, true);

describe("the arithmetic of the article's failure (1.4): one page, one mapping, one reference by gup", () => {
  const h = Hand.open("kara-2018");
  const row = (moment: string, refs: number, act: () => void, facts: () => void = () => {}) =>
    it(`${moment}: ${refs}`, () => {
      act();
      expect(h.refs()).toBe(refs);
      facts();
    });

  row(
    "after gup, mapped dirty",
    4,
    () => h.until("reader", "submit_bio"),
    () => {
      expect(h.flags()).toEqual(expect.arrayContaining(["dirty", "private", "uptodate", "lru"]));
      expect(h.pte()).toBe("rwdy");
      expect(h.k.page.pins[0]).toBe(1);
      h.step("reader");
      expect(h.enabled("reader")).toBe(false);
    },
  );
  row(
    "flusher cleaned and wrote, I/O done",
    4,
    () => {
      h.round("flusher");
      h.round("disk");
    },
    () => {
      expect(h.has("private")).toBe(true);
      expect(h.has("dirty")).toBe(false);
      expect(buffer_dirty(h.k, 0)).toBe(false);
      expect(h.pte()).toBe("ry");
    },
  );
  row(
    "kswapd isolated it",
    5,
    () => pressure(h, "trylock_page"),
    () => expect(h.lru()).toBe("isolated"),
  );
  row("about to unmap it", 5, () => pressure(h, "ptep_clear_flush"));
  row(
    "try_to_unmap ok",
    4,
    () => pressure(h, "try_to_free_buffers"),
    () => {
      expect(h.k.page.mapcount[0]).toBe(0);
      expect(h.pte()).toBe("none");
    },
  );
  row(
    "try_to_release_page ok",
    3,
    () => pressure(h, "__remove_mapping"),
    () => expect(h.has("private")).toBe(false),
  );
  row(
    "page_ref_freeze(2) fails: cache, isolator, gup",
    3,
    () => pressure(h, "unlock_page"),
    () => expect(h.k.xa_slot.page[0]).toBe(1),
  );
  row(
    "putback: cache, gup; inactive, clean, no buffers",
    2,
    () => pressure(h, "get_scan_count"),
    () => {
      expect(h.lru()).toBe("inactive");
      expect(h.flags()).not.toEqual(expect.arrayContaining(["dirty"]));
      expect(h.flags()).not.toEqual(expect.arrayContaining(["private"]));
    },
  );
  row(
    "DMA completes, set_page_dirty_lock: dirty, tagged, no buffers, one warning",
    2,
    () => {
      h.past("dma", "dio_bio_end_io");
      h.past("reader", "__mark_inode_dirty");
    },
    () => {
      expect(h.has("dirty")).toBe(true);
      expect(h.tags()).toBe("dirty");
      expect(h.has("private")).toBe(false);
      expect(h.faults()).toEqual(["WARN ext4_set_page_dirty: WARN_ON_ONCE(!page_has_buffers(page))"]);
    },
  );
  row("put_page: cache", 1, () => h.past("reader", "put_page"));
  it("the flusher dies in page_buffers(), and whoever needs its page lock hangs", () => {
    h.go("flusher");
    expect(h.dead("flusher")).toBe(true);
    h.go("reader");
    expect(h.finished("reader")).toBe(false);
    expect(h.faults().slice(1)).toEqual([
      `BUG ${CRASH}`,
      expect.stringMatching(/^HANG .*page lock that flusher took to its death$/),
    ]);
    expect(h.k.faults[1]).toMatchObject({ path: "mpage_prepare_extent_to_map", task: "flusher", pfn: 0 });
  });
});

describe("T-KARA-1, with the flusher as the cleaner: kswapd may not write a page that somebody holds (trap 1)", () => {
  const h = Hand.open("kara-2018");
  const state = () => ({
    dirty: h.has("dirty"),
    tags: h.tags(),
    buffers: h.has("private"),
    pte: h.pte(),
    refs: h.refs(),
  });
  const row = (name: string, act: () => void, expected: ReturnType<typeof state>) =>
    it(name, () => {
      act();
      expect(state()).toEqual(expected);
    });

  row("0 page cached, clean", () => {}, { dirty: false, tags: "", buffers: false, pte: "none", refs: 1 });
  row("1, 2 the read has its page and is submitted", () => h.past("reader", "submit_bio"), {
    dirty: true,
    tags: "dirty",
    buffers: true,
    pte: "rwdy",
    refs: 4,
  });
  row(
    "3 kswapd unmaps the dirty page, marks it and puts it back on the active list",
    () => {
      h.until("kswapd", (k) => k.page.mapcount[0] === 0);
      pressure(h, "get_scan_count");
      expect(h.lru()).toBe("active");
      expect(h.has("reclaim")).toBe(true);
    },
    { dirty: true, tags: "dirty", buffers: true, pte: "none", refs: 3 },
  );
  row(
    "4 the flusher clears dirty, tag and buffer at submission, under writeback; the mark stays",
    () => {
      h.round("flusher");
      expect(h.has("reclaim")).toBe(true);
      expect(buffer_dirty(h.k, 0)).toBe(false);
    },
    { dirty: false, tags: "writeback", buffers: true, pte: "none", refs: 3 },
  );
  row("5 writeback ends: rotation parks the page in a batch, with a reference", () => h.round("disk"), {
    dirty: false,
    tags: "",
    buffers: true,
    pte: "none",
    refs: 4,
  });
  row(
    "6 kswapd finds it at the tail of the inactive list and frees the buffers (5 with its own reference)",
    () => pressure(h, "__remove_mapping"),
    { dirty: false, tags: "", buffers: false, pte: "none", refs: 3 },
  );
  row("7 it backs out: the page stays cached", () => pressure(h, "get_scan_count"), {
    dirty: false,
    tags: "",
    buffers: false,
    pte: "none",
    refs: 2,
  });
  row(
    "8 the device writes, and nothing says so",
    () => {
      const before = h.k.content.version[0];
      h.past("dma", "DMA");
      expect(h.k.content.version[0]).toBe(before + 1);
      expect(h.k.page.device[0]).toBe(1);
    },
    { dirty: false, tags: "", buffers: false, pte: "none", refs: 2 },
  );
  row(
    "9 completion dirties the page without buffers",
    () => {
      h.past("dma", "dio_bio_end_io");
      h.past("reader", "put_page");
      expect(h.k.page.device[0]).toBe(0);
    },
    { dirty: true, tags: "dirty", buffers: false, pte: "none", refs: 1 },
  );
  it("10 the flusher finds the tag, asks for the buffers, and dies", () => {
    h.go("flusher");
    expect(h.faults().map((fault) => fault.split(" ")[0])).toEqual(["WARN", "BUG"]);
  });
});

describe("orders that are harmless (4.1)", () => {
  it("dirtied before it is cleaned: buffers are there, and the page is written again", () => {
    const h = Hand.open("kara-2018");
    h.past("reader", "submit_bio").past("dma", "dio_bio_end_io").past("reader", "put_page");
    h.round("flusher").round("disk");
    expect(h.faults()).toEqual([]);
    expect(h.world.lostWrites()).toEqual([]);
  });

  it("cleaned, not stripped, dirtied: all buffers are dirty again, and the next writeback writes them", () => {
    const h = Hand.open("kara-2018");
    h.past("reader", "submit_bio").round("flusher").round("disk");
    h.past("dma", "dio_bio_end_io").past("reader", "put_page");
    expect(h.bufferDirty()).toBe(true);
    h.round("flusher").round("disk");
    expect(h.faults()).toEqual([]);
    expect(h.world.lostWrites()).toEqual([]);
  });

  it("a CPU store after the strip puts the buffers back (trap 16)", () => {
    const h = Hand.open("kara-2018-touch");
    h.past("reader", "submit_bio").round("flusher").round("disk");
    pressure(h, "__remove_mapping").until("kswapd", "get_scan_count");
    expect(h.has("private")).toBe(false);
    h.go("toucher");
    expect(h.finished("toucher")).toBe(true);
    expect(h.flags()).toEqual(expect.arrayContaining(["private", "dirty"]));
    h.past("dma", "dio_bio_end_io").go("reader");
    h.round("flusher").round("disk");
    expect(h.faults()).toEqual([]);
  });

  it("ext4's warning comes once: the second victim is silent (trap 14)", () => {
    const h = Hand.open("kara-2018,drivers=2");
    h.past("reader1", "submit_bio").past("reader2", "submit_bio").round("flusher");
    h.round("disk").round("disk");
    h.until("kswapd", (k) => !PagePrivate(k, 0) && !PagePrivate(k, 1));
    h.until("kswapd", "get_scan_count");
    for (const n of [1, 2]) h.past(`dma${n}`, "dio_bio_end_io").past(`reader${n}`, "put_page");
    expect([h.has("private", 0), h.has("private", 1)]).toEqual([false, false]);
    expect(h.faults()).toHaveLength(1);
  });
});
