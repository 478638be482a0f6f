/** What patches need of each other: which must come before one, and what a list lacks. */
import type { Patch } from "./patch.js";

/** All that a patch needs, what they need included, in an order in which they can be applied. */
export function needsOf({ needs = [] }: Patch): Patch[] {
  const found = new Set<Patch>();
  for (const need of needs) for (const each of [...needsOf(need), need]) found.add(each);
  return [...found];
}

/**
 * Patches with all that they need put before them, where a kernel does not have it: of several that would do, the one that is in the list, or else
 * the first.
 *
 * @param base patches of the kernel to which they are added
 */
export function completed(patches: readonly Patch[], base: readonly Patch[]): Patch[] {
  const had = new Set(base);
  const add = (patch: Patch): void => {
    if (had.has(patch)) return;
    for (const need of patch.needs ?? []) add(need);
    const { needs_one: ones } = patch;
    if (ones !== undefined && !ones.some((one) => had.has(one)))
      add(ones.find((one) => patches.includes(one)) ?? ones[0]);
    had.add(patch);
  };
  for (const patch of patches) add(patch);
  return [...had].filter((patch) => !base.includes(patch));
}

/** A list of patches with what they need put before them, where it does not stand there already; each once. */
export const withNeeds = (patches: readonly Patch[]): Patch[] => [
  ...new Set(patches.flatMap((patch) => [...needsOf(patch), patch])),
];

const listed = (names: readonly string[]): string =>
  names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;

/**
 * What a list of patches lacks, as a sentence: "keep-private-of-pinned needs pin-user-pages and track-foll-pin"; null when it lacks nothing.
 *
 * @param base patches to which it is added
 */
export function lackOf(patches: readonly Patch[], base: readonly Patch[] = []): string | null {
  const had = new Set(base);
  for (const patch of patches) {
    const lacking = needsOf(patch).filter((need) => !had.has(need));
    if (lacking.length > 0) {
      const late = lacking.some((need) => patches.includes(need));
      return `${patch.name} needs ${listed(lacking.map(({ name }) => name))}${late ? " before it" : ""}`;
    }
    const { needs_one: ones } = patch;
    if (ones !== undefined && !ones.some((one) => had.has(one)))
      return `${patch.name} needs one of ${listed(ones.map(({ name }) => name))}`;
    had.add(patch);
  }
  return null;
}
