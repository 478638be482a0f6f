/**
 * What figures of a long recording cost: to make, to write as SVG and as HTML, and how large they get. It prints, and fails
 * nothing. `node test/bench/run.mjs figures`
 */
import {
  dirtyStates,
  type Figure,
  heat,
  lanes,
  pageLife,
  pinCounts,
  reclaimFlow,
  reclaimProgress,
  sideBySide,
  toHtml,
  toSvg,
} from "../../src/plot/index.js";
import type { Recording } from "../../src/trace/recording.js";
import { large } from "../plot/large.js";
import { machine, seconds, table, thousands } from "./fresh.js";

const PAGES = 10_000;
const EVENTS = 3_000_000;
const TARGET_S = 1;

/** Processor time of something, and what it gives. */
function timed<T>(make: () => T): [seconds: number, made: T] {
  const before = process.cpuUsage();
  const made = make();
  const { user, system } = process.cpuUsage(before);
  return [(user + system) / 1e6, made];
}

const [recorded, recording] = timed(() => large(PAGES, EVENTS));
const half = large(PAGES, EVENTS / 2);
const FIGURES: Readonly<Record<string, (recording: Recording) => Figure>> = {
  pins: pinCounts,
  dirty: dirtyStates,
  heat,
  reclaim: reclaimProgress,
  flow: reclaimFlow,
  lanes,
  life: (whole) => pageLife(whole, 7),
  // Of half as many each.
  beside: () => sideBySide({ recording: half }, { recording: half }),
};
const rows = [["figure", "made", "SVG", "HTML", "characters of HTML", "made within a second"]];
for (const [name, make] of Object.entries(FIGURES)) {
  const [made, figure] = timed(() => make(recording));
  const [svg] = timed(() => toSvg(figure));
  const [html, text] = timed(() => toHtml(figure));
  rows.push([
    name,
    seconds(made),
    seconds(svg),
    seconds(html),
    thousands(text.length),
    made <= TARGET_S ? "yes" : "NO",
  ]);
}
console.log(
  `\nFigures of ${thousands(recording.length)} events of ${thousands(PAGES)} pages (recorded in ${seconds(recorded)}), in seconds of processor time: ${machine()}\n\n${table(rows, [1, 2, 3, 4])}\n`,
);
