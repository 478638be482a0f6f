// Builds dist/: declarations by tsc, and the library, the command, its search worker and the REPL by esbuild, because
// Node loads a few files two to three times faster than some hundred.
// TypeScript is called by its path: tslab's own compiler takes node_modules/.bin/tsc.
// With --if-stale nothing is done when no source is newer than the last build.
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const dist = join(root, "dist");
const stamp = join(dist, ".built");

/** Newest modification time of anything below a folder or of a file, in milliseconds. */
function newest(path) {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return readdirSync(path).reduce((latest, name) => Math.max(latest, newest(join(path, name))), stat.mtimeMs);
}

const sources = ["src", "repl", "package.json", "tsconfig.json"].map((name) => join(root, name));
const stale = !existsSync(stamp) || Math.max(...sources.map(newest)) > statSync(stamp).mtimeMs;
if (stale || !process.argv.includes("--if-stale")) {
  rmSync(dist, { recursive: true, force: true });
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  execFileSync(process.execPath, [tsc, "-p", join(root, "tsconfig.json"), "--emitDeclarationOnly"], {
    stdio: "inherit",
  });
  const { build, transform } = await import("esbuild");
  await build({
    entryPoints: [
      "src/index.ts",
      "src/cli/main.ts",
      "src/cli/explore-worker.ts",
      "src/cli/cell-worker.ts",
      "src/cli/kernel-main.ts",
      "src/cli/kernel-server.ts",
    ].map((name) => join(root, name)),
    outbase: root,
    outdir: dist,
    // Beside the command, from where the worker is named.
    chunkNames: "src/cli/[name]-[hash]",
    bundle: true,
    splitting: true,
    sourcemap: true,
    platform: "node",
    format: "esm",
    target: "node20",
    // The notebook's parts are found by their folders; what only rendering needs is large, and rarely wanted.
    external: ["tslab", "zeromq", "plotly.js-dist", "katex", "highlight.js", "markdown-it", "@vscode/*"],
    define: { "process.env.NODE_ENV": '"production"' },
    alias: { "react-devtools-core": join(root, "src", "cli", "empty.mjs") },
    banner: {
      js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
    },
    logLevel: "warning",
  });
  // What pages carry, for a browser: that of the matrix, and rendered notebooks.
  await build({
    entryPoints: {
      "matrix-page": join(root, "src", "lab", "matrix", "client.ts"),
      player: join(root, "src", "lab", "player", "client.ts"),
    },
    outdir: join(dist, "src", "cli"),
    bundle: true,
    minify: true,
    platform: "browser",
    format: "iife",
    target: "es2022",
    logLevel: "warning",
  });
  // Plotly as pages carry it. Minified here, because the package of its minified form would be a second copy of it.
  const plotly = readFileSync(join(root, "node_modules", "plotly.js-dist", "plotly.js"), "utf8");
  const { code } = await transform(plotly, { minify: true, legalComments: "inline", target: "es2022" });
  writeFileSync(join(dist, "src", "cli", "plotly.js.gz"), gzipSync(code, { level: 9 }));
  const player = readFileSync(join(dist, "src", "cli", "player.js"));
  writeFileSync(join(dist, "src", "cli", "player.js.gz"), gzipSync(player, { level: 9 }));
  // npm links the command before it is built, and makes only files executable that are there.
  chmodSync(join(dist, "src", "cli", "main.js"), 0o755);
  writeFileSync(stamp, "");
}
