/**
 * The matrix as a page that needs nothing else: each cell opens its witnesses as lanes. The page carries guplab itself, and makes each
 * witness anew from its replay line when it is opened; without scripts it has the table, and every replay line below it.
 */
import { escapeXml } from "../../plot/text.js";
import { legendHtml, tableHtml } from "./html.js";
import type { Matrix } from "./matrix.js";
import { boundsText, cellText } from "./text.js";

const STYLE = `
:root { color-scheme: light; --line: #d5dae0; --ink: #1d2228; --faint: #5b6670; }
body { margin: 2rem auto; max-width: 110rem; padding: 0 1.5rem; font: 16px/1.5 Helvetica, Arial, sans-serif; color: var(--ink); background: #fff; }
h1 { margin: 0 0 0.2em; } h2 { margin-top: 2em; font-size: 1.2rem; }
p { max-width: 60em; }
code, pre { font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 0.85rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.85rem; }
th, td { border: 1px solid var(--line); padding: 0; text-align: center; }
th { padding: 0.3em 0.5em; background: #f5f7f9; position: sticky; top: 0; }
tbody th { text-align: left; font-weight: 500; white-space: nowrap; left: 0; z-index: 1; }
tbody th.group { font-weight: 700; background: #e9eef2; }
td button { font: inherit; width: 100%; min-width: 3.6em; padding: 0.35em 0.3em; border: 0; cursor: pointer; background: transparent; color: inherit; }
td button:hover, td button:focus { outline: 2px solid #1f5fa8; outline-offset: -2px; }
.criteria td, .criteria th { text-align: left; padding: 0.3em 0.6em; vertical-align: top; position: static; white-space: normal; }
#shown { border: 1px solid var(--line); border-radius: 6px; padding: 0.5rem 1.2rem 1rem; margin-top: 1.5rem; }
#shown:empty { display: none; }
#shown h3 { margin: 0.4em 0; } #shown pre { white-space: pre-wrap; overflow-wrap: anywhere; }
#shown .outcome > button { font: inherit; padding: 0.15em 0.7em; margin-right: 0.6em; border: 1px solid var(--line); border-radius: 4px; cursor: pointer; background: #f5f7f9; }
#shown svg { max-width: 100%; height: auto; }
`;

/** JSON that cannot end the script that it stands in. */
const inScript = (value: unknown): string => JSON.stringify(value).replaceAll("<", "\\u003c");

/**
 * The page.
 *
 * @param client the script that makes witnesses: dist/src/cli/matrix-page.js
 */
export function matrixPage(matrix: Matrix, client: string): string {
  const { columns, rows, criteria, left_out } = matrix;
  const asked = criteria
    .map(
      (each) =>
        `<tr><th scope="row">${escapeXml(each.name)}</th><td>${escapeXml(`${each.title} (${each.author}, ${each.date})`)}</td>` +
        `<td>${each.page_bytes > 0 ? `+${each.page_bytes}` : each.page_words.length > 0 ? `in ${escapeXml(each.page_words.join(", "))}` : "0"}</td>` +
        `<td>${each.edits}</td><td>${escapeXml(
          Object.entries(each.functions)
            .map(([file, names]) => `${file}: ${names.join(", ")}`)
            .join("; "),
        )}</td><td>${each.costs.map(({ step, ns, source }) => escapeXml(`${step}: ${ns} ns (${source})`)).join("<br>")}</td>` +
        `<td>${escapeXml(each.shows.join(", "))}</td></tr>`,
    )
    .join("\n");
  const cells = rows.flatMap(({ cells: of }) => Object.values(of));
  const lines = cells.map((cell) => escapeXml(cellText(cell))).join("\n\n");
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:">
<title>guplab: the outcome matrix</title>
<style>${STYLE}</style>
</head>
<body>
<h1>What each proposal really does</h1>
<p>Each cell is the set of outcomes that can happen to a standard workload on a kernel, under every interleaving within its bound. Nothing in it is written by hand. The worst is shown; <b>+</b> says that there are other faults, <b>?</b> that not every interleaving was seen. Click a cell for its outcomes, its bound, and the shortest way to each as lanes.</p>
${legendHtml()}
<div class="wide">
${tableHtml(matrix, (row, workload) => `data-row="${row}" data-column="${workload}"`)}
</div>
<p>${escapeXml(boundsText(matrix))}</p>
<section id="shown" aria-live="polite"></section>
<h2>The workloads</h2>
<table class="criteria"><tbody>
${columns.map(({ workload, scenario, help }) => `<tr><th>${workload}</th><td>${escapeXml(scenario)}</td><td>${escapeXml(help)}</td></tr>`).join("\n")}
</tbody></table>
<h2>What the proposals ask for</h2>
<p>Computed from each patch: functions are those of the model that it edits, with what it needs.</p>
<div class="wide"><table class="criteria">
<thead><tr><th>proposal</th><th>from</th><th>struct page</th><th>edits</th><th>functions</th><th>measured cost</th><th>an administrator sees</th></tr></thead>
<tbody>
${asked}
</tbody></table></div>
${left_out.length === 0 ? "" : `<h2>What does not apply</h2>\n<ul>\n${left_out.map(({ kernel, why }) => `<li><code>${escapeXml(kernel)}</code>: ${escapeXml(why.split(";")[0])}</li>`).join("\n")}\n</ul>`}
<h2>Every cell</h2>
<details><summary>${cells.length} cells with their bounds and replay lines</summary><pre>${lines}</pre></details>
<script type="application/json" id="matrix">${inScript(rows.map(({ cells: of }) => of))}</script>
<script>${client.replace(/<\/(script)/gi, "<\\/$1")}</script>
</body>
</html>
`;
}
