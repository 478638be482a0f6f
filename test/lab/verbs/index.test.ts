/** The table of verbs: every example works, every complaint is one sentence that changes nothing. */
import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { complete, runLine, runScript, statements } from "../../../src/cli/shell.js";
import { Desk, type Host } from "../../../src/lab/desk.js";
import { explore } from "../../../src/lab/explore.js";
import { bisect } from "../../../src/lab/kernels.js";
import { study } from "../../../src/lab/study.js";
import { verbs } from "../../../src/lab/verbs/index.js";
import { type Result, usage } from "../../../src/lab/verbs/verb.js";
import { walks } from "../../../src/lab/walks.js";
import { proposals } from "../../../src/patches/proposals/index.js";

/** A host whose files are in memory. */
class MemoryHost implements Host {
  readonly columns = 100;
  readonly rows = 24;
  readonly color = false;
  readonly files = new Map<string, string>([["my script.txt", "run 3 # three steps\ntasks; page 0\n"]]);

  write(path: string, content: string | Uint8Array): void {
    if (path.startsWith("none/"))
      throw new Error(`${path} cannot be written: there is no such file or folder`);
    this.files.set(path, typeof content === "string" ? content : `${content.length} bytes`);
  }
  read(path: string): string {
    const text = this.files.get(path);
    if (text === undefined) throw new Error(`${path} cannot be read: there is no such file`);
    return text;
  }
  async plotly(): Promise<string> {
    return "/* plotly */";
  }
  async png(svg: string): Promise<Uint8Array> {
    return new Uint8Array(svg.length);
  }
  async explore({ scenario, kernel, maxStates }: Parameters<Host["explore"]>[0]) {
    const verdict = explore(scenario, { kernel, maxStates });
    return { text: String(verdict), report: verdict.toJSON() };
  }
  async walk(request: Parameters<Host["walk"]>[0]) {
    const made = walks(request.scenario, request);
    return { text: String(made), report: made.toJSON(), faulty: made.faulty };
  }
  async study(request: Parameters<Host["study"]>[0]) {
    return study(request);
  }
  async bisect({ scenario, good, bad, ...bounds }: Parameters<Host["bisect"]>[0]) {
    const found = bisect(scenario, good, bad, bounds);
    return { text: String(found), report: found.toJSON() };
  }
  script(desk: Desk, lines: string): Promise<Result> {
    return runScript(desk, lines);
  }
}

let host: MemoryHost;
let desk: Desk;
beforeEach(() => {
  host = new MemoryHost();
  desk = new Desk(host);
});

/** Do statements and give the last one's result. */
async function say(text: string): Promise<Result> {
  let last: Result | undefined;
  for (const statement of statements(text)) last = await runLine(desk, statement);
  return last as Result;
}
const textOf = async (line: string): Promise<string> => (await say(line)).text;
const jsonOf = async <T>(line: string): Promise<T> => (await say(line)).json as T;

describe("the table", () => {
  test.each(verbs.map((verb) => [verb.example, verb.name]))("%s", async (example, name) => {
    expect(statements(example).some((statement) => statement.split(" ")[0] === name)).toBe(true);
    const result = await say(example);
    expect(() => JSON.parse(JSON.stringify(result.json))).not.toThrow();
    if (name !== "quit") expect(result.text).not.toBe("");
  });

  test.each(verbs.map((verb) => [verb.name, verb]))(
    "help %s tells how to write it, and shows an example",
    async (name, verb) => {
      const text = await textOf(`help ${name}`);
      expect(text).toContain(usage(verb));
      expect(text).toContain(verb.example);
      expect(await textOf(`${name} --help`)).toBe(text);
    },
  );

  test("help lists every verb, and fits into 120 columns", async () => {
    const lines = (await textOf("help")).split("\n");
    for (const verb of verbs) expect(lines.some((line) => line.trim().startsWith(verb.name))).toBe(true);
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(120);
  });

  test("the same lines give the same bytes", async () => {
    const script = "run; back 30; step 5; tasks; pages; diff 100; log 20; plot lanes; guide all";
    const once = await runScript(desk, script);
    const again = await runScript(new Desk(new MemoryHost()), script);
    expect(again).toEqual(once);
  });
});

describe("what cannot be done is said in one sentence, and nothing changes", () => {
  test.each([
    ["pgaes", 'there is no verb "pgaes"; did you mean pages?'],
    ["xyzzy", 'there is no verb "xyzzy"; help lists them'],
    ["help xyzzy", 'there is no verb "xyzzy"; help lists them'],
    ["page", "missing required argument 'pfn'; write page PFN"],
    ["page 0 1", "too many arguments for 'page'. Expected 1 argument but got 2; write page PFN"],
    ["page x", '"x" is not a page frame number: write one such as 0 or 0x2a'],
    ["page 1", "there is no page 1: this machine has only page 0"],
    ["page 0xff", "there is no page 255: this machine has only page 0"],
    ["scenario nope", /^there is no scenario "nope"; known: kara-2018, /],
    ["scenario kara-2018,pages=x", "pages of scenario kara-2018 is a whole number from 1 to 64, not x"],
    ["scenario kara-2018,pages", /^"pages" is no parameter: write name=value/],
    ["scenario kara-2018,pages=99", "pages of scenario kara-2018 is a whole number from 1 to 64, not 99"],
    ["scenario kara-2018,colour=1", /^scenario kara-2018 has no parameter "colour"; it has pages, /],
    ["scenario kara-2018@v4.20:r1", '"kara-2018@v4.20:r1" is a replay line: say replay kara-2018@v4.20:r1'],
    ["kernel v9", /^there is no kernel "v9"; known: v4.20/],
    ["seed x", '"x" is not a whole number from 0 to 1000000000'],
    ["step nobody", /^there is no task "nobody"; here are reader, kswapd, /],
    ["step 3 4", '"3" is no task: write step TASK N, or step N'],
    ["step 0", '"0" is not a whole number from 1 to 1000000000'],
    ["step dma", "dma cannot move: it waits in dma, step blk_peek_request"],
    ["run 0", '"0" is not a whole number from 1 to 1000000000'],
    ["until nonsense", /^"nonsense" is no event of kara-2018: write a tick, a fault such as BUG/],
    ["until kswapd:nonsense", /^"nonsense" is no event of kara-2018/],
    ["until 5", "tick 5 is not ahead: it is tick 10 now; use goto 5"],
    ["back 11", "there are 10 steps to take back, not 11"],
    ["back BUG", "BUG has not happened in the 10 steps up to here; until BUG looks ahead"],
    ["back nonsense", /^"nonsense" is no event of kara-2018/],
    ["goto 11", "tick 11 has not happened: this run is known from 0 to 10; run and until go on"],
    ["diff 11", "tick 11 is not in this session's past, which goes from 0 to 10"],
    ["replay nonsense", /^"nonsense" is no replay line: it reads scenario@kernel:schedule/],
    [
      "replay kara-2018@v4.20:d1",
      /^the schedule does not fit kara-2018 on v4.20: at step 1, disk cannot move/,
    ],
    ["replay kara-2018@v4.20:z1", /^the schedule names task z; the tasks here are r, k, f, d, m$/],
    ["paths nope", 'there is no path "nope" in kara-2018; paths lists them'],
    [
      "plot nope",
      'there is no figure "nope"; known: pins, dirty, heat, reclaim, flow, lanes, life, page, owners, waits, beside',
    ],
    ["plot pins 0", "only life, page and owners take a page: write plot pins, or plot life 0"],
    ["plot pins --at 3", "only page, owners and waits are of one moment: write plot pins, or go there"],
    ["plot owners --since 3", "only page has a since: write plot page"],
    ["plot page 0 --at 99", "tick 99 is not in this run, which goes from 0 to 10"],
    ["plot page 0 --since 10", "since names an earlier tick than 10: 10 is not"],
    ["plot owners 9", "there is no page 9: this machine has only page 0"],
    ["plot beside", "beside takes another run: write plot beside --with LINE"],
    ["plot pins --with kara-2018", "only beside takes another run: write plot beside --with LINE"],
    ["plot pins --file none/x.html", "none/x.html cannot be written: there is no such file or folder"],
    ["plot pins --colour red", /^unknown option '--colour'; write plot FIGURE \[PFN\]/],
    ["save none/x.json", "none/x.json cannot be written: there is no such file or folder"],
    ["open nothing.json", "nothing.json cannot be read: there is no such file"],
    ["source nothing.txt", "nothing.txt cannot be read: there is no such file"],
    ["explore nope", /^there is no scenario "nope"/],
    ["why 0 nope", /^there is no cell "page 0 nope"/],
    ["why 9 flags", /^there is no cell "page 9 flags"/],
    ["danger nope", /^there is no kind of fault "nope"; known: BUG, /],
    ["guide backwards", 'there is no way through the story "backwards"; known: all'],
  ])("%s", async (line, sentence) => {
    await say("step 10");
    const before = [desk.tick, desk.world.replay, desk.seed, [...host.files]];
    const complaint = await runLine(desk, line).then(
      () => "it was done",
      (error: Error) => error.message,
    );
    if (typeof sentence === "string") expect(complaint).toBe(sentence);
    else expect(complaint).toMatch(sentence);
    expect(complaint).not.toContain("\n");
    expect([desk.tick, desk.world.replay, desk.seed, [...host.files]]).toEqual(before);
  });

  test.each([
    ["{", "f is not a saved run, or is cut short: it is not whole JSON"],
    ["null", "f is not a saved run: the verb save writes one"],
    ['{"guplab":"session"}', "f is not a saved run: the verb save writes one"],
  ])("a file that is no saved run: %s", async (text, sentence) => {
    host.files.set("f", text);
    await expect(say("open f")).rejects.toThrow(sentence);
  });

  test("a saved run whose schedule does not fit", async () => {
    await say("step 10; save f");
    host.files.set("f", (host.files.get("f") as string).replace(/"schedule": ".*"/, '"schedule": "d1"'));
    await expect(say("open f")).rejects.toThrow(/^f cannot be opened: the schedule does not fit/);
    expect(desk.tick).toBe(10);
  });

  test("scripts that name each other for ever", async () => {
    host.files.set("again", "source again");
    await expect(say("source again")).rejects.toThrow(/scripts name each other more than 8 deep/);
    expect(await textOf("source 'my script.txt'")).toContain("> tasks");
  });
});

test("whatever is typed, the answer is a result or one sentence, never a fault of guplab", async () => {
  // Searches take seconds each.
  const long = ["explore", "walk", "danger", "orderings", "liveness", "safety", "rate"];
  const names = verbs.map(({ name }) => name).filter((name) => !long.includes(name));
  const words = [
    "0",
    "1",
    "7",
    "999",
    "-1",
    "0x0",
    "kswapd",
    "r",
    "BUG",
    "pinned",
    "kara-2018-quiet",
    "all",
    "life",
  ];
  const word = fc.oneof(
    fc.constantFrom(...words, "--file", "f", "--svg", "'", '"', "\\", "kara-2018@v4.20:r3"),
    fc.string({ maxLength: 8 }),
  );
  const line = fc
    .tuple(
      fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...names) }, word),
      fc.array(word, { maxLength: 3 }),
    )
    .map(([name, rest]) => [name, ...rest].join(" "));
  await fc.assert(
    fc.asyncProperty(fc.array(line, { minLength: 1, maxLength: 8 }), async (lines) => {
      const fresh = new Desk(new MemoryHost());
      for (const statement of lines.flatMap(statements)) {
        const [tick, replay] = [fresh.tick, fresh.world.replay];
        const complaint = await runLine(fresh, statement).then(
          () => null,
          (error: Error) => error,
        );
        if (complaint === null) continue;
        expect(complaint.name, `${statement}: ${complaint.stack}`).toBe("Error");
        expect([fresh.tick, fresh.world.replay], statement).toEqual([tick, replay]);
      }
    }),
    { seed: 1, numRuns: 300 },
  );
});

interface Page {
  readonly refcount: number;
  readonly holders: readonly { readonly who: string; readonly references: number }[];
  readonly buffers: string;
  readonly pins: number;
}

describe("moving", () => {
  test("run crashes it, and says so by its code", async () => {
    const crashed = await say("run");
    expect(crashed.code).toBe(3);
    expect(crashed.text).toContain("page_buffers: BUG_ON(!PagePrivate(page))");
    expect((await say("tasks")).code).toBe(0);
    expect((await say("scenario kara-2018-quiet; run")).code).toBe(0);
  });

  test("back to the moment before the buffers went, and forward again", async () => {
    await say("until buffers-gone");
    const gone = desk.tick;
    expect(await jsonOf<Page>("page 0")).toMatchObject({ buffers: "none", refcount: 3, pins: 1 });
    await say("back");
    expect(await jsonOf<Page>("page 0")).toMatchObject({ buffers: "clean", refcount: 4 });
    expect(desk.horizon).toBe(gone);
    await say("step");
    expect(await jsonOf<Page>("page 0")).toMatchObject({ buffers: "none" });
  });

  test("back to the moment before an event", async () => {
    await say("run; back buffers-gone");
    const before = desk.tick;
    expect(await jsonOf<Page>("page 0")).toMatchObject({ buffers: "clean", refcount: 4 });
    await say("run; back try_to_free_buffers");
    expect(desk.tick).toBe(before);
    await say("run; back kswapd:get_scan_count");
    expect(desk.tick).toBeGreaterThan(before);
  });

  test("what was taken back is made again, until another step is made", async () => {
    await say("run");
    const { tick, world } = desk;
    const { replay } = world;
    await say("goto 20; run 5; goto 100; back 90; run");
    expect(desk.world.replay).toBe(replay);
    await say("goto 20; step kswapd");
    expect(desk.horizon).toBe(21);
    await expect(say(`goto ${tick}`)).rejects.toThrow("has not happened");
  });

  test("a line that leads to a fault tells it, with the code of a fault", async () => {
    const crash = await say("replay kara-2018@v4.20:r13k6r2k6f12d4k7m3r6f4");
    expect(crash.code).toBe(3);
    expect(crash.text).toContain("BUG at tick 63, flusher, pfn 0: page_buffers: BUG_ON(!PagePrivate(page))");
    expect((await say("replay kara-2018@v4.20:r13k6")).code).toBe(0);
  });

  test("a seed and a line that replays it", async () => {
    await say("seed 7; run");
    const { replay } = desk.world;
    expect(await textOf("replay")).toBe(replay);
    await say(`scenario kara-2018-quiet; replay ${replay}`);
    expect(desk.world.replay).toBe(replay);
    await say("goto 0; seed 7; run");
    expect(desk.world.replay).toBe(replay);
  });

  test("save and open", async () => {
    await say("scenario kara-2018,pages=2; seed 3; run 50; save f");
    const { replay } = desk.world;
    await say("scenario kara-2018-quiet; open f");
    expect([desk.world.replay, desk.seed]).toEqual([replay, 3]);
  });

  test.each([
    ["120", 120],
    ["BUG", null],
    ["fault", null],
    ["kswapd:trylock_page", null],
    ["try_to_free_buffers", null],
    ["shrink_page_list", null],
    ["flusher", null],
    ["dirty-without-buffers", null],
  ])("until %s", async (event, tick) => {
    const result = await jsonOf<{ happened: boolean; tick: number }>(`until ${event}`);
    expect(result.happened).toBe(true);
    if (tick !== null) expect(result.tick).toBe(tick);
  });

  test("until what does not happen says so", async () => {
    const result = await say("scenario kara-2018-quiet; until BUG");
    expect(result.text).toMatch(/BUG did not happen from tick 0 on; goto 0 begins again\.$/);
    expect(result.json).toMatchObject({ happened: false, over: true });
  });
});

describe("looking", () => {
  test("the holders of a page add up to its references at every step", async () => {
    for (const scenario of ["kara-2018,pages=2,drivers=2", "kara-2018-private", "kara-2018-tmpfs"]) {
      await say(`scenario ${scenario}`);
      for (let steps = 0; steps < 300 && desk.forward(1) === 1; steps++) {
        for (const page of await jsonOf<Page[]>("pages")) {
          const sum = page.holders.reduce((total, { references }) => total + references, 0);
          expect(sum, `${desk.world.replay}`).toBe(page.refcount);
        }
      }
    }
  });

  test("since v5.7 a pin's references are told as one pin's, whoever looks", async () => {
    await say("scenario kara-2018; kernel v6.5; until pinned");
    const [page] = await jsonOf<Page[]>("pages");
    expect(page.refcount).toBe(1027);
    expect(page.holders).toContainEqual({ who: "for 1 pin (FOLL_PIN)", references: 1024 });
    expect(page.holders.reduce((total, { references }) => total + references, 0)).toBe(page.refcount);
    expect(await textOf("page 0")).not.toContain("lookup or fault under way");
  });

  test("a page in the order of drgn's show_page_info: flags, refcount, mapcount, mapping, vma", async () => {
    const lines = (await textOf("until pinned; page 0")).split("\n").slice(1);
    expect(lines.map((line) => line.trim().split(/\s{2,}/)[0])).toEqual([
      "flags",
      "refcount",
      "mapcount",
      "mapping",
      "vma",
      "pins",
      "page_maybe_dma_pinned",
      "buffers",
      "pte",
      "tags",
      "lru",
      "locked by",
      "device wrote, nobody said",
    ]);
    expect(lines[1]).toContain("4 (cache, buffers, PTE, gup)");
  });

  test("tasks say what they wait for, and who is gone", async () => {
    const text = await textOf("run; tasks");
    expect(text).toMatch(/flusher .* dead: killed by a BUG/);
    expect(text).toMatch(/reader .* hung: the lock of page 0, held by flusher \(dead\)/);
  });

  test("diff names cells", async () => {
    expect(await textOf("until buffers-gone; diff")).toContain("page 0 flags -private");
    expect(await textOf("diff 0")).toContain("page 0 pins 0→1");
  });

  test("log shows what a step changed", async () => {
    expect(await textOf("until buffers-gone; log 1")).toMatch(
      /try_to_free_buffers.*\[-private, buffers clean→none, ref 4→3/,
    );
  });

  test("a path and its steps", async () => {
    const text = await textOf("paths shrink_page_list");
    expect(text).toContain("mm/vmscan.c v4.20");
    expect(text.indexOf("trylock_page")).toBeLessThan(text.indexOf("__remove_mapping"));
  });

  test("this run beside another: a replay line, a scenario, a scenario on another kernel", async () => {
    const [itself] = [await textOf("scenario kara-2018; run; replay")];
    const line = itself.split("\n").at(-1)!;
    expect(await textOf(`plot beside --with ${line}`)).toContain("Two runs that are the same");
    expect(await textOf("plot beside --with kara-2018")).toContain("Two runs that are the same");
    expect(await textOf("plot beside --with kara-2018@v6.4")).toMatch(
      /Two runs that part[\s\S]*run A[\s\S]*run B/,
    );
  });

  test("figures as charts, pages and pictures", async () => {
    for (const figure of ["pins", "dirty", "heat", "reclaim", "flow", "lanes", "life"]) {
      const chart = await textOf(`goto 0; plot ${figure}`);
      expect(chart.split("\n").length).toBeLessThanOrEqual(22);
      expect(await textOf(`run; plot ${figure} --file ${figure}.html --svg ${figure}.svg`)).toBe(
        `wrote ${figure}.html and ${figure}.svg`,
      );
      expect(host.files.get(`${figure}.html`)).toContain("/* plotly */");
      expect(host.files.get(`${figure}.svg`)).toMatch(/^<svg /);
    }
  });

  test("diagrams of a moment as text, pages and pictures", async () => {
    for (const [figure, shows] of [
      ["page 0 --since 20", "was: "],
      ["owners", "PG_dirty set"],
      ["waits", "└ held by flusher [dead]"],
    ]) {
      const chart = await textOf(`run; plot ${figure}`);
      expect(chart).toContain(shows);
      for (const line of chart.split("\n")) expect([...line].length).toBeLessThanOrEqual(host.columns);
      expect(await textOf(`plot ${figure} --file x.html --svg x.svg --png x.png`)).toBe(
        "wrote x.html, x.svg and x.png",
      );
      expect(host.files.get("x.png")).toBe(`${host.files.get("x.svg")?.length} bytes`);
      // A moment is the same whether the run is there or only looks back at it.
      const back = await textOf(`plot ${figure} --at 50`);
      expect(await textOf(`goto 50; plot ${figure}`)).toBe(back);
      await textOf("goto 0");
    }
  });

  test("the orderings that a fault needs, beside a picture of them", async () => {
    const text = await textOf("orderings cve-2020-29374 --svg before.svg");
    expect(text).toContain("NECESSARY");
    expect(text).toContain("wrote before.svg");
    expect(host.files.get("before.svg")).toContain("in every way to the fault");
  });
});

describe("the guided crash", () => {
  test("eight moments, whose references are those of the article's arithmetic", async () => {
    const references: number[] = [];
    for (let chapter = 1; chapter <= 8; chapter++) {
      const moment = await jsonOf<{ chapter: number; page: Page; faults: { kind: string }[] }>("guide");
      expect(moment.chapter).toBe(chapter);
      references.push(moment.page.refcount);
      if (chapter >= 6)
        expect(moment.faults.map(({ kind }) => kind)).toEqual([["WARN"], ["BUG"], ["HANG"]][chapter - 6]);
    }
    // Pinned, written, isolated and unmapped, stripped, put back, dirtied.
    expect(references.slice(0, 6)).toEqual([4, 4, 4, 3, 2, 2]);
    expect(await jsonOf("guide")).toMatchObject({ chapter: 1 });
  });

  test("does not mind what was tried in between", async () => {
    await say("guide; guide; run; scenario kara-2018-quiet; guide");
    expect(desk.world.name).toBe("kara-2018");
    await say("run; back 50");
    expect(await jsonOf("guide")).toMatchObject({ chapter: 2 });
  });
});

describe("proposals", () => {
  test("are listed, and each is told with its source, its places, and who said what", async () => {
    expect((await jsonOf<unknown[]>("proposals")).length).toBe(proposals.length);
    const text = await textOf("proposals hubbard-ttu-2018");
    for (const part of [
      "John Hubbard, 2018-07",
      "-k v4.20+hubbard-ttu-2018",
      "mm/rmap.c",
      "Jan Kara, 2018-07",
    ])
      expect(text).toContain(part);
    await expect(say("proposals nobody-2018")).rejects.toThrow(
      'there is no proposal "nobody-2018"; proposals lists them',
    );
  });

  test.each(proposals.map(({ name }) => name))("%s fits into its columns", async (name) => {
    expect(
      Math.max(...(await textOf(`proposals ${name}`)).split("\n").map((line) => line.length)),
    ).toBeLessThan(140);
  });

  test("a kernel can have one: its name is completed", () => {
    expect(complete(desk, "kernel v4.20+hubbard-t").candidates).toContain("v4.20+hubbard-ttu-2018");
  });
});

describe("kernels side by side", () => {
  test("log of a kernel lists its patches, log of a number the last steps, whatever the kernel is called", async () => {
    expect(await textOf("log v5.7")).toContain("track-foll-pin");
    expect(await textOf("log 2026")).toContain("activate-dirty-files");
    expect((await jsonOf<unknown[]>("step 5; log 3")).length).toBe(3);
    await expect(say("log v3.0")).rejects.toThrow('there is no kernel "v3.0"; known: v4.20');
  });

  test("bisect names the patch, by searches or by runs", async () => {
    expect(await textOf("bisect W11 v5.7 v5.9")).toContain("W11: copy-pinned-at-fork makes the difference");
    expect(await textOf("bisect kara-2018 v6.3 v6.4 --runs 20")).toMatch(
      /keep-private-of-pinned makes the difference\n.*\n +without it: LOST, WARN \(20 runs\)\n +with it: +nothing found in 20 runs/,
    );
  });

  test("a bisection whose bound cuts it short does not say OK", async () => {
    await expect(say("bisect kara-2018 v6.4 2026 --states 500")).rejects.toThrow(
      /same outcome on v6.4 and on 2026, nothing found in \d+ states and 256 random walks/,
    );
  });

  test("both offer the kernels' names", () => {
    expect(complete(desk, "bisect W11 v5.1").candidates).toContain("v5.18");
    expect(complete(desk, "log v6.1").candidates).toContain("v6.1.192");
  });
});
