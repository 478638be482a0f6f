/** guplab's names as every notebook has them from the start: as if it began with this import. A cell may declare them anew. */
import * as plot from "../../plot/index.js";

/**
 * The import: lab, what lab can do by its own names, show, the figures, and all of guplab as `guplab`.
 *
 * @param guplab the module as cells import it
 */
export function preloadedImport(guplab: Readonly<Record<string, unknown>>): string {
  const figures = Object.entries(plot).flatMap(([name, value]) =>
    typeof value === "function" ? [name] : [],
  );
  const verbs = Object.keys(guplab.lab as object).filter((name) => name in guplab);
  const names = [...new Set(["lab", "show", ...verbs, ...figures])].sort();
  return `import * as guplab from "guplab";\nimport { ${names.join(", ")} } from "guplab";`;
}
