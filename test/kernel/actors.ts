/** The tasks that the tests of kernel paths use: one call of one path each, or one round of a daemon. */
import { disk_daemon } from "../../src/kernel/block/disk.js";
import { dma_engine, do_blockdev_direct_IO } from "../../src/kernel/fs/direct_io.js";
import { __writeback_single_inode } from "../../src/kernel/fs/fs_writeback.js";
import { fsync as fsync_path } from "../../src/kernel/fs/sync.js";
import { call, local, path, repeat, step } from "../../src/kernel/language.js";
import { shrink_active_list } from "../../src/kernel/mm/shrink_active_list.js";
import { call_shrink_node } from "../../src/kernel/mm/vmscan.js";
import { inode, int } from "../../src/kernel/types.js";
import { cpu_access } from "../../src/kernel/user.js";
import { PTE_BIT } from "../../src/trace/words.js";
import { type Actor, FILE, type Hand } from "./harness.js";

const passes = path("passes", { source: "a test", args: { passes: int }, locals: { made: int } }, [
  repeat(
    (_, f) => f.made < f.passes,
    [
      call_shrink_node(),
      local((_, f) => {
        f.made++;
      }),
    ],
  ),
]);

const clean_inode = path("clean_inode", { source: "a test", args: { mapping: inode } }, [
  step("begin", () => {}),
  call(() => __writeback_single_inode, { mapping: "mapping" }),
]);

const age = path("age", { source: "a test", args: { nr: int } }, [
  call(() => shrink_active_list, { nr_to_scan: "nr" }),
]);

/** A CPU store to, or load from, a virtual page. */
export const store = (at = 0): Actor => ({ path: cpu_access, args: [at, 1], ends: true });
export const load = (at = 0): Actor => ({ path: cpu_access, args: [at, 0], ends: true });
/** Some passes of kswapd over the file lists. */
export const reclaim = (count = 1): Actor => ({ path: passes, args: [count], ends: true });
/** shrink_active_list over this many pages. */
export const deactivate = (nr = 1): Actor => ({ path: age, args: [nr], ends: true });
/** The flusher's work on the file, once. */
export const flusher: Actor = { path: clean_inode, args: [FILE], ends: true };
export const fsync: Actor = { path: fsync_path, args: [FILE], ends: true };
export const disk: Actor = { path: disk_daemon, args: [0] };
/** pread of an O_DIRECT file into `nr` pages from a virtual page on; `dio` is the task's own number in the world. */
export const read = (dio: number, at = 0, nr = 1): Actor => ({
  path: do_blockdev_direct_IO,
  args: [at, nr, dio],
  ends: true,
});
export const dma = (dio: number): Actor => ({ path: dma_engine, args: [dio] });

/** Forget that a CPU used a PTE. */
export function old(h: Hand, at = 0): void {
  h.k.pte.entry[at] &= ~PTE_BIT.young;
}
