/**
 * The plotly library as a piece of HTML: compressed, so that a page that must carry it grows by 2.6 MB and not by 10,
 * and unpacked by the browser itself.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { gzipSync } from "node:zlib";
import type { MimeBundle, Output } from "./format.js";

/** Metadata of the output that brings plotly to a live notebook. Neither files nor pages keep that output. */
export const LOADER_MARK: MimeBundle = { guplab: "plotly" };

export const isPlotlyLoader = (output: Output): boolean =>
  output.output_type === "display_data" && output.metadata.guplab === LOADER_MARK.guplab;

let packed: string | undefined;

/** plotly.js, gzip and base64. */
function packedPlotly(): string {
  packed ??= gzipSync(
    readFileSync(createRequire(import.meta.url).resolve("plotly.js-dist/plotly.js")),
  ).toString("base64");
  return packed;
}

/**
 * A script element that defines `window.Plotly` some moments later, and `window.plotlyReady`, a promise of it. Safe
 * where RequireJS rules (the classic notebook): `define` is hidden while the library is evaluated.
 */
export function plotlyLoader(): string {
  return `<script>
window.plotlyReady ??= (async () => {
  const bytes = Uint8Array.from(atob("${packedPlotly()}"), (letter) => letter.charCodeAt(0));
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(unpacked).text();
  const { define } = window;
  window.define = undefined;
  document.head.append(script);
  window.define = define;
})();
</script>`;
}

/** Whether what is shown has a script that draws with plotly. */
export function needsPlotly(data: MimeBundle): boolean {
  return /<script\b[\s\S]*Plotly/.test(String(data["text/html"]));
}
