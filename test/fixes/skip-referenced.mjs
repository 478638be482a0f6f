// What anybody would try first: reclaim looks at the references before it unmaps a page, and leaves one alone that somebody else refers to.
import { before, goto, page_count, page_has_private, when } from "guplab";

/** References that are accounted for: the page cache's, reclaim's own, one for each PTE, and the buffers'. */
const expected = (k, page) => 2 + k.page.mapcount[page] + (page_has_private(k, page) ? 1 : 0);

export default {
  name: "skip-referenced",
  help: "before it unmaps a page, reclaim looks whether somebody else refers to it, and skips it",
  edits: ["try_to_unmap#1", "try_to_unmap#2"].map((step) =>
    before("shrink_page_list", step, [
      when("page_count", (k, f) => page_count(k, f.page) > expected(k, f.page), [goto("keep_locked")]),
    ]),
  ),
};
