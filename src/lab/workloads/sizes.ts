/** Parameters that most workloads have. */
import { FS } from "../../kernel/operations.js";
import { whole } from "../scenario.js";

/** How much of everything. */
export const SIZES = {
  pages: whole("pages that each holder takes", 1, 1, 64),
  drivers: whole("holders, each with its own part of the file", 1, 1, 8),
  parts: whole("parts in which a page is transferred", 1, 1, 8),
};

/** Filesystems with a page cache that is written back, and one that is not. */
export const FILESYSTEMS = {
  ext4: "buffers",
  xfs: "no buffers",
  btrfs: "copy on write",
  tmpfs: "memory",
} as const;

/** Row of FS by its name. */
export const fsOf = (name: keyof typeof FS): number => FS[name];
