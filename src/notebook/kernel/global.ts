/** How guplab, which a cell imports, finds the kernel that runs the cell. */
import type { MimeBundle } from "../format.js";

export interface KernelGlobal {
  /** Show a bundle in the output of the running cell. */
  show(bundle: MimeBundle): void;
}

const KERNEL = Symbol.for("guplab.kernel");

/** guplab's kernel, if this process is one. */
export const runningKernel = (): KernelGlobal | undefined =>
  (globalThis as Record<symbol, unknown>)[KERNEL] as KernelGlobal | undefined;

/** This process is a kernel from now on. */
export const becomeKernel = (kernel: KernelGlobal): void => {
  (globalThis as Record<symbol, unknown>)[KERNEL] = kernel;
};
