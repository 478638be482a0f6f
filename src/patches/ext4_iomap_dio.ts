/**
 * ext4 reads and writes by O_DIRECT through iomap.
 *
 * Source: fs/ext4/file.c, commits b1b4705d54ab and 378f32bab371 (v5.5): ext4_dio_read_iter and ext4_dio_write_iter call iomap_dio_rw, as xfs does. The pages are dirtied before the bio is
 * submitted, and the interrupt looks again whether they still are: if one is not, a kworker dirties them all, later than the end of the read.
 * Asynchronous reads (fs/direct_io.ts's io_submit_read) did so before.
 *
 * What it changes for the article: the pages are marked dirty twice, and reads return while their pages are held.
 */
import { bio_dirty_fn } from "../kernel/block/bio.js";
import { direct_write, dma_engine, dma_engine_iomap, do_blockdev_direct_IO } from "../kernel/fs/direct_io.js";
import { iomap_dio_rw, iomap_dio_write } from "../kernel/fs/iomap_dio.js";
import { becomes } from "../machine/patch.js";
import type { Patch } from "./patch.js";

export const ext4_iomap_dio: Patch = {
  name: "ext4-iomap-dio",
  title: "ext4: introduce direct I/O read using iomap infrastructure",
  author: "Matthew Bobrowski",
  date: "2019-11",
  commit: "b1b4705d54ab",
  help: "ext4 reads by O_DIRECT through iomap: pages are dirtied at submission, and by a kworker after the end if they are clean by then",
  edits: [
    becomes(do_blockdev_direct_IO, iomap_dio_rw),
    becomes(direct_write, iomap_dio_write),
    becomes(dma_engine, dma_engine_iomap),
  ],
  daemons: [{ name: "kworker", letter: "y", path: bio_dirty_fn, besides: dma_engine }],
};
