/** Files that the build makes for pages to carry (src/cli/build.mjs). */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { NotebookError } from "./format.js";
import { packageRoot } from "./kernel/root.js";

const read = new Map<string, Buffer>();

/** @throws NotebookError when guplab has not been built */
export function builtFile(name: string): Buffer {
  let bytes = read.get(name);
  if (bytes === undefined) {
    try {
      bytes = readFileSync(join(packageRoot(), "dist", "src", "cli", name));
    } catch {
      throw new NotebookError(`guplab is not built, and pages need ${name} of its build: say npm run build`);
    }
    read.set(name, bytes);
  }
  return bytes;
}

/** The version that package.json states, of guplab or of one of its dependencies. */
export function versionOf(name: "guplab" | "plotly.js-dist"): string {
  const { version, dependencies } = JSON.parse(readFileSync(join(packageRoot(), "package.json"), "utf8"));
  return name === "guplab" ? version : dependencies[name];
}

/**
 * An expression for a page that unpacks what is compressed in it, and gives a promise of what follows.
 *
 * @param packed a script, gzip
 * @param then statements that put the element that holds it, `script`, into the page: it then runs
 */
export const unpacking = (packed: Buffer, then: string): string => `(async () => {
  const letters = atob("${packed.toString("base64")}");
  const bytes = new Uint8Array(letters.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = letters.charCodeAt(at);
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(unpacked).text();
  ${then}
})()`;
