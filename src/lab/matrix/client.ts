/**
 * The script of the matrix's page (page.ts): runs in a browser. It makes a witness from its replay line with the simulator that it
 * carries, and shows it as lanes with its steps below.
 */
import { lanes } from "../../plot/index.js";
import { toSvg } from "../../plot/svg.js";
import { escapeXml } from "../../plot/text.js";
import { namedSteps, stepTable } from "../explore.js";
import { run } from "../run.js";
import type { Cell } from "./cell.js";
import { cellText } from "./text.js";

/** The little of a browser that is needed. */
interface Element {
  innerHTML: string;
  readonly textContent: string | null;
  readonly dataset: Readonly<Record<string, string | undefined>>;
  closest(selector: string): Element | null;
  querySelector(selector: string): Element | null;
  scrollIntoView(options: { behavior: string; block: string }): void;
}
declare const document: {
  getElementById(id: string): Element;
  addEventListener(event: "click", heard: (event: { target: Element }) => void): void;
};

const rows = JSON.parse(document.getElementById("matrix").textContent ?? "[]") as readonly Readonly<
  Record<string, Cell>
>[];
const shown = document.getElementById("shown");

/** The lanes and the steps of a witness, as HTML. */
function witness(replay: string): string {
  const made = run(replay);
  const { name, kernel, schedule } = made.world;
  const steps = stepTable(namedSteps(name, kernel.name, schedule));
  return `${toSvg(lanes(made.recording))}<pre>${escapeXml(String(made))}</pre><pre>${escapeXml(steps)}</pre>`;
}

function open(cell: Cell): void {
  const buttons = cell.outcomes
    .map(
      ({ kind, replay }, at) =>
        `<button data-replay="${escapeXml(replay)}" aria-pressed="${at === 0}">${kind}</button>`,
    )
    .join("");
  shown.innerHTML =
    `<h3>${escapeXml(`${cell.workload} on ${cell.kernel}`)}</h3><pre>${escapeXml(cellText(cell))}</pre>` +
    `<p class="outcome">${buttons}</p><div id="witness">${cell.outcomes.length > 0 ? witness(cell.outcomes[0].replay) : ""}</div>`;
  shown.scrollIntoView({ behavior: "smooth", block: "start" });
}

document.addEventListener("click", ({ target }) => {
  const button = target.closest("button");
  if (button === null) return;
  const { row, column, replay } = button.dataset;
  if (row !== undefined && column !== undefined) open(rows[Number(row)][column]);
  if (replay !== undefined) document.getElementById("witness").innerHTML = witness(replay);
});
