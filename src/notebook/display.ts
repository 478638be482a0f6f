/**
 * Showing figures in a notebook on the stock tslab kernel, which prints the last value of a cell as text and knows
 * nothing of `Symbol.for("Jupyter.display")`: a cell says `show(figure)`.
 *
 * tslab's public display API shows one MIME type at a time, so that a figure's picture, page and text would be three
 * outputs. The function below it takes a whole bundle and metadata; it is private to tslab 1.0.22, the version
 * that package.json pins and a test holds to its shape.
 */
import { createRequire } from "node:module";
import type { MimeBundle } from "./format.js";
import { LOADER_MARK, needsPlotly, plotlyLoader } from "./plotly.js";

interface TslabInternals {
  /** Null while no cell has run in this process. */
  readonly lastWriteDisplayData:
    | ((content: { data: MimeBundle; metadata: MimeBundle; transient: object }, update?: boolean) => void)
    | null;
}

const DISPLAY = Symbol.for("Jupyter.display");

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
  const tslab: TslabInternals = createRequire(import.meta.url)("tslab/dist/jupyter.js");
  for (const data of bundles) {
    if (!tslab.lastWriteDisplayData) {
      console.log(data["text/plain"]);
      continue;
    }
    if (!plotlySent && needsPlotly(data)) {
      tslab.lastWriteDisplayData({
        data: { "text/html": plotlyLoader() },
        metadata: LOADER_MARK,
        transient: {},
      });
      plotlySent = true;
    }
    tslab.lastWriteDisplayData({ data, metadata: {}, transient: {} });
  }
}
