import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    root: new URL("..", import.meta.url).pathname,
    include: ["test/**/*.test.ts", "test/**/*.test.tsx"],
    exclude: ["test/e2e/**"],
    benchmark: { include: ["test/bench/**/*.bench.ts"] },
    testTimeout: 60_000,
    maxWorkers: 2,
  },
});
