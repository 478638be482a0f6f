/**
 * A recording of a real kernel against guplab: the recorded workload is done again on the same kernel, and what both say is set side by side.
 *
 * Compared are the workload's own outcome, error numbers, the counters of /proc/vmstat at its marks and over all of it, and what became of each page of its
 * file, in order. A difference is guplab's fault until somebody shows that it is not.
 *
 * /proc/vmstat counts every page of the machine; guplab has the workload's file and nothing else. Where a trace tells how many pages of the file
 * a counter counted, that number is compared and the others are named; a file that was just made on ext4 leaves some dirty pages of metadata.
 */
import { kernels } from "../../patches/kernels.js";
import { pagesOf, type Recording } from "../../trace/recording.js";
import { TAG_BIT, WORD } from "../../trace/words.js";
import { lifeOf } from "./life.js";
import { type Counts, type Recorded, timeOfMark } from "./recorded.js";
import type { Stage } from "./stage.js";
import { type Done, WORKLOADS } from "./workloads.js";

/** One thing that was looked at in both. */
export interface Compared {
  /** "outcome", "vmstat", "matrix" or "page". */
  readonly about: "outcome" | "vmstat" | "matrix" | "page";
  readonly what: string;
  readonly real: string;
  readonly guplab: string;
  readonly agree: boolean;
  /** Of a life: how many pages had it. */
  readonly pages?: number;
  /** What has to be known to read the two numbers; empty when nothing has. */
  readonly note: string;
}

export interface Comparison {
  readonly run: string;
  /** The release of the recording, and the kernel that was run. */
  readonly release: string;
  readonly kernel: string;
  readonly workload: string;
  readonly agree: boolean;
  readonly compared: readonly Compared[];
  /** What the recording says and nobody looked at, with the reason. */
  readonly notCompared: readonly string[];
  /** The orders that were given, for each machine. */
  readonly scripts: readonly (readonly string[])[];
  /** Lines that replay them. */
  readonly replays: readonly string[];
  toString(): string;
}

const COUNTERS = ["nr_foll_pin_acquired", "nr_foll_pin_released", "nr_dirty", "nr_writeback"] as const;
const TOTALS = [
  "nr_foll_pin_acquired",
  "nr_foll_pin_released",
  "nr_dirty",
  "nr_dirtied",
  "nr_written",
] as const;

/** Counters that count pages of metadata, too: those that a new file dirties on ext4, at most so many. */
const METADATA = 8;
const COUNTS_METADATA = /^nr_(dirty|dirtied|written) /;

/** Outcomes that are times of an emulated machine, or only repeat the workload's words. */
const NOT_AN_OUTCOME = /_seconds$|^(see|holder|strip|how)$/;

const numbersOf = (version: string): number[] => version.replace(/^v/, "").split(".").map(Number);

/** Whether one release is not after another. */
function notAfter(a: readonly number[], b: readonly number[]): boolean {
  for (let at = 0; at < 3; at++) {
    const [x = 0, y = 0] = [a[at], b[at]];
    if (x !== y) return x < y;
  }
  return true;
}

/**
 * The kernel that stands for a release: that release, or the last one before it whose changes it has. A stable release stands for itself and for later ones
 * of its series only.
 *
 * @throws Error with one sentence when there is none
 */
export function kernelFor(version: string): string {
  const wanted = numbersOf(version);
  const candidates = kernels
    .map(({ name }) => name)
    .filter((name) => /^v\d+(\.\d+)+$/.test(name))
    .filter((name) => {
      const have = numbersOf(name);
      if (have.length === 3 && (have[0] !== wanted[0] || have[1] !== wanted[1])) return false;
      return notAfter(have, wanted);
    });
  const found = candidates.reduce<string | null>(
    (last, name) => (last === null || notAfter(numbersOf(last), numbersOf(name)) ? name : last),
    null,
  );
  if (found === null)
    throw new Error(
      `there is no kernel for Linux ${version}; known: ${kernels.map(({ name }) => name).join(", ")}`,
    );
  return found;
}

/**
 * Do a recording's workload again, and set both side by side.
 *
 * @param kernel another kernel than the recording's
 * @throws Error with one sentence when there is no such kernel or workload
 */
export function compare(recorded: Recorded, kernel = kernelFor(recorded.version)): Comparison {
  const [word] = recorded.words;
  if (!Object.hasOwn(WORKLOADS, word))
    throw new Error(`there is no workload "${word}"; known: ${Object.keys(WORKLOADS).join(", ")}`);
  const done = WORKLOADS[word](recorded, kernel);
  const compared: Compared[] = [];
  const notCompared: string[] = [];
  compareOutcomes(recorded, done, compared, notCompared);
  compareTries(recorded, done, compared);
  if (word === "race") notCompared.push("/proc/vmstat: how often a race was run is not known");
  else {
    compareTags(recorded, done.stages, compared, notCompared);
    compareTotals(recorded, done.stages, compared);
  }
  comparePages(recorded, done, compared, notCompared);
  const differences = compared.filter(({ agree }) => !agree);
  const comparison: Omit<Comparison, "toString"> = {
    run: recorded.run,
    release: recorded.release,
    kernel,
    workload: recorded.words.join(" "),
    agree: differences.length === 0,
    compared,
    notCompared,
    scripts: done.stages.map(({ script }) => script),
    replays: done.stages.map(({ world }) => world.replay),
  };
  return { ...comparison, toString: () => textOf(comparison) };
}

function textOf({
  run,
  release,
  kernel,
  workload,
  agree,
  compared,
  notCompared,
}: Omit<Comparison, "toString">) {
  const differences = compared.filter((each) => !each.agree);
  const noted = compared.filter((each) => each.agree && each.note !== "");
  const counts = new Map<string, number>();
  for (const { about, pages } of compared) counts.set(about, (counts.get(about) ?? 0) + (pages ?? 1));
  const looked = [...counts].map(([about, count]) => `${count} ${WORDS[about]}`).join(", ");
  return [
    `${run}: ${workload}, Linux ${release} against ${kernel}: ${agree ? "agree" : `${differences.length} ${differences.length === 1 ? "difference" : "differences"}`}`,
    `  compared: ${looked === "" ? "nothing" : looked}`,
    ...differences.map(
      ({ what, real, guplab, note }) =>
        `  DIFFERENT ${what}: real ${real}, guplab ${guplab}${note === "" ? "" : ` (${note})`}`,
    ),
    ...noted.map(({ what, real, guplab, note }) => `  ${what}: real ${real}, guplab ${guplab} (${note})`),
    ...notCompared.map((what) => `  not compared: ${what}`),
  ].join("\n");
}

const WORDS: Readonly<Record<string, string>> = {
  outcome: "outcomes",
  vmstat: "counters",
  matrix: "tries",
  page: "lives of pages",
};

function compareOutcomes(
  { outcome }: Recorded,
  done: Done,
  compared: Compared[],
  notCompared: string[],
): void {
  for (const [what, real] of Object.entries(outcome)) {
    if (NOT_AN_OUTCOME.test(what)) continue;
    if (!Object.hasOwn(done.outcome, what)) {
      notCompared.push(`outcome ${what} (${real}): guplab's script does not find it out`);
      continue;
    }
    const guplab = done.outcome[what];
    const seen = Array.isArray(guplab) ? guplab : [guplab];
    compared.push({
      about: "outcome",
      what,
      real: String(real),
      guplab: seen.join(" or "),
      agree: seen.includes(real),
      note: done.runs === undefined ? "" : `in ${done.runs} runs by chance`,
    });
  }
}

function compareTries({ tries }: Recorded, done: Done, compared: Compared[]): void {
  for (const { method, target, said } of tries) {
    const ours = done.tries.get(`${method} ${target}`) ?? {};
    const names = Object.keys(ours).filter((name) => said[name] !== undefined);
    const words = (from: Readonly<Record<string, unknown>>): string =>
      names.map((name) => `${name} ${from[name]}`).join(", ");
    compared.push({
      about: "matrix",
      what: `${method} of ${target}`,
      real: words(said),
      guplab: words(ours),
      agree: names.length > 0 && words(said) === words(ours),
      note: "",
    });
  }
}

/** How many pages of the file a counter of the trace counts, from its beginning to a time. */
interface OfFile {
  readonly at: (name: string, time: number) => number | null;
}

/** The file's own part of the counters; nothing is known without a trace, or where several files take part. */
function ofFile({ trace, words }: Recorded): OfFile {
  if (typeof trace === "string" || words[0] === "matrix") return { at: () => null };
  const probes: Readonly<Record<string, string>> = {
    nr_dirtied: "writeback_dirty_folio",
    nr_written: "folio_end_writeback",
  };
  return {
    at: (name, time) => {
      if (name === "nr_dirty") return taggedAt(trace, time);
      const probe = probes[name];
      return probe === undefined ? null : countProbes(trace, probe, time);
    },
  };
}

function countProbes(trace: Recording, probe: string, to: number): number {
  let count = 0;
  for (let at = 0; at < trace.length && trace.time[at] <= to; at++)
    if (trace.word[at] === WORD.step && trace.pfn[at] >= 0 && trace.info.steps[trace.step[at]].step === probe)
      count++;
  return count;
}

/** Pages with a dirty tag at a time: those that nr_dirty counts. */
function taggedAt(trace: Recording, time: number): number {
  const tagged = new Set<number>();
  for (let at = 0; at < trace.length && trace.time[at] <= time; at++) {
    if (trace.word[at] !== WORD.tags) continue;
    if ((trace.value[at] & TAG_BIT.dirty) !== 0) tagged.add(trace.pfn[at]);
    else tagged.delete(trace.pfn[at]);
  }
  return tagged.size;
}

const signed = (value: number): string => (value > 0 ? `+${value}` : String(value));
const sum = (stages: readonly Stage[], count: (stage: Stage) => number): number =>
  stages.reduce((total, stage) => total + count(stage), 0);

/** How a counter moved, really and here; `own` is the file's part of it, if that is known. */
function moved(what: string, real: number, guplab: number, own: number | null, ext4: boolean): Compared {
  const others = real - (own ?? guplab);
  // What was written meanwhile is dirty no more; to have been dirtied, or written, cannot be taken back.
  const possible = others > 0 || what.startsWith("nr_dirty ");
  const metadata = ext4 && COUNTS_METADATA.test(what) && possible && Math.abs(others) <= METADATA;
  const agree = own === null ? others === 0 || metadata : own === guplab && (others === 0 || metadata);
  const note =
    others === 0
      ? ""
      : metadata
        ? `${Math.abs(others)} of ${others > 0 ? "these" : "them, written meanwhile,"} are other pages: metadata of ext4, which guplab does not have`
        : own === null
          ? ""
          : `${own} of these are pages of the file`;
  return { about: "vmstat", what, real: signed(real), guplab: signed(guplab), agree, note };
}

function compareTags(
  recorded: Recorded,
  stages: readonly Stage[],
  compared: Compared[],
  notCompared: string[],
): void {
  const { tags, trace } = recorded;
  if (tags.length === 0) return;
  const [first, ...later] = tags;
  const file = ofFile(recorded);
  const ext4 = recorded.words.some((word) => word.includes("ext4"));
  for (const { tag, counts } of later) {
    if (!stages.every((stage) => stage.tags.some((ours) => ours.tag === tag))) {
      notCompared.push(`/proc/vmstat at "${tag}": guplab's script has no such mark`);
      continue;
    }
    const times =
      typeof trace === "string" ? null : [first.tag, tag].map((mark) => timeOfMark(trace, `tag=${mark} `));
    for (const name of COUNTERS) {
      if (counts[name] === undefined || first.counts[name] === undefined) continue;
      const real = counts[name] - first.counts[name];
      const ours = sum(stages, ({ tags: made }) => {
        const at = (mark: string): Counts => made.find((each) => each.tag === mark)?.counts ?? {};
        return (at(tag)[name] ?? 0) - (at(made[0].tag)[name] ?? 0);
      });
      const parts = times?.map((time) => (time === null ? null : file.at(name, time)));
      const own = parts?.every((part) => part !== null) ? (parts[1] as number) - (parts[0] as number) : null;
      compared.push(moved(`${name} at "${tag}"`, real, ours, own, ext4));
    }
  }
}

function compareTotals(recorded: Recorded, stages: readonly Stage[], compared: Compared[]): void {
  if (Object.keys(recorded.delta).length === 0) return;
  const file = ofFile(recorded);
  const ext4 = recorded.words.some((word) => word.includes("ext4"));
  // Afterwards the workload drops its pages, whose dirty tags go; what was counted wrong stays.
  const end = typeof recorded.trace === "string" ? null : timeOfMark(recorded.trace, "tag=end ");
  for (const name of TOTALS) {
    const real = recorded.delta[name] ?? 0;
    const ours = sum(stages, (stage) => stage.counts()[name] ?? 0);
    const to = name === "nr_dirty" && end !== null ? end : Number.POSITIVE_INFINITY;
    compared.push(moved(`${name} in all`, real, ours, file.at(name, to), ext4));
  }
}

/** The pages that a trace speaks of, in the order in which it begins to: that of the file, which was written from its beginning. */
function pagesInOrder(trace: Recording): number[] {
  const first = new Map<number, number>();
  for (let at = 0; at < trace.length; at++)
    if (trace.pfn[at] >= 0 && !first.has(trace.pfn[at])) first.set(trace.pfn[at], at);
  return pagesOf(trace).sort((a, b) => (first.get(a) ?? 0) - (first.get(b) ?? 0));
}

function comparePages(
  recorded: Recorded,
  { stages }: Done,
  compared: Compared[],
  notCompared: string[],
): void {
  const { trace, words, tags } = recorded;
  if (typeof trace === "string") {
    notCompared.push(`lives of pages: ${trace}`);
    return;
  }
  if (stages.length !== 1 || words[0] === "race") {
    notCompared.push(
      stages.length !== 1
        ? "lives of pages: the trace follows one file, and the workload has several"
        : "lives of pages: in a race their order is chance",
    );
    return;
  }
  const [stage] = stages;
  const { world, pages } = stage;
  const recording = world.recording();
  const from = tags[0] && timeOfMark(trace, `tag=${tags[0].tag} `);
  const to = timeOfMark(trace, "tag=end ");
  if (typeof from !== "number" || to === null) {
    notCompared.push("lives of pages: the trace has no marks tag=start and tag=end");
    return;
  }
  const real = pagesInOrder(trace);
  const groups = new Map<string, { real: string; guplab: string; indexes: number[] }>();
  pages.forEach((page, index) => {
    if (real[index] === undefined) return;
    const theirs = lifeOf(trace, real[index], from, to).join(", ");
    const ours = lifeOf(recording, page, stage.tags[0].tick + 1, stage.tags[stage.tags.length - 1].tick).join(
      ", ",
    );
    const key = `${theirs}|${ours}`;
    const group = groups.get(key) ?? { real: theirs, guplab: ours, indexes: [] };
    group.indexes.push(index);
    groups.set(key, group);
  });
  for (const { real: theirs, guplab, indexes } of groups.values())
    compared.push({
      about: "page",
      what:
        indexes.length === 1 ? `page ${indexes[0]}` : `${indexes.length} pages, from page ${indexes[0]} on`,
      real: theirs,
      guplab,
      agree: theirs === guplab,
      pages: indexes.length,
      note: "",
    });
}
