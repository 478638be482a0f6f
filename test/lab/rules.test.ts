/** Rules that paths ask: a diff of two kernels shows what became of them, and what is said of who asks is so. */
import { describe, expect, it } from "vitest";
import type { Kernel } from "../../src/kernel/kernel.js";
import { device_page_rule } from "../../src/kernel/mm/memremap.js";
import type { Rule } from "../../src/kernel/rule.js";
import { kernelDiff } from "../../src/lab/kernels.js";
import { askersOf } from "../../src/lab/rules.js";
import { run } from "../../src/lab/run.js";
import { Machine } from "../../src/machine/machine.js";
import { Memory } from "../../src/machine/memory.js";
import { findKernel, kernels } from "../../src/patches/kernels.js";
import { hpage_pincount_available } from "../../src/patches/track_foll_pin.js";
import { allPaths } from "../patches/all_paths.js";
import { randomRun } from "./random_runs.js";

const RULES: readonly Rule[] = [device_page_rule, hpage_pincount_available];

describe("a diff shows a rule that another kernel answers otherwise", () => {
  it("with its sentence, its answers and who asks", () => {
    expect(kernelDiff("v5.14", "v5.18", "hpage_pincount_available").split("\n").slice(1)).toEqual([
      "--- v5.14/rule hpage_pincount_available",
      "+++ v5.18/rule hpage_pincount_available",
      "@@ -1,7 +1,7 @@",
      " hpage_pincount_available: which compound pages have an exact count of their pins; in others a pin counts 1,024 references",
      "-  order = 2, the smallest order of a compound page that has a count of its pins",
      "+  order = 1, the smallest order of a compound page that has a count of its pins",
      "   asked in __get_user_pages: follow_page_pte",
      "   asked in copy_page_range: page_maybe_dma_pinned",
      "   asked in gup_pte_range: try_grab_folio, gup_put_folio",
      "   asked in shrink_page_list: folio_maybe_dma_pinned",
      "   asked in unpin_user_page: gup_put_folio",
      "",
    ]);
    const dax = kernelDiff("v6.12", "v6.15", "dev_pagemap");
    expect(dax).toContain("\n-  idle = 1, references of a device page that nobody uses\n");
    expect(dax).toContain("\n   asked by each put of such a page (put_devmap_managed_page)\n");
    expect(kernelDiff("v5.18", "v6.12", "dev_pagemap")).toBe("");
  });

  it("in the diff of a path that asks it, and in no other path's", () => {
    expect(kernelDiff("v6.12", "v6.15", "dax_layout_busy_page")).toContain("rule dev_pagemap");
    expect(kernelDiff("v6.12", "v6.15", "mprotect_fixup")).toBe("");
  });

  it("beside the steps that bring it", () => {
    const diff = kernelDiff("v5.6", "v5.7", "gup_pte_range");
    expect(diff).toContain("+  try_grab_compound_head, else goto pte_unmap");
    expect(diff).toContain("+  order = 2, the smallest order");
  });
});

describe("who asks", () => {
  it("is said of steps that there are", () => {
    for (const rule of RULES) {
      const last = kernels.at(-1) as (typeof kernels)[number];
      const steps = askersOf({ rule, values: {} }, allPaths().map(last.patched));
      expect(steps.length, rule.name).toBeGreaterThan(3);
    }
  });

  it("is so of the steps of random machines: no other one looks a rule up", { timeout: 300_000 }, () => {
    const { of } = Memory.prototype;
    const { step } = Machine.prototype;
    const seen = new Map<Rule, Set<string>>(RULES.map((rule) => [rule, new Set()]));
    let stepping: Machine<Kernel> | null = null;
    Memory.prototype.of = function (this: Memory, table) {
      for (const [rule, where] of seen) {
        if (stepping === null || (table as unknown) !== rule.struct) continue;
        // A put of any page asks, from many steps.
        if (new Error().stack?.includes("put_devmap_managed_page")) continue;
        const at = stepping.code[stepping.k.at];
        where.add(`${at.path}/${at.step}`);
      }
      return of.call(this, table);
    } as typeof of;
    Machine.prototype.step = function (this: Machine<Kernel>, task) {
      stepping = this;
      step.call(this, task);
      stepping = null;
    } as typeof step;
    try {
      for (let seed = 1; seed <= 60; seed++)
        randomRun(seed % 2 === 0 ? "sandbox" : "scenario", seed, "2026", undefined, 600);
      // DAX is one scenario of many: not every draw has it.
      for (let seed = 1; seed <= 4; seed++) run("W8", { kernel: "2026", seed });
    } finally {
      Memory.prototype.of = of;
      Machine.prototype.step = step;
    }
    expect(seen.get(device_page_rule)?.size).toBeGreaterThan(1);
    const paths = allPaths();
    for (const [rule, where] of seen) {
      const said = askersOf({ rule, values: {} }, paths.map(findKernel("2026").patched)).flatMap(
        ({ path, steps }) => steps.map((each) => `${path}/${each}`),
      );
      expect([...where].filter((each) => !said.includes(each))).toEqual([]);
    }
  });
});

describe("paths that only patches bring", () => {
  it("stand in the diff of two kernels behind the base's, and are found by their names", () => {
    const diff = kernelDiff("v4.20+hubbard-lru-2018", "v4.20+lru-waits-isolation");
    expect(diff.split("\n").filter((line) => line.startsWith("---"))).toHaveLength(1);
    expect(diff).toContain("+      wait: wait_for_isolation");
    expect(kernelDiff("v4.20", "v4.20+hubbard-lru-2018", "pin_page_for_dma")).toContain(
      "+pin_page_for_dma(page)",
    );
  });
});
