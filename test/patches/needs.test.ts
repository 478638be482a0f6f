/**
 * What patches need of each other is declared in their files, and computed here: a list that has what its patches need applies and runs; one
 * that has not is refused in one sentence, before anything runs, and what that sentence says to say instead is right.
 */
import { describe, expect, it } from "vitest";
import { patchesOf, patchLog } from "../../src/lab/kernels.js";
import { open } from "../../src/lab/world.js";
import { edited } from "../../src/machine/patch.js";
import { findKernel, kernels, patches } from "../../src/patches/kernels.js";
import { lackOf, needsOf, withNeeds } from "../../src/patches/needs.js";
import type { Patch } from "../../src/patches/patch.js";
import { randomRun } from "../lab/random_runs.js";
import { allPaths } from "./all_paths.js";

const all = allPaths();
const list = [...patches.values()];
const named = (base: string, added: readonly Patch[]): string =>
  [base, ...added.map(({ name }) => name)].join("+");

/** What a kernel says when it is put together and applied to every path; null when all is well. */
function refusal(name: string): string | null {
  try {
    const { patched } = findKernel(name);
    for (const path of all) patched(path);
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

/** A few steps of drawn machines, of scenarios and of the sandbox: whatever is thrown is a fault of guplab. */
function runs(name: string, seeds: number): void {
  for (let seed = 1; seed <= seeds; seed++)
    try {
      randomRun(seed % 3 === 0 ? "sandbox" : "scenario", seed, name, undefined, 400);
    } catch (error) {
      throw new Error(`random run ${seed} on ${name}: ${(error as Error).message}`, { cause: error });
    }
}

/** Random runs of a kernel: seconds altogether. */
const MINUTES = 300_000;

describe("each patch alone on v4.20", () => {
  it.each(list.map(({ name }) => name))("%s", { timeout: MINUTES }, (name) => {
    const patch = patches.get(name) as Patch;
    const alone = `v4.20+${name}`;
    const refused = refusal(alone);
    if (needsOf(patch).length === 0) {
      expect(refused).toBeNull();
      runs(alone, 6);
      return;
    }
    const right = named("v4.20", [...needsOf(patch), patch]);
    expect(refused).toMatch(new RegExp(`^${name} needs [a-z, -]+: say ${right.replaceAll("+", "\\+")}$`));
    expect(refusal(right)).toBeNull();
    runs(right, 6);
  });
});

describe("each kernel without one of its patches", () => {
  it.each(kernels.slice(1).map(({ name }) => name))("%s", { timeout: MINUTES }, (name) => {
    const { patches: whole } = findKernel(name);
    const older = kernels.slice(
      0,
      kernels.findIndex((kernel) => kernel.name === name),
    );
    const fewer = older.findLast((kernel) => kernel.patches.every((patch) => whole.includes(patch)));
    for (const without of whole) {
      const rest = whole.filter((patch) => patch !== without);
      const needed = rest.find((patch) => needsOf(patch).includes(without));
      const refused = refusal(named("v4.20", rest));
      if (needed === undefined) {
        expect(refused, `without ${without.name}`).toBeNull();
        // What is run of an older kernel's patches is run there.
        if (!fewer?.patches.includes(without)) runs(named("v4.20", rest), 3);
      } else {
        expect(refused).toMatch(
          new RegExp(`^${needed.name} needs .*\\b${without.name}\\b.*: say v4\\.20\\+`),
        );
        expect(refusal((refused as string).split(": say ")[1])).toBeNull();
      }
    }
  });
});

describe("each patch on each kernel without it", () => {
  it.each(kernels.map(({ name }) => name))("%s: it applies, needs others, or does not apply", (name) => {
    const { patches: had } = findKernel(name);
    for (const patch of list.filter((each) => !had.includes(each))) {
      const refused = refusal(`${name}+${patch.name}`);
      if (lackOf([patch], had) !== null) {
        expect(refused).toMatch(new RegExp(`^${patch.name} needs `));
        const whole = named(
          name,
          withNeeds([patch]).filter((each) => !had.includes(each)),
        );
        expect(refused).toContain(`: say ${whole}`);
      } else if (refused !== null) expect(refused).toContain(`patch ${patch.name} does not apply: `);
    }
  });
});

/** Why a patch needs one without which it would apply; the others have an anchor that the one they need brings. */
const REASONS: Readonly<Record<string, string>> = {
  "track-foll-pin needs pin-user-pages": "nobody asks for a pin without it",
  "pin-frame-vector needs pin-user-pages": "its pins are given back by unpin_user_page",
  "frame-vector-longterm needs pin-frame-vector": "its pins would be given back as references",
  "keep-private-of-pinned needs track-foll-pin": "page_maybe_dma_pinned",
  "swap-unpinned-only needs track-foll-pin": "page_maybe_dma_pinned",
  "copy-pinned-at-fork needs track-foll-pin": "page_maybe_dma_pinned",
  "exact-pincount needs track-foll-pin": "the counts that it changes",
  "iomap-dio-pins needs track-foll-pin": "the counts of what it gives back",
  "blockdev-dio-pins needs iomap-dio-pins": "the bio's mark of what is pinned",
  "write-protect-seq needs copy-pinned-at-fork": "nobody asks at fork without it",
  "unshare-anon needs anon-exclusive": "no page would be exclusive, and each pin of a copy",
  "longterm-migrates-movable needs longterm-flag":
    "the slow path would take pages without asking where they are",
  "longterm-fsdax-upfront needs longterm-flag": "the path that it changes",
  "longterm-fast-gate needs pin-user-pages": "nobody asks for a pin without it",
  "refuse-longterm-file-write needs pin-user-pages": "nobody asks for a pin without it",
  "valid-gup-args needs pin-user-pages": "the functions whose arguments it looks at",
};

describe("what is declared", () => {
  it("is needed: without it an anchor is missing, or there is a reason here", () => {
    const unexplained: string[] = [];
    for (const patch of list)
      for (const need of patch.needs ?? []) {
        const rest = [...needsOf(patch), patch].filter(
          (each) => each !== need && !needsOf(each).includes(need),
        );
        const lacks = [...rest, ...(rest.includes(patch) ? [] : [patch])];
        const missing = all.some((path) => {
          try {
            let made = path;
            for (const { edits } of lacks)
              for (const edit of edits)
                if (edit.path === path || edit.path === path.name) made = edited(made, edit);
            return false;
          } catch {
            return true;
          }
        });
        if (!missing) unexplained.push(`${patch.name} needs ${need.name}`);
      }
    expect(unexplained.sort()).toEqual(Object.keys(REASONS).sort());
  });

  it("says nothing twice: no patch names what another of its needs needs", () => {
    for (const { name, needs = [] } of list)
      for (const need of needs) expect(needs.flatMap(needsOf), `${name}: ${need.name}`).not.toContain(need);
  });

  it("is in the log of a kernel", () => {
    expect(patchLog("v6.5")).toContain("\n  needs: longterm-flag, track-foll-pin\n");
    const listed = patchesOf("v6.5").find(({ name }) => name === "keep-private-of-pinned");
    expect(listed?.needs).toEqual(["track-foll-pin"]);
    expect(patchesOf("v6.5")[0]).not.toHaveProperty("needs");
  });
});

describe("a kernel that lacks what its patches need", () => {
  it.each([
    [
      "v4.20+keep-private-of-pinned",
      "keep-private-of-pinned needs pin-user-pages and track-foll-pin: say v4.20+pin-user-pages+track-foll-pin+keep-private-of-pinned",
    ],
    [
      "v5.6+keep-private-of-pinned",
      "keep-private-of-pinned needs track-foll-pin: say v5.6+track-foll-pin+keep-private-of-pinned",
    ],
    [
      "v4.20+ext4-iomap-dio+exact-pincount",
      "exact-pincount needs pin-user-pages and track-foll-pin: say v4.20+ext4-iomap-dio+pin-user-pages+track-foll-pin+exact-pincount",
    ],
    [
      "v5.6+keep-private-of-pinned+track-foll-pin",
      "keep-private-of-pinned needs track-foll-pin before it: say v5.6+track-foll-pin+keep-private-of-pinned",
    ],
  ])("%s is refused before anything runs", (name, sentence) => {
    const thrown = (): string => {
      try {
        open("kara-2018", { kernel: name });
        return "";
      } catch (error) {
        return (error as Error).message;
      }
    };
    expect(thrown()).toBe(sentence);
  });
});
