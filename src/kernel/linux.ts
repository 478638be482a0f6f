/** The base: Linux v4.20's operation tables, filled by its filesystems. */

import type { Path } from "../machine/path.js";
import type { Implementations } from "../machine/program.js";
import { diskTables } from "./block/disk.js";
import { blockTables } from "./fs/blocks.js";
import { daxTables, ext4_dax_fault, noop_set_page_dirty } from "./fs/dax.js";
import {
  ext4_finish_bio,
  ext4_page_mkwrite,
  ext4_readpage,
  ext4_releasepage,
  ext4_set_page_dirty,
  ext4_writepage,
  ext4_writepages,
} from "./fs/ext4.js";
import { fsyncTables } from "./fs/fsync_oracle.js";
import { block_invalidatepage } from "./fs/invalidatepage.js";
import { __generic_file_fsync, noop_fsync } from "./fs/sync.js";
import {
  __set_page_dirty_no_writeback,
  shmem_getpage,
  shmem_write_begin,
  shmem_write_end,
} from "./fs/tmpfs.js";
import { layoutTable, xfs_dax_fault } from "./fs/xfs_dax.js";
import type { Geometry } from "./geometry.js";
import type { Table } from "./kernel.js";
import { writebackTables } from "./mm/backing_dev.js";
import { compoundTable } from "./mm/compound.js";
import { addressSpaceTables } from "./mm/filemap.js";
import { zoneTables } from "./mm/mmzone.js";
import { scanControlTables } from "./mm/scan_control.js";
import { mappingErrorTables } from "./mm/mapping_error.js";
import { mm_struct_table } from "./mm/mmap.js";
import { orphanTables } from "./mm/orphan.js";
import { isolationTable } from "./mm/page_isolation.js";
import { mm_rlimit_table, user_struct_table } from "./mm/rlimit.js";
import { writtenTables } from "./mm/written.js";
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
    [FS.tmpfs]: {
      readpage: shmem_getpage,
      set_page_dirty: __set_page_dirty_no_writeback,
      write_begin: shmem_write_begin,
      write_end: shmem_write_end,
    },
    [FS.ext4_dax]: { set_page_dirty: noop_set_page_dirty },
    [FS.xfs_dax]: { set_page_dirty: noop_set_page_dirty },
  }),
  file_operations: rows({
    [FS.ext4]: { fsync: __generic_file_fsync },
    [FS.tmpfs]: { fsync: noop_fsync },
    [FS.xfs]: { fsync: __generic_file_fsync },
    [FS.btrfs]: { fsync: __generic_file_fsync },
    [FS.hugetlbfs]: { fsync: noop_fsync },
    [FS.ext4_dax]: { fsync: __generic_file_fsync },
    [FS.xfs_dax]: { fsync: __generic_file_fsync },
  }),
  vm_operations_struct: rows({
    [FS.ext4]: { page_mkwrite: ext4_page_mkwrite },
    [FS.ext4_dax]: { fault: ext4_dax_fault },
    [FS.xfs_dax]: { fault: xfs_dax_fault },
  }),
  bio: rows({ [FS.ext4]: { bi_end_io: ext4_finish_bio } }),
};

/** The structs that subsystems have of their own. */
export const tables: readonly Table[] = [
  ...writebackTables,
  ...mappingErrorTables,
  ...addressSpaceTables,
  ...writtenTables,
  ...diskTables,
  ...fsyncTables,
  ...zoneTables,
  ...scanControlTables,
  ...blockTables,
  compoundTable,
  ...daxTables,
  layoutTable,
  ...orphanTables,
  isolationTable,
  mm_struct_table,
  mm_rlimit_table,
  user_struct_table,
];

/** The operations of the filesystems that a machine has. */
export function operationsFor(all: Implementations, { files }: Geometry): Implementations {
  const used = new Set<number>(files.map(({ fs }) => fs));
  const ours = FS_TABLES.map(({ name }) => [
    name,
    Object.fromEntries(Object.entries(all[name] ?? {}).filter(([row]) => used.has(Number(row)))),
  ]);
  return { ...all, ...Object.fromEntries(ours) };
}
