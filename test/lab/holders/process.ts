/** The paths of faults, fork and mlock that hold references in locals. */
import type { Holder } from "./holder.js";

export const process: Readonly<Record<string, Holder>> = {
  // wp_page_copy has the page from here, and is its holder while it runs.
  do_wp_page: ({ step, local }) => (step === "lock_page" || step === "pte_same" ? [local("page")] : []),
  wp_page_copy: ({ step, calling, local }) => {
    // The zero page is counted by nobody.
    const old = local("page") < 0 ? [] : [local("page")];
    const both =
      calling === ""
        ? step === "cow_user_page" || step === "ptep_clear_flush_notify"
        : calling === "invalidate_at_start";
    return both && local("new_page") >= 0 ? [...old, local("new_page")] : old;
  },
  do_anonymous_page: ({ step, local }) => (step === "set_pte_at" ? [local("page")] : []),
  // The PTE has its reference once it is mapped.
  do_swap_page: ({ calling, local }) => {
    // read_swap_cache_async gives it, do_wp_page finds it mapped.
    return calling !== "" || local("page") < 0 ? [] : [local("page")];
  },
  read_swap_cache_async: ({ local }) => [local("ret"), local("new_page")].filter((page) => page >= 0),
  // Isolated from its list.
  munlock_vma_page: ({ local }) => (local("isolated") === 1 ? [local("page")] : []),
  // follow_page's reference, and one more for putback_lru_page.
  __munlock_pagevec: ({ step, calling, local }) => {
    const isolated = calling === "try_to_munlock" || step === "page_mapcount" || step === "putback_lru_page";
    return isolated ? [local("page"), local("page")] : [local("page")];
  },
};
