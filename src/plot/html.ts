/**
 * Figures in HTML. A figure is an <img> with the SVG inside, which survives every sanitiser and needs no script; where
 * scripts run and plotly is on the page, an interactive plot takes its place.
 */
import type { Figure } from "./figure.js";
import { toSvg } from "./svg.js";
import { escapeXml } from "./text.js";

/**
 * An HTML fragment. Its script waits up to ten seconds for window.Plotly, because the library may be loaded by
 * another output of the notebook, and leaves the picture alone if it never comes.
 */
export function toHtml(figure: Figure): string {
  const spec = scriptJson({ data: figure.data, layout: figure.layout });
  const key = hash(spec);
  const alt = escapeXml(`${figure.layout.title.text}. ${figure.caption}`);
  return `<figure class="guplab-figure" data-guplab="${key}" data-kind="${figure.kind}" data-run="${escapeXml(figure.replay)}" style="margin:1em 0">
<div class="guplab-plot"><img alt="${alt}" style="max-width:100%" src="data:image/svg+xml;base64,${base64(toSvg(figure, { caption: false }))}"></div>
<figcaption style="font:13px/1.4 Helvetica,Arial,sans-serif;color:#444;max-width:60em">${captionHtml(figure)}</figcaption>
<script>
(function () {
  var spec = ${spec};
  var tries = 0;
  function draw() {
    if (!window.Plotly) {
      if (++tries <= 100) setTimeout(draw, 100);
      return;
    }
    document.querySelectorAll('[data-guplab="${key}"]').forEach(function (figure) {
      if (figure.getAttribute("data-drawn")) return;
      figure.setAttribute("data-drawn", "yes");
      var place = figure.querySelector(".guplab-plot");
      var plot = document.createElement("div");
      place.appendChild(plot);
      window.Plotly.newPlot(plot, spec.data, spec.layout, { responsive: true, displaylogo: false }).then(function () {
        place.querySelector("img").style.display = "none";
      }, function () {
        place.removeChild(plot);
      });
    });
  }
  draw();
})();
</script>
</figure>`;
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
${figures.map(toHtml).join("\n")}
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
