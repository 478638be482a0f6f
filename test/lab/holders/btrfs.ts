/** The paths of fs/btrfs.ts and fs/btrfs/ that hold references in locals. */
import type { Holder } from "./holder.js";

/** From find_or_create_page until the page is put. */
const writes: Holder = ({ calling, local }) =>
  calling === "find_or_create_page" || local("page") < 0 ? [] : [local("page")];

export const btrfs: Readonly<Record<string, Holder>> = {
  extent_write_cache_pages: ({ step, local }) =>
    ["pagevec_lookup_range_tag", "tag_pages_for_writeback", "mapping->writeback_index"].includes(step) ||
    step === "mapping->writeback_index = done_index"
      ? []
      : [local("page")],
  btrfs_buffered_write: writes,
  btrfs_truncate_block: writes,
  // From the queue's reference to its own put.
  btrfs_writepage_fixup_worker: ({ step, local }) => (step === "btrfs_queue_work" ? [] : [local("page")]),
};
