/**
 * A module as users run it: vitest reaches every import through a wrapper, which halves the speed of code like this, so
 * the benchmarks bundle what they measure and import it past vitest.
 */
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

/** Bundle a module of `test/`, named from here, and import it. */
export async function bundled<T>(name: string): Promise<T> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL(name, import.meta.url))],
    bundle: true,
    format: "esm",
    platform: "node",
    write: false,
  });
  const code = Buffer.from(outputFiles[0].contents).toString("base64");
  return (await import(/* @vite-ignore */ `data:text/javascript;base64,${code}`)) as T;
}
