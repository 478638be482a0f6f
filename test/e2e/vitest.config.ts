import { defineConfig } from "vitest/config";

// End to end: the rendered pages in a real Chromium and the REPL in a real terminal (tmux). Both must be
// installed; a missing one is a failure, not a skip.
export default defineConfig({
  test: {
    root: new URL("../..", import.meta.url).pathname,
    include: ["test/e2e/**/*.test.ts"],
    testTimeout: 180_000,
    hookTimeout: 180_000,
    fileParallelism: false,
  },
});
