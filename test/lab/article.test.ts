/**
 * The article's claims: each has code that shows or refutes it and a test that names it by its number, "article 12: ...", here or in any other file;
 * and the notebook of claims, once there is one, has a cell for each.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { article, articleText, claimOf, claims, type Told } from "../../src/lab/article.js";
import { explore } from "../../src/lab/explore.js";
import { FIO_RUNS, fioPair } from "../../src/lab/fio.js";
import { kernelDiff } from "../../src/lab/kernels.js";
import { clashes, HUBBARD_2018 } from "../../src/lab/page_layout.js";
import { run } from "../../src/lab/run.js";
import { GUP_TYPES, PAGE_WORDS, V4_20 } from "../../src/lab/struct_page.js";
import { pageView } from "../../src/lab/views.js";
import { walks } from "../../src/lab/walks.js";
import { open } from "../../src/lab/world.js";
import { knownPatch } from "../../src/patches/kernels.js";
import { proposals } from "../../src/patches/proposals/index.js";
import { SITES } from "../../src/patches/proposals/put_user_page.js";
import { dma_pinned_count } from "../../src/patches/proposals/tracking.js";

const root = new URL("../..", import.meta.url).pathname;

/** Claims whose code is not there yet: proposals that are still to be written. */
const WAITING: readonly number[] = [];

describe("every claim", () => {
  const without = claims.filter(({ shows }) => shows === null).map(({ nr }) => nr);

  it("has code, but for those whose proposals are to come", () => {
    expect(without).toEqual(WAITING);
  });

  it("with code has a test that names it by its number", () => {
    const named = new Set<number>();
    for (const entry of readdirSync(join(root, "test"), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !/\.test\.tsx?$/.test(entry.name)) continue;
      const text = readFileSync(join(entry.parentPath, entry.name), "utf8");
      for (const [, numbers] of text.matchAll(/\bit\(\s*["'`]article ([\d, ]+(?: and \d+)?): /g))
        for (const [number] of numbers.matchAll(/\d+/g)) named.add(Number(number));
    }
    const unnamed = claims.filter(({ nr }) => !without.includes(nr) && !named.has(nr)).map(({ nr }) => nr);
    expect(unnamed).toEqual([]);
    expect([...named].filter((nr) => nr < 1 || nr > claims.length)).toEqual([]);
  });

  it("with code has a cell in the notebook of claims, once there is one", () => {
    const notebook = join(root, "notebooks", "05-claims.ipynb");
    if (!existsSync(notebook)) return;
    const { cells } = JSON.parse(readFileSync(notebook, "utf8")) as {
      cells: { source: string | string[] }[];
    };
    const text = cells.map(({ source }) => [source].flat().join("")).join("\n");
    const missing = claims.filter(
      ({ nr, shows }) => shows !== null && !new RegExp(`\\barticle\\(${nr}\\b`).test(text),
    );
    expect(missing.map(({ nr }) => nr)).toEqual([]);
  });

  it("quotes few words, and names proposals and tests that exist", () => {
    for (const { nr, quote, shows } of claims) {
      expect([nr, quote.split(" ").length <= 12]).toEqual([nr, true]);
      for (const name of shows?.proposals ?? [])
        expect([nr, name, knownPatch(name)?.name]).toEqual([nr, name, name]);
      for (const file of shows?.tests ?? [])
        expect([nr, file, existsSync(join(root, file))]).toEqual([nr, file, true]);
    }
  });

  it("is listed with its number, who makes it, and its quote", () => {
    expect(articleText()).toContain(
      '\n11. Williams: "if reclaim stays out of the way, everything works just fine"\n',
    );
    expect(articleText()).toContain(
      `guplab article N computes what shows or refutes one: 1 to ${claims.length}`,
    );
    expect(() => claimOf(99)).toThrow(`the article has claims 1 to ${claims.length}, and no 99`);
  });
});

const computed = new Map<number, Told>();
/** A claim with what its searches come to: computed once. */
const told = (nr: number): Told => {
  const made = computed.get(nr) ?? article(nr);
  computed.set(nr, made);
  return made;
};

/** Whether each search of a claim comes to what the claim says. */
const answers = (nr: number): (boolean | null)[] => told(nr).results.map(({ holds }) => holds);
const holds = (nr: number): void => {
  expect([nr, told(nr).holds]).toEqual([nr, true]);
};

describe("the problem", () => {
  it("article 1: it crashes", () => holds(1));
  it("article 2: the common pattern crashes, in O_DIRECT and in a long registration", () => holds(2));
  it("article 3: RDMA, graphics, cameras, network cards and asynchronous O_DIRECT alike", () => holds(3));
  it("article 4: ext4 is hit, and tmpfs is not", () => holds(4));
  it("article 5: it crashes, loses and tears", () => holds(5));
  it("article 6: ext4 warns of a dirty page without buffers", () => holds(6));
  it("article 7: and the next writeback dies asking for them", () => holds(7));
  it("article 8: btrfs loses what was dirtied behind its back", () => holds(8));
  it("article 9: nothing that a program could rely on is kept", () => holds(9));

  it("article 10: the buffers go before the reference is found, and the page stays", () => {
    holds(10);
    const { steps } = explore("kara-2018", { maxStates: 400_000 });
    const named = steps.flatMap(({ task, step, also = [] }) =>
      [step, ...also].map((each) => `${task} ${each}`),
    );
    const stripped = named.indexOf("kswapd try_to_free_buffers");
    const refused = named.indexOf("kswapd __remove_mapping", stripped);
    expect(stripped).toBeGreaterThan(0);
    expect(refused).toBeGreaterThan(stripped);
    expect(named[refused + 1]).toBe("kswapd unlock_page");
  });

  it("article 11: it holds in part: without reclaim all is well, until somebody writes the file by O_DIRECT", () => {
    expect(answers(11)).toEqual([true, true, false]);
    expect(told(11).results[2].outcomes).toEqual(["BUG", "LOST", "WARN"]);
    expect(`${told(11)}`).toContain("It holds in part.");
  });

  it("article 12: on the shortest way the strip comes before the driver dirties the page, and from then on nothing helps", () => {
    holds(12);
    const { steps } = explore("kara-2018", { maxStates: 400_000 });
    const at = (step: string) => steps.findIndex((each) => each.step === step);
    const dirtied = steps.findIndex(
      ({ path }, nr) => nr > at("try_to_free_buffers") && path === "__set_page_dirty_buffers",
    );
    expect(at("try_to_free_buffers")).toBeGreaterThan(0);
    expect(dirtied).toBeGreaterThan(at("try_to_free_buffers"));
  });

  it("article 13: page_mkwrite between the strip and the dirtying heals the page, in every interleaving", () =>
    holds(13));
  it("article 14: the filesystem lets buffers of a page go that the device is writing", () => holds(14));

  it("article 15: in one run the PTE, the page, its buffers and a device each say dirty where another says clean", () => {
    holds(15);
    const world = open("kara-2018", { record: false });
    const alone = new Set<string>();
    world.runSeeded({ seed: 1, steps: 1000 }, () => {
      const { pte, letters, buffers, device_wrote } = pageView(world, 0);
      const dirty = {
        pte: pte.includes("d"),
        page: letters.includes("D"),
        buffers: buffers === "dirty",
        device: device_wrote,
      };
      for (const [who, says] of Object.entries(dirty))
        if (says && Object.values(dirty).some((other) => !other)) alone.add(who);
      return world.settled();
    });
    expect([...alone].sort()).toEqual(["buffers", "device", "page", "pte"]);
  });
});

describe("how often", () => {
  it("article 16: with times that nobody measured, between a month and a century", () => {
    const days = (told(16).rates[0].meanTime_s ?? 0) / 86_400;
    expect(days).toBeGreaterThan(30);
    expect(days).toBeLessThan(36_500);
    expect(`${told(16)}`).toContain("[synthetic: dma=1ms kswapd=1s pinned=64]");
  }, 180_000);

  it("article 17: random orders that stay with a task meet it in one walk of ten at least", () => {
    holds(17);
    const { strategies } = walks("kara-2018", { strategy: "sticky", walks: 200 });
    const hits = strategies[0].meetings.find(({ kind }) => kind === "BUG")?.walks ?? 0;
    expect(hits).toBeGreaterThan(20);
  });

  it("article 18: the mean time goes with the third power of the time between two looks of kswapd", () => {
    const [{ meanTime_s, exponents }] = told(18).rates;
    // Half a day under this pressure, where article 16 has more than a year with a look a second.
    expect((meanTime_s ?? 0) / 86_400).toBeCloseTo(0.5, 1);
    expect(exponents.kswapd).toBeCloseTo(3, 0);
  }, 180_000);
});

describe("a note in struct page", () => {
  it("article 19: a count in struct page, which nobody asks, changes no outcome", () => holds(19));

  it("article 20: each of the eight words belongs to somebody in some page that get_user_pages can give", () => {
    for (let at = 0; at < PAGE_WORDS; at++) {
      const owners = GUP_TYPES.filter((type) => V4_20[type][at].tenure !== "never");
      expect([at, owners.length > 0]).toEqual([at, true]);
    }
  });

  it("article 22: put_user_page stands where drivers put pages, and W1 crashes as before", () => {
    holds(22);
    expect(kernelDiff("v4.20", "v4.20+hubbard-put-user-page-2018", "dio_bio_complete")).toContain(
      "+    call put_user_page",
    );
  });

  it("article 21: where reclaim has the page already its list is overwritten, sooner than any way to the article's crash", () => {
    expect(answers(21)).toEqual([true, false]);
    const bug = explore("W1", { kernel: "v4.20+hubbard-lru-2018", maxStates: 10_000 }).shortest.find(
      ({ kind }) => kind === "BUG",
    );
    expect(bug?.steps).toBeLessThan(63);
  });

  it("article 23: more than eight kinds of users are modelled here; one that forgets leaks", () => {
    holds(23);
    expect(SITES.length).toBeGreaterThanOrEqual(8);
  });

  it("article 24: both words are taken for ever in pages of DAX and HMM", () => {
    const taken = clashes(HUBBARD_2018, V4_20).filter(({ owner }) => owner.tenure === "always");
    expect(taken.map(({ word, type, owner }) => [word, type, owner.field])).toEqual([
      [1, "ZONE_DEVICE", "pgmap"],
      [2, "ZONE_DEVICE", "hmm_data"],
    ]);
  });

  it("article 25: ZONE_DEVICE pages have words that nobody owns, but not these two", () => {
    const free = V4_20.ZONE_DEVICE.flatMap(({ tenure }, at) => (tenure === "never" ? [at] : []));
    expect(free.length).toBeGreaterThan(0);
    expect(free).not.toContain(1);
    expect(free).not.toContain(2);
  });

  it("article 26: v4.20 lets everybody pin a file's pages for long; 2026 refuses", () => {
    holds(26);
    expect(told(26).results[0].outcomes).not.toContain("REFUSED");
  });

  it("article 27: it warns of who puts with put_page what he has pinned, and not of who never puts it", () => {
    expect(answers(27)).toEqual([true, false]);
  });

  it("article 28: the dummy changes nothing: as many states, as short ways", () => {
    holds(28);
    const [before, now] = told(28).results;
    expect([now.states, now.outcomes]).toEqual([before.states, before.outcomes]);
    expect(now.replay?.split(":")[1]).toBe(before.replay?.split(":")[1]);
  });

  it("article 29: to know is to prevent nothing: W1 crashes and W5 loses as before", () => holds(29));

  it("article 38: who empties a pipe puts vmsplice's page like any other, and the count stays for ever", () => {
    const { world, outcomes } = run("W1,holder=vmsplice", { kernel: "v4.20+kara-count-2018" });
    expect(outcomes).toEqual(["OK"]);
    expect(world.settled()).toBe(true);
    expect(world.k.of(dma_pinned_count).dma_pinned_count[0]).toBe(1);
    expect(world.k.page.pins[0]).toBe(0);
  });

  it("article 39: it does not hold: with a bit that any put clears the page is taken for free; with one that none clears, for pinned", () => {
    expect(answers(39)).toEqual([false, true]);
    expect(told(39).results[0].outcomes).toContain("BUG");
  });

  it("article 40: it holds: kara-keep-mapped-2018, which is safe with a count, crashes with the bit", () =>
    holds(40));

  it("article 41, 42 and 52: the loss of a debug kernel is 17 percent, and 0.7 of one without debugging options", () => {
    expect(fioPair("a", "b").rate).toBeCloseTo(-0.167, 3);
    expect(fioPair("f", "g").rate).toBeCloseTo(-0.007, 3);
    const rates = FIO_RUNS.map(({ debug, runtime_ms }) => ({
      debug,
      reads_s: 262_144 / (runtime_ms / 1000),
    }));
    const fastest = Math.max(...rates.filter(({ debug }) => debug).map(({ reads_s }) => reads_s));
    expect(fastest).toBeLessThan(
      Math.min(...rates.filter(({ debug }) => !debug).map(({ reads_s }) => reads_s)),
    );
  });
});

describe("what to do with it", () => {
  it("article 30: it does not hold as proposed: the page is pinned between the question and the unmapping, and stripped unmapped", () => {
    expect(answers(30)).toEqual([false, false, true]);
  });

  it("article 31: it holds: fsync and the flusher hang on the pin", () => holds(31));

  it("article 32: it holds: what is written is a copy, and W1 is safe in every interleaving", () =>
    holds(32));

  it("article 33: it holds for the page cache, and not for DAX, which waits", () => {
    expect(answers(33)).toEqual([true, false]);
  });

  it("article 34: a device that nobody can stop hangs its process", () => holds(34));
  it("article 35: a controller without Abort, or a stuck one, is reset, and its pages come back", () =>
    holds(35));
  it("article 36: put too early, the next owner has what the device writes", () => holds(36));
  it("article 37: who waits for such a device waits for ever", () => holds(37));

  it("article 43: RDMA's long-term pins of DAX memory are refused", () => holds(43));
  it("article 44: AF_XDP takes DAX memory for long and nobody refuses it; a camera is refused for its kind of VMA", () => {
    holds(44);
    expect(told(44).results[1].outcomes).toEqual(["OK"]);
    expect(explore("W9,holder=xdp").vacuous).toBeUndefined();
  });

  it("article 45: it holds in part: a lease that has truncation fail protects, and one that only tells its holder does not", () => {
    expect(answers(45)).toEqual([true, false]);
    expect(told(45).results[1].outcomes).toContain("UAF");
  });

  it("article 46: it holds in part: as one would write it first a pin comes between, and only under the page lock none does", () => {
    expect(answers(46)).toEqual([false, true]);
  });

  it("article 47: the truncation that was safe is one that is refused; that others will not have it stands among the remarks", () => {
    holds(47);
    const remarks = proposals.find(({ name }) => name === "gunthorpe-fail-truncate-2018")?.remarks ?? [];
    expect(remarks.some(({ who }) => who.includes("Wilcox"))).toBe(true);
  });

  it("article 48: it holds: with a lock on the part of the file nothing goes wrong", () => holds(48));
  it("article 49: what it costs here: fsync of a file whose pages are registered waits for ever", () =>
    holds(49));

  it("article 50: it does not hold: the flusher finds pages by their tag, O_DIRECT writes by their offset, and reclaim had some before", () => {
    expect(answers(50)).toEqual([false, false, false]);
    for (const { outcomes } of told(50).results) expect(outcomes).toContain("BUG");
  });

  it("article 51: a process that is told may be too late: STALE as before", () => holds(51));
  it("article 53: O_DIRECT alone crashes it, by the old code and by iomap", () => holds(53));
  it("article 54: it holds for DAX, for short pins and for long ones", () => holds(54));

  it("article 55: DAX waits on ext4 and on xfs; with its two steps exchanged it does not", () => holds(55));

  it("article 56: it holds: a power cut leaks the block, and a list on the disk heals that", () => holds(56));
  it("article 58: it holds: what only memory remembers is forgotten, and may be", () => holds(58));

  it("is told in lines that fit a page; a replay line is never broken", () => {
    for (const nr of [11, 16])
      for (const line of `${told(nr)}`.split("\n"))
        expect([line, line.length <= 100 || /^ {4}replay: \S+$/.test(line)]).toEqual([line, true]);
  });
});
