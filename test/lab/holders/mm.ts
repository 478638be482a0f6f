/** The paths of mm/ and fs/ that hold references in locals. */
import type { Holder } from "./holder.js";

export const mm: Readonly<Record<string, Holder>> = {
  // The isolator holds every page between isolation and put-back. A page frozen by __remove_mapping is on free_pages.
  shrink_inactive_list: ({ step, local }, chain) =>
    step === "putback_inactive_pages" ? chain(local("ret_pages")) : [],
  shrink_page_list: ({ step, local }, chain) => [
    ...chain(local("page_list")),
    ...chain(local("ret_pages")),
    ...(step === "free_unref_page_list" ? [] : [local("page")]),
  ],
  shrink_active_list: ({ step, local }, chain) =>
    step === "lru_add_drain" || step === "isolate_lru_pages" ? [] : chain(local("l_hold")),
  // Between the cleared PTE and page_remove_rmap lies set_page_dirty: the PTE's reference has not been dropped. Notifiers are called before and after.
  // `at` is 0 where the PTE is back, as the page may be pinned (v5.19).
  try_to_unmap: ({ calling, local }) =>
    calling === "set_page_dirty" && local("at") !== 0 ? [local("page")] : [],
  // page_cache_read runs while there is no page; readpage is called with one.
  filemap_fault: ({ step, calling, local }) =>
    step === "find_get_page" || calling === "page_cache_read" ? [] : [local("page")],
  page_cache_read: ({ step, local }) => (step === "__alloc_pages_nodemask" ? [] : [local("page")]),
  do_shared_fault: ({ calling, local }) =>
    ["filemap_fault", "shmem_fault", "fault_dirty_shared_page"].includes(calling) ? [] : [local("page")],
  do_read_fault: ({ step, calling, local }) =>
    step === "do_fault_around" || calling !== "" || (step === "unlock_page" && local("ret") === 0)
      ? []
      : [local("page")],
  do_cow_fault: ({ step, nth, calling, local }) => {
    if (step === "alloc_page_vma") return [];
    if (calling !== "") return [local("new_page")];
    const installed = ["unlock_page", "put_page"].includes(step) && local("ret") === 0;
    const copy = installed ? [] : [local("new_page")];
    return step === "put_page" && nth === 1 ? copy : [...copy, local("page")];
  },
  wp_page_shared: ({ step, local }) => (step === "get_page" ? [] : [local("page")]),
  gup_pte_range: ({ step, local }) =>
    ["pte_read", "page_cache_get_speculative", "try_grab_compound_head"].includes(step)
      ? []
      : [local("page")],
  // Until the page is in the caller's array it is not yet counted as pinned.
  __get_user_pages: ({ step, calling, local }) =>
    step === "mark_page_accessed" || calling === "set_page_dirty" ? [local("page")] : [],
  mpage_prepare_extent_to_map: ({ step, local }) =>
    step === "pagevec_lookup_range_tag" ? [] : [local("page")],
};
