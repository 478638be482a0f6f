/**
 * The power goes: an event that a scenario can have at any step (config "power_cut"). It happens once. What is on the disks
 * then is judged, memory is gone, and nobody moves any more.
 *
 * Judged is what recovery makes of the disks (power_cut.ts), against what was promised:
 *
 * - LOST: bytes of which an fsync or msync had said that they are on the disk (acknowledged.ts) are not there, or their file ends
 *   before them.
 * - INFOLEAK: a file shows bytes that were another file's, or a deleted page's. Asked where the model knows when metadata is
 *   on the disk: of ext4 with a journal, and of xfs and btrfs, which give a page its block when its bytes are there.
 *
 * Not judged: a page of which the disk has written one part and not yet the next. Disks promise whole sectors only, and no
 * filesystem here promises more for data. Left out, because the model has none: the disk's own cache and flushes that do
 * not reach it, commit records that are torn, the log of xfs and the trees of btrfs (their metadata counts as written when
 * it changes), O_DSYNC, and the promises of sync(2) and syncfs(2). Persistent memory (DAX) is left alone: which stores have
 * left the CPU's cache is not modelled.
 */
import { task_struct } from "../../machine/machine.js";
import { type Struct, struct, u8 } from "../../machine/memory.js";
import type { Kernel, Table } from "../kernel.js";
import { path, pause, step } from "../language.js";
import { FS, is_dax_fs, mapping_cap_account_dirty } from "../operations.js";
import * as S from "../structs.js";
import { type InodeNr, NONE } from "../types.js";
import { acknowledged, acknowledged_version } from "./acknowledged.js";
import { block_owner, cow_fork, disk_block, EXTENT, extent, extent_state, FOREIGN } from "./blocks.js";
import { journal_data } from "./jbd2/journal_head.js";
import { journal_extent, journal_inode } from "./jbd2.js";
import { recovered_size, recovered_version } from "./power_cut.js";

const power = struct("power", { off: u8("1 when the power has gone") });

/** The structs of this file. */
export const powerTables: readonly Table[] = [
  { struct: power, rows: (g) => (g.config.has("power_cut") ? 1 : 0) },
];

/** Whether the power has gone. */
export const power_is_off = (k: Kernel): boolean => k.of(power).off[0] === 1;

/** Compare a file with what was promised of it. */
function judge_file(k: Kernel, mapping: InodeNr): void {
  const { parts } = k.geometry;
  const size = recovered_size(k, mapping);
  const end = Math.min(k.inode.i_size[mapping], k.inode.i_pages[mapping] * parts);
  const ordered = k.has("journal") || k.inode.fs[mapping] !== FS.ext4;
  for (let at = 0; at < end; at++) {
    const index = Math.floor(at / parts);
    const part = at % parts;
    const promised = acknowledged_version(k, k.slotOf(mapping, index), part);
    // Nothing was promised of it, and it shows nothing: the rest need not be looked at.
    if (promised === 0 && (at >= size || !ordered)) continue;
    const found = at >= size ? 0 : recovered_version(k, mapping, index, part);
    if (ordered && at < size)
      k.fault_on(
        found === FOREIGN,
        "INFOLEAK",
        "power_cut: after recovery a file shows bytes of another file, or of a deleted page",
        NONE,
      );
    if (promised > 0 && extent_state(k, mapping, index) !== EXTENT.hole)
      k.fault_on(
        found < promised,
        "LOST",
        "power_cut: fsync had returned 0, and after recovery the bytes are not there",
        NONE,
      );
  }
}

/** What is on the disks, or is the judge's. Everything else is in memory. */
const KEPT: readonly Struct[] = [
  S.block,
  S.inode_struct,
  extent,
  disk_block,
  block_owner,
  cow_fork,
  journal_extent,
  journal_inode,
  journal_data,
  acknowledged,
  power,
];

/** What is in memory goes, and who was doing what with it. */
function forget_memory(k: Kernel): void {
  k.memory.wipe(KEPT);
  k.inode.i_state.fill(0);
  k.of(task_struct).dead.fill(1);
}

/** The power's task: it holds, and then it does not. */
export const power_failure = path("power", { source: "none", args: {} }, [
  pause("the power holds"),
  step("power_cut", (k) => {
    for (let mapping = 1; mapping < k.inode.i_pages.length; mapping++)
      if (mapping_cap_account_dirty(k, mapping) && !is_dax_fs(k.inode.fs[mapping])) judge_file(k, mapping);
    forget_memory(k);
    k.of(power).off[0] = 1;
    k.dying = true;
  }),
]);
