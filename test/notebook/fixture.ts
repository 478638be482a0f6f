/** Small notebooks in a temporary folder, and a package `guplab` for their cells to import. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import type { Cell, MimeBundle, Notebook, Output } from "../../src/notebook/format.js";

const repository = new URL("../..", import.meta.url).pathname;

export interface Folder {
  readonly path: string;
  /** Write a file of the folder; returns its path. */
  file(name: string, text: string): string;
  /** Write a notebook of these cells, none of them run yet; returns its path. */
  notebook(name: string, ...sources: readonly string[]): string;
  remove(): void;
}

export function temporaryFolder(): Folder {
  const path = mkdtempSync(join(tmpdir(), "guplab-test-"));
  const file = (name: string, text: string) => {
    writeFileSync(join(path, name), text);
    return join(path, name);
  };
  return {
    path,
    file,
    notebook: (name, ...sources) => file(name, JSON.stringify(nbformat(sources))),
    remove: () => rmSync(path, { recursive: true, force: true }),
  };
}

/** As an editor might write it: no ids, sources as strings, keys in any order. */
const nbformat = (sources: readonly string[]) => ({
  nbformat: 4,
  nbformat_minor: 4,
  metadata: {},
  cells: sources.map((source) =>
    source.startsWith("#")
      ? { cell_type: "markdown", source, metadata: {} }
      : { source, cell_type: "code", metadata: {}, outputs: [], execution_count: null },
  ),
});

/** A figure as guplab makes them: a picture, and a script that draws over it when plotly is there. */
export const FIGURE_HTML = `<div class="guplab-figure"><img alt="pins" src="data:image/svg+xml;base64,PHN2Zy8+"><div></div></div>
<script>
(() => {
  const [picture, plot] = document.currentScript.previousElementSibling.children;
  Plotly.newPlot(plot, [{ x: [1, 2], y: [3, 4] }], { title: { text: "pins" }, height: 300 });
  picture.remove();
})();
</script>`;

/** Make `import { show, figure } from "guplab"` work in the folder, as it does below the repository. */
export async function installGuplab(folder: Folder): Promise<void> {
  const modules = join(folder.path, "node_modules");
  mkdirSync(join(modules, "guplab"), { recursive: true });
  symlinkSync(join(repository, "node_modules", "tslab"), join(modules, "tslab"));
  symlinkSync(join(repository, "dist"), join(modules, "guplab", "dist"));
  folder.file(
    "node_modules/guplab/package.json",
    JSON.stringify({ name: "guplab", type: "module", main: "./index.js", types: "./index.d.ts" }),
  );
  folder.file(
    "node_modules/guplab/index.d.ts",
    `export declare function show(...displayables: readonly object[]): void;
export declare const figure: { readonly kind: string };
`,
  );
  const display = join(repository, "src/notebook/display.ts");
  await build({
    stdin: {
      contents: `export { show } from ${JSON.stringify(display)};
export const figure = {
  kind: "pins",
  [Symbol.for("Jupyter.display")]: () => ({ "text/plain": "pins: 3", "text/html": ${JSON.stringify(FIGURE_HTML)} }),
};`,
      resolveDir: folder.path,
    },
    outfile: join(modules, "guplab", "index.js"),
    bundle: true,
    format: "esm",
    platform: "node",
    packages: "external",
  });
}

/** Markdown, or code with its outputs. */
export type Sketch = string | { readonly source: string; readonly outputs: readonly Output[] };

/** A notebook in memory, its code cells counted from 1. */
export function notebookOf(...cells: readonly Sketch[]): Notebook {
  return {
    metadata: {},
    cells: cells.map((cell, at): Cell => {
      const common = { id: `c${at}`, metadata: {} };
      if (typeof cell === "string")
        return { ...common, cell_type: "markdown", source: cell, attachments: {} };
      return { ...common, cell_type: "code", execution_count: at + 1, ...cell };
    }),
  };
}

export const displayed = (data: MimeBundle, metadata: MimeBundle = {}): Output => ({
  output_type: "display_data",
  data,
  metadata,
});
