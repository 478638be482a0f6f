/**
 * The plotly library as a piece of HTML: minified and compressed, so that a page that must carry it grows by 2 MB and not by
 * 10, and unpacked by the browser itself.
 */
import { builtFile, unpacking } from "./built.js";
import type { MimeBundle, Output } from "./format.js";

/** Metadata of the output that brings plotly to a live notebook. Neither files nor pages keep that output. */
export const LOADER_MARK: MimeBundle = { guplab: "plotly" };

export const isPlotlyLoader = (output: Output): boolean =>
  output.output_type === "display_data" && output.metadata.guplab === LOADER_MARK.guplab;

/**
 * A script element that defines `window.Plotly` some moments later, and `window.plotlyReady`, a promise of it. Safe
 * where RequireJS rules (the classic notebook): `define` is hidden while the library is evaluated.
 */
export function plotlyLoader(): string {
  const hidden = `const { define } = window;
  window.define = undefined;
  document.head.append(script);
  window.define = define;`;
  return `<script>
window.plotlyReady ??= ${unpacking(builtFile("plotly.js.gz"), hidden)};
</script>`;
}

/** Whether what is shown has a script that draws with plotly. */
export function needsPlotly(data: MimeBundle): boolean {
  return /<script\b[\s\S]*Plotly/.test(String(data["text/html"]));
}
