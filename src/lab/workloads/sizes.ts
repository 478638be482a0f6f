/** Parameters that most workloads have. */
import type { Mount } from "../../kernel/geometry.js";
import { FS } from "../../kernel/operations.js";
import { choice, type ValuesOf, whole } from "../scenario.js";

/** How much of everything. */
export const SIZES = {
  pages: whole("pages that each holder takes", 1, 1, 64),
  drivers: whole("holders", 1, 1, 8),
  buffer: choice("whose pages they take", {
    own: "each its own part of the file",
    shared: "all the same pages: threads of one program, with one buffer",
  }),
  parts: whole("parts in which a page is transferred", 1, 1, 8),
};

type Sizes = Pick<ValuesOf<typeof SIZES>, "pages" | "drivers" | "buffer">;

/** Pages that the holders take, all together. */
export const pagesTaken = ({ pages, drivers, buffer }: Sizes): number =>
  buffer === "shared" ? pages : pages * drivers;

/** The first page that a holder takes. */
export const firstPageOf = (holder: number, { pages, buffer }: Sizes): number =>
  buffer === "shared" ? 0 : holder * pages;

/** Filesystems with a page cache that is written back, and one that is not. */
export const FILESYSTEMS = {
  ext4: "buffers",
  xfs: "no buffers",
  btrfs: "copy on write",
  tmpfs: "memory",
} as const;

/** Mounts of ext4 on a disk with blocks and a journal: the file has no block yet. */
const EXT4_MOUNTS: Readonly<Record<string, Mount>> = {
  "ext4-delalloc": { data: "ordered", delalloc: true },
  "ext4-nodelalloc": { data: "ordered", delalloc: false },
  "ext4-journal": { data: "journal", delalloc: false },
};

/** FILESYSTEMS, and ext4 with a journal. */
export const MOUNTS = {
  ...FILESYSTEMS,
  "ext4-delalloc": "ext4 with a journal, data=ordered, blocks chosen when pages are written",
  "ext4-nodelalloc": "the same with blocks chosen when pages are dirtied",
  "ext4-journal": "ext4 with data=journal",
} as const;

/** What a scenario's machine has for one of MOUNTS. */
export const mountOf = (
  name: keyof typeof MOUNTS,
): { readonly fs: number; readonly mount: Mount | undefined } => ({
  fs: name in EXT4_MOUNTS ? FS.ext4 : fsOf(name as keyof typeof FILESYSTEMS),
  mount: EXT4_MOUNTS[name],
});

/** Row of FS by its name. */
export const fsOf = (name: keyof typeof FS): number => FS[name];
