/** The kernels that can be run. So far there is one: the base, which reads as Linux v4.20. */

import type { Geometry } from "../kernel/geometry.js";
import { operations, operationsFor } from "../kernel/linux.js";
import type { Path } from "../machine/path.js";
import { type Image, type Implementations, link } from "../machine/program.js";

export interface KernelVersion {
  readonly name: string;
  readonly help: string;
  readonly operations: Implementations;
}

export const kernels: readonly KernelVersion[] = [
  { name: "v4.20", help: "Linux v4.20, December 2018: the kernel of the article", operations },
];

/**
 * Look a kernel up by its name.
 *
 * @throws Error with one sentence that lists the known ones
 */
export function findKernel(name: string): KernelVersion {
  const found = kernels.find((kernel) => kernel.name === name);
  if (!found) {
    throw new Error(
      `there is no kernel "${name}"; known: ${kernels.map((kernel) => kernel.name).join(", ")}`,
    );
  }
  return found;
}

/** Link root paths as this kernel has them, for a machine of this geometry; `tasks` says how many run each root. */
export const linkKernel = (
  kernel: KernelVersion,
  // biome-ignore lint/suspicious/noExplicitAny: roots of any frame
  roots: readonly Path<any>[],
  geometry: Geometry,
  tasks: readonly number[],
): Image =>
  link(roots, operationsFor(kernel.operations, geometry), {
    config: geometry.config,
    tasks,
    // A commit, too, dirties pages whose lock it does not have.
    lawless: geometry.config.has("unlocked_dirty") || geometry.mount.data === "journal",
  });
