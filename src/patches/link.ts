/** A kernel's image: its paths, patched and linked for a machine. */
import type { Geometry } from "../kernel/geometry.js";
import { operationsFor } from "../kernel/linux.js";
import type { AnyPath } from "../machine/patch.js";
import { type Image, link } from "../machine/program.js";
import type { KernelVersion } from "./kernels.js";

/** Link root paths as this kernel has them, for a machine of this geometry; `tasks` says how many run each root. */
export const linkKernel = (
  kernel: KernelVersion,
  roots: readonly AnyPath[],
  geometry: Geometry,
  tasks: readonly number[],
): Image =>
  link(roots, operationsFor(kernel.operations, geometry), {
    config: geometry.config,
    tasks,
    // A commit, too, dirties pages whose lock it does not have.
    lawless: geometry.config.has("unlocked_dirty") || geometry.mount.data === "journal",
    patched: kernel.patched,
  });
