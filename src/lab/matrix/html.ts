/** The matrix as an HTML table, for a page of its own (page.ts) and for notebooks, which keep only styles that stand at an element. */
import { escapeXml } from "../../plot/text.js";
import { BADNESS, type Badness, badnessOf } from "./badness.js";
import type { Matrix } from "./matrix.js";
import { boundsText, GROUPS, shortCell } from "./text.js";

/** A cell's background: stripes where not everything was seen, the paper where nothing was. */
function backgroundOf(id: Badness | null): string {
  const color = BADNESS.find((each) => each.id === id)?.color ?? "#fff";
  return id === "open" ? `repeating-linear-gradient(45deg, #fff 0 4px, ${color} 4px 8px)` : color;
}

export const legendHtml = (): string =>
  `<p>${BADNESS.map(
    ({ id, says }) =>
      `<span style="display:inline-block;margin-right:1.2em"><i style="display:inline-block;width:1em;height:1em;border:1px solid #d5dae0;vertical-align:-2px;margin-right:0.4em;background:${backgroundOf(id)}"></i>${says}</span>`,
  ).join(" ")}</p>`;

/**
 * The rows that have a cell, as a table.
 *
 * @param opens attributes of the button that opens a cell, by the row's number in the matrix; null: cells are no buttons
 */
export function tableHtml(
  { columns, rows }: Matrix,
  opens: ((row: number, workload: string) => string) | null,
): string {
  const shown = columns.filter(({ workload }) => rows.some(({ cells }) => cells[workload] !== undefined));
  const head = shown
    .map(
      ({ workload, scenario, help }) => `<th title="${escapeXml(`${scenario}: ${help}`)}">${workload}</th>`,
    )
    .join("");
  let last = "";
  const body = rows.flatMap(({ group, kernel, name, help, cells }, at) => {
    if (Object.keys(cells).length === 0) return [];
    const title =
      last === group
        ? []
        : [
            `<tr><th class="group" colspan="${shown.length + 1}" style="text-align:left">${escapeXml(GROUPS[group])}</th></tr>`,
          ];
    last = group;
    const row = shown.map(({ workload }) => {
      const cell = cells[workload];
      const kinds = cell?.outcomes.map(({ kind }) => kind).join(" ") ?? "not computed";
      const label = escapeXml(
        `${kernel} ${workload}: ${kinds}${cell && !cell.complete ? ", incomplete" : ""}`,
      );
      const text = escapeXml(shortCell(cell));
      const inside =
        cell === undefined || opens === null
          ? text
          : `<button type="button" aria-label="${label}" ${opens(at, workload)}>${text}</button>`;
      return `<td title="${label}" style="text-align:center;background:${backgroundOf(badnessOf(cell))}">${inside}</td>`;
    });
    return [
      ...title,
      `<tr><th scope="row" title="${escapeXml(help)}" style="text-align:left">${escapeXml(name)}</th>${row.join("")}</tr>`,
    ];
  });
  return `<table>
<thead><tr><th></th>${head}</tr></thead>
<tbody>
${body.join("\n")}
</tbody>
</table>`;
}

/** The table with its legend, for a notebook. */
export const matrixHtml = (matrix: Matrix): string =>
  `<div style="font-size:0.85rem">${legendHtml()}${tableHtml(matrix, null)}<p>${escapeXml(boundsText(matrix))}</p></div>`;
