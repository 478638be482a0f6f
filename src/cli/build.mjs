// Builds dist/: the library and the command by tsc (JavaScript and .d.ts), and the REPL as one bundle by
// esbuild, because an Ink program starts two to three times faster from one file.
// TypeScript is called by its path: tslab's own compiler takes node_modules/.bin/tsc.
// With --if-stale nothing is done when no source is newer than the last build.
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const stamp = join(root, "dist", ".built");

/** Newest modification time of anything below a folder or of a file, in milliseconds. */
function newest(path) {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return readdirSync(path).reduce((latest, name) => Math.max(latest, newest(join(path, name))), stat.mtimeMs);
}

const sources = ["src", "repl", "package.json", "tsconfig.json"].map((name) => join(root, name));
const stale = !existsSync(stamp) || Math.max(...sources.map(newest)) > statSync(stamp).mtimeMs;
if (stale || !process.argv.includes("--if-stale")) {
  rmSync(join(root, "dist"), { recursive: true, force: true });
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  execFileSync(process.execPath, [tsc, "-p", join(root, "tsconfig.json")], { stdio: "inherit" });
  // npm links the command before it is built, and makes only files executable that are there.
  chmodSync(join(root, "dist", "src", "cli", "main.js"), 0o755);
  const entry = join(root, "repl", "main.tsx");
  if (existsSync(entry)) {
    const { build } = await import("esbuild");
    await build({
      entryPoints: [entry],
      outfile: join(root, "dist", "repl", "bundle.mjs"),
      bundle: true,
      platform: "node",
      format: "esm",
      target: "node20",
      define: { "process.env.NODE_ENV": '"production"' },
      alias: { "react-devtools-core": join(root, "src", "cli", "empty.mjs") },
      banner: {
        js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
      },
      logLevel: "warning",
    });
  }
  writeFileSync(stamp, "");
}
