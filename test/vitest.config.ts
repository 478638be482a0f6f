import { defineConfig } from "vitest/config";
import { markingLinker } from "./coverage/plugin.js";

// Benchmarks run on the linker as it is; tests leave marks of the kernel's steps that they reach.
export default defineConfig(({ mode }) => ({
  plugins: mode === "benchmark" ? [] : [markingLinker()],
  // What a patch of somebody's own imports is what the tests import.
  resolve: { alias: { guplab: new URL("../src/index.ts", import.meta.url).pathname } },
  test: {
    root: new URL("..", import.meta.url).pathname,
    include: ["test/**/*.test.ts", "test/**/*.test.tsx"],
    exclude: ["test/e2e/**"],
    benchmark: { include: ["test/bench/**/*.bench.ts"] },
    globalSetup: mode === "benchmark" ? [] : ["test/coverage/global.ts"],
    setupFiles: mode === "benchmark" ? [] : ["test/coverage/worker.ts"],
    provide: { stepsByFile: false },
    testTimeout: 60_000,
    maxWorkers: 2,
  },
}));
