/** The paths that write pages back and wait for them. */
import type { Holder } from "./holder.js";

export const writeback: Readonly<Record<string, Holder>> = {
  write_cache_pages: ({ step, local }) =>
    ["pagevec_lookup_range_tag", "tag_pages_for_writeback", "mapping->writeback_index"].includes(step) ||
    step === "mapping->writeback_index = done_index"
      ? []
      : [local("page")],
  __filemap_fdatawait_range: ({ step, local }) =>
    step === "pagevec_lookup_range_tag" ? [] : [local("page")],
};
