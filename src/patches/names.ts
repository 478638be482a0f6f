/**
 * Names as a kernel has them: page or folio. The base's paths and steps have v4.20's names, and everything inside works with these; where
 * somebody reads a name, it is the one that the kernel's source has, and where somebody types one, both will do.
 */
import { RENAMES } from "./renames.js";

/** What a kernel calls the functions of v4.20. */
export interface Names {
  /** A function: the name of a path. */
  readonly path: (name: string) => string;
  /** A step, or another line, of a path: each name in it. `path` has its v4.20 name. */
  readonly within: (path: string, line: string) => string;
  /** Each name in a sentence. */
  readonly text: (sentence: string) => string;
  /** The v4.20 names that a typed one may mean: itself, and what this kernel calls so. */
  readonly typed: (name: string) => readonly string[];
}

const WORD = /[A-Za-z_]\w{3,}/g;

/** A release as numbers that can be compared: v5.18, v6.1.192, 2026; a name that is no release is v4.20's. */
function releaseOf(kernel: string): readonly [number, number] {
  const [base] = kernel.split("+");
  if (/^\d{4}$/.test(base)) return [Number(base), 0];
  const [, major, minor] = /^v(\d+)\.(\d+)/.exec(base) ?? ["", "4", "20"];
  return [Number(major), Number(minor)];
}

/** Whether a kernel is of a release, or of a later one. */
export const isSince = (kernel: string, release: string): boolean => {
  const [a, b] = [releaseOf(kernel), releaseOf(release)];
  return a[0] > b[0] || (a[0] === b[0] && a[1] >= b[1]);
};

/**
 * The names of a kernel, by the kernel's own name: v6.1, v6.1.192 and v6.1+some-patch have those of v6.1.
 *
 * @example namesOf("v6.1").path("shrink_page_list") // "shrink_folio_list"
 */
export function namesOf(kernel: string): Names {
  const everywhere = new Map<string, string>();
  const within = new Map<string, Map<string, string>>();
  for (const { release, everywhere: all, within: some } of RENAMES) {
    if (!isSince(kernel, release)) continue;
    for (const [old, now] of Object.entries(all)) {
      everywhere.set(old, now);
      // A name that is gone everywhere is so in each function.
      for (const names of within.values()) names.delete(old);
    }
    for (const [path, names] of Object.entries(some)) {
      const known = within.get(path) ?? new Map<string, string>();
      for (const [old, now] of Object.entries(names)) known.set(old, now);
      within.set(path, known);
    }
  }
  const path = (name: string): string => everywhere.get(name) ?? name;
  const text = (sentence: string): string =>
    everywhere.size === 0 ? sentence : sentence.replaceAll(WORD, path);
  const olds = new Map<string, Set<string>>();
  for (const names of [everywhere, ...within.values()])
    for (const [old, now] of names) olds.set(now, (olds.get(now) ?? new Set()).add(old));
  return {
    path,
    text,
    within: (inside, line) => {
      const names = within.get(inside);
      return names === undefined
        ? text(line)
        : line.replaceAll(WORD, (each) => names.get(each) ?? path(each));
    },
    typed: (name) => [name, ...(olds.get(name) ?? [])],
  };
}
