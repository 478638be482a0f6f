/** The base: Linux v4.20's operation tables, filled by its filesystems. */

import type { Path } from "../machine/path.js";
import type { Implementations } from "../machine/program.js";
import { blockTables } from "./fs/blocks.js";
import {
  ext4_finish_bio,
  ext4_page_mkwrite,
  ext4_readpage,
  ext4_releasepage,
  ext4_set_page_dirty,
  ext4_writepage,
  ext4_writepages,
} from "./fs/ext4.js";
import { block_invalidatepage } from "./fs/invalidatepage.js";
import { __set_page_dirty_no_writeback, shmem_getpage } from "./fs/tmpfs.js";
import type { Geometry } from "./geometry.js";
import type { Table } from "./kernel.js";
import { compoundTable } from "./mm/compound.js";
import { orphanTables } from "./mm/orphan.js";
import { FS, FS_TABLES } from "./operations.js";

const rows = (table: Record<number, Record<string, unknown>>) =>
  table as Readonly<Record<number, Readonly<Record<string, Path<never>>>>>;

export const operations: Implementations = {
  address_space_operations: rows({
    [FS.ext4]: {
      readpage: ext4_readpage,
      set_page_dirty: ext4_set_page_dirty,
      writepage: ext4_writepage,
      writepages: ext4_writepages,
      releasepage: ext4_releasepage,
      invalidatepage: block_invalidatepage,
    },
    [FS.tmpfs]: { readpage: shmem_getpage, set_page_dirty: __set_page_dirty_no_writeback },
  }),
  vm_operations_struct: rows({ [FS.ext4]: { page_mkwrite: ext4_page_mkwrite } }),
  bio: rows({ [FS.ext4]: { bi_end_io: ext4_finish_bio } }),
};

/** The structs that subsystems have of their own. */
export const tables: readonly Table[] = [...blockTables, compoundTable, ...orphanTables];

/** The operations of the filesystems that a machine has. */
export function operationsFor(all: Implementations, { files }: Geometry): Implementations {
  const used = new Set<number>(files.map(({ fs }) => fs));
  const ours = FS_TABLES.map(({ name }) => [
    name,
    Object.fromEntries(Object.entries(all[name] ?? {}).filter(([row]) => used.has(Number(row)))),
  ]);
  return { ...all, ...Object.fromEntries(ours) };
}
