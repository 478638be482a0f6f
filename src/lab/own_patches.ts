/**
 * Patches that somebody has written himself, by their names: as long as this program or notebook runs, kernels are made with them like with any other,
 * `v4.20+my-fix`, wherever a kernel's name is asked for. A replay line of such a kernel is one of this session: elsewhere nobody knows
 * the patch.
 */
import { findKernel, type KernelVersion, knownPatch } from "../patches/kernels.js";
import type { Patch } from "../patches/patch.js";

/** A kernel as somebody may name it: "v4.20+hubbard-lru-2018", or ["v4.20", "hubbard-lru-2018"]. */
export type KernelName = string | readonly string[];

/** The name in one word. */
export const kernelName = (name: KernelName): string => (typeof name === "string" ? name : name.join("+"));

const own = new Map<string, Patch>();

/**
 * Look a kernel up by its name, or put one together: of what guplab has, and of patches that were written in this session.
 *
 * @throws Error with one sentence that lists the known ones, or says what a patch needs and what would be right
 * @example kernelOf("v5.18+keep-private-of-pinned").patches.at(-1)?.name // "keep-private-of-pinned"
 */
export const kernelOf = (name: KernelName): KernelVersion => findKernel(kernelName(name), own);

/** A patch of guplab's, a proposal, or one that was written in this session, by its name. */
export const patchNamed = (name: string): Patch | undefined => knownPatch(name) ?? own.get(name);

/** Know a patch by its name from now on; one that had the name is forgotten. Gives back what undoes it. */
export function keepPatch(patch: Patch): () => void {
  const before = own.get(patch.name);
  own.set(patch.name, patch);
  return () => {
    if (before === undefined) own.delete(patch.name);
    else own.set(patch.name, before);
  };
}

/** Whether a patch of this name was written in this session. */
export const isOwn = (name: string): boolean => own.has(name);
