/** The base: Linux v4.20's operation tables, filled by its filesystems. */

import type { Path } from "../machine/path.js";
import type { Implementations } from "../machine/program.js";
import { dioIntegrityTable } from "./block/dio_integrity.js";
import { diskTables } from "./block/disk.js";
import {
  amdgpu_mn_invalidate_range_end,
  amdgpu_mn_invalidate_range_start_gfx,
  amdgpu_ttm_tt_table,
} from "./drivers/amdgpu_ttm.js";
import { i915_gem_userptr_mn_invalidate_range_start, i915_userptr_table } from "./drivers/i915_userptr.js";
import {
  ib_umem_notifier_invalidate_range_end,
  ib_umem_notifier_invalidate_range_start,
  ib_umem_notifier_release,
  mlx5_mtt_table,
  umem_odp_table,
} from "./drivers/infiniband_odp.js";
import { nvme_dev_table } from "./drivers/nvme.js";
import { acknowledgedTables } from "./fs/acknowledged.js";
import { blockTables } from "./fs/blocks.js";
import { btrfs_file_write_iter, btrfs_sync_file } from "./fs/btrfs/file.js";
import {
  btrfs_invalidatepage,
  btrfs_page_mkwrite,
  btrfs_readpage,
  btrfs_releasepage,
  btrfs_set_page_dirty,
  btrfs_writepage,
  btrfs_writepages,
  btrfsTable,
  end_bio_extent_writepage,
} from "./fs/btrfs.js";
import { daxTables, ext4_dax_fault, noop_set_page_dirty } from "./fs/dax.js";
import { ext4_sync_file } from "./fs/ext4/fsync.js";
import {
  ext4_journalled_invalidatepage,
  ext4_journalled_set_page_dirty,
  ext4_journalled_write_end,
  ext4_journalled_writepages,
} from "./fs/ext4/journalled.js";
import { ext4_finish_bio } from "./fs/ext4/page_io.js";
import {
  ext4_da_write_begin,
  ext4_da_write_end,
  ext4_journalled_write_begin,
  ext4_write_begin,
  ext4_write_end,
} from "./fs/ext4/write.js";
import { ext4_writepages } from "./fs/ext4/writepages.js";
import {
  ext4_da_invalidatepage,
  ext4_filemap_fault,
  ext4_invalidatepage,
  ext4_journalled_releasepage,
  ext4_journalled_writepage,
  ext4_page_mkwrite,
  ext4_readpage,
  ext4_releasepage,
  ext4_set_page_dirty,
  ext4_writepage,
  ext4_writepages_whole,
} from "./fs/ext4.js";
import { fsyncTables } from "./fs/fsync_oracle.js";
import { hugetlbfs_set_page_dirty } from "./fs/hugetlbfs.js";
import { iomap_releasepage, iomap_set_page_dirty } from "./fs/iomap.js";
import { journalHeadTables } from "./fs/jbd2/journal_head.js";
import { journalTables } from "./fs/jbd2.js";
import { powerTables } from "./fs/power_failure.js";
import { generic_file_write_iter } from "./fs/read_write.js";
import { shmem_writepage, shmemSwapTable } from "./fs/shmem_swap.js";
import { __generic_file_fsync, noop_fsync } from "./fs/sync.js";
import {
  __set_page_dirty_no_writeback,
  shmem_fault,
  shmem_write_begin,
  shmem_write_end,
} from "./fs/tmpfs.js";
import {
  xfs_end_bio,
  xfs_file_buffered_aio_write,
  xfs_filemap_fault,
  xfs_filemap_page_mkwrite,
  xfs_vm_readpage,
  xfs_vm_writepage,
  xfs_vm_writepages,
} from "./fs/xfs.js";
import { layoutTable, xfs_dax_fault } from "./fs/xfs_dax.js";
import type { Geometry } from "./geometry.js";
import type { Table } from "./kernel.js";
import { writebackTables } from "./mm/backing_dev.js";
import { compoundTable } from "./mm/compound.js";
import { addressSpaceTables, filemap_fault } from "./mm/filemap.js";
import { hugetlb_fault, hugetlbTable } from "./mm/hugetlb.js";
import { mappingErrorTables } from "./mm/mapping_error.js";
import { memfdTable } from "./mm/memfd.js";
import { device_page_rule } from "./mm/memremap.js";
import { mm_struct_table } from "./mm/mmap.js";
import { mmu_notifier_table } from "./mm/mmu_notifier.js";
import { zoneTables } from "./mm/mmzone.js";
import { orphanTables } from "./mm/orphan.js";
import { end_swap_bio_write, swap_writepage } from "./mm/page_io.js";
import { isolationTable } from "./mm/page_isolation.js";
import { pagevecTables } from "./mm/pagevec.js";
import { mm_rlimit_table, user_struct_table } from "./mm/rlimit.js";
import { scanControlTables } from "./mm/scan_control.js";
import { swapTables } from "./mm/swapfile.js";
import { workingsetTables } from "./mm/workingset.js";
import { writtenTables } from "./mm/written.js";
import { a_ops, EXT4_AOPS, FS, FS_TABLES, MMU_NOTIFIER, mmu_notifier_ops, vm_ops } from "./operations.js";
import { type RuleValues, rule_of } from "./rule.js";

const rows = (table: Record<number, Record<string, unknown>>) =>
  table as Readonly<Record<number, Readonly<Record<string, Path<never>>>>>;

/** What all ext4 files have in common. */
const ext4_aops = {
  readpage: ext4_readpage,
  set_page_dirty: ext4_set_page_dirty,
  writepage: ext4_writepage,
  writepages: ext4_writepages,
  write_begin: ext4_write_begin,
  write_end: ext4_write_end,
  releasepage: ext4_releasepage,
  invalidatepage: ext4_invalidatepage,
};

export const operations: Implementations = {
  address_space_operations: rows({
    [FS.ext4]: { ...ext4_aops, writepages: ext4_writepages_whole },
    [EXT4_AOPS.ordered]: ext4_aops,
    [EXT4_AOPS.da]: {
      ...ext4_aops,
      write_begin: ext4_da_write_begin,
      write_end: ext4_da_write_end,
      invalidatepage: ext4_da_invalidatepage,
    },
    [EXT4_AOPS.journalled]: {
      ...ext4_aops,
      set_page_dirty: ext4_journalled_set_page_dirty,
      writepage: ext4_journalled_writepage,
      writepages: ext4_journalled_writepages,
      write_begin: ext4_journalled_write_begin,
      write_end: ext4_journalled_write_end,
      releasepage: ext4_journalled_releasepage,
      invalidatepage: ext4_journalled_invalidatepage,
    },
    [FS.tmpfs]: {
      set_page_dirty: __set_page_dirty_no_writeback,
      writepage: shmem_writepage,
      write_begin: shmem_write_begin,
      write_end: shmem_write_end,
    },
    [FS.xfs]: {
      readpage: xfs_vm_readpage,
      set_page_dirty: iomap_set_page_dirty,
      writepage: xfs_vm_writepage,
      writepages: xfs_vm_writepages,
      releasepage: iomap_releasepage,
    },
    [FS.btrfs]: {
      readpage: btrfs_readpage,
      set_page_dirty: btrfs_set_page_dirty,
      writepage: btrfs_writepage,
      writepages: btrfs_writepages,
      releasepage: btrfs_releasepage,
      invalidatepage: btrfs_invalidatepage,
    },
    [FS.hugetlbfs]: { set_page_dirty: hugetlbfs_set_page_dirty },
    [FS.swap]: { set_page_dirty: __set_page_dirty_no_writeback, writepage: swap_writepage },
    [FS.ext4_dax]: { set_page_dirty: noop_set_page_dirty },
    [FS.xfs_dax]: { set_page_dirty: noop_set_page_dirty },
  }),
  file_operations: rows({
    [FS.ext4]: { fsync: ext4_sync_file, write_iter: generic_file_write_iter },
    [FS.tmpfs]: { fsync: noop_fsync, write_iter: generic_file_write_iter },
    [FS.xfs]: { fsync: __generic_file_fsync, write_iter: xfs_file_buffered_aio_write },
    [FS.btrfs]: { fsync: btrfs_sync_file, write_iter: btrfs_file_write_iter },
    [FS.hugetlbfs]: { fsync: noop_fsync },
    [FS.ext4_dax]: { fsync: __generic_file_fsync },
    [FS.xfs_dax]: { fsync: __generic_file_fsync },
  }),
  vm_operations_struct: rows({
    [FS.ext4]: { page_mkwrite: ext4_page_mkwrite, filemap_fault: ext4_filemap_fault },
    [FS.tmpfs]: { filemap_fault: shmem_fault },
    [FS.xfs]: { page_mkwrite: xfs_filemap_page_mkwrite, filemap_fault: xfs_filemap_fault },
    [FS.btrfs]: { page_mkwrite: btrfs_page_mkwrite, filemap_fault },
    [FS.hugetlbfs]: { fault: hugetlb_fault },
    [FS.ext4_dax]: { fault: ext4_dax_fault },
    [FS.xfs_dax]: { fault: xfs_dax_fault },
  }),
  bio: rows({
    [FS.ext4]: { bi_end_io: ext4_finish_bio },
    [FS.xfs]: { bi_end_io: xfs_end_bio },
    [FS.btrfs]: { bi_end_io: end_bio_extent_writepage },
    [FS.swap]: { bi_end_io: end_swap_bio_write },
  }),
  mmu_notifier_ops: rows({
    [MMU_NOTIFIER.ib_umem]: {
      release: ib_umem_notifier_release,
      invalidate_range_start: ib_umem_notifier_invalidate_range_start,
      invalidate_range_end: ib_umem_notifier_invalidate_range_end,
    },
    [MMU_NOTIFIER.i915]: { invalidate_range_start: i915_gem_userptr_mn_invalidate_range_start },
    [MMU_NOTIFIER.amdgpu]: {
      invalidate_range_start: amdgpu_mn_invalidate_range_start_gfx,
      invalidate_range_end: amdgpu_mn_invalidate_range_end,
    },
  }),
};

/** The structs that subsystems have of their own. */
export const tables: readonly Table[] = [
  ...writebackTables,
  ...mappingErrorTables,
  ...addressSpaceTables,
  ...writtenTables,
  ...diskTables,
  dioIntegrityTable,
  ...fsyncTables,
  ...acknowledgedTables,
  ...powerTables,
  ...zoneTables,
  ...scanControlTables,
  ...swapTables,
  shmemSwapTable,
  ...workingsetTables,
  ...pagevecTables,
  ...blockTables,
  ...journalTables,
  ...journalHeadTables,
  compoundTable,
  ...daxTables,
  layoutTable,
  btrfsTable,
  hugetlbTable,
  ...orphanTables,
  isolationTable,
  memfdTable,
  mm_struct_table,
  mm_rlimit_table,
  user_struct_table,
  nvme_dev_table,
  mmu_notifier_table,
  umem_odp_table,
  mlx5_mtt_table,
  amdgpu_ttm_tt_table,
  i915_userptr_table,
];

/** The rules that v4.20 has. */
export const rules: readonly RuleValues[] = [rule_of(device_page_rule)];

/** Row of the address_space_operations of a machine's ext4 files. */
function ext4_set_aops({ config, mount }: Geometry): number {
  if (mount.data === "journal") return EXT4_AOPS.journalled;
  const simple = !(["blocks", "kupdate", "truncate"] as const).some((option) => config.has(option));
  if (simple) return FS.ext4;
  return mount.delalloc ? EXT4_AOPS.da : EXT4_AOPS.ordered;
}

/**
 * The operations of the filesystems and of the drivers with notifiers that a machine has. Without truncation nobody keeps faults away, and
 * those of ext4 and xfs are filemap_fault alone, as btrfs's are.
 */
export function operationsFor(all: Implementations, geometry: Geometry): Implementations {
  const { config, files, notifiers } = geometry;
  const drivers = new Set(notifiers.map(({ driver }) => driver));
  const notified = Object.entries(all[mmu_notifier_ops.name] ?? {}).filter(([row]) =>
    drivers.has(Number(row)),
  );
  const used = new Set<number>(files.map(({ fs }) => fs));
  const ours = FS_TABLES.map(({ name }) => [
    name,
    Object.fromEntries(Object.entries(all[name] ?? {}).filter(([row]) => used.has(Number(row)))),
  ]);
  const chosen: Implementations = Object.fromEntries(ours);
  const aops = { ...chosen[a_ops.name] };
  if (FS.ext4 in aops) aops[FS.ext4] = all[a_ops.name][ext4_set_aops(geometry)];
  const vmops = { ...chosen[vm_ops.name] };
  if (!config.has("truncate"))
    for (const fs of [FS.ext4, FS.xfs])
      if (fs in vmops) vmops[fs] = { ...vmops[fs], filemap_fault: all[vm_ops.name][FS.btrfs].filemap_fault };
  return {
    ...all,
    ...chosen,
    [a_ops.name]: aops,
    [vm_ops.name]: vmops,
    [mmu_notifier_ops.name]: Object.fromEntries(notified),
  };
}
