/** Background writeback that skips pinned pages: the plan of July 2018, and the patch of February 2023 as it was posted. */
import { describe, expect, it } from "vitest";
import { lru_add_drain } from "../../../src/kernel/mm/swap.js";
import { FS } from "../../../src/kernel/operations.js";
import { explore } from "../../../src/lab/explore.js";
import { old, reclaim, store } from "../../kernel/actors.js";
import { Hand, small } from "../../kernel/harness.js";
import { checksumMachine, stripMachine } from "./pinned_writeback.js";

const PLAN = "v4.20+kara-skip-2018";
const BOUNDS = { maxStates: 4_000_000, progress: () => true };
const outcomes = (scenario: string, kernel: string) =>
  explore(scenario, { kernel, maxStates: 4_000_000 }).outcomes;

describe("kara-skip-2018 (20180710082100.mkdwngdv5kkrcz6n@quack2.suse.cz)", () => {
  it.each(["W1", "W1,strip=drop", "W2", "W4", "W5", "W6", "W6,fs=xfs"])(
    "%s: all is well, as the page is dirty from its fault to the end of the pin",
    (scenario) => {
      expect(outcomes(scenario, PLAN)).toEqual(["OK"]);
    },
  );

  it.each(["W2,fs=btrfs", "W5,fs=btrfs", "W6,fs=btrfs"])("%s: nor is anything lost on btrfs", (scenario) => {
    expect(outcomes(scenario, "v4.20")).toContain("LOST");
    expect(outcomes(scenario, PLAN)).toEqual(["REFUSED"]);
  });

  it("W1 on 2026 is searched to its end, and well: what v6.4 asks in reclaim is not needed then", () => {
    expect(explore("W1", { kernel: "2026+kara-skip-2018", maxStates: 4_000_000 }).verdict).toBe("safe");
  });

  it("crashes with whoever asks for integrity meanwhile: an O_DIRECT write of the file, or fsync before reclaim", () => {
    expect(outcomes("W1,strip=diowrite", PLAN)).toContain("BUG");
    const { witnesses } = stripMachine(PLAN).explore(BOUNDS);
    expect(witnesses.map(({ kind, schedule }) => [kind, schedule.length])).toContainEqual(["BUG", 63]);
  });

  it("and fsync breaks sums, as it did", () => {
    expect(
      checksumMachine(PLAN)
        .explore(BOUNDS)
        .witnesses.map(({ kind }) => kind),
    ).toEqual(["TORN"]);
  });
});

describe("kara-skip-2023 (20230209123206.3548-3-jack@suse.cz, as posted)", () => {
  it.each(["v4.20", "v6.3", "v6.4", "2026"])(
    "on ext4 of %s it skips nothing, and warns: mpage_submit_page passes no writeback_control",
    (base) => {
      const { outcomes: found, steps } = explore("W2", { kernel: `${base}+kara-skip-2023` });
      expect(found).toEqual(["WARN"]);
      expect(steps.at(-1)).toMatchObject({ task: "flusher", step: "WARN_ON_ONCE" });
    },
  );

  it("so sums break on ext4 as before, and W5 loses what was written", () => {
    expect(outcomes("W6", "v6.3+kara-skip-2023")).toEqual(["TORN", "WARN"]);
    expect(outcomes("W5", "v6.3+kara-skip-2023")).toEqual(["LOST", "WARN"]);
  });

  it.each([
    ["W6,fs=xfs", ["TORN"], ["OK"]],
    ["W6,fs=btrfs", ["LOST", "TORN", "REFUSED"], ["REFUSED"]],
    ["W5,fs=xfs", ["LOST"], ["OK"]],
  ] as const)(
    "%s on v6.3: %j without, %j with it, as xfs and btrfs pass theirs",
    (scenario, without, withIt) => {
      expect(outcomes(scenario, "v6.3")).toEqual(without);
      expect(outcomes(scenario, "v6.3+kara-skip-2023")).toEqual(withIt);
    },
  );

  it("has no say about memory's own files: a page of tmpfs goes to swap", () => {
    const h = new Hand(
      small(
        {
          kernel: "v4.20+kara-skip-2023",
          fs: FS.tmpfs,
          pages: 4,
          cached: false,
          geometry: { swap: { pages: 2 }, config: ["swap"] },
        },
        { store: store(), reclaim: reclaim(2) },
      ),
    ).go("store");
    lru_add_drain(h.k);
    old(h);
    const steps = h.trace("reclaim", () => h.go("reclaim"));
    expect(steps.filter((step) => ["TestClearPageDirty", "WARN_ON_ONCE"].includes(step))).toEqual([
      "TestClearPageDirty",
    ]);
    expect(h.has("writeback")).toBe(true);
  });

  it("leaves fsync's broken sums to the next two patches", () => {
    const kinds = checksumMachine("v4.20+kara-skip-2023", FS.xfs).explore(BOUNDS).witnesses;
    expect(kinds.map(({ kind }) => kind)).toEqual(["TORN"]);
  });
});
