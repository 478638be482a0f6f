/**
 * The standard workloads on every kernel: which outcome each has, from which kernel on it has another one, and which patch made it so.
 *
 * A workload of a few thousand states is searched to its end. Of a larger one twenty seeded runs are made on each kernel: what none of them
 * meets may happen all the same (the searches to the end of single kernels are in test/patches).
 */
import { describe, expect, it } from "vitest";
import { explore } from "../../src/lab/explore.js";
import { bisect } from "../../src/lab/kernels.js";
import { run } from "../../src/lab/run.js";
import { scenarios } from "../../src/lab/scenarios.js";
import { kernels } from "../../src/patches/kernels.js";

/** An outcome from a kernel on, until another one is named. */
type Since = readonly [kernel: string, outcomes: string, patch?: string];

const FILES_REFUSED = "refuse-longterm-file-write";

/** Searched to the end on each kernel. */
const SEARCHED: Readonly<Record<string, readonly Since[]>> = {
  "kara-2018-quiet": [["v4.20", "OK"]],
  "kara-2018-tmpfs": [["v4.20", "OK"]],
  "kara-2018-private": [["v4.20", "OK"]],
  "dio-write-race,fs=ext4": [["v4.20", "TORN"]],
  "dio-write-race,fs=btrfs": [
    ["v4.20", "TORN"],
    ["v6.15", "OK", "btrfs-buffered-if-checksum"],
  ],
  "dio-write-race,fs=xfs": [
    ["v4.20", "TORN"],
    ["2026", "OK", "xfs-bounce-direct-io"],
  ],
  W2: [["v4.20", "OK"]],
  W5: [
    ["v4.20", "LOST"],
    ["v6.5", "REFUSED", FILES_REFUSED],
  ],
  W6: [
    ["v4.20", "TORN"],
    ["v6.5", "REFUSED", FILES_REFUSED],
  ],
  // Nothing has changed what truncation does to a page that somebody holds.
  W7: [["v4.20", "STALE+REFUSED"]],
  // F_SEAL_SHRINK keeps ftruncate away from the pages of a dma-buf, and nobody keeps FALLOC_FL_PUNCH_HOLE away.
  "trunc-cache,holder=udmabuf": [["v4.20", "REFUSED"]],
  "trunc-cache,holder=udmabuf,cut=punch": [["v4.20", "STALE"]],
  // A read that comes after the truncation has no memory to read into.
  W8: [["v4.20", "REFUSED"]],
  W9: [["v4.20", "REFUSED"]],
  W11: [
    ["v4.20", "STALE"],
    ["v5.9", "OK", "copy-pinned-at-fork"],
  ],
  W12: [["v4.20", "OK"]],
  W14: [["v4.20", "LEAK"]],
  W15: [["v4.20", "OK"]],
  W17: [["v4.20", "OK"]],
  W18: [["v4.20", "OK"]],
  // v5.9 mended it in another way than v5.8.
  "cve-2020-29374": [
    ["v4.20", "INFOLEAK"],
    ["v5.8", "OK", "force-cow-break"],
    ["v5.9", "OK"],
  ],
};

/** Twenty seeded runs on each kernel. Where nothing goes wrong and then the call is refused, there is nothing for bisect to find: a refusal is no fault. */
const RUN: Readonly<Record<string, readonly Since[]>> = {
  // O_DIRECT is a plain reference in v6.1.192, whose reclaim asks for pins.
  "kara-2018": [
    ["v4.20", "BUG+HANG+OK+WARN"],
    ["v5.18", "LOST+OK+WARN", "ext4-page-without-buffers"],
    ["v6.4", "OK", "keep-private-of-pinned"],
  ],
  // Twenty runs from v5.5 on happen to meet no hang.
  W1: [
    ["v4.20", "BUG+HANG+OK+WARN"],
    ["v5.5", "BUG+OK+WARN"],
    ["v5.18", "LOST+OK+WARN", "ext4-page-without-buffers"],
    ["v6.4", "OK", "keep-private-of-pinned"],
  ],
  "kara-2018-touch": [["v4.20", "OK"]],
  "swap-pinned": [["v4.20", "OK"]],
  W3: [["v4.20", "OK"]],
  W4: [
    ["v4.20", "BUG+HANG+OK+WARN"],
    ["v5.18", "LOST+OK+WARN", "ext4-page-without-buffers"],
    ["v6.1.192", "OK", "keep-private-of-pinned"],
    ["v6.2", "LOST+OK+WARN"],
    ["v6.4", "OK", "keep-private-of-pinned"],
    ["v6.5", "REFUSED"],
  ],
  W10: [
    ["v4.20", "BUG+HANG+OK+WARN"],
    ["v5.18", "LOST+OK+WARN", "ext4-page-without-buffers"],
    ["v6.1.192", "OK", "keep-private-of-pinned"],
    ["v6.2", "LOST+OK+WARN"],
    ["v6.4", "OK", "keep-private-of-pinned"],
    ["v6.5", "REFUSED"],
  ],
  W13: [
    ["v4.20", "OK+REFUSED"],
    ["v6.5", "REFUSED"],
  ],
  W16: [["v4.20", "OK"]],
  "W2,holder=vfio": [
    ["v4.20", "LOST+OK"],
    ["v6.5", "REFUSED", FILES_REFUSED],
  ],
};

const RUNS = 20;
const MAX_STATES = 20_000;

const searched = (scenario: string, kernel: string): string => {
  const { outcomes, complete } = explore(scenario, { kernel, maxStates: MAX_STATES });
  expect(complete, `${scenario} on ${kernel}: more than ${MAX_STATES} states`).toBe(true);
  return outcomes.join("+");
};

const ran = (scenario: string, kernel: string): string => {
  const seen = Array.from({ length: RUNS }, (_, at) => run(scenario, { kernel, seed: at + 1, steps: 5000 }));
  expect(
    seen.every(({ finished }) => finished),
    `${scenario} on ${kernel}`,
  ).toBe(true);
  return [...new Set(seen.flatMap(({ outcomes }) => outcomes))].sort().join("+");
};

/** What a table says of each kernel. */
function expected(changes: readonly Since[]): [kernel: string, outcomes: string][] {
  let now = "";
  return kernels.map(({ name }) => {
    now = changes.find(([since]) => since === name)?.[1] ?? now;
    return [name, now];
  });
}

const cases = (table: Readonly<Record<string, readonly Since[]>>) => Object.entries(table);

describe("every interleaving, on every kernel", () => {
  it.each(cases(SEARCHED))("%s", (scenario, changes) => {
    expect(kernels.map(({ name }) => [name, searched(scenario, name)])).toEqual(expected(changes));
  });
});

describe(`${RUNS} runs, on every kernel`, () => {
  it.each(cases(RUN))("%s", (scenario, changes) => {
    expect(kernels.map(({ name }) => [name, ran(scenario, name)])).toEqual(expected(changes));
  });
});

/** The newest kernel before one that has no patch which that one lacks. */
function predecessor(kernel: string): string {
  const at = kernels.findIndex(({ name }) => name === kernel);
  const older = kernels
    .slice(0, at)
    .findLast(({ patches }) => patches.every((patch) => kernels[at].patches.includes(patch)));
  return older?.name ?? kernels[0].name;
}

describe("which patch made the difference", () => {
  const differences = (table: Readonly<Record<string, readonly Since[]>>) =>
    cases(table).flatMap(([scenario, changes]) =>
      changes.flatMap(([kernel, outcome, patch]) =>
        patch === undefined ? [] : [[scenario, kernel, outcome, patch] as const],
      ),
    );

  it.each(differences(SEARCHED))("%s, on %s: %s, because of %s", (scenario, kernel, _, patch) => {
    const { patch: found } = bisect(scenario, predecessor(kernel), kernel, { maxStates: MAX_STATES });
    expect(found.name).toBe(patch);
  });

  it.each(differences(RUN))("%s, on %s: %s, because of %s", (scenario, kernel, _, patch) => {
    expect(bisect(scenario, predecessor(kernel), kernel, { runs: RUNS }).patch.name).toBe(patch);
  });
});

it("every scenario with a number is in one of the tables", () => {
  const here = new Set([...Object.keys(SEARCHED), ...Object.keys(RUN)].map((name) => name.split(",")[0]));
  const numbered = scenarios.flatMap(({ aliases }) => aliases.filter((alias) => /^W\d+$/.test(alias)));
  expect(numbered.filter((name) => !here.has(name))).toEqual([]);
});
