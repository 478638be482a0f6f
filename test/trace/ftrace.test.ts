import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { equivalentStep, readFtrace } from "../../src/trace/ftrace.js";
import { pageHistory } from "../../src/trace/history.js";
import { MARK, pagesOf, type Recording } from "../../src/trace/recording.js";
import {
  decodePageFlags,
  LRU_PLACE,
  RECLAIM,
  type ReclaimAct,
  TAG_BIT,
  WORD,
  type Word,
} from "../../src/trace/words.js";

const FOLDER = new URL("../../notebooks/data/", import.meta.url);

interface Source {
  readonly text: string;
  readonly outcome: { vmstat_delta: Record<string, number>; warn_page_pfn?: string };
  readonly recording: Recording;
}

function load(name: string): Source {
  const text = gunzipSync(readFileSync(new URL(`${name}/trace.txt.gz`, FOLDER))).toString("utf8");
  const outcome = JSON.parse(readFileSync(new URL(`${name}/outcome.json`, FOLDER), "utf8"));
  return { text, outcome, recording: readFtrace(text, outcome) };
}

const old = load("b-dio-pageout-6.1");
const recent = load("b-dio-pageout-6.12");

/** Value of a word of every page at the mark whose text begins so; undefined where not known by then. */
function at(recording: Recording, mark: string, word: Word): Map<number, number> {
  const values = new Map<number, number>();
  for (let i = 0; i < recording.length; i++) {
    const { path, step } = recording.info.steps[recording.step[i]];
    if (path === MARK && step.startsWith(mark)) return values;
    if (recording.word[i] === word && recording.pfn[i] >= 0) values.set(recording.pfn[i], recording.value[i]);
  }
  throw new Error(`no mark ${mark}`);
}

const pagesWhere = (values: Map<number, number>, holds: (value: number) => boolean): number =>
  [...values.values()].filter(holds).length;

function acts(recording: Recording): Record<ReclaimAct, number> {
  const counts = Object.fromEntries(Object.keys(RECLAIM).map((act) => [act, 0])) as Record<
    ReclaimAct,
    number
  >;
  const names = Object.keys(RECLAIM) as ReclaimAct[];
  for (let i = 0; i < recording.length; i++) {
    if (recording.word[i] === WORD.reclaim)
      counts[names.find((act) => RECLAIM[act] === recording.value[i])!]++;
  }
  return counts;
}

/** What the workload read in /proc/kpageflags and wrote into the trace, with KPF_ numbers. */
const KPF = { referenced: 2, uptodate: 3, dirty: 4, lru: 5, active: 6, writeback: 8, private: 35 } as const;

function pageMarks(text: string): { mark: string; pfn: number; kpageflags: bigint; mapcount: number }[] {
  const marks = text.matchAll(/(PAGE tag=\S+ pfn=(0x[0-9a-f]+) kpageflags=(0x[0-9a-f]+) mapcount=(\d+).*)/g);
  return [...marks].map(([, mark, pfn, flags, mapcount]) => ({
    mark,
    pfn: Number(pfn),
    kpageflags: BigInt(flags),
    mapcount: Number(mapcount),
  }));
}

describe("both recordings", () => {
  for (const [kernel, { text, recording }] of [
    ["6.1", old],
    ["6.12", recent],
  ] as const) {
    it(`${kernel}: follows the 64 pages of the workload's file and no other page with inode number 15`, () => {
      const pages = pagesOf(recording);
      const written = [...text.matchAll(/ext4_page_mkwrite:.* page=(0x[0-9a-f]+) ino=15 /g)].map((m) =>
        Number((BigInt(m[1]) - 0xffd4000000000000n) / 64n),
      );
      expect(pages).toEqual([...new Set(written)].sort((a, b) => a - b));
      expect(pages).toHaveLength(64);
    });

    it(`${kernel}: agrees with what /proc/kpageflags and /proc/kpagecount said at each moment the workload looked`, () => {
      const marks = pageMarks(text);
      expect(marks.length).toBeGreaterThan(8);
      const differences: string[] = [];
      for (const { mark, pfn, kpageflags, mapcount } of marks) {
        const flags = decodePageFlags(at(recording, mark, WORD.flags).get(pfn)!);
        for (const [name, bit] of Object.entries(KPF)) {
          const said = ((kpageflags >> BigInt(bit)) & 1n) === 1n;
          if (said !== flags.some((flag) => flag === name)) differences.push(`${mark.split(" ")[1]} ${name}`);
        }
        expect({ mark, mapcount: at(recording, mark, WORD.mapcount).get(pfn) }).toEqual({ mark, mapcount });
      }
      // No probe tells when a page parked in a per-CPU batch is put on its list.
      expect(differences).toEqual(kernel === "6.1" ? ["tag=end-last lru"] : []);
    });

    it(`${kernel}: gup holds no page at the start, all 64 from step 2 to step 4, and none at step 5`, () => {
      const held = (mark: string) => pagesWhere(at(recording, mark, WORD.pins), (pins) => pins === 1);
      expect(held("STEP 1")).toBe(0);
      expect(held("STEP 2")).toBe(64);
      expect(held("STEP 3")).toBe(64);
      expect(held("STEP 4")).toBe(64);
      expect(held("STEP 5")).toBe(0);
    });

    it(`${kernel}: time runs forward from the START mark, and the columns refer to tasks, steps and faults that exist`, () => {
      const { info } = recording;
      let before = Number.NEGATIVE_INFINITY;
      for (let i = 0; i < recording.length; i++) {
        expect(recording.time[i]).toBeGreaterThanOrEqual(before);
        before = recording.time[i];
        expect(info.tasks[recording.task[i]]).toBeDefined();
        expect(info.steps[recording.step[i]]).toBeDefined();
        if (recording.word[i] === WORD.fault) expect(info.faults[recording.value[i]]).toBeDefined();
      }
      expect(recording.time[0]).toBeLessThan(0);
      expect(info).toMatchObject({ source: "real", timeUnit: "s", replay: "" });
    });

    it(`${kernel}: every page ends freed, without tags, buffers or pins`, () => {
      for (const pfn of pagesOf(recording)) {
        const { words } = pageHistory(recording, pfn).at(-1)!;
        expect(words).toMatchObject({
          flags: 0,
          refcount: 0,
          pins: 0,
          buffers: 0,
          tags: 0,
          pte: 0,
          device: 0,
        });
      }
    });
  }
});

describe("6.1: reclaim frees the buffers of pages that O_DIRECT holds", () => {
  const { recording, text } = old;

  it("strips and backs out all 64 pages, and reclaims and activates none", () => {
    expect(acts(recording)).toEqual({
      scanned: 64,
      unmapped: 64,
      stripped: 64,
      backed_out: 64,
      reclaimed: 0,
      activated: 0,
      kept: 0,
    });
    expect(text.match(/shrink_folio_list\S* <- __remove_mapping\) ret=0/g)).toHaveLength(64);
  });

  it("each page is held when it is stripped, with 4 references before the buffers go and 3 after", () => {
    for (const pfn of pagesOf(recording)) {
      const history = pageHistory(recording, pfn);
      const release = history.findIndex((m) => m.step === "try_to_free_buffers" && m.words.pins === 1);
      const after = history.findIndex((m, i) => i > release && m.step === "remove_mapping");
      expect(history[release].words).toMatchObject({ refcount: 4, pins: 1, buffers: 1 });
      expect(history[after].words).toMatchObject({ refcount: 3, pins: 1, buffers: 0 });
    }
  });

  it("the completion dirties every page after its buffers are gone, and drops its reference", () => {
    expect(pagesWhere(at(recording, "STEP 4", WORD.buffers), (buffers) => buffers === 0)).toBe(64);
    const dirty = at(recording, "STEP 5", WORD.flags);
    expect(pagesWhere(dirty, (flags) => decodePageFlags(flags).includes("dirty"))).toBe(64);
    const refs = at(recording, "STEP 5", WORD.refcount);
    expect(pagesWhere(refs, (n) => n === 1) + pagesWhere(refs, (n) => n === 2)).toBe(64);
  });

  it("the device has written all 64 pages before anybody says so", () => {
    const device = new Map<number, number>();
    let most = 0;
    for (let i = 0; i < recording.length; i++) {
      if (recording.word[i] === WORD.device) device.set(recording.pfn[i], recording.value[i]);
      most = Math.max(
        most,
        pagesWhere(device, (value) => value === 1),
      );
    }
    expect(most).toBe(64);
    expect(pagesWhere(device, (value) => value === 1)).toBe(0);
  });

  it("warns once, then loses all 64 pages, in the order of the file", () => {
    const { faults } = recording.info;
    expect(faults.map(({ kind }) => kind)).toEqual(["WARN", ...Array.from({ length: 64 }, () => "LOST")]);
    expect(faults[0]).toMatchObject({
      path: "ext4_dirty_folio",
      task: "kworker/0:1-17",
      pfn: Number(old.outcome.warn_page_pfn),
    });
    const named = [...text.matchAll(/page (\d+) does not have buffers attached/g)].map((m) => Number(m[1]));
    faults.slice(1).forEach(({ message }, index) => {
      expect(message).toContain(`page ${index} does not have buffers attached`);
    });
    expect(named).toEqual(named.map((_, index) => index));
    expect(new Set(faults.slice(1).map(({ pfn }) => pfn)).size).toBe(64);
  });

  it("no writeback of a page begins after it was dirtied without buffers", () => {
    const lost = recording.info.faults[1].tick;
    for (const pfn of pagesOf(recording)) {
      expect(
        pageHistory(recording, pfn).some((m) => m.step === "folio_start_writeback" && m.time > lost - 1),
      ).toBe(false);
    }
  });

  it("the pages with a DIRTY tag are those that nr_dirty counts, 64 too many at the end", () => {
    const others = 4;
    for (const [, mark, nr_dirty] of text.matchAll(/(VMSTAT tag=\S+ .*nr_dirty=(\d+).*)/g)) {
      const tagged = pagesWhere(at(recording, mark, WORD.tags), (tags) => (tags & TAG_BIT.dirty) !== 0);
      expect({ mark, tagged }).toEqual({ mark, tagged: Number(nr_dirty) - others });
    }
  });
});

describe("6.12: reclaim leaves pinned pages alone", () => {
  const { recording, outcome } = recent;

  it("activates all 64 pages, as many as pgactivate rose by, and strips none", () => {
    expect(acts(recording)).toEqual({
      scanned: 64,
      unmapped: 64,
      stripped: 0,
      backed_out: 0,
      reclaimed: 0,
      activated: 64,
      kept: 0,
    });
    expect(outcome.vmstat_delta.pgactivate).toBe(64);
    expect(pagesWhere(at(recording, "STEP 4", WORD.lru), (place) => place === LRU_PLACE.active)).toBe(64);
  });

  it("a pinned page has 1027 references: page cache, buffers, page table, and 1024 for the pin", () => {
    expect(pagesWhere(at(recording, "STEP 2", WORD.refcount), (n) => n === 1027)).toBe(64);
  });

  it("no page loses its buffers before the data is written, and nothing goes wrong", () => {
    expect(pagesWhere(at(recording, "STEP 5", WORD.buffers), (buffers) => buffers !== 0)).toBe(64);
    expect(recording.info.faults).toEqual([]);
  });
});

describe("input that cannot be read", () => {
  const { text, outcome } = old;
  const sentence = (read: () => unknown): string => {
    try {
      read();
    } catch (error) {
      return (error as Error).message;
    }
    return "read without an error";
  };

  it("says in one sentence what is wrong", () => {
    expect(sentence(() => readFtrace("", outcome))).toBe(
      'The text is not an ftrace recording: its first line should begin with "# tracer:".',
    );
    expect(sentence(() => readFtrace("PK\u0003\u0004", outcome))).toContain("not an ftrace recording");
    expect(sentence(() => readFtrace("# tracer: nop\n#\n", outcome))).toContain("truncated");
    expect(sentence(() => readFtrace(text.slice(0, text.length / 2), outcome))).toMatch(
      /^The ftrace recording is truncated: its header promises 13301 events and the text holds \d+\.$/,
    );
    expect(sentence(() => readFtrace(text.slice(0, -30), outcome))).toContain("truncated");
    expect(sentence(() => readFtrace(text, { ...outcome, kernel_release: "5.10.0-8-amd64" }))).toBe(
      'The kernel release "5.10.0-8-amd64" is not known: page flag numbers are known for 6.1 and 6.12.',
    );
    expect(sentence(() => readFtrace(text, { ...outcome, inode: 999 }))).toBe(
      "No probe of the recording names a page of inode 999: outcome and recording do not belong together.",
    );
    for (const foreign of [null, undefined, "outcome", [], {}, { run: "x", kernel_release: "6.1" }]) {
      expect(sentence(() => readFtrace(text, foreign))).toContain("The outcome is not that of a recording");
    }
  });
});

describe("lost events", () => {
  it("a recording from which the kernel dropped events is read with what is left", () => {
    const lines = old.text.split("\n");
    const kept = lines.filter((line, i) => line.startsWith("#") || i % 5 !== 0);
    const events = kept.filter((line) => /\[\d{3}\]/.test(line)).length;
    const text = kept.join("\n").replace(/\d+\/13301/, `${events}/13301`);
    const recording = readFtrace(text.endsWith("\n") ? text : `${text}\n`, old.outcome);
    expect(pagesOf(recording)).toHaveLength(64);
    expect(acts(recording).stripped).toBeGreaterThan(20);
  });
});

describe("equivalentStep", () => {
  it("names the v4.20 function that stands where a probe stands", () => {
    expect(equivalentStep("folio_mark_dirty")).toBe("set_page_dirty");
    expect(equivalentStep("ext4_dirty_folio")).toBe("ext4_set_page_dirty");
    expect(equivalentStep("filemap_release_folio")).toBe("try_to_release_page");
    expect(equivalentStep("remove_mapping_ret")).toBe("__remove_mapping");
    expect(equivalentStep("block_rq_complete")).toBeUndefined();
    expect(equivalentStep("toString")).toBeUndefined();
  });
});

describe("pageHistory", () => {
  it("tells the page's own story step by step", () => {
    const pfn = Number(old.outcome.warn_page_pfn);
    const steps = pageHistory(old.recording, pfn).map(({ step }) => step);
    const story = [
      "try_grab_page",
      "folio_start_writeback",
      "folio_end_writeback",
      "filemap_release_folio",
      "try_to_free_buffers_ret",
      "remove_mapping_ret",
      "block_rq_complete",
      "folio_mark_dirty",
      "warn",
      "put_page",
      "ext4_warning_inode",
      "filemap_remove_folio",
    ];
    let from = steps.indexOf("try_grab_page");
    for (const step of story) {
      from = steps.indexOf(step, from);
      expect({ step, found: from >= 0 }).toEqual({ step, found: true });
    }
  });

  it("says which page it does not know", () => {
    expect(() => pageHistory(old.recording, 3)).toThrow("The recording never speaks of page frame 3.");
  });
});
