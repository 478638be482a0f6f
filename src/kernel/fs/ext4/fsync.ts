/**
 * fsync of an ext4 file. Source: fs/ext4/fsync.c in v4.20. Without a journal only the data is waited for. Left out: the difference of
 * fdatasync, the parent directory, the device's cache.
 */
import { call, config, given, leave, local, path } from "../../language.js";
import { file_write_and_wait_range } from "../../mm/filemap_writeback.js";
import { inode, int } from "../../types.js";
import { should_journal_data } from "../jbd2/journal_head.js";
import { ext4_inode_info, jbd2_journal_force_commit, jbd2_log_wait_commit } from "../jbd2.js";

/** Write a range of a file, wait for it, then for the transaction that changed the inode last. Gives 0 or a negative error. */
export const ext4_sync_file = path(
  "ext4_sync_file",
  {
    source: "fs/ext4/fsync.c v4.20",
    args: { mapping: inode, file: int, range_start: int, range_end: int },
    locals: { tid: int },
    returns: int,
  },
  [
    call(
      () => file_write_and_wait_range,
      { mapping: "mapping", file: "file", range_start: "range_start", range_end: "range_end" },
      "ret",
    ),
    config("journal", [
      given((_, f) => f.ret !== 0, [leave()]),
      // The data itself is in the running transaction, or in the one that commits.
      given(
        (k) => should_journal_data(k),
        [call(() => jbd2_journal_force_commit, { mapping: "mapping" }), leave()],
      ),
      local((k, f) => {
        f.tid = k.of(ext4_inode_info).i_sync_tid[f.mapping];
      }),
      jbd2_log_wait_commit(),
    ]),
  ],
);
