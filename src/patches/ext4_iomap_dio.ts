/**
 * ext4 reads and writes by O_DIRECT through iomap.
 *
 * Source: fs/ext4/file.c, commits b1b4705d54ab and 378f32bab371 (v5.5): ext4_dio_read_iter and ext4_dio_write_iter call iomap_dio_rw, as xfs does. The pages are dirtied before the bio is
 * submitted, and the interrupt looks again whether they still are: if one is not, a kworker dirties them all, later than the end of the read.
 * Asynchronous reads (fs/direct_io.ts's io_submit_read) did so before.
 *
 * What it changes for the article: the pages are marked dirty twice, and reads return while their pages are held.
 */
import { bio_check_pages_dirty, bio_dirty_fn, bio_release_pages } from "../kernel/block/bio.js";
import { nvme_controller, nvme_dev } from "../kernel/drivers/nvme.js";
import { direct_write, dma_engine, dma_engine_iomap, do_blockdev_direct_IO } from "../kernel/fs/direct_io.js";
import { iomap_dio_rw, iomap_dio_write } from "../kernel/fs/iomap_dio.js";
import type { Kernel } from "../kernel/kernel.js";
import { call, given, path, under, when } from "../kernel/language.js";
import { irq } from "../kernel/locks.js";
import { PAGES } from "../kernel/mm/user_pages.js";
import { type PagesNr, pages_nr } from "../kernel/types.js";
import { type AnyPath, after, becomes, type Edit } from "../machine/patch.js";
import type { Patch } from "./patch.js";

const has_ended = (k: Kernel, pages: PagesNr): boolean =>
  k.user_pages.state[pages] === PAGES.done || k.user_pages.state[pages] === PAGES.failed;

/** iomap_dio_bio_end_io of a command that whoever comes first has ended: the interrupt, or who resets the controller. */
const end_io = path(
  "iomap_dio_bio_end_io",
  { source: "fs/iomap/direct-io.c v5.5", args: { pages: pages_nr } },
  [
    under(irq, [
      when(
        "iomap_dio_bio_end_io",
        (k, f) => {
          const mine = has_ended(k, f.pages);
          if (mine) k.user_pages.state[f.pages] = PAGES.checking;
          return mine;
        },
        [
          given(
            (k, f) => k.of(nvme_dev).wrote[f.pages] === 1,
            [call(() => bio_release_pages, { pages: "pages" })],
            [call(() => bio_check_pages_dirty, { pages: "pages" })],
          ),
        ],
      ),
    ]),
  ],
);

/** A step of an NVMe disk's that may end a request. */
const ends = (name: AnyPath | string, anchor: string): Edit =>
  after<{ readonly pages: PagesNr }>(name, anchor, [
    given((k: Kernel, f) => has_ended(k, f.pages), [call(() => end_io, { pages: "pages" })]),
  ]);

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
    ends(nvme_controller, "doorbell"),
    ends(nvme_controller, "nvme_irq"),
    ends("nvme_dev_disable", "nvme_cancel_request"),
    ends("nvme_reset_work", "nvme_kill_queues"),
  ],
  daemons: [dma_engine, nvme_controller].map((besides) => ({
    name: "kworker",
    letter: "y",
    path: bio_dirty_fn,
    besides,
  })),
};
