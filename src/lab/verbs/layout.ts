/** The verb that shows struct page word by word. */
import { clashText, HUBBARD_2018, pageLayoutText, pageWords, pageWordsText } from "../page_layout.js";
import { blocks } from "../text.js";
import { optional, pfn, result, verb } from "./verb.js";

export const layout = verb({
  name: "layout",
  help: "struct page word by word: of a page now, or of each type of page",
  details: [
    "A struct page has eight words of 64 bits; what type of page it is says who owns which. Without a page: the table of types that get_user_pages can meet, and where the two words that Hubbard's RFC of 2018 wanted are taken.",
  ],
  example: "layout 0",
  args: { pfn: optional(pfn, "page frame number, decimal or 0x...") },
  run: (desk, { pfn: page }) => {
    if (page === undefined)
      return result(blocks(pageLayoutText(), clashText(HUBBARD_2018)), { layout: pageLayoutText() });
    const { k } = desk.world;
    return result(pageWordsText(k, page), { pfn: page, words: pageWords(k, page) });
  },
});
