/**
 * What a proposal asks for, as far as its patch tells: bytes in struct page, places that change and whose they are, time, and what an administrator sees of it.
 *
 * Places are those of the model: a proposal of a hundred call sites has as many here as users of get_user_pages are modelled.
 */
import type { AnyPath } from "../../machine/patch.js";
import type { Patch } from "../../patches/patch.js";
import type { Cost, Proposal } from "../../patches/proposals/proposal.js";
import { reachable } from "../kernels.js";
import { kernelOf } from "../own_patches.js";

export interface Criteria {
  readonly name: string;
  readonly ideas: readonly string[];
  readonly title: string;
  readonly author: string;
  readonly date: string;
  readonly source: string;
  /** Bytes that struct page grows by, with those of what it needs. */
  readonly page_bytes: number;
  /** Words of struct page that it takes from somebody: "lru". */
  readonly page_words: readonly string[];
  /** Edits of the kernel's functions, with those of what it needs that nobody has merged. */
  readonly edits: number;
  /** The functions, by the file that they are in. */
  readonly functions: Readonly<Record<string, readonly string[]>>;
  /** Whose files they are: "mm", "fs/ext4", "drivers". */
  readonly who: readonly string[];
  readonly costs: readonly Cost[];
  /** Counters and whatever else an administrator sees. */
  readonly shows: readonly string[];
}

/** A path's file, as its source says: "mm/vmscan.c v4.20". */
const fileOf = ({ source }: AnyPath): string => source.split(/[ ,]/)[0];

/** Whose a file is: its folder, of fs and drivers the one below it as well. */
function ownerOf(file: string): string {
  const folders = file.split("/").slice(0, -1);
  return folders.slice(0, ["fs", "drivers", "net"].includes(folders[0]) ? 2 : 1).join("/");
}

/** struct page grows by whole words: a count of four bytes leaves four that nobody uses. */
const WORD_BYTES = 8;

/**
 * The criteria of a proposal, from its patch on a kernel.
 *
 * @param base the kernel to which it is added; what that has already costs nothing
 */
export function criteriaOf(proposal: Proposal, base = "v4.20"): Criteria {
  const had = kernelOf(base);
  const added: readonly Patch[] = kernelOf(`${base}+${proposal.name}`).patches.filter(
    (patch) => !had.patches.includes(patch),
  );
  const proposed = added as readonly Proposal[];
  const words = proposed.flatMap(({ page_words = [] }) => page_words);
  const grown = words.filter(({ instead_of }) => instead_of === null);
  const functions: Record<string, string[]> = {};
  let edits = 0;
  for (const path of reachable(had.patched)) {
    const names = added.flatMap((patch) =>
      patch.edits.filter(({ path: of }) =>
        typeof of === "string" ? of === path.name : had.patched(of) === path,
      ),
    );
    const file = fileOf(path);
    // A scenario's own programs are nobody's to change.
    if (names.length === 0 || !file.includes("/")) continue;
    edits += names.length;
    functions[file] ??= [];
    if (!functions[file].includes(path.name)) functions[file].push(path.name);
  }
  return {
    name: proposal.name,
    ideas: proposal.ideas,
    title: proposal.title,
    author: proposal.author,
    date: proposal.date,
    source: proposal.source,
    page_bytes: WORD_BYTES * grown.flatMap(({ struct }) => Object.keys(struct.fields)).length,
    page_words: [...new Set(words.flatMap(({ instead_of }) => instead_of ?? []))],
    edits,
    functions,
    who: [...new Set(Object.keys(functions).map(ownerOf))].sort(),
    costs: proposed.flatMap(({ costs = [] }) => costs),
    shows: [
      ...added.flatMap(({ vmstat }) =>
        vmstat === undefined ? [] : Object.keys(vmstat.fields).map((name) => `/proc/vmstat ${name}`),
      ),
      ...proposed.flatMap(({ shows = [] }) => shows),
    ],
  };
}
