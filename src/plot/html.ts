/**
 * Figures in HTML. A figure is an <img> with the SVG inside, which survives every sanitiser and needs no script; where
 * scripts run and plotly is on the page, an interactive plot takes its place.
 */
import type { Figure } from "./figure.js";
import { FIGURE_SCRIPT } from "./figure_script.js";
import { packCells, packDetails } from "./pack.js";
import { toSvg } from "./svg.js";
import { escapeXml } from "./text.js";

/**
 * An HTML fragment that needs nothing around it. Its script waits up to ten seconds for window.Plotly, because the
 * library may be loaded by another output of the notebook, and leaves the picture alone if it never comes. What the
 * script does then, and by which events figures of a run move together, is said in figure_script.ts.
 *
 * The element carries `data-kind`, the figure's kind, and `data-run`, its replay line.
 */
export const toHtml = (figure: Figure): string =>
  fragment(figure, `(window.${SCRIPT_NAME} = window.${SCRIPT_NAME} || (${FIGURE_SCRIPT})())`);

function fragment(figure: Figure, draw: string): string {
  const { layout, kind, replay } = figure;
  const spec = scriptJson({
    data: packTraces(figure),
    layout,
    timed: layout.xaxis.showline,
    run: replay === "" ? layout.title.subtitle.text : replay,
    details: packDetails(figure.fine?.() ?? []),
  });
  const key = hash(spec);
  const alt = escapeXml(`${layout.title.text}. ${figure.caption}`);
  return `<figure class="guplab-figure" data-guplab="${key}" data-kind="${kind}" data-run="${escapeXml(replay)}" style="margin:1em 0">
<div class="guplab-plot" style="position:relative"><img alt="${alt}" style="max-width:100%" src="data:image/svg+xml;base64,${base64(toSvg(figure, { caption: false }))}"></div>
<figcaption style="font:13px/1.4 Helvetica,Arial,sans-serif;color:#444;max-width:60em">${captionHtml(figure)}</figcaption>
<script>
${draw}("${key}", ${spec});
</script>
</figure>`;
}

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
  /** Source text of plotly, put into the page. */
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
<script>window.${SCRIPT_NAME} = (${FIGURE_SCRIPT})();</script>
${figures.map((figure) => fragment(figure, `window.${SCRIPT_NAME}`)).join("\n")}
<script>${plotly.replace(/<\/(script)/gi, "<\\/$1")}</script>
</body>
</html>
`;
}

function captionHtml({ caption, replay }: Figure): string {
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

function base64(s: string): string {
  let bytes = "";
  for (const byte of new TextEncoder().encode(s)) bytes += String.fromCharCode(byte);
  return btoa(bytes);
}

/** FNV-1a: a name for the figure that depends on nothing but the figure. */
function hash(s: string): string {
  let h = 0x811c9dc5;
  for (let i = 0; i < s.length; i++) h = Math.imul(h ^ s.charCodeAt(i), 0x01000193);
  return (h >>> 0).toString(16).padStart(8, "0");
}

/** What the page calls the script: pages may hold figures of several versions of guplab. */
const SCRIPT_NAME = `guplab_${hash(FIGURE_SCRIPT)}`;
