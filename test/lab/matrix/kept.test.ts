/**
 * The matrix that the write-ups read (notebooks/data/matrix.json.gz) is what `guplab matrix --json` prints today: it has every row and column,
 * and cells drawn from it come out the same when they are computed again. Where this fails, compute it anew:
 * `npx guplab matrix --json | gzip -9 > notebooks/data/matrix.json.gz`, then `npx guplab nb run`.
 */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { computeCell } from "../../../src/lab/matrix/cell.js";
import { readMatrix } from "../../../src/lab/matrix/matrix.js";
import { COLUMNS, matrixRows } from "../../../src/lab/matrix/plan.js";
import { storiesOf, storyText } from "../../../src/lab/matrix/stories.js";
import { shortCell } from "../../../src/lab/matrix/text.js";
import { isFault } from "../../../src/lab/outcomes.js";
import { run } from "../../../src/lab/run.js";
import { Random } from "../../../src/machine/random.js";

const file = (name: string) => readFileSync(new URL(`../../../${name}`, import.meta.url));
const kept = readMatrix(gunzipSync(file("notebooks/data/matrix.json.gz")).toString());
const cells = kept.rows.flatMap((row) => Object.values(row.cells));

describe("the matrix that is kept", () => {
  it("has every cell", () => {
    expect(kept.rows.map(({ kernel }) => kernel)).toEqual(matrixRows().rows.map(({ kernel }) => kernel));
    for (const row of kept.rows)
      expect([row.kernel, ...Object.keys(row.cells)]).toEqual([row.kernel, ...COLUMNS]);
  });

  const random = new Random(2018);
  const small = cells.filter(({ complete, states }) => complete && states < 100_000);
  const drawn = Array.from({ length: 40 }, () => small[random.below(small.length)]);

  it.each(drawn.map((cell) => [cell.kernel, cell.workload, cell] as const))(
    "%s %s is computed as it is kept",
    (_, __, cell) => {
      expect(computeCell(cell, { maxStates: cell.bounds.max_states })).toEqual(cell);
    },
  );

  const large = cells.filter(({ states }) => states >= 100_000).flatMap(({ outcomes }) => outcomes);
  it("has lines that lead to what they say", () => {
    for (let at = 0; at < 30; at++) {
      const { kind, replay } = large[random.below(large.length)];
      if (kind !== "SLOW") expect([replay, run(replay).outcomes.includes(kind)]).toEqual([replay, true]);
    }
  });

  it("is what the README shows of it", () => {
    const [, table] =
      /\n(\| proposal[^\n]*\n\|[-| ]*\n(?:\|[^\n]*\n)+)/.exec(file("README.md").toString()) ?? [];
    const [head, , ...body] = table
      .trim()
      .split("\n")
      .map((line) =>
        line
          .split("|")
          .slice(1, -1)
          .map((each) => each.trim()),
      );
    expect(body.length).toBeGreaterThan(8);
    for (const [name, ...shown] of body) {
      const row = kept.rows.find(
        ({ kernel }) => kernel === name.replaceAll("`", "").replace(/^(?!v4\.20$)/, "v4.20+"),
      );
      expect([name, ...shown]).toEqual([
        name,
        ...head.slice(1).map((workload) => shortCell(row?.cells[workload])),
      ]);
    }
  });
});

describe("what the README says of all rows", () => {
  const onArticle = kept.rows.filter(({ kernel }) => kernel.startsWith("v4.20"));
  const fine = (row: (typeof kept.rows)[number], ...workloads: string[]) =>
    workloads.every((workload) =>
      row.cells[workload].outcomes.every(({ kind }) => kind === "OK" || !isFault(kind)),
    );

  it("W14 leaks in each; none has both halves without a fault", () => {
    expect(
      kept.rows.filter(({ cells: { W14 } }) => !W14.outcomes.some(({ kind }) => kind === "LEAK")),
    ).toEqual([]);
    const written = onArticle.filter((row) => fine(row, "W1", "W2", "W3", "W5", "W6"));
    const truncated = onArticle.filter((row) => fine(row, "W7", "W8"));
    expect([written.length > 0, truncated.length > 0]).toEqual([true, true]);
    expect(written.filter((row) => truncated.includes(row))).toEqual([]);
  });

  it("two together have: every interleaving", () => {
    const kernel = "v4.20+kara-bounce-dirty-2018+gunthorpe-fail-truncate-lock-2018";
    for (const workload of ["W1", "W2", "W3", "W5", "W6", "W7", "W8"]) {
      const { complete, outcomes } = computeCell({ kernel, workload });
      expect([workload, complete, outcomes.filter(({ kind }) => kind !== "OK" && isFault(kind))]).toEqual([
        workload,
        true,
        [],
      ]);
    }
  });
});

describe("stories", () => {
  const stories = storiesOf(kept);

  it("has one for each proposal, whose best case is better than without it and whose worst is worse", () => {
    const told = kept.rows.filter(({ group }) => group === "proposals").map(({ name }) => name);
    expect(stories.map(({ name }) => name)).toEqual(told);
    for (const { best, worst } of stories) {
      if (best !== null) expect(best.with.join()).not.toBe(best.without.join());
      if (worst !== null) expect(run(worst.replay).outcomes).toContain(worst.with[0]);
    }
  });

  it("Wilcox's claim of 2018: off the LRU the crash cannot occur. The shortest way to a BUG is shorter than without", () => {
    const { worst, left } = stories.find(({ name }) => name === "hubbard-lru-2018")!;
    expect([...left, worst].some((change) => change?.workload === "W1" && change.with.includes("BUG"))).toBe(
      true,
    );
    expect(storyText(stories.find(({ name }) => name === "hubbard-lru-2018")!)).toContain("W1 BUG");
  });
});
