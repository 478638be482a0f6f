import { defineConfig } from "vitest/config";
import suite from "../vitest.config.js";

// The suite, with a table of the kernel's steps by file at the end.
export default defineConfig((environment) => {
  const { test, ...rest } = suite(environment);
  return { ...rest, test: { ...test, provide: { stepsByFile: true } } };
});
