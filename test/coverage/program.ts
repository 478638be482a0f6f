/** Stands in for src/machine/program.ts while the tests run (see plugin.ts): its linker marks what runs. */
import { kernelSteps } from "./kernel.js";
import { linkMarked } from "./marks.js";
import { reached } from "./reached.js";

export * from "../../src/machine/program.js";

export const link: typeof import("../../src/machine/program.js").link = (...args) =>
  linkMarked(kernelSteps, reached, ...args);
