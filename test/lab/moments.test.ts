/** Figures of a moment: the crash's own moments, a proposal's words in struct page, deadlocks and hangs. */
import { describe, expect, it } from "vitest";
import { call, down_read, down_write, path, step, up_read, up_write } from "../../src/kernel/language.js";
import { mmap_sem } from "../../src/kernel/locks.js";
import { lock_page, unlock } from "../../src/kernel/mm/page.js";
import { type Pfn, pfn } from "../../src/kernel/types.js";
import { momentPlots, worldAt } from "../../src/lab/moments.js";
import { ownersStory } from "../../src/lab/owners.js";
import { pageStory } from "../../src/lab/page_story.js";
import { run } from "../../src/lab/run.js";
import { waitStory } from "../../src/lab/wait_graph.js";
import { open, type World } from "../../src/lab/world.js";
import { type Figure, misfitsOf, toTerminal } from "../../src/plot/index.js";
import { Hand, small } from "../kernel/harness.js";

const CRASH = "kara-2018@v4.20:r13k6r2k6f12d4k7m3r6f4";
const crash = run(CRASH);
const PAGE = 0 as Pfn;

const text = (figure: Figure): string => toTerminal(figure, { columns: 100, rows: 40, color: false });

describe("a moment of a run", () => {
  it("is the world as it was, and leaves the run as it is", () => {
    const { replay } = crash;
    for (const tick of [0, 1, 30, 62]) {
      const then = worldAt(crash.world, tick);
      expect(then.k.tick).toBe(tick);
      expect(replay.startsWith(then.replay.replace(/\d+$/, ""))).toBe(true);
    }
    expect(worldAt(crash.world, 63)).toBe(crash.world);
    expect(crash.world.replay).toBe(CRASH);
  });

  it("of a sandbox too, with what was said to it", () => {
    const line = "sandbox,pages=1@v4.20:[A gup 0]A24[A writeback]A18d4";
    const { world } = run(line);
    expect(worldAt(world, 26).replay).toBe("sandbox,pages=1@v4.20:[A gup 0]A24[A writeback]");
  });

  it.each([
    [() => crash.plot.page({ tick: 64 }), "tick 64 is not in this run, which goes from 0 to 63"],
    [() => crash.plot.owners({ tick: -1 }), "tick -1 is not in this run, which goes from 0 to 63"],
    [() => crash.plot.waits({ tick: 1.5 }), "tick 1.5 is not in this run, which goes from 0 to 63"],
    [() => crash.plot.page({ pfn: 7 }), "there is no page 7: this machine has only page 0"],
    [() => crash.plot.owners({ pfn: -1 }), "there is no page -1: this machine has only page 0"],
    [() => crash.plot.page({ tick: 20, since: 20 }), "since names an earlier tick than 20: 20 is not"],
  ])("what is not there is said in one sentence: %#", (draw, sentence) => {
    expect(draw).toThrow(new Error(sentence));
  });
});

describe("struct page of a moment", () => {
  it("the crash: kswapd has taken the buffers, and the flags say so", () => {
    const { words } = pageStory(crash.world, PAGE, worldAt(crash.world, 44));
    const changed = words.filter(({ before }) => before !== null);
    expect(changed.map(({ field, before, value }) => [field, before, value])).toEqual([
      ["flags", "locked referenced uptodate private", "locked uptodate dirty"],
      ["private", "buffer_head", ""],
      ["_mapcount, _refcount", "0, 5", "-1, 4"],
    ]);
    expect(words).toHaveLength(8);
  });

  it("says what the words are in pages of other types", () => {
    const [, next] = pageStory(crash.world, PAGE, null).words;
    expect(next.elsewhere).toEqual(["compound_head (first tail)", "pgmap (ZONE_DEVICE)"]);
  });

  /** What struct page says after each step of seed 4 on a kernel. */
  const lives = (kernel: string) => {
    const made = run("kara-2018", { kernel, seed: 4, steps: 60 });
    const world = open("kara-2018", { kernel, record: false });
    return made.world.schedule.map((each) => {
      world.step(each);
      return { pins: world.k.page.pins[PAGE], words: pageStory(world, PAGE, null).words };
    });
  };

  it("hubbard-lru-2018: its two words stand where the links were, while the page is pinned", () => {
    const life = lives("v4.20+hubbard-lru-2018");
    const fields = (words: (typeof life)[number]["words"]) =>
      words.slice(1, 3).map(({ field, owner, value }) => [field, owner, value]);
    expect(fields(life[0].words)).toEqual([
      ["lru.next", "sometimes", "list head"],
      ["lru.prev", "sometimes", "list head"],
    ]);
    const taken = life.filter(({ words }) => words[1].field === "dma_pinned_flags");
    expect(fields(taken[0].words)).toEqual([
      ["dma_pinned_flags", "proposal", expect.stringContaining("pinned")],
      ["dma_pinned_count", "proposal", "1"],
    ]);
    const { world } = run("kara-2018", { kernel: "v4.20+hubbard-lru-2018", seed: 4, steps: 60 });
    const tick = life.indexOf(taken[0]) + 1;
    const shown = text(momentPlots(world).page({ tick, since: 1 }));
    expect(shown).toContain("was: lru.next: list head");
    expect(shown).toContain("a proposal's");
  });

  it("kara-count-2018: struct page has grown by a word, which counts the pins", () => {
    const life = lives("v4.20+kara-count-2018");
    for (const { words } of life) {
      expect(words).toHaveLength(9);
      expect(words[8]).toMatchObject({ word: 8, field: "dma_pinned_count", owner: "proposal" });
    }
    expect(life[0].words[8].value).toBe("0 (kara-count-2018)");
    expect(life.some(({ pins, words }) => pins === 1 && words[8].value === "1 (kara-count-2018)")).toBe(true);
  });

  it("morton-assertion-2018: a bit of its own in flags", () => {
    const life = lives("v4.20+morton-assertion-2018");
    expect(life[0].words[0].value).toMatch(/PG_gup 0 \(morton-assertion-2018\)$/);
    const set = life.filter(({ words }) => words[0].value.includes("PG_gup 1"));
    expect(set.length).toBeGreaterThan(0);
    expect(set.every(({ words }) => words[0].owner === "proposal")).toBe(true);
  });
});

describe("the two owners of the crash", () => {
  const at = (tick: number) => misfitsOf(ownersStory(worldAt(crash.world, tick), PAGE));

  it("agree before the pin, and the device's write is what nobody hears of", () => {
    expect(at(12)).toEqual([]);
    expect(at(44).every(({ wrong }) => !wrong)).toBe(true);
    expect(at(52).map(({ wrong, text: said }) => [wrong, said.split(":")[0]])).toEqual([
      [true, "A device has written and PG_dirty is clear"],
    ]);
    expect(at(63).map(({ wrong, text: said }) => [wrong, said.split(":")[0]])).toEqual([
      [true, "PG_dirty is set and the buffers are gone"],
    ]);
  });

  it("compare the bytes: memory is newer than the disk from the device's write on", () => {
    expect(ownersStory(worldAt(crash.world, 51), PAGE).contents).toEqual({
      memory: [0],
      disk: [0],
      newer: false,
    });
    expect(ownersStory(worldAt(crash.world, 52), PAGE).contents).toEqual({
      memory: [1],
      disk: [0],
      newer: true,
    });
  });

  it("a file without a disk has nothing to be compared with", () => {
    const { world } = run("kara-2018-tmpfs");
    const story = ownersStory(world, PAGE);
    expect([story.contents, story.tags, story.buffers]).toEqual([null, false, false]);
  });

  it("on today's kernel the pinned page keeps its buffers", () => {
    const made = run("kara-2018", { kernel: "2026", seed: 4 });
    const world = open("kara-2018", { kernel: "2026", record: false });
    for (const each of made.world.schedule) {
      world.step(each);
      for (const { text: said } of misfitsOf(ownersStory(world, PAGE)))
        expect(said).not.toContain("the buffers are gone");
    }
  });
});

const inner = path("inner", { source: "a test", args: { page: pfn } }, [
  lock_page(),
  step("work", () => {}),
  unlock(),
]);
const readThenPage = path("readThenPage", { source: "a test", args: { page: pfn } }, [
  down_read(mmap_sem, () => 0),
  step("between", () => {}),
  call(() => inner, { page: "page" }),
  up_read(mmap_sem, () => 0),
]);
const pageThenWrite = path("pageThenWrite", { source: "a test", args: { page: pfn } }, [
  lock_page(),
  step("between", () => {}),
  down_write(mmap_sem, () => 0),
  step("work", () => {}),
  up_write(mmap_sem, () => 0),
  unlock(),
]);
const semaphores = (): World =>
  small(
    {},
    {
      a: { path: readThenPage, args: [0], ends: true },
      b: { path: pageThenWrite, args: [0], ends: true },
    },
  );

describe("who waits for whom", () => {
  it("a circle over a semaphore and a page lock", () => {
    const h = new Hand(semaphores());
    h.until("a", "lock_page").until("b", "down_write(mm->mmap_sem)");
    const story = waitStory(h.world);
    expect(story.circles).toEqual([[0, 1]]);
    expect(story.things.map(({ name, heldBy, wantedBy }) => [name, heldBy, wantedBy])).toEqual([
      ["the lock of page 0", [1], [0]],
      ["mm->mmap_sem", [0], [1]],
    ]);
    expect(text(momentPlots(h.world).waits())).toContain("DEADLOCK: a waits for b waits for a");
    // Two steps before each of them can still move.
    expect(waitStory(worldAt(h.world, h.world.schedule.length - 2)).circles).toEqual([]);
  });

  it("the crash: the process waits for ever for the lock that the flusher took to its death", () => {
    const hung = run("kara-2018@v4.20:r13k6r2k6f12d4k7m3r9f4r3");
    expect(text(hung.plot.waits())).toContain(
      [
        "reader [waits for ever] in filemap_fault: lock_page",
        "└ waits for the lock of page 0",
        "  └ held by flusher [dead] in mpage_prepare_extent_to_map: page_buffers",
      ].join("\n"),
    );
    expect(text(hung.plot.waits({ tick: 0 }))).toContain(
      "Nobody waits for anything, and nobody holds a lock.",
    );
    expect(text(hung.plot.waits({ tick: 40 }))).toContain("waits for its read to complete");
  });

  it("a circle that is not one of locks: writeback waits for the pin, the pin's holder for the page that is locked", () => {
    const hung = run("dio-flusher@v4.20+hubbard-mkclean-2018:p15f4m3p1");
    const shown = text(hung.plot.waits());
    expect(shown).toContain("HANG: dio waits for flusher waits for dio");
    expect(shown).toContain("HANG: Nobody can move any more");
    expect(shown).toContain("held by flusher [waits] in page_mkclean: wait_for_dma_pinned_to_clear");
  });
});
