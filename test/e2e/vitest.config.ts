import { defineConfig } from "vitest/config";

// End to end: the rendered pages in a real Chromium, the REPL in a real terminal (tmux), the kernel under a real Jupyter
// (Debian's jupyter-notebook, python3-jupyter-kernel-test and python3-nbclient). All must be installed; a missing one is a failure, not a skip.
export default defineConfig({
  test: {
    root: new URL("../..", import.meta.url).pathname,
    include: ["test/e2e/**/*.test.ts"],
    testTimeout: 180_000,
    hookTimeout: 180_000,
    fileParallelism: false,
  },
});
