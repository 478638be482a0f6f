/** The matrix as a figure: each cell says the same as in the table, in a word and in a colour. */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { BADNESS, badnessOf } from "../../../src/lab/matrix/badness.js";
import { matrixFigure } from "../../../src/lab/matrix/figure.js";
import { matrixOf, readMatrix } from "../../../src/lab/matrix/matrix.js";
import { shortCell } from "../../../src/lab/matrix/text.js";
import { type Figure, toSvg, toTerminal } from "../../../src/plot/index.js";

const file = new URL("../../../notebooks/data/matrix.json.gz", import.meta.url);
const whole = readMatrix(gunzipSync(readFileSync(file)).toString());
const cells = whole.rows.flatMap((row) => Object.values(row.cells));
const figure = whole.figure();

/** The map's cells from the highest row down, without the lines of the headings. */
function mapOf({ data }: Figure) {
  const map = data.find((trace) => trace.type === "heatmap");
  if (map?.type !== "heatmap") throw new Error("no map");
  return map.z
    .map((states, at) => ({ states, words: map.text?.[at] ?? [], about: map.customdata?.[at] ?? [] }))
    .reverse();
}

describe("the matrix as a figure", () => {
  it("has every cell, with its word, its colour and its outcomes", () => {
    const rows = mapOf(figure).filter(({ states }) => states.some((state) => state !== null));
    const drawn = whole.rows.filter((row) => Object.keys(row.cells).length > 0);
    expect(rows).toHaveLength(drawn.length);
    drawn.forEach((row, at) => {
      whole.columns.forEach(({ workload }, column) => {
        const cell = row.cells[workload];
        expect(rows[at].words[column]).toBe(shortCell(cell));
        expect(BADNESS[rows[at].states[column] as number].id).toBe(badnessOf(cell));
        for (const { kind } of cell.outcomes) expect(rows[at].about[column]).toContain(kind);
        expect(rows[at].about[column]).toContain(cell.kernel);
      });
    });
    const svg = toSvg(figure);
    expect(svg).not.toMatch(/NaN|undefined/);
    expect((svg.match(/>BUG\+</g) ?? []).length).toBe(
      cells.filter((cell) => shortCell(cell) === "BUG+").length,
    );
  });

  it("counts the cells in which something goes wrong, and says within which bounds", () => {
    const { length } = cells;
    const faulty = cells.filter((cell) =>
      ["crash", "data", "stuck"].includes(badnessOf(cell) as string),
    ).length;
    expect(figure.layout.title.subtitle.text).toBe(
      `${length} cells, in ${faulty} of them something goes wrong`,
    );
    const complete = cells.filter((cell) => cell.complete).length;
    expect(figure.caption).toContain(`every interleaving in ${complete} of ${length} cells`);
    expect(figure.caption).toContain("W1 is dio-reclaim");
  });

  it("a cell that was not computed is paper, a row without any is not there", () => {
    const some = cells.filter(
      ({ kernel, workload }) =>
        (kernel === "v4.20" && workload !== "W2") || (kernel === "v6.4" && workload !== "W1"),
    );
    const rows = mapOf(matrixFigure(matrixOf(some))).filter(({ states }) =>
      states.some((state) => state !== null),
    );
    expect(rows).toHaveLength(2);
    expect([rows[0].states[1], rows[1].states[0]]).toEqual([null, null]);
    expect(() => matrixFigure(matrixOf([]))).toThrow(
      "No cell of the matrix has been computed: there is nothing to draw.",
    );
  });

  it("in a terminal it is the table, as wide as the terminal", () => {
    for (const columns of [40, 80, 100]) {
      const text = toTerminal(figure, { columns, rows: 24, color: false });
      for (const line of text.split("\n")) expect([...line].length).toBeLessThanOrEqual(columns);
      expect(text).toContain("hubbard-ttu-2018");
      expect(text.replaceAll(/\s+/g, " ")).toContain("OK/REF refused in some orders");
    }
  });

  it("of some kernels and workloads alone, in the order of the whole", () => {
    const some = whole.only(["2026", "v4.20"], ["W7", "W1"]);
    const shown = some.rows.filter(({ cells }) => Object.keys(cells).length > 0);
    expect(shown.map(({ name, cells }) => [name, Object.keys(cells).sort()])).toEqual([
      ["v4.20", ["W1", "W7"]],
      ["2026", ["W1", "W7"]],
    ]);
    expect(some.only([], []).rows.every(({ cells }) => Object.keys(cells).length === 0)).toBe(true);
  });
});
