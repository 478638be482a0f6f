// What v6.4 does (commit d824ec2a1546, keep-private-of-pinned): reclaim asks whether a page is pinned when nobody can pin it any more.
import { before, goto, page_maybe_dma_pinned, when } from "guplab";

export default {
  name: "ask-after-unmap",
  help: "reclaim asks whether the page is pinned once it is unmapped, and goes no further if it is",
  needs: ["track-foll-pin"],
  edits: [
    before("shrink_folio_list", "folio_test_dirty#1", [
      when("folio_maybe_dma_pinned", (k, f) => page_maybe_dma_pinned(k, f.page), [goto("activate_locked")]),
    ]),
  ],
};
