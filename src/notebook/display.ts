/**
 * `show(figure)`: in guplab's own kernel, in stock tslab, and outside of notebooks.
 *
 * In guplab's kernel the name is there without an import, and the last expression of a cell shows itself; the call is for
 * what comes before it. Stock tslab prints the last value as text and knows nothing of `Symbol.for("Jupyter.display")`;
 * a cell there says `import { show } from "guplab"`, which is found where package.json lists guplab. tslab's public
 * display API shows one MIME type at a time, so that a figure's picture, page and text would be three outputs. The
 * function beneath that API takes a whole bundle and metadata; it is private to tslab 1.0.22, the version that
 * package.json pins, and a test holds it to its shape.
 */
import { createRequire } from "node:module";
import { DISPLAY } from "../plot/figure.js";
import type { MimeBundle } from "./format.js";
import { runningKernel } from "./kernel/global.js";
import { LOADER_MARK, needsPlotly, plotlyOutput } from "./plotly.js";

interface TslabInternals {
  lastWriteDisplayData(content: { data: MimeBundle; metadata: MimeBundle; transient: object }): void;
}

let plotlySent = false;

/**
 * Show objects in the output of the running cell, in order. Each must answer `Symbol.for("Jupyter.display")` with a
 * MIME bundle, as the figures of guplab do. Outside a notebook the bundle's text/plain goes to standard output.
 *
 * @throws TypeError for anything that is not displayable
 * @example
 * show(run.plot.pins(), run.plot.dirty())
 */
export function show(...displayables: readonly object[]): void {
  const bundles = displayables.map((displayable) => {
    const display = (displayable as Record<symbol, unknown>)?.[DISPLAY];
    if (typeof display !== "function") {
      throw new TypeError('show takes figures and other objects with a Symbol.for("Jupyter.display") method');
    }
    return display.call(displayable) as MimeBundle;
  });
  const kernel = runningKernel();
  const tslab = kernel ? undefined : runningTslab();
  for (const data of bundles) {
    if (kernel) {
      kernel.show(data);
      continue;
    }
    if (!tslab) {
      console.log(data["text/plain"]);
      continue;
    }
    if (!plotlySent && needsPlotly(data)) {
      tslab.lastWriteDisplayData({ data: plotlyOutput(), metadata: LOADER_MARK, transient: {} });
      plotlySent = true;
    }
    tslab.lastWriteDisplayData({ data, metadata: {}, transient: {} });
  }
}

/** tslab if this process is its kernel, in which case the module is loaded; loading it elsewhere would cost half a second. */
function runningTslab(): TslabInternals | undefined {
  const require = createRequire(import.meta.url);
  return require.cache[require.resolve("tslab/dist/jupyter.js")]?.exports as TslabInternals | undefined;
}
