/**
 * Which kernels are the same machine for a scenario: those whose patches that could matter to it are the same. What is searched on one of
 * them need not be searched on the others.
 *
 * A patch cannot matter when none of its edits is of a path that a task of the scenario can reach, on the base or on the kernel, and when it
 * brings nothing that works without being called: a rule, a daemon, something before the first step, a line in a function without steps.
 */
import type { Edit } from "../machine/patch.js";
import type { KernelVersion } from "../patches/kernels.js";
import type { Patch } from "../patches/patch.js";
import { kernelOf } from "./own_patches.js";
import { pathsOf } from "./paths.js";
import type { World } from "./world.js";

const nameOf = ({ path }: Edit): string => (typeof path === "string" ? path : path.name);

/** The names that paths of the scenario have or have had: one that was put in another's place stands for that one too. */
function namesOn(world: World, kernel: KernelVersion): ReadonlySet<string> {
  const names = new Set([...pathsOf(world, kernelOf("v4.20")).keys(), ...pathsOf(world, kernel).keys()]);
  const edits = kernel.patches.flatMap((patch) => patch.edits);
  for (let known = -1; known < names.size; ) {
    known = names.size;
    for (const edit of edits)
      if (edit.how === "becomes" && names.has(edit.other.name)) names.add(nameOf(edit));
  }
  return names;
}

const worksUncalled = ({ rules = [], daemons = [], inserts = [], boot }: Patch): boolean =>
  rules.length > 0 || daemons.length > 0 || inserts.length > 0 || boot !== undefined;

/**
 * The patches of a kernel that can matter to a scenario, in their order: kernels with the same are the same machine for it.
 *
 * @example
 * const world = open("W2", { record: false });
 * const mattering = (name: string) => patchesFor(world, kernelOf(name)).map((patch) => patch.name).join();
 * mattering("v6.12") === mattering("v6.11") // true
 */
export function patchesFor(world: World, kernel: KernelVersion): readonly Patch[] {
  const names = namesOn(world, kernel);
  return kernel.patches.filter(
    (patch) => worksUncalled(patch) || patch.edits.some((edit) => names.has(nameOf(edit))),
  );
}
