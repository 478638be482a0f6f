/** Where guplab is: the folder of its package.json. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** From the sources and from the built files alike. @throws Error outside of a package guplab */
export function packageRoot(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const file = join(folder, "package.json");
    if (existsSync(file) && (JSON.parse(readFileSync(file, "utf8")) as { name?: string }).name === "guplab")
      return folder;
    if (dirname(folder) === folder) throw new Error("packageRoot: these files are not inside of guplab");
  }
}
