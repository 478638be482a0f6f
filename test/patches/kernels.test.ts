/** The kernels as lists of patches: each applies, each says what it is, and what it makes of the article's crash. */
import { describe, expect, it } from "vitest";
import { explore } from "../../src/lab/explore.js";
import { bisect, kernelDiff, patchLog } from "../../src/lab/kernels.js";
import { run } from "../../src/lab/run.js";
import { findKernel, kernels, patches, uncertainIn } from "../../src/patches/kernels.js";
import { allPaths } from "./all_paths.js";

const all = allPaths();

describe("the lists", () => {
  it("v4.20 is the base: no path of it is another", () => {
    const { patched, patches: none } = findKernel("v4.20");
    expect(none).toEqual([]);
    for (const path of all) expect(patched(path)).toBe(path);
  });

  it.each(kernels.map(({ name }) => name))("every patch of %s applies, and changes something", (name) => {
    const kernel = findKernel(name);
    for (const path of all) kernel.patched(path);
    for (const patch of kernel.patches)
      for (const { path } of patch.edits)
        expect(
          all.some((each) => each === path || each.name === path),
          `${patch.name}: ${typeof path === "string" ? path : path.name}`,
        ).toBe(true);
  });

  it("each kernel has what an older one has, but for the stable one's backports", () => {
    for (const [at, kernel] of kernels.entries()) {
      if (at === 0) continue;
      const older = kernels
        .slice(0, at)
        .some(({ patches: had }) => had.every((patch) => kernel.patches.includes(patch)));
      expect(older, kernel.name).toBe(true);
    }
  });

  it("each patch says who made it, when, and its commit if it has one", () => {
    for (const { name, title, author, date, commit, uncertain, help } of patches.values()) {
      expect(
        [title, author, help].every((text) => text.length > 3),
        name,
      ).toBe(true);
      expect(date, name).toMatch(/^20\d\d-\d\d$/);
      if (commit !== null) expect(commit, name).toMatch(/^[0-9a-f]{12}$/);
      // What was merged and has no commit here says so.
      else expect(uncertain, name).toContain("its commit");
    }
  });
});

describe("a kernel's name", () => {
  it("may have patches added, and the replay line has them", () => {
    const made = run("kara-2018", { kernel: "v4.20+ext4-page-without-buffers" });
    expect(made.outcomes).toContain("LOST");
    expect(run(made.replay).outcomes).toEqual(made.outcomes);
  });

  it.each([
    ["v3.0", 'there is no kernel "v3.0"; known: v4.20, '],
    ["v4.20+luck", 'there is no patch "luck"; known: longterm-flag, '],
    ["v5.6+pin-user-pages", "v5.6 has the patch pin-user-pages already"],
    [
      "v4.20+madv-pageout+madv-pageout",
      '"v4.20+madv-pageout+madv-pageout" names the patch madv-pageout twice',
    ],
  ])("%s is refused in one sentence", (name, sentence) => {
    expect(() => findKernel(name)).toThrow(sentence);
  });
});

describe("the article's crash, one seed (kara-2018)", () => {
  it.each([
    ["v4.20", ["BUG", "HANG", "WARN"]],
    ["v5.5", ["BUG", "WARN"]],
    ["v5.7", ["BUG", "WARN"]],
    ["v5.18", ["LOST", "WARN"]],
    ["v6.1.192", ["LOST", "WARN"]],
    ["v6.3", ["LOST", "WARN"]],
    ["v6.4", ["OK"]],
    ["2026", ["OK"]],
  ])("on %s: %s", (kernel, outcomes) => {
    expect(run("kara-2018", { kernel }).outcomes).toEqual(outcomes);
  });
});

describe("kernels side by side", () => {
  it("diff shows the steps that differ, and nothing where nothing does", () => {
    expect(kernelDiff("v6.3", "v6.4", "shrink_page_list")).toContain("+    if folio_maybe_dma_pinned");
    expect(kernelDiff("v6.11", "v6.12")).toBe("");
    expect(kernelDiff("v5.18", "v5.19", "mprotect_fixup")).toContain(
      "+        change_pte_range (readable_exclusive)",
    );
    expect(() => kernelDiff("v6.3", "v6.4", "no_path")).toThrow('there is no path "no_path"');
  });

  it("log names the patches", () => {
    expect(patchLog("v5.7")).toMatch(
      /umem-pins-fast\n.*\n.*\n.*\n {2}needs: pin-user-pages\ntrack-foll-pin\n {2}3faa52c03f44 {2}2020-04/,
    );
  });

  it("log and the list of kernels say what could not be looked up", () => {
    expect(patchLog("2026")).toMatch(
      /\n {2}commit unknown .*\n {2}uncertain: its commit, and whether v6\.19/,
    );
    expect(patchLog("v5.5")).not.toContain("uncertain");
    const said = kernels.flatMap((kernel) => uncertainIn(kernel));
    expect(said.every((each) => /^[a-z0-9-]+: .+/.test(each))).toBe(true);
    expect(said).toHaveLength(
      [...patches.values()].filter(({ uncertain }) => uncertain !== undefined).length,
    );
  });

  it("bisect finds the patch, and prints the bound of each search", () => {
    const found = bisect("W5", "v4.20", "v6.5");
    expect(found.patch.name).toBe("refuse-longterm-file-write");
    expect(String(found)).toMatch(
      /without it: LOST \(every interleaving, \d+ states\)\n {2}with it: {4}OK \(every/,
    );
    // A bisection of the patches in between, and the two ends.
    const between = findKernel("v6.5").patches.length;
    expect(found.searched.length).toBeLessThanOrEqual(2 + Math.ceil(Math.log2(between)));
  });

  it("bisect goes either way, and refuses what cannot be bisected in one sentence", () => {
    expect(bisect("W5", "v6.5", "v4.20").patch.name).toBe("refuse-longterm-file-write");
    expect(() => bisect("W2", "v4.20", "v5.18")).toThrow(
      "W2 has the same outcome on v4.20 and on v5.18, OK (every interleaving, 2772 states): there is nothing to bisect",
    );
    expect(() => bisect("W2", "v5.7", "v4.20+ext4-page-without-buffers")).toThrow(
      "bisect needs one kernel to have all patches of the other: v5.7 lacks ext4-page-without-buffers",
    );
  });
});

describe("fork and copy-on-write", () => {
  it.each([
    ["W11", "v5.7", "STALE"],
    // The parent's own write after the fork makes a copy now: its device is left behind, as before.
    ["W11", "v5.7+copy-if-referenced", "STALE"],
    ["W11", "v5.9", "OK"],
    ["CVE-2020-29374", "v5.7", "INFOLEAK"],
    ["CVE-2020-29374", "v5.7+copy-if-referenced", "OK"],
    ["CVE-2020-29374", "v5.8", "OK"],
    ["W11", "v5.8", "STALE"],
  ])("%s on %s: %s", (scenario, kernel, outcome) => {
    expect(explore(scenario, { kernel }).outcomes).toEqual([outcome]);
  });

  it("bisect names the patches", () => {
    expect(bisect("W11", "v4.20", "v6.1").patch.name).toBe("copy-pinned-at-fork");
    expect(bisect("CVE-2020-29374", "v4.20", "v6.1").patch.name).toBe("copy-if-referenced");
  });
});

describe("a search over every interleaving of W1 on a stable kernel, process_vm_writev for O_DIRECT", () => {
  /** Two million states: seconds on an idle machine. */
  const MINUTES = 300_000;
  const outcomes = (kernel: string) => explore("W1,holder=pvmw", { kernel }).outcomes;

  it("reclaim that asks once loses bytes still: pageout gives the page lock away, and nobody asks again whether the page is pinned", {
    timeout: MINUTES,
  }, () => {
    const { outcomes: found, steps, complete } = explore("W1,holder=pvmw", { kernel: "v6.1.192" });
    expect([found, complete]).toEqual([["LOST", "WARN"], true]);
    const last = (path: string, step: string) =>
      steps.findLastIndex((each) => each.path === path && [each.step, ...(each.also ?? [])].includes(step));
    // It was asked before the write, pinned after it, and stripped after that.
    const asked = last("shrink_folio_list", "folio_maybe_dma_pinned");
    const pinned = last("__get_user_pages", "follow_page_pte");
    expect(asked).toBeLessThan(last("pageout", "is_page_cache_freeable"));
    expect(last("pageout", "is_page_cache_freeable")).toBeLessThan(pinned);
    expect(pinned).toBeLessThan(last("ext4_release_folio", "try_to_free_buffers"));
    expect(asked).toBeGreaterThan(0);
  });

  it("an ext4 without writepage makes it safe", { timeout: MINUTES }, () => {
    expect(outcomes("v6.1.192+ext4-no-writepage")).toEqual(["OK"]);
  });
});
