/**
 * What the probes of real kernels are called in v4.20, so that a simulated life of a page and a recorded one can be
 * set beside each other step by step.
 */

/** Probe names of 6.1 and 6.12, and the v4.20 function that does the same thing at the same place. */
const EQUIVALENT: Readonly<Record<string, string>> = {
  bio_check_pages_dirty: "bio_check_pages_dirty",
  bio_dirty_fn: "bio_dirty_fn",
  bio_release_pages: "bio_release_pages",
  bio_set_pages_dirty: "bio_set_pages_dirty",
  block_dirty_folio: "__set_page_dirty_buffers",
  block_page_mkwrite: "block_page_mkwrite",
  ext4_dirty_folio: "ext4_set_page_dirty",
  ext4_page_mkwrite: "ext4_page_mkwrite",
  ext4_release_folio: "ext4_releasepage",
  ext4_releasepage: "ext4_releasepage",
  ext4_writepages: "ext4_writepages",
  filemap_dirty_folio: "__set_page_dirty_nobuffers",
  filemap_release_folio: "try_to_release_page",
  filemap_release_folio_ret: "try_to_release_page",
  filemap_remove_folio: "__delete_from_page_cache",
  folio_clear_dirty_for_io: "clear_page_dirty_for_io",
  folio_end_writeback: "end_page_writeback",
  folio_mark_dirty: "set_page_dirty",
  folio_mkclean: "page_mkclean",
  folio_start_writeback: "set_page_writeback",
  folio_wait_writeback: "wait_on_page_writeback",
  follow_page_pte_ret: "follow_page_pte",
  get_user_pages_fast: "get_user_pages_fast",
  gup_fast: "get_user_pages_fast",
  gup_fast_ret: "get_user_pages_fast",
  gup_put_folio: "put_page",
  mapping_evict_folio: "invalidate_inode_page",
  pin_user_pages_fast: "get_user_pages_fast",
  remove_mapping: "__remove_mapping",
  remove_mapping_ret: "__remove_mapping",
  set_page_dirty_lock: "set_page_dirty_lock",
  truncate_cleanup_folio: "truncate_cleanup_page",
  truncate_inode_folio: "truncate_inode_page",
  truncate_inode_pages_range: "truncate_inode_pages_range",
  try_grab_folio: "get_page",
  try_grab_page: "get_page",
  try_to_free_buffers: "try_to_free_buffers",
  try_to_free_buffers_ret: "try_to_free_buffers",
  unpin_folio: "put_page",
  unpin_user_folio: "put_page",
  unpin_user_page: "put_page",
  unpin_user_pages: "put_page",
  warn: "__warn",
  writeback_dirty_folio: "account_page_dirtied",
  unlock_page: "unlock_page",
  put_page: "put_page",
  xfs_filemap_page_mkwrite: "xfs_filemap_page_mkwrite",
  __folio_cancel_dirty: "__cancel_dirty_page",
};

/**
 * The v4.20 function that stands where a probe of 6.1 or 6.12 stands, to set a simulated life beside a real one
 * step by step; undefined where v4.20 has none (block requests, system calls, marks).
 *
 * @example equivalentStep("folio_mark_dirty") === "set_page_dirty"
 */
export function equivalentStep(probe: string): string | undefined {
  return Object.hasOwn(EQUIVALENT, probe) ? EQUIVALENT[probe] : undefined;
}
