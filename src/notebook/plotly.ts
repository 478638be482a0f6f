/**
 * The plotly library as a piece of HTML: minified and compressed, so that a page that must carry it grows by 2 MB and not by
 * 10, and unpacked by the browser itself.
 */
import { LIVE_FIGURES } from "../plot/index.js";
import { builtFile, unpacking } from "./built.js";
import type { MimeBundle, Output } from "./format.js";

/** Metadata of the output that brings plotly to a live notebook. Neither files nor pages keep that output. */
export const LOADER_MARK: MimeBundle = { guplab: "plotly" };

export const isPlotlyLoader = (output: Output): boolean =>
  output.output_type === "display_data" && output.metadata.guplab === LOADER_MARK.guplab;

/**
 * A script that defines `window.Plotly` some moments later, and `window.plotlyReady`, a promise of it. Safe where RequireJS
 * rules (the classic notebook): `define` is hidden while the library is evaluated.
 */
export function plotlyScript(): string {
  const hidden = `const { define } = window;
  window.define = undefined;
  document.head.append(script);
  window.define = define;`;
  return `window.plotlyReady ??= ${unpacking(builtFile("plotly.js.gz"), hidden)};`;
}

/** The same for a page of guplab's figures: those that are there are drawn then, and those that come later. */
export const liveScript = (): string => `${plotlyScript()}
window.plotlyReady.then(() => {
${LIVE_FIGURES}
});`;

/**
 * The classic notebook does not tell a kernel which cell it runs. Its requests therefore say whether an output of the page has
 * plotly: true; false once when that output has gone, so that cells that run after each other do not bring it each; nothing then.
 */
const TELL_KERNEL = `if (window.Jupyter?.notebook?.events) {
  const tells = window.guplabAsked !== undefined;
  window.guplabAsked = false;
  if (!tells) Jupyter.notebook.events.on("execution_request.Kernel", (event, { content }) => {
    const has = document.querySelector(".guplab-plotly") !== null;
    if (has || !window.guplabAsked) content.guplab_plotly = has;
    window.guplabAsked = !has;
  });
}`;

/** What a live notebook is sent before its first figure, as an output of its own. */
export const plotlyOutput = (): MimeBundle => ({
  "text/html": `<script class="guplab-plotly">
${liveScript()}
${TELL_KERNEL}
</script>`,
});

/** Whether what is shown has a script that draws with plotly, or is a figure that waits for it. */
export function needsPlotly(data: MimeBundle): boolean {
  return /<script\b[\s\S]*(Plotly|guplabFigures)/.test(String(data["text/html"]));
}
