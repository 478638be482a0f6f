/** The paths that write pages back and wait for them. */
import type { Holder } from "./holder.js";

/** The page, from the lookup on; not in a round that has to look it up again. */
const ext4_write_begin: Holder = ({ calling, local }) => {
  const page = local("page");
  return page < 0 || calling === "grab_cache_page_write_begin" ? [] : [page];
};

/** Until it is put: then the inode and the handle are left. */
const ext4_write_end: Holder = ({ step, local }) =>
  step === "ext4_mark_inode_dirty" || step === "jbd2_journal_stop" ? [] : [local("page")];
/** A new page's only reference, until the cache has it too, is its maker's. */
const finds: Holder = ({ step, local }) =>
  step === "find_get_entry" || step === "__page_cache_alloc" ? [] : [local("page")];
const writes: Holder = ({ local }) => (local("page") < 0 ? [] : [local("page")]);

export const writeback: Readonly<Record<string, Holder>> = {
  write_cache_pages: ({ step, local }) =>
    ["pagevec_lookup_range_tag", "tag_pages_for_writeback", "mapping->writeback_index"].includes(step) ||
    step === "mapping->writeback_index = done_index"
      ? []
      : [local("page")],
  ext4_write_begin,
  ext4_da_write_begin: ext4_write_begin,
  grab_cache_page_write_begin: finds,
  find_or_create_page: finds,
  iomap_write_begin: ({ calling, local }) =>
    calling === "grab_cache_page_write_begin" ? [] : [local("page")],
  iomap_file_buffered_write: writes,
  iomap_zero_range: writes,
  // A new page's only reference, until the cache has it too, is its maker's.
  // A page that has come from swap is dirtied by a call.
  shmem_getpage_gfp: ({ step, calling, local }) =>
    calling === "set_page_dirty" ||
    (calling === "" && step !== "find_get_entry" && step !== "shmem_alloc_page" && local("page") >= 0)
      ? [local("page")]
      : [],
  shmem_read_mapping_page_gfp: ({ calling, local }) =>
    calling === "" && local("page") >= 0 ? [local("page")] : [],
  shmem_file_read_iter: ({ calling, local }) => (calling === "" && local("page") >= 0 ? [local("page")] : []),
  generic_perform_write: ({ step, calling, local }) =>
    step === "iov_iter_copy_from_user_atomic" || calling === "shmem_write_end" ? [local("page")] : [],
  ext4_write_end,
  ext4_da_write_end: ext4_write_end,
  // page_cache_read and reclaim run while there is no page; readpage is called with one.
  generic_file_buffered_read: ({ step, calling, local }) =>
    step === "find_get_page" ||
    step === "page_cache_alloc" ||
    calling === "page_cache_read" ||
    local("page") < 0
      ? []
      : [local("page")],
  mpage_release_unused_pages: ({ step, local }) => (step === "pagevec_lookup_range" ? [] : [local("page")]),
  mpage_map_and_submit_extent: ({ step, calling, local }) =>
    calling !== "" || step === "pagevec_release" ? [local("page")] : [],
  // Beside its caller's reference: while the page is unlocked for the handle.
  __ext4_journalled_writepage: ({ step, nth, local }) =>
    ["jbd2_journal_start", "lock_page", "put_page"].includes(step) || (step === "unlock_page" && nth === 0)
      ? [local("page")]
      : [],
  ext4_wait_for_tail_page_commit: ({ step, local }) => (step === "find_lock_page" ? [] : [local("page")]),
  ext4_journalled_write_end: ext4_write_end,
  ext4_block_truncate_page: ({ step, local }) => (step === "find_or_create_page" ? [] : [local("page")]),
  __filemap_fdatawait_range: ({ step, local }) =>
    step === "pagevec_lookup_range_tag" ? [] : [local("page")],
};
