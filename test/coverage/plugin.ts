/**
 * Puts the marking linker before the real one, for everybody who links: all but the machine, the kernel (which the
 * marking linker itself imports) and the coverage of steps.
 */
import { fileURLToPath } from "node:url";
import type { Plugin } from "vitest/config";

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

const LINKER = here("../../src/machine/program.ts");
const MARKING_LINKER = here("program.ts");
const UNCHANGED = [here("../../src/machine/"), here("../../src/kernel/"), here("./")];

export const markingLinker = (): Plugin => ({
  name: "marking-linker",
  enforce: "pre",
  async resolveId(source, importer, options) {
    if (!importer || !/\/program(\.js|\.ts)?$/.test(source)) return null;
    if (UNCHANGED.some((folder) => importer.startsWith(folder))) return null;
    const resolved = await this.resolve(source, importer, { ...options, skipSelf: true });
    return resolved?.id === LINKER ? MARKING_LINKER : resolved;
  },
});
