/** The paths of fs/btrfs.ts that hold references in locals. */
import type { Holder } from "./holder.js";

export const btrfs: Readonly<Record<string, Holder>> = {
  // From the queue's reference to its own put.
  btrfs_writepage_fixup_worker: ({ step, local }) => (step === "btrfs_queue_work" ? [] : [local("page")]),
};
