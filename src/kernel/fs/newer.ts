/** An oracle's question, which no kernel can ask: whether a cached page has bytes that the disk has not. */
import type { Kernel } from "../kernel.js";
import { FS, fs_of_inode, mapping_cap_account_dirty } from "../operations.js";
import type { InodeNr, Pfn } from "../types.js";
import { disk_version } from "./blocks.js";
import { has_cow_block } from "./cow.js";

/** Whether a page of a file in memory has bytes at all: a page that is not there is read as zeroes. Dirty is what keeps them. */
export function is_nowhere_else(k: Kernel, page: Pfn, mapping: InodeNr): boolean {
  if (fs_of_inode(k, mapping) !== FS.tmpfs) return false;
  const { parts } = k.geometry;
  return k.content.version.subarray(page * parts, (page + 1) * parts).some((version) => version !== 0);
}

/** Whether a page of a file has bytes that the file's blocks have not, none of them behind the file's end. */
export function is_newer_than_disk(k: Kernel, page: Pfn, mapping: InodeNr): boolean {
  if (!mapping_cap_account_dirty(k, mapping)) return false;
  const index = k.page.index[page];
  // Written to a block that the file is about to get.
  if (has_cow_block(k, mapping, index)) return false;
  const end = Math.min(k.geometry.parts, k.inode.i_size[mapping] - index * k.geometry.parts);
  for (let part = 0; part < end; part++)
    if (k.content.version[page * k.geometry.parts + part] !== disk_version(k, mapping, index, part))
      return true;
  return false;
}
