/**
 * Figures in HTML. A figure is an <img> with the SVG inside, which survives every sanitiser and needs no script; where
 * scripts run and plotly is on the page, an interactive plot takes its place.
 */
import { type Figure, NARROWEST } from "./figure.js";
import { LIVE_FIGURES, WAITING } from "./figure_script.js";
import { packCells, packDetails } from "./pack.js";
import { toSvg } from "./svg.js";
import { escapeXml } from "./text.js";

/**
 * An HTML fragment: the picture, the caption, and what a page needs to draw the plot over the picture. The page does that
 * once it has plotly and has run LIVE_FIGURES (figure_script.ts), whichever comes first; without them the picture stays.
 *
 * The element carries `data-kind`, the figure's kind; `data-run`, the replay line of its run; and `data-part`, as JSON,
 * which page, moment or cell of the run it is of, where it is not of all.
 *
 * @example toHtml(run("kara-2018").plot.pins()).startsWith('<figure class="guplab-figure"') // true
 */
export function toHtml(figure: Figure): string {
  const { layout } = figure;
  // A plot of a diagram would have nothing to point at, and is as wide as it is: a picture fits itself in.
  if (figure.data.length === 0) return toPicture(figure);
  const line = lineOf(figure);
  const spec = scriptJson({
    data: packTraces(figure),
    layout,
    timed: figure.timed,
    run: line === "" ? layout.title.subtitle.text : line,
    details: packDetails(figure.fine?.() ?? []),
  });
  const key = hash(spec);
  const waits = `
<script>
(window.${WAITING} = window.${WAITING} || []).push(["${key}", ${spec}]);
</script>`;
  return fragment(figure, ` data-guplab="${key}"`, waits);
}

/** The same for a figure that stays a picture. */
export const toPicture = (figure: Figure): string => fragment(figure, "", "");

/** The replay line of the whole run. */
const lineOf = ({ part, replay }: Figure): string => part?.run ?? replay;

function fragment(figure: Figure, key: string, script: string): string {
  const { layout, kind, caption, part } = figure;
  const alt = escapeXml(`${layout.title.text}. ${caption}`);
  const of =
    part === undefined ? "" : ` data-part="${escapeXml(JSON.stringify({ ...part, run: undefined }))}"`;
  return `<figure class="guplab-figure"${key} data-kind="${kind}" data-run="${escapeXml(lineOf(figure))}"${of} style="margin:1em 0;overflow-x:auto">
<div class="guplab-plot" style="position:relative;min-width:${NARROWEST}px"><img alt="${alt}" style="max-width:100%" src="${pictureUri(figure)}"></div>
<figcaption style="font:13px/1.4 Helvetica,Arial,sans-serif;color:#444;max-width:60em">${captionHtml(figure)}</figcaption>${script}
</figure>`;
}

/** The address of the picture of an HTML figure; its caption is beside it. */
export const pictureUri = (figure: Figure): string => svgUri(toSvg(figure, { caption: false }));

/** What an address writes for a character that ends it, or the attribute that it stands in. */
const IN_ADDRESS: Readonly<Record<string, string>> = {
  "%": "%25",
  "#": "%23",
  "&": "%26",
  "<": "%3C",
  ">": "%3E",
  '"': "%22",
  "\n": "%0A",
};

/**
 * An SVG picture as an address, which may stand in an attribute as it is: a fifth shorter than base64, and words that
 * are in the picture can be searched for. Quotes around the picture's own attributes become single ones.
 *
 * @example svgUri('<svg fill="red"/>') // "data:image/svg+xml;charset=utf-8,%3Csvg fill='red'/%3E"
 */
export const svgUri = (svg: string): string =>
  `data:image/svg+xml;charset=utf-8,${svg
    .replace(/<[^>]*>/g, (tag) => tag.replace(/["']/g, (quote) => (quote === '"' ? "'" : '"')))
    .replace(/[%#&<>"\n]/g, (letter) => IN_ADDRESS[letter])}`;

/** Traces for the script: what can be worked out from something else is left to it. */
function packTraces({ data }: Figure): object[] {
  return data.map((trace) => {
    if (trace.type === "heatmap") return { ...trace, z: packCells(trace) };
    const same = data.findIndex((other) => other.x === trace.x);
    const shown =
      trace.text?.length === trace.y.length && trace.text.every((text, i) => text === String(trace.y[i]));
    return {
      ...trace,
      ...(data[same] === trace ? {} : { x: same }),
      ...(shown ? { text: "y" } : {}),
    };
  });
}

export interface PageOptions {
  readonly title: string;
  /** A script that defines `window.Plotly`, put into the page; one that does so later defines `window.plotlyReady`, a promise, too. */
  readonly plotly: string;
}

/** A page that needs nothing else: all figures, and plotly inside. */
export function toPage(figures: readonly Figure[], { title, plotly }: PageOptions): string {
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeXml(title)}</title>
<style>body{max-width:1000px;margin:2em auto;padding:0 1em;font:16px/1.5 Helvetica,Arial,sans-serif;color:#222}</style>
</head>
<body>
<h1>${escapeXml(title)}</h1>
${figures.map(toHtml).join("\n")}
<script>${plotly.replace(/<\/(script)/gi, "<\\/$1")}</script>
<script>(window.plotlyReady || Promise.resolve()).then(function () {
${LIVE_FIGURES}
});</script>
</body>
</html>
`;
}

/** The caption as HTML, the replay line as code. */
export function captionHtml({ caption, replay }: Figure): string {
  if (replay === "") return escapeXml(caption);
  const words = caption.slice(0, caption.length - replay.length);
  return `${escapeXml(words)}<code>${escapeXml(replay)}</code>`;
}

/** JSON that cannot end the script it stands in. */
const scriptJson = (value: unknown): string =>
  JSON.stringify(value)
    .replaceAll("<", "\\u003c")
    .replaceAll("\u2028", "\\u2028")
    .replaceAll("\u2029", "\\u2029");

/** FNV-1a: a name for the figure that depends on nothing but the figure. */
function hash(s: string): string {
  let h = 0x811c9dc5;
  for (let i = 0; i < s.length; i++) h = Math.imul(h ^ s.charCodeAt(i), 0x01000193);
  return (h >>> 0).toString(16).padStart(8, "0");
}
