/** fsync that writes pinned pages by direct I/O of its own, while writeback leaves them alone: with a copy and without. */
import { describe, expect, it } from "vitest";
import { FS } from "../../../src/kernel/operations.js";
import { explore } from "../../../src/lab/explore.js";
import { journalMachine } from "./direct_writer.js";
import { checksumMachine, cowMachine, stripMachine } from "./pinned_writeback.js";

const BOUNDS = { maxStates: 1_500_000, progress: () => true };
const BARE = "v4.20+hellwig-kernel-dio-2023";
const COPY = "v4.20+kara-kernel-dio-2023";

const kinds = (world: ReturnType<typeof checksumMachine>): string[] => {
  const { complete, witnesses } = world.explore(BOUNDS);
  expect(complete).toBe(true);
  return witnesses.map(({ kind }) => kind).sort();
};

describe("hellwig-kernel-dio-2023 (Y/yxxCwGJcPSuA+6@infradead.org)", () => {
  it.each(["W1", "W1,strip=drop", "W1,strip=diowrite", "half-page", "W2", "W5", "W5,fs=xfs", "W6"])(
    "%s: all is well",
    (scenario) => {
      expect(explore(scenario, { kernel: BARE, maxStates: 4_000_000 }).outcomes).toEqual(["OK"]);
    },
  );

  it("fsync leaves the page dirty, so that reclaim does not strip it", () => {
    expect(kinds(stripMachine(BARE))).toEqual([]);
  });

  it("without a copy fsync's sums break: Hellwig did not want one", () => {
    expect(kinds(checksumMachine(BARE))).toEqual(["TORN"]);
    for (const fs of [FS.ext4, FS.xfs]) expect(kinds(checksumMachine(COPY, fs))).toEqual([]);
  });

  it("on btrfs the page keeps its reservation, and nothing is lost while there is room", () => {
    for (const kernel of [BARE, COPY]) expect(kinds(cowMachine(kernel, false))).toEqual([]);
    // On a full one fsync is told, and the program that comes too late is refused: what kara-bounce-dirty-2018 finds out too late.
    expect(kinds(cowMachine(BARE, true))).toEqual(["REFUSED"]);
  });
});

describe("with a journal", () => {
  it.each([BARE, COPY])(
    "%s: fsync's own write takes a handle for its block, and the writer that needs one ends",
    (kernel) => {
      const { complete, witnesses } = journalMachine(kernel).explore(BOUNDS);
      expect([complete, witnesses.map(({ kind }) => kind)]).toEqual([true, []]);
    },
  );
});

describe("kara-kernel-dio-2023 (20230227113926.jr7wuhmiul7346as@quack3)", () => {
  it("nothing keeps writeback away meanwhile: the pin ends, newer bytes are written, and then the older copy over them", () => {
    const { outcomes, shortest, steps } = explore("W1,strip=diowrite", { kernel: COPY });
    expect([outcomes, shortest[0].steps]).toEqual([["LOST"], 57]);
    const at = (task: string, step: string): number =>
      steps.findIndex((each) => each.task === task && each.step === step);
    expect(at("device", "DMA")).toBeGreaterThan(at("writer", "memcpy"));
    expect(at("disk", "transfer")).toBeGreaterThan(at("device", "DMA"));
    expect(at("writer", "transfer")).toBeGreaterThan(at("disk", "transfer"));
    // fsync itself breaks its promise so, for what a program has stored.
    expect(explore("half-page", { kernel: COPY, maxStates: 2_000_000 }).outcomes).toEqual(["LOST"]);
  });
});
