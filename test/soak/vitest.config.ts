import { defineConfig } from "vitest/config";

/** Ten million steps of random runs: minutes, so not a part of `npm test`. */
export default defineConfig({
  test: {
    root: new URL("../..", import.meta.url).pathname,
    include: ["test/soak/**/*.soak.ts"],
    testTimeout: 600_000,
    maxWorkers: 2,
    reporters: ["verbose"],
  },
});
