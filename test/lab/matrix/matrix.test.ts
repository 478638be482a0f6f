/** Cells of the matrix are computed: what a cell says is what the search of the same scenario says, and its lines lead there. */
import { describe, expect, it } from "vitest";
import { explore } from "../../../src/lab/explore.js";
import { computeCell } from "../../../src/lab/matrix/cell.js";
import { criteriaOf } from "../../../src/lab/matrix/criteria.js";
import { matrix } from "../../../src/lab/matrix/matrix.js";
import { baseOf, COLUMNS, kernelOfRow, matrixRows, placeOf } from "../../../src/lab/matrix/plan.js";
import { cellText, matrixText, shortCell } from "../../../src/lab/matrix/text.js";
import { run } from "../../../src/lab/run.js";
import { kernels } from "../../../src/patches/kernels.js";
import { proposals } from "../../../src/patches/proposals/index.js";
import { DISPLAY } from "../../../src/plot/index.js";

describe("a cell", () => {
  it("has the outcomes of the search, each with a line that leads to it, and OK by a run", () => {
    const cell = computeCell({ kernel: "v4.20", workload: "W6" });
    const verdict = explore("W6");
    expect(cell.outcomes.map(({ kind }) => kind)).toEqual([...verdict.outcomes, "OK"]);
    expect([cell.states, cell.transitions, cell.complete]).toEqual([
      verdict.states,
      verdict.transitions,
      true,
    ]);
    for (const { kind, replay, steps } of cell.outcomes) {
      const made = run(replay);
      expect(made.outcomes).toContain(kind);
      expect(made.steps).toBe(steps);
    }
  });

  it("that was cut short says so, and has what random walks met", () => {
    const cell = computeCell({ kernel: "v4.20", workload: "W1" }, { maxStates: 2000 });
    expect([cell.complete, cell.bounds.walks, cell.bounds.max_states]).toEqual([false, 256, 2000]);
    const bug = cell.outcomes.find(({ kind }) => kind === "BUG");
    expect(bug?.by).toBe("walk");
    expect(run(bug?.replay as string).outcomes).toContain("BUG");
    expect(shortCell(cell)).toBe("BUG+?");
    expect(cellText(cell)).toMatch(/bound: 1 page, 1 driver, INCOMPLETE: .* then 256 random walks/);
  });

  it("has what lockdep says, where a proposal takes locks in two orders", () => {
    const cell = computeCell({ kernel: "v4.20+kara-mkwrite-2018", workload: "W12" });
    expect(cell.lockdep?.[0]).toMatch(
      /^possible circular locking dependency: mm->mmap_sem -> PG_locked -> mm->mmap_sem/,
    );
    expect(cell.outcomes.map(({ kind, by }) => `${kind} ${by}`)).toEqual(["WARN lockdep", "OK run"]);
    expect(run(cell.outcomes[0].replay).outcomes).toContain("WARN");
  });

  it("weighs what a proposal's steps cost against the pages that were taken, not against looks that found none", () => {
    const { cost, outcomes } = computeCell({ kernel: "v4.20+hubbard-lru-2018", workload: "W2" });
    expect([cost?.taken, cost?.ns]).toEqual([1, 187]);
    const slow = outcomes.find(({ kind }) => kind === "SLOW");
    expect(run(slow?.replay as string).steps).toBe(slow?.steps);
  });

  it("tells refused in every order from refused in some", () => {
    expect(shortCell(computeCell({ kernel: "v4.20", workload: "W8" }))).toBe("OK/REF");
    expect(shortCell(computeCell({ kernel: "v4.20", workload: "W9" }))).toBe("REFUS");
    expect(shortCell(undefined)).toBe("-");
    // Slower, but first of all refused.
    expect(shortCell(computeCell({ kernel: "v4.20+hubbard-lru-2018", workload: "W9" }))).toBe("REFUS");
    expect(shortCell(computeCell({ kernel: "v4.20+hubbard-lru-2018", workload: "W12" }))).toBe("SLOW");
  });
});

describe("the rows", () => {
  const { rows, left_out } = matrixRows();

  it("are every kernel, every proposal once on the oldest kernel to which it applies, and again on 2026 or left out there with a reason", () => {
    expect(rows.filter(({ group }) => group === "kernels").map(({ name }) => name)).toEqual(
      kernels.map(({ name }) => name),
    );
    const oldest = rows.filter(({ group }) => group === "proposals");
    expect(oldest.map(({ name }) => name)).toEqual(proposals.map(({ name }) => name));
    for (const { name } of proposals) {
      const today = rows.filter(({ kernel }) => kernel === `2026+${name}`).length;
      const out = left_out.filter(({ kernel }) => kernel === `2026+${name}`);
      expect(today + out.length, name).toBe(1);
      for (const { why } of out) expect(why).toMatch(/does not apply|needs|has the patch/);
    }
  });

  it("are named by a proposal alone, or by a kernel", () => {
    expect(kernelOfRow("hubbard-ttu-2018")).toBe("v4.20+hubbard-ttu-2018");
    expect(kernelOfRow("v6.4")).toBe("v6.4");
    expect(baseOf("hubbard-ttu-2018")).toBe("v4.20");
    expect(() => placeOf("nobody-2018", "W1")).toThrow(/^there is no kernel "nobody-2018"/);
    expect(() => placeOf("v4.20", "W19")).toThrow('there is no column "W19"; the matrix has W1 to W18');
  });
});

describe("matrix()", () => {
  it("computes what is asked for, and shows itself as text and as a table", () => {
    const made = matrix({ rows: ["v4.20", "kara-count-2018"], columns: ["W2", "W9"] });
    const text = String(made);
    expect(text).toMatch(/^ +W2 +W9$/m);
    expect(text).toMatch(/^v4\.20 +OK +REFUS$/m);
    const html = (made as unknown as Record<symbol, () => Record<string, string>>)[DISPLAY as never]()[
      "text/html"
    ];
    expect(html.match(/<td /g)?.length).toBe(4);
    expect(JSON.parse(JSON.stringify(made)).columns.length).toBe(COLUMNS.length);
  });

  it("keeps the rows of kernels that have none of their own: two proposals at once", () => {
    const kernel = "v4.20+kara-count-2018+hubbard-ttu-2018";
    const made = matrix({ rows: [kernel], columns: ["W9"] });
    expect(made.rows.at(-1)).toMatchObject({ group: "asked", name: kernel });
    expect(String(made)).toMatch(/^Kernels that were asked for:\nv4\.20\+kara-count-2018.* +REFUS$/m);
  });

  it("says within which bounds it holds", () => {
    const whole = String(matrix({ rows: ["v4.20"], columns: ["W2", "W9"] }));
    expect(whole.replaceAll("\n", " ")).toContain("every interleaving in 2 of 2 cells");
    const cut = String(matrix({ rows: ["v4.20"], columns: ["W1", "W9"], maxStates: 2000 }));
    expect(cut.replaceAll("\n", " ")).toContain(
      "every interleaving in 1 of 2 cells, in the others 2000 states and then 256 random walks",
    );
  });

  it("ends when its progress says so, with what there is", () => {
    const made = matrix({
      rows: ["v4.20"],
      columns: ["W2", "W9", "W18"],
      progress: ({ done }) => done < 2,
    });
    expect(Object.keys(made.rows[0].cells)).toEqual(["W2", "W9"]);
  });

  it("fits the width that it is given", () => {
    const made = matrix({ rows: ["v4.20"], columns: ["W9"] });
    const tables = matrixText(made, 80).split("+ other faults")[0].split("\n");
    expect(Math.max(...tables.map((line) => line.length))).toBeLessThanOrEqual(80);
  });
});

describe("what a proposal asks for", () => {
  it("is computed from its patch: a count is a word of struct page more (Hubbard, July 2018: there is no room)", () => {
    expect(criteriaOf(proposals.find(({ name }) => name === "kara-count-2018") as never)).toMatchObject({
      page_bytes: 8,
      page_words: [],
    });
  });

  it("is more with what it needs: reclaim that spares pinned pages needs somebody who counts them", () => {
    const ttu = criteriaOf(proposals.find(({ name }) => name === "hubbard-ttu-2018") as never);
    expect(ttu.page_bytes).toBe(8);
    expect(ttu.who).toContain("mm");
    expect(ttu.who).toContain("drivers/infiniband");
    // FOLL_PIN is there already: nothing but reclaim changes.
    const today = criteriaOf(proposals.find(({ name }) => name === "hubbard-ttu-2018") as never, "2026");
    expect([today.page_bytes, today.who]).toEqual([0, ["mm"]]);
  });
});
