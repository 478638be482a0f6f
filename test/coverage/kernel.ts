/** The steps of the simulated kernel: every path of src/kernel, and what the patches, merged ones and proposals, put into them. */
import { operations } from "../../src/kernel/linux.js";
import { patches, proposed } from "../../src/patches/kernels.js";
import { Catalogue } from "./catalogue.js";

const UP = "../../";
const modules = import.meta.glob<Record<string, unknown>>("../../src/kernel/**/*.ts", { eager: true });

export const kernelSteps = new Catalogue(
  Object.fromEntries(Object.entries(modules).map(([file, exported]) => [file.slice(UP.length), exported])),
  { file: "src/kernel/linux.ts", operations },
  [...patches.values(), ...proposed.values()],
);
