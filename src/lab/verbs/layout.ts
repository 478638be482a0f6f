/** The verb that shows struct page word by word. */
import {
  clashText,
  HUBBARD_2018,
  layoutChangesText,
  pageLayoutText,
  pageWords,
  pageWordsText,
} from "../page_layout.js";
import { layoutIn } from "../struct_page.js";
import { blocks } from "../text.js";
import { optional, pfn, result, verb } from "./verb.js";

export const layout = verb({
  name: "layout",
  help: "struct page word by word: of a page now, or of each type of page",
  details: [
    "A struct page has eight words of 64 bits; what type of page it is says who owns which. Without a page: the table of types that get_user_pages can meet, as this kernel has them, where the two words that Hubbard's RFC of 2018 wanted are taken, and what has changed since v4.20.",
  ],
  example: "layout 0",
  args: { pfn: optional(pfn, "page frame number, decimal or 0x...") },
  run: (desk, { pfn: page }) => {
    const { k, kernel } = desk.world;
    const layout = layoutIn(kernel.name);
    if (page === undefined) {
      const changes = layoutChangesText(kernel.name);
      return result(
        blocks(pageLayoutText(layout), clashText(HUBBARD_2018, layout), ...(changes === "" ? [] : [changes])),
        { layout: pageLayoutText(layout) },
      );
    }
    return result(pageWordsText(k, page, kernel.name), { pfn: page, words: pageWords(k, page, kernel.name) });
  },
});
