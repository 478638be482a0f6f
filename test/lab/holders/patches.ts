/** The paths that patches bring, or change, and that hold references or pins in locals. */
import type { Holder } from "./holder.js";

export const patches: Readonly<Record<string, Holder>> = {
  // Out of its array already.
  unpin_user_page: ({ local }) => [local("page")],
  // The same, until another long pin is the one that is counted (hubbard-lru-longterm-2023).
  unpin_user_page_longterm: ({ calling, local }) =>
    calling === "" && local("page") >= 0 ? [local("page")] : [],
  // From the lookup on (hellwig-kernel-dio-2023).
  filemap_write_pinned: ({ step, local }) => (step === "pagevec_lookup_range_tag" ? [] : [local("page")]),
  // Until it is stored.
  ref_user_page: ({ step, local }) => (step === "get_page" ? [] : [local("page")]),
  // Isolated (v5.4); shrink_page_list is their holder while it runs.
  madvise_pageout: ({ step, local }, chain) => {
    if (step === "reclaim_pages") return chain(local("page_list"));
    return step === "putback_lru_page" ? chain(local("ret_pages")) : [];
  },
  // What the cache gave until it is put, and what was made until the cache has given it. In a call the page is the callee's.
  memfd_pin_folios: ({ calling, local }) =>
    calling === "" ? [local("found"), local("folio")].filter((page) => page >= 0) : [],
  // Out of its array already (put_user_page of 2018).
  put_user_page: ({ local }) => [local("page")],
  // From find_get_page to put_page, round the look at it.
  mapping_pinned_page_locked: ({ page }) => (page("page") < 0 ? [] : [page("page")]),
  // Allocated for the child without the page table's lock (v5.9).
  copy_page_range: ({ page }) => (page("prealloc") < 0 ? [] : [page("prealloc")]),
};

/** The paths of get_user_pages in which a page is held before it is in its array: a pin, if pin_user_pages calls them. */
export const TAKES: readonly string[] = ["gup_pte_range", "__get_user_pages"];
